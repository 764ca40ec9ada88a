use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use carnet_connect::{
    Address, Certificate, CertificateRequest, HeaderValue, HttpRequest, HttpResponse, NoOutside,
    ObjectHead, ObjectPage, ObjectPlace, Objects, Outside, PutIf, SqlChange, SqlRows, SqlSession,
    SqlStatement, SqlValue, StoreError,
};
use carnet_ledger::{Digest, EventTime};
use carnet_model::gate::{Definition, Evaluation, Verdict, read_rule};
use carnet_model::policy::{PolicyAnswer, PolicyQuestion};
use carnet_model::{Code, Secret};
use serde_json::{Value, json};

use super::{Surroundings, evaluate_outside};
use carnet_journal::Clock;

mod programme;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> EventTime {
        EventTime::from_unix_millis(1_800_000_000_000).unwrap()
    }
    fn elapsed_ms(&self) -> u64 {
        0
    }
}

type Answer<Q, A> = Box<dyn Fn(&Q) -> Result<A, StoreError> + Send + Sync>;

/// A world of a test: connections are real, the rest is what the test says.
struct World {
    http: Answer<HttpRequest, HttpResponse>,
    connect: Answer<Address, Duration>,
    certificate: Answer<CertificateRequest, Certificate>,
    sql: fn(&SqlStatement) -> SqlRows,
    object: Option<&'static [u8]>,
    bucket: Option<PathBuf>,
    secrets: BTreeMap<&'static str, &'static str>,
}

impl World {
    fn new() -> Self {
        Self {
            http: Box::new(|request| NoOutside.http(request)),
            connect: Box::new(|address| {
                TcpStream::connect((address.host.as_str(), address.port))
                    .map(|_| Duration::from_millis(1))
                    .map_err(|error| {
                        StoreError::new(Code::STORE_UNREACHABLE, "closed").because(error)
                    })
            }),
            certificate: Box::new(|request| NoOutside.certificate(request)),
            sql: |_| SqlRows { columns: Vec::new(), rows: Vec::new(), cut: false },
            object: None,
            bucket: None,
            secrets: BTreeMap::from([("PATH", "/usr/bin:/bin"), ("TOKEN", "s3cret-t0ken")]),
        }
    }
}

impl Outside for World {
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, StoreError> {
        (self.http)(request)
    }
    fn connect(&self, address: &Address) -> Result<Duration, StoreError> {
        (self.connect)(address)
    }
    fn certificate(&self, request: &CertificateRequest) -> Result<Certificate, StoreError> {
        (self.certificate)(request)
    }
    fn sql(&self, url: &str) -> Result<Box<dyn SqlSession>, StoreError> {
        assert!(url.starts_with("sqlite:/"), "a path that is not whole: {url}");
        Ok(Box::new(Session(self.sql)))
    }
    fn objects(&self, _: &str) -> Result<Box<dyn Objects>, StoreError> {
        Ok(Box::new(Bucket { all: self.object, files: self.bucket.clone() }))
    }
    fn policy(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
        NoOutside.policy(question)
    }
    fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets.get(name).map(|value| Secret::new(*value))
    }
}

struct Session(fn(&SqlStatement) -> SqlRows);

impl SqlSession for Session {
    fn query(
        &mut self,
        statement: &SqlStatement,
        _: usize,
        _: Duration,
    ) -> Result<SqlRows, StoreError> {
        Ok((self.0)(statement))
    }
    fn change(&mut self, _: &SqlChange) -> Result<Option<Vec<u64>>, StoreError> {
        panic!("a gate only looks")
    }
    fn is_changed(&mut self, _: &str) -> Result<bool, StoreError> {
        panic!("a gate only looks")
    }
    fn take_back(&mut self, _: &SqlChange) -> Result<bool, StoreError> {
        panic!("a gate only looks")
    }
}

/// A bucket that has these bytes at every key, or what lies in a folder.
struct Bucket {
    all: Option<&'static [u8]>,
    files: Option<PathBuf>,
}

impl Bucket {
    fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        match &self.files {
            Some(folder) => fs::read(folder.join(key)).ok(),
            None => self.all.map(<[u8]>::to_vec),
        }
    }
}

impl Objects for Bucket {
    fn service(&self) -> &'static str {
        "http://127.0.0.1:9000"
    }
    fn place(&self, key: &str) -> ObjectPlace {
        ObjectPlace { bucket: "b".to_owned(), key: key.to_owned() }
    }
    fn head(&self, key: &str) -> Result<Option<ObjectHead>, StoreError> {
        Ok(self.bytes(key).map(|bytes| ObjectHead {
            bytes: bytes.len() as u64,
            etag: "\"e\"".to_owned(),
            sha256: None,
            modified_s: None,
        }))
    }
    fn get(&self, key: &str, _: u64, out: &mut dyn std::io::Write) -> Result<u64, StoreError> {
        let bytes = self.bytes(key).unwrap();
        out.write_all(&bytes).unwrap();
        Ok(bytes.len() as u64)
    }
    fn put(&self, _: &str, _: &[u8], _: &PutIf) -> Result<ObjectHead, StoreError> {
        panic!("a gate only looks")
    }
    fn copy_from(
        &self,
        _: &ObjectPlace,
        _: &ObjectHead,
        _: &str,
    ) -> Result<ObjectHead, StoreError> {
        panic!("a gate only looks")
    }
    fn same_content(&self, _: &ObjectPlace, _: &ObjectHead, _: &str) -> Result<bool, StoreError> {
        panic!("a gate only looks")
    }
    fn delete(&self, _: &str, _: &str) -> Result<bool, StoreError> {
        panic!("a gate only looks")
    }
    fn list(&self, _: &str, _: Option<&str>) -> Result<ObjectPage, StoreError> {
        Ok(ObjectPage { objects: Vec::new(), next: None })
    }
}

struct Place {
    folder: tempfile::TempDir,
    world: World,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), world: World::new() }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn evaluate(&self, kind: &str, with: &Value) -> Evaluation {
        let rule = read_rule(kind, with).unwrap_or_else(|errors| panic!("{with}: {errors:?}"));
        let around =
            Surroundings { folder: self.folder.path(), outside: &self.world, clock: &Fixed };
        let (evaluation, observation) = evaluate_outside(&around, &Definition::new(rule));
        assert!(!evaluation.is_broken(), "{evaluation:?}");
        if let Some(observation) = observation {
            let text = serde_json::to_string(&observation).unwrap();
            assert!(!text.contains("s3cret"), "{text}");
        }
        evaluation
    }

    #[track_caller]
    fn says(&self, kind: &str, with: &Value, verdict: Verdict, reason: &str) {
        let judgement = self.evaluate(kind, with).judgement;
        assert_eq!(judgement.verdict, verdict, "{with}: {judgement:?}");
        assert!(judgement.reason.contains(reason), "{with}: {judgement:?}");
        assert_eq!(judgement.remedy.is_none(), verdict == Verdict::Pass);
    }
}

use Verdict::{Error, Fail, NoData, Pass};

fn schema() -> Value {
    json!({"type": "object", "required": ["ready"], "properties": {"ready": {"const": true}}})
}

#[test]
fn files_are_judged_by_what_is_in_them() {
    let place = Place::new();
    place.write("a.json", r#"{"ready": true}"#);
    place.write("b.json", r#"{"ready": false}"#);
    place.write("c.json", r#"{"ready": true"#);
    place.write("empty", "");
    place.write("large.json", &format!("{{\"ready\": true{}}}", " ".repeat(70_000)));
    let document = |path: &str| json!({"path": path, "schema": schema()});
    place.says("file", &document("a.json"), Pass, "; control: a copy that is no JSON was refused");
    place.says("file", &document("b.json"), Fail, "b.json does not follow the schema at /ready");
    place.says("file", &document("c.json"), Fail, "c.json is no JSON");
    place.says("file", &document("none.json"), NoData, "there is no file none.json");
    place.says("file", &document("a.json/b"), NoData, "there is no file");
    place.says("file", &document("large.json"), NoData, "cannot be judged");
    let sha256 = |path: &str| json!({"path": path, "sha256": Digest::of(br#"{"ready": true}"#)});
    place.says("file", &sha256("a.json"), Pass, "a copy with other bytes was refused");
    place.says("file", &sha256("b.json"), Fail, "has the SHA-256");
    place.says("file", &json!({"path": "large.json"}), Pass, "an empty copy was refused");
    place.says("file", &json!({"path": "empty"}), NoData, "empty is empty");
    place.says("file", &json!({"path": "."}), Fail, "is no plain file");
    place.says("file", &json!({"path": "/dev/null"}), Fail, "is no plain file");
}

#[test]
fn a_folder_has_the_digest_that_sha256sum_gives_it() {
    let place = Place::new();
    for (path, text) in [("one/a", "1"), ("one/b/c", "2"), ("one/b.d", "3"), ("one/é", "4")] {
        place.write(path, text);
        place.write(&path.replace("one/", "two/"), text);
    }
    let script =
        "cd one && find . -type f | sed 's,^./,,' | LC_ALL=C sort | xargs sha256sum | sha256sum";
    let output = Command::new("sh").args(["-c", script]).current_dir(&place.folder).output();
    let sum = String::from_utf8(output.unwrap().stdout).unwrap();
    let pinned = json!({"path": "one", "sha256": &sum[..64]});
    let same = json!({"path": "one", "same_as": "two"});
    place.says("digest", &pinned, Pass, "; control: a folder with other content was refused");
    place.says("digest", &same, Pass, "one has the content of two in 4 files");
    let file = json!({"path": "one/a", "sha256": Digest::of(b"1")});
    place.says("digest", &file, Pass, "in 1 file");
    place.write("two/b/c", "other");
    place.says("digest", &same, Fail, "b/c has other bytes");
    place.write("one/new", "5");
    place.says("digest", &pinned, Fail, "has the content");
    fs::create_dir(place.folder.path().join("nothing")).unwrap();
    let nothing = json!({"path": "nothing", "same_as": "nothing/"});
    place.says("digest", &nothing, NoData, "there is no content at nothing");
    place.says("digest", &json!({"path": "gone", "same_as": "two"}), NoData, "at gone");
    std::os::unix::fs::symlink("/etc/hostname", place.folder.path().join("two/link")).unwrap();
    place.says("digest", &same, Error, "not a plain file");
}

#[test]
fn commands_are_judged_by_status_and_output() {
    let place = Place::new();
    place.write("ready.sh", "#!/bin/sh\necho '{\"ready\": true}'\n");
    let path = place.folder.path().join("ready.sh");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let printed = |args: Value| json!({"program": "echo", "args": args, "stdout": schema()});
    place.says("command", &json!({"program": "true"}), Pass, "true ended with status 0");
    place.says("command", &json!({"program": "false"}), Fail, "false ended with status 1");
    place.says("command", &json!({"program": "false", "exit": 1}), Pass, "status 1");
    place.says("command", &json!({"program": "./ready.sh", "stdout": schema()}), Pass, "ready.sh");
    place.says("command", &printed(json!([r#"{"ready": true}"#])), Pass, "printed what it must");
    place.says("command", &printed(json!([r#"{"ready": false}"#])), Fail, "at /ready");
    place.says("command", &printed(json!(["$(echo hello)", "*"])), Fail, "is no JSON");
    let silent = json!({"program": "true", "stdout": schema()});
    place.says("command", &silent, NoData, "what true printed is empty");
    place.says("command", &json!({"program": "no-such-program"}), Error, "cannot be started");
    let shell = |text: &str| json!({"program": text, "shell": true, "limit_s": 1});
    place.says("command", &shell("exit 3"), Fail, "status 3");
    place.says("command", &shell("echo no way >&2; exit 1"), Fail, ": no way");
    place.says("command", &shell("kill -15 $$"), Fail, "was ended by signal 15");
    let before = Instant::now();
    place.says("command", &shell("sleep 60 & sleep 60"), Fail, "took longer than 1 s");
    assert!(before.elapsed() < Duration::from_secs(20));
    let much =
        json!({"program": "yes", "shell": true, "args": [], "output_bytes_max": 10, "limit_s": 1});
    place.says("command", &much, Fail, "");
    let cut = json!({"program": "echo 0123456789abc", "shell": true, "output_bytes_max": 10});
    place.says("command", &cut, Fail, "printed more than 10 bytes");
    let given = json!({"program": "test \"$1\" = 'a b'", "shell": true, "args": ["a b"]});
    place.says("command", &given, Pass, "status 0");
}

#[test]
fn a_command_gets_no_more_of_the_environment_than_is_named() {
    let place = Place::new();
    let has = |env: Value| json!({"program": "test -n \"$TOKEN\"", "shell": true, "env": env});
    place.says("command", &has(json!({})), Fail, "status 1");
    place.says("command", &has(json!({"TOKEN": {"secret": "TOKEN"}})), Pass, "status 0");
    place.says("command", &has(json!({"TOKEN": "in the open"})), Pass, "status 0");
    place.says("command", &has(json!({"TOKEN": {"secret": "UNSET"}})), Error, "UNSET is not set");
    let schema = json!({"const": {"token": "***"}});
    let told = json!({
        "program": "echo \"{\\\"token\\\": \\\"$TOKEN\\\"}\"; echo $TOKEN >&2", "shell": true,
        "env": {"TOKEN": {"secret": "TOKEN"}}, "stdout": schema,
    });
    place.says("command", &told, Pass, "printed what it must");
}

fn rows(rows: Vec<Vec<SqlValue>>) -> SqlRows {
    SqlRows { columns: vec!["n".to_owned()], rows, cut: false }
}

/// A database with 3 orders, none without a total.
fn orders(statement: &SqlStatement) -> SqlRows {
    match statement.sql.as_str() {
        "select count(*) from orders" => rows(vec![vec![SqlValue::Integer(3)]]),
        "select id from orders" => rows((1..4).map(|id| vec![SqlValue::Integer(id)]).collect()),
        "select $1" => rows(vec![statement.parameters.clone()]),
        "select count(*) from archive" => rows(vec![vec![SqlValue::Text("3".to_owned())]]),
        "select id from orders where total is null" | "select 1 where 1 = 0" => rows(Vec::new()),
        other => panic!("{other}"),
    }
}

#[test]
fn databases_are_asked_and_finding_nothing_is_no_pass() {
    let mut place = Place::new();
    place.world.sql = orders;
    let sql = |query: &str, key: &str, demand: Value| json!({"database": "sqlite:orders.db", "query": query, key: demand});
    let count = "select count(*) from orders";
    let control = "; control: a query that finds nothing was refused";
    place.says("sql", &sql(count, "value", json!({"equals": 3})), Pass, control);
    place.says("sql", &sql(count, "value", json!({"at_least": "4"})), Fail, "at least 4");
    place.says("sql", &sql("select id from orders", "rows", json!(3)), Pass, "found 3 rows");
    place.says(
        "sql",
        &sql("select id from orders", "table", json!([[1], [2], [4]])),
        Fail,
        "row 3",
    );
    let mut given = sql("select $1", "value", json!({"equals": "x"}));
    given["parameters"] = json!(["x"]);
    place.says("sql", &given, Pass, "1 row");
    let nothing = "select id from orders where total is null";
    place.says("sql", &sql(nothing, "rows", json!(1)), NoData, "found no rows");
    let none = |control: &str| {
        let mut with = sql(nothing, "rows", json!(0));
        with["control"] = json!(control);
        with
    };
    place.says("sql", &none("select id from orders"), Pass, "the control 3");
    place.says("sql", &none(nothing), NoData, "the control query found nothing");
    let sides = |source: &str, target: &str| {
        let side = |query: &str| json!({"database": "sqlite:a.db", "query": query});
        json!({"source": side(source), "target": side(target)})
    };
    let archive = "select count(*) from archive";
    place.says("rows", &sides(count, archive), Pass, "both sides count 3");
    place.says("rows", &sides(count, "select id from orders"), NoData, "gave no number");
    // A database that finds something wherever one looks.
    place.world.sql = |_| rows(vec![vec![SqlValue::Integer(3)]]);
    place.says("sql", &sql(count, "value", json!({"equals": 3})), Error, "no_rows was let through");
    place.says("rows", &sides(count, archive), Error, "no_rows was let through");
}

fn status(status: u16, body: &str) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("x-part".into(), "one".into()), ("x-part".into(), "two".into())],
        body: body.as_bytes().to_vec(),
        cut: false,
        took: Duration::from_millis(3),
    }
}

fn credential(request: &HttpRequest) -> Option<String> {
    let found = request.headers.iter().find(|it| it.name.eq_ignore_ascii_case("authorization"));
    found.map(|it| match &it.value {
        HeaderValue::Plain(text) => text.clone(),
        HeaderValue::Secret(secret) => secret.reveal().to_owned(),
    })
}

#[test]
fn servers_are_asked_with_bad_credentials_too() {
    let mut place = Place::new();
    let with = json!({
        "url": "https://shop.example/orders", "json": {"/ready": {"equals": true}},
        "headers": {"authorization": {"secret": "TOKEN", "before": "Bearer "}},
        "answer_headers": {"X-Part": "one, two"},
        "refused_without": "Authorization",
    });
    let good =
        |request: &HttpRequest| credential(request).as_deref() == Some("Bearer s3cret-t0ken");
    place.world.http = Box::new(move |request| {
        let in_ = good(request);
        Ok(status(if in_ { 200 } else { 401 }, r#"{"ready": true}"#))
    });
    place.says("http", &with, Pass, "control: the request without Authorization got status 401");
    let evaluation = place.evaluate("http", &with);
    assert!(evaluation.judgement.reason.contains("with a bogus Authorization got status 401"));
    assert!(evaluation.damaged > 10 && evaluation.damaged == evaluation.refused);
    place.world.http = Box::new(|_| Ok(status(200, r#"{"ready": true}"#)));
    place.says("http", &with, Error, "without_credential was let through");
    place.world.http = Box::new(|request| {
        Ok(status(if credential(request).is_some() { 200 } else { 403 }, r#"{"ready": true}"#))
    });
    place.says("http", &with, Error, "bogus_credential was let through");
    place.world.http = Box::new(|_| Ok(status(200, r#"{"ready": false}"#)));
    place.says("http", &with, Fail, "at /ready is false");
    place.world.http = Box::new(|_| Ok(status(200, "")));
    place.says("http", &with, NoData, "the answer is empty");
    place.world.http = Box::new(|_| Err(StoreError::new(Code::STORE_UNREACHABLE, "no answer")));
    place.says("http", &with, Error, "no answer");
    place.world.secrets.remove("TOKEN");
    place.says("http", &with, Error, "the variable TOKEN is not set");
}

#[test]
fn an_open_port_is_told_from_a_closed_one() {
    let mut place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let with = json!({"host": "127.0.0.1", "port": port, "attempts": 3});
    place.says("tcp", &with, Pass, "took 3 connections");
    place.says("tcp", &with, Pass, "; control: a closed port was refused");
    drop(listener);
    place.says("tcp", &with, Fail, "takes no connection: closed");
    // Something in between that takes every connection.
    place.world.connect = Box::new(|_| Ok(Duration::ZERO));
    place.says("tcp", &with, Error, "closed_port was let through");
    place.world.connect = Box::new(|address| NoOutside.connect(address));
    place.says("tcp", &with, Error, "there is no way to open a connection here");
}

#[test]
fn a_certificate_must_not_be_trusted_for_another_name() {
    let mut place = Place::new();
    let with = json!({"host": "shop.example", "days_min": 7});
    let shown = |days: i64, distrust: Option<&str>| {
        let now_s = 1_800_000_000;
        Certificate {
            subject: "CN=shop.example".to_owned(),
            issuer: "CN=Authority".to_owned(),
            sha256: [7; 32],
            not_before_s: now_s - 86_400,
            not_after_s: now_s + days * 86_400,
            distrust: distrust.map(str::to_owned),
        }
    };
    let other = |request: &CertificateRequest| {
        let is_other = request.server_name.as_deref() == Some("carnet-control.invalid");
        is_other.then_some("not valid for this name")
    };
    place.world.certificate = Box::new(move |request| Ok(shown(7, other(request))));
    place.says("tls_expiry", &with, Pass, "was not trusted for another name");
    place.world.certificate = Box::new(move |request| Ok(shown(6, other(request))));
    place.says("tls_expiry", &with, Fail, "good for 6 more days");
    place.world.certificate = Box::new(move |_| Ok(shown(7, None)));
    place.says("tls_expiry", &with, Error, "other_name was let through");
    place.world.certificate = Box::new(move |_| Ok(shown(7, Some("made by nobody known"))));
    place.says("tls_expiry", &with, Fail, "is not trusted: made by nobody known");
    place.world.certificate = Box::new(move |request| {
        let refused = || StoreError::new(Code::STORE_UNREACHABLE, "unrecognised name");
        if other(request).is_some() { Err(refused()) } else { Ok(shown(7, None)) }
    });
    place.says("tls_expiry", &with, Pass, "showed no certificate for another name");
}

#[test]
fn a_lag_is_measured_again_and_again() {
    let mut place = Place::new();
    let measured = |program: &str, samples: u32| json!({"command": {"program": "sh", "args": ["-c", program]}, "at_most": "5", "samples": samples});
    place.says("lag", &measured("echo 5", 3), Pass, "3 measurements, the largest 5");
    let growing = "echo x >> seen; wc -l < seen";
    place.says("lag", &measured(growing, 6), Fail, "measurement 6 gave 6, and 5 is the most");
    place.says("lag", &measured("echo soon", 1), NoData, "gave no number");
    place.says("lag", &measured("echo 1; exit 1", 1), NoData, "gave no number");
    place.says("lag", &measured("echo -1", 1), Fail, "below 0");
    place.world.http = Box::new(|_| Ok(status(200, r#"{"lag": 0.25}"#)));
    let asked = |pointer: &str| json!({"http": {"url": "http://h/", "pointer": pointer}, "at_most": "0.25"});
    place.says("lag", &asked("/lag"), Pass, "the largest 0.25");
    place.says("lag", &asked("/none"), NoData, "gave no number");
    place.world.http = Box::new(|_| Ok(status(503, r#"{"lag": 0}"#)));
    place.says("lag", &asked("/lag"), NoData, "gave no number");
    place.world.sql = orders;
    let sql =
        |query: &str| json!({"sql": {"database": "sqlite:a.db", "query": query}, "at_most": "3"});
    place.says("lag", &sql("select count(*) from orders"), Pass, "the largest 3");
    place.says("lag", &sql("select id from orders"), NoData, "gave no number");
}

#[test]
fn objects_are_read_and_judged_like_files() {
    let mut place = Place::new();
    place.world.object = Some(br#"{"ready": true}"#);
    let with = |key: &str, demand: Value| json!({"url": "s3://b/p", "key": "k", key: demand});
    let sha256 = Digest::of(br#"{"ready": true}"#);
    place.says("object", &with("schema", schema()), Pass, "a copy that is no JSON was refused");
    place.says(
        "object",
        &with("sha256", json!(sha256)),
        Pass,
        "a copy with other bytes was refused",
    );
    place.says("object", &with("bytes_max", json!(14)), Fail, "has 15 bytes");
    place.world.object = Some(br#"{"ready": 1}"#);
    place.says("object", &with("schema", schema()), Fail, "at /ready");
    place.says("object", &with("sha256", json!(sha256)), Fail, "has the SHA-256");
    place.world.object = None;
    place.says("object", &with("bytes_min", json!(1)), NoData, "there is no object k");
}
