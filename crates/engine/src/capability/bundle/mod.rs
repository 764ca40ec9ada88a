//! `bundle.export`, `bundle.transfer`, `bundle.verify`, `bundle.import`: the form of bundles is that of
//! the bundle crate; here is what a run does with them.

mod contents;
mod export;
mod import;
mod notes;
mod transfer;
mod verify;
mod workload;

use std::path::{Path, PathBuf};

use carnet_bundle::Identities;
use carnet_ledger::trust::LogKey;
use carnet_ledger::{Object, VerifyingKey};
use carnet_model::Code;

pub(super) use export::Export;
pub(super) use import::Import;
pub(super) use transfer::Transfer;
pub(super) use verify::Verify;

use super::Act;
use crate::error::StepError;
use crate::step::{files, making, text_of};

/// The inputs of a step that makes something at a place where nothing may be.
fn at_a_free_place(place: &Path, code: Code) -> Result<Object, StepError> {
    let taken = match std::fs::read_dir(place) {
        Ok(mut held) => held.next().is_some(),
        Err(_) => place.symlink_metadata().is_ok(),
    };
    if taken {
        let what = format!("there is something at {} already", place.display());
        return Err(StepError::new(code, what).remedy("move it away, or name another place"));
    }
    let inputs = Object::from([("place".to_owned(), place.display().to_string().into())]);
    Ok(making(inputs, &files::folder_of(place)))
}

/// The place that was recorded with the intent.
fn place_of(inputs: &Object) -> Result<PathBuf, StepError> {
    let place = text_of(inputs, "place").map(PathBuf::from);
    place.ok_or_else(|| StepError::new(Code::BUG, "the place was not recorded"))
}

/// Removes what a step made at its place, whole or not.
fn remove(place: &Path) -> Result<(), StepError> {
    files::remove_whole(place, || Ok(()))
}

/// The bytes of a file that must be there.
fn read(path: &Path) -> Result<Vec<u8>, StepError> {
    let missing = || StepError::io("read", path, std::io::ErrorKind::NotFound.into());
    files::read(path)?.ok_or_else(missing)
}

/// What opens encrypted contents, where a file with it is named.
fn identities(act: &Act<'_>, file: Option<&String>) -> Result<Option<Identities>, StepError> {
    let Some(file) = file else { return Ok(None) };
    let text = read(&act.cx.folder.join(file))?;
    let text = String::from_utf8(text).map_err(|_| {
        StepError::new(Code::KEY_MALFORMED, format!("{file} is no file with an identity of age"))
    })?;
    Ok(Some(Identities::parse(&text)?))
}

/// The keys of logs that are believed.
fn log_keys(act: &Act<'_>, files: &[String]) -> Result<Vec<LogKey>, StepError> {
    let key = |file: &String| {
        let bytes = read(&act.cx.folder.join(file))?;
        let text = String::from_utf8_lossy(&bytes);
        let key = text.trim().parse::<VerifyingKey>().map_err(|error| {
            StepError::new(Code::KEY_MALFORMED, format!("{file} is no public key: {error}"))
                .remedy("name the .vkey file of the log's signer")
        });
        key.map(LogKey::from)
    };
    files.iter().map(key).collect()
}
