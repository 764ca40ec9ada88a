//! The registry holds together, and inputs that are wrong are refused where they are wrong.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;

fn pointers(name: &str, with: &Value) -> Vec<String> {
    let errors = check_inputs(descriptor(name).unwrap(), with).err().unwrap_or_default();
    errors.into_iter().map(|error| error.pointer).collect()
}

/// One that fits, for each that takes inputs.
#[expect(clippy::too_many_lines, reason = "a table")]
fn fitting() -> Vec<(&'static str, Value)> {
    let s3 = |bucket: &str| format!("s3://{bucket}/in?endpoint=http://127.0.0.1:8333&region=x");
    vec![
        ("command.run", json!({"program": "true"})),
        (
            "command.run",
            json!({"program": "bin/x", "args": ["a b"], "env": {"A": "b", "C": {"secret": "D"}},
                "succeeds_with": [0, 3], "repeat": {"probe": {"program": "test", "args": ["-f", "x"]}}}),
        ),
        (
            "http.request",
            json!({"method": "POST", "url": "http://h:1/p?q", "body": {"json": {"a": [1]}},
            "headers": {"Authorization": {"secret": "TOKEN", "before": "Bearer "}}, "idempotency_header": "Idempotency-Key"}),
        ),
        (
            "sql.change",
            json!({"database": "sqlite:a.db", "statements": [
            {"sql": "update t set a = $1 where b = $2", "parameters": [null, 7]}, {"sql": "delete from u"}]}),
        ),
        (
            "sql.change",
            json!({"database": "postgres://me@h:5/d", "statements": [{"sql": "select 1"}]}),
        ),
        ("file.copy", json!({"from": "a", "to": "b/c", "replace": true, "sha256": "0".repeat(64)})),
        ("s3.copy", json!({"from": s3("a"), "to": s3("b"), "keys": ["x/y"]})),
        (
            "service.restart",
            json!({"manager": "supervisord", "service": "web", "settings": "s.conf"}),
        ),
        ("service.restart", json!({"manager": "systemd", "service": "web@1.service"})),
        ("policy.snapshot", json!({"policy": "rules", "into": "out/policy"})),
        (
            "policy.enforce",
            json!({
                "snapshot": "in/policy",
                "sha256": "0".repeat(64),
                "authority": "in/authority/snapshot.json",
                "trust": "trust",
                "place": "policy",
            }),
        ),
        (
            "policy.enforce",
            json!({
                "snapshot": "in/policy",
                "manifest": "in/manifest.json",
                "authority": "in/authority/snapshot.json",
                "trust": "trust",
                "place": "policy",
            }),
        ),
        ("snapshot.export", json!({"store": "faiss:lab", "into": "out"})),
        ("snapshot.verify", json!({"snapshot": "out/x"})),
        (
            "snapshot.import",
            json!({"snapshot": "out/x", "store": "sqlite:kb.db", "mode": "replace"}),
        ),
        ("erasure.survey", json!({"items": [{"what": "dumps", "path": "old/dumps"}]})),
        ("erasure.record", json!({"surveyed": "retain/survey", "erased_by": "ops"})),
        (
            "workload.place",
            json!({"from": "in", "into": "web", "name": "web", "start": true, "healthy_within_s": 5,
                "runtime": {"program": "podman", "storage": "pods", "settings": "c.conf"}}),
        ),
        ("workload.start", json!({"name": "web", "pod": true, "healthy_within_s": 5})),
        ("workload.stop", json!({"name": "web", "runtime": {}, "within_s": 0})),
        ("workload.remove", json!({"name": "web", "folder": "web"})),
        (
            "vm.place",
            json!({"from": "in", "into": "vm", "programs": {"emulator": "q", "tpm": "s",
                "images": "i", "firmware_code": "f"}}),
        ),
        (
            "vm.boot",
            json!({"machine": "vm", "console": ["up"], "answers_on": 8080, "within_s": 9,
                "forward": [{"outside": 8080, "inside": 80}]}),
        ),
        ("vm.stop", json!({"machine": "vm", "within_s": 1})),
        ("vm.remove", json!({"machine": "vm"})),
        ("bundle.export", bundle()),
        ("bundle.transfer", json!({"from": "out/bundle", "to": "in/bundle"})),
        ("bundle.verify", json!({"bundle": "in/bundle", "keys": ["k.vkey"], "placed": "place"})),
        ("bundle.import", json!({"bundle": "in/bundle", "place": "place", "papers": true})),
        ("env.set", json!({"env_file": "prod/.env", "key": "URL", "value": "sqlite:kb.db"})),
        ("run.take_back", json!({"step": "cutover/switch"})),
        (
            "terraform.apply",
            json!({"place": {"folder": "infra", "variables": {"a": "b", "c": {"secret": "D"}},
                "env": {"AWS_REGION": "x"}}, "before": "infra-1"}),
        ),
        (
            "parameter.put",
            json!({"region": "eu-west-2", "name": "/carnet/dev_min/A", "value": {"secret": "A"}}),
        ),
        (
            "ecs.service",
            json!({"region": "eu-west-2", "cluster": "demo", "service": "ingest", "desired_count": 0,
                "task_definition": "ingest:2", "wait": "accepted", "limit_s": 9}),
        ),
        (
            "ecs.task",
            json!({"region": "eu-west-2", "cluster": "demo", "task_definition": "job:2",
                "launch_type": "FARGATE", "limit_s": 9, "image": format!("sha256:{}", "a".repeat(64)),
                "network": {"subnets": ["subnet-0a"], "security_groups": ["sg-0a"]},
                "overrides": {"job": {"command": ["run"], "environment": {"A": "b"}}}}),
        ),
        ("terraform.destroy", json!({"place": {"folder": "infra", "time_limit_s": 9}})),
        ("knowledge.switch", json!({})),
    ]
}

fn bundle() -> Value {
    json!({
        "bundle": "out/bundle", "scenario": "container", "workload_id": "web",
        "source_provider": "lab", "policy": "out/policy", "authorities": "trust",
        "contents": [{"type": "config", "path": "config/a", "from": "a"}],
        "governance": {"jurisdiction": "DE", "classification": "internal", "retention": "P1Y",
            "evidence_pointers": []},
        "dependencies": {}, "recipients": ["age1x"],
    })
}

#[test]
fn names_are_unique_and_every_step_of_knowledge_is_one() {
    let names: BTreeSet<_> = all().iter().map(|one| one.name).collect();
    assert_eq!(names.len(), all().len());
    for step in knowledge::STEPS {
        let one = descriptor(&format!("knowledge.{step}")).unwrap();
        assert_eq!(step_of(one.name), Some(step));
        assert_eq!(one.safety == Safety::Mutating, step.mutates(), "{step}");
        assert_eq!(one.undo == UndoKind::Nothing, !step.mutates(), "{step}");
    }
    assert_eq!(
        all().iter().filter(|one| step_of(one.name).is_some()).count(),
        knowledge::STEPS.len()
    );
    assert!(descriptor("no.such").is_none() && step_of("knowledge.x").is_none());
}

#[test]
fn what_only_looks_has_nothing_to_take_back() {
    for one in all() {
        let looks = one.safety == Safety::ReadOnly;
        assert_eq!(looks, one.undo == UndoKind::Nothing, "{}", one.name);
        assert!(!looks || one.undo_reach == UndoReach::Nowhere, "{}", one.name);
        assert!(!one.does.is_empty() && !one.does.ends_with('.'), "{}", one.name);
    }
}

/// Readers return to the source on every way back; what was restarted or taken back stays so.
#[test]
fn how_far_an_undo_reaches_is_declared() {
    let named = |reach: UndoReach| -> Vec<&str> {
        let changes = all().iter().filter(|one| one.undo != UndoKind::Nothing);
        let mut found: Vec<_> =
            changes.filter(|one| one.undo_reach == reach).map(|one| one.name).collect();
        found.sort_unstable();
        found
    };
    let always = ["env.set", "knowledge.raise_flag", "knowledge.switch"];
    assert_eq!(named(UndoReach::Always), always);
    assert_eq!(named(UndoReach::Nowhere), ["run.take_back", "service.restart"]);
}

#[test]
fn inputs_that_fit_pass_and_an_unknown_key_never_does() {
    for (name, with) in fitting() {
        assert_eq!(check_inputs(descriptor(name).unwrap(), &with), Ok(()), "{name} {with}");
        let mut more = with.clone();
        more["no_such_key"] = json!(1);
        // One that takes nothing at all is refused as a whole.
        let at = if step_of(name).is_some() { "" } else { "/no_such_key" };
        assert_eq!(pointers(name, &more), [at], "{name}");
    }
    let tried: BTreeSet<_> = fitting().into_iter().map(|(name, _)| name).collect();
    for one in all().iter().filter(|one| step_of(one.name).is_none()) {
        assert!(tried.contains(one.name), "{} has no sample", one.name);
    }
}

/// Every key that a sample has may be broken: of another type, the input is refused there.
#[test]
fn every_value_of_another_type_is_refused_at_its_place() {
    for (name, with) in fitting() {
        for key in with.as_object().unwrap().keys() {
            let mut other = with.clone();
            other[key] = json!([[1.5]]);
            let found = pointers(name, &other);
            assert!(!found.is_empty(), "{name} takes anything for {key}");
            assert!(found.iter().all(|at| at.starts_with(&format!("/{key}"))), "{name}: {found:?}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_no_schema_can_say_is_refused() {
    let s3 = "s3://b/p?endpoint=http://u:p@h";
    for (name, with, pointer) in [
        ("command.run", json!({"program": ""}), "/program"),
        ("command.run", json!({"program": "a\0b"}), "/program"),
        ("command.run", json!({"program": "a", "env": {"A": "\0"}}), "/env/A"),
        ("command.run", json!({"program": "a", "env": {"1A": "x"}}), "/env"),
        ("command.run", json!({"program": "a", "succeeds_with": [256]}), "/succeeds_with/0"),
        ("command.run", json!({"program": "a", "time_limit_s": 0}), "/time_limit_s"),
        ("http.request", json!({"method": "GET", "url": "http://u:p@h/"}), "/url"),
        ("http.request", json!({"method": "GET", "url": "ftp://h/"}), "/url"),
        (
            "http.request",
            json!({"method": "GET", "url": "http://h", "body": {"text": "x"}}),
            "/body",
        ),
        (
            "http.request",
            json!({"method": "PUT", "url": "http://h", "headers": {"authorization": "Bearer x"}}),
            "/headers/authorization",
        ),
        (
            "http.request",
            json!({"method": "PUT", "url": "http://h", "headers": {"X": "a\r\nB: c"}}),
            "/headers/X",
        ),
        (
            "sql.change",
            json!({"database": "postgres://u:p@h/d", "statements": [{"sql": "x"}]}),
            "/database",
        ),
        (
            "sql.change",
            json!({"database": "postgres://h/d?password=p", "statements": [{"sql": "x"}]}),
            "/database",
        ),
        ("sql.change", json!({"database": "sqlite:a", "statements": []}), "/statements"),
        (
            "sql.change",
            json!({"database": "sqlite:a", "statements": [{"sql": "x"}, {"sql": "  COMMIT"}]}),
            "/statements/1/sql",
        ),
        (
            "sql.change",
            json!({"database": "sqlite:a", "statements": [{"sql": "x", "parameters": [1.5]}]}),
            "/statements/0/parameters/0",
        ),
        ("erasure.survey", json!({"items": []}), "/items"),
        (
            "erasure.survey",
            json!({"items": [{"what": "a", "path": "p"}, {"what": "b", "path": "p"}]}),
            "/items/1/path",
        ),
        ("erasure.record", json!({"surveyed": "survey", "erased_by": "ops"}), "/surveyed"),
        ("file.copy", json!({"from": "a", "to": "a"}), "/to"),
        ("file.copy", json!({"from": "a", "to": "b/"}), "/to"),
        ("file.copy", json!({"from": "a", "to": "b", "sha256": "AB"}), "/sha256"),
        ("s3.copy", json!({"from": s3, "to": "s3://c"}), "/from"),
        ("s3.copy", json!({"from": "s3://a", "to": "s3://a"}), "/to"),
        ("s3.copy", json!({"from": "s3://a", "to": "s3://b", "keys": ["x", "x"]}), "/keys/1"),
        (
            "service.restart",
            json!({"manager": "systemd", "service": "a", "settings": "b"}),
            "/settings",
        ),
        ("service.restart", json!({"manager": "systemd", "service": "-x"}), "/service"),
        (
            "terraform.apply",
            json!({"place": {"folder": "a", "env": {"TF_CLI_ARGS_apply": "-x"}}}),
            "/place/env/TF_CLI_ARGS_apply",
        ),
        ("policy.snapshot", json!({"policy": "a", "into": "a"}), "/into"),
        (
            "policy.enforce",
            json!({"snapshot": "a", "authority": "b", "trust": "c", "place": "d"}),
            "",
        ),
        (
            "policy.enforce",
            json!({"snapshot": "a", "manifest": "m", "authority": "b", "trust": "c", "place": "a"}),
            "/place",
        ),
        ("snapshot.export", json!({"store": "snapshot:x", "into": "y"}), "/store"),
        ("snapshot.import", json!({"store": "postgres://u:p@h/d", "snapshot": "y"}), "/store"),
        ("workload.place", json!({"from": "a", "into": "b", "name": "-x"}), "/name"),
        ("workload.start", json!({"name": "x", "runtime": {"shell": "sh"}}), "/runtime/shell"),
        ("vm.boot", json!({"machine": "a"}), ""),
        ("vm.boot", json!({"machine": "a", "answers_on": 80}), "/answers_on"),
        (
            "vm.boot",
            json!({"machine": "a", "console": ["x"],
                "forward": [{"outside": 1, "inside": 2}, {"outside": 1, "inside": 3}]}),
            "/forward/1/outside",
        ),
        ("knowledge.switch", json!([]), ""),
    ] {
        assert_eq!(pointers(name, &with), [pointer], "{name} {with}");
    }
}

#[test]
fn what_no_schema_can_say_of_a_crossing_is_refused() {
    for (name, with, pointer) in [
        ("bundle.export", with(bundle(), "workload_id", Value::Null), "/workload_id"),
        ("bundle.export", with(bundle(), "scenario", json!("data_only")), "/workload_id"),
        (
            "bundle.export",
            with(
                bundle(),
                "contents",
                json!([{"type": "config", "path": "a", "from": "a"},
                    {"type": "config", "path": "A", "from": "b"}]),
            ),
            "/contents/1/path",
        ),
        (
            "bundle.export",
            with(
                bundle(),
                "contents",
                json!([{"type": "policy_snapshot", "path": "policy/x", "from": "a"}]),
            ),
            "/contents/0/type",
        ),
        ("bundle.transfer", json!({"from": "a", "to": "a"}), "/to"),
        ("bundle.import", json!({"bundle": "a", "place": "a"}), "/place"),
        ("env.set", json!({"env_file": "a/", "key": "K", "value": "v"}), "/env_file"),
        ("env.set", json!({"env_file": "a", "key": "1", "value": "v"}), "/key"),
        ("env.set", json!({"env_file": "a", "key": "K", "value": "a\nb"}), "/value"),
        ("env.set", json!({"env_file": "a", "key": "K", "value": "postgres://u:p@h/d"}), "/value"),
        ("run.take_back", json!({"step": "cutover"}), "/step"),
        ("ecs.service", with(service(), "desired_count", json!(11)), "/desired_count"),
        ("ecs.service", with(service(), "desired_count", json!(-1)), "/desired_count"),
        // The newest revision of a family is another one tomorrow.
        ("ecs.service", with(service(), "task_definition", json!("ingest")), "/task_definition"),
        ("ecs.service", with(service(), "wait", json!("never")), "/wait"),
        ("ecs.task", with(task(), "network", Value::Null), "/network"),
        ("ecs.task", with(task(), "launch_type", json!("EXTERNAL")), "/network"),
        ("ecs.task", with(task(), "network", json!({"subnets": []})), "/network/subnets"),
        ("ecs.task", with(task(), "task_definition", json!("job:0")), "/task_definition"),
        ("ecs.task", with(task(), "image", json!("registry.example/job:1")), "/image"),
        (
            "ecs.task",
            with(task(), "overrides", json!({"job": {"command": ["x".repeat(8_192)]}})),
            "/overrides",
        ),
        // Each variable is sent with two keys of its own, which ECS counts.
        ("ecs.task", with(task(), "overrides", many_variables()), "/overrides"),
        // What is said here is shown to everybody who may look at the task.
        (
            "ecs.task",
            with(task(), "overrides", json!({"job": {"environment": {"A": {"secret": "S"}}}})),
            "/overrides/job/environment/A",
        ),
        ("ecs.service", with(service(), "endpoint", json!("http://h/p")), "/endpoint"),
    ] {
        assert_eq!(pointers(name, &with), [pointer], "{name} {with}");
    }
}

fn service() -> Value {
    json!({"region": "r-1", "cluster": "demo", "service": "ingest", "desired_count": 1})
}

fn many_variables() -> Value {
    let many: BTreeMap<String, &str> = (0..300).map(|it| (format!("A{it}"), "b")).collect();
    json!({"job": {"environment": many}})
}

fn task() -> Value {
    json!({"region": "r-1", "cluster": "demo", "task_definition": "job:2",
        "network": {"subnets": ["subnet-0a"]}})
}

/// The same with a member of another value; `null` takes it out.
fn with(mut inputs: Value, key: &str, value: Value) -> Value {
    if value.is_null() {
        inputs.as_object_mut().unwrap().remove(key);
    } else {
        inputs[key] = value;
    }
    inputs
}

#[test]
fn a_password_is_not_repeated() {
    for (name, with) in [
        (
            "sql.change",
            json!({"database": "postgres://u:s3cr3t@h/d", "statements": [{"sql": "x"}]}),
        ),
        ("http.request", json!({"method": "GET", "url": "http://u:s3cr3t@h/"})),
        ("snapshot.export", json!({"store": "postgres://u:s3cr3t@h/d", "into": "x"})),
        ("env.set", json!({"env_file": "a", "key": "K", "value": "postgres://u:s3cr3t@h/d"})),
    ] {
        let errors = check_inputs(descriptor(name).unwrap(), &with).unwrap_err();
        assert!(!format!("{errors:?}").contains("s3cr3t"), "{errors:?}");
    }
}

#[test]
fn inputs_may_say_how_a_crash_is_met() {
    let kind = |name: &str, with: &Value| repeat(descriptor(name).unwrap(), with);
    let run = |repeat: Value| json!({"program": "a", "repeat": repeat});
    assert_eq!(kind("command.run", &json!({"program": "a"})), Repeat::Manual);
    assert_eq!(kind("command.run", &run(json!("again"))), Repeat::Again);
    assert_eq!(kind("command.run", &run(json!({"probe": {"program": "b"}}))), Repeat::Probe);
    let call = json!({"method": "POST", "url": "http://h"});
    assert_eq!(kind("http.request", &call), Repeat::Manual);
    let call = json!({"method": "POST", "url": "http://h", "idempotency_header": "Key"});
    assert_eq!(kind("http.request", &call), Repeat::Again);
    assert_eq!(kind("sql.change", &Value::Null), Repeat::Probe);
}
