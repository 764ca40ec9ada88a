//! The scenarios of the portability contract (WS6).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a bundle moves.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Scenario {
    /// A container image with its configuration.
    Container,
    /// The disk of a virtual machine with its firmware variables and the state of its TPM.
    Vm,
    /// Governed data, and no workload.
    DataOnly,
    /// A part of an evidence log, and no data.
    EvidenceOnly,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Container, Self::Vm, Self::DataOnly, Self::EvidenceOnly];

    /// The word in plans, manifests and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Vm => "vm",
            Self::DataOnly => "data_only",
            Self::EvidenceOnly => "evidence_only",
        }
    }

    /// Whether something runs on the target once it has arrived.
    pub const fn has_workload(self) -> bool {
        match self {
            Self::Container | Self::Vm => true,
            Self::DataOnly | Self::EvidenceOnly => false,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
