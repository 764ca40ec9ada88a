//! What goes wrong around a database, and loads that are cut off, repeated or run side by side.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use carnet_connect::{
    Filter, IdRange, Job, LoadMode, LoadRequest, NoProgress, Progress, Query, RecordRef,
    RecordStream, Records, StoreError, VectorRepository, batches, conformance,
};
use carnet_connectors::{OpenOptions, open};
use carnet_model::{Code, CollectionContract, CollectionName, IndexSpec, Metric, Secret, StoreUrl};

use super::postgres::{Database, SERVERS};

fn docs() -> CollectionName {
    CollectionName::new("docs").unwrap()
}

fn request(mode: LoadMode, token: &str) -> LoadRequest {
    let mut contract = CollectionContract::unknown(docs(), conformance::SAMPLE_DIMENSIONS);
    contract.metric = Some(Metric::L2);
    LoadRequest { contract, mode, token: token.to_owned() }
}

fn count(store: &dyn VectorRepository) -> u64 {
    store.snapshot().unwrap().describe(&docs()).unwrap().records
}

fn tables(database: &Database) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace \
               ORDER BY relname COLLATE \"C\"";
    database.client().query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// Gives batches, and does something before the second.
struct Interrupted<F: FnMut()> {
    batches: Vec<Records>,
    given: usize,
    between: F,
}

impl<F: FnMut() + Send> RecordStream for Interrupted<F> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        if self.given == 1 {
            (self.between)();
        }
        self.given += 1;
        Ok(self.batches.get(self.given - 1).cloned())
    }
}

#[test]
fn a_connection_lost_in_mid_copy_leaves_nothing_half_written() {
    for server in SERVERS {
        for mode in [LoadMode::Replace, LoadMode::Upsert] {
            let database = Database::new(server);
            let store = database.store("", &OpenOptions::default());
            let records = conformance::sample_records(200).unwrap();
            let load = store.begin_load(&request(LoadMode::Replace, "zero")).unwrap();
            let first = records.slice(0, 10).unwrap();
            load.load_range(&IdRange::all(), &mut batches(vec![first])).unwrap();
            load.commit(&NoProgress).unwrap();
            drop(load);
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE application_name = 'carnet' AND datname = current_database()";
            let load = store.begin_load(&request(mode, "one")).unwrap();
            let mut stream = Interrupted {
                batches: (0..20).map(|n| records.slice(n * 10, 10).unwrap()).collect(),
                given: 0,
                between: || database.run(kill),
            };
            let error = load.load_range(&IdRange::all(), &mut stream).unwrap_err();
            assert_eq!(error.code(), Code::STORE_LOST, "{server} {mode:?}: {error}");
            assert_eq!(count(store.as_ref()), 10);
            // The same load goes on.
            load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).unwrap();
            load.commit(&NoProgress).unwrap();
            assert_eq!(count(store.as_ref()), 200);
            // A reader that is cut off says so as well.
            let view = store.snapshot().unwrap();
            database.run(kill);
            let lost = view.scan(&docs(), &IdRange::all()).map(|_| ());
            assert_eq!(lost.unwrap_err().code(), Code::STORE_LOST);
        }
    }
}

#[test]
fn a_commit_is_repeated_after_any_crash() {
    for server in SERVERS {
        let database = Database::new(server);
        let store = database.store("", &OpenOptions::default());
        let records = conformance::sample_records(100).unwrap();
        let load = |n, token: &str| {
            let load = store.begin_load(&request(LoadMode::Replace, token)).unwrap();
            load.load_range(&IdRange::all(), &mut batches(vec![records.slice(0, n).unwrap()]))
                .unwrap();
            load
        };
        load(10, "one").commit(&NoProgress).unwrap();
        // What the owner added to the table stays with its name.
        database.run(
            "CREATE INDEX by_metadata ON docs USING gin (metadata); \
                      GRANT SELECT ON docs TO PUBLIC",
        );
        drop(load(20, "two"));
        assert_eq!(count(store.as_ref()), 10);
        store.begin_load(&request(LoadMode::Replace, "two")).unwrap().commit(&NoProgress).unwrap();
        assert_eq!(count(store.as_ref()), 20);
        // The answer to the commit was lost: it is said again.
        store.begin_load(&request(LoadMode::Replace, "two")).unwrap().commit(&NoProgress).unwrap();
        assert_eq!(count(store.as_ref()), 20);
        // A load that nobody began cannot be committed.
        let none = store.begin_load(&request(LoadMode::Replace, "three")).unwrap();
        assert_eq!(none.commit(&NoProgress).unwrap_err().code(), Code::STORE_NOT_FOUND);
        let wanted =
            ["by_metadata", "carnet_collections", "carnet_collections_pkey", "docs", "docs_pkey"];
        assert_eq!(tables(&database), wanted);
        let granted = "SELECT has_table_privilege('pg_monitor', 'docs', 'SELECT')";
        assert!(database.client().query_one(granted, &[]).unwrap().get::<_, bool>(0));
    }
}

#[test]
fn workers_load_and_read_side_by_side() {
    for server in SERVERS {
        let database = Database::new(server);
        let store = database.store("", &OpenOptions::default());
        let records = conformance::sample_records(4_000).unwrap();
        let borders = records.iter().step_by(250).skip(1).map(|record| record.id.to_owned());
        let ranges = IdRange::split_at(borders);
        let load = store.begin_load(&request(LoadMode::Replace, "one")).unwrap();
        let next = Mutex::new(ranges.iter());
        let work = || {
            loop {
                let Some(range) = next.lock().unwrap().next() else { break };
                let inside = records.iter().filter(|record| range.contains(record.id));
                let part = Records::collect(conformance::SAMPLE_DIMENSIONS, inside).unwrap();
                let len = part.len() as u64;
                assert_eq!(load.load_range(range, &mut batches(vec![part.clone()])).unwrap(), len);
                let mut back = load.read_back(range).unwrap().unwrap();
                let seen = back.next().unwrap().unwrap();
                assert!(seen.iter().eq(part.iter()));
                assert!(load.read_back(&IdRange::all()).unwrap().is_none());
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(work);
            }
        });
        load.commit(&NoProgress).unwrap();
        let view = store.snapshot().unwrap();
        // A worker that leaves in the middle does not disturb the next.
        drop(view.scan(&docs(), &IdRange::all()).unwrap());
        let mut all = view.scan(&docs(), &IdRange::all()).unwrap();
        let mut seen = Vec::new();
        while let Some(batch) = all.next().unwrap() {
            seen.extend(batch.iter().map(|record| record.id.to_owned()));
        }
        assert!(seen.iter().map(String::as_str).eq(records.iter().map(|record| record.id)));
    }
}

#[test]
fn what_the_server_refuses_has_a_code_and_never_shows_the_password() {
    let database = Database::new(SERVERS[0]);
    let whole = |url: &str, password: Option<&str>| {
        let options = OpenOptions { password: password.map(Secret::new), ..OpenOptions::default() };
        let store = open(&StoreUrl::parse(url).unwrap(), &options).unwrap();
        let error = store.snapshot().map(|_| ()).unwrap_err();
        let shown = format!("{error} {error:?} {} {:?}", store.label(), error.remedy_text());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        error.code()
    };
    database.run(
        "DO $$ BEGIN CREATE ROLE carnet_password LOGIN PASSWORD 'right'; \
                  EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    );
    let (_, host) = database.url.split_once('@').unwrap();
    let wrong = format!("postgres://carnet_password:s3cr3t@{host}");
    assert_eq!(whole(&wrong, None), Code::STORE_DENIED);
    assert_eq!(
        whole(&format!("postgres://carnet_password@{host}"), Some("s3cr3t")),
        Code::STORE_DENIED
    );
    assert_eq!(whole(&format!("postgres://carnet_password@{host}"), None), Code::STORE_DENIED);
    assert_eq!(whole(&format!("{}_no", database.url), None), Code::STORE_NOT_FOUND);
    // These servers have no TLS: asking for it is never answered by going without.
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(
            whole(&format!("{}?sslmode={mode}", database.url), None),
            Code::STORE_UNREACHABLE
        );
    }
    let right = OpenOptions { password: Some(Secret::new("right")), ..OpenOptions::default() };
    let url = StoreUrl::parse(&format!("postgres://carnet_password@{host}")).unwrap();
    assert!(open(&url, &right).unwrap().snapshot().is_ok());
}

#[test]
fn a_server_without_the_extension_or_the_right_to_write_is_named() {
    for server in SERVERS {
        let database = Database::new(server);
        let store = database.store("", &OpenOptions::default());
        let records = conformance::sample_records(10).unwrap();
        let name = database.url.rsplit_once('/').unwrap().1.to_owned();
        database.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
        let load = store.begin_load(&request(LoadMode::Replace, "one")).unwrap();
        let error = load.load_range(&IdRange::all(), &mut batches(vec![records])).unwrap_err();
        assert_eq!(error.code(), Code::STORE_READ_ONLY, "{error}");
        database.client().batch_execute("BEGIN READ WRITE; DROP EXTENSION vector; COMMIT").unwrap();
        let Err(error) = store.begin_load(&request(LoadMode::Replace, "one")) else {
            panic!("begun without pgvector")
        };
        assert_eq!(error.code(), Code::STORE_UNSUPPORTED, "{error}");
        assert!(error.remedy_text().unwrap().contains("CREATE EXTENSION vector"));
        // Already a look at it says so: a target is looked at before its source is read.
        let Err(error) = store.snapshot() else { panic!("opened without pgvector") };
        assert_eq!(error.code(), Code::STORE_UNSUPPORTED, "{error}");
        assert!(error.remedy_text().unwrap().contains("CREATE EXTENSION vector"));
    }
}

#[test]
fn rows_hidden_by_row_security_are_a_refusal() {
    let database = Database::new(SERVERS[1]);
    database.run(
        "CREATE TABLE docs (id text PRIMARY KEY, embedding vector(1)); \
         ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON docs USING (id = 'a'); \
         INSERT INTO docs VALUES ('a', '[1]'), ('b', '[2]'); GRANT SELECT ON docs TO PUBLIC; \
         DO $$ BEGIN CREATE ROLE carnet_reader LOGIN; \
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    );
    let url = database.url.replace("postgres@", "carnet_reader@");
    let store =
        open(&StoreUrl::parse(&format!("{url}?table=docs")).unwrap(), &OpenOptions::default());
    let store = store.unwrap();
    let error = store.snapshot().and_then(|view| view.describe(&docs()).map(|_| ())).unwrap_err();
    assert_eq!(error.code(), Code::STORE_DENIED, "{error}");
}

fn one<'a>(id: &'a str, vector: &'a [f32], metadata: &'a str) -> Records {
    let record = RecordRef {
        id,
        vector,
        metadata,
        version: None,
        source_hash: None,
        created_ts: None,
        updated_ts: None,
    };
    Records::collect(conformance::SAMPLE_DIMENSIONS, [record]).unwrap()
}

#[test]
fn limits_hold_where_they_are_declared() {
    for server in SERVERS {
        let database = Database::new(server);
        let store = database.store("", &OpenOptions::default());
        let most = store.capabilities().id_bytes_max;
        // Letters that do not compress: a key is stored as it stands or not at all.
        let mut state = 88_172_645_463_325_252_u64;
        let long: String = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + u8::try_from(state % 94).unwrap())
        })
        .take(most + 40)
        .collect();
        let vector = [1.0; conformance::SAMPLE_DIMENSIONS as usize];
        let try_one = |records| {
            let load = store.begin_load(&request(LoadMode::Replace, "one")).unwrap();
            let written = load.load_range(&IdRange::all(), &mut batches(vec![records]));
            load.abandon().unwrap();
            written.map_err(|error| error.code())
        };
        assert_eq!(try_one(one(&long[..most], &vector, "{}")), Ok(1));
        assert_eq!(try_one(one(&long, &vector, "{}")), Err(Code::RECORD_ID));
        assert_eq!(try_one(one("a\0b", &vector, "{}")), Err(Code::LOSS));
        assert_eq!(try_one(one("a", &vector, "{\"a\":\"\\u0000\"}")), Err(Code::LOSS));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut broken = vector;
            broken[3] = bad;
            assert_eq!(try_one(one("a", &broken, "{}")), Err(Code::LOSS));
        }
        let twice = Records::collect(
            conformance::SAMPLE_DIMENSIONS,
            [one("a", &vector, "{}"), one("a", &vector, "{}")].iter().flat_map(Records::iter),
        );
        assert_eq!(try_one(twice.unwrap()), Err(Code::RECORD_DUPLICATE));
    }
}

#[test]
fn numbers_keep_their_decimal_value_in_jsonb() {
    let huge = format!("1{}", "0".repeat(300));
    let metadata = format!(
        r#"{{"a":9007199254740993,"b":{huge},"c":0.1,"d":-9223372036854775809,"e":1e-7,"f":5e-324}}"#
    );
    for server in SERVERS {
        let database = Database::new(server);
        let store = database.store("", &OpenOptions::default());
        let load = store.begin_load(&request(LoadMode::Replace, "one")).unwrap();
        let records = one("a", &[0.5; 8], &metadata);
        load.load_range(&IdRange::all(), &mut batches(vec![records])).unwrap();
        load.commit(&NoProgress).unwrap();
        let seen = store.fetch(&docs(), &["a", "b\"\\,{}"]).unwrap();
        assert_eq!(seen.get(0).unwrap().metadata, metadata);
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

impl Progress for Counted {
    fn job(&self, name: &str, _unit: &'static str, total: Option<u64>) -> Box<dyn Job + '_> {
        assert!(name.contains("index of docs"), "{name}");
        assert_eq!(total, Some(3_000));
        Box::new(CountedJob(&self.0))
    }
}

struct CountedJob<'c>(&'c AtomicU64);

impl Job for CountedJob<'_> {
    fn add(&self, units: u64) {
        self.0.fetch_add(units, Ordering::Relaxed);
    }
}

#[test]
fn a_declared_index_is_built_described_and_used() {
    for server in SERVERS {
        for (kind, parameter, metric) in
            [("hnsw", "m", Metric::Cosine), ("ivf_flat", "lists", Metric::InnerProduct)]
        {
            let database = Database::new(server);
            let store = database.store("", &OpenOptions::default());
            let records = conformance::sample_records(3_000).unwrap();
            let mut request = request(LoadMode::Replace, "one");
            request.contract.metric = Some(metric);
            let parameters = [(parameter.to_owned(), 10)].into_iter().collect();
            request.contract.index = Some(IndexSpec { kind: kind.into(), parameters });
            let load = store.begin_load(&request).unwrap();
            load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).unwrap();
            let progress = Counted::default();
            load.commit(&progress).unwrap();
            assert_eq!(progress.0.into_inner(), 3_000);
            let index = store.snapshot().unwrap().describe(&docs()).unwrap().index.unwrap();
            assert_eq!((index.kind.as_str(), index.parameters[parameter]), (kind, 10));
            assert!(tables(&database).contains(&"docs_embedding_idx".to_owned()));
            let vector = records.get(7).unwrap().vector;
            let query = |exact, k| {
                let query = Query { vector, k, filter: &Filter::none(), exact };
                store.query(&docs(), &query).unwrap()
            };
            assert_eq!(query(true, 3_000).len(), 3_000);
            assert_eq!(query(false, 5).len(), 5);
        }
    }
}

/// A file system that goes away again.
struct Mounted<'p>(&'p std::path::Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// Batches that are made one by one.
struct Stream<I>(I);

impl<I: Iterator<Item = Records> + Send> RecordStream for Stream<I> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        Ok(self.0.next())
    }
}

#[test]
fn a_full_disk_is_named_and_nothing_is_half_written() {
    let place = tempfile::tempdir().unwrap();
    // A tablespace on a disk of 16 MB: only root can make one.
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m,mode=0777", "tmpfs"])
        .arg(place.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: a full disk needs the right to mount a file system");
        return;
    }
    let _mounted = Mounted(place.path());
    let space = place.path().join("space");
    std::fs::create_dir(&space).unwrap();
    // The server's user owns the folder; only root may give it away.
    let owner = std::process::Command::new("stat")
        .args(["-c", "%u"])
        .arg(data_directory())
        .output()
        .unwrap();
    let owner: u32 = String::from_utf8(owner.stdout).unwrap().trim().parse().unwrap();
    std::os::unix::fs::chown(&space, Some(owner), None).unwrap();
    std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let database = Database::new(SERVERS[1]);
    let tablespace = format!("full_{}", std::process::id());
    database.run(&format!("CREATE TABLESPACE {tablespace} LOCATION '{}'", space.display()));
    let name = database.url.rsplit_once('/').unwrap().1.to_owned();
    database.run(&format!("ALTER DATABASE {name} SET default_tablespace = {tablespace}"));
    let store = database.store("", &OpenOptions::default());
    let load = store.begin_load(&request(LoadMode::Replace, "one")).unwrap();
    let filler = format!(r#"{{"x":"{}"}}"#, "0123456789abcdef".repeat(60));
    let mut ids = (0..40_000).map(|n| format!("{n:08}")).collect::<Vec<_>>().into_iter();
    let mut stream = std::iter::from_fn(move || ids.next().map(|id| one(&id, &[1.0; 8], &filler)));
    let error = load.load_range(&IdRange::all(), &mut Stream(stream.by_ref())).unwrap_err();
    assert_eq!(error.code(), Code::DISK_FULL, "{error} {error:?}");
    assert!(load.read_back(&IdRange::all()).unwrap().is_none());
    load.abandon().unwrap();
    drop(load);
    drop(database);
    let admin = Database::new(SERVERS[1]);
    admin.run(&format!("DROP TABLESPACE {tablespace}"));
}

fn data_directory() -> String {
    let database = Database::new(SERVERS[1]);
    database.client().query_one("SHOW data_directory", &[]).unwrap().get(0)
}
