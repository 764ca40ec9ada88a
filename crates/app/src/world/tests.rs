//! Gates through the real world: Python's web server, that of openssl, a database file.

#[cfg(feature = "aws")]
mod aws;
mod image;
#[cfg(feature = "kafka")]
mod kafka;
mod platform;
mod terraform;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use carnet_engine::{Surroundings, evaluate_outside};
use carnet_model::gate::{Definition, Evaluation, Verdict, read_rule};
use serde_json::{Value, json};

use super::World;
use crate::outside::SystemClock;

/// A process that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn evaluate(folder: &Path, kind: &str, with: &Value) -> Evaluation {
    let rule = read_rule(kind, with).unwrap();
    let clock = SystemClock::new().unwrap();
    let around = Surroundings { folder, outside: &World, clock: &clock };
    let (evaluation, _) = evaluate_outside(&around, &Definition::new(rule));
    assert!(!evaluation.is_broken(), "{evaluation:?}");
    evaluation
}

#[track_caller]
fn says(folder: &Path, kind: &str, with: &Value, verdict: Verdict, reason: &str) {
    let judgement = evaluate(folder, kind, with).judgement;
    assert_eq!(judgement.verdict, verdict, "{with}: {judgement:?}");
    assert!(judgement.reason.contains(reason), "{with}: {judgement:?}");
}

use Verdict::{Error, Fail, NoData, Pass};

#[test]
fn a_web_server_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("health.json"), r#"{"status": "ready", "lag": 0.5}"#)
        .unwrap();
    std::fs::write(folder.path().join("empty.json"), "").unwrap();
    let script = "import http.server, sys\n\
        h = http.server.SimpleHTTPRequestHandler\n\
        s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), h)\n\
        print(s.server_port, flush=True)\n\
        s.serve_forever()";
    #[expect(clippy::disallowed_methods, reason = "the test command tells where Python is")]
    let python = std::env::var("CARNET_TEST_PYTHON")
        .expect("CARNET_TEST_PYTHON is not set: run ./test, which installs it");
    let mut command = Command::new(python);
    command.args(["-c", script]).current_dir(&folder).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (server, port) = (Server(child), line.trim().to_owned());
    let says = |kind: &str, with: &Value, verdict, reason: &str| {
        says(folder.path(), kind, with, verdict, reason);
    };
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let ready = |path: &str| {
        json!({
            "url": url(path), "json": {"/status": {"equals": "ready"}, "/lag": {"at_most": "0.5"}},
            "answer_headers": {"Content-Type": "application/json"},
        })
    };
    says("http", &ready("health.json"), Pass, "status 200; 4 checks hold");
    says("http", &ready("empty.json"), NoData, "the answer is empty");
    says("http", &ready("none.json"), Fail, "status 404");
    let lag = json!({"http": {"url": url("health.json"), "pointer": "/lag"}, "at_most": "1", "samples": 3});
    says("lag", &lag, Pass, "the largest 0.5");
    let port: u16 = port.parse().unwrap();
    says("tcp", &json!({"host": "localhost", "port": port}), Pass, "a closed port was refused");
    // This server lets everybody in: a gate that demands a credential must not pass.
    let guarded = json!({
        "url": url("health.json"), "headers": {"Authorization": {"secret": "PATH"}},
        "refused_without": "Authorization",
    });
    says("http", &guarded, Error, "without_credential was let through");
    drop(server);
    says("http", &ready("health.json"), Error, "refuses connections");
    says("tcp", &json!({"host": "localhost", "port": port}), Fail, "takes no connection");
}

#[test]
fn a_certificate_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let mut command = Command::new("openssl");
        let output = command.args(args.split(' ')).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 60 -subj /CN=CA -keyout ca.key -out ca.pem");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out a.csr");
    std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        "x509 -req -in a.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out cert.pem",
    );
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-www", "-cert", "cert.pem", "-key", "key.pem"]);
    command.args(["-accept", &format!("127.0.0.1:{port}")]).current_dir(&folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = |days: u32, name: &str, roots: &str| json!({"host": "127.0.0.1", "port": port, "server_name": name, "roots": roots, "days_min": days});
    let says = |with: &Value, verdict, reason: &str| {
        says(folder.path(), "tls_expiry", with, verdict, reason);
    };
    let control = "the certificate was not trusted for another name";
    says(&asked(29, "localhost", "ca.pem"), Pass, control);
    says(&asked(31, "localhost", "ca.pem"), Fail, "more days, and must be for 31");
    says(&asked(7, "other.example", "ca.pem"), Fail, "is not trusted");
    says(&asked(7, "localhost", "cert.pem"), Fail, "is not trusted");
    says(&asked(7, "localhost", "none.pem"), Error, "cannot use the roots");
}

#[test]
#[cfg(feature = "sqlite")]
fn a_database_file_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import sqlite3\n\
        c = sqlite3.connect('shop.db')\n\
        c.execute('create table orders (id integer primary key, total integer)')\n\
        c.executemany('insert into orders values (?, ?)', [(1, 10), (2, 20), (3, 30)])\n\
        c.commit()";
    #[expect(clippy::disallowed_methods, reason = "the test command tells where Python is")]
    let python = std::env::var("CARNET_TEST_PYTHON")
        .expect("CARNET_TEST_PYTHON is not set: run ./test, which installs it");
    let made = Command::new(python).args(["-c", script]).current_dir(&folder).status().unwrap();
    assert!(made.success());
    let sql = |query: &str, key: &str, demand: Value| json!({"database": "sqlite:shop.db", "query": query, key: demand});
    let says = |with: &Value, verdict, reason: &str| {
        says(folder.path(), "sql", with, verdict, reason);
    };
    let count = "select count(*) from orders";
    let control = "a query that finds nothing was refused";
    says(&sql(count, "value", json!({"equals": 3})), Pass, control);
    says(&sql(count, "value", json!({"equals": 4})), Fail, "is 3, and must be 4");
    let table = json!([[1, 10], [2, 20], [3, 30]]);
    says(&sql("select id, total from orders order by id", "table", table), Pass, "3 rows");
    says(&sql("select id from orders where id > 9", "rows", json!(1)), NoData, "no rows");
    let mut none = sql("select id from orders where total is null", "rows", json!(0));
    none["control"] = json!("select id from orders");
    says(&none, Pass, "the control 3");
    // A gate only looks: what would change the database is refused.
    says(&sql("delete from orders returning id", "rows", json!(3)), Error, "");
    says(&sql(count, "value", json!({"equals": 3})), Pass, control);
    says(&sql("select no_such from orders", "rows", json!(1)), Error, "no_such");
    let gone = json!({"database": "sqlite:gone.db", "query": count, "rows": 1});
    says(&gone, Error, "");
    assert!(!folder.path().join("gone.db").exists());
}

#[test]
fn a_command_runs_in_the_folder_of_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ready"), "").unwrap();
    let with = json!({"program": "ls", "args": ["ready"]});
    says(folder.path(), "command", &with, Pass, "ls ended with status 0");
    let with = json!({"program": "ls", "args": ["missing"]});
    says(folder.path(), "command", &with, Fail, "ls ended with status 2");
}
