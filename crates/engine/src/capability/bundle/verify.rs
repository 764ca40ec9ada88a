//! `bundle.verify`: nothing of a bundle is believed that can be computed.

use std::path::Path;

use carnet_bundle::{
    ArchiveLimits, BundleCheckId, BundleLimits, BundleReport, BundleRequest, Package, check_placed,
    verify_bundle,
};
use carnet_ledger::Object;
use carnet_ledger::audit::{AuditRequest, CheckVerdict, Overall, audit_bundle};
use carnet_ledger::trust::LogKey;
use carnet_model::Code;
use carnet_model::capability::BundleVerify;

use super::super::{Act, Capability, Probed};
use super::{identities, log_keys, notes};
use crate::error::StepError;
use crate::step::Done;

pub(in crate::capability) struct Verify;

impl Capability for Verify {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let verify: BundleVerify = act.inputs()?;
        let bundle = act.cx.folder.join(&verify.bundle);
        Ok(Object::from([("bundle".to_owned(), bundle.display().to_string().into())]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let verify: BundleVerify = act.inputs()?;
        let place = act.cx.folder.join(&verify.bundle);
        let (keys, identities) =
            (log_keys(act, &verify.keys)?, identities(act, verify.identity.as_ref())?);
        let limits = BundleLimits::default();
        let request = BundleRequest {
            keys: &keys,
            people: None,
            identities: identities.as_ref(),
            replayer: act.cx.replayer,
            limits,
        };
        let report = verify_bundle(&place, &request, &act.cx.work)?;
        let checks = act.cx.recorder.put_json(&report.checks)?;
        sound(&verify, &report)?;
        let Some(manifest) = &report.manifest else {
            return Err(StepError::new(Code::BUNDLE_MALFORMED, "the bundle has no manifest"));
        };
        let done = Done::default()
            .fact("checks", checks)
            .fact("manifest_digest", format!("sha256:{}", report.manifest_digest))
            .fact("content_root", manifest.content_root)
            .count("blobs", report.blobs)
            .count("bytes", report.bytes);
        let Some(placed) = &verify.placed else { return Ok(done) };
        let placed = act.cx.folder.join(placed);
        let root = check_placed(manifest, &placed, &act.cx.work)?;
        segment(act, &placed.join(SEGMENT), &keys)?;
        let note = notes::validated(act, &place, report.manifest_digest, manifest)?;
        Ok(done.fact("placed_root", root).note(note))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

/// Where the part of another run's log lies, with `evidence_only`.
const SEGMENT: &str = "segment";

/// Checks the log that crossed, with nothing but the keys at hand.
fn segment(act: &Act<'_>, place: &Path, keys: &[LogKey]) -> Result<(), StepError> {
    if !place.is_dir() {
        return Ok(());
    }
    let refused = |what: String| {
        let what = format!("the evidence in {} does not hold: {what}", place.display());
        StepError::new(Code::EVIDENCE_REFUSED, what)
            .remedy("`carnet evidence verify` shows each check; have it sent again")
    };
    let package = Package::open(place, &ArchiveLimits::default())?;
    let (workers, replayer) = (act.cx.work.workers, act.cx.replayer);
    let request = AuditRequest { keys, replayer, workers, ..AuditRequest::default() };
    let report = audit_bundle(&package, &request).map_err(|error| refused(error.to_string()))?;
    match report.overall() {
        Overall::Verified => Ok(()),
        Overall::Incomplete if keys.is_empty() => Ok(()),
        overall @ (Overall::Refused | Overall::Malformed | Overall::Incomplete) => {
            Err(refused(overall.name().to_owned()))
        }
    }
}

/// Refuses a bundle with a row that failed, or that had to be answered and was not. Without a key who
/// signed the evidence is not known; everything else must be.
fn sound(verify: &BundleVerify, report: &BundleReport) -> Result<(), StepError> {
    let unsigned = verify.keys.is_empty();
    let open = report.checks.iter().find(|row| match row.verdict {
        CheckVerdict::Fail => true,
        CheckVerdict::NotChecked => !(unsigned && row.id == BundleCheckId::Evidence),
        CheckVerdict::Pass | CheckVerdict::NotApplicable => false,
    });
    if let Some(row) = open {
        let code = row.code.unwrap_or(Code::BUNDLE_DAMAGED);
        let what = format!("the bundle does not hold: {}: {}", row.id.name(), row.reason);
        return Err(StepError::new(code, what)
            .remedy("do not use it; have it sent again, and compare the digest with the sender"));
    }
    let scenario = report.manifest.as_ref().map(|manifest| manifest.scenario);
    if let (Some(wanted), Some(found)) = (verify.scenario, scenario)
        && wanted != found
    {
        let what = format!("the bundle moves {found}, and the plan is about {wanted}");
        return Err(StepError::new(Code::BUNDLE_CONTENT_TYPE, what)
            .remedy("name the bundle that the plan is about, or correct its scenario"));
    }
    Ok(())
}
