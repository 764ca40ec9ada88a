//! Receipts: one event's place in a log, in a file of its own (c2sp.org/tlog-proof@v1).

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::checkpoint::{Checkpoint, CheckpointError, log_number};
use crate::digest::Digest;
use crate::merkle::leaf_hash;
use crate::note::{MAX_NOTE_BYTES, Note, NoteError};
use crate::proof::{ProofError, verify_inclusion};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// More extra data than this is not read, in bytes.
const MAX_EXTRA_BYTES: usize = 1_000_000;
/// No log has more levels.
const MAX_HASHES: usize = 64;
/// The largest receipt: extra data in base64, hashes, and a checkpoint.
const MAX_BYTES: usize = MAX_EXTRA_BYTES / 3 * 4 + 100 * MAX_HASHES + MAX_NOTE_BYTES;

/// Why a receipt is not one, or does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// More bytes than a receipt has.
    #[error("the receipt has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// Another first line.
    #[error("the receipt does not begin with the line `{HEADER}`")]
    Header,
    /// The extra data is not base64, or too long.
    #[error("the receipt's extra data is not base64 of up to {MAX_EXTRA_BYTES} bytes")]
    Extra,
    /// No line `index N`.
    #[error("the receipt has no line `index N`")]
    Index,
    /// A line that is not the base64 of a hash, or more lines than any log needs.
    #[error("the receipt's proof is not up to {MAX_HASHES} lines with a SHA-256 in base64")]
    Hashes,
    /// What stands behind the blank line is no signed note.
    #[error("the receipt holds no signed checkpoint")]
    Note(#[source] NoteError),
    /// The signed note is no checkpoint.
    #[error("the receipt's signed note is no checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The event does not belong to the log at this place.
    #[error("the receipt is for another event, another place or another log")]
    Proof(#[source] ProofError),
}

/// Proves that a log holds an event, with nothing else at hand but the event and the log's public
/// key.
///
/// ```text
/// c2sp.org/tlog-proof@v1
/// index 73894
/// gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
/// B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
///
/// carnet/4f1c…
/// 109482
/// sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=
///
/// — operator hI2DJ…
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Bytes that travel along. No signature covers them: believe them only as far as something
    /// else proves them.
    pub extra: Option<Vec<u8>>,
    /// The event's place in the log.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up.
    pub hashes: Vec<Digest>,
    /// The checkpoint that the proof leads to, as the log signed it.
    pub checkpoint: Note,
}

impl TlogProof {
    /// Reads a receipt. Neither proof nor signatures are checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        use TlogProofError as E;
        if bytes.len() > MAX_BYTES {
            return Err(E::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| E::Note(NoteError::Text))?;
        // The lines of the proof are not empty: the first blank line ends it.
        let (proof, note) = text.split_once("\n\n").ok_or(E::Note(NoteError::NoSignatures))?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(E::Header);
        }
        let mut line = lines.next().ok_or(E::Index)?;
        let mut extra = None;
        if let Some(base64) = line.strip_prefix("extra ") {
            let bytes = Base64::decode_vec(base64).map_err(|_| E::Extra)?;
            if bytes.len() > MAX_EXTRA_BYTES {
                return Err(E::Extra);
            }
            extra = Some(bytes);
            line = lines.next().ok_or(E::Index)?;
        }
        let index = line.strip_prefix("index ").and_then(log_number).ok_or(E::Index)?;
        let hashes = lines.map(Digest::from_base64).take(MAX_HASHES + 1);
        let hashes: Vec<_> = hashes.collect::<Option<_>>().ok_or(E::Hashes)?;
        if hashes.len() > MAX_HASHES {
            return Err(E::Hashes);
        }
        let checkpoint = Note::parse(note.as_bytes()).map_err(E::Note)?;
        Ok(Self { extra, index, hashes, checkpoint })
    }

    /// Checks that the log of the checkpoint holds this leaf, by its bytes, and gives what the
    /// checkpoint says. Whether a trusted key signed the checkpoint is another question: ask
    /// `self.checkpoint`.
    pub fn verify(&self, leaf: &[u8]) -> Result<Checkpoint, TlogProofError> {
        let said = Checkpoint::parse(&self.checkpoint.text).map_err(TlogProofError::Checkpoint)?;
        verify_inclusion(leaf_hash(leaf), self.index, said.size, &self.hashes, said.root)
            .map_err(TlogProofError::Proof)?;
        Ok(said)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", Base64::encode_string(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", hash.to_base64())?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use crate::merkle::root_of;
    use crate::proof::inclusion_proof;
    use proptest::prelude::*;

    fn receipt(size: usize, index: usize, extra: Option<Vec<u8>>) -> TlogProof {
        let key = SigningKey::generate("operator".parse().unwrap(), &[3; 32]).unwrap();
        let leaves: Vec<_> = (0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect();
        let origin = Checkpoint::origin_of("4f1c");
        let root = root_of(leaves.iter().copied());
        let checkpoint = Checkpoint { origin, size: size as u64, root }.sign(&[&key]).unwrap();
        let hashes = inclusion_proof(&leaves, index).unwrap();
        TlogProof { extra, index: index as u64, hashes, checkpoint }
    }

    #[test]
    fn a_receipt_holds_for_its_event_alone() {
        for (size, index) in [(1, 0), (2, 1), (100, 57), (100, 99)] {
            let receipt = receipt(size, index, None);
            let again = TlogProof::parse(receipt.to_string().as_bytes()).unwrap();
            assert_eq!(again, receipt);
            assert_eq!(again.verify(&index.to_be_bytes()).unwrap().size, size as u64);
            assert!(matches!(
                again.verify(&(index + 1).to_be_bytes()),
                Err(TlogProofError::Proof(ProofError::Root))
            ));
            let moved = TlogProof { index: again.index ^ 1, ..again.clone() };
            assert!(matches!(moved.verify(&index.to_be_bytes()), Err(TlogProofError::Proof(_))));
            for at in 0..again.hashes.len() {
                let mut wrong = again.clone();
                wrong.hashes[at].0[9] ^= 4;
                assert!(wrong.verify(&index.to_be_bytes()).is_err());
            }
        }
    }

    #[test]
    fn the_form_is_that_of_the_specification() {
        let text = receipt(3, 2, Some(b"some".to_vec())).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra c29tZQ==", "index 2"]);
        assert_eq!(lines[4..7], ["", "carnet/4f1c", "3"]);
        assert_eq!(lines.len(), 10);
    }

    #[test]
    fn malformed_receipts_are_told_apart() {
        use TlogProofError as E;
        let good = receipt(3, 2, Some(b"some".to_vec())).to_string();
        let hash = good.lines().nth(3).unwrap().to_owned();
        for (text, error) in [
            (String::new(), E::Note(NoteError::NoSignatures)),
            (good.replace("@v1", "@v2"), E::Header),
            (good.replace("c29tZQ==", "c29tZQ"), E::Extra),
            (good.replace("index 2\n", ""), E::Index),
            (good.replace("index 2", "index 02"), E::Index),
            (good.replace("index 2", "index 9007199254740992"), E::Index),
            (good.replace("index 2", "Index 2"), E::Index),
            (good.replace(&hash, &hash[1..]), E::Hashes),
            (good.replace(&hash, &[hash.as_str(); 65].join("\n")), E::Hashes),
            (good.replace("\n\n\u{2014}", "\n\u{2014}"), E::Note(NoteError::NoSignatures)),
            (good.replace("extra c29tZQ==", &format!("extra {}", "A".repeat(1_333_340))), E::Extra),
            (
                good.replace("extra c29tZQ==", &format!("extra {}", "A".repeat(MAX_BYTES))),
                E::TooLarge,
            ),
        ] {
            let shown: String = text.chars().take(200).collect();
            assert_eq!(TlogProof::parse(text.as_bytes()), Err(error), "{shown}");
        }
        let no_checkpoint =
            TlogProof::parse(good.replace("\n3\n", "\nthree\n").as_bytes()).unwrap();
        assert_eq!(no_checkpoint.verify(b""), Err(E::Checkpoint(CheckpointError::Size)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_receipt_that_comes_back_or_an_error(
            text in "(c2sp.org/tlog-proof@v1\n)?(extra [A=]{0,8}\n)?(index [0-9]{1,3}\n)?([A-Z]{43}=\n){0,2}\n?([a-z\n]{0,4}\n)(\n\u{2014} a AAAAAAA=\n)?",
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            for bytes in [text.into_bytes(), bytes] {
                if let Ok(proof) = TlogProof::parse(&bytes) {
                    prop_assert_eq!(proof.to_string().into_bytes(), bytes);
                }
            }
        }

        #[test]
        fn receipts_come_back(size in 1..50usize, index in any::<prop::sample::Index>(), extra: Option<Vec<u8>>) {
            let receipt = receipt(size, index.index(size), extra);
            prop_assert_eq!(TlogProof::parse(receipt.to_string().as_bytes()), Ok(receipt));
        }
    }
}
