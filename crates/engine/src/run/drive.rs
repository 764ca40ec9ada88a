//! The loop: what follows, doing it, recording it.

use super::act::{begin, settle, undo};
use super::judge::{choose, judge};
use super::recorder::Note;
use super::{notes, programme};
use crate::error::EngineError;
use crate::step::Context;
use carnet_process::{Begins, Command, Next, RunState, ready};

/// Goes on until nothing is left to do, or a person must act.
pub(super) fn drive(cx: &Context<'_>) -> Result<(), EngineError> {
    while let Some(all) = cx.recorder.look(ready) {
        let (waits, work): (Vec<_>, Vec<_>) = all.into_iter().partition(is_wait);
        let goes_on = match work.as_slice() {
            [] => wait(cx, waits)?,
            [one] => go(cx, one.clone())?,
            several => together(cx, several)?,
        };
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

fn is_wait(next: &Next) -> bool {
    matches!(next, Next::Await { .. } | Next::Hear(_))
}

/// Parallel branches: each in a thread of its own, as many at once as may work. What comes of them is
/// recorded one after the other, and the next thing follows when all have ended.
fn together(cx: &Context<'_>, work: &[Next]) -> Result<bool, EngineError> {
    std::thread::scope(|scope| {
        let at_once = work.iter().take(cx.work.workers.max(1));
        let threads: Vec<_> = at_once.map(|one| scope.spawn(move || go(cx, one.clone()))).collect();
        // All are waited for, also after one has failed.
        let ended: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        ended.into_iter().try_fold(true, |all, one| Ok(one? && all))
    })
}

/// Does one thing; `false` if there is nothing to do.
fn go(cx: &Context<'_>, next: Next) -> Result<bool, EngineError> {
    match next {
        Next::Enter(phase) => tell(cx, Command::Enter(phase), Vec::new())?,
        Next::Leave(phase) => {
            let Some(run) = cx.recorder.run() else { return Ok(false) };
            let notes = notes::left(cx, &run, &phase)?;
            tell(cx, Command::Leave(phase), notes)?;
        }
        Next::Judge(gate) => judge(cx, gate)?,
        Next::Choose(choice) => choose(cx, choice)?,
        Next::Set(timer) => tell(cx, Command::SetTimer(timer), Vec::new())?,
        Next::Await { timer, .. } => tell(cx, Command::EndTimer(timer), Vec::new())?,
        Next::Commit(node) => tell(cx, Command::Commit(node), Vec::new())?,
        Next::Begin(step) => {
            if !programme::drifts(cx)? {
                begin(cx, &step)?;
            }
        }
        Next::Settle(step) => settle(cx, &step)?,
        Next::Undo(step) => undo(cx, &step)?,
        Next::End(ending) => tell(cx, Command::End(ending), Vec::new())?,
        Next::Hear(_) | Next::Wait | Next::Nothing => return Ok(false),
    }
    Ok(true)
}

fn is_at_gate_level(run: &RunState) -> bool {
    let open = run.phase().and_then(|phase| run.phase_index(phase));
    let phase = open.and_then(|index| run.process.phases.get(index));
    phase.is_some_and(|phase| phase.begins == Begins::NotYet)
}

/// Waits for the first timer that is due soon enough; `false` if there is none. A dry run waits for
/// nothing, and takes what it would wait for as come.
fn wait(cx: &Context<'_>, waits: Vec<Next>) -> Result<bool, EngineError> {
    if cx.dry_run {
        // What is not written out yet cannot be shown.
        if cx.recorder.look(is_at_gate_level) == Some(true) {
            return Ok(false);
        }
        for one in waits {
            let command = match one {
                Next::Hear(message) => Command::Send { message, reason: "dry run".to_owned() },
                Next::Await { timer, .. } => Command::EndTimer(timer),
                Next::Enter(_)
                | Next::Judge(_)
                | Next::Choose(_)
                | Next::Set(_)
                | Next::Commit(_)
                | Next::Begin(_)
                | Next::Settle(_)
                | Next::Leave(_)
                | Next::Undo(_)
                | Next::End(_)
                | Next::Wait
                | Next::Nothing => continue,
            };
            tell(cx, command, Vec::new())?;
        }
        return Ok(true);
    }
    let timers = waits.into_iter().filter_map(|one| match one {
        Next::Await { timer, due } => Some((due, timer)),
        Next::Enter(_)
        | Next::Judge(_)
        | Next::Choose(_)
        | Next::Set(_)
        | Next::Hear(_)
        | Next::Commit(_)
        | Next::Begin(_)
        | Next::Settle(_)
        | Next::Leave(_)
        | Next::Undo(_)
        | Next::End(_)
        | Next::Wait
        | Next::Nothing => None,
    });
    let Some((due, timer)) = timers.min() else { return Ok(false) };
    let left = || due.unix_millis().saturating_sub(cx.clock.now().unix_millis());
    if left() > cx.patience_ms {
        return Ok(false);
    }
    while left() > 0 {
        let most = std::time::Duration::from_millis(200);
        let left = std::time::Duration::from_millis(left().unsigned_abs());
        std::thread::sleep(left.min(most));
    }
    tell(cx, Command::EndTimer(timer), Vec::new())?;
    Ok(true)
}

pub(super) fn tell(
    cx: &Context<'_>,
    command: Command,
    notes: Vec<Note>,
) -> Result<(), EngineError> {
    cx.recorder.command(command, notes, cx.clock)
}
