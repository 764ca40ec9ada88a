//! With age: X25519 recipients and identities.

use std::io::{self, BufReader, Read, Write};

use age::stream::StreamWriter;
use age::x25519;
use age::{DecryptError, Decryptor, Encryptor};

use crate::error::BundleError;
use crate::oci::fault::BundleFault;

/// For whom sensitive contents are encrypted.
pub struct Recipients {
    words: Vec<String>,
    keys: Vec<x25519::Recipient>,
}

impl Recipients {
    /// Reads `age1…` words. None of them, or one that is not a recipient, is an error.
    pub fn parse(words: &[String]) -> Result<Self, BundleError> {
        let key = |word: &String| {
            word.parse::<x25519::Recipient>().map_err(|error| BundleError::Request {
                what: format!("{word:?} is not a recipient of age (age1…): {error}"),
            })
        };
        let mut words = words.to_vec();
        words.sort();
        words.dedup();
        if words.is_empty() {
            return Err(BundleError::Request { what: "there is no recipient".to_owned() });
        }
        Ok(Self { keys: words.iter().map(key).collect::<Result<_, _>>()?, words })
    }

    /// The recipients as they were written, sorted.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    pub(in crate::oci) fn encrypt<W: Write>(&self, out: W) -> io::Result<StreamWriter<W>> {
        let keys = self.keys.iter().map(|key| key as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(keys).map_err(io::Error::other)?;
        encryptor.wrap_output(out)
    }
}

/// What opens encrypted contents.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Reads the text of an identity file, as `age-keygen` writes it.
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        // The line itself is secret, so that no message shows it.
        let key = |line: &str| {
            line.parse::<x25519::Identity>().map_err(|_| BundleError::Request {
                what: "the identity file has a line that is no AGE-SECRET-KEY-1…".to_owned(),
            })
        };
        let keys = keys.map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(BundleError::Request { what: "the identity file has no key".to_owned() });
        }
        Ok(Self(keys))
    }

    pub(in crate::oci) fn decrypt<'r>(
        &self,
        path: &str,
        blob: impl Read + 'r,
    ) -> Result<Box<dyn Read + 'r>, BundleFault> {
        let damaged = |error: DecryptError| {
            if matches!(error, DecryptError::NoMatchingKeys) {
                return BundleFault::Encrypted(format!("{path} is encrypted for others"));
            }
            BundleFault::Damaged(format!("{path} cannot be decrypted: {error}"))
        };
        let decryptor = Decryptor::new_buffered(BufReader::new(blob)).map_err(damaged)?;
        let keys = self.0.iter().map(|key| key as &dyn age::Identity);
        Ok(Box::new(decryptor.decrypt(keys).map_err(damaged)?))
    }
}
