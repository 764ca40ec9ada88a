//! Samples of the gates that a plan can name.

use carnet_ledger::Digest;
use serde_json::{Value, json};

use super::super::content::Content;
use super::super::definition::Facts;
use super::super::expected::Scalar;
use super::super::kinds::read_rule;
use super::super::{
    approval, command, digest, file, http, lag, object, rows, sql, tcp, tls_expiry,
};
use super::Sample;

/// A document that follows [`schema`].
const DOCUMENT: &str = r#"{"status": "ready", "behind": 3, "parts": ["a", "b", "c"]}"#;

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["status", "behind", "parts"],
        "additionalProperties": false,
        "properties": {
            "status": {"enum": ["ready", "done"]},
            "behind": {"type": "integer", "minimum": 0, "maximum": 10},
            "parts": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
        },
    })
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

/// A sample of a rule as a plan says it; none if the rule is refused, which the score shows.
pub(super) fn sample(kind: &str, with: &Value, facts: Facts) -> Vec<Sample> {
    read_rule(kind, with).map(|rule| Sample::new(rule, facts)).into_iter().collect()
}

/// The sample with another observation of nothing.
pub(super) fn or_empty(samples: Vec<Sample>, facts: &Facts) -> Vec<Sample> {
    samples.into_iter().map(|sample| sample.or_empty(facts.clone())).collect()
}

pub(super) fn commands() -> Vec<Sample> {
    let ran = |printed: &str| {
        let stdout = Content::of(printed.as_bytes());
        let (took_ms, stderr, cut) = (12, String::new(), false);
        let ended = command::Ended::Exited(0);
        Facts::Command(command::Facts {
            run: Some(command::Ran { ended, took_ms, stdout, cut, stderr }),
        })
    };
    let status = json!({"program": "systemctl", "args": ["is-active", "nginx"]});
    let printed = json!({"program": "inventory", "args": ["--json"], "stdout": schema()});
    let printed = or_empty(sample("command", &printed, ran(DOCUMENT)), &ran(""));
    [sample("command", &status, ran("active\n")), printed].concat()
}

pub(super) fn files() -> Vec<Sample> {
    let found = |text: &str| {
        let (kind, content) = (file::Kind::File, Content::of(text.as_bytes()));
        Facts::File(file::Facts { found: Some(file::Found { kind, content }) })
    };
    let there = json!({"path": "dumps/orders.dump"});
    let pinned = json!({
        "path": "dumps/orders.dump", "sha256": sha256(b"orders"), "bytes_min": 6, "bytes_max": 6,
    });
    let document = json!({"path": "inventory.json", "schema": schema()});
    [(there, "orders"), (pinned, "orders"), (document, DOCUMENT)]
        .iter()
        .flat_map(|(with, text)| or_empty(sample("file", with, found(text)), &found("")))
        .collect()
}

pub(super) fn objects() -> Vec<Sample> {
    let found = |text: &str| {
        let content = Content::of(text.as_bytes());
        let (bytes, etag) = (content.bytes, "\"5d41402abc4b2a76\"".to_owned());
        let service_sha256 = Some(content.sha256);
        let found = object::Found { bytes, etag, service_sha256, content };
        Facts::Object(object::Facts { found: Some(found) })
    };
    let url = "s3://backups/orders?endpoint=http://127.0.0.1:9000";
    let pinned = json!({"url": url, "key": "orders.dump", "sha256": sha256(b"orders")});
    let sized = json!({"url": url, "key": "orders.dump", "bytes_min": 1, "bytes_max": 100});
    let document = json!({"url": url, "key": "inventory.json", "schema": schema()});
    [(pinned, "orders"), (sized, "orders"), (document, DOCUMENT)]
        .iter()
        .flat_map(|(with, text)| or_empty(sample("object", with, found(text)), &found("")))
        .collect()
}

pub(super) fn digests() -> Vec<Sample> {
    let leaf = |path: &str| digest::Leaf { path: path.to_owned(), sha256: sha256(path.as_bytes()) };
    let folder = digest::Tree { folder: true, files: vec![leaf("a"), leaf("b/c"), leaf("d")] };
    let file = digest::Tree { folder: false, files: vec![leaf("")] };
    let empty = digest::Tree { folder: true, files: Vec::new() };
    let facts = |found: &digest::Tree, other: Option<&digest::Tree>| {
        Facts::Digest(digest::Facts { found: Some(found.clone()), other: other.cloned() })
    };
    let pinned = |tree: &digest::Tree| json!({"path": "releases/7", "sha256": tree.digest()});
    let same = json!({"path": "releases/7", "same_as": "staging/7"});
    let samples = [
        sample("digest", &pinned(&folder), facts(&folder, None)),
        sample("digest", &pinned(&file), facts(&file, None)),
        sample("digest", &same, facts(&folder, Some(&folder))),
        sample("digest", &same, facts(&file, Some(&file))),
    ];
    or_empty(samples.concat(), &facts(&empty, Some(&empty)))
}

pub(super) fn queries() -> Vec<Sample> {
    let (url, query) = ("sqlite:orders.db", "select count(*) from orders");
    let facts = |rows: Vec<Vec<Scalar>>, control_rows| {
        let columns = vec!["n".to_owned()];
        let answer = Some(sql::Answer { columns, rows, cut: false });
        Facts::Sql(sql::Facts { answer, control_rows })
    };
    let one = |value| facts(vec![vec![value]], None);
    let row = |name: &str, count| vec![Scalar::Text(name.to_owned()), Scalar::Integer(count)];
    let table = vec![row("new", 3), row("paid", 4), row("sent", 5)];
    let rule = |key: &str, demand: Value| json!({"database": url, "query": query, key: demand});
    let none = json!({
        "database": url, "query": "select id from orders where total is null", "rows": 0,
        "control": "select id from orders limit 1",
    });
    let nothing = facts(Vec::new(), None);
    let samples = [
        sample("sql", &rule("value", json!({"equals": 500})), one(Scalar::Integer(500))),
        sample("sql", &rule("value", json!({"equals": true})), one(Scalar::Bool(true))),
        sample("sql", &rule("value", json!({"equals": "on"})), one(Scalar::Text("on".to_owned()))),
        sample("sql", &rule("value", json!({"at_least": "1"})), one(Scalar::Integer(1))),
        sample("sql", &rule("value", json!({"at_most": "2.5"})), one(Scalar::Text("2.5".into()))),
        sample("sql", &rule("table", json!(table)), facts(table, None)),
        sample("sql", &rule("rows", json!(1)), one(Scalar::Integer(7))),
        sample("sql", &none, facts(Vec::new(), Some(1))),
    ];
    or_empty(samples.concat(), &nothing)
}

pub(super) fn counts() -> Vec<Sample> {
    let side = |url: &str| json!({"database": url, "query": "select count(*) from orders"});
    let with = json!({"source": side("postgres://app@db1/shop"), "target": side("sqlite:shop.db")});
    let counted = |source, target| Facts::Rows(rows::Facts { source, target });
    let samples = sample("rows", &with, counted(Some(500), Some(500)));
    let samples = or_empty(samples, &counted(Some(0), Some(0)));
    or_empty(samples, &counted(Some(500), None))
}

pub(super) fn requests() -> Vec<Sample> {
    let answered = |status, text: &str| {
        let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
        let (content, cut, took_ms) = (Content::of(text.as_bytes()), false, 4);
        let answer = http::Answer { status, headers, content, cut, took_ms };
        Facts::Http(http::Facts { answer: Some(answer) })
    };
    let url = "https://shop.example/health";
    let status = json!({"url": url, "status": [200, 204]});
    let headers = json!({"url": url, "answer_headers": {"Content-Type": "application/json"}});
    let values = json!({"url": url, "json": {
        "/status": {"equals": "ready"},
        "/behind": {"at_least": "0", "at_most": "3"},
        "/parts/1": {"equals": "b"},
    }});
    let document = json!({"url": url, "schema": schema()});
    let pinned = json!({"url": url, "sha256": sha256(DOCUMENT.as_bytes())});
    let guarded = json!({
        "url": url, "headers": {"authorization": {"secret": "SHOP_TOKEN", "before": "Bearer "}},
        "refused_without": "authorization",
    });
    let of_body = [values, document, pinned].into_iter().flat_map(|with| {
        or_empty(sample("http", &with, answered(200, DOCUMENT)), &answered(200, ""))
    });
    let samples = [
        sample("http", &status, answered(204, "")),
        sample("http", &headers, answered(200, DOCUMENT)),
        sample("http", &guarded, answered(200, DOCUMENT)),
        of_body.collect(),
    ];
    samples.concat()
}

pub(super) fn connections() -> Vec<Sample> {
    let attempts = |times: &[u64]| {
        let attempt = |ms: &u64| tcp::Attempt { open_ms: Some(*ms), why: None };
        Facts::Tcp(tcp::Facts { attempts: times.iter().map(attempt).collect() })
    };
    let once = json!({"host": "db1", "port": 5432});
    let often = json!({"host": "db1", "port": 5432, "attempts": 3, "limit_s": 2});
    let samples =
        [sample("tcp", &once, attempts(&[3])), sample("tcp", &often, attempts(&[3, 1, 2_000]))];
    samples.concat()
}

pub(super) fn certificates() -> Vec<Sample> {
    const NOW_S: i64 = 1_800_000_000;
    let shown = |distrust: Option<&str>| {
        let certificate = tls_expiry::Shown {
            subject: "CN=shop.example".to_owned(),
            issuer: "CN=Example CA".to_owned(),
            sha256: sha256(b"certificate"),
            not_before_s: NOW_S,
            not_after_s: NOW_S + 30 * 86_400,
            distrust: distrust.map(str::to_owned),
        };
        Facts::TlsExpiry(tls_expiry::Facts { at_s: NOW_S, shown: Some(certificate) })
    };
    let trusted = json!({"host": "shop.example", "days_min": 30});
    let named = json!({
        "host": "10.0.0.7", "days_min": 0, "trusted": false, "sha256": sha256(b"certificate"),
    });
    let samples = [
        sample("tls_expiry", &trusted, shown(None)),
        sample("tls_expiry", &named, shown(Some("made by nobody known"))),
    ];
    samples.concat()
}

pub(super) fn lags() -> Vec<Sample> {
    let measured = |values: &[&str]| {
        let sample = |value: &&str| lag::Sample { value: value.parse().ok() };
        Facts::Lag(lag::Facts { samples: values.iter().map(sample).collect() })
    };
    let sql =
        json!({"database": "postgres://app@db1/shop", "query": "select lag from replication"});
    let once = json!({"sql": sql, "at_most": "5"});
    let often = json!({
        "http": {"url": "https://shop.example/lag", "pointer": "/seconds"},
        "at_most": "0.5", "samples": 3, "every_ms": 200,
    });
    let never = json!({"command": {"program": "lag"}, "at_most": "0"});
    let samples = [
        sample("lag", &once, measured(&["5"])),
        sample("lag", &often, measured(&["0.25", "0", "0.5"])),
        sample("lag", &never, measured(&["0"])),
    ];
    or_empty(samples.concat(), &measured(&["none"]))
}

pub(super) fn approvals() -> Vec<Sample> {
    const NOW_S: i64 = 1_800_000_000;
    let approval = |approver: &str, key: Option<&str>| approval::Approval {
        gate: "go_live".to_owned(),
        approver: approver.to_owned(),
        key: key.map(|key| format!("SHA256:{key}")),
        plan: sha256(b"plan"),
        table: sha256(b"table"),
        at_s: NOW_S - 60,
        expires_at_s: Some(NOW_S + 600),
        signed: key.is_some(),
        withdrawn: false,
    };
    let facts = |approvals| {
        let (plan, table) = (sha256(b"plan"), sha256(b"table"));
        let asked = approval::Asked { plan, table, initiator: "dora".to_owned(), at_s: NOW_S };
        Facts::Approval(approval::Facts { asked: Some(asked), approvals })
    };
    let (ada, ben) = (approval("ada", Some("a")), approval("ben", Some("b")));
    let cleo = approval("cleo", Some("c"));
    let any_of = json!(["ada", "ben", "cleo", "dora"]);
    let two = json!({"name": "go_live", "any_of": any_of, "count": 2, "expires_s": 14_400});
    let named = json!({
        "name": "go_live", "any_of": ["dora"], "not_initiator": false, "expires_s": 61,
        "assurance": "named",
    });
    let samples = [
        sample("approval", &two, facts(vec![ada.clone(), ben.clone()])),
        // One more than is needed, and one that does not count.
        sample("approval", &two, facts(vec![approval("eve", Some("e")), ada, ben, cleo])),
        sample("approval", &named, facts(vec![approval("dora", None)])),
    ];
    or_empty(samples.concat(), &facts(Vec::new()))
}
