//! Paths of evidence with tokens.

use thiserror::Error;

use crate::run::Run;

/// The tokens that a path may have.
const TOKENS: &[&str] = &[
    "platform_run_id",
    "scenario_run_id",
    "output_id",
    "phase_id",
    "oracle_source_namespace",
    "oracle_engine_run_id",
];

/// A path with tokens, relative to the root of the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Token(&'static str),
}

/// Why a path is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A token that does not exist.
    #[error("there is no token {{{0}}}; there are {all}", all = list())]
    UnknownToken(String),
    /// A brace without its other.
    #[error("a brace is open, or closed without being open")]
    Brace,
    /// Not a plain relative path.
    #[error("{0:?} is not a plain path below the root of the evidence")]
    Path(String),
    /// Nothing says what stands for a token.
    #[error("nothing says what {{{0}}} is in this run")]
    NoValue(&'static str),
}

fn list() -> String {
    let tokens: Vec<String> = TOKENS.iter().map(|token| format!("{{{token}}}")).collect();
    tokens.join(", ")
}

impl Template {
    /// Reads a path with tokens.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (token, after) = after.split_once('}').ok_or(TemplateError::Brace)?;
            let known = TOKENS.iter().find(|known| **known == token);
            let known = known.ok_or_else(|| TemplateError::UnknownToken(token.to_owned()))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Token(known));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let brace = |part: &Part| matches!(part, Part::Text(text) if text.contains(['{', '}']));
        if parts.iter().any(brace) {
            return Err(TemplateError::Brace);
        }
        let template = Self { parts };
        plain(&template.with(|token| Some(token.to_owned()))?)?;
        Ok(template)
    }

    /// The path of a run.
    pub fn expand(&self, run: &Run) -> Result<String, TemplateError> {
        let path = self.with(|token| run.value(token).map(str::to_owned))?;
        // What stands for a token is one part of a path, or a part of one.
        for token in self.tokens() {
            let value = run.value(token).unwrap_or_default();
            if value.is_empty() || value.contains('/') {
                return Err(TemplateError::Path(value.to_owned()));
            }
        }
        plain(&path)?;
        Ok(path)
    }

    /// Its tokens.
    pub fn tokens(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Token(token) => Some(*token),
            Part::Text(_) => None,
        })
    }

    fn with(
        &self,
        value: impl Fn(&'static str) -> Option<String>,
    ) -> Result<String, TemplateError> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Token(token) => {
                    path.push_str(&value(token).ok_or(TemplateError::NoValue(token))?);
                }
            }
        }
        Ok(path)
    }
}

fn plain(path: &str) -> Result<(), TemplateError> {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    let control = |it: char| it.is_control() || it == '\\' || it == ':';
    if path.split('/').any(odd) || path.contains(control) || path.len() > 900 {
        return Err(TemplateError::Path(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::run;

    #[test]
    fn a_path_has_the_ids_of_its_run() {
        let path = Template::parse("evidence/runs/{platform_run_id}/x/{scenario_run_id}.json");
        let expanded = path.unwrap().expand(&run()).unwrap();
        let scenario = run().scenario_run_id.unwrap();
        assert_eq!(expanded, format!("evidence/runs/platform_20260301T120000Z/x/{scenario}.json"));
        let none = Template::parse("o/{output_id}").unwrap().expand(&run());
        assert_eq!(none.unwrap_err().to_string(), "nothing says what {output_id} is in this run");
    }

    #[test]
    fn another_token_and_a_path_that_leads_elsewhere_are_refused() {
        let refused = |text: &str| Template::parse(text).unwrap_err();
        assert_eq!(refused("runs/{run_id}/a"), TemplateError::UnknownToken("run_id".into()));
        assert_eq!(refused("runs/{HOME}/a"), TemplateError::UnknownToken("HOME".into()));
        for text in ["a/{platform_run_id", "a/platform_run_id}", "{{platform_run_id}}", "a/{}"] {
            let error = refused(text);
            assert!(!matches!(error, TemplateError::Path(_)), "{text}: {error}");
        }
        for text in ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/./b", "a\\b", "C:a", "a\n"] {
            assert_eq!(refused(text), TemplateError::Path(text.to_owned()));
        }
        let sly = Run { phase_id: Some("../../x".into()), ..run() };
        assert!(Template::parse("a/{phase_id}").unwrap().expand(&sly).is_err());
    }
}
