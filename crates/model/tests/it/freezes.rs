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
    let names: Vec<String> = (0..101).map(|n| format!("s{n} freeze: w{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    refused(&[&names], &[], "there are 101 freezes");
}

/// Thousands of steps that freeze and unfreeze are checked in a moment.
#[test]
fn a_large_plan_with_freezes_is_checked_at_once() {
    let steps: Vec<String> = (0..4_000)
        .map(|n| format!("s{n} {}: w", if n % 2 == 0 { "freeze" } else { "unfreeze" }))
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    plan(&[&steps], &[]).unwrap();
}
