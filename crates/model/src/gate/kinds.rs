//! The kinds of gates that a plan can name, and reading what it says to them.

use std::sync::LazyLock;

use carnet_document::{InputError, compiled, input_errors};
use jsonschema::Validator;
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::definition::{Gate, Rule};
use super::{
    approval, authority, budget, certification, claims, command, consumer_lag, digest, file,
    handles, http, image, lag, object, policy, registry_tag, rows, run_agreement, run_evidence,
    secrets_absent, services, sql, supply_chain, tcp, term, terraform, tls_expiry, topics,
};

/// A kind of gate that a plan can name. (The gates of a knowledge move come with its process.)
#[derive(Debug, Clone, Copy)]
pub struct GateKind {
    /// Which gate.
    pub gate: Gate,
    /// What it does, in one line.
    pub does: &'static str,
    /// The JSON Schema of what stands under `with`.
    pub schema: fn() -> Value,
    read: fn(&Value) -> Result<Rule, Vec<InputError>>,
}

impl GateKind {
    /// The name in plans.
    pub const fn name(&self) -> &'static str {
        self.gate.id()
    }
}

/// The kinds of gates that a plan can name.
pub fn kinds() -> &'static [GateKind] {
    KINDS
}

/// Reads what a plan says to a gate of this kind.
pub fn read_rule(kind: &str, with: &Value) -> Result<Rule, Vec<InputError>> {
    let Some(found) = KINDS.iter().find(|it| it.name() == kind) else {
        let names: Vec<&str> = KINDS.iter().map(GateKind::name).collect();
        let remedy = format!("write one of {}", names.join(", "));
        return Err(vec![InputError::new("", "there is no gate of this kind", remedy)]);
    };
    (found.read)(with)
}

/// A list of the kinds from the gate's module, its line and its variant.
macro_rules! kinds {
    ($($variant:ident = $module:ident, $does:literal;)*) => {
        const KINDS: &[GateKind] = &[$(GateKind {
            gate: Gate::$variant,
            does: $does,
            schema: schema_of::<$module::Rule>,
            read: |with| {
                static READY: LazyLock<Option<Validator>> =
                    LazyLock::new(|| compiled(&schema_of::<$module::Rule>()).ok());
                let rule: $module::Rule = read(READY.as_ref(), with)?;
                let errors = rule.check();
                if errors.is_empty() { Ok(Rule::$variant(rule)) } else { Err(errors) }
            },
        }),*];
    };
}

kinds! {
    Command = command, "runs a program, and judges its exit status and what it prints";
    File = file, "judges a file: there, its length, its SHA-256, its JSON";
    Object = object, "judges an object in S3: there, its length, its SHA-256, its JSON";
    Digest = digest, "judges the whole content of a file or a folder";
    Sql = sql, "asks a PostgreSQL or SQLite database, and judges the rows";
    Rows = rows, "counts on two databases, and compares the counts";
    Http = http, "sends a request, and judges status, headers, JSON and refusals";
    Tcp = tcp, "opens connections to a server";
    TlsExpiry = tls_expiry, "judges the certificate that a server shows";
    Lag = lag, "measures how far something is behind";
    Claims = claims, "judges whether an environment claims what a bundle needs";
    SupplyChain = supply_chain, "judges the parts and the origin of images and disks";
    Term = term, "judges whether a date of a switch is kept";
    Approval = approval, "judges who approved this plan, having seen these gates";
    Policy = policy, "asks a policy, and judges its whole answer";
    Authority = authority, "compares an authority snapshot with a trust file";
    RunEvidence = run_evidence, "judges evidence files of a run, each by itself";
    RunAgreement = run_agreement, "judges whether evidence files of a run agree with each other";
    Certification = certification, "judges whether runs and drills certify a programme";
    Handles = handles, "compares where handles resolve with the values that a registry pins";
    Image = image, "judges an image: tag, digest, entrypoints, no secret in a layer";
    RegistryTag = registry_tag, "judges a tag in a registry of ECR: its image, and that it cannot be moved";
    Terraform = terraform, "judges what Terraform keeps: an empty plan, nothing forbidden";
    Topics = topics, "judges topics of Kafka: there, their partitions, their retention";
    ConsumerLag = consumer_lag, "judges how far a group of consumers is behind";
    Services = services, "judges what a cluster of ECS runs: how often, from which image, nothing else";
    Budget = budget, "judges a budget of an account: its limit, its alerts, what is spent";
    SecretsAbsent = secrets_absent, "judges whether parameters of SSM are gone, and the others kept";
}

fn schema_of<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

/// `ready` is the schema of the type, made once: a plan may have thousands of gates.
fn read<T: JsonSchema + DeserializeOwned>(
    ready: Option<&Validator>,
    with: &Value,
) -> Result<T, Vec<InputError>> {
    if !ready.is_some_and(|ready| ready.is_valid(with)) {
        let errors = input_errors(&schema_of::<T>(), with);
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    // The schema says all that reading demands: what is left is a gap between the two.
    T::deserialize(with).map_err(|_| {
        vec![InputError::new(
            "",
            "what is written here cannot be read",
            "compare it with the schema",
        )]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(kind: &str, with: &Value) -> Vec<String> {
        let errors = read_rule(kind, with).err().unwrap_or_default();
        assert!(errors.iter().all(|error| !error.remedy.is_empty()), "{errors:?}");
        errors.iter().map(ToString::to_string).collect()
    }

    /// A kind, what a plan may say to it, what it may not, and the place of the error.
    type Case = (&'static str, Value, Value, &'static str);

    #[rustfmt::skip]
    fn brokers() -> Vec<Case> {
        let login = json!({"user": "carnet", "password": {"secret": "KAFKA_PASSWORD"}});
        vec![
            ("topics", json!({"servers": ["h:1"], "topics": {"t": {"partitions": 3}}}), json!({"servers": ["h"], "topics": {"t": {"partitions": 3}}}), "/servers/0"),
            ("topics", json!({"servers": ["h:1"], "tls": {}, "login": login, "topics": {"t": {"partitions": 3}}}), json!({"servers": ["h:1"], "login": login, "topics": {"t": {"partitions": 3}}}), "/login"),
            ("consumer_lag", json!({"servers": ["h:1"], "group": "g", "topics": ["t"], "at_most": 10}), json!({"servers": ["h:1"], "group": "g", "topics": [], "at_most": 10}), "/topics"),
        ]
    }

    #[rustfmt::skip]
    fn cases() -> Vec<Case> {
        let sha256 = "0".repeat(64);
        let image = format!("sha256:{sha256}");
        let side = |url: &str| json!({"database": url, "query": "q"});
        let guarded = json!({"url": "https://h/p", "headers": {"authorization": {"secret": "T"}}, "refused_without": "authorization"});
        let none = json!({"database": "sqlite:a", "query": "q", "rows": 0, "control": "c"});
        let evidence = |form: &str, more: &Value| {
            let mut file = json!({"form": form});
            file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"root": "evidence", "run": {"platform_run_id": "platform_20260301T120000Z"}, "files": [file]})
        };
        let agreement = |check: &str| {
            let mut with = evidence("receipt_summary", &json!({}));
            with["checks"] = json!([check]);
            with
        };
        let certification = |same: &str, events: u64| {
            let run = |hour: u32| json!({"platform_run_id": format!("platform_20260301T{hour}0000Z")});
            let runs = [json!({"run": run(12), "events": 20}), json!({"run": run(13), "events": 200}), json!({"run": run(14), "events": events, "same_meaning_as": same})];
            json!({"root": "evidence", "runs": runs, "drills": [{"run": run(15), "drill": "duplicate"}]})
        };
        let admission = json!({"bundle": "b", "target": {"name": "t", "jurisdiction": "DE", "classifications": ["internal"]}});
        let gone = |absent: &[&str], present: &[&str]| json!({"region": "eu-west-2", "path": "/carnet", "absent": absent, "present": present});
        let cluster = |image: &str, replicas: u32| json!({"region": "eu-west-2", "cluster": "c", "services": {"s": {"replicas": replicas}}, "image": image});
        let budget = |amount: &str, at: &[&str]| json!({"account_id": "123456789012", "budget": "b", "limit": {"amount": amount, "unit": "USD"}, "alerts": {"at": at}});
        let tag = |endpoint: &str| json!({"endpoint": endpoint, "region": "eu-west-2", "repository": "r", "tag": "git-0123abc", "digest": image});
        vec![
            ("command", json!({"program": "true"}), json!({"program": "ls -l"}), "/program"),
            ("command", json!({"program": "ls -l", "shell": true}), json!({"program": "x", "stdout": {}}), "/stdout"),
            ("file", json!({"path": "a.json", "schema": {"type": "object"}}), json!({"path": "a", "sha256": "ab"}), "/sha256"),
            ("file", json!({"path": "a", "bytes_max": 1}), json!({"path": "a", "bytes_max": 0}), "/bytes_max"),
            ("object", json!({"url": "s3://b/p", "key": "k"}), json!({"url": "http://b/p", "key": "k"}), "/url"),
            ("digest", json!({"path": "a", "sha256": sha256}), json!({"path": "a"}), ""),
            ("sql", json!({"database": "sqlite:a", "query": "q", "value": {"equals": 1}}), side("sqlite:a"), ""),
            ("sql", none, json!({"database": "sqlite:a", "query": "q", "rows": 0}), "/control"),
            ("sql", json!({"database": "postgres://u@h/d", "query": "q", "rows": 1}), json!({"database": "postgres://u:secret@h/d", "query": "q", "rows": 1}), "/database"),
            ("rows", json!({"source": side("sqlite:a"), "target": side("sqlite:b")}), json!({"source": side("sqlite:a"), "target": side("sqlite:a")}), "/target"),
            ("http", json!({"url": "https://h/p", "json": {"/a": {"at_most": "5"}}}), json!({"url": "https://h/p", "json": {"a": {"at_most": "5"}}}), "/json/a"),
            ("http", guarded, json!({"url": "https://h/p", "headers": {"Authorization": "Bearer abc"}}), "/headers/Authorization"),
            ("tcp", json!({"host": "h", "port": 1}), json!({"host": "h", "port": 0}), "/port"),
            ("tls_expiry", json!({"host": "h", "days_min": 30}), json!({"host": "h", "days_min": 30, "trusted": false}), "/trusted"),
            ("lag", json!({"command": {"program": "p"}, "at_most": "5"}), json!({"at_most": "5"}), ""),
            ("lag", json!({"sql": side("sqlite:a"), "at_most": "0.5"}), json!({"sql": side("sqlite:a"), "at_most": "-1"}), "/at_most"),
            ("claims", json!({"bundle": "out/bundle", "claims": "prod/claims.json"}), json!({"bundle": "", "claims": "c"}), "/bundle"),
            ("supply_chain", json!({"bundle": "b", "trust": "t"}), json!({"bundle": "b"}), "/trust"),
            ("supply_chain", json!({"content": "c", "sbom": "s", "provenance": "p", "unsigned": true}), json!({"content": "c", "sbom": "s", "unsigned": true}), ""),
            ("term", json!({"term": "t", "at": "2026-03-31T00:00:00+02:00", "must": "before"}), json!({"term": "t", "at": "2026-03-31", "must": "before"}), "/at"),
            ("policy", json!({"policy": "p", "snapshot": sha256, "input": "i.json"}), json!({"policy": "p", "input": "i.json"}), ""),
            ("policy", json!({"policy": "p", "manifest": "b/manifest.json", "admission": admission}), json!({"policy": "p", "snapshot": sha256, "input": "i.json", "admission": admission}), ""),
            ("authority", json!({"authority": "a.json", "trust": "t"}), json!({"authority": "a.json", "trust": ""}), "/trust"),
            ("run_evidence", evidence("run_report", &json!({})), evidence("drill_report", &json!({})), "/files/0/path"),
            ("run_evidence", evidence("drill_report", &json!({"path": "drills/{platform_run_id}.json"})), evidence("run", &json!({"path": "{run_id}.json"})), "/files/0/path"),
            ("run_agreement", agreement("unresolved"), agreement("receipts"), "/files"),
            ("certification", certification("platform_20260301T130000Z", 200), certification("platform_20260301T120000Z", 200), "/runs/2/same_meaning_as"),
            ("certification", certification("platform_20260301T130000Z", 200), certification("platform_20260301T140000Z", 200), "/runs/2/same_meaning_as"),
            ("certification", certification("platform_20260301T130000Z", 200), certification("platform_20260301T130000Z", 19), "/runs/2/events"),
            ("handles", json!({"registry": "r", "env_file": "e"}), json!({"registry": "r", "env_file": "e", "object": {"url": "s3://b/p", "key": "k"}}), ""),
            ("handles", json!({"registry": "r", "parameters": {"region": "eu-west-2", "path": "/a/b"}}), json!({"registry": "r", "parameters": {"region": "eu-west-2", "path": "a//b"}}), "/parameters/path"),
            ("handles", json!({"registry": "r", "parameters": {"endpoint": "http://h:1", "region": "r-1", "path": "/a"}}), json!({"registry": "r", "env_file": "e", "parameters": {"region": "r-1", "path": "/a"}}), ""),
            ("secrets_absent", gone(&["demo/"], &["core/A"]), gone(&["demo/", "core/A"], &["core/A"]), "/present"),
            ("secrets_absent", gone(&["A"], &["B"]), gone(&["A"], &[]), "/present"),
            ("services", cluster(&image, 1), cluster(&image, 0), "/services/s/replicas"),
            ("budget", budget("30", &["10", "28.5", "30"]), budget("30 USD", &["10"]), "/limit/amount"),
            ("budget", budget("30", &["10"]), budget("30", &["10", "30.01"]), "/alerts/at/1"),
            ("registry_tag", tag("http://127.0.0.1:1"), tag("http://127.0.0.1:1/v2"), "/endpoint"),
            ("image", json!({"layout": "i", "tag": "git-0123abc", "digest": image}), json!({"layout": "i", "tag": "latest", "tag_form": "any", "digest": image}), "/tag"),
            ("terraform", json!({"place": {"folder": "infra"}, "forbidden": ["aws_lb"]}), json!({"place": {"folder": "infra"}, "forbidden": ["a b"]}), "/forbidden/0"),
            ("approval", json!({"name": "go", "any_of": ["a"], "expires_s": 60}), json!({"name": "go", "any_of": ["a"], "count": 2, "expires_s": 60}), "/any_of"),
        ]
    }

    #[test]
    fn what_is_right_is_read_and_what_is_wrong_is_told_with_its_place() {
        for (kind, right, wrong, place) in cases().iter().chain(&brokers()) {
            let rule = read_rule(kind, right).unwrap();
            assert_eq!(rule.gate().id(), *kind);
            assert!(!rule.demands().is_empty());
            let errors = read_rule(kind, wrong).unwrap_err();
            assert!(errors.iter().any(|error| error.pointer == *place), "{wrong}: {errors:?}");
            assert!(!format!("{errors:?}").contains("secret@"), "{errors:?}");
            let mut unknown = right.clone();
            unknown["no_such_key"] = json!(1);
            let told = ["/no_such_key: there is no key `no_such_key` here"];
            assert_eq!(self::errors(kind, &unknown), told);
            assert!(!self::errors(kind, &json!({})).is_empty());
            assert!(!self::errors(kind, &json!(7)).is_empty());
        }
        let tried: std::collections::BTreeSet<_> =
            cases().iter().chain(&brokers()).map(|(kind, ..)| *kind).collect();
        assert_eq!(tried.len(), kinds().len());
        assert_eq!(errors("no_such", &json!({})), ["there is no gate of this kind"]);
        assert!(read_rule("count", &json!({"mode": "append"})).is_err());
    }

    #[test]
    fn every_key_of_every_kind_is_explained() {
        for kind in kinds() {
            let schema = (kind.schema)();
            let keys = schema["properties"].as_object().unwrap();
            for (key, about) in keys {
                let said = about.get("description").and_then(Value::as_str);
                assert!(said.is_some_and(|said| !said.is_empty()), "{} {key}", kind.name());
            }
            assert_eq!(schema["additionalProperties"], json!(false), "{}", kind.name());
        }
    }
}
