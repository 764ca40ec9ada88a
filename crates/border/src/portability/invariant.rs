//! The invariants of the portability contract, and how one stands: satisfied, violated, or not
//! applicable. There are no scores.

use std::fmt;

use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lists the invariants once.
macro_rules! invariants {
    ($($variant:ident = $name:literal, $demands:literal;)*) => {
        /// An invariant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(inline)]
        pub enum Invariant {
            $(#[doc = $demands] #[serde(rename = $name)] $variant,)*
        }

        impl Invariant {
            /// All of them, in the order of the report.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in the contract.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it demands, in one line.
            pub const fn demands(self) -> &'static str {
                match self { $(Self::$variant => $demands,)* }
            }
        }
    };
}

invariants! {
    Exit01 = "EXIT-01", "a way out is declared";
    Exit02 = "EXIT-02", "the way out is feasible within bounds of time, volume and cost";
    Exit03 = "EXIT-03", "the way out was exercised, with evidence";
    Exit04 = "EXIT-04", "steps that cannot be undone are known and compensated";
    Int01 = "INT-01", "interfaces are standard and have versions";
    Int02 = "INT-02", "nothing proprietary is on the critical path";
    Int03 = "INT-03", "an interoperability profile is declared";
    Dep01 = "DEP-01", "the critical path is known";
    Dep02 = "DEP-02", "what cannot be substituted is declared";
    Dep03 = "DEP-03", "nobody alone holds a critical path without acceptance and compensation";
    Dep04 = "DEP-04", "evidence of dependencies is there, has versions, and can be exported";
    Sup01 = "SUP-01", "there is an inventory of the parts";
    Sup02 = "SUP-02", "where the content comes from can be verified";
    Sup03 = "SUP-03", "the parts of the parts are disclosed";
    Sup04 = "SUP-04", "nothing upstream is undeclared or unverifiable";
    Evid01 = "EVID-01", "governed actions leave events";
    Evid02 = "EVID-02", "evidence is kept where it is made, network or not";
    Evid03 = "EVID-03", "evidence cannot be changed without showing";
    Evid04 = "EVID-04", "the evidence is complete for its profile";
    Evid05 = "EVID-05", "what is synchronised later is reconciled, with evidence";
    Mig01 = "MIG-01", "policy and authority travel with the content";
    Mig02 = "MIG-02", "governance metadata are the same on both sides";
    Mig03 = "MIG-03", "nothing runs before it was validated";
    Mig04 = "MIG-04", "export, import, validation, cutover and rollback or refusal leave evidence";
    Mig05 = "MIG-05", "dependencies are disclosed";
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What shows that an invariant holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Shown {
    /// An event of the log.
    Event {
        /// Its number.
        sequence: u64,
        /// Its type.
        event_type: String,
    },
    /// An object that the log or the bundle holds.
    Object {
        /// What it is.
        what: String,
        /// The digest of its bytes.
        #[schemars(with = "String")]
        sha256: Digest,
    },
    /// A check that was made just now.
    Check {
        /// Which.
        name: String,
        /// What it found.
        found: String,
    },
}

/// How an invariant stands. A state is satisfied only with something that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
#[schemars(inline)]
pub enum Standing {
    /// It holds.
    Satisfied {
        /// What shows it; never empty.
        shown_by: Vec<Shown>,
    },
    /// It does not hold, or nothing shows that it does.
    Violated {
        /// Why.
        why: String,
        /// What to do about it.
        remedy: String,
    },
    /// It does not apply here.
    NotApplicable {
        /// Why not.
        reason: String,
    },
}

impl Standing {
    /// Satisfied by these; violated if there is nothing among them.
    pub fn shown(shown_by: Vec<Shown>) -> Self {
        if shown_by.is_empty() {
            return Self::violated("nothing shows it", "run what leaves evidence of it");
        }
        Self::Satisfied { shown_by }
    }

    /// Violated.
    pub fn violated(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Violated { why: why.into(), remedy: remedy.into() }
    }

    /// Not applicable.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::NotApplicable { reason: reason.into() }
    }

    /// Whether it is violated.
    pub const fn is_violated(&self) -> bool {
        matches!(self, Self::Violated { .. })
    }

    /// The word in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Satisfied { .. } => "satisfied",
            Self::Violated { .. } => "violated",
            Self::NotApplicable { .. } => "not applicable",
        }
    }
}

/// One line of a report on conformance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Assessed {
    /// Which invariant.
    pub invariant: Invariant,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

impl Assessed {
    /// A line.
    pub const fn new(invariant: Invariant, standing: Standing) -> Self {
        Self { invariant, standing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_never_satisfied() {
        assert!(Standing::shown(Vec::new()).is_violated());
        let shown = Shown::Check { name: "x".to_owned(), found: "y".to_owned() };
        assert_eq!(Standing::shown(vec![shown]).name(), "satisfied");
    }

    #[test]
    fn names_are_those_of_the_contract() {
        for one in Invariant::ALL {
            assert_eq!(serde_json::to_value(one).unwrap(), one.name());
        }
        assert_eq!(Invariant::ALL.len(), 25);
    }
}
