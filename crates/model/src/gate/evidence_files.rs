//! Evidence files of a run, as three gates look at them.

use std::ops::Deref;
use std::sync::Arc;

use carnet_document::InputError;
use carnet_ledger::Digest;
use carnet_programme::{
    CLOCK_SKEW_S, Check, Document, Evidence, Form, Run, Tally, Template, When, WrongKind, own_sums,
    read, spoiled, spoiled_certified, spoiled_lines, with_fractions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::content::sha256_schema;
use super::damaged::{flipped, spots};
use super::finding::{Judgement, Verdict};
use super::limits::{check_objects_url, check_text};
use super::violation::violations;

/// One file that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Asked {
    /// Its form: `carnet schema evidence FORM` prints it.
    pub form: Form,
    /// Its path below the root, with tokens such as `{platform_run_id}`. The usual one of its form
    /// when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The SHA-256 that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "sha256_schema")]
    pub sha256: Option<Digest>,
    /// Whether it may be missing: `quarantine_summary`, where nothing is in quarantine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// One file as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its path below the root.
    pub path: String,
    /// The form that it must have.
    pub form: Form,
    /// What is there; absent if nothing is.
    pub found: Option<Found>,
    /// Where a file of a similar name lies, if there is none at the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How many bytes.
    pub bytes: u64,
    /// SHA-256 of all of them.
    pub sha256: Digest,
    /// What they say.
    pub said: Said,
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The text of one object.
    Text(Kept),
    /// The counts of a file of lines, which is not kept.
    Lines(Box<Tally>),
    /// It could not be kept: it is too large, or no text.
    Refused {
        /// The name of the fault.
        name: String,
        /// What is wrong.
        what: String,
    },
}

/// A text that copies of what was seen share: a damaged copy differs in one file of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Kept(Arc<str>);

impl From<String> for Kept {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Kept> for String {
    fn from(kept: Kept) -> Self {
        kept.0.as_ref().to_owned()
    }
}

impl Deref for Kept {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What was seen, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the clock showed, in seconds since 1970, UTC; absent if nobody looked.
    pub now_s: Option<i64>,
    /// Each file, in the order of the rule.
    pub files: Vec<Seen>,
}

impl Facts {
    /// The copies in which files are damaged, and those in which nobody has looked.
    pub(super) fn damaged(
        &self,
        files: Vec<(&'static str, Vec<Seen>)>,
    ) -> Vec<(&'static str, Self)> {
        let with = |(name, files)| (name, Self { files, ..self.clone() });
        let mut copies: Vec<_> = files.into_iter().map(with).collect();
        copies.push(("file_not_looked_at", Self { files: Vec::new(), ..self.clone() }));
        copies.push(("no_clock", Self { now_s: None, ..self.clone() }));
        copies.push(("nothing_seen", Self::default()));
        copies.retain(|(_, copy)| copy != self);
        copies
    }
}

pub(super) const fn clock_skew_s() -> u32 {
    CLOCK_SKEW_S
}

pub(super) const fn lag_max() -> u32 {
    10
}

/// What these gates demand of each file.
#[derive(Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) root: &'a str,
    pub(super) run: &'a Run,
    pub(super) files: &'a [Asked],
    pub(super) clock_skew_s: u32,
    pub(super) lag_max: u32,
}

/// What is wrong, with its verdict.
pub(super) struct Refusal {
    verdict: Verdict,
    reason: String,
    remedy: &'static str,
}

impl Refusal {
    fn fail(reason: String) -> Self {
        let remedy = "evidence is never edited: let the service that writes it write it rightly, \
                      under a new run id";
        Self { verdict: Verdict::Fail, reason, remedy }
    }

    fn no_data(reason: String) -> Self {
        let remedy = "run what writes it, and look that it writes to this very path";
        Self { verdict: Verdict::NoData, reason, remedy }
    }

    /// Says of which run, where there are several.
    pub(super) fn of(self, run: &Run) -> Self {
        Self { reason: format!("{}: {}", run.platform_run_id, self.reason), ..self }
    }

    pub(super) fn judgement(self) -> Judgement {
        let sample = usize::from(self.verdict != Verdict::NoData);
        let judgement = Judgement::fail(sample, self.reason, self.remedy);
        Judgement { verdict: self.verdict, ..judgement }
    }
}

/// A file that passed by itself.
pub(super) enum Good<'a> {
    Document(&'a Seen, &'a Found, Document),
    Lines(&'a Seen, &'a Found, &'a Tally),
}

/// What passed, and how many things were compared.
pub(super) struct Passed<'a> {
    pub(super) good: Vec<Good<'a>>,
    pub(super) compared: u64,
}

impl<'a> Passed<'a> {
    /// For the checks over several files.
    pub(super) fn evidence(&'a self) -> Evidence<'a> {
        let mut evidence = Evidence::default();
        for good in &self.good {
            match good {
                Good::Document(seen, found, document) => {
                    evidence.add(&seen.path, found.sha256, document);
                }
                Good::Lines(seen, found, tally) => {
                    evidence.add_lines(&seen.path, found.sha256, seen.form, tally);
                }
            }
        }
        evidence
    }
}

impl Asked {
    /// The file of this form that must be at its usual place.
    pub(super) const fn usual(form: Form) -> Self {
        Self { form, path: None, sha256: None, optional: false }
    }

    /// Its path in a run.
    pub fn path(&self, run: &Run) -> Result<String, String> {
        let Some(path) = self.path.as_deref().or(self.form.path()) else {
            return Err(format!("nothing says where {} lies", self.form));
        };
        let template = Template::parse(path).map_err(|error| error.to_string())?;
        template.expand(run).map_err(|error| error.to_string())
    }
}

impl Demand<'_> {
    /// Each file by itself: there, as it was pinned, of its form, of the run, in agreement with
    /// itself.
    pub(super) fn each<'a>(
        &self,
        now_s: Option<i64>,
        seen: &'a [Seen],
    ) -> Result<Passed<'a>, Refusal> {
        let Some(now_s) = now_s else {
            return Err(Refusal::no_data("no clock was read".to_owned()));
        };
        let when = When { now_us: now_s.saturating_mul(1_000_000), skew_s: self.clock_skew_s };
        let mut passed = Passed { good: Vec::new(), compared: 0 };
        for (spot, asked) in self.files.iter().enumerate() {
            let path = asked.path(self.run).map_err(Refusal::no_data)?;
            let seen = seen.get(spot).filter(|seen| seen.path == path && seen.form == asked.form);
            let Some(seen) = seen else {
                return Err(Refusal::no_data(format!("{path} was not looked at")));
            };
            if let Some((good, compared)) = self.one(asked, seen, when)? {
                passed.good.push(good);
                passed.compared = passed.compared.saturating_add(compared);
            }
        }
        if seen.len() != self.files.len() {
            return Err(surplus());
        }
        if passed.good.is_empty() {
            return Err(Refusal::no_data("none of the files is there".to_owned()));
        }
        // That nothing was put aside is a sentence beside others, and shows nothing alone.
        let is_empty = |good: &Good<'_>| matches!(good, Good::Lines(_, _, it) if it.lines == 0);
        if passed.good.iter().all(is_empty) {
            return Err(Refusal::no_data("nothing stands in any of the files".to_owned()));
        }
        Ok(passed)
    }

    fn one<'a>(
        &self,
        asked: &Asked,
        seen: &'a Seen,
        when: When,
    ) -> Result<Option<(Good<'a>, u64)>, Refusal> {
        let path = &seen.path;
        let Some(found) = &seen.found else {
            return match &seen.elsewhere {
                _ if asked.optional => Ok(None),
                Some(other) => Err(Refusal::no_data(format!(
                    "there is nothing at {path}; {other} has a similar name, and is not that file"
                ))),
                None => Err(Refusal::no_data(format!("there is nothing at {path}"))),
            };
        };
        if asked.sha256.is_some_and(|sha256| sha256 != found.sha256) {
            let what = "has other bytes than are pinned: it was overwritten";
            return Err(Refusal::fail(format!("{path} {what}")));
        }
        let lag_max = i64::from(self.lag_max);
        match &found.said {
            Said::Refused { name, what } => Err(Refusal::fail(format!("{path} {what} ({name})"))),
            Said::Lines(tally) => {
                lines(seen, tally)?;
                Ok(Some((Good::Lines(seen, found, tally), tally.lines.max(1))))
            }
            Said::Text(text) => {
                let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
                if Digest::of(text.as_bytes()) != found.sha256 || length != found.bytes {
                    let what = "is recorded with other bytes than its digest was made of";
                    return Err(Refusal::fail(format!("{path} {what}")));
                }
                if text.trim().is_empty() {
                    return Err(Refusal::no_data(format!("{path} is empty")));
                }
                let document = read(seen.form, text.as_bytes()).and_then(|document| {
                    self.run.owns(seen.form, document.value(), when)?;
                    Ok(document)
                });
                let document = document
                    .map_err(|fault| Refusal::fail(format!("{path} {fault} ({})", fault.name())))?;
                let sums = own_sums(&document, lag_max);
                let compared = sums.map_err(|wrong| refused(&wrong))?;
                Ok(Some((Good::Document(seen, found, document), compared)))
            }
        }
    }

    /// What a plan says that cannot be.
    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_root(self.root);
        errors.extend(check_run("/run", self.run));
        for (spot, asked) in self.files.iter().enumerate() {
            if let Err(what) = asked.path(self.run) {
                let remedy = "write a plain path below the root, with the tokens that there are";
                errors.push(InputError::new(format!("/files/{spot}/path"), what, remedy));
            }
        }
        errors
    }
}

/// What is wrong with the root of evidence.
pub(super) fn check_root(root: &str) -> Vec<InputError> {
    if root.starts_with("s3://") {
        check_objects_url("/root", root)
    } else {
        check_text("/root", root)
    }
}

/// What is wrong with the ids of a run.
pub(super) fn check_run(pointer: &str, run: &Run) -> Option<InputError> {
    let what = "the run id has no time in it";
    let remedy = "write platform_, the date, T, the time, Z: platform_20260131T120000Z";
    let error = || InputError::new(format!("{pointer}/platform_run_id"), what, remedy);
    run.began_us().is_none().then(error)
}

fn lines(seen: &Seen, tally: &Tally) -> Result<(), Refusal> {
    let path = &seen.path;
    if let Some(fault) = &tally.fault {
        let (line, name, what) = (fault.line, &fault.name, &fault.what);
        return Err(Refusal::fail(format!("line {line} of {path} {what} ({name})")));
    }
    if tally.lines == 0 && seen.form != Form::QuarantineRecord {
        return Err(Refusal::no_data(format!("{path} has no lines")));
    }
    Ok(())
}

/// More was looked at than anybody asked for.
pub(super) fn surplus() -> Refusal {
    Refusal::fail("more files were looked at than are asked for".to_owned())
}

/// What does not agree, as a verdict.
pub(super) fn refused(wrong: &carnet_programme::Wrong) -> Refusal {
    let verdict = match wrong.kind {
        WrongKind::Empty => Verdict::NoData,
        WrongKind::Differs => Verdict::Fail,
    };
    Refusal { verdict, reason: wrong.to_string(), remedy: wrong.remedy }
}

/// Copies of what was seen that must be refused, whatever else is asked.
pub(super) fn damage(demand: &Demand<'_>, seen: &[Seen]) -> Vec<(&'static str, Vec<Seen>)> {
    let mut copies = Vec::new();
    for spot in spots(seen.len()) {
        let (Some(it), Some(asked)) = (seen.get(spot), demand.files.get(spot)) else { continue };
        let Some(found) = &it.found else { continue };
        let mut add = |name, found: Option<Found>| {
            let mut copy = seen.to_vec();
            if let Some(place) = copy.get_mut(spot) {
                place.found = found;
            }
            copies.push((name, copy));
        };
        if !asked.optional {
            add("file_missing", None);
        }
        if asked.sha256.is_some() {
            add("overwritten", Some(Found { sha256: flipped(found.sha256), ..found.clone() }));
        }
        match &found.said {
            Said::Text(text) => {
                let other = Found { sha256: flipped(found.sha256), ..found.clone() };
                add("kept_bytes_other", Some(other));
                for (name, text) in texts(it.form, text) {
                    add(name, Some(of(&text)));
                }
            }
            Said::Lines(tally) => {
                let is_alone = demand.files.len() == 1;
                for (name, tally) in spoiled_lines(it.form, tally, is_alone) {
                    add(name, Some(Found { said: Said::Lines(Box::new(tally)), ..found.clone() }));
                }
            }
            Said::Refused { .. } => {}
        }
    }
    copies
}

/// A file with this text.
fn of(text: &str) -> Found {
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    Found { bytes, sha256: Digest::of(text.as_bytes()), said: Said::Text(text.to_owned().into()) }
}

fn texts(form: Form, text: &str) -> Vec<(&'static str, String)> {
    let half = text.get(..text.len() / 2).unwrap_or("{").to_owned();
    let mut copies = vec![
        ("empty", String::new()),
        ("byte_order_mark", format!("\u{feff}{text}")),
        ("carriage_return", format!("{}\r\n", text.trim_end())),
        ("truncated", half),
    ];
    let Ok(document) = serde_json::from_str::<Value>(text) else { return copies };
    if let Some((key, value)) = document.as_object().and_then(|members| members.iter().next()) {
        let twice = text.replacen('{', &format!("{{{}: {value}, ", json!(key)), 1);
        copies.push(("key_twice", twice));
    }
    let mut with = |name, key: &str, value: Value| {
        let mut copy = document.clone();
        if let Some(place) = copy.get_mut(key) {
            *place = value;
            copies.push((name, copy.to_string()));
        }
    };
    with("other_run", "platform_run_id", json!("platform_19700101T000000Z"));
    if let Some(key) = form.time_key() {
        if form.is_of_run() {
            with("before_run", key, json!("1970-01-01T00:00:00Z"));
        }
        with("in_future", key, json!("9999-12-30T00:00:00Z"));
    }
    for (name, copy) in spoiled(form, &document) {
        copies.push((name, copy.to_string()));
    }
    for copy in with_fractions(form, &document) {
        copies.push(("whole_number_as_fraction", copy.to_string()));
    }
    copies.extend(violations(&form.schema(), text));
    copies
}

/// Copies that only other files betray, of the first so many files.
pub(super) fn damage_between(
    checks: &[Check],
    seen: &[Seen],
    first: usize,
) -> Vec<(&'static str, Vec<Seen>)> {
    let mut copies = Vec::new();
    for (spot, it) in seen.iter().enumerate().take(first) {
        let mut add = |name, found: Found| {
            let mut copy = seen.to_vec();
            if let Some(place) = copy.get_mut(spot) {
                place.found = Some(found);
            }
            copies.push((name, copy));
        };
        match it.found.as_ref().map(|found| (found, &found.said)) {
            Some((_, Said::Text(text))) => {
                let Ok(document) = serde_json::from_str::<Value>(text) else { continue };
                for check in checks {
                    for (name, copy) in check.spoiled(it.form, &document) {
                        add(name, of(&copy.to_string()));
                    }
                }
            }
            Some((found, Said::Lines(tally))) => {
                for check in checks {
                    for (name, copy) in check.spoiled_lines(it.form, tally) {
                        let said = Said::Lines(Box::new(copy));
                        add(name, Found { said, ..found.clone() });
                    }
                }
            }
            Some((_, Said::Refused { .. })) | None => {}
        }
    }
    copies
}

/// Copies that only the other runs of a certification betray, and those that lack a file. The first so
/// many files are of its runs; the others are of drills, whose receipts and report may say what they will
/// of the events that no fault touched.
pub(super) fn damage_certified(seen: &[Seen], of_runs: usize) -> Vec<(&'static str, Vec<Seen>)> {
    let document = |it: &Seen| match it.found.as_ref().map(|found| &found.said) {
        Some(Said::Text(text)) => serde_json::from_str::<Value>(text).ok(),
        Some(Said::Lines(_) | Said::Refused { .. }) | None => None,
    };
    let mut changes: Vec<(&'static str, usize, Option<Found>)> = Vec::new();
    for (spot, it) in seen.iter().enumerate() {
        changes.push(("file_missing", spot, None));
        if spot >= of_runs && matches!(it.form, Form::ReceiptSummary | Form::RunReport) {
            continue;
        }
        for (name, copy) in document(it).iter().flat_map(|value| spoiled_certified(it.form, value))
        {
            changes.push((name, spot, Some(of(&copy.to_string()))));
        }
    }
    // The shakedown is the first run; it must have been closed before the next one began.
    let marker = seen.iter().position(|it| it.form == Form::RunCompleted);
    let next = seen.iter().filter(|it| it.form == Form::Run).nth(1).and_then(document);
    if let (Some(spot), Some(next)) = (marker, next)
        && let Some(mut copy) = seen.get(spot).and_then(document)
        && let (Some(closed), Some(began)) =
            (copy.get_mut("written_at_utc"), next.get("written_at_utc"))
    {
        *closed = began.clone();
        changes.push(("shakedown_closed_later", spot, Some(of(&copy.to_string()))));
    }
    let copies = changes.into_iter().map(|(name, spot, found)| {
        let mut copy = seen.to_vec();
        if let Some(place) = copy.get_mut(spot) {
            place.found = found;
        }
        (name, copy)
    });
    copies.collect()
}
