//! The compiled plan: immutable, with nothing left to decide.

use std::collections::BTreeMap;

use carnet_document::{Diagnostic, canonical_value, digest_of};
use carnet_ledger::{Digest, HashProfile};
use serde_json::json;

use super::approvals::Exception;
use super::around::Around;
use super::compiled::{ApprovalRule, Node, Phase};
use super::document::{Document, Work};
use super::inline;
use super::knowledge::Knowledge;
use super::knowledge_v1;
use super::open::{self, Opened, Rejected};
use super::phases::WrittenPhase;
use super::portability::{self, Portability};
use super::programme::Programme;
use super::written::PlanDigest;
use crate::gate::Definition;

/// A plan that was read and checked without an error. What is approved, and what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    document: Document,
    phases: Vec<Phase>,
    phase_digests: Vec<Digest>,
    /// Where each node is: its phase and its place in it.
    places: BTreeMap<String, (usize, usize)>,
    approvals: BTreeMap<String, ApprovalRule>,
    files: BTreeMap<String, Digest>,
    digest: Digest,
}

impl Plan {
    /// Reads, checks and compiles the text of a plan file. `file` is only repeated in a rejection.
    /// Gives the plan with the warnings that a person should see. A plan that refers to files is
    /// refused: [`Plan::open_with`] looks at them.
    pub fn open(file: &str, text: &str) -> Result<(Self, Vec<Diagnostic>), Rejected> {
        Self::open_with(file, text, &Around::nothing())
    }

    /// The same, with what is around the plan.
    pub fn open_with(
        file: &str,
        text: &str,
        around: &Around<'_>,
    ) -> Result<(Self, Vec<Diagnostic>), Rejected> {
        let Opened { document, files, warnings } = open::open(file, text, around)?;
        Ok((Self::compile(document, files), warnings))
    }

    pub(super) fn compile(document: Document, files: BTreeMap<String, Digest>) -> Self {
        let approvals: BTreeMap<_, _> =
            document.approvals.iter().map(|(name, it)| (name.to_string(), it.rule())).collect();
        let phases = match &document.work {
            Work::Knowledge(knowledge) => knowledge_v1::approved_phases(knowledge, &approvals),
            Work::Crossing(crossing) => {
                inline::phases(&portability::phases(&document, &crossing.portability), &approvals)
            }
            Work::Phases(phases) => inline::phases(phases, &approvals),
        };
        let phase_digests: Vec<_> = phases.iter().map(phase_digest).collect();
        let digest = root(&document, &phases, &phase_digests, &files);
        let mut places = BTreeMap::new();
        for (at, phase) in phases.iter().enumerate() {
            for (place, node) in phase.nodes.iter().enumerate() {
                places.insert(node.name.clone(), (at, place));
            }
        }
        Self { document, phases, phase_digests, places, approvals, files, digest }
    }

    /// The document after defaults.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The knowledge base that moves, where the plan's process is `knowledge/v1`.
    pub fn knowledge(&self) -> Option<&Knowledge> {
        self.document.knowledge()
    }

    /// What crosses in a bundle, where the plan's process is `portability/v1`.
    pub fn portability(&self) -> Option<&Portability> {
        self.document.portability()
    }

    /// What holds for all phases of a programme; `None` if the plan is none.
    pub fn programme(&self) -> Option<&Programme> {
        self.document.phases()?.programme.as_deref()
    }

    /// A phase as the plan has it, where it writes its phases out itself.
    pub fn written_phase(&self, name: &str) -> Option<&WrittenPhase> {
        let phases = &self.document.phases()?.phases;
        phases.iter().find(|phase| phase.name.as_str() == name)
    }

    /// The phases in order, those of the prescribed way back last.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// A node by its name, `phase/node`, with its phase.
    pub fn node(&self, name: &str) -> Option<(&Phase, &Node)> {
        let (phase, place) = self.places.get(name)?;
        let phase = self.phases.get(*phase)?;
        Some((phase, phase.nodes.get(*place)?))
    }

    /// The digest of each phase, in the order of the phases.
    pub fn phase_digests(&self) -> &[Digest] {
        &self.phase_digests
    }

    /// The digest that approvals and runs name. `docs/formats.md` specifies it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the plan that this one amends.
    pub fn parent(&self) -> Option<Digest> {
        self.document.amends.map(PlanDigest::digest)
    }

    /// Who may approve what, by the name under which the plan asks for it.
    pub fn approvals(&self) -> &BTreeMap<String, ApprovalRule> {
        &self.approvals
    }

    /// The gates that may stay closed for a while, if that is approved.
    pub fn exceptions(&self) -> &[Exception] {
        &self.document.exceptions
    }

    /// The approvals of the plan whose canonical text this is; `None` if it is none.
    pub fn approvals_in(canonical: &[u8]) -> Option<BTreeMap<String, ApprovalRule>> {
        super::approvals::kept(canonical)
    }

    /// The gate that asks for what the plan calls this approval; `None` if it defines none.
    pub fn approval(&self, name: &str) -> Option<Definition> {
        Some(inline::approval_gate(name, Some(self.approvals.get(name)?)))
    }

    /// The files that the plan refers to, by path as written, with the SHA-256 of their content.
    pub fn files(&self) -> &BTreeMap<String, Digest> {
        &self.files
    }

    /// The canonical JSON (RFC 8785) of the document after defaults, without passwords.
    pub fn canonical(&self) -> String {
        HashProfile::Rfc8785Sha256V1.canonical(&canonical_value(&self.document))
    }
}

/// The root over all that the plan says. Files are only in it where the plan refers to some.
fn root(
    document: &Document,
    phases: &[Phase],
    digests: &[Digest],
    files: &BTreeMap<String, Digest>,
) -> Digest {
    let listed = phases.iter().zip(digests);
    let listed: Vec<_> =
        listed.map(|(phase, digest)| json!({"digest": digest, "name": phase.name})).collect();
    let mut root = json!({"document": digest_of(document), "phases": listed, "plan": "v1"});
    if let (Some(members), false) = (root.as_object_mut(), files.is_empty()) {
        members.insert("files".to_owned(), json!(files));
    }
    digest_of(&root)
}

/// What a phase does and demands. Words for people are not part of it.
fn phase_digest(phase: &Phase) -> Digest {
    let nodes = phase.nodes.iter();
    let nodes: Vec<_> = nodes
        .map(|node| json!({"after": node.after, "kind": node.kind, "name": node.name}))
        .collect();
    let mut whole = json!({
        "name": phase.name,
        "nodes": nodes,
        "on_failure": phase.on_failure,
        "part": phase.part,
    });
    if let (Some(members), false) = (whole.as_object_mut(), phase.begins.is_in_turn()) {
        members.insert("begins".to_owned(), json!(phase.begins));
    }
    digest_of(&whole)
}
