//! Checkpoints: what a log says about itself at one size (c2sp.org/tlog-checkpoint@v1.0.0).

use std::fmt;

use crate::digest::Digest;
use crate::key::SigningKey;
use crate::note::{Note, NoteError};

/// The largest size of a log: the largest integer that every JSON reader holds exactly.
pub const MAX_LOG_SIZE: u64 = (1 << 53) - 1;

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the lines of a checkpoint.
    #[error("not the lines of a checkpoint: origin, size and root, none of them empty")]
    Lines,
    /// The size is not a number without leading zeros, up to 2^53 − 1.
    #[error("the checkpoint's size is not a number from 0 to {MAX_LOG_SIZE}")]
    Size,
    /// The root is not the base64 of 32 bytes.
    #[error("the checkpoint's root is not a SHA-256 in base64")]
    Root,
    /// It cannot be signed.
    #[error("the checkpoint cannot be signed")]
    Note(#[source] NoteError),
}

/// A log at one size: the body of a checkpoint.
///
/// It is what a signed note says once a signature under it was found good. Lines behind the third
/// are allowed and mean nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log that says so.
    pub origin: String,
    /// How many events there are.
    pub size: u64,
    /// The RFC 6962 root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The origin of one of our logs: `carnet/<chain_id>`.
    pub fn origin_of(chain_id: &str) -> String {
        format!("carnet/{chain_id}")
    }

    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = lines.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty());
        let origin = next().ok_or(CheckpointError::Lines)?;
        let size = next().ok_or(CheckpointError::Lines)?;
        let root = next().ok_or(CheckpointError::Lines)?;
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Lines);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: log_number(size).ok_or(CheckpointError::Size)?,
            root: Digest::from_base64(root).ok_or(CheckpointError::Root)?,
        })
    }

    /// Signs it.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Note, CheckpointError> {
        let text = self.to_string();
        if Self::parse(&text)? != *self {
            return Err(CheckpointError::Lines);
        }
        Note::sign(text, keys).map_err(CheckpointError::Note)
    }
}

/// A size or an index as notes and proofs write it: decimal digits without leading zeros.
pub(crate) fn log_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let one_form = text == "0" || !text.starts_with('0');
    let number = text.parse().ok().filter(|_| digits && one_form)?;
    (number <= MAX_LOG_SIZE).then_some(number)
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::SignatureAnswer;
    use proptest::prelude::*;

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_string(), TEXT);
        let extended = format!("{TEXT}an extension\n");
        assert_eq!(Checkpoint::parse(&extended), Ok(checkpoint));
    }

    #[test]
    fn malformed_checkpoints_are_told_apart() {
        use CheckpointError as E;
        for (text, error) in [
            (String::new(), E::Lines),
            ("\n".to_owned(), E::Lines),
            ("a\n1\n".to_owned(), E::Lines),
            (TEXT.trim_end().to_owned(), E::Lines),
            (TEXT.replace("example.com/behind-the-sofa", ""), E::Lines),
            (format!("{TEXT}\n"), E::Lines),
            (format!("{TEXT}x\n\ny\n"), E::Lines),
            (TEXT.replace("2085", "02085"), E::Size),
            (TEXT.replace("2085", "+2085"), E::Size),
            (TEXT.replace("2085", "-2085"), E::Size),
            (TEXT.replace("20852163", "9007199254740992"), E::Size),
            (TEXT.replace("20852163", "99999999999999999999"), E::Size),
            (TEXT.replace("q2I=", "q2I"), E::Root),
            (TEXT.replace("q2I=", "q2J="), E::Root),
            (TEXT.replace("CsUY", ""), E::Root),
        ] {
            assert_eq!(Checkpoint::parse(&text), Err(error), "{text:?}");
        }
        assert!(Checkpoint::parse(&TEXT.replace("20852163", "9007199254740991")).is_ok());
        assert!(Checkpoint::parse(&TEXT.replace("20852163", "0")).is_ok());
    }

    #[test]
    fn only_what_can_be_read_again_is_signed() {
        let key = SigningKey::generate("k".parse().unwrap(), &[1; 32]).unwrap();
        let good =
            Checkpoint { origin: Checkpoint::origin_of("4f1c"), size: 3, root: Digest([9; 32]) };
        let note = good.sign(&[&key]).unwrap();
        assert_eq!(note.check(key.verifying_key()), SignatureAnswer::Good);
        assert_eq!(Checkpoint::parse(&note.text), Ok(good.clone()));
        for origin in ["", "a\nb", "a\n", "a\tb"] {
            let bad = Checkpoint { origin: origin.to_owned(), ..good.clone() };
            assert!(bad.sign(&[&key]).is_err(), "{origin:?}");
        }
        let large = Checkpoint { size: MAX_LOG_SIZE + 1, ..good };
        assert_eq!(large.sign(&[&key]), Err(CheckpointError::Size));
    }

    proptest! {
        #[test]
        fn any_text_is_a_checkpoint_or_an_error(text in "([a-c0-9\n ]|CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=){0,12}\n?") {
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert!(text.starts_with(&checkpoint.to_string()));
            }
        }

        #[test]
        fn checkpoints_come_back(origin in "[a-z/ é]{1,20}", size in 0..=MAX_LOG_SIZE, root: [u8; 32]) {
            let checkpoint = Checkpoint { origin, size, root: Digest(root) };
            prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
        }
    }
}
