//! Archives: the same bytes again, and nothing dangerous comes out.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use carnet_bundle::{
    ArchiveKind, ArchiveLimits, SnapshotPlace, Work, pack, unpack, verify_snapshot,
};
use carnet_model::Code;
use proptest::prelude::*;

use crate::content::{plain_rows, store_of};
use crate::export::{bytes_of, export};

const KINDS: [ArchiveKind; 2] = [ArchiveKind::Tar, ArchiveKind::Zip];

fn packed(dir: &Path, kind: ArchiveKind) -> (PathBuf, PathBuf) {
    let snapshot = export(&store_of(&plain_rows(50)), dir, 1).path;
    fs::create_dir_all(snapshot.join("logs").join("x".repeat(120))).unwrap();
    fs::write(snapshot.join("logs").join("x".repeat(120)).join("é.jsonl"), "{}").unwrap();
    let out = dir.join("s").with_extension(kind.extension());
    pack(&snapshot, kind, &out).unwrap();
    (snapshot, out)
}

#[test]
fn a_snapshot_comes_back_byte_for_byte() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let (snapshot, archive) = packed(dir.path(), kind);
        let again = dir.path().join("again");
        pack(&snapshot, kind, &again).unwrap();
        assert_eq!(fs::read(&archive).unwrap(), fs::read(&again).unwrap());
        assert_eq!(pack(&snapshot, kind, &again).unwrap_err().code(), Code::SNAPSHOT_EXISTS);
        let elsewhere = tempfile::tempdir().unwrap();
        let back = unpack(&archive, elsewhere.path(), &ArchiveLimits::default()).unwrap();
        assert_eq!(back.file_name(), snapshot.file_name());
        assert_eq!(bytes_of(&back), bytes_of(&snapshot));
        let taken = unpack(&archive, elsewhere.path(), &ArchiveLimits::default()).unwrap_err();
        assert_eq!(taken.code(), Code::SNAPSHOT_EXISTS);
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }
}

#[test]
fn an_archive_is_read_where_a_directory_is() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = export(&store_of(&plain_rows(50)), dir.path(), 1).path;
        let archive = dir.path().join("snapshot");
        pack(&snapshot, kind, &archive).unwrap();
        let before = fs::read_dir(dir.path()).unwrap().count();
        let place = SnapshotPlace::open(&archive, &ArchiveLimits::default()).unwrap();
        assert!(verify_snapshot(place.dir(), &Work::quiet(1)).unwrap().is_ok());
        drop(place);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before);
        let place = SnapshotPlace::open(&snapshot, &ArchiveLimits::default()).unwrap();
        assert_eq!(place.dir(), snapshot);
    }
}

#[test]
fn limits_hold() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let (_, archive) = packed(dir.path(), kind);
        for limits in [
            ArchiveLimits { entries: 2, ..ArchiveLimits::default() },
            ArchiveLimits { bytes: 1_000, ..ArchiveLimits::default() },
        ] {
            let dest = tempfile::tempdir().unwrap();
            let refused = unpack(&archive, dest.path(), &limits).unwrap_err();
            assert_eq!(refused.code(), Code::SNAPSHOT_MALFORMED);
            assert_eq!(fs::read_dir(dest.path()).unwrap().count(), 0);
        }
    }
}

pub(crate) enum Entry<'e> {
    File(&'e str),
    Link(&'e str),
}

pub(crate) fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        let path = match entry {
            Entry::File(path) => {
                header.set_size(1);
                path
            }
            Entry::Link(path) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_link_name("/etc/passwd").unwrap();
                header.set_size(0);
                path
            }
        };
        // The builder refuses such paths: they are written as another tool would.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        let content: &[u8] = if matches!(entry, Entry::File(_)) { b"x" } else { b"" };
        tar.append(&header, content).unwrap();
    }
    tar.into_inner().unwrap()
}

pub(crate) fn zip_of(entries: &[Entry<'_>], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for entry in entries {
        match entry {
            Entry::File(path) => {
                zip.start_file(*path, options).unwrap();
                zip.write_all(b"x").unwrap();
            }
            Entry::Link(path) => zip.add_symlink(*path, "/etc/passwd", options).unwrap(),
        }
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn dangerous_entries_are_refused_and_leave_nothing() {
    use Entry::{File, Link};
    let cases: [(&[Entry<'_>], &str); 9] = [
        (&[File("s/../../out")], "leads elsewhere"),
        (&[File("/abs")], "leads elsewhere"),
        (&[File("s/./a")], "leads elsewhere"),
        (&[File("s/a"), File("s/A")], "only in case"),
        (&[File("s/a"), File("s/a/b")], "inside a file"),
        (&[File("s/a/b"), File("s/a")], "only in case"),
        (&[File("s/a"), File("t/a")], "second folder"),
        (&[File("loose")], "not in the snapshot's folder"),
        (&[Link("s/link")], "neither a file nor a directory"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let check = |bytes: Vec<u8>, what: &str| {
        let archive = dir.path().join("archive");
        fs::write(&archive, bytes).unwrap();
        let dest = tempfile::tempdir_in(dir.path()).unwrap();
        let refused = unpack(&archive, dest.path(), &ArchiveLimits::default()).unwrap_err();
        assert!(refused.to_string().contains(what), "{refused} and not {what}");
        assert_eq!(fs::read_dir(dest.path()).unwrap().count(), 0, "{what}");
        assert!(!dir.path().join("out").exists());
    };
    for (entries, what) in cases {
        check(tar_of(entries), what);
        check(zip_of(entries, zip::CompressionMethod::Stored), what);
    }
    check(tar_of(&[File("s/a"), File("s/a")]), "twice");
    check(Vec::new(), "holds no snapshot");
    check(b"PK\x03\x04 and nothing else".to_vec(), "not a readable zip");
    let mut cut = tar_of(&[File("s/a"), File("s/b")]);
    cut.truncate(600);
    check(cut, "not a readable tar");
}

#[test]
fn a_sparse_file_that_claims_much_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("s/big").unwrap();
    header.set_size(1 << 40);
    header.set_mode(0o644);
    header.set_cksum();
    let archive = dir.path().join("archive");
    File::create(&archive).unwrap().write_all(header.as_bytes()).unwrap();
    let refused = unpack(&archive, dir.path(), &ArchiveLimits::default()).unwrap_err();
    assert!(refused.to_string().contains("more bytes than it has"), "{refused}");
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(mut bytes in prop::collection::vec(any::<u8>(), 0..2_000), zip in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        if zip {
            bytes.splice(0..0, *b"PK\x03\x04");
        }
        let archive = dir.path().join("archive");
        fs::write(&archive, bytes).unwrap();
        prop_assert!(unpack(&archive, dir.path(), &ArchiveLimits::default()).is_err());
    }

    #[test]
    fn a_damaged_archive_is_refused_or_its_snapshot_is(
        at in any::<prop::sample::Index>(), bit in 0u8..8, zip in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = export(&store_of(&plain_rows(5)), dir.path(), 1).path;
        let kind = if zip { ArchiveKind::Zip } else { ArchiveKind::Tar };
        let archive = dir.path().join("archive");
        pack(&snapshot, kind, &archive).unwrap();
        let before = bytes_of(&snapshot);
        let mut bytes = fs::read(&archive).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&archive, bytes).unwrap();
        let dest = tempfile::tempdir().unwrap();
        if let Ok(back) = unpack(&archive, dest.path(), &ArchiveLimits::default()) {
            let same = bytes_of(&back) == before;
            prop_assert_eq!(verify_snapshot(&back, &Work::quiet(1)).unwrap().is_ok(), same);
        }
    }
}
