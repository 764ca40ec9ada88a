//! From the text of a plan file to a document, or to all that is wrong with it.

use std::collections::BTreeMap;

use carnet_ledger::Digest;

use carnet_document::{Code, Diagnostic, Severity, yaml};

use super::around::Around;
use super::check;
use super::decode;
use super::document::{Document, Work};
use super::files;
use super::phases::Phases;
use super::reader::Reader;
use super::tree::Tree;

/// A plan file that cannot be used, with all that was found in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} has {count}", count = counted(diagnostics))]
pub struct Rejected {
    /// The file as the caller named it.
    pub file: String,
    /// The findings in the order of the text, at least one of them an error.
    pub diagnostics: Vec<Diagnostic>,
}

impl Rejected {
    pub(super) fn new(file: &str, mut diagnostics: Vec<Diagnostic>) -> Self {
        sort(&mut diagnostics);
        diagnostics.truncate(yaml::FINDINGS_MAX);
        Self { file: file.to_owned(), diagnostics }
    }

    /// The code of the first error.
    pub fn code(&self) -> Code {
        let first = self.diagnostics.iter().find(|found| found.severity == Severity::Error);
        first.map_or(Code::PLAN_VALUE, |found| found.code)
    }
}

fn counted(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
    match errors {
        1 => "1 error".to_owned(),
        most if most >= yaml::FINDINGS_MAX => format!("at least {most} errors"),
        several => format!("{several} errors"),
    }
}

/// In the order of the text.
fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by_key(|found| (found.span.start, found.span.end));
}

/// A plan that was read and checked.
pub(super) struct Opened {
    pub(super) document: Document,
    /// The files that it refers to.
    pub(super) files: BTreeMap<String, Digest>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads and checks a plan. `file` is only repeated in the answer.
pub(super) fn open(file: &str, text: &str, around: &Around<'_>) -> Result<Opened, Rejected> {
    let (mut document, tree) = read(file, text)?;
    let mut findings = check::check(&document, &tree, around.now_s);
    let (files, missing) = files::files(&document, &tree, around);
    findings.extend(missing);
    if let Work::Phases(Phases { programme: Some(programme), .. }) = &mut document.work {
        programme.pin(&files);
    }
    if findings.iter().any(|found| found.severity == Severity::Error) {
        return Err(Rejected::new(file, findings));
    }
    sort(&mut findings);
    Ok(Opened { document, files, warnings: findings })
}

pub(super) fn read(file: &str, text: &str) -> Result<(Document, Tree), Rejected> {
    let first = yaml::first_line(text);
    let (root, findings) = yaml::parse(text);
    let mut reader = Reader { findings };
    let Some(root) = root else { return Err(Rejected::new(file, reader.findings)) };
    let document = decode::document(&mut reader, &root, first);
    match document {
        Some(document) if reader.findings.is_empty() => Ok((document, Tree::new(root, first))),
        Some(_) | None => Err(Rejected::new(file, reader.findings)),
    }
}
