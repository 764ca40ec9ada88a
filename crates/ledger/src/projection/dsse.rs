//! DSSE envelopes (Dead Simple Signing Envelope, protocol 1.0): a payload with its type and the
//! signatures over both.

use std::fmt;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};

use crate::json::{ScanError, Scanner, write_rfc8785_string};
use crate::key::{SigningKey, VerifyingKey};
use crate::note::SignatureAnswer;
use crate::value::MAX_DEPTH;

/// The most bytes of an envelope that are read: an event takes 64 KiB, a statement about it less.
const MAX_ENVELOPE_BYTES: usize = 1 << 20;
/// The most signatures that are read.
const MAX_SIGNATURES: usize = 64;

/// What is signed: the type and the payload, each with its length in front, so that no other pair
/// gives the same bytes.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let lengths = (payload_type.len(), payload.len());
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", lengths.0, lengths.1).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// Which key made it, as the envelope says. A hint: nothing rests on it.
    pub key_id: Option<String>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A signed payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the payload is, as a media type.
    pub payload_type: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The signatures.
    pub signatures: Vec<EnvelopeSignature>,
}

/// Why bytes are not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More bytes than are read.
    #[error("an envelope of {0} bytes, and at most {MAX_ENVELOPE_BYTES} are read")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("not UTF-8 from byte {0} on")]
    Utf8(usize),
    /// Not JSON.
    #[error("not JSON")]
    Json(#[from] ScanError),
    /// A member is missing, stands twice, or is of another form.
    #[error("the envelope has no one {0} of the form it should be")]
    Member(&'static str),
    /// Nested too deep.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    Depth,
}

impl Envelope {
    /// Signs a payload.
    pub fn sign(payload_type: &str, payload: Vec<u8>, key: &SigningKey) -> Self {
        let signature = key.sign(&pae(payload_type, &payload)).to_vec();
        let key_id = Some(key.verifying_key().key_id());
        let signatures = vec![EnvelopeSignature { key_id, signature }];
        Self { payload_type: payload_type.to_owned(), payload, signatures }
    }

    /// Whether this key signed the payload and its type. `Bad` only if a signature names the key:
    /// what others signed with keys of their own is none of its business.
    pub fn check(&self, key: &VerifyingKey) -> SignatureAnswer {
        let signed = pae(&self.payload_type, &self.payload);
        if self.signatures.iter().any(|one| key.verify(&signed, &one.signature)) {
            return SignatureAnswer::Good;
        }
        let named = key.key_id();
        if self.signatures.iter().any(|one| one.key_id.as_ref() == Some(&named)) {
            SignatureAnswer::Bad
        } else {
            SignatureAnswer::Absent
        }
    }

    /// Reads an envelope. As the protocol wants it, both alphabets of base64 are taken, and members
    /// that it does not name are skipped.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let text =
            str::from_utf8(bytes).map_err(|error| EnvelopeError::Utf8(error.valid_up_to()))?;
        let mut scanner = Scanner::new(text);
        let (mut payload, mut payload_type, mut signatures) = (None, None, None);
        each_member(&mut scanner, |name, scanner| match name {
            "payload" => once(&mut payload, "payload", base64(scanner, "payload")?),
            "payloadType" => once(&mut payload_type, "payloadType", string(scanner)?),
            "signatures" => once(&mut signatures, "signatures", read_signatures(scanner)?),
            _ => skip(scanner, MAX_DEPTH),
        })?;
        scanner.end()?;
        Ok(Self {
            payload: payload.ok_or(EnvelopeError::Member("payload"))?,
            payload_type: payload_type.ok_or(EnvelopeError::Member("payloadType"))?,
            signatures: signatures.ok_or(EnvelopeError::Member("signatures"))?,
        })
    }
}

impl fmt::Display for Envelope {
    /// The envelope as one line of JSON, without the line's end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = format!("{{\"payload\":\"{}\",\"payloadType\":", encode(&self.payload));
        write_rfc8785_string(&self.payload_type, &mut out);
        out.push_str(",\"signatures\":[");
        for (index, one) in self.signatures.iter().enumerate() {
            out.push_str(if index == 0 { "{" } else { ",{" });
            if let Some(key_id) = &one.key_id {
                out.push_str("\"keyid\":");
                write_rfc8785_string(key_id, &mut out);
                out.push(',');
            }
            out.push_str("\"sig\":\"");
            out.push_str(&encode(&one.signature));
            out.push_str("\"}");
        }
        out.push_str("]}");
        f.write_str(&out)
    }
}

fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Either alphabet, with padding or without.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    // Padding fills up to four characters or is left out.
    if bare.len() != text.len() && !text.len().is_multiple_of(4) {
        return None;
    }
    Base64UrlUnpadded::decode_vec(&bare.replace('+', "-").replace('/', "_")).ok()
}

fn once<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), EnvelopeError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(EnvelopeError::Member(name)),
    }
}

fn string(scanner: &mut Scanner<'_>) -> Result<String, EnvelopeError> {
    Ok(scanner.string()?.decode().into_owned())
}

fn base64(scanner: &mut Scanner<'_>, name: &'static str) -> Result<Vec<u8>, EnvelopeError> {
    decode(&scanner.string()?.decode()).ok_or(EnvelopeError::Member(name))
}

fn read_signatures(scanner: &mut Scanner<'_>) -> Result<Vec<EnvelopeSignature>, EnvelopeError> {
    let mut signatures = Vec::new();
    each_item(scanner, |scanner| {
        let (mut key_id, mut signature) = (None, None);
        each_member(scanner, |name, scanner| match name {
            "keyid" => once(&mut key_id, "keyid", string(scanner)?),
            "sig" => once(&mut signature, "sig", base64(scanner, "sig")?),
            _ => skip(scanner, MAX_DEPTH - 2),
        })?;
        let signature = signature.ok_or(EnvelopeError::Member("sig"))?;
        signatures.push(EnvelopeSignature { key_id, signature });
        if signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::Member("signatures"));
        }
        Ok(())
    })?;
    Ok(signatures)
}

/// Reads an object; the scanner stands at each member's value.
fn each_member<'a>(
    scanner: &mut Scanner<'a>,
    mut member: impl FnMut(&str, &mut Scanner<'a>) -> Result<(), EnvelopeError>,
) -> Result<(), EnvelopeError> {
    scanner.skip_space();
    scanner.require(b'{', "an object")?;
    scanner.skip_space();
    if scanner.take(b'}') {
        return Ok(());
    }
    loop {
        scanner.skip_space();
        let name = scanner.string()?.decode();
        scanner.skip_space();
        scanner.require(b':', "a colon")?;
        scanner.skip_space();
        member(&name, scanner)?;
        scanner.skip_space();
        if !scanner.take(b',') {
            return Ok(scanner.require(b'}', "a comma or the end of the object")?);
        }
    }
}

/// Reads a list; the scanner stands at each item.
fn each_item<'a>(
    scanner: &mut Scanner<'a>,
    mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), EnvelopeError>,
) -> Result<(), EnvelopeError> {
    scanner.require(b'[', "a list")?;
    scanner.skip_space();
    if scanner.take(b']') {
        return Ok(());
    }
    loop {
        scanner.skip_space();
        item(scanner)?;
        scanner.skip_space();
        if !scanner.take(b',') {
            return Ok(scanner.require(b']', "a comma or the end of the list")?);
        }
    }
}

/// Reads any value and keeps nothing of it.
fn skip(scanner: &mut Scanner<'_>, levels: usize) -> Result<(), EnvelopeError> {
    match scanner.peek() {
        Some(b'{' | b'[') if levels == 0 => Err(EnvelopeError::Depth),
        Some(b'{') => each_member(scanner, |_, scanner| skip(scanner, levels - 1)),
        Some(b'[') => each_item(scanner, |scanner| skip(scanner, levels - 1)),
        Some(b'"') => scanner.string().map(|_| ()).map_err(EnvelopeError::from),
        Some(b'-' | b'0'..=b'9') => scanner.number().map(|_| ()).map_err(EnvelopeError::from),
        _ => scanner.word().map(|_| ()).map_err(EnvelopeError::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::generate("log".parse().unwrap(), &[seed; 32]).unwrap()
    }

    /// The test vector of the protocol's document. Its signature is ECDSA, which is not checked
    /// here; the bytes under it and the envelope are.
    #[test]
    fn the_official_vector_gives_the_same_bytes() {
        let signed = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        let envelope = Envelope::parse(
            br#"{"payload": "aGVsbG8gd29ybGQ=",
 "payloadType": "http://example.com/HelloWorld",
 "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#,
        )
        .unwrap();
        assert_eq!(envelope.payload, b"hello world");
        assert_eq!(envelope.signatures.len(), 1);
        assert_eq!(envelope.signatures[0].signature.len(), 64);
        assert_eq!(envelope.check(key(1).verifying_key()), SignatureAnswer::Absent);
    }

    #[test]
    fn lengths_keep_types_and_payloads_apart() {
        assert_ne!(pae("a", b"b c"), pae("a b", b"c"));
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        assert_eq!(pae("é", b"x"), "DSSEv1 2 é 1 x".as_bytes());
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else() {
        let signer = key(1);
        let envelope = Envelope::sign("text/x", b"payload".to_vec(), &signer);
        let public = signer.verifying_key();
        assert_eq!(envelope.check(public), SignatureAnswer::Good);
        let other = Envelope { payload: b"Payload".to_vec(), ..envelope.clone() };
        assert_eq!(other.check(public), SignatureAnswer::Bad);
        let other = Envelope { payload_type: "text/y".to_owned(), ..envelope.clone() };
        assert_eq!(other.check(public), SignatureAnswer::Bad);
        assert_eq!(envelope.check(key(2).verifying_key()), SignatureAnswer::Absent);
        // The hint is not believed, and not needed.
        let mut hintless = envelope.clone();
        hintless.signatures[0].key_id = None;
        assert_eq!(hintless.check(public), SignatureAnswer::Good);
        hintless.signatures[0].signature[0] ^= 1;
        assert_eq!(hintless.check(public), SignatureAnswer::Absent);
    }

    #[test]
    fn both_alphabets_are_read_and_unknown_members_are_skipped() {
        let bytes = [0xFB, 0xEF, 0xFF, 0xFE];
        for text in ["++///g==", "--___g==", "--___g", "++///g"] {
            assert_eq!(decode(text).unwrap(), bytes, "{text}");
        }
        for text in ["++///g=", "++///h==", "++// /g", "=", "++///g===="] {
            assert_eq!(decode(text), None, "{text}");
        }
        let text = br#" {"x":[1.5,{"payload":"?"}],"payload":"--___g","y":null,
            "payloadType":"t","signatures":[{"sig":"","z":{}}]} "#;
        let envelope = Envelope::parse(text).unwrap();
        assert_eq!((envelope.payload.as_slice(), &*envelope.payload_type), (&bytes[..], "t"));
    }

    #[test]
    fn damaged_envelopes_are_refused() {
        let good = Envelope::sign("t", b"p".to_vec(), &key(1)).to_string();
        assert!(Envelope::parse(good.as_bytes()).is_ok());
        for (from, to, member) in [
            ("payloadType", "payloadtype", "payloadType"),
            ("signatures", "signature", "signatures"),
            ("\"sig\"", "\"signature\"", "sig"),
            ("\"payload\":", "\"payload\":\"\",\"payload\":", "payload"),
            ("\"sig\":", "\"sig\":\"\",\"sig\":", "sig"),
        ] {
            let damaged = good.replacen(from, to, 1);
            assert_eq!(Envelope::parse(damaged.as_bytes()), Err(EnvelopeError::Member(member)));
        }
        let many = good.replace("[{", &format!("[{}{{", "{\"sig\":\"\"},".repeat(MAX_SIGNATURES)));
        assert_eq!(Envelope::parse(many.as_bytes()), Err(EnvelopeError::Member("signatures")));
        let deep = format!("{{\"x\":{}", "[".repeat(100));
        assert_eq!(Envelope::parse(deep.as_bytes()), Err(EnvelopeError::Depth));
        assert_eq!(Envelope::parse(b"\xff"), Err(EnvelopeError::Utf8(0)));
        let large = vec![b' '; MAX_ENVELOPE_BYTES + 1];
        assert_eq!(Envelope::parse(&large), Err(EnvelopeError::TooLarge(large.len())));
        for text in ["", "[]", "{", "{\"payload\":1}", &good[1..], &format!("{good}x")] {
            assert!(
                matches!(Envelope::parse(text.as_bytes()), Err(EnvelopeError::Json(_))),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn envelopes_round_trip(payload: Vec<u8>, payload_type in "\\PC{0,20}") {
            let envelope = Envelope::sign(&payload_type, payload, &key(3));
            let text = envelope.to_string();
            prop_assert!(!text.contains('\n'));
            prop_assert_eq!(Envelope::parse(text.as_bytes()).unwrap(), envelope);
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Envelope::parse(&bytes);
        }

        #[test]
        fn any_text_like_an_envelope_is_an_answer(
            text in "(\\{|\\}|\\[|\\]|,|:|\"payload\"|\"payloadType\"|\"signatures\"|\"sig\"|\"QQ==\"|1| ){0,40}"
        ) {
            let _ = Envelope::parse(text.as_bytes());
        }
    }
}
