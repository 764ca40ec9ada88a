//! `carnet evidence receipt`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use carnet_engine::Receipt as Made;
use carnet_ledger::{Digest, NoteSignature};
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use super::{failure, find, open};
use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Write the proof that one event is in the signed log, and the event beside it.
///
/// The proof is a tlog-proof (c2sp.org/tlog-proof): index, hashes and the newest signed checkpoint
/// that covers the event. Nothing is changed.
#[derive(Debug, Args)]
pub(crate) struct Receipt {
    /// The plan, or a state folder; without one, the only log in the state folder.
    plan: Option<PathBuf>,
    /// The event.
    #[arg(long, value_name = "N")]
    event: u64,
    /// The file to make [default: event-N.tlog-proof].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct View {
    receipt: String,
    event: String,
    sequence: u64,
    /// How many events the checkpoint covers.
    size: u64,
    /// SHA-256 of the event's bytes.
    event_sha256: Digest,
    receipt_bytes: usize,
    key_ids: Vec<String>,
}

impl Receipt {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let log = open(&find(setting, self.plan.as_deref())?.state)?;
        let made = Made::of(&log, self.event).map_err(|error| failure(&error))?;
        let text = made.proof.to_string();
        let default = || PathBuf::from(format!("event-{}.tlog-proof", self.event));
        let out = self.out.clone().unwrap_or_else(default);
        let mut beside = out.clone().into_os_string();
        beside.push(".event.json");
        let beside = PathBuf::from(beside);
        // The event first: a receipt without its event is of no use.
        write_new(&beside, &made.event)?;
        write_new(&out, text.as_bytes())?;
        let view = View {
            receipt: out.display().to_string(),
            event: beside.display().to_string(),
            sequence: self.event,
            size: made.size,
            event_sha256: Digest::of(&made.event),
            receipt_bytes: text.len(),
            key_ids: made.proof.checkpoint.signatures.iter().map(NoteSignature::key_id).collect(),
        };
        setting.screen.show(&view, plain)?;
        Ok(Exit::Done)
    }
}

fn plain(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("receipt {}: {} bytes", view.receipt, view.receipt_bytes));
    let place = format!("{} of a log of {} events, in {}", view.sequence, view.size, view.event);
    sheet.field("  event", 11, &place);
    sheet.field("  signed by", 11, &view.key_ids.join(", "));
    sheet.text()
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = File::options().write(true).create_new(true).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::new(Code::EVIDENCE_EXISTS, format!("{} exists", path.display()))
                .remedy("choose another file with --out: evidence is never written over")
        } else {
            Failure::io(format!("cannot write {}", path.display()), error)
        }
    })
}
