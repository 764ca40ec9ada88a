//! Which keys a verifier believes, whose they are, and when they count.
//!
//! A [`TrustFile`] names them; a [`KeyRing`] judges the signatures over a log, and follows a
//! [`Succession`] from one key to the next. The file's form is that of OpenSSH's `allowed_signers`, with two kinds of keys more: log keys and
//! OpenPGP fingerprints.

mod line;
mod patterns;
mod ring;
mod succession;

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Base64Unpadded, Encoding};

pub use patterns::PatternList;
pub use ring::{KeyJudgement, KeyRing, KeyState, LogKey, NotSucceeded};
pub use succession::{Succession, SuccessionError};

use crate::digest::Digest;
use crate::key::{KeyError, VerifyingKey};
use crate::stamp::EventTime;

/// The largest trust file that is read, in bytes.
pub const MAX_TRUST_BYTES: usize = 1_000_000;
/// The namespace in which log keys sign checkpoints and manifests: what `namespaces="…"` must admit
/// for a key to be believed there.
pub const LOG_NAMESPACE: &str = "carnet-log";
/// The kinds of SSH keys that can sign files.
const SSH_ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Keys that a verifier believes.
///
/// ```text
/// # principals   options                        key
/// *              valid-before="20271231Z"       vkey operator+c74f20a3+ARpc2QcUPDhMQegwxbzhKq…
/// ops@lab.org    namespaces="carnet-snapshot"   ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI…
/// "jo@lab.org"                                  openpgp 0123456789ABCDEF0123456789ABCDEF01234567
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustFile {
    entries: Vec<TrustEntry>,
}

/// One line of a trust file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustEntry {
    /// Its line, from 1 on.
    pub line: usize,
    /// Whose key it is, as patterns.
    pub principals: PatternList,
    /// The key counts from this time on.
    pub valid_after: Option<EventTime>,
    /// The key counts up to this time.
    pub valid_before: Option<EventTime>,
    /// For what the key may sign; anything if nothing is said.
    pub namespaces: Option<PatternList>,
    /// The key.
    pub key: TrustedKey,
}

/// A key of one of three kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustedKey {
    /// A key of a log: `vkey NAME+HASH+BASE64`.
    Log(VerifyingKey),
    /// An SSH key: `ssh-ed25519 AAAA…` and others.
    Ssh(SshKey),
    /// An OpenPGP key: `openpgp FINGERPRINT`.
    OpenPgp(Fingerprint),
}

/// A public key in the form of SSH (RFC 4253, section 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    algorithm: &'static str,
    blob: Vec<u8>,
}

/// The fingerprint of an OpenPGP key: 20 bytes (version 4) or 32 (version 6) as uppercase hex
/// digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

/// A line of a trust file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the trust file cannot be used")]
pub struct TrustError {
    /// The line, from 1 on.
    pub line: usize,
    /// Why.
    #[source]
    pub problem: TrustProblem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustProblem {
    /// The file is too large.
    #[error("the file has more than {MAX_TRUST_BYTES} bytes")]
    TooLarge,
    /// Not text.
    #[error("not UTF-8 text without control characters")]
    Text,
    /// Principals, options and key do not stand there in this order.
    #[error("not of the form `PRINCIPALS [OPTIONS] KIND KEY`")]
    Form,
    /// A quote is not closed, or stands inside a word.
    #[error("a quote that is not closed, or stands inside a word")]
    Quote,
    /// A list of patterns with nothing between two commas, or nothing in it.
    #[error("an empty pattern")]
    Pattern,
    /// An option that is not known here. Such a line is refused, since ignoring an option would
    /// believe the key more than was meant.
    #[error("`{0}` is neither an option nor a kind of key that is known here")]
    Option(String),
    /// An option that stands twice.
    #[error("the option `{0}` stands twice")]
    Twice(&'static str),
    /// A time of another form.
    #[error("not a time of the form YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with or without Z")]
    Time,
    /// A kind of key that is not known here.
    #[error("`{0}` is no kind of key that is known here")]
    Kind(String),
    /// A log key that cannot be read.
    #[error("the log key is malformed")]
    Log(#[source] KeyError),
    /// An SSH key that is not of the kind that the line says.
    #[error("not the base64 of an SSH key of this kind")]
    Ssh,
    /// Not a fingerprint.
    #[error("not an OpenPGP fingerprint of 40 or 64 hex digits")]
    Fingerprint,
}

impl TrustFile {
    /// Reads a trust file. A line that is not understood refuses the whole file.
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        let at = |line, problem| TrustError { line, problem };
        if bytes.len() > MAX_TRUST_BYTES {
            return Err(at(1, TrustProblem::TooLarge));
        }
        let mut entries = Vec::new();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let text = std::str::from_utf8(line).map_err(|_| at(number, TrustProblem::Text))?;
            let text = text.strip_suffix('\r').unwrap_or(text).trim_matches([' ', '\t']);
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            entries.push(line::read(number, text).map_err(|problem| at(number, problem))?);
        }
        Ok(Self { entries })
    }

    /// The lines, in their order.
    pub fn entries(&self) -> &[TrustEntry] {
        &self.entries
    }

    /// The keys that may sign a log, with their limits in time.
    pub fn log_keys(&self) -> impl Iterator<Item = LogKey> {
        self.entries.iter().filter(|entry| entry.admits(LOG_NAMESPACE)).filter_map(|entry| {
            let TrustedKey::Log(key) = &entry.key else { return None };
            let (valid_after, valid_before) = (entry.valid_after, entry.valid_before);
            Some(LogKey { key: key.clone(), valid_after, valid_before })
        })
    }
}

impl TrustEntry {
    /// Whether the key counts at this time. Both limits count too.
    pub fn is_valid_at(&self, time: EventTime) -> bool {
        self.valid_after.is_none_or(|after| after <= time)
            && self.valid_before.is_none_or(|before| time <= before)
    }

    /// Whether the key may sign in this namespace.
    pub fn admits(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|patterns| patterns.matches(namespace))
    }
}

impl fmt::Display for TrustEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Quoted, so that a space in a name ends nothing.
        write!(f, "\"{}\" ", self.principals)?;
        let mut options = Vec::new();
        for (name, time) in [("valid-after", self.valid_after), ("valid-before", self.valid_before)]
        {
            if let Some(time) = time {
                options.push(format!("{name}=\"{}\"", line::written(time)));
            }
        }
        if let Some(namespaces) = &self.namespaces {
            options.push(format!("namespaces=\"{namespaces}\""));
        }
        if !options.is_empty() {
            write!(f, "{} ", options.join(","))?;
        }
        match &self.key {
            TrustedKey::Log(key) => write!(f, "vkey {key}"),
            TrustedKey::Ssh(key) => write!(f, "{key}"),
            TrustedKey::OpenPgp(fingerprint) => write!(f, "openpgp {fingerprint}"),
        }
    }
}

impl SshKey {
    /// Reads the algorithm's name and the base64 of the key. None if they do not fit.
    pub fn parse(algorithm: &str, base64: &str) -> Option<Self> {
        let algorithm = SSH_ALGORITHMS.into_iter().find(|known| *known == algorithm)?;
        let blob = Base64::decode_vec(base64).ok()?;
        // The key begins with its algorithm's name behind a length of four bytes.
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (name, material) = rest.split_at_checked(length)?;
        (name == algorithm.as_bytes() && !material.is_empty()).then_some(Self { algorithm, blob })
    }

    /// The algorithm, such as `ssh-ed25519`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The key as SSH transmits it.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        let digest = Digest::of(&self.blob);
        format!("SHA256:{}", Base64Unpadded::encode_string(digest.as_bytes()))
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, Base64::encode_string(&self.blob))
    }
}

impl Fingerprint {
    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = TrustProblem;

    fn from_str(text: &str) -> Result<Self, TrustProblem> {
        let hex = matches!(text.len(), 40 | 64) && text.bytes().all(|c| c.is_ascii_hexdigit());
        if hex { Ok(Self(text.to_ascii_uppercase())) } else { Err(TrustProblem::Fingerprint) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
