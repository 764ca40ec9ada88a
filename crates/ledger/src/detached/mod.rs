//! Detached signatures: a file beside another one, with a signature over its bytes. Operators make
//! and check them with keys that they have already, and with tools that are not ours: `ssh-keygen`
//! and `gpg`.
//!
//! Each form is a feature of this crate. What a build leaves out is refused by its name.

#[cfg(feature = "openpgp")]
mod openpgp;
#[cfg(feature = "ssh")]
mod ssh;

use std::fmt;

use crate::stamp::EventTime;
#[cfg(any(feature = "ssh", feature = "openpgp"))]
use crate::trust::TrustEntry;
use crate::trust::TrustFile;

/// What signatures of manifests are for: an SSH signature names it, and `namespaces="…"` in a trust
/// file must admit it. A signature for another purpose never counts.
pub const MANIFEST_NAMESPACE: &str = "carnet-manifest";

/// What signatures of approvals are for, in the same way. An OpenPGP signature names no purpose: there
/// the first line of what is signed does.
pub const APPROVAL_NAMESPACE: &str = "carnet-approval@v1";

/// No detached signature is larger, in bytes.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;

/// The forms of detached signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureForm {
    /// SSHSIG, as `ssh-keygen -Y sign` makes it.
    Ssh,
    /// OpenPGP with ASCII armour, as `gpg --detach-sign --armor` makes it.
    OpenPgp,
}

impl SignatureForm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ssh, Self::OpenPgp];

    /// The word for it: `ssh` or `openpgp`. It is also the name of the feature.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::OpenPgp => "openpgp",
        }
    }

    /// What the name of the signed file is followed by.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Ssh => ".sig",
            Self::OpenPgp => ".asc",
        }
    }
}

impl fmt::Display for SignatureForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a signature can be neither made nor checked. No text of a key is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DetachedError {
    /// This build cannot handle the form.
    #[error("this build was made without the feature `{0}`")]
    Feature(SignatureForm),
    /// The file does not hold a private key of the form.
    #[error("not a private key of the kind {form}: {why}")]
    Key {
        /// The form.
        form: SignatureForm,
        /// What the reader says.
        why: String,
    },
    /// The private key is locked with a passphrase.
    #[error("the private key is locked with a passphrase")]
    Locked,
    /// The key is of a kind that makes no signatures here.
    #[error("{0} keys do not sign here")]
    Algorithm(String),
    /// The file of public keys cannot be read.
    #[error("the public keys cannot be read: {0}")]
    PublicKeys(String),
    /// Signing failed.
    #[error("the key does not sign: {0}")]
    Sign(String),
}

/// What a detached signature says to somebody who trusts certain keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetachedAnswer {
    /// A key that is trusted signed exactly these bytes.
    Good {
        /// The key, as people compare it.
        key: String,
        /// Whose key it is, as the list of signers says.
        principal: String,
    },
    /// The key is not one that is trusted, or not for this, or not at this time. Nothing is known.
    UnknownKey {
        /// The key, as people compare it.
        key: String,
        /// Why it is not trusted.
        why: &'static str,
    },
    /// It is no signature of these bytes, whoever claims to have made it.
    Bad {
        /// Why not.
        why: String,
    },
    /// There is none.
    Missing,
}

/// A private key that makes detached signatures. Nothing shows it.
pub struct DetachedSigner(Pen);

enum Pen {
    #[cfg(feature = "ssh")]
    Ssh(Box<ssh::SshSigner>),
    #[cfg(feature = "openpgp")]
    OpenPgp(Box<openpgp::OpenPgpSigner>),
    /// A build without any form has no signer.
    #[expect(dead_code, reason = "an enum without a value cannot be matched on")]
    None(std::convert::Infallible),
}

impl DetachedSigner {
    /// Reads a private key: OpenSSH's form, or an OpenPGP key, armoured or not. Locked keys are
    /// refused: nothing here asks for a passphrase.
    pub fn read(form: SignatureForm, key_file: &[u8]) -> Result<Self, DetachedError> {
        match form {
            #[cfg(feature = "ssh")]
            SignatureForm::Ssh => {
                ssh::SshSigner::read(key_file).map(|pen| Self(Pen::Ssh(Box::new(pen))))
            }
            #[cfg(feature = "openpgp")]
            SignatureForm::OpenPgp => {
                openpgp::OpenPgpSigner::read(key_file).map(|pen| Self(Pen::OpenPgp(Box::new(pen))))
            }
            #[cfg(not(all(feature = "ssh", feature = "openpgp")))]
            form => {
                let _ = key_file;
                Err(DetachedError::Feature(form))
            }
        }
    }

    /// Signs a message for a purpose, such as [`MANIFEST_NAMESPACE`]. `now` and `seed`, 32 bytes that
    /// nobody can guess, go into an OpenPGP signature.
    pub fn sign(
        &self,
        namespace: &str,
        message: &[u8],
        now: EventTime,
        seed: &[u8; 32],
    ) -> Result<String, DetachedError> {
        let _ = (namespace, message, now, seed);
        match &self.0 {
            #[cfg(feature = "ssh")]
            Pen::Ssh(pen) => pen.sign(namespace, message),
            #[cfg(feature = "openpgp")]
            Pen::OpenPgp(pen) => pen.sign(message, now, seed),
            Pen::None(never) => match *never {},
        }
    }

    /// The public key, where a verifier needs more than the trust file has: of OpenPGP, which lists
    /// fingerprints.
    pub fn public_key(&self) -> Result<Option<String>, DetachedError> {
        match &self.0 {
            #[cfg(feature = "ssh")]
            Pen::Ssh(_) => Ok(None),
            #[cfg(feature = "openpgp")]
            Pen::OpenPgp(pen) => pen.public_key().map(Some),
            Pen::None(never) => match *never {},
        }
    }

    /// The key, as people compare it.
    pub fn key(&self) -> String {
        match &self.0 {
            #[cfg(feature = "ssh")]
            Pen::Ssh(pen) => pen.key(),
            #[cfg(feature = "openpgp")]
            Pen::OpenPgp(pen) => pen.key(),
            Pen::None(never) => match *never {},
        }
    }
}

impl fmt::Debug for DetachedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DetachedSigner({})", self.key())
    }
}

/// What a verifier brings along to judge detached signatures.
#[derive(Debug, Clone, Copy)]
pub struct Believed<'a> {
    /// Whose keys may sign.
    pub trust: &'a TrustFile,
    /// OpenPGP public keys, armoured or not: a fingerprint alone verifies nothing.
    pub openpgp_keys: Option<&'a [u8]>,
    /// What the signature must be for, such as [`MANIFEST_NAMESPACE`].
    pub namespace: &'a str,
    /// Whose signature it must be; anybody's of the trust file if nothing is said.
    pub by: Option<&'a str>,
    /// The time at which limits in time are judged.
    pub now: EventTime,
}

impl Believed<'_> {
    /// Whose key it is that these lines of the trust file are about, if it may sign for this purpose
    /// now; else why the last of them does not believe it.
    #[cfg(any(feature = "ssh", feature = "openpgp"))]
    fn principal(&self, is_ours: impl Fn(&TrustEntry) -> bool) -> Result<String, &'static str> {
        let mut why = "it is not in the trust file";
        for entry in self.trust.entries().iter().filter(|entry| is_ours(entry)) {
            if self.by.is_some_and(|name| !entry.principals.matches(name)) {
                why = "the trust file believes it of somebody else only";
            } else if !entry.admits(self.namespace) {
                why = "the trust file believes it for other purposes only";
            } else if !entry.is_valid_at(self.now) {
                why = "the trust file does not believe it at this time";
            } else {
                return Ok(entry.principals.to_string());
            }
        }
        Err(why)
    }
}

/// What the signature in a file of this form says about a message. `None` is no file.
pub fn check_detached(
    form: SignatureForm,
    signature: Option<&[u8]>,
    message: &[u8],
    believed: &Believed<'_>,
) -> Result<DetachedAnswer, DetachedError> {
    let Some(signature) = signature else { return Ok(DetachedAnswer::Missing) };
    if signature.len() > MAX_SIGNATURE_BYTES {
        let why = format!("larger than {MAX_SIGNATURE_BYTES} bytes");
        return Ok(DetachedAnswer::Bad { why });
    }
    let _ = (message, believed);
    match form {
        #[cfg(feature = "ssh")]
        SignatureForm::Ssh => Ok(ssh::check(signature, message, believed)),
        #[cfg(feature = "openpgp")]
        SignatureForm::OpenPgp => openpgp::check(signature, message, believed),
        #[cfg(not(all(feature = "ssh", feature = "openpgp")))]
        form => Err(DetachedError::Feature(form)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn believed(trust: &TrustFile) -> Believed<'_> {
        let now = EventTime::from_unix_millis(1_795_000_000_000).unwrap();
        Believed { trust, openpgp_keys: None, namespace: MANIFEST_NAMESPACE, by: None, now }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let trust = TrustFile::default();
            for form in SignatureForm::ALL {
                let _ = check_detached(form, Some(&bytes), b"message", &believed(&trust));
                let keys = Believed { openpgp_keys: Some(&bytes), ..believed(&trust) };
                let _ = check_detached(form, Some(b"x"), b"message", &keys);
                let _ = DetachedSigner::read(form, &bytes);
            }
        }

        #[test]
        fn any_bytes_in_armour_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            use base64ct::{Base64, Encoding};
            let trust = TrustFile::default();
            for kind in ["SSH SIGNATURE", "OPENSSH PRIVATE KEY", "PGP SIGNATURE", "PGP PUBLIC KEY BLOCK", "PGP PRIVATE KEY BLOCK"] {
                let text = Base64::encode_string(&bytes);
                let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
                let gap = if kind.starts_with("PGP") { "\n" } else { "" };
                let armour = format!(
                    "-----BEGIN {kind}-----\n{gap}{}\n-----END {kind}-----\n",
                    lines.join("\n")
                );
                for form in SignatureForm::ALL {
                    let signature = Some(armour.as_bytes());
                    let _ = check_detached(form, signature, b"message", &believed(&trust));
                    let keys =
                        Believed { openpgp_keys: Some(armour.as_bytes()), ..believed(&trust) };
                    let _ = check_detached(form, Some(b"x"), b"message", &keys);
                    let _ = DetachedSigner::read(form, armour.as_bytes());
                }
            }
        }
    }
}
