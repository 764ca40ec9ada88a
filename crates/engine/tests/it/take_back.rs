//! A prescribed way back from behind the point of no return.

use super::capabilities::Bench;

/// A phase `use` of these steps, and a way back of one step; its gates are open.
fn bench(steps: &[&str], back: &str) -> Bench {
    let gate = "[{ gate: command, name: well, with: { program: \"true\" } }]";
    let steps: Vec<String> = steps.iter().map(|step| format!("      - {step}\n")).collect();
    let steps = steps.concat();
    Bench::of(&format!(
        "carnet: v1\nmigration: bench\nowner: tests\nphases:\n  - name: use\n    steps:\n{steps}    \
         exit: {gate}\nrollback:\n  phases:\n    - name: back\n      steps:\n        - {back}\n      \
         exit: {gate}\n"
    ))
}

fn hold(script: &str) -> String {
    format!(
        "{{ name: hold, capability: command.run, with: {{ program: sh, args: [-c, \"{script}\"] }}, \
         undo: {{ capability: command.run, with: {{ program: rm, args: [-f, frozen] }} }}, freeze: w }}"
    )
}

const COMMIT: &str = "{ commit: true }";
const FAIL: &str = "{ name: work, capability: command.run, with: { program: \"false\" }, undo: { capability: command.run, with: { program: \"true\" } } }";
const FREE: &str = "{ name: free, capability: command.run, with: { program: rm, args: [-f, frozen] }, undo: { capability: command.run, with: { program: touch, args: [frozen] } }, unfreeze: w }";
const BACK: &str = "{ name: hold, capability: run.take_back, with: { step: use/hold } }";

#[test]
fn what_holds_over_the_point_of_no_return_is_let_go_by_the_way_back() {
    for back in [FREE, BACK] {
        let bench = bench(&[&hold("touch frozen"), COMMIT, FAIL, FREE], back);
        assert_eq!(bench.status(""), "waiting");
        assert!(bench.path("frozen").exists());
        assert_eq!(bench.roll_back().status, "rolled_back");
        assert!(!bench.path("frozen").exists(), "{back}");
    }
}

#[test]
fn a_step_that_failed_is_taken_back_for_what_it_may_have_done() {
    let bench = bench(&[COMMIT, &hold("touch frozen; exit 1"), FREE], BACK);
    assert_eq!(bench.status(""), "waiting");
    assert!(bench.path("frozen").exists());
    assert_eq!(bench.roll_back().status, "rolled_back");
    assert!(!bench.path("frozen").exists());
}
