//! Keeping the snapshot, read-only.

use std::path::PathBuf;

use carnet_ledger::Object;
use carnet_model::Code;

use super::context::{Context, Done, flag_of};
use super::{export, files};
use crate::error::StepError;

fn place(cx: &Context<'_>) -> Result<PathBuf, StepError> {
    let archive = cx.knowledge()?.decommission.as_ref().map(|it| it.archive.within(cx.folder));
    let archive = archive.ok_or_else(|| StepError::new(Code::BUG, "the plan names no archive"))?;
    Ok(archive.join(cx.snapshot_name()?))
}

pub(super) fn inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    export::copy_inputs(&cx.arrived()?, &place(cx)?)
}

pub(super) fn archive(cx: &Context<'_>) -> Result<Done, StepError> {
    let place = place(cx)?;
    let (count, bytes) = export::copy_whole(cx, &cx.arrived()?, &place, "decommission/file")?;
    let tree = files::walk(&place)?;
    for (file, _) in &tree.files {
        files::set_mode(&place.join(file), 0o444)?;
    }
    for folder in tree.folders.iter().rev() {
        files::set_mode(&place.join(folder), 0o555)?;
    }
    let path = place.display().to_string();
    Ok(Done::default().fact("path", path).count("files", count).count("bytes", bytes))
}

pub(super) fn remove(cx: &Context<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
    if flag_of(inputs, "was_there") {
        return Ok(Vec::new());
    }
    export::remove_copy(cx, &place(cx)?, "decommission/removing")
}
