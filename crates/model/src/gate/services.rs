//! A cluster runs the services that it must, as often as it must, from the pinned image, for one run,
//! and nothing beside them.

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_aws, check_range, check_text, limit_s, once, yes};

/// The services of a cluster of ECS and what is demanded of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The URL of the service; Amazon's own if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The cluster.
    pub cluster: String,
    /// By name, what each service must be: `replicas`, 1 if nothing is said.
    pub services: BTreeMap<String, Wanted>,
    /// What all tasks must run on. Default: `FARGATE`.
    #[serde(default)]
    pub launch_type: LaunchType,
    /// The digest of the image of each container, which must be written in its definition.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub image: String,
    /// Variables that each container must be given, with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Containers with another image, which are given none of these variables: the digest by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sidecars: BTreeMap<String, String>,
    /// Whether each task must tell the digests of the images that it runs: `false` is for servers that
    /// run no container.
    #[serde(default = "yes")]
    pub image_digest_told: bool,
    /// Whether the cluster may run what is not named here.
    #[serde(default)]
    pub others: bool,
    /// How long an answer may take, in seconds.
    #[serde(default = "limit_s")]
    pub limit_s: u64,
}

/// What a service must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// How many of its tasks must be wanted, and run.
    #[serde(default = "once")]
    pub replicas: u32,
}

/// What tasks run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LaunchType {
    /// Machines of AWS.
    #[default]
    Fargate,
    /// Machines of the account.
    Ec2,
    /// Machines from elsewhere.
    External,
}

impl LaunchType {
    /// The word of ECS.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fargate => "FARGATE",
            Self::Ec2 => "EC2",
            Self::External => "EXTERNAL",
        }
    }
}

/// What the cluster told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What is in the cluster; absent if there is none.
    pub cluster: Option<Cluster>,
}

/// What is in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its services.
    pub services: Vec<Service>,
    /// Its tasks that have not ended.
    pub tasks: Vec<Task>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The word of the cluster.
    pub status: String,
    /// How many tasks it is to run.
    pub desired: i64,
    /// How many run.
    pub running: i64,
    /// How many are on their way.
    pub pending: i64,
    /// What its tasks run on; absent where a capacity provider decides.
    pub launch_type: Option<String>,
    /// How many deployments it has.
    pub deployments: u64,
    /// What its tasks are made from.
    pub definition: String,
    /// The containers of each task.
    pub containers: Vec<Container>,
}

/// A container of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// SHA-256 of the values of those variables that the rule names.
    pub environment: BTreeMap<String, Digest>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What it belongs to.
    pub group: String,
    /// The word of the cluster.
    pub status: String,
    /// What it runs on.
    pub launch_type: Option<String>,
    /// What it was made from.
    pub definition: String,
    /// By container, the digest of the image that it runs, where the cluster tells it.
    pub images: BTreeMap<String, String>,
}

const REMEDY: &str =
    "bring the services to what the plan demands, or correct the plan, and run again";
const NOT_TOLD: &str =
    "wait until the tasks have pulled their images, or see why the cluster does not tell";

fn group(service: &str) -> String {
    format!("service:{service}")
}

/// What is wrong where something must be so.
fn unless(right: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(wrong()) }
}

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let name = &self.cluster;
        let Some(cluster) = &facts.cluster else {
            return Judgement::no_data(0, format!("there is no cluster {name}"), REMEDY);
        };
        if cluster.services.is_empty() && cluster.tasks.is_empty() {
            return Judgement::no_data(0, format!("nothing is in the cluster {name}"), REMEDY);
        }
        let count = self.services.len();
        if let Err(wrong) = self.right(cluster) {
            return Judgement::fail(count, wrong, REMEDY);
        }
        if let Some(untold) = self.untold(cluster) {
            return Judgement::no_data(0, untold, NOT_TOLD);
        }
        let run = counted(count, "service runs", "services run");
        let tasks = counted(cluster.tasks.len(), "task", "tasks");
        let on = self.launch_type.word();
        let reason = format!("{run} in {name} as demanded on {on}, with {tasks}");
        Judgement::pass(count, reason)
    }

    fn right(&self, cluster: &Cluster) -> Result<(), String> {
        for (name, wanted) in &self.services {
            let mut named = cluster.services.iter().filter(|it| it.name == *name);
            let service = named.next().ok_or_else(|| format!("there is no service {name}"))?;
            unless(named.next().is_none(), || format!("there are two services {name}"))?;
            self.right_service(service, wanted)?;
            self.right_tasks(service, wanted, &cluster.tasks)?;
        }
        if self.others {
            return Ok(());
        }
        let other = cluster.services.iter().find(|it| !self.services.contains_key(&it.name));
        if let Some(other) = other {
            return Err(format!("the plan knows no service {}", other.name));
        }
        let groups: BTreeSet<String> = self.services.keys().map(|it| group(it)).collect();
        match cluster.tasks.iter().find(|it| !groups.contains(&it.group)) {
            Some(other) => {
                Err(format!("a task of {:?} runs, and the plan knows none", other.group))
            }
            None => Ok(()),
        }
    }

    /// A container of a task of which nobody tells what it runs: what its definition names is what it
    /// was to run.
    fn untold(&self, cluster: &Cluster) -> Option<String> {
        let asked = cluster
            .services
            .iter()
            .filter(|it| self.image_digest_told && self.services.contains_key(&it.name));
        for service in asked {
            let (name, group) = (&service.name, group(&service.name));
            for task in cluster.tasks.iter().filter(|it| it.group == group) {
                let mut containers = service.containers.iter().map(|it| &it.name);
                if let Some(at) = containers.find(|at| !task.images.contains_key(*at)) {
                    let what = "nobody tells which image the container";
                    return Some(format!("{what} {at} of a task of {name} runs"));
                }
            }
        }
        None
    }

    fn right_service(&self, service: &Service, wanted: &Wanted) -> Result<(), String> {
        let (name, replicas) = (&service.name, i64::from(wanted.replicas));
        let Service { desired, running, pending, deployments, .. } = service;
        unless(service.status == "ACTIVE", || format!("{name} is {}", service.status))?;
        unless(*deployments == 1, || format!("{name} has {deployments} deployments"))?;
        unless(*desired == replicas, || {
            format!("{name} is to run {desired} times, and must be to run {replicas} times")
        })?;
        unless(*running == replicas && *pending == 0, || {
            format!("{name} runs {running} times with {pending} on their way, and must {replicas}")
        })?;
        self.right_launch(name, service.launch_type.as_ref())?;
        let is_own = |it: &&Container| !self.sidecars.contains_key(&it.name);
        unless(service.containers.iter().any(|it| is_own(&it)), || {
            format!("the definition of {name} has no container")
        })?;
        for container in &service.containers {
            let (at, image) = (&container.name, &container.image);
            let digest = image.split_once('@').map(|(_, digest)| digest);
            unless(digest == Some(self.image_of(at)), || {
                format!("the container {at} of {name} is not made from the pinned image: {image}")
            })?;
            for (variable, value) in self.environment.iter().filter(|_| is_own(&container)) {
                let found = container.environment.get(variable);
                let found = found.ok_or_else(|| {
                    format!("the container {at} of {name} is given no {variable}")
                })?;
                unless(*found == Digest::of(value.as_bytes()), || {
                    format!("the container {at} of {name} is given another {variable}")
                })?;
            }
        }
        Ok(())
    }

    fn right_tasks(&self, of: &Service, wanted: &Wanted, tasks: &[Task]) -> Result<(), String> {
        let (name, group) = (&of.name, group(&of.name));
        let tasks: Vec<&Task> = tasks.iter().filter(|it| it.group == group).collect();
        unless(u32::try_from(tasks.len()) == Ok(wanted.replicas), || {
            let (count, must) = (counted(tasks.len(), "task", "tasks"), wanted.replicas);
            format!("{name} has {count} that have not ended, and must have {must}")
        })?;
        for task in tasks {
            unless(task.status == "RUNNING", || format!("a task of {name} is {}", task.status))?;
            let launched = task.launch_type.as_ref();
            unless(launched.is_some(), || format!("nobody tells what a task of {name} runs on"))?;
            self.right_launch(name, launched)?;
            unless(task.definition == of.definition, || {
                format!("a task of {name} was made from another definition")
            })?;
            let other = task.images.iter().find(|(at, image)| image.as_str() != self.image_of(at));
            unless(other.is_none(), || format!("a task of {name} runs another image"))?;
        }
        Ok(())
    }

    fn right_launch(&self, name: &str, launched: Option<&String>) -> Result<(), String> {
        let must = self.launch_type.word();
        let is_right = launched.is_none_or(|it| it == must);
        unless(is_right, || format!("{name} does not run on {must}"))
    }

    fn image_of(&self, container: &str) -> &str {
        self.sidecars.get(container).unwrap_or(&self.image)
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| *facts = Facts::default());
        copies.add("cluster_empty", |facts| facts.cluster = Some(Cluster::default()));
        let names: Vec<&String> = self.services.keys().collect();
        for name in spots(names.len()).into_iter().filter_map(|spot| names.get(spot).copied()) {
            self.damage_service(name, &mut copies);
            let services = facts.cluster.iter().flat_map(|it| &it.services);
            let mut containers =
                services.filter(|it| it.name == *name).flat_map(|it| &it.containers);
            let untold = containers.next_back().filter(|_| self.image_digest_told);
            damage_tasks(name, untold.map(|it| it.name.as_str()), &mut copies);
        }
        if !self.others {
            let mut cluster = |name, damage: &dyn Fn(&mut Cluster)| {
                copies.add(name, |facts| facts.cluster.iter_mut().for_each(damage));
            };
            cluster("other_service", &|it| {
                let other = it.services.first().cloned();
                it.services.extend(other.map(|it| Service { name: it.name + "-2", ..it }));
            });
            cluster("other_task", &|it| {
                let other = it.tasks.first().cloned();
                it.tasks.extend(other.map(|it| Task { group: "family:other".to_owned(), ..it }));
            });
        }
        copies.done()
    }

    fn damage_service(&self, name: &str, copies: &mut Copies<'_, Facts>) {
        copies.add("service_missing", |facts| {
            facts.cluster.iter_mut().for_each(|it| it.services.retain(|it| it.name != name));
        });
        copies.add("service_twice", |facts| {
            if let Some(cluster) = &mut facts.cluster {
                let again = cluster.services.iter().find(|it| it.name == name).cloned();
                cluster.services.extend(again);
            }
        });
        let mut add = |what, damage: &dyn Fn(&mut Service)| {
            copies.add(what, |facts| {
                let services = facts.cluster.iter_mut().flat_map(|it| &mut it.services);
                services.filter(|it| it.name == name).for_each(damage);
            });
        };
        add("not_active", &|it| "DRAINING".clone_into(&mut it.status));
        add("second_deployment", &|it| it.deployments += 1);
        add("one_more_wanted", &|it| it.desired += 1);
        add("one_fewer_runs", &|it| it.running -= 1);
        add("one_more_runs", &|it| it.running += 1);
        add("one_on_its_way", &|it| it.pending = 1);
        let other = if self.launch_type == LaunchType::Ec2 { "FARGATE" } else { "EC2" };
        add("launch_type_other", &|it| it.launch_type = Some(other.to_owned()));
        add("no_container", &|it| it.containers.clear());
        add("image_by_tag", &|it| {
            it.containers.iter_mut().for_each(|it| "platform:latest".clone_into(&mut it.image));
        });
        add("image_other", &|it| {
            let digest = format!("platform@sha256:{}", Digest::of(b"canary"));
            it.containers.iter_mut().for_each(|it| it.image.clone_from(&digest));
        });
        if !self.environment.is_empty() {
            let own = |it: &mut Service, damage: &dyn Fn(&mut Container)| {
                let own = it.containers.iter_mut();
                own.filter(|it| !self.sidecars.contains_key(&it.name)).for_each(damage);
            };
            add("variable_missing", &|it| own(it, &|it| it.environment.clear()));
            add("variable_other", &|it| {
                own(it, &|it| it.environment.values_mut().for_each(|it| *it = flipped(*it)));
            });
        }
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_aws("", self.endpoint.as_deref(), &self.region);
        errors.extend(check_text("/cluster", &self.cluster));
        if self.services.is_empty() {
            let remedy = "name each that the cluster must run";
            errors.push(InputError::new("/services", "there is no service here", remedy));
        }
        for (name, wanted) in &self.services {
            let pointer = format!("/services/{name}/replicas");
            errors.extend(check_range(&pointer, wanted.replicas.into(), 1, 1_000));
        }
        for (name, digest) in &self.sidecars {
            let hex = digest.strip_prefix("sha256:").and_then(|it| it.parse::<Digest>().ok());
            if hex.is_none() {
                let remedy = "write sha256: and 64 hexadecimal digits";
                let pointer = format!("/sidecars/{name}");
                errors.push(InputError::new(pointer, "is no digest", remedy));
            }
        }
        errors.extend(check_range("/limit_s", self.limit_s, 1, 86_400));
        errors
    }

    pub(super) fn demands(&self) -> String {
        let services = counted(self.services.len(), "service runs", "services run");
        format!("{services} in {} from the pinned image, and nothing else does", self.cluster)
    }
}

fn damage_tasks(name: &str, untold: Option<&str>, copies: &mut Copies<'_, Facts>) {
    let group = group(name);
    let is_its = |it: &Task| it.group == group;
    copies.add("task_missing", |facts| {
        facts.cluster.iter_mut().for_each(|it| it.tasks.retain(|it| !is_its(it)));
    });
    copies.add("one_more_task", |facts| {
        if let Some(cluster) = &mut facts.cluster {
            let again = cluster.tasks.iter().find(|it| is_its(it)).cloned();
            cluster.tasks.extend(again);
        }
    });
    let mut add = |what, damage: &dyn Fn(&mut Task)| {
        copies.add(what, |facts| {
            let tasks = facts.cluster.iter_mut().flat_map(|it| &mut it.tasks);
            tasks.filter(|it| is_its(it)).for_each(damage);
        });
    };
    add("task_ends", &|it| "DEACTIVATING".clone_into(&mut it.status));
    add("task_elsewhere", &|it| it.launch_type = None);
    add("task_of_another_definition", &|it| it.definition.push('0'));
    add("task_runs_another_image", &|it| {
        it.images.insert("other".to_owned(), format!("sha256:{}", Digest::of(b"canary")));
    });
    if let Some(container) = untold {
        add("image_not_told", &|it| drop(it.images.remove(container)));
    }
}
