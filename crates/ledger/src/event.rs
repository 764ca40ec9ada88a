//! The evidence event: the Core10-05 envelope, typed.

use crate::digest::Digest;
use crate::stamp::{EventId, EventTime};
use crate::value::{HashProfile, Object};

/// Defines an enum whose values have one fixed name each.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$value_doc:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$value_doc])* $value,)* }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$value),*];

            /// The name in events.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)* }
            }

            /// The one with this name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
pub(crate) use named;

named! {
    /// What happened. `docs/evidence-events.md` says what each type carries; the catalogue holds
    /// events to it.
    EventType {
        /// Content left a store as a snapshot or a bundle.
        MigrationExport = "migration.export",
        /// Content entered a store.
        MigrationImport = "migration.import",
        /// Content was compared with what it should be.
        MigrationValidate = "migration.validate",
        /// Readers were pointed at the target.
        MigrationCutover = "migration.cutover",
        /// Readers were pointed back at the source.
        MigrationRollback = "migration.rollback",
        /// A migration was refused.
        MigrationRefusal = "migration.refusal",
        /// A gate gave its verdict.
        GateVerdict = "gate.verdict",
        /// A person approved.
        ApprovalGranted = "approval.granted",
        /// A person said no.
        ApprovalDenied = "approval.denied",
        /// An approval is no longer valid.
        ApprovalExpired = "approval.expired",
        /// A run began.
        ProcessStart = "process.start",
        /// A run goes on after it was cut off.
        ProcessResume = "process.resume",
        /// A phase was entered or left.
        ProcessPhase = "process.phase",
        /// A run goes on under another plan.
        ProcessAmend = "process.amend",
        /// A branch was taken.
        ProcessChoice = "process.choice",
        /// A timer was set, or is over.
        ProcessTimer = "process.timer",
        /// Word came from outside.
        ProcessMessage = "process.message",
        /// The point of no automatic return was passed.
        ProcessCommit = "process.commit",
        /// A step is about to change something.
        ProcessIntent = "process.intent",
        /// How a step ended: applied, not applied or unknown.
        ProcessOutcome = "process.outcome",
        /// Work waits for a person.
        ProcessIncident = "process.incident",
        /// A step was undone.
        ProcessUndo = "process.undo",
        /// A run ended.
        ProcessEnd = "process.end",
        /// Evidence was exported.
        EvidenceExport = "evidence.export",
        /// Evidence that was kept apart was brought together.
        EvidenceReconcile = "evidence.reconcile",
        /// A log was verified.
        AuditChainVerify = "audit.chain.verify",
        /// A log was tied to an outside record.
        ChainAnchor = "chain.anchor",
        /// Two logs were compared after a gap.
        ChainReconciliation = "chain.reconciliation",
        /// A policy was evaluated.
        PolicyEvaluate = "policy.evaluate",
        /// A policy refused.
        PolicyRefusal = "policy.refusal",
        /// An authority was checked.
        AuthorityCheck = "authority.check",
        /// An authority was missing or not valid.
        AuthorityRefusal = "authority.refusal",
        /// The dependencies of what moves were published.
        DependencyGraphPublish = "dependency.graph.publish",
        /// A dependency that nothing can replace was accepted.
        DependencyExceptionAccept = "dependency.exception.accept",
        /// The parts of a component were published.
        SupplychainSbomPublish = "supplychain.sbom.publish",
        /// Where a component comes from was attested.
        SupplychainProvenanceAttest = "supplychain.provenance.attest",
        /// The interfaces that are kept to were declared.
        InteropProfileDeclare = "interop.profile.declare",
        /// Interfaces were tried against one another.
        InteropCompatibilityTest = "interop.compatibility.test",
        /// A workload was let in.
        WorkloadAdmit = "workload.admit",
        /// A workload was not let in.
        WorkloadRefuse = "workload.refuse",
        /// A workload was ended.
        WorkloadTerminate = "workload.terminate",
        /// An object was written.
        StorageWrite = "storage.write",
        /// An object was read.
        StorageRead = "storage.read",
        /// An object was deleted.
        StorageDelete = "storage.delete",
        /// Data was used under a policy.
        DataUsageReceipt = "data.usage.receipt",
        /// A signing key was replaced.
        KeySucceeded = "key.succeeded",
        /// A knowledge snapshot was written.
        KnowledgeSnapshotExported = "knowledge.snapshot.exported",
        /// A knowledge snapshot is in place and verified.
        KnowledgeSnapshotReady = "knowledge.snapshot.ready",
        /// Two copies drifted apart.
        VectorDriftDetected = "vector_drift_detected",
        /// A file that a programme is pinned to has changed.
        ProgrammeDrift = "programme.drift",
        /// A way out of the present environment was declared.
        ExitPathDeclare = "exit.path.declare",
        /// The way out was tried.
        ExitValidationRun = "exit.validation.run",
    }
}

named! {
    /// On what ground something was refused.
    RefusalClass {
        /// A policy says no.
        PolicyDenied = "policy_denied",
        /// Nobody with the authority said yes.
        AuthorityMissingOrInvalid = "authority_missing_or_invalid",
        /// The place is not allowed.
        JurisdictionDenied = "jurisdiction_denied",
        /// A delegation does not hold.
        DelegationInvalid = "delegation_invalid",
        /// Evidence that must be there first is missing or does not hold.
        EvidencePreconditionFailed = "evidence_precondition_failed",
        /// Something needed does not answer, so the answer is no.
        DependencyUnavailableFailClosed = "dependency_unavailable_fail_closed",
    }
}

named! {
    /// What a log promises to hold.
    EvidenceProfile {
        /// The required envelope and pointers that resolve.
        Baseline = "ecs-evidence-baseline",
        /// Baseline, and an unbroken hash chain.
        Admissible = "ecs-evidence-admissible",
        /// No-control evidence.
        Ncp = "ecs-evidence-ncp",
        /// Evidence for regulated machine learning.
        RegulatedMl = "ecs-evidence-regulated-ml",
    }
}

named! {
    /// What kind of actor acted.
    ActorKind {
        /// A person.
        Human = "human",
        /// A program.
        Service = "service",
        /// Somebody acting for another.
        Delegate = "delegate",
    }
}

/// More about who acted: `actor_details`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorDetails {
    /// The actor's id where it comes from.
    pub id: String,
    /// Person, program or delegate.
    pub kind: ActorKind,
    /// The organisation.
    pub org_id: Option<String>,
    /// Where the credential is kept. Never the credential.
    pub credential_ref: Option<String>,
    /// The actor's jurisdiction.
    pub jurisdiction: Option<String>,
}

/// Why something was refused. Class, code and subject are there by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// On what ground: `refusal_reason_class`.
    pub class: RefusalClass,
    /// The stable code: `refusal_reason_code`.
    pub code: String,
    /// What was refused: `refusal_subject`.
    pub subject: String,
    /// In words: `refusal_reason`.
    pub reason: Option<String>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or found to be so.
    Accepted,
    /// It was refused.
    Refused(Refusal),
    /// It was tried and went wrong.
    Failed,
}

impl Outcome {
    /// The word in the event.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What is said about an event: everything but its place in the log, its id and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    /// What happened.
    pub event_type: EventType,
    /// Who did it.
    pub actor: String,
    /// More about who did it.
    pub actor_details: Option<ActorDetails>,
    /// Whose evidence it is.
    pub tenant_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The digest of the object that holds the details; shown as
    /// `eosc://evidence/sha256:<hex>`.
    pub evidence_pointer: Digest,
    /// What all events of one governed action share: the run.
    pub correlation_id: String,
    /// What it was done to.
    pub resource_id: Option<String>,
    /// What was done.
    pub action: Option<String>,
    /// The approvers and keys in force; shown as `sha256:<hex>`.
    pub authority_snapshot_id: Digest,
    /// The rules and thresholds in force; shown as `sha256:<hex>`.
    pub policy_snapshot_id: Digest,
    /// The jurisdiction of what moves.
    pub jurisdiction: Option<String>,
    /// The classification of what moves.
    pub classification: Option<String>,
    /// Small facts about the event. Absent when empty.
    pub context: Object,
    /// Members that only some types of events have, such as `workload_id`. They stand beside the
    /// envelope's own; names are `a-z 0-9 _`.
    pub fields: Object,
}

/// One event of a log, sealed into its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub occurred_at: EventTime,
    /// Its place in the log, from 0 on without gaps. It is also the index of its leaf in the
    /// Merkle tree.
    pub sequence: u64,
    /// The log it belongs to.
    pub chain_id: String,
    /// What the log promises to hold.
    pub evidence_profile: EvidenceProfile,
    /// How events of the log become the bytes that are hashed.
    pub hash_profile: HashProfile,
    /// The `event_hash` of the event before. None for the first.
    pub prev_hash: Option<Digest>,
    /// SHA-256 of the canonical form without `event_hash`.
    pub event_hash: Digest,
    /// What is said about it.
    pub draft: EventDraft,
}
