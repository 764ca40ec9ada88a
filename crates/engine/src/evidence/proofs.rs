//! What relates the events of a bundle to the tree of the whole log, and to the export before.

use carnet_connect::Job;
use carnet_ledger::{
    Checkpoint, Digest, EventCheck, HashProfile, HashTiles, Note, SegmentProof, TileError,
    TileKind, Value, consistency_from_tiles, inclusion_from_tiles, root_from_tiles, segment_proof,
    tile_path, tiles_of, verify_consistency,
};

use super::documents::{compact, hex, number, object, pretty};
use super::error::EvidenceError;
use super::events::Seen;
use super::folder::Folder;
use super::objects::Digests;
use carnet_journal::{JournalError, LogReader};

const CONSISTENCY: &str = "proofs/consistency.json";
const SUCCESSION: &str = "keys/succession.jsonl";

/// A proof that cannot be made is one that the log does not hold.
pub(super) fn not_proven(error: TileError<JournalError>) -> EvidenceError {
    match error {
        TileError::Read { source, .. } => source.into(),
        TileError::Sizes { .. } | TileError::Width { .. } => {
            EvidenceError::Contradiction(error.to_string())
        }
    }
}

/// The root over the first `size` events.
pub(super) fn root(reader: &LogReader, size: u64) -> Result<Digest, EvidenceError> {
    root_from_tiles(reader, size).map_err(not_proven)
}

/// `proofs/segment.json`, after it was found to lead from the exported events to the root.
pub(super) fn write_segment(
    reader: &LogReader,
    (size, root): (u64, Digest),
    seen: &Seen,
    folder: &mut Folder,
) -> Result<(), EvidenceError> {
    let (from, to) = (seen.leaves.begin(), seen.leaves.end());
    let proof: SegmentProof = segment_proof(reader, size, from, to).map_err(not_proven)?;
    if proof.root(&seen.leaves) != Ok(root) {
        let what = "its tree is not that of its events".to_owned();
        return Err(EvidenceError::Contradiction(what));
    }
    let document = object([
        ("from", number(from)),
        ("left", hex(&proof.left)),
        ("right", hex(&proof.right)),
        ("size", number(size)),
        ("to", number(to)),
    ]);
    folder.put("proofs/segment.json", pretty(document).as_bytes())?;
    Ok(())
}

/// `proofs/consistency.json` and `proofs/previous-checkpoint`; refuses a log that does not begin
/// with what the last export gave out. Gives how many events that were.
pub(super) fn write_consistency(
    reader: &LogReader,
    (size, root): (u64, Digest),
    previous: &Note,
    folder: &mut Folder,
) -> Result<Option<u64>, EvidenceError> {
    let old = Checkpoint::parse(&previous.text)
        .map_err(|error| EvidenceError::Contradiction(format!("the last export: {error}")))?;
    if old.size == 0 {
        return Ok(None);
    }
    let hashes = consistency_from_tiles(reader, old.size, size).map_err(not_proven)?;
    if verify_consistency(old.size, old.root, size, root, &hashes).is_err() {
        let what = format!("its first {} events are not those of the last export", old.size);
        return Err(EvidenceError::Contradiction(what));
    }
    let tree = |size, root: Digest| object([("root", root.into()), ("size", number(size))]).into();
    let document = object([
        ("hashes", hex(&hashes)),
        ("new", tree(size, root)),
        ("old", tree(old.size, old.root)),
    ]);
    folder.put(CONSISTENCY, pretty(document).as_bytes())?;
    folder.put("proofs/previous-checkpoint", previous.to_string().as_bytes())?;
    Ok(Some(old.size))
}

/// `keys/succession.jsonl`: each change of the key, wherever in the log it stands.
pub(super) fn write_succession(
    reader: &LogReader,
    profile: HashProfile,
    size: u64,
    changes: &[u64],
    folder: &mut Folder,
    objects: &mut Digests,
) -> Result<(), EvidenceError> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut lines = String::new();
    for sequence in changes {
        let bytes = reader.event(*sequence)?;
        let damaged = |damage| EvidenceError::from(JournalError::Damaged(damage));
        let event = EventCheck::of(profile, &bytes).map_err(|it| damaged(it.at(*sequence)))?;
        let pointers =
            [event.evidence_pointer(), event.policy_snapshot(), event.authority_snapshot()];
        pointers.into_iter().flatten().for_each(|pointer| objects.insert(pointer));
        let hashes = inclusion_from_tiles(reader, size, *sequence).map_err(not_proven)?;
        let line = object([
            ("event", event.text().into()),
            ("hashes", hex(&hashes)),
            ("index", number(*sequence)),
        ]);
        compact(&Value::Object(line), &mut lines);
        lines.push('\n');
    }
    folder.put(SUCCESSION, lines.as_bytes())?;
    Ok(())
}

/// The hash tiles of the tree. The entries are written with the events.
pub(super) fn write_tiles(
    reader: &LogReader,
    size: u64,
    folder: &mut Folder,
    job: &dyn Job,
) -> Result<(), EvidenceError> {
    for (level, index, width) in tiles_of(size) {
        let hashes = reader.tile(level, index, width)?;
        let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        folder.put_loose(&tile_path(TileKind::Hashes(level), index, width), &bytes)?;
        job.add(1);
    }
    folder.settle()
}
