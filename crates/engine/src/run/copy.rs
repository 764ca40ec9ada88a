//! Moving without a plan file: `copy`, and the import of a snapshot. The same core, the same
//! journal, one phase: load, read back, compare.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use carnet_bundle::{
    CollectionDigest, DeclaredView, Expected, ImportMode, ImportPlan, ImportRequest, Imported,
    VerifiedImport, Work, digest_collection, plan_import, run_import, verify_target,
};
use carnet_connect::{LoadMode, Progress, StoreSnapshot, VectorRepository};
use carnet_ledger::{Artifact, Digest, EventBody, Object, Package, Value};
use carnet_model::gate::{self, Definition, Facts, Observation, Rule, content_root};
use carnet_model::{CollectionContract, CollectionName, IndexSpec, plan};
use serde_json::json;

use super::declared::{authority, rule};
use super::judge::{closed, reason};
use super::recorder::{Envelope, Note, Recorder, put_json};
use super::report::{self, CollectionReport, Report};
use super::{Engine, has_failed, notes, unfinished, waits_on_the_way_back};
use crate::error::{EngineError, StepError};
use crate::step::import::{Parts, intent, take_back};
use crate::step::{digest_of, making, number, remove_made};
use carnet_journal::LogProfile;
use carnet_process::{
    Begins, Closed, Command, GateVerdict, Next, Node, NodeKind, OnFailure, Part, Phase, Process,
    Repeat, RunState, Start, StepResult, StepStatus, Undo, next,
};

const PHASE: &str = "copy";
const LOAD: &str = "copy/load_records";
const BACK: &str = "copy/read_back";
const GATE: &str = "copy/content_root";

/// What is copied, and where to.
pub struct CopyJob<'a> {
    /// The store that is read: also an opened snapshot.
    pub source: &'a dyn VectorRepository,
    /// The store that is written.
    pub target: &'a dyn VectorRepository,
    /// The target's folder, where it is one: a copy that is taken back removes it if it was made.
    pub target_folder: Option<&'a Path>,
    /// Contracts that the owner states for the source.
    pub contracts: &'a [CollectionContract],
    /// The collections; `None` for all.
    pub collections: Option<&'a [CollectionName]>,
    /// What happens to records that the target has already.
    pub mode: ImportMode,
    /// The index to declare in the target, by collection.
    pub indexes: &'a BTreeMap<CollectionName, IndexSpec>,
    /// The names of losses that the owner accepts.
    pub accept_losses: &'a [String],
    /// Threads that work at once.
    pub workers: usize,
    /// Where long work reports.
    pub progress: &'a dyn Progress,
}

/// What a copy has done and proven.
#[derive(Debug, Clone)]
pub struct CopyReport {
    /// The run.
    pub report: Report,
    /// What was done to how many records, where it came to that.
    pub planned: Option<ImportPlan>,
    /// What was read back and compared, where it came to that.
    pub verified: Option<VerifiedImport>,
}

impl CopyJob<'_> {
    /// What makes two copies the same one.
    fn description(&self) -> Value {
        let texts = |texts: Vec<String>| Value::List(texts.into_iter().map(Into::into).collect());
        let mode = match self.mode {
            ImportMode::Append => "append",
            ImportMode::Replace => "replace",
            ImportMode::Upsert => "upsert",
        };
        let names = self
            .collections
            .map_or(Value::Null, |names| texts(names.iter().map(ToString::to_string).collect()));
        let contracts = self.contracts.iter().map(|it| format!("{} {}", it.name, it.digest()));
        let indexes = self.indexes.iter().map(|(name, index)| format!("{name} {index:?}"));
        let members = [
            ("accept_losses", texts(self.accept_losses.to_vec())),
            ("collections", names),
            ("contracts", texts(contracts.collect())),
            ("copy", "v1".into()),
            ("indexes", texts(indexes.collect())),
            ("mode", mode.into()),
            ("source", self.source.label().into()),
            ("target", self.target.label().into()),
        ];
        Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn work(&self) -> Work<'_> {
        Work { workers: self.workers, progress: self.progress }
    }

    fn rule(&self) -> Definition {
        let mode = match self.mode {
            ImportMode::Append => plan::ImportMode::Append,
            ImportMode::Replace => plan::ImportMode::Replace,
            ImportMode::Upsert => plan::ImportMode::Upsert,
        };
        Definition::new(Rule::ContentRoot(content_root::Rule { mode }))
    }
}

fn process() -> Process {
    let step = |undo| NodeKind::Step { repeat: Repeat::Again, undo };
    let nodes = [
        (LOAD, step(Undo::BeforeCommit)),
        (BACK, step(Undo::Nothing)),
        (GATE, NodeKind::Gate { closed: Closed::Refuse }),
    ];
    let nodes = nodes.into_iter().enumerate();
    let phase = Phase {
        name: PHASE.into(),
        part: Part::Forward,
        on_failure: OnFailure::Undo,
        begins: Begins::InTurn,
        nodes: nodes.map(|(index, (name, kind))| Node::in_sequence(index, name, kind)).collect(),
    };
    Process { name: "copy/v1".into(), phases: vec![phase] }
}

/// What was copied, as a package. A copy has no snapshot: its manifest is the object that lists what
/// each collection of the target must be, with its contract, count and root.
fn package(expected: Digest, integrity_verified: bool) -> Package {
    let manifest = Artifact { artifact_type: "collection_roots", digest: expected };
    Package { manifest, integrity_verified, workload_id: None }
}

/// The object that lists what each collection of the target must be.
fn expected_of(run: &RunState) -> Option<Digest> {
    digest_of(&run.step(LOAD)?.facts, "expected")
}

impl Engine {
    /// Copies a store into another without a plan file, reads the target back and compares; or
    /// goes on with the same copy that was cut off. A copy that is done is made anew, and so is one
    /// that failed and waited on its way back. What fails before the comparison has passed is taken
    /// back.
    pub fn copy(&self, job: &CopyJob<'_>) -> Result<CopyReport, EngineError> {
        let (journal, state) = self.open(LogProfile::default(), None)?;
        let description = journal.put_value(&job.description())?;
        let envelope = Envelope {
            actor: self.actor.clone(),
            tenant: self.actor.clone(),
            plan_object: description,
            authority: put_json(&journal, &authority(None))?,
            policy: put_json(&journal, &json!({ "rules": [rule(PHASE, &job.rule())] }))?,
            jurisdiction: None,
            classification: None,
        };
        let (resumed, waited) = (unfinished(&state), waits_on_the_way_back(&state));
        let recorder = Recorder::new(journal, state, envelope);
        let copying = self.go_on_with(job, &recorder, description, resumed)?;
        if waited && has_failed(&recorder) {
            return self.go_on_with(job, &recorder, description, false)?.report();
        }
        copying.report()
    }

    /// Begins a copy, or takes up the one that is on its way, and goes to its end.
    fn go_on_with<'c>(
        &'c self,
        job: &'c CopyJob<'c>,
        recorder: &'c Recorder,
        description: Digest,
        resumed: bool,
    ) -> Result<Copying<'c>, EngineError> {
        let command = Command::Run(Start {
            run: self.ids.next_id().to_string(),
            plan: description,
            document: description,
            amends: None,
            dry_run: false,
            initiator: None,
            trust: None,
            process: Arc::new(process()),
            again: true,
        });
        let action = if resumed { "resume" } else { "start" };
        let mut notes: Vec<Note> = notes::verified(recorder).into_iter().collect();
        notes.push(notes::authority(job.target.label(), action));
        recorder.command(command, notes, self.clock.as_ref())?;
        let (verified, sources) = (None, BTreeMap::new());
        let mut copying = Copying { engine: self, job, recorder, verified, sources };
        while copying.go_on()? {}
        Ok(copying)
    }
}

/// A copy in progress.
struct Copying<'c> {
    engine: &'c Engine,
    job: &'c CopyJob<'c>,
    recorder: &'c Recorder,
    /// What this process has read back; a resumed copy reads again.
    verified: Option<VerifiedImport>,
    /// The source's content where it was laid over other records; else what was expected is it.
    sources: BTreeMap<CollectionName, CollectionDigest>,
}

impl Copying<'_> {
    fn tell(&self, command: Command, notes: Vec<Note>) -> Result<(), EngineError> {
        self.recorder.command(command, notes, self.engine.clock.as_ref())
    }

    /// Does what follows; `false` when nothing does.
    fn go_on(&mut self) -> Result<bool, EngineError> {
        let Some(run) = self.recorder.run() else { return Ok(false) };
        match next(&run) {
            Next::Enter(phase) => self.tell(Command::Enter(phase), Vec::new())?,
            Next::Leave(phase) => {
                let notes = self.left(&run)?;
                self.tell(Command::Leave(phase), notes)?;
            }
            Next::End(ending) => self.tell(Command::End(ending), Vec::new())?,
            Next::Begin(step) => self.begin(step)?,
            Next::Settle(step) => self.settle(&run, step)?,
            Next::Judge(gate) => self.judge(&run, gate)?,
            Next::Undo(step) => self.undo(&run, step)?,
            // A copy is loads and gates alone.
            Next::Choose(_)
            | Next::Set(_)
            | Next::Await { .. }
            | Next::Hear(_)
            | Next::Commit(_)
            | Next::Wait
            | Next::Nothing => return Ok(false),
        }
        Ok(true)
    }

    fn parts(&self) -> Parts<'_> {
        Parts { recorder: self.recorder, node: LOAD, faults: &self.engine.faults }
    }

    /// The source, with the owner's statements laid over it.
    fn with_source<T>(
        &self,
        read: impl FnOnce(&dyn StoreSnapshot) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let view = self.job.source.snapshot()?;
        read(&DeclaredView::new(view.as_ref(), self.job.contracts))
    }

    fn begin(&self, step: String) -> Result<(), EngineError> {
        let inputs = if step == LOAD { self.plan_load() } else { Ok(Object::new()) };
        match inputs {
            Ok(inputs) => self.tell(Command::Begin { step, inputs }, Vec::new()),
            Err(error) => {
                let (ending, why) = error.stop(LOAD);
                self.tell(Command::Stop { ending, stop: why }, Vec::new())
            }
        }
    }

    fn plan_load(&self) -> Result<Object, StepError> {
        let job = self.job;
        let run = self.recorder.run().map(|run| run.id).unwrap_or_default();
        let token: String = run.chars().filter(|c| *c != '-').take(32).collect();
        let request = ImportRequest {
            mode: job.mode,
            token: &token,
            collections: job.collections,
            known: &[],
            source: job.source.capabilities(),
            indexes: job.indexes,
            accept_losses: job.accept_losses,
        };
        let there = job.target.snapshot()?.collections()?;
        let planned =
            self.with_source(|source| Ok(plan_import(source, job.target, &request, &job.work())?))?;
        let inputs = intent(self.recorder, &planned, &there, &[] as &[CollectionDigest])?;
        Ok(match job.target_folder {
            Some(folder) => making(inputs, folder),
            None => inputs,
        })
    }

    fn planned(&self, inputs: &Object) -> Result<ImportPlan, StepError> {
        let digest = digest_of(inputs, "plan")
            .ok_or_else(|| StepError::new(carnet_model::Code::BUG, "the copy was not planned"))?;
        self.recorder.get_json(digest)
    }

    fn settle(&mut self, run: &RunState, step: String) -> Result<(), EngineError> {
        let acted = if step == LOAD {
            let inputs = run.step(LOAD).map(|held| held.inputs.clone()).unwrap_or_default();
            self.load(&inputs)
        } else {
            self.read_back(run)
        };
        match acted {
            Ok((facts, notes)) => {
                let result = StepResult::Applied;
                self.tell(Command::Settle { step, result, facts, why: None }, notes)
            }
            Err(error) => {
                let (result, why) = (StepResult::NotApplied, Some(error.stop(&step)));
                let facts = Object::new();
                self.tell(Command::Settle { step, result, facts, why }, Vec::new())
            }
        }
    }

    fn load(&self, inputs: &Object) -> Result<(Object, Vec<Note>), StepError> {
        let (job, planned) = (self.job, self.planned(inputs)?);
        let imported: Imported = self.with_source(|source| {
            Ok(run_import(&planned, source, job.target, &self.parts(), &job.work())?)
        })?;
        let records = imported.expected.iter().map(|it| it.records).sum();
        let expected = self.recorder.put_json(&imported.expected)?;
        let counts = [
            ("records", number(records)),
            ("ranges_written", number(imported.ranges_written)),
            ("ranges_kept", number(imported.ranges_kept)),
            ("expected", expected.into()),
        ];
        let facts = counts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        // What was written is read back in the next step.
        let note = Note::done(EventBody::MigrationImport(package(expected, false)), "import")
            .about(job.target.label())
            .pointing(expected)
            .with("records", number(records));
        Ok((facts, vec![note]))
    }

    /// The target was read back, and its content is what it must be.
    fn left(&self, run: &RunState) -> Result<Vec<Note>, StepError> {
        let mut notes: Vec<Note> = self.table(run).allowed(self.recorder)?.into_iter().collect();
        if let Some(expected) = expected_of(run) {
            let body =
                EventBody::MigrationValidate(package(expected, notes::has_passed(run, GATE)));
            notes.push(Note::done(body, "leave_phase").about(GATE).pointing(expected));
        }
        Ok(notes)
    }

    fn table(&self, run: &RunState) -> notes::Table {
        let rule = self.job.rule().digest();
        notes::Table::of(run, PHASE, |_| Some(rule))
    }

    fn read_back(&mut self, run: &RunState) -> Result<(Object, Vec<Note>), StepError> {
        let digest = expected_of(run).ok_or_else(|| {
            StepError::new(carnet_model::Code::BUG, "nothing is recorded of the load")
        })?;
        let expected: Vec<Expected> = self.recorder.get_json(digest)?;
        let verified = verify_target(self.job.target, &expected, &self.job.work())?;
        let details = self.recorder.put_json(&verified)?;
        let inputs = run.step(LOAD).map(|step| step.inputs.clone()).unwrap_or_default();
        for merged in self.planned(&inputs)?.collections {
            if merged.load == LoadMode::Upsert {
                let name = merged.contract.name;
                let found = self.with_source(|source| {
                    Ok(digest_collection(source, &name, &self.job.work())?)
                })?;
                self.sources.insert(name, found);
            }
        }
        self.verified = Some(verified);
        Ok((Object::from([("details".to_owned(), details.into())]), Vec::new()))
    }

    fn judge(&self, run: &RunState, gate: String) -> Result<(), EngineError> {
        let definition = self.job.rule();
        let now_us = self.engine.clock.now().unix_millis().saturating_mul(1_000);
        let inputs = run.step(LOAD).map(|step| &step.inputs);
        let planned = self.planned(inputs.unwrap_or(&Object::new()))?;
        let collections = self.verified.iter().flat_map(|verified| &verified.collections);
        let collections = collections.map(|one| {
            let name = &one.expected.contract.name;
            let plan = planned.collections.iter().find(|it| it.contract.name == *name);
            let merged = self.sources.get(name);
            // A load that replaces was digested while the source was read for it.
            let source = merged.map_or(one.expected.root, |source| source.root);
            let before = plan
                .and_then(|plan| Some(plan.expected_records?.saturating_sub(plan.counts.added)));
            content_root::Roots {
                collection: name.to_string(),
                records: merged.map_or(one.expected.records, |source| source.records),
                before: before.filter(|_| merged.is_some()).unwrap_or(0),
                source: Some(source),
                snapshot: Some(source),
                expected: plan.and_then(|plan| plan.expected_root).or(Some(one.expected.root)),
                target: one.found.as_ref().map(|found| found.root),
            }
        });
        let facts = content_root::Facts { collections: collections.collect() };
        let observation = Observation::new(now_us, Facts::ContentRoot(facts));
        let evaluation = gate::evaluate(&definition, &observation, now_us, &[]);
        let verdict = GateVerdict {
            exception: None,
            verdict: evaluation.judgement.verdict.name().to_owned(),
            opens: evaluation.opens(),
            reason: reason(&evaluation),
            refused: evaluation.refused,
            damaged: evaluation.damaged,
            remedy: evaluation.judgement.remedy.clone().unwrap_or_default(),
            observation: Some(self.recorder.put_json(&observation)?),
        };
        let stop = closed(&gate, &evaluation);
        let mut notes = Vec::new();
        if !verdict.opens {
            let table = self.table(run).with(&gate, Some(definition.digest()), &verdict);
            notes.push(table.denied(&stop, self.recorder)?);
        }
        self.tell(Command::Judge { gate, verdict, stop }, notes)
    }

    fn undo(&self, run: &RunState, step: String) -> Result<(), EngineError> {
        let Some(held) = run.step(&step) else { return Ok(()) };
        if held.status != StepStatus::Undoing {
            self.tell(Command::BeginUndo(step.clone()), Vec::new())?;
        }
        let undone = self
            .planned(&held.inputs)
            .and_then(|planned| take_back(self.job.target, &planned, &held.inputs, &self.parts()));
        if undone.is_ok() {
            remove_made(&held.inputs);
        }
        let result = undone.map_err(|error| error.stop(&step).1);
        self.tell(Command::SettleUndo { step, result }, Vec::new())
    }

    fn report(self) -> Result<CopyReport, EngineError> {
        let none = || EngineError::NoRun(self.engine.log.shown());
        let run = self.recorder.run().ok_or_else(none)?;
        let mut report = report::of(&run, &|digest| self.recorder.object(digest).ok());
        "copy".clone_into(&mut report.migration);
        report.evidence = Some(self.engine.log.shown());
        (report.events, report.last_hash) = self.recorder.end();
        let inputs = run.step(LOAD).map(|step| step.inputs.clone()).unwrap_or_default();
        let planned = self.planned(&inputs).ok();
        for one in self.verified.iter().flat_map(|verified| &verified.collections) {
            let merged = self.sources.get(&one.expected.contract.name);
            let records = merged.map_or(one.expected.records, |source| source.records);
            report.records += records;
            report.collections.push(CollectionReport {
                name: one.expected.contract.name.to_string(),
                records,
                dimensions: one.expected.contract.dimensions,
                root_source: merged.map_or(one.expected.root, |source| source.root),
                root_target: one.found.as_ref().map(|found| found.root),
                records_target: one.found.as_ref().map(|found| found.records),
            });
        }
        Ok(CopyReport { report, planned, verified: self.verified })
    }
}
