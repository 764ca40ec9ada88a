//! What the gates look at that a plan can name: files, commands, databases, servers.
//!
//! Where something can be damaged safely, a control is asked in the same breath: a copy on the disk
//! with other bytes, a port on which nobody listens, a credential that nobody gave out. It must be
//! refused; the model's judge sees to it.

mod ask;
mod aws;
mod border;
mod broker;
mod files;
mod platform;
mod program;
mod programme;
mod rows;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

pub use border::supply_chain_of;

use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_connect::Outside;
use carnet_model::Code;
use carnet_model::gate::{
    self, Control, Definition, Evaluation, Facts, Observation, Rule, Verdict, term,
};

use crate::error::StepError;
use carnet_journal::Clock;

/// Where gates look.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where relative paths start: the folder of the plan.
    pub folder: &'a Path,
    /// What is looked through.
    pub outside: &'a dyn Outside,
    /// Tells when it was looked.
    pub clock: &'a dyn Clock,
}

/// What was seen, and the controls beside it.
struct Looked {
    facts: Facts,
    controls: Vec<Control>,
}

impl Looked {
    fn new(facts: Facts) -> Self {
        Self { facts, controls: Vec::new() }
    }

    fn control(mut self, control: Control) -> Self {
        self.controls.push(control);
        self
    }
}

/// Looks, and judges what was seen together with its damaged copies. For gates that a plan can
/// name, but for approvals: those are read from the run.
pub fn evaluate_outside(
    around: &Surroundings<'_>,
    definition: &Definition,
) -> (Evaluation, Option<Observation>) {
    match look(around, &definition.rule) {
        Ok(observation) => {
            let evaluation = gate::evaluate(definition, &observation, around.now_us(), &[]);
            (evaluation, Some(observation))
        }
        Err(error) => (super::failed(definition, &error), None),
    }
}

/// Looks.
pub(crate) fn look(around: &Surroundings<'_>, rule: &Rule) -> Result<Observation, StepError> {
    let looked = match rule {
        Rule::Command(rule) => program::command(around, rule),
        Rule::File(rule) => files::file(around, rule),
        Rule::Object(rule) => files::object(around, rule),
        Rule::Digest(rule) => files::digest(around, rule),
        Rule::Sql(rule) => rows::sql(around, rule),
        Rule::Rows(rule) => rows::rows(around, rule),
        Rule::Http(rule) => ask::http(around, rule),
        Rule::Tcp(rule) => ask::tcp(around, rule),
        Rule::TlsExpiry(rule) => ask::tls_expiry(around, rule),
        Rule::Lag(rule) => program::lag(around, rule),
        Rule::Claims(rule) => border::claims(around, rule),
        Rule::SupplyChain(rule) => border::supply_chain(around, rule),
        Rule::Term(_) => Ok(Looked::new(Facts::Term(clock(around.now_us(), None)))),
        Rule::Policy(rule) => rules::policy(around, rule),
        Rule::Authority(rule) => rules::authority(around, rule),
        Rule::RunEvidence(rule) => programme::evidence(around, rule),
        Rule::RunAgreement(rule) => programme::agreement(around, rule),
        Rule::Certification(rule) => programme::certification(around, rule),
        Rule::Handles(rule) => platform::handles(around, rule),
        Rule::Image(rule) => platform::image(around, rule),
        Rule::Terraform(rule) => platform::terraform(around, rule),
        Rule::Topics(rule) => broker::topics(around, rule),
        Rule::ConsumerLag(rule) => broker::consumer_lag(around, rule),
        Rule::RegistryTag(rule) => aws::registry_tag(around, rule),
        Rule::Services(rule) => aws::services(around, rule),
        Rule::Budget(rule) => aws::budget(around, rule),
        Rule::SecretsAbsent(rule) => aws::secrets_absent(around, rule),
        Rule::SchemaVersion(_)
        | Rule::Dimensions(_)
        | Rule::Contract(_)
        | Rule::Losses(_)
        | Rule::Checksums(_)
        | Rule::Count(_)
        | Rule::ContentRoot(_)
        | Rule::QueryParity(_)
        | Rule::ArtifactChecksums(_)
        | Rule::Approval(_) => {
            let what = format!("the gate {} is about a run, not about the outside", rule.gate());
            Err(StepError::new(Code::BUG, what))
        }
    };
    let Looked { facts, controls } = looked?;
    Ok(Observation { controls, ..Observation::new(around.now_us(), facts) })
}

/// What the clock shows, beside the time of the last event of the log.
pub(super) fn clock(now_us: i64, last_event_s: Option<i64>) -> term::Facts {
    term::Facts { now_s: Some(now_us.div_euclid(1_000_000)), last_event_s }
}

/// The control of judging something that is damaged: refused unless it passes.
fn judged(name: &str, what: &str, rule: &Rule, facts: &Facts) -> Control {
    let said = gate::judge_facts(rule, facts).map(|judgement| judgement.verdict);
    let refused = said.is_some_and(|verdict| verdict != Verdict::Pass);
    let came = if refused { "was refused" } else { "was let through" };
    Control::new(name, format!("{what} {came}"), refused)
}

impl Surroundings<'_> {
    fn now_us(&self) -> i64 {
        self.clock.now().unix_millis().saturating_mul(1_000)
    }

    /// A path of the plan.
    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// The URL of a database, a relative path made whole.
    fn database(&self, url: &str) -> String {
        match url.strip_prefix("sqlite:") {
            Some(path) => format!("sqlite:{}", self.path(path).display()),
            None => url.to_owned(),
        }
    }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
