//! The one pass over the events of a bundle: `events.jsonl`, `chain-segment.json`, entry tiles, and
//! what the manifest says about them. Nothing grows with the number of events but the digests of
//! the objects.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use carnet_connect::Job;
use carnet_ledger::{
    CompactRange, Damage, Digest, EventCheck, Hasher, Object, TileKind, tile_path,
};

use super::documents::{Head, number, pretty, signature};
use super::error::EvidenceError;
use super::folder::{Begun, Folder};
use super::objects::Digests;
use carnet_journal::{JournalError, LogReader};

const EVENTS: &str = "events.jsonl";
const SEGMENT: &str = "chain-segment.json";
/// What the signature of a chain segment begins with, so that it is never one of something else.
const SEGMENT_DOMAIN: &str = "carnet/segment/v1\n";
/// Events in a tile.
const TILE_EVENTS: u64 = 256;

/// What one pass over the events has found.
pub(super) struct Seen {
    pub(super) events: u64,
    pub(super) refusals: u64,
    pub(super) last_hash: Digest,
    /// SHA-256 over the event hashes, joined by line breaks.
    pub(super) joined: Digest,
    /// The events as leaves at their places in the log.
    pub(super) leaves: CompactRange,
    /// The root over these events alone.
    pub(super) segment_root: Digest,
    pub(super) policies: BTreeSet<Digest>,
    pub(super) authorities: BTreeSet<Digest>,
}

/// Writes the events of the head's range; gives what was seen, and the digest of
/// `chain-segment.json`.
pub(super) fn write(
    reader: &LogReader,
    head: &Head<'_>,
    with_tiles: bool,
    folder: &mut Folder,
    objects: &mut Digests,
    job: &dyn Job,
) -> Result<(Seen, Digest), EvidenceError> {
    let mut pass = Pass::new(head, folder)?;
    let mut tiles = with_tiles.then(EntryTiles::default);
    reader.each_event(head.from..head.to + 1, |sequence, bytes| {
        pass.take(sequence, bytes, objects)?;
        if let Some(tiles) = &mut tiles {
            tiles.take(sequence, bytes, folder)?;
        }
        job.add(1);
        Ok::<_, EvidenceError>(())
    })?;
    if let Some(mut tiles) = tiles {
        tiles.flush(folder)?;
    }
    pass.finish(folder)
}

/// The state of the pass.
struct Pass<'a> {
    head: &'a Head<'a>,
    events: Begun,
    segment: Begun,
    next: u64,
    refusals: u64,
    last_hash: Option<Digest>,
    joined: Hasher,
    leaves: CompactRange,
    alone: CompactRange,
    policies: BTreeSet<Digest>,
    authorities: BTreeSet<Digest>,
    /// The line of `chain-segment.json` that is being made.
    line: String,
}

impl<'a> Pass<'a> {
    fn new(head: &'a Head<'a>, folder: &Folder) -> Result<Self, EvidenceError> {
        let events = folder.begin(EVENTS)?;
        let mut segment = folder.begin(SEGMENT)?;
        segment.write(b"{\n  \"algorithm\": \"sha256\",\n  \"events\": [")?;
        Ok(Self {
            head,
            events,
            segment,
            next: head.from,
            refusals: 0,
            last_hash: None,
            joined: Hasher::new(),
            leaves: CompactRange::new(head.from),
            alone: CompactRange::new(0),
            policies: BTreeSet::new(),
            authorities: BTreeSet::new(),
            line: String::new(),
        })
    }

    fn take(
        &mut self,
        sequence: u64,
        bytes: &[u8],
        objects: &mut Digests,
    ) -> Result<(), EvidenceError> {
        let damaged = |damage| EvidenceError::from(JournalError::Damaged(damage));
        let event = EventCheck::of(self.head.made.hash_profile, bytes)
            .map_err(|damage| damaged(damage.at(sequence)))?;
        self.check(sequence, &event).map_err(damaged)?;
        for (found, distinct) in [
            (event.evidence_pointer(), None),
            (event.policy_snapshot(), Some(&mut self.policies)),
            (event.authority_snapshot(), Some(&mut self.authorities)),
        ] {
            let member = "pointer to an object";
            let object = found.ok_or_else(|| damaged(Damage::Member { sequence, member }))?;
            objects.insert(object);
            if let Some(distinct) = distinct {
                distinct.insert(object);
            }
        }
        if event.member("outcome") == Some("\"refused\"") {
            self.refusals += 1;
        }
        self.events.write(bytes)?;
        self.events.write(b"\n")?;
        self.link(&event)?;
        let hash = event.event_hash();
        if sequence > self.head.from {
            self.joined.update(b"\n");
        }
        self.joined.update(hash.to_string().as_bytes());
        self.leaves.append(event.leaf());
        self.alone.append(event.leaf());
        self.last_hash = Some(hash);
        self.next += 1;
        Ok(())
    }

    /// The event at its place. The log was verified when it was opened; what is written out is
    /// compared once more, since it is what others will rely on.
    fn check(&self, sequence: u64, event: &EventCheck<'_>) -> Result<(), Damage> {
        if event.sequence() != sequence || sequence != self.next {
            return Err(Damage::Gap { from: self.next, to: event.sequence() });
        }
        if event.chain_id() != self.head.made.chain_id {
            return Err(Damage::WrongChain { sequence });
        }
        let first = sequence == self.head.from;
        let linked = if first {
            event.prev_hash().is_some() == (sequence > 0)
        } else {
            event.prev_hash() == self.last_hash
        };
        if !linked {
            return Err(Damage::BrokenLink { sequence });
        }
        if event.hash_holds() { Ok(()) } else { Err(Damage::WrongHash { sequence }) }
    }

    /// The event's line in `chain-segment.json`.
    fn link(&mut self, event: &EventCheck<'_>) -> Result<(), EvidenceError> {
        let line = &mut self.line;
        line.clear();
        line.push_str(if event.sequence() == self.head.from { "\n    " } else { ",\n    " });
        let bytes = Digest::of(event.text().as_bytes());
        // As they stand in the event: in canonical form, a hash and an id have one spelling.
        let [hash, profile, id, before] = ["event_hash", "evidence_profile_id", "id", "prev_hash"]
            .map(|member| event.member(member).unwrap_or("null"));
        let sequence = event.sequence();
        // Writing to a `String` cannot fail.
        let _ = write!(
            line,
            "{{\"event_hash\":{hash},\"event_ref\":\"eosc://evidence/sha256:{bytes}\",\
             \"evidence_profile_id\":{profile},\"id\":{id},\"prev_hash\":{before},\
             \"sequence\":{sequence}}}"
        );
        self.segment.write(line.as_bytes())
    }

    fn finish(mut self, folder: &mut Folder) -> Result<(Seen, Digest), EvidenceError> {
        let (Some(last_hash), Some(segment_root)) = (self.last_hash, self.alone.root()) else {
            return Err(
                JournalError::Damaged(Damage::Gap { from: self.next, to: self.next }).into()
            );
        };
        let joined = self.joined.finish();
        let rest = after_events(self.head, joined);
        self.segment.write(rest.as_bytes())?;
        folder.end(self.events)?;
        let segment = folder.end(self.segment)?;
        let seen = Seen {
            events: self.next - self.head.from,
            refusals: self.refusals,
            last_hash,
            joined,
            leaves: self.leaves,
            segment_root,
            policies: self.policies,
            authorities: self.authorities,
        };
        Ok((seen, segment.sha256))
    }
}

/// What stands behind the events in `chain-segment.json`.
fn after_events(head: &Head<'_>, joined: Digest) -> String {
    let mut rest = Object::from([
        ("evidence_profile_id".to_owned(), head.made.evidence_profile.name().into()),
        ("from_sequence".to_owned(), number(head.from)),
        ("segment_hash".to_owned(), format!("sha256:{joined}").into()),
        ("segment_id".to_owned(), format!("seg-{}-{}", head.from, head.to).into()),
        ("tenant_id".to_owned(), head.tenant.into()),
        ("to_sequence".to_owned(), number(head.to)),
    ]);
    if let Some(key) = head.signer {
        let message = format!("{SEGMENT_DOMAIN}{joined}");
        rest.insert("signature".to_owned(), signature(key, message.as_bytes()).into());
    }
    // All of them sort behind `events`, so that they are the end of the document.
    format!("\n  ],{}", pretty(rest).trim_start_matches('{'))
}

/// Events as C2SP entry bundles: each behind its length in two bytes.
#[derive(Default)]
struct EntryTiles {
    bytes: Vec<u8>,
    held: u16,
    tile: u64,
}

impl EntryTiles {
    fn take(
        &mut self,
        sequence: u64,
        event: &[u8],
        folder: &mut Folder,
    ) -> Result<(), EvidenceError> {
        // No event has more bytes: `EventCheck` has looked.
        let length = u16::try_from(event.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(event);
        self.held += 1;
        if (sequence + 1).is_multiple_of(TILE_EVENTS) { self.flush(folder) } else { Ok(()) }
    }

    fn flush(&mut self, folder: &mut Folder) -> Result<(), EvidenceError> {
        if self.held > 0 {
            folder.put_loose(&tile_path(TileKind::Entries, self.tile, self.held), &self.bytes)?;
        }
        self.bytes.clear();
        self.held = 0;
        self.tile += 1;
        Ok(())
    }
}
