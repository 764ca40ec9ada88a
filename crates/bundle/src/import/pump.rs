//! Reading and writing at once: while one batch is written, the next is read and digested.

use carnet_connect::{Job, RecordStream, Records, StoreError};
use carnet_model::Code;
use crossbeam_channel::{Receiver, bounded};

use crate::leaves::RangeLeaves;
use crate::record::record_leaf;

/// Batches that wait between reader and writer.
const WAITING_BATCHES: usize = 1;

/// A stream that keeps the leaves of what passes.
pub(crate) struct Tee<'s> {
    stream: Box<dyn RecordStream + 's>,
    pub(crate) leaves: RangeLeaves,
}

impl<'s> Tee<'s> {
    pub(crate) fn new(stream: Box<dyn RecordStream + 's>) -> Self {
        Self { stream, leaves: RangeLeaves::default() }
    }
}

impl RecordStream for Tee<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        let next = self.stream.next()?;
        if let Some(batch) = &next {
            for record in batch.iter() {
                self.leaves.push(record_leaf(&record));
            }
        }
        Ok(next)
    }
}

struct Waiting<'j> {
    batches: Receiver<Result<Option<Records>, StoreError>>,
    job: &'j dyn Job,
    over: bool,
}

impl RecordStream for Waiting<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        if self.over {
            return Ok(None);
        }
        let cut_off = || StoreError::new(Code::BUG, "a reader was cut off");
        let next = self.batches.recv().map_err(|_| cut_off()).and_then(|next| next);
        match &next {
            Ok(Some(batch)) => self.job.add(batch.len() as u64),
            Ok(None) | Err(_) => self.over = true,
        }
        next
    }
}

/// Reads `stream` in a thread of its own while `write` consumes it. A writer that stops early stops
/// the reader.
pub(crate) fn pump<T>(
    stream: &mut (impl RecordStream + ?Sized),
    job: &dyn Job,
    write: impl FnOnce(&mut dyn RecordStream) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (send, batches) = bounded(WAITING_BATCHES);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let next = stream.next();
                let over = !matches!(next, Ok(Some(_)));
                if send.send(next).is_err() || over {
                    break;
                }
            }
        });
        let mut waiting = Waiting { batches, job, over: false };
        let written = write(&mut waiting);
        // The reader waits for room in the channel: without a receiver it ends.
        drop(waiting);
        written
    })
}
