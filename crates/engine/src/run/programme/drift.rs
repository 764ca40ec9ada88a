//! Files that a programme is pinned to, and that are no longer what they were.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use carnet_ledger::{Digest, EventBody, FileDrift};
use carnet_model::Code;
use carnet_model::plan::Plan;
use serde_json::Value;

use super::super::Engine;
use super::super::drive::tell;
use super::super::recorder::{Note, Recorder};
use crate::error::{EngineError, StepError};
use crate::step::Context;
use carnet_journal::Clock;
use carnet_process::{Command, PhaseStanding, Refused, RunState, Stop, standings_of};

/// The largest file that a plan refers to.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What stands for the digest of a file that is not there, where a plan is read only to say so of the
/// run that is pinned to the file. Nothing is run by such a plan.
pub fn absent() -> Digest {
    Digest::of(b"carnet: there is no such file\n")
}

/// A pinned file, with the digest that the run is pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pin {
    path: String,
    digest: Digest,
    /// Whether it decides before all others.
    first: bool,
    /// Whether it is the configuration, to which the run is pinned for good.
    config: bool,
}

/// One that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drifted {
    pin: Pin,
    /// `None` if it is not there.
    found: Option<Digest>,
}

/// A file that is not what a run is pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftedFile {
    /// Where it is, as the plan has it.
    pub path: String,
    /// Whether it is the configuration: a change of it needs another run.
    pub is_config: bool,
    /// Whether it is there.
    pub is_there: bool,
}

impl Engine {
    /// The files that are not what the run is pinned to, whatever this plan amends. Only looks.
    pub fn drifted(&self, plan: &Plan) -> Result<Vec<DriftedFile>, EngineError> {
        let (log, run) = self.read()?;
        let found = compared(plan, &run, &|digest| log.object(digest).ok());
        let found = found.into_iter().map(|it| DriftedFile {
            path: it.pin.path,
            is_config: it.pin.config,
            is_there: it.found.is_some(),
        });
        Ok(found.collect())
    }

    /// Whether this plan, in which [`absent`] stands for files that are not there, is that of a run
    /// on its way which is pinned to one of them. That run then says so. Only looks.
    pub fn lacks_pinned(&self, plan: &Plan) -> Result<bool, EngineError> {
        let (log, run) = self.read()?;
        let found = of_run(plan, &run, &|digest| log.object(digest).ok());
        Ok(found.iter().any(|it| it.found.is_none()))
    }
}

/// The files of a run that are not what the run is pinned to; none of a plan that amends the run's, since
/// that is how a changed file is accepted.
pub(super) fn of_run(
    plan: &Plan,
    run: &RunState,
    object: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Vec<Drifted> {
    if run.plan == plan.digest() || plan.parent() == Some(run.plan) || run.ending().is_some() {
        return Vec::new();
    }
    compared(plan, run, object)
}

/// The files of a run that a plan was read with, where they are not what the run is pinned to.
fn compared(
    plan: &Plan,
    run: &RunState,
    object: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Vec<Drifted> {
    let pins = object(run.document).map(|bytes| pins_of(&bytes)).unwrap_or_default();
    let read = pins.into_iter().filter(|pin| plan.files().contains_key(&pin.path)).collect();
    changed(read, |path| plan.files().get(path).copied().filter(|found| *found != absent()))
}

/// Stops the run if a pinned file has changed since it began.
pub(super) fn before_run(
    plan: &Plan,
    recorder: &Recorder,
    clock: &dyn Clock,
) -> Result<(), EngineError> {
    let Some(run) = recorder.run() else { return Ok(()) };
    let drifted = of_run(plan, &run, &|digest| recorder.object(digest).ok());
    if drifted.is_empty() {
        return Ok(());
    }
    let subject = run.phase().unwrap_or_default().to_owned();
    let (stop, notes) = told(&run, &subject, &drifted);
    recorder.command(Command::Hold(stop), notes, clock)?;
    Err(refused(&drifted).into())
}

pub(super) fn refused(drifted: &[Drifted]) -> Refused {
    let files = drifted.iter().map(|it| it.pin.path.clone()).collect();
    Refused::Drifted { files, remedy: remedy(drifted).to_owned() }
}

/// Stops the run before a step if a pinned file has changed since the plan was read.
pub(super) fn before_step(cx: &Context<'_>) -> Result<bool, EngineError> {
    let pins = pins_of(cx.plan.canonical().as_bytes());
    let mut unread = None;
    let drifted = changed(pins, |path| match digest_of(&cx.folder.join(path)) {
        Ok(found) => found,
        Err(error) => {
            unread.get_or_insert(error);
            None
        }
    });
    if let Some(error) = unread {
        return Err(error.into());
    }
    let Some(run) = cx.recorder.run().filter(|_| !drifted.is_empty()) else { return Ok(false) };
    let subject = run.phase().unwrap_or_default().to_owned();
    // A branch beside this one may have told it already.
    if !run.incidents.iter().any(|stop| stop.subject == subject) {
        let (stop, notes) = told(&run, &subject, &drifted);
        tell(cx, Command::Hold(stop), notes)?;
    }
    Ok(true)
}

fn changed(pins: Vec<Pin>, mut now: impl FnMut(&str) -> Option<Digest>) -> Vec<Drifted> {
    let drifted = pins.into_iter().filter_map(|pin| {
        let found = now(&pin.path);
        (found != Some(pin.digest)).then_some(Drifted { pin, found })
    });
    drifted.collect()
}

/// The files that the canonical text of a plan pins, the one that decides first at the front.
fn pins_of(canonical: &[u8]) -> Vec<Pin> {
    let Ok(document) = serde_json::from_slice::<Value>(canonical) else { return Vec::new() };
    let authority = document.pointer("/programme/authority").and_then(Value::as_array);
    let authority = authority.into_iter().flatten();
    let authority = authority.map(|pin| (pin, false));
    let config = document.pointer("/programme/run/config").map(|pin| (pin, true));
    let pins = authority.chain(config).enumerate().filter_map(|(at, (pin, config))| {
        let text = |key: &str| pin.get(key).and_then(Value::as_str);
        let digest = text("digest")?.parse().ok()?;
        Some(Pin { path: text("file")?.to_owned(), digest, first: at == 0, config })
    });
    pins.collect()
}

/// Why the run stops, and an event for each file.
fn told(run: &RunState, subject: &str, drifted: &[Drifted]) -> (Stop, Vec<Note>) {
    let open: Vec<&str> = standings_of(run)
        .into_iter()
        .filter(|(_, standing)| *standing != PhaseStanding::Done)
        .map(|(phase, _)| phase)
        .collect();
    let impact = format!("phases that are not done: {}", open.join(", "));
    let notes = drifted.iter().map(|it| {
        let body = FileDrift {
            path: it.pin.path.clone(),
            pinned: it.pin.digest,
            found: it.found,
            severity: if it.pin.first { "critical" } else { "major" },
            impact: impact.clone(),
        };
        Note::done(EventBody::ProgrammeDrift(body), "drift").about(it.pin.path.clone())
    });
    let files = drifted.iter().map(|it| {
        let now = it.found.map_or("not there".to_owned(), |found| found.to_string());
        format!("{} is pinned to {} and is now {now}", it.pin.path, it.pin.digest)
    });
    let reason = files.collect::<Vec<_>>().join("; ");
    let remedy = remedy(drifted);
    let code = Code::PROGRAMME_DRIFT.name();
    (Stop::precondition(code, subject, reason, remedy.to_owned()), notes.collect())
}

/// What can be done about it. The run is pinned to its configuration for good, and nothing can be
/// pinned that is not there.
fn remedy(drifted: &[Drifted]) -> &'static str {
    if drifted.iter().any(|it| it.pin.config) {
        "put the file back as it was and run the plan; a changed configuration needs a new \
         platform_run_id and a new run"
    } else if drifted.iter().any(|it| it.found.is_none()) {
        "put the file back as it was and run the plan; to go on without it, have a plan approved \
         that amends this one and does not name it"
    } else {
        "put the file back as it was and run the plan, or have the change approved: `carnet repin \
         PLAN --out NEW`"
    }
}

/// The digest of a file; `None` if there is none.
fn digest_of(path: &Path) -> Result<Option<Digest>, StepError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(Digest::of(&bytes))),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(StepError::io("read", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_changed_is_found_and_the_first_is_told_from_the_others() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let text = format!(
            "{{\"programme\":{{\"authority\":[{{\"digest\":\"{one}\",\"file\":\"a\"}},{{\"digest\":\"{one}\",\
             \"file\":\"b\"}}],\"run\":{{\"config\":{{\"digest\":\"{one}\",\"file\":\"c\"}}}}}}}}"
        );
        let pins = pins_of(text.as_bytes());
        let first: Vec<_> = pins.iter().map(|pin| (pin.path.as_str(), pin.first)).collect();
        assert_eq!(first, [("a", true), ("b", false), ("c", false)]);
        assert_eq!(pins.iter().map(|pin| pin.config).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(changed(pins.clone(), |_| Some(one)), []);
        let found = changed(pins.clone(), |path| Some(if path == "b" { two } else { one }));
        let told: Vec<_> = found.iter().map(|it| (it.pin.path.as_str(), it.found)).collect();
        assert_eq!(told, [("b", Some(two))]);
        assert!(remedy(&found).contains("carnet repin"));
        let gone = changed(pins.clone(), |path| (path != "a").then_some(one));
        let told: Vec<_> = gone.iter().map(|it| (it.pin.path.as_str(), it.found)).collect();
        assert_eq!(told, [("a", None)]);
        assert!(!remedy(&gone).contains("repin"));
        let config = changed(pins, |path| Some(if path == "c" { two } else { one }));
        assert!(remedy(&config).contains("new platform_run_id"));
        assert_eq!(pins_of(b"{}"), []);
    }
}
