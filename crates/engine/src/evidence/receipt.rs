//! A receipt: the proof that one event is in a signed log, small enough to pass on with the event.

use carnet_ledger::{TlogProof, inclusion_from_tiles};

use super::error::EvidenceError;
use super::proofs::not_proven;
use carnet_journal::LogReader;

/// One event, and the proof that it is in its log.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The proof, against the newest checkpoint.
    pub proof: TlogProof,
    /// The stored bytes of the event: the leaf that the proof is about.
    pub event: Vec<u8>,
    /// How many events the checkpoint covers.
    pub size: u64,
}

impl Receipt {
    /// Makes the receipt of an event of this log.
    pub fn of(reader: &LogReader, sequence: u64) -> Result<Self, EvidenceError> {
        let last = reader.size().saturating_sub(1);
        if sequence > last || reader.size() == 0 {
            return Err(EvidenceError::Range { from: sequence, to: sequence, last });
        }
        let newest = reader.checkpoint_at_most(None)?;
        let covered = newest.as_ref().map(|(size, _)| *size);
        let (size, checkpoint) = newest
            .filter(|(size, _)| *size > sequence)
            .ok_or(EvidenceError::NotCovered { sequence, covered })?;
        let event = reader.event(sequence)?;
        let hashes = inclusion_from_tiles(reader, size, sequence).map_err(not_proven)?;
        let proof = TlogProof { extra: None, index: sequence, hashes, checkpoint };
        Ok(Self { proof, event, size })
    }
}
