//! What speaks AWS's JSON protocol: parameters, services of containers, registries of images.

use std::collections::BTreeMap;
use std::time::Duration;

use carnet_model::Secret;

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

/// A container of a definition.
#[derive(Debug, Clone)]
pub struct AwsContainer {
    /// Its name.
    pub name: String,
    /// Its image, as it is written there.
    pub image: String,
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

    /// A repository with what a tag means in it; `None` if there is no such repository.
    fn repository(&self, name: &str, tag: &str) -> Result<Option<AwsRepository>, StoreError>;
}
