//! The switch: one variable in an environment file.

use std::path::PathBuf;

use carnet_ledger::{Digest, EventBody, Object, Value};
use carnet_model::Code;

use super::context::{Context, Done, digest_of, making};
use super::{env_file, files};
use crate::error::StepError;
use crate::run::recorder::Note;

/// What a look at the switch says.
pub(crate) enum Position {
    /// It points to the target, as this run set it.
    New,
    /// It is as it was before.
    Old,
    /// Somebody else has changed it.
    Other,
}

/// A variable in an environment file, and what it is set to.
pub(crate) struct Switch<'a> {
    path: PathBuf,
    key: &'a str,
    value: &'a str,
}

impl<'a> Switch<'a> {
    pub(crate) fn new(path: PathBuf, key: &'a str, value: &'a str) -> Self {
        Self { path, key, value }
    }

    /// That of the plan's cutover; `None` if it has none.
    pub(super) fn of_plan(cx: &Context<'a>) -> Option<Self> {
        let switch = &cx.plan.knowledge()?.cutover.as_ref()?.switch;
        let path = switch.env_file.within(cx.folder);
        Some(Self::new(path, switch.key.as_str(), &switch.value))
    }

    /// Keeps the old bytes and fixes the new ones. An environment file may hold secrets: both are
    /// kept privately, and the evidence has their digests.
    pub(crate) fn inputs(&self, cx: &Context<'_>) -> Result<Object, StepError> {
        let old = files::read(&self.path)?;
        let new = env_file::set(old.as_deref().unwrap_or_default(), self.key, self.value);
        let kept = match &old {
            Some(bytes) => Value::from(cx.recorder.put_private(bytes)?),
            None => Value::Null,
        };
        let inputs = Object::from([
            ("path".to_owned(), self.path.display().to_string().into()),
            ("key".to_owned(), self.key.into()),
            ("value".to_owned(), self.value.into()),
            ("old".to_owned(), kept),
            ("new".to_owned(), cx.recorder.put_private(&new)?.into()),
        ]);
        Ok(making(inputs, &files::folder_of(&self.path)))
    }

    pub(crate) fn look(&self, inputs: &Object) -> Result<Position, StepError> {
        let held = files::read(&self.path)?;
        let (old, new) = (digest_of(inputs, "old"), digest_of(inputs, "new"));
        Ok(match held.map(|bytes| Digest::of(&bytes)) {
            found if found.is_some() && found == new => Position::New,
            found if found == old => Position::Old,
            Some(_) | None => Position::Other,
        })
    }

    pub(crate) fn set(&self, cx: &Context<'_>, inputs: &Object) -> Result<Done, StepError> {
        match self.look(inputs)? {
            // Setting it again makes sure that it is durable.
            Position::New | Position::Old => {}
            Position::Other => return Err(self.changed()),
        }
        let new = digest_of(inputs, "new")
            .ok_or_else(|| StepError::new(Code::BUG, "the switch has no new value"))?;
        files::replace(&self.path, &cx.recorder.private(new)?)?;
        cx.faults.pass("cutover/replaced")?;
        let note = Note::done(EventBody::MigrationCutover, "switch")
            .about(self.path.display().to_string())
            .with("key", inputs.get("key").cloned().unwrap_or(Value::Null))
            .with("value", inputs.get("value").cloned().unwrap_or(Value::Null));
        Ok(Done::default().note(note))
    }

    /// Puts back the old bytes exactly, or removes the file that was not there.
    pub(crate) fn restore(&self, cx: &Context<'_>, inputs: &Object) -> Result<(), StepError> {
        match self.look(inputs)? {
            Position::Old => return Ok(()),
            Position::New => {}
            Position::Other => return Err(self.changed()),
        }
        match digest_of(inputs, "old") {
            Some(old) => files::replace(&self.path, &cx.recorder.private(old)?)?,
            None => {
                files::remove(&self.path)?;
            }
        }
        Ok(())
    }

    pub(crate) fn changed(&self) -> StepError {
        let what = format!("{} was changed by somebody else", self.path.display());
        StepError::new(Code::RUN_UNKNOWN, what).remedy(
            "put the file back as it was before the cutover or as the cutover set it, then repeat \
             the command",
        )
    }
}

pub(super) fn inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    Switch::of_plan(cx).map_or_else(|| Ok(Object::new()), |switch| switch.inputs(cx))
}

pub(super) fn switch(cx: &Context<'_>, inputs: &Object) -> Result<Done, StepError> {
    Switch::of_plan(cx).ok_or_else(none)?.set(cx, inputs)
}

pub(super) fn restore(cx: &Context<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
    Switch::of_plan(cx).ok_or_else(none)?.restore(cx, inputs)?;
    cx.faults.pass("cutover/restored")?;
    Ok(Vec::new())
}

fn none() -> StepError {
    StepError::new(Code::BUG, "the plan has no switch")
}
