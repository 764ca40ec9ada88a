//! `carnet key show`.

use std::path::PathBuf;

use carnet_model::Exit;
use clap::Args;
use serde::Serialize;

use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::signer::{read, read_public};

/// Show the public half of a key file.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The file of a private key, or a .vkey file.
    file: PathBuf,
}

#[derive(Serialize)]
struct View {
    key_id: String,
    name: String,
    vkey: String,
    /// Whether the file holds the private key.
    private: bool,
}

impl Show {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let private = self.file.extension().is_none_or(|end| end != "vkey");
        let key = if private {
            read(&self.file)?.verifying_key().clone()
        } else {
            read_public(&self.file)?
        };
        let view = View {
            key_id: key.key_id(),
            name: key.name().to_string(),
            vkey: key.to_string(),
            private,
        };
        setting.screen.show(&view, text)?;
        Ok(Exit::Done)
    }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    let kind = if view.private { "private key" } else { "public key" };
    sheet.line(format_args!("{kind} {}", view.key_id));
    sheet.line(format_args!("  vkey  {}", view.vkey));
    sheet.text()
}
