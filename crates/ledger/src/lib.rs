//! Evidence that anyone can check: what an auditor reads and builds.
//!
//! - [`Value`] and [`HashProfile`]: JSON without fractions, and the two canonical forms of it that
//!   are hashed.
//! - [`Event`], [`EventDraft`], [`Chain`]: an evidence event, and the writer that seals it into a
//!   hash chain.
//! - [`EventBody`], [`check_members`], [`not_admitted`]: what each type of event carries, and what
//!   each evidence profile asks for; the writer and an auditor hold events to the same rules.
//! - [`verify_log`]: the reader that believes nothing it can compute again; [`EventCheck`]: what it
//!   does with each event by itself.
//! - [`CompactRange`], [`root_of`] and the proofs: the Merkle tree of RFC 6962.
//! - [`Scanner`]: the strict JSON reader under all of it.

#![forbid(unsafe_code)]

mod body;
mod catalogue;
mod chain;
mod digest;
mod event;
mod event_check;
mod event_json;
mod json;
mod merkle;
mod profile;
mod proof;
mod stamp;
mod value;
mod verify;

pub use body::{
    Anchor, Approval, Artifact, DependencyGraph, Drift, EventBody, ExitPlan, Interop,
    KeySuccession, Package, Provenance, Reconciliation, Sbom, SnapshotBody, UsageReceipt,
};
pub use catalogue::{Family, Member, MemberKind, MemberValue, Missing, check_members, family_of};
pub use chain::{Chain, SealError, Sealed};
pub use digest::{Digest, Hasher, NotADigest};
pub use event::{
    ActorDetails, ActorKind, Event, EventDraft, EventType, EvidenceProfile, Outcome, Refusal,
    RefusalClass,
};
pub use event_check::{EventCheck, EventDamage};
pub use event_json::{EventError, MAX_EVENT_BYTES};
pub use json::{
    NotFinite, RawText, ScanError, Scanner, cmp_utf16, write_rfc8785_number, write_rfc8785_string,
};
pub use merkle::{CompactRange, NotAdjacent, empty_root, leaf_hash, node_hash, root_of};
pub use profile::{Continuity, NotAdmitted, families_missing, not_admitted};
pub use proof::{
    ProofError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
pub use stamp::{EventId, EventTime, NotATime, NotAnId};
pub use value::{
    HashProfile, Integer, IntegerTooLarge, MAX_DEPTH, Object, ParseError, UnknownProfile, Value,
};
pub use verify::{Damage, Verified, Verifier, verify_log};
