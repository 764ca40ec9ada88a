//! From the tree to the approvals and exceptions of a plan.

use std::collections::BTreeMap;

use carnet_document::yaml::{Entry, Node};
use carnet_document::{Code, Diagnostic};

use super::mapping;
use crate::gate::approval::Assurance;
use crate::plan::approvals::{Approval, EXPIRES, Exception, NotBy, once};
use crate::plan::keys;
use crate::plan::reader::Reader;
use crate::plan::written::{Label, NodeName, Written};

/// The most people that an approval names.
const PEOPLE_MAX: u32 = 100;

pub(super) fn approvals(reader: &mut Reader, at: &Entry) -> BTreeMap<NodeName, Approval> {
    let mut found = BTreeMap::new();
    let entries = reader.entries(&at.node, "`approvals`", at.key_span).unwrap_or_default();
    at_most_many(reader, at, entries.len());
    for entry in entries {
        if reader.is_full() {
            break;
        }
        let approval = approval(reader, entry);
        match NodeName::read(&entry.key) {
            Ok(name) => {
                found.extend(approval.map(|approval| (name, approval)));
            }
            Err(error) => {
                let message = format!("the name of an approval {error}");
                let remedy = error.remedy();
                let finding = Diagnostic::error(Code::PLAN_VALUE, entry.key_span, message, remedy);
                reader.push(finding.with_value(&entry.key));
            }
        }
    }
    found
}

fn approval(reader: &mut Reader, at: &Entry) -> Option<Approval> {
    let fields = mapping(reader, at, &format!("the approval `{}`", at.key), keys::APPROVAL)?;
    let any_of = fields.get("any_of").map(|at| people(reader, at));
    let count = fields.get("count").and_then(|at| reader.number(at, 1..=PEOPLE_MAX));
    let not = fields.get("not").and_then(|at| reader.word(at, &[("initiator", NotBy::Initiator)]));
    let expires = fields.get("expires").and_then(|at| reader.written(at));
    let words = [("signed", Assurance::Signed), ("named", Assurance::Named)];
    let assurance = fields.get("assurance").and_then(|at| reader.word(at, &words));
    Some(Approval {
        any_of: any_of?,
        count: count.unwrap_or(once()),
        not,
        expires: expires.unwrap_or(EXPIRES),
        assurance: assurance.unwrap_or_default(),
    })
}

/// The people under `any_of`, each once.
fn people(reader: &mut Reader, at: &Entry) -> Vec<Label> {
    let mut found: Vec<Label> = Vec::new();
    let people = reader.list(at).unwrap_or_default();
    if people.is_empty() && matches!(at.node.value, carnet_document::yaml::Value::List(_)) {
        let message = "`any_of` names nobody";
        let remedy = "name who may approve, as the trust file does";
        reader.push(Diagnostic::error(Code::PLAN_VALUE, at.key_span, message, remedy));
    }
    for node in people {
        if reader.is_full() {
            break;
        }
        let Some(name) = reader.written_of::<Label>(node, at.key_span, "any_of") else { continue };
        if found.contains(&name) || found.len() >= PEOPLE_MAX as usize {
            let message = format!("`any_of` names {name} twice, or more than {PEOPLE_MAX} people");
            let remedy = "name each once";
            let finding = Diagnostic::error(Code::PLAN_VALUE, node.span, message, remedy);
            reader.push(finding.with_value(name.as_str()));
        } else {
            found.push(name);
        }
    }
    found
}

/// The most approvals, exceptions and branches that a person can keep in mind.
const MANY: usize = 100;

/// Refuses a key with more members than that.
pub(super) fn at_most_many(reader: &mut Reader, at: &Entry, count: usize) {
    if count > MANY {
        let message = format!("`{}` has {count} members, more than {MANY}", at.key);
        let remedy = "leave out what is not needed";
        reader.push(Diagnostic::error(Code::PLAN_VALUE, at.key_span, message, remedy));
    }
}

pub(super) fn exceptions(reader: &mut Reader, at: &Entry) -> Vec<Exception> {
    let mut found = Vec::new();
    let nodes = reader.list(at).unwrap_or_default();
    at_most_many(reader, at, nodes.len());
    for node in nodes {
        if reader.is_full() {
            break;
        }
        found.extend(exception(reader, node));
    }
    found
}

fn exception(reader: &mut Reader, node: &Node) -> Option<Exception> {
    let fields = reader.fields(node, "an exception", node.span, keys::EXCEPTION)?;
    let gate = fields.get("gate").and_then(|at| reader.text(at)).map(ToOwned::to_owned);
    let label = fields.get("label").and_then(|at| reader.written(at));
    let owner = fields.get("owner").and_then(|at| reader.written(at));
    let reason = fields.get("reason").and_then(|at| reader.written(at));
    let expires_at = fields.get("expires_at").and_then(|at| reader.written(at));
    let approval = fields.get("approval").and_then(|at| reader.written(at));
    Some(Exception {
        gate: gate?,
        label: label?,
        owner: owner?,
        reason: reason?,
        expires_at: expires_at?,
        approval: approval?,
    })
}
