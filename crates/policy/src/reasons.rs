//! From what rules give to a decision.

use carnet_model::policy::{PolicyDecision, PolicyReason, PolicyVerdict};
use regorus::Value;

/// What rules have decided, and what was wrong with it if something was.
pub(crate) struct Judged {
    pub(crate) decision: PolicyDecision,
    pub(crate) problem: Option<String>,
}

impl Judged {
    pub(crate) fn bare(verdict: PolicyVerdict) -> Self {
        Self { decision: PolicyDecision::bare(verdict), problem: None }
    }

    pub(crate) fn wrong(problem: impl Into<String>) -> Self {
        let decision = PolicyDecision::bare(PolicyVerdict::Error);
        Self { decision, problem: Some(problem.into()) }
    }
}

/// What the values of `allow` and `deny` mean. `deny` is `None` where no rule has this name.
pub(crate) fn judge(allow: &Value, deny: Option<&Value>, reasons_max: u64) -> Judged {
    let reasons = match deny.map(|deny| reasons(deny, reasons_max)) {
        None => Vec::new(),
        Some(Ok(reasons)) => reasons,
        Some(Err(problem)) => return Judged::wrong(problem),
    };
    if !reasons.is_empty() {
        let decision = PolicyDecision::new(PolicyVerdict::Deny, reasons);
        return Judged { decision, problem: None };
    }
    if matches!(deny, Some(Value::Undefined)) || *allow == Value::Undefined {
        return Judged::bare(PolicyVerdict::Undefined);
    }
    match allow.as_bool() {
        Ok(true) => Judged::bare(PolicyVerdict::Allow),
        Ok(false) => Judged::bare(PolicyVerdict::Deny),
        Err(_) => Judged::wrong("`allow` is neither true nor false"),
    }
}

fn reasons(deny: &Value, reasons_max: u64) -> Result<Vec<PolicyReason>, String> {
    if *deny == Value::Undefined {
        return Ok(Vec::new());
    }
    let Ok(found) = deny.as_set() else {
        return Err("`deny` is not a set: write `deny contains {…}`".to_owned());
    };
    if found.len() as u64 > reasons_max {
        return Err(format!("`deny` has {} reasons, and {reasons_max} are the most", found.len()));
    }
    let mut reasons = Vec::with_capacity(found.len());
    for one in found {
        let text = one.to_json_str().map_err(|error| error.to_string())?;
        let reason: PolicyReason = serde_json::from_str(&text).map_err(|error| {
            format!("a member of `deny` is not {{class, code, subject, message, remedy}}: {error}")
        })?;
        let parts = [&reason.code, &reason.subject, &reason.message, &reason.remedy];
        if parts.iter().any(|part| part.trim().is_empty()) {
            return Err("a member of `deny` has an empty part".to_owned());
        }
        reasons.push(reason);
    }
    Ok(reasons)
}
