//! Where time and ids come from. Both are inputs, so that a run can be replayed.

use carnet_ledger::{EventId, EventTime};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now, in UTC.
    fn now(&self) -> EventTime;

    /// Milliseconds that never run backwards, from any start: for how long something took.
    fn elapsed_ms(&self) -> u64;
}

/// Makes ids that no other event has.
pub trait IdSource: Send + Sync {
    /// A new UUID.
    fn next_id(&self) -> EventId;
}
