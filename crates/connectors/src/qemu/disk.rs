//! A disk and the files behind it, read without QEMU.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use carnet_connect::{DiskFacts, StoreError};
use carnet_model::Code;
use carnet_model::workload::{DiskFormat, QCOW2_HEADER_BYTES, Qcow2Header, is_qcow2};

/// How many files may stand behind a disk.
const CHAIN_MAX: usize = 16;

fn unsupported(file: &Path, what: &str, remedy: &str) -> StoreError {
    let what = format!("the disk {} {what}", file.display());
    StoreError::new(Code::VM_UNSUPPORTED, what).remedy(remedy)
}

/// Looks at a disk and what is behind it.
pub(super) fn look(file: &Path) -> Result<DiskFacts, StoreError> {
    let (mut facts, mut behind) = one(file)?;
    let mut met = vec![whole(file)?];
    let mut folder = parent(file);
    while let Some(name) = behind {
        // A name with a scheme leads to a server, or hides options.
        if name.contains(':') {
            let what = format!("has {name:?} behind it, which is no file");
            return Err(unsupported(file, &what, "write it into one file where it runs"));
        }
        let next = folder.join(&name);
        let canonical = whole(&next)?;
        if met.contains(&canonical) || met.len() > CHAIN_MAX {
            let what = "has a chain behind it that is too long, or leads in a circle";
            return Err(unsupported(file, what, "write it into one file where it runs"));
        }
        behind = one(&next)?.1;
        folder = parent(&next);
        met.push(canonical);
        facts.chain.push(next);
    }
    Ok(facts)
}

fn parent(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

fn whole(file: &Path) -> Result<PathBuf, StoreError> {
    std::fs::canonicalize(file)
        .map_err(|error| StoreError::io(format!("cannot open {}", file.display()), error))
}

/// One file, and the name of what is behind it.
fn one(file: &Path) -> Result<(DiskFacts, Option<String>), StoreError> {
    let read = || -> std::io::Result<(u64, Vec<u8>)> {
        let open = File::open(file)?;
        let found = open.metadata()?;
        if !found.is_file() {
            return Err(std::io::Error::other("it is no plain file"));
        }
        let mut start = Vec::new();
        open.take(QCOW2_HEADER_BYTES as u64).read_to_end(&mut start)?;
        Ok((found.len(), start))
    };
    let (bytes, start) =
        read().map_err(|error| StoreError::io(format!("cannot read {}", file.display()), error))?;
    let chain = Vec::new();
    if !is_qcow2(&start) {
        if bytes == 0 || !bytes.is_multiple_of(512) {
            let what = "is no disk: its size is no multiple of 512";
            return Err(unsupported(file, what, "name the disk of a machine"));
        }
        let format = DiskFormat::Raw;
        return Ok((DiskFacts { format, virtual_size: bytes, bytes, chain }, None));
    }
    let header = Qcow2Header::read(&start).map_err(|error| {
        let what = format!("the disk {} is damaged", file.display());
        StoreError::new(Code::VM_MALFORMED, what)
            .because(error)
            .remedy("see what `qemu-img check` says, and export it again")
    })?;
    for (is, what, remedy) in [
        (header.encrypted, "is encrypted", "write it without, or move its content by itself"),
        (header.data_file, "keeps its data in another file", "write both into one file"),
        (
            header.dirty,
            "was not closed in order",
            "turn the machine off, or let qemu-img repair it",
        ),
        (header.corrupt, "is marked as damaged", "see what `qemu-img check` says"),
    ] {
        if is {
            return Err(unsupported(file, what, remedy));
        }
    }
    let format = DiskFormat::Qcow2;
    let facts = DiskFacts { format, virtual_size: header.virtual_size, bytes, chain };
    Ok((facts, header.backing_file))
}

#[cfg(test)]
mod tests;
