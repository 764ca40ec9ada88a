use carnet_ledger::Digest;
use serde_json::{Value, json};

use super::*;

fn content(kind: ContentType, path: &str) -> Value {
    json!({
        "type": kind,
        "path": path,
        "media_type": "application/json",
        "integrity_hash": format!("sha256:{}", Digest::of(path.as_bytes())),
        "size": 3,
    })
}

fn manifest() -> Value {
    let id = |path: &str| format!("sha256:{}", Digest::of(path.as_bytes()));
    json!({
        "version": BUNDLE_VERSION,
        "created": "2026-11-01T00:00:00Z",
        "source_provider": "lab",
        "tenant_id": "t",
        "scenario": "container",
        "workload_id": "web",
        "evidence_profile_id": "ecs-evidence-admissible",
        "profile_version": "1",
        "hash_profile_id": "ecs-hash-v1",
        "producer_identity": {"issuer_id": "ops", "producer_id": "carnet"},
        "scope": {"from_sequence": 0, "to_sequence": 9},
        "contents": [
            content(ContentType::AuthoritySnapshot, "authority/snapshot.json"),
            content(ContentType::DependencyManifest, "dependency-manifest.json"),
            content(ContentType::GovernanceMetadata, "governance.json"),
            content(ContentType::PolicySnapshot, "policy/snapshot.json"),
        ],
        "content_root": Digest::of(b"root"),
        "governance_metadata": {
            "jurisdiction": "DE",
            "classification": "internal",
            "retention": "P365D",
            "evidence_pointers": [],
        },
        "policy_snapshot_id": id("policy/snapshot.json"),
        "authority_snapshot_id": id("authority/snapshot.json"),
    })
}

fn read(value: &Value) -> Result<BundleManifest, ManifestError> {
    BundleManifest::read(value.to_string().as_bytes())
}

fn with(change: impl FnOnce(&mut Value)) -> Result<BundleManifest, ManifestError> {
    let mut value = manifest();
    change(&mut value);
    read(&value)
}

#[test]
fn a_whole_manifest_is_read_and_written_the_same() {
    let read = read(&manifest()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), manifest());
}

#[test]
fn too_old_and_too_new_versions_are_told_apart() {
    for (version, word) in
        [("carnet-bundle-0", "old"), ("carnet-bundle-2", "new"), ("oci", "not known")]
    {
        let error = with(|it| it["version"] = version.into()).unwrap_err();
        assert!(matches!(error, ManifestError::Version { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn an_unknown_type_of_content_is_named() {
    let error = with(|it| it["contents"][0]["type"] = "cargo".into()).unwrap_err();
    assert_eq!(error, ManifestError::ContentType { found: "cargo".into() });
}

#[test]
fn paths_that_could_do_harm_are_refused() {
    for path in ["", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a\\b", "c:d", "a\nb"] {
        let error = with(|it| it["contents"][0]["path"] = path.into()).unwrap_err();
        assert!(matches!(error, ManifestError::Path { .. }), "{path:?}: {error}");
    }
    let twice = with(|it| it["contents"][1]["path"] = "authority/snapshot.json".into());
    assert!(twice.unwrap_err().to_string().contains("twice"));
    let order = with(|it| it["contents"][0]["path"] = "zzz".into()).unwrap_err();
    assert!(order.to_string().contains("order"), "{order}");
    let case = with(|it| it["contents"][2]["path"] = "Dependency-manifest.json".into());
    let case = case.unwrap_err().to_string();
    assert!(case.contains("case") || case.contains("order"), "{case}");
}

#[test]
fn contradictions_are_refused() {
    for change in [
        (|it: &mut Value| it["scenario"] = "data_only".into()) as fn(&mut Value),
        |it| it["scope"]["from_sequence"] = 10.into(),
        |it| it["policy_snapshot_id"] = format!("sha256:{}", Digest::of(b"x")).into(),
        |it| it["authority_snapshot_id"] = it["policy_snapshot_id"].clone(),
        |it| it["contents"][1]["type"] = "config".into(),
    ] {
        let error = with(change).unwrap_err();
        assert!(matches!(error, ManifestError::Contradiction(_)), "{error}");
    }
}

#[test]
fn wrong_members_are_refused() {
    for change in [
        (|it: &mut Value| it["more"] = 1.into()) as fn(&mut Value),
        |it| it["contents"][0]["size"] = (-1).into(),
        |it| it["governance_metadata"] = Value::Null,
        |it| it["content_root"] = "short".into(),
    ] {
        assert!(matches!(with(change), Err(ManifestError::Form(_))));
    }
}
