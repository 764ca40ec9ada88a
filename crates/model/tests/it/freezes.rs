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
    let held = ["hold freeze: w", "free unfreeze: w"];
    refused(&[&held], &["return"], "the way back does not end the freeze `w`");
    let branch =
        [CHOICE, "back unfreeze: w, after: [\"size:small\"]", "other after: [\"size:large\"]"];
    refused(&[&held], &branch, "the way back does not end");
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
    let many: Vec<String> = (0..13).map(|n| CHOICE.replace("size", &format!("c{n}"))).collect();
    let mut steps = vec!["a freeze: w"];
    steps.extend(many.iter().map(String::as_str));
    steps.push("b unfreeze: w");
    let Err(found) = plan(&[&steps], &[]) else { panic!("accepted") };
    assert!(found.iter().any(|it| it.message.contains("too many ways")), "{found:#?}");
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
