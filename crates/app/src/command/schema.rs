//! `carnet schema`.

use carnet_model::{Code, Exit};
use clap::Args;

use super::Setting;
use crate::failure::Failure;
use crate::screen::Screen;

/// Print the JSON Schema of plans.
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(super) fn run(_setting: &Setting<'_>) -> Result<Exit, Failure> {
        let text = carnet_model::plan::schema_text()
            .map_err(|error| Failure::from_error(&error, Code::BUG))?;
        Screen::data(&format!("{text}\n"))?;
        Ok(Exit::Done)
    }
}
