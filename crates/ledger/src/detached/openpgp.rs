//! OpenPGP: detached signatures over bytes, in the form of `gpg --detach-sign --armor`.

use pgp::composed::{
    ArmorOptions, Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey,
    SignedSecretKey, SubpacketConfig,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{
    KeyDetails, KeyVersion, Password, SecretParams, SigningKey, Tag, Timestamp, VerifyingKey,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::detached::{Believed, DetachedAnswer, DetachedError, SignatureForm};
use crate::stamp::EventTime;
use crate::trust::{TrustEntry, TrustedKey};

/// The largest file of keys that is read, in bytes.
const MAX_KEY_BYTES: usize = 4 << 20;
/// The most keys of a file, and the most signatures, that are looked at.
const MAX_ITEMS: usize = 64;

fn text(error: &pgp::errors::Error) -> String {
    error.to_string()
}

/// An OpenPGP private key. Its secret is wiped from memory when it is dropped.
pub(super) struct OpenPgpSigner(SignedSecretKey);

impl OpenPgpSigner {
    pub(super) fn read(key_file: &[u8]) -> Result<Self, DetachedError> {
        let form = SignatureForm::OpenPgp;
        if key_file.len() > MAX_KEY_BYTES {
            return Err(DetachedError::Key { form, why: "it is too large".to_owned() });
        }
        let (key, _) = SignedSecretKey::from_reader_single(key_file)
            .map_err(|error| DetachedError::Key { form, why: text(&error) })?;
        let signer = Self(key);
        // Now, not when it is too late: whether there is a key that signs.
        signer.pen(None)?;
        Ok(signer)
    }

    /// The part that signs at a time: the newest subkey for signing, else the primary key, if it
    /// may.
    fn pen(&self, now: Option<EventTime>) -> Result<Pen<'_>, DetachedError> {
        let public = self.0.to_public_key();
        let parts = Part::of(&public);
        let may_sign = |fingerprint: String| {
            let ended = |end: u64| now.is_some_and(|now| end < seconds(now));
            let part = parts.iter().find(|part| part.fingerprint == fingerprint);
            part.is_some_and(|part| !part.revoked && !part.expires.is_some_and(ended))
        };
        let subkeys = self.0.secret_subkeys.iter().map(|subkey| &subkey.key);
        let mut subkeys: Vec<_> = subkeys.filter(|key| may_sign(hex(*key))).collect();
        subkeys.sort_by_key(|key| std::cmp::Reverse(key.created_at()));
        let primary = Some(&self.0.primary_key).filter(|key| may_sign(hex(*key)));
        let pens: Vec<_> =
            subkeys.into_iter().map(Pen::Subkey).chain(primary.map(Pen::Primary)).collect();
        if pens.is_empty() {
            let once = now.is_some() && !matches!(self.pen(None), Err(DetachedError::Key { .. }));
            let why = if once { "it has expired" } else { "no part of it may sign" }.to_owned();
            return Err(DetachedError::Key { form: SignatureForm::OpenPgp, why });
        }
        pens.into_iter().find(|pen| !pen.is_locked()).ok_or(DetachedError::Locked)
    }

    pub(super) fn sign(
        &self,
        message: &[u8],
        now: EventTime,
        seed: &[u8; 32],
    ) -> Result<String, DetachedError> {
        let failed = |error: pgp::errors::Error| DetachedError::Sign(text(&error));
        let rng = StdRng::from_seed(*seed);
        let signature = match self.pen(Some(now))? {
            Pen::Primary(key) => sign_with(key, rng, message, now),
            Pen::Subkey(key) => sign_with(key, rng, message, now),
        };
        let signature = signature.map_err(failed)?;
        signature.to_armored_string(ArmorOptions::default()).map_err(failed)
    }

    pub(super) fn public_key(&self) -> Result<String, DetachedError> {
        let public = self.0.to_public_key().to_armored_string(ArmorOptions::default());
        public.map_err(|error| DetachedError::Sign(text(&error)))
    }

    pub(super) fn key(&self) -> String {
        hex(&self.0.primary_key)
    }
}

enum Pen<'k> {
    Primary(&'k pgp::packet::SecretKey),
    Subkey(&'k pgp::packet::SecretSubkey),
}

impl Pen<'_> {
    fn is_locked(&self) -> bool {
        let secret: &SecretParams = match self {
            Self::Primary(key) => key.secret_params(),
            Self::Subkey(key) => key.secret_params(),
        };
        secret.is_encrypted()
    }
}

fn sign_with(
    key: &impl SigningKey,
    rng: StdRng,
    message: &[u8],
    now: EventTime,
) -> pgp::errors::Result<DetachedSignature> {
    let hashed = vec![
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        Subpacket::regular(SubpacketData::SignatureCreationTime(timestamp(now)))?,
    ];
    let mut unhashed = Vec::new();
    if key.version() <= KeyVersion::V4 {
        unhashed.push(Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?);
    }
    DetachedSignature::sign_binary_data_with_subpackets(
        rng,
        key,
        &Password::empty(),
        key.hash_alg(),
        message,
        SubpacketConfig::UserDefined { hashed, unhashed },
    )
}

fn timestamp(time: EventTime) -> Timestamp {
    Timestamp::from_secs(u32::try_from(seconds(time)).unwrap_or(u32::MAX))
}

/// Seconds since 1970.
fn seconds(time: EventTime) -> u64 {
    u64::try_from(time.unix_millis().div_euclid(1_000)).unwrap_or(0)
}

/// The fingerprint in upper-case hex.
fn hex(key: &impl KeyDetails) -> String {
    key.fingerprint().to_string().to_uppercase()
}

/// A part of a public key that may sign documents, as the owner's own signatures say.
struct Part<'c> {
    fingerprint: String,
    key: PartKey<'c>,
    /// Whether its owner took it back.
    revoked: bool,
    /// When it ends, in seconds since 1970.
    expires: Option<u64>,
}

enum PartKey<'c> {
    Primary(&'c pgp::packet::PublicKey),
    Subkey(&'c pgp::packet::PublicSubkey),
}

impl<'c> Part<'c> {
    fn of(certificate: &'c SignedPublicKey) -> Vec<Self> {
        let primary = &certificate.primary_key;
        let details = &certificate.details;
        let revoked =
            details.revocation_signatures.iter().any(|sig| sig.verify_key(primary).is_ok());
        let certified = details.users.iter().flat_map(|user| {
            let own = |sig: &&Signature| {
                sig.typ() != Some(SignatureType::CertRevocation)
                    && sig.verify_certification(primary, Tag::UserId, &user.id).is_ok()
            };
            user.signatures.iter().filter(own)
        });
        let direct = details.direct_signatures.iter().filter(|sig| sig.verify_key(primary).is_ok());
        let Some(newest) = newest(certified.chain(direct)) else { return Vec::new() };
        let mut parts = Vec::new();
        if newest.key_flags().sign() {
            parts.push(Self {
                fingerprint: hex(primary),
                key: PartKey::Primary(primary),
                revoked,
                expires: expires(primary, newest),
            });
        }
        // What the primary key binds ends with it.
        let end = expires(primary, newest);
        let subkeys = &certificate.public_subkeys;
        parts.extend(subkeys.iter().filter_map(|sub| Self::subkey(primary, sub, revoked, end)));
        parts
    }

    fn subkey(
        primary: &'c pgp::packet::PublicKey,
        subkey: &'c SignedPublicSubKey,
        revoked: bool,
        end: Option<u64>,
    ) -> Option<Self> {
        let key = &subkey.key;
        let bound = |sig: &&Signature| sig.verify_subkey_binding(primary, key).is_ok();
        let (bindings, revocations): (Vec<_>, Vec<_>) = subkey
            .signatures
            .iter()
            .filter(bound)
            .partition(|sig| sig.typ() == Some(SignatureType::SubkeyBinding));
        let newest = newest(bindings.into_iter())?;
        // A subkey that signs says itself that it belongs to the primary key.
        let back = newest.embedded_signature()?;
        if !newest.key_flags().sign() || back.verify_primary_key_binding(key, primary).is_err() {
            return None;
        }
        let own_end = expires(key, newest);
        Some(Self {
            fingerprint: hex(key),
            key: PartKey::Subkey(key),
            revoked: revoked || !revocations.is_empty(),
            expires: own_end.into_iter().chain(end).min(),
        })
    }

    fn is_issuer_of(&self, signature: &Signature) -> bool {
        let id = match &self.key {
            PartKey::Primary(key) => key.legacy_key_id(),
            PartKey::Subkey(key) => key.legacy_key_id(),
        };
        let prints = signature.issuer_fingerprint();
        if prints.is_empty() {
            signature.issuer_key_id().contains(&&id)
        } else {
            prints.iter().any(|print| print.to_string().to_uppercase() == self.fingerprint)
        }
    }

    fn signed(&self, signature: &Signature, message: &[u8]) -> pgp::errors::Result<()> {
        match &self.key {
            PartKey::Primary(key) => verify(signature, *key, message),
            PartKey::Subkey(key) => verify(signature, *key, message),
        }
    }
}

fn verify(
    signature: &Signature,
    key: &(impl VerifyingKey + Serialize),
    message: &[u8],
) -> pgp::errors::Result<()> {
    signature.verify(key, message)
}

fn newest<'s>(signatures: impl Iterator<Item = &'s Signature>) -> Option<&'s Signature> {
    signatures.max_by_key(|signature| signature.created())
}

fn expires(key: &impl KeyDetails, said: &Signature) -> Option<u64> {
    let seconds = said.key_expiration_time()?.as_secs();
    (seconds > 0).then(|| u64::from(key.created_at().as_secs()) + u64::from(seconds))
}

/// What the signatures in a file say about a message. One that does not fit spoils the file; of
/// several good ones the first that is trusted counts.
pub(super) fn check(
    signature: &[u8],
    message: &[u8],
    believed: &Believed<'_>,
) -> Result<DetachedAnswer, DetachedError> {
    let certificates = certificates(believed.openpgp_keys)?;
    let mut signatures = Vec::new();
    let read = DetachedSignature::from_reader_many(signature).and_then(|(found, _)| {
        for one in found.take(MAX_ITEMS) {
            signatures.push(one?.signature);
        }
        Ok(())
    });
    if let Err(error) = read {
        return Ok(DetachedAnswer::Bad { why: text(&error) });
    }
    let mut best = None;
    for signature in &signatures {
        let answer = judge(signature, message, &certificates, believed);
        if matches!(answer, DetachedAnswer::Bad { .. }) {
            return Ok(answer);
        }
        if best.is_none() || matches!(answer, DetachedAnswer::Good { .. }) {
            best = Some(answer);
        }
    }
    let none = || DetachedAnswer::Bad { why: "there is no signature in it".to_owned() };
    Ok(best.unwrap_or_else(none))
}

fn certificates(keys: Option<&[u8]>) -> Result<Vec<SignedPublicKey>, DetachedError> {
    let Some(keys) = keys else { return Ok(Vec::new()) };
    if keys.len() > MAX_KEY_BYTES {
        return Err(DetachedError::PublicKeys(format!("more than {MAX_KEY_BYTES} bytes")));
    }
    let wrong = |error: pgp::errors::Error| DetachedError::PublicKeys(text(&error));
    let (found, _) = SignedPublicKey::from_reader_many(keys).map_err(wrong)?;
    found.take(MAX_ITEMS).map(|one| one.map_err(wrong)).collect()
}

fn judge(
    signature: &Signature,
    message: &[u8],
    certificates: &[SignedPublicKey],
    believed: &Believed<'_>,
) -> DetachedAnswer {
    let bad = |why: &str| DetachedAnswer::Bad { why: why.to_owned() };
    if signature.typ() != Some(SignatureType::Binary) {
        return bad("it is not a signature over the bytes of a file");
    }
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    if signature.hash_alg().is_none_or(|hash| !strong.contains(&hash)) {
        return bad("its hash is none of SHA-2 and SHA-3 with 256 bits or more");
    }
    let Some(created) = signature.created().map(|time| u64::from(time.as_secs())) else {
        return bad("it does not say when it was made");
    };
    let now = seconds(believed.now);
    let lasts = signature.signature_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    if lasts > 0 && created + lasts < now {
        return bad("it has expired");
    }
    let found = certificates.iter().find_map(|certificate| {
        let part = Part::of(certificate).into_iter().find(|part| part.is_issuer_of(signature))?;
        Some((hex(certificate), part.revoked, part.expires, part.signed(signature, message)))
    });
    let Some((key, revoked, expires, signed)) = found else {
        let why = "no public key that was given may have made it";
        return DetachedAnswer::UnknownKey { key: issuer(signature), why };
    };
    if let Err(error) = signed {
        return DetachedAnswer::Bad { why: text(&error) };
    }
    if revoked {
        return DetachedAnswer::UnknownKey { key, why: "its owner revoked it" };
    }
    if expires.is_some_and(|end| created > end) {
        return DetachedAnswer::UnknownKey { key, why: "it had expired when it signed" };
    }
    let ours =
        |entry: &TrustEntry| matches!(&entry.key, TrustedKey::OpenPgp(one) if one.as_str() == key);
    match believed.principal(ours) {
        Ok(principal) => DetachedAnswer::Good { key, principal },
        Err(why) => DetachedAnswer::UnknownKey { key, why },
    }
}

/// Which key a signature says that it was made with.
fn issuer(signature: &Signature) -> String {
    let prints = signature.issuer_fingerprint().into_iter().map(ToString::to_string);
    let ids = signature.issuer_key_id().into_iter().map(ToString::to_string);
    let named =
        prints.chain(ids).next().unwrap_or_else(|| "a key that it does not name".to_owned());
    named.to_uppercase()
}
