//! A run that is taken away from its process: that is noticed before the next effect, and the old
//! process records nothing more.

use std::sync::Mutex;

use carnet_connect::{StoreError, VectorRepository};
use carnet_engine::{EngineError, LogReader, Role, RunRequest, StoreOpener, StoreRequest};
use carnet_model::Code;

use super::journal::open;
use super::kept::{Kept, on_each};
use super::yard::Yard;

/// Opens the yard's stores; before the target is opened for the first time, something happens.
struct Meanwhile<'a> {
    yard: &'a Yard,
    happens: Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>,
}

impl StoreOpener for Meanwhile<'_> {
    fn open(&self, request: &StoreRequest) -> Result<Box<dyn VectorRepository>, StoreError> {
        let happens = self.happens.lock().unwrap().take_if(|_| request.role == Role::Target);
        if let Some(happens) = happens {
            happens();
        }
        self.yard.open(request)
    }
}

/// Runs the yard's plan; something happens to the run while it looks at the target.
fn run<'a>(
    yard: &'a Yard,
    kept: &Kept,
    happens: impl FnOnce() + Send + 'a,
) -> Result<String, EngineError> {
    let stores = Meanwhile { yard, happens: Mutex::new(Some(Box::new(happens))) };
    let folder = yard.path("");
    let request = RunRequest { stores: &stores, ..yard.request(&folder, false) };
    let engine = yard.engine("").with_log(kept.place().clone());
    Ok(engine.run(&request)?.status.to_string())
}

fn events(kept: &Kept) -> u64 {
    LogReader::open(kept.place()).unwrap().unwrap().size()
}

#[test]
fn a_run_that_another_process_took_over_stops_before_its_next_effect() {
    on_each(|kept| {
        let yard = Yard::new();
        let before = yard.world();
        let taken = Mutex::new(0);
        let error = run(&yard, kept, || {
            kept.steal();
            *taken.lock().unwrap() = open(kept.place()).unwrap().events();
        });
        let error = error.unwrap_err();
        assert_eq!(error.code(), Code::RUN_FENCED, "{error:?}");
        assert!(error.remedy().is_some());
        assert_eq!(yard.world(), before, "nothing was done after it");
        assert_eq!(events(kept), *taken.lock().unwrap(), "nothing was recorded after it");
        // Whoever has it now goes on with it.
        assert_eq!(run(&yard, kept, || {}).unwrap(), "done");
    });
}

#[test]
fn a_run_whose_lock_was_removed_stops_before_its_next_effect() {
    on_each(|kept| {
        let yard = Yard::new();
        let before = yard.world();
        let error = run(&yard, kept, || kept.steal()).unwrap_err();
        assert_eq!(error.code(), Code::RUN_FENCED, "{error:?}");
        assert_eq!(yard.world(), before);
        assert_eq!(run(&yard, kept, || {}).unwrap(), "done");
    });
}

#[test]
fn a_refused_writer_learns_who_holds_the_run() {
    on_each(|kept| {
        let yard = Yard::new();
        let held = open(kept.place()).unwrap();
        let refused = run(&yard, kept, || {}).unwrap_err();
        assert_eq!(refused.code(), Code::RUN_LOCKED);
        let told = std::error::Error::source(&refused).unwrap().to_string();
        let process = std::process::id();
        assert!(told.contains(&format!("generation 1, process {process}, since 20")), "{told}");
        held.check_lease().unwrap();
    });
}
