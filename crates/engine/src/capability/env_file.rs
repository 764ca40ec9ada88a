//! `env.set`: the switch that points clients to one side.

use carnet_ledger::Object;
use carnet_model::capability::EnvSet;

use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, Position, Switch, remove_made};

pub(super) struct Set;

/// The switch that the inputs name.
fn with<T>(
    act: &Act<'_>,
    use_it: impl FnOnce(&Switch<'_>) -> Result<T, StepError>,
) -> Result<T, StepError> {
    let set: EnvSet = act.inputs()?;
    use_it(&Switch::new(act.cx.folder.join(&set.env_file), &set.key, &set.value))
}

impl Capability for Set {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        with(act, |switch| switch.inputs(act.cx))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        with(act, |switch| switch.set(act.cx, inputs))
    }

    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        with(act, |switch| {
            Ok(match switch.look(inputs)? {
                // Doing it again makes sure that it is durable, and on record as done.
                Position::New | Position::Old => Probed::Begun,
                Position::Other => Probed::Unknown(switch.changed().what),
            })
        })
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        with(act, |switch| match switch.look(inputs)? {
            Position::New | Position::Old => switch.restore(act.cx, inputs),
            Position::Other => Err(unknown(
                switch.changed().what,
                "put the file back as it was before the cutover or as the cutover set it, then \
                 repeat the command",
            )),
        })?;
        remove_made(inputs);
        Ok(Vec::new())
    }
}
