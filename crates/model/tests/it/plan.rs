use std::io::Write as _;
use std::process::{Command, Stdio};

use carnet_model::plan::{
    Diagnostic, Node, Phase, PhaseName, Plan, PlannedUndo, Severity, StepName,
};
use proptest::prelude::*;

use crate::metadata::python;

/// A plan with every key.
pub(crate) const FULL: &str = r#"carnet: v1
migration: kb-lab-to-prod
owner: data-platform
governance: { jurisdiction: DE, classification: internal, retention: P365D }
evidence: { profile: ecs-evidence-admissible, tenant: lab, hash_profile: ecs-hash-v1 }
source:
  name: lab
  knowledge:
    store: "postgres://reader@lab:5433/kb?table=docs"
    artifacts: lab/knowledge
    collections:
      docs:
        metric: inner_product
        normalisation: unit_length
        embedding_model: { name: all-MiniLM-L6-v2, revision: "1" }
        index: { kind: hnsw, parameters: { m: 16 } }
    layout: columns
    columns: { id: doc_id, vector: emb, metadata: meta, version: v, source_hash: h, created_ts: c, updated_ts: u }
    drop: [tsv]
target:
  name: prod
  knowledge:
    store: "postgres://writer@prod/kb?table=docs"
    artifacts: prod/knowledge
    index: { kind: hnsw, parameters: { m: 16, ef_construction: 64 } }
process: knowledge/v1
import: { mode: upsert }
quiesce: { flag: lab/pause_ingestion }
transfer: { inbox: prod/inbox }
validate: { queries: 20, k: 5, tolerance: "0.00001" }
accept_loss: [index, _columns]
cutover: { switch: { env_file: prod/das.env, key: VECTOR_ENDPOINT, value: "postgres://prod/kb" } }
decommission: { archive: lab/archive }
"#;

/// The least that is a plan.
pub(crate) const SMALL: &str = "carnet: v1
migration: kb
owner: data-platform
source: { name: lab, knowledge: { store: \"faiss:lab\" } }
target: { name: prod, knowledge: { store: \"sqlite:prod/kb.db\" } }
process: knowledge/v1
";

/// One plan with a mistake: the text that is replaced, and what is said about it.
struct Mistake {
    base: &'static str,
    from: &'static str,
    to: &'static str,
    /// Code, line, column of each finding.
    found: &'static [(&'static str, usize, usize)],
    /// A piece of the first remedy.
    remedy: &'static str,
}

const fn mistake(
    base: &'static str,
    from: &'static str,
    to: &'static str,
    found: &'static [(&'static str, usize, usize)],
    remedy: &'static str,
) -> Mistake {
    Mistake { base, from, to, found, remedy }
}

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    mistake(SMALL, "owner: data-platform\n", "", &[("plan.missing", 1, 1)], "add `owner: …`"),
    mistake(SMALL, "owner:", "ownre:", &[("plan.unknown_key", 3, 1)], "did you mean `owner`?"),
    mistake(SMALL, "process: ", "proces: x\nprocess: ", &[("plan.unknown_key", 6, 1)], "did you mean `process`?"),
    mistake(SMALL, "process: ", "zzz: x\nprocess: ", &[("plan.unknown_key", 6, 1)], "the keys here are carnet, migration"),
    mistake(SMALL, "name: lab, ", "", &[("plan.missing", 4, 1)], "add `name: …`"),
    mistake(SMALL, "carnet: v1", "carnet: v2", &[("plan.value", 1, 9)], "did you mean v1?"),
    mistake(SMALL, "carnet: v1", "carnet: 1", &[("plan.value", 1, 9)], "put it in quotes: \"1\""),
    mistake(SMALL, "migration: kb", "migration: KB Lab", &[("plan.value", 2, 12)], "kb-lab"),
    mistake(SMALL, "owner: data-platform", "owner: [a]", &[("plan.value", 3, 1)], "write one text"),
    mistake(SMALL, "owner: data-platform", "owner:", &[("plan.value", 3, 1)], "write a value"),
    mistake(SMALL, "faiss:lab", "redis:lab", &[("plan.value", 4, 42)], "faiss:DIR"),
    mistake(SMALL, "knowledge/v1", "move.bpmn", &[("plan.unsupported", 6, 10)], "write knowledge/v1"),
    mistake(SMALL, "process: knowledge/v1", "process: {phases: []}", &[("plan.value", 6, 1)], "write one text"),
    mistake(SMALL, "source: {", "source: lab #", &[("plan.value", 4, 9)], "key: value"),
    mistake(FULL, "cutover: {", "approvals: {cutover: {any_of: [ops]}}\ncutover: {", &[("plan.conflict", 32, 13)], "add `trust: FILE`"),
    mistake(FULL, "cutover: {", "approvals: {cutovr: {any_of: [ops], assurance: named}}\ncutover: {", &[("plan.conflict", 32, 13)], "did you mean cutover?"),
    mistake(FULL, "cutover: {", "rollback: {window: PT24H}\ncutover: {", &[("plan.unsupported", 32, 1)], "take the key out"),
    mistake(FULL, "cutover: {", "cutover: { hold_max: PT5S,", &[("plan.unsupported", 32, 12)], "take the key out"),
    mistake(FULL, "cutover: {", "cutover: { window: {},", &[("plan.unsupported", 32, 12)], "take the key out"),
    mistake(FULL, "tenant: lab", "tenant: lab, signer: 7", &[("plan.value", 5, 68)], "put it in quotes"),
    mistake(FULL, "tenant: lab", "tenant: lab, signer: k, create_signer: yes", &[("plan.value", 5, 86)], "true or false"),
    mistake(FULL, "tenant: lab", "tenant: lab, signer: lab/knowledge/prompts/op", &[("plan.conflict", 5, 68)], "not part of what moves"),
    mistake(FULL, "tenant: lab", "tenant: lab, create_signer: true", &[("plan.conflict", 5, 75)], "add `signer: FILE`"),
    mistake(FULL, "tenant: lab", "tenant: lab, singer: keys/op", &[("plan.unknown_key", 5, 60)], "did you mean `signer`?"),
    mistake(FULL, "P365D", "365 days", &[("plan.value", 4, 70)], "P365D"),
    mistake(FULL, "admissible", "admissable", &[("plan.value", 5, 22)], "did you mean ecs-evidence-admissible?"),
    mistake(FULL, "ecs-evidence-admissible", "ecs-evidence-regulated-ml", &[("plan.unsupported", 5, 22)], "write ecs-evidence-admissible or ecs-evidence-ncp"),
    mistake(FULL, "admissible, tenant: lab, hash_profile: ecs-hash-v1", "ncp, hash_profile: rfc8785-sha256-v1", &[("plan.conflict", 5, 54)], "write ecs-hash-v1"),
    mistake(FULL, "queries: 20", "queries: 0.5", &[("plan.value", 30, 22)], "from 1 to 10000"),
    mistake(FULL, "[index, _columns]", "[0.5]", &[("plan.value", 31, 15)], "\"0.5\""),
    mistake(FULL, "flag: lab/pause_ingestion", "flag: 1.5", &[("plan.value", 28, 18)], "put it in quotes"),
    mistake(FULL, "\"0.00001\"", "0.00001", &[("plan.value", 30, 43)], "\"0.00001\""),
    mistake(FULL, "\"0.00001\"", "\"1\"", &[("plan.value", 30, 43)], "0.00001"),
    mistake(FULL, "\"0.00001\"", "\"small\"", &[("plan.value", 30, 43)], "0.00001"),
    mistake(FULL, "queries: 20", "queries: 0", &[("plan.value", 30, 22)], "from 1 to 10000"),
    mistake(FULL, "queries: 20", "queries: many", &[("plan.value", 30, 22)], "from 1 to 10000"),
    mistake(FULL, "[index, _columns]", "[index, colums]", &[("plan.value", 31, 22)], "did you mean _columns?"),
    mistake(FULL, "[index, _columns]", "[index, index]", &[("plan.value", 31, 22)], "keep one"),
    mistake(FULL, "[index, _columns]", "index", &[("plan.value", 31, 14)], "[one, two]"),
    mistake(FULL, "mode: upsert", "mode: merge", &[("plan.value", 27, 17)], "append, replace, upsert"),
    mistake(FULL, "metric: inner_product", "metric: inner-product", &[("plan.value", 13, 17)], "did you mean inner_product?"),
    mistake(FULL, "parameters: { m: 16 }", "parameters: { m: many }", &[("plan.value", 16, 47)], "from 0"),
    mistake(FULL, "key: VECTOR_ENDPOINT", "key: VECTOR ENDPOINT", &[("plan.value", 32, 51)], "VECTOR_ENDPOINT"),
    mistake(FULL, "      docs:\n", "      -docs:\n", &[("plan.value", 12, 7)], "a-z A-Z"),
    mistake(FULL, "value: \"postgres://prod/kb\"", "value: \"\"", &[("plan.value", 32, 75)], "what the variable"),
    mistake(FULL, "postgres://prod/kb", "postgres://u:p@prod/kb", &[("plan.password", 32, 75)], "take it out"),
    // Parts that read well and contradict one another.
    mistake(SMALL, "sqlite:prod/kb.db", "faiss:./lab/", &[("plan.conflict", 5, 43)], "of its own"),
    mistake(FULL, "writer@prod/kb", "writer@LAB:5433/kb", &[("plan.conflict", 23, 12)], "of its own"),
    mistake(SMALL, "sqlite:prod/kb.db", "snapshot:s", &[("plan.conflict", 5, 43)], "sqlite:"),
    mistake(SMALL, "\"faiss:lab\"", "\"faiss:lab\", layout: langchain, drop: [a]", &[("plan.conflict", 4, 63), ("plan.conflict", 4, 74)], "take the key out"),
    mistake(FULL, "    layout: columns\n", "", &[("plan.conflict", 17, 5)], "layout: columns"),
    mistake(FULL, "layout: columns", "layout: langchain", &[("plan.conflict", 18, 5)], "layout: columns"),
    mistake(FULL, "drop: [tsv]", "drop: [emb]", &[("plan.conflict", 18, 36)], "one of the two"),
    mistake(FULL, "vector: emb", "vector: doc_id", &[("plan.conflict", 18, 36)], "another column"),
    mistake(FULL, "version: v, ", "", &[("plan.conflict", 27, 17)], "columns.version"),
    mistake(FULL, "kind: hnsw, parameters: { m: 16, ef", "kind: hnws, parameters: { m: 16, ef", &[("plan.conflict", 25, 20)], "did you mean hnsw?"),
    mistake(FULL, "ef_construction: 64", "ef_constuction: 64", &[("plan.conflict", 25, 47)], "ef_construction"),
    mistake(FULL, "ef_construction: 64", "ef_construction: 8", &[("plan.conflict", 25, 26)], "raise"),
    mistake(FULL, "ef_construction: 64", "ef_construction: 6400", &[("plan.conflict", 25, 64)], "from 4 to 1000"),
    mistake(SMALL, "kb.db\"", "kb.db\", index: {kind: hnsw}", &[("plan.conflict", 5, 78)], "flat"),
    mistake(FULL, "    artifacts: prod/knowledge\n", "", &[("plan.conflict", 10, 16)], "artifacts"),
    mistake(FULL, "    artifacts: lab/knowledge\n", "", &[("plan.conflict", 23, 16)], "source.knowledge"),
    mistake(FULL, "artifacts: prod/knowledge", "artifacts: lab//knowledge", &[("plan.conflict", 24, 16)], "of its own"),
    mistake(FULL, "archive: lab/archive", "archive: lab/knowledge/logs/old", &[("plan.conflict", 33, 26)], "not part of what moves"),
    mistake(FULL, "inbox: prod/inbox", "inbox: prod/knowledge", &[("plan.conflict", 29, 20)], "what is written"),
    mistake(FULL, "flag: lab/pause_ingestion", "flag: prod/das.env", &[("plan.conflict", 32, 32)], "a path of its own"),
];

fn places(findings: &[Diagnostic]) -> Vec<(&'static str, usize, usize)> {
    findings.iter().map(|it| (it.code.name(), it.span.line, it.span.column)).collect()
}

#[test]
fn each_mistake_is_found_where_it_stands_with_a_remedy() {
    let mut wrong = Vec::new();
    for Mistake { base, from, to, found, remedy } in MISTAKES {
        assert!(base.contains(from), "{from:?} is not in the plan");
        let text = base.replacen(from, to, 1);
        let Err(rejected) = Plan::open("plan.yaml", &text) else {
            wrong.push(format!("{to:?}: accepted"));
            continue;
        };
        let first = &rejected.diagnostics[0];
        if places(&rejected.diagnostics) != *found || !first.remedy.contains(remedy) {
            let (said, advice) = (places(&rejected.diagnostics), &first.remedy);
            wrong.push(format!("{to:?}: {said:?} {advice:?}, not {found:?} {remedy:?}"));
        }
        assert!(!first.message.ends_with('.'), "{first:#?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_text() {
    let text =
        SMALL.replace("carnet: v1", "carnet: v9").replace("owner", "ower") + "x: 1\nimport: 0.5\n";
    let rejected = Plan::open("p.yaml", &text).map(|_| ()).unwrap_err();
    let expected = [
        ("plan.value", 1, 9),
        ("plan.unknown_key", 3, 1),
        ("plan.unknown_key", 7, 1),
        ("plan.value", 8, 9),
    ];
    assert_eq!(places(&rejected.diagnostics), expected, "{rejected:#?}");
    assert_eq!(rejected.to_string(), "p.yaml has 4 errors");
}

#[test]
fn good_plans_are_read_with_their_defaults() {
    let (plan, warnings) = Plan::open("p.yaml", FULL).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(plan.document().migration.as_str(), "kb-lab-to-prod");
    let (plan, warnings) = Plan::open("p.yaml", SMALL).unwrap();
    assert_eq!(warnings, []);
    let document = plan.document();
    assert_eq!(document.evidence.tenant, document.owner);
    let validate = &plan.knowledge().unwrap().validate;
    assert_eq!(validate.tolerance.to_string(), "0.00001");
    assert_eq!((validate.queries, validate.k), (20, 5));
    let switched = SMALL.to_owned() + "cutover: {switch: {env_file: e, key: K}}\n";
    let (plan, _) = Plan::open("p.yaml", &switched).unwrap();
    let cutover = plan.knowledge().unwrap().cutover.as_ref().unwrap();
    assert_eq!(cutover.switch.value, "sqlite:prod/kb.db");
}

#[test]
fn passwords_are_warned_about_and_never_shown() {
    let text = SMALL.replace("sqlite:prod/kb.db", "postgres://me:s3cr3t@h/d?table=t")
        + "cutover: {switch: {env_file: e, key: K}}\n";
    let (plan, warnings) = Plan::open("p.yaml", &text).unwrap();
    assert_eq!(places(&warnings), [("plan.password", 5, 43)]);
    assert_eq!(warnings[0].severity, Severity::Warning);
    let shown =
        format!("{plan:?} {warnings:?} {}", serde_json::to_string(plan.document()).unwrap());
    assert!(!shown.contains("s3cr3t"), "{shown}");
    // Also when the plan is refused, wherever the text stands.
    for broken in [
        text.replace("owner", "ownre"),
        text.replace("store: \"postgres", "stoer: \"postgres"),
        text.replace("owner: data-platform", "owner: 5\n\"postgres://a:s3cr3t@b\": 1"),
        text.replace("postgres://me", "postgers://me"),
        text.replace("table=t", "table=t;t"),
        text.replace("process: knowledge/v1", "process: \"postgres://me:s3cr3t@h/d\""),
    ] {
        let rejected = Plan::open("p.yaml", &broken).map(|_| ()).unwrap_err();
        let shown = format!(
            "{rejected:?} {rejected} {}",
            serde_json::to_string(&rejected.diagnostics).unwrap()
        );
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn replacing_what_is_there_is_a_warning() {
    let text = SMALL.to_owned() + "import: {mode: replace}\n";
    let (_, warnings) = Plan::open("p.yaml", &text).unwrap();
    assert_eq!(places(&warnings), [("plan.conflict", 7, 16)]);
}

#[test]
fn the_digest_is_that_of_what_the_plan_says_and_not_of_how() {
    let digest = |text: &str| Plan::open("p.yaml", text).unwrap().0.digest();
    let with_switch = SMALL.to_owned() + "cutover: {switch: {env_file: e, key: K}}\n";
    for (one, other) in [
        (SMALL.to_owned(), format!("# a comment\n{}", SMALL.replace("owner: ", "owner:   "))),
        (SMALL.to_owned(), SMALL.to_owned() + "validate: {k: 5, tolerance: \"0.000010\"}\n"),
        (SMALL.to_owned(), SMALL.to_owned() + "import: {mode: append}\naccept_loss: []\n"),
        (
            with_switch.clone(),
            with_switch.replace("key: K", "key: K, value: \"sqlite:prod/kb.db\""),
        ),
        (
            SMALL.replace("sqlite:prod/kb.db", "postgres://me@h/d?table=t"),
            SMALL.replace("sqlite:prod/kb.db", "postgres://me:s3cr3t@h/d?table=t"),
        ),
    ] {
        assert_eq!(digest(&one), digest(&other), "{other}");
    }
    let changes = [
        ("kb-lab-to-prod", "kb"),
        ("data-platform", "me"),
        ("jurisdiction: DE", "jurisdiction: FR"),
        ("tenant: lab", "tenant: lab2"),
        ("name: lab\n", "name: lab2\n"),
        ("lab:5433", "lab:5434"),
        ("inner_product", "cosine"),
        ("revision: \"1\"", "revision: \"2\""),
        ("drop: [tsv]", "drop: [tsv, x]"),
        ("version: v", "version: w"),
        ("m: 16, ef", "m: 17, ef"),
        ("mode: upsert", "mode: append"),
        ("pause_ingestion", "pause"),
        ("prod/inbox", "prod/in"),
        ("k: 5", "k: 6"),
        ("[index, _columns]", "[index]"),
        ("das.env", "other.env"),
        ("lab/archive", "lab/old"),
    ];
    let mut digests = std::collections::BTreeSet::from([digest(FULL)]);
    for (from, to) in changes {
        assert!(FULL.contains(from), "{from}");
        assert!(digests.insert(digest(&FULL.replace(from, to))), "{from} -> {to}");
    }
}

/// The recipe of `docs/formats.md`, section "Plan digest".
const SCRIPT: &str = r#"
import hashlib, json, sys

def digest(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

plan = json.load(sys.stdin)
phases = []
for phase in plan["phases"]:
    nodes = [{key: node[key] for key in ("name", "after", "kind")} for node in phase["nodes"]]
    held = {key: phase[key] for key in ("name", "part", "on_failure")}
    phases.append({"name": phase["name"], "digest": digest({**held, "nodes": nodes})})
print(digest({"plan": "v1", "document": digest(plan["document"]), "phases": phases}))
"#;

#[test]
fn the_signer_is_a_path_and_part_of_the_document() {
    let signed = FULL.replace("tenant: lab", "tenant: lab, signer: keys/op");
    let made = signed.replace("keys/op", "keys/op, create_signer: true");
    let [plain, signed, made] = [FULL, &signed, &made].map(|text| Plan::open("p", text).unwrap().0);
    let evidence = |plan: &Plan| plan.document().evidence.clone();
    assert_eq!(evidence(&signed).signer.unwrap().as_str(), "keys/op");
    assert!(evidence(&plain).signer.is_none() && !evidence(&signed).create_signer);
    assert!(evidence(&made).create_signer);
    assert!(plain.digest() != signed.digest() && signed.digest() != made.digest());
}

#[test]
fn python_computes_the_same_digest_by_the_documented_recipe() {
    for text in [SMALL, FULL] {
        let (plan, _) = Plan::open("p.yaml", text).unwrap();
        let document: serde_json::Value = serde_json::from_str(&plan.canonical()).unwrap();
        let given = serde_json::json!({"document": document, "phases": plan.phases()});
        let mut child = Command::new(python())
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.trim(), plan.digest().to_string());
    }
}

#[test]
fn digests_stay_what_they_were() {
    let digest = |text: &str| Plan::open("p.yaml", text).unwrap().0.digest().to_string();
    assert_eq!(digest(SMALL), "920c779d1514061af26c9367594ef7f9e8febf0eee18101c74c492f01ebf1a5a");
    assert_eq!(digest(FULL), "8e32ce779c09e23a012a93cc25a744057294f6f9706fcafa938f5d08f1bca80b");
}

#[test]
fn every_step_that_changes_something_has_an_undo() {
    for text in [SMALL, FULL] {
        let (plan, _) = Plan::open("p.yaml", text).unwrap();
        let names: Vec<_> = plan.phases().iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names, PhaseName::ALL.map(PhaseName::name));
        for (node, step) in plan.phases().iter().flat_map(Phase::steps) {
            let name = StepName::of_capability(&step.capability).unwrap();
            assert_eq!(name.mutates(), step.undo == PlannedUndo::Own, "{name}");
            assert_eq!(name.mutates(), node.undo_does.is_some(), "{name}");
            assert_eq!(node.short_name(), name.name());
        }
        // One after the other, each node found by its name.
        for phase in plan.phases() {
            for (place, node) in phase.nodes.iter().enumerate() {
                let after: Vec<_> = node.after.iter().map(|after| after.node + 1).collect();
                assert_eq!(after, if place == 0 { vec![] } else { vec![place] });
                assert_eq!(plan.node(&node.name), Some((phase, node)));
            }
        }
    }
}

#[test]
fn the_table_has_what_the_plan_asks_for_and_no_more() {
    let shape = |text: &str| -> Vec<String> {
        let (plan, _) = Plan::open("p.yaml", text).unwrap();
        let line = |phase: &Phase| {
            let nodes: Vec<_> = phase.nodes.iter().map(Node::short_name).collect();
            format!("{}: {}", phase.name, nodes.join(" "))
        };
        plan.phases().iter().map(line).collect()
    };
    assert_eq!(
        shape(SMALL),
        [
            "prepare: describe_source describe_target contract losses",
            "quiesce: pin_source",
            "export: export_snapshot",
            "transfer: place_snapshot",
            "verify: rehash_snapshot schema_version checksums",
            "import: load_records",
            "validate: read_back dimensions contract count content_root query_parity",
            "cutover: commit",
            "decommission: ",
        ]
    );
    assert_eq!(
        shape(FULL),
        [
            "prepare: describe_source describe_target contract losses",
            "quiesce: raise_flag pin_source",
            "export: export_snapshot",
            "transfer: place_snapshot",
            "verify: rehash_snapshot schema_version checksums",
            "import: load_records place_artifacts",
            "validate: read_back dimensions contract count content_root query_parity artifact_checksums",
            "cutover: switch commit lower_flag",
            "decommission: archive_snapshot",
        ]
    );
}

proptest! {
    /// A good plan with pieces cut out, doubled and mixed up.
    #[test]
    fn no_plan_makes_the_reader_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40), 0..4),
        pieces in prop::collection::vec(
            (any::<prop::sample::Index>(), "[-a-z:{}\\[\\]&*!'\"|>#?%@,~ \n\t0-9.é€]{0,12}"),
            0..4,
        ),
    ) {
        let mut letters: Vec<char> = FULL.chars().collect();
        for (at, len) in cuts {
            let at = at.index(letters.len());
            letters.drain(at..(at + len).min(letters.len()));
        }
        for (at, piece) in pieces {
            let at = at.index(letters.len());
            letters.splice(at..at, piece.chars());
        }
        let text: String = letters.into_iter().collect();
        if let Err(rejected) = Plan::open("p.yaml", &text) {
            prop_assert!(rejected.diagnostics.iter().any(|it| it.severity == Severity::Error));
            for found in rejected.diagnostics {
                prop_assert!(text.get(found.span.start..found.span.end).is_some(), "{found:?}");
                prop_assert!(!found.remedy.is_empty());
            }
        }
    }
}

#[test]
fn large_hostile_plans_are_answered_soon() {
    let pieces = [
        "a: ", "- ", "? ", "{", "[", "'", "\"", "a: {b: ", "\n", "# x\n", "&a ", "*a ", "|\n",
        "k: v\n", "[a,", "{a,", "a:\n ",
    ];
    let distinct = (0..60_000).map(|n| format!("owner{n}: 0.5\n")).collect::<Vec<_>>().concat();
    let names = (0..30_000).map(|n| format!("'{n}x.': {{y: 1}}, ")).collect::<Vec<_>>();
    let collections =
        SMALL.replace("\"faiss:lab\"", &format!("x, collections: {{ {} }}", names.concat()));
    let repeated = pieces.map(|piece| piece.repeat((1 << 20) / piece.len()));
    for text in repeated.into_iter().chain([distinct, collections]) {
        let began = std::time::Instant::now();
        let rejected = Plan::open("p.yaml", &text).map(|_| ()).unwrap_err();
        assert!(rejected.diagnostics.len() <= 100);
        let (took, start) = (began.elapsed(), text.get(..20));
        assert!(took.as_secs() < 20, "{start:?} took {took:?}");
    }
}

#[test]
fn a_profile_is_taken_if_the_process_can_meet_it_and_refused_with_what_is_missing() {
    for profile in ["ecs-evidence-baseline", "ecs-evidence-admissible", "ecs-evidence-ncp"] {
        let text = FULL.replace("ecs-evidence-admissible", profile);
        let (plan, _) = Plan::open("plan.yaml", &text).unwrap();
        let document = plan.document();
        let taken = carnet_ledger::EvidenceProfile::from(document.evidence.profile);
        assert_eq!(taken.name(), profile);
        let written = plan.knowledge().unwrap().process.families().iter().copied().collect();
        assert_eq!(carnet_ledger::families_missing(taken, &written), []);
    }
    let text = FULL.replace("ecs-evidence-admissible", "ecs-evidence-regulated-ml");
    let rejected = Plan::open("plan.yaml", &text).unwrap_err();
    let said = &rejected.diagnostics.first().unwrap().message;
    assert!(said.contains("EXEC and SUP"), "{said}");
}
