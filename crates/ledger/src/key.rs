//! Ed25519 keys with a name, in the text forms of signed notes (c2sp.org/signed-note).
//!
//! Nothing here draws randomness: whoever makes a key hands the seed in.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use ed25519_dalek::Signer;
use zeroize::Zeroizing;

use crate::digest::Hasher;

/// The type byte of a plain Ed25519 key.
const ED25519: u8 = 0x01;
/// The type byte of an Ed25519 key that cosigns checkpoints.
const ED25519_WITNESS: u8 = 0x04;
/// The type byte of an ML-DSA-44 key that cosigns checkpoints.
const ML_DSA_44: u8 = 0x06;
const PRIVATE: &str = "PRIVATE+KEY+";
/// The longest name of a key, in bytes.
const MAX_NAME_BYTES: usize = 255;
/// The longest text of a key. An ML-DSA-44 key has 1,312 bytes.
const MAX_TEXT_BYTES: usize = 4_096;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name cannot stand in a signed note.
    #[error(
        "a key's name has 1 to {MAX_NAME_BYTES} bytes without spaces, `+` and control characters"
    )]
    Name,
    /// Not of the form `NAME+HASH+BASE64`.
    #[error("not a key of the form NAME+HASH+BASE64")]
    Form,
    /// A kind of key that is not known here. The number is its type byte.
    #[error("a key of type {0:#04x}, and only Ed25519 (0x01) is known here")]
    Algorithm(u8),
    /// The hash in the text is not the hash of the key.
    #[error("the hash in the key's text is not that of the key")]
    Hash,
    /// The bytes are no point of the curve in its one canonical form, or a point that signs
    /// nothing for certain.
    #[error("not a usable Ed25519 public key")]
    Point,
}

/// The name of a key: 1 to 255 bytes without Unicode spaces, `+` and control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.len() > MAX_NAME_BYTES || text.contains(wrong) {
            return Err(KeyError::Name);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The four bytes that, with the name, tell which key made a signature: the start of
/// SHA-256(name ‖ 0x0A ‖ type ‖ public key).
fn id_of(name: &KeyName, kind: u8, public: &[u8]) -> [u8; 4] {
    let mut hasher = Hasher::new();
    hasher.update(name.0.as_bytes());
    hasher.update(&[b'\n', kind]);
    hasher.update(public);
    let [a, b, c, d, ..] = hasher.finish().0;
    [a, b, c, d]
}

/// `<name>+<8 hex digits>`.
fn key_id_of(name: &KeyName, id: [u8; 4]) -> String {
    format!("{name}+{:08x}", u32::from_be_bytes(id))
}

/// `<name>+<8 hex digits>+<base64 of type and key>`: a key as people pass it on.
fn vkey(name: &KeyName, id: [u8; 4], kind: u8, public: &[u8]) -> String {
    let material = [&[kind], public].concat();
    format!("{}+{}", key_id_of(name, id), Base64::encode_string(&material))
}

/// The three parts of a key's text.
struct Parts {
    name: KeyName,
    id: [u8; 4],
    /// The type byte and the key.
    material: Zeroizing<Vec<u8>>,
}

impl Parts {
    fn read(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(KeyError::Form);
        }
        let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
        let (hash, base64) = rest.split_once('+').ok_or(KeyError::Form)?;
        let hex = hash.len() == 8 && hash.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        let id = u32::from_str_radix(hash, 16).ok().filter(|_| hex).ok_or(KeyError::Form)?;
        let material = Base64::decode_vec(base64).map_err(|_| KeyError::Form)?;
        Ok(Self { name: name.parse()?, id: id.to_be_bytes(), material: Zeroizing::new(material) })
    }

    /// The type byte, and the 32 bytes of an Ed25519 key.
    fn ed25519(&self, kind: u8) -> Result<&[u8; 32], KeyError> {
        let (found, key) = self.material.split_first().ok_or(KeyError::Form)?;
        if *found != kind {
            return Err(KeyError::Algorithm(*found));
        }
        key.try_into().map_err(|_| KeyError::Form)
    }
}

/// A private key with its name: signs checkpoints and manifests. Its seed is wiped from memory when
/// it is dropped, and nothing but `to_text` shows it.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key of this seed: 32 bytes that nobody can guess.
    pub fn generate(name: KeyName, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::new(name, key.verifying_key().as_bytes())?;
        Ok(Self { key, public })
    }

    /// The text that a key file holds: `PRIVATE+KEY+<name>+<8 hex>+<base64(0x01 ‖ seed)>`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut material = Zeroizing::new([ED25519; 33]);
        for (to, from) in material.iter_mut().skip(1).zip(self.key.as_bytes()) {
            *to = *from;
        }
        let secret = Zeroizing::new(Base64::encode_string(material.as_slice()));
        Zeroizing::new(format!("{PRIVATE}{}+{}", self.public.key_id(), secret.as_str()))
    }

    /// The public key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs bytes as they are (RFC 8032).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = Parts::read(text.strip_prefix(PRIVATE).ok_or(KeyError::Form)?)?;
        let key = Self::generate(parts.name.clone(), parts.ed25519(ED25519)?)?;
        if key.public.id == parts.id { Ok(key) } else { Err(KeyError::Hash) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.key_id())
    }
}

/// A public Ed25519 key with its name. Its text is a `vkey`:
/// `<name>+<8 hex>+<base64(0x01 ‖ public key)>`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: KeyName,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    /// A key of these 32 bytes (RFC 8032). Refused are bytes that are no point of the curve, a
    /// second spelling of a point, and the few points of low order, with which a signature can fit
    /// many messages.
    pub fn new(name: KeyName, public: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| KeyError::Point)?;
        if key.is_weak() || !is_canonical(public) {
            return Err(KeyError::Point);
        }
        let id = id_of(&name, ED25519, public);
        Ok(Self { name, id, key })
    }

    /// The name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The four bytes in front of each of its signatures.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// `<name>+<8 hex digits>`: how manifests and people name the key.
    pub fn key_id(&self) -> String {
        key_id_of(&self.name, self.id)
    }

    /// The 32 bytes of the public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether this key signed exactly these bytes. Strict: what RFC 8032 leaves open is refused.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

/// Whether the y of an encoded point is below the prime 2^255 − 19.
fn is_canonical(public: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = public;
    *low < 0xED || middle.iter().any(|byte| *byte != 0xFF) || high & 0x7F != 0x7F
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vkey(&self.name, self.id, ED25519, self.as_bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = Parts::read(text)?;
        let key = Self::new(parts.name.clone(), parts.ed25519(ED25519)?)?;
        if key.id == parts.id { Ok(key) } else { Err(KeyError::Hash) }
    }
}

/// The public key of a witness, which cosigns checkpoints with a time. Its text is a `vkey` of
/// type 0x04.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey {
    id: [u8; 4],
    /// Name and point. Its id is that of a plain key, and so not the witness's.
    key: VerifyingKey,
}

impl WitnessKey {
    /// The witness that signs with this key.
    pub fn new(key: VerifyingKey) -> Self {
        let id = id_of(&key.name, ED25519_WITNESS, key.as_bytes());
        Self { id, key }
    }

    /// The name.
    pub fn name(&self) -> &KeyName {
        &self.key.name
    }

    /// The four bytes in front of each of its signatures.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// `<name>+<8 hex digits>`.
    pub fn key_id(&self) -> String {
        key_id_of(&self.key.name, self.id)
    }

    /// The 32 bytes of the public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether this key signed exactly these bytes.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(message, signature)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&vkey(&self.key.name, self.id, ED25519_WITNESS, self.as_bytes()))
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for WitnessKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = Parts::read(text)?;
        let public = parts.ed25519(ED25519_WITNESS)?;
        let key = Self::new(VerifyingKey::new(parts.name.clone(), public)?);
        if key.id == parts.id { Ok(key) } else { Err(KeyError::Hash) }
    }
}

/// A key of a kind that this build reads but cannot check: its signatures never count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherKey {
    name: KeyName,
    id: [u8; 4],
    material: Vec<u8>,
}

impl OtherKey {
    /// The name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// `<name>+<8 hex digits>`.
    pub fn key_id(&self) -> String {
        key_id_of(&self.name, self.id)
    }

    /// The public key without its type byte.
    pub fn as_bytes(&self) -> &[u8] {
        self.material.get(1..).unwrap_or_default()
    }
}

impl fmt::Display for OtherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.key_id(), Base64::encode_string(&self.material))
    }
}

impl FromStr for OtherKey {
    type Err = KeyError;

    /// Only ML-DSA-44 (0x06) is known by its name.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = Parts::read(text)?;
        let (kind, public) = parts.material.split_first().ok_or(KeyError::Form)?;
        if *kind != ML_DSA_44 {
            return Err(KeyError::Algorithm(*kind));
        }
        if public.len() != 1_312 {
            return Err(KeyError::Form);
        }
        if id_of(&parts.name, *kind, public) != parts.id {
            return Err(KeyError::Hash);
        }
        Ok(Self { name: parts.name, id: parts.id, material: parts.material.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // From the documentation of Go's `sumdb/note`.
    const PRIVATE_KEY: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const PUBLIC_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn texts_are_those_of_go() {
        let key: SigningKey = PRIVATE_KEY.parse().unwrap();
        assert_eq!(key.to_text().as_str(), PRIVATE_KEY);
        assert_eq!(key.verifying_key().to_string(), PUBLIC_KEY);
        assert_eq!(key.verifying_key().key_id(), "PeterNeumann+c74f20a3");
        assert_eq!(&PUBLIC_KEY.parse::<VerifyingKey>().unwrap(), key.verifying_key());
        assert_eq!(format!("{key:?}"), "SigningKey(PeterNeumann+c74f20a3)");
    }

    #[test]
    fn a_key_verifies_what_it_signed_and_nothing_else() {
        let key: SigningKey = PRIVATE_KEY.parse().unwrap();
        let public = key.verifying_key();
        let mut signature = key.sign(b"text");
        assert!(public.verify(b"text", &signature));
        assert!(!public.verify(b"texts", &signature));
        assert!(!public.verify(b"text", &signature[..63]));
        assert!(!public.verify(b"text", &[]));
        let other = SigningKey::generate("PeterNeumann".parse().unwrap(), &[7; 32]).unwrap();
        assert!(!other.verifying_key().verify(b"text", &signature));
        signature[0] ^= 1;
        assert!(!public.verify(b"text", &signature));
    }

    #[test]
    fn damaged_keys_are_told_apart() {
        let refused = |text: &str| text.parse::<VerifyingKey>().unwrap_err();
        assert_eq!(refused(""), KeyError::Form);
        assert_eq!(refused(PRIVATE_KEY), KeyError::Form);
        assert_eq!(refused(&PUBLIC_KEY.replace("c74f20a3", "C74F20A3")), KeyError::Form);
        assert_eq!(refused(&PUBLIC_KEY.replace("c74f20a3", "+74f20a3")), KeyError::Form);
        assert_eq!(refused(&PUBLIC_KEY.replace("10TW", "10T")), KeyError::Form);
        assert_eq!(refused(&PUBLIC_KEY.replace("c74f20a3", "c74f20a4")), KeyError::Hash);
        assert_eq!(refused(&PUBLIC_KEY.replace("Peter", "Paul")), KeyError::Hash);
        assert_eq!(refused(&PUBLIC_KEY.replace("Peter", "Peter ")), KeyError::Name);
        assert_eq!(refused(&PUBLIC_KEY.replace("+ARpc", "+BBpc")), KeyError::Algorithm(4));
        assert_eq!(refused(&format!("{PUBLIC_KEY}{}", "A".repeat(5_000))), KeyError::Form);
        let private = PRIVATE_KEY.replace("c74f20a3", "c74f20a4");
        assert_eq!(private.parse::<SigningKey>().unwrap_err(), KeyError::Hash);
        assert_eq!(PUBLIC_KEY.parse::<SigningKey>().unwrap_err(), KeyError::Form);
    }

    #[test]
    fn points_that_fit_any_message_are_no_keys() {
        let name: KeyName = "x".parse().unwrap();
        let neutral = std::array::from_fn(|at| u8::from(at == 0));
        assert_eq!(VerifyingKey::new(name.clone(), &neutral), Err(KeyError::Point));
        // Two spellings of one y: y itself, and y + 2^255 − 19.
        let mut points = 0;
        for y in 0..19 {
            let first = std::array::from_fn(|at| if at == 0 { y } else { 0 });
            let second = std::array::from_fn(|at| match at {
                0 => y + 0xED,
                31 => 0x7F,
                _ => 0xFF,
            });
            points += u8::from(VerifyingKey::new(name.clone(), &first).is_ok());
            assert_eq!(VerifyingKey::new(name.clone(), &second), Err(KeyError::Point), "{y}");
        }
        assert!(points > 3, "{points}");
    }

    #[test]
    fn names_have_no_spaces_and_no_plus() {
        for name in ["a", "example.com/log42", "Zürich", &"x".repeat(255)] {
            assert_eq!(name.parse::<KeyName>().unwrap().as_str(), name);
        }
        for name in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\nb", "\u{1}", &"x".repeat(256)]
        {
            assert_eq!(name.parse::<KeyName>(), Err(KeyError::Name), "{name:?}");
        }
    }

    #[test]
    fn a_witness_has_another_id_than_the_same_key_in_a_log() {
        let key: VerifyingKey = PUBLIC_KEY.parse().unwrap();
        let witness = WitnessKey::new(key.clone());
        assert_ne!(witness.id(), key.id());
        assert_eq!(witness.to_string().parse(), Ok(witness.clone()));
        assert_eq!(PUBLIC_KEY.parse::<WitnessKey>(), Err(KeyError::Algorithm(1)));
        assert_eq!(witness.to_string().parse::<VerifyingKey>(), Err(KeyError::Algorithm(4)));
    }

    #[test]
    fn ml_dsa_keys_are_read_and_no_more() {
        let name: KeyName = "w".parse().unwrap();
        let public = vec![5; 1_312];
        let text = vkey(&name, id_of(&name, ML_DSA_44, &public), ML_DSA_44, &public);
        let key: OtherKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.as_bytes(), public);
        assert_eq!(text.parse::<VerifyingKey>(), Err(KeyError::Algorithm(6)));
        assert_eq!(PUBLIC_KEY.parse::<OtherKey>(), Err(KeyError::Algorithm(1)));
    }

    proptest! {
        #[test]
        fn any_text_is_a_key_or_an_error(text in "(PRIVATE\\+KEY\\+)?[a-z+ ]{0,12}\\+[0-9a-f]{7,9}\\+[A-Za-z0-9+/=]{0,60}") {
            if let Ok(key) = text.parse::<VerifyingKey>() {
                prop_assert_eq!(key.to_string(), text.clone());
            }
            if let Ok(key) = text.parse::<SigningKey>() {
                let written = key.to_text();
                prop_assert_eq!(written.as_str(), text);
            }
        }

        #[test]
        fn keys_come_back_as_they_were(seed: [u8; 32], name in "[a-zäß/.\u{1F600}]{1,20}") {
            let key = SigningKey::generate(name.parse().unwrap(), &seed).unwrap();
            let again: SigningKey = key.to_text().parse().unwrap();
            prop_assert_eq!(again.verifying_key(), key.verifying_key());
            prop_assert_eq!(&key.verifying_key().to_string().parse::<VerifyingKey>().unwrap(), key.verifying_key());
            prop_assert_eq!(again.sign(&seed), key.sign(&seed));
        }
    }
}
