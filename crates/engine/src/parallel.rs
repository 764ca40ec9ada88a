//! The same work on many things, on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::StepError;

/// Does the work for each item once; the results are in the items' order. After a failure no
/// further item is begun, and the failure of the first item that failed counts.
pub(crate) fn each<T: Sync, R: Send>(
    workers: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, StepError> + Sync,
) -> Result<Vec<R>, StepError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for _ in 0..workers.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    if result.is_err() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_model::Code;

    #[test]
    fn results_keep_the_order_and_the_first_failure_counts() {
        let items: Vec<u32> = (0..100).collect();
        let doubled = each(4, &items, |n| Ok(n * 2)).unwrap();
        assert_eq!(doubled, items.iter().map(|n| n * 2).collect::<Vec<_>>());
        let failed = each(4, &items, |n| {
            if *n < 7 { Ok(*n) } else { Err(StepError::new(Code::BUG, format!("{n}"))) }
        });
        assert_eq!(failed.unwrap_err().what, "7");
        assert!(each(4, &[0u8; 0], |_| Ok(())).unwrap().is_empty());
    }
}
