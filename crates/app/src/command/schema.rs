//! `carnet schema`.

use carnet_model::Exit;
use clap::Args;

use super::Setting;
use crate::failure::Failure;
use crate::screen::Screen;

/// Print the JSON Schema of plans.
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(super) fn run(_setting: &Setting<'_>) -> Result<Exit, Failure> {
        Screen::document(&carnet_model::plan::schema())?;
        Ok(Exit::Done)
    }
}
