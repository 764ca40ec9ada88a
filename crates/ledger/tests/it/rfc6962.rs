//! Every public vector for inclusion and consistency proofs.

use std::fs;
use std::path::{Path, PathBuf};

use carnet_ledger::{Digest, verify_consistency, verify_inclusion};
use serde_json::Value as Json;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn cases(name: &str) -> Vec<(String, Json)> {
    let mut found = Vec::new();
    files(&crate::vectors("rfc6962").join(name), &mut found);
    found
        .into_iter()
        .map(|path| {
            let case = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path.display().to_string(), case)
        })
        .collect()
}

fn base64(text: &Json) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for c in text.as_str().unwrap_or_default().trim_end_matches('=').chars() {
        bits = (bits << 6) | u32::try_from(ALPHABET.find(c).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xFF).unwrap());
        }
    }
    bytes
}

/// A hash of 32 bytes; None for anything else, which our types cannot hold.
fn hash(text: &Json) -> Option<Digest> {
    base64(text).try_into().ok().map(Digest)
}

fn proof(case: &Json) -> Option<Vec<Digest>> {
    case["proof"].as_array().map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash).collect())
}

#[test]
fn inclusion() {
    let cases = cases("inclusion");
    assert_eq!(cases.len(), 98);
    for (name, case) in cases {
        let holds = (|| {
            let index = case["leafIdx"].as_u64()?;
            let size = case["treeSize"].as_u64()?;
            let (leaf, root) = (hash(&case["leafHash"])?, hash(&case["root"])?);
            verify_inclusion(leaf, index, size, &proof(&case)?, root).ok()
        })();
        assert_eq!(holds.is_none(), case["wantErr"].as_bool().unwrap(), "{name}");
    }
}

#[test]
fn consistency() {
    let cases = cases("consistency");
    assert_eq!(cases.len(), 98);
    for (name, case) in cases {
        // Some vectors have short texts for roots that are never hashed: any digest does, as long
        // as equal texts stay equal.
        let root = |text: &Json| hash(text).unwrap_or_else(|| Digest::of(&base64(text)));
        let holds = (|| {
            let (size1, size2) = (case["size1"].as_u64()?, case["size2"].as_u64()?);
            let (root1, root2) = (root(&case["root1"]), root(&case["root2"]));
            verify_consistency(size1, root1, size2, root2, &proof(&case)?).ok()
        })();
        assert_eq!(holds.is_none(), case["wantErr"].as_bool().unwrap(), "{name}");
    }
}
