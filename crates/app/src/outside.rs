//! What is taken from outside: the time, random bytes, and ids that nobody else has.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use carnet_engine::{Clock, IdSource};
use carnet_ledger::{Digest, EventId, EventTime};
use carnet_model::Code;

use crate::environment::Environment;
use crate::failure::Failure;

/// The clock of the machine, read once; from then on time only goes forward, whatever is done to
/// that clock.
pub(crate) struct SystemClock {
    started: EventTime,
    since: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Result<Self, Failure> {
        let started = EventTime::from_unix_millis(Environment::now().div_euclid(1000));
        let started = started.map_err(|_| {
            Failure::new(Code::USAGE, "the clock of this machine shows no year before 10000")
                .remedy("set the clock")
        })?;
        Ok(Self { started, since: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> EventTime {
        let elapsed = i64::try_from(self.elapsed_ms()).unwrap_or(i64::MAX);
        let now = self.started.unix_millis().saturating_add(elapsed);
        EventTime::from_unix_millis(now).unwrap_or(self.started)
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Bytes that nobody can guess, from the operating system.
pub(crate) fn random_bytes() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| Failure::io("cannot read /dev/urandom", error))?;
    Ok(bytes)
}

/// Random UUIDs (version 4): a seed from the operating system, and a counter.
pub(crate) struct RandomIds {
    seed: [u8; 32],
    counter: AtomicU64,
}

impl RandomIds {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self { seed: random_bytes()?, counter: AtomicU64::new(0) })
    }
}

impl IdSource for RandomIds {
    fn next_id(&self) -> EventId {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let mixed = Digest::of(&[self.seed.as_slice(), &number.to_be_bytes()].concat());
        let mut id = [0; 16];
        id.iter_mut().zip(mixed.as_bytes()).for_each(|(to, from)| *to = *from);
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut id;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        EventId(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4_and_differ() {
        let ids = RandomIds::new().unwrap();
        let (one, two) = (ids.next_id().to_string(), ids.next_id().to_string());
        assert_ne!(one, two);
        for id in [one, two] {
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        }
    }

    #[test]
    fn time_goes_forward() {
        let clock = SystemClock::new().unwrap();
        assert!(clock.now() <= clock.now());
    }
}
