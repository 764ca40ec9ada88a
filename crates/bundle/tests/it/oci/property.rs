//! Damage at random never panics, and never passes for another bundle.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use carnet_bundle::{BundleLimits, pack_bundle};
use carnet_ledger::Digest;
use carnet_ledger::audit::Overall;
use proptest::prelude::*;

use super::{Made, verify};

struct Sample {
    made: Made,
    tar: Vec<u8>,
    files: Vec<PathBuf>,
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let made = Made::new();
        let tar = made.folder.path().join("b.tar");
        pack_bundle(&made.path(), &tar, &BundleLimits::default()).unwrap();
        let tar = fs::read(tar).unwrap();
        let blobs = fs::read_dir(made.path().join("blobs/sha256")).unwrap();
        let mut files: Vec<PathBuf> = blobs.map(|it| it.unwrap().path()).collect();
        files.sort();
        Sample { made, tar, files }
    })
}

/// What is done to bytes.
#[derive(Debug, Clone)]
enum Damage {
    Flip { at: prop::sample::Index, bit: u8 },
    Cut { at: prop::sample::Index },
    Insert { at: prop::sample::Index, bytes: Vec<u8> },
    Remove { at: prop::sample::Index, count: usize },
}

impl Damage {
    fn strategy() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        prop_oneof![
            (at(), 0..8_u8).prop_map(|(at, bit)| Self::Flip { at, bit }),
            at().prop_map(|at| Self::Cut { at }),
            (at(), prop::collection::vec(any::<u8>(), 1..600))
                .prop_map(|(at, bytes)| Self::Insert { at, bytes }),
            (at(), 1..600_usize).prop_map(|(at, count)| Self::Remove { at, count }),
        ]
    }

    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Flip { at, bit } if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Cut { at } if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
            Self::Remove { at, count } if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Self::Insert { at, bytes: more } => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Flip { .. } | Self::Cut { .. } | Self::Remove { .. } => bytes.push(0),
        }
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_tar_is_refused_or_the_same_bundle(damage in prop::collection::vec(Damage::strategy(), 1..4)) {
        let sample = sample();
        let bytes = damage.iter().fold(sample.tar.clone(), |bytes, one| one.of(&bytes));
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        // Padding and what comes after the end are not part of a bundle: then it is the same one.
        if let Ok(report) = verify(file.path()) {
            let same = report.manifest_digest == sample.made.sealed.manifest_digest;
            prop_assert!(same || report.overall() != Overall::Verified);
        }
    }

    #[test]
    fn a_damaged_blob_never_passes(damage in Damage::strategy(), which in any::<prop::sample::Index>()) {
        let sample = sample();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("b");
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        for name in ["oci-layout", "index.json"] {
            fs::copy(sample.made.path().join(name), root.join(name)).unwrap();
        }
        let chosen = which.index(sample.files.len());
        for (n, file) in sample.files.iter().enumerate() {
            let bytes = fs::read(file).unwrap();
            let changed = if n == chosen { damage.of(&bytes) } else { bytes.clone() };
            prop_assert!(n != chosen || Digest::of(&changed) != Digest::of(&bytes));
            fs::write(root.join("blobs/sha256").join(file.file_name().unwrap()), changed).unwrap();
        }
        if let Ok(report) = verify(&root) {
            prop_assert_ne!(report.overall(), Overall::Verified);
        }
    }
}
