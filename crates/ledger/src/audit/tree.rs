//! The log as a whole: its root, who signed it, and what came before.

use super::documents::{CHECKPOINT, CONSISTENCY, Held, Own, SEGMENT_PROOF};
use super::keys::answer;
use super::report::{CheckId, Reason};
use super::rows::{Answer, Context};
use super::witnesses::Witnesses;
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::frontier::SegmentProof;
use crate::note::NoteSignature;
use crate::proof::verify_consistency;
use crate::stamp::EventTime;
use crate::trust::KeyState;

const NO_TREE: &str = "the contract has no tree; this bundle brings none";

impl Context<'_> {
    /// The root to which the events lead, with what the bundle says about the rest of the log.
    fn computed_root(&self, own: &Own) -> Result<Digest, Answer> {
        let leaves = &self.streamed.order.leaves;
        match &self.documents.segment_proof {
            Held::Malformed(what) => {
                Err(Answer::Fail(Reason::Malformed, format!("{SEGMENT_PROOF}: {what}")))
            }
            Held::Read(proof) if proof.size != own.tree.0 => Err(Answer::Fail(
                Reason::ProofBroken,
                format!("{SEGMENT_PROOF} is for a log of {} events", proof.size),
            )),
            Held::Read(proof) => proof.root(leaves).map_err(|error| {
                Answer::Fail(Reason::RootDiffers, format!("the events do not fit: {error}"))
            }),
            Held::Absent if leaves.begin() == 0 && leaves.end() == own.tree.0 => {
                Ok(leaves.root().unwrap_or_else(crate::merkle::empty_root))
            }
            Held::Absent => Err(Answer::Fail(
                Reason::ProofMissing,
                format!("{SEGMENT_PROOF} is missing, and the events are not the whole log"),
            )),
        }
    }

    pub(super) fn tree_root(&mut self) -> Answer {
        let Some(own) = &self.documents.manifest.own else {
            return Answer::NotApplicable(NO_TREE.to_owned());
        };
        let root = match self.computed_root(own) {
            Ok(root) => root,
            Err(answer) => return answer,
        };
        let signed = self.documents.checkpoint.read().map(|(_, checkpoint)| checkpoint);
        if signed.is_some_and(|signed| signed.size == own.tree.0 && signed.root != root) {
            return self.other_root();
        }
        let differs = |what: &str| Answer::Fail(Reason::RootDiffers, what.to_owned());
        if signed.is_some_and(|signed| signed.size != own.tree.0) {
            return differs("checkpoint and manifest are of different sizes of the log");
        }
        if root != own.tree.1 {
            return differs("the events do not lead to the root that the manifest names");
        }
        if self.streamed.order.segment_root() != Some(own.segment_root) {
            return differs("the root over these events alone is not what the manifest names");
        }
        if self.streamed.order.last_hash() != Some(own.last_event_hash) {
            return differs("the last event is not the one that the manifest names");
        }
        if self.streamed.order.events != own.events {
            return differs("the number of events is not what the manifest names");
        }
        Answer::Pass(format!("{} of {} in the log", self.streamed.order.events, own.tree.0))
    }

    /// The signed root is that of other events: some were changed, or all of them.
    fn other_root(&self) -> Answer {
        let by_itself = |id: &CheckId| {
            matches!(
                id,
                CheckId::EventsForm
                    | CheckId::EventsHash
                    | CheckId::ChainLinks
                    | CheckId::ChainSequence
            )
        };
        if self.broken.iter().any(by_itself) {
            let text = "the events do not lead to the root that is signed";
            Answer::Fail(Reason::RootDiffers, text.to_owned())
        } else {
            let text = "the events hold together, and the signed root is that of others: the chain \
                        was replaced";
            Answer::Fail(Reason::ChainReplaced, text.to_owned())
        }
    }

    pub(super) fn checkpoint_signature(&mut self) -> Answer {
        let manifest = &self.documents.manifest;
        let Some(own) = &manifest.own else {
            return Answer::NotApplicable(NO_TREE.to_owned());
        };
        let (note, checkpoint) = match &self.documents.checkpoint {
            Held::Absent => {
                let text = "the bundle has no checkpoint: nobody signed the log".to_owned();
                return Answer::NotChecked(Reason::Unsigned, text);
            }
            Held::Malformed(what) => {
                return Answer::Fail(Reason::Malformed, format!("{CHECKPOINT}: {what}"));
            }
            Held::Read(read) => (&read.0, &read.1),
        };
        let chain_id = manifest.chain_id.as_deref().unwrap_or_default();
        if checkpoint.origin != Checkpoint::origin_of(chain_id) {
            let text = format!("the checkpoint is of another log: {}", checkpoint.origin);
            return Answer::Fail(Reason::OtherLog, text);
        }
        if (checkpoint.size, checkpoint.root) != own.tree {
            let text = "the checkpoint is not of the tree that the manifest names".to_owned();
            return Answer::Fail(Reason::RootDiffers, text);
        }
        let judged = self.ring.judge_note(note, checkpoint.size, self.streamed.last_time);
        let signers: Vec<_> = note.signatures.iter().map(NoteSignature::key_id).collect();
        answer("the checkpoint", &judged, &signers, &self.ring)
    }

    /// Whether a believed key signed the checkpoint, now or then.
    pub(super) fn signed_by_known_key(&self) -> bool {
        self.documents.checkpoint.read().is_some_and(|(note, checkpoint)| {
            let judged = self.ring.judge_note(note, checkpoint.size, self.streamed.last_time);
            matches!(judged.state, KeyState::Good | KeyState::SignedBeforeRetirement)
        })
    }

    pub(super) fn checkpoint_witnesses(&mut self) -> Answer {
        self.witnesses().answer()
    }

    fn witnesses(&self) -> Witnesses<'_> {
        let held = self.documents.checkpoint.read();
        Witnesses::new(self.request, held.map(|(note, checkpoint)| (note, checkpoint)))
    }

    pub(super) fn history_since(&mut self) -> Answer {
        if let Held::Malformed(what) = &self.documents.consistency {
            return Answer::Fail(Reason::Malformed, format!("{CONSISTENCY}: {what}"));
        }
        let Some(since) = self.request.since else { return self.consistency() };
        let Some(own) = &self.documents.manifest.own else {
            return Answer::NotChecked(Reason::ProofMissing, NO_TREE.to_owned());
        };
        let chain_id = self.documents.manifest.chain_id.as_deref().unwrap_or_default();
        if since.origin != Checkpoint::origin_of(chain_id) {
            let text = format!("your checkpoint is of another log: {}", since.origin);
            return Answer::Fail(Reason::OtherLog, text);
        }
        let (size, root) = own.tree;
        if since.size > size {
            return Answer::Fail(
                Reason::OlderThanKnown,
                format!("the export knows {size} events, and your checkpoint {}", since.size),
            );
        }
        if since.size == size {
            return if since.root == root {
                Answer::Pass(format!("your checkpoint is of the same {size} events"))
            } else {
                let text = format!("two roots for a log of {size} events: it was forked");
                Answer::Fail(Reason::Forked, text)
            };
        }
        self.earlier(since, own)
    }

    /// Whether the log of the export begins with that of an earlier checkpoint.
    fn earlier(&self, since: &Checkpoint, own: &Own) -> Answer {
        let replaced = || {
            let text = format!(
                "the first {} events are not those of your checkpoint: the chain was replaced",
                since.size
            );
            Answer::Fail(Reason::ChainReplaced, text)
        };
        let goes_on = |how: &str| {
            Answer::Pass(format!("goes on from your checkpoint of {} events, {how}", since.size))
        };
        if since.size == 0 {
            let empty = since.root == crate::merkle::empty_root();
            return if empty { goes_on("which is empty") } else { replaced() };
        }
        match self.root_at(since.size) {
            Some(root) if root == since.root => return goes_on("computed from the events"),
            Some(_) => return replaced(),
            None => {}
        }
        let proof = self.documents.consistency.read();
        match proof.filter(|proof| proof.old.0 == since.size && proof.new == own.tree) {
            Some(proof) if proof.old.1 != since.root => replaced(),
            Some(proof) => {
                let (size, root) = own.tree;
                match verify_consistency(since.size, since.root, size, root, &proof.hashes) {
                    Ok(()) => goes_on("by the consistency proof"),
                    Err(error) => {
                        Answer::Fail(Reason::ProofBroken, format!("{CONSISTENCY}: {error}"))
                    }
                }
            }
            None => Answer::NotChecked(
                Reason::ProofMissing,
                format!("neither the events nor a proof reach back to {} events", since.size),
            ),
        }
    }

    /// The root of the log at a size inside the range of the events.
    fn root_at(&self, size: u64) -> Option<Digest> {
        let leaves = self.streamed.order.leaves_since.as_ref()?;
        let from = leaves.begin();
        let left = match self.documents.segment_proof.read() {
            Some(proof) if proof.from == from => proof.left.clone(),
            Some(_) => return None,
            None => Vec::new(),
        };
        SegmentProof { size, from, to: size, left, right: Vec::new() }.root(leaves).ok()
    }

    /// The bundle's own proof that it goes on from the export before it.
    fn consistency(&self) -> Answer {
        let (Some(own), Some(proof)) =
            (&self.documents.manifest.own, self.documents.consistency.read())
        else {
            let text = "no checkpoint from before was given (--since)".to_owned();
            return Answer::NotApplicable(text);
        };
        let (size, root) = own.tree;
        let (old_size, old_root) = proof.old;
        if proof.new != own.tree {
            let text = format!("{CONSISTENCY} is for another tree than the manifest's");
            return Answer::Fail(Reason::ProofBroken, text);
        }
        match verify_consistency(old_size, old_root, size, root, &proof.hashes) {
            Ok(()) => Answer::Pass(format!(
                "goes on from the export at {old_size} events; no checkpoint of yours was given"
            )),
            Err(error) => Answer::Fail(Reason::ProofBroken, format!("{CONSISTENCY}: {error}")),
        }
    }

    pub(super) fn freshness(&mut self) -> Answer {
        let last = self.streamed.order.numbers.last();
        freshness(self.request.since, self.witnesses().seen(), last)
    }
}

/// What tells how recent the material is.
pub(super) fn freshness(
    since: Option<&Checkpoint>,
    witnessed: Option<u64>,
    last: Option<u64>,
) -> Answer {
    let witnessed = witnessed
        .and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000))
        .and_then(|millis| EventTime::from_unix_millis(millis).ok());
    let after = match last {
        Some(last) => format!("nothing is known after event {last}"),
        None => "nothing is known of later events".to_owned(),
    };
    match (witnessed, since) {
        (Some(time), _) => Answer::Pass(format!("witnesses saw it at {time}; {after}")),
        (None, Some(since)) => {
            Answer::Pass(format!("no older than your checkpoint of {} events; {after}", since.size))
        }
        (None, None) => Answer::NotChecked(Reason::NotGiven, after),
    }
}
