//! The evidence log of a run, as one writer has it. Reading order: the journal, where a log is, who
//! has it, the stores under it, and the reader of those who only look.

#![forbid(unsafe_code)]

mod appender;
mod database;
mod error;
mod journal;
mod lock;
mod log_store;
mod objects;
mod place;
#[cfg(feature = "postgres")]
mod postgres;
mod reader;
mod signer;
mod source;
mod store;
mod ticker;
mod tree;
mod walk;
mod writer;

pub use error::{JournalError, TreeDamage, io_code};
pub use journal::{Journal, LogProfile, journal_objects};
pub use log_store::LogMade;
pub use place::LogPlace;
#[cfg(feature = "postgres")]
pub use postgres::PostgresLog;
pub use reader::{LogEnd, LogReader};
pub use source::{Clock, IdSource};
pub use writer::{Writer, writer};
