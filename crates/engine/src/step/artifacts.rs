//! Artifacts: copied out of the snapshot, with what they replaced kept as evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use carnet_ledger::{Digest, Object};
use carnet_model::Code;
use serde::{Deserialize, Serialize};

use super::context::{Context, Done, digest_of};
use super::{files, look};
use crate::error::StepError;

/// What is copied, and what was there before.
#[derive(Debug, Serialize, Deserialize)]
struct Planned {
    files: BTreeMap<String, File>,
    /// The folders that are made for them, the outermost first.
    #[serde(default)]
    folders: BTreeSet<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    new: Digest,
    /// The object with the bytes that are replaced.
    old: Option<Digest>,
}

pub(super) fn inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    let target = target(cx)?;
    let mut planned = Planned { files: BTreeMap::new(), folders: BTreeSet::new() };
    for (path, new) in look::artifact_digests(&cx.arrived()?)? {
        planned.folders.extend(files::missing_folders(&files::folder_of(&target.join(&path))));
        let old = match files::read(&target.join(&path))? {
            Some(bytes) => Some(cx.recorder.put(&bytes)?),
            None => None,
        };
        planned.files.insert(path, File { new, old });
    }
    Ok(Object::from([("plan".to_owned(), cx.recorder.put_json(&planned)?.into())]))
}

fn target(cx: &Context<'_>) -> Result<std::path::PathBuf, StepError> {
    cx.target_artifacts().ok_or_else(|| StepError::new(Code::BUG, "the plan moves no artifacts"))
}

fn planned(cx: &Context<'_>, inputs: &Object) -> Result<Planned, StepError> {
    let digest = digest_of(inputs, "plan")
        .ok_or_else(|| StepError::new(Code::BUG, "the artifacts were not planned"))?;
    cx.recorder.get_json(digest)
}

pub(super) fn place(cx: &Context<'_>, inputs: &Object) -> Result<Done, StepError> {
    let (from, to) = (cx.arrived()?, target(cx)?);
    let planned = planned(cx, inputs)?;
    let mut total = 0;
    for (path, file) in &planned.files {
        let (bytes, digest) = files::copy(&from.join(path), &to.join(path))?;
        if digest != file.new {
            let what = format!("{path} has changed in the inbox");
            return Err(StepError::new(Code::SNAPSHOT_DAMAGED, what));
        }
        total += bytes;
        cx.faults.pass("import/artifact")?;
    }
    Ok(Done::default().count("files", planned.files.len() as u64).count("bytes", total))
}

/// Puts back what was replaced, and removes what was copied. What others have changed since stays,
/// and is named.
pub(super) fn unplace(cx: &Context<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
    let to = target(cx)?;
    let mut left_behind = Vec::new();
    let planned = planned(cx, inputs)?;
    for (path, file) in planned.files {
        let place = to.join(&path);
        files::remove(&files::staging(&place))?;
        let held = files::digest(&place)?;
        if held == file.old {
            continue;
        }
        if held.is_some() && held != Some(file.new) {
            left_behind.push(format!("{} was changed by somebody else", place.display()));
            continue;
        }
        if let Some(old) = file.old {
            files::replace(&place, &cx.recorder.object(old)?)?;
        } else {
            files::remove(&place)?;
        }
        cx.faults.pass("import/unplaced")?;
    }
    // A folder sorts before those within it.
    files::remove_made(&planned.folders.into_iter().collect::<Vec<_>>());
    Ok(left_behind)
}
