//! What profiles admit, and for each rule the event that must be refused.

use std::collections::{BTreeMap, BTreeSet};

use carnet_ledger::{
    Continuity, EventType, EvidenceProfile, Family, MemberValue, NotAdmitted, RefusalClass, Value,
    families_missing, not_admitted,
};

/// An event as somebody else wrote it.
fn foreign() -> BTreeMap<&'static str, Value> {
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let texts = [
        ("id", "evt-1"),
        ("event_type", "cargo.weigh"),
        ("occurred_at", "2026-11-01T00:00:00Z"),
        ("actor", "scale"),
        ("tenant_id", "port"),
        ("outcome", "accepted"),
        (
            "evidence_pointer",
            "eosc://evidence/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("correlation_id", "c-1"),
        ("authority_snapshot_id", "authority-1"),
        ("policy_snapshot_id", "policy-1"),
        ("chain_id", "port-1"),
        ("event_hash", digest),
        ("prev_hash", digest),
        ("hash_profile_id", "ecs-hash-v1"),
    ];
    let texts = texts.into_iter().map(|(name, text)| (name, text.into()));
    texts.chain([("sequence", Value::from(3u32))]).collect()
}

/// The members that the profile asks for and does not find.
fn asked(profile: EvidenceProfile, event: &BTreeMap<&str, Value>) -> Vec<&'static str> {
    let found = not_admitted(profile, |name| event.get(name).and_then(MemberValue::of));
    found.iter().map(NotAdmitted::member).collect()
}

#[test]
fn each_member_of_the_envelope_is_missed() {
    for profile in EvidenceProfile::ALL.iter().copied() {
        assert_eq!(asked(profile, &foreign()), [""; 0], "{profile}");
        for name in [
            "id",
            "event_type",
            "occurred_at",
            "actor",
            "tenant_id",
            "sequence",
            "outcome",
            "evidence_pointer",
            "correlation_id",
            "authority_snapshot_id",
            "policy_snapshot_id",
        ] {
            let mut event = foreign();
            event.remove(name);
            assert_eq!(asked(profile, &event), [name], "{profile}");
            event.insert(name, Value::List(Vec::new()));
            assert_eq!(asked(profile, &event), [name], "{profile}");
            event.insert(name, "".into());
            assert_eq!(asked(profile, &event), [name], "{profile}");
        }
        let mut event = foreign();
        event.insert("evidence_pointer", "eosc://evidence/sha256:12".into());
        assert_eq!(asked(profile, &event), ["evidence_pointer"], "{profile}");
        event = foreign();
        event.insert("outcome", "fine".into());
        assert_eq!(asked(profile, &event), ["outcome"], "{profile}");
    }
}

#[test]
fn a_chain_is_asked_for_where_it_must_be_whole() {
    for profile in EvidenceProfile::ALL.iter().copied() {
        let full = profile.continuity() == Continuity::Full;
        for name in ["chain_id", "event_hash", "prev_hash"] {
            let mut event = foreign();
            event.remove(name);
            assert_eq!(asked(profile, &event).contains(&name), full, "{profile} {name}");
        }
        let mut first = foreign();
        first.remove("prev_hash");
        first.insert("sequence", 0u32.into());
        assert_eq!(asked(profile, &first), [""; 0], "{profile}");
    }
}

#[test]
fn a_refusal_has_a_ground_a_code_and_a_subject() {
    let mut refused = foreign();
    refused.insert("outcome", "refused".into());
    refused.insert("refusal_reason_class", "policy_denied".into());
    refused.insert("refusal_reason_code", "loss".into());
    refused.insert("refusal_subject", "embeddings".into());
    for profile in EvidenceProfile::ALL.iter().copied() {
        assert_eq!(asked(profile, &refused), [""; 0], "{profile}");
        for name in ["refusal_reason_class", "refusal_reason_code", "refusal_subject"] {
            let mut event = refused.clone();
            event.remove(name);
            assert_eq!(asked(profile, &event), [name], "{profile}");
        }
        let mut event = refused.clone();
        event.insert("refusal_reason_class", "because".into());
        assert_eq!(asked(profile, &event), ["refusal_reason_class"], "{profile}");
        for class in RefusalClass::ALL {
            event.insert("refusal_reason_class", class.name().into());
            assert_eq!(asked(profile, &event), [""; 0], "{profile}");
        }
    }
}

#[test]
fn training_is_asked_for_its_data_and_its_rules() {
    let mut training = foreign();
    for (name, text) in [
        ("event_type", "ml.training.start"),
        ("data_use_posture_id", "posture-1"),
        ("exclusion_policy_snapshot_id", "exclusions-1"),
        ("dataset_manifest_ref", "urn:dataset:1"),
        ("governance_phase", "train"),
    ] {
        training.insert(name, text.into());
    }
    training.insert("dataset_policy_bindings", Value::List(vec!["policy-1".into()]));
    let regulated = EvidenceProfile::RegulatedMl;
    assert_eq!(asked(regulated, &training), [""; 0]);
    for name in [
        "data_use_posture_id",
        "exclusion_policy_snapshot_id",
        "dataset_manifest_ref",
        "dataset_policy_bindings",
        "governance_phase",
    ] {
        // By its type or by what it says: either makes it training.
        for event_type in ["ml.training.start", "cargo.weigh"] {
            let mut event = training.clone();
            event.insert("event_type", event_type.into());
            event.remove(name);
            assert_eq!(asked(regulated, &event), [name], "{event_type}");
            assert_eq!(asked(EvidenceProfile::Admissible, &event), [""; 0]);
        }
    }
    training.insert("governance_phase", "lunch".into());
    assert_eq!(asked(regulated, &training), ["governance_phase"]);
    let mut unhashed = foreign();
    unhashed.remove("hash_profile_id");
    assert_eq!(asked(regulated, &unhashed), ["hash_profile_id"]);
}

#[test]
fn each_family_that_a_profile_demands_is_missed() {
    for profile in EvidenceProfile::ALL.iter().copied() {
        let all: BTreeSet<Family> = profile.families().iter().copied().collect();
        assert_eq!(families_missing(profile, &all), []);
        for family in profile.families() {
            let mut less = all.clone();
            less.remove(family);
            assert_eq!(families_missing(profile, &less), [*family], "{profile}");
        }
        assert_eq!(families_missing(profile, &BTreeSet::new()), profile.families());
    }
    let known: BTreeSet<_> = EventType::ALL.iter().filter_map(|it| it.family()).collect();
    assert_eq!(known.len(), Family::ALL.len(), "a family without a type");
}
