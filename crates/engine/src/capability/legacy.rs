//! What a programme calls legacy is not executed: by which path it is reached does not count, but
//! where that path leads.

use std::fs;
use std::path::{Path, PathBuf};

use carnet_model::Code;
use carnet_model::plan::{Handed, Plan, handed};
use serde_json::Value;

use super::program::PATH;
use crate::error::StepError;

/// Refuses inputs of a step, or a rule of a gate, that hand something to a program that lies in a
/// legacy place, or is a link to what lies there. The check of the plan has compared words alone.
pub(crate) fn refuse(plan: &Plan, folder: &Path, given: &Value) -> Result<(), StepError> {
    let Some(programme) = plan.programme() else { return Ok(()) };
    let Some(Handed { folders, words }) = handed(given) else { return Ok(()) };
    let places = programme.legacy.iter().map(|path| fs::canonicalize(folder.join(path)));
    // What is not there cannot be executed.
    let legacy: Vec<PathBuf> = places.flatten().collect();
    if legacy.is_empty() {
        return Ok(());
    }
    let from: Vec<PathBuf> = [""].into_iter().chain(folders).map(|it| folder.join(it)).collect();
    let found = words.into_iter().find_map(|word| {
        let named = if word.contains('/') { "" } else { PATH };
        let named = named.split(':').filter(|it| !it.is_empty()).map(PathBuf::from);
        let mut places = from.iter().cloned().chain(named).map(|folder| folder.join(word));
        places.find_map(|place| {
            let place = fs::canonicalize(place).ok()?;
            legacy.iter().any(|legacy| place.starts_with(legacy)).then_some((word, place))
        })
    });
    let Some((word, place)) = found else { return Ok(()) };
    let what = format!("{word} is {}, which the programme calls legacy", place.display());
    Err(StepError::new(Code::PLAN_CONFLICT, what)
        .remedy("use what took its place, or take the path out of programme.legacy"))
}
