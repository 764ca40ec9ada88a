//! Where long work says how far it is. Who shows it is not the store's affair.

/// Takes reports from many threads.
pub trait Progress: Send + Sync {
    /// Begins a job with a name for people. `total` is an exact count of `unit`, or absent.
    fn job(&self, name: &str, unit: &'static str, total: Option<u64>) -> Box<dyn Job + '_>;
}

/// One job of work; it ends when it is dropped.
pub trait Job: Send + Sync {
    /// Adds done units.
    fn add(&self, units: u64);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn job(&self, _name: &str, _unit: &'static str, _total: Option<u64>) -> Box<dyn Job + '_> {
        Box::new(Self)
    }
}

impl Job for NoProgress {
    fn add(&self, _units: u64) {}
}
