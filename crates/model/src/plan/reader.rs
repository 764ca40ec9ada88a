//! Takes typed values out of the tree, and says what is wrong with those that do not fit.

use std::ops::RangeInclusive;

use carnet_document::yaml::{Entry, FINDINGS_MAX, Node, Value};
use carnet_document::{Code, Diagnostic, Span, shortened};

use super::keys::{Elsewhere, Key, Need};
use super::nearest::nearest;
use super::written::Written;

/// Collects the findings while values are taken.
pub(super) struct Reader {
    pub(super) findings: Vec<Diagnostic>,
}

/// A mapping whose keys were checked.
pub(super) struct Fields<'a> {
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// The entry of this key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// Where a key belongs that is not taken here, and what to do about it.
const fn belongs(elsewhere: Elsewhere) -> (&'static str, &'static str) {
    match elsewhere {
        Elsewhere::Knowledge => (
            "that move a knowledge base, and this one has phases",
            "take it out, or take `phases` out and write `process: knowledge/v1`",
        ),
        Elsewhere::Crossing => (
            "of portability/v1, and this one has phases",
            "take it out, or take `phases` out and write `process: portability/v1`",
        ),
        Elsewhere::Section => (
            "of another process, and this one says it under `portability`",
            "take it out, or put it there: docs/plan.md shows the keys",
        ),
    }
}

impl Reader {
    pub(super) fn push(&mut self, finding: Diagnostic) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Whether enough was found: more is not looked for.
    pub(super) fn is_full(&self) -> bool {
        self.findings.len() >= FINDINGS_MAX
    }

    /// Takes a mapping that may have these keys. `what` names it and `at` is its key, to point at
    /// when something is missing.
    pub(super) fn fields<'a>(
        &mut self,
        node: &'a Node,
        what: &str,
        at: Span,
        keys: &[Key],
    ) -> Option<Fields<'a>> {
        let entries = self.entries(node, what, at)?;
        let mut slips = Vec::new();
        for entry in entries {
            if self.is_full() {
                break;
            }
            slips.extend(self.check_key(entry, what, keys));
        }
        for key in keys.iter().filter(|key| key.need == Need::Must) {
            // A key that is there with a slip in its name is one mistake, not two.
            let slip = slips.contains(&key.name);
            if !slip && !entries.iter().any(|entry| entry.key == key.name) {
                let message = format!("`{}` is missing in {what}", key.name);
                let remedy = format!("add `{}: …`", key.name);
                self.push(Diagnostic::error(Code::PLAN_MISSING, at, message, remedy));
            }
        }
        Some(Fields { entries })
    }

    /// Takes a mapping whose keys are names of the plan's own.
    pub(super) fn entries<'a>(
        &mut self,
        node: &'a Node,
        what: &str,
        at: Span,
    ) -> Option<&'a [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            Value::Refused => None,
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_) => {
                let remedy = "write `key: value` lines below it, or {key: value}";
                self.wrong_kind(node, at, &format!("{what} must be a mapping"), remedy);
                None
            }
        }
    }

    /// Gives the key that was meant, if this one is a slip.
    fn check_key(&mut self, entry: &Entry, what: &str, keys: &[Key]) -> Option<&'static str> {
        let mut slip = None;
        let named = &entry.key;
        let finding = match keys.iter().find(|key| key.name == named) {
            Some(Key { need: Need::Must | Need::May, .. }) => return None,
            Some(Key { need: Need::Later(meaning), .. }) => Diagnostic::error(
                Code::PLAN_UNSUPPORTED,
                entry.key_span,
                format!("`{named}` ({meaning}) cannot be enforced by this build"),
                "take the key out; a build that ignored it would promise what it does not keep",
            ),
            Some(Key { need: Need::Other(elsewhere), .. }) => {
                let (of, remedy) = belongs(*elsewhere);
                let message = format!("`{named}` is for plans {of}");
                Diagnostic::error(Code::PLAN_CONFLICT, entry.key_span, message, remedy)
            }
            None => {
                let usable = keys.iter().filter(|key| key.need.is_usable());
                let known: Vec<&str> = usable.map(|key| key.name).collect();
                slip = nearest(named, keys.iter().map(|key| key.name));
                let remedy = match slip {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the keys here are {}", known.join(", ")),
                };
                let message = format!("{what} has no key `{}`", shortened(named));
                Diagnostic::error(Code::PLAN_UNKNOWN_KEY, entry.key_span, message, remedy)
            }
        };
        self.push(finding.with_value(named));
        slip
    }

    /// Takes a text.
    pub(super) fn text<'a>(&mut self, entry: &'a Entry) -> Option<&'a str> {
        self.text_of(&entry.node, entry.key_span, &entry.key)
    }

    pub(super) fn text_of<'a>(&mut self, node: &'a Node, at: Span, key: &str) -> Option<&'a str> {
        let remedy = match &node.value {
            Value::Text(text) => return Some(text),
            Value::Refused => return None,
            Value::Int(number) => format!("put it in quotes: \"{number}\""),
            Value::Float(number) => format!("put it in quotes: \"{number}\""),
            Value::Bool(word) => format!("put it in quotes: \"{word}\""),
            Value::Null => "write a value, or take the key out".to_owned(),
            Value::List(_) | Value::Map(_) => "write one text".to_owned(),
        };
        self.wrong_kind(node, at, &format!("`{key}` must be text"), &remedy);
        None
    }

    /// Takes a text with a check of its own.
    pub(super) fn written<T: Written>(&mut self, entry: &Entry) -> Option<T> {
        self.written_of(&entry.node, entry.key_span, &entry.key)
    }

    pub(super) fn written_of<T: Written>(&mut self, node: &Node, at: Span, key: &str) -> Option<T> {
        let text = self.text_of(node, at, key)?;
        match T::read(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("`{key}` {error}");
                let finding =
                    Diagnostic::error(Code::PLAN_VALUE, node.span, message, error.remedy());
                self.push(finding.with_value(text));
                None
            }
        }
    }

    /// Takes one of the known words.
    pub(super) fn word<T: Copy>(&mut self, entry: &Entry, words: &[(&str, T)]) -> Option<T> {
        self.word_of(&entry.node, entry.key_span, &entry.key, words)
    }

    pub(super) fn word_of<T: Copy>(
        &mut self,
        node: &Node,
        at: Span,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text_of(node, at, key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let remedy = match (nearest(text, known.iter().copied()), known.as_slice()) {
            (Some(meant), _) => format!("did you mean {meant}?"),
            (None, [only]) => format!("write {only}"),
            (None, _) => format!("write one of {}", known.join(", ")),
        };
        let message = format!("`{key}` has no value {:?}", shortened(text));
        let finding = Diagnostic::error(Code::PLAN_VALUE, node.span, message, remedy);
        self.push(finding.with_value(text));
        None
    }

    /// Takes a whole number within a range.
    pub(super) fn number(&mut self, entry: &Entry, range: RangeInclusive<u32>) -> Option<u32> {
        let (low, high) = (*range.start(), *range.end());
        let remedy = format!("write a number from {low} to {high}");
        let number = match &entry.node.value {
            Value::Int(number) => *number,
            Value::Refused => return None,
            Value::Null
            | Value::Bool(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => {
                let message = format!("`{}` must be a whole number", entry.key);
                self.wrong_kind(&entry.node, entry.key_span, &message, &remedy);
                return None;
            }
        };
        if let Some(fits) = u32::try_from(number).ok().filter(|number| range.contains(number)) {
            return Some(fits);
        }
        let message = format!("`{}` is out of range", entry.key);
        let finding = Diagnostic::error(Code::PLAN_VALUE, entry.node.span, message, remedy);
        self.push(finding.with_value(&number.to_string()));
        None
    }

    /// Takes true or false.
    pub(super) fn yes_or_no(&mut self, entry: &Entry) -> Option<bool> {
        match &entry.node.value {
            Value::Bool(word) => Some(*word),
            Value::Refused => None,
            Value::Null
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_) => {
                let message = format!("`{}` must be true or false", entry.key);
                self.wrong_kind(&entry.node, entry.key_span, &message, "write true or false");
                None
            }
        }
    }

    /// Takes a list.
    pub(super) fn list<'a>(&mut self, entry: &'a Entry) -> Option<&'a [Node]> {
        match &entry.node.value {
            Value::List(items) => Some(items),
            Value::Refused => None,
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Map(_) => {
                let message = format!("`{}` must be a list", entry.key);
                self.wrong_kind(&entry.node, entry.key_span, &message, "write [one, two]");
                None
            }
        }
    }

    pub(super) fn wrong_kind(&mut self, node: &Node, at: Span, message: &str, remedy: &str) {
        let (found, value, span) = match &node.value {
            Value::Null => (" and is empty", None, at),
            Value::Bool(word) => (", not true or false", Some(word.to_string()), node.span),
            Value::Int(number) => (", not a number", Some(number.to_string()), node.span),
            Value::Float(number) => (", not a fraction", Some(number.clone()), node.span),
            Value::Text(text) => (", not text", Some(text.clone()), node.span),
            Value::List(_) => (", not a list", None, at),
            Value::Map(_) => (", not a mapping", None, at),
            Value::Refused => return,
        };
        let message = format!("{message}{found}");
        let mut finding = Diagnostic::error(Code::PLAN_VALUE, span, message, remedy);
        if let Some(value) = value {
            finding = finding.with_value(&value);
        }
        self.push(finding);
    }
}
