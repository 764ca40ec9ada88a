//! Import: the records of one view go into another store, range by range, and are read back.

mod journal;
mod merge;
mod plan;
mod pump;
mod run;
mod verify;

pub use journal::{ImportJournal, MemoryJournal, NoJournal};
pub use plan::{
    AcceptedLoss, CollectionPlan, ImportCounts, ImportPlan, ImportRequest, RangePlan, plan_import,
};
pub use run::{Imported, run_import};
pub use verify::{Expected, VerifiedCollection, VerifiedImport, verify_target};
