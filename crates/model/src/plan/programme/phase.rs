//! What a phase of a programme says beside its nodes.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::plan::written::{Label, NotWritten, Written};

/// The canonical ids of phases, in the one order in which they can follow on each other.
pub const PHASE_IDS: [&str; 16] = [
    "pre-P-1",
    "P-1",
    "P0",
    "P1",
    "P2",
    "P3",
    "P4",
    "P5",
    "P6",
    "P7",
    "P8",
    "P9",
    "P10",
    "P11",
    "P12",
    "certification",
];

/// The canonical id of a phase.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhaseId(usize);

impl PhaseId {
    /// Its place in the order.
    pub const fn place(self) -> usize {
        self.0
    }

    /// The id as it is written.
    pub fn as_str(self) -> &'static str {
        PHASE_IDS.get(self.0).copied().unwrap_or_default()
    }
}

impl fmt::Display for PhaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PhaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for PhaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Written for PhaseId {
    fn read(text: &str) -> Result<Self, NotWritten> {
        PHASE_IDS.iter().position(|id| *id == text).map(Self).ok_or_else(|| {
            let must = "pre-P-1, P-1, P0 to P12, or certification";
            NotWritten::new(must, "write, for example, P3; `[P4, P5]` for a phase that covers both")
        })
    }
}

impl JsonSchema for PhaseId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PhaseId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = "^(pre-P-1|P-1|P[0-9]|P1[0-2]|certification)$";
        json_schema!({ "type": "string", "pattern": pattern })
    }
}

/// How far a phase may be repeated, and what is reset then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Retry {
    /// Only after a person has said so: `carnet incident retry`.
    #[serde(rename = "none")]
    None,
    /// As it stands.
    L0,
    /// After what it left was cleaned up by name.
    L1,
    /// Under a fresh id of the run on the platform.
    L2,
    /// From a fresh root of the scenario or the oracle.
    L3,
    /// On a substrate that was made anew.
    L4,
}

impl Retry {
    pub(in crate::plan) const WORDS: [(&'static str, Self); 6] = [
        ("none", Self::None),
        ("L0", Self::L0),
        ("L1", Self::L1),
        ("L2", Self::L2),
        ("L3", Self::L3),
        ("L4", Self::L4),
    ];

    /// The word in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
        }
    }
}

/// What a failure of a phase means for those who have to deal with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Posture {
    /// How far it may be repeated, and what is reset then.
    pub retry: Retry,
    /// What is done when it fails, for people.
    pub says: Label,
}

/// A file that must exist before a phase can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "EvidenceContract", deny_unknown_fields)]
pub struct EvidenceFile {
    /// Where it is, below `programme.evidence_root`. Tokens such as `{platform_run_id}` stand for what
    /// the run is pinned to.
    pub path: Label,
    /// Its form, such as `receipt_summary`.
    pub form: Label,
}

/// What is known of a phase that is not elaborated yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateLevel {
    /// What must hold before it begins, in words.
    pub entry: Vec<Label>,
    /// What must hold when it is done, in words.
    pub exit: Vec<Label>,
}
