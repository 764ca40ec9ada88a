//! `bundle.export`. The order is fixed: the contents, the root over them, the intent that names it, the
//! evidence up to there, the manifest. Evidence inside a bundle cannot name the bundle's own digest;
//! the outcome, which stays in this log, does.

use std::path::{Path, PathBuf};

use carnet_bundle::{
    Bundle, BundleItem, BundleLimits, BundleMembers, Recipients, SnapshotTime, Tally, lay_out, seal,
};
use carnet_ledger::{Digest, Object};
use carnet_model::Code;
use carnet_model::capability::BundleExport;
use carnet_model::portability::{
    BundleGovernance, BundleManifest, ContentType, EVIDENCE_FOLDER, EvidenceRange, Producer,
};

use super::super::{Act, Capability, Probed};
use super::contents::{items, media_type, root_of, scratch_of};
use super::{at_a_free_place, notes, place_of, remove};
use crate::error::StepError;
use crate::evidence::{ExportedEvidence, own_log};
use crate::step::{Done, digest_of, files, integer_of, moment, number, remove_made};

pub(in crate::capability) struct Export;

impl Capability for Export {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let export: BundleExport = act.inputs()?;
        let place = act.cx.folder.join(&export.bundle);
        let mut inputs = at_a_free_place(&place, Code::BUNDLE_EXISTS)?;
        let (items, _) = items(act, &export)?;
        let (_, seconds) = moment(act.cx)?;
        inputs.insert("content_root".to_owned(), root_of(&items)?.into());
        inputs.insert("created".to_owned(), number(seconds));
        Ok(inputs)
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let export: BundleExport = act.inputs()?;
        let place = place_of(inputs)?;
        files::make_folder(&files::folder_of(&place))?;
        let (items, governance) = items(act, &export)?;
        let recipients = match export.recipients.as_slice() {
            [] => None,
            words => Some(Recipients::parse(words)?),
        };
        let chain = notes::of_items(&items);
        if let Some(made) = made_before(&place, inputs) {
            let (digest, manifest) = (made.manifest_digest(), made.manifest());
            return done(act, &place, digest, manifest, Tally::default(), &chain);
        }
        let laid = lay_out(&place, items, recipients.as_ref(), &act.cx.work)?;
        let root = laid.content_root();
        if digest_of(inputs, "content_root") != Some(root) {
            let what = "the content changed since it was looked at";
            return Err(StepError::new(Code::CONTENT_DIFFERS, what)
                .remedy("let nobody write to it, and run the plan again"));
        }
        act.pass("bundle/laid")?;
        let evidence = Evidence::write(act, root)?;
        act.pass("bundle/evidence")?;
        let members = members(act, &export, governance, inputs, &evidence.exported)?;
        let sealed = seal(laid, evidence.items()?, members, None, &act.cx.work)?;
        evidence.remove()?;
        files::remove_folder(&scratch_of(act))?;
        act.pass("bundle/sealed")?;
        done(act, &place, sealed.manifest_digest, &sealed.manifest, sealed.tally, &chain)
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        files::remove_folder(&evidence_place(act))?;
        files::remove_folder(&scratch_of(act))?;
        remove(&place_of(inputs)?)?;
        remove_made(inputs);
        Ok(Vec::new())
    }
}

/// The bundle that an attempt made whole just before it was cut off: it is of the same content, made
/// under the same intent.
fn made_before(place: &Path, inputs: &Object) -> Option<Bundle> {
    let bundle = Bundle::open(place, &BundleLimits::default()).ok()?;
    let manifest = bundle.manifest();
    let created = SnapshotTime::from_unix_seconds(integer_of(inputs, "created")?).ok()?;
    let same = digest_of(inputs, "content_root") == Some(manifest.content_root);
    (same && manifest.created == created.utc()).then_some(bundle)
}

fn done(
    act: &Act<'_>,
    place: &Path,
    digest: Digest,
    manifest: &BundleManifest,
    tally: Tally,
    chain: &[(ContentType, PathBuf)],
) -> Result<Done, StepError> {
    let mut done = Done::default()
        .fact("bundle", place.display().to_string())
        .fact("manifest_digest", format!("sha256:{digest}"))
        .fact("content_root", manifest.content_root)
        .count("blobs_written", tally.blobs_written)
        .count("bytes_written", tally.bytes_written)
        .count("blobs_skipped", tally.blobs_skipped)
        .count("bytes_skipped", tally.bytes_skipped);
    for note in notes::exported(act, place, digest, manifest, chain)? {
        done = done.note(note);
    }
    Ok(done)
}

/// Where the evidence is written before it is put into the bundle.
fn evidence_place(act: &Act<'_>) -> PathBuf {
    let mut place = scratch_of(act).into_os_string();
    place.push("-evidence");
    place.into()
}

/// The log of this run up to the intent, as it goes into the bundle.
struct Evidence {
    place: PathBuf,
    exported: ExportedEvidence,
}

impl Evidence {
    fn write(act: &Act<'_>, content_root: Digest) -> Result<Self, StepError> {
        let place = evidence_place(act);
        // What an earlier attempt left ends with another event.
        files::remove_folder(&place)?;
        files::make_folder(&files::folder_of(&place))?;
        let exported = own_log(act.cx, act.key, content_root, &place)?;
        Ok(Self { place, exported })
    }

    fn items(&self) -> Result<Vec<BundleItem>, StepError> {
        let kind = ContentType::EvidenceChainSegment;
        let mut items =
            BundleItem::folder(kind, EVIDENCE_FOLDER, &self.place, |path| media_type(kind, path))?;
        for item in &mut items {
            if item.path == format!("{EVIDENCE_FOLDER}/verifier-inputs.json") {
                item.kind = ContentType::VerifierInputs;
            }
        }
        Ok(items)
    }

    fn remove(&self) -> Result<(), StepError> {
        files::remove_folder(&self.place)?;
        Ok(())
    }
}

fn members(
    act: &Act<'_>,
    export: &BundleExport,
    governance: BundleGovernance,
    inputs: &Object,
    evidence: &ExportedEvidence,
) -> Result<BundleMembers, StepError> {
    let document = act.cx.document();
    let created = integer_of(inputs, "created").unwrap_or_default();
    let said = |name: &str| said_by(&evidence.path, name);
    Ok(BundleMembers {
        created: SnapshotTime::from_unix_seconds(created)?.utc(),
        source_provider: export.source_provider.clone(),
        tenant_id: document.evidence.tenant.to_string(),
        scenario: export.scenario,
        workload_id: export.workload_id.clone(),
        evidence_profile_id: said("evidence_profile_id")?,
        profile_version: said("profile_version")?,
        hash_profile_id: said("hash_profile_id")?,
        producer_identity: Producer {
            issuer_id: document.owner.to_string(),
            producer_id: "carnet".to_owned(),
        },
        scope: EvidenceRange { from_sequence: evidence.from, to_sequence: evidence.to },
        governance_metadata: governance,
    })
}

/// What the manifest of the evidence says: the bundle says the same.
fn said_by(evidence: &Path, name: &str) -> Result<String, StepError> {
    let missing = || StepError::new(Code::BUG, format!("the evidence does not say its {name}"));
    let manifest = super::read(&evidence.join("manifest.json"))?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).map_err(|_| missing())?;
    let text = manifest.get(name).and_then(serde_json::Value::as_str);
    text.map(str::to_owned).ok_or_else(missing)
}
