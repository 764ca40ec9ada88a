//! Evidence that anyone can check: what an auditor reads and builds.
//!
//! - [`Value`] and [`HashProfile`]: JSON without fractions, and its two canonical forms.
//! - [`Event`], [`EventDraft`], [`Chain`]: an event, and the writer that seals it into the chain.
//! - [`EventBody`], [`check_members`], [`not_admitted`]: what each type of event carries, and what
//!   each evidence profile asks for; the writer and an auditor hold events to the same rules.
//! - [`verify_log`]: the reader that believes nothing; [`EventCheck`]: each event by itself.
//! - [`CompactRange`], [`root_of`] and the proofs: the Merkle tree of RFC 6962.
//! - [`SigningKey`], [`Note`], [`Checkpoint`]: keys with a name, and what they sign.
//! - [`trust`], [`witness_policy`]: whom a verifier believes. [`detached`]: signatures of others.
//! - [`HashTiles`], [`SegmentProof`]: proofs from a stored tree, for one event or a stretch.
//! - [`audit`]: from a bundle of evidence and a public key to one answer a check.
//! - [`Scanner`]: the JSON reader under all of it. [`projection`]: the forms of others on top.

#![forbid(unsafe_code)]

pub mod audit;
mod body;
mod catalogue;
mod chain;
mod checkpoint;
mod cosignature;
pub mod detached;
mod digest;
mod event;
mod event_check;
mod event_json;
mod event_typed;
mod frontier;
mod json;
mod key;
mod merkle;
mod note;
mod profile;
pub mod projection;
mod proof;
mod stamp;
mod tile;
mod tlog_proof;
pub mod trust;
mod value;
mod verify;
pub mod witness_policy;

pub use body::{
    Anchor, Approval, Artifact, DependencyGraph, Drift, EventBody, ExitPlan, FileDrift, Interop,
    KeySuccession, Package, Provenance, Reconciliation, Sbom, SnapshotBody, UsageReceipt,
};
pub use catalogue::{Family, Member, MemberKind, MemberValue, Missing, check_members, family_of};
pub use chain::{Chain, SealError, Sealed};
pub use checkpoint::{Checkpoint, CheckpointError, MAX_LOG_SIZE};
pub use digest::{Digest, Hasher, NotADigest};
pub use event::{
    ActorDetails, ActorKind, Event, EventDraft, EventType, EvidenceProfile, Outcome, Refusal,
    RefusalClass,
};
pub use event_check::{EventCheck, EventDamage};
pub use event_json::{EventError, MAX_EVENT_BYTES};
pub use frontier::{SegmentError, SegmentProof, segment_proof};
pub use json::{
    NotFinite, RawText, ScanError, Scanner, cmp_utf16, write_rfc8785_number, write_rfc8785_string,
};
pub use key::{KeyError, KeyName, OtherKey, SigningKey, VerifyingKey, WitnessKey};
pub use merkle::{CompactRange, NotAdjacent, empty_root, leaf_hash, node_hash, root_of};
pub use note::{MAX_NOTE_BYTES, Note, NoteError, NoteSignature, SignatureAnswer};
pub use profile::{Continuity, NotAdmitted, families_missing, not_admitted};
pub use proof::{
    ProofError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
pub use stamp::{EventId, EventTime, NotATime, NotAnId};
pub use tile::{
    HashTiles, TILE_WIDTH, TileError, TileKind, consistency_from_tiles, inclusion_from_tiles,
    root_from_tiles, tile_path, tiles_of,
};
pub use tlog_proof::{TlogProof, TlogProofError};
pub use value::{
    HashProfile, Integer, IntegerTooLarge, MAX_DEPTH, Object, ParseError, UnknownProfile, Value,
};
pub use verify::{Damage, Link, Verified, Verifier, verify_log};
