//! An event in plain words.

use carnet_ledger::{Digest, EventCheck, HashProfile, leaf_hash};
use carnet_model::Code;
use serde_json::Value;

use crate::sheet::{Sheet, WIDTH, wrap};

/// Where the lines below a refusal begin.
const BELOW: usize = 16;

/// An event as JSON, whoever wrote it. What it says is not checked here.
pub(in crate::command) struct Told(Value);

impl Told {
    /// Reads stored bytes. What is no JSON object has no members.
    pub(in crate::command) fn read(bytes: &[u8]) -> Self {
        Self(serde_json::from_slice(bytes).unwrap_or_default())
    }

    /// A member that is a text; empty where there is none.
    pub(in crate::command) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn sequence(&self) -> Option<u64> {
        self.0.get("sequence").and_then(Value::as_u64)
    }

    /// The day on which it happened.
    pub(super) fn day(&self) -> &str {
        self.text("occurred_at").get(..10).unwrap_or_default()
    }

    /// A member of its context as text; empty where there is none.
    pub(in crate::command) fn context(&self, name: &str) -> String {
        match self.0.get("context").and_then(|context| context.get(name)) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    /// The digest of the object with its details.
    pub(super) fn pointer(&self) -> Option<Digest> {
        self.text("evidence_pointer").rsplit(['/', ':']).next()?.parse().ok()
    }

    /// What happened, in a few words.
    pub(in crate::command) fn words(&self) -> String {
        let resource = self.text("resource_id");
        let of = |name| self.context(name);
        match self.text("event_type") {
            "process.start" => {
                let run = self.text("correlation_id");
                format!("run {} begins", run.get(..8).unwrap_or(run))
            }
            "process.resume" => "the run goes on".to_owned(),
            "process.end" if of("ending") == "failed" => "the run has failed".to_owned(),
            "process.end" => format!("the run is {}", of("ending").replace('_', " ")),
            "process.intent" if of("part").is_empty() => format!("{resource} begins"),
            "process.intent" | "process.outcome" if !of("part").is_empty() => {
                format!("{resource}: {} {}", of("part"), of("status"))
            }
            "process.outcome" => format!("{resource}: {}", of("result").replace('_', " ")),
            "process.undo" => match of("done").as_str() {
                "true" => format!("{resource} is undone"),
                "false" => format!("{resource} could not be undone"),
                _ => format!("{resource} is about to be undone"),
            },
            "process.incident" => match of("fact").as_str() {
                "retry" => format!("{resource} is to be tried again"),
                "settle_by_hand" => {
                    format!("{resource} is settled: {}", of("by_hand").replace('_', " "))
                }
                _ => format!("waits for a person: {}", of("subject")),
            },
            "gate.verdict" => {
                let by = if of("exception").is_empty() { "" } else { ", open by exception" };
                format!("{resource}: {}{by}", of("verdict").replace('_', " "))
            }
            "migration.refusal" => format!("stops at {resource}"),
            "evidence.export" => format!(
                "events {} to {} as a {}",
                of("from_sequence"),
                of("to_sequence"),
                of("out")
            ),
            _ => [self.text("action"), resource]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    /// Its line in a list, and below it why something was refused.
    pub(super) fn lines(&self) -> String {
        let number = self.sequence().map(|number| number.to_string()).unwrap_or_default();
        let time = self.text("occurred_at").get(11..19).unwrap_or_default();
        let (event_type, outcome) = (self.text("event_type"), self.text("outcome"));
        let line = format!("{number:>6}  {time:8}  {event_type:<18} {outcome:<8} ");
        // A longer type or number takes from the words.
        let room = WIDTH.saturating_sub(line.chars().count());
        let mut sheet = Sheet::default();
        sheet.line(format!("{line}{}", cut(&printable(&self.words()), room)).trim_end());
        if outcome == "refused" {
            let code = self.text("refusal_reason_code");
            let why = format!(
                "{}, {code}, {}",
                self.text("refusal_reason_class"),
                self.text("refusal_subject")
            );
            let hint = page_of(code).map(|page| format!("carnet explain {page}"));
            let reason = self.text("refusal_reason").to_owned();
            for text in [Some(why), Some(reason), hint].into_iter().flatten() {
                for line in wrap(&printable(&text), WIDTH - BELOW) {
                    sheet.line(format!("{:BELOW$}{line}", "").trim_end());
                }
            }
        }
        sheet.text()
    }

    /// All of it: its members, the object that it points to, its hash and its place.
    pub(super) fn whole(&self, stored: &[u8], size: Option<u64>, object: Option<&[u8]>) -> String {
        let mut sheet = Sheet::default();
        let number = self.sequence().unwrap_or_default();
        let of = size.map(|size| format!(" of {size}")).unwrap_or_default();
        sheet.line(format_args!("event {number}{of}: {}", printable(&self.words())));
        if self.text("outcome") == "refused"
            && let Some(page) = page_of(self.text("refusal_reason_code"))
        {
            sheet.line(format_args!("refused: carnet explain {page} says what to do"));
        }
        sheet.gap();
        for (name, value) in self.0.as_object().into_iter().flatten() {
            match value {
                Value::String(text) => sheet.field(format!("  {name}"), 24, &printable(text)),
                Value::Object(_) | Value::Array(_) => {
                    sheet.line(format_args!("  {name}"));
                    indented(value, &mut sheet);
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {
                    sheet.field(format!("  {name}"), 24, &value.to_string());
                }
            }
        }
        sheet.gap();
        match (self.pointer(), object) {
            (Some(pointer), Some(bytes)) => {
                sheet.field("  it points to", 24, &pointer.to_string());
                if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
                    indented(&value, &mut sheet);
                } else {
                    let text = String::from_utf8_lossy(bytes);
                    text.lines().for_each(|line| sheet.line(format!("    {}", printable(line))));
                }
            }
            (Some(pointer), None) => {
                sheet.field("  it points to", 24, &format!("{pointer}, which is not here"));
            }
            (None, _) => sheet.field("  it points to", 24, "nothing that is named by its digest"),
        }
        sheet.gap();
        sheet.field("  hash", 24, self.hash_words(stored));
        let place = match size {
            Some(size) => format!("leaf {number} of a tree of {size}"),
            None => format!("leaf {number}"),
        };
        sheet.field("  place", 24, &place);
        sheet.field("  leaf hash", 24, &leaf_hash(stored).to_string());
        sheet.field("  SHA-256", 24, &Digest::of(stored).to_string());
        sheet.text()
    }

    fn hash_words(&self, stored: &[u8]) -> &'static str {
        let profile: Option<HashProfile> = self.text("hash_profile_id").parse().ok();
        let Some(profile) = profile else { return "of a profile that is not known here" };
        match EventCheck::of(profile, stored) {
            Ok(event) if event.hash_holds() => "computed again: it is that of the event",
            Ok(_) => "WRONG: the event was changed",
            Err(_) => "not checked: the event is not in its canonical form",
        }
    }
}

/// JSON for people, below a label.
fn indented(value: &Value, sheet: &mut Sheet) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.lines().for_each(|line| sheet.line(format_args!("    {line}")));
}

/// The page of `carnet explain` on a code. The verdict of a gate has the page on closed gates.
fn page_of(code: &str) -> Option<&'static str> {
    let gate = code.starts_with("gate.").then_some(Code::GATE_CLOSED);
    Code::parse(code).or(gate).map(Code::name)
}

/// A text without characters that would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// At most so many characters; what is cut off is shown.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &serde_json::Value) -> Told {
        Told::read(json.to_string().as_bytes())
    }

    #[test]
    fn a_line_fits_whatever_the_event_says() {
        let long = "x".repeat(300);
        let event = told(&serde_json::json!({
            "sequence": 1_234_567, "occurred_at": "2026-11-21T14:03:21.551Z",
            "event_type": "knowledge.snapshot.exported", "outcome": "accepted",
            "action": "export", "resource_id": long,
        }));
        let lines = event.lines();
        assert_eq!(lines.lines().count(), 1);
        assert!(lines.chars().count() <= WIDTH + 1, "{lines}");
        assert!(
            lines.starts_with("1234567  14:03:21  knowledge.snapshot.exported accepted export x")
        );
        assert!(lines.trim_end().ends_with('…'));
    }

    #[test]
    fn a_refusal_says_why_and_where_to_read_on() {
        let event = told(&serde_json::json!({
            "sequence": 7, "occurred_at": "2026-11-21T14:03:21.551Z", "event_type": "gate.verdict",
            "outcome": "refused", "resource_id": "validate/count", "context": {"verdict": "fail"},
            "refusal_reason_class": "evidence_precondition_failed",
            "refusal_reason_code": "gate.fail", "refusal_subject": "validate/count",
            "refusal_reason": "3,999 records, and 4,000 were\u{1b}[2J exported",
        }));
        let lines = event.lines();
        assert!(
            lines.contains("     7  14:03:21  gate.verdict       refused  validate/count: fail\n")
        );
        assert!(lines.contains("evidence_precondition_failed, gate.fail, validate/count\n"));
        assert!(lines.contains("carnet explain gate.closed\n"), "{lines}");
        assert!(!lines.contains('\u{1b}'));
        assert!(lines.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn what_is_no_event_is_shown_without_words() {
        for bytes in [b"".as_slice(), b"[1]", b"{", b"{\"sequence\":-1,\"context\":3}"] {
            let event = Told::read(bytes);
            assert_eq!(event.sequence(), None);
            assert!(event.whole(bytes, None, None).contains("not known here"));
        }
    }
}
