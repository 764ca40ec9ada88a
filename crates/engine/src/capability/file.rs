//! `file.copy`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use carnet_ledger::{Digest, Hasher, Object, Value};
use carnet_model::Code;
use carnet_model::capability::FileCopy;

use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::step::{Done, digest_of, files, integer_of, making, remove_made};

pub(super) struct Copy;

struct Places {
    from: PathBuf,
    to: PathBuf,
}

fn places(act: &Act<'_>, copy: &FileCopy) -> Places {
    Places { from: act.cx.folder.join(&copy.from), to: act.cx.folder.join(&copy.to) }
}

/// Refuses what is no plain file. A link is followed where it is read, and never replaced.
fn plain(path: &Path, found: &fs::Metadata) -> Result<(), StepError> {
    if found.is_file() {
        return Ok(());
    }
    let what = format!("{} is not a plain file", path.display());
    Err(StepError::new(Code::ARTIFACT, what).remedy("name a plain file"))
}

fn bug(what: &str) -> StepError {
    StepError::new(Code::BUG, format!("{what} was not recorded"))
}

impl Capability for Copy {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let copy: FileCopy = act.inputs()?;
        let Places { from, to } = places(act, &copy);
        let found = fs::metadata(&from).map_err(|error| StepError::io("read", &from, error))?;
        plain(&from, &found)?;
        let missing = || StepError::io("read", &from, std::io::ErrorKind::NotFound.into());
        let new = files::digest(&from)?.ok_or_else(missing)?;
        if copy.sha256.as_ref().is_some_and(|wanted| *wanted != new.to_string()) {
            let what = format!("{} does not have the content that the plan names", from.display());
            return Err(StepError::new(Code::CONTENT_DIFFERS, what)
                .remedy(format!("it has the SHA-256 {new}: find out which of both is right")));
        }
        let mut mode = Value::Null;
        let old = match fs::symlink_metadata(&to) {
            Ok(there) if copy.replace => {
                plain(&to, &there)?;
                mode = Value::from(there.permissions().mode() & 0o7777);
                Value::from(act.cx.recorder.put_private(&read(&to)?)?)
            }
            Ok(_) => {
                let what = format!("there is something at {} already", to.display());
                let remedy = "move it away, or let the plan replace it (replace: true)";
                return Err(StepError::new(Code::FILE_EXISTS, what).remedy(remedy));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(StepError::io("look at", &to, error)),
        };
        let inputs = Object::from([
            ("from".to_owned(), from.display().to_string().into()),
            ("to".to_owned(), to.display().to_string().into()),
            ("new".to_owned(), new.into()),
            ("old".to_owned(), old),
            ("old_mode".to_owned(), mode),
        ]);
        Ok(making(inputs, &files::folder_of(&to)))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let copy: FileCopy = act.inputs()?;
        let Places { from, to } = places(act, &copy);
        let new = digest_of(inputs, "new").ok_or_else(|| bug("the digest of the file"))?;
        let held = files::digest(&to)?;
        if held != Some(new) && held != digest_of(inputs, "old") {
            let what = format!("{} was changed by somebody else", to.display());
            let remedy = "put it back as it was, and run the plan again";
            return Err(StepError::new(Code::FILE_EXISTS, what).remedy(remedy));
        }
        files::make_folder(&files::folder_of(&to))?;
        let staged = files::staging(&to);
        files::remove(&staged)?;
        let (bytes, digest) = stage(&from, &staged)?;
        if digest != new {
            files::remove(&staged)?;
            let what = format!("{} changed since it was looked at", from.display());
            return Err(StepError::new(Code::CONTENT_DIFFERS, what)
                .remedy("let nobody write to it, and run the plan again"));
        }
        act.pass("file/staged")?;
        fs::rename(&staged, &to).map_err(|error| StepError::io("replace", &to, error))?;
        files::sync(&files::folder_of(&to))?;
        act.pass("file/placed")?;
        Ok(Done::default().fact("sha256", digest).count("bytes", bytes))
    }

    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let copy: FileCopy = act.inputs()?;
        let held = files::digest(&places(act, &copy).to)?;
        let new = digest_of(inputs, "new").ok_or_else(|| bug("the digest of the file"))?;
        Ok(if held == Some(new) {
            Probed::Applied(Done::default().fact("sha256", new))
        } else {
            Probed::NotApplied
        })
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let copy: FileCopy = act.inputs()?;
        let Places { to, .. } = places(act, &copy);
        let (new, old) = (digest_of(inputs, "new"), digest_of(inputs, "old"));
        files::remove(&files::staging(&to))?;
        let held = files::digest(&to)?;
        if held.is_some() && held != new && held != old {
            return Ok(vec![format!("{} was changed by somebody else", to.display())]);
        }
        if held != old {
            match old {
                Some(old) => {
                    files::replace(&to, &act.cx.recorder.private(old)?)?;
                    let mode = integer_of(inputs, "old_mode").unwrap_or(0o600);
                    files::set_mode(&to, u32::try_from(mode).unwrap_or(0o600))?;
                }
                None => {
                    files::remove(&to)?;
                }
            }
            act.pass("file/returned")?;
        }
        remove_made(inputs);
        Ok(Vec::new())
    }
}

/// The largest file that is kept for the undo: it is held in memory on its way there.
const KEPT_BYTES_MAX: u64 = 1 << 30;

fn read(path: &Path) -> Result<Vec<u8>, StepError> {
    let failed = |error| StepError::io("read", path, error);
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > KEPT_BYTES_MAX {
        let what = format!("{} has {length} bytes: too many to keep for the undo", path.display());
        return Err(StepError::new(Code::FILE_EXISTS, what)
            .remedy("move it away, and let the plan copy to a new place"));
    }
    fs::read(path).map_err(failed)
}

/// Writes the copy beside its place, durable, with the mode of what it is a copy of.
fn stage(from: &Path, staged: &Path) -> Result<(u64, Digest), StepError> {
    let failed = |error| StepError::io("write", staged, error);
    let mut source = File::open(from).map_err(|error| StepError::io("read", from, error))?;
    let mode = source.metadata().map_err(|error| StepError::io("read", from, error))?.permissions();
    let file = File::options().write(true).create_new(true).mode(0o600).open(staged);
    let mut file = file.map_err(failed)?;
    // Who may not read the source must not read the copy, also while it is written.
    file.set_permissions(fs::Permissions::from_mode(mode.mode() & 0o777)).map_err(failed)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    let mut bytes = 0;
    loop {
        let count = source.read(&mut buffer).map_err(|error| StepError::io("read", from, error))?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        file.write_all(part).map_err(failed)?;
        bytes += count as u64;
    }
    file.sync_all().map_err(failed)?;
    Ok((bytes, hasher.finish()))
}
