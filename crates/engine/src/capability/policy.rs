//! `policy.snapshot`, `policy.enforce`.
//!
//! A place with policies in force has each snapshot under its digest (`snapshots/HEX/`), and a file
//! `current` that names one of them. What is in force changes when that file is replaced.

use std::path::{Path, PathBuf};

use carnet_bundle::{CURRENT_POLICY, POLICY_SNAPSHOTS, read_policy, write_policy};
use carnet_ledger::{Digest, EventBody, Object, Refusal, Value};
use carnet_model::Code;
use carnet_model::capability::{PolicyEnforce, PolicySnapshot};
use carnet_model::policy::{KeyStanding, PolicyFiles, SelfTestResult};
use serde_json::json;

use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::gate::outside::rules::{authority_snapshot, id_of, manifest, trust};
use crate::run::recorder::Note;
use crate::step::{Done, digest_of, files, flag_of, making, number, remove_made, text_of};
use carnet_process::refusal_class;

pub(super) struct Snapshot;
pub(super) struct Enforce;

fn bug(what: &str) -> StepError {
    StepError::new(Code::BUG, format!("{what} was not recorded"))
}

fn place_of(inputs: &Object) -> Result<PathBuf, StepError> {
    text_of(inputs, "place").map(PathBuf::from).ok_or_else(|| bug("the place of the policy"))
}

/// The policy in this folder, which must be the one that was looked at.
fn recorded(folder: &Path, inputs: &Object) -> Result<(PolicyFiles, Digest), StepError> {
    let policy = read_policy(folder)?;
    let digest = policy.snapshot().digest();
    if digest_of(inputs, "snapshot") != Some(digest) {
        let what = format!("the policy in {} changed since it was looked at", folder.display());
        return Err(StepError::new(Code::CONTENT_DIFFERS, what)
            .remedy("let nobody write to it, and run the plan again"));
    }
    Ok((policy, digest))
}

/// Removes a folder that a step made, whole or not.
fn remove(place: &Path) -> Result<(), StepError> {
    let mut partial = place.as_os_str().to_owned();
    partial.push(".partial");
    files::remove_folder(Path::new(&partial))?;
    files::remove_folder(place)?;
    Ok(())
}

/// Asks each self-test, and keeps what came of it. A policy that decides otherwise here, or cannot
/// be asked here, is refused.
fn tested(act: &Act<'_>, policy: &PolicyFiles, digest: Digest) -> Result<Note, StepError> {
    let denied = |error: StepError, pointer: Option<Digest>| {
        let refusal = refusal(&error, &format!("sha256:{digest}"));
        let note = Note::refused(EventBody::PolicyRefusal, "test_policy", refusal)
            .with("snapshot", digest.into());
        let note = pointer.into_iter().fold(note, Note::pointing);
        error.note(note)
    };
    let results = policy.self_test(|question| act.cx.outside.policy(question));
    let results = results.map_err(|error| denied(error.into(), None))?;
    let told = json!({ "snapshot": digest, "self_tests": results });
    let pointer = act.cx.recorder.put_json(&told)?;
    if let Some(first) = results.iter().find(|it| !it.holds()) {
        let what = format!("the policy decides otherwise here: {}", first.told());
        let remedy = "compare the engines of both sides, or have the policy put right and tested \
                      again where it comes from";
        let error = StepError::new(Code::POLICY_SELF_TEST, what).remedy(remedy);
        return Err(denied(error, Some(pointer)));
    }
    Ok(Note::done(EventBody::PolicyEvaluate, "test_policy")
        .about(format!("sha256:{digest}"))
        .pointing(pointer)
        .with("snapshot", digest.into())
        .with("self_tests", number(count(&results)))
        .with("result", "allow".into()))
}

fn count(results: &[SelfTestResult]) -> u64 {
    results.len() as u64
}

fn refusal(error: &StepError, subject: &str) -> Refusal {
    Refusal {
        class: refusal_class(error.code),
        code: error.code.name().to_owned(),
        subject: subject.to_owned(),
        reason: Some(carnet_process::cut(&error.told())),
    }
}

/// Compares who is named with who is known here.
fn known(act: &Act<'_>, enforce: &PolicyEnforce) -> Result<Note, StepError> {
    let snapshot = authority_snapshot(&act.cx.folder.join(&enforce.authority))?;
    let trust = trust(&act.cx.folder.join(&enforce.trust))?;
    let keys = snapshot.standing(&trust, act.cx.clock.now());
    let digest = snapshot.digest();
    let pointer = act.cx.recorder.put_json(&json!({ "authority": snapshot, "keys": keys }))?;
    let stranger = keys.iter().find(|it| it.standing != KeyStanding::Known);
    if let Some(stranger) = stranger {
        let remedy = "ask whoever is named for the key by another way and add it to the trust \
                      file, or have it sent under an authority that is known here";
        let error = StepError::new(Code::AUTHORITY_UNKNOWN, stranger.to_string()).remedy(remedy);
        let refusal = refusal(&error, &stranger.principal);
        let note = Note::refused(EventBody::AuthorityRefusal, "enforce_policy", refusal)
            .about(stranger.principal.clone())
            .pointing(pointer)
            .with("authority", digest.into());
        return Err(error.note(note));
    }
    Ok(Note::done(EventBody::AuthorityCheck, "enforce_policy")
        .about(format!("sha256:{digest}"))
        .pointing(pointer)
        .with("authority", digest.into())
        .with("keys", number(keys.len() as u64))
        .with("result", "allow".into()))
}

impl Capability for Snapshot {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: PolicySnapshot = act.inputs()?;
        let policy = read_policy(&act.cx.folder.join(&asked.policy))?;
        let place = act.cx.folder.join(&asked.into);
        if place.symlink_metadata().is_ok() {
            let what = format!("there is something at {} already", place.display());
            return Err(StepError::new(Code::FILE_EXISTS, what).remedy("move it away"));
        }
        let inputs = Object::from([
            ("place".to_owned(), place.display().to_string().into()),
            ("snapshot".to_owned(), policy.snapshot().digest().into()),
        ]);
        Ok(making(inputs, &files::folder_of(&place)))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: PolicySnapshot = act.inputs()?;
        let place = place_of(inputs)?;
        let (policy, digest) = recorded(&act.cx.folder.join(&asked.policy), inputs)?;
        let tested = tested(act, &policy, digest)?;
        files::make_folder(&files::folder_of(&place))?;
        // What an earlier attempt left was not recorded as whole, so it is made again.
        remove(&place)?;
        write_policy(&policy, &place)?;
        act.pass("policy/written")?;
        let document = act.cx.recorder.put(&policy.snapshot().bytes())?;
        Ok(Done::default()
            .fact("snapshot", digest)
            .fact("place", place.display().to_string())
            .fact("details", document)
            .count("self_tests", policy.tests().len() as u64)
            .note(tested))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        remove(&place_of(inputs)?)?;
        remove_made(inputs);
        Ok(Vec::new())
    }
}

/// The file that names the policy in force.
fn current(place: &Path) -> PathBuf {
    place.join(CURRENT_POLICY)
}

fn held(place: &Path, digest: Digest) -> PathBuf {
    place.join(POLICY_SNAPSHOTS).join(digest.to_string())
}

fn in_force(place: &Path) -> Result<Option<String>, StepError> {
    let bytes = files::read(&current(place))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn naming(digest: Digest) -> String {
    format!("sha256:{digest}\n")
}

impl Enforce {
    /// The digest that the snapshot must have.
    fn declared(act: &Act<'_>, enforce: &PolicyEnforce) -> Result<Digest, StepError> {
        match (&enforce.sha256, &enforce.manifest) {
            (Some(hex), _) => id_of(&format!("sha256:{hex}")),
            (None, Some(path)) => id_of(&manifest(&act.cx.folder.join(path))?.policy_snapshot_id),
            (None, None) => Err(bug("which policy it must be")),
        }
    }
}

impl Capability for Enforce {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let enforce: PolicyEnforce = act.inputs()?;
        let folder = act.cx.folder.join(&enforce.snapshot);
        let digest = read_policy(&folder)?.snapshot().digest();
        let declared = Self::declared(act, &enforce)?;
        if digest != declared {
            let what = format!("{} holds another policy than is declared", folder.display());
            let remedy = format!("it has the digest {digest}, and {declared} is declared");
            return Err(StepError::new(Code::POLICY_DAMAGED, what).remedy(remedy));
        }
        if act.cx.dry_run {
            // What would be refused is shown; in a run it is decided, and recorded, when it is done.
            known(act, &enforce)?;
            tested(act, &read_policy(&folder)?, digest)?;
        }
        let place = act.cx.folder.join(&enforce.place);
        let old = in_force(&place)?.map_or(Value::Null, Value::from);
        let inputs = Object::from([
            ("place".to_owned(), place.display().to_string().into()),
            ("snapshot".to_owned(), digest.into()),
            ("old".to_owned(), old),
            ("held".to_owned(), held(&place, digest).exists().into()),
        ]);
        Ok(making(inputs, &place.join(POLICY_SNAPSHOTS)))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let enforce: PolicyEnforce = act.inputs()?;
        let place = place_of(inputs)?;
        let (policy, digest) = recorded(&act.cx.folder.join(&enforce.snapshot), inputs)?;
        let known = known(act, &enforce)?;
        let tested = match tested(act, &policy, digest) {
            Ok(tested) => tested,
            Err(error) => return Err(error.note(known)),
        };
        let (now, old) = (in_force(&place)?, text_of(inputs, "old"));
        if now != old && now != Some(naming(digest)) {
            let what = format!("{} was changed by somebody else", current(&place).display());
            let remedy = "put it back as it was, and run the plan again";
            return Err(StepError::new(Code::FILE_EXISTS, what).remedy(remedy));
        }
        let folder = held(&place, digest);
        files::make_folder(&files::folder_of(&folder))?;
        if flag_of(inputs, "held") {
            // It is the same by its digest, and must also be whole.
            read_policy(&folder)?;
        } else {
            remove(&folder)?;
            write_policy(&policy, &folder)?;
        }
        act.pass("policy/written")?;
        files::replace(&current(&place), naming(digest).as_bytes())?;
        act.pass("policy/placed")?;
        Ok(Done::default()
            .fact("snapshot", digest)
            .count("self_tests", policy.tests().len() as u64)
            .note(known)
            .note(tested))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let place = place_of(inputs)?;
        let digest = digest_of(inputs, "snapshot").ok_or_else(|| bug("the policy"))?;
        let (now, old) = (in_force(&place)?, text_of(inputs, "old"));
        if now != old && now != Some(naming(digest)) {
            let file = current(&place);
            return Ok(vec![format!("{} was changed by somebody else", file.display())]);
        }
        match &old {
            Some(old) if now.as_ref() != Some(old) => {
                files::replace(&current(&place), old.as_bytes())?;
            }
            Some(_) => {}
            None => {
                files::remove(&current(&place))?;
            }
        }
        if !flag_of(inputs, "held") {
            remove(&held(&place, digest))?;
        }
        remove_made(inputs);
        Ok(Vec::new())
    }
}
