//! Conformance: how each invariant of the portability contract stands, judged on what is at hand: a
//! log, an export of evidence, or a bundle. What nothing shows is violated, and what cannot apply says
//! why.

mod assess;
mod trace;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::invariant::Assessed;
use super::manifest::BundleManifest;
use super::supply::{SupplyChain, SupplyDemand};

pub use trace::Trace;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum MaterialKind {
    /// The log of a state folder.
    State,
    /// An export of evidence.
    Export,
    /// A bundle, with the evidence inside it.
    Bundle,
}

impl MaterialKind {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "log",
            Self::Export => "export of evidence",
            Self::Bundle => "bundle",
        }
    }
}

/// How a check of the evidence ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// `Some(true)`: it holds; `Some(false)`: it does not; `None`: it was not, or not fully, checked.
    pub holds: Option<bool>,
    /// What was found.
    pub found: String,
}

/// A bundle, as far as conformance looks at it.
#[derive(Debug, Clone)]
pub struct BundleSeen {
    /// Its manifest.
    pub manifest: BundleManifest,
    /// The bytes of `governance.json`.
    pub governance: Vec<u8>,
    /// The bytes of `dependency-manifest.json`.
    pub dependencies: Vec<u8>,
    /// Its images and disks with their documents.
    pub supply: SupplyChain,
    /// Whether statements on their making must be signed by somebody who is believed.
    pub demand: SupplyDemand,
}

/// All that is at hand.
#[derive(Debug, Clone)]
pub struct Material {
    /// What is looked at.
    pub kind: MaterialKind,
    /// Where it is, for people.
    pub place: String,
    /// What its events say.
    pub trace: Trace,
    /// The checks of the evidence, by name: `events.hash`, `chain.links`, `tree.root`,
    /// `pointers`, `checkpoint.signature`.
    pub checks: BTreeMap<String, Checked>,
    /// The families of events that its profile demands and that are missing.
    pub families_missing: Vec<String>,
    /// The bundle, if it is one.
    pub bundle: Option<BundleSeen>,
}

/// The report: one line for each invariant, in the order of the contract.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "Carnet conformance report")]
pub struct Conformance {
    /// Where what was looked at is.
    pub place: String,
    /// What was looked at.
    pub kind: MaterialKind,
    /// How many events there were.
    pub events: u64,
    /// How each invariant stands.
    pub invariants: Vec<Assessed>,
}

impl Conformance {
    /// Judges.
    pub fn of(material: &Material) -> Self {
        Self {
            place: material.place.clone(),
            kind: material.kind,
            events: material.trace.events,
            invariants: assess::all(material),
        }
    }

    /// The lines that are violated.
    pub fn violated(&self) -> impl Iterator<Item = &Assessed> {
        self.invariants.iter().filter(|it| it.standing.is_violated())
    }
}

#[cfg(test)]
mod tests;
