//! The compiled plan: immutable, with nothing left to decide.

use carnet_ledger::{Digest, HashProfile};
use serde_json::json;

use super::diagnostic::Diagnostic;
use super::document::Document;
use super::open::{self, Rejected};
use super::phase::{Phase, PhaseName, phases};
use crate::canonical::{canonical_value, digest_of};

/// A plan that was read and checked without an error. What is approved, and what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    document: Document,
    phases: Vec<Phase>,
    phase_digests: Vec<(PhaseName, Digest)>,
    digest: Digest,
}

impl Plan {
    /// Reads, checks and compiles the text of a plan file. `file` is only repeated in a rejection.
    /// Gives the plan with the warnings that a person should see.
    pub fn open(file: &str, text: &str) -> Result<(Self, Vec<Diagnostic>), Rejected> {
        let (document, warnings) = open::open(file, text)?;
        Ok((Self::compile(document), warnings))
    }

    fn compile(document: Document) -> Self {
        let phases = phases(&document);
        let phase_digests: Vec<_> =
            phases.iter().map(|phase| (phase.name, phase_digest(phase))).collect();
        let listed: Vec<_> = phase_digests
            .iter()
            .map(|(name, digest)| json!({"digest": digest, "name": name.name()}))
            .collect();
        let digest =
            digest_of(&json!({"document": digest_of(&document), "phases": listed, "plan": "v1"}));
        Self { document, phases, phase_digests, digest }
    }

    /// The document after defaults.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The phases in order, with their steps and gates.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// The digest of each phase, in order.
    pub fn phase_digests(&self) -> &[(PhaseName, Digest)] {
        &self.phase_digests
    }

    /// The digest that approvals and runs name. `docs/formats.md` specifies it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The canonical JSON (RFC 8785) of the document after defaults, without passwords.
    pub fn canonical(&self) -> String {
        HashProfile::Rfc8785Sha256V1.canonical(&canonical_value(&self.document))
    }
}

/// What a phase does and demands. Words for people are not part of it; what they say about stores
/// and paths stands in the document.
fn phase_digest(phase: &Phase) -> Digest {
    let steps: Vec<&str> = phase.steps.iter().map(|step| step.name.name()).collect();
    let gates: Vec<_> = phase
        .gates
        .iter()
        .map(|gate| json!({"definition": gate.digest(), "gate": gate.gate().id()}))
        .collect();
    digest_of(&json!({"gates": gates, "name": phase.name.name(), "steps": steps}))
}
