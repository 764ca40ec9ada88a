//! `carnet bundle`: a file for each subcommand.

mod export;
mod import;
mod inspect;
mod pack;
mod pull;
mod push;
mod side;
mod unpack;
mod verify;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use carnet_bundle::{BundleLimits, Identities, Transferred};
use carnet_model::{Code, Exit};
use clap::{Args, Subcommand};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Setting;
use crate::amount;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// No file with an identity or a key is larger.
const KEY_BYTES_MAX: u64 = 1 << 20;

/// Look into, check, pack, unpack and send bundles that cross a border.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Export(export::Export),
    Import(import::Import),
    Inspect(inspect::Inspect),
    Verify(verify::Verify),
    Pack(pack::Pack),
    Unpack(unpack::Unpack),
    Push(push::Push),
    Pull(pull::Pull),
}

impl Bundle {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::Export(command) => command.run(setting),
            What::Import(command) => command.run(setting),
            What::Inspect(command) => command.run(setting),
            What::Verify(command) => command.run(setting),
            What::Pack(command) => command.run(setting),
            What::Unpack(command) => command.run(setting),
            What::Push(command) => command.run(setting),
            What::Pull(command) => command.run(setting),
        }
    }
}

/// What is taken of a bundle at most.
#[derive(Debug, Clone, Copy, Args)]
struct Limits {
    /// Refuse a bundle of more bytes than this.
    #[arg(long, value_name = "BYTES", default_value_t = BundleLimits::default().bytes)]
    bytes_max: u64,
    /// Refuse a bundle of more files than this.
    #[arg(long, value_name = "N", default_value_t = BundleLimits::default().entries)]
    files_max: u64,
}

impl Limits {
    fn limits(self) -> BundleLimits {
        BundleLimits { bytes: self.bytes_max, entries: self.files_max, ..BundleLimits::default() }
    }
}

/// What opens encrypted contents.
#[derive(Debug, Args)]
struct Opening {
    /// Decrypt with the identity in this file (age-keygen).
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl Opening {
    fn identities(&self) -> Result<Option<Identities>, Failure> {
        let Some(path) = &self.identity else { return Ok(None) };
        let bytes = Zeroizing::new(read_small(path)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Failure::new(Code::USAGE, format!("{} is not a text", path.display()))
                .remedy("give the file that age-keygen has written")
        })?;
        let identities = Identities::parse(text);
        Ok(Some(
            identities.map_err(|error| Failure::from(error).place(path.display().to_string()))?,
        ))
    }
}

fn read_small(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(KEY_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes =
        read().map_err(|error| Failure::io(format!("cannot read {}", path.display()), error))?;
    if bytes.len() as u64 > KEY_BYTES_MAX {
        let what = format!("{} is larger than {KEY_BYTES_MAX} bytes", path.display());
        return Err(Failure::new(Code::USAGE, what).remedy("name the right file"));
    }
    Ok(bytes)
}

/// What a transfer did, for people and programs.
#[derive(Serialize)]
struct TransferView {
    bundle: String,
    from: String,
    to: String,
    #[serde(flatten)]
    tally: carnet_bundle::Tally,
}

impl TransferView {
    fn new(done: &Transferred, from: String, to: String) -> Self {
        Self { bundle: format!("sha256:{}", done.manifest_digest), from, to, tally: done.tally }
    }

    fn text(&self) -> String {
        let mut sheet = Sheet::default();
        sheet.field("bundle", 8, &self.bundle);
        sheet.field("to", 8, &self.to);
        let blobs = |count| amount::counted(count, "blob", "blobs");
        let tally = &self.tally;
        let sent =
            format!("{}, {}", blobs(tally.blobs_written), amount::bytes(tally.bytes_written));
        sheet.field("sent", 8, &sent);
        let there =
            format!("{}, {}", blobs(tally.blobs_skipped), amount::bytes(tally.bytes_skipped));
        sheet.field("skipped", 8, &format!("{there}: there already"));
        sheet.text()
    }
}
