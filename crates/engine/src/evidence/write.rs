//! A bundle, file by file; the manifest comes last.

use std::path::Path;

use carnet_bundle::{BundleError, ManifestSigner, signature_file};
use carnet_connect::Progress;
use carnet_ledger::{Digest, EventTime, Family, Note, SigningKey, Value, tiles_of};

use super::ExportedEvidence;
use super::documents::{Head, Inventory, pretty};
use super::error::EvidenceError;
use super::events::Seen;
use super::folder::Folder;
use super::objects::{Digests, pack};
use super::record::Intent;
use super::survey::Survey;
use super::{events, proofs};
use crate::fault::Faults;
use carnet_journal::LogReader;

/// The longest text of a plan that is looked into.
const PLAN_BYTES_MAX: usize = 16 << 20;

/// What a bundle is made of.
pub(super) struct Bundle<'a> {
    pub(super) reader: &'a LogReader,
    pub(super) export: &'a Intent<'a>,
    pub(super) survey: &'a Survey,
    pub(super) tenant: &'a str,
    pub(super) created: EventTime,
    pub(super) signer: Option<&'a SigningKey>,
    /// Who signs the manifest beside the log's key.
    pub(super) signers: &'a [&'a dyn ManifestSigner],
    /// The signed size and root of the whole log.
    pub(super) checkpoint: Option<&'a Note>,
    /// The checkpoint of the last export.
    pub(super) previous: Option<&'a Note>,
    pub(super) tiles: bool,
    pub(super) missing: &'a [Family],
    pub(super) progress: &'a dyn Progress,
    pub(super) faults: &'a Faults,
}

impl Bundle<'_> {
    /// Passes a point at which tests let the disk fail.
    fn pass(&self, point: &str, root: &Path) -> Result<(), EvidenceError> {
        let failed = |error| EvidenceError::io("write", root)(std::io::Error::other(error));
        self.faults.pass(point).map_err(failed)
    }
}

/// Writes a bundle into an empty folder. Its files are durable when it returns.
pub(super) fn write_bundle(
    bundle: &Bundle<'_>,
    root: &Path,
) -> Result<ExportedEvidence, EvidenceError> {
    let reader = bundle.reader;
    let provider = provider(bundle);
    let head = Head {
        made: reader.made(),
        tenant: bundle.tenant,
        provider: &provider,
        producer: bundle.export.actor,
        from: bundle.export.from,
        to: bundle.export.to,
        signer: bundle.signer,
    };
    let size = reader.size();
    let tree = (size, proofs::root(reader, size)?);
    let mut folder = Folder::new(root);
    let mut objects = Digests::default();
    let count = head.to - head.from + 1;
    let job = bundle.progress.job("write events", "events", Some(count));
    let (seen, segment_file) =
        events::write(reader, &head, bundle.tiles, &mut folder, &mut objects, job.as_ref())?;
    drop(job);
    bundle.pass("evidence/events", root)?;
    let previous = write_proofs(bundle, tree, &seen, &mut folder, &mut objects)?;
    let packed = pack(reader, &objects.sorted(), &mut folder, bundle.progress)?;
    folder.put("profile-claim.json", pretty(head.profile_claim()).as_bytes())?;
    folder.put("verifier-inputs.json", pretty(head.verifier_inputs(segment_file)).as_bytes())?;
    let inventory = Inventory {
        export_id: bundle.export.id,
        created: bundle.created,
        seen: &seen,
        segment_file,
        tree,
        objects: packed.objects,
        packs: &packed.files,
        missing: bundle.missing,
        files: folder.files(),
    };
    let manifest = pretty(head.manifest(&inventory));
    folder.put("manifest.json", manifest.as_bytes())?;
    for signer in bundle.signers {
        let signature = signer.sign(manifest.as_bytes()).map_err(BundleError::from)?;
        folder.put(&signature_file(signer.form()), &signature)?;
    }
    bundle.pass("evidence/manifest", root)?;
    Ok(ExportedEvidence {
        path: root.to_owned(),
        export_id: bundle.export.id.to_string(),
        chain_id: head.made.chain_id.clone(),
        from: head.from,
        to: head.to,
        refusals: seen.refusals,
        objects: packed.objects,
        bytes: folder.bytes(),
        last_event_hash: seen.last_hash,
        tree_size: size,
        root: tree.1,
        key_id: bundle.signer.map(|key| key.verifying_key().key_id()),
        previous,
        missing: bundle.missing.to_vec(),
    })
}

/// What ties the events to the signed tree. Gives how many events the last export covered, where
/// this one proves that it goes on from there.
fn write_proofs(
    bundle: &Bundle<'_>,
    tree: (u64, Digest),
    seen: &Seen,
    folder: &mut Folder,
    objects: &mut Digests,
) -> Result<Option<u64>, EvidenceError> {
    let (reader, (size, _)) = (bundle.reader, tree);
    proofs::write_segment(reader, tree, seen, folder)?;
    let previous = match bundle.previous {
        Some(previous) => proofs::write_consistency(reader, tree, previous, folder)?,
        None => None,
    };
    let (profile, changes) = (reader.made().hash_profile, &bundle.survey.key_changes);
    proofs::write_succession(reader, profile, size, changes, folder, objects)?;
    if bundle.tiles {
        let total = tiles_of(size).count() as u64;
        let job = bundle.progress.job("write tiles", "tiles", Some(total));
        proofs::write_tiles(reader, size, folder, job.as_ref())?;
    }
    if let Some(checkpoint) = bundle.checkpoint {
        folder.put("checkpoint", checkpoint.to_string().as_bytes())?;
    }
    Ok(previous)
}

/// The owner of what moves, as the plan of the last run says. A copy has no plan: then the tenant
/// stands for it.
fn provider(bundle: &Bundle<'_>) -> String {
    let plan = bundle.survey.plan.and_then(|plan| bundle.reader.object(plan).ok());
    let plan = plan.and_then(|text| Value::parse(&text, PLAN_BYTES_MAX).ok());
    let owner = match plan {
        Some(Value::Object(plan)) => plan.get("owner").cloned(),
        Some(_) | None => None,
    };
    match owner {
        Some(Value::Text(owner)) => owner,
        Some(_) | None => bundle.tenant.to_owned(),
    }
}
