//! Terraform under the engine: what is applied, found again after a crash, and taken back.

use std::process::Command;

use super::capabilities::Bench;

const APPLY: &str =
    "      - { name: apply, capability: terraform.apply, with: { place: { folder: infra } } }\n";

fn configuration(size: &str) -> String {
    format!(
        "terraform {{\n  backend \"local\" {{ path = \"../kept.tfstate\" }}\n}}\n\
         resource \"terraform_data\" \"core\" {{ input = \"{size}\" }}\n"
    )
}

/// A bench with a configuration; none where this machine has no Terraform.
#[expect(clippy::print_stderr, reason = "a test that does not run must say so")]
fn bench(steps: &str) -> Option<Bench> {
    if Command::new("terraform").arg("version").output().is_err() {
        eprintln!("skipped: there is no terraform on this machine");
        return None;
    }
    let bench = Bench::new(steps);
    for (folder, size) in [("infra", "small"), ("next", "large")] {
        std::fs::create_dir(bench.path(folder)).unwrap();
        bench.write(&format!("{folder}/main.tf"), &configuration(size));
    }
    Some(bench)
}

/// The size that the state holds; none if it holds nothing.
fn kept(bench: &Bench) -> Option<String> {
    let state: serde_json::Value = serde_json::from_str(&bench.text("kept.tfstate")?).unwrap();
    let input = state.pointer("/resources/0/instances/0/attributes/input/value")?;
    Some(input.as_str().unwrap().to_owned())
}

#[test]
fn a_configuration_is_applied_and_destroyed_where_nothing_was() {
    let Some(bench) = bench(APPLY) else { return };
    assert_eq!(bench.run("", true).unwrap().status, "done");
    assert_eq!(kept(&bench), None, "a dry run applied something");
    let mut left: Vec<_> = std::fs::read_dir(bench.path("infra")).unwrap().collect();
    left.retain(|entry| entry.as_ref().unwrap().file_name() != "main.tf");
    assert!(left.is_empty(), "a dry run left {left:?}");
    bench.write("bad", "");
    assert_eq!(bench.status(""), "refused");
    assert_eq!(kept(&bench), None, "it was not taken back");
    std::fs::remove_file(bench.path("bad")).unwrap();
    assert_eq!(bench.status(""), "done");
    assert_eq!(kept(&bench).as_deref(), Some("small"));
}

#[test]
fn what_was_applied_before_is_applied_again() {
    let Some(bench) = bench(
        "      - { name: apply, capability: terraform.apply, with: { place: { folder: infra } } }\n\
         \x20     - { name: next, capability: terraform.apply, with: { place: { folder: next } } }\n",
    ) else {
        return;
    };
    // Nothing says what was there before: refused, before anything is changed.
    assert_eq!(bench.code(), "command.failed");
    assert_eq!(kept(&bench), None);
    let Some(bench) = self::bench(
        "      - { name: apply, capability: terraform.apply, with: { place: { folder: infra } } }\n\
         \x20     - { name: next, capability: terraform.apply, with: { place: { folder: next }, before: infra } }\n",
    ) else {
        return;
    };
    assert_eq!(bench.status("after/use/next:1:crash"), "crashed");
    assert_eq!(kept(&bench).as_deref(), Some("large"));
    bench.write("bad", "");
    assert_eq!(bench.status(""), "refused");
    assert_eq!(kept(&bench), None, "all of it is taken back, step by step");
}

#[test]
fn a_crash_leaves_one_of_each() {
    for point in ["before/use/apply", "terraform/started", "terraform/applied", "after/use/apply"] {
        let Some(bench) = bench(APPLY) else { return };
        assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed", "{point}");
        assert_eq!(bench.status(""), "done", "{point}");
        assert_eq!(kept(&bench).as_deref(), Some("small"), "{point}");
        let state = bench.text("kept.tfstate").unwrap();
        assert_eq!(state.matches("\"type\": \"terraform_data\"").count(), 1, "{point}");
    }
}

/// In a phase that waits: what a failed attempt has made is its own, and is not taken for what was
/// there before.
#[test]
fn what_failed_half_way_is_gone_on_with() {
    let Some(bench) = bench(&format!("{APPLY}    on_failure: wait\n")) else { return };
    let made = bench.path("made");
    let second = format!(
        "resource \"terraform_data\" \"second\" {{\n  depends_on = [terraform_data.core]\n  provisioner \
         \"local-exec\" {{ command = \"test -e {}\" }}\n}}\n",
        made.display()
    );
    bench.write("infra/main.tf", &format!("{}{second}", configuration("small")));
    assert_eq!(bench.code(), "command.failed");
    assert_eq!(kept(&bench).as_deref(), Some("small"), "it did not fail half way");
    bench.write("made", "");
    assert_eq!(bench.status(""), "done");
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_made() {
    let Some(bench) = bench(APPLY) else { return };
    bench.write("infra/main.tf", "resource \"terraform_data\" {\n");
    assert_eq!(bench.code(), "command.failed");
    assert_eq!(kept(&bench), None);
}

#[test]
fn all_is_destroyed_once() {
    let steps = "      - name: destroy\n        capability: terraform.destroy\n        \
                 with: { place: { folder: infra } }\n        undo: { capability: terraform.apply, \
                 with: { place: { folder: infra } } }\n";
    for point in ["terraform/destroyed", "after/use/destroy", ""] {
        let Some(bench) = bench(steps) else { return };
        for args in [&["init"][..], &["apply", "-auto-approve"]] {
            let mut command = Command::new("terraform");
            let output = command.args(args).current_dir(bench.path("infra")).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(kept(&bench).as_deref(), Some("small"));
        if !point.is_empty() {
            assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed", "{point}");
        }
        assert_eq!(bench.status(""), "done", "{point}");
        assert_eq!(kept(&bench), None, "{point}");
    }
}
