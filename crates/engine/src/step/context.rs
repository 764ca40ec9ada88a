//! What steps and gates work with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use carnet_bundle::{DeclaredView, SnapshotTime, Work};
use carnet_connect::{Outside, StoreError, StoreSnapshot, VectorRepository};
use carnet_ledger::audit::PolicyReplayer;
use carnet_ledger::{Digest, Object, SigningKey, Value};
use carnet_model::plan::{ColumnName, Document, Knowledge, Plan};
use carnet_model::{Code, CollectionContract, CollectionName, StoreUrl, TableLayout};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StepError;
use crate::fault::Faults;
use crate::run::recorder::Recorder;
use carnet_journal::Clock;
use carnet_journal::LogPlace;

use super::files;
use super::read_back::Leaves;

/// Which side of a migration a store is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is only read.
    Source,
    /// It is written.
    Target,
}

/// A store that the run needs.
#[derive(Debug, Clone)]
pub struct StoreRequest {
    /// Where it is.
    pub url: StoreUrl,
    /// Which side it is on.
    pub role: Role,
    /// How its tables are laid out, where it has tables.
    pub layout: TableLayout,
    /// The columns that are left behind, where it has columns.
    pub drop: Vec<ColumnName>,
}

/// Opens stores. The engine names no connector.
pub trait StoreOpener: Send + Sync {
    /// Opens a store. Nothing is changed by it.
    fn open(&self, request: &StoreRequest) -> Result<Box<dyn VectorRepository>, StoreError>;
}

type Opened = OnceLock<Box<dyn VectorRepository>>;

/// What steps and gates work with.
pub(crate) struct Context<'a> {
    pub(crate) plan: &'a Plan,
    /// The folder of the plan: relative paths start there.
    pub(crate) folder: &'a Path,
    /// The state directory.
    pub(crate) state: &'a Path,
    pub(crate) recorder: &'a Recorder,
    pub(crate) stores: &'a dyn StoreOpener,
    /// What steps act through and gates look through, beside stores.
    pub(crate) outside: &'a dyn Outside,
    pub(crate) work: Work<'a>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) faults: &'a Faults,
    /// The moment that names a new snapshot, where the caller fixes it.
    pub(crate) snapshot_time: Option<SnapshotTime>,
    /// Whether only to show what would happen.
    pub(crate) dry_run: bool,
    /// For how long a timer is waited for, in milliseconds.
    pub(crate) patience_ms: i64,
    /// Where the log of the run is.
    pub(crate) log: &'a LogPlace,
    /// The key that signs checkpoints.
    pub(crate) signer: Option<&'a SigningKey>,
    /// What evaluates again what policies decided.
    pub(crate) replayer: Option<&'a dyn PolicyReplayer>,
    source: Opened,
    target: Opened,
    /// The leaves that the last read-back found: only good for the process that read them.
    pub(crate) leaves: Mutex<BTreeMap<CollectionName, Leaves>>,
}

/// What a caller gives for one run.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) folder: &'a Path,
    pub(crate) state: &'a Path,
    pub(crate) recorder: &'a Recorder,
    pub(crate) stores: &'a dyn StoreOpener,
    pub(crate) outside: &'a dyn Outside,
    pub(crate) work: Work<'a>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) faults: &'a Faults,
    pub(crate) snapshot_time: Option<SnapshotTime>,
    pub(crate) dry_run: bool,
    pub(crate) patience_ms: i64,
    pub(crate) log: &'a LogPlace,
    pub(crate) signer: Option<&'a SigningKey>,
    pub(crate) replayer: Option<&'a dyn PolicyReplayer>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(parts: Parts<'a>) -> Self {
        let Parts { plan, folder, state, recorder, stores, .. } = parts;
        let Parts { outside, work, clock, faults, .. } = parts;
        let Parts { snapshot_time, dry_run, patience_ms, log, signer, replayer, .. } = parts;
        let (source, target, leaves) = Default::default();
        Self {
            plan,
            folder,
            state,
            recorder,
            stores,
            outside,
            work,
            clock,
            faults,
            snapshot_time,
            dry_run,
            patience_ms,
            log,
            signer,
            replayer,
            source,
            target,
            leaves,
        }
    }

    pub(crate) fn document(&self) -> &Document {
        self.plan.document()
    }

    /// The knowledge base that moves. Only the steps and gates of `knowledge/v1` ask for it.
    pub(crate) fn knowledge(&self) -> Result<&'a Knowledge, StepError> {
        let missing = || StepError::new(Code::BUG, "the plan moves no knowledge base");
        self.plan.knowledge().ok_or_else(missing)
    }

    /// The source's store.
    pub(crate) fn source(&self) -> Result<&dyn VectorRepository, StepError> {
        let knowledge = &self.knowledge()?.source.knowledge;
        self.opened(&self.source, || StoreRequest {
            url: knowledge.store.within(self.folder),
            role: Role::Source,
            layout: knowledge.table_layout(),
            drop: knowledge.drop.iter().cloned().collect(),
        })
    }

    /// The target's store.
    pub(crate) fn target(&self) -> Result<&dyn VectorRepository, StepError> {
        let knowledge = &self.knowledge()?.target.knowledge;
        self.opened(&self.target, || StoreRequest {
            url: knowledge.store.within(self.folder),
            role: Role::Target,
            layout: TableLayout::Carnet,
            drop: Vec::new(),
        })
    }

    fn opened<'s>(
        &self,
        held: &'s Opened,
        request: impl FnOnce() -> StoreRequest,
    ) -> Result<&'s dyn VectorRepository, StepError> {
        if held.get().is_none() {
            // A second opener would be dropped: steps run one at a time.
            let _ = held.set(self.stores.open(&request())?);
        }
        let missing = || StepError::new(Code::BUG, "a store that was opened is gone");
        held.get().map(Box::as_ref).ok_or_else(missing)
    }

    /// The collections that move, and the contract of each: what the store declares, completed by
    /// what the plan states.
    pub(crate) fn contracts(
        &self,
        view: &dyn StoreSnapshot,
    ) -> Result<Vec<CollectionContract>, StepError> {
        let stated = self.knowledge()?.source.knowledge.collections.as_ref();
        let names = match stated {
            Some(stated) => stated.keys().cloned().collect(),
            None => view.collections()?,
        };
        let mut contracts = Vec::with_capacity(names.len());
        for name in names {
            let mut contract = view.describe(&name)?.contract;
            if let Some(stated) = stated.and_then(|stated| stated.get(&name)) {
                contract.metric = contract.metric.or(stated.metric);
                contract.normalisation = contract.normalisation.or(stated.normalisation);
                let model = || stated.embedding_model.clone();
                contract.embedding_model = contract.embedding_model.or_else(model);
                contract.index = contract.index.or_else(|| stated.index.clone());
            }
            contracts.push(contract);
        }
        Ok(contracts)
    }

    /// Reads one consistent view of the source, with the plan's statements laid over it.
    pub(crate) fn with_source<T>(
        &self,
        read: impl FnOnce(&DeclaredView<'_>, &[CollectionContract]) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let view = self.source()?.snapshot()?;
        let contracts = self.contracts(view.as_ref())?;
        read(&DeclaredView::new(view.as_ref(), &contracts), &contracts)
    }

    /// The path of the source's artifacts, if they travel.
    pub(crate) fn source_artifacts(&self) -> Option<PathBuf> {
        let knowledge = self.plan.knowledge()?;
        let path = knowledge.source.knowledge.artifacts.as_ref();
        let path = knowledge.target.knowledge.artifacts.as_ref().and(path)?;
        Some(path.within(self.folder))
    }

    /// The path of the target's artifacts, if they travel.
    pub(crate) fn target_artifacts(&self) -> Option<PathBuf> {
        let knowledge = self.plan.knowledge()?;
        let path = knowledge.target.knowledge.artifacts.as_ref();
        let path = knowledge.source.knowledge.artifacts.as_ref().and(path)?;
        Some(path.within(self.folder))
    }

    /// The folder in which the snapshot of this run is made.
    pub(crate) fn snapshots(&self) -> PathBuf {
        let run = self.recorder.run().map(|run| run.id).unwrap_or_default();
        self.state.join("snapshots").join(run)
    }

    /// The folder on the target side in which the snapshot arrives.
    pub(crate) fn inbox(&self) -> PathBuf {
        match self.plan.knowledge().and_then(|it| it.transfer.as_ref()) {
            Some(transfer) => transfer.inbox.within(self.folder),
            None => self.state.join("inbox"),
        }
    }

    /// The name of the snapshot's folder, fixed by the intent to export.
    pub(crate) fn snapshot_name(&self) -> Result<String, StepError> {
        let run = self.recorder.run();
        let step = run.as_ref().and_then(|run| run.step("export/export_snapshot"));
        step.and_then(|step| text_of(&step.inputs, "folder")).ok_or_else(|| missing("the snapshot"))
    }

    /// The snapshot as it was exported.
    pub(crate) fn exported(&self) -> Result<PathBuf, StepError> {
        Ok(self.snapshots().join(self.snapshot_name()?))
    }

    /// The snapshot as it arrived.
    pub(crate) fn arrived(&self) -> Result<PathBuf, StepError> {
        Ok(self.inbox().join(self.snapshot_name()?))
    }

    /// What a step saw, from the object that its facts point to.
    pub(crate) fn seen<T: DeserializeOwned>(&self, node: &str) -> Result<T, StepError> {
        let run = self.recorder.run();
        let facts = run.as_ref().and_then(|run| run.step(node)).map(|step| &step.facts);
        let digest = facts.and_then(|facts| digest_of(facts, "details"));
        self.recorder.get_json(digest.ok_or_else(|| missing(node))?)
    }

    /// The time now, in microseconds since 1970.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now().unix_millis().saturating_mul(1_000)
    }

    /// Keeps what a read-back found.
    pub(crate) fn keep_leaves(&self, name: CollectionName, leaves: Leaves) {
        self.leaves.lock().unwrap_or_else(PoisonError::into_inner).insert(name, leaves);
    }
}

fn missing(what: &str) -> StepError {
    StepError::new(Code::BUG, format!("nothing is recorded of {what}"))
}

/// What a step has done.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// What later steps and people need to know.
    pub(crate) facts: Object,
    /// Reports beside the outcome.
    pub(crate) notes: Vec<crate::run::recorder::Note>,
}

impl Done {
    /// Facts with an object that holds the details.
    pub(crate) fn seen(cx: &Context<'_>, details: &impl Serialize) -> Result<Self, StepError> {
        let digest = cx.recorder.put_json(details)?;
        Ok(Self::default().fact("details", digest))
    }

    pub(crate) fn fact(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn count(self, key: &str, count: u64) -> Self {
        self.fact(key, number(count))
    }

    pub(crate) fn note(mut self, note: crate::run::recorder::Note) -> Self {
        self.notes.push(note);
        self
    }
}

/// A count as a value; beyond 2^53 as text.
pub(crate) fn number(count: u64) -> Value {
    Value::try_from(count).unwrap_or_else(|_| Value::Text(count.to_string()))
}

/// A member that is text.
pub(crate) fn text_of(object: &Object, key: &str) -> Option<String> {
    match object.get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        Some(_) | None => None,
    }
}

/// A member that is a digest.
pub(crate) fn digest_of(object: &Object, key: &str) -> Option<Digest> {
    text_of(object, key)?.parse().ok()
}

/// A member that is a whole number.
pub(crate) fn integer_of(object: &Object, key: &str) -> Option<i64> {
    match object.get(key) {
        Some(Value::Integer(number)) => Some(number.get()),
        Some(_) | None => None,
    }
}

/// A member that is true or false; absent is false.
pub(crate) fn flag_of(object: &Object, key: &str) -> bool {
    matches!(object.get(key), Some(Value::Bool(true)))
}

/// The key of the folders that a step makes, in its inputs: its undo removes them, and no others.
const MADE: &str = "makes_folders";

/// The inputs of a step that needs this folder.
pub(crate) fn making(mut inputs: Object, folder: &Path) -> Object {
    let made = files::missing_folders(folder);
    if !made.is_empty() {
        let made = made.iter().map(|folder| Value::from(folder.display().to_string()));
        inputs.insert(MADE.to_owned(), Value::List(made.collect()));
    }
    inputs
}

/// Removes the folders that a step has made for itself, as far as nothing else lies in them.
pub(crate) fn remove_made(inputs: &Object) {
    let Some(Value::List(made)) = inputs.get(MADE) else { return };
    let path = |folder: &Value| {
        if let Value::Text(folder) = folder { Some(PathBuf::from(folder)) } else { None }
    };
    files::remove_made(&made.iter().filter_map(path).collect::<Vec<_>>());
}
