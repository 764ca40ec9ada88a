//! `erasure.survey`, `erasure.record`: what was there, by digest, and that it is gone.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use carnet_ledger::{Digest, EventBody, Object};
use carnet_model::Code;
use carnet_model::capability::{ErasureRecord, ErasureSurvey};
use serde::{Deserialize, Serialize};

use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::run::recorder::Note;
use crate::step::{Done, files};

pub(super) struct Survey;
pub(super) struct Record;

/// What was there.
#[derive(Serialize, Deserialize)]
struct Surveyed {
    items: Vec<SurveyedItem>,
}

#[derive(Serialize, Deserialize)]
struct SurveyedItem {
    what: String,
    path: String,
    /// By path below it; of a file alone, by the empty path.
    sha256: BTreeMap<String, Digest>,
}

/// The receipt: what was there, and how it was seen to be gone.
#[derive(Serialize)]
struct Receipt<'a> {
    erased_by: &'a str,
    seen_gone_at: String,
    items: &'a [SurveyedItem],
    seen_gone: &'static str,
}

const SEEN_GONE: &str = "the folder in which each was could be read, and it is not in it";

fn refused(what: String, remedy: &str) -> StepError {
    StepError::new(Code::ERASURE_REFUSED, what).remedy(remedy)
}

impl Capability for Survey {
    fn prepare(&self, _: &Act<'_>) -> Result<Object, StepError> {
        Ok(Object::new())
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let survey: ErasureSurvey = act.inputs()?;
        let mut items = Vec::new();
        for item in survey.items {
            let sha256 = digests(&act.cx.folder.join(&item.path))?;
            if sha256.is_empty() {
                let what = format!("{} is not there, or holds no file: {}", item.path, item.what);
                return Err(refused(what, "take it off the list, or look for where it is"));
            }
            items.push(SurveyedItem { what: item.what, path: item.path, sha256 });
        }
        let count: usize = items.iter().map(|item| item.sha256.len()).sum();
        Ok(Done::seen(act.cx, &Surveyed { items })?.count("files", count as u64))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

/// The digests of a file, or of all files in a folder; none if there is nothing.
fn digests(path: &Path) -> Result<BTreeMap<String, Digest>, StepError> {
    if !path.is_dir() {
        let found = files::digest(path)?;
        return Ok(found.map(|digest| (String::new(), digest)).into_iter().collect());
    }
    let mut found = BTreeMap::new();
    for (name, _) in files::walk(path)?.files {
        if let Some(digest) = files::digest(&path.join(&name))? {
            found.insert(name.to_string_lossy().into_owned(), digest);
        }
    }
    Ok(found)
}

impl Capability for Record {
    fn prepare(&self, _: &Act<'_>) -> Result<Object, StepError> {
        Ok(Object::new())
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let record: ErasureRecord = act.inputs()?;
        let surveyed: Surveyed = act.cx.seen(&record.surveyed).map_err(|_| {
            let what = format!("the step {} has not looked at anything", record.surveyed);
            refused(what, "put a step with erasure.survey before what erases, and name it")
        })?;
        for item in &surveyed.items {
            gone(&act.cx.folder.join(&item.path), item)?;
        }
        let receipt = Receipt {
            erased_by: &record.erased_by,
            seen_gone_at: act.cx.clock.now().to_string(),
            items: &surveyed.items,
            seen_gone: SEEN_GONE,
        };
        let pointer = act.cx.recorder.put_json(&receipt)?;
        let mut done = Done::default().fact("erasure", pointer);
        for item in &surveyed.items {
            let note = Note::done(EventBody::StorageDelete, "erase");
            done = done.note(note.about(&item.path).pointing(pointer));
        }
        Ok(done.count("items", surveyed.items.len() as u64))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

/// Refuses what is still there. A folder that is gone as a whole, or cannot be read, shows nothing:
/// a disk that is not mounted would look like an erased one.
fn gone(path: &Path, item: &SurveyedItem) -> Result<(), StepError> {
    let parent = files::folder_of(path);
    fs::read_dir(&parent).map_err(|error| {
        let what = format!("{} cannot be looked at: {error}", parent.display());
        refused(what, "make the folder in which it was readable: it must be seen that it is gone")
    })?;
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let what = format!("{} cannot be looked at: {error}", path.display());
            Err(refused(what, "make it readable, or erase it"))
        }
        Ok(_) => {
            let what = format!("{} is still there: {}", item.path, item.what);
            Err(refused(what, "erase it, and run again"))
        }
    }
}
