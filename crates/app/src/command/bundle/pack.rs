//! `carnet bundle pack`.

use std::path::PathBuf;

use carnet_bundle::pack_bundle;
use carnet_model::Exit;
use clap::Args;
use serde::Serialize;

use super::Limits;
use crate::amount;
use crate::command::Setting;
use crate::failure::Failure;

/// Make one file of a bundle: a tar with the same bytes for the same bundle.
///
/// Other tools of OCI take it as `oci-archive:FILE`. A blob that is not what it is called stops it.
#[derive(Debug, Args)]
pub(super) struct Pack {
    /// The bundle: its folder or its tar.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// The tar to write. It must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Serialize)]
struct View {
    bundle: String,
    file: String,
    bytes: u64,
}

impl Pack {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let bundle = pack_bundle(&self.path, &self.out, &self.limits.limits())?;
        let reading = |error| Failure::io(format!("cannot read {}", self.out.display()), error);
        let view = View {
            bundle: format!("sha256:{}", bundle.manifest_digest()),
            file: self.out.display().to_string(),
            bytes: self.out.metadata().map_err(reading)?.len(),
        };
        setting.screen.show(&view, |view| {
            format!("{}: {}\n{}\n", view.file, amount::bytes(view.bytes), view.bundle)
        })?;
        Ok(Exit::Done)
    }
}
