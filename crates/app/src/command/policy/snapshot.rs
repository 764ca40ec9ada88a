//! `carnet policy snapshot`.

use std::path::PathBuf;

use carnet_bundle::write_policy;
use carnet_ledger::Digest;
use carnet_model::Exit;
use clap::Args;
use serde::Serialize;

use super::check::{checked, failure};
use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Write a policy as a snapshot, after its self-tests came out as they say.
///
/// The same policy gives the same bytes. Its digest is what gates, bundles and evidence name it by.
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    /// The folder of the policy.
    #[arg(value_name = "DIR")]
    policy: PathBuf,
    /// The folder that is made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct View {
    snapshot: Digest,
    path: String,
    files: Vec<String>,
}

impl Snapshot {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let (policy, view) = checked(&self.policy)?;
        if let Some(failure) = failure(&view) {
            return Err(failure);
        }
        write_policy(&policy, &self.out)?;
        let view = View {
            snapshot: view.snapshot,
            path: self.out.display().to_string(),
            files: policy.files().into_keys().collect(),
        };
        setting.screen.show(&view, text)?;
        Ok(Exit::Done)
    }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("snapshot  {}", view.snapshot));
    sheet.line(format_args!("written   {} ({} files)", view.path, view.files.len()));
    sheet.text()
}
