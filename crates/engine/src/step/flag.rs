//! The file that asks writers to pause.

use std::path::PathBuf;

use carnet_ledger::Object;

use super::context::{Context, Done, flag_of, making, text_of};
use super::files;
use crate::error::StepError;

fn path(cx: &Context<'_>) -> PathBuf {
    let quiesce = cx.plan.knowledge().and_then(|it| it.quiesce.as_ref());
    quiesce.map(|quiesce| quiesce.flag.within(cx.folder)).unwrap_or_default()
}

/// The flag's text says whose it is, so that nobody removes that of another.
fn text(cx: &Context<'_>) -> String {
    let run = cx.recorder.run().map(|run| run.id).unwrap_or_default();
    format!("carnet: writes pause for migration {} (run {run})\n", cx.document().migration)
}

pub(super) fn inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    let path = path(cx);
    let held = files::read(&path)?;
    let ours = held.as_deref() == Some(text(cx).as_bytes());
    let inputs = Object::from([
        ("path".to_owned(), path.display().to_string().into()),
        ("was_there".to_owned(), (held.is_some() && !ours).into()),
    ]);
    Ok(making(inputs, &files::folder_of(&path)))
}

pub(super) fn raise(cx: &Context<'_>, inputs: &Object) -> Result<Done, StepError> {
    if !flag_of(inputs, "was_there") {
        files::replace(&path(cx), text(cx).as_bytes())?;
    }
    Ok(Done::default().fact("path", text_of(inputs, "path").unwrap_or_default()))
}

/// Removes the flag if it is ours; another's stays, and is named.
pub(super) fn lower(cx: &Context<'_>) -> Result<Vec<String>, StepError> {
    let path = path(cx);
    match files::read(&path)? {
        None => Ok(Vec::new()),
        Some(held) if held == text(cx).as_bytes() => files::remove(&path).map(|_| Vec::new()),
        Some(_) => Ok(vec![format!("{} was made by somebody else and stays", path.display())]),
    }
}
