//! `command.run`.

use std::collections::BTreeMap;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::text::Text;

pub(super) const NAME: &str = "command.run";

/// The most that is kept of each of the two outputs of a command.
pub const OUTPUT_BYTES_MAX: u32 = 1 << 20;

/// A program and what it is given. No shell reads it: to use one, name it as the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program: a path from the folder of the plan if it holds a `/`, else a name that is looked
    /// for in the system's own folders.
    #[schemars(length(min = 1, max = 4096))]
    pub program: String,
    /// Its arguments, each as it is. They are recorded, and other users of the machine can see
    /// them: a secret goes into `env`.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub args: Vec<String>,
    /// The folder that it works in, from the folder of the plan; that folder if nothing is said.
    #[schemars(length(min = 1, max = 4096))]
    pub folder: Option<String>,
    /// The variables that it is given, beside PATH. Nothing else of the environment reaches it.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$"}))]
    pub env: BTreeMap<String, Text>,
    /// The exit statuses that mean success; 0 if nothing is said.
    #[serde(default = "zero")]
    #[schemars(length(min = 1, max = 256), inner(range(min = 0, max = 255)))]
    pub succeeds_with: Vec<i32>,
    /// How many seconds it may take. Then it and all that it started is killed, and its outcome is
    /// not known.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 1, max = 604_800))]
    pub time_limit_s: u32,
    /// How many bytes are kept of each output; the rest is read and dropped.
    #[serde(default = "kept")]
    #[schemars(range(min = 0, max = 1_048_576))]
    pub output_bytes_max: u32,
    /// What is done if the machine stops before the outcome is recorded.
    #[serde(default)]
    pub repeat: CommandRepeat,
}

/// What is done about a command with an intent and no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandRepeat {
    /// A person decides.
    #[default]
    Manual,
    /// It is run again: twice is as good as once.
    Again,
    /// Another command is asked.
    Probe(Probe),
}

impl CommandRepeat {
    pub(super) fn kind(&self) -> Repeat {
        match self {
            Self::Manual => Repeat::Manual,
            Self::Again => Repeat::Again,
            Self::Probe(_) => Repeat::Probe,
        }
    }
}

/// A command that only looks whether another one was done: exit status 0 says yes, 1 says no, all
/// else that it cannot tell. It works in the same folder with the same variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The program.
    #[schemars(length(min = 1, max = 4096))]
    pub program: String,
    /// Its arguments.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub args: Vec<String>,
    /// How many seconds it may take.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 3_600))]
    pub time_limit_s: u32,
}

fn zero() -> Vec<i32> {
    vec![0]
}

const fn ten_minutes() -> u32 {
    600
}

const fn half_a_minute() -> u32 {
    30
}

const fn kept() -> u32 {
    65_536
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "run a program",
    safety: Safety::Mutating,
    repeat: Repeat::Manual,
    undo: UndoKind::ByPlan,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<Command>,
    check: |with| checked::<Command>(with, check),
};

fn check(command: &Command, errors: &mut Vec<InputError>) {
    let mut no_nul = |pointer: String, text: &str| {
        if text.contains('\0') {
            errors.push(InputError::new(pointer, "must not hold U+0000", "take it out"));
        }
    };
    no_nul("/program".to_owned(), &command.program);
    for (number, argument) in command.args.iter().enumerate() {
        no_nul(format!("/args/{number}"), argument);
    }
    for (name, value) in &command.env {
        if let Text::Plain(value) = value {
            no_nul(format!("/env/{name}"), value);
        }
    }
    if let CommandRepeat::Probe(probe) = &command.repeat {
        no_nul("/repeat/probe/program".to_owned(), &probe.program);
        for (number, argument) in probe.args.iter().enumerate() {
            no_nul(format!("/repeat/probe/args/{number}"), argument);
        }
    }
}
