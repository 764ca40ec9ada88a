//! Files that a programme is pinned to, and that are no longer what they were.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use carnet_ledger::{Digest, EventBody, FileDrift};
use carnet_model::Code;
use carnet_model::plan::Plan;
use serde_json::Value;

use super::super::drive::tell;
use super::super::recorder::{Note, Recorder};
use crate::error::{EngineError, StepError};
use crate::step::Context;
use carnet_journal::Clock;
use carnet_process::{Command, PhaseStanding, Refused, RunState, Stop, standings_of};

/// The largest file that a plan refers to.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A pinned file, with the digest that the run is pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pin {
    path: String,
    digest: Digest,
    /// Whether it decides before all others.
    first: bool,
}

/// One that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drifted {
    pin: Pin,
    found: Digest,
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
    let pins = object(run.document).map(|bytes| pins_of(&bytes)).unwrap_or_default();
    changed(pins, |path| plan.files().get(path).copied())
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
    Refused::Drifted { files: drifted.iter().map(|it| it.pin.path.clone()).collect() }
}

/// Stops the run before a step if a pinned file has changed since the plan was read.
pub(super) fn before_step(cx: &Context<'_>) -> Result<bool, EngineError> {
    let pins = pins_of(cx.plan.canonical().as_bytes());
    let mut unread = None;
    let drifted = changed(pins, |path| match digest_of(&cx.folder.join(path)) {
        Ok(digest) => Some(digest),
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
        let found = now(&pin.path)?;
        (found != pin.digest).then_some(Drifted { pin, found })
    });
    drifted.collect()
}

/// The files that the canonical text of a plan pins, the one that decides first at the front.
fn pins_of(canonical: &[u8]) -> Vec<Pin> {
    let Ok(document) = serde_json::from_slice::<Value>(canonical) else { return Vec::new() };
    let authority = document.pointer("/programme/authority").and_then(Value::as_array);
    let authority = authority.into_iter().flatten();
    let config = document.pointer("/programme/run/config");
    let pins = authority.chain(config).enumerate().filter_map(|(at, pin)| {
        let text = |key: &str| pin.get(key).and_then(Value::as_str);
        let digest = text("digest")?.parse().ok()?;
        Some(Pin { path: text("file")?.to_owned(), digest, first: at == 0 })
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
        format!("{} is pinned to {} and is now {}", it.pin.path, it.pin.digest, it.found)
    });
    let reason = files.collect::<Vec<_>>().join("; ");
    let remedy = "put the file back as it was and run the plan, or have the change approved: \
                  `carnet repin PLAN --out NEW`";
    let code = Code::PROGRAMME_DRIFT.name();
    (Stop::precondition(code, subject, reason, remedy.to_owned()), notes.collect())
}

fn digest_of(path: &Path) -> Result<Digest, StepError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| StepError::io("read", path, error))?;
    Ok(Digest::of(&bytes))
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
        assert_eq!(changed(pins.clone(), |_| Some(one)), []);
        let found = changed(pins, |path| Some(if path == "b" { two } else { one }));
        let found: Vec<_> = found.iter().map(|it| (it.pin.path.as_str(), it.found)).collect();
        assert_eq!(found, [("b", two)]);
        assert_eq!(pins_of(b"{}"), []);
    }
}
