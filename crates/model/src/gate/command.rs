//! A command ends as it must, and prints what it must.

use std::collections::BTreeMap;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{CONTENT_BYTES_MAX, Content, Demand, check_schema, schema_schema};
use super::damaged::Copies;
use super::finding::{Judgement, Verdict};
use super::limits::{check_range, check_text, limit_s};
use crate::text::Text;

/// The command and what is demanded of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The program: a name that is looked up in PATH, or a path. With `shell`, the text that the
    /// shell is to run.
    pub program: String,
    /// What it is given, each as one argument. Nothing is split or expanded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Hand `program` to `/bin/sh -c`, and `args` as `$1`, `$2` …
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shell: bool,
    /// Where it runs, relative to the plan's folder; there, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The variables that it is given, beside PATH, HOME and LANG: text, or the name of a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Text>,
    /// The exit status that it must have.
    #[serde(default)]
    #[schemars(range(min = 0, max = 255))]
    pub exit: i32,
    /// A JSON Schema for what it prints. It must print JSON then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema_schema")]
    pub stdout: Option<Value>,
    /// How long it may take, in seconds; then it is killed with all that it started.
    #[serde(default = "limit_s")]
    #[schemars(range(min = 1, max = 86_400))]
    pub limit_s: u64,
    /// How many bytes it may print; more is a failure.
    #[serde(default = "output_bytes_max")]
    #[schemars(range(min = 1, max = 65_536))]
    pub output_bytes_max: u64,
}

const fn output_bytes_max() -> u64 {
    CONTENT_BYTES_MAX as u64
}

/// What became of the command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How it ended; absent if it did not run.
    pub run: Option<Ran>,
}

/// A run of the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// How it ended.
    pub ended: Ended,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it printed, up to the limit.
    pub stdout: Content,
    /// Whether it printed more than it may.
    pub cut: bool,
    /// The end of what it wrote to stderr, for people.
    pub stderr: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signal(i32),
    /// It was killed, since it took too long.
    TimeLimit,
}

const REMEDY: &str = "run the command by hand, and remove the cause";

impl Rule {
    fn demand(&self) -> Demand<'_> {
        Demand { schema: self.stdout.as_ref(), ..Demand::default() }
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let name = self.name();
        let Some(ran) = &facts.run else {
            return Judgement::no_data(0, format!("{name} was not run"), REMEDY);
        };
        let wrong = match ran.ended {
            Ended::TimeLimit => Some(format!("took longer than {} s", self.limit_s)),
            Ended::Signal(signal) => Some(format!("was ended by signal {signal}")),
            Ended::Exited(status) if status != self.exit => {
                Some(format!("ended with status {status}, and must end with {}", self.exit))
            }
            Ended::Exited(_) if ran.cut => {
                Some(format!("printed more than {} bytes", self.output_bytes_max))
            }
            Ended::Exited(_) => None,
        };
        if let Some(wrong) = wrong {
            return Judgement::fail(1, format!("{name} {wrong}{}", said(&ran.stderr)), REMEDY);
        }
        if self.stdout.is_some()
            && let Some((verdict, wrong)) = self.demand().wrong(&ran.stdout)
        {
            let reason = format!("what {name} printed {wrong}");
            let sample = usize::from(verdict != Verdict::NoData);
            return Judgement { verdict, ..Judgement::fail(sample, reason, REMEDY) };
        }
        let printed = if self.stdout.is_some() { ", and printed what it must" } else { "" };
        Judgement::pass(1, format!("{name} ended with status {}{printed}", self.exit))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut add = |name, damage: &dyn Fn(&mut Ran)| {
            copies.add(name, |facts: &mut Facts| {
                if let Some(ran) = &mut facts.run {
                    damage(ran);
                }
            });
        };
        let other = Ended::Exited(i32::from(self.exit == 0));
        add("status_other", &|ran| ran.ended = other);
        add("status_next", &|ran| ran.ended = Ended::Exited(self.exit + 1));
        add("ended_by_signal", &|ran| ran.ended = Ended::Signal(9));
        add("time_limit", &|ran| ran.ended = Ended::TimeLimit);
        add("output_cut", &|ran| ran.cut = true);
        let run = facts.run.as_ref().filter(|_| self.stdout.is_some());
        for (name, content) in run.map(|ran| self.demand().damage(&ran.stdout)).unwrap_or_default()
        {
            add(name, &|ran| ran.stdout = content.clone());
        }
        copies.add("nothing_seen", |facts| facts.run = None);
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/program", &self.program);
        if !self.shell && self.program.contains(char::is_whitespace) && self.args.is_empty() {
            let what = "the name of a program has no spaces";
            let remedy = "write the arguments under `args`, or say `shell: true`";
            errors.push(InputError::new("/program", what, remedy));
        }
        errors.extend(check_range("/limit_s", self.limit_s, 1, 86_400));
        errors.extend(check_range(
            "/output_bytes_max",
            self.output_bytes_max,
            1,
            output_bytes_max(),
        ));
        errors.extend(check_schema("/stdout", self.stdout.as_ref()));
        errors
    }

    pub(super) fn demands(&self) -> String {
        let printed =
            if self.stdout.is_some() { " and prints JSON that follows its schema" } else { "" };
        format!("{} ends with status {}{printed}", self.name(), self.exit)
    }

    /// What runs, shortened.
    fn name(&self) -> String {
        if self.shell {
            return "the shell text".to_owned();
        }
        let path = self.program.rsplit('/').next().unwrap_or(&self.program);
        path.chars().take(40).collect()
    }
}

/// The last line of what was written to stderr.
fn said(stderr: &str) -> String {
    let line = stderr.lines().rev().find(|line| !line.trim().is_empty());
    let line: Option<String> = line.map(|line| line.trim().chars().take(160).collect());
    line.map_or_else(String::new, |line| format!(": {line}"))
}
