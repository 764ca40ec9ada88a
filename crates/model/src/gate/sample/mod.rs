//! Observations that each gate must pass, and some of nothing: what its score is made of.

mod aws;
mod knowledge;
mod outside;
mod platform;
mod portability;
mod programme;
mod rules;

use super::definition::{Facts, Gate, Rule};

/// An observation that must pass, and observations of nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What is demanded.
    pub rule: Rule,
    /// What was seen; it must pass.
    pub facts: Facts,
    /// What is seen where there is nothing; it must be `no_data`.
    pub empty: Vec<Facts>,
}

impl Sample {
    fn new(rule: Rule, facts: Facts) -> Self {
        let empty = vec![Facts::nothing(rule.gate())];
        Self { rule, facts, empty }
    }

    fn or_empty(mut self, facts: Facts) -> Self {
        self.empty.push(facts);
        self
    }
}

/// The samples of a gate. There is at least one for each form that its rule can have.
pub fn samples(gate: Gate) -> Vec<Sample> {
    match gate {
        Gate::SchemaVersion => vec![knowledge::versions()],
        Gate::Dimensions => vec![knowledge::lengths()],
        Gate::Contract => vec![knowledge::contracts()],
        Gate::Losses => vec![knowledge::waived()],
        Gate::Checksums => vec![knowledge::files()],
        Gate::Count => vec![knowledge::counts()],
        Gate::ContentRoot => vec![knowledge::roots()],
        Gate::QueryParity => vec![knowledge::searches()],
        Gate::ArtifactChecksums => vec![knowledge::artifacts()],
        Gate::Command => outside::commands(),
        Gate::File => outside::files(),
        Gate::Object => outside::objects(),
        Gate::Digest => outside::digests(),
        Gate::Sql => outside::queries(),
        Gate::Rows => outside::counts(),
        Gate::Http => outside::requests(),
        Gate::Tcp => outside::connections(),
        Gate::TlsExpiry => outside::certificates(),
        Gate::Lag => outside::lags(),
        Gate::Claims => portability::claims(),
        Gate::SupplyChain => portability::supply_chains(),
        Gate::Term => portability::terms(),
        Gate::Approval => outside::approvals(),
        Gate::Policy => rules::policies(),
        Gate::Authority => rules::authorities(),
        Gate::RunEvidence => programme::evidence(),
        Gate::RunAgreement => programme::agreements(),
        Gate::Certification => programme::certifications(),
        Gate::Handles => platform::handles(),
        Gate::Image => platform::images(),
        Gate::Terraform => platform::terraform(),
        Gate::Topics => platform::topics(),
        Gate::ConsumerLag => platform::consumer_lags(),
        Gate::RegistryTag => aws::tags(),
        Gate::Services => aws::services(),
        Gate::Budget => aws::budgets(),
        Gate::SecretsAbsent => aws::absent(),
    }
}
