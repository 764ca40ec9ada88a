//! What speaks AWS's JSON protocol: parameters, services of containers, registries of images.

use std::collections::BTreeMap;
use std::time::Duration;

use carnet_model::Secret;

use super::aws_jobs::{AwsChange, AwsJob, AwsJobTask};
use crate::error::StoreError;

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsPlace {
    /// The URL that answers for all services; Amazon's own, one for each, if nothing is said.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// How long one answer may take.
    pub limit: Duration,
}

/// Which parameters below a path are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AwsDepth {
    /// Those directly below it, with their values.
    Values,
    /// All below it. Nothing is decrypted, and no value is given.
    Names,
}

/// A parameter, at one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsParameter {
    /// Which one of its versions, counted from 1 since it was made.
    pub version: u64,
    /// Its value.
    pub value: Secret,
    /// Whether the service encrypts it.
    pub is_encrypted: bool,
}

/// A service of containers.
#[derive(Debug, Clone)]
pub struct AwsService {
    /// Its name.
    pub name: String,
    /// The word of the cluster, such as `ACTIVE`.
    pub status: String,
    /// How many tasks it is to run.
    pub desired: i64,
    /// How many run.
    pub running: i64,
    /// How many are on their way.
    pub pending: i64,
    /// What its tasks run on, such as `FARGATE`; `None` where a capacity provider decides.
    pub launch_type: Option<String>,
    /// How many deployments are on their way or done: more than one while it is changed.
    pub deployments: u64,
    /// What its tasks are made from.
    pub definition: String,
    /// The containers of each task, by that definition.
    pub containers: Vec<AwsContainer>,
}

/// What a service of containers is set to, and how far the cluster is with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsServing {
    /// The word of the cluster, such as `ACTIVE`.
    pub status: String,
    /// What its tasks are made from.
    pub definition: String,
    /// How many tasks it is to run.
    pub desired: i64,
    /// How many run.
    pub running: i64,
    /// How many are on their way.
    pub pending: i64,
    /// How many deployments are on their way or done; none where something else than the cluster
    /// brings them.
    pub deployments: u64,
    /// How far the newest of them is, in the word of the cluster: `IN_PROGRESS`, `COMPLETED`,
    /// `FAILED`; `None` where it is not told.
    pub rollout: Option<String>,
}

/// What tasks are made from.
#[derive(Debug, Clone)]
pub struct AwsDefinition {
    /// Its whole address.
    pub address: String,
    /// The containers of each task.
    pub containers: Vec<AwsContainer>,
}

/// A container of a definition.
#[derive(Debug, Clone)]
pub struct AwsContainer {
    /// Its name.
    pub name: String,
    /// Its image, as it is written there.
    pub image: String,
    /// Whether the whole task ends with it.
    pub essential: bool,
    /// The variables whose values are written there; those that come from a secret are not.
    pub environment: BTreeMap<String, Secret>,
}

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsTask {
    /// What it belongs to: `service:NAME` for those of a service.
    pub group: String,
    /// The word of the cluster, such as `RUNNING`.
    pub status: String,
    /// What it runs on.
    pub launch_type: Option<String>,
    /// What it was made from.
    pub definition: String,
    /// By name, the digests of the images that its containers run, where the cluster tells them.
    pub images: BTreeMap<String, String>,
}

/// A repository of images, and what a tag of it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsRepository {
    /// Whether tags may move, in the word of the registry: `IMMUTABLE`, `MUTABLE`, or another one.
    pub mutability: String,
    /// The digest that the tag has; `None` if there is no such tag.
    pub digest: Option<String>,
}

/// A budget of an account, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsBudget {
    /// What it is about, such as `COST`.
    pub kind: String,
    /// For how long it is, such as `MONTHLY`.
    pub time_unit: String,
    /// How much may be spent.
    pub limit: Option<AwsSpend>,
    /// How much was spent.
    pub spent: Option<AwsSpend>,
    /// Whether what it is computed from is sound, such as `HEALTHY`.
    pub health: Option<String>,
    /// Whether it counts a part of the account alone.
    pub is_filtered: bool,
    /// The kinds of cost that it leaves out, in the words of the service, such as `IncludeTax`.
    pub leaves_out: Vec<String>,
    /// When it begins, in seconds since 1970, where it is told.
    pub starts_s: Option<i64>,
    /// When it ends.
    pub ends_s: Option<i64>,
    /// When somebody is told.
    pub alerts: Vec<AwsAlert>,
}

/// An amount, in the digits that were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSpend {
    /// The digits.
    pub amount: String,
    /// Of what, such as `USD`.
    pub unit: String,
}

/// When somebody is told of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAlert {
    /// Of what is spent, `ACTUAL`, or of what will be, `FORECASTED`.
    pub kind: String,
    /// How it is compared, such as `GREATER_THAN`.
    pub operator: String,
    /// With which number.
    pub threshold: String,
    /// What that number is: `ABSOLUTE_VALUE` or `PERCENTAGE`.
    pub threshold_type: Option<String>,
}

/// Services of AWS, and what speaks like them. What is not there is `None` or missing from a list,
/// never an error; what may not be asked is always one.
pub trait Aws {
    /// The parameters below a path, by their whole names.
    fn parameters(
        &self,
        path: &str,
        depth: AwsDepth,
    ) -> Result<BTreeMap<String, Option<Secret>>, StoreError>;

    /// A parameter by its whole name, as it is now or at a version; `None` if there is none.
    fn parameter(
        &self,
        name: &str,
        version: Option<u64>,
    ) -> Result<Option<AwsParameter>, StoreError>;

    /// Puts a parameter, and gives its version. Without `replace`, one that is there is left alone:
    /// `object.exists`.
    fn put_parameter(
        &self,
        name: &str,
        value: &Secret,
        encrypt: bool,
        replace: bool,
    ) -> Result<u64, StoreError>;

    /// Takes a parameter away with all its versions. Gives whether it was there.
    fn delete_parameter(&self, name: &str) -> Result<bool, StoreError>;

    /// The services of a cluster; `None` if there is no such cluster.
    fn services(&self, cluster: &str) -> Result<Option<Vec<AwsService>>, StoreError>;

    /// The tasks of a cluster that have not ended, those that are to end among them.
    fn tasks(&self, cluster: &str) -> Result<Vec<AwsTask>, StoreError>;

    /// What tasks are made from, by FAMILY:REVISION or by address.
    fn definition(&self, name: &str) -> Result<AwsDefinition, StoreError>;

    /// What a service is set to; `None` if there is no such service.
    fn service(&self, cluster: &str, name: &str) -> Result<Option<AwsServing>, StoreError>;

    /// Sets what a service runs, and how often. An error says that nobody knows whether it was set.
    fn set_service(
        &self,
        cluster: &str,
        name: &str,
        definition: &str,
        desired: u32,
    ) -> Result<AwsChange<()>, StoreError>;

    /// Starts a task. An error says that nobody knows whether it was started.
    fn run_task(&self, job: &AwsJob) -> Result<AwsChange<AwsJobTask>, StoreError>;

    /// A task by its address, ended or not; `None` if the cluster does not know it, or not any more.
    fn job_task(&self, cluster: &str, address: &str) -> Result<Option<AwsJobTask>, StoreError>;

    /// The tasks of a family that were started under a key, ended or not, as far as the cluster
    /// remembers them: for an hour after they ended.
    fn job_tasks(
        &self,
        cluster: &str,
        family: &str,
        started_by: &str,
    ) -> Result<Vec<AwsJobTask>, StoreError>;

    /// A budget of an account; `None` if there is no such budget.
    fn budget(&self, account_id: &str, name: &str) -> Result<Option<AwsBudget>, StoreError>;

    /// A repository with what a tag means in it; `None` if there is no such repository.
    fn repository(&self, name: &str, tag: &str) -> Result<Option<AwsRepository>, StoreError>;
}
