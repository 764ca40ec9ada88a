//! What acts on the world. A step is given its inputs, which are recorded with its intent; it can
//! be repeated, and so can its undo.

mod archive;
mod artifacts;
mod context;
mod cutover;
mod env_file;
mod export;
pub(crate) mod files;
mod flag;
pub(crate) mod import;
pub(crate) mod look;
pub(crate) mod read_back;
mod verify;

use carnet_ledger::Object;
use carnet_model::plan::StepName;

pub(crate) use context::{
    Context, Done, Parts, digest_of, flag_of, integer_of, making, number, remove_made, text_of,
};
pub use context::{Role, StoreOpener, StoreRequest};
pub(crate) use cutover::{Position, Switch};
pub(crate) use export::{ExportSeen, moment};
pub(crate) use look::artifact_digests;
pub(crate) use verify::ArrivedSeen;

use crate::error::StepError;

/// What a step is given, found out without changing anything.
pub(crate) fn inputs(cx: &Context<'_>, step: StepName) -> Result<Object, StepError> {
    match step {
        StepName::RaiseFlag | StepName::LowerFlag => flag::inputs(cx),
        StepName::ExportSnapshot => export::inputs(cx),
        StepName::PlaceSnapshot => export::place_inputs(cx),
        StepName::LoadRecords => import::inputs(cx),
        StepName::PlaceArtifacts => artifacts::inputs(cx),
        StepName::Switch => cutover::inputs(cx),
        StepName::ArchiveSnapshot => archive::inputs(cx),
        StepName::DescribeSource
        | StepName::DescribeTarget
        | StepName::PinSource
        | StepName::RehashSnapshot
        | StepName::ReadBack => Ok(Object::new()),
    }
}

/// Does a step. Twice is as good as once; what an attempt that was cut off has left is used or
/// replaced.
pub(crate) fn act(cx: &Context<'_>, step: StepName, inputs: &Object) -> Result<Done, StepError> {
    match step {
        StepName::DescribeSource => look::describe_source(cx),
        StepName::DescribeTarget => look::describe_target(cx),
        StepName::PinSource => look::pin_source(cx),
        StepName::RaiseFlag => flag::raise(cx, inputs),
        StepName::ExportSnapshot => export::export(cx, inputs),
        StepName::PlaceSnapshot => export::place(cx),
        StepName::RehashSnapshot => verify::rehash(cx),
        StepName::LoadRecords => import::load(cx, inputs),
        StepName::PlaceArtifacts => artifacts::place(cx, inputs),
        StepName::ReadBack => read_back::read_back(cx),
        StepName::Switch => cutover::switch(cx, inputs),
        StepName::LowerFlag => flag::lower(cx).map(|stays| {
            let stays: Vec<_> = stays.into_iter().map(Into::into).collect();
            Done::default().fact("stays", stays)
        }),
        StepName::ArchiveSnapshot => archive::archive(cx),
    }
}

/// Takes a step back, whole or half done, and the folders that it made for itself. Gives what cannot
/// be taken away, in words.
pub(crate) fn undo(
    cx: &Context<'_>,
    step: StepName,
    inputs: &Object,
) -> Result<Vec<String>, StepError> {
    let left_behind = take_back(cx, step, inputs)?;
    remove_made(inputs);
    Ok(left_behind)
}

fn take_back(cx: &Context<'_>, step: StepName, inputs: &Object) -> Result<Vec<String>, StepError> {
    match step {
        StepName::RaiseFlag => flag::lower(cx),
        StepName::LowerFlag => flag::raise(cx, inputs).map(|_| Vec::new()),
        StepName::ExportSnapshot => export::remove(cx, inputs),
        StepName::PlaceSnapshot => export::unplace(cx, inputs),
        StepName::LoadRecords => import::unload(cx, inputs),
        StepName::PlaceArtifacts => artifacts::unplace(cx, inputs),
        StepName::Switch => cutover::restore(cx, inputs),
        StepName::ArchiveSnapshot => archive::remove(cx, inputs),
        StepName::DescribeSource
        | StepName::DescribeTarget
        | StepName::PinSource
        | StepName::RehashSnapshot
        | StepName::ReadBack => Ok(Vec::new()),
    }
}
