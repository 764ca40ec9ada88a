//! The bytes of a bundle: fixed for ever, whatever surrounds the one who makes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use carnet_bundle::{BundleLimits, Tally, Work, lay_out, pack_bundle, seal};
use carnet_ledger::Digest;

use super::{Made, data, evidence, sample, verify};

/// Every file under a folder, with the digest of its bytes.
fn files(root: &Path) -> BTreeMap<String, Digest> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, Digest::of(&fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn the_bundle_of_the_fixtures_comes_out_again_byte_for_byte() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/bundle");
    let made = Made::new();
    let tar = made.folder.path().join("sample.tar");
    pack_bundle(&made.path(), &tar, &BundleLimits::default()).unwrap();
    let wanted = fixture.join("sample.tar");
    assert_eq!(Digest::of(&fs::read(&tar).unwrap()), Digest::of(&fs::read(&wanted).unwrap()));
    let report = verify(&wanted).unwrap();
    assert_eq!(report.manifest_digest, made.sealed.manifest_digest);
    assert_eq!(report.overall(), carnet_ledger::audit::Overall::Verified);
}

#[test]
fn order_threads_and_tries_do_not_show() {
    let made = Made::new();
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("another name");
    let mut reversed = data();
    reversed.reverse();
    sample::make(&again, reversed, None, &Work::quiet(1)).unwrap();
    assert_eq!(files(&made.path()), files(&again));
    // Once more into the same folder: nothing is written.
    let sealed = sample::make(&again, data(), None, &Work::quiet(3)).unwrap();
    assert_eq!(sealed.tally.bytes_written, 0);
    assert_eq!(sealed.manifest_digest, made.sealed.manifest_digest);
    assert_eq!(files(&made.path()), files(&again));
}

#[test]
fn what_an_earlier_try_left_is_kept_or_cleared_away() {
    let made = Made::new();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    // An earlier try with more contents was cut off before it was sealed, in the middle of a blob.
    let more = carnet_bundle::BundleItem::bytes(
        carnet_model::portability::ContentType::DataSnapshot,
        "data/dropped",
        "text/plain",
        "no longer wanted",
    );
    let items = sample::needed().into_iter().chain(data()).chain([more]).collect();
    drop(lay_out(&out, items, None, &Work::quiet(2)).unwrap());
    fs::write(out.join("blobs/sha256/.partial-9"), b"half a blo").unwrap();
    let items = sample::needed().into_iter().chain(data()).collect();
    let laid = lay_out(&out, items, None, &Work::quiet(2)).unwrap();
    let skipped = laid.contents().len() as u64;
    assert_eq!(laid.tally().blobs_written, 0, "{:?}", laid.tally());
    assert_eq!(laid.tally().blobs_skipped, skipped);
    let evidence = sample::evidence_items(evidence::export(laid.content_root()));
    seal(laid, evidence, sample::members(), None, &Work::quiet(2)).unwrap();
    assert_eq!(files(&made.path()), files(&out));
}

#[test]
fn a_damaged_blob_of_an_earlier_try_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bundle");
    let items = || sample::needed().into_iter().chain(data()).collect();
    drop(lay_out(&out, items(), None, &Work::quiet(2)).unwrap());
    let made = Made::new();
    let name = made.blob("data/one.bin");
    fs::write(out.join("blobs/sha256").join(name.file_name().unwrap()), [0; 5_000]).unwrap();
    let tally: Tally = lay_out(&out, items(), None, &Work::quiet(2)).unwrap().tally();
    assert_eq!((tally.blobs_written, tally.bytes_written), (1, 5_000));
}

#[test]
fn a_folder_with_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine"), b"x").unwrap();
    let failed = sample::make(folder.path(), data(), None, &Work::quiet(1)).unwrap_err();
    assert_eq!(failed.code(), carnet_model::Code::BUNDLE_EXISTS);
    assert_eq!(files(folder.path()).len(), 1);
    // A finished bundle with other contents.
    let made = Made::new();
    let before = files(&made.path());
    let failed =
        sample::make(&made.path(), data()[..2].to_vec(), None, &Work::quiet(1)).unwrap_err();
    assert_eq!(failed.code(), carnet_model::Code::BUNDLE_EXISTS);
    assert_eq!(files(&made.path()), before);
}

#[test]
fn evidence_cannot_change_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let items = sample::needed();
    let laid = lay_out(&folder.path().join("b"), items, None, &Work::quiet(1)).unwrap();
    let failed = seal(laid, data(), sample::members(), None, &Work::quiet(1)).unwrap_err();
    assert_eq!(failed.code(), carnet_model::Code::USAGE);
}
