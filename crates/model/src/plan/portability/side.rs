//! One side of a border: the part of a crossing that is run where only one side is at hand.

use super::section::Side;
use crate::plan::compile::Plan;
use crate::plan::document::Work;
use crate::plan::written::{MigrationName, Written};

/// The longest part of a migration's name that is kept.
const STEM_MAX: usize = 48;

impl Plan {
    /// The part of a crossing that belongs to one side, as a plan of its own: its state has another
    /// name, which ends with the number. `None` if nothing crosses in the plan.
    pub fn of_side(&self, side: Side, number: u32) -> Option<Self> {
        let word = match &side {
            Side::Export { .. } => "export",
            Side::Import { .. } => "import",
        };
        let mut document = self.document().clone();
        let Work::Crossing(crossing) = &mut document.work else { return None };
        crossing.portability.side = Some(side);
        let stem: String = document.migration.as_str().chars().take(STEM_MAX).collect();
        document.migration = MigrationName::read(&format!("{stem}-{word}-{number}")).ok()?;
        Some(Self::compile(document, self.files().clone()))
    }
}
