//! `bundle.transfer`: blob by blob, so that what was cut off goes on where it was.

use carnet_bundle::BundleLimits;
use carnet_ledger::Object;
use carnet_model::Code;
use carnet_model::capability::BundleTransfer;

use super::super::{Act, Capability, Probed};
use super::{at_a_free_place, place_of, remove};
use crate::error::StepError;
use crate::step::{Done, files, remove_made};

pub(in crate::capability) struct Transfer;

impl Capability for Transfer {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let transfer: BundleTransfer = act.inputs()?;
        at_a_free_place(&act.cx.folder.join(&transfer.to), Code::BUNDLE_EXISTS)
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: BundleTransfer = act.inputs()?;
        let (from, to) = (act.cx.folder.join(&asked.from), place_of(inputs)?);
        files::make_folder(&files::folder_of(&to))?;
        act.pass("bundle/transfer")?;
        let limits = BundleLimits::default();
        let sent = carnet_bundle::transfer(&from, &to, &limits, &act.cx.work)?;
        act.pass("bundle/transferred")?;
        Ok(Done::default()
            .fact("bundle", to.display().to_string())
            .fact("manifest_digest", format!("sha256:{}", sent.manifest_digest))
            .count("blobs_sent", sent.tally.blobs_written)
            .count("bytes_sent", sent.tally.bytes_written)
            .count("blobs_there", sent.tally.blobs_skipped)
            .count("bytes_there", sent.tally.bytes_skipped))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        remove(&place_of(inputs)?)?;
        remove_made(inputs);
        Ok(Vec::new())
    }
}
