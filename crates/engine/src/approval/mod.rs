//! Approvals: what is signed, who may, and what an approval is bound to.

mod statement;
mod table;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use carnet_ledger::EventTime;
use carnet_ledger::trust::{MAX_TRUST_BYTES, TrustFile, TrustedKey};
use carnet_model::Code;
use carnet_model::gate::Rule;
use carnet_model::plan::{ApprovalRule, Assurance, Phase, Plan};

pub use statement::{Signature, Statement};
pub use table::GateRow;
pub(crate) use table::{Get, gate_table, table_digest};

use crate::error::StepError;
use crate::process::{AMENDMENT, Approval, Refused, RunState};
use statement::Stored;

/// What stands before the name of a step in the subject of an approval that lets its undo be skipped.
pub const SKIP: &str = "skip:";

/// The rule for a subject: the one that the plan gives it. For an amendment, or an undo that is
/// skipped, one of all those who may approve anything must, under the strictest of the rules. `None`
/// for a subject that nobody asks for, and where the plan has no approvals.
pub fn rule_of(plan: &Plan, subject: &str) -> Option<ApprovalRule> {
    rule_among(plan.approvals(), subject)
}

/// The same, from the approvals of a plan.
pub(crate) fn rule_among(
    rules: &BTreeMap<String, ApprovalRule>,
    subject: &str,
) -> Option<ApprovalRule> {
    if let Some(rule) = rules.get(subject) {
        return Some(rule.clone());
    }
    let known = subject == AMENDMENT || subject.strip_prefix(SKIP).is_some_and(|it| !it.is_empty());
    if !known || rules.is_empty() {
        return None;
    }
    let mut any_of: Vec<_> = rules.values().flat_map(|rule| rule.any_of.clone()).collect();
    any_of.sort();
    any_of.dedup();
    let signed = rules.values().any(|rule| rule.assurance == Assurance::Signed);
    Some(ApprovalRule {
        any_of,
        count: 1,
        not_initiator: rules.values().any(|rule| rule.not_initiator),
        expires_s: rules.values().map(|rule| rule.expires_s).min().unwrap_or(0),
        assurance: if signed { Assurance::Signed } else { Assurance::Named },
    })
}

/// The keys that the plan believes; `None` if it names none. The file must still be the one that the
/// digest of the plan covers.
pub(crate) fn trust_of(plan: &Plan, folder: &Path) -> Result<Option<TrustFile>, StepError> {
    let Some(written) = &plan.document().trust else { return Ok(None) };
    let path = written.within(folder);
    let mut bytes = Vec::new();
    let read = File::open(&path)
        .and_then(|file| file.take(MAX_TRUST_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| StepError::io("read", &path, error))?;
    let covered = plan.files().get(&written.to_string());
    if covered != Some(&carnet_ledger::Digest::of(&bytes)) {
        let what = format!("{} is not the file that the plan was read with", path.display());
        return Err(StepError::new(Code::PLAN_CHANGED, what));
    }
    let trust = TrustFile::parse(&bytes).map_err(|error| {
        let what = format!("{} cannot be used: {error}", path.display());
        StepError::new(Code::TRUST_MALFORMED, what)
    })?;
    Ok(Some(trust))
}

/// Who started a run, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Initiator {
    /// Somebody with this key, whom the trust file calls so.
    Known(Vec<carnet_ledger::trust::PatternList>),
    /// Nobody can tell.
    Unknown(&'static str),
}

impl Initiator {
    /// The principals whose key signed the start. Only a signature tells who it was: a login name is
    /// what anybody can claim.
    pub(crate) fn of(key: Option<&str>, trust: Option<&TrustFile>) -> Self {
        let Some(key) = key else { return Self::Unknown("nobody signed the start of the run") };
        let entries = trust.into_iter().flat_map(TrustFile::entries);
        let owners = entries
            .filter(|entry| matches!(&entry.key, TrustedKey::Log(one) if one.key_id() == key));
        let owners: Vec<_> = owners.map(|entry| entry.principals.clone()).collect();
        if owners.is_empty() {
            return Self::Unknown("the trust file does not say whose key signed the start");
        }
        Self::Known(owners)
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        match self {
            Self::Known(owners) => owners.iter().any(|owner| owner.matches(name)),
            Self::Unknown(_) => false,
        }
    }
}

/// What a person gives who approves.
#[derive(Debug, Clone)]
pub struct Consent {
    /// What is approved.
    pub statement: Statement,
    /// The signature over its text; `None` for a mere name.
    pub signature: Option<Signature>,
}

/// What is asked of approvers now.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// What is to be approved.
    pub(crate) subject: String,
    /// Who may, and how.
    pub(crate) rule: ApprovalRule,
    /// The gates as they were judged.
    pub(crate) gates: Vec<GateRow>,
}

/// What is asked about a subject now, or why nothing is.
pub(crate) fn question(
    run: &RunState,
    plan: &Plan,
    subject: &str,
    object: &Get<'_>,
) -> Result<Question, String> {
    let Some(rule) = rule_of(plan, subject) else {
        return Err("the plan has no approval of this name".to_owned());
    };
    // An exception may be approved before its gate is judged, a plan or an undo at any time.
    let at_any_time = subject == AMENDMENT
        || !plan.approvals().contains_key(subject)
        || plan.exceptions().iter().any(|it| it.approval.as_str() == subject);
    let node = if at_any_time { None } else { Some(asking(run, plan, subject)?) };
    let gates = gate_table(run, plan, node.as_deref(), object);
    Ok(Question { subject: subject.to_owned(), rule, gates })
}

/// The gate that asks for an approval: the first that was judged and is closed.
fn asking(run: &RunState, plan: &Plan, subject: &str) -> Result<String, String> {
    let asks = plan.phases().iter().flat_map(Phase::gates).filter(
        |(_, gate)| matches!(&gate.definition.rule, Rule::Approval(rule) if rule.name == subject),
    );
    let mut names = asks.map(|(node, _)| node.name.clone());
    let closed = |name: &String| {
        let gate = run.gate(name);
        gate.is_some_and(|gate| gate.last.as_ref().is_some_and(|last| !last.opens))
    };
    names.find(closed).ok_or_else(|| "no gate of the run asks for it now".to_owned())
}

/// Whether a consent counts: all that its statement says is so, and who signed it may. Gives the
/// approval to record, without its object.
pub(crate) fn examine(
    consent: &Consent,
    question: &Question,
    run: &RunState,
    initiator: &Initiator,
    trust: Option<&TrustFile>,
    now: EventTime,
) -> Result<(Option<String>, Vec<u8>), String> {
    let statement = &consent.statement;
    let rule = &question.rule;
    let approver = &statement.approver;
    if !statement.is_one_line_each() {
        return Err("a name in it is empty or has more than one line".to_owned());
    }
    if statement.run != run.id {
        return Err("it names another run".to_owned());
    }
    if statement.gate_table != table_digest(&question.gates) {
        return Err("the gates are not those that it names any more".to_owned());
    }
    if !rule.any_of.contains(approver) {
        return Err(format!("{approver} is not among those who may: {}", rule.any_of.join(", ")));
    }
    if rule.not_initiator {
        if let Initiator::Unknown(why) = initiator {
            return Err(format!("it must not come from who started the run, and {why}"));
        }
        if initiator.is(approver) {
            return Err(format!("{approver} started the run, and so may not approve it"));
        }
    }
    if statement.at > now {
        return Err("it was given in the future".to_owned());
    }
    let longest = i64::try_from(rule.expires_s.saturating_mul(1000)).unwrap_or(i64::MAX);
    if statement.expires.unix_millis() > statement.at.unix_millis().saturating_add(longest) {
        return Err(format!(
            "it holds longer than the {} seconds that the plan allows",
            rule.expires_s
        ));
    }
    let stored = Stored::new(statement, consent.signature.as_ref());
    let key = stored.key(statement, trust, now)?;
    if key.is_none() && rule.assurance == Assurance::Signed {
        return Err("it must be signed by a key of the trust file".to_owned());
    }
    let bytes = serde_json::to_vec(&stored).map_err(|error| error.to_string())?;
    Ok((key, bytes))
}

/// Looks at an approval of the log once more: whether its object is the one that was recorded, and
/// whether its signature still holds. Gives whether it is signed.
pub(crate) fn is_signed(
    approval: &Approval,
    run: &str,
    stored: &[u8],
    trust: Option<&TrustFile>,
) -> Result<bool, String> {
    let stored: Stored = serde_json::from_slice(stored)
        .map_err(|error| format!("its object has another form: {error}"))?;
    let statement = Statement::of(approval, run);
    let key = stored.key(&statement, trust, approval.at)?;
    if key != approval.key {
        return Err("its event names another key than the one that signed it".to_owned());
    }
    Ok(key.is_some())
}

/// The refusal of an approval.
pub(crate) fn refused(subject: &str, reason: String) -> Refused {
    Refused::NotApproved { subject: subject.to_owned(), reason }
}
