//! Capabilities under the engine: what they change, what they refuse, what a crash in the middle
//! leaves, and what their undo takes back.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carnet_connect::{
    Address, Certificate, CertificateRequest, HeaderValue, HttpRequest, HttpResponse, NoOutside,
    NoProgress, ObjectHead, ObjectPage, ObjectPlace, Objects, Outside, PutIf, SqlSession,
    StoreError, VectorRepository,
};
use carnet_engine::{
    CapabilityReceipt, Engine, Faults, Report, RunRequest, StoreOpener, StoreRequest,
};
use carnet_ledger::Digest;
use carnet_model::plan::Plan;
use carnet_model::policy::{PolicyAnswer, PolicyQuestion};
use carnet_model::{Code, Secret};

use super::world::{Ticks, read};

/// An object store in memory, shared by all places of one service.
type Bucket = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

#[derive(Clone, Default)]
struct World {
    secrets: BTreeMap<String, String>,
    /// What servers were sent, and what they answer.
    sent: Arc<Mutex<Vec<HttpRequest>>>,
    answers: Arc<Mutex<Vec<Result<u16, Code>>>>,
    buckets: Arc<Mutex<BTreeMap<String, Bucket>>>,
}

impl World {
    fn bucket(&self, name: &str) -> Bucket {
        Arc::clone(self.buckets.lock().unwrap().entry(name.to_owned()).or_default())
    }

    fn keys(&self, name: &str) -> Vec<String> {
        self.bucket(name).lock().unwrap().keys().cloned().collect()
    }
}

impl Outside for World {
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, StoreError> {
        self.sent.lock().unwrap().push(request.clone());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.is_empty() { Ok(200) } else { answers.remove(0) };
        let status = answer.map_err(|code| StoreError::new(code, "no answer"))?;
        let (headers, took) = (Vec::new(), Duration::ZERO);
        let body = b"the token is s3cr3t-token".to_vec();
        Ok(HttpResponse { status, headers, body, cut: false, took })
    }

    fn connect(&self, address: &Address) -> Result<Duration, StoreError> {
        if address.port == 1 {
            return Err(StoreError::new(Code::STORE_UNREACHABLE, "nothing listens"));
        }
        Ok(Duration::ZERO)
    }

    fn certificate(&self, request: &CertificateRequest) -> Result<Certificate, StoreError> {
        NoOutside.certificate(request)
    }

    fn sql(&self, url: &str) -> Result<Box<dyn SqlSession>, StoreError> {
        NoOutside.sql(url)
    }

    fn objects(&self, url: &str) -> Result<Box<dyn Objects>, StoreError> {
        let (place, service) = url.split_once("?endpoint=").unwrap();
        let name = place.strip_prefix("s3://").unwrap();
        let (service, bucket) = (service.to_owned(), self.bucket(name));
        Ok(Box::new(Held { name: name.to_owned(), service, bucket, world: self.clone() }))
    }

    fn policy(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
        super::policies::toy(question)
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets.get(name).map(Secret::new)
    }
}

struct Held {
    name: String,
    service: String,
    bucket: Bucket,
    world: World,
}

fn head(bytes: &[u8]) -> ObjectHead {
    let etag = format!("\"{}\"", Digest::of(bytes));
    ObjectHead { bytes: bytes.len() as u64, etag, sha256: None, modified_s: None }
}

impl Objects for Held {
    fn service(&self) -> &str {
        &self.service
    }

    fn place(&self, key: &str) -> ObjectPlace {
        ObjectPlace { bucket: self.name.clone(), key: key.to_owned() }
    }

    fn head(&self, key: &str) -> Result<Option<ObjectHead>, StoreError> {
        Ok(self.bucket.lock().unwrap().get(key).map(|bytes| head(bytes)))
    }

    fn get(&self, key: &str, _: u64, out: &mut dyn std::io::Write) -> Result<u64, StoreError> {
        let bytes = self.bucket.lock().unwrap().get(key).cloned().unwrap_or_default();
        out.write_all(&bytes).unwrap();
        Ok(bytes.len() as u64)
    }

    fn put(&self, key: &str, bytes: &[u8], _: &PutIf) -> Result<ObjectHead, StoreError> {
        self.bucket.lock().unwrap().insert(key.to_owned(), bytes.to_vec());
        Ok(head(bytes))
    }

    fn copy_from(
        &self,
        source: &ObjectPlace,
        source_head: &ObjectHead,
        key: &str,
    ) -> Result<ObjectHead, StoreError> {
        let bytes = self.world.bucket(&source.bucket).lock().unwrap().get(&source.key).cloned();
        let bytes = bytes.filter(|bytes| head(bytes).etag == source_head.etag);
        let changed = || StoreError::new(Code::OBJECT_CHANGED, "it has changed");
        self.put(key, &bytes.ok_or_else(changed)?, &PutIf::Absent)
    }

    fn same_content(
        &self,
        source: &ObjectPlace,
        _: &ObjectHead,
        key: &str,
    ) -> Result<bool, StoreError> {
        let one = self.world.bucket(&source.bucket).lock().unwrap().get(&source.key).cloned();
        Ok(self.bucket.lock().unwrap().get(key) == one.as_ref())
    }

    fn delete(&self, key: &str, etag: &str) -> Result<bool, StoreError> {
        match self.head(key)? {
            None => Ok(false),
            Some(head) if head.etag == etag => {
                self.bucket.lock().unwrap().remove(key);
                Ok(true)
            }
            Some(_) => Err(StoreError::new(Code::OBJECT_CHANGED, "it has changed")),
        }
    }

    fn list(&self, starts_with: &str, next: Option<&str>) -> Result<ObjectPage, StoreError> {
        let bucket = self.bucket.lock().unwrap();
        let all = bucket.iter().filter(|(key, _)| key.starts_with(starts_with));
        let mut all = all.filter(|(key, _)| next.is_none_or(|next| key.as_str() >= next));
        // Pages of two.
        let objects = all.by_ref().take(2).map(|(key, bytes)| (key.clone(), bytes.len() as u64));
        Ok(ObjectPage { objects: objects.collect(), next: all.next().map(|(key, _)| key.clone()) })
    }
}

struct NoStores;

impl StoreOpener for NoStores {
    fn open(&self, _: &StoreRequest) -> Result<Box<dyn VectorRepository>, StoreError> {
        Err(StoreError::new(Code::STORE_NOT_FOUND, "there are no stores here"))
    }
}

/// A folder with a plan.
pub(super) struct Bench {
    folder: tempfile::TempDir,
    world: World,
    plan: Plan,
}

impl Bench {
    /// A plan with these steps. Its gate is open, unless the file `bad` is there.
    pub(super) fn new(steps: &str) -> Self {
        let text = format!(
            "carnet: v1\nmigration: bench\nowner: tests\nphases:\n  - name: use\n    steps:\n{steps}\
             \x20   exit:\n      - {{ gate: command, name: well, with: {{ program: test, args: [\"!\", -e, bad] }} }}\n"
        );
        Self::of(&text)
    }

    pub(super) fn of(text: &str) -> Self {
        let (plan, _) = Plan::open("plan.yaml", text).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), world: World::default(), plan }
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn state(&self) -> std::path::PathBuf {
        self.path(".carnet")
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    /// Runs the plan; `None` if the engine was made to stop as if it were killed.
    pub(super) fn run(&self, fault: &str, dry_run: bool) -> Option<Report> {
        let engine = self.engine().with_faults(Faults::parse(fault).unwrap_or_default());
        let report = engine.run(&self.request(dry_run));
        if fault.contains("crash") { report.ok() } else { Some(report.unwrap()) }
    }

    /// Takes the run back, as a person asks for it.
    pub(super) fn roll_back(&self) -> Report {
        self.engine().rollback(&self.request(false)).unwrap()
    }

    fn engine(&self) -> Engine {
        let ticks = Ticks::new();
        Engine::new(self.state(), ticks.clone(), ticks, "tester")
    }

    fn request(&self, dry_run: bool) -> RunRequest<'_> {
        RunRequest {
            plan: &self.plan,
            folder: self.folder.path(),
            stores: &NoStores,
            outside: &self.world,
            patience: Duration::ZERO,
            workers: 1,
            progress: &NoProgress,
            dry_run,
            snapshot_time: None,
            signer: None,
        }
    }

    pub(super) fn status(&self, fault: &str) -> &'static str {
        self.run(fault, false).map_or("crashed", |report| report.status)
    }

    pub(super) fn code(&self) -> String {
        let report = self.run("", false).unwrap();
        let stop = report.stop.or(report.waits_for);
        stop.map(|stop| stop.code).unwrap_or_default()
    }

    /// Whether anything that is kept of the run holds this text.
    fn keeps(&self, text: &str) -> bool {
        fn search(folder: &Path, text: &[u8]) -> bool {
            std::fs::read_dir(folder).unwrap().any(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    return search(&path, text);
                }
                std::fs::read(path).unwrap().windows(text.len()).any(|part| part == text)
            })
        }
        search(&self.state(), text.as_bytes())
    }

    fn receipts(&self) -> Vec<CapabilityReceipt> {
        let (log, events) = read(&self.state()).unwrap();
        let digests = events.iter().filter_map(|event| match event.draft.context.get("facts") {
            Some(carnet_ledger::Value::Object(facts)) => match facts.get("receipt") {
                Some(carnet_ledger::Value::Text(text)) => text.parse::<Digest>().ok(),
                Some(_) | None => None,
            },
            Some(_) | None => None,
        });
        digests
            .map(|digest| serde_json::from_slice(&log.object(digest).unwrap()).unwrap())
            .collect()
    }
}

const COPY: &str = "      - { name: copy, capability: file.copy, with: { from: new, to: place/here, replace: true } }\n";

#[test]
fn a_file_is_copied_whole_and_taken_back_with_its_folders() {
    let bench = Bench::new(COPY);
    bench.write("new", "content");
    std::fs::set_permissions(bench.path("new"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(bench.run("", true).unwrap().status, "done");
    assert!(!bench.path("place").exists() && !bench.state().exists(), "a dry run left something");
    bench.write("bad", "");
    assert_eq!(bench.status(""), "refused");
    assert!(!bench.path("place").exists());
    std::fs::remove_file(bench.path("bad")).unwrap();
    assert_eq!(bench.status(""), "done");
    assert_eq!(bench.text("place/here").as_deref(), Some("content"));
    let mode = std::fs::metadata(bench.path("place/here")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let receipts = bench.receipts();
    assert!(receipts.iter().any(|it| it.capability == "file.copy" && it.result == "applied"));
}

#[test]
fn a_file_that_is_replaced_comes_back_as_it_was_wherever_it_is_cut_off() {
    for point in ["before/use/copy", "file/staged", "file/placed", "after/use/copy"] {
        let bench = Bench::new(COPY);
        bench.write("new", "new");
        std::fs::create_dir(bench.path("place")).unwrap();
        bench.write("place/here", "old");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(bench.path("place/here"), mode).unwrap();
        assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed", "{point}");
        // Going on ends as wanted; or, if the gate is closed by then, as it was.
        bench.write("bad", "");
        assert_eq!(bench.status(""), "refused", "{point}");
        assert_eq!(bench.text("place/here").as_deref(), Some("old"), "{point}");
        let mode = std::fs::metadata(bench.path("place/here")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{point}");
        assert_eq!(std::fs::read_dir(bench.path("place")).unwrap().count(), 1, "{point}");
        std::fs::remove_file(bench.path("bad")).unwrap();
        assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed", "{point}");
        assert_eq!(bench.status(""), "done", "{point}");
        assert_eq!(bench.text("place/here").as_deref(), Some("new"), "{point}");
    }
}

#[test]
fn a_place_that_is_taken_and_another_content_are_refused() {
    let bench = Bench::new(
        "      - { name: copy, capability: file.copy, with: { from: new, to: here } }\n",
    );
    bench.write("new", "new");
    bench.write("here", "mine");
    assert_eq!(bench.code(), "file.exists");
    assert_eq!(bench.text("here").as_deref(), Some("mine"));
    let other = "0".repeat(64);
    let bench = Bench::new(&format!(
        "      - {{ name: copy, capability: file.copy, with: {{ from: new, to: here, sha256: \"{other}\" }} }}\n"
    ));
    bench.write("new", "new");
    assert_eq!(bench.code(), "content.differs");
    assert!(!bench.path("here").exists());
}

fn command(more: &str) -> String {
    format!(
        "      - name: run\n        capability: command.run\n        with: {{ program: sh, args: [-c, \"{more}\"], env: {{ TOKEN: {{ secret: API_TOKEN }} }} }}\n\
         \x20       undo: {{ capability: command.run, with: {{ program: rm, args: [-f, made] }} }}\n"
    )
}

#[test]
fn a_secret_reaches_the_command_and_nothing_else() {
    let mut bench = Bench::new(&command("echo $TOKEN; echo $TOKEN >&2; printf %s $TOKEN > made"));
    assert_eq!(bench.code(), "secret.missing");
    bench.world.secrets.insert("API_TOKEN".into(), "s3cr3t-token".into());
    assert_eq!(bench.status(""), "done");
    assert_eq!(bench.text("made").as_deref(), Some("s3cr3t-token"));
    assert!(!bench.keeps("s3cr3t-token") && bench.keeps("***"));
    // Nor where it fails.
    let mut bench = Bench::new(&command("echo $TOKEN >&2; exit 3"));
    bench.world.secrets.insert("API_TOKEN".into(), "s3cr3t-token".into());
    let report = bench.run("", false).unwrap();
    let stop = report.stop.unwrap();
    assert_eq!(stop.code, "command.failed");
    assert!(stop.reason.contains("status 3") && stop.reason.contains("***"), "{}", stop.reason);
    assert!(!bench.keeps("s3cr3t-token"));
}

#[test]
fn a_command_that_fails_half_way_is_taken_back_by_what_the_plan_names() {
    let mut bench = Bench::new(&command("touch made; exit 1"));
    bench.world.secrets.insert("API_TOKEN".into(), "s3cr3t-token".into());
    assert_eq!(bench.status(""), "failed");
    assert!(!bench.path("made").exists());
}

#[test]
fn a_command_that_was_cut_off_waits_for_a_person_unless_a_probe_can_tell() {
    let mut bench = Bench::new(&command("echo x >> made"));
    bench.world.secrets.insert("API_TOKEN".into(), "s3cr3t-token".into());
    assert_eq!(bench.status("after/use/run:1:crash"), "crashed");
    assert_eq!(bench.code(), "run.unknown");
    assert_eq!(bench.text("made").as_deref(), Some("x\n"), "it was repeated blindly");
    let probed = "      - name: run\n        capability: command.run\n        with: { program: sh, args: [-c, \"echo x >> made\"], \
                  repeat: { probe: { program: test, args: [-e, made] } } }\n        undo: { capability: command.run, with: { program: rm, args: [-f, made] } }\n";
    for point in ["before/use/run", "after/use/run"] {
        let bench = Bench::new(probed);
        assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed");
        assert_eq!(bench.status(""), "done", "{point}");
        assert_eq!(bench.text("made").as_deref(), Some("x\n"), "{point}");
    }
}

#[test]
fn a_command_that_takes_too_long_is_unknown() {
    let bench = Bench::new(
        "      - name: run\n        capability: command.run\n        with: { program: sleep, args: [\"60\"], time_limit_s: 1 }\n\
         \x20       undo: { capability: command.run, with: { program: \"true\" } }\n",
    );
    let report = bench.run("", false).unwrap();
    assert_eq!(report.waits_for.map(|stop| stop.code).as_deref(), Some("run.unknown"));
}

fn request(more: &str) -> String {
    format!(
        "      - name: send\n        capability: http.request\n        with: {{ method: POST, url: \"http://h:8080/do?q=1\", body: {{ json: {{ a: 1 }} }}, headers: {{ Authorization: {{ secret: API_TOKEN }} }}{more} }}\n\
         \x20       undo: {{ capability: http.request, with: {{ method: DELETE, url: \"http://h:8080/do\" }} }}\n"
    )
}

fn sender(more: &str, answers: &[Result<u16, Code>]) -> Bench {
    let mut bench = Bench::new(&request(more));
    bench.world.secrets.insert("API_TOKEN".into(), "s3cr3t-token".into());
    *bench.world.answers.lock().unwrap() = answers.to_vec();
    bench
}

#[test]
fn a_request_is_sent_once_and_its_secret_is_not_kept() {
    let bench = sender("", &[]);
    assert_eq!(bench.run("", true).unwrap().status, "done");
    assert!(bench.world.sent.lock().unwrap().is_empty(), "a dry run sent something");
    assert_eq!(bench.status(""), "done");
    assert_eq!(bench.world.sent.lock().unwrap().len(), 1);
    assert!(!bench.keeps("s3cr3t-token"), "the body of the answer repeats it, and is kept masked");
    assert!(bench.keeps("the token is ***"));
}

#[test]
fn an_answer_that_does_not_come_is_unknown_and_a_clear_no_is_taken_back() {
    for answer in [Err(Code::STORE_UNREACHABLE), Ok(500), Ok(503), Ok(408)] {
        let bench = sender("", &[answer]);
        let report = bench.run("", false).unwrap();
        assert_eq!(
            report.waits_for.map(|it| it.code).as_deref(),
            Some("run.unknown"),
            "{answer:?}"
        );
        assert_eq!(bench.world.sent.lock().unwrap().len(), 1, "{answer:?}");
    }
    let bench = sender("", &[Ok(403)]);
    assert_eq!(bench.status(""), "failed");
    let methods: Vec<_> =
        bench.world.sent.lock().unwrap().iter().map(|it| it.method.clone()).collect();
    assert_eq!(methods, ["POST", "DELETE"]);
}

#[test]
fn a_request_with_a_key_is_repeated_under_the_same_key() {
    let bench = sender(", idempotency_header: Idempotency-Key", &[]);
    assert_eq!(bench.status("http/answered:1:crash"), "crashed");
    assert_eq!(bench.status(""), "done");
    let sent = bench.world.sent.lock().unwrap();
    let keys: Vec<_> = sent
        .iter()
        .flat_map(|request| &request.headers)
        .filter(|header| header.name == "Idempotency-Key")
        .map(|header| match &header.value {
            HeaderValue::Plain(text) => text.clone(),
            HeaderValue::Secret(_) => panic!("the key is no secret"),
        })
        .collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys.first(), keys.last());
    // Without one, a person looks.
    let bench = sender("", &[]);
    assert_eq!(bench.status("http/answered:1:crash"), "crashed");
    assert_eq!(bench.code(), "run.unknown");
    assert_eq!(bench.world.sent.lock().unwrap().len(), 1);
}

#[test]
fn where_nothing_listens_nothing_was_sent() {
    let bench = Bench::new(
        "      - name: send\n        capability: http.request\n        with: { method: POST, url: \"http://h:1/\" }\n\
         \x20       undo: { capability: command.run, with: { program: \"true\" } }\n",
    );
    assert_eq!(bench.code(), "store.unreachable");
    assert!(bench.world.sent.lock().unwrap().is_empty());
}

fn objects(from: &str, to: &str) -> Bench {
    let bench = Bench::new(&format!(
        "      - {{ name: copy, capability: s3.copy, with: {{ from: \"s3://lab?endpoint={from}\", to: \"s3://prod?endpoint={to}\" }} }}\n"
    ));
    for number in 0..5 {
        let bytes = vec![number; 10];
        bench.world.bucket("lab").lock().unwrap().insert(format!("k{number}"), bytes);
    }
    bench.world.bucket("prod").lock().unwrap().insert("other".into(), b"stays".to_vec());
    bench
}

#[test]
fn objects_are_copied_and_only_what_was_copied_is_taken_back() {
    let all = ["k0", "k1", "k2", "k3", "k4", "other"];
    let bench = objects("http://h", "http://h");
    assert_eq!(bench.run("", true).unwrap().status, "done");
    assert_eq!(bench.world.keys("prod"), ["other"], "a dry run copied");
    for point in ["before/use/copy:1", "s3/object:1", "s3/object:4", "after/use/copy:1"] {
        let bench = objects("http://h", "http://h");
        assert_eq!(bench.status(&format!("{point}:crash")), "crashed", "{point}");
        assert_eq!(bench.status(""), "done", "{point}");
        assert_eq!(bench.world.keys("prod"), all, "{point}");
        let bench = objects("http://h", "http://h");
        assert_eq!(bench.status(&format!("{point}:fail")), "failed", "{point}");
        assert_eq!(bench.world.keys("prod"), ["other"], "{point}");
        let bench = objects("http://h", "http://h");
        bench.write("bad", "");
        assert_eq!(bench.status("s3/removed:3:crash"), "crashed", "{point}");
        assert_eq!(bench.status(""), "refused", "{point}");
        assert_eq!(bench.world.keys("prod"), ["other"], "{point}");
    }
}

#[test]
fn a_local_hop_a_taken_key_and_nothing_to_copy_are_refused() {
    let bench = objects("http://h", "http://other");
    assert_eq!(bench.code(), "s3.local_hop");
    let bench = objects("http://h", "http://h");
    bench.world.bucket("prod").lock().unwrap().insert("k3".into(), b"mine".to_vec());
    assert_eq!(bench.code(), "object.exists");
    assert_eq!(bench.world.keys("prod"), ["k3", "other"]);
    let bench = objects("http://h", "http://h");
    bench.world.bucket("lab").lock().unwrap().clear();
    assert_eq!(bench.code(), "store.not_found");
}

#[test]
fn an_object_that_somebody_changed_stays_and_is_named() {
    let bench = objects("http://h", "http://h");
    bench.write("bad", "");
    assert_eq!(bench.status("undo/use/copy:1:crash"), "crashed");
    bench.world.bucket("prod").lock().unwrap().insert("k1".into(), b"somebody".to_vec());
    let report = bench.run("", false).unwrap();
    assert_eq!(report.status, "refused");
    assert!(report.left_behind.iter().any(|left| left.contains("k1")), "{:?}", report.left_behind);
    assert_eq!(bench.world.keys("prod"), ["k1", "other"]);
}
