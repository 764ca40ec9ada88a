//! Packages: the same files from a directory, a tar and a zip, and nothing dangerous.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use carnet_bundle::{ArchiveKind, ArchiveLimits, BundleError, Package, pack};
use carnet_ledger::audit::Material;
use carnet_model::Code;

use crate::archive::{Entry, tar_of, zip_of};

fn open(path: &Path) -> Result<Package, BundleError> {
    Package::open(path, &ArchiveLimits::default())
}

fn files(package: &Package) -> BTreeMap<String, String> {
    let read = |name: &String| {
        let mut text = String::new();
        package.open(name).unwrap().read_to_string(&mut text).unwrap();
        (name.clone(), text)
    };
    let files: BTreeMap<_, _> = package.entries().iter().map(|(name, _)| read(name)).collect();
    for (name, bytes) in package.entries() {
        assert_eq!(files[name].len() as u64, *bytes);
    }
    files
}

#[test]
fn the_same_files_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("bundle");
    fs::create_dir_all(folder.join("artifacts")).unwrap();
    let long = format!("artifacts/{}", "x".repeat(150));
    for (name, text) in [("manifest.json", "{}"), ("empty", ""), ("é", "é"), (&long, "long")] {
        fs::write(folder.join(name), text).unwrap();
    }
    let wanted = files(&open(&folder).unwrap());
    assert_eq!(wanted.len(), 4);
    for kind in [ArchiveKind::Tar, ArchiveKind::Zip] {
        let out = dir.path().join("a").with_extension(kind.extension());
        pack(&folder, kind, &out).unwrap();
        let package = open(&out).unwrap();
        assert_eq!(files(&package), wanted);
        assert!(package.open("../bundle/manifest.json").is_err());
        assert!(package.open("other").is_err());
        // Two at once, each at its own place.
        let (mut a, mut b) = (package.open("é").unwrap(), package.open(&long).unwrap());
        let (mut one, mut two) = ([0; 1], [0; 2]);
        a.read_exact(&mut one).unwrap();
        b.read_exact(&mut two).unwrap();
        a.read_exact(&mut one).unwrap();
        assert_eq!((one[0], &two), ("é".as_bytes()[1], b"lo"));
    }
}

#[test]
fn files_beside_one_another_need_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tar");
    for entries in [
        &[Entry::File("./a"), Entry::File("./b/c")][..],
        &[Entry::File("a"), Entry::File("b/c")],
        &[Entry::File("f/a"), Entry::File("f/b/c")],
    ] {
        fs::write(&path, tar_of(entries)).unwrap();
        let names: Vec<_> = files(&open(&path).unwrap()).into_keys().collect();
        assert_eq!(names, ["a", "b/c"]);
    }
}

#[test]
fn dangerous_entries_are_refused() {
    use Entry::{File, Link};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    let refused = |bytes: Vec<u8>, what: &str| {
        fs::write(&path, bytes).unwrap();
        let Err(error) = open(&path) else { panic!("read, and not: {what}") };
        assert!(error.to_string().contains(what), "{error} and not {what}");
        assert_eq!(error.code(), Code::SNAPSHOT_MALFORMED);
    };
    for (entries, what) in [
        (&[File("s/../../out")][..], "leads elsewhere"),
        (&[File("../out")], "leads elsewhere"),
        (&[File("/abs")], "leads elsewhere"),
        (&[File("././a")], "leads elsewhere"),
        (&[File("a"), File("A")], "only in case"),
        (&[File("a"), File("a/b")], "inside a file"),
        (&[Link("link")], "neither a file nor a directory"),
    ] {
        refused(tar_of(entries), what);
        refused(zip_of(entries, zip::CompressionMethod::Stored), what);
    }
    refused(tar_of(&[File("a"), File("a")]), "twice");
    refused(Vec::new(), "ends early");
    refused(vec![0; 1024], "holds no files");
    refused(b"PK\x03\x04 and nothing else".to_vec(), "not a readable zip");
    let mut cut = tar_of(&[File("s/a"), File("s/b")]);
    for size in [600, 1024, 1536, 2048] {
        cut.truncate(2_560 - size);
        refused(cut.clone(), "ends early");
    }
    // Few bytes that claim to be many.
    let mut header = tar::Header::new_gnu();
    header.set_path("s/big").unwrap();
    header.set_size(1 << 40);
    header.set_mode(0o644);
    header.set_cksum();
    refused(header.as_bytes().to_vec(), "more bytes than it has");
}

#[test]
fn compressed_entries_are_refused() {
    // As `zip -9` writes them: 64 kB of zeros in 83 bytes.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("zeros"), vec![0; 64 << 10]).unwrap();
    let zip = std::process::Command::new("zip")
        .args(["-9", "-q", "bomb.zip", "zeros"])
        .current_dir(dir.path())
        .status();
    assert!(zip.unwrap().success(), "zip is needed: run ./test");
    let Err(error) = open(&dir.path().join("bomb.zip")) else { panic!("it was read") };
    assert!(error.to_string().contains("is compressed"), "{error}");
}

#[test]
fn links_in_a_directory_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("manifest.json")).unwrap();
    assert_eq!(open(dir.path()).err().unwrap().code(), Code::ARTIFACT);
}
