use carnet_document::Code;
use carnet_ledger::Digest;

use crate::plan::{Around, Begins, NodeKind, OnFailure, Plan, Rejected};

/// Three phases: two written out, the last one at gate level.
const PLAN: &str = "carnet: v1
migration: m
owner: o
approvals: {amendment: {any_of: [ops], assurance: named}}
programme:
  scope: {in: [control], out: [learning]}
  authority: [flow.md, handles.md]
  legacy: [old/run.sh, old/jobs]
  run:
    platform_run_id: platform_20260213T214223Z
    scenario_run_id: '0123456789abcdef0123456789abcdef'
    config: config.json
    image: {tag: git-abababa, digest: 'sha256:abababababababababababababababababababababababababababababababab'}
    source_revision: 'abababababababababababababababababababab'
  evidence_root: evidence
phases:
- name: package
  phase_id: P-1
  posture: {retry: L0, says: build it again}
  evidence: [{path: 'runs/{platform_run_id}/image.json', form: image}]
  entry: [{gate: file, name: there, with: {path: flow.md}}]
  steps: [{name: build, capability: command.run, with: {program: 'true'}, undo: {capability: command.run, with: {program: 'true'}}}]
  exit: [{gate: file, with: {path: flow.md}}]
- name: substrate
  phase_id: [P0, P1]
  posture: {retry: none, says: wait}
  evidence: [{path: 'runs/{platform_run_id}/{phase_id}.json', form: apply}]
  entry: [{gate: file, name: there, with: {path: flow.md}}]
  exit: [{gate: file, with: {path: flow.md}}]
- name: later
  does: bring the daemons up
  phase_id: P2
  gate_level: true
  entry: [the substrate is done]
  exit: [all services run once]
";

fn open(text: &str) -> Result<Plan, Rejected> {
    let file = |path: &str| match path {
        "gone.md" => Err("no such file".to_owned()),
        path => Ok(Digest::of(path.as_bytes())),
    };
    Plan::open_with("p", text, &Around { now_s: None, file: &file }).map(|(plan, _)| plan)
}

#[test]
fn phases_are_begun_and_confirmed_by_an_act_of_their_own() {
    let plan = open(PLAN).unwrap();
    let phases: Vec<_> = plan
        .phases()
        .iter()
        .map(|phase| {
            let nodes: Vec<_> = phase.nodes.iter().map(|node| node.name.as_str()).collect();
            (phase.begins, phase.on_failure, nodes)
        })
        .collect();
    let package = ["activate", "there", "build", "file", "confirm"];
    let package = package.map(|node| format!("package/{node}"));
    let found: Vec<_> = package.iter().map(String::as_str).collect();
    assert_eq!(phases[0], (Begins::OnWord, OnFailure::Wait, found));
    assert_eq!(phases[2], (Begins::NotYet, OnFailure::Wait, vec!["later/activate"]));
    let nodes = &plan.phases()[0].nodes;
    for (at, node) in nodes.iter().enumerate() {
        let after: Vec<_> = node.after.iter().map(|after| after.node).collect();
        assert_eq!(after, at.checked_sub(1).into_iter().collect::<Vec<_>>(), "{}", node.name);
    }
    assert_eq!((&nodes[0].kind, &nodes[4].kind), (&NodeKind::Message, &NodeKind::Message));
}

#[test]
fn pins_are_in_the_digest() {
    let plan = open(PLAN).unwrap();
    let canonical = plan.canonical();
    let pin = format!("{{\"digest\":\"{}\",\"file\":\"flow.md\"}}", Digest::of(b"flow.md"));
    assert!(canonical.contains(&pin), "{canonical}");
    let other = |path: &str| Ok(Digest::of(format!("other {path}").as_bytes()));
    let other = Plan::open_with("p", PLAN, &Around { now_s: None, file: &other }).unwrap().0;
    assert_ne!(plan.digest(), other.digest());
    let changes = other.changes_from(&plan);
    let keys: Vec<_> = changes.rules.iter().map(|it| it.key.as_str()).collect();
    assert!(keys.contains(&"programme.authority") && keys.contains(&"programme.run"), "{keys:?}");
    // What the run is pinned to counts too.
    let run = open(&PLAN.replace("214223", "214224")).unwrap();
    assert_ne!(plan.digest(), run.digest());
}

#[test]
fn a_path_is_filled_in() {
    let plan = open(PLAN).unwrap();
    let programme = plan.programme().unwrap();
    let path = |path| programme.evidence_path(path, "P0");
    let filled = path("runs/{platform_run_id}/{phase_id}.json");
    assert_eq!(filled.as_deref(), Some("runs/platform_20260213T214223Z/P0.json"));
    assert_eq!(path("oracle/{output_id}.json"), None);
}

/// Each: what is written instead of what, the code, and what is told.
const REFUSED: &[(&str, &str, Code, &str)] = &[
    (
        "  posture: {retry: L0, says: build it again}\n",
        "",
        Code::PLAN_MISSING,
        "what its failure means",
    ),
    (
        "  evidence: [{path: 'runs/{platform_run_id}/image.json', form: image}]\n",
        "",
        Code::PLAN_MISSING,
        "no evidence contract",
    ),
    (
        "  entry: [{gate: file, name: there, with: {path: flow.md}}]\n  steps",
        "  steps",
        Code::PLAN_MISSING,
        "no entry criteria",
    ),
    (
        "  exit: [{gate: file, with: {path: flow.md}}]\n- name: sub",
        "- name: sub",
        Code::PLAN_MISSING,
        "`exit` is missing",
    ),
    ("  exit: [all services run once]\n", "", Code::PLAN_MISSING, "`exit` is missing"),
    ("  phase_id: P-1\n", "", Code::PLAN_MISSING, "no canonical id"),
    ("[P0, P1]", "[P0, P0]", Code::PLAN_CONFLICT, "a second phase has the id P0"),
    ("[P0, P1]", "P-1", Code::PLAN_CONFLICT, "a second phase has the id P-1"),
    ("[P0, P1]", "[P1]", Code::PLAN_CONFLICT, "P0 is left out between P-1 and P1"),
    ("[P0, P1]", "P0", Code::PLAN_CONFLICT, "P1 is left out between P0 and P2"),
    ("[P0, P1]", "[P1, P0]", Code::PLAN_CONFLICT, "P0 stands behind P1"),
    ("phase_id: P2", "phase_id: P13", Code::PLAN_VALUE, "P0 to P12"),
    ("retry: L0", "retry: L5", Code::PLAN_VALUE, "`retry` has no value"),
    ("gate_level: true", "gate_level: false", Code::PLAN_VALUE, "must be true"),
    (
        "{phase_id}.json",
        "{phase}.json",
        Code::PLAN_VALUE,
        "no token {phase}; there are {platform_run_id}",
    ),
    ("{phase_id}.json", "{phase_id.json", Code::PLAN_VALUE, "a brace is open"),
    ("{phase_id}.json", "../x.json", Code::PLAN_VALUE, "not a plain path below the root"),
    (
        "'runs/{platform_run_id}/{phase_id}.json'",
        "'runs/{platform_run_id}/image.json'",
        Code::PLAN_CONFLICT,
        "written once",
    ),
    ("form: image", "form: run_reprot", Code::PLAN_VALUE, "`run_report`"),
    (
        "image.json', form: image",
        "obs/run_report.json', form: report",
        Code::PLAN_VALUE,
        "is the place of `run_report`",
    ),
    ("name: build", "name: confirm", Code::PLAN_CONFLICT, "has a node `confirm` already"),
    ("{program: 'true'}, undo", "{program: ./old/run.sh}, undo", Code::PLAN_CONFLICT, "legacy"),
    (
        "{program: 'true'}, undo",
        "{program: sh, args: [-c, 'cd x && old/jobs/a.py']}, undo",
        Code::PLAN_CONFLICT,
        "legacy",
    ),
    (
        "with: {program: 'true'}}",
        "with: {program: old/x/../jobs/b}}",
        Code::PLAN_CONFLICT,
        "legacy",
    ),
    (
        "exit: [{gate: file, with: {path: flow.md}}]\n- name: later",
        "exit: [{gate: command, with: {program: python3, args: [old/jobs/check.py]}}]\n- name: later",
        Code::PLAN_CONFLICT,
        "legacy",
    ),
    (
        "{program: 'true'}, undo",
        "{program: sh, args: [jobs/a.py], folder: old}, undo",
        Code::PLAN_CONFLICT,
        "legacy",
    ),
    (
        "{program: 'true'}, undo",
        "{program: 'true', folder: old/x, repeat: {probe: {program: ../run.sh}}}, undo",
        Code::PLAN_CONFLICT,
        "legacy",
    ),
    (
        "exit: [{gate: file, with: {path: flow.md}}]\n- name: later",
        "exit: [{gate: command, with: {program: run.sh, folder: ./old}}]\n- name: later",
        Code::PLAN_CONFLICT,
        "legacy",
    ),
    ("handles.md", "gone.md", Code::PLAN_VALUE, "no such file"),
    ("config.json", "gone.md", Code::PLAN_VALUE, "no such file"),
    ("handles.md", "./flow.md", Code::PLAN_CONFLICT, "stands twice"),
    ("out: [learning]", "out: [control]", Code::PLAN_CONFLICT, "both in the scope and out"),
    (
        "approvals: {amendment: {any_of: [ops], assurance: named}}\n",
        "",
        Code::PLAN_MISSING,
        "nobody may approve",
    ),
    ("platform_20260213T214223Z", "platform_1", Code::PLAN_VALUE, "platform_run_id"),
    ("  scope: {in: [control], out: [learning]}\n", "", Code::PLAN_VALUE, "scope"),
    (
        "  evidence_root: evidence\n",
        "  evidence_root: evidence\n  more: x\n",
        Code::PLAN_VALUE,
        "more",
    ),
];

#[test]
fn what_is_wrong_is_refused_where_it_stands() {
    for (old, new, code, told) in REFUSED {
        assert!(PLAN.contains(old), "{old}");
        let rejected = open(&PLAN.replacen(old, new, 1)).unwrap_err();
        let found = rejected
            .diagnostics
            .iter()
            .any(|it| it.code == *code && format!("{} {}", it.message, it.remedy).contains(told));
        assert!(found, "{old} -> {new}: {rejected:#?}");
    }
}

#[test]
fn what_only_looks_like_legacy_is_taken() {
    for fine in [
        "{program: 'true', args: [older/jobs]}",
        "{program: old/runner.sh}",
        "{program: run.sh, folder: older}",
        "{program: sh, args: [jobs/a.py], folder: new}",
    ] {
        let text = PLAN.replacen("{program: 'true'}, undo", &format!("{fine}, undo"), 1);
        assert!(open(&text).is_ok(), "{fine}");
    }
}

#[test]
fn the_keys_of_a_programme_need_one() {
    let (before, rest) = PLAN.split_once("programme:\n").unwrap();
    let (_, phases) = rest.split_once("phases:\n").unwrap();
    let rejected = open(&format!("{before}phases:\n{phases}")).unwrap_err();
    let told = |text: &str| rejected.diagnostics.iter().any(|it| it.message.contains(text));
    assert!(told("`phase_id` is for phases of a programme"), "{rejected:#?}");
    assert!(told("`gate_level` is for phases of a programme"), "{rejected:#?}");
    let back = format!(
        "{PLAN}rollback:\n  phases:\n  - name: back\n    posture: {{retry: L0, says: x}}\n    \
         steps: [{{name: s, capability: command.run, with: {{program: 'true'}}, undo: {{capability: command.run, \
         with: {{program: 'true'}}}}}}]\n    exit: [{{gate: file, with: {{path: flow.md}}}}]\n"
    );
    let rejected = open(&back).unwrap_err();
    let told = |text: &str| rejected.diagnostics.iter().any(|it| it.message.contains(text));
    assert!(told("`posture` is not for phases of the way back"), "{rejected:#?}");
}
