//! The findings of `check`, shown with the line and the value.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use carnet_model::plan::{Diagnostic, Masked, Severity, Span};
use schemars::JsonSchema;
use serde::Serialize;

use crate::sheet::{WIDTH, plain, wrap};

/// What is wrong with one plan, and its text to point at.
#[derive(Debug)]
pub(crate) struct Findings {
    /// The file as the person named it.
    pub(crate) file: String,
    /// The text without passwords; the findings point into the one that was read.
    text: Masked,
    found: Vec<Diagnostic>,
}

/// One finding, for programs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
pub(crate) struct FindingView<'f> {
    file: &'f str,
    line: usize,
    column: usize,
    code: &'static str,
    severity: Severity,
    message: &'f str,
    value: Option<&'f str>,
    remedy: &'f str,
}

impl Findings {
    pub(crate) fn new(file: &str, text: &str, found: Vec<Diagnostic>) -> Self {
        Self { file: file.to_owned(), text: Masked::of(text), found }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Each finding with its place, for programs.
    pub(crate) fn views(&self) -> Vec<FindingView<'_>> {
        let views = self.found.iter().map(|found| FindingView {
            file: &self.file,
            line: found.span.line,
            column: found.span.column,
            code: found.code.name(),
            severity: found.severity,
            message: &found.message,
            value: found.value.as_deref(),
            remedy: &found.remedy,
        });
        views.collect()
    }

    /// Each finding with its line, for people.
    pub(crate) fn text(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.term_width(WIDTH);
        let mut text = String::new();
        for found in &self.found {
            text.push_str(renderer.render(&[self.group(found)]).trim_end());
            text.push_str("\n\n");
        }
        text.trim_end().to_owned() + "\n"
    }

    fn group<'a>(&'a self, found: &'a Diagnostic) -> Group<'a> {
        // `error[plan.value]: ` and `  = help: ` stand before the text.
        let title = wrap(&plain(&found.message), WIDTH - 12 - found.code.name().len()).join("\n");
        let remedy = wrap(&plain(&found.remedy), WIDTH - 14).join("\n");
        let level = match found.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut snippet = Snippet::source(self.text.text.as_str())
            .path(self.file.as_str())
            .annotation(AnnotationKind::Primary.span(self.within(found.span)));
        if let Some((span, what)) = &found.related {
            let also = AnnotationKind::Context.span(self.within(*span)).label(what.as_str());
            snippet = snippet.annotation(also);
        }
        level
            .primary_title(title)
            .id(found.code.name())
            .element(snippet)
            .element(Level::HELP.message(remedy))
    }

    /// A span that lies in the text, on borders of characters, whatever was given.
    fn within(&self, span: Span) -> std::ops::Range<usize> {
        let text = &self.text.text;
        let floor = |at| text.floor_char_boundary(self.text.place(at).min(text.len()));
        floor(span.start)..floor(span.end).max(floor(span.start))
    }
}
