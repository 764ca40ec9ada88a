//! Services of AWS: parameters, what a cluster runs, what a tag means, and what is spent.

use carnet_connect::{Aws, AwsDepth, AwsPlace, AwsService, AwsSpend, AwsTask};
use carnet_ledger::Digest;
use carnet_model::Code;
use carnet_model::gate::handles::{Listing, ParametersAt};
use carnet_model::gate::{
    Control, Facts, OTHER_NAME, budget, registry_tag, secrets_absent, services,
};

use super::{Looked, Surroundings, seconds};
use crate::error::StepError;

/// A cluster, a tag, and a budget that nobody makes.
const OTHER: &str = "carnet-control-invalid";

/// How long a service may take to list parameters for the gate `handles`, in seconds.
const LIMIT_S: u64 = 30;

fn open(
    around: &Surroundings<'_>,
    endpoint: Option<&String>,
    region: &str,
    limit_s: u64,
) -> Result<Box<dyn Aws>, StepError> {
    let limit = seconds(limit_s);
    let place = AwsPlace { endpoint: endpoint.cloned(), region: region.to_owned(), limit };
    Ok(around.outside.aws(&place)?)
}

/// What is set directly below a path.
pub(super) fn values(around: &Surroundings<'_>, at: &ParametersAt) -> Result<Listing, StepError> {
    let aws = open(around, at.endpoint.as_ref(), &at.region, LIMIT_S)?;
    let found = aws.parameters(&at.path, AwsDepth::Values)?;
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut set = Vec::with_capacity(found.len());
    for (name, value) in &found {
        let Some(value) = value else {
            return Err(StepError::new(Code::STORE_MALFORMED, format!("{name} has no value")));
        };
        set.push((last(name), value));
    }
    Ok(Listing::of_values(set.iter().map(|(name, value)| (name.as_str(), value.reveal()))))
}

/// Lists the names below the path. Only those that the rule is about are kept.
pub(super) fn secrets_absent(
    around: &Surroundings<'_>,
    rule: &secrets_absent::Rule,
) -> Result<Looked, StepError> {
    let aws = open(around, rule.endpoint.as_ref(), &rule.region, rule.limit_s)?;
    let below = format!("{}/", rule.path);
    let found = aws.parameters(&rule.path, AwsDepth::Names)?;
    let names = found.keys().filter_map(|name| name.strip_prefix(&below));
    let names = names.filter(|name| rule.is_about(name)).map(str::to_owned).collect();
    Ok(Looked::new(Facts::SecretsAbsent(secrets_absent::Facts { names })))
}

/// Asks for the services and tasks of the cluster, and for those of one that nobody made: what has an
/// answer for every cluster tells nothing.
pub(super) fn services(
    around: &Surroundings<'_>,
    rule: &services::Rule,
) -> Result<Looked, StepError> {
    let aws = open(around, rule.endpoint.as_ref(), &rule.region, rule.limit_s)?;
    let facts = match aws.services(&rule.cluster)? {
        None => services::Facts::default(),
        Some(found) => {
            let services = found.into_iter().map(|it| service(rule, it)).collect();
            let tasks = aws.tasks(&rule.cluster)?.into_iter().map(task).collect();
            services::Facts { cluster: Some(services::Cluster { services, tasks }) }
        }
    };
    let is_there = aws.services(OTHER)?.is_some();
    let control = not_there("a cluster that nobody made", is_there);
    Ok(Looked::new(Facts::Services(facts)).control(control))
}

/// Of the variables of a container only those are kept that the rule names, and of these a digest.
fn service(rule: &services::Rule, told: AwsService) -> services::Service {
    let containers = told.containers.into_iter().map(|it| services::Container {
        environment: it
            .environment
            .into_iter()
            .filter(|(name, _)| rule.environment.contains_key(name))
            .map(|(name, value)| (name, Digest::of(value.reveal().as_bytes())))
            .collect(),
        name: it.name,
        image: it.image,
    });
    services::Service {
        containers: containers.collect(),
        name: told.name,
        status: told.status,
        desired: told.desired,
        running: told.running,
        pending: told.pending,
        launch_type: told.launch_type,
        deployments: told.deployments,
        definition: told.definition,
    }
}

fn task(told: AwsTask) -> services::Task {
    let AwsTask { group, status, launch_type, definition, images } = told;
    services::Task { group, status, launch_type, definition, images }
}

/// Asks what the tag means, and what one means that nobody made.
pub(super) fn registry_tag(
    around: &Surroundings<'_>,
    rule: &registry_tag::Rule,
) -> Result<Looked, StepError> {
    let aws = open(around, rule.endpoint.as_ref(), &rule.region, rule.limit_s)?;
    let found = aws.repository(&rule.repository, &rule.tag)?;
    let repository = found.map(|it| registry_tag::Repository {
        mutability: it.mutability,
        digest: it
            .digest
            .and_then(|digest| digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok())),
    });
    let other = aws.repository(&rule.repository, OTHER)?;
    let is_there = other.is_some_and(|it| it.digest.is_some());
    let control = not_there("a tag that nobody made", is_there);
    Ok(Looked::new(Facts::RegistryTag(registry_tag::Facts { repository })).control(control))
}

/// Asks for the budget, and for one that nobody made.
pub(super) fn budget(around: &Surroundings<'_>, rule: &budget::Rule) -> Result<Looked, StepError> {
    let aws = open(around, rule.endpoint.as_ref(), &rule.region, rule.limit_s)?;
    let now_s = Some(around.now_us().div_euclid(1_000_000));
    let spend = |it: AwsSpend| budget::Spend { amount: it.amount, unit: it.unit };
    let found = aws.budget(&rule.account_id, &rule.budget)?.map(|it| budget::Budget {
        kind: it.kind,
        time_unit: it.time_unit,
        limit: it.limit.map(spend),
        spent: it.spent.map(spend),
        health: it.health,
        is_filtered: it.is_filtered,
        leaves_out: it.leaves_out,
        starts_s: it.starts_s,
        ends_s: it.ends_s,
        alerts: it
            .alerts
            .into_iter()
            .map(|it| budget::Alert {
                kind: it.kind,
                operator: it.operator,
                threshold: it.threshold,
                threshold_type: it.threshold_type,
            })
            .collect(),
    });
    let is_there = aws.budget(&rule.account_id, OTHER)?.is_some();
    let control = not_there("a budget that nobody made", is_there);
    Ok(Looked::new(Facts::Budget(budget::Facts { now_s, budget: found })).control(control))
}

fn not_there(what: &str, is_there: bool) -> Control {
    let said = if is_there { "is there" } else { "is not there" };
    Control::new(OTHER_NAME, format!("{what} {said}"), !is_there)
}
