//! What profiles admit, and for each rule the event that must be refused.

use std::collections::{BTreeMap, BTreeSet};

use carnet_ledger::{
    Artifact, Chain, Continuity, Digest, EventBody, EventDraft, EventId, EventTime, EventType,
    EvidenceProfile, Family, HashProfile, MemberValue, Missing, NotAdmitted, Object, Outcome,
    Package, Refusal, RefusalClass, SealError, Sealed, Value, families_missing, not_admitted,
};

fn draft(body: &EventBody) -> EventDraft {
    EventDraft {
        event_type: body.event_type(),
        actor: "ops".into(),
        actor_details: None,
        tenant_id: "lab".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: Digest::of(b"plan"),
        correlation_id: "run-1".into(),
        resource_id: None,
        action: None,
        authority_snapshot_id: Digest::of(b"approvers"),
        policy_snapshot_id: Digest::of(b"rules"),
        jurisdiction: None,
        classification: None,
        context: Object::new(),
        fields: body.fields(),
    }
}

fn seal(
    profile: EvidenceProfile,
    hash: HashProfile,
    draft: EventDraft,
) -> Result<Sealed, SealError> {
    let time = EventTime::from_unix_millis(0).unwrap();
    Chain::new("log-1", hash, profile).seal(draft, EventId([7; 16]), time)
}

fn export() -> EventDraft {
    draft(&EventBody::MigrationExport(Package {
        manifest: Artifact { artifact_type: "data_snapshot", digest: Digest::of(b"manifest") },
        integrity_verified: true,
        workload_id: None,
    }))
}

fn without(mut draft: EventDraft, name: &str) -> EventDraft {
    assert!(draft.fields.remove(name).is_some(), "{name}");
    draft
}

#[test]
fn what_is_whole_is_written_under_every_profile() {
    for profile in EvidenceProfile::ALL.iter().copied() {
        for one in [export(), draft(&EventBody::ProcessIntent)] {
            seal(profile, HashProfile::EcsHashV1, one).unwrap();
        }
    }
}

#[test]
fn an_event_without_a_member_of_its_type_is_not_written() {
    for profile in EvidenceProfile::ALL.iter().copied() {
        for member in ["artifact_manifest_hash", "integrity_verified"] {
            let refused = seal(profile, HashProfile::EcsHashV1, without(export(), member));
            let Err(SealError::Member(missing)) = refused else { panic!("{refused:?}") };
            assert_eq!(missing.member(), member);
        }
        let mut other = export();
        other.fields.insert("integrity_verified".into(), "yes".into());
        let refused = seal(profile, HashProfile::EcsHashV1, other);
        assert!(matches!(refused, Err(SealError::Member(Missing::Kind { .. }))), "{refused:?}");
        let refused = seal(profile, HashProfile::EcsHashV1, draft(&EventBody::PolicyRefusal));
        assert!(
            matches!(refused, Err(SealError::Member(Missing::NotRefused { .. }))),
            "{refused:?}"
        );
    }
}

#[test]
fn ncp_asks_for_the_artifact_of_what_carries_one() {
    let bare =
        ["artifact_type", "artifact_ref", "artifact_hash"].into_iter().fold(export(), without);
    for profile in EvidenceProfile::ALL.iter().copied() {
        let sealed = seal(profile, HashProfile::EcsHashV1, bare.clone());
        match sealed {
            Ok(_) => assert_ne!(profile, EvidenceProfile::Ncp),
            Err(SealError::Profile(NotAdmitted::Missing { profile: by, event_type, member })) => {
                assert_eq!((by, profile), (EvidenceProfile::Ncp, EvidenceProfile::Ncp));
                assert_eq!((event_type.as_str(), member), ("migration.export", "artifact_type"));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    // What was refused or failed has moved nothing.
    let failed = EventDraft { outcome: Outcome::Failed, ..bare };
    seal(EvidenceProfile::Ncp, HashProfile::EcsHashV1, failed).unwrap();
}

#[test]
fn evidence_on_machine_learning_is_hashed_in_the_one_way() {
    for profile in EvidenceProfile::ALL.iter().copied() {
        let sealed = seal(profile, HashProfile::Rfc8785Sha256V1, export());
        let Some(wanted) = profile.hash_profile() else {
            sealed.unwrap();
            continue;
        };
        let Err(SealError::Profile(NotAdmitted::Value { member, wanted: said, .. })) = sealed
        else {
            panic!("{sealed:?}")
        };
        assert_eq!((member, said.as_str()), ("hash_profile_id", wanted.name()));
    }
}

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
    // Our own writer is held to it too.
    let outcome = |code: &str, subject: &str| {
        Outcome::Refused(Refusal {
            class: RefusalClass::PolicyDenied,
            code: code.into(),
            subject: subject.into(),
            reason: None,
        })
    };
    for (code, subject) in [("", "embeddings"), ("loss", "")] {
        let one =
            EventDraft { outcome: outcome(code, subject), ..draft(&EventBody::MigrationRefusal) };
        let refused = seal(EvidenceProfile::Baseline, HashProfile::EcsHashV1, one);
        assert!(refused.is_err(), "{code:?} {subject:?}");
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

/// The page for people says of each type what the catalogue says.
#[test]
fn the_page_on_events_has_a_row_for_each_type() {
    let page =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence-events.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, types) = page.split_once("## Types").unwrap();
    let (types, _) = types.split_once("## Grounds").unwrap();
    for event_type in EventType::ALL.iter().copied() {
        let named = format!("`{event_type}`");
        let row = types
            .lines()
            .find(|line| line.split('|').nth(1).is_some_and(|types| types.contains(&named)));
        let cells: Vec<_> =
            row.unwrap_or_else(|| panic!("no row for {named}")).split('|').collect();
        let family = event_type.family().map_or("", Family::name);
        assert_eq!(cells[2].trim(), family, "{named}");
        let listed = if event_type.members().iter().any(|it| it.name == "integrity_verified") {
            "package"
        } else {
            ""
        };
        assert_eq!(cells[3].contains("package"), !listed.is_empty(), "{named}");
        let artifact = cells[3].contains("artifact") || !listed.is_empty();
        assert_eq!(artifact, event_type.carries_artifact(), "{named}");
        for member in event_type.members().iter().filter(|_| listed.is_empty()) {
            let written = format!("`{}`", member.name);
            let optional = cells[3].contains(&format!("({written})"));
            assert!(cells[3].contains(&written), "{named} {written}");
            assert_eq!(optional, !member.required, "{named} {written}");
        }
        let count = event_type.members().len();
        let ticks = cells[3].matches('`').count() / 2;
        assert!(!listed.is_empty() || ticks == count, "{named} has {ticks} members on the page");
    }
}
