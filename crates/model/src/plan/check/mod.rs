//! What a document that reads well still gets wrong: parts of it that contradict one another.
//!
//! The check knows nothing of how a plan is compiled, so that a mistake there is not made twice.

mod approvals;
mod freezes;
mod knowledge;
mod phases;

use carnet_document::{Code, Diagnostic, Span};

use super::document::{Document, Work};
use super::tree::Tree;
use super::{portability, programme};

/// All findings, errors and warnings.
pub(super) fn check(document: &Document, tree: &Tree, now_s: Option<i64>) -> Vec<Diagnostic> {
    let mut check = Check { document, tree, findings: Vec::new() };
    check.evidence();
    check.signer();
    let mut findings = check.findings;
    match &document.work {
        Work::Knowledge(it) => findings.extend(knowledge::check(document, it, tree)),
        Work::Crossing(it) => findings.extend(portability::check(document, it, tree)),
        Work::Phases(it) => {
            findings.extend(phases::check(document, tree));
            findings.extend(freezes::check(it, document, tree));
            findings.extend(programme::check(document, it, tree));
        }
    }
    findings.extend(approvals::check(document, tree, now_s));
    findings
}

struct Check<'a> {
    document: &'a Document,
    tree: &'a Tree,
    findings: Vec<Diagnostic>,
}

impl Check<'_> {
    fn conflict(&mut self, span: Span, message: impl AsRef<str>, remedy: &str) {
        self.findings.push(Diagnostic::error(Code::PLAN_CONFLICT, span, message, remedy));
    }

    /// Some profiles take one way of hashing alone.
    fn evidence(&mut self) {
        let evidence = &self.document.evidence;
        let profile = carnet_ledger::EvidenceProfile::from(evidence.profile);
        let hash = carnet_ledger::HashProfile::from(evidence.hash_profile);
        if let Some(wanted) = profile.hash_profile().filter(|wanted| *wanted != hash) {
            let message = format!("{profile} asks for events that are hashed by {wanted}");
            let at = self.tree.at(&["evidence", "hash_profile"]);
            self.conflict(at, message, &format!("write {wanted}, or take the key out"));
        }
    }

    /// A key can be made only where it is named.
    fn signer(&mut self) {
        let evidence = &self.document.evidence;
        if evidence.create_signer && evidence.signer.is_none() {
            let at = self.tree.at(&["evidence", "create_signer"]);
            let remedy = "add `signer: FILE`, or take `create_signer` out";
            self.conflict(at, "no file is named for the key that is to be made", remedy);
        }
    }
}
