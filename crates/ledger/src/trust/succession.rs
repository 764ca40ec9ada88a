//! One key follows another: the statement that both sign.

use crate::key::{KeyError, SigningKey, VerifyingKey};
use crate::note::{Note, NoteError, SignatureAnswer};

const HEADER: &str = "carnet key succession v1";

/// The statement that one key hands a log over to another. It is a signed note with this text,
/// signed by both:
///
/// ```text
/// carnet key succession v1
/// <vkey of the old key>
/// <vkey of the new key>
/// <chain_id>
/// ```
///
/// It is the object of the log's event `key.succeeded`, and takes effect with that event: the place
/// in the log counts, not a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The key that signed the log until now.
    pub old: VerifyingKey,
    /// The key that signs it from now on.
    pub new: VerifyingKey,
    /// The log.
    pub chain_id: String,
}

/// Why a statement does not hand a log over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuccessionError {
    /// Not the lines of such a statement.
    #[error("not the lines of a key succession")]
    Lines,
    /// One of its keys cannot be read.
    #[error("the key succession names a malformed key")]
    Key(#[source] KeyError),
    /// Both keys are the same.
    #[error("a key cannot succeed itself")]
    SameKey,
    /// A key did not sign the statement.
    #[error("the key succession is not signed by {0}")]
    NotSigned(String),
    /// It cannot be signed.
    #[error("the key succession cannot be signed")]
    Note(#[source] NoteError),
}

impl Succession {
    /// Makes the statement.
    pub fn sign(
        old: &SigningKey,
        new: &SigningKey,
        chain_id: &str,
    ) -> Result<Note, SuccessionError> {
        let (before, after) = (old.verifying_key(), new.verifying_key());
        let text = format!("{HEADER}\n{before}\n{after}\n{chain_id}\n");
        let note = Note::sign(text, &[old, new]).map_err(SuccessionError::Note)?;
        Self::check(&note)?;
        Ok(note)
    }

    /// Reads a statement that both keys have signed.
    pub fn check(note: &Note) -> Result<Self, SuccessionError> {
        let lines: Vec<_> = note.text.lines().collect();
        let [HEADER, old, new, chain_id] = lines.as_slice() else {
            return Err(SuccessionError::Lines);
        };
        if chain_id.is_empty() {
            return Err(SuccessionError::Lines);
        }
        let key = |text: &str| text.parse::<VerifyingKey>().map_err(SuccessionError::Key);
        let (old, new) = (key(old)?, key(new)?);
        if old.as_bytes() == new.as_bytes() {
            return Err(SuccessionError::SameKey);
        }
        for key in [&old, &new] {
            if note.check(key) != SignatureAnswer::Good {
                return Err(SuccessionError::NotSigned(key.key_id()));
            }
        }
        Ok(Self { old, new, chain_id: (*chain_id).to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::generate(name.parse().unwrap(), &[seed; 32]).unwrap()
    }

    #[test]
    fn a_statement_names_both_keys_and_the_log() {
        let (old, new) = (key("old", 1), key("new", 2));
        let note = Succession::sign(&old, &new, "4f1c").unwrap();
        let expected = format!(
            "carnet key succession v1\n{}\n{}\n4f1c\n",
            old.verifying_key(),
            new.verifying_key()
        );
        assert_eq!(note.text, expected);
        let read = Succession::check(&Note::parse(note.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!((&read.old, &read.new), (old.verifying_key(), new.verifying_key()));
        assert_eq!(read.chain_id, "4f1c");
    }

    #[test]
    fn both_keys_must_have_signed_just_this() {
        let (old, new) = (key("old", 1), key("new", 2));
        let note = Succession::sign(&old, &new, "4f1c").unwrap();
        for (signers, missing) in [(vec![&old], "new"), (vec![&new], "old")] {
            let half = Note::sign(note.text.clone(), &signers).unwrap();
            let error = Succession::check(&half).unwrap_err();
            assert!(matches!(error, SuccessionError::NotSigned(id) if id.starts_with(missing)));
        }
        let mut elsewhere = note.clone();
        elsewhere.text = elsewhere.text.replace("4f1c", "4f1d");
        assert!(matches!(Succession::check(&elsewhere), Err(SuccessionError::NotSigned(_))));
        let sign = |text: String| Note::sign(text, &[&old, &new]).unwrap();
        for text in [
            note.text.replace("v1", "v2"),
            note.text.replace("4f1c\n", ""),
            note.text.replace("4f1c", ""),
            format!("{}more\n", note.text),
        ] {
            assert_eq!(Succession::check(&sign(text)), Err(SuccessionError::Lines));
        }
        let vkey = new.verifying_key().to_string();
        let malformed = sign(note.text.replace(&vkey, "new"));
        assert_eq!(Succession::check(&malformed), Err(SuccessionError::Key(KeyError::Form)));
        assert_eq!(Succession::sign(&old, &old, "4f1c"), Err(SuccessionError::SameKey));
        let renamed = key("renamed", 1);
        assert_eq!(Succession::sign(&old, &renamed, "4f1c"), Err(SuccessionError::SameKey));
        assert_eq!(Succession::sign(&old, &new, ""), Err(SuccessionError::Lines));
        assert_eq!(Succession::sign(&old, &new, "a\nb"), Err(SuccessionError::Lines));
    }

    proptest! {
        #[test]
        fn any_text_is_a_statement_or_an_error(text in "(carnet key succession v1\n)?[a-z+\n]{0,30}\n") {
            let note = Note::sign(text, &[&key("old", 1)]).unwrap();
            prop_assert!(Succession::check(&note).is_err());
        }
    }
}
