//! SHA-256 digests as values.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest (FIPS 180-4). Shown and serialised as 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of one byte string.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lowercase hex digits, in ASCII.
    pub(crate) fn ascii(&self) -> [u8; 64] {
        hex(&self.0)
    }

    /// The 44 characters of padded base64 (RFC 4648), as checkpoints and proofs write a hash.
    pub fn to_base64(&self) -> String {
        Base64::encode_string(&self.0)
    }

    /// Reads what `to_base64` writes. None for anything else.
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let read = Base64::decode(text, &mut bytes).ok()?.len();
        (read == bytes.len()).then_some(Self(bytes))
    }

    /// Whether the other differs in so few bits that it is this one, damaged: the digests of two
    /// different texts differ in about 128 bits, and in fewer than 32 by no chance.
    pub fn is_damaged_copy(&self, other: &Self) -> bool {
        let bits = self.0.iter().zip(other.0).map(|(one, two)| (one ^ two).count_ones());
        self != other && bits.sum::<u32>() < 32
    }
}

/// Bytes in lowercase hex: `DIGITS` is twice their number.
pub(crate) fn hex<const DIGITS: usize>(bytes: &[u8]) -> [u8; DIGITS] {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0xF)];
    }
    digits
}

/// A SHA-256 over bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts with nothing hashed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Ends, and gives the digest.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.ascii()).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is not 64 lowercase hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in 64 lowercase hex digits: {0:?}")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let nibble = |c: u8| match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            _ => 0x10,
        };
        let mut bytes = [0u8; 32];
        let mut seen = 0;
        for (byte, [high, low]) in bytes.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
            let (high, low) = (nibble(*high), nibble(*low));
            seen |= high | low;
            *byte = (high << 4) | (low & 0xF);
        }
        if text.len() == 64 && seen < 0x10 {
            Ok(Self(bytes))
        } else {
            Err(NotADigest(text.chars().take(80).collect()))
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_copy_is_near_and_no_other_digest_is() {
        let digest = Digest::of(b"a");
        let mut bytes = *digest.as_bytes();
        for (bit, byte) in [(1, 0), (0x80, 31), (0xff, 7), (0x0f, 8)] {
            bytes[byte] ^= bit;
            assert!(digest.is_damaged_copy(&Digest(bytes)), "{byte}");
        }
        assert!(!digest.is_damaged_copy(&digest));
        for other in 0..1_000u32 {
            assert!(!digest.is_damaged_copy(&Digest::of(&other.to_le_bytes())), "{other}");
        }
    }

    #[test]
    fn text_round_trips_and_anything_else_is_refused() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        for wrong in ["", "BA", &text.to_uppercase(), &text[1..], &format!("{text}0")] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn base64_round_trips_and_anything_else_is_refused() {
        let digest = Digest::of(b"abc");
        let text = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        assert_eq!(digest.to_base64(), text);
        assert_eq!(Digest::from_base64(text), Some(digest));
        let cut = text.trim_end_matches('=');
        // Spare bits that are not zero would be a second text for the same digest.
        let spare = text.replace("a0=", "a1=");
        for wrong in ["", "AAAA", cut, &spare, &text.replace('/', "_"), &format!("{text}\n")] {
            assert_eq!(Digest::from_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Digest::of(b"abc"));
    }
}
