//! The program against real servers, driven from outside by the scripts in `scenarios/`. They need
//! what `./test` sets up: a Python with faiss-cpu and pyarrow, and PostgreSQL with pgvector.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn the_sequence_of_the_requirements_on_each_store() {
    play("requirements_sequence");
}

#[test]
fn real_data_goes_round_and_comes_back_bit_for_bit() {
    play("round_trip");
}

#[test]
fn seeded_faults_are_all_caught() {
    play("faults");
}

#[test]
fn bad_input_is_refused_and_nothing_is_lost() {
    play("bad_input");
}

#[test]
fn an_auditor_tells_each_damage_of_an_export() {
    play("auditor");
}

#[test]
fn evidence_of_others_is_verified_as_far_as_it_goes() {
    play("foreign_evidence");
}

#[test]
fn evidence_leaves_whole_and_is_checked_by_a_second_implementation() {
    if cfg!(feature = "faults") {
        play("evidence_export");
    } else {
        panic!("kills at a chosen point need the feature `faults`: run ./test, which sets it");
    }
}

#[test]
fn tools_of_others_accept_what_we_write_and_refuse_what_is_damaged() {
    if cfg!(feature = "openpgp") {
        play("outside_verifiers");
    } else {
        panic!("gpg is asked too, which needs the feature `openpgp`: run ./test, which sets it");
    }
}

#[test]
fn a_policy_decides_and_is_decided_again() {
    if cfg!(feature = "rego") {
        play("policy");
    } else {
        panic!("policies are asked, which needs the feature `rego`: run ./test, which sets it");
    }
}

#[test]
fn a_secret_is_put_and_taken_back_and_a_teardown_is_seen() {
    if cfg!(all(feature = "aws", feature = "faults")) {
        play("parameters");
    } else {
        panic!("it needs the features `aws` and `faults`: run ./test, which sets them");
    }
}

#[test]
fn what_a_cloud_runs_is_set_judged_and_put_back() {
    if cfg!(all(feature = "aws", feature = "faults")) {
        play("managed_services");
        play("managed_outages");
    } else {
        panic!("it needs the features `aws` and `faults`: run ./test, which sets them");
    }
}

#[test]
fn a_run_waits_for_people_and_goes_on_as_they_say() {
    play("approvals");
}

#[test]
fn a_programme_is_carried_from_phase_to_phase_and_each_refusal_is_seen() {
    if cfg!(feature = "s3") {
        play("programme");
        play("programme_rounds");
    } else {
        panic!(
            "evidence is in a bucket too, which needs the feature `s3`: run ./test, which sets it"
        );
    }
}

#[test]
fn what_a_programme_is_pinned_to_stays_as_it_is() {
    if cfg!(feature = "s3") {
        play("programme_pins");
    } else {
        panic!("it shares its plan with one in a bucket: run ./test, which sets the feature `s3`");
    }
}

#[test]
fn what_goes_wrong_with_programmes_in_practice_is_refused_by_name() {
    if cfg!(feature = "s3") {
        play("programme_failures");
    } else {
        panic!(
            "evidence is in a bucket too, which needs the feature `s3`: run ./test, which sets it"
        );
    }
}

#[test]
fn a_broker_is_asked_over_tls_by_somebody_whom_it_knows() {
    if cfg!(feature = "kafka") {
        play("broker_login");
    } else {
        panic!("brokers need the feature `kafka`: run ./test, which sets it");
    }
}

#[test]
fn an_exception_opens_a_gate_by_name_and_for_a_while() {
    play("exceptions");
}

#[test]
fn an_undo_that_fails_waits_for_a_person_and_each_way_on_is_recorded() {
    play("failed_undo");
}

#[test]
fn approvals_by_keys_of_gpg_count_and_nothing_like_them() {
    if cfg!(feature = "openpgp") {
        play("openpgp_approvals");
    } else {
        panic!("gpg makes the keys, which needs the feature `openpgp`: run ./test, which sets it");
    }
}

#[test]
fn two_engines_fight_for_one_run_and_one_of_them_does_it() {
    if cfg!(feature = "faults") {
        play("two_engines");
    } else {
        panic!("a step is held still by the feature `faults`: run ./test, which sets it");
    }
}

#[test]
fn killed_runs_continue_and_lose_nothing() {
    if cfg!(feature = "faults") {
        play("kill");
    } else {
        panic!("kills inside a chosen phase need the feature `faults`: run ./test, which sets it");
    }
}

#[test]
fn the_example_plans_run_on_real_parts_and_survive_kills() {
    if cfg!(all(feature = "faults", feature = "s3")) {
        play("capabilities");
    } else {
        panic!("kills and S3 need the features `faults` and `s3`: run ./test, which sets them");
    }
}

#[test]
fn claims_supply_chains_terms_and_conformance_hold_on_real_documents() {
    play("border");
}

#[test]
fn each_step_and_each_undo_of_the_examples_survives_a_kill() {
    if cfg!(all(feature = "faults", feature = "s3")) {
        play("crash_points");
    } else {
        panic!("kills and S3 need the features `faults` and `s3`: run ./test, which sets them");
    }
}

#[test]
fn a_dry_run_of_each_example_changes_nothing() {
    if cfg!(all(feature = "faults", feature = "s3")) {
        play("dry_run");
    } else {
        panic!("a run is cut off by the feature `faults`: run ./test, which sets it");
    }
}

#[test]
fn an_old_writer_is_refused_by_the_resource_itself() {
    if cfg!(all(feature = "faults", feature = "s3")) {
        play("fencing");
    } else {
        panic!("an engine is stopped by the feature `faults`: run ./test, which sets it");
    }
}

#[test]
fn gates_on_real_buckets_and_tables_pass_fail_and_say_why() {
    if cfg!(feature = "s3") {
        play("gates");
    } else {
        panic!("objects need the feature `s3`: run ./test, which sets it");
    }
}

#[test]
fn a_unit_of_a_real_systemd_is_restarted_and_taken_back() {
    if optional("CARNET_TEST_LONG").is_none() {
        eprintln!("skipped: a machine with systemd is booted by ./test --long");
    } else if optional("CARNET_TEST_SYSTEMD").is_none() {
        eprintln!("skipped: scripts/systemd-machine made no machine, which needs root");
    } else {
        play("service_systemd");
    }
}

#[test]
fn containers_are_placed_on_real_podman_and_nothing_is_left() {
    if cfg!(feature = "faults") {
        play("containers");
    } else {
        panic!("kills at a chosen point need the feature `faults`: run ./test, which sets it");
    }
}

#[test]
fn a_machine_crosses_with_its_firmware_and_its_tpm() {
    if cfg!(feature = "faults") {
        play("machines");
    } else {
        panic!("kills at a chosen point need the feature `faults`: run ./test, which sets it");
    }
}

#[test]
fn tools_of_others_take_bundles_and_transfers_go_on_by_blob() {
    if cfg!(all(feature = "age", feature = "registry")) {
        play("bundles");
    } else {
        panic!(
            "age and a registry need the features of the same names: run ./test, which sets them"
        );
    }
}

#[test]
fn data_and_evidence_cross_a_border_and_come_back() {
    if cfg!(all(feature = "faults", feature = "rego")) {
        play("portability");
    } else {
        panic!("kills and policies need the features `faults` and `rego`: run ./test");
    }
}

#[test]
fn a_container_and_a_machine_cross_a_border_and_come_back() {
    if cfg!(all(feature = "faults", feature = "rego", feature = "age", feature = "registry")) {
        play("crossing");
    } else {
        panic!("kills, policies, age and a registry need their features: run ./test");
    }
}

#[test]
fn a_platform_is_moved_from_packaging_to_certification() {
    if cfg!(feature = "kafka") {
        play("whole_programme");
    } else {
        panic!("a broker is asked, which needs the feature `kafka`: run ./test, which sets it");
    }
}

#[test]
fn the_example_platform_refuses_what_it_must() {
    play("event_platform");
}

#[test]
fn what_no_bundle_moves_is_refused_and_crosses_otherwise() {
    if cfg!(feature = "rego") {
        play("limits");
    } else {
        panic!("policies need the feature `rego`: run ./test, which sets it");
    }
}

/// Runs a script; its last words are shown if it fails or takes too long.
fn play(name: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = setting("CARNET_TEST_PYTHON");
    setting("CARNET_TEST_PG16");
    setting("CARNET_TEST_PG18");
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let log = File::create(&output).unwrap();
    let mut script = Command::new(python)
        .arg(root.join("scenarios").join(name).with_extension("py"))
        .current_dir(&root)
        .env("CARNET_BIN", env!("CARGO_BIN_EXE_carnet"))
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let limit =
        Duration::from_secs(if optional("CARNET_TEST_LONG").is_some() { 3_600 } else { 1_200 });
    let began = Instant::now();
    let status = loop {
        if let Some(status) = script.try_wait().unwrap() {
            break Some(status);
        }
        if began.elapsed() > limit {
            script.kill().unwrap();
            script.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = String::from_utf8_lossy(&std::fs::read(&output).unwrap()).into_owned();
    match status {
        Some(status) => {
            assert!(status.success(), "scenarios/{name}.py ended with {status}:\n{said}");
        }
        None => panic!("scenarios/{name}.py took more than {limit:?}:\n{said}"),
    }
    eprintln!("{said}");
}

fn setting(name: &str) -> String {
    optional(name).unwrap_or_else(|| {
        panic!("{name} is not set: run ./test, which starts the servers that this test needs")
    })
}

fn optional(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "where the tests' servers are")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
