//! What each type of event carries beside the envelope, and the family that it counts for.

use std::fmt;

use crate::digest::Digest;
use crate::event::{Event, EventType, Outcome, named};
use crate::value::Value;

named! {
    /// What an event gives evidence of. A profile demands some of them in every export.
    Family {
        /// Who may do what.
        Auth = "AUTH",
        /// What the rules say.
        Pol = "POL",
        /// The evidence itself.
        Evid = "EVID",
        /// The way out.
        Exit = "EXIT",
        /// What is depended on.
        Dep = "DEP",
        /// Where parts come from.
        Sup = "SUP",
        /// The interfaces that are kept to.
        Int = "INT",
        /// What is run.
        Exec = "EXEC",
        /// What data is used for.
        Data = "DATA",
    }
}

/// Of what kind a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberKind {
    /// A text that is not empty.
    Text,
    /// A whole number, 0 or more.
    Integer,
    /// `true` or `false`.
    Bool,
    /// 64 lowercase hex digits, with or without `sha256:` before them.
    Digest,
    /// What names an object: not empty, without spaces. One that begins with `eosc://` ends in
    /// `sha256:` and 64 lowercase hex digits.
    Reference,
}

impl fmt::Display for MemberKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Bool => "true or false",
            Self::Digest => "a digest",
            Self::Reference => "a reference",
        })
    }
}

/// A member that a type of event has beside the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: MemberKind,
    /// Whether each event of the type has it; if not, it is of this kind where it is there.
    pub required: bool,
}

/// What a look at a member of an event finds, whoever wrote the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberValue<'e> {
    /// A text.
    Text(&'e str),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A list or an object.
    Other,
    /// It is there, in the form that it must have: its type in the program sees to it.
    Given,
}

impl<'e> MemberValue<'e> {
    /// What a value is as a member. `null` is no member.
    pub fn of(value: &'e Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Bool(flag) => Some(Self::Bool(*flag)),
            Value::Integer(number) => Some(Self::Integer(number.get())),
            Value::Text(text) => Some(Self::Text(text)),
            Value::List(_) | Value::Object(_) => Some(Self::Other),
        }
    }

    /// Whether it is of this kind.
    pub fn is(self, kind: MemberKind) -> bool {
        match (self, kind) {
            (Self::Given, _) | (Self::Bool(_), MemberKind::Bool) => true,
            (Self::Integer(number), MemberKind::Integer) => number >= 0,
            (Self::Text(text), MemberKind::Text) => !text.is_empty(),
            (Self::Text(text), MemberKind::Digest) => digest_of(text).is_some(),
            (Self::Text(text), MemberKind::Reference) => is_reference(text),
            (Self::Text(_) | Self::Integer(_) | Self::Bool(_) | Self::Other, _) => false,
        }
    }
}

/// The digest at the end of a text such as `sha256:<hex>`, `eosc://artifact/sha256:<hex>` or the
/// hex digits alone.
fn digest_of(text: &str) -> Option<Digest> {
    text.strip_prefix("sha256:").unwrap_or(text).parse().ok()
}

fn is_reference(text: &str) -> bool {
    let plain = !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let ours = text.starts_with("eosc://");
    plain && (!ours || text.rsplit_once("sha256:").is_some_and(|(_, hex)| digest_of(hex).is_some()))
}

/// Why an event is not what its type says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A member that the type must have is not there.
    #[error("an event {event_type} has no {member}, {kind}")]
    Member {
        /// The type.
        event_type: String,
        /// The member.
        member: &'static str,
        /// What it must hold.
        kind: MemberKind,
    },
    /// A member holds something else.
    #[error("the {member} of an event {event_type} is not {kind}")]
    Kind {
        /// The type.
        event_type: String,
        /// The member.
        member: &'static str,
        /// What it must hold.
        kind: MemberKind,
    },
    /// `artifact_ref` names other content than `artifact_hash` says.
    #[error("the artifact_ref of an event {event_type} names other content than its artifact_hash")]
    Artifact {
        /// The type.
        event_type: String,
    },
    /// A refusal by its type, and not by its outcome.
    #[error("an event {event_type} has an outcome other than refused")]
    NotRefused {
        /// The type.
        event_type: String,
    },
}

impl Missing {
    /// The member that is missing or wrong.
    pub fn member(&self) -> &'static str {
        match self {
            Self::Member { member, .. } | Self::Kind { member, .. } => member,
            Self::Artifact { .. } => "artifact_ref",
            Self::NotRefused { .. } => "outcome",
        }
    }
}

const fn must(name: &'static str, kind: MemberKind) -> Member {
    Member { name, kind, required: true }
}

const fn may(name: &'static str, kind: MemberKind) -> Member {
    Member { name, kind, required: false }
}

/// The three members by which an event names an artifact: all of them, or none.
pub(crate) const ARTIFACT: &[Member] = &[
    must("artifact_type", MemberKind::Text),
    must("artifact_ref", MemberKind::Reference),
    must("artifact_hash", MemberKind::Digest),
];

const PACKAGE: &[Member] = &[
    must("artifact_manifest_hash", MemberKind::Digest),
    must("integrity_verified", MemberKind::Bool),
    may("workload_id", MemberKind::Text),
];
const SNAPSHOT: &[Member] = &[must("snapshot_id", MemberKind::Text)];
const APPROVAL: &[Member] = &[
    must("plan_digest", MemberKind::Digest),
    must("gate_table_digest", MemberKind::Digest),
    may("expires_at", MemberKind::Text),
];
const EXIT: &[Member] = &[must("exit_plan_id", MemberKind::Text)];
const DEPENDENCY: &[Member] =
    &[must("service_id", MemberKind::Text), must("graph_ref", MemberKind::Reference)];
const INTEROP: &[Member] =
    &[must("profile_id", MemberKind::Text), must("version", MemberKind::Text)];
const SBOM: &[Member] = &[
    must("component_id", MemberKind::Text),
    must("sbom_ref", MemberKind::Reference),
    may("provenance_ref", MemberKind::Reference),
];
const PROVENANCE: &[Member] = &[
    must("component_id", MemberKind::Text),
    may("sbom_ref", MemberKind::Reference),
    must("provenance_ref", MemberKind::Reference),
];
const ANCHOR: &[Member] = &[
    must("anchor_hash", MemberKind::Digest),
    must("archive_ref", MemberKind::Reference),
    must("from_sequence", MemberKind::Integer),
    must("to_sequence", MemberKind::Integer),
];
const RECONCILIATION: &[Member] =
    &[must("gap_detected", MemberKind::Bool), must("tamper_detected", MemberKind::Bool)];
const USAGE: &[Member] = &[
    must("data_product_id", MemberKind::Text),
    must("consumer_id", MemberKind::Text),
    must("purpose_id", MemberKind::Text),
    must("policy_snapshot_id", MemberKind::Text),
    must("usage_quantity", MemberKind::Integer),
    must("usage_unit", MemberKind::Text),
];
const SUCCESSION: &[Member] =
    &[must("old_key_id", MemberKind::Text), must("new_key_id", MemberKind::Text)];
const DRIFT: &[Member] = &[
    must("collection", MemberKind::Text),
    must("expected_root", MemberKind::Digest),
    must("found_root", MemberKind::Digest),
];
const FILE_DRIFT: &[Member] = &[
    must("path", MemberKind::Text),
    must("pinned_digest", MemberKind::Digest),
    may("found_digest", MemberKind::Digest),
    must("severity", MemberKind::Text),
    must("impact", MemberKind::Text),
];

impl EventType {
    /// The family that it counts for; `None` for what the contract puts into no family.
    pub const fn family(self) -> Option<Family> {
        Some(match self {
            Self::AuthorityCheck | Self::AuthorityRefusal => Family::Auth,
            Self::PolicyEvaluate | Self::PolicyRefusal => Family::Pol,
            Self::EvidenceExport
            | Self::EvidenceReconcile
            | Self::AuditChainVerify
            | Self::ChainAnchor
            | Self::ChainReconciliation => Family::Evid,
            Self::ExitPathDeclare | Self::ExitValidationRun => Family::Exit,
            Self::DependencyGraphPublish | Self::DependencyExceptionAccept => Family::Dep,
            Self::SupplychainSbomPublish | Self::SupplychainProvenanceAttest => Family::Sup,
            Self::InteropProfileDeclare | Self::InteropCompatibilityTest => Family::Int,
            Self::WorkloadAdmit | Self::WorkloadRefuse | Self::WorkloadTerminate => Family::Exec,
            Self::StorageWrite
            | Self::StorageRead
            | Self::StorageDelete
            | Self::DataUsageReceipt => Family::Data,
            Self::MigrationExport
            | Self::MigrationImport
            | Self::MigrationValidate
            | Self::MigrationCutover
            | Self::MigrationRollback
            | Self::MigrationRefusal
            | Self::GateVerdict
            | Self::ApprovalGranted
            | Self::ApprovalDenied
            | Self::ApprovalExpired
            | Self::ProcessStart
            | Self::ProcessResume
            | Self::ProcessPhase
            | Self::ProcessAmend
            | Self::ProcessChoice
            | Self::ProcessTimer
            | Self::ProcessMessage
            | Self::ProcessCommit
            | Self::ProcessIntent
            | Self::ProcessOutcome
            | Self::ProcessIncident
            | Self::ProcessUndo
            | Self::ProcessEnd
            | Self::KeySucceeded
            | Self::KnowledgeSnapshotExported
            | Self::KnowledgeSnapshotReady
            | Self::VectorDriftDetected
            | Self::ProgrammeDrift => return None,
        })
    }

    /// The members that it has beside the envelope. Others may stand there too.
    pub const fn members(self) -> &'static [Member] {
        match self {
            Self::MigrationExport | Self::MigrationImport | Self::MigrationValidate => PACKAGE,
            Self::KnowledgeSnapshotExported | Self::KnowledgeSnapshotReady => SNAPSHOT,
            Self::ApprovalGranted | Self::ApprovalDenied | Self::ApprovalExpired => APPROVAL,
            Self::ExitPathDeclare | Self::ExitValidationRun => EXIT,
            Self::DependencyGraphPublish | Self::DependencyExceptionAccept => DEPENDENCY,
            Self::InteropProfileDeclare | Self::InteropCompatibilityTest => INTEROP,
            Self::SupplychainSbomPublish => SBOM,
            Self::SupplychainProvenanceAttest => PROVENANCE,
            Self::ChainAnchor => ANCHOR,
            Self::ChainReconciliation => RECONCILIATION,
            Self::DataUsageReceipt => USAGE,
            Self::KeySucceeded => SUCCESSION,
            Self::VectorDriftDetected => DRIFT,
            Self::ProgrammeDrift => FILE_DRIFT,
            Self::MigrationCutover
            | Self::MigrationRollback
            | Self::MigrationRefusal
            | Self::GateVerdict
            | Self::ProcessStart
            | Self::ProcessResume
            | Self::ProcessPhase
            | Self::ProcessAmend
            | Self::ProcessChoice
            | Self::ProcessTimer
            | Self::ProcessMessage
            | Self::ProcessCommit
            | Self::ProcessIntent
            | Self::ProcessOutcome
            | Self::ProcessIncident
            | Self::ProcessUndo
            | Self::ProcessEnd
            | Self::EvidenceExport
            | Self::EvidenceReconcile
            | Self::AuditChainVerify
            | Self::PolicyEvaluate
            | Self::PolicyRefusal
            | Self::AuthorityCheck
            | Self::AuthorityRefusal
            | Self::WorkloadAdmit
            | Self::WorkloadRefuse
            | Self::WorkloadTerminate
            | Self::StorageWrite
            | Self::StorageRead
            | Self::StorageDelete => &[],
        }
    }

    /// Whether it speaks of an artifact that moved. The profile `ecs-evidence-ncp` then asks for
    /// `artifact_type`, `artifact_ref` and `artifact_hash`, unless the event was refused or failed.
    pub const fn carries_artifact(self) -> bool {
        matches!(
            self,
            Self::MigrationExport
                | Self::MigrationImport
                | Self::MigrationValidate
                | Self::KnowledgeSnapshotExported
                | Self::KnowledgeSnapshotReady
        )
    }

    /// Whether its name says that something was refused, so that its outcome must say so too.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::MigrationRefusal
                | Self::PolicyRefusal
                | Self::AuthorityRefusal
                | Self::WorkloadRefuse
                | Self::ApprovalDenied
        )
    }
}

/// The family of an event type by its name; `None` also for types that nobody has told us of.
pub fn family_of(event_type: &str) -> Option<Family> {
    EventType::parse(event_type)?.family()
}

/// Whether an event has the members that its type must have, each of its kind. `member` looks up a
/// member of the event, envelope included. A type that is not in the catalogue may carry anything;
/// what names an artifact names all of it, whatever the type.
pub fn check_members<'e>(
    event_type: &str,
    member: impl Fn(&str) -> Option<MemberValue<'e>>,
) -> Result<(), Missing> {
    if let Some(known) = EventType::parse(event_type) {
        for wanted in known.members() {
            check_member(event_type, *wanted, &member)?;
        }
        if known.is_refusal() && member("outcome") != Some(MemberValue::Text("refused")) {
            return Err(Missing::NotRefused { event_type: event_type.to_owned() });
        }
    }
    check_artifact(event_type, &member)
}

fn check_member<'e>(
    event_type: &str,
    wanted: Member,
    member: &impl Fn(&str) -> Option<MemberValue<'e>>,
) -> Result<(), Missing> {
    let Member { name, kind, required } = wanted;
    match member(name) {
        Some(found) if found.is(kind) => Ok(()),
        Some(_) => Err(Missing::Kind { event_type: event_type.to_owned(), member: name, kind }),
        None if required => {
            Err(Missing::Member { event_type: event_type.to_owned(), member: name, kind })
        }
        None => Ok(()),
    }
}

fn check_artifact<'e>(
    event_type: &str,
    member: &impl Fn(&str) -> Option<MemberValue<'e>>,
) -> Result<(), Missing> {
    if ARTIFACT.iter().all(|wanted| member(wanted.name).is_none()) {
        return Ok(());
    }
    for wanted in ARTIFACT {
        check_member(event_type, *wanted, member)?;
    }
    let text = |name| match member(name) {
        Some(MemberValue::Text(text)) => Some(text),
        Some(_) | None => None,
    };
    let named = text("artifact_ref").and_then(|text| text.strip_prefix("eosc://artifact/"));
    let hash = text("artifact_hash").and_then(digest_of);
    if named.is_some() && named.and_then(digest_of) != hash {
        return Err(Missing::Artifact { event_type: event_type.to_owned() });
    }
    Ok(())
}

impl Event {
    /// A member by its name, envelope included, as the rules of catalogue and profiles look it up.
    pub fn member(&self, name: &str) -> Option<MemberValue<'_>> {
        let draft = &self.draft;
        let text = |text: &'static str| Some(MemberValue::Text(text));
        let said = |text: &'_ Option<String>| text.as_ref().map(|_| MemberValue::Given);
        let given = |there: bool| there.then_some(MemberValue::Given);
        match name {
            "id"
            | "occurred_at"
            | "evidence_pointer"
            | "authority_snapshot_id"
            | "policy_snapshot_id"
            | "event_hash" => Some(MemberValue::Given),
            "event_type" => text(draft.event_type.name()),
            "outcome" => text(draft.outcome.name()),
            "evidence_profile_id" => text(self.evidence_profile.name()),
            "hash_profile_id" => text(self.hash_profile.name()),
            "sequence" => i64::try_from(self.sequence).ok().map(MemberValue::Integer),
            "prev_hash" => given(self.prev_hash.is_some()),
            "chain_id" => Some(MemberValue::Text(&self.chain_id)),
            "actor" => Some(MemberValue::Text(&draft.actor)),
            "tenant_id" => Some(MemberValue::Text(&draft.tenant_id)),
            "correlation_id" => Some(MemberValue::Text(&draft.correlation_id)),
            "actor_details" => given(draft.actor_details.is_some()),
            "context" => given(!draft.context.is_empty()),
            "resource_id" => said(&draft.resource_id),
            "action" => said(&draft.action),
            "jurisdiction" => said(&draft.jurisdiction),
            "classification" => said(&draft.classification),
            _ => match (&draft.outcome, name) {
                (Outcome::Refused(refusal), "refusal_reason_class") => text(refusal.class.name()),
                (Outcome::Refused(refusal), "refusal_reason_code") => {
                    Some(MemberValue::Text(&refusal.code))
                }
                (Outcome::Refused(refusal), "refusal_subject") => {
                    Some(MemberValue::Text(&refusal.subject))
                }
                (Outcome::Refused(refusal), "refusal_reason") => said(&refusal.reason),
                (Outcome::Accepted | Outcome::Failed | Outcome::Refused(_), _) => {
                    draft.fields.get(name).and_then(MemberValue::of)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// A value of the kind.
    fn good(kind: MemberKind) -> Value {
        match kind {
            MemberKind::Text => "x".into(),
            MemberKind::Integer => 0u32.into(),
            MemberKind::Bool => false.into(),
            MemberKind::Digest => format!("sha256:{HEX}").into(),
            MemberKind::Reference => format!("eosc://artifact/sha256:{HEX}").into(),
        }
    }

    /// Values that are not of the kind.
    fn bad(kind: MemberKind) -> Vec<Value> {
        let mut bad = vec![Value::Null, Value::List(Vec::new()), Value::Object(BTreeMap::new())];
        let text = |text: &str| Value::Text(text.to_owned());
        match kind {
            MemberKind::Text => bad.extend([text(""), 1u32.into(), true.into()]),
            MemberKind::Integer => {
                bad.extend([text("1"), true.into(), Value::try_from(-1i64).unwrap()]);
            }
            MemberKind::Bool => bad.extend([text("true"), 1u32.into()]),
            MemberKind::Digest => bad.extend([
                text("sha256:"),
                text(HEX.get(1..).unwrap()),
                text(&HEX.to_uppercase()),
                text(&format!("md5:{HEX}")),
                true.into(),
            ]),
            MemberKind::Reference => bad.extend([
                text(""),
                text("two words"),
                text("eosc://artifact/sha256:12"),
                text("eosc://artifact"),
                1u32.into(),
            ]),
        }
        bad
    }

    fn check(event_type: &str, members: &BTreeMap<&str, Value>) -> Result<(), Missing> {
        check_members(event_type, |name| members.get(name).and_then(MemberValue::of))
    }

    fn whole(event_type: EventType) -> BTreeMap<&'static str, Value> {
        let members = event_type.members().iter();
        let mut whole: BTreeMap<_, _> = members.map(|it| (it.name, good(it.kind))).collect();
        if event_type.is_refusal() {
            whole.insert("outcome", "refused".into());
        }
        whole
    }

    #[test]
    fn each_member_of_each_type_is_missed_when_it_is_gone_or_of_another_kind() {
        for event_type in EventType::ALL.iter().copied() {
            let name = event_type.name();
            let whole = whole(event_type);
            assert_eq!(check(name, &whole), Ok(()), "{name}");
            for member in event_type.members() {
                let mut less = whole.clone();
                less.remove(member.name);
                let said = check(name, &less);
                let missing = said.as_ref().err().map(Missing::member);
                assert_eq!(missing, member.required.then_some(member.name), "{name}");
                for value in bad(member.kind) {
                    let null = value == Value::Null;
                    less.insert(member.name, value);
                    let wrong = check(name, &less);
                    assert_eq!(wrong.is_err(), member.required || !null, "{name} {less:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_called_a_refusal_is_refused() {
        for event_type in EventType::ALL.iter().copied().filter(|it| it.is_refusal()) {
            let mut members = whole(event_type);
            for outcome in ["accepted", "failed"] {
                members.insert("outcome", outcome.into());
                let said = check(event_type.name(), &members).unwrap_err();
                assert!(matches!(said, Missing::NotRefused { .. }), "{said}");
            }
            members.remove("outcome");
            assert!(check(event_type.name(), &members).is_err());
        }
    }

    #[test]
    fn an_artifact_is_named_whole_or_not_at_all() {
        let whole: BTreeMap<&str, Value> =
            ARTIFACT.iter().map(|member| (member.name, good(member.kind))).collect();
        for event_type in ["process.intent", "somebody.elses"] {
            assert_eq!(check(event_type, &whole), Ok(()));
            for member in ARTIFACT {
                let mut less = whole.clone();
                less.remove(member.name);
                assert_eq!(check(event_type, &less).unwrap_err().member(), member.name);
            }
            let mut swapped = whole.clone();
            swapped.insert("artifact_hash", format!("sha256:{}", Digest::of(b"other")).into());
            let said = check(event_type, &swapped).unwrap_err();
            assert!(matches!(said, Missing::Artifact { .. }), "{said}");
        }
    }

    #[test]
    fn types_that_are_not_known_may_carry_anything() {
        assert_eq!(check("cargo.weigh", &BTreeMap::new()), Ok(()));
        assert_eq!(family_of("cargo.weigh"), None);
        assert_eq!(family_of("exit.path.declare"), Some(Family::Exit));
    }

    #[test]
    fn no_member_has_a_name_of_the_envelope_but_the_one_that_the_contract_repeats() {
        use crate::event_json::is_field_name;
        let all = EventType::ALL.iter().flat_map(|it| it.members()).chain(ARTIFACT);
        for member in all.filter(|member| member.name != "policy_snapshot_id") {
            assert!(is_field_name(member.name), "{}", member.name);
        }
    }
}
