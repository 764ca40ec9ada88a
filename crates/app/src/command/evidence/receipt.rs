//! `carnet evidence receipt`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_engine::Receipt as Made;
use carnet_ledger::{Digest, NoteSignature, SigningKey};
use carnet_model::{Code, Exit};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Place, failure, find, open};
use crate::command::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::Sheet;
use crate::signer::signer;

/// Write the proof that one event is in the signed log, and the event beside it.
///
/// The proof is a tlog-proof (c2sp.org/tlog-proof): index, hashes and the newest signed checkpoint
/// that covers the event; or a COSE receipt (RFC 9942), for which the log's key signs the root of that
/// checkpoint again. Nothing is changed.
#[derive(Debug, Args)]
pub(crate) struct Receipt {
    /// The plan, or a state folder; without one, the only log in the state folder.
    plan: Option<PathBuf>,
    /// The event.
    #[arg(long, value_name = "N")]
    event: u64,
    /// The form of the proof.
    #[arg(long, value_enum, default_value_t = Format::TlogProof)]
    format: Format,
    /// The file to make [default: event-N.tlog-proof, event-N.cose].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign a COSE receipt with this private key instead of the one that the plan names.
    #[arg(long, value_name = "KEY")]
    signer: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text, with the signed checkpoint in it.
    TlogProof,
    /// CBOR, signed anew.
    Cose,
}

impl Format {
    /// What a file of this form is called by.
    const fn ending(self) -> &'static str {
        match self {
            Self::TlogProof => "tlog-proof",
            Self::Cose => "cose",
        }
    }
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
        let Place { state, plan } = find(setting, self.plan.as_deref())?;
        let log = open(&setting.log_of(&state)?)?;
        let made = Made::of(&log, self.event).map_err(|error| failure(&error))?;
        let (proof, key_ids) = match self.format {
            Format::TlogProof => {
                let signatures = made.proof.checkpoint.signatures.iter();
                (
                    made.proof.to_string().into_bytes(),
                    signatures.map(NoteSignature::key_id).collect(),
                )
            }
            Format::Cose => {
                let key = self.key(plan.as_ref())?;
                (cose(&made, &key)?, vec![key.verifying_key().key_id()])
            }
        };
        let default = || PathBuf::from(format!("event-{}.{}", self.event, self.format.ending()));
        let out = self.out.clone().unwrap_or_else(default);
        let mut beside = out.clone().into_os_string();
        beside.push(".event.json");
        let beside = PathBuf::from(beside);
        // The event first: a receipt without its event is of no use.
        write_new(&beside, &made.event)?;
        write_new(&out, &proof)?;
        let view = View {
            receipt: out.display().to_string(),
            event: beside.display().to_string(),
            sequence: self.event,
            size: made.size,
            event_sha256: Digest::of(&made.event),
            receipt_bytes: proof.len(),
            key_ids,
        };
        setting.screen.show(&view, plain)?;
        Ok(Exit::Done)
    }

    /// The log's key: a checkpoint's signature does not fit a COSE receipt.
    fn key(&self, plan: Option<&PlanFile>) -> Result<Arc<SigningKey>, Failure> {
        signer(self.signer.as_deref(), plan)?.ok_or_else(|| {
            Failure::new(Code::USAGE, "a COSE receipt is signed, and there is no key")
                .remedy("name the log's private key: --signer KEY, or evidence.signer in the plan")
        })
    }
}

/// The receipt in CBOR.
#[cfg(feature = "cose")]
fn cose(made: &Made, key: &SigningKey) -> Result<Vec<u8>, Failure> {
    use carnet_ledger::projection::CoseReceipt;
    use carnet_ledger::{Checkpoint, leaf_hash};

    let damaged = |error: &dyn std::error::Error| {
        Failure::new(Code::EVIDENCE_DAMAGED, "the log's checkpoint does not fit the event")
            .because(error.to_string())
    };
    let checkpoint =
        Checkpoint::parse(&made.proof.checkpoint.text).map_err(|error| damaged(&error))?;
    let receipt = CoseReceipt {
        issuer: &checkpoint.origin,
        subject: &format!("eosc://evidence/sha256:{}", Digest::of(&made.event)),
        leaf: leaf_hash(&made.event),
        index: made.proof.index,
        size: checkpoint.size,
        root: checkpoint.root,
        path: &made.proof.hashes,
    };
    receipt.sign(key).map_err(|error| damaged(&error))
}

/// What a build without CBOR says.
#[cfg(not(feature = "cose"))]
fn cose(_: &Made, _: &SigningKey) -> Result<Vec<u8>, Failure> {
    Err(Failure::new(Code::FEATURE_MISSING, "this build was made without the feature `cose`")
        .remedy("build it with --features cose"))
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
