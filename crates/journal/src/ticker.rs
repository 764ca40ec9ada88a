//! The last events before a silence get their checkpoint too.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::appender::Appender;
use crate::error::JournalError;
use crate::signer::MILLIS;

/// A thread that looks every second whether a checkpoint is due. It ends when it is dropped.
pub(crate) struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(appender: Arc<Appender>) -> Result<Self, JournalError> {
        let (stop, stopped) = channel();
        let look = move || {
            while stopped.recv_timeout(Duration::from_millis(MILLIS))
                == Err(RecvTimeoutError::Timeout)
            {
                // What fails here fails again at the next append, which tells of it.
                drop(appender.store().sign_if_due());
            }
        };
        let thread = thread::Builder::new().name("checkpoints".to_owned()).spawn(look);
        let thread = thread.map_err(JournalError::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that fell has nothing to say here.
            drop(thread.join());
        }
    }
}
