//! One service of ECS: what it is set to, and setting it.

use carnet_connect::{AwsChange, AwsServing, StoreError};
use carnet_model::Code;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Account, Service, taken};
use super::services::{Failure, why};

#[derive(Deserialize)]
struct Told {
    services: Vec<One>,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    service_name: String,
    status: String,
    desired_count: i64,
    running_count: i64,
    pending_count: i64,
    task_definition: String,
    #[serde(default)]
    deployments: Vec<Deployment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deployment {
    status: Option<String>,
    rollout_state: Option<String>,
}

/// What a service is set to. One that is deleted is remembered for a while, and is none.
pub(super) fn service(
    account: &Account,
    cluster: &str,
    name: &str,
) -> Result<Option<AwsServing>, StoreError> {
    let input = json!({"cluster": cluster, "services": [name]});
    let told: Told = account.call(Service::Ecs, "DescribeServices", &input)?;
    let mut found = told.services.into_iter().filter(|it| it.service_name == name);
    let Some(One {
        status,
        desired_count,
        running_count,
        pending_count,
        task_definition,
        deployments,
        ..
    }) = found.next()
    else {
        // No service and another word than this one is no answer.
        let is_missing = told.failures.iter().any(Failure::is_missing);
        let what = || format!("the cluster does not tell of {name} ({})", why(&told.failures));
        return if is_missing {
            Ok(None)
        } else {
            Err(StoreError::new(Code::STORE_MALFORMED, what()).remedy("check the endpoint"))
        };
    };
    if status == "INACTIVE" {
        return Ok(None);
    }
    let newest = deployments.iter().find(|it| it.status.as_deref() == Some("PRIMARY"));
    Ok(Some(AwsServing {
        rollout: newest.and_then(|it| it.rollout_state.clone()),
        deployments: deployments.len() as u64,
        definition: task_definition,
        desired: desired_count,
        running: running_count,
        pending: pending_count,
        status,
    }))
}

/// Sets what a service runs, and how often.
pub(super) fn set(
    account: &Account,
    cluster: &str,
    name: &str,
    definition: &str,
    desired: u32,
) -> Result<AwsChange<()>, StoreError> {
    let input = json!({
        "cluster": cluster, "service": name, "taskDefinition": definition, "desiredCount": desired,
    });
    let told = account.call::<Value>(Service::Ecs, "UpdateService", &input);
    taken(told.map(|_| ()))
}
