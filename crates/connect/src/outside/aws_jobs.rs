//! Tasks of a cluster that end by themselves.

use std::collections::BTreeMap;

use crate::error::StoreError;

/// A task to run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsJob {
    /// The cluster.
    pub cluster: String,
    /// What it is made from, by address.
    pub definition: String,
    /// What it runs on, in the word of the cluster.
    pub launch_type: String,
    /// The network that it is put into.
    pub network: Option<AwsNetwork>,
    /// By container, what is said otherwise than in the definition.
    pub overrides: BTreeMap<String, AwsOverride>,
    /// For the same token the cluster runs it once: up to 64 characters.
    pub token: String,
    /// By which it is found again: up to 36 letters, digits and hyphens.
    pub started_by: String,
}

/// A network of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsNetwork {
    /// Subnets, of which it gets one.
    pub subnets: Vec<String>,
    /// Who may speak with it.
    pub security_groups: Vec<String>,
    /// Whether it gets a public address.
    pub public_ip: bool,
}

/// What a container is told otherwise than in its definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsOverride {
    /// Its command; that of the definition if nothing is said.
    pub command: Option<Vec<String>>,
    /// Variables beside those of the definition.
    pub environment: BTreeMap<String, String>,
}

/// A task that was started, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsJobTask {
    /// Its address.
    pub address: String,
    /// By what it is found again.
    pub started_by: Option<String>,
    /// The word of the cluster, such as `STOPPED`.
    pub status: String,
    /// What it stopped for, in the word of the cluster, such as `EssentialContainerExited`.
    pub stop_code: Option<String>,
    /// What else is to say of that, in the words of the cluster.
    pub stopped: Option<String>,
    /// Its containers.
    pub containers: Vec<AwsEnded>,
}

/// A container of a task, as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsEnded {
    /// Its name.
    pub name: String,
    /// The status that it ended with, where it is told.
    pub exit_code: Option<i64>,
    /// The digest of the image that it ran, where it is told.
    pub image: Option<String>,
    /// What else is to say, in the words of the cluster.
    pub reason: Option<String>,
}

/// What came of asking a cluster for a change.
#[derive(Debug)]
pub enum AwsChange<T> {
    /// It is on its way, and this is what the cluster tells of it.
    Taken(T),
    /// The cluster says no: nothing has changed.
    Refused(StoreError),
}
