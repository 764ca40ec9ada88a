use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::portability::BUNDLE_VERSION;

const WHOLE: Build =
    Build { rego: true, age: true, registry: true, podman: true, qemu: true, swtpm: true };

fn needs() -> Needs {
    Needs {
        bundle_version: BUNDLE_VERSION.to_owned(),
        scenario: Scenario::Vm,
        content_types: BTreeSet::from([ContentType::DiskImage, ContentType::PolicySnapshot]),
        evidence_profile: "ecs-evidence-admissible".to_owned(),
        hash_profile: "ecs-hash-v1".to_owned(),
        policy_language: Some("rego.v1".to_owned()),
        encryption: BTreeSet::from(["age-v1".to_owned()]),
        jurisdiction: "DE".to_owned(),
        classification: "internal".to_owned(),
        disk: Some(DiskNeed { format: DiskFormat::Qcow2, virtual_bytes: 1 << 30, tpm: true }),
        runtime: Some(Runtime::Qemu),
        stateful: Vec::new(),
    }
}

fn environment() -> Environment {
    let mut environment = Environment::unknown();
    environment.jurisdictions = vec!["DE".to_owned(), "FR".to_owned()];
    environment.classifications = vec!["internal".to_owned()];
    environment
}

/// Which claims are missing.
fn refused(needs: &Needs, claims: &Claims) -> Vec<Claim> {
    let refused = compare(needs, claims);
    assert!(refused.iter().all(|it| !it.remedy.is_empty() && !it.why.is_empty()));
    refused.into_iter().map(|it| it.claim).collect()
}

#[test]
fn what_is_claimed_is_taken() {
    let claims = WHOLE.claims(&environment());
    assert_eq!(refused(&needs(), &claims), []);
    assert!(claims.absent.is_empty());
    assert_eq!(Claims::read(&claims.to_bytes()).unwrap(), claims);
}

#[test]
fn each_claim_that_is_taken_away_is_missed() {
    type Change = fn(&mut Claims);
    let claims = WHOLE.claims(&environment());
    let changes: [(Claim, Change); 13] = [
        (Claim::Scenario, |it| it.import.retain(|it| *it != Scenario::Vm)),
        (Claim::BundleVersion, |it| it.bundle_versions.clear()),
        (Claim::ContentType, |it| it.content_types.retain(|it| *it != ContentType::DiskImage)),
        (Claim::EvidenceProfile, |it| it.evidence_profiles.clear()),
        (Claim::HashProfile, |it| it.hash_profiles.clear()),
        (Claim::Policy, |it| it.policies.clear()),
        (Claim::Encryption, |it| it.encryption.clear()),
        (Claim::Jurisdiction, |it| it.jurisdictions = vec!["FR".to_owned()]),
        (Claim::Classification, |it| it.classifications.clear()),
        (Claim::Runtime, |it| it.runtimes.clear()),
        (Claim::DiskFormat, |it| it.disk.formats = vec![DiskFormat::Raw]),
        (Claim::DiskSize, |it| it.disk.virtual_bytes_max = (1 << 30) - 1),
        (Claim::Tpm, |it| it.disk.tpm = false),
    ];
    for (claim, change) in changes {
        let mut less = claims.clone();
        change(&mut less);
        assert_eq!(refused(&needs(), &less), [claim]);
    }
}

#[test]
fn what_the_build_lacks_is_neither_claimed_nor_hidden() {
    let bare = Build {
        rego: false,
        age: false,
        registry: false,
        podman: false,
        qemu: false,
        swtpm: false,
    };
    let claims = bare.claims(&environment());
    assert_eq!(claims.import, [Scenario::DataOnly, Scenario::EvidenceOnly]);
    assert_eq!(claims.absent.len(), 6);
    let missing = refused(&needs(), &claims);
    let wanted = [
        Claim::Scenario,
        Claim::Policy,
        Claim::Encryption,
        Claim::Runtime,
        Claim::DiskFormat,
        Claim::DiskSize,
        Claim::Tpm,
    ];
    assert_eq!(missing, wanted);
}

#[test]
fn an_environment_takes_away_and_adds_nothing() {
    let bare = Build { podman: false, ..WHOLE };
    let mut environment = environment();
    environment.import = Some(Scenario::ALL.to_vec());
    environment.disk =
        Some(DiskLimit { formats: None, virtual_bytes_max: Some(u64::MAX), tpm: Some(true) });
    let claims = bare.claims(&environment);
    assert!(!claims.import.contains(&Scenario::Container));
    assert!(claims.disk.virtual_bytes_max < u64::MAX);
    let no_tpm = Build { swtpm: false, ..WHOLE };
    assert!(!no_tpm.claims(&environment).disk.tpm);
    environment.import = Some(vec![Scenario::EvidenceOnly]);
    assert_eq!(WHOLE.claims(&environment).import, [Scenario::EvidenceOnly]);
}

#[test]
fn every_stateful_asset_is_refused_with_another_way() {
    let claims = WHOLE.claims(&environment());
    for asset in StatefulAsset::ALL {
        let mut needs = needs();
        needs.stateful = vec![StatefulPart { asset, name: "x".to_owned() }];
        let refused = compare(&needs, &claims);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].claim, Claim::Stateful);
        assert!(refused[0].alternative.is_some());
        assert_eq!(refused[0].subject, format!("{asset}:x"));
        // An environment that forgot the limit does not take the asset either.
        let mut silent = claims.clone();
        silent.limits.clear();
        assert_eq!(compare(&needs, &silent).len(), 1);
    }
    let way = |asset| claims.limits.iter().find(|it| it.asset == asset).unwrap().alternative;
    assert_eq!(way(StatefulAsset::VolumeClaim), AlternativePath::ObjectExport);
    let database = way(StatefulAsset::ManagedDatabaseInternals);
    assert_eq!(database, AlternativePath::SnapshotExport);
    assert_eq!(database.scenario(), Scenario::DataOnly);
}

#[test]
fn a_refused_scenario_names_one_that_is_taken() {
    let mut claims = WHOLE.claims(&environment());
    claims.import = vec![Scenario::EvidenceOnly];
    let first = compare(&needs(), &claims).remove(0);
    assert_eq!(first.alternative, Some(AlternativePath::EvidenceOnly));
    claims.import.clear();
    assert_eq!(compare(&needs(), &claims).remove(0).alternative, None);
}

#[test]
fn a_file_about_an_environment_is_read_with_every_mistake_told() {
    let good =
        json!({"environment": "lab", "jurisdictions": ["*"], "classifications": ["internal"]});
    assert!(Environment::read(good.to_string().as_bytes()).is_ok());
    let bad = json!({"environment": "", "jurisdictions": "DE", "import": ["ship"], "colour": 1});
    let errors = Environment::read(bad.to_string().as_bytes()).unwrap_err();
    let places: BTreeSet<_> = errors.iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(
        places,
        BTreeSet::from(["", "/environment", "/jurisdictions", "/import/0", "/colour"])
    );
}

#[test]
fn a_volume_of_a_workload_and_the_tpm_of_a_machine_are_seen() {
    use crate::workload::DefinitionForm;

    let compose = "services:\n  web:\n    image: localhost/web:1\n    volumes:\n      - uploads:/srv\nvolumes:\n  uploads:\n";
    let parts = Parts::read(Some((DefinitionForm::Compose, compose)), None).unwrap();
    assert_eq!(parts.stateful.len(), 1, "{parts:?}");
    assert_eq!(
        (parts.stateful[0].asset, parts.stateful[0].name.as_str()),
        (StatefulAsset::VolumeClaim, "uploads")
    );
    let machine = json!({
        "version": "carnet-machine-1", "name": "m", "architecture": "x86_64", "processors": 1,
        "memory_mib": 256, "firmware": "uefi", "tpm": true, "disk_format": "raw",
        "disk_virtual_size": 64 << 20,
    });
    let parts = Parts::read(None, Some(machine.to_string().as_bytes())).unwrap();
    let disk = DiskNeed { format: DiskFormat::Raw, virtual_bytes: 64 << 20, tpm: true };
    assert_eq!(parts, Parts { disk: Some(disk), stateful: Vec::new() });
    assert!(Parts::read(None, Some(b"{}")).is_err());
    assert!(Parts::read(Some((DefinitionForm::Compose, "services: {}\n")), None).is_err());
    assert_eq!(Parts::read(None, None), Ok(Parts::default()));
}
