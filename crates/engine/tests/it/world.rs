//! A clock and ids that repeat themselves, and a look at what was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carnet_engine::{Clock, IdSource, JournalError, LogPlace, LogReader};
use carnet_ledger::{Event, EventId, EventTime};

/// Each look at the clock is a millisecond later; each id is the next number.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    time: AtomicU64,
    ids: AtomicU64,
}

impl Ticks {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Lets milliseconds pass.
    pub(crate) fn pass(&self, millis: u64) {
        self.time.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for Ticks {
    fn now(&self) -> EventTime {
        let millis = 1_800_000_000_000 + i64::try_from(self.elapsed_ms()).unwrap();
        EventTime::from_unix_millis(millis).unwrap()
    }

    fn elapsed_ms(&self) -> u64 {
        self.time.fetch_add(1, Ordering::Relaxed)
    }
}

impl IdSource for Ticks {
    fn next_id(&self) -> EventId {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        EventId(u128::from(id).to_be_bytes())
    }
}

/// A log, verified, with its events.
pub(crate) fn read(place: impl Into<LogPlace>) -> Result<(LogReader, Vec<Event>), JournalError> {
    let log = LogReader::open(place)?.unwrap();
    let mut events = Vec::new();
    log.verify(&mut |event| {
        events.push(event.clone());
        Ok::<_, JournalError>(())
    })?;
    Ok((log, events))
}
