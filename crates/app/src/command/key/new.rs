//! `carnet key new`.

use std::path::PathBuf;

use carnet_ledger::{KeyError, KeyName};
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::signer::{make, name_for, public_path};

/// Make a key pair: the private key in FILE, for its owner alone, the public one in FILE.vkey.
///
/// Existing files are never overwritten. Give FILE.vkey to whoever checks the evidence; never give
/// FILE away.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The file of the private key; its folder is made where it is missing.
    file: PathBuf,
    /// The key's name, which stands beside each of its signatures [default: that of FILE].
    #[arg(long)]
    name: Option<String>,
}

#[derive(Serialize)]
struct View {
    key_id: String,
    vkey: String,
    private_key: String,
    public_key: String,
}

impl New {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let key = make(&self.file, self.name()?)?;
        let view = View {
            key_id: key.verifying_key().key_id(),
            vkey: key.verifying_key().to_string(),
            private_key: self.file.display().to_string(),
            public_key: public_path(&self.file).display().to_string(),
        };
        setting.screen.show(&view, text)?;
        Ok(Exit::Done)
    }

    fn name(&self) -> Result<KeyName, Failure> {
        match &self.name {
            None => name_for(&self.file),
            Some(name) => name.parse().map_err(|error: KeyError| {
                Failure::from_error(&error, Code::USAGE)
                    .while_doing(format!("{name:?} cannot name a key"))
                    .remedy("choose a name such as operator or example.org/operator")
            }),
        }
    }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("made key {}", view.key_id));
    sheet.field("  private", 12, &format!("{} (mode 0600; keep it to yourself)", view.private_key));
    sheet.field("  public", 12, &format!("{} (for those who check)", view.public_key));
    let plan = format!("name it in the plan: evidence: {{ signer: {} }}", view.private_key);
    sheet.field("next", 12, &plan);
    sheet.text()
}
