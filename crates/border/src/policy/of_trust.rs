//! Who has authority by a trust file.

use std::collections::{BTreeMap, BTreeSet};

use carnet_ledger::trust::{TrustFile, TrustedKey};

use super::authority::{AUTHORITY_VERSION, AuthorityKey, AuthoritySnapshot, Principal, Role};

impl AuthoritySnapshot {
    /// Everybody whom a trust file names by name, with their keys: the keys of logs sign evidence,
    /// those of approvers approve, all others may sign what is sent. A pattern names nobody.
    pub fn of_trust(owner: &str, trust: &TrustFile, approvers: &BTreeSet<&str>) -> Self {
        let mut found: BTreeMap<String, (BTreeSet<Role>, BTreeSet<AuthorityKey>)> = BTreeMap::new();
        for entry in trust.entries() {
            let names = entry.principals.to_string();
            let (key, role) = match &entry.key {
                TrustedKey::Log(key) => (format!("vkey {key}"), Role::Signer),
                TrustedKey::Ssh(key) => (key.to_string(), Role::Sender),
                TrustedKey::OpenPgp(key) => (format!("openpgp {key}"), Role::Sender),
            };
            for name in names.split(',').filter(|name| is_plain(name)) {
                let is_approver = role == Role::Sender && approvers.contains(name);
                let role = if is_approver { Role::Approver } else { role };
                let (roles, keys) = found.entry(name.to_owned()).or_default();
                roles.insert(role);
                keys.insert(AuthorityKey(key.clone()));
            }
        }
        let principals = found.into_iter().map(|(principal, (roles, keys))| Principal {
            principal,
            roles: roles.into_iter().collect(),
            keys: keys.into_iter().collect(),
        });
        Self {
            version: AUTHORITY_VERSION.to_owned(),
            owner: owner.to_owned(),
            principals: principals.collect(),
        }
    }
}

/// Whether it is a name, and no pattern of names.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('!') && !name.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn names_have_the_roles_of_their_keys_and_patterns_name_nobody() {
        let text = format!("ops@example.org,dba@example.org {SSH}\n*@example.org {SSH}\n");
        let trust = TrustFile::parse(text.as_bytes()).unwrap();
        let found =
            AuthoritySnapshot::of_trust("lab", &trust, &BTreeSet::from(["ops@example.org"]));
        let roles: Vec<_> =
            found.principals.iter().map(|it| (it.principal.as_str(), it.roles.clone())).collect();
        assert_eq!(
            roles,
            [("dba@example.org", vec![Role::Sender]), ("ops@example.org", vec![Role::Approver])]
        );
        assert_eq!(AuthoritySnapshot::read(&found.bytes()).unwrap(), found);
        let nobody = TrustFile::parse(format!("*@example.org {SSH}\n").as_bytes()).unwrap();
        assert!(AuthoritySnapshot::of_trust("lab", &nobody, &BTreeSet::new()).check().is_err());
    }
}
