//! How work is spread over threads.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use carnet_connect::{NoProgress, Progress};

/// How much work at once, and where it reports.
#[derive(Clone, Copy)]
pub struct Work<'p> {
    /// Threads that work at once; 0 counts as 1.
    pub workers: usize,
    /// Takes reports.
    pub progress: &'p dyn Progress,
}

impl Work<'static> {
    /// This many threads, no reports.
    pub fn quiet(workers: usize) -> Self {
        Self { workers, progress: &NoProgress }
    }
}

impl Work<'_> {
    pub(crate) fn threads(&self) -> usize {
        self.workers.max(1)
    }

    /// Does each item once, in parallel; the results are in the items' order. After a failure no
    /// further item is begun, and of several failures that of the first item counts.
    pub(crate) fn each<T, R, E>(
        &self,
        items: Vec<T>,
        work: impl Fn(usize, T) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E>
    where
        T: Send,
        R: Send,
        E: Send,
    {
        let threads = self.threads().min(items.len());
        if threads <= 1 {
            return items.into_iter().enumerate().map(|(n, item)| work(n, item)).collect();
        }
        let queue = Mutex::new(items.into_iter().enumerate());
        let done = Mutex::new(Vec::new());
        let failed = AtomicBool::new(false);
        let worker = || {
            while !failed.load(Ordering::Relaxed) {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((n, item)) = next else { break };
                let result = work(n, item);
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((n, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(worker);
            }
            worker();
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(n, _)| *n);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_and_the_first_failure_counts() {
        for workers in [0, 1, 2, 7] {
            let work = Work::quiet(workers);
            let doubled = work.each((0..100).collect(), |_, n: i32| Ok::<_, ()>(n * 2)).unwrap();
            assert_eq!(doubled, (0..100).map(|n| n * 2).collect::<Vec<_>>());
            let failed = work.each(vec![0, 1, 2, 3], |_, n| if n > 0 { Err(n) } else { Ok(n) });
            assert_eq!(failed, Err(1));
        }
    }
}
