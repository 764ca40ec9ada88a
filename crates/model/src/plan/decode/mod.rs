//! From the tree to the document: every key, with its defaults.

mod approvals;
mod inputs;
mod knowledge;
mod phases;
mod portability;
mod programme;
mod sections;

use carnet_document::yaml::{Entry, Node, Value};
use carnet_document::{Code, Diagnostic, Span};
use carnet_ledger::{Family, families_missing};

use super::document::{Document, Evidence, EvidenceProfile, Format, Governance, HashProfile, Work};
use super::keys::{self, Key};
use super::knowledge::Process;
use super::reader::{Fields, Reader};
use super::written::{Label, Written};

/// Reads the document. Absent, or made of defaults where a value was refused, if the reader has
/// findings: a caller uses it only without.
pub(super) fn document(reader: &mut Reader, root: &Node, first: Span) -> Option<Document> {
    let kind = Kind::of(root);
    let table = kind.keys();
    let fields = reader.fields(root, "the plan", first, table)?;
    let carnet = fields.get("carnet").and_then(|at| reader.word(at, &[("v1", Format::V1)]));
    let migration = fields.get("migration").and_then(|at| reader.written(at));
    let owner: Option<Label> = fields.get("owner").and_then(|at| reader.written(at));
    let governance = fields.get("governance").and_then(|at| governance(reader, at));
    let evidence = evidence(reader, fields.get("evidence"), owner.as_ref());
    let trust = fields.get("trust").and_then(|at| reader.written(at));
    let dependencies = fields.get("dependencies").and_then(|at| sections::dependencies(reader, at));
    let terms = fields.get("terms").and_then(|at| sections::terms(reader, at));
    let amends = fields.get("amends").and_then(|at| reader.written(at));
    let approvals = fields.get("approvals").map(|at| approvals::approvals(reader, at));
    let exceptions = fields.get("exceptions").map(|at| approvals::exceptions(reader, at));
    let work = match kind {
        Kind::Phases => phases::phases(reader, &fields).map(Work::Phases),
        Kind::Crossing => {
            portability::crossing(reader, &fields).map(|it| Work::Crossing(Box::new(it)))
        }
        Kind::Knowledge => {
            knowledge::knowledge(reader, &fields).map(|it| Work::Knowledge(Box::new(it)))
        }
    };
    Some(Document {
        carnet: carnet?,
        migration: migration?,
        owner: owner?,
        governance,
        evidence: evidence?,
        trust,
        dependencies,
        terms,
        amends,
        approvals: approvals.unwrap_or_default(),
        exceptions: exceptions.unwrap_or_default(),
        work: work?,
    })
}

/// What a plan does, seen by the keys that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It writes its phases out itself, instead of naming a process.
    Phases,
    /// Something crosses in a bundle.
    Crossing,
    /// A knowledge base moves.
    Knowledge,
}

impl Kind {
    fn of(root: &Node) -> Self {
        let Value::Map(entries) = &root.value else { return Self::Knowledge };
        let names = |process: &str| {
            entries.iter().any(|entry| {
                entry.key == "process"
                    && matches!(&entry.node.value, Value::Text(text) if text == process)
            })
        };
        let has = |key: &str| entries.iter().any(|entry| entry.key == key);
        if has("phases") || has("programme") {
            Self::Phases
        } else if names("portability/v1") || has("portability") {
            Self::Crossing
        } else {
            Self::Knowledge
        }
    }

    const fn keys(self) -> &'static [Key] {
        match self {
            Self::Phases => keys::PHASES,
            Self::Crossing => keys::CROSSING,
            Self::Knowledge => keys::KNOWLEDGE,
        }
    }
}

fn mapping<'a>(reader: &mut Reader, at: &'a Entry, what: &str, keys: &[Key]) -> Option<Fields<'a>> {
    reader.fields(&at.node, what, at.key_span, keys)
}

/// A mapping of which one text key is all there is.
fn required<T: Written>(
    reader: &mut Reader,
    at: &Entry,
    what: &str,
    keys: &[Key],
    key: &str,
) -> Option<T> {
    let fields = mapping(reader, at, what, keys)?;
    fields.get(key).and_then(|at| reader.written(at))
}

fn governance(reader: &mut Reader, at: &Entry) -> Option<Governance> {
    let fields = mapping(reader, at, "`governance`", keys::GOVERNANCE)?;
    Some(Governance {
        jurisdiction: fields.get("jurisdiction").and_then(|at| reader.written(at)),
        classification: fields.get("classification").and_then(|at| reader.written(at)),
        retention: fields.get("retention").and_then(|at| reader.written(at)),
    })
}

fn evidence(reader: &mut Reader, at: Option<&Entry>, owner: Option<&Label>) -> Option<Evidence> {
    let fields = at.and_then(|at| mapping(reader, at, "`evidence`", keys::EVIDENCE));
    let get = |key| fields.as_ref().and_then(|fields| fields.get(key));
    let hashes =
        [("ecs-hash-v1", HashProfile::EcsHashV1), ("rfc8785-sha256-v1", HashProfile::Rfc8785)];
    let profile = get("profile").and_then(|at| evidence_profile(reader, at));
    let hash_profile = get("hash_profile").and_then(|at| reader.word(at, &hashes));
    let tenant = get("tenant").and_then(|at| reader.written(at));
    Some(Evidence {
        profile: profile.unwrap_or_default(),
        tenant: tenant.or_else(|| owner.cloned())?,
        hash_profile: hash_profile.unwrap_or_default(),
        signer: get("signer").and_then(|at| reader.written(at)),
        create_signer: get("create_signer").and_then(|at| reader.yes_or_no(at)).unwrap_or_default(),
    })
}

/// A profile that no process of this build can meet is refused with what would be missing.
fn evidence_profile(reader: &mut Reader, at: &Entry) -> Option<EvidenceProfile> {
    let demanding = carnet_ledger::EvidenceProfile::RegulatedMl;
    if !matches!(&at.node.value, Value::Text(text) if text == demanding.name()) {
        let profiles = [
            ("ecs-evidence-baseline", EvidenceProfile::Baseline),
            ("ecs-evidence-admissible", EvidenceProfile::Admissible),
            ("ecs-evidence-ncp", EvidenceProfile::Ncp),
        ];
        return reader.word(at, &profiles);
    }
    let written = Process::KnowledgeV1.families().iter().copied().collect();
    let missing = families_missing(demanding, &written).into_iter().map(Family::name);
    let missing = missing.collect::<Vec<_>>().join(" and ");
    reader.push(Diagnostic::error(
        Code::PLAN_UNSUPPORTED,
        at.node.span,
        format!("{demanding} asks for evidence of {missing}, which knowledge/v1 does not write"),
        "write ecs-evidence-admissible or ecs-evidence-ncp",
    ));
    None
}
