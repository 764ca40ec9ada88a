//! Approvals: what is signed, who may, and what an approval is bound to.

mod authority;
mod statement;
mod table;

use carnet_ledger::EventTime;
use carnet_ledger::trust::TrustFile;
use carnet_model::gate::Rule;
use carnet_model::plan::{Assurance, Phase, Plan};

pub use authority::{Authority, SKIP};
pub(crate) use authority::{Initiator, rule_of, trust_of, trust_text};
pub use statement::{Signature, Statement};
pub use table::GateRow;
pub(crate) use table::{Get, excepted_table, gate_table, table_digest};

use carnet_process::{AMENDMENT, Approval, Refused, RunState};
use statement::Stored;

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
    let gates = if plan.approvals().contains_key(subject) && subject != AMENDMENT {
        match asking(run, plan, subject) {
            Ok(node) => gate_table(run, plan, Some(&node), object),
            // An exception may be approved before its gate is judged.
            Err(_) if opens_gates(plan, subject) => excepted_table(run, plan, subject, object),
            Err(nobody) => return Err(nobody),
        }
    } else {
        // A plan or an undo may be approved at any time.
        gate_table(run, plan, None, object)
    };
    Ok(Question { subject: subject.to_owned(), gates })
}

/// Whether an exception of the plan opens a gate with this approval.
pub(crate) fn opens_gates(plan: &Plan, approval: &str) -> bool {
    plan.exceptions().iter().any(|it| it.approval.as_str() == approval)
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
    authority: &Authority,
    now: EventTime,
) -> Result<(Option<String>, Vec<u8>), String> {
    let statement = &consent.statement;
    let Authority { rule, trust, initiator } = authority;
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
    let key = stored.key(statement, trust.as_ref(), now)?;
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
