//! The objects that events point to: collected, then packed.

use carnet_connect::Progress;
use carnet_ledger::Digest;

use super::error::EvidenceError;
use super::folder::{Begun, Folder};
use carnet_journal::LogReader;

pub(super) const INDEX: &str = "artifacts/index.jsonl";

/// The most bytes of a pack, unless it holds one object that is larger.
const PACK_BYTES_MAX: u64 = 64 << 20;

/// Digests, each once, in 32 bytes apiece.
#[derive(Default)]
pub(super) struct Digests {
    held: Vec<Digest>,
    /// How many of them are sorted and unique, from the first on.
    tidy: usize,
}

impl Digests {
    pub(super) fn insert(&mut self, digest: Digest) {
        if self.held.last() == Some(&digest) {
            return;
        }
        self.held.push(digest);
        // Tidied when half of it is new, so that events with the same objects take no memory.
        if self.held.len() >= 2 * self.tidy + 4_096 {
            self.tidy_up();
        }
    }

    fn tidy_up(&mut self) {
        self.held.sort_unstable();
        self.held.dedup();
        self.tidy = self.held.len();
    }

    /// All of them, sorted.
    pub(super) fn sorted(mut self) -> Vec<Digest> {
        self.tidy_up();
        self.held
    }
}

/// Where the packs and their index are.
pub(super) struct Packed {
    /// How many objects there are.
    pub(super) objects: u64,
    /// The digests of the index file and of each pack, in this order.
    pub(super) files: Vec<Digest>,
}

/// Writes the objects into packs, in the order of their digests, and the index of them.
pub(super) fn pack(
    reader: &LogReader,
    digests: &[Digest],
    folder: &mut Folder,
    progress: &dyn Progress,
) -> Result<Packed, EvidenceError> {
    let total = digests.len() as u64;
    let job = progress.job("write objects", "objects", Some(total));
    let mut index = folder.begin(INDEX)?;
    let mut packs = Packs::default();
    for digest in digests {
        let bytes = reader.object(*digest)?;
        let (pack, offset) = packs.add(&bytes, folder)?;
        let size = bytes.len();
        let line = format!(
            "{{\"bytes\":{size},\"offset\":{offset},\"pack\":\"{pack}\",\"sha256\":\"{digest}\"}}\n"
        );
        index.write(line.as_bytes())?;
        job.add(1);
    }
    packs.close(folder)?;
    let mut files = vec![folder.end(index)?.sha256];
    files.extend(packs.closed);
    Ok(Packed { objects: total, files })
}

#[derive(Default)]
struct Packs {
    open: Option<(String, Begun, u64)>,
    closed: Vec<Digest>,
}

impl Packs {
    /// Adds an object; gives the pack and the offset in it.
    fn add(&mut self, bytes: &[u8], folder: &mut Folder) -> Result<(String, u64), EvidenceError> {
        let size = bytes.len() as u64;
        if self.open.as_ref().is_some_and(|(_, _, held)| *held > 0 && held + size > PACK_BYTES_MAX)
        {
            self.close(folder)?;
        }
        let (name, mut file, offset) = if let Some(open) = self.open.take() {
            open
        } else {
            let name = format!("artifacts/pack-{}", self.closed.len());
            let file = folder.begin(&name)?;
            (name, file, 0)
        };
        file.write(bytes)?;
        self.open = Some((name.clone(), file, offset + size));
        Ok((name, offset))
    }

    fn close(&mut self, folder: &mut Folder) -> Result<(), EvidenceError> {
        if let Some((_, file, _)) = self.open.take() {
            self.closed.push(folder.end(file)?.sha256);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn digests_are_held_once_and_given_in_order() {
        let mut digests = Digests::default();
        let mut wanted = BTreeSet::new();
        for number in 0..30_000u32 {
            let digest = Digest::of(&(number % 7_000).to_be_bytes());
            digests.insert(digest);
            digests.insert(digest);
            wanted.insert(digest);
            assert!(digests.held.len() <= 2 * 7_000 + 4_096);
        }
        assert_eq!(digests.sorted(), wanted.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_pack_ends_before_it_grows_too_large() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(place.path());
        let mut packs = Packs::default();
        let half = vec![0; 40 << 20];
        let large = vec![1; 70 << 20];
        let at: Vec<_> = [half.as_slice(), &large, &half, b"x"]
            .iter()
            .map(|bytes| packs.add(bytes, &mut folder).unwrap())
            .collect();
        packs.close(&mut folder).unwrap();
        let names: Vec<_> = at.iter().map(|(name, offset)| (name.as_str(), *offset)).collect();
        assert_eq!(
            names,
            [
                ("artifacts/pack-0", 0),
                ("artifacts/pack-1", 0),
                ("artifacts/pack-2", 0),
                ("artifacts/pack-2", 40 << 20),
            ]
        );
        assert_eq!(folder.files().len(), 3);
    }
}
