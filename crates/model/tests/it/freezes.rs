//! What is held still must be let go on every way.

use std::fmt::Write as _;

use carnet_model::plan::{Around, Diagnostic, Plan};

/// A plan of steps that copy a file; `back` are the steps of the way back.
fn plan(phases: &[&[&str]], back: &[&str]) -> Result<Plan, Vec<Diagnostic>> {
    let mut text = String::from("carnet: v1\nmigration: held-still\nowner: data\n");
    text +=
        "trust: trust/allowed_signers\napprovals:\n  go: { any_of: [ops@example.org] }\nphases:\n";
    let gate = "exit: [{ gate: file, with: { path: done } }]";
    for (number, steps) in phases.iter().enumerate() {
        writeln!(text, "  - name: p{number}\n    steps:\n      - {{ approval: go }}").unwrap();
        for step in *steps {
            writeln!(text, "      - {}", written(step)).unwrap();
        }
        writeln!(text, "    {gate}").unwrap();
    }
    if !back.is_empty() {
        text += "rollback:\n  phases:\n    - name: return\n      steps:\n";
        for step in back {
            writeln!(text, "        - {}", written(step)).unwrap();
        }
        writeln!(text, "      {gate}").unwrap();
    }
    let file = |_: &str| Ok(carnet_ledger::Digest::of(b"keys"));
    let around = Around { now_s: None, file: &file };
    Plan::open_with("plan.yaml", &text, &around).map(|it| it.0).map_err(|it| it.diagnostics)
}

/// `NAME` is a copy, `NAME KEYS` one with more keys, and what begins with `{` stands as it is.
fn written(step: &str) -> String {
    if step.starts_with('{') {
        return step.to_owned();
    }
    let (name, keys) = step.split_once(' ').unwrap_or((step, ""));
    let more = if keys.is_empty() { String::new() } else { format!(", {keys}") };
    format!("{{ name: {name}, capability: file.copy, with: {{ from: source, to: {name} }}{more} }}")
}

#[track_caller]
fn refused(phases: &[&[&str]], back: &[&str], message: &str) {
    let Err(found) = plan(phases, back) else { panic!("accepted: {message}") };
    assert!(found.iter().any(|it| it.message.contains(message)), "{message}: {found:#?}");
    assert!(found.iter().all(|it| it.code.name() == "plan.conflict" && !it.remedy.is_empty()));
}

const CHOICE: &str = "{ choice: size, branches: [{ name: small, when: { gate: file, with: { path: small } } }], otherwise: large }";

#[test]
fn a_freeze_that_ends_on_every_way_is_accepted_and_is_a_part_of_the_plan() {
    let held =
        plan(&[&["hold freeze: writers", "work"], &["free unfreeze: writers"]], &[]).unwrap();
    let without = plan(&[&["hold", "work"], &["free unfreeze: writers"]], &[]);
    assert!(without.is_err());
    let plain = plan(&[&["hold", "work"], &["free"]], &[]).unwrap();
    assert_ne!(held.digest(), plain.digest());
    // Each branch ends it; both may end it; it may begin again once it has ended.
    let branches = [
        "hold freeze: w",
        CHOICE,
        "one unfreeze: w, after: [\"size:small\"]",
        "two unfreeze: w, after: [\"size:large\"]",
    ];
    plan(&[&branches], &[]).unwrap();
    let inside = [
        CHOICE,
        "hold freeze: w, after: [\"size:small\"]",
        "free unfreeze: w",
        "other after: [\"size:large\"]",
    ];
    plan(&[&inside], &[]).unwrap();
    plan(&[&["a freeze: w", "b unfreeze: w", "c freeze: w", "d unfreeze: w"]], &[]).unwrap();
    plan(&[&["a freeze: v", "b freeze: w", "c unfreeze: v", "d unfreeze: w"]], &[]).unwrap();
    plan(&[&["a freeze: w", "{ commit: true }", "b unfreeze: w"]], &["back unfreeze: w"]).unwrap();
}

#[test]
fn a_freeze_that_some_way_does_not_end_is_refused() {
    refused(&[&["hold freeze: w", "work"]], &[], "is not ended on every way");
    refused(&[&["hold freeze: w"], &["work"]], &[], "it holds on in the phase `p0`");
    let one = [
        "hold freeze: w",
        CHOICE,
        "free unfreeze: w, after: [\"size:small\"]",
        "other after: [\"size:large\"]",
    ];
    refused(&[&one], &[], "where it goes size:large");
    let other = [
        CHOICE,
        "hold freeze: w, after: [\"size:small\"]",
        "free unfreeze: w, after: [\"size:large\"]",
    ];
    refused(&[&other], &[], "where it goes size:small");
    refused(&[&["free unfreeze: w", "hold freeze: w"]], &[], "is not ended on every way");
}

#[test]
fn a_freeze_that_the_way_back_does_not_end_is_refused() {
    let held: [&[&str]; 2] = [&["hold freeze: w"], &["free unfreeze: w"]];
    refused(&held, &["return"], "the way back does not end the freeze `w`");
    let branch =
        [CHOICE, "back unfreeze: w, after: [\"size:small\"]", "other after: [\"size:large\"]"];
    refused(&held, &branch, "the way back does not end");
    let over = ["hold freeze: w", "{ commit: true }", "free unfreeze: w"];
    refused(&[&over], &[], "holds over the point of no return");
    let for_good = ["hold freeze: w, undo: { refused: \"no\", approval: go }", "free unfreeze: w"];
    refused(&[&for_good], &[], "nothing ends the freeze `w` when this step is taken back");
}

#[test]
fn a_freeze_that_is_none_is_refused() {
    refused(&[&["a freeze: w", "b freeze: w", "c unfreeze: w"]], &[], "can hold already");
    refused(
        &[&["a freeze: writers", "b unfreeze: writer", "c unfreeze: writers"]],
        &[],
        "no step begins the freeze `writer`",
    );
    refused(
        &[&["a", "b freeze: w, after: [a]", "c unfreeze: w, after: [a]"]],
        &[],
        "nobody knows whether `w` has begun",
    );
    refused(&[&["a freeze: w, unfreeze: w"]], &[], "cannot begin a freeze and end one");
    let look = "{ name: look, capability: snapshot.verify, with: { snapshot: s }, freeze: w }";
    refused(&[&[look, "c unfreeze: w"]], &[], "changes nothing");
    // Thirteen choices, each of which decides whether a step runs that begins or ends it.
    let many: Vec<String> = (0..13)
        .flat_map(|n| {
            let choice = CHOICE.replace("size", &format!("c{n}"));
            let mark = if n % 2 == 0 { "freeze" } else { "unfreeze" };
            let small = format!("s{n} {mark}: w, after: [\"c{n}:small\"]");
            let large = format!("l{n} after: [\"c{n}:large\"]");
            let joined = format!("j{n} after: [s{n}, l{n}]");
            [choice, small, large, joined]
        })
        .collect();
    let steps: Vec<&str> = many.iter().map(String::as_str).chain(["b unfreeze: w"]).collect();
    let Err(found) = plan(&[&steps], &[]) else { panic!("accepted") };
    let last = found.last().unwrap();
    assert!(last.message.contains("too many ways"), "{found:#?}");
    assert_eq!(last.remedy, "put the choices into a phase of their own");
    let held = ["a freeze: w", "b unfreeze: w"];
    let Err(found) = plan(&[&held], &steps) else { panic!("accepted") };
    assert!(found.iter().any(|it| it.message.contains("too many ways")), "{found:#?}");
    // Choices of a phase in which it neither begins nor ends are none of its affair.
    let led = (0..13).flat_map(|n| {
        let to = |branch: &str| format!("n{n}{branch} after: [\"c{n}:{branch}\"]");
        [CHOICE.replace("size", &format!("c{n}")), to("small"), to("large")]
    });
    let led: Vec<String> = led.collect();
    let led: Vec<&str> = led.iter().map(String::as_str).collect();
    plan(&[&["a freeze: w"], &led, &["b unfreeze: w"]], &[]).unwrap();
}

#[test]
fn a_freeze_behind_the_point_of_no_return_needs_a_way_back() {
    let phases: [&[&str]; 2] = [&["a", "{ commit: true }"], &["b freeze: w", "c unfreeze: w"]];
    refused(&phases, &[], "begins behind the point of no return");
    plan(&phases, &["back unfreeze: w"]).unwrap();
    let same = ["a", "{ commit: true }", "b freeze: w", "c unfreeze: w"];
    refused(&[&same], &[], "begins behind the point of no return");
}

#[test]
fn what_only_looks_ends_no_freeze() {
    let look = "{ name: look, capability: snapshot.verify, with: { snapshot: s }, unfreeze: w }";
    refused(&[&["a freeze: w", look]], &[], "changes nothing");
    refused(&[&["a freeze: w", "b unfreeze: w"]], &[look], "changes nothing");
}

#[test]
fn branches_may_have_a_freeze_of_one_name_each() {
    let each = [
        CHOICE,
        "h1 freeze: w, after: [\"size:small\"]",
        "f1 unfreeze: w",
        "h2 freeze: w, after: [\"size:large\"]",
        "f2 unfreeze: w",
    ];
    plan(&[&each], &[]).unwrap();
}

/// What following costs is bounded by what a plan may have, not by what it says.
#[test]
fn a_plan_has_a_bounded_number_of_steps_that_freeze() {
    let steps = |count: usize| -> Vec<String> {
        let word = |n| if n % 2 == 0 { "freeze" } else { "unfreeze" };
        (0..count).map(|n| format!("s{n} {}: w", word(n))).collect()
    };
    let judged = |steps: &[String]| {
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        plan(&[&steps], &[])
    };
    judged(&steps(1_000)).unwrap();
    let found = judged(&steps(1_002)).unwrap_err();
    assert!(found.iter().any(|it| it.message.contains("1002 steps begin or end")), "{found:#?}");
}

/// A step that sets a variable: its undo is done behind the point of no return as well.
fn set(name: &str, keys: &str) -> String {
    let with = "{ env_file: app.env, key: READ_ONLY, value: \"1\" }";
    format!("{{ name: {name}, capability: env.set, with: {with}, {keys} }}")
}

fn taken_back(name: &str, step: &str, keys: &str) -> String {
    let with = format!("{{ step: {step} }}");
    format!("{{ name: {name}, capability: run.take_back, with: {with}{keys} }}")
}

const COMMIT: &str = "{ commit: true }";

#[test]
fn what_undo_leaves_behind_the_point_of_no_return_decides_whether_a_freeze_is_over() {
    let (hold, free) = (set("hold", "freeze: w"), set("free", "unfreeze: w"));
    // Both are undone, whatever lies between them.
    plan(&[&[&hold, COMMIT, "work", &free]], &[]).unwrap();
    plan(&[&[&hold], &["work", COMMIT], &[&free]], &[]).unwrap();
    plan(&[&["work", COMMIT], &[&hold, &free]], &[]).unwrap();
    // What begins it is undone, so that it is over whatever ended it.
    plan(&[&[&hold, "free unfreeze: w", COMMIT, "work"]], &[]).unwrap();
    // The end alone is undone: it holds again.
    let again = "can hold again: behind the point of no return env.set is undone";
    refused(&[&["hold freeze: w", &free, COMMIT, "work"]], &[], again);
    refused(&[&["hold freeze: w", &free], &["work"], &["more", COMMIT]], &[], again);
    refused(&[&["hold freeze: w", COMMIT, &free]], &[], "holds over the point of no return");
    plan(&[&["hold freeze: w", &free], &["work"]], &[]).unwrap();
    // With a way back only the open phase is undone: the end of an earlier one stands.
    plan(&[&["hold freeze: w", &free], &["work", COMMIT]], &["return"]).unwrap();
    let same = ["hold freeze: w", &free, COMMIT, "work"];
    refused(&[&same], &["return"], "the way back does not end");
    plan(&[&same], &["back unfreeze: w"]).unwrap();
    // What an earlier phase began is not undone then.
    refused(&[&[&hold], &[COMMIT, "work", &free]], &["return"], "the way back does not end");
    plan(&[&[&hold, COMMIT, "work", &free]], &["return"]).unwrap();
}

#[test]
fn the_remedy_says_what_a_way_back_must_take_back() {
    let over = ["hold freeze: w", COMMIT, "free unfreeze: w"];
    let found = plan(&[&over], &[]).unwrap_err();
    let remedy = &found[0].remedy;
    assert!(remedy.contains("`unfreeze: w` under `rollback`"), "{remedy}");
    assert!(remedy.contains("undo then covers the open phase alone"), "{remedy}");
    assert!(found[0].message.contains("behind which file.copy is not undone"), "{found:#?}");
}

#[test]
fn to_take_a_step_back_ends_what_it_began_and_begins_what_it_ended() {
    let held: [&[&str]; 2] = [&["hold freeze: w", "work"], &["more", "free unfreeze: w"]];
    let (begin, end) = (taken_back("b1", "p0/hold", ""), taken_back("b2", "p1/free", ""));
    plan(&held, &[&end, &begin]).unwrap();
    plan(&held, &[&begin]).unwrap();
    plan(&held, &[&taken_back("b1", "p0/hold", ", unfreeze: w")]).unwrap();
    refused(&held, &[&begin, &end], "the way back does not end");
    refused(&held, &[&taken_back("b1", "p0/work", "")], "the way back does not end");
    // A freeze of the same name that was never begun is nothing to take back.
    let twice: [&[&str]; 4] =
        [&["h1 freeze: w"], &["f1 unfreeze: w"], &["h2 freeze: w"], &["f2 unfreeze: w"]];
    let (one, two) = (taken_back("b1", "p0/h1", ""), taken_back("b2", "p2/h2", ""));
    refused(&twice, &[&two], "the way back does not end");
    plan(&twice, &[&two, &one]).unwrap();
    // Forward as well: there its own undo does nothing.
    let again = taken_back("again", "p1/free", "");
    let forward: [&[&str]; 3] = [held[0], held[1], &[&again]];
    refused(&forward, &[], "is not ended on every way");
    let forward: [&[&str]; 3] = [held[0], held[1], &[&again, "end unfreeze: w"]];
    refused(&forward, &[], "begins the freeze `w` again, and nothing ends");
    plan(&[&["hold freeze: w", "work", &taken_back("free", "p0/hold", "")]], &[]).unwrap();
    let mark = taken_back("hold", "p0/work", ", freeze: w");
    refused(&[&["work"], &[&mark, "free unfreeze: w"]], &[], "which ends no freeze `w`");
}

#[test]
fn a_mark_agrees_with_what_is_taken_back() {
    let held: [&[&str]; 2] = [&["hold freeze: w", "work"], &["free unfreeze: w"]];
    for (step, key, message) in [
        ("p0/work", "unfreeze: w", "`p0/work` is taken back, which begins no freeze `w`"),
        ("p0/none", "unfreeze: w", "`p0/none` is taken back, which begins no freeze `w`"),
        ("p1/free", "unfreeze: w", "`p1/free` is taken back, which begins no freeze `w`"),
        ("p0/hold", "freeze: w", "`p0/hold` is taken back, which ends no freeze `w`"),
    ] {
        refused(&held, &[&taken_back("back", step, &format!(", {key}"))], message);
    }
}

#[test]
fn a_freeze_by_what_is_not_taken_back_is_refused() {
    let restart = |name: &str, keys: &str| {
        let with = "{ manager: supervisord, service: web, settings: sv.conf }";
        format!("{{ name: {name}, capability: service.restart, with: {with}, {keys} }}")
    };
    let (hold, free) = (restart("hold", "freeze: w"), restart("free", "unfreeze: w"));
    let message = "nothing ends the freeze `w` when this step is taken back";
    refused(&[&[&hold, "work", &free]], &[], message);
    refused(&[&[&hold, "work", &free]], &["back unfreeze: w"], message);
    let undo = "freeze: w, undo: { capability: file.copy, with: { from: source, to: mode } }";
    plan(&[&[&restart("hold", undo), "work", &free]], &[]).unwrap();
    plan(&[&["hold freeze: w", "work", &free]], &[]).unwrap();
    // On the way back nothing is undone.
    plan(&[&["work"]], &[&hold, &free]).unwrap();
}

#[test]
fn a_freeze_within_one_phase_needs_no_prescribed_end() {
    let back = taken_back("back", "p0/copy", "");
    let within = ["hold freeze: w", "work", "free unfreeze: w"];
    plan(&[&["copy"], &within], &[&back]).unwrap();
    plan(&[&["copy"], &within, &["work", COMMIT]], &[&back]).unwrap();
    let behind = ["hold freeze: w", COMMIT, "free unfreeze: w"];
    refused(&[&["copy"], &behind], &[&back], "the way back does not end");
    let begun = [COMMIT, "hold freeze: w", "free unfreeze: w"];
    refused(&[&["copy"], &begun], &[&back], "the way back does not end");
    refused(&[&["copy"], &[COMMIT], &within], &[&back], "the way back does not end");
    let over: [&[&str]; 2] = [&["copy", "hold freeze: w"], &["free unfreeze: w"]];
    refused(&over, &[&back], "the way back does not end");
}

/// The place of a finding, as the line that it points to.
#[track_caller]
fn line(phases: &[&[&str]], message: &str) -> usize {
    let found = plan(phases, &[]).unwrap_err();
    let found = found.iter().find(|it| it.message.contains(message));
    found.unwrap_or_else(|| panic!("{message}")).span.line
}

#[test]
fn a_finding_points_to_the_mark_that_it_is_about() {
    let (first, second) = (["h1 freeze: w", "f1 unfreeze: w"], "h2 freeze: w");
    let of = |mark: &str, phases: &[&[&str]], message: &str| {
        let lines = phases.iter().flat_map(|steps| [&["", "", ""], *steps, &[""]].concat());
        let expected = 8 + lines.take_while(|it| *it != mark).count();
        assert_eq!(line(phases, message), expected, "{message}");
    };
    of(second, &[&first, &[second]], "is not ended on every way");
    of(second, &[&first, &[COMMIT, second, "f2 unfreeze: w"]], "begins behind");
    of(second, &[&first, &[second, COMMIT, "f2 unfreeze: w"]], "holds over");
    // Where the way goes on which it is not ended, not where it began.
    let one = [CHOICE, "free unfreeze: w, after: [\"size:small\"]", "o after: [\"size:large\"]"];
    let message = "it holds on in the phase `p1`, where it goes size:large";
    of("hold freeze: w", &[&["hold freeze: w"], &one], message);
    of("hold freeze: w", &[&["hold freeze: w"], &one, &["work"]], message);
}

/// Only choices that decide which steps run that begin or end it are multiplied.
#[test]
fn choices_that_decide_nothing_cost_nothing() {
    let choice = |n: usize, after: &str| {
        CHOICE.replace("size", &format!("c{n}")).replace(" }], ", &format!(" }}], {after}"))
    };
    // Optional steps in a row.
    let row = (0..40).flat_map(|n| {
        let step = format!("o{n} after: [\"c{n}:small\"]");
        [choice(n, ""), step, format!("z{n} after: [o{n}, \"c{n}:large\"]")]
    });
    let row: Vec<String> = row.collect();
    let within = |inner: &[String]| {
        let steps: Vec<&str> = inner.iter().map(String::as_str).collect();
        [&["hold freeze: w"], steps.as_slice(), &["free unfreeze: w"]].concat().join("\n")
    };
    let whole = within(&row);
    plan(&[&whole.lines().collect::<Vec<_>>()], &[]).unwrap();
    // Choices within choices, one branch of each.
    let mut nested = vec![choice(0, "")];
    let mut ends = Vec::new();
    for n in 0..40 {
        nested.push(format!("s{n} after: [\"c{n}:small\"]"));
        nested.push(choice(n + 1, &format!("after: [\"c{n}:large\"], ")));
        ends.push(format!("s{n}"));
    }
    nested.push("s40 after: [\"c40:small\"]".to_owned());
    nested.push("l40 after: [\"c40:large\"]".to_owned());
    nested.push(format!("all after: [{}, s40, l40]", ends.join(", ")));
    let whole = within(&nested);
    plan(&[&whole.lines().collect::<Vec<_>>()], &[]).unwrap();
    // One branch that is left out is found.
    let less = whole.replace("s17, ", "");
    let message = "c16:large, c17:small";
    refused(&[&less.lines().collect::<Vec<_>>()], &[], message);
}

#[test]
fn an_amendment_that_drops_or_changes_a_mark_says_so() {
    let of = |hold: &str, free: &str| {
        let (hold, free) = (format!("hold {hold}"), format!("free {free}"));
        plan(&[&[&hold, "work"], &[&free]], &[]).unwrap()
    };
    let old = of("freeze: w", "unfreeze: w");
    let changed = |new: &Plan| -> Vec<(String, Vec<&'static str>)> {
        let phases = new.changes_from(&old).phases;
        phases.into_iter().flat_map(|it| it.nodes).map(|it| (it.node, it.what)).collect()
    };
    assert!(changed(&old).is_empty());
    let gone = changed(&of("", ""));
    let named = |step: &str, key: &'static str| (step.to_owned(), vec![key]);
    assert_eq!(gone, [named("p0/hold", "freeze"), named("p1/free", "unfreeze")]);
    assert_eq!(changed(&of("freeze: v", "unfreeze: v")), gone);
    // What a step is compiled to carries its mark.
    let marked = serde_json::to_value(&old.phases()[0].nodes[1].kind).unwrap();
    assert_eq!(marked["step"]["freeze"], "w");
    assert_ne!(old.phases()[0], of("", "").phases()[0]);
}
