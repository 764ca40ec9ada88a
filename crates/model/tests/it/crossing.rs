//! Plans of portability/v1: what they are compiled to, and what is wrong with them, in its line.

use std::collections::BTreeMap;

use carnet_ledger::Digest;
use carnet_model::plan::{Around, NodeKind, Part, Plan, Rejected, Side};

const DATA: &str = r#"carnet: v1
migration: kb
owner: data-platform
governance: { jurisdiction: DE, classification: internal, retention: P365D }
trust: trust
dependencies: { service_id: kb, dependencies: [], none_because: files alone }
approvals:
  cutover: { any_of: [ops], assurance: named }
process: portability/v1
portability:
  scenario: data_only
  source: { name: lab, data: { store: "faiss:lab" }, usage_receipts: usage.jsonl }
  target:
    name: prod
    jurisdiction: FR
    accepts: [internal]
    place: prod/place
    policies: prod/policies
    store: "sqlite:prod/kb.db"
  policy: { folder: policy }
  transfer: { outbox: out, inbox: in }
  downtime_expected: PT0S
  cutover: { switch: { env_file: prod/.env, key: URL, value: new } }
"#;

const CONTAINER: &str = r#"carnet: v1
migration: web
owner: data-platform
governance: { jurisdiction: DE, classification: internal, retention: P365D }
trust: trust
dependencies: { service_id: web, dependencies: [], none_because: an image alone }
process: portability/v1
portability:
  scenario: container
  workload_id: web
  source:
    name: lab
    container: { image: "oci:lab/image", definition: lab/compose.yaml }
    stop: { program: podman, args: [stop, web] }
    start: { program: podman, args: [start, web] }
  target:
    name: prod
    jurisdiction: FR
    accepts: [internal]
    place: prod/place
    policies: prod/policies
    container: { into: prod/web }
  policy: { folder: policy }
  transfer: { outbox: out, inbox: in }
  downtime_expected: PT1M
  health: [{ gate: http, with: { url: "http://127.0.0.1:8080/" } }]
"#;

fn open(text: &str) -> Result<Plan, Rejected> {
    let file = |_: &str| Ok(Digest::of(b"trust"));
    Plan::open_with("p.yaml", text, &Around { now_s: None, file: &file }).map(|(plan, _)| plan)
}

fn nodes(plan: &Plan, part: Part) -> Vec<&str> {
    let phases = plan.phases().iter().filter(move |phase| phase.part == part);
    phases.flat_map(|phase| phase.nodes.iter().map(|node| node.name.as_str())).collect()
}

#[test]
fn a_crossing_has_seven_phases_and_a_way_back() {
    let plan = open(DATA).unwrap();
    let names: Vec<_> = plan.phases().iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "plan", "export", "transfer", "import", "validate", "cutover", "activate", "leave",
            "resume", "clear"
        ]
    );
    let forward = nodes(&plan, Part::Forward);
    let place = |name: &str| forward.iter().position(|node| *node == name).expect(name);
    // Nothing is placed before everything was decided, and nothing switched before it was validated.
    let order = [
        "export/policy",
        "export/snapshot",
        "export/bundle",
        "transfer/transfer",
        "import/verify",
        "import/enforce",
        "import/place",
        "import/load",
        "validate/reread",
        "cutover/approval",
        "cutover/switch",
        "cutover/commit",
    ];
    assert!(order.map(place).is_sorted(), "{forward:?}");
    assert_eq!(plan.phases()[5].nodes.last().unwrap().kind, NodeKind::Commit);
    let back = nodes(&plan, Part::Rollback);
    assert!(back.contains(&"resume/cutover_switch"), "{back:?}");
    assert!(back.iter().all(|name| !name.contains("stop_source")), "{back:?}");
}

#[test]
fn a_workload_runs_on_trial_and_is_started_for_good_after_the_commit() {
    let plan = open(CONTAINER).unwrap();
    let forward = nodes(&plan, Part::Forward);
    let place = |name: &str| forward.iter().position(|node| *node == name).expect(name);
    let order = [
        "import/workload",
        "validate/start",
        "validate/http",
        "validate/stop",
        "cutover/stop_source",
        "cutover/commit",
        "activate/start",
    ];
    assert!(order.map(place).is_sorted(), "{forward:?}");
    assert_eq!(nodes(&plan, Part::Rollback)[0], "leave/activate_start");
}

#[test]
fn a_machine_is_off_before_its_disk_is_read_and_started_again_on_every_way_back() {
    let text = CONTAINER
        .replace("scenario: container", "scenario: vm")
        .replace(
            "container: { image: \"oci:lab/image\", definition: lab/compose.yaml }",
            "machine: { disk: d, memory_mib: 64 }",
        )
        .replace("container: { into: prod/web }", "machine: { into: prod/vm, console: [up] }");
    let plan = open(&text).unwrap();
    let forward = nodes(&plan, Part::Forward);
    let place = |name: &str| forward.iter().position(|node| *node == name).expect(name);
    let order = ["export/policy", "export/stop_source", "export/bundle", "cutover/commit"];
    assert!(order.map(place).is_sorted(), "{forward:?}");
    assert!(!forward.contains(&"cutover/stop_source"), "{forward:?}");
    assert!(nodes(&plan, Part::Rollback).contains(&"resume/export_stop_source"));
    let export = Side::Export { bundle: "elsewhere".to_owned() };
    let export = plan.of_side(export, 1).unwrap();
    assert!(nodes(&export, Part::Forward).contains(&"export/stop_source"));
    assert!(nodes(&export, Part::Rollback).contains(&"resume/export_stop_source"));
}

#[test]
fn each_side_has_its_part_alone() {
    let plan = open(DATA).unwrap();
    let of = |side: Side| plan.of_side(side, 1).unwrap();
    let bundle = || "elsewhere/bundle".to_owned();
    let export = of(Side::Export { bundle: bundle() });
    let import = of(Side::Import { bundle: bundle(), identity: None });
    let names = |plan: &Plan| {
        let forward = plan.phases().iter().filter(|phase| phase.part == Part::Forward);
        forward.map(|phase| phase.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&export), ["plan", "export"]);
    assert_eq!(names(&import), ["import", "validate"]);
    let digests = [plan.digest(), export.digest(), import.digest()];
    assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
    let given = |plan: &Plan, node: &str, key: &str| {
        let (_, node) = plan.node(node).unwrap();
        node.step().unwrap().with[key].as_str().map(str::to_owned)
    };
    assert_eq!(given(&export, "export/bundle", "bundle"), Some(bundle()));
    assert_eq!(given(&import, "import/verify", "bundle"), Some(bundle()));
    assert_eq!(export.document().migration.as_str(), "kb-export-1");
    // Whatever crosses, a plan of another process has no sides.
    let other = open(
        "carnet: v1\nmigration: m\nowner: o\nphases:\n- name: a\n  exit:\n  - gate: file\n    with: {path: a}\n",
    );
    assert!(other.unwrap().of_side(Side::Export { bundle: bundle() }, 1).is_none());
}

/// What is replaced, by what, and what is said about it: code, line, and a piece of the remedy.
type Mistake = (&'static str, &'static str, &'static str, (&'static str, usize), &'static str);

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    (DATA, "scenario: data_only", "scenario: data", ("plan.value", 11), ""),
    (DATA, "scenario: data_only", "scenario: vm", ("plan.missing", 12), "machine"),
    (DATA, ", retention: P365D", "", ("plan.missing", 4), "retention"),
    (DATA, "trust: trust\n", "", ("plan.missing", 9), "trust"),
    (DATA, "dependencies: { service_id: kb, dependencies: [], none_because: files alone }\n", "", ("plan.missing", 1), "dependencies"),
    (DATA, "store: \"faiss:lab\"", "store: \"faiss:lab\", snapshot: x", ("plan.conflict", 12), "one of them"),
    (DATA, "    place: prod/place", "    place: prod/policies", ("plan.conflict", 18), "own"),
    (DATA, "inbox: in }", "inbox: out/in }", ("plan.conflict", 21), "own"),
    (DATA, "PT0S", "0", ("plan.value", 22), ""),
    (DATA, "PT0S", "P1X", ("plan.value", 22), "PT4H"),
    (DATA, "  policy: { folder: policy }\n", "", ("plan.value", 10), ""),
    (DATA, "  cutover: { any_of: [ops], assurance: named }", "  import_it: { any_of: [ops], assurance: named }", ("plan.conflict", 8), "import"),
    (DATA, "process: portability/v1", "process: knowledge/v1", ("plan.conflict", 9), "portability/v1"),
    (DATA, "process: portability/v1", "source: { name: x }\nprocess: portability/v1", ("plan.conflict", 9), "docs/plan.md"),
    (CONTAINER, "    start: { program: podman, args: [start, web] }\n", "", ("plan.missing", 14), "start"),
    (CONTAINER, "  workload_id: web\n", "", ("plan.missing", 9), "workload_id"),
    (CONTAINER, "    container: { into: prod/web }\n", "", ("plan.missing", 16), "container"),
    (CONTAINER, "  health: [{ gate: http, with: { url: \"http://127.0.0.1:8080/\" } }]\n", "", ("plan.missing", 9), "health"),
    (CONTAINER, "oci:lab/image", "lab/image", ("plan.value", 13), ""),
    (CONTAINER, "gate: http, with: { url:", "gate: htp, with: { url:", ("plan.value", 26), "http"),
    (CONTAINER, "{ url: \"http://127.0.0.1:8080/\" }", "{}", ("plan.value", 26), ""),
];

#[test]
fn mistakes_are_told_in_their_line_with_a_remedy() {
    let mut wrong = BTreeMap::new();
    for (base, from, to, (code, line), remedy) in MISTAKES {
        assert!(base.contains(from), "{from}");
        let Err(rejected) = open(&base.replacen(from, to, 1)) else {
            wrong.insert(*from, "nothing was found".to_owned());
            continue;
        };
        let fits = rejected.diagnostics.iter().any(|found| {
            found.code.name() == *code
                && found.span.line == *line
                && found.remedy.contains(remedy)
                && !found.remedy.is_empty()
        });
        if !fits {
            wrong.insert(*from, format!("{:#?}", rejected.diagnostics));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
