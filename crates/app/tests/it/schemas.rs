//! What commands print with `--json` follows the schema that `carnet schema NAME` prints, and what has a
//! member too many, too few or of another kind does not.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// A run that waits for word, for time and for a person, with a gate that only an exception opens.
const PLAN: &str = "
carnet: v1
migration: waits
owner: lab
evidence: { tenant: lab }
approvals:
  go: { any_of: [ops], assurance: named }
exceptions:
  - { gate: copy/gone, label: known, owner: lab, reason: it was moved, expires_at: 2999-01-01T00:00:00Z, approval: go }
phases:
  - name: copy
    on_failure: wait
    steps:
      - { name: one, capability: file.copy, with: { from: in.txt, to: out.txt } }
    exit:
      - { gate: file, name: there, with: { path: out.txt } }
      - { gate: file, name: gone, with: { path: gone.txt } }
  - name: live
    steps:
      - { message: released, name: released }
      - { wait: PT1H, name: soak, after: [] }
      - { name: two, capability: file.copy, with: { from: in.txt, to: two.txt }, after: [released, soak] }
    exit:
      - { gate: file, name: done, with: { path: two.txt } }
";

/// Members that hold what is of no fixed form: a plan, a rule, what was seen, what came out, a schema.
const OPEN: [&str; 10] = [
    "definition",
    "document",
    "facts",
    "files",
    "inputs",
    "observation",
    "rule",
    "schema",
    "undo_by",
    "with",
];

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("in.txt"), "one\n").unwrap();
        std::fs::write(place.0.path().join("plan.yaml"), PLAN).unwrap();
        place
    }

    /// What a command prints to stdout, however it ends.
    fn says(&self, line: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_carnet"))
            .args(line.split(' '))
            .current_dir(self.0.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        let text = self.says(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}\n{text}"))
    }

    /// The command prints what the schema says, and nothing else would do.
    fn follows(&self, schema: &str, line: &str) -> Value {
        let printed = self.json(line);
        self.judge(schema, line, &printed);
        printed
    }

    fn judge(&self, name: &str, line: &str, printed: &Value) {
        let schema: Value = serde_json::from_str(&self.says(&format!("schema {name}"))).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<_> = validator
            .iter_errors(printed)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{line} does not follow {name}: {wrong:#?}\n{printed:#}");
        let mut tried = 0;
        for (what, damaged) in damaged(printed) {
            tried += 1;
            assert!(!validator.is_valid(&damaged), "{line}: {name} lets it pass: {what}");
        }
        let is_empty = printed.as_array().is_some_and(Vec::is_empty);
        assert!(tried > 0 || is_empty, "{line}: nothing could be damaged");
    }
}

/// The document with a member too many in each object, and with each member of the outermost objects
/// gone or of another kind.
fn damaged(document: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut places = Vec::new();
    objects(document, String::new(), &mut places);
    for place in places {
        let mut damaged = document.clone();
        damaged.pointer_mut(&place).unwrap()["surplus"] = json!(1);
        found.push((format!("{place}/surplus"), damaged));
        let members = document.pointer(&place).unwrap().as_object().unwrap();
        for name in members.keys().filter(|name| !OPEN.contains(&name.as_str())) {
            let mut other = document.clone();
            other.pointer_mut(&place).unwrap()[name.as_str()] = json!({"surplus": [{}]});
            found.push((format!("{place}/{name} of another kind"), other));
        }
    }
    found
}

fn objects(value: &Value, place: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(name, _)| !OPEN.contains(&name.as_str()))
            {
                objects(
                    member,
                    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
            found.push(place);
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                objects(item, format!("{place}/{number}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_run_that_waits_is_told_as_its_schemas_say() {
    let place = Place::new();
    place.follows("plan-shown", "plan plan.yaml");
    place.follows("why", "why plan.yaml there");
    assert_eq!(place.follows("status", "run plan.yaml")["status"], "waiting");
    let incidents = place.follows("incident-list", "incident list plan.yaml");
    assert_eq!(incidents[0]["subject"], "copy/gone");
    place.says("approve plan.yaml go --as ops --yes");
    place.says("run plan.yaml");

    let status = place.follows("status", "status plan.yaml");
    assert_eq!(
        (status["messages"].clone(), status["timers"][0]["timer"].clone()),
        (json!(["live/released"]), json!("live/soak"))
    );
    assert!(
        status["gates"][1]["exception"].is_string() && status["approvals"][0]["approver"] == "ops"
    );
    assert_eq!(place.follows("status-all", "status").as_array().unwrap().len(), 1);
    let watched = place.says("status plan.yaml --watch --json");
    let line = watched.lines().next().unwrap();
    place.judge("status-watch", "status --watch", &serde_json::from_str(line).unwrap());
    let history = place.follows("history", "history plan.yaml");
    assert!(history.as_array().unwrap().iter().any(|it| it["exception"].is_string()));
    assert_eq!(place.follows("why", "why plan.yaml gone")["verdict"], "no_data");
    assert!(!place.follows("why", "why plan.yaml there")["damage"].as_array().unwrap().is_empty());
    assert_eq!(place.follows("incident-list", "incident list plan.yaml"), json!([]));
    assert_eq!(place.follows("rollback-preview", "rollback plan.yaml --preview")["possible"], true);
    assert_eq!(place.follows("status", "rollback plan.yaml")["status"], "rolled_back");
    assert_eq!(
        place.follows("rollback-preview", "rollback plan.yaml --preview")["possible"],
        false
    );

    let digest = place.json("check plan.yaml")["plan_digest"].clone();
    let more = format!("amends: sha256:{}\nowner: other\n", digest.as_str().unwrap());
    let amended =
        PLAN.replace("owner: lab\nevidence", &format!("{more}evidence")).replace("PT1H", "PT2H");
    std::fs::write(place.0.path().join("next.yaml"), amended).unwrap();
    let changes = place.follows("plan-changes", "plan next.yaml --amends plan.yaml");
    assert!(changes["rules"].as_array().is_some_and(|all| !all.is_empty()), "{changes:#}");
}

/// Two phases, of which the second one is not written out.
const PROGRAMME: &str = "
carnet: v1
migration: steps
owner: lab
approvals: { amendment: { any_of: [ops], assurance: named } }
programme:
  scope: { in: [control] }
  authority: [in.txt]
  run:
    platform_run_id: platform_20260213T214223Z
    scenario_run_id: 0123456789abcdef0123456789abcdef
    config: config.json
    image: { tag: git-0a1b2c3, digest: 'sha256:1212121212121212121212121212121212121212121212121212121212121212' }
    source_revision: 0a1b2c3d4e
  evidence_root: store
phases:
  - name: one
    phase_id: P0
    posture: { retry: L0, says: again }
    evidence: [{ path: one.json, form: one }]
    entry: [{ gate: file, with: { path: in.txt } }]
    exit: [{ gate: file, name: there, with: { path: in.txt } }]
  - { name: two, does: the rest, phase_id: P1, gate_level: true, entry: [one], exit: [two] }
";

#[test]
fn the_phases_of_a_programme_are_told_as_their_schema_says() {
    let place = Place::new();
    std::fs::write(place.0.path().join("plan.yaml"), PROGRAMME).unwrap();
    std::fs::write(place.0.path().join("config.json"), "{}").unwrap();
    let shown = place.follows("phase-shown", "phase show plan.yaml");
    assert_eq!(shown["next"], Value::Null);
    place.follows("status", "run plan.yaml");
    place.says("phase advance plan.yaml");
    place.says("phase block plan.yaml one --reason x");
    let shown = place.follows("phase-shown", "phase show plan.yaml");
    let statuses = [&shown["phases"][0]["status"], &shown["phases"][1]["status"]];
    assert_eq!(statuses, ["BLOCKED", "NOT_STARTED"]);
    assert!(shown["next"]["missing"].as_array().is_some_and(|all| all.len() > 1), "{shown:#}");
    assert_eq!(
        place.follows("status", "status plan.yaml")["waits_for"]["code"],
        "programme.blocked"
    );
}

#[test]
fn a_knowledge_base_that_moved_is_told_as_its_schema_says() {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart");
    let copied = Command::new("cp").arg("-r").arg(root).arg(place.0.path().join("q")).status();
    assert!(copied.unwrap().success());
    for made in ["archive", "keys"] {
        drop(std::fs::remove_dir_all(place.0.path().join("q").join(made)));
    }
    let status = place.follows("status", "run q/migration.yaml");
    assert!(
        status["collections"][0]["root_target"].is_string() && status["switch"]["switched"] == true
    );
    place.follows("plan-shown", "plan q/migration.yaml");
    place.follows("why", "why q/migration.yaml count");
    place.follows("history", "history q/migration.yaml");
    place.follows("rollback-preview", "rollback q/migration.yaml --preview");
}

#[test]
fn gates_and_capabilities_are_told_as_their_schemas_say() {
    let place = Place::new();
    place.follows("gate-list", "gate list");
    place.follows("gate-score", "gate score");
    for gate in ["http", "approval"] {
        place.follows("gate-shown", &format!("gate list {gate}"));
    }
    place.follows("cap-list", "cap list");
    for capability in ["file.copy", "http.request"] {
        place.follows("cap-shown", &format!("cap show {capability}"));
    }
    let copy = "cap run file.copy --set from=in.txt --set to=out.txt";
    assert_eq!(place.follows("cap-run", &format!("{copy} --dry-run"))["dry_run"], true);
    let done = place.follows("cap-run", &format!("{copy} --execute"));
    assert_eq!(
        (done["status"].clone(), done["receipts"][0]["mode"].clone()),
        (json!("done"), json!("execute"))
    );
    let failed = place.follows("cap-run", "cap run command.run --set program=false --execute");
    assert!(failed["reason"].is_string());
}
