//! Live controls: something that must be refused, asked in the same breath as the thing itself.

use serde::{Deserialize, Serialize};

use super::definition::Rule;
use super::finding::{Judgement, Verdict};

/// One control, as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Its name, as in [`Rule::controls`].
    pub name: String,
    /// What was asked, and what came of it.
    pub said: String,
    /// Whether it was refused, as it must be.
    pub refused: bool,
}

impl Control {
    /// A control with what came of it.
    pub fn new(name: &str, said: impl Into<String>, refused: bool) -> Self {
        Self { name: name.to_owned(), said: said.into(), refused }
    }
}

/// A closed port of this machine must refuse a connection.
pub const CLOSED_PORT: &str = "closed_port";
/// The request without its credential must be refused.
pub const WITHOUT_CREDENTIAL: &str = "without_credential";
/// The request with a credential that nobody gave out must be refused.
pub const BOGUS_CREDENTIAL: &str = "bogus_credential";
/// A certificate for another name must not be trusted; what nobody made must not be there by another
/// name.
pub const OTHER_NAME: &str = "other_name";
/// A damaged copy on the disk must be refused.
pub const CANARY: &str = "canary";
/// A query that finds nothing must be no pass.
pub const NO_ROWS: &str = "no_rows";

impl Rule {
    /// The controls without which an observation for this rule is no pass.
    pub fn controls(&self) -> &'static [&'static str] {
        match self {
            Self::Tcp(_) => &[CLOSED_PORT],
            Self::Http(rule) if rule.refused_without.is_some() => {
                &[WITHOUT_CREDENTIAL, BOGUS_CREDENTIAL]
            }
            Self::TlsExpiry(rule) if rule.trusted => &[OTHER_NAME],
            Self::File(_)
            | Self::Object(_)
            | Self::Digest(_)
            | Self::Handles(_)
            | Self::Image(_) => &[CANARY],
            Self::Topics(_) | Self::RegistryTag(_) | Self::Services(_) | Self::Budget(_) => {
                &[OTHER_NAME]
            }
            Self::Sql(_) | Self::Rows(_) => &[NO_ROWS],
            Self::SchemaVersion(_)
            | Self::Dimensions(_)
            | Self::Contract(_)
            | Self::Losses(_)
            | Self::Checksums(_)
            | Self::Count(_)
            | Self::ContentRoot(_)
            | Self::QueryParity(_)
            | Self::ArtifactChecksums(_)
            | Self::Command(_)
            | Self::Http(_)
            | Self::TlsExpiry(_)
            | Self::Lag(_)
            | Self::Claims(_)
            | Self::SupplyChain(_)
            | Self::Term(_)
            | Self::Approval(_)
            | Self::Policy(_)
            | Self::Authority(_)
            | Self::RunEvidence(_)
            | Self::RunAgreement(_)
            | Self::Certification(_)
            | Self::Terraform(_)
            | Self::ConsumerLag(_)
            | Self::SecretsAbsent(_) => &[],
        }
    }
}

/// A pass, unless a control was not asked or was let through.
pub(super) fn after_controls(rule: &Rule, controls: &[Control], passed: Judgement) -> Judgement {
    let sample = passed.sample;
    let without = |verdict, reason: String, remedy: &str| Judgement {
        verdict,
        reason,
        remedy: Some(remedy.to_owned()),
        sample,
    };
    if let Some(let_in) = controls.iter().find(|control| !control.refused) {
        let reason = format!("the control {} was let through: {}", let_in.name, let_in.said);
        let remedy = "what was asked cannot tell good from bad: look at it, then run again";
        return without(Verdict::Error, reason, remedy);
    }
    let is_asked = |name: &&str| controls.iter().any(|control| control.name == **name);
    if let Some(missing) = rule.controls().iter().find(|name| !is_asked(name)) {
        let reason = format!("the control {missing} was not asked");
        return without(Verdict::NoData, reason, "look again: run the phase once more");
    }
    let Some(told) = told(controls) else { return passed };
    Judgement { reason: format!("{}; {told}", passed.reason), ..passed }
}

fn told(controls: &[Control]) -> Option<String> {
    let said: Vec<&str> = controls.iter().map(|control| control.said.as_str()).collect();
    (!said.is_empty()).then(|| format!("control: {}", said.join("; ")))
}

/// The damaged copies of controls, each with the name of its damage.
pub(super) fn damage_controls(
    rule: &Rule,
    controls: &[Control],
) -> Vec<(&'static str, Vec<Control>)> {
    let mut copies = Vec::new();
    for spot in 0..controls.len() {
        let mut let_in = controls.to_vec();
        if let Some(control) = let_in.get_mut(spot) {
            control.refused = false;
        }
        copies.push(("control_let_through", let_in));
    }
    if !rule.controls().is_empty() && !controls.is_empty() {
        copies.push(("controls_missing", Vec::new()));
    }
    copies
}
