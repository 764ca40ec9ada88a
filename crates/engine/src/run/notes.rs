//! What is reported beside the facts of a run: who had authority, what the gates decided, what left
//! and arrived, whether the way out was gone. Each report is written with the fact that it is on.

use carnet_bundle::SnapshotTime;
use carnet_ledger::{
    self as ledger, Artifact, DependencyGraph, Digest, EventBody, ExitPlan, Interop, Package,
    Refusal, SnapshotBody,
};
use carnet_model::Code;
use carnet_model::gate::Verdict;
use carnet_model::plan::{Part, PhaseName, Plan, Portability, Work};
use carnet_model::portability::BUNDLE_VERSION;
use serde_json::{Value, json};

use super::declared::{self, START_RULE};
use super::recorder::{Note, Recorder};
use crate::error::StepError;
use crate::step::{Context, ExportSeen, digest_of, integer_of, number};
use carnet_process::refusal_class;
use carnet_process::{GateStatus, GateVerdict, Refused, RunState, Stop, cut};

/// What a snapshot is among artifacts, in the words of the portability contract.
const DATA_SNAPSHOT: &str = "data_snapshot";

/// The interfaces that a plan with declared dependencies keeps to: those of bundles.
const BUNDLE_PROFILE: &str = "carnet-bundle";

/// The step whose facts name the snapshot.
const EXPORT: &str = "export/export_snapshot";

/// The decision that a run may start, go on or be taken back.
pub(super) fn authority(about: &str, action: &'static str) -> Note {
    Note::done(EventBody::AuthorityCheck, action)
        .about(about)
        .with("approvers", number(0))
        .with("rule", START_RULE.into())
        .with("result", "allow".into())
}

/// Whoever opens a log for writing computes its whole chain again, and goes on only if it holds.
pub(super) fn verified(recorder: &Recorder) -> Option<Note> {
    let (events, last_hash) = recorder.end();
    let last = events.checked_sub(1)?;
    let note = Note::done(EventBody::AuditChainVerify, "open")
        .with("from_sequence", number(0))
        .with("to_sequence", number(last))
        .with("last_event_hash", last_hash.map_or(ledger::Value::Null, Into::into));
    Some(note)
}

/// What is declared when a run starts: who may run it, the way out, and what it depends on.
pub(super) fn start(recorder: &Recorder, plan: &Plan) -> Result<Vec<Note>, StepError> {
    let migration = plan.document().migration.to_string();
    let path = recorder.put_json(&declared::exit_path(plan))?;
    let graph = recorder.put_json(&declared::dependencies(plan))?;
    let exit = ExitPlan { exit_plan_id: declared::exit_plan_id(plan) };
    let stated = plan.document().dependencies.as_ref();
    let service_id = stated.map_or_else(|| migration.clone(), |it| it.service_id.clone());
    let depends = DependencyGraph { service_id, graph };
    let mut notes = vec![
        authority(&migration, "start"),
        Note::done(EventBody::ExitPathDeclare(exit), "declare").about(&migration).pointing(path),
        Note::done(EventBody::DependencyGraphPublish(depends.clone()), "publish")
            .about(&migration)
            .pointing(graph),
    ];
    for dependency in stated.map(|it| it.dependencies.as_slice()).unwrap_or_default() {
        let Some(accepted) = &dependency.accepted else { continue };
        let body = EventBody::DependencyExceptionAccept(depends.clone());
        notes.push(
            Note::done(body, "accept")
                .about(&dependency.id)
                .pointing(graph)
                .with("accepted_by", cut(&accepted.accepted_by).into())
                .with("compensation", cut(&accepted.compensation).into()),
        );
    }
    if stated.is_some() {
        let profile =
            Interop { profile_id: BUNDLE_PROFILE.to_owned(), version: BUNDLE_VERSION.to_owned() };
        let body = EventBody::InteropProfileDeclare(profile);
        notes.push(Note::done(body, "declare").about(&migration).pointing(graph));
    }
    Ok(notes)
}

/// A command that came to nothing before anything was done: what it had to look at could not be
/// asked, or did not let it go on.
pub(super) fn failed(error: &StepError, asked: &'static str, plan: &Plan) -> Note {
    let refusal = refusal_of(error.code, &error.what, plan);
    let subject = refusal.subject.clone();
    Note::refused(EventBody::MigrationRefusal, asked, refusal).about(subject)
}

fn refusal_of(code: Code, reason: &str, plan: &Plan) -> Refusal {
    Refusal {
        class: refusal_class(code),
        code: code.name().to_owned(),
        subject: plan.document().migration.to_string(),
        reason: Some(cut(reason)),
    }
}

/// A command that was refused before anything was done. A plan that is not the one of the run, or
/// not one that the log was made for, was given no authority; the rest is a matter of what must
/// come first.
pub(super) fn refused(refused: &Refused, code: Code, asked: &'static str, plan: &Plan) -> Note {
    let refusal = refusal_of(code, &refused.to_string(), plan);
    let subject = refusal.subject.clone();
    let note = |body| Note::refused(body, asked, refusal).about(subject);
    match refused {
        Refused::PlanChanged { started, now }
        | Refused::AmendsBegun { started, now }
        | Refused::DoneUnderAnother { done: started, now } => note(EventBody::AuthorityRefusal)
            .with("plan_started", (*started).into())
            .with("plan_now", (*now).into()),
        Refused::OtherLog { .. } | Refused::NotApproved { .. } | Refused::Unapproved { .. } => {
            note(EventBody::AuthorityRefusal)
        }
        Refused::Unready { missing, .. } => {
            let missing: Vec<ledger::Value> =
                missing.iter().map(|it| cut(&it.what).into()).collect();
            note(EventBody::MigrationRefusal).with("missing", missing.into())
        }
        Refused::Done
        | Refused::NotDue { .. }
        | Refused::Drifted { .. }
        | Refused::NotNow { .. }
        | Refused::NoRun
        | Refused::NothingToRollBack
        | Refused::Unsettled
        | Refused::Illegal(_) => note(EventBody::MigrationRefusal),
    }
}

/// The gates of a phase as they were decided on: the rules, what they said, and what they saw.
pub(super) struct Table {
    phase: String,
    gates: Vec<(String, Option<Digest>, GateVerdict)>,
}

impl Table {
    /// The gates of a phase that were judged. `rule` gives the digest of a gate's definition.
    pub(super) fn of(run: &RunState, phase: &str, rule: impl Fn(&str) -> Option<Digest>) -> Self {
        let prefix = format!("{phase}/");
        let nodes = run.process.nodes().map(|(_, node)| node.name.as_str());
        let judged = nodes.filter(|name| name.starts_with(&prefix)).filter_map(|name| {
            let verdict = run.gate(name)?.last.clone()?;
            Some((name.to_owned(), rule(name), verdict))
        });
        Self { phase: phase.to_owned(), gates: judged.collect() }
    }

    /// With a verdict that is not recorded yet.
    pub(super) fn with(mut self, gate: &str, rule: Option<Digest>, verdict: &GateVerdict) -> Self {
        self.gates.retain(|(name, _, _)| name != gate);
        self.gates.push((gate.to_owned(), rule, verdict.clone()));
        self
    }

    fn object(&self, result: &str) -> Value {
        let gates = self.gates.iter().map(|(name, rule, verdict)| {
            json!({
                "gate": name,
                "rule": rule,
                "verdict": verdict.verdict,
                "opens": verdict.opens,
                "reason": cut(&verdict.reason),
                "observation": verdict.observation,
                "exception": verdict.exception,
                "damaged_copies": verdict.damaged,
                "damaged_copies_refused": verdict.refused,
            })
        });
        json!({
            "subject": self.phase,
            "rule": PHASE_RULE,
            "gates": gates.collect::<Vec<_>>(),
            "result": result,
        })
    }

    /// The decision that the phase may be left; `None` if it has no gates to decide by.
    pub(super) fn allowed(&self, recorder: &Recorder) -> Result<Option<Note>, StepError> {
        if self.gates.is_empty() {
            return Ok(None);
        }
        let note = Note::done(EventBody::PolicyEvaluate, "leave_phase");
        self.decided(note, "allow", recorder).map(Some)
    }

    /// The decision that the run may not go on.
    pub(super) fn denied(&self, stop: &Stop, recorder: &Recorder) -> Result<Note, StepError> {
        let note = Note::refused(EventBody::PolicyRefusal, "leave_phase", stop.refusal());
        self.decided(note, "deny", recorder)
    }

    fn decided(&self, note: Note, result: &str, recorder: &Recorder) -> Result<Note, StepError> {
        let refused = self.gates.iter().map(|(_, _, verdict)| verdict.refused).sum();
        Ok(note
            .about(&self.phase)
            .pointing(recorder.put_json(&self.object(result))?)
            .with("rule", PHASE_RULE.into())
            .with("gates", number(self.gates.len() as u64))
            .with("damaged_copies_refused", number(refused))
            .with("result", result.into()))
    }
}

const PHASE_RULE: &str = "every gate of the phase is open";

/// The digest of a gate's definition in the plan.
fn rule_of(plan: &Plan, node: &str) -> Option<Digest> {
    let gate = plan.node(node).and_then(|(_, node)| node.gate());
    gate.map(|gate| gate.definition.digest())
}

/// What is said when a gate was judged, beside its verdict: nothing if it is open.
pub(super) fn judged(
    cx: &Context<'_>,
    run: &RunState,
    phase: &str,
    gate: &str,
    verdict: &GateVerdict,
    stop: &Stop,
) -> Result<Vec<Note>, StepError> {
    if verdict.opens {
        return Ok(Vec::new());
    }
    let rule = |node: &str| rule_of(cx.plan, node);
    let table = Table::of(run, phase, rule).with(gate, rule(gate), verdict);
    let mut notes = vec![table.denied(stop, cx.recorder)?];
    if phase == PhaseName::Validate.name() {
        let exit = ExitPlan { exit_plan_id: declared::exit_plan_id(cx.plan) };
        let body = EventBody::ExitValidationRun(exit);
        notes.push(Note::refused(body, "validate", stop.refusal()).about(gate));
    }
    Ok(notes)
}

/// What is said when a phase is left. A dry run has decided nothing: it did not look at everything.
pub(super) fn left(cx: &Context<'_>, run: &RunState, phase: &str) -> Result<Vec<Note>, StepError> {
    if run.dry_run {
        return Ok(Vec::new());
    }
    let table = Table::of(run, phase, |node| rule_of(cx.plan, node));
    let mut notes: Vec<Note> = table.allowed(cx.recorder)?.into_iter().collect();
    match &cx.document().work {
        Work::Knowledge(_) if phase == PhaseName::Verify.name() => notes.push(ready(cx, run)?),
        Work::Knowledge(_) if phase == PhaseName::Validate.name() => {
            notes.extend(validated(cx, run)?);
        }
        Work::Crossing(crossing) => notes.extend(crossed(cx, &crossing.portability, phase)),
        Work::Knowledge(_) | Work::Phases(_) => {}
    }
    Ok(notes)
}

/// What the end of a phase means where something crosses in a bundle.
fn crossed(cx: &Context<'_>, portability: &Portability, phase: &str) -> Option<Note> {
    let done = |body, action| Note::done(body, action).about(phase);
    let last = cx.plan.phases().last().filter(|last| last.part == Part::Rollback);
    if last.is_some_and(|last| last.name == phase) {
        return Some(done(EventBody::MigrationRollback, "rolled_back"));
    }
    match phase {
        "validate" => {
            let exit = ExitPlan { exit_plan_id: declared::exit_plan_id(cx.plan) };
            Some(done(EventBody::ExitValidationRun(exit), "leave_phase"))
        }
        // Where there is a switch, its own step says when it was set.
        "cutover" if portability.cutover.is_none() => {
            Some(done(EventBody::MigrationCutover, "leave_phase"))
        }
        _ => None,
    }
}

/// The snapshot is in place, and every file of it was checked.
fn ready(cx: &Context<'_>, run: &RunState) -> Result<Note, StepError> {
    let manifest = snapshot(cx)?;
    let pointer = manifest.digest;
    let body = SnapshotBody { snapshot_id: snapshot_id(run)?, manifest };
    let id = body.snapshot_id.clone();
    Ok(Note::done(EventBody::KnowledgeSnapshotReady(body), "leave_phase")
        .about(id)
        .pointing(pointer))
}

/// The target was read back and compared: the migration holds, and the way out was gone to its end.
fn validated(cx: &Context<'_>, run: &RunState) -> Result<[Note; 2], StepError> {
    let package = Package {
        manifest: snapshot(cx)?,
        integrity_verified: has_passed(run, "validate/content_root"),
        workload_id: None,
    };
    let exit = ExitPlan { exit_plan_id: declared::exit_plan_id(cx.plan) };
    let phase = PhaseName::Validate.name();
    let notes = [EventBody::MigrationValidate(package), EventBody::ExitValidationRun(exit)]
        .map(|body| Note::done(body, "leave_phase").about(phase));
    let back = run.step("validate/read_back").and_then(|step| digest_of(&step.facts, "details"));
    let excepted = excepted(run, phase);
    Ok(notes.map(|note| {
        let note = if excepted.is_empty() {
            note
        } else {
            note.with("exceptions", excepted.clone().into())
        };
        match back {
            Some(back) => note.pointing(back),
            None => note,
        }
    }))
}

/// The gates of a phase that did not pass and that an exception has opened.
fn excepted(run: &RunState, phase: &str) -> Vec<ledger::Value> {
    let nodes = run.process.nodes().map(|(_, node)| node.name.as_str());
    let of_phase = nodes.filter(|name| name.split_once('/').is_some_and(|(of, _)| of == phase));
    let by_exception = |name: &&str| {
        let last = run.gate(name).and_then(|gate| gate.last.as_ref());
        is_open(run, name) && last.is_some_and(|last| last.exception.is_some())
    };
    of_phase.filter(by_exception).map(Into::into).collect()
}

/// Whether a gate has passed in this run. One that an exception has opened has not.
pub(crate) fn has_passed(run: &RunState, gate: &str) -> bool {
    let last = run.gate(gate).and_then(|gate| gate.last.as_ref());
    is_open(run, gate) && last.is_some_and(|last| last.verdict == Verdict::Pass.name())
}

/// Whether a gate is open in this run.
pub(crate) fn is_open(run: &RunState, gate: &str) -> bool {
    run.gate(gate).is_some_and(|gate| gate.status == GateStatus::Open)
}

/// The snapshot of this run as an artifact: its manifest, which is an object of the evidence.
pub(crate) fn snapshot(cx: &Context<'_>) -> Result<Artifact, StepError> {
    let exported: ExportSeen = cx.seen(EXPORT)?;
    Ok(snapshot_of(exported.manifest))
}

/// A snapshot with this manifest as an artifact.
pub(crate) fn snapshot_of(manifest: Digest) -> Artifact {
    Artifact { artifact_type: DATA_SNAPSHOT, digest: manifest }
}

/// The id of the run's snapshot: the moment that the intent to export has fixed.
fn snapshot_id(run: &RunState) -> Result<String, StepError> {
    let created = run.step(EXPORT).and_then(|step| integer_of(&step.inputs, "created"));
    let missing = || StepError::new(Code::BUG, "nothing is recorded of the snapshot");
    Ok(SnapshotTime::from_unix_seconds(created.ok_or_else(missing)?)?.id())
}
