//! By whose word something is approved: the rule, the keys, and who started the run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use carnet_ledger::Digest;
use carnet_ledger::trust::{MAX_TRUST_BYTES, PatternList, TrustFile, TrustedKey};
use carnet_model::Code;
use carnet_model::plan::{ApprovalRule, Assurance, Plan};

use super::refused;
use super::table::Get;
use crate::error::{EngineError, StepError};
use carnet_process::{AMENDMENT, RunState};

/// What stands before the name of a step in the subject of an approval that lets its undo be skipped.
pub const SKIP: &str = "skip:";

/// Who may approve a subject, by which keys, and who is left out.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Who may, and how.
    pub rule: ApprovalRule,
    /// The keys that are believed; `None` if the plan names none.
    pub trust: Option<TrustFile>,
    /// Who started the run.
    pub(crate) initiator: Initiator,
}

impl Authority {
    /// For an amendment that of the plan that is amended, as the evidence keeps it: a plan cannot give
    /// itself leave, and not bring the keys to sign it with. For everything else that of the plan.
    pub(crate) fn of(
        run: &RunState,
        (plan, folder): (&Plan, &Path),
        subject: &str,
        object: &Get<'_>,
    ) -> Result<Self, EngineError> {
        let (rule, trust, nobody) = if subject == AMENDMENT {
            let (rule, trust) = kept(run, object)?;
            (rule, trust, "the plan that it amends names nobody who may approve anything")
        } else {
            let nobody = "the plan has no approval of this name";
            (rule_of(plan, subject), trust_of(plan, folder)?, nobody)
        };
        let rule = rule.ok_or_else(|| refused(subject, nobody.to_owned()))?;
        let initiator = Initiator::of(run.initiator.as_deref(), trust.as_ref());
        Ok(Self { rule, trust, initiator })
    }
}

/// The rule for an amendment of the run's plan and the keys that this plan believes, from the objects
/// that were kept when it was taken up.
fn kept(
    run: &RunState,
    object: &Get<'_>,
) -> Result<(Option<ApprovalRule>, Option<TrustFile>), StepError> {
    let get = |digest: Digest| {
        let what = || format!("the evidence holds no object {digest} any more");
        object(digest).ok_or_else(|| StepError::new(Code::EVIDENCE_DAMAGED, what()))
    };
    let rules = Plan::approvals_in(&get(run.document)?).unwrap_or_default();
    let trust = run.trust.map(get).transpose()?;
    let trust = trust.map(|text| parse(&text, "the trust file of the plan that is amended"));
    Ok((rule_among(&rules, AMENDMENT), trust.transpose()?))
}

/// The rule for a subject: the one that the plan gives it. For an undo that is skipped, one of all
/// those who may approve anything must, under the strictest of the rules. `None` for a subject that
/// nobody asks for, and where the plan has no approvals.
pub(crate) fn rule_of(plan: &Plan, subject: &str) -> Option<ApprovalRule> {
    rule_among(plan.approvals(), subject)
}

/// The same, from the approvals of a plan, and likewise for an amendment.
fn rule_among(rules: &BTreeMap<String, ApprovalRule>, subject: &str) -> Option<ApprovalRule> {
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

/// The text of the plan's trust file; `None` if it names none. The file must still be the one that
/// the digest of the plan covers.
pub(crate) fn trust_text(plan: &Plan, folder: &Path) -> Result<Option<Vec<u8>>, StepError> {
    let Some(written) = &plan.document().trust else { return Ok(None) };
    let path = written.within(folder);
    let mut bytes = Vec::new();
    let read = File::open(&path)
        .and_then(|file| file.take(MAX_TRUST_BYTES as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|error| StepError::io("read", &path, error))?;
    if plan.files().get(&written.to_string()) != Some(&Digest::of(&bytes)) {
        let what = format!("{} is not the file that the plan was read with", path.display());
        return Err(StepError::new(Code::PLAN_CHANGED, what));
    }
    Ok(Some(bytes))
}

/// The keys that the plan believes; `None` if it names none.
pub(crate) fn trust_of(plan: &Plan, folder: &Path) -> Result<Option<TrustFile>, StepError> {
    let name = plan.document().trust.as_ref().map(|path| path.within(folder).display().to_string());
    let text = trust_text(plan, folder)?;
    text.map(|text| parse(&text, &name.unwrap_or_default())).transpose()
}

fn parse(text: &[u8], name: &str) -> Result<TrustFile, StepError> {
    TrustFile::parse(text).map_err(|error| {
        StepError::new(Code::TRUST_MALFORMED, format!("{name} cannot be used: {error}"))
    })
}

/// Who started a run, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Initiator {
    /// Somebody with this key, whom the trust file calls so.
    Known(Vec<PatternList>),
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
