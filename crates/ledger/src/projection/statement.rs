//! Verdicts as in-toto statements (Statement v1), so that a policy engine that knows nothing of this
//! log can rely on them.
//!
//! A gate's verdict becomes a Simple Verification Result, an import or a validation a SLSA
//! Verification Summary. A refusal is told too: it is as much a result as a success.

use crate::digest::Digest;
use crate::event::{Event, EventType, Outcome};
use crate::projection::push_uri_part;
use crate::value::{HashProfile, Object, Value};

/// The type of a statement's payload in an envelope.
pub const STATEMENT_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const SIMPLE_RESULT: &str = "https://in-toto.io/attestation/svr/v0.1";
const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";
/// Who verified: the engine that judges gates. The number rises when a gate of the same name begins
/// to judge otherwise.
const VERIFIER: &str = "carnet:engine/v1";
/// Our own member of a predicate; the framework wants names of additions to be URIs.
const EVENT: &str = "carnet:event/v1";

/// The statement of an event as canonical JSON (RFC 8785). None if the event is no verdict.
pub fn statement_of(event: &Event) -> Option<String> {
    /// Summaries, each with what it says of an artifact that passed. What was refused has failed,
    /// whatever it would have become.
    const SUMMARIES: [(EventType, &str); 3] = [
        (EventType::MigrationImport, "CARNET_IMPORTED"),
        (EventType::MigrationValidate, "CARNET_VALIDATED"),
        (EventType::MigrationRefusal, "FAILED"),
    ];
    let event_type = event.draft.event_type;
    let (subject, predicate_type, predicate) = if event_type == EventType::GateVerdict {
        (observed(event), SIMPLE_RESULT, simple_result(event))
    } else {
        let (_, level) = SUMMARIES.into_iter().find(|(one, _)| *one == event_type)?;
        (carried(event), SUMMARY, summary(event, level))
    };
    let statement = object([
        ("_type", STATEMENT.into()),
        ("subject", Value::List(vec![subject])),
        ("predicateType", predicate_type.into()),
        ("predicate", predicate),
    ]);
    Some(HashProfile::Rfc8785Sha256V1.canonical(&statement))
}

/// `properties` names what was found to hold. A gate that did not pass asserts nothing, though an
/// exception of the plan opened it: its list is empty, and the reason stands in our own member.
fn simple_result(event: &Event) -> Value {
    let gate = event.draft.resource_id.as_deref().unwrap_or("gate");
    let held = matches!(event.draft.outcome, Outcome::Accepted)
        && event.draft.context.get("verdict") == Some(&Value::from("pass"));
    let properties = held.then(|| format!("CARNET_GATE_{}", property(gate)).into());
    object([
        ("verifier", object([("id", VERIFIER.into()), ("policy", policy(event))])),
        ("timeCreated", event.occurred_at.to_string().into()),
        ("properties", Value::List(properties.into_iter().collect())),
        (EVENT, told(event)),
    ])
}

fn summary(event: &Event, level: &str) -> Value {
    // What an exception let through was not validated.
    let passed = matches!(event.draft.outcome, Outcome::Accepted)
        && !event.draft.context.contains_key("exceptions");
    let (result, level) = if passed { ("PASSED", level) } else { ("FAILED", "FAILED") };
    object([
        ("verifier", object([("id", VERIFIER.into())])),
        ("timeVerified", event.occurred_at.to_string().into()),
        ("resourceUri", resource_uri(event).into()),
        ("policy", policy(event)),
        ("verificationResult", result.into()),
        ("verifiedLevels", Value::List(vec![level.into()])),
        (EVENT, told(event)),
    ])
}

/// The rules and thresholds in force.
fn policy(event: &Event) -> Value {
    let digest = event.draft.policy_snapshot_id;
    object([
        ("uri", format!("eosc://artifact/sha256:{digest}").into()),
        ("digest", digests(digest)),
    ])
}

/// What was judged: the object that the event points to.
fn observed(event: &Event) -> Value {
    let digest = event.draft.evidence_pointer;
    descriptor(&format!("eosc://evidence/sha256:{digest}"), digest)
}

/// What moved: the manifest of the snapshot where the event names one.
fn carried(event: &Event) -> Value {
    let manifest = match event.draft.fields.get("artifact_manifest_hash") {
        Some(Value::Text(text)) => text.strip_prefix("sha256:").and_then(|hex| hex.parse().ok()),
        _ => None,
    };
    match manifest {
        Some(digest) => descriptor("manifest.json", digest),
        None => observed(event),
    }
}

/// Where it moved to. A store's label is a URI already; anything else is named under the run.
fn resource_uri(event: &Event) -> String {
    let named = event.draft.resource_id.as_deref().unwrap_or_default();
    if is_uri(named) {
        return named.to_owned();
    }
    let mut uri = String::from("carnet:run/");
    push_uri_part(&event.draft.correlation_id, &mut uri);
    if !named.is_empty() {
        uri.push('/');
        push_uri_part(named, &mut uri);
    }
    uri
}

/// A scheme, a colon, and no character that a URI cannot hold.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
}

/// What a predicate repeats of the event's context.
const TOLD: [&str; 6] =
    ["verdict", "reason", "exception", "exceptions", "damaged_copies", "damaged_copies_refused"];

/// The event, and what it says beyond the fields that the predicate has.
fn told(event: &Event) -> Value {
    let draft = &event.draft;
    let mut told = Object::from([
        ("chain_id".to_owned(), event.chain_id.as_str().into()),
        ("sequence".to_owned(), Value::try_from(event.sequence).unwrap_or(Value::Null)),
        ("event_hash".to_owned(), event.event_hash.into()),
        ("id".to_owned(), event.id.to_string().into()),
        ("event_type".to_owned(), draft.event_type.name().into()),
        ("outcome".to_owned(), draft.outcome.name().into()),
        ("correlation_id".to_owned(), draft.correlation_id.as_str().into()),
        (
            "evidence_pointer".to_owned(),
            format!("eosc://evidence/sha256:{}", draft.evidence_pointer).into(),
        ),
    ]);
    if let Some(resource) = &draft.resource_id {
        told.insert("resource_id".to_owned(), resource.as_str().into());
    }
    if let Outcome::Refused(refusal) = &draft.outcome {
        told.insert("refusal_reason_class".to_owned(), refusal.class.name().into());
        told.insert("refusal_reason_code".to_owned(), refusal.code.as_str().into());
        told.insert("refusal_subject".to_owned(), refusal.subject.as_str().into());
        if let Some(reason) = &refusal.reason {
            told.insert("refusal_reason".to_owned(), reason.as_str().into());
        }
    }
    for name in TOLD {
        if let Some(value) = draft.context.get(name) {
            told.insert(name.to_owned(), value.clone());
        }
    }
    told.into()
}

/// `verify/content-root` as `VERIFY_CONTENT_ROOT`.
fn property(gate: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    gate.chars().map(letter).collect()
}

fn descriptor(name: &str, digest: Digest) -> Value {
    object([("name", name.into()), ("digest", digests(digest))])
}

fn digests(digest: Digest) -> Value {
    object([("sha256", digest.into())])
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Object>().into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::{EventDraft, EvidenceProfile, Refusal, RefusalClass};
    use crate::stamp::EventTime;
    use serde_json::{Value as Json, json};

    pub(in crate::projection) fn event(event_type: &str) -> Event {
        let context = [
            ("verdict", Value::from("pass")),
            ("reason", "equal".into()),
            ("damaged_copies", 12u32.into()),
            ("damaged_copies_refused", 12u32.into()),
            ("remedy", "".into()),
        ];
        let draft = EventDraft {
            event_type: EventType::parse(event_type).unwrap(),
            actor: "me".to_owned(),
            actor_details: None,
            tenant_id: "lab".to_owned(),
            outcome: Outcome::Accepted,
            evidence_pointer: Digest::of(b"observation"),
            correlation_id: "run-1".to_owned(),
            resource_id: Some("verify/content-root".to_owned()),
            action: None,
            authority_snapshot_id: Digest::of(b"authority"),
            policy_snapshot_id: Digest::of(b"policy"),
            jurisdiction: None,
            classification: None,
            context: context.map(|(name, value)| (name.to_owned(), value)).into(),
            fields: Object::new(),
        };
        let mut event = Event {
            id: "01934f6e-8a3b-7c00-8000-0123456789ab".parse().unwrap(),
            occurred_at: EventTime::from_unix_millis(1_795_000_000_123).unwrap(),
            sequence: 7,
            chain_id: "0192é".to_owned(),
            evidence_profile: EvidenceProfile::Admissible,
            hash_profile: HashProfile::EcsHashV1,
            prev_hash: Some(Digest::of(b"before")),
            event_hash: Digest([0; 32]),
            draft,
        };
        event.seal();
        event
    }

    fn refused(event_type: &str) -> Event {
        let mut event = event(event_type);
        event.draft.outcome = Outcome::Refused(Refusal {
            class: RefusalClass::EvidencePreconditionFailed,
            code: "gate.fail".to_owned(),
            subject: "verify/content-root".to_owned(),
            reason: Some("another root".to_owned()),
        });
        event
    }

    fn statement(event: &Event) -> Json {
        serde_json::from_str(&statement_of(event).unwrap()).unwrap()
    }

    #[test]
    fn an_open_gate_asserts_its_property_and_a_closed_one_none() {
        let event = event("gate.verdict");
        let found = statement(&event);
        assert_eq!(found["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(found["predicateType"], "https://in-toto.io/attestation/svr/v0.1");
        let pointer = Digest::of(b"observation").to_string();
        assert_eq!(
            found["subject"],
            json!([{"name": format!("eosc://evidence/sha256:{pointer}"), "digest": {"sha256": pointer}}])
        );
        let predicate = &found["predicate"];
        assert_eq!(predicate["properties"], json!(["CARNET_GATE_VERIFY_CONTENT_ROOT"]));
        assert_eq!(predicate["timeCreated"], "2026-11-18T11:06:40.123Z");
        assert_eq!(predicate["verifier"]["id"], "carnet:engine/v1");
        let policy = Digest::of(b"policy").to_string();
        assert_eq!(predicate["verifier"]["policy"]["digest"]["sha256"], policy);
        assert_eq!(predicate["carnet:event/v1"]["sequence"], 7);
        assert_eq!(predicate["carnet:event/v1"]["event_hash"], event.event_hash.to_string());
        assert_eq!(predicate["carnet:event/v1"]["damaged_copies_refused"], 12);

        let mut excepted = event;
        for (name, value) in [("verdict", "fail"), ("exception", "split: known (ops)")] {
            excepted.draft.context.insert(name.to_owned(), value.into());
        }
        let excepted = statement(&excepted);
        assert_eq!(excepted["predicate"]["properties"], json!([]));
        assert_eq!(excepted["predicate"]["carnet:event/v1"]["exception"], "split: known (ops)");

        let closed = statement(&refused("gate.verdict"));
        assert_eq!(closed["predicate"]["properties"], json!([]));
        let told = &closed["predicate"]["carnet:event/v1"];
        assert_eq!(told["refusal_reason"], "another root");
        assert_eq!(told["refusal_reason_class"], "evidence_precondition_failed");
    }

    #[test]
    fn imports_and_validations_are_summaries_and_failed_ones_too() {
        let manifest = Digest::of(b"manifest").to_string();
        for (name, level) in
            [("migration.import", "CARNET_IMPORTED"), ("migration.validate", "CARNET_VALIDATED")]
        {
            let mut excepted = event(name);
            let gates = Value::List(vec!["validate/count".into()]);
            excepted.draft.context.insert("exceptions".to_owned(), gates);
            for (mut event, result, levels) in [
                (event(name), "PASSED", [level]),
                (excepted, "FAILED", ["FAILED"]),
                (refused(name), "FAILED", ["FAILED"]),
                (
                    Event {
                        draft: EventDraft { outcome: Outcome::Failed, ..event(name).draft },
                        ..event(name)
                    },
                    "FAILED",
                    ["FAILED"],
                ),
            ] {
                let fields = &mut event.draft.fields;
                let hash = format!("sha256:{manifest}").into();
                fields.insert("artifact_manifest_hash".to_owned(), hash);
                event.draft.resource_id = Some("postgres://h:5432/kb?table=t".to_owned());
                let found = statement(&event);
                let predicate = &found["predicate"];
                assert_eq!(found["predicateType"], "https://slsa.dev/verification_summary/v1");
                assert_eq!(found["subject"][0]["digest"]["sha256"], manifest);
                assert_eq!(predicate["verificationResult"], result);
                assert_eq!(predicate["verifiedLevels"], json!(levels));
                assert_eq!(predicate["resourceUri"], "postgres://h:5432/kb?table=t");
                let policy = Digest::of(b"policy").to_string();
                assert_eq!(predicate["policy"]["digest"]["sha256"], policy);
                assert_eq!(predicate["timeVerified"], "2026-11-18T11:06:40.123Z");
            }
        }
        let refusal = statement(&refused("migration.refusal"));
        assert_eq!(refusal["predicate"]["verificationResult"], "FAILED");
    }

    #[test]
    fn a_resource_that_is_no_uri_is_named_under_its_run() {
        let uri = |resource: Option<&str>| {
            let mut event = event("migration.validate");
            event.draft.resource_id = resource.map(str::to_owned);
            resource_uri(&event)
        };
        assert_eq!(uri(None), "carnet:run/run-1");
        assert_eq!(uri(Some("")), "carnet:run/run-1");
        assert_eq!(uri(Some("validate")), "carnet:run/run-1/validate");
        assert_eq!(uri(Some("a b:c")), "carnet:run/run-1/a%20b%3Ac");
        assert_eq!(uri(Some("faiss:a b")), "carnet:run/run-1/faiss%3Aa%20b");
        assert_eq!(uri(Some("faiss:lab/knowledge")), "faiss:lab/knowledge");
    }

    #[test]
    fn other_events_are_no_verdicts() {
        let verdicts: Vec<_> = EventType::ALL
            .iter()
            .filter(|one| statement_of(&event(one.name())).is_some())
            .map(|one| one.name())
            .collect();
        let wanted =
            ["migration.import", "migration.validate", "migration.refusal", "gate.verdict"];
        assert_eq!(verdicts, wanted);
    }
}
