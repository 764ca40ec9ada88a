//! Random events, and the JSON that they should be.

use carnet_ledger::{
    ActorDetails, ActorKind, Chain, Digest, Event, EventDraft, EventId, EventTime, EventType,
    EvidenceProfile, HashProfile, MemberKind, Object, Outcome, Refusal, RefusalClass, Sealed,
    Value,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json};

pub(crate) const PROFILES: [HashProfile; 2] =
    [HashProfile::EcsHashV1, HashProfile::Rfc8785Sha256V1];

/// Text that is short, long, plain, and made of what must be escaped or sorts unusually.
/// The strategies are boxed: unboxed, one of an event is larger than the stack of a test.
pub(crate) fn any_text() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z0-9._@/-]{1,40}",
        "[\\x00-\\x7f]{1,24}",
        "[\"\\\\/\u{7f}\u{80}éß｡\u{fb33}\u{ffff}😀\u{10ffff}\n\u{1f} a]{1,12}",
        any::<String>().prop_map(|text| format!("x{text}")),
    ]
    .boxed()
}

pub(crate) fn any_value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991..=9_007_199_254_740_991_i64)
            .prop_map(|number| Value::try_from(number).unwrap()),
        (-11..=11_i64).prop_map(|number| Value::try_from(number).unwrap()),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..4).prop_map(Value::from),
        ]
    })
    .boxed()
}

fn any_details() -> BoxedStrategy<ActorDetails> {
    let optional = || prop::option::of(any_text());
    (any_text(), select(ActorKind::ALL), optional(), optional(), optional())
        .prop_map(|(id, kind, org_id, credential_ref, jurisdiction)| ActorDetails {
            id,
            kind,
            org_id,
            credential_ref,
            jurisdiction,
        })
        .boxed()
}

fn any_outcome() -> BoxedStrategy<Outcome> {
    let refusal = (select(RefusalClass::ALL), any_text(), any_text(), prop::option::of(any_text()))
        .prop_map(|(class, code, subject, reason)| {
            Outcome::Refused(Refusal { class, code, subject, reason })
        });
    prop_oneof![Just(Outcome::Accepted), Just(Outcome::Failed), refusal].boxed()
}

fn any_digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

/// Names that no member of the envelope has: each holds a digit.
fn any_fields() -> BoxedStrategy<Object> {
    prop::collection::btree_map("[a-z_]{0,6}[0-9][a-z0-9_]{0,3}", any_value(), 0..4).boxed()
}

fn any_draft() -> BoxedStrategy<EventDraft> {
    let optional = || prop::option::of(any_text());
    let texts = (any_text(), any_text(), any_text());
    let options = (optional(), optional(), optional(), optional());
    let digests = (any_digest(), any_digest(), any_digest());
    let context = prop::collection::btree_map(any_text(), any_value(), 0..5);
    let who = (prop::option::of(any_details()), any_outcome(), select(EventType::ALL));
    (texts, options, digests, context, any_fields(), who)
        .prop_map(|(texts, options, digests, context, fields, who)| {
            whole(EventDraft {
                event_type: who.2,
                actor: texts.0,
                actor_details: who.0,
                tenant_id: texts.1,
                outcome: who.1,
                evidence_pointer: digests.0,
                correlation_id: texts.2,
                resource_id: options.0,
                action: options.1,
                authority_snapshot_id: digests.1,
                policy_snapshot_id: digests.2,
                jurisdiction: options.2,
                classification: options.3,
                context,
                fields,
            })
        })
        .boxed()
}

/// With the members that its type must have, and the outcome that its name says.
fn whole(mut draft: EventDraft) -> EventDraft {
    let hash = format!("sha256:{}", draft.evidence_pointer);
    for member in draft.event_type.members() {
        let value = match member.kind {
            MemberKind::Text => draft.actor.as_str().into(),
            MemberKind::Integer => 7u32.into(),
            MemberKind::Bool => true.into(),
            MemberKind::Digest => hash.as_str().into(),
            MemberKind::Reference => format!("eosc://artifact/{hash}").into(),
        };
        // What the envelope has already stands there.
        if member.name != "policy_snapshot_id" {
            draft.fields.insert(member.name.to_owned(), value);
        }
    }
    if draft.event_type.carries_artifact() {
        draft.fields.insert("artifact_type".to_owned(), "data_snapshot".into());
        draft.fields.insert("artifact_ref".to_owned(), format!("eosc://artifact/{hash}").into());
        draft.fields.insert("artifact_hash".to_owned(), hash.into());
    }
    if draft.event_type.is_refusal() && !matches!(draft.outcome, Outcome::Refused(_)) {
        draft.outcome = Outcome::Refused(Refusal {
            class: RefusalClass::PolicyDenied,
            code: "loss".to_owned(),
            subject: draft.actor.clone(),
            reason: None,
        });
    }
    draft
}

/// The evidence profiles that take this way of hashing.
fn taking(hash: HashProfile) -> Vec<EvidenceProfile> {
    let all = EvidenceProfile::ALL.iter().copied();
    all.filter(|it| it.hash_profile().is_none_or(|wanted| wanted == hash)).collect()
}

/// A random event somewhere in a log.
pub(crate) fn any_sealed(profile: HashProfile) -> BoxedStrategy<Sealed> {
    let place = (any_text(), 0..1_u64 << 53, any_digest(), select(taking(profile)));
    let stamp = (any::<[u8; 16]>(), -62_167_219_200_000..253_402_300_800_000_i64);
    (any_draft(), place, stamp)
        .prop_map(move |(draft, place, (id, millis))| {
            let chain = Chain {
                chain_id: place.0,
                hash_profile: profile,
                evidence_profile: place.3,
                next_sequence: place.1,
                last_hash: (place.1 > 0).then_some(place.2),
            };
            let time = EventTime::from_unix_millis(millis).unwrap();
            chain.seal(draft, EventId(id), time).unwrap()
        })
        .boxed()
}

pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(number) => number.get().into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(list) => list.iter().map(json).collect(),
        Value::Object(object) => json_object(object).into(),
    }
}

fn json_object(object: &Object) -> Map<String, Json> {
    object.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn uuid(id: EventId) -> String {
    let digits = hex(&id.0);
    let group = |range: std::ops::Range<usize>| &digits[range];
    let groups = [group(0..8), group(8..12), group(12..16), group(16..20), group(20..32)];
    groups.join("-")
}

/// The event as the contract describes it, put together with nothing of the writer's.
pub(crate) fn as_json(event: &Event) -> Map<String, Json> {
    let draft = &event.draft;
    let mut members = json_object(&draft.fields);
    let mut put = |name: &str, text: Option<String>| {
        if let Some(text) = text {
            members.insert(name.to_owned(), text.into());
        }
    };
    let sha256 = |digest: Digest| format!("sha256:{}", hex(&digest.0));
    put("action", draft.action.clone());
    put("actor", Some(draft.actor.clone()));
    put("authority_snapshot_id", Some(sha256(draft.authority_snapshot_id)));
    put("chain_id", Some(event.chain_id.clone()));
    put("classification", draft.classification.clone());
    put("correlation_id", Some(draft.correlation_id.clone()));
    put("event_hash", Some(hex(&event.event_hash.0)));
    put("event_type", Some(draft.event_type.name().to_owned()));
    put("evidence_pointer", Some(format!("eosc://evidence/{}", sha256(draft.evidence_pointer))));
    put("evidence_profile_id", Some(event.evidence_profile.name().to_owned()));
    put("hash_profile_id", Some(event.hash_profile.name().to_owned()));
    put("id", Some(uuid(event.id)));
    put("jurisdiction", draft.jurisdiction.clone());
    put("occurred_at", Some(event.occurred_at.to_string()));
    put("outcome", Some(draft.outcome.name().to_owned()));
    put("policy_snapshot_id", Some(sha256(draft.policy_snapshot_id)));
    put("prev_hash", event.prev_hash.map(|digest| hex(&digest.0)));
    if let Outcome::Refused(refusal) = &draft.outcome {
        put("refusal_reason", refusal.reason.clone());
        put("refusal_reason_class", Some(refusal.class.name().to_owned()));
        put("refusal_reason_code", Some(refusal.code.clone()));
        put("refusal_subject", Some(refusal.subject.clone()));
    }
    put("resource_id", draft.resource_id.clone());
    put("tenant_id", Some(draft.tenant_id.clone()));
    members.insert("sequence".to_owned(), event.sequence.into());
    if !draft.context.is_empty() {
        members.insert("context".to_owned(), json_object(&draft.context).into());
    }
    if let Some(details) = &draft.actor_details {
        let mut inner = Map::new();
        inner.insert("id".to_owned(), details.id.as_str().into());
        inner.insert("type".to_owned(), details.kind.name().into());
        for (name, text) in [
            ("org_id", &details.org_id),
            ("credential_ref", &details.credential_ref),
            ("jurisdiction", &details.jurisdiction),
        ] {
            if let Some(text) = text {
                inner.insert(name.to_owned(), text.as_str().into());
            }
        }
        members.insert("actor_details".to_owned(), inner.into());
    }
    members
}
