//! `carnet key succeed`.

use std::path::PathBuf;
use std::sync::Arc;

use carnet_model::Exit;
use clap::Args;
use serde::Serialize;

use crate::command::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::Sheet;
use crate::signer::{public_path, read};

/// Hand a log over from one key to another.
///
/// Both keys sign the statement, which becomes an event of the log. From that event on the old key
/// signs nothing; what it signed before stays good. While a run is cut off its plan cannot change:
/// then put the files of the new key in the place of the old ones.
#[derive(Debug, Args)]
pub(crate) struct Succeed {
    /// The private key that signed the log so far.
    old: PathBuf,
    /// The private key that signs from now on.
    new: PathBuf,
    /// The plan whose log it is, or the log's own folder, such as .carnet/NAME.
    plan: PathBuf,
}

#[derive(Serialize)]
struct View {
    chain_id: String,
    sequence: u64,
    checkpoint_size: u64,
    old_key_id: String,
    new_key_id: String,
    new_public_key: String,
    new_private_key: String,
}

impl Succeed {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let (old, new) = (Arc::new(read(&self.old)?), Arc::new(read(&self.new)?));
        let state = if self.plan.is_dir() {
            self.plan.clone()
        } else {
            setting.state_of(&PlanFile::open(&self.plan)?.plan)
        };
        let done = setting.engine(state)?.hand_over(&old, &new).map_err(|error| {
            let failure = Failure::from_error(&error, error.code());
            match error.remedy() {
                Some(remedy) => failure.remedy(remedy),
                None => failure,
            }
        })?;
        let view = View {
            chain_id: done.chain_id,
            sequence: done.sequence,
            checkpoint_size: done.size,
            old_key_id: old.verifying_key().key_id(),
            new_key_id: new.verifying_key().key_id(),
            new_public_key: public_path(&self.new).display().to_string(),
            new_private_key: self.new.display().to_string(),
        };
        setting.screen.show(&view, text)?;
        Ok(Exit::Done)
    }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("log {} handed over", view.chain_id));
    let from = format!("{} (retired from event {} on)", view.old_key_id, view.sequence);
    sheet.field("  from", 12, &from);
    sheet.field("  to", 12, &view.new_key_id);
    sheet.field(
        "next",
        12,
        &format!("name {} in the plan (evidence.signer)", view.new_private_key),
    );
    sheet.field("", 12, &format!("pass on {} to whoever checks", view.new_public_key));
    sheet.text()
}
