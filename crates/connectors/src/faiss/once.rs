//! A value that is made when it is first needed, by one thread, and shared afterwards.

use std::sync::{Arc, Mutex, PoisonError};

use carnet_connect::StoreError;

/// Holds the value once it could be made. A failure is given to whoever asked, and the next asks
/// again.
#[derive(Debug)]
pub(super) struct Once<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Once<T> {
    pub(super) fn get_or_try(
        &self,
        make: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<Arc<T>, StoreError> {
        // A thread that panicked while making the value left none: nothing is half done.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.as_ref() {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        *held = Some(Arc::clone(&value));
        Ok(value)
    }
}
