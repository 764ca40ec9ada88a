//! The pass over the events: read once, checked by several threads, put in order by one.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use super::AuditError;
use super::documents::{CHAIN_SEGMENT, EVENTS, Held};
use super::event::{Expected, LINE_BYTES_MAX, Moved, Passage, Seen, check_batch};
use super::findings::Findings;
use super::lines::{Batch, Lines};
use super::material::{FileSum, Hashed, Material};
use super::order::{Order, compare};
use super::pointers::Pointers;
use super::replay::Evaluation;
use super::report::{CheckId, Reason};
use super::segment::{self, Entry, Head};
use crate::catalogue::Family;
use crate::stamp::EventTime;

/// How many batches wait in front of a worker, and behind it.
const WAITING: usize = 2;

/// What all events amount to.
pub(super) struct Streamed {
    pub(super) order: Order,
    pub(super) findings: Findings,
    pub(super) pointers: Pointers,
    pub(super) families: BTreeSet<Family>,
    pub(super) refusals: u64,
    pub(super) without_hash: u64,
    pub(super) reformatted: u64,
    pub(super) actions: HashMap<[u8; 16], [u8; 16]>,
    pub(super) passages: Vec<Passage>,
    pub(super) successions: Vec<u64>,
    pub(super) evaluations: Vec<Evaluation>,
    pub(super) last_time: Option<EventTime>,
    pub(super) sum: FileSum,
    pub(super) segment: Held<Head>,
    pub(super) segment_sum: Option<FileSum>,
}

/// Reads all events, and the chain segment beside them.
pub(super) fn stream(
    material: &dyn Material,
    expected: &Expected<'_>,
    order: Order,
    workers: usize,
) -> Result<Streamed, AuditError> {
    let failed = |source| AuditError::Read { name: EVENTS.to_owned(), source };
    // Where they are missing there are none: that they are missing is said elsewhere.
    let file = if material.has(EVENTS) {
        material.open(EVENTS).map_err(failed)?
    } else {
        Box::new(std::io::empty())
    };
    thread::scope(|scope| {
        let (entries_in, entries) = sync_channel(8);
        let profile = expected.profile_name;
        let segment = scope.spawn(move || segment::read(material, profile, &entries_in));
        let (mut to_workers, mut from_workers) = (Vec::new(), Vec::new());
        for _ in 0..workers.max(1) {
            let (batch_in, batches) = sync_channel::<Batch>(WAITING);
            let (seen_in, seen) = sync_channel::<Seen>(WAITING);
            scope.spawn(move || work(expected, &batches, &seen_in));
            to_workers.push(batch_in);
            from_workers.push(seen);
        }
        let reader = scope.spawn(move || read(Hashed::new(file), &to_workers));
        let mut all = Gathered::new(expected.own, order, entries);
        // Batches go round the workers and come back the same way: in order, and never more than
        // a few at once.
        for seen in from_workers.iter().cycle().map_while(|worker| worker.recv().ok()) {
            all.take(seen);
        }
        let sum = joined(reader).map_err(failed)?;
        all.end_segment();
        let (segment, segment_sum) = joined(segment)?;
        Ok(all.finish(sum, segment, segment_sum))
    })
}

/// The result of a thread; its panic goes on in this one.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn work(expected: &Expected<'_>, batches: &Receiver<Batch>, seen: &SyncSender<Seen>) {
    for batch in batches {
        if seen.send(check_batch(expected, &batch)).is_err() {
            return;
        }
    }
}

/// Deals the lines out to the workers, and gives the sum of the whole file.
fn read(
    file: Hashed<impl std::io::Read>,
    workers: &[SyncSender<Batch>],
) -> std::io::Result<FileSum> {
    let mut lines = Lines::new(file, LINE_BYTES_MAX);
    for worker in workers.iter().cycle() {
        let Some(batch) = lines.batch()? else { break };
        if worker.send(batch).is_err() {
            break;
        }
    }
    lines.into_reader().finish()
}

/// Puts together what the workers have seen.
struct Gathered {
    own: bool,
    order: Order,
    entries: Receiver<Vec<Entry>>,
    waiting: std::vec::IntoIter<Entry>,
    /// Whether there is a segment to compare with.
    segment_ended: bool,
    all: Seen,
    pointers: Pointers,
    actions: HashMap<[u8; 16], [u8; 16]>,
}

impl Gathered {
    fn new(own: bool, order: Order, entries: Receiver<Vec<Entry>>) -> Self {
        Self {
            own,
            order,
            entries,
            waiting: Vec::new().into_iter(),
            segment_ended: false,
            all: Seen::default(),
            pointers: Pointers::default(),
            actions: HashMap::new(),
        }
    }

    fn entry(&mut self) -> Option<Entry> {
        if self.segment_ended {
            return None;
        }
        loop {
            if let Some(entry) = self.waiting.next() {
                return Some(entry);
            }
            let Ok(entries) = self.entries.recv() else {
                self.segment_ended = true;
                return None;
            };
            self.waiting = entries.into_iter();
        }
    }

    fn take(&mut self, seen: Seen) {
        self.all.findings.absorb(seen.findings);
        for link in &seen.links {
            self.order.place(link, &mut self.all.findings);
            match self.entry() {
                Some(entry) => compare(self.own, &entry, link, &mut self.all.findings),
                None => {
                    self.all.findings.add(CheckId::ChainSegment, Reason::SegmentDiffers, || {
                        format!("{CHAIN_SEGMENT} ends before the events do")
                    });
                }
            }
        }
        self.pointers.extend(&seen.pointers);
        self.all.families.extend(seen.families);
        self.all.refusals += seen.refusals;
        self.all.without_hash += seen.without_hash;
        self.all.reformatted += seen.reformatted;
        self.all.passages.extend(seen.passages);
        self.all.successions.extend(seen.successions);
        self.all.evaluations.extend(seen.evaluations);
        self.all.last_time = seen.last_time.or(self.all.last_time);
        for (action, rules, sequence) in seen.actions {
            let first = *self.actions.entry(action).or_insert(rules);
            if first != rules {
                let reason = Reason::SnapshotsDiffer;
                self.all.findings.add(CheckId::SnapshotsConsistent, reason, || {
                    format!(
                        "event {sequence} names another policy or authority than the events \
                         before it of the same correlation_id"
                    )
                });
            }
        }
    }

    /// Whether the segment has more entries than there are events.
    fn end_segment(&mut self) {
        if self.entry().is_some() {
            self.all.findings.add(CheckId::ChainSegment, Reason::SegmentDiffers, || {
                format!("{CHAIN_SEGMENT} has more entries than there are events")
            });
        }
        // Whoever reads the segment goes on to its end alone.
        while self.entry().is_some() {}
    }

    fn finish(
        mut self,
        sum: FileSum,
        segment: Held<Head>,
        segment_sum: Option<FileSum>,
    ) -> Streamed {
        self.order.judge_numbers(&mut self.all.findings);
        lineage(&self.all.passages, &mut self.all.findings);
        Streamed {
            order: self.order,
            findings: self.all.findings,
            pointers: self.pointers,
            families: self.all.families,
            refusals: self.all.refusals,
            without_hash: self.all.without_hash,
            reformatted: self.all.reformatted,
            actions: self.actions,
            passages: self.all.passages,
            successions: self.all.successions,
            evaluations: self.all.evaluations,
            last_time: self.all.last_time,
            sum,
            segment,
            segment_sum,
        }
    }
}

/// What was imported under an action must have been exported under it, if anything was.
fn lineage(passages: &[Passage], findings: &mut Findings) {
    let mut exported: HashMap<_, BTreeSet<_>> = HashMap::new();
    for passage in passages.iter().filter(|passage| passage.moved == Moved::Exported) {
        exported.entry(passage.action).or_default().insert(passage.manifest);
    }
    for import in passages.iter().filter(|passage| passage.moved == Moved::Imported) {
        let packages = exported.get(&import.action);
        if packages.is_some_and(|packages| !packages.contains(&import.manifest)) {
            findings.add(CheckId::Lineage, Reason::LineageBroken, || {
                format!(
                    "event {} imports the package {}, which its action did not export",
                    import.sequence, import.manifest
                )
            });
        }
    }
}
