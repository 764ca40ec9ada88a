//! Reading a collection in byte order of id with several threads, in bounded memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use carnet_connect::{IdRange, Records, StoreError, StoreSnapshot};
use carnet_model::{Code, CollectionName};

use crate::error::BundleError;
use crate::work::Work;

/// Bytes that may wait to be consumed, all threads together, but for a batch of each.
const WAITING_BYTES: usize = 8 << 20;

/// Records of one range that wait to be consumed. A full queue holds up its reader, so that the
/// ranges behind the current one are read ahead only so far.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Records>,
    bytes: usize,
    /// Set by the reader at the end of the range.
    end: Option<Result<(), StoreError>>,
    /// Set when nobody will consume any more.
    closed: bool,
}

impl Queue {
    /// Gives `false` when nobody wants more.
    fn push(&self, records: Records, most: usize) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed && state.bytes >= most {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += size_of(&records);
        state.waiting.push_back(records);
        self.changed.notify_all();
        !state.closed
    }

    fn end(&self, end: Result<(), StoreError>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end = Some(end);
        self.changed.notify_all();
    }

    fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.waiting.clear();
        self.changed.notify_all();
    }

    fn pop(&self) -> Result<Option<Records>, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(records) = state.waiting.pop_front() {
                state.bytes -= size_of(&records).min(state.bytes);
                self.changed.notify_all();
                return Ok(Some(records));
            }
            if let Some(end) = state.end.take() {
                state.end = Some(Ok(()));
                return end.map(|()| None);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn size_of(records: &Records) -> usize {
    // Sliced batches share their buffers: count what the rows use, not what they keep alive.
    records.iter().map(|r| r.id.len() + r.vector.len() * 4 + r.metadata.len() + 128).sum()
}

/// Ends a queue whose reader was cut off by a panic, so that the consumer does not wait for ever.
struct EndAnyway<'q>(&'q Queue);

impl Drop for EndAnyway<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let cut_off = || Err(StoreError::new(Code::BUG, "a reader was cut off"));
        state.end.get_or_insert_with(cut_off);
        self.0.changed.notify_all();
    }
}

/// Which range is being consumed: readers begin a range only when it is near.
#[derive(Default)]
struct Front {
    range: Mutex<usize>,
    moved: Condvar,
}

impl Front {
    fn advance(&self) {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.moved.notify_all();
    }

    fn wait_for(&self, range: usize, threads: usize) {
        let mut front = self.range.lock().unwrap_or_else(PoisonError::into_inner);
        while range >= front.saturating_add(threads) {
            front = self.moved.wait(front).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self) {
        *self.range.lock().unwrap_or_else(PoisonError::into_inner) = usize::MAX;
        self.moved.notify_all();
    }
}

/// Lets all readers go however the consumer ends, so that none waits for ever.
struct LetGo<'q>(&'q [Queue], &'q Front);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Queue::close);
        self.1.end();
    }
}

/// Reads ranges that follow one another, several at a time, and hands every batch to `consume` in
/// order.
pub(crate) fn in_id_order(
    view: &dyn StoreSnapshot,
    name: &CollectionName,
    ranges: &[IdRange],
    work: &Work<'_>,
    mut consume: impl FnMut(Records) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let threads = work.threads().min(ranges.len());
    let most = WAITING_BYTES / threads.max(1);
    let queues: Vec<Queue> = ranges.iter().map(|_| Queue::default()).collect();
    let (next, front) = (AtomicUsize::new(0), Front::default());
    let read = |range: &IdRange, queue: &Queue| -> Result<(), StoreError> {
        let mut stream = view.scan(name, range)?;
        while let Some(records) = stream.next()? {
            if !queue.push(records, most) {
                break;
            }
        }
        Ok(())
    };
    let reader = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let (Some(range), Some(queue)) = (ranges.get(n), queues.get(n)) else { break };
            let _end = EndAnyway(queue);
            front.wait_for(n, threads);
            let end = read(range, queue);
            let over = end.is_err();
            queue.end(end);
            if over || queue.state.lock().unwrap_or_else(PoisonError::into_inner).closed {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        let _let_go = LetGo(&queues, &front);
        for _ in 0..threads {
            scope.spawn(reader);
        }
        for queue in &queues {
            while let Some(records) = queue.pop()? {
                consume(records)?;
            }
            front.advance();
        }
        Ok(())
    })
}
