//! What was placed of a bundle, read again.

use std::collections::BTreeSet;
use std::path::Path;

use carnet_ledger::Digest;
use carnet_model::portability::{BundleContent, BundleManifest, MANIFEST_PATH, content_root};

use crate::error::BundleError;
use crate::files::{hash_file, list_tree};
use crate::oci::BundleFault;
use crate::work::Work;

/// Reads every file in a folder into which the contents of a bundle were placed. Gives the root over
/// them; refuses a folder in which one is missing, is another, or is there beside them.
pub fn check_placed(
    manifest: &BundleManifest,
    place: &Path,
    work: &Work<'_>,
) -> Result<Digest, BundleError> {
    let mut found: BTreeSet<String> =
        list_tree(place)?.files.into_iter().map(|(path, _)| path).collect();
    found.remove(MANIFEST_PATH);
    for content in &manifest.contents {
        if !found.remove(&content.path) {
            return Err(damaged(place, format!("{} is missing", content.path)));
        }
    }
    if let Some(first) = found.first() {
        let what = format!("{first} is there, and is no content of the bundle");
        return Err(damaged(place, what));
    }
    let total = manifest.contents.iter().map(|content| content.size).sum();
    let job = work.progress.job("read what was placed", "bytes", Some(total));
    let read = work.each(manifest.contents.iter().collect(), |_, content: &BundleContent| {
        let sum = hash_file(&place.join(&content.path), |bytes| job.add(bytes))?;
        let integrity_hash = format!("sha256:{}", sum.sha256);
        if integrity_hash != content.integrity_hash {
            let what = format!(
                "{} is {integrity_hash}, and {} crossed",
                content.path, content.integrity_hash
            );
            return Err(damaged(place, what));
        }
        Ok(BundleContent { integrity_hash, size: sum.bytes, ..content.clone() })
    })?;
    Ok(content_root(&read))
}

fn damaged(place: &Path, what: impl Into<String>) -> BundleError {
    BundleFault::Damaged(what.into()).at(place)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use carnet_model::portability::{
        BundleGovernance, ContentType, EvidenceRange, Producer, Scenario,
    };

    use super::*;

    fn manifest(files: &[(&str, &[u8])]) -> BundleManifest {
        let content = |(path, bytes): &(&str, &[u8])| BundleContent {
            kind: ContentType::DataSnapshot,
            path: (*path).to_owned(),
            media_type: "text/plain".to_owned(),
            integrity_hash: format!("sha256:{}", Digest::of(bytes)),
            size: bytes.len() as u64,
            encryption: None,
        };
        let contents: Vec<_> = files.iter().map(content).collect();
        BundleManifest {
            version: carnet_model::portability::BUNDLE_VERSION.to_owned(),
            created: "2026-11-01T00:00:00Z".to_owned(),
            source_provider: "lab".to_owned(),
            tenant_id: "t".to_owned(),
            scenario: Scenario::DataOnly,
            workload_id: None,
            evidence_profile_id: String::new(),
            profile_version: String::new(),
            hash_profile_id: String::new(),
            producer_identity: Producer { issuer_id: String::new(), producer_id: String::new() },
            scope: EvidenceRange { from_sequence: 0, to_sequence: 0 },
            content_root: content_root(&contents),
            contents,
            governance_metadata: BundleGovernance {
                jurisdiction: "DE".to_owned(),
                classification: "internal".to_owned(),
                retention: "P1D".to_owned(),
                evidence_pointers: Vec::new(),
            },
            policy_snapshot_id: String::new(),
            authority_snapshot_id: String::new(),
        }
    }

    #[test]
    fn what_was_placed_has_the_root_and_all_else_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 2] = [("data/a", b"one"), ("data/b", b"two")];
        let manifest = manifest(&files);
        let place = |name: &str| {
            let place = home.path().join(name);
            fs::create_dir_all(place.join("data")).unwrap();
            fs::write(place.join(MANIFEST_PATH), "{}").unwrap();
            for (path, bytes) in files {
                fs::write(place.join(path), bytes).unwrap();
            }
            place
        };
        let work = Work::quiet(2);
        let whole = place("whole");
        assert_eq!(check_placed(&manifest, &whole, &work).unwrap(), manifest.content_root);
        let told = |place: &Path| check_placed(&manifest, place, &work).unwrap_err().to_string();
        let (other, missing, more) = (place("other"), place("missing"), place("more"));
        fs::write(other.join("data/b"), "twO").unwrap();
        fs::remove_file(missing.join("data/a")).unwrap();
        fs::write(more.join("data/c"), "").unwrap();
        assert!(told(&other).contains("data/b"), "{}", told(&other));
        assert!(told(&missing).contains("data/a is missing"), "{}", told(&missing));
        assert!(told(&more).contains("data/c is there"), "{}", told(&more));
    }
}
