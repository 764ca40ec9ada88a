//! What each evidence profile asks of events and of a whole export.

use std::collections::BTreeSet;

use crate::catalogue::{ARTIFACT, Family, Member, MemberKind, MemberValue, Missing, check_members};
use crate::chain::SealError;
use crate::event::{Event, EventType, EvidenceProfile, RefusalClass, named};
use crate::value::HashProfile;

named! {
    /// Whether a profile asks for an unbroken chain.
    Continuity {
        /// The events may stand by themselves. What there is of a chain must hold.
        Optional = "optional",
        /// Each event but the first names the one before it.
        Full = "full",
    }
}

/// What every event has, under each profile: the envelope of a governed action.
const ENVELOPE: &[Member] = &[
    field("id", MemberKind::Text),
    field("event_type", MemberKind::Text),
    field("occurred_at", MemberKind::Text),
    field("actor", MemberKind::Text),
    field("tenant_id", MemberKind::Text),
    field("sequence", MemberKind::Integer),
    field("outcome", MemberKind::Text),
    field("evidence_pointer", MemberKind::Reference),
    field("correlation_id", MemberKind::Text),
    field("authority_snapshot_id", MemberKind::Text),
    field("policy_snapshot_id", MemberKind::Text),
];

/// What ties an event into a chain; the first event has no `prev_hash`.
const CHAIN: &[Member] =
    &[field("chain_id", MemberKind::Text), field("event_hash", MemberKind::Digest)];
const LINK: Member = field("prev_hash", MemberKind::Digest);

/// What a refused event has.
const REFUSAL: &[Member] = &[
    field("refusal_reason_class", MemberKind::Text),
    field("refusal_reason_code", MemberKind::Text),
    field("refusal_subject", MemberKind::Text),
];

/// What an event on training has under `ecs-evidence-regulated-ml`, beside the envelope and
/// `dataset_policy_bindings`, which may be of any form.
const TRAINING: &[Member] = &[
    field("data_use_posture_id", MemberKind::Text),
    field("exclusion_policy_snapshot_id", MemberKind::Text),
    field("dataset_manifest_ref", MemberKind::Reference),
    field("governance_phase", MemberKind::Text),
];
const BINDINGS: &str = "dataset_policy_bindings";
const PHASES: [&str; 5] = ["pre_ingest", "ingest", "train", "post_train", "deploy"];

const fn field(name: &'static str, kind: MemberKind) -> Member {
    Member { name, kind, required: true }
}

/// What a profile asks for and an event does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// A member is not there.
    #[error("{profile} asks for {member} in an event {event_type}")]
    Missing {
        /// The profile.
        profile: EvidenceProfile,
        /// The type of the event.
        event_type: String,
        /// The member.
        member: &'static str,
    },
    /// A member says something else.
    #[error("{profile} asks that the {member} of an event {event_type} is {wanted}")]
    Value {
        /// The profile.
        profile: EvidenceProfile,
        /// The type of the event.
        event_type: String,
        /// The member.
        member: &'static str,
        /// What it must say.
        wanted: String,
    },
}

impl NotAdmitted {
    /// The member that is missing or wrong.
    pub fn member(&self) -> &'static str {
        match self {
            Self::Missing { member, .. } | Self::Value { member, .. } => member,
        }
    }
}

impl EvidenceProfile {
    /// The version of the profile that these rules are.
    pub const VERSION: &str = "1.0";

    /// The families of which an export must hold an event.
    pub const fn families(self) -> &'static [Family] {
        match self {
            Self::Baseline => &[Family::Auth, Family::Pol, Family::Evid],
            Self::Admissible => &[Family::Auth, Family::Pol, Family::Evid, Family::Exit],
            Self::Ncp => &[Family::Auth, Family::Dep, Family::Evid],
            Self::RegulatedMl => &[Family::Evid, Family::Exec, Family::Sup],
        }
    }

    /// Whether the chain must be unbroken. Where hashes must be computed again, links must be too.
    pub const fn continuity(self) -> Continuity {
        match self {
            Self::Baseline | Self::Ncp => Continuity::Optional,
            Self::Admissible | Self::RegulatedMl => Continuity::Full,
        }
    }

    /// The one way of hashing that the profile takes; `None` for any that is declared.
    pub const fn hash_profile(self) -> Option<HashProfile> {
        match self {
            Self::Baseline | Self::Admissible => None,
            Self::Ncp | Self::RegulatedMl => Some(HashProfile::EcsHashV1),
        }
    }
}

/// The families that a profile demands and that were not seen.
pub fn families_missing(profile: EvidenceProfile, seen: &BTreeSet<Family>) -> Vec<Family> {
    profile.families().iter().copied().filter(|family| !seen.contains(family)).collect()
}

/// All that a profile asks of an event and does not find; empty if the profile admits it. `member`
/// looks up a member of the event, whoever wrote it, envelope included.
pub fn not_admitted<'e>(
    profile: EvidenceProfile,
    member: impl Fn(&str) -> Option<MemberValue<'e>>,
) -> Vec<NotAdmitted> {
    let mut look = Look { profile, member, found: Vec::new() };
    look.members(ENVELOPE);
    if profile.continuity() == Continuity::Full {
        look.members(CHAIN);
        if look.get("sequence") != Some(MemberValue::Integer(0)) {
            look.members(&[LINK]);
        }
    }
    look.refusal();
    look.hash_profile();
    match profile {
        EvidenceProfile::Baseline | EvidenceProfile::Admissible => {}
        EvidenceProfile::Ncp => look.artifact(),
        EvidenceProfile::RegulatedMl => look.training(),
    }
    look.found
}

struct Look<F> {
    profile: EvidenceProfile,
    member: F,
    found: Vec<NotAdmitted>,
}

impl<'e, F: Fn(&str) -> Option<MemberValue<'e>>> Look<F> {
    fn get(&self, name: &str) -> Option<MemberValue<'e>> {
        (self.member)(name)
    }

    fn text(&self, name: &str) -> &'e str {
        match self.get(name) {
            Some(MemberValue::Text(text)) => text,
            Some(_) | None => "",
        }
    }

    fn missing(&mut self, member: &'static str) {
        let (profile, event_type) = (self.profile, self.text("event_type").to_owned());
        self.found.push(NotAdmitted::Missing { profile, event_type, member });
    }

    fn other(&mut self, member: &'static str, wanted: String) {
        let (profile, event_type) = (self.profile, self.text("event_type").to_owned());
        self.found.push(NotAdmitted::Value { profile, event_type, member, wanted });
    }

    fn members(&mut self, wanted: &[Member]) {
        for member in wanted {
            match self.get(member.name) {
                Some(found) if found.is(member.kind) => {}
                Some(_) => self.other(member.name, member.kind.to_string()),
                None => self.missing(member.name),
            }
        }
    }

    /// Nothing is refused without a ground, a code and a subject.
    fn refusal(&mut self) {
        match self.text("outcome") {
            "refused" => {
                self.members(REFUSAL);
                let class = self.text("refusal_reason_class");
                if !class.is_empty() && RefusalClass::parse(class).is_none() {
                    let names: Vec<_> = RefusalClass::ALL.iter().map(|it| it.name()).collect();
                    self.other("refusal_reason_class", format!("one of {}", names.join(", ")));
                }
            }
            // One that is missing is said above.
            "accepted" | "failed" | "" => {}
            _ => self.other("outcome", "accepted, refused or failed".to_owned()),
        }
    }

    fn hash_profile(&mut self) {
        let Some(wanted) = self.profile.hash_profile() else { return };
        match self.get("hash_profile_id") {
            Some(MemberValue::Text(name)) if name == wanted.name() => {}
            Some(_) => self.other("hash_profile_id", wanted.name().to_owned()),
            None if self.profile == EvidenceProfile::RegulatedMl => self.missing("hash_profile_id"),
            // The manifest says it for all events.
            None => {}
        }
    }

    fn artifact(&mut self) {
        let carries = EventType::parse(self.text("event_type"))
            .is_some_and(EventType::carries_artifact)
            && self.text("outcome") == "accepted";
        if carries {
            self.members(ARTIFACT);
        }
    }

    /// Training is what says so by its type, or by one of the members that only training has.
    fn training(&mut self) {
        let named = TRAINING.iter().map(|member| member.name).chain([BINDINGS]);
        let said = named.into_iter().any(|name| self.get(name).is_some());
        if !said && !self.text("event_type").starts_with("ml.training.") {
            return;
        }
        self.members(TRAINING);
        if self.get(BINDINGS).is_none() {
            self.missing(BINDINGS);
        }
        let phase = self.text("governance_phase");
        if !phase.is_empty() && !PHASES.contains(&phase) {
            self.other("governance_phase", format!("one of {}", PHASES.join(", ")));
        }
    }
}

/// What is asked of an event before it is written: the members of its type, and the profile of its
/// log.
pub(crate) fn admit(event: &Event) -> Result<(), SealError> {
    let member = |name: &str| event.member(name);
    let typed: Result<(), Missing> = check_members(event.draft.event_type.name(), member);
    typed.map_err(SealError::Member)?;
    match not_admitted(event.evidence_profile, member).into_iter().next() {
        Some(wrong) => Err(SealError::Profile(wrong)),
        None => Ok(()),
    }
}
