//! `carnet schema`.

use carnet_model::{Code, Exit};
use clap::{Args, ValueEnum};
use schemars::generate::SchemaSettings;

use super::Setting;
use super::plan::ChangesView;
use crate::failure::Failure;
use crate::screen::Screen;
use crate::view::plan::PlanView;

/// Print the JSON Schema of plans, or of what a command prints with `--json`.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// What to describe.
    #[arg(value_enum, default_value_t = What::Plan)]
    what: What,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Plans, for editors.
    Plan,
    /// What `carnet plan --json` prints.
    PlanShown,
    /// What `carnet plan NEW --amends OLD --json` prints.
    PlanChanges,
}

impl Schema {
    pub(super) fn run(&self, _setting: &Setting<'_>) -> Result<Exit, Failure> {
        let shown = || SchemaSettings::draft2020_12().for_serialize().into_generator();
        let text = match self.what {
            What::Plan => carnet_model::plan::schema_text(),
            What::PlanShown => {
                serde_json::to_string_pretty(&shown().into_root_schema_for::<PlanView<'_>>())
            }
            What::PlanChanges => {
                serde_json::to_string_pretty(&shown().into_root_schema_for::<ChangesView>())
            }
        };
        let text = text.map_err(|error| Failure::from_error(&error, Code::BUG))?;
        Screen::data(&format!("{text}\n"))?;
        Ok(Exit::Done)
    }
}
