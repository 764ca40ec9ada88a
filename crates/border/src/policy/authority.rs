//! Who had authority where something comes from: the principals of a plan, with their keys.

use std::collections::BTreeSet;
use std::fmt;

use carnet_document::{canonical_value, digest_of};
use carnet_ledger::trust::{TrustFile, TrustedKey};
use carnet_ledger::{Digest, EventTime, HashProfile};
use serde::{Deserialize, Serialize};

use super::error::PolicyError;

/// The version of the document that is written and read.
pub const AUTHORITY_VERSION: &str = "carnet-authority-1";
/// The name of the document in messages.
const FILE: &str = "authority/snapshot.json";
/// The size that it has at most.
const BYTES_MAX: usize = 1 << 20;

/// Who had authority, and by which keys: `authority/snapshot.json`, in RFC 8785 form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthoritySnapshot {
    /// [`AUTHORITY_VERSION`].
    pub version: String,
    /// The organisation that answers for what comes.
    pub owner: String,
    /// Everybody who has authority, by name, each once.
    pub principals: Vec<Principal>,
}

/// Somebody who has authority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The name, as a trust file has it.
    pub principal: String,
    /// For what, sorted.
    pub roles: Vec<Role>,
    /// The keys that sign for it, sorted.
    pub keys: Vec<AuthorityKey>,
}

/// For what somebody has authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To approve.
    Approver,
    /// To sign the evidence.
    Signer,
    /// To sign what is sent.
    Sender,
}

/// A public key as a trust file writes it: `ssh-ed25519 AAAA…`, `vkey NAME+HASH+BASE64`,
/// `openpgp FINGERPRINT`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorityKey(pub String);

impl AuthorityKey {
    /// The key, if it is one.
    pub fn key(&self) -> Option<TrustedKey> {
        let read = TrustFile::parse(format!("* {}", self.0).as_bytes()).ok()?;
        match read.entries() {
            [entry] => Some(entry.key.clone()),
            [] | [_, ..] => None,
        }
    }
}

impl AuthoritySnapshot {
    /// SHA-256 of the RFC 8785 form.
    pub fn digest(&self) -> Digest {
        digest_of(self)
    }

    /// The RFC 8785 form.
    pub fn bytes(&self) -> Vec<u8> {
        HashProfile::Rfc8785Sha256V1.canonical(&canonical_value(self)).into_bytes()
    }

    /// Reads the document. Only the one form of it is read.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > BYTES_MAX {
            let (what, max) = (format!("{FILE} (bytes)"), BYTES_MAX as u64);
            return Err(PolicyError::Limit { what, found: bytes.len() as u64, max });
        }
        let form = |what: &dyn fmt::Display| PolicyError::form(FILE, what.to_string());
        let seen: Seen = serde_json::from_slice(bytes).map_err(|error| form(&error))?;
        if seen.version != AUTHORITY_VERSION {
            return Err(PolicyError::Version { file: FILE, found: seen.version });
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|error| form(&error))?;
        if read.bytes() != bytes {
            return Err(form(&"it is not in RFC 8785 form"));
        }
        read.check()?;
        Ok(read)
    }

    /// What of it is refused whoever is known.
    pub fn check(&self) -> Result<(), PolicyError> {
        let refused = |what: String| Err(PolicyError::form(FILE, what));
        if self.principals.is_empty() {
            return refused("it names nobody".to_owned());
        }
        let mut names = BTreeSet::new();
        for one in &self.principals {
            let name = &one.principal;
            if name.is_empty() || !names.insert(name) {
                return refused(format!("the principal {name:?} is empty, or stands twice"));
            }
            if one.keys.is_empty() || one.roles.is_empty() {
                return refused(format!("{name} has no key, or no role"));
            }
            if let Some(key) = one.keys.iter().find(|key| key.key().is_none()) {
                return refused(format!("{:?} of {name} is no public key", key.0));
            }
        }
        Ok(())
    }
}

/// How a key that an authority snapshot names stands in a trust file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStanding {
    /// It is there, for this principal, and counts now.
    Known,
    /// It is not there.
    Unknown,
    /// It is there as the key of somebody else.
    OtherPrincipal,
    /// It is there for this principal, and does not count now.
    NotValid,
}

impl KeyStanding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Known, Self::Unknown, Self::OtherPrincipal, Self::NotValid];
}

/// A key that an authority snapshot names, and how it stands here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedKey {
    /// Whose key it is said to be.
    pub principal: String,
    /// The key.
    pub key: AuthorityKey,
    /// How it stands here.
    pub standing: KeyStanding,
}

impl fmt::Display for NamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (principal, key) = (&self.principal, &self.key.0);
        match self.standing {
            KeyStanding::Known => write!(f, "{principal} is known by the key {key}"),
            KeyStanding::Unknown => write!(f, "{principal} is not known by the key {key}"),
            KeyStanding::OtherPrincipal => {
                write!(f, "the key {key} is known, but not as that of {principal}")
            }
            KeyStanding::NotValid => write!(f, "the key {key} of {principal} does not count now"),
        }
    }
}

impl AuthoritySnapshot {
    /// How each key of each principal stands in a trust file at this time.
    pub fn standing(&self, trust: &TrustFile, now: EventTime) -> Vec<NamedKey> {
        let each =
            self.principals.iter().flat_map(|one| one.keys.iter().map(move |key| (one, key)));
        let judged = each.map(|(one, key)| NamedKey {
            principal: one.principal.clone(),
            key: key.clone(),
            standing: standing(&one.principal, key, trust, now),
        });
        judged.collect()
    }
}

fn standing(principal: &str, key: &AuthorityKey, trust: &TrustFile, now: EventTime) -> KeyStanding {
    let Some(key) = key.key() else { return KeyStanding::Unknown };
    let held = || trust.entries().iter().filter(|entry| entry.key == key);
    let own = || held().filter(|entry| entry.principals.matches(principal));
    if own().any(|entry| entry.is_valid_at(now)) {
        KeyStanding::Known
    } else if own().next().is_some() {
        KeyStanding::NotValid
    } else if held().next().is_some() {
        KeyStanding::OtherPrincipal
    } else {
        KeyStanding::Unknown
    }
}

/// What is looked at before the rest is read.
#[derive(Deserialize)]
struct Seen {
    version: String,
}
