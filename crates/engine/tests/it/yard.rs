//! A place where migrations run: two stores in memory, a folder with artifacts, an environment
//! file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_connect::{
    Capabilities, Hit, Load, LoadMode, LoadRequest, MemoryStore, NoProgress, Query, RecordRef,
    Records, StoreError, StoreSnapshot, VectorRepository, batches,
};
use carnet_engine::{
    Engine, EngineError, Faults, Report, Role, RunRequest, StoreOpener, StoreRequest,
};
use carnet_model::plan::Plan;
use carnet_model::{CollectionContract, CollectionName, EmbeddingModel, Metric, Normalisation};

use super::world::Ticks;

/// A store that several owners share.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<MemoryStore>);

impl VectorRepository for Shared {
    fn label(&self) -> &str {
        self.0.label()
    }
    fn kind(&self) -> &'static str {
        self.0.kind()
    }
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }
    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        self.0.snapshot()
    }
    fn upsert(&self, name: &CollectionName, records: &Records) -> Result<(), StoreError> {
        self.0.upsert(name, records)
    }
    fn query(&self, name: &CollectionName, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
        self.0.query(name, query)
    }
    fn fetch(&self, name: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        self.0.fetch(name, ids)
    }
    fn delete(&self, name: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        self.0.delete(name, ids)
    }
    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        self.0.begin_load(request)
    }
    fn drop_collection(&self, name: &CollectionName) -> Result<bool, StoreError> {
        self.0.drop_collection(name)
    }
}

pub(crate) struct Yard {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) source: Shared,
    pub(crate) target: Shared,
    pub(crate) plan: Plan,
    ticks: Arc<Ticks>,
}

impl StoreOpener for Yard {
    fn open(&self, request: &StoreRequest) -> Result<Box<dyn VectorRepository>, StoreError> {
        Ok(Box::new(match request.role {
            Role::Source => self.source.clone(),
            Role::Target => self.target.clone(),
        }))
    }
}

pub(crate) const OLD_ENV: &str = "# services\nVECTOR_ENDPOINT=old\nOTHER=1\n";

const PLAN: &str = r#"
carnet: v1
migration: yard
owner: tests
governance: { jurisdiction: DE, classification: internal, retention: P365D }
source:
  name: lab
  knowledge: { store: "faiss:lab", artifacts: lab }
target:
  name: prod
  knowledge: { store: "sqlite:prod.sqlite", artifacts: prod/artifacts }
process: knowledge/v1
quiesce: { flag: prod/pause }
transfer: { inbox: prod/inbox }
validate: { queries: 7, k: 3 }
cutover:
  switch: { env_file: prod/das.env, key: VECTOR_ENDPOINT }
decommission: { archive: archive }
"#;

pub(crate) fn embeddings() -> CollectionName {
    CollectionName::standard()
}

pub(crate) fn contract(name: &CollectionName) -> CollectionContract {
    CollectionContract {
        metric: Some(Metric::L2),
        normalisation: Some(Normalisation::None),
        embedding_model: Some(EmbeddingModel { name: "test".into(), revision: None }),
        ..CollectionContract::unknown(name.clone(), 3)
    }
}

/// Records `id-0000` and on, no two of which are alike.
pub(crate) fn records(numbers: std::ops::Range<u32>) -> Records {
    let ids: Vec<_> = numbers.clone().map(|n| format!("id-{n:04}")).collect();
    let vectors: Vec<_> = numbers
        .clone()
        .map(|n| {
            let n = f64::from(n);
            #[expect(clippy::cast_possible_truncation, reason = "any float will do")]
            [(n * 0.7).sin() as f32, (n * 1.3).cos() as f32, (n / 7.0) as f32]
        })
        .collect();
    let metadata: Vec<_> = numbers.map(|n| format!("{{\"n\":{n}}}")).collect();
    let rows = ids.iter().zip(&vectors).zip(&metadata).map(|((id, vector), metadata)| RecordRef {
        id,
        vector,
        metadata,
        version: Some(1),
        source_hash: None,
        created_ts: None,
        updated_ts: None,
    });
    Records::collect(3, rows).unwrap()
}

pub(crate) fn fill(store: &dyn VectorRepository, name: &CollectionName, records: Records) {
    let request =
        LoadRequest { contract: contract(name), mode: LoadMode::Replace, token: "fill".into() };
    let load = store.begin_load(&request).unwrap();
    load.load_range(&carnet_connect::IdRange::all(), &mut batches(vec![records])).unwrap();
    load.commit(&NoProgress).unwrap();
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self::with_plan(PLAN)
    }

    /// A yard whose plan has a line replaced.
    pub(crate) fn changed(from: &str, to: &str) -> Self {
        assert!(PLAN.contains(from));
        Self::with_plan(&PLAN.replace(from, to))
    }

    /// The same yard with a line of its plan replaced, which may refer to files in its folder.
    pub(crate) fn replanned(mut self, from: &str, to: &str) -> Self {
        assert!(PLAN.contains(from));
        self.plan = crate::people::plan_in(self.folder.path(), &PLAN.replace(from, to));
        self
    }

    /// The time.
    pub(crate) fn now(&self) -> carnet_ledger::EventTime {
        carnet_engine::Clock::now(self.ticks.as_ref())
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, millis: i64) {
        self.ticks.pass(millis.unsigned_abs());
    }

    fn with_plan(text: &str) -> Self {
        let (plan, _) = Plan::open("yard.yaml", text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("lab/bpmn/export_v1.bpmn", "<bpmn/>");
        write("lab/prompts/search_v1.yaml", "prompt: find\n");
        write("prod/das.env", OLD_ENV);
        write("prod/artifacts/prompts/search_v1.yaml", "prompt: old\n");
        write("prod/artifacts/prompts/own_v1.yaml", "prompt: own\n");
        let (source, target) = (Shared::default(), Shared::default());
        fill(&source, &embeddings(), records(0..40));
        fill(&source, &CollectionName::new("titles").unwrap(), records(100..120));
        Self { folder, source, target, plan, ticks: Ticks::new() }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn engine(&self, faults: &str) -> Engine {
        let engine = Engine::new(
            self.state(),
            Arc::clone(&self.ticks) as _,
            Arc::clone(&self.ticks) as _,
            "t",
        );
        if faults.is_empty() { engine } else { engine.with_faults(Faults::parse(faults).unwrap()) }
    }

    pub(crate) fn request<'a>(&'a self, folder: &'a Path, dry_run: bool) -> RunRequest<'a> {
        RunRequest {
            plan: &self.plan,
            folder,
            stores: self,
            outside: &carnet_connect::NoOutside,
            patience: std::time::Duration::from_mins(1),
            workers: 2,
            progress: &NoProgress,
            dry_run,
            snapshot_time: None,
            signer: None,
        }
    }

    pub(crate) fn run(&self, faults: &str) -> Result<Report, EngineError> {
        self.engine(faults).run(&self.request(self.folder.path(), false))
    }

    pub(crate) fn rollback(&self, faults: &str) -> Result<Report, EngineError> {
        self.engine(faults).rollback(&self.request(self.folder.path(), false))
    }

    /// All files outside of the state directory, with their bytes, all folders, and the collections
    /// of both stores.
    pub(crate) fn world(&self) -> Vec<(String, Vec<u8>)> {
        let mut seen = Vec::new();
        let mut waiting = vec![self.folder.path().to_owned()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path == self.state() {
                    continue;
                }
                let name = path.strip_prefix(self.folder.path()).unwrap().display();
                if path.is_dir() {
                    seen.push((format!("{name}/"), Vec::new()));
                    waiting.push(path);
                } else {
                    seen.push((name.to_string(), std::fs::read(&path).unwrap()));
                }
            }
        }
        for (side, store) in [("source", &self.source), ("target", &self.target)] {
            let view = store.snapshot().unwrap();
            let work = carnet_bundle::Work::quiet(1);
            for digest in carnet_bundle::digest_store(view.as_ref(), &work).unwrap() {
                let name = format!("{side}:{}", digest.name);
                seen.push((name, format!("{} {}", digest.records, digest.root).into_bytes()));
            }
        }
        seen.sort();
        seen
    }
}
