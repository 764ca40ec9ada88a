//! Who signed an envelope, by a list of keys that the verifier brings.

use super::dsse::{Envelope, pae};
use crate::detached::{Believed, DetachedAnswer};
use crate::key::{KeyName, VerifyingKey};
use crate::trust::{SshKey, TrustedKey};

/// The purpose under which a trust file names keys that sign envelopes.
pub const ENVELOPE_NAMESPACE: &str = "dsse";

/// Whether a key that is believed signed the envelope: Ed25519, from a line of an SSH key or of a
/// log's key. Keys of other kinds make no such signature.
pub fn check_envelope(envelope: &Envelope, believed: &Believed<'_>) -> DetachedAnswer {
    if envelope.signatures.is_empty() {
        return DetachedAnswer::Missing;
    }
    let signed = pae(&envelope.payload_type, &envelope.payload);
    let mut why = "no key of the trust file made its signature";
    let mut last = String::new();
    for entry in believed.trust.entries() {
        let (key, shown) = match &entry.key {
            TrustedKey::Log(key) => (key.clone(), key.key_id()),
            TrustedKey::Ssh(key) => match ed25519_of(key) {
                Some(raw) => (raw, key.fingerprint()),
                None => continue,
            },
            TrustedKey::OpenPgp(_) => continue,
        };
        if !envelope.signatures.iter().any(|one| key.verify(&signed, &one.signature)) {
            continue;
        }
        if believed.by.is_some_and(|name| !entry.principals.matches(name)) {
            why = "the trust file believes its key of somebody else only";
        } else if !entry.admits(believed.namespace) {
            why = "the trust file believes its key for other purposes only";
        } else if !entry.is_valid_at(believed.now) {
            why = "the trust file does not believe its key at this time";
        } else {
            let principal = entry.principals.to_string();
            return DetachedAnswer::Good { key: shown, principal };
        }
        last = shown;
    }
    DetachedAnswer::UnknownKey { key: last, why }
}

/// The 32 bytes of an Ed25519 key of SSH (RFC 8709), behind its name and a length of four bytes.
fn ed25519_of(key: &SshKey) -> Option<VerifyingKey> {
    const HEAD: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";
    let public: &[u8; 32] = key.blob().strip_prefix(HEAD)?.try_into().ok()?;
    VerifyingKey::new("dsse".parse::<KeyName>().ok()?, public).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use crate::stamp::EventTime;
    use crate::trust::TrustFile;

    fn key(seed: u8) -> SigningKey {
        SigningKey::generate("builder".parse().unwrap(), &[seed; 32]).unwrap()
    }

    fn line(key: &SigningKey, options: &str) -> String {
        use base64ct::{Base64, Encoding};
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend_from_slice(key.verifying_key().as_bytes());
        format!("builder@example.org {options} ssh-ed25519 {}\n", Base64::encode_string(&blob))
    }

    fn answer(envelope: &Envelope, trust: &str) -> DetachedAnswer {
        let trust = TrustFile::parse(trust.as_bytes()).unwrap();
        let now = EventTime::from_unix_millis(1_800_000_000_000).unwrap();
        let believed = Believed {
            trust: &trust,
            openpgp_keys: None,
            namespace: ENVELOPE_NAMESPACE,
            by: None,
            now,
        };
        check_envelope(envelope, &believed)
    }

    #[test]
    fn only_a_believed_key_over_these_very_bytes_is_good() {
        let (ours, other) = (key(1), key(2));
        let envelope = Envelope::sign("application/x", b"made".to_vec(), &ours);
        let good = answer(&envelope, &line(&ours, ""));
        assert!(
            matches!(&good, DetachedAnswer::Good { principal, .. }
            if principal == "builder@example.org"),
            "{good:?}"
        );
        let purposes = line(&ours, "namespaces=\"dsse\"");
        assert!(matches!(answer(&envelope, &purposes), DetachedAnswer::Good { .. }));
        let unknown = |trust: &str, envelope: &Envelope| {
            matches!(answer(envelope, trust), DetachedAnswer::UnknownKey { .. })
        };
        assert!(unknown(&line(&other, ""), &envelope));
        assert!(unknown(&line(&ours, "namespaces=\"git\""), &envelope));
        assert!(unknown(&line(&ours, "valid-before=\"20200101Z\""), &envelope));
        let mut swapped = envelope.clone();
        swapped.payload = b"Made".to_vec();
        assert!(unknown(&line(&ours, ""), &swapped));
        let mut retyped = envelope.clone();
        retyped.payload_type = "application/y".to_owned();
        assert!(unknown(&line(&ours, ""), &retyped));
        let mut bare = envelope;
        bare.signatures.clear();
        assert_eq!(answer(&bare, &line(&ours, "")), DetachedAnswer::Missing);
    }
}
