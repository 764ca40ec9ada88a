//! Key files: the private key that signs, and the public one that stands beside it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_ledger::{KeyError, KeyName, SigningKey, VerifyingKey};
use carnet_model::Code;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::outside::random_bytes;
use crate::plan_file::PlanFile;
use crate::screen::Screen;

/// More is no key file.
const BYTES_MAX: u64 = 4_096;
/// Readable and writable by its owner alone.
const PRIVATE_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// The key that signs: the one that the person names, else the one that the plan names. None if
/// neither does.
pub(crate) fn signer(
    named: Option<&Path>,
    plan: Option<&PlanFile>,
) -> Result<Option<Arc<SigningKey>>, Failure> {
    let path = named.map(Path::to_owned).or_else(|| plan.and_then(planned));
    path.map(|path| read(&path).map(Arc::new)).transpose()
}

/// The key for a run, and the public key beside it. A missing key is made where the plan asks for
/// that and it `may` be; a dry run makes nothing.
pub(crate) fn signer_of_run(
    screen: &Screen,
    file: &PlanFile,
    may: bool,
    dry_run: bool,
) -> Result<Option<Arc<SigningKey>>, Failure> {
    let Some(path) = planned(file) else { return Ok(None) };
    let shown = path.display();
    if may && file.plan.document().evidence.create_signer && !path.exists() {
        if dry_run {
            screen.say(&format!("note: the run will make a signing key, {shown}"));
            return Ok(None);
        }
        let key = make(&path, name_for(&path)?)?;
        let public = public_path(&path);
        screen.say(&format!(
            "note: made a signing key, {shown} (create_signer);\n      others check the evidence \
             with {}",
            public.display()
        ));
        return Ok(Some(Arc::new(key)));
    }
    let key = signer(None, Some(file))?;
    let public = public_path(&path);
    if let Some(key) = &key
        && !dry_run
        && !public.exists()
    {
        write_new(&public, public_text(key.verifying_key()).as_bytes(), PUBLIC_MODE)?;
    }
    Ok(key)
}

/// Where the plan says that the key is.
pub(crate) fn planned(file: &PlanFile) -> Option<PathBuf> {
    let path = file.plan.document().evidence.signer.as_ref()?;
    // Without a `./` in front of what a person never wrote one.
    let path = path.within(file.folder());
    Some(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path))
}

/// The file of the public key: the private key's name with `.vkey` behind it.
pub(crate) fn public_path(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".vkey");
    name.into()
}

fn public_text(key: &VerifyingKey) -> String {
    format!("{key}\n")
}

/// A name for a key in this file: the file's own, without its ending.
pub(crate) fn name_for(path: &Path) -> Result<KeyName, Failure> {
    let stem = path.file_stem().map(std::ffi::OsStr::to_string_lossy).unwrap_or_default();
    stem.parse().map_err(|error: KeyError| {
        Failure::from_error(&error, Code::USAGE)
            .while_doing(format!("the file's name {stem:?} cannot name a key"))
            .remedy("give the key a name of its own: --name NAME")
    })
}

/// Makes a key, and writes both of its files. Neither may be there.
pub(crate) fn make(path: &Path, name: KeyName) -> Result<SigningKey, Failure> {
    let seed = Zeroizing::new(random_bytes()?);
    let key = SigningKey::generate(name, &seed)
        .map_err(|error| Failure::from_error(&error, Code::BUG))?;
    let public = public_path(path);
    if let Some(taken) = [path, &public].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(exists(taken));
    }
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| Failure::io(format!("cannot make {}", folder.display()), error))?;
    }
    let mut text = key.to_text();
    text.push('\n');
    write_new(path, text.as_bytes(), PRIVATE_MODE)?;
    write_new(&public, public_text(key.verifying_key()).as_bytes(), PUBLIC_MODE).inspect_err(
        |_| {
            // Half a pair is of no use, and would be in the way the next time.
            let _ = std::fs::remove_file(path);
        },
    )?;
    Ok(key)
}

fn exists(path: &Path) -> Failure {
    Failure::new(Code::KEY_EXISTS, format!("{} exists", path.display()))
        .changed("nothing was written; a key is never overwritten")
        .remedy("choose another file")
}

/// Writes a file that must not be there; durable when it returns.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(exists(path)),
        Err(error) => return Err(Failure::io(format!("cannot write {}", path.display()), error)),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all());
    written.map_err(|error| {
        let _ = std::fs::remove_file(path);
        Failure::io(format!("cannot write {}", path.display()), error)
    })
}

/// Reads a private key. Its file must be closed to others, and a public key beside it must be its
/// own.
pub(crate) fn read(path: &Path) -> Result<SigningKey, Failure> {
    let shown = path.display();
    let (file, mode) = open(path, "private")?;
    let text = text(file, path)?;
    if text.parse::<VerifyingKey>().is_ok() {
        return Err(Failure::new(Code::KEY_MALFORMED, format!("{shown} holds a public key"))
            .remedy("name the private key, which stands beside it without .vkey"));
    }
    if mode & 0o077 != 0 {
        let others = format!("{shown} can be read by others: its mode is {:04o}", mode & 0o7777);
        return Err(Failure::new(Code::KEY_MODE, others)
            .because("whoever reads it can sign in its owner's name")
            .remedy(format!("close it: chmod 600 {shown}; if others had access, make a new key")));
    }
    let key: SigningKey =
        text.parse().map_err(|error| malformed(path, &error, "no private key"))?;
    let public = public_path(path);
    match read_public(&public) {
        Err(failure) if failure.code == Code::KEY_NOT_FOUND => Ok(key),
        Ok(beside) if beside == *key.verifying_key() => Ok(key),
        Ok(_) => {
            let other = format!("{} is the public half of another key", public.display());
            Err(Failure::new(Code::KEY_MALFORMED, other)
                .remedy("restore the two files that belong together from a copy"))
        }
        Err(failure) => Err(failure),
    }
}

/// Reads a public key from a `.vkey` file.
pub(crate) fn read_public(path: &Path) -> Result<VerifyingKey, Failure> {
    let (file, _) = open(path, "public")?;
    let text = text(file, path)?;
    text.parse().map_err(|error| {
        if text.parse::<SigningKey>().is_ok() {
            let found = format!("{} holds a private key", path.display());
            return Failure::new(Code::KEY_MALFORMED, found)
                .remedy("give the public key, which stands beside it as FILE.vkey");
        }
        malformed(path, &error, "no public key")
    })
}

/// Opens a key file; gives its mode too.
fn open(path: &Path, kind: &str) -> Result<(File, u32), Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        if error.kind() == ErrorKind::NotFound {
            let remedy = match kind {
                "private" => format!("make one: carnet key new {shown}"),
                _ => "give the path of a .vkey file, which the owner of the key passes on".into(),
            };
            return Failure::new(Code::KEY_NOT_FOUND, format!("there is no {kind} key at {shown}"))
                .remedy(remedy);
        }
        Failure::io(format!("cannot read {shown}"), error)
    };
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(Failure::new(Code::KEY_MALFORMED, format!("{shown} is no plain file"))
            .remedy("give the path of a key file"));
    }
    Ok((file, about.permissions().mode()))
}

/// The one line of a key file.
fn text(file: File, path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = file.take(BYTES_MAX).read_to_string(&mut text);
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(malformed(path, &KeyError::Form, "no key"));
        }
        Err(error) => return Err(Failure::io(format!("cannot read {}", path.display()), error)),
    }
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

fn malformed(path: &Path, error: &KeyError, what: &str) -> Failure {
    Failure::from_error(error, Code::KEY_MALFORMED)
        .while_doing(format!("{} holds {what}", path.display()))
        .remedy("restore the file from a copy; `carnet key new FILE` makes a new key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/operator");
        (folder, path)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn code(result: Result<SigningKey, Failure>) -> Code {
        result.unwrap_err().code
    }

    #[test]
    fn a_new_key_has_two_files_and_is_read_again() {
        let (_folder, path) = place();
        let key = make(&path, name_for(&path).unwrap()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let public = read_public(&public_path(&path)).unwrap();
        assert_eq!(&public, key.verifying_key());
        assert_eq!(public.name().as_str(), "operator");
        assert_eq!(read(&path).unwrap().verifying_key(), key.verifying_key());
        let other = make(&path.with_file_name("b"), "b".parse().unwrap()).unwrap();
        assert_ne!(other.verifying_key().as_bytes(), key.verifying_key().as_bytes());
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let (_folder, path) = place();
        make(&path, "a".parse().unwrap()).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_eq!(code(make(&path, "a".parse().unwrap())), Code::KEY_EXISTS);
        std::fs::remove_file(public_path(&path)).unwrap();
        assert_eq!(code(make(&path, "a".parse().unwrap())), Code::KEY_EXISTS);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::fs::rename(&path, public_path(&path)).unwrap();
        assert_eq!(code(make(&path, "a".parse().unwrap())), Code::KEY_EXISTS);
        assert!(!path.exists());
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let (_folder, path) = place();
        make(&path, "a".parse().unwrap()).unwrap();
        for (mode, closed) in [(0o400, true), (0o640, false), (0o604, false), (0o660, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = read(&path);
            assert_eq!(read.is_ok(), closed, "{mode:o}");
            if let Err(failure) = read {
                assert_eq!(failure.code, Code::KEY_MODE);
                assert!(failure.remedy.as_ref().unwrap().contains("chmod 600"), "{failure:?}");
            }
        }
    }

    #[test]
    fn other_files_are_no_keys_and_no_secret_is_shown() {
        let (_folder, path) = place();
        assert_eq!(code(read(&path)), Code::KEY_NOT_FOUND);
        let key = make(&path, "a".parse().unwrap()).unwrap();
        let secret = key.to_text().splitn(5, '+').nth(4).unwrap().to_owned();
        let public = public_path(&path);
        let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
        for text in ["", "PRIVATE+KEY", &format!("{}x", *key.to_text()), &"x".repeat(10_000)] {
            write(&path, text);
            let failure = read(&path).unwrap_err();
            assert_eq!(failure.code, Code::KEY_MALFORMED);
            assert!(!format!("{failure:?}").contains(&secret));
        }
        std::fs::write(&path, b"\xFF").unwrap();
        assert_eq!(code(read(&path)), Code::KEY_MALFORMED);
        write(&path, &public_text(key.verifying_key()));
        assert!(read(&path).unwrap_err().what.contains("public key"));
        write(&path, &key.to_text());
        write(&public, &key.to_text());
        assert!(read_public(&public).unwrap_err().what.contains("private key"));
        let other = SigningKey::generate("a".parse().unwrap(), &[1; 32]).unwrap();
        write(&public, &public_text(other.verifying_key()));
        assert!(read(&path).unwrap_err().what.contains("another key"));
        std::fs::remove_file(&public).unwrap();
        assert!(read(&path).is_ok());
        std::fs::create_dir(path.with_file_name("folder")).unwrap();
        assert_eq!(code(read(&path.with_file_name("folder"))), Code::KEY_MALFORMED);
    }
}
