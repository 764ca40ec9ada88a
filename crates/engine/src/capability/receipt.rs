//! The record of one use of a capability: what it was, what it was given, what came of it, and how
//! it is taken back. An object of the evidence, and a page for people.

use std::fmt::Write;

use carnet_ledger::{Digest, EventTime, HashProfile, Object, Value};
use carnet_model::capability::{Safety, descriptor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::StepError;
use crate::run::recorder::Recorder;
use carnet_process::StepResult;

/// One use of a capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Receipt")]
pub struct CapabilityReceipt {
    /// The form of this record: `v1`.
    pub receipt: String,
    /// The capability.
    pub capability: String,
    /// Whether it changes anything: `read_only` or `mutating`.
    pub safety: Safety,
    /// The node of the process.
    pub node: String,
    /// The key under which the effect is made at most once.
    pub key: String,
    /// The digest of its inputs as the plan has them: SHA-256 of their canonical JSON.
    #[schemars(with = "String")]
    pub inputs: Digest,
    /// Whether it was only shown.
    pub mode: ReceiptMode,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// What came of it.
    pub result: String,
    /// Why, where it did not end well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What came out.
    pub facts: serde_json::Value,
    /// How it is taken back, in words.
    pub undo: String,
}

/// Whether a capability was only shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ReceiptMode {
    /// Nothing was changed.
    DryRun,
    /// It was done.
    Execute,
}

/// What a receipt is made of.
pub(crate) struct Used<'a> {
    pub(crate) capability: &'a str,
    pub(crate) node: &'a str,
    pub(crate) key: &'a str,
    pub(crate) with: &'a serde_json::Value,
    pub(crate) dry_run: bool,
    pub(crate) started: EventTime,
    pub(crate) ended: EventTime,
    pub(crate) result: StepResult,
    pub(crate) reason: &'a str,
    pub(crate) facts: &'a Object,
    pub(crate) undo: &'a str,
}

/// Makes a receipt and keeps it as an object of the evidence. Gives its digest, for the facts of the
/// step.
pub(crate) fn receipt(recorder: &Recorder, used: &Used<'_>) -> Result<Digest, StepError> {
    recorder.put_json(&used.receipt())
}

impl Used<'_> {
    pub(crate) fn receipt(&self) -> CapabilityReceipt {
        let canonical = |value: &Value| HashProfile::Rfc8785Sha256V1.canonical(value);
        // Inputs without fractions have a canonical form; others are taken as they are written.
        let text = self.with.to_string();
        let with = Value::parse(text.as_bytes(), usize::MAX);
        let inputs = with.map_or(text, |value| canonical(&value));
        let facts = canonical(&Value::Object(self.facts.clone()));
        CapabilityReceipt {
            receipt: "v1".to_owned(),
            capability: self.capability.to_owned(),
            safety: descriptor(self.capability).map_or(Safety::Mutating, |one| one.safety),
            node: self.node.to_owned(),
            key: self.key.to_owned(),
            inputs: Digest::of(inputs.as_bytes()),
            mode: if self.dry_run { ReceiptMode::DryRun } else { ReceiptMode::Execute },
            started: self.started.to_string(),
            ended: self.ended.to_string(),
            result: self.result.name().to_owned(),
            reason: self.reason.to_owned(),
            facts: serde_json::from_str(&facts).unwrap_or_default(),
            undo: self.undo.to_owned(),
        }
    }
}

impl CapabilityReceipt {
    /// As a page of Markdown.
    pub fn markdown(&self) -> String {
        let mode = match self.mode {
            ReceiptMode::DryRun => "dry run: nothing was changed",
            ReceiptMode::Execute => "execute",
        };
        let safety = match self.safety {
            Safety::ReadOnly => "read-only",
            Safety::Mutating => "mutating",
        };
        let mut page = format!("# Receipt: {}\n\n| | |\n|---|---|\n", self.capability);
        let rows = [
            ("capability", format!("`{}` ({safety})", self.capability)),
            ("node", format!("`{}`", self.node)),
            ("mode", mode.to_owned()),
            ("result", self.result.clone()),
            ("reason", self.reason.clone()),
            ("started", self.started.clone()),
            ("ended", self.ended.clone()),
            ("undo", self.undo.clone()),
            ("key", format!("`{}`", self.key)),
            ("digest of the inputs", format!("`{}`", self.inputs)),
        ];
        for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            // Writing to a `String` cannot fail.
            let _ = writeln!(page, "| {name} | {} |", cell(value));
        }
        if let serde_json::Value::Object(facts) = &self.facts
            && !facts.is_empty()
        {
            page.push_str("\n## What came out\n\n| | |\n|---|---|\n");
            for (name, value) in facts {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let _ = writeln!(page, "| {} | {} |", cell(name), cell(&value));
            }
        }
        page
    }
}

/// Text that stays within one cell of a table.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn used<'a>(with: &'a serde_json::Value, facts: &'a Object) -> Used<'a> {
        let time = EventTime::from_unix_millis(1_700_000_000_000).unwrap();
        Used {
            capability: "file.copy",
            node: "move/copy",
            key: "run/move/copy/1",
            with,
            dry_run: false,
            started: time,
            ended: time,
            result: StepResult::Applied,
            reason: "",
            facts,
            undo: "by itself",
        }
    }

    #[test]
    fn a_receipt_is_read_back_as_it_was_written() {
        let facts = Object::from([("path".to_owned(), "a|b\nc".into())]);
        let with = json!({"to": "b", "from": "a"});
        let receipt = used(&with, &facts).receipt();
        assert_eq!(receipt.inputs, Digest::of(br#"{"from":"a","to":"b"}"#));
        let text = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<CapabilityReceipt>(&text).unwrap(), receipt);
    }

    #[test]
    fn a_page_has_one_row_for_each_thing_whatever_stands_in_it() {
        let facts = Object::from([("path".to_owned(), "a|b\nc".into())]);
        let page = used(&json!({}), &facts).receipt().markdown();
        assert!(page.contains("| path | a\\|b c |"), "{page}");
        assert!(page.contains("| result | applied |") && !page.contains("| reason |"), "{page}");
        let pipes = |line: &str| line.replace("\\|", "").matches('|').count();
        assert!(page.lines().filter(|line| line.starts_with('|')).all(|line| pipes(line) == 3));
    }
}
