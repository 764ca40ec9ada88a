//! YAML 1.2 (core schema) as a small tree in which each node knows its place.
//!
//! Only what a plan needs is taken: anchors, aliases, tags, several documents, tabs as indentation
//! and keys that stand twice are refused, each with its place. Floats stay text that is known as
//! such: no key of a plan takes one, and the reader knows what to write instead.

use std::collections::BTreeMap;
use std::num::ParseIntError;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::diagnostic::{Diagnostic, Span};
use crate::code::Code;

/// The longest plan in bytes.
pub const BYTES_MAX: usize = 4 << 20;
/// How deep lists and mappings may be nested.
pub const DEPTH_MAX: usize = 32;
/// How many findings are looked for.
pub const FINDINGS_MAX: usize = 100;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What stands there.
    pub value: Value,
}

/// A value of the core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number as it was written.
    Float(String),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Map(Vec<Entry>),
    /// Already refused: nothing more is said about it.
    Refused,
}

/// One `key: value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub node: Node,
}

/// Reads the text. The tree is absent if its shape cannot be known; findings are in the order in
/// which they were met.
pub fn parse(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    let (mut documents, mut findings) = parse_documents(text, 1);
    if findings.is_empty() && documents.is_empty() {
        let remedy = "start from `carnet init knowledge`";
        findings.push(syntax(first_line(text), "the plan is empty", remedy));
    }
    (documents.pop(), findings)
}

/// Reads a text of at most so many documents. None are given if their shape cannot be known.
pub fn parse_documents(text: &str, most: usize) -> (Vec<Node>, Vec<Diagnostic>) {
    let first = first_line(text);
    if text.len() > BYTES_MAX {
        let message = format!("the plan has {} bytes, more than 4 MiB", text.len());
        return (
            Vec::new(),
            vec![syntax(first, message, "a plan names stores and files; keep data out")],
        );
    }
    let tabs = tab_indents(text);
    if !tabs.is_empty() {
        return (Vec::new(), tabs);
    }
    let mut builder = Builder::new(text, most);
    let mut parser = Parser::new_from_str(text);
    let shape = builder.take_all(&mut parser);
    (if shape.is_ok() { builder.roots } else { Vec::new() }, builder.findings)
}

/// The span of the first line, for what concerns the document as a whole.
pub fn first_line(text: &str) -> Span {
    let end = text.find('\n').unwrap_or(text.len());
    Span { start: 0, end, line: 1, column: 1 }
}

fn syntax(span: Span, message: impl AsRef<str>, remedy: &str) -> Diagnostic {
    Diagnostic::error(Code::PLAN_SYNTAX, span, message, remedy)
}

/// Each line that is indented with a tab.
fn tab_indents(text: &str) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - content.len();
        let tab = line.get(..indent).and_then(|spaces| spaces.find('\t'));
        if let Some(tab) = tab
            && !content.trim().is_empty()
            && findings.len() < FINDINGS_MAX
        {
            let at = start + tab;
            let span = Span { start: at, end: at + 1, line: index + 1, column: tab + 1 };
            findings.push(
                syntax(span, "a tab indents this line", "indent with spaces, two per level")
                    .with_value("\\t"),
            );
        }
        start += line.len();
    }
    findings
}

/// Turns the parser's events into a tree.
struct Builder {
    /// The byte offset of each character, and of the end; empty if all are single bytes.
    offsets: Vec<usize>,
    bytes: usize,
    open: Vec<Frame>,
    roots: Vec<Node>,
    documents: usize,
    documents_max: usize,
    findings: Vec<Diagnostic>,
}

/// A list or mapping that has begun and not ended.
enum Frame {
    List(Span, Vec<Node>),
    Map { span: Span, entries: Vec<Entry>, seen: BTreeMap<String, Span>, key: Option<Node> },
}

/// The shape of the document is lost; a finding says why.
struct Lost;

impl Builder {
    fn new(text: &str, documents_max: usize) -> Self {
        let mut offsets: Vec<usize> = Vec::new();
        if !text.is_ascii() {
            offsets.extend(text.char_indices().map(|(at, _)| at));
            offsets.push(text.len());
        }
        Self {
            offsets,
            bytes: text.len(),
            open: Vec::new(),
            roots: Vec::new(),
            documents: 0,
            documents_max,
            findings: Vec::new(),
        }
    }

    fn push(&mut self, finding: Diagnostic) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    fn byte(&self, character: usize) -> usize {
        let last = self.bytes;
        if self.offsets.is_empty() {
            character.min(last)
        } else {
            self.offsets.get(character).copied().unwrap_or(last)
        }
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        Span {
            start: self.byte(span.start.index()),
            end: self.byte(span.end.index()),
            line: span.start.line().max(1),
            column: span.start.col() + 1,
        }
    }

    fn take_all(&mut self, parser: &mut Parser<'_, StrInput<'_>>) -> Result<(), Lost> {
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| self.scan_error(&error))?;
            let span = self.span(span);
            self.take(event, span)?;
        }
        Ok(())
    }

    fn scan_error(&mut self, error: &ScanError) -> Lost {
        let marker = *error.marker();
        let span = self.span(saphyr_parser::Span::empty(marker));
        let remedy =
            "check the indentation, the quotes and the brackets of this line and the one above";
        self.push(syntax(span, format!("not readable as YAML: {}", error.info()), remedy));
        Lost
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Lost> {
        if self.findings.len() >= FINDINGS_MAX {
            return Err(Lost);
        }
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(span),
            Event::Alias(_) => {
                self.push(syntax(span, "an alias stands here", "write the value out"));
                self.add(Node { span, value: Value::Refused });
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let marked = self.marks(span, anchor, tag.is_some());
                let value = if marked { Value::Refused } else { self.scalar(&text, style, span) };
                self.add(Node { span, value });
                Ok(())
            }
            Event::SequenceStart(anchor, tag) => {
                self.marks(span, anchor, tag.is_some());
                self.begin(span, Frame::List(span, Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.marks(span, anchor, tag.is_some());
                let (entries, seen) = (Vec::new(), BTreeMap::new());
                self.begin(span, Frame::Map { span, entries, seen, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end(span);
                Ok(())
            }
        }
    }

    fn document(&mut self, span: Span) -> Result<(), Lost> {
        self.documents += 1;
        if self.documents <= self.documents_max {
            return Ok(());
        }
        self.push(syntax(span, "a second document starts here", "one file holds one plan"));
        Err(Lost)
    }

    /// Refuses anchors and tags. True if there was one.
    fn marks(&mut self, span: Span, anchor: usize, tag: bool) -> bool {
        if anchor > 0 {
            self.push(syntax(
                span,
                "an anchor stands here",
                "write the value out where it is used",
            ));
        }
        if tag {
            self.push(syntax(span, "a tag stands here", "leave the tag out"));
        }
        anchor > 0 || tag
    }

    fn begin(&mut self, span: Span, frame: Frame) -> Result<(), Lost> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} levels of lists and mappings");
            self.push(syntax(span, message, "no key of a plan is that deep"));
            return Err(Lost);
        }
        self.open.push(frame);
        Ok(())
    }

    fn end(&mut self, at: Span) {
        let node = match self.open.pop() {
            Some(Frame::List(span, items)) => {
                let end = items.last().map_or(at.end, |item| item.span.end);
                Node { span: Span { end: end.max(span.end), ..span }, value: Value::List(items) }
            }
            Some(Frame::Map { span, entries, .. }) => {
                let end = entries.last().map_or(at.end, |entry| entry.node.span.end);
                Node { span: Span { end: end.max(span.end), ..span }, value: Value::Map(entries) }
            }
            // The parser ends only what it began.
            None => return,
        };
        self.add(node);
    }

    fn add(&mut self, node: Node) {
        let finding = match self.open.last_mut() {
            None => {
                self.roots.push(node);
                None
            }
            Some(Frame::List(_, items)) => {
                items.push(node);
                None
            }
            Some(Frame::Map { entries, seen, key, .. }) => match key.take() {
                None => {
                    *key = Some(node);
                    None
                }
                Some(name) => add_entry(entries, seen, &name, node),
            },
        };
        if let Some(finding) = finding {
            self.push(finding);
        }
    }

    /// Resolves a scalar by the core schema: quoted and block scalars are text.
    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Value {
        if style != ScalarStyle::Plain {
            return Value::Text(text.to_owned());
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        if let Some(number) = core_int(text) {
            return number.map_or_else(
                |_| {
                    let remedy = "whole numbers are at most 9223372036854775807";
                    self.push(value_error(span, "the number is too large", text, remedy));
                    Value::Refused
                },
                Value::Int,
            );
        }
        if is_core_float(text) {
            return Value::Float(text.to_owned());
        }
        Value::Text(text.to_owned())
    }
}

fn value_error(span: Span, message: &str, value: &str, remedy: &str) -> Diagnostic {
    Diagnostic::error(Code::PLAN_VALUE, span, message, remedy).with_value(value)
}

/// Adds an entry, or says why it cannot be one.
fn add_entry(
    entries: &mut Vec<Entry>,
    seen: &mut BTreeMap<String, Span>,
    key: &Node,
    node: Node,
) -> Option<Diagnostic> {
    let name = match &key.value {
        Value::Text(name) => name.clone(),
        Value::Null => String::new(),
        Value::Bool(word) => word.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.clone(),
        Value::Refused => return None,
        Value::List(_) | Value::Map(_) => {
            return Some(syntax(key.span, "a key is a list or a mapping", "keys are words"));
        }
    };
    if let Some(first) = seen.get(&name) {
        let finding = Diagnostic::error(
            Code::PLAN_DUPLICATE_KEY,
            key.span,
            format!("the key `{name}` stands twice; first on line {}", first.line),
            "keep one of the two",
        );
        return Some(finding.with_value(&name).with_related(*first, "first here"));
    }
    seen.insert(name.clone(), key.span);
    entries.push(Entry { key: name, key_span: key.span, node });
    None
}

/// The integer, an error if it is too large, `None` if the core schema has no integer here.
fn core_int(text: &str) -> Option<Result<i64, ParseIntError>> {
    let based = |digits: &str, radix| {
        (!digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)))
            .then(|| i64::from_str_radix(digits, radix))
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse())
}

/// A float of the core schema: `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`,
/// `.inf`, `.nan`.
fn is_core_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if [".inf", ".Inf", ".INF"].contains(&unsigned) || [".nan", ".NaN", ".NAN"].contains(&text) {
        return true;
    }
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (number, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    exponent_fits && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn findings(text: &str) -> Vec<(&'static str, usize, usize)> {
        let list = parse(text).1;
        list.iter().map(|f| (f.code.name(), f.span.line, f.span.column)).collect()
    }

    #[test]
    fn the_core_schema_decides_what_a_plain_word_is() {
        let (root, findings) = parse(
            "{a: 1, b: -0x, c: 0x1F, d: 0o17, e: yes, f: True, g: ~, h: '1', i: v1, j: 2026-12-01, k: P365D, l: 1e, m: ., n: .5, o: -1E+3, p: .inf}",
        );
        assert!(findings.is_empty(), "{findings:?}");
        let Value::Map(entries) = root.unwrap().value else { panic!("not a mapping") };
        let text = |word: &str| Value::Text(word.to_owned());
        let expected = [
            Value::Int(1),
            text("-0x"),
            Value::Int(31),
            Value::Int(15),
            text("yes"),
            Value::Bool(true),
            Value::Null,
            text("1"),
            text("v1"),
            text("2026-12-01"),
            text("P365D"),
            text("1e"),
            text("."),
            Value::Float(".5".to_owned()),
            Value::Float("-1E+3".to_owned()),
            Value::Float(".inf".to_owned()),
        ];
        let values: Vec<_> = entries.into_iter().map(|entry| entry.node.value).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn what_a_plan_does_not_need_is_refused_where_it_stands() {
        for (text, expected) in [
            ("a:\n\tb: 1\n", vec![("plan.syntax", 2, 1)]),
            ("a:\n  - x\n \t - y\n\tz", vec![("plan.syntax", 3, 2), ("plan.syntax", 4, 1)]),
            ("a: 1\nb: 2\na: 3\n", vec![("plan.duplicate_key", 3, 1)]),
            ("{a: 1, 'a': 2}", vec![("plan.duplicate_key", 1, 8)]),
            ("a: &x 1\nb: *x\n", vec![("plan.syntax", 1, 4), ("plan.syntax", 2, 4)]),
            ("a: !!str 1\n", vec![("plan.syntax", 1, 4)]),
            ("a: !thing {b: 1}\n", vec![("plan.syntax", 1, 4)]),
            ("a: 1\n---\nb: 2\n", vec![("plan.syntax", 2, 1)]),
            ("[a]: 1\n", vec![("plan.syntax", 1, 1)]),
            ("", vec![("plan.syntax", 1, 1)]),
            ("# only words\n", vec![("plan.syntax", 1, 1)]),
        ] {
            assert_eq!(findings(text), expected, "{text:?}");
        }
        assert_eq!(findings("a: 'x\n").len(), 1);
        assert_eq!(findings(&"[".repeat(40)).len(), 1);
        assert_eq!(findings(&"a".repeat(BYTES_MAX + 1)).len(), 1);
    }

    #[test]
    fn spans_are_bytes_even_after_wide_letters() {
        let text = "ä: 'ö'\nb: ü€\n";
        let Value::Map(entries) = parse(text).0.unwrap().value else { panic!("not a mapping") };
        let span = entries[1].node.span;
        assert_eq!(&text[span.start..span.end], "ü€");
        assert_eq!((span.line, span.column), (2, 4));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c:{}\\[\\]&*!'\"|>#?%@,~ \\n\\t0-9.é]{0,200}") {
            let (root, findings) = parse(&text);
            prop_assert!(root.is_some() || !findings.is_empty());
            for finding in findings {
                prop_assert!(text.get(finding.span.start..finding.span.end).is_some(), "{finding:?}");
            }
        }
    }
}
