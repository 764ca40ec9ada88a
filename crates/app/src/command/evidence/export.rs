//! `carnet evidence export`.

use std::path::{Path, PathBuf};

use carnet_bundle::ArchiveKind;
use carnet_engine::{EvidenceRequest, ExportedEvidence};
use carnet_ledger::Digest;
use carnet_model::Exit;
use clap::Args;
use serde::Serialize;

use super::{Place, failure, find};
use crate::amount;
use crate::command::Setting;
use crate::detached::Signing;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::signer::{planned, public_path, signer};

/// Write events with their objects and proofs as a bundle that anyone can check.
///
/// The log gets an event that says so first, so that a bundle of the whole log ends with its own
/// export. Nothing of what the state folder keeps private is in a bundle.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The plan, or a state folder; without one, the only log in the state folder.
    plan: Option<PathBuf>,
    /// Where the bundle goes: a new folder, or a file whose name ends in .tar or .zip.
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// The first event.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// The last event [default: that of this export].
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Sign with this private key instead of the one that the plan names.
    #[arg(long, value_name = "KEY")]
    signer: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
    /// Add the tree and the events as tiles, for any web server (c2sp.org/tlog-tiles).
    #[arg(long)]
    tiles: bool,
    /// Export also what lacks events that the profile demands; the manifest names what is missing.
    #[arg(long)]
    incomplete: bool,
}

#[derive(Serialize)]
struct View {
    bundle: String,
    export_id: String,
    chain_id: String,
    from_sequence: u64,
    to_sequence: u64,
    events: u64,
    refusals: u64,
    objects: u64,
    bytes: u64,
    last_event_hash: Digest,
    tree_size: u64,
    root: Digest,
    key_id: Option<String>,
    /// How many events the last export covered, if the bundle proves that they begin this log.
    previous_size: Option<u64>,
    missing_families: Vec<&'static str>,
    next: String,
}

impl Export {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let Place { state, plan } = find(setting, self.plan.as_deref())?;
        let key_file = self.signer.clone().or_else(|| plan.as_ref().and_then(planned));
        let signer = signer(self.signer.as_deref(), plan.as_ref())?;
        let pens = self.signing.pens()?;
        let engine = setting.engine(state)?;
        let progress = setting.progress();
        let request = EvidenceRequest {
            out: &self.out,
            archive: self.archive(),
            from: self.from,
            to: self.to,
            signer,
            signers: &pens.signers(),
            tiles: self.tiles,
            incomplete: self.incomplete,
            created: setting.environment.fixed_time()?,
            progress: progress.as_ref(),
        };
        let exported = engine.export_evidence(&request).map_err(|error| failure(&error));
        drop(progress);
        let exported = exported?;
        if exported.key_id.is_none() {
            setting.screen.say(
                "note: there was no key: the bundle is unsigned, and proves nothing about who made\n      \
                 it; name a key in the plan (evidence.signer) or with --signer",
            );
        }
        setting.screen.show(&view(exported, key_file.as_deref()), text)?;
        Ok(Exit::Done)
    }

    fn archive(&self) -> Option<ArchiveKind> {
        let end = self.out.extension()?.to_str()?;
        [ArchiveKind::Tar, ArchiveKind::Zip].into_iter().find(|kind| kind.extension() == end)
    }
}

fn view(exported: ExportedEvidence, key_file: Option<&Path>) -> View {
    let bundle = exported.path.display().to_string();
    let key = key_file.map(|key| format!(" --key {}", public_path(key).display()));
    View {
        next: format!("carnet evidence verify {bundle}{}", key.unwrap_or_default()),
        bundle,
        export_id: exported.export_id,
        chain_id: exported.chain_id,
        from_sequence: exported.from,
        to_sequence: exported.to,
        events: exported.to - exported.from + 1,
        refusals: exported.refusals,
        objects: exported.objects,
        bytes: exported.bytes,
        last_event_hash: exported.last_event_hash,
        tree_size: exported.tree_size,
        root: exported.root,
        key_id: exported.key_id,
        previous_size: exported.previous,
        missing_families: exported.missing.iter().map(|family| family.name()).collect(),
    }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("evidence in {}", view.bundle));
    let events = amount::counted(view.events, "event", "events");
    let refusals = amount::counted(view.refusals, "refusal", "refusals");
    let (from, to) = (view.from_sequence, view.to_sequence);
    sheet.field("  events", 12, &format!("{events} ({from} to {to}), {refusals} among them"));
    let objects = amount::counted(view.objects, "object", "objects");
    sheet.field("  objects", 12, &format!("{objects}, {} in all", amount::bytes(view.bytes)));
    let of = amount::counted(view.tree_size, "event", "events");
    sheet.field("  log", 12, &format!("{of}, id {}", view.chain_id));
    sheet.field("  root", 12, &view.root.to_string());
    sheet.field("  last hash", 12, &view.last_event_hash.to_string());
    sheet.field("  signed by", 12, view.key_id.as_deref().unwrap_or("nobody"));
    if let Some(size) = view.previous_size {
        let events = amount::counted(size, "event", "events");
        sheet.field("  goes on", 12, &format!("from the last export, of {events}: proven"));
    }
    if !view.missing_families.is_empty() {
        let names = view.missing_families.join(", ");
        sheet.field("  missing", 12, &format!("events that the profile demands: {names}"));
    }
    sheet.field("next", 12, &view.next);
    sheet.text()
}
