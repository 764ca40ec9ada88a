//! Tasks of ECS that end by themselves.

use carnet_connect::{AwsChange, AwsEnded, AwsJob, AwsJobTask, AwsOverride, StoreError};
use carnet_model::Code;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Account, Failed, Service, taken};
use super::services::{Failure, TASKS_AT_ONCE, all_told, list, why};

#[derive(Deserialize)]
struct Told {
    tasks: Vec<One>,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    task_arn: String,
    started_by: Option<String>,
    last_status: String,
    stop_code: Option<String>,
    stopped_reason: Option<String>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    exit_code: Option<i64>,
    image_digest: Option<String>,
    reason: Option<String>,
}

/// How much is kept of what a cluster says in words.
const WORDS_MAX: usize = 300;

/// Words of the cluster, as one line.
fn words(text: Option<&str>) -> Option<String> {
    let line: String = text?.chars().filter(|it| !it.is_control()).take(WORDS_MAX).collect();
    Some(line.trim().to_owned()).filter(|it| !it.is_empty())
}

fn task(told: One) -> AwsJobTask {
    AwsJobTask {
        address: told.task_arn,
        started_by: told.started_by,
        status: told.last_status,
        stop_code: words(told.stop_code.as_deref()),
        stopped: words(told.stopped_reason.as_deref()),
        containers: told
            .containers
            .into_iter()
            .map(|it| AwsEnded {
                name: it.name,
                exit_code: it.exit_code,
                image: it.image_digest,
                reason: words(it.reason.as_deref()),
            })
            .collect(),
    }
}

fn input(job: &AwsJob) -> Value {
    let one = |(name, said): (&String, &AwsOverride)| {
        let pair = |(name, value): (&String, &String)| json!({"name": name, "value": value});
        let environment: Vec<Value> = said.environment.iter().map(pair).collect();
        let mut one = json!({"name": name, "environment": environment});
        if let (Some(command), Some(members)) = (&said.command, one.as_object_mut()) {
            members.insert("command".to_owned(), json!(command));
        }
        one
    };
    let overrides: Vec<Value> = job.overrides.iter().map(one).collect();
    let mut input = json!({
        "cluster": job.cluster, "taskDefinition": job.definition, "launchType": job.launch_type,
        "count": 1, "clientToken": job.token, "startedBy": job.started_by,
        "overrides": {"containerOverrides": overrides},
    });
    if let (Some(network), Some(members)) = (&job.network, input.as_object_mut()) {
        let public = if network.public_ip { "ENABLED" } else { "DISABLED" };
        let mut inside = json!({"subnets": network.subnets, "assignPublicIp": public});
        if let (false, Some(inside)) = (network.security_groups.is_empty(), inside.as_object_mut())
        {
            inside.insert("securityGroups".to_owned(), json!(network.security_groups));
        }
        members.insert("networkConfiguration".to_owned(), json!({"awsvpcConfiguration": inside}));
    }
    input
}

/// The word for a token under which another task was asked for: that one may run.
const TOKEN_IS_TAKEN: &str = "ConflictException";

/// Starts a task.
pub(super) fn run(account: &Account, job: &AwsJob) -> Result<AwsChange<AwsJobTask>, StoreError> {
    let told = match account.call(Service::Ecs, "RunTask", &input(job)) {
        Err(Failed::Refused(refusal)) if refusal.word == TOKEN_IS_TAKEN => {
            return Err(refusal.error);
        }
        told => told,
    };
    let Told { tasks, failures } = match taken(told)? {
        AwsChange::Taken(told) => told,
        AwsChange::Refused(error) => return Ok(AwsChange::Refused(error)),
    };
    Ok(match tasks.into_iter().next() {
        Some(told) => AwsChange::Taken(task(told)),
        None => AwsChange::Refused(
            StoreError::new(
                Code::STORE_FAILED,
                format!("the cluster starts no task ({})", why(&failures)),
            )
            .remedy("see what the cluster lacks, and run again"),
        ),
    })
}

/// A task by its address.
pub(super) fn one(
    account: &Account,
    cluster: &str,
    address: &str,
) -> Result<Option<AwsJobTask>, StoreError> {
    let input = json!({"cluster": cluster, "tasks": [address]});
    let told: Told = account.call(Service::Ecs, "DescribeTasks", &input)?;
    Ok(told.tasks.into_iter().find(|it| it.task_arn == address).map(task))
}

/// The tasks of a family that were started under a key. They are asked for by family: where a key is
/// asked for, no other filter may be, and one is needed for those that have ended.
pub(super) fn started_by(
    account: &Account,
    cluster: &str,
    family: &str,
    key: &str,
) -> Result<Vec<AwsJobTask>, StoreError> {
    let mut found: Vec<AwsJobTask> = Vec::new();
    for wanted in ["RUNNING", "STOPPED"] {
        let input = json!({
            "cluster": cluster, "family": family, "desiredStatus": wanted, "maxResults": 100,
        });
        for arns in list(account, "ListTasks", input)?.chunks(TASKS_AT_ONCE) {
            let input = json!({"cluster": cluster, "tasks": arns});
            let told: Told = account.call(Service::Ecs, "DescribeTasks", &input)?;
            all_told(&told.failures, told.tasks.len(), arns.len())?;
            let ours = told.tasks.into_iter().filter(|it| it.started_by.as_deref() == Some(key));
            for task in ours.map(task) {
                // One that stops between the two questions is on both lists.
                if !found.iter().any(|it| it.address == task.address) {
                    found.push(task);
                }
            }
        }
    }
    Ok(found)
}
