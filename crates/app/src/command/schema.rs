//! `carnet schema`.

use carnet_model::Exit;
use clap::Args;

use super::Setting;
use crate::failure::Failure;

/// Print the JSON Schema of plans.
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        setting.screen.document(&carnet_model::plan::schema())?;
        Ok(Exit::Done)
    }
}
