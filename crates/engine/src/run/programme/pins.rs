//! What a run of a programme is pinned to, in a file that is written once, before the first step.

use std::fs::File;
use std::io::Read;

use carnet_ledger::{Digest, Event, EventBody, EventTime, EventType, HashProfile, Value};
use carnet_model::Code;
use carnet_model::plan::Programme;
use carnet_programme::{CAUGHT_UP_LAG_MAX, Form, own_sums};

use super::super::RunRequest;
use super::super::recorder::Note;
use crate::error::StepError;
use crate::evidence_root::EvidenceRoot;

/// The largest configuration, and the largest file that pins a run.
const BYTES_MAX: u32 = 1 << 20;
/// What stands in the file that changes with each attempt to write it.
const WRITTEN_AT: &str = "written_at_utc";

/// What is done to the file, as events name it.
const WRITTEN: &str = "pin_run";
const READ: &str = "read_pins";

/// Where the file is.
pub(super) struct Place {
    root: EvidenceRoot,
    path: String,
}

impl Place {
    /// Where the evidence contract has the file of this run, else where its form has it. A contract
    /// may have such files of other runs too.
    pub(super) fn of(request: &RunRequest<'_>, programme: &Programme) -> Result<Self, StepError> {
        let root = EvidenceRoot::open(&programme.evidence_root, request.folder, request.outside)?;
        let phases = request.plan.document().phases();
        let phases = phases.map(|it| it.phases.as_slice()).unwrap_or_default();
        let paths = phases.iter().flat_map(|phase| {
            let id = phase.phase_id.first().map_or("", |id| id.as_str());
            let files = phase.evidence.iter();
            let files = files.filter(|file| file.form.as_str() == Form::Run.name());
            files.filter_map(move |file| programme.evidence_path(file.path.as_str(), id))
        });
        let own = programme.run.platform_run_id.as_str();
        let found = paths.into_iter().find(|path| path.contains(own));
        let path = found.or_else(|| programme.evidence_path(Form::Run.path()?, ""));
        let path = path.ok_or_else(|| StepError::new(Code::BUG, "the pins have no place"))?;
        Ok(Self { root, path })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Writes the file, or finds that it says the same; a run under the same ids that was pinned to
    /// something else is refused. A file that the log knows of is never written again. Gives what is
    /// reported of it.
    pub(super) fn pin(
        self,
        request: &RunRequest<'_>,
        programme: &Programme,
        recorded: Option<Digest>,
        now: EventTime,
    ) -> Result<Note, StepError> {
        let Self { root, path } = self;
        let wanted = content(request, programme, now)?;
        let text = pretty(&wanted)?;
        if recorded.is_none() {
            readable(&path, &text)?;
            if root.write_once(&path, &text)? {
                return Ok(told(EventBody::StorageWrite, WRITTEN, path, &text));
            }
        }
        let conflict = |what: String| {
            StepError::new(
                Code::PROGRAMME_PINNED,
                format!("{path} pins the run to something else: {what}"),
            )
            .remedy("give the changed run a new platform_run_id, and leave the file as it is")
        };
        let held = root.read(&path, BYTES_MAX.into())?;
        let found = held.as_deref().map(Digest::of);
        let held = held.unwrap_or_default();
        if let Ok(said) = serde_json::from_slice(&held) {
            let differing = differing(&said, &wanted);
            if !differing.is_empty() {
                return Err(conflict(differing.join(", ")));
            }
        } else if recorded.is_none() {
            return Err(conflict("it cannot be read".to_owned()));
        }
        if let Some(recorded) = recorded.filter(|_| found != recorded) {
            return Err(other(&path, recorded, found));
        }
        Ok(told(EventBody::StorageRead, READ, path, &held))
    }
}

/// The file is not the one that the run has put into its log.
fn other(path: &str, recorded: Digest, found: Option<Digest>) -> StepError {
    let found = found.map_or_else(|| "is gone".to_owned(), |found| format!("is now {found}"));
    let what =
        format!("{path} was {recorded} when the run recorded what it is pinned to, and {found}");
    StepError::new(Code::PROGRAMME_PINNED, what).remedy(
        "put the file back byte for byte: the run never writes it again; if nobody has it any more, \
         begin a new run with a new platform_run_id",
    )
}

/// Whoever judges the file must be able to read it: it is written once, and for good.
fn readable(path: &str, text: &[u8]) -> Result<(), StepError> {
    let refused = |why: String| {
        let what =
            format!("{path}, with the configuration in it, would be refused as evidence: {why}");
        StepError::new(Code::PLAN_VALUE, what).remedy(
            "shorten the configuration so that run.json has at most 256 KiB, and write in it \
             fractions and large numbers as text, and -0 as 0",
        )
    };
    let read =
        carnet_programme::read(Form::Run, text).map_err(|fault| refused(format!("it {fault}")))?;
    own_sums(&read, CAUGHT_UP_LAG_MAX).map_err(|wrong| refused(wrong.to_string()))?;
    Ok(())
}

/// The file that an event says it wrote or found, with its digest.
pub(in crate::run) fn recorded(event: &Event) -> Option<(String, Digest)> {
    let about = &event.draft;
    let action = about.action.as_deref()?;
    let is_ours = (about.event_type == EventType::StorageWrite && action == WRITTEN)
        || (about.event_type == EventType::StorageRead && action == READ);
    if !is_ours {
        return None;
    }
    let Some(Value::Text(digest)) = about.context.get("sha256") else { return None };
    Some((about.resource_id.clone()?, digest.parse().ok()?))
}

fn told(body: EventBody, action: &'static str, path: String, text: &[u8]) -> Note {
    Note::done(body, action).about(path).with("sha256", Digest::of(text).into())
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
            .remedy("write one JSON object, with fractions as text, and so short that run.json has at most 256 KiB")
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
