//! Bundles that are transferred and unpacked.

use std::fs;

use carnet_bundle::{Bundle, BundleLimits, Work, pack_bundle, transfer, unpack_contents};
use carnet_ledger::audit::Overall;
use carnet_model::Code;

use super::{Made, verify};

#[test]
fn a_bundle_arrives_from_a_folder_and_from_a_tar() {
    let made = Made::new();
    let limits = BundleLimits::default();
    let tar = made.folder.path().join("b.tar");
    pack_bundle(&made.path(), &tar, &limits).unwrap();
    for (n, from) in [made.path(), tar].into_iter().enumerate() {
        let to = made.folder.path().join(format!("to-{n}"));
        let done = transfer(&from, &to, &limits, &Work::quiet(2)).unwrap();
        assert_eq!(done.manifest_digest, made.sealed.manifest_digest);
        assert_eq!(done.tally.blobs_skipped, 0);
        assert_eq!(verify(&to).unwrap().overall(), Overall::Verified);
        let again = transfer(&from, &to, &limits, &Work::quiet(2)).unwrap();
        assert_eq!(again.tally.blobs_written, 0);
        assert_eq!(again.tally.bytes_skipped, done.tally.bytes_written);
    }
}

#[test]
fn a_transfer_that_was_cut_off_continues_by_blob() {
    let made = Made::new();
    let limits = BundleLimits::default();
    let to = made.folder.path().join("to");
    let whole = transfer(&made.path(), &to, &limits, &Work::quiet(2)).unwrap().tally;
    // What a process that is killed leaves: no index, one blob missing, one half there, one damaged.
    let blobs = to.join("blobs/sha256");
    let name = |path: &str| made.blob(path).file_name().unwrap().to_owned();
    fs::remove_file(to.join("index.json")).unwrap();
    fs::rename(blobs.join(name("data/one.bin")), blobs.join(".partial-0")).unwrap();
    fs::write(blobs.join(name("data/text")), b"abd").unwrap();
    assert_eq!(verify(&to).unwrap_err().code(), Code::BUNDLE_MALFORMED);
    let done = transfer(&made.path(), &to, &limits, &Work::quiet(2)).unwrap().tally;
    assert_eq!((done.blobs_written, done.bytes_written), (2, 5_003));
    assert_eq!(done.bytes_skipped + done.bytes_written, whole.bytes_written);
    assert_eq!(verify(&to).unwrap().overall(), Overall::Verified);
    assert!(!blobs.join(".partial-0").exists());
}

#[test]
fn a_swapped_blob_stops_a_transfer_and_nothing_is_a_bundle() {
    let made = Made::new();
    fs::write(made.blob("data/one.bin"), [8; 5_000]).unwrap();
    let to = made.folder.path().join("to");
    let failed =
        transfer(&made.path(), &to, &BundleLimits::default(), &Work::quiet(2)).unwrap_err();
    assert_eq!(failed.code(), Code::BUNDLE_DAMAGED);
    assert!(!to.join("index.json").exists());
    let left = fs::read_dir(to.join("blobs/sha256")).unwrap();
    for entry in left {
        let name = entry.unwrap().file_name();
        assert_ne!(Some(name.as_os_str()), made.blob("data/one.bin").file_name());
        assert!(!name.to_str().unwrap().starts_with(".partial"));
    }
    let tar = made.folder.path().join("b.tar");
    let failed = pack_bundle(&made.path(), &tar, &BundleLimits::default()).err().unwrap();
    assert_eq!(failed.code(), Code::BUNDLE_DAMAGED);
    assert!(!tar.exists());
}

#[test]
fn a_place_that_holds_another_bundle_is_refused() {
    let made = Made::new();
    let to = made.folder.path().join("to");
    let other =
        super::sample::make(&to, super::data()[1..].to_vec(), None, &Work::quiet(1)).unwrap();
    let failed =
        transfer(&made.path(), &to, &BundleLimits::default(), &Work::quiet(1)).unwrap_err();
    assert_eq!(failed.code(), Code::BUNDLE_EXISTS);
    assert_eq!(verify(&to).unwrap().manifest_digest, other.manifest_digest);
}

#[test]
fn contents_are_unpacked_and_checked() {
    let made = Made::new();
    let bundle = Bundle::open(&made.path(), &BundleLimits::default()).unwrap();
    let out = made.folder.path().join("out");
    let data =
        |content: &carnet_model::portability::BundleContent| content.path.starts_with("data/");
    let unpacked = unpack_contents(&bundle, data, "data", &out, None, &Work::quiet(2)).unwrap();
    assert_eq!((unpacked.files, unpacked.bytes), (3, 5_003));
    assert_eq!(fs::read(out.join("one.bin")).unwrap(), [7; 5_000]);
    assert_eq!(fs::read(out.join("two/empty")).unwrap(), b"");
    let again = unpack_contents(&bundle, data, "data", &out, None, &Work::quiet(2));
    assert_eq!(again.unwrap_err().code(), Code::BUNDLE_EXISTS);
    fs::write(made.blob("data/one.bin"), [8; 5_000]).unwrap();
    let bundle = Bundle::open(&made.path(), &BundleLimits::default()).unwrap();
    let out = made.folder.path().join("out2");
    let failed = unpack_contents(&bundle, data, "data", &out, None, &Work::quiet(2)).unwrap_err();
    assert_eq!(failed.code(), Code::BUNDLE_DAMAGED);
    assert!(!out.exists());
    assert_eq!(bundle.read("data/one.bin", 10_000).unwrap_err().code(), Code::BUNDLE_DAMAGED);
    assert_eq!(bundle.read("data/text", 3).unwrap(), b"abc");
    assert_eq!(bundle.read("data/text", 2).unwrap_err().code(), Code::BUNDLE_LIMIT);
}
