//! What we read of a disk is what `qemu-img` reads of it.

use std::process::{Command, Output};

use super::*;

fn qemu_img(folder: &Path, words: &[&str]) -> String {
    let run = || {
        let ran = Command::new("qemu-img").args(words).current_dir(folder).output();
        ran.expect("qemu-img is missing: run ./test, which installs it")
    };
    // For LUKS it measures how fast the machine is, and gives up where others keep it busy.
    let gave_up =
        |ran: &Output| String::from_utf8_lossy(&ran.stderr).contains("accurate CPU usage");
    let mut ran = run();
    for _ in 0..20 {
        if gave_up(&ran) {
            ran = run();
        }
    }
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "qemu-img {words:?}: {said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    said
}

#[test]
fn what_is_read_of_a_disk_is_what_qemu_img_reads() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    qemu_img(at, &["create", "-q", "-f", "raw", "base.raw", "3M"]);
    for (name, options) in [
        ("v3.qcow2", vec!["-o", "compat=1.1"]),
        ("v2.qcow2", vec!["-o", "compat=0.10"]),
        ("small.qcow2", vec!["-o", "cluster_size=512"]),
        ("zstd.qcow2", vec!["-o", "compression_type=zstd"]),
        ("l1.qcow2", vec!["-b", "base.raw", "-F", "raw"]),
        ("l2.qcow2", vec!["-b", "l1.qcow2", "-F", "qcow2"]),
    ] {
        let words = [vec!["create", "-q", "-f", "qcow2"], options, vec![name, "5M"]].concat();
        qemu_img(at, &words);
        let facts = look(&at.join(name)).unwrap();
        let info = qemu_img(at, &["info", "--output=json", "--backing-chain", name]);
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info[0]["virtual-size"], facts.virtual_size, "{name}");
        assert_eq!(info[0]["format"], facts.format.name(), "{name}");
        assert_eq!(info.as_array().unwrap().len(), facts.chain.len() + 1, "{name}");
    }
    let raw = look(&at.join("base.raw")).unwrap();
    assert_eq!((raw.format, raw.virtual_size), (DiskFormat::Raw, 3 << 20));
}

#[test]
fn a_disk_that_cannot_stand_alone_or_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let code = |name: &str| look(&at.join(name)).unwrap_err().code();
    let make = |words: &[&str]| qemu_img(at, &[&["create", "-q", "-f", "qcow2"], words].concat());
    let secret = "secret,id=s,data=12345678";
    qemu_img(
        at,
        &[
            "create",
            "-q",
            "--object",
            secret,
            "-f",
            "qcow2",
            "-o",
            "encrypt.format=luks,encrypt.key-secret=s",
            "luks.qcow2",
            "1M",
        ],
    );
    make(&["-o", "data_file=d.raw", "data.qcow2", "1M"]);
    make(&["-u", "-b", "nbd:127.0.0.1:1", "-F", "raw", "net.qcow2", "1M"]);
    make(&["-u", "-b", "b.qcow2", "-F", "qcow2", "a.qcow2", "1M"]);
    make(&["-u", "-b", "a.qcow2", "-F", "qcow2", "b.qcow2", "1M"]);
    make(&["-u", "-b", "gone.qcow2", "-F", "qcow2", "orphan.qcow2", "1M"]);
    std::fs::write(at.join("odd.raw"), [0; 700]).unwrap();
    for name in ["luks.qcow2", "data.qcow2", "net.qcow2", "a.qcow2", "odd.raw"] {
        assert_eq!(code(name), Code::VM_UNSUPPORTED, "{name}");
    }
    assert_eq!(code("orphan.qcow2"), Code::STORE_NOT_FOUND);
    std::fs::write(at.join("cut.qcow2"), b"QFI\xfb\0\0\0\x03").unwrap();
    assert_eq!(code("cut.qcow2"), Code::VM_MALFORMED);
}
