//! Which approvals there are, each verified anew from its statement.

use carnet_model::Code;
use carnet_model::gate::approval::{Approval, Asked, Facts, Rule};
use carnet_model::gate::{self, Definition};
use carnet_model::plan::Phase;

use crate::approval::{
    Initiator, excepted_table, gate_table, is_signed, opens_gates, table_digest, trust_of,
};
use crate::error::StepError;
use crate::step::Context;
use carnet_process::{self, GateStatus, RunState};

/// What an approval gate sees: what is asked for now, and all that was given.
pub(super) fn given(
    cx: &Context<'_>,
    definition: &Definition,
    rule: &Rule,
) -> Result<gate::Facts, StepError> {
    let missing = || StepError::new(Code::BUG, "there is no run to approve");
    let run = cx.recorder.run().ok_or_else(missing)?;
    let trust = trust_of(cx.plan, cx.folder)?;
    let initiator = Initiator::of(run.initiator.as_deref(), trust.as_ref());
    let node = asking(cx, &run, definition);
    let get = |digest| cx.recorder.object(digest).ok();
    let excepts = node.is_none() && opens_gates(cx.plan, &rule.name);
    let table = if excepts {
        excepted_table(&run, cx.plan, &rule.name, &get)
    } else {
        gate_table(&run, cx.plan, node.as_deref(), &get)
    };
    let (table, unseen) = (table_digest(&table), table_digest(&[]));
    let about = run.approvals.iter().filter(|it| it.subject == rule.name);
    let approvals = about.map(|it| {
        let stored = cx.recorder.object(it.statement)?;
        let signed = is_signed(it, &run.id, &stored, trust.as_ref()).map_err(|why| {
            let what =
                format!("the approval of {} by {} does not hold: {why}", it.subject, it.approver);
            StepError::new(Code::APPROVAL_INVALID, what).remedy("have it approved again")
        })?;
        let mut approval = seen(it, signed);
        // An exception that was approved before its gate was judged counts whatever the gate says; one
        // that was approved afterwards counts for what it said then.
        if excepts && approval.table == unseen {
            approval.table = table;
        }
        Ok(approval)
    });
    let facts = Facts {
        asked: Some(Asked {
            plan: run.plan,
            table,
            initiator: name(&initiator, rule)?,
            at_s: cx.clock.now().unix_millis().div_euclid(1000),
        }),
        approvals: approvals.collect::<Result<_, StepError>>()?,
    };
    Ok(gate::Facts::Approval(facts))
}

fn seen(approval: &carnet_process::Approval, signed: bool) -> Approval {
    Approval {
        gate: approval.subject.clone(),
        approver: approval.approver.clone(),
        key: approval.key.clone(),
        plan: approval.plan,
        table: approval.gate_table,
        at_s: approval.at.unix_millis().div_euclid(1000),
        expires_at_s: Some(approval.expires.unix_millis().div_euclid(1000)),
        signed,
        // One that was taken back is no part of the run any more.
        withdrawn: false,
    }
}

/// The node that asks: the first with this definition that is not open.
fn asking(cx: &Context<'_>, run: &RunState, definition: &Definition) -> Option<String> {
    let gates = cx.plan.phases().iter().flat_map(Phase::gates);
    let same = gates.filter(|(_, gate)| gate.definition == *definition);
    let mut names = same.map(|(node, _)| node.name.clone());
    names.find(|name| run.gate(name).is_some_and(|gate| gate.status != GateStatus::Open))
}

/// Who started the run, as the rule names people. Where the rule leaves that person out and nobody
/// can tell who it is, nothing can be approved.
fn name(initiator: &Initiator, rule: &Rule) -> Result<String, StepError> {
    let why = match initiator {
        Initiator::Unknown(_) if !rule.not_initiator => return Ok(String::new()),
        Initiator::Unknown(why) => (*why).to_owned(),
        Initiator::Known(owners) => {
            let named: Vec<_> = rule.any_of.iter().filter(|name| initiator.is(name)).collect();
            match named.as_slice() {
                [] => return Ok(owners.iter().map(ToString::to_string).collect()),
                [one] => return Ok((*one).clone()),
                [first, second, ..] => format!(
                    "the key that signed the start belongs to several of those who may approve, \
                     such as {first} and {second}"
                ),
            }
        }
    };
    let what = format!("{} must not be approved by who started the run: {why}", rule.name);
    Err(StepError::new(Code::APPROVAL_INVALID, what).remedy(
        "name a key in the plan (evidence.signer), and its owner in the trust file: NAME vkey KEY",
    ))
}
