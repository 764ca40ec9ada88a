//! The events among one another: their numbers, their links, their tree.

use super::event::Link;
use super::findings::Findings;
use super::report::{CheckId, Reason};
use super::segment::Entry;
use crate::digest::{Digest, Hasher};
use crate::merkle::CompactRange;

/// The numbers of the events in the order in which they stand, in constant memory.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The first and the last number that the manifest says.
    scope: Option<(u64, u64)>,
    first: Option<u64>,
    next: u64,
    /// The first stretch that was skipped, and whether one of it stood later.
    skipped: Option<(u64, u64)>,
    late: bool,
    twice: Option<u64>,
    before: Option<u64>,
    unnumbered: u64,
}

impl Numbers {
    pub(super) fn new(scope: Option<(u64, u64)>) -> Self {
        Self { scope, ..Self::default() }
    }

    /// The place where the first event belongs, as far as it is known.
    pub(super) fn start(&self) -> u64 {
        self.scope.map(|(from, _)| from).or(self.first).unwrap_or_default()
    }

    /// The highest number that was seen.
    pub(super) fn last(&self) -> Option<u64> {
        self.first.and(self.next.checked_sub(1))
    }

    fn see(&mut self, sequence: Option<u64>) {
        let Some(sequence) = sequence else {
            // It stands for whatever belongs in its place.
            self.unnumbered += 1;
            self.next += 1;
            return;
        };
        if self.first.is_none() {
            self.first = Some(sequence);
            self.next = self.start() + self.unnumbered;
        }
        if sequence >= self.next {
            if sequence > self.next && self.skipped.is_none() {
                self.skipped = Some((self.next, sequence - 1));
            }
            self.next = sequence + 1;
        } else if self.skipped.is_some_and(|(from, to)| (from..=to).contains(&sequence)) {
            self.late = true;
        } else if sequence < self.start() {
            self.before.get_or_insert(sequence);
        } else {
            self.twice.get_or_insert(sequence);
        }
    }

    /// What is wrong with the numbers, the most telling first.
    fn judge(&self, findings: &mut Findings) {
        let mut add = |reason, text: String| {
            findings.add(CheckId::ChainSequence, reason, || text);
        };
        let head = self.start();
        if let Some((from, to)) = self.skipped {
            let (next, stretch) = (to + 1, stretch(from, to));
            if self.late {
                let text = format!("event {next} stands before event {from}, which it follows");
                add(Reason::Reordered, text);
            } else if from == head {
                let text = format!("the first events were cut off: {stretch}; {next} stands first");
                add(Reason::HeadTruncated, text);
            } else {
                add(Reason::Gap, format!("{stretch} missing"));
            }
        }
        if let Some(sequence) = self.twice {
            add(Reason::Duplicated, format!("event {sequence} stands twice"));
        }
        if let Some(sequence) = self.before {
            let text = format!("event {sequence} belongs before the range of the manifest");
            add(Reason::EventsAdded, text);
        }
        if let Some((_, to)) = self.scope {
            if self.next <= to {
                let missing = stretch(self.next.max(head), to);
                add(Reason::TailTruncated, format!("the last events were cut off: {missing}"));
            } else if self.next > to.saturating_add(1) {
                let last = self.next - 1;
                let text = format!("the manifest ends with event {to}, and the events with {last}");
                add(Reason::EventsAdded, text);
            }
        }
        if self.unnumbered > 0 {
            let text =
                format!("{} events have no sequence number that can be read", self.unnumbered);
            add(Reason::Unread, text);
        }
    }
}

fn stretch(from: u64, to: u64) -> String {
    if from == to { format!("event {from}") } else { format!("events {from} to {to}") }
}

/// Puts the events of a bundle one behind the other, as they come.
pub(super) struct Order {
    pub(super) numbers: Numbers,
    pub(super) events: u64,
    /// Number and hash of the event before.
    last: Option<(u64, Digest)>,
    /// Whether any event has a chain's members.
    pub(super) chained: bool,
    /// Links that could not be compared, since the event before is missing or unreadable.
    pub(super) unlinked: u64,
    pub(super) leaves: CompactRange,
    /// The same leaves as a tree of their own, where they are not the first ones.
    alone: Option<CompactRange>,
    /// The size at which the auditor kept a checkpoint, and the leaves up to there.
    since: Option<u64>,
    pub(super) leaves_since: Option<CompactRange>,
    joined: Hasher,
}

impl Order {
    pub(super) fn new(scope: Option<(u64, u64)>, since: Option<u64>) -> Self {
        let from = scope.map_or(0, |(from, _)| from);
        let leaves = CompactRange::new(from);
        let leaves_since = (since == Some(from)).then(|| leaves.clone());
        Self {
            numbers: Numbers::new(scope),
            events: 0,
            last: None,
            chained: false,
            unlinked: 0,
            leaves,
            alone: (from > 0).then(|| CompactRange::new(0)),
            since,
            leaves_since,
            joined: Hasher::new(),
        }
    }

    /// The next event, as it stands.
    pub(super) fn place(&mut self, link: &Link, findings: &mut Findings) {
        self.numbers.see(link.sequence);
        self.link(link, findings);
        self.leaves.append(link.leaf);
        if let Some(alone) = &mut self.alone {
            alone.append(link.leaf);
        }
        if self.since == Some(self.leaves.end()) {
            self.leaves_since = Some(self.leaves.clone());
        }
        if let Some(hash) = link.event_hash {
            if self.events > 0 {
                self.joined.update(b"\n");
            }
            self.joined.update(&hash.ascii());
        }
        self.events += 1;
    }

    fn link(&mut self, link: &Link, findings: &mut Findings) {
        self.chained |= link.prev_hash.is_some() || link.event_hash.is_some();
        let before = self.last.take();
        let (Some(sequence), Some(event_hash)) = (link.sequence, link.event_hash) else {
            self.unlinked += u64::from(self.events > 0);
            return;
        };
        self.last = Some((sequence, event_hash));
        let mut add = |reason, text: &str| {
            findings.add(CheckId::ChainLinks, reason, || format!("event {sequence} {text}"));
        };
        match (before, link.prev_hash) {
            (_, Some(_)) if sequence == 0 => {
                add(Reason::HeadTruncated, "is not the first of its log: it names one before it");
            }
            (None, None) if self.events == 0 && sequence > 0 => add(
                Reason::HeadTruncated,
                "stands first without the hash of the event before it: the history was cut off \
                 there, it does not begin there",
            ),
            (None, _) => self.unlinked += u64::from(self.events > 0),
            (Some((last, _)), _) if last + 1 != sequence => self.unlinked += 1,
            (Some((_, hash)), Some(named)) if hash == named => {}
            (Some(_), Some(_)) => add(
                Reason::LinkBroken,
                "names another event before it than the one that stands there",
            ),
            (Some(_), None) => add(Reason::LinkBroken, "names no event before it"),
        }
    }

    /// What is wrong with the numbers, now that all events were seen.
    pub(super) fn judge_numbers(&self, findings: &mut Findings) {
        self.numbers.judge(findings);
    }

    /// The root over these events alone.
    pub(super) fn segment_root(&self) -> Option<Digest> {
        self.alone.as_ref().unwrap_or(&self.leaves).root()
    }

    /// The hash of the last event.
    pub(super) fn last_hash(&self) -> Option<Digest> {
        self.last.map(|(_, hash)| hash)
    }

    /// SHA-256 over the hashes of the events, joined by newlines.
    pub(super) fn joined(&self) -> Digest {
        self.joined.clone().finish()
    }
}

/// Compares an entry of the chain segment with its event.
pub(super) fn compare(own: bool, entry: &Entry, link: &Link, findings: &mut Findings) {
    let name = || match link.sequence {
        Some(sequence) => format!("event {sequence}"),
        None => "an event that cannot be read".to_owned(),
    };
    let mut differs = |what: &str| {
        findings.add(CheckId::ChainSegment, Reason::SegmentDiffers, || {
            format!("the segment names another {what} of {} than the event does", name())
        });
    };
    if entry.sequence != link.sequence {
        differs("sequence");
    } else if entry.event_hash != link.event_hash {
        differs("event_hash");
    } else if entry.prev_hash != link.prev_hash {
        differs("prev_hash");
    } else if entry.id != link.id {
        differs("id");
    } else if entry.other_profile {
        differs("evidence_profile_id");
    } else if own && entry.stored != Some(link.stored) {
        differs("event_ref");
    }
}
