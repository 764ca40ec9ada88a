//! Plans that write their phases out themselves.

use std::fmt::Write as _;

use carnet_ledger::Digest;
use carnet_model::plan::{
    After, Around, Closed, Diagnostic, NodeKind, OnFailure, Part, Plan, PlannedUndo, Rejected,
    Severity, Timer,
};

/// A plan with every kind of node.
pub(crate) const PHASES: &str = r#"carnet: v1
migration: add-region
owner: data-platform
trust: trust/allowed_signers
amends: sha256:abababababababababababababababababababababababababababababababab
approvals:
  go: { any_of: [ops@example.org, dba@example.org], count: 2, not: initiator, expires: PT4H }
  late: { any_of: [ops@example.org], assurance: named }
phases:
  - name: change
    does: add the column
    on_failure: undo
    entry:
      - gate: sql
        name: no_column
        with: { database: "sqlite:shop.db", query: "SELECT count(*) FROM pragma_table_info('t')", value: { equals: 0 } }
        age_max: PT5M
        sample_min: 1
      - { gate: file, with: { path: ready } }
    steps:
      - name: add_column
        capability: sql.change
        with: { database: "sqlite:shop.db", statements: [{ sql: "ALTER TABLE t ADD COLUMN region TEXT" }] }
        undo:
          capability: sql.change
          with: { database: "sqlite:shop.db", statements: [{ sql: "ALTER TABLE t DROP COLUMN region" }] }
      - { name: told, capability: http.request, with: { method: POST, url: "http://127.0.0.1:1/hook" }, undo: { refused: "a message cannot be unsaid", approval: go }, after: [add_column] }
      - { choice: size, branches: [{ name: small, when: { gate: file, with: { path: small } } }], otherwise: large, after: [add_column] }
      - { wait: PT10S, name: soak, after: ["size:small"] }
      - { wait_until: 2026-12-01T20:00:00+01:00, after: ["size:large"] }
      - { message: released, after: [soak, wait] }
      - { approval: go, after: [told, released] }
      - { commit: true }
    exit:
      - { gate: tcp, name: reachable, with: { host: localhost, port: 1 }, does: the server answers }
  - name: tidy
    exit: [{ gate: file, with: { path: done } }]
rollback:
  phases:
    - name: return
      steps: [{ name: copy, capability: file.copy, with: { from: a, to: b } }]
      exit: [{ gate: file, with: { path: back } }]
exceptions:
  - { gate: change/no_column, label: split, owner: ops, reason: the column may be there, expires_at: 2026-12-02T00:00:00Z, approval: late }
"#;

fn open_at(text: &str, now_s: Option<i64>) -> Result<(Plan, Vec<Diagnostic>), Rejected> {
    let file = |path: &str| match path {
        "trust/allowed_signers" => Ok(Digest::of(b"keys")),
        _ => Err("No such file".to_owned()),
    };
    Plan::open_with("plan.yaml", text, &Around { now_s, file: &file })
}

fn open(text: &str) -> Result<(Plan, Vec<Diagnostic>), Rejected> {
    open_at(text, None)
}

fn plan(text: &str) -> Plan {
    match open(text) {
        Ok((plan, warnings)) => {
            assert_eq!(warnings, []);
            plan
        }
        Err(rejected) => panic!("{:#?}", rejected.diagnostics),
    }
}

#[test]
fn phases_are_compiled_to_nodes_that_know_what_they_wait_for() {
    let plan = plan(PHASES);
    let lines: Vec<String> = plan
        .phases()
        .iter()
        .flat_map(|phase| {
            phase.nodes.iter().map(move |node| {
                let after = node.after.iter().map(|After { node, branch }| {
                    let name = phase.nodes[*node].short_name();
                    branch.as_ref().map_or(name.to_owned(), |branch| format!("{name}:{branch}"))
                });
                format!("{} <- {}", node.name, after.collect::<Vec<_>>().join(" "))
            })
        })
        .collect();
    assert_eq!(
        lines,
        [
            "change/no_column <- ",
            "change/file <- no_column",
            "change/add_column <- file",
            "change/told.approval <- add_column",
            "change/told <- told.approval",
            "change/size <- add_column",
            "change/soak <- size:small",
            "change/wait <- size:large",
            "change/released <- soak wait",
            "change/go <- told released",
            "change/commit <- go",
            "change/reachable <- commit",
            "tidy/file <- ",
            "return/copy <- ",
            "return/file <- copy",
        ]
    );
    let kind = |name: &str| plan.node(name).unwrap().1.kind.clone();
    assert_eq!(kind("change/soak"), NodeKind::Timer(Timer::For { seconds: 10 }));
    let until = Timer::Until { unix_seconds: 1_796_151_600 };
    assert_eq!(kind("change/wait"), NodeKind::Timer(until));
    assert_eq!(kind("change/released"), NodeKind::Message);
    assert_eq!(kind("change/commit"), NodeKind::Commit);
    let undo = |name: &str| plan.node(name).unwrap().1.step().unwrap().undo.clone();
    assert!(matches!(undo("change/add_column"), PlannedUndo::By { .. }));
    assert!(matches!(undo("change/told"), PlannedUndo::Refused { .. }));
    assert_eq!(undo("return/copy"), PlannedUndo::Own);
    let gate = |name: &str| plan.node(name).unwrap().1.gate().unwrap().clone();
    let (asked, first) = (gate("change/go"), gate("change/no_column"));
    assert_eq!((asked.closed, first.closed), (Closed::Wait, Closed::Refuse));
    assert_eq!(gate("change/told.approval").definition, asked.definition);
    assert_eq!((first.definition.age_s_max, first.definition.sample_min), (300, 1));
    assert_eq!(plan.node("change/reachable").unwrap().1.does, "the server answers");
}

#[test]
fn what_is_not_said_has_its_default() {
    let plan = plan(PHASES);
    let shown: Vec<_> =
        plan.phases().iter().map(|it| (it.name.as_str(), it.part, it.on_failure)).collect();
    assert_eq!(
        shown,
        [
            ("change", Part::Forward, OnFailure::Undo),
            // Behind the point of no return nothing is undone by itself.
            ("tidy", Part::Forward, OnFailure::Wait),
            ("return", Part::Rollback, OnFailure::Wait),
        ]
    );
    let go = &plan.approvals()["go"];
    assert_eq!((go.count, go.not_initiator, go.expires_s), (2, true, 14_400));
    let late = &plan.approvals()["late"];
    assert_eq!((late.count, late.not_initiator, late.expires_s), (1, false, 86_400));
    assert_eq!(plan.parent().unwrap().to_string(), "ab".repeat(32));
    assert_eq!(plan.files().keys().collect::<Vec<_>>(), ["trust/allowed_signers"]);
    assert_eq!(plan.exceptions().len(), 1);
    assert!(plan.knowledge().is_none());
}

#[test]
fn the_digest_covers_what_the_plan_says_and_the_files_that_it_names() {
    let digest = |text: &str| plan(text).digest();
    let first = digest(PHASES);
    assert_eq!(
        first,
        digest(&PHASES.replace("    on_failure: undo\n", "    on_failure:   undo\n"))
    );
    let keys = |bytes: &'static [u8]| {
        let file = move |_: &str| Ok(Digest::of(bytes));
        let around = Around { now_s: None, file: &file };
        Plan::open_with("p", PHASES, &around).unwrap().0.digest()
    };
    assert_eq!(first, keys(b"keys"));
    assert_ne!(first, keys(b"other keys"));
    let changes = [
        ("count: 2", "count: 1"),
        ("PT5M", "PT6M"),
        ("port: 1", "port: 2"),
        ("hook", "hooks"),
        ("soak, wait", "wait, soak"),
        ("PT10S", "PT11S"),
        ("cannot be unsaid", "stays"),
        ("path: back", "path: bak"),
        ("sha256:ab", "sha256:ac"),
        ("T00:00:00Z", "T01:00:00Z"),
        ("DROP COLUMN", "DROP"),
    ];
    let mut seen = std::collections::BTreeSet::from([first]);
    for (from, to) in changes {
        assert!(PHASES.contains(from), "{from}");
        assert!(seen.insert(digest(&PHASES.replacen(from, to, 1))), "{from}");
    }
}

/// What is replaced, by what, the code and line of each finding, and a piece of the first remedy.
type Mistake = (&'static str, &'static str, &'static [(&'static str, usize)], &'static str);

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    // A phase.
    ("    exit: [{ gate: file, with: { path: done } }]\n", "", &[("plan.missing", 36)], "add `exit: …`"),
    ("exit: [{ gate: file, with: { path: done } }]", "exit: []", &[("plan.missing", 37)], "a gate that shows"),
    ("name: tidy", "name: change", &[("plan.conflict", 36)], "another name"),
    ("name: return", "name: tidy", &[("plan.conflict", 40)], "another name"),
    ("name: tidy", "name: Tidy Up", &[("plan.value", 36)], "add_column"),
    ("on_failure: undo", "on_failure: undone", &[("plan.value", 12)], "did you mean undo?"),
    ("      steps: [{ name: copy, capability: file.copy, with: { from: a, to: b } }]\n", "", &[("plan.missing", 40)], "with a step"),
    ("    exit: [{ gate: file, with: { path: done } }]", "    exit: [{ commit: true }]", &[("plan.missing", 37), ("plan.unknown_key", 37)], "add `gate: …`"),
    ("owner: data-platform", "owner: data-platform\nprocess: knowledge/v1", &[("plan.conflict", 4)], "take `phases` out"),
    ("rollback:\n", "rollback:\n  window: PT24H\n", &[("plan.unsupported", 39)], "take the key out"),
    // What a node is.
    ("capability: http.request", "capability: http.reqest", &[("plan.value", 27)], "did you mean http.request?"),
    ("capability: http.request", "capability: knowledge.switch", &[("plan.conflict", 27)], "process: knowledge/v1"),
    ("capability: http.request", "capabilty: http.request", &[("plan.missing", 27)], "did you mean `capability`?"),
    ("gate: tcp", "gate: tpc", &[("plan.value", 35)], "did you mean tcp?"),
    ("gate: tcp", "gate: approval", &[("plan.value", 35)], "{ approval: NAME }"),
    ("name: no_column", "name: add_column", &[("plan.conflict", 21), ("plan.conflict", 33), ("plan.conflict", 44)], "another name"),
    ("commit: true", "commit: false", &[("plan.value", 33)], "take the node out"),
    ("PT10S", "10 seconds", &[("plan.value", 29)], "PT30S"),
    ("20:00:00+01:00", "20:00:00", &[("plan.value", 30)], "+01:00"),
    ("sample_min: 1", "sample_min: 0", &[("plan.value", 18)], "from 1"),
    // What capabilities and gates are given: each mistake in its line.
    ("url: \"http://127.0.0.1:1/hook\"", "uri: x", &[("plan.value", 27), ("plan.value", 27)], ""),
    ("          with: { database: \"sqlite:shop.db\", statements: [{ sql: \"ALTER TABLE t DROP COLUMN region\" }] }", "          with:\n            database: \"sqlite:shop.db\"\n            statements:\n              - { sql: \"BEGIN\" }", &[("plan.value", 29)], "one transaction"),
    ("port: 1", "port: 70000", &[("plan.value", 35)], ""),
    ("value: { equals: 0 }", "value: { equals: 0.5 }", &[("plan.value", 16)], "\"0.5\""),
    // Undo.
    (", undo: { refused: \"a message cannot be unsaid\", approval: go }", "", &[("plan.conflict", 27)], "add `undo:"),
    ("with: { from: a, to: b } }", "with: { from: a, to: b }, undo: { capability: snapshot.verify, with: { snapshot: s } } }", &[("plan.conflict", 41)], "that changes"),
    ("approval: go }, after: [add_column]", "approval: goo }, after: [add_column]", &[("plan.conflict", 27)], "did you mean go?"),
    // What a node waits for.
    ("after: [soak, wait]", "after: [soka, wait]", &[("plan.conflict", 31), ("plan.conflict", 33)], "did you mean soak?"),
    ("after: [soak, wait]", "after: [soak, go]", &[("plan.conflict", 31), ("plan.conflict", 33)], "before this one"),
    ("after: [soak, wait]", "after: [soak, released]", &[("plan.conflict", 31), ("plan.conflict", 33)], "before this one"),
    ("after: [soak, wait]", "after: [soak, soak]", &[("plan.conflict", 31), ("plan.conflict", 33)], "keep one"),
    ("after: [soak, wait]", "after: [\"soak:small\", wait]", &[("plan.conflict", 31), ("plan.conflict", 33)], "only a choice"),
    ("\"size:small\"", "\"size:smal\"", &[("plan.conflict", 28), ("plan.conflict", 29)], "add `after"),
    ("[\"size:large\"]", "[\"size:small\"]", &[("plan.conflict", 28)], "size:large"),
    ("otherwise: large", "otherwise: small", &[("plan.conflict", 28), ("plan.conflict", 30)], "another name"),
    ("path: small } } }]", "path: small } } }, { name: big, when: { gate: file, with: { path: small } } }]", &[("plan.conflict", 28), ("plan.conflict", 28)], "add `after"),
    // The point of no return.
    ("after: [told, released]", "after: [released]", &[("plan.conflict", 33)], "follow all nodes"),
    ("      - { commit: true }", "      - { commit: true }\n      - { commit: true, name: again }", &[("plan.conflict", 34)], "keep one"),
    ("  - name: tidy\n", "  - name: tidy\n    on_failure: undo\n", &[("plan.conflict", 37)], "on_failure: wait"),
    ("with: { from: a, to: b } }]", "with: { from: a, to: b } }, { commit: true }]", &[("plan.conflict", 41)], "take it out"),
    // Approvals and exceptions.
    ("{ approval: go, after", "{ approval: og, after", &[("plan.conflict", 32)], "did you mean go?"),
    ("any_of: [ops@example.org, dba@example.org], count: 2", "any_of: [ops@example.org], count: 2", &[("plan.conflict", 7)], "name more people"),
    ("any_of: [ops@example.org, dba@example.org], count: 2", "any_of: [ops@example.org, ops@example.org]", &[("plan.value", 7)], "each once"),
    ("any_of: [ops@example.org], assurance", "any_of: [], assurance", &[("plan.value", 8)], "name who may"),
    ("trust: trust/allowed_signers\n", "", &[("plan.conflict", 6)], "add `trust: FILE`"),
    ("trust: trust/allowed_signers", "trust: trust/nobody", &[("plan.value", 4)], "that is there"),
    ("  late:", "  spare: { any_of: [x], assurance: named }\n  late:", &[("plan.conflict", 8)], "{ approval: spare }"),
    ("gate: change/no_column", "gate: change/no_colunm", &[("plan.conflict", 44)], "did you mean change/no_column?"),
    ("gate: change/no_column", "gate: change/go", &[("plan.conflict", 44)], "PHASE/NODE"),
    ("owner: ops, reason: the column may be there, ", "owner: ops, ", &[("plan.missing", 44)], "add `reason: …`"),
    ("amends: sha256:ab", "amends: ab", &[("plan.value", 5)], "carnet check"),
];

#[test]
fn each_mistake_is_refused_in_its_line_with_a_remedy() {
    let mut wrong = Vec::new();
    for (from, to, found, remedy) in MISTAKES {
        assert!(PHASES.contains(from), "{from:?} is not in the plan");
        let Err(rejected) = open(&PHASES.replacen(from, to, 1)) else {
            wrong.push(format!("{to:?}: accepted"));
            continue;
        };
        let said: Vec<_> =
            rejected.diagnostics.iter().map(|it| (it.code.name(), it.span.line)).collect();
        let advice: Vec<_> = rejected.diagnostics.iter().map(|it| it.remedy.as_str()).collect();
        if said != *found || !advice.iter().any(|advice| advice.contains(remedy)) {
            wrong.push(format!("{to:?}: {:#?}", rejected.diagnostics));
        }
        assert!(advice.iter().all(|advice| !advice.is_empty()), "{to:?}: {advice:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_exception_is_over_when_its_moment_has_come() {
    let expires = 1_796_169_600;
    assert!(open_at(PHASES, Some(expires - 1)).is_ok());
    let rejected = open_at(PHASES, Some(expires)).unwrap_err();
    let said: Vec<_> = rejected.diagnostics.iter().map(|it| (it.span.line, &it.remedy)).collect();
    assert_eq!(said, [(44, &"take it out, or have a new one approved".to_owned())]);
    // Who takes a run back does not ask.
    assert!(open_at(PHASES, None).is_ok());
}

#[test]
fn a_plan_that_refers_to_files_is_not_opened_without_looking_at_them() {
    let rejected = Plan::open("p.yaml", PHASES).map(|_| ()).unwrap_err();
    assert_eq!(rejected.diagnostics[0].value.as_deref(), Some("trust/allowed_signers"));
}

/// The changes of an amended plan, a line each.
fn changes(new: &str) -> Vec<String> {
    let changes = plan(new).changes_from(&plan(PHASES));
    let rules = changes.rules.iter().map(|it| format!("{:?} {}", it.change, it.key));
    let phases = changes.phases.iter().flat_map(|phase| {
        let nodes = phase.nodes.iter();
        let nodes = nodes.map(|it| format!("{:?} {} {}", it.change, it.node, it.what.join(" ")));
        let head = format!("{:?} {} {}", phase.change, phase.phase, phase.what.join(" "));
        std::iter::once(head).chain(nodes)
    });
    rules.chain(phases).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn an_amendment_is_shown_phase_by_phase_and_node_by_node() {
    assert_eq!(changes(PHASES), Vec::<String>::new());
    assert_eq!(changes(&PHASES.replace("sha256:ab", "sha256:ac")), Vec::<String>::new());
    for (from, to, expected) in [
        (
            "count: 2",
            "count: 1",
            vec![
                "Changed approvals.go",
                "Changed change",
                "Changed change/told.approval demand",
                "Changed change/go demand",
            ],
        ),
        ("owner: data-platform", "owner: me", vec!["Changed evidence.tenant", "Changed owner"]),
        ("PT5M", "PT6M", vec!["Changed change", "Changed change/no_column age_max"]),
        ("/hook", "/hooks", vec!["Changed change", "Changed change/told with"]),
        (
            "DROP COLUMN region",
            "DROP COLUMN r",
            vec!["Changed change", "Changed change/add_column undo"],
        ),
        ("path: small", "path: smaller", vec!["Changed change", "Changed change/size branches"]),
        ("does: add the column", "does: add it", vec!["Changed change does"]),
        (
            "name: tidy",
            "name: clean",
            vec!["Added clean", "Added clean/file", "Removed tidy", "Removed tidy/file"],
        ),
        (
            "path: done } }]",
            "path: done } }, { gate: file, name: more, with: { path: more } }]",
            vec!["Changed tidy", "Added tidy/more"],
        ),
        (
            "      - { gate: file, with: { path: ready } }\n",
            "",
            vec!["Changed change", "Changed change/add_column after", "Removed change/file"],
        ),
        (
            "exceptions:\n",
            "exceptions:\n  - { gate: tidy/file, label: x, owner: o, reason: r, expires_at: 2026-12-02T00:00:00Z, approval: late }\n",
            vec!["Changed exceptions"],
        ),
    ] {
        assert!(PHASES.contains(from), "{from}");
        assert_eq!(changes(&PHASES.replacen(from, to, 1)), expected, "{from}");
    }
    // The same phases in another order.
    let (tidy, back) = (PHASES.find("  - name: tidy").unwrap(), PHASES.find("rollback:").unwrap());
    let start = PHASES.find("  - name: change").unwrap();
    let swapped =
        [&PHASES[..start], &PHASES[tidy..back], &PHASES[start..tidy], &PHASES[back..]].concat();
    let said = changes(&swapped);
    assert!(said.contains(&"Moved change place".to_owned()), "{said:?}");
}

/// A plan with this many steps in one phase, each after the one before it.
pub(crate) fn of_steps(count: usize) -> String {
    let mut text =
        "carnet: v1\nmigration: big\nowner: me\nphases:\n  - name: all\n    steps:\n".to_owned();
    for number in 0..count {
        let with = format!("{{ from: a{number}, to: b{number} }}");
        writeln!(text, "      - {{ name: s{number}, capability: file.copy, with: {with} }}")
            .unwrap();
    }
    text + "    exit: [{ gate: file, with: { path: done } }]\n"
}

#[test]
fn ten_thousand_steps_are_compiled_in_order_and_more_than_the_limit_are_refused() {
    let began = std::time::Instant::now();
    let plan = plan(&of_steps(10_000));
    let nodes = &plan.phases()[0].nodes;
    assert_eq!((nodes.len(), nodes[10_000].after[0].node), (10_001, 9_999));
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    let rejected = open(&of_steps(20_000)).unwrap_err();
    assert!(rejected.diagnostics[0].message.contains("20001 nodes"), "{rejected:?}");
}

proptest::proptest! {
    /// A good plan with pieces cut out and mixed up.
    #[test]
    fn no_plan_makes_the_reader_panic(
        cuts in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), 0usize..40), 0..4),
        pieces in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), "[-a-z:{}\\[\\]\"|, \n0-9.é]{0,12}"),
            0..4,
        ),
    ) {
        let mut letters: Vec<char> = PHASES.chars().collect();
        for (at, len) in cuts {
            let at = at.index(letters.len());
            letters.drain(at..(at + len).min(letters.len()));
        }
        for (at, piece) in pieces {
            let at = at.index(letters.len());
            letters.splice(at..at, piece.chars());
        }
        let text: String = letters.into_iter().collect();
        if let Err(rejected) = open(&text) {
            proptest::prop_assert!(rejected.diagnostics.iter().any(|it| it.severity == Severity::Error));
            for found in rejected.diagnostics {
                proptest::prop_assert!(text.get(found.span.start..found.span.end).is_some(), "{found:?}");
                proptest::prop_assert!(!found.remedy.is_empty(), "{found:?}");
            }
        }
    }
}
