//! Clusters of ECS.

use std::collections::BTreeMap;

use carnet_connect::{AwsContainer, AwsDefinition, AwsService, AwsTask, StoreError};
use carnet_model::{Code, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Account, Failed, PAGES_MAX, Service, go_on, unless};

/// How many services, and how many tasks, are asked about at once.
const SERVICES_AT_ONCE: usize = 10;
pub(super) const TASKS_AT_ONCE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(alias = "serviceArns", alias = "taskArns")]
    arns: Vec<String>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct Services {
    services: Vec<ToldService>,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldService {
    service_name: String,
    status: String,
    desired_count: i64,
    running_count: i64,
    pending_count: i64,
    launch_type: Option<String>,
    #[serde(default)]
    deployments: Vec<Value>,
    task_definition: String,
}

#[derive(Deserialize)]
pub(super) struct Failure {
    reason: Option<String>,
}

impl Failure {
    /// Whether there is no such thing.
    pub(super) fn is_missing(&self) -> bool {
        self.reason.as_deref() == Some("MISSING")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    task_definition: Containers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Containers {
    task_definition_arn: String,
    container_definitions: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    image: String,
    essential: Option<bool>,
    #[serde(default)]
    environment: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Tasks {
    tasks: Vec<ToldTask>,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldTask {
    task_definition_arn: String,
    #[serde(default)]
    group: String,
    last_status: String,
    launch_type: Option<String>,
    #[serde(default)]
    containers: Vec<Running>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    name: String,
    image_digest: Option<String>,
}

/// The services of a cluster that are not deleted, in order of their names.
pub(super) fn services(
    account: &Account,
    cluster: &str,
) -> Result<Option<Vec<AwsService>>, StoreError> {
    let input = json!({"cluster": cluster, "maxResults": 100});
    let arns = list(account, "ListServices", input);
    let Some(arns) = unless(arns, &["ClusterNotFoundException"])? else { return Ok(None) };
    let mut definitions: BTreeMap<String, Vec<AwsContainer>> = BTreeMap::new();
    let mut found = Vec::new();
    for arns in arns.chunks(SERVICES_AT_ONCE) {
        let input = json!({"cluster": cluster, "services": arns});
        let told: Services = account.call(Service::Ecs, "DescribeServices", &input)?;
        all_told(&told.failures, told.services.len(), arns.len())?;
        // One that is deleted is remembered for a while, and runs nothing.
        for told in told.services.into_iter().filter(|it| it.status != "INACTIVE") {
            let containers = if let Some(held) = definitions.get(&told.task_definition) {
                held.clone()
            } else {
                let asked = definition(account, &told.task_definition)?.containers;
                definitions.insert(told.task_definition.clone(), asked.clone());
                asked
            };
            found.push(AwsService {
                name: told.service_name,
                status: told.status,
                desired: told.desired_count,
                running: told.running_count,
                pending: told.pending_count,
                launch_type: told.launch_type,
                deployments: told.deployments.len() as u64,
                definition: told.task_definition,
                containers,
            });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Some(found))
}

/// What tasks are made from.
pub(super) fn definition(account: &Account, name: &str) -> Result<AwsDefinition, StoreError> {
    let input = json!({"taskDefinition": name});
    let told: Definition = account.call(Service::Ecs, "DescribeTaskDefinition", &input)?;
    let Containers { task_definition_arn, container_definitions } = told.task_definition;
    let containers = container_definitions
        .into_iter()
        .map(|it| AwsContainer {
            name: it.name,
            image: it.image,
            essential: it.essential.unwrap_or(true),
            environment: it
                .environment
                .into_iter()
                .map(|it| (it.name, Secret::new(it.value)))
                .collect(),
        })
        .collect();
    Ok(AwsDefinition { address: task_definition_arn, containers })
}

/// The tasks of a cluster that have not ended. One that is to stop still runs until it has.
pub(super) fn tasks(account: &Account, cluster: &str) -> Result<Vec<AwsTask>, StoreError> {
    let mut found = Vec::new();
    for wanted in ["RUNNING", "STOPPED"] {
        let input = json!({"cluster": cluster, "desiredStatus": wanted, "maxResults": 100});
        for arns in list(account, "ListTasks", input)?.chunks(TASKS_AT_ONCE) {
            let input = json!({"cluster": cluster, "tasks": arns});
            let told: Tasks = account.call(Service::Ecs, "DescribeTasks", &input)?;
            all_told(&told.failures, told.tasks.len(), arns.len())?;
            found.extend(told.tasks.into_iter().filter(|it| it.last_status != "STOPPED"));
        }
    }
    let task = |told: ToldTask| AwsTask {
        group: told.group,
        status: told.last_status,
        launch_type: told.launch_type,
        definition: told.task_definition_arn,
        images: told
            .containers
            .into_iter()
            .filter_map(|it| Some((it.name, it.image_digest?)))
            .collect(),
    };
    let mut found: Vec<AwsTask> = found.into_iter().map(task).collect();
    found.sort_by(|one, other| (&one.group, &one.status).cmp(&(&other.group, &other.status)));
    Ok(found)
}

pub(super) fn list(
    account: &Account,
    action: &str,
    mut input: Value,
) -> Result<Vec<String>, Failed> {
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let page: Page = account.call(Service::Ecs, action, &input)?;
        found.extend(page.arns);
        match page.next_token {
            Some(token) if !token.is_empty() => go_on(&mut input, "nextToken", token),
            Some(_) | None => return Ok(found),
        }
    }
    let what = format!("{action} has more than {PAGES_MAX} pages");
    Err(StoreError::new(Code::STORE_UNSUPPORTED, what).into())
}

/// The word of the first failure.
pub(super) fn why(failures: &[Failure]) -> String {
    let word = failures.first().and_then(|it| it.reason.as_deref()).unwrap_or("nothing said");
    word.chars().filter(char::is_ascii_alphanumeric).take(60).collect()
}

/// What was listed a moment ago must be told of: a gate must not overlook what it cannot see.
pub(super) fn all_told(failures: &[Failure], told: usize, asked: usize) -> Result<(), StoreError> {
    if failures.is_empty() && told == asked {
        return Ok(());
    }
    let reason = why(failures);
    let what = format!("the cluster tells of {told} of {asked} that it lists ({reason})");
    Err(StoreError::new(Code::STORE_CHANGED, what)
        .remedy("wait until nothing changes, and run again"))
}
