//! On what ground something is refused: one place for codes and gates, so that the same cause always
//! has the same class.

use carnet_ledger::RefusalClass;
use carnet_model::{Code, Exit};

/// Codes of which the exit status alone says too little.
const NAMED: &[(Code, RefusalClass)] = &[
    // What may be lost is a rule of the plan.
    (Code::LOSS, RefusalClass::PolicyDenied),
    // What an organisation decided, by rules or by naming people.
    (Code::POLICY_DENIED, RefusalClass::PolicyDenied),
    (Code::POLICY_BUILTIN, RefusalClass::PolicyDenied),
    (Code::AUTHORITY_UNKNOWN, RefusalClass::AuthorityMissingOrInvalid),
    // Rules that cannot be asked let nothing pass.
    (Code::POLICY_COMPILE, RefusalClass::DependencyUnavailableFailClosed),
    (Code::POLICY_UNDECIDED, RefusalClass::DependencyUnavailableFailClosed),
    (Code::FEATURE_MISSING, RefusalClass::DependencyUnavailableFailClosed),
    // What was started, was started under another plan: this one was given no authority.
    (Code::PLAN_CHANGED, RefusalClass::AuthorityMissingOrInvalid),
    (Code::STORE_DENIED, RefusalClass::AuthorityMissingOrInvalid),
    // Something is there and does not do what is needed.
    (Code::STORE_FEATURE, RefusalClass::DependencyUnavailableFailClosed),
    (Code::STORE_READ_ONLY, RefusalClass::DependencyUnavailableFailClosed),
    (Code::STORE_UNSUPPORTED, RefusalClass::DependencyUnavailableFailClosed),
    (Code::STORE_BUSY, RefusalClass::DependencyUnavailableFailClosed),
    (Code::RUN_LOCKED, RefusalClass::DependencyUnavailableFailClosed),
    (Code::RUN_FENCED, RefusalClass::DependencyUnavailableFailClosed),
];

/// The ground on which a run with this failure is refused.
pub fn refusal_class(code: Code) -> RefusalClass {
    let named = NAMED.iter().find(|(one, _)| *one == code).map(|(_, class)| *class);
    named.unwrap_or(match code.exit() {
        // Something that must hold does not, or is not known.
        Exit::Usage
        | Exit::Refused
        | Exit::Differs
        | Exit::Waits
        | Exit::Malformed
        | Exit::Incomplete => RefusalClass::EvidencePreconditionFailed,
        // Something does not answer or does not work, and nothing is done on a guess.
        Exit::Unreachable | Exit::Bug | Exit::Done => RefusalClass::DependencyUnavailableFailClosed,
    })
}

/// The ground on which a gate with this verdict is closed. `gate` is its name in the process.
pub fn gate_class(gate: &str, verdict: &str) -> RefusalClass {
    let id = gate.rsplit('/').next().unwrap_or(gate);
    match (id, verdict) {
        (_, "error") => RefusalClass::DependencyUnavailableFailClosed,
        ("losses", "fail") => RefusalClass::PolicyDenied,
        _ => RefusalClass::EvidencePreconditionFailed,
    }
}

/// The code of a closed gate. One that is closed although it passed lets damaged copies pass.
pub fn gate_code(verdict: &str) -> Code {
    if verdict == "pass" { Code::GATE_BROKEN } else { Code::GATE_CLOSED }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The class of each code of this table, and no other class for codes of the same status but
    /// for those that are named.
    #[test]
    fn each_code_has_one_ground() {
        use RefusalClass::{
            AuthorityMissingOrInvalid, DependencyUnavailableFailClosed, EvidencePreconditionFailed,
            PolicyDenied,
        };
        let table = [
            (Code::LOSS, PolicyDenied),
            (Code::PLAN_CHANGED, AuthorityMissingOrInvalid),
            (Code::STORE_DENIED, AuthorityMissingOrInvalid),
            (Code::POLICY_DENIED, PolicyDenied),
            (Code::POLICY_BUILTIN, PolicyDenied),
            (Code::POLICY_COMPILE, DependencyUnavailableFailClosed),
            (Code::POLICY_UNDECIDED, DependencyUnavailableFailClosed),
            (Code::POLICY_SELF_TEST, EvidencePreconditionFailed),
            (Code::POLICY_DAMAGED, EvidencePreconditionFailed),
            (Code::AUTHORITY_UNKNOWN, AuthorityMissingOrInvalid),
            (Code::FEATURE_MISSING, DependencyUnavailableFailClosed),
            (Code::STORE_UNREACHABLE, DependencyUnavailableFailClosed),
            (Code::STORE_LOST, DependencyUnavailableFailClosed),
            (Code::DISK_FULL, DependencyUnavailableFailClosed),
            (Code::BUG, DependencyUnavailableFailClosed),
            (Code::RUN_LOCKED, DependencyUnavailableFailClosed),
            (Code::RUN_FENCED, DependencyUnavailableFailClosed),
            (Code::GATE_CLOSED, EvidencePreconditionFailed),
            (Code::GATE_BROKEN, EvidencePreconditionFailed),
            (Code::IMPORT_CONFLICT, EvidencePreconditionFailed),
            (Code::CONTENT_DIFFERS, EvidencePreconditionFailed),
            (Code::SNAPSHOT_DAMAGED, EvidencePreconditionFailed),
            (Code::SNAPSHOT_MALFORMED, EvidencePreconditionFailed),
            (Code::RUN_UNKNOWN, EvidencePreconditionFailed),
            (Code::RUN_NOT_REVERSIBLE, EvidencePreconditionFailed),
        ];
        for (code, class) in table {
            assert_eq!(refusal_class(code), class, "{code}");
        }
        for (number, (code, _)) in NAMED.iter().enumerate() {
            let first = NAMED.iter().position(|(one, _)| one == code);
            assert_eq!(first, Some(number), "{code} is named twice");
        }
        for code in Code::ALL.iter().filter(|code| NAMED.iter().all(|(one, _)| one != *code)) {
            let down = matches!(code.exit(), Exit::Unreachable | Exit::Bug);
            let class = refusal_class(*code);
            assert_eq!(class == DependencyUnavailableFailClosed, down, "{code}");
            assert_eq!(class == EvidencePreconditionFailed, !down, "{code}");
        }
    }

    #[test]
    fn a_gate_is_closed_on_the_ground_of_what_it_said() {
        use RefusalClass::{
            DependencyUnavailableFailClosed, EvidencePreconditionFailed, PolicyDenied,
        };
        assert_eq!(gate_class("prepare/losses", "fail"), PolicyDenied);
        assert_eq!(gate_class("prepare/losses", "no_data"), EvidencePreconditionFailed);
        assert_eq!(gate_class("prepare/losses", "error"), DependencyUnavailableFailClosed);
        assert_eq!(gate_class("validate/content_root", "fail"), EvidencePreconditionFailed);
        assert_eq!((gate_code("pass"), gate_code("stale")), (Code::GATE_BROKEN, Code::GATE_CLOSED));
    }
}
