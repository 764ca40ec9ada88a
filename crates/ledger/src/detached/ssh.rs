//! SSHSIG: signatures by the keys of SSH, in the form of `ssh-keygen -Y`.

use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::detached::{Believed, DetachedAnswer, DetachedError, SignatureForm};
use crate::trust::{TrustEntry, TrustedKey};

/// A private key of SSH. Its secret is wiped from memory when it is dropped.
pub(super) struct SshSigner(PrivateKey);

impl SshSigner {
    pub(super) fn read(key_file: &[u8]) -> Result<Self, DetachedError> {
        let key = PrivateKey::from_openssh(key_file).map_err(|error| DetachedError::Key {
            form: SignatureForm::Ssh,
            why: error.to_string(),
        })?;
        if key.is_encrypted() {
            return Err(DetachedError::Locked);
        }
        let signing =
            [Algorithm::Ed25519, Algorithm::Ecdsa { curve: ssh_key::EcdsaCurve::NistP256 }];
        if signing.contains(&key.algorithm()) {
            Ok(Self(key))
        } else {
            Err(DetachedError::Algorithm(key.algorithm().to_string()))
        }
    }

    pub(super) fn sign(&self, namespace: &str, message: &[u8]) -> Result<String, DetachedError> {
        let failed = |error: ssh_key::Error| DetachedError::Sign(error.to_string());
        let signature = self.0.sign(namespace, HashAlg::Sha512, message).map_err(failed)?;
        signature.to_pem(LineEnding::LF).map_err(failed)
    }

    pub(super) fn key(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

/// What a signature says about a message.
pub(super) fn check(pem: &[u8], message: &[u8], believed: &Believed<'_>) -> DetachedAnswer {
    let bad = |error: ssh_key::Error| DetachedAnswer::Bad { why: error.to_string() };
    let signature = match SshSig::from_pem(pem) {
        Ok(signature) => signature,
        Err(error) => return bad(error),
    };
    // The reader passes over lengths that do not fit. Another spelling is another file.
    let characters = |text: &[u8]| -> Vec<u8> {
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    };
    match signature.to_pem(LineEnding::LF) {
        Ok(written) if characters(written.as_bytes()) == characters(pem) => {}
        Ok(_) => return DetachedAnswer::Bad { why: "it is not in its one form".to_owned() },
        Err(error) => return bad(error),
    }
    let namespace = believed.namespace;
    if signature.namespace() != namespace {
        // What was signed for another purpose says nothing here.
        let why = format!("it was made for {:?}, not for {namespace:?}", signature.namespace());
        return DetachedAnswer::Bad { why };
    }
    let public = PublicKey::from(signature.public_key().clone());
    if public.verify(namespace, message, &signature).is_err() {
        return DetachedAnswer::Bad { why: "it does not fit the file".to_owned() };
    }
    let key = public.fingerprint(HashAlg::Sha256).to_string();
    let encoded = match public.to_bytes() {
        Ok(encoded) => encoded,
        Err(error) => return bad(error),
    };
    let ours =
        |entry: &TrustEntry| matches!(&entry.key, TrustedKey::Ssh(one) if one.blob() == encoded);
    match believed.principal(ours) {
        Ok(principal) => DetachedAnswer::Good { key, principal },
        Err(why) => DetachedAnswer::UnknownKey { key, why },
    }
}
