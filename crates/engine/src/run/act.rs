//! Steps: look, record the intent, act, record the outcome; and the same for their undo.

use carnet_ledger::{EventTime, Object};
use carnet_model::Code;
use carnet_model::capability::{self, Repeat, Safety, descriptor};
use carnet_model::plan::{PlannedStep, PlannedUndo, StepName};

use super::drive::tell;
use super::judge::{approval, closed};
use super::recorder::Note;
use crate::capability::{Act, Capability, Probed, Used, find, receipt};
use crate::error::{EngineError, StepError};
use crate::step::{Context, Done};
use carnet_process::{Command, Ending, RunState, StepResult, StepState, StepStatus, Stop};

/// A step of the plan with what does it.
struct Work<'a> {
    cx: &'a Context<'a>,
    node: &'a str,
    step: &'a PlannedStep,
    undo_does: &'a str,
    hands: &'static dyn Capability,
    key: String,
    began: EventTime,
}

impl<'a> Work<'a> {
    fn of(cx: &'a Context<'a>, node: &'a str) -> Result<Self, StepError> {
        let planned = cx.plan.node(node).and_then(|(_, found)| Some((found, found.step()?)));
        let missing = || StepError::new(Code::BUG, format!("no step is named {node}"));
        let (found, step) = planned.ok_or_else(missing)?;
        let hands = find(&step.capability).ok_or_else(|| no_hands(&step.capability))?;
        let key = cx.recorder.look(|run| run.key_of(node)).unwrap_or_default();
        let undo_does = found.undo_does.as_deref().unwrap_or_default();
        Ok(Self { cx, node, step, undo_does, hands, key, began: cx.clock.now() })
    }

    fn act(&self) -> Act<'_> {
        Act {
            cx: self.cx,
            node: self.node,
            with: &self.step.with,
            key: &self.key,
            generation: self.cx.recorder.generation(),
            takes_back: None,
        }
    }

    /// What the outcome says, with the receipt of this use.
    fn settled(&self, ended: Ended) -> Result<(Command, Vec<Note>), StepError> {
        let Ended { result, done, why } = ended;
        let Done { mut facts, notes } = done;
        let reason = why.as_ref().map(|(_, why)| why.reason.as_str()).unwrap_or_default();
        let used = Used {
            capability: &self.step.capability,
            node: self.node,
            key: &self.key,
            with: &self.step.with,
            dry_run: self.cx.dry_run,
            started: self.began,
            ended: self.cx.clock.now(),
            result,
            reason,
            facts: &facts,
            undo: self.undo_does,
        };
        let receipt = receipt(self.cx.recorder, &used)?;
        facts.insert("receipt".to_owned(), receipt.into());
        Ok((Command::Settle { step: self.node.to_owned(), result, facts, why }, notes))
    }

    fn settle(&self, ended: Ended) -> Result<(), EngineError> {
        let (command, notes) = self.settled(ended)?;
        tell(self.cx, command, notes)
    }

    fn failed(&self, error: &StepError) -> Ended {
        let unknown = error.code == Code::RUN_UNKNOWN;
        Ended {
            result: if unknown { StepResult::Unknown } else { StepResult::NotApplied },
            done: Done { notes: error.notes.clone(), ..Done::default() },
            why: Some(error.stop(self.node)),
        }
    }
}

/// How an attempt ended.
struct Ended {
    result: StepResult,
    done: Done,
    why: Option<(Ending, Stop)>,
}

impl Ended {
    fn well(result: StepResult, done: Done) -> Self {
        Self { result, done, why: None }
    }
}

fn no_hands(capability: &str) -> StepError {
    let what = format!("this build cannot do {capability}");
    StepError::new(Code::FEATURE_MISSING, what).remedy("use a build of Carnet that can")
}

/// Looks, records the intent, and goes on to do it. In a dry run it only looks.
pub(super) fn begin(cx: &Context<'_>, node: &str) -> Result<(), EngineError> {
    let work = match Work::of(cx, node) {
        Ok(work) => work,
        Err(error) => return stop(cx, node, &error),
    };
    if cx.dry_run && is_withheld(cx, work.step) {
        return withhold(&work);
    }
    if let Some(stop) = not_approved(&work)? {
        return tell(cx, Command::Hold(stop), Vec::new());
    }
    match work.hands.prepare(&work.act()) {
        Ok(inputs) => {
            tell(cx, Command::Begin { step: node.to_owned(), inputs }, Vec::new())?;
            settle_begun(cx, node, true)
        }
        Err(error) => stop(cx, node, &error),
    }
}

fn stop(cx: &Context<'_>, node: &str, error: &StepError) -> Result<(), EngineError> {
    let (ending, stop) = error.stop(node);
    tell(cx, Command::Stop { ending, stop }, error.notes.clone())
}

/// What cannot be undone is done only with the approval that the plan names for it.
fn not_approved(work: &Work<'_>) -> Result<Option<Stop>, StepError> {
    let PlannedUndo::Refused { approval: name, .. } = &work.step.undo else { return Ok(None) };
    let undefined = || StepError::new(Code::BUG, format!("the plan defines no approval {name}"));
    let asked = approval(work.cx, name).ok_or_else(undefined)?;
    if work.cx.dry_run || asked.opens() {
        return Ok(None);
    }
    Ok(Some(closed(work.node, &asked)))
}

/// A dry run does what only looks, as long as nothing was withheld that it would look at.
fn is_withheld(cx: &Context<'_>, step: &PlannedStep) -> bool {
    let named = StepName::of_capability(&step.capability);
    if let Some(named) = named {
        return named.mutates() || matches!(named, StepName::RehashSnapshot | StepName::ReadBack);
    }
    let looks = descriptor(&step.capability).is_some_and(|it| it.safety == Safety::ReadOnly);
    !looks || withheld_before(cx)
}

/// Whether a dry run has withheld a step: what comes after may be about it.
pub(super) fn withheld_before(cx: &Context<'_>) -> bool {
    let withheld = |run: &RunState| {
        run.nodes().any(|(_, _, state)| {
            state.step().is_some_and(|step| step.status == StepStatus::Withheld)
        })
    };
    cx.recorder.look(withheld).unwrap_or_default()
}

/// What would be done is looked at, unless it depends on what was withheld before.
fn withhold(work: &Work<'_>) -> Result<(), EngineError> {
    let built_in = StepName::of_capability(&work.step.capability).is_some();
    let mut done = Done::default();
    if !built_in && !withheld_before(work.cx) {
        match work.hands.prepare(&work.act()) {
            Ok(inputs) => done.facts = inputs,
            Err(error) => return stop(work.cx, work.node, &error),
        }
    }
    work.settle(Ended::well(StepResult::Withheld, done))
}

/// Does a step whose intent was durable before this process came to it: what was done of it is not
/// known.
pub(super) fn settle(cx: &Context<'_>, node: &str) -> Result<(), EngineError> {
    settle_begun(cx, node, false)
}

fn settle_begun(cx: &Context<'_>, node: &str, fresh: bool) -> Result<(), EngineError> {
    let work = match Work::of(cx, node) {
        Ok(work) => work,
        Err(error) => return stop(cx, node, &error),
    };
    let held = cx.recorder.look(|run| run.step(node).cloned()).flatten();
    let Some(held) = held else { return Ok(()) };
    let ended = if fresh { attempt(&work, &held)? } else { look_first(&work, &held)? };
    work.settle(ended)
}

/// Acts under the recorded intent, if the run is still this process's.
fn attempt(work: &Work<'_>, held: &StepState) -> Result<Ended, EngineError> {
    let (cx, node) = (work.cx, work.node);
    let acted = cx.faults.pass(&format!("before/{node}")).and_then(|()| {
        cx.recorder.check_lease()?;
        let done = work.hands.act(&work.act(), &held.inputs)?;
        cx.faults.pass(&format!("after/{node}"))?;
        Ok(done)
    });
    Ok(match acted {
        Err(error) if ends_here(cx, &error) => return Err(error.into()),
        Ok(done) => Ended::well(StepResult::Applied, done),
        Err(error) => work.failed(&error),
    })
}

/// Whether nothing more may be recorded: the process was killed, or the run is another's now. What
/// was under way has an intent and no outcome, and whoever goes on looks whether it happened.
fn ends_here(cx: &Context<'_>, error: &StepError) -> bool {
    let fenced = error.code == Code::RUN_FENCED;
    cx.faults.crashed() || (fenced && cx.recorder.check_lease().is_err())
}

/// After a crash, or where nobody knew: it is done again, the world is asked, or a person looks, as
/// the capability says. On the way back nothing is done again: undo takes away what there is.
fn look_first(work: &Work<'_>, held: &StepState) -> Result<Ended, EngineError> {
    let back = work.cx.recorder.look(RunState::goes_back).unwrap_or_default();
    let unknown = held.status == StepStatus::Unknown;
    let repeat = descriptor(&work.step.capability)
        .map_or(Repeat::Manual, |it| capability::repeat(it, &work.step.with));
    match repeat {
        Repeat::Again if back => Ok(Ended::well(StepResult::NotApplied, Done::default())),
        Repeat::Again => attempt(work, held),
        Repeat::Probe => match work.hands.probe(&work.act(), &held.inputs) {
            Ok(Probed::Applied(done)) => Ok(Ended::well(StepResult::Applied, done)),
            Ok(Probed::NotApplied | Probed::Begun) if back => {
                Ok(Ended::well(StepResult::NotApplied, Done::default()))
            }
            // What is on record as unknown is begun anew, under an intent of its own.
            Ok(Probed::NotApplied) if unknown => {
                Ok(Ended::well(StepResult::NotApplied, Done::default()))
            }
            Ok(Probed::NotApplied | Probed::Begun) => attempt(work, held),
            Ok(Probed::Unknown(why)) => Ok(work.failed(&nobody_knows(work.node, &why))),
            Err(error) => {
                let told = format!("it cannot be looked at: {}", error.told());
                Ok(work.failed(&nobody_knows(work.node, &told)))
            }
        },
        Repeat::Manual => {
            let why = "it was cut off, and only a person can see what it did";
            Ok(work.failed(&nobody_knows(work.node, why)))
        }
    }
}

fn nobody_knows(node: &str, why: &str) -> StepError {
    let what = format!("nobody knows whether {node} happened: {why}");
    let remedy = "look, and say what became of it: `carnet incident settle PLAN STEP`";
    StepError::new(Code::RUN_UNKNOWN, what).remedy(remedy)
}

/// Takes a step back, by its own undo or by the one that the plan names.
pub(super) fn undo(cx: &Context<'_>, node: &str) -> Result<(), EngineError> {
    let held = cx.recorder.look(|run| run.step(node).cloned()).flatten();
    let Some(held) = held else { return Ok(()) };
    let resumed = held.status == StepStatus::Undoing;
    if !resumed {
        tell(cx, Command::BeginUndo(node.to_owned()), Vec::new())?;
    }
    let undone = cx.faults.pass(&format!("undo/{node}")).and_then(|()| {
        cx.recorder.check_lease()?;
        let left_behind = take_back(cx, node, &held.inputs, resumed)?;
        cx.faults.pass(&format!("undone/{node}"))?;
        Ok(left_behind)
    });
    let result = match undone {
        Err(error) if ends_here(cx, &error) => return Err(error.into()),
        undone => undone.map_err(|error| error.stop(node).1),
    };
    tell(cx, Command::SettleUndo { step: node.to_owned(), result }, Vec::new())
}

/// Takes back what a step has done, by its own undo or by the one that the plan names.
pub(crate) fn take_back(
    cx: &Context<'_>,
    node: &str,
    inputs: &Object,
    resumed: bool,
) -> Result<Vec<String>, StepError> {
    let work = Work::of(cx, node)?;
    match &work.step.undo {
        PlannedUndo::Nothing | PlannedUndo::Refused { .. } => Ok(Vec::new()),
        PlannedUndo::Own => work.hands.undo(&work.act(), inputs),
        PlannedUndo::By { capability: name, with } => {
            let hands = find(name).ok_or_else(|| no_hands(name))?;
            let key = format!("{}/undo", work.key);
            let act = Act { with, key: &key, takes_back: Some(&work.key), ..work.act() };
            by_plan(hands, name, &act, resumed)
        }
    }
}

/// The undo that a plan names is a use of a capability like any other: after a crash it is done
/// again, looked at, or left to a person.
fn by_plan(
    hands: &dyn Capability,
    name: &str,
    act: &Act<'_>,
    resumed: bool,
) -> Result<Vec<String>, StepError> {
    let inputs = hands.prepare(act)?;
    let repeat = descriptor(name).map_or(Repeat::Manual, |it| capability::repeat(it, act.with));
    if resumed {
        match repeat {
            Repeat::Again => {}
            Repeat::Probe => match hands.probe(act, &inputs)? {
                Probed::Applied(_) => return Ok(Vec::new()),
                Probed::NotApplied | Probed::Begun => {}
                Probed::Unknown(why) => return Err(nobody_knows(act.node, &why)),
            },
            Repeat::Manual => {
                let why = "its undo was cut off, and only a person can see what it did";
                return Err(nobody_knows(act.node, why));
            }
        }
    }
    hands.act(act, &inputs).map(|_| Vec::new())
}
