//! What a run amounts to, for people and programs: from the state and the objects of its log.

use std::path::PathBuf;

use carnet_ledger::{Digest, Value};
use carnet_model::Code;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ending;
use crate::capability::CapabilityReceipt;
use crate::step::look::SourceSeen;
use crate::step::read_back::BackSeen;
use crate::step::{ExportSeen, digest_of, integer_of, text_of};
use carnet_process::{
    Approval, Begins, Direction, Ending, Fact, Next, NodeState, Part, PhaseStatus, Place, RunState,
    State, Status, StepState, StepStatus, Stop, TimerState, apply, ready,
};

/// A run, as it stands.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(rename = "Run")]
pub struct Report {
    /// The migration's name.
    pub migration: String,
    /// The run's id: the `correlation_id` of all its events begins with it.
    pub run: String,
    /// The digest of its plan.
    pub plan: String,
    /// `running`, `undoing`, `rolling_back`, `waiting`, `done`, `refused`, `failed`,
    /// `rolled_back`.
    pub status: &'static str,
    /// Of a run that is not over and waits for nobody, seen from outside: whether a process works on
    /// it. Without one it was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_work: Option<bool>,
    /// That process, where the system says which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<u32>,
    /// Whether it only showed what would happen.
    pub dry_run: bool,
    /// Whether the run was done before this command, which has then done nothing.
    pub already_done: bool,
    /// How often it went on after it was cut off.
    pub resumes: u64,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: Option<String>,
    /// The nine phases.
    pub phases: Vec<PhaseReport>,
    /// The gates, in order.
    pub gates: Vec<GateReport>,
    /// What moves.
    pub collections: Vec<CollectionReport>,
    /// Records of all collections.
    pub records: u64,
    /// Bytes of the snapshot's files.
    pub bytes: u64,
    /// Artifact files that were copied.
    pub artifacts: u64,
    /// Entries of the source's artifact folder that are of no known kind and did not travel.
    pub not_travelled: Vec<String>,
    /// What was switched.
    pub switch: Option<SwitchReport>,
    /// Why it turned back.
    pub stop: Option<StopReport>,
    /// What waits for a person.
    pub waits_for: Option<StopReport>,
    /// All that waits for a person, oldest first.
    pub incidents: Vec<StopReport>,
    /// The approvals that were given and stand, oldest first.
    pub approvals: Vec<ApprovalReport>,
    /// The timers that were set and are not over.
    pub timers: Vec<TimerReport>,
    /// The messages that are waited for.
    pub messages: Vec<String>,
    /// Those of them by which people carry a programme on: `carnet phase advance` sends them.
    #[serde(skip)]
    pub acts: Vec<String>,
    /// What a rollback would do now; absent where none is possible.
    pub back: Option<BackReport>,
    /// What undo could not take away.
    pub left_behind: Vec<String>,
    /// The receipt of each use of a capability, in the order of the plan.
    #[serde(skip)]
    pub receipts: Vec<CapabilityReceipt>,
    /// The steps whose effects stand: applied and not undone.
    pub standing: Vec<String>,
    /// Whether a rollback is possible now.
    pub can_roll_back: bool,
    /// The state directory with the evidence; absent in a dry run.
    pub evidence: Option<PathBuf>,
    /// Events in the log.
    pub events: u64,
    /// The hash of the last event.
    #[schemars(with = "Option<String>")]
    pub last_hash: Option<Digest>,
}

/// One phase.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Phase")]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// `not_started`, `active` or `done`.
    pub status: &'static str,
    /// Milliseconds from entering to leaving it, interruptions included.
    pub millis: Option<i64>,
}

/// One gate.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Gate")]
pub struct GateReport {
    /// Its phase.
    pub phase: String,
    /// Its name.
    pub gate: String,
    /// `pass`, `fail`, `error`, `no_data`, `stale` or `not_run`.
    pub verdict: String,
    /// Whether it is open.
    pub open: bool,
    /// Why.
    pub reason: String,
    /// What to do; empty where nothing is to be done.
    pub remedy: String,
    /// The exception of the plan that opens it although it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// Damaged copies that were refused.
    pub refused: u64,
    /// Damaged copies that were judged.
    pub damaged: u64,
}

/// One collection.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Collection")]
pub struct CollectionReport {
    /// Its name.
    pub name: String,
    /// Records in the source.
    pub records: u64,
    /// The length of its vectors.
    pub dimensions: u32,
    /// The root in the source, as it was exported, or as it was found before.
    #[schemars(with = "String")]
    pub root_source: Digest,
    /// The root that was read back from the target.
    #[schemars(with = "Option<String>")]
    pub root_target: Option<Digest>,
    /// Records that were read back from the target.
    pub records_target: Option<u64>,
}

/// Why a run does not go on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Stop")]
pub struct StopReport {
    /// The ground.
    pub class: &'static str,
    /// The stable code.
    pub code: String,
    /// What it is about.
    pub subject: String,
    /// In words.
    pub reason: String,
    /// What to do about it; empty where that is not known.
    pub remedy: String,
}

/// An approval that stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Approval")]
pub struct ApprovalReport {
    /// What was approved.
    pub subject: String,
    /// Who approved it.
    pub approver: String,
    /// The key that signed it; absent for a mere name.
    pub key: Option<String>,
    /// When it was given.
    pub at: String,
    /// Until when it counts.
    pub expires: String,
}

/// What a rollback would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Back")]
pub struct BackReport {
    /// The steps that are undone, in this order.
    pub undo: Vec<String>,
    /// The phases of the prescribed procedure, in order, that follow.
    pub procedure: Vec<String>,
    /// The steps that stay as they are: nothing takes them back, or not any more.
    pub stays: Vec<String>,
}

/// A timer that was set.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Timer")]
pub struct TimerReport {
    /// Its node.
    pub timer: String,
    /// When it is due.
    pub due: String,
}

/// The switch.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Switch")]
pub struct SwitchReport {
    /// The environment file.
    pub path: String,
    /// The variable.
    pub key: String,
    /// Its value on the target side.
    pub value: String,
    /// Whether it points to the target now.
    pub switched: bool,
}

impl Report {
    /// The stable code of what stopped the run or waits, where something does.
    pub fn code(&self) -> Option<carnet_model::Code> {
        let stop = self.waits_for.as_ref().or(self.stop.as_ref())?;
        carnet_model::Code::parse(&stop.code)
    }
}

fn name_of(status: Status) -> &'static str {
    match status {
        Status::Running(Direction::Forward) => "running",
        Status::Running(Direction::Undo(_)) => "undoing",
        Status::Running(Direction::Rollback) => "rolling_back",
        Status::Waiting(_) => "waiting",
        Status::Ended(ending) => ending.name(),
    }
}

/// Reads objects of the evidence; `None` where one is missing.
type Get<'g> = dyn Fn(Digest) -> Option<Vec<u8>> + 'g;

/// The report on a run.
pub(super) fn of(run: &RunState, get: &Get<'_>) -> Report {
    let mut report = Report {
        run: run.id.clone(),
        plan: run.plan.to_string(),
        status: name_of(run.status),
        dry_run: run.dry_run,
        resumes: run.resumes,
        started: run.started.to_string(),
        ended: run.ended.map(|time| time.to_string()),
        phases: phases(run),
        gates: gates(run),
        stop: run.stop.as_ref().map(told),
        waits_for: run.waits_for().map(told).or_else(|| held_up(run)),
        incidents: run.incidents.iter().map(told).collect(),
        approvals: run.approvals.iter().map(approval).collect(),
        timers: timers(run),
        messages: messages(run),
        acts: acts(run),
        back: back(run),
        left_behind: run.left_behind.clone(),
        receipts: receipts(run, get),
        standing: run.standing().into_iter().map(str::to_owned).collect(),
        can_roll_back: can_roll_back(run),
        switch: switch(run),
        ..Report::default()
    };
    content(run, get, &mut report);
    report
}

fn receipts(run: &RunState, get: &Get<'_>) -> Vec<CapabilityReceipt> {
    let steps = run.nodes().filter_map(|(_, _, state)| state.step());
    let objects = steps.filter_map(|step| get(digest_of(&step.facts, "receipt")?));
    objects.filter_map(|bytes| serde_json::from_slice(&bytes).ok()).collect()
}

fn can_roll_back(run: &RunState) -> bool {
    let open = run.nodes().any(|(_, _, state)| {
        let status = state.step().map(|step| step.status);
        matches!(status, Some(StepStatus::Scheduled | StepStatus::Unknown))
    });
    let on_the_way = match run.status {
        Status::Running(Direction::Forward | Direction::Rollback)
        | Status::Waiting(Direction::Forward | Direction::Rollback) => true,
        Status::Running(Direction::Undo(_)) | Status::Waiting(Direction::Undo(_)) => false,
        Status::Ended(_) => ending(run.status) == Some(Ending::Done),
    };
    on_the_way && !open && !run.dry_run
}

/// The core itself is asked, on a copy of the run.
fn back(run: &RunState) -> Option<BackReport> {
    if !can_roll_back(run) {
        return None;
    }
    let mut state = State { run: Some(run.clone()), runs: 1, ..State::default() };
    if run.status != Status::Running(Direction::Rollback) {
        apply(&mut state, &Fact::RollbackStarted, run.started).ok()?;
    }
    let turned = state.run?;
    let name = |place: &Place| turned.process.at(*place).map(|node| node.name.clone());
    let undo: Vec<String> = turned.undo.iter().rev().filter_map(name).collect();
    let prescribed = turned.process.phases.iter().filter(|phase| phase.part == Part::Rollback);
    let procedure: Vec<_> = if turned.by_procedure {
        prescribed.map(|phase| phase.name.clone()).collect()
    } else {
        Vec::new()
    };
    let stays = run
        .standing()
        .into_iter()
        .filter(|step| procedure.is_empty() && !undo.iter().any(|undone| undone == step));
    let stays = stays.map(str::to_owned).collect();
    Some(BackReport { undo, procedure, stays })
}

fn approval(held: &Approval) -> ApprovalReport {
    ApprovalReport {
        subject: held.subject.clone(),
        approver: held.approver.clone(),
        key: held.key.clone(),
        at: held.at.to_string(),
        expires: held.expires.to_string(),
    }
}

fn timers(run: &RunState) -> Vec<TimerReport> {
    let set = run.nodes().filter_map(|(_, node, state)| match state {
        NodeState::Timer(TimerState::Set { due }) => {
            Some(TimerReport { timer: node.name.clone(), due: due.to_string() })
        }
        NodeState::Timer(TimerState::NotSet | TimerState::Over)
        | NodeState::Gate(_)
        | NodeState::Step(_)
        | NodeState::Choice(_)
        | NodeState::Message(_)
        | NodeState::Commit(_) => None,
    });
    set.collect()
}

fn messages(run: &RunState) -> Vec<String> {
    let waits = ready(run).into_iter().filter_map(|next| match next {
        Next::Hear(message) => Some(message),
        Next::Enter(_)
        | Next::Judge(_)
        | Next::Choose(_)
        | Next::Set(_)
        | Next::Await { .. }
        | Next::Commit(_)
        | Next::Begin(_)
        | Next::Settle(_)
        | Next::Leave(_)
        | Next::Undo(_)
        | Next::End(_)
        | Next::Wait
        | Next::Nothing => None,
    });
    waits.collect()
}

/// The message by which a phase of a programme is set active or confirmed, where that is waited for.
fn acts(run: &RunState) -> Vec<String> {
    let phases = run.process.phases.iter().filter(|phase| phase.begins != Begins::InTurn);
    let ends = phases.flat_map(|phase| phase.nodes.first().into_iter().chain(phase.nodes.last()));
    let ends: Vec<&str> = ends.map(|node| node.name.as_str()).collect();
    messages(run).into_iter().filter(|message| ends.contains(&message.as_str())).collect()
}

/// The phase that a person holds up, as what the run waits for.
fn held_up(run: &RunState) -> Option<StopReport> {
    let phase = run.phase().filter(|_| run.ending().is_none())?;
    let block = run.blocks.get(phase)?;
    let reason = format!("{} holds it up: {}", block.by, block.reason);
    let remedy = format!("`carnet phase unblock PLAN {phase} --reason …`");
    let code = Code::PROGRAMME_BLOCKED.name();
    Some(told(&Stop::precondition(code, phase, reason, remedy)))
}

fn told(stop: &Stop) -> StopReport {
    StopReport {
        class: stop.class.name(),
        code: stop.code.clone(),
        subject: stop.subject.clone(),
        reason: stop.reason.clone(),
        remedy: stop.remedy.clone(),
    }
}

fn phases(run: &RunState) -> Vec<PhaseReport> {
    let phases = run.process.phases.iter().zip(&run.phases);
    phases
        .map(|(phase, state)| PhaseReport {
            name: phase.name.clone(),
            status: match state.status {
                PhaseStatus::NotStarted => "not_started",
                PhaseStatus::Active => "active",
                PhaseStatus::Done => "done",
            },
            millis: state
                .entered
                .zip(state.left)
                .map(|(entered, left)| left.unix_millis() - entered.unix_millis()),
        })
        .collect()
}

fn gates(run: &RunState) -> Vec<GateReport> {
    let named = run.process.nodes().filter_map(|(_, node)| {
        let state = run.gate(&node.name)?;
        let (phase, gate) = node.name.split_once('/')?;
        Some((phase, gate, state))
    });
    let reports = named.map(|(phase, gate, state)| {
        let last = state.last.clone();
        GateReport {
            phase: phase.to_owned(),
            gate: gate.to_owned(),
            open: state.status == carnet_process::GateStatus::Open,
            verdict: last.as_ref().map_or("not_run", |last| last.verdict.as_str()).to_owned(),
            reason: last.as_ref().map(|last| last.reason.clone()).unwrap_or_default(),
            remedy: last.as_ref().map(|last| last.remedy.clone()).unwrap_or_default(),
            exception: last.as_ref().and_then(|last| last.exception.clone()),
            refused: last.as_ref().map_or(0, |last| last.refused),
            damaged: last.as_ref().map_or(0, |last| last.damaged),
        }
    });
    reports.collect()
}

fn switch(run: &RunState) -> Option<SwitchReport> {
    let step = run.step("cutover/switch")?;
    // A prescribed way back leaves the step as it was done, and is a step of its own.
    let back = run.step("resume/cutover_switch").map(|back| back.status);
    let back = back == Some(StepStatus::Applied);
    Some(SwitchReport {
        path: text_of(&step.inputs, "path")?,
        key: text_of(&step.inputs, "key")?,
        value: text_of(&step.inputs, "value")?,
        switched: step.status == StepStatus::Applied && !back,
    })
}

fn seen<T: DeserializeOwned>(run: &RunState, node: &str, get: &Get<'_>) -> Option<T> {
    let step: &StepState = run.step(node)?;
    serde_json::from_slice(&get(digest_of(&step.facts, "details")?)?).ok()
}

fn content(run: &RunState, get: &Get<'_>, report: &mut Report) {
    let before: Option<SourceSeen> = seen(run, "prepare/describe_source", get);
    let exported: Option<ExportSeen> = seen(run, "export/export_snapshot", get);
    let back: Option<BackSeen> = seen(run, "validate/read_back", get);
    let digests = match (&exported, before) {
        (Some(exported), _) => exported.collections.clone(),
        (None, Some(before)) => before.collections.into_iter().map(|it| it.digest).collect(),
        (None, None) => Vec::new(),
    };
    report.records = digests.iter().map(|digest| digest.records).sum();
    for digest in digests {
        let back = back.as_ref().and_then(|back| back.collection(&digest.name));
        report.collections.push(CollectionReport {
            name: digest.name.to_string(),
            records: digest.records,
            dimensions: digest.dimensions,
            root_source: digest.root,
            root_target: back.map(|back| back.root),
            records_target: back.map(|back| back.records),
        });
    }
    if let Some(exported) = exported {
        report.bytes = exported.bytes;
        report.not_travelled = exported.left_behind;
    }
    let artifacts = run.step("import/place_artifacts");
    let artifacts = artifacts.and_then(|step| integer_of(&step.facts, "files"));
    report.artifacts = artifacts.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
}

/// The migration's name in the canonical text of a plan; of a copy, what goes where.
pub(super) fn migration_of(plan: &[u8]) -> Option<String> {
    match Value::parse(plan, usize::MAX) {
        Ok(Value::Object(plan)) => text_of(&plan, "migration").or_else(|| {
            let (source, target) = (text_of(&plan, "source")?, text_of(&plan, "target")?);
            Some(format!("copy {source} to {target}"))
        }),
        Ok(_) | Err(_) => None,
    }
}
