//! Verify: no damage passes, and each is named.

use std::fs;
use std::path::{Path, PathBuf};

use carnet_bundle::{
    CheckVerdict, Exported, ManifestSigner, SnapshotStore, Verification, Work, export_snapshot,
    verify_snapshot,
};
use carnet_connect::{IdRange, MemoryStore, StoreError, StoreSnapshot};
use carnet_ledger::Digest;
use carnet_ledger::detached::SignatureForm;
use carnet_model::Code;
use proptest::prelude::*;

use crate::content::{contract, fill, name, plain_rows, records, store_of};
use crate::export::{bytes_of, export, request};

/// A small snapshot with every kind of file.
fn whole(dir: &Path, records_of_first: u32) -> Exported {
    let store = MemoryStore::default();
    fill(&store, &contract("alpha"), records(&plain_rows(records_of_first)));
    fill(&store, &contract("beta"), records(&plain_rows(7)));
    let artifacts = dir.join("artifacts");
    fs::create_dir_all(artifacts.join("bpmn")).unwrap();
    fs::create_dir_all(artifacts.join("prompts")).unwrap();
    fs::write(artifacts.join("bpmn/a.bpmn"), "<definitions/>").unwrap();
    fs::write(artifacts.join("prompts/p.yaml"), "p: 1").unwrap();
    let request = carnet_bundle::ExportRequest {
        artifacts: Some(&artifacts),
        metadata_apart: true,
        ..request(dir)
    };
    export_snapshot(&store, &request, &Work::quiet(2)).unwrap()
}

fn verify(dir: &Path) -> Verification {
    verify_snapshot(dir, &Work::quiet(2)).unwrap()
}

fn failed(verification: &Verification, check: &str) -> String {
    assert!(!verification.is_ok());
    assert!(verification.collections.is_empty());
    let found = verification.checks.iter().find(|c| c.name == check).unwrap();
    assert_eq!(found.verdict, CheckVerdict::Fail, "{check}: {verification:?}");
    found.first.clone().unwrap()
}

#[test]
fn a_whole_snapshot_passes_every_check() {
    let dir = tempfile::tempdir().unwrap();
    let exported = whole(dir.path(), 9_000);
    for workers in [1, 2, 5] {
        let verification = verify_snapshot(&exported.path, &Work::quiet(workers)).unwrap();
        assert!(verification.is_ok(), "{verification:?}");
        assert_eq!(verification.checks.len(), 14);
        assert_eq!(verification.collections, exported.collections);
        assert_eq!(verification.code(), None);
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(verify(&export(&MemoryStore::default(), empty.path(), 1).path).is_ok());
    let none = verify_snapshot(&dir.path().join("none"), &Work::quiet(1)).unwrap_err();
    assert_eq!(none.code(), Code::STORE_NOT_FOUND);
}

#[test]
fn one_flipped_bit_in_any_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(dir.path(), 40).path;
    let mut random = 1u64;
    for (file, bytes) in bytes_of(&path) {
        for _ in 0..12 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            let at = usize::try_from(random >> 33).unwrap() % bytes.len();
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (random >> 30 & 7);
            fs::write(path.join(&file), &damaged).unwrap();
            let verification = verify(&path);
            assert!(!verification.is_ok(), "{file} at {at}");
            if file == "checksums.sha256" {
                let first = verification.first_difference().unwrap();
                assert!(
                    first.starts_with("checksums.sha256") || first.contains("checksums.sha256: "),
                    "{first}"
                );
            } else {
                assert!(failed(&verification, "sha256").contains(&file), "{file} at {at}");
            }
        }
        fs::write(path.join(&file), &bytes[..bytes.len() - 1]).unwrap();
        assert!(!verify(&path).is_ok(), "{file} truncated");
        fs::write(path.join(&file), "").unwrap();
        assert!(!verify(&path).is_ok(), "{file} empty");
        fs::remove_file(path.join(&file)).unwrap();
        let verification = verify(&path);
        assert!(!verification.is_ok(), "{file} missing");
        if file != "checksums.sha256" {
            assert!(failed(&verification, "files").contains(&file));
        }
        fs::write(path.join(&file), &bytes).unwrap();
        assert!(verify(&path).is_ok());
    }
}

#[test]
fn what_does_not_belong_there_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(dir.path(), 5).path;
    fs::write(path.join("bpmn/b.bpmn"), "").unwrap();
    let verification = verify(&path);
    assert!(failed(&verification, "files").contains("bpmn/b.bpmn"));
    assert!(failed(&verification, "artifacts").contains("bpmn/ holds 2 files"));
    fs::remove_file(path.join("bpmn/b.bpmn")).unwrap();
    fs::create_dir(path.join("empty")).unwrap();
    assert!(failed(&verify(&path), "files").contains("empty"));
    fs::remove_dir(path.join("empty")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("logs")).unwrap();
    assert!(failed(&verify(&path), "files").contains("links do not travel"));
}

/// Makes the list of checksums fit what is there.
fn checksum_list_again(path: &Path) {
    fs::write(path.join("checksums.sha256"), checksum_lines(path, &["checksums.sha256"])).unwrap();
}

fn checksum_lines(path: &Path, without: &[&str]) -> String {
    let files = bytes_of(path).into_iter().filter(|(file, _)| !without.contains(&file.as_str()));
    let lines: Vec<_> =
        files.map(|(file, bytes)| format!("{}  {file}\n", Digest::of(&bytes))).collect();
    lines.concat()
}

/// Makes the list of checksums, and what the manifest says of it, fit what is there, as somebody
/// who covers up would.
fn checksum_again(path: &Path) {
    let others = checksum_lines(path, &["checksums.sha256", "manifest.json"]);
    let manifest = fs::read_to_string(path.join("manifest.json")).unwrap();
    let (before, after) = manifest.split_once("\"files_sha256\": \"").unwrap();
    let digest = Digest::of(others.as_bytes());
    let fitting = format!("{before}\"files_sha256\": \"{digest}{}", &after[64..]);
    fs::write(path.join("manifest.json"), fitting).unwrap();
    checksum_list_again(path);
}

fn edit_manifest(path: &Path, from: &str, to: &str) {
    let file = path.join("manifest.json");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn an_edited_manifest_is_found_even_with_new_checksums() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(dir.path(), 5).path;
    let before = fs::read(path.join("manifest.json")).unwrap();
    let root = verify(&path).collections[0].root.to_string();
    for (from, to, check) in [
        ("\"record_count\": 12", "\"record_count\": 11", "manifest"),
        ("\"bpmn_count\": 1", "\"bpmn_count\": 2", "manifest"),
        ("\"metric\": \"l2\"", "\"metric\": \"cosine\"", "manifest"),
        (root.as_str(), "0000000000000000000000000000000000000000000000000000000000000000", "root"),
        ("\"digests.parquet\": ", "\"digests.parquet\": 1", "sizes"),
        ("\"schema_version\": 1", "\"schema_version\": 2", "manifest"),
        ("\"name\": \"alpha\"", "\"name\": \"omega\"", "manifest"),
    ] {
        edit_manifest(&path, from, to);
        assert!(failed(&verify(&path), "sha256").contains("manifest.json"));
        checksum_again(&path);
        let verification = verify(&path);
        failed(&verification, check);
        let version = check == "manifest" && from.contains("schema_version");
        assert_eq!(verification.code() == Some(Code::SNAPSHOT_VERSION), version);
        fs::write(path.join("manifest.json"), &before).unwrap();
        checksum_again(&path);
        assert!(verify(&path).is_ok());
    }
    // Consistent in all its parts: count, flat count.
    edit_manifest(&path, "\"record_count\": 12", "\"record_count\": 11");
    edit_manifest(&path, "\"record_count\": 5", "\"record_count\": 4");
    checksum_again(&path);
    assert!(failed(&verify(&path), "records").contains("5 records, the manifest says 4"));
}

/// A signature of the manifest covers what the manifest says, so it must say what is in each file.
#[test]
fn the_manifest_vouches_for_the_bytes_of_artifacts() {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(dir.path(), 5).path;
    fs::write(path.join("prompts/p.yaml"), "p: 2").unwrap();
    checksum_list_again(&path);
    let verification = verify(&path);
    assert!(failed(&verification, "file_list").contains("the manifest says"));
    let failed: Vec<_> =
        verification.checks.iter().filter(|c| c.verdict != CheckVerdict::Pass).collect();
    assert_eq!(failed.len(), 1, "nothing else sees it: {failed:?}");
    checksum_again(&path);
    assert!(verify(&path).is_ok());
}

/// Signs with the digest, or has no ink.
struct Pen(SignatureForm, bool);

impl ManifestSigner for Pen {
    fn form(&self) -> SignatureForm {
        self.0
    }

    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, StoreError> {
        if self.1 {
            Ok(Digest::of(manifest).to_string().into_bytes())
        } else {
            Err(StoreError::new(Code::BUG, "no ink"))
        }
    }
}

#[test]
fn signatures_of_the_manifest_may_stand_beside_it_and_nothing_like_them() {
    let dir = tempfile::tempdir().unwrap();
    let (ssh, openpgp) = (Pen(SignatureForm::Ssh, true), Pen(SignatureForm::OpenPgp, true));
    let signers: [&dyn ManifestSigner; 2] = [&ssh, &openpgp];
    let request = carnet_bundle::ExportRequest { signers: &signers, ..request(dir.path()) };
    let exported = export_snapshot(&store_of(&plain_rows(5)), &request, &Work::quiet(1)).unwrap();
    let path = exported.path;
    let manifest = fs::read(path.join("manifest.json")).unwrap();
    for name in ["manifest.json.sig", "manifest.json.asc"] {
        let signature = fs::read_to_string(path.join(name)).unwrap();
        assert_eq!(signature, Digest::of(&manifest).to_string());
    }
    let all: u64 = bytes_of(&path).values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!(exported.bytes, all);
    assert!(verify(&path).is_ok());
    for name in ["manifest.json.gpg", "checksums.sha256.sig", "collections/manifest.json.sig"] {
        let other = path.join(name);
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::write(&other, "x").unwrap();
        assert!(failed(&verify(&path), "files").contains(name));
        fs::remove_file(&other).unwrap();
    }
}

#[test]
fn an_export_that_cannot_be_signed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let empty = Pen(SignatureForm::Ssh, false);
    let signers: [&dyn ManifestSigner; 1] = [&empty];
    let request = carnet_bundle::ExportRequest { signers: &signers, ..request(dir.path()) };
    let error = export_snapshot(&store_of(&plain_rows(5)), &request, &Work::quiet(1)).unwrap_err();
    assert_eq!(error.to_string(), "no ink");
    assert_eq!(bytes_of(dir.path()).len(), 0);
}

/// The files of another snapshot put in place of the right ones, with everything recounted.
fn swap_files(
    files: &[&str],
    rows: u32,
    change: impl Fn(&mut crate::content::Rows),
) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = whole(dir.path(), 20).path;
    let other = tempfile::tempdir().unwrap();
    let mut changed = plain_rows(rows);
    change(&mut changed);
    let store = store_of(&changed);
    let request = carnet_bundle::ExportRequest { metadata_apart: true, ..request(other.path()) };
    let from = export_snapshot(&store, &request, &Work::quiet(1)).unwrap().path;
    for file in files {
        fs::copy(from.join(file), path.join(file)).unwrap();
        let bytes = |path: &Path| fs::metadata(path.join(file)).unwrap().len();
        let text = fs::read_to_string(path.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let old = manifest["files"][file].as_u64().unwrap();
        edit_manifest(
            &path,
            &format!("\"{file}\": {old}"),
            &format!("\"{file}\": {}", bytes(&path)),
        );
    }
    checksum_again(&path);
    (dir, path)
}

#[test]
fn the_record_that_differs_is_named() {
    let flip = |rows: &mut crate::content::Rows| {
        rows.get_mut("id-000013").unwrap().bits[2] ^= 1;
    };
    let (_dir, path) = swap_files(&["embeddings.parquet"], 20, flip);
    let verification = verify(&path);
    assert!(failed(&verification, "digests").contains("id-000013"));
    failed(&verification, "root");
    assert_eq!(verification.code(), Some(Code::SNAPSHOT_DAMAGED));

    let (_dir, path) = swap_files(&["embeddings.parquet", "digests.parquet"], 20, flip);
    let verification = verify(&path);
    failed(&verification, "root");

    let (_dir, path) = swap_files(&["digests.parquet"], 19, |_| ());
    assert!(failed(&verify(&path), "digests").contains("does not have the same rows"));
    let (_dir, path) = swap_files(&["digests.parquet"], 9_000, |_| ());
    failed(&verify(&path), "digests");
    let (_dir, path) = swap_files(&["metadata.parquet"], 20, |rows| {
        rows.get_mut("id-000002").unwrap().metadata = r#"{"n":3}"#.to_owned();
    });
    assert!(failed(&verify(&path), "metadata").contains("id-000002"));
    let (_dir, path) = swap_files(&["embeddings.parquet"], 20, |rows| {
        rows.get_mut("id-000002").unwrap().metadata = r#"{"n": 2}"#.to_owned();
    });
    assert!(failed(&verify(&path), "canonical").contains("id-000002"));
    let (_dir, path) = swap_files(&["embeddings.parquet"], 21, |_| ());
    assert!(failed(&verify(&path), "records").contains("21 records"));
}

fn read_all(store: &SnapshotStore) {
    let Ok(names) = store.collections() else { return };
    for name in names {
        for range in store.ranges(&name, 3).unwrap_or_default() {
            let Ok(mut stream) = store.scan(&name, &range) else { continue };
            while let Ok(Some(_)) = stream.next() {}
        }
        for shard in store.shards(&name, 3).unwrap_or_default() {
            let Ok(mut stream) = store.scan_shard(&name, &shard) else { continue };
            while let Ok(Some(_)) = stream.next() {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]
    /// Reading damaged files as a store ends with records or an error, never with a panic.
    #[test]
    fn damaged_parquet_is_an_error(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..5),
        cut in prop::option::of(any::<prop::sample::Index>()),
        tail in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = export(&store_of(&plain_rows(60)), dir.path(), 1).path;
        let file = path.join("embeddings.parquet");
        let mut bytes = fs::read(&file).unwrap();
        // Most of what can go wrong is in the footer.
        let from = if tail { bytes.len() / 2 } else { 0 };
        let length = bytes.len() - from;
        for (at, bit) in flips {
            bytes[from + at.index(length)] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&file, bytes).unwrap();
        let store = SnapshotStore::open(&path).unwrap();
        read_all(&store);
        prop_assert!(!verify(&path).is_ok());
        let _ = store.scan(&name("embeddings"), &IdRange::all());
    }
}
