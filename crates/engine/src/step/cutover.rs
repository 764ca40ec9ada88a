//! The switch: one variable in an environment file.

use std::path::PathBuf;

use carnet_ledger::{Digest, EventBody, Object, Value};
use carnet_model::Code;

use super::context::{Context, Done, digest_of, making};
use super::{env_file, files};
use crate::error::StepError;
use crate::run::recorder::Note;

/// What a look at the switch says.
pub(super) enum Position {
    /// It points to the target, as this run set it.
    New,
    /// It is as it was before.
    Old,
    /// Somebody else has changed it.
    Other,
}

fn path(cx: &Context<'_>) -> PathBuf {
    let cutover = cx.plan.knowledge().and_then(|it| it.cutover.as_ref());
    cutover.map(|cutover| cutover.switch.env_file.within(cx.folder)).unwrap_or_default()
}

/// Keeps the old bytes and fixes the new ones. An environment file may hold secrets: both are kept
/// privately, and the evidence has their digests.
pub(super) fn inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    let Some(cutover) = &cx.knowledge()?.cutover else { return Ok(Object::new()) };
    let path = path(cx);
    let old = files::read(&path)?;
    let switch = &cutover.switch;
    let new = env_file::set(old.as_deref().unwrap_or_default(), switch.key.as_str(), &switch.value);
    let kept = match &old {
        Some(bytes) => Value::from(cx.recorder.put_private(bytes)?),
        None => Value::Null,
    };
    let inputs = Object::from([
        ("path".to_owned(), path.display().to_string().into()),
        ("key".to_owned(), switch.key.as_str().into()),
        ("value".to_owned(), switch.value.as_str().into()),
        ("old".to_owned(), kept),
        ("new".to_owned(), cx.recorder.put_private(&new)?.into()),
    ]);
    Ok(making(inputs, &files::folder_of(&path)))
}

pub(super) fn look(cx: &Context<'_>, inputs: &Object) -> Result<Position, StepError> {
    let held = files::read(&path(cx))?;
    let (old, new) = (digest_of(inputs, "old"), digest_of(inputs, "new"));
    Ok(match held.map(|bytes| Digest::of(&bytes)) {
        found if found.is_some() && found == new => Position::New,
        found if found == old => Position::Old,
        Some(_) | None => Position::Other,
    })
}

pub(super) fn switch(cx: &Context<'_>, inputs: &Object) -> Result<Done, StepError> {
    match look(cx, inputs)? {
        // Setting it again makes sure that it is durable.
        Position::New | Position::Old => {}
        Position::Other => return Err(changed(cx)),
    }
    let new = digest_of(inputs, "new")
        .ok_or_else(|| StepError::new(Code::BUG, "the switch has no new value"))?;
    files::replace(&path(cx), &cx.recorder.private(new)?)?;
    cx.faults.pass("cutover/replaced")?;
    let note = Note::done(EventBody::MigrationCutover, "switch")
        .about(path(cx).display().to_string())
        .with("key", inputs.get("key").cloned().unwrap_or(Value::Null))
        .with("value", inputs.get("value").cloned().unwrap_or(Value::Null));
    Ok(Done::default().note(note))
}

/// Puts back the old bytes exactly, or removes the file that was not there.
pub(super) fn restore(cx: &Context<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
    match look(cx, inputs)? {
        Position::Old => return Ok(Vec::new()),
        Position::New => {}
        Position::Other => return Err(changed(cx)),
    }
    match digest_of(inputs, "old") {
        Some(old) => files::replace(&path(cx), &cx.recorder.private(old)?)?,
        None => {
            files::remove(&path(cx))?;
        }
    }
    cx.faults.pass("cutover/restored")?;
    Ok(Vec::new())
}

pub(super) fn changed(cx: &Context<'_>) -> StepError {
    let what = format!("{} was changed by somebody else", path(cx).display());
    StepError::new(Code::RUN_UNKNOWN, what).remedy(
        "put the file back as it was before the cutover or as the cutover set it, then repeat the \
         command",
    )
}
