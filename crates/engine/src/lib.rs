//! Runs a plan: the journal, the pure core that decides, and what acts on the world.

#![forbid(unsafe_code)]

mod journal;
mod process;
mod source;

pub use journal::{Journal, JournalError, Log, LogProfile};
pub use process::*;
pub use source::{Clock, IdSource};
