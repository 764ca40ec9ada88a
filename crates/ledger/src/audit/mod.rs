//! The audit of evidence: from a bundle or a receipt and a public key to one answer a check.
//!
//! Nothing is believed that can be computed again. Reading order: the answers (`report`), what is
//! read (`material`, `documents`), the pass over the events (`stream`, `event`, `order`), what they
//! point to (`objects`), who signed (`keys`),
//! what policies decided (`replay`), and how it all becomes rows (`rows`, `tree`,
//! `witnesses`, `beside`, `declared`). `receipt` is the same for one event.

mod beside;
mod cut;
mod declared;
mod documents;
mod event;
mod findings;
mod keys;
mod lines;
mod material;
mod objects;
mod order;
mod pointers;
mod receipt;
mod replay;
mod report;
mod rows;
mod segment;
mod stream;
mod tree;
mod witnesses;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread;

pub use self::material::Material;
pub use self::receipt::audit_receipt;
pub use self::replay::{EVALUATE, PolicyReplayer, PolicySaid, Replayed};
pub use self::report::{CheckId, CheckVerdict, Overall, Reason, Report, Row, Subject};

use self::documents::{
    CHECKPOINT, CONSISTENCY, Consistency, Declared, Found, Held, MANIFEST, Manifest, PROFILE_CLAIM,
    SEGMENT_PROOF, VERIFIER_INPUTS, bytes_of, in_full,
};
use self::event::Expected;
use self::keys::{Handover, Log};
use self::material::FileSum;
use self::objects::Objects;
use self::order::Order;
use self::rows::Context;
use self::stream::Streamed;
use crate::checkpoint::{Checkpoint, MAX_LOG_SIZE};
use crate::detached::Believed;
use crate::event::EvidenceProfile;
use crate::frontier::SegmentProof;
use crate::note::Note;
use crate::trust::{KeyRing, LogKey};
use crate::value::HashProfile;
use crate::witness_policy::WitnessPolicy;

/// What an auditor brings along, and what is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditRequest<'a> {
    /// The keys that are believed. Without one, no signature can be checked.
    pub keys: &'a [LogKey],
    /// A checkpoint of the same log that was kept from before: what happened since must go on from
    /// there. It is believed as it is.
    pub since: Option<&'a Checkpoint>,
    /// The profile that the evidence must keep to at least; if not, whatever its manifest declares.
    pub profile: Option<EvidenceProfile>,
    /// The witnesses that must have cosigned the checkpoint.
    pub witnesses: Option<&'a WitnessPolicy>,
    /// That checkpoint as it stands elsewhere: the cosignatures under it count as well.
    pub cosigned: Option<&'a (Note, Checkpoint)>,
    /// The people whose signatures beside the manifest count.
    pub people: Option<Believed<'a>>,
    /// What evaluates again what policies decided. Without one, those decisions are not checked.
    pub replayer: Option<&'a dyn PolicyReplayer>,
    /// On how many threads events are checked; at least one.
    pub workers: usize,
}

/// Why there is no report at all.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file of the material cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// The file.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It has no manifest.
    #[error("there is no {MANIFEST}")]
    NotABundle,
    /// A document without which nothing can be said is not of its form.
    #[error("{name} cannot be read: {what}")]
    Malformed {
        /// The document.
        name: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

/// Checks a bundle of evidence. It is streamed: the memory does not grow with the log but by 32
/// bytes for each object that its events point to, and for each governed action.
///
/// An error means that nothing could be said; all else is in the rows of the report.
pub fn audit_bundle(
    material: &dyn Material,
    request: &AuditRequest<'_>,
) -> Result<Report, AuditError> {
    let documents = Documents::read(material)?;
    let manifest = &documents.manifest;
    let expected = expected(manifest);
    let order = Order::new(manifest.scope, request.since.map(|since| since.size));
    let keep = documents.succession.read().zip(expected.hash_profile);
    let keep = keep.map(|(handovers, profile)| keys::notes(handovers, profile)).unwrap_or_default();
    let (streamed, objects) = both(material, &expected, order, &keep, request.workers)?;
    let ring = KeyRing::new(request.keys.iter().cloned());
    let mut context = Context::new(material, request, &documents, &expected, streamed, ring);
    context.read_objects(objects)?;
    context.succeed();
    context.others = beside::judge(material, request.people.as_ref())?;
    context.sum_files()?;
    context.replayed = replay::replay(&context)?;
    Ok(context.report())
}

/// The events and the objects, each read on its own side.
fn both(
    material: &dyn Material,
    expected: &Expected<'_>,
    order: Order,
    keep: &BTreeSet<crate::Digest>,
    workers: usize,
) -> Result<(Streamed, Objects), AuditError> {
    thread::scope(|scope| {
        let objects = scope.spawn(|| objects::check(material, expected.own, keep));
        let streamed = stream::stream(material, expected, order, workers);
        let objects = objects.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((streamed?, objects?))
    })
}

fn expected(manifest: &Manifest) -> Expected<'_> {
    let profile_name = manifest.evidence_profile.as_deref();
    // What no document of another maker names is the only one that the contract registers.
    let hash_profile = match manifest.hash_profile.as_deref() {
        Some(name) => name.parse().ok(),
        None => Some(HashProfile::EcsHashV1),
    };
    Expected {
        own: manifest.own.is_some(),
        profile_name,
        profile: profile_name.and_then(EvidenceProfile::parse),
        hash_profile,
        chain_id: manifest.chain_id.as_deref(),
    }
}

/// The documents of a bundle beside its long lists.
struct Documents {
    manifest: Manifest,
    verifier_inputs: Held<Declared>,
    profile_claim: Held<Declared>,
    checkpoint: Held<(Note, Checkpoint)>,
    segment_proof: Held<SegmentProof>,
    consistency: Held<Consistency>,
    succession: Held<Vec<Handover>>,
    /// The sums of what was read.
    sums: BTreeMap<String, FileSum>,
}

impl Documents {
    fn read(material: &dyn Material) -> Result<Self, AuditError> {
        let mut sums = BTreeMap::new();
        let mut note = |name: &str, sum: Option<FileSum>| {
            sums.extend(sum.map(|sum| (name.to_owned(), sum)));
        };
        let (manifest, sum) = documents::read(material, MANIFEST, Manifest::decode)?;
        note(MANIFEST, sum);
        let malformed = |what| AuditError::Malformed { name: MANIFEST, what };
        let manifest = match manifest {
            Held::Read(manifest) => manifest,
            Held::Absent => return Err(AuditError::NotABundle),
            Held::Malformed(what) => return Err(malformed(what)),
        };
        if manifest.own.is_some() && (manifest.scope.is_none() || manifest.chain_id.is_none()) {
            return Err(malformed("scope or chain_id is missing".to_owned()));
        }
        if manifest.scope.is_some_and(|(from, to)| from > to || to >= MAX_LOG_SIZE) {
            return Err(malformed("the scope is no range of events".to_owned()));
        }
        let (verifier_inputs, sum) = documents::read(material, VERIFIER_INPUTS, Declared::decode)?;
        note(VERIFIER_INPUTS, sum);
        let (profile_claim, sum) = documents::read(material, PROFILE_CLAIM, Declared::decode)?;
        note(PROFILE_CLAIM, sum);
        let (segment_proof, sum) =
            documents::read(material, SEGMENT_PROOF, documents::segment_proof)?;
        note(SEGMENT_PROOF, sum);
        let (consistency, sum) = documents::read(material, CONSISTENCY, Consistency::decode)?;
        note(CONSISTENCY, sum);
        let (checkpoint, sum) = checkpoint(material)?;
        note(CHECKPOINT, sum);
        let (succession, sum) = keys::read(material)?;
        note(documents::SUCCESSION, sum);
        Ok(Self {
            manifest,
            verifier_inputs,
            profile_claim,
            checkpoint,
            segment_proof,
            consistency,
            succession,
            sums,
        })
    }
}

fn checkpoint(material: &dyn Material) -> Found<(Note, Checkpoint)> {
    let Some((bytes, sum)) = bytes_of(material, CHECKPOINT)? else {
        return Ok((Held::Absent, None));
    };
    let held = match Note::parse(&bytes) {
        Err(error) => Held::Malformed(in_full(&error)),
        Ok(note) => match Checkpoint::parse(&note.text) {
            Ok(checkpoint) => Held::Read((note, checkpoint)),
            Err(error) => Held::Malformed(in_full(&error)),
        },
    };
    Ok((held, Some(sum)))
}

/// What the log is, as far as successions stand on it.
fn log_of<'a>(
    documents: &'a Documents,
    expected: &Expected<'a>,
    objects: &'a Objects,
) -> Option<Log<'a>> {
    let own = documents.manifest.own.as_ref()?;
    let tree = match &documents.checkpoint {
        Held::Read((_, checkpoint)) => (checkpoint.size, checkpoint.root),
        Held::Absent | Held::Malformed(_) => own.tree,
    };
    let (profile, chain_id) = (expected.hash_profile?, expected.chain_id?);
    Some(Log { profile, chain_id, tree, objects: &objects.kept })
}
