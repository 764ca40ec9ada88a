//! Reading a definition key by key, so that what is not understood is told with its line.

use carnet_document::yaml::{self, Entry, FINDINGS_MAX, Node, Value};
use carnet_document::{Code, Diagnostic, Span};

use super::definition::DEFINITION_BYTES_MAX;

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Reading {
    findings: Vec<Diagnostic>,
}

impl Reading {
    /// Reads a text of at most so many documents.
    pub(super) fn documents(&mut self, text: &str, most: usize) -> Vec<Node> {
        let first = yaml::first_line(text);
        if text.len() > DEFINITION_BYTES_MAX {
            let what = format!("the definition has {} bytes, more than 1 MiB", text.len());
            self.malformed(first, what, "keep data out of it");
            return Vec::new();
        }
        let (documents, findings) = yaml::parse_documents(text, most);
        for finding in findings {
            // The reader is that of plans; what it finds is a fault of this text.
            self.push(Diagnostic { code: Code::WORKLOAD_MALFORMED, ..finding });
        }
        if documents.is_empty() && self.findings.is_empty() {
            self.malformed(first, "the definition is empty", "write what is to run");
        }
        documents
    }

    fn push(&mut self, finding: Diagnostic) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Something that does not have the form of a definition.
    pub(super) fn malformed(&mut self, at: Span, what: impl AsRef<str>, remedy: &str) {
        self.push(Diagnostic::error(Code::WORKLOAD_MALFORMED, at, what, remedy));
    }

    /// Something that others may take, and that does not travel.
    pub(super) fn unsupported(&mut self, at: Span, what: impl AsRef<str>, remedy: &str) {
        self.push(Diagnostic::error(Code::WORKLOAD_UNSUPPORTED, at, what, remedy));
    }

    /// A key that is not taken.
    pub(super) fn key(&mut self, entry: &Entry, whose: &str, known: &[&str]) {
        let what = format!("the key `{}` of {whose} is not taken", entry.key);
        let remedy = format!("take it out; taken are {}", known.join(", "));
        self.unsupported(entry.key_span, what, &remedy);
    }

    /// The entries of a mapping.
    pub(super) fn map<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Entry] {
        if let Value::Map(entries) = &node.value {
            return entries;
        }
        self.wrong(node, &format!("{what} is no mapping"), "write `key: value` lines");
        &[]
    }

    /// The items of a list.
    pub(super) fn list<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        if let Value::List(items) = &node.value {
            return items;
        }
        self.wrong(node, &format!("{what} is no list"), "write `- item` lines");
        &[]
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) if !text.is_empty() && !text.contains('\0') => Some(text.clone()),
            Value::Text(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Refused => {
                self.wrong(node, &format!("{what} is no text"), "write a text, quoted if need be");
                None
            }
        }
    }

    /// A number or a text, as the text that was meant.
    pub(super) fn scalar(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Int(number) => Some(number.to_string()),
            Value::Text(text) if !text.contains('\0') => Some(text.clone()),
            Value::Text(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Refused => {
                let remedy = "write a text; put others than whole numbers in quotes";
                self.wrong(node, &format!("{what} is no text"), remedy);
                None
            }
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, node: &Node, what: &str) -> Option<i64> {
        if let Value::Int(number) = node.value {
            return Some(number);
        }
        self.wrong(node, &format!("{what} is no whole number"), "write a number");
        None
    }

    /// A key that must be there.
    pub(super) fn missing(&mut self, at: Span, key: &str, whose: &str) {
        self.malformed(at, format!("{whose} has no key `{key}`"), "add it");
    }

    fn wrong(&mut self, node: &Node, what: &str, remedy: &str) {
        // What the reader has refused already is not told twice.
        if node.value != Value::Refused {
            self.malformed(node.span, what, remedy);
        }
    }

    /// What was read, if nothing is wrong with it.
    pub(super) fn end<T>(mut self, read: Option<T>, text: &str) -> Result<T, Vec<Diagnostic>> {
        match read {
            Some(read) if self.findings.is_empty() => Ok(read),
            Some(_) | None => {
                if self.findings.is_empty() {
                    let first = yaml::first_line(text);
                    self.malformed(first, "the definition says not what runs", "write it");
                }
                Err(self.findings)
            }
        }
    }
}

/// The value under a key.
pub(super) fn value<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}
