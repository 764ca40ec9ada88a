//! Tars that are refused.

use std::fs;
use std::path::{Path, PathBuf};

use carnet_bundle::{Bundle, BundleLimits, Work, pack_bundle, transfer};
use carnet_ledger::audit::Overall;
use carnet_model::Code;

use super::{Made, verify};

/// The tar of the sample, with one entry before its own.
fn with(made: &Made, header: &tar::Header, path: &[u8], content: &[u8]) -> PathBuf {
    let whole = made.folder.path().join("whole.tar");
    if !whole.exists() {
        pack_bundle(&made.path(), &whole, &BundleLimits::default()).unwrap();
    }
    let mut header = header.clone();
    let name = &mut header.as_old_mut().name;
    name.fill(0);
    name[..path.len()].copy_from_slice(path);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(fs::read(&whole).unwrap());
    let out = made.folder.path().join("changed.tar");
    fs::write(&out, bytes).unwrap();
    out
}

fn refused(path: &Path, code: Code, what: &str) {
    let failed = Bundle::open(path, &BundleLimits::default()).err();
    assert_eq!(failed.map(|it| it.code()), Some(code), "{what}");
    assert_eq!(verify(path).unwrap_err().code(), code, "{what}");
    let to = path.with_extension("to");
    let failed = transfer(path, &to, &BundleLimits::default(), &Work::quiet(1)).unwrap_err();
    assert_eq!(failed.code(), code, "{what}");
    assert!(!to.exists(), "{what}");
}

fn plain(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes);
    header
}

#[test]
fn a_tar_is_read_where_it_is() {
    let made = Made::new();
    let tar = with(&made, &plain(1), b"blobs/sha256/more", b"x");
    let report = verify(&tar).unwrap();
    assert_eq!(report.overall(), Overall::Verified);
    assert_eq!(report.manifest_digest, made.sealed.manifest_digest);
}

#[test]
fn names_that_lead_elsewhere_or_stand_twice() {
    let made = Made::new();
    for (name, what) in [
        (&b"../out"[..], "a path traversal"),
        (b"blobs/../../out", "a path traversal inside"),
        (b"/etc/out", "an absolute path"),
        (b"index.json", "a duplicate"),
        (b"INDEX.json", "a name that differs only in case"),
        (b"oci-layout/x", "a file inside a file"),
    ] {
        refused(&with(&made, &plain(1), name, b"x"), Code::BUNDLE_MALFORMED, what);
    }
}

#[test]
fn links_and_special_files() {
    let made = Made::new();
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Char,
        tar::EntryType::Block,
        tar::EntryType::Fifo,
        tar::EntryType::GNUSparse,
    ] {
        let mut header = plain(0);
        header.set_entry_type(kind);
        header.set_link_name("/etc/passwd").unwrap();
        let tar = with(&made, &header, b"blobs/sha256/link", b"");
        refused(&tar, Code::BUNDLE_MALFORMED, &format!("{kind:?}"));
    }
}

#[test]
fn a_size_lie_of_a_tar() {
    let made = Made::new();
    // A header that claims more than the archive has: a few bytes that would become many.
    let tar = with(&made, &plain(1 << 40), b"blobs/sha256/bomb", b"x");
    refused(&tar, Code::BUNDLE_LIMIT, "an entry of a tebibyte");
}

#[test]
fn a_compressed_archive_is_not_opened() {
    let made = Made::new();
    let whole = made.folder.path().join("whole.tar");
    pack_bundle(&made.path(), &whole, &BundleLimits::default()).unwrap();
    let bytes = zstd::encode_all(fs::File::open(&whole).unwrap(), 3).unwrap();
    let out = made.folder.path().join("whole.tar.zst");
    fs::write(&out, bytes).unwrap();
    refused(&out, Code::BUNDLE_MALFORMED, "a compressed tar");
    // A tar that is cut off.
    let bytes = fs::read(&whole).unwrap();
    fs::write(&out, &bytes[..bytes.len() - 2_000]).unwrap();
    refused(&out, Code::BUNDLE_MALFORMED, "a tar that is cut off");
}
