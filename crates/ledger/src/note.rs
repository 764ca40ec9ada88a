//! Signed notes: a text and the signatures under it (c2sp.org/signed-note@v1.0.0).

use std::fmt;

use base64ct::{Base64, Encoding};

use crate::key::{KeyName, SigningKey, VerifyingKey};

/// The largest note that is read, in bytes.
pub const MAX_NOTE_BYTES: usize = 1_000_000;
/// The most signatures that a note may have.
pub(crate) const MAX_NOTE_SIGNATURES: usize = 64;
/// What a signature line begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Why bytes are not a signed note, or a text cannot become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More bytes than a note has.
    #[error("the note has more than {MAX_NOTE_BYTES} bytes")]
    TooLarge,
    /// Not UTF-8, or a control character that is no newline.
    #[error("the note is not UTF-8 text")]
    Text,
    /// The text does not end in a newline.
    #[error("the note's text does not end in a newline")]
    Unfinished,
    /// No blank line, and so no signatures behind one.
    #[error("the note has no signatures behind a blank line")]
    NoSignatures,
    /// A line of the wrong form among the signatures, counted from 1.
    #[error("line {0} of the note's signatures is not of the form `\u{2014} NAME BASE64`")]
    SignatureLine(usize),
    /// More signatures than a note has.
    #[error("the note has more than {MAX_NOTE_SIGNATURES} signatures")]
    TooManySignatures,
}

/// A text that keys have signed. What it says counts only if `check` finds a signature of a
/// trusted key under it.
///
/// ```text
/// carnet/4f1c…
/// 20852163
/// CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
///
/// — operator Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/…
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed, with its last newline.
    pub text: String,
    /// The signatures, in the order of their lines.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line, checked or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key that is said to have signed.
    pub name: KeyName,
    /// The key's four bytes.
    pub id: [u8; 4],
    /// The signature, in the form of the key's kind; at least one byte.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    /// `<name>+<8 hex digits>`.
    pub fn key_id(&self) -> String {
        format!("{}+{:08x}", self.name, u32::from_be_bytes(self.id))
    }

    /// Reads a line without its newline.
    fn read(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = Base64::decode_vec(base64).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        if signature.is_empty() {
            return None;
        }
        Some(Self { name: name.parse().ok()?, id: *id, signature: signature.to_vec() })
    }
}

/// What a note says about one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAnswer {
    /// The key did not sign.
    Absent,
    /// The key signed this text.
    Good,
    /// A signature under the key's name and id does not fit. The note is to be refused, whoever
    /// else signed it.
    Bad,
}

impl Note {
    /// Reads a note. Its signatures are not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        if whole.contains(is_forbidden) {
            return Err(NoteError::Text);
        }
        // The last blank line: the text may have blank lines of its own.
        let (text, lines) = whole.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        if lines.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Unfinished)?;
        let mut signatures = Vec::new();
        for (index, line) in lines.split('\n').enumerate() {
            if index == MAX_NOTE_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            let signature = NoteSignature::read(line);
            signatures.push(signature.ok_or(NoteError::SignatureLine(index + 1))?);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Signs a text with each key, in this order.
    pub fn sign(text: impl Into<String>, keys: &[&SigningKey]) -> Result<Self, NoteError> {
        let text = text.into();
        if !text.ends_with('\n') {
            return Err(NoteError::Unfinished);
        }
        if text.contains(is_forbidden) {
            return Err(NoteError::Text);
        }
        match keys.len() {
            0 => return Err(NoteError::NoSignatures),
            count if count > MAX_NOTE_SIGNATURES => return Err(NoteError::TooManySignatures),
            _ => {}
        }
        let sign = |key: &&SigningKey| NoteSignature {
            name: key.verifying_key().name().clone(),
            id: key.verifying_key().id(),
            signature: key.sign(text.as_bytes()).to_vec(),
        };
        let signatures = keys.iter().map(sign).collect();
        let note = Self { text, signatures };
        if note.to_string().len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge);
        }
        Ok(note)
    }

    /// Whether this key signed the text. Lines of other keys do not matter, also those that share
    /// the name or the id alone. If the key has several lines, each must fit.
    pub fn check(&self, key: &VerifyingKey) -> SignatureAnswer {
        let mut answer = SignatureAnswer::Absent;
        for line in &self.signatures {
            if line.id == key.id() && line.name == *key.name() {
                if !key.verify(self.text.as_bytes(), &line.signature) {
                    return SignatureAnswer::Bad;
                }
                answer = SignatureAnswer::Good;
            }
        }
        answer
    }
}

fn is_forbidden(c: char) -> bool {
    c < ' ' && c != '\n'
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for line in &self.signatures {
            let signature = Base64::encode_string(&[&line.id, line.signature.as_slice()].concat());
            writeln!(f, "{DASH}{} {signature}", line.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // From the documentation of Go's `sumdb/note`.
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const KEY: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const SECOND: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

    fn peter() -> SigningKey {
        KEY.parse().unwrap()
    }

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::generate(name.parse().unwrap(), &[seed; 32]).unwrap()
    }

    #[test]
    fn the_example_of_go_is_read_and_written_as_it_is() {
        let signed = format!("{TEXT}\n{LINE}");
        let note = Note::parse(signed.as_bytes()).unwrap();
        assert_eq!(note.text, TEXT);
        assert_eq!(note.check(peter().verifying_key()), SignatureAnswer::Good);
        assert_eq!(note.to_string(), signed);
        // Ed25519 signatures are the same every time.
        assert_eq!(Note::sign(TEXT, &[&peter()]), Ok(note));
        let two = Note::parse(format!("{signed}{SECOND}").as_bytes()).unwrap();
        assert_eq!(two.check(peter().verifying_key()), SignatureAnswer::Good);
        assert_eq!(two.signatures[1].key_id(), "EnochRoot+af0cfe78");
    }

    #[test]
    fn another_text_or_another_key_is_not_signed() {
        let signed = format!("{TEXT}\n{LINE}");
        let changed = Note::parse(signed.replace("don't", "do not").as_bytes()).unwrap();
        assert_eq!(changed.check(peter().verifying_key()), SignatureAnswer::Bad);
        let note = Note::parse(signed.as_bytes()).unwrap();
        assert_eq!(note.check(key("PeterNeumann", 1).verifying_key()), SignatureAnswer::Absent);
        assert_eq!(note.check(key("other", 1).verifying_key()), SignatureAnswer::Absent);
        // The name and the id of the key, over a signature that somebody else made up.
        let mut forged = note.clone();
        forged.signatures[0].signature = key("x", 2).sign(TEXT.as_bytes()).to_vec();
        assert_eq!(forged.check(peter().verifying_key()), SignatureAnswer::Bad);
        forged.signatures.extend(note.signatures.clone());
        assert_eq!(forged.check(peter().verifying_key()), SignatureAnswer::Bad);
        forged.signatures.reverse();
        assert_eq!(forged.check(peter().verifying_key()), SignatureAnswer::Bad);
        let mut twice = note.clone();
        twice.signatures.extend(note.signatures.clone());
        assert_eq!(twice.check(peter().verifying_key()), SignatureAnswer::Good);
    }

    #[test]
    fn malformed_notes_are_told_apart() {
        let refused = |note: &str| Note::parse(note.as_bytes()).unwrap_err();
        assert_eq!(refused(""), NoteError::NoSignatures);
        assert_eq!(refused(TEXT), NoteError::NoSignatures);
        assert_eq!(refused(&format!("{TEXT}\n")), NoteError::NoSignatures);
        assert_eq!(refused(&format!("{TEXT}{LINE}")), NoteError::NoSignatures);
        assert_eq!(refused(format!("{TEXT}\n{LINE}").trim_end()), NoteError::Unfinished);
        assert_eq!(refused(&format!("{TEXT}\n{LINE}x\n")), NoteError::SignatureLine(2));
        assert_eq!(
            refused(&format!("{TEXT}\n{}", LINE.replace('\u{2014}', "-"))),
            NoteError::SignatureLine(1)
        );
        for line in [
            "\u{2014} a",
            "\u{2014} a ",
            "\u{2014} a AAAA",
            "\u{2014} a AAAAAA=",
            "\u{2014} a AAAAAA== ",
            "\u{2014} a+b AAAAAAA=",
            "\u{2014}  AAAAAAA=",
            "\u{2014} a AAAAAAB=",
        ] {
            assert_eq!(refused(&format!("a\n\n{line}\n")), NoteError::SignatureLine(1), "{line}");
        }
        assert!(Note::parse("a\n\n\u{2014} a AAAAAAA=\n".as_bytes()).is_ok());
        assert_eq!(refused("a\r\n\n\u{2014} a AAAAAAA=\n"), NoteError::Text);
        assert_eq!(Note::parse(b"\xFF\n\n\xE2\x80\x94 a AAAAAAA=\n"), Err(NoteError::Text));
        let lines = "\u{2014} a AAAAAAA=\n";
        assert!(Note::parse(format!("a\n\n{}", lines.repeat(64)).as_bytes()).is_ok());
        assert_eq!(refused(&format!("a\n\n{}", lines.repeat(65))), NoteError::TooManySignatures);
        let long = "a".repeat(MAX_NOTE_BYTES);
        assert_eq!(refused(&format!("{long}\n\n{lines}")), NoteError::TooLarge);
    }

    #[test]
    fn only_texts_that_can_be_read_again_are_signed() {
        assert_eq!(Note::sign("a", &[&peter()]), Err(NoteError::Unfinished));
        assert_eq!(Note::sign("", &[&peter()]), Err(NoteError::Unfinished));
        assert_eq!(Note::sign("a\t\n", &[&peter()]), Err(NoteError::Text));
        assert_eq!(Note::sign("a\n", &[]), Err(NoteError::NoSignatures));
        let long = format!("{}\n", "a".repeat(MAX_NOTE_BYTES - 10));
        assert_eq!(Note::sign(long, &[&peter()]), Err(NoteError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_note_that_comes_back_or_an_error(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200).boxed(),
                "([a-z\u{2014} \n]{0,9}\n\n)?(\u{2014} [a-z+]{0,2} [A-Ba=]{4,16}\n){0,3}".prop_map(String::into_bytes).boxed(),
            ],
        ) {
            if let Ok(note) = Note::parse(&bytes) {
                prop_assert_eq!(note.to_string().into_bytes(), bytes);
            }
        }

        #[test]
        fn what_is_signed_comes_back(text in "[a-zé\n\u{2014} ]{0,40}\n", seeds in prop::collection::vec(any::<u8>(), 1..4)) {
            let keys: Vec<_> = seeds.iter().map(|seed| key(&format!("k{seed}"), *seed)).collect();
            let note = Note::sign(text, &keys.iter().collect::<Vec<_>>()).unwrap();
            let again = Note::parse(note.to_string().as_bytes()).unwrap();
            for key in &keys {
                prop_assert_eq!(again.check(key.verifying_key()), SignatureAnswer::Good);
            }
            prop_assert_eq!(again, note);
        }
    }
}
