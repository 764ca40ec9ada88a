//! What a run of a programme is pinned to, in a file that is written once, before the first step.

use std::fs::File;
use std::io::Read;

use carnet_ledger::{Digest, EventBody, EventTime, HashProfile, Value};
use carnet_model::Code;
use carnet_model::plan::{Plan, Programme};
use carnet_programme::Form;

use super::super::RunRequest;
use super::super::recorder::Note;
use crate::error::StepError;
use crate::evidence_root::EvidenceRoot;
use carnet_journal::Clock;

/// The largest configuration, and the largest file that pins a run.
const BYTES_MAX: u32 = 1 << 20;
/// What stands in the file that changes with each attempt to write it.
const WRITTEN_AT: &str = "written_at_utc";

/// Writes the file, or finds that it says the same; a run under the same ids that was pinned to
/// something else is refused. Gives what is reported of it.
pub(super) fn write(
    request: &RunRequest<'_>,
    programme: &Programme,
    clock: &dyn Clock,
) -> Result<Note, StepError> {
    let root = EvidenceRoot::open(&programme.evidence_root, request.folder, request.outside)?;
    let path = place(request.plan, programme)?;
    let wanted = content(request, programme, clock.now())?;
    let text = pretty(&wanted)?;
    if root.write_once(&path, &text)? {
        return Ok(told(EventBody::StorageWrite, "pin_run", path, &text));
    }
    let held = root.read(&path, BYTES_MAX.into())?.unwrap_or_default();
    let conflict = |what: String| {
        StepError::new(
            Code::PROGRAMME_PINNED,
            format!("{path} pins the run to something else: {what}"),
        )
        .remedy("give the changed run a new platform_run_id, and leave the file as it is")
    };
    let said: serde_json::Value = serde_json::from_slice(&held)
        .map_err(|error| conflict(format!("it cannot be read: {error}")))?;
    let differing = differing(&said, &wanted);
    if differing.is_empty() {
        return Ok(told(EventBody::StorageRead, "read_pins", path, &held));
    }
    Err(conflict(differing.join(", ")))
}

fn told(body: EventBody, action: &'static str, path: String, text: &[u8]) -> Note {
    Note::done(body, action).about(path).with("sha256", Digest::of(text).into())
}

/// Where the file is: where the evidence contract has it.
fn place(plan: &Plan, programme: &Programme) -> Result<String, StepError> {
    let phases = plan.document().phases().map(|it| it.phases.as_slice()).unwrap_or_default();
    let mut files =
        phases.iter().flat_map(|phase| phase.evidence.iter().map(move |it| (phase, it)));
    let found = files.find(|(_, file)| file.form.as_str() == Form::Run.name());
    let (path, id) = found.map_or((Form::Run.path().unwrap_or_default(), ""), |(phase, file)| {
        (file.path.as_str(), phase.phase_id.first().map_or("", |id| id.as_str()))
    });
    programme.evidence_path(path, id).ok_or_else(|| {
        let what = format!("the path {path} has a token that no run has before it begins");
        StepError::new(Code::PLAN_VALUE, what)
    })
}

fn content(
    request: &RunRequest<'_>,
    programme: &Programme,
    now: EventTime,
) -> Result<serde_json::Value, StepError> {
    let pins = &programme.run;
    let path = request.folder.join(&pins.config.file);
    let mut bytes = Vec::new();
    let read = File::open(&path)
        .and_then(|file| file.take(u64::from(BYTES_MAX) + 1).read_to_end(&mut bytes));
    read.map_err(|error| StepError::io("read", &path, error))?;
    if pins.config.digest != Some(Digest::of(&bytes)) {
        let what = format!("{} is not the file that the plan was read with", path.display());
        return Err(StepError::new(Code::PLAN_CHANGED, what));
    }
    let wrong = |what: String| {
        let what = format!("{} cannot be the configuration: {what}", path.display());
        StepError::new(Code::PLAN_VALUE, what)
            .remedy("write one JSON object, with fractions as text, of at most 1 MiB")
    };
    let exact = Value::parse(&bytes, usize::try_from(BYTES_MAX).unwrap_or(0))
        .map_err(|error| wrong(error.to_string()))?;
    if !matches!(exact, Value::Object(_)) {
        return Err(wrong("it is no object".to_owned()));
    }
    let config: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(serde_json::json!({
        "platform_run_id": pins.platform_run_id,
        "scenario_run_id": pins.scenario_run_id,
        "env": pins.env,
        WRITTEN_AT: now.to_string(),
        "config": config,
        "config_digest": HashProfile::EcsHashV1.digest(&exact),
        "config_digest_algo": "sha256",
        "config_canonical_form": "json_sorted_keys_v1",
        "image_tag": pins.image.tag,
        "image_digest": pins.image.digest,
        "git_sha": pins.source_revision,
    }))
}

fn pretty(value: &serde_json::Value) -> Result<Vec<u8>, StepError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| StepError::new(Code::BUG, format!("cannot write the pins: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

/// The members in which two files differ, but for the time.
fn differing(held: &serde_json::Value, wanted: &serde_json::Value) -> Vec<String> {
    let (Some(held), Some(wanted)) = (held.as_object(), wanted.as_object()) else {
        return vec!["it is no object".to_owned()];
    };
    let keys: std::collections::BTreeSet<&String> = held.keys().chain(wanted.keys()).collect();
    let differ = keys.into_iter().filter(|key| *key != WRITTEN_AT);
    differ.filter(|key| held.get(*key) != wanted.get(*key)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differing;

    #[test]
    fn only_the_time_may_differ() {
        let held = json!({"env": "a", "written_at_utc": "x", "config": {"a": 1}});
        assert!(
            differing(&held, &json!({"env": "a", "written_at_utc": "y", "config": {"a": 1}}))
                .is_empty()
        );
        assert_eq!(differing(&held, &json!({"env": "b", "config": {"a": 2}})), ["config", "env"]);
        assert_eq!(differing(&held, &json!({"env": "a"})), ["config"]);
        assert_eq!(differing(&json!([]), &held).len(), 1);
    }
}
