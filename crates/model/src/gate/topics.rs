//! Topics are there, with the partitions and the retention that they must have.

use std::collections::BTreeMap;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{Login, Tls, check_access};
use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_range, check_servers, check_topic, limit_s};

/// The topics and what is demanded of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `HOST:PORT` of a broker or more.
    pub servers: Vec<String>,
    /// TLS, where the brokers speak it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who asks, where the brokers want to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// By name, what each topic must be.
    pub topics: BTreeMap<String, Topic>,
    /// How long an answer may take, in seconds.
    #[serde(default = "limit_s")]
    pub limit_s: u64,
}

/// What a topic must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// How many partitions it has.
    pub partitions: u32,
    /// How many milliseconds its records are kept (`retention.ms`); -1 is for ever. A broker that
    /// does not tell is no pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<i64>,
}

/// What the broker told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// By name, each topic that was asked for; `null` if there is none.
    pub topics: BTreeMap<String, Option<Found>>,
}

/// A topic as the broker tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The numbers of its partitions, in order.
    pub partitions: Vec<i32>,
    /// How many milliseconds its records are kept; absent if the broker does not tell.
    pub retention_ms: Option<i64>,
}

const REMEDY: &str = "make the topic as it must be, or correct the plan, and run again";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        if self.topics.is_empty() || facts.topics.is_empty() {
            return Judgement::no_data(0, "no topic was asked for", REMEDY);
        }
        let count = self.topics.len();
        for (name, wanted) in &self.topics {
            let Some(found) = facts.topics.get(name).and_then(Option::as_ref) else {
                return Judgement::fail(count, format!("there is no topic {name}"), REMEDY);
            };
            let (is, must) = (found.partitions.len(), wanted.partitions);
            let numbered = found.partitions.iter().zip(0..).all(|(number, at)| *number == at);
            if u32::try_from(is) != Ok(must) || !numbered {
                let reason = format!("the topic {name} has {is} partitions, and must have {must}");
                return Judgement::fail(count, reason, REMEDY);
            }
            match (wanted.retention_ms, found.retention_ms) {
                (Some(must), Some(is)) if must != is => {
                    let reason =
                        format!("the topic {name} keeps records for {is} ms, and must for {must}");
                    return Judgement::fail(count, reason, REMEDY);
                }
                (Some(_), None) => {
                    let reason =
                        format!("the broker does not tell how long the topic {name} keeps records");
                    return Judgement::no_data(count, reason, REMEDY);
                }
                (Some(_) | None, _) => {}
            }
        }
        let told = counted(count, "topic is", "topics are");
        Judgement::pass(count, format!("{told} there as demanded"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| facts.topics.clear());
        let names: Vec<&String> = self.topics.keys().collect();
        for name in spots(names.len()).into_iter().filter_map(|spot| names.get(spot).copied()) {
            copies.add("topic_missing", |facts| drop(facts.topics.insert(name.clone(), None)));
            copies.add("topic_not_asked_for", |facts| drop(facts.topics.remove(name)));
            let mut add = |what, damage: &dyn Fn(&mut Found)| {
                copies.add(what, |facts| {
                    facts
                        .topics
                        .get_mut(name)
                        .and_then(Option::as_mut)
                        .into_iter()
                        .for_each(damage);
                });
            };
            add("partition_missing", &|it| {
                it.partitions.truncate(it.partitions.len().saturating_sub(1));
            });
            add("partition_added", &|it| {
                it.partitions.push(i32::try_from(it.partitions.len()).unwrap_or(0));
            });
            add("no_partition", &|it| it.partitions.clear());
            if self.topics.get(name).is_some_and(|it| it.retention_ms.is_some()) {
                add("retention_not_told", &|it| it.retention_ms = None);
                add("retention_other", &|it| {
                    it.retention_ms = it.retention_ms.map(|ms| ms.wrapping_add(1));
                });
            }
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_servers("/servers", &self.servers);
        errors.extend(check_access(self.tls.as_ref(), self.login.as_ref()));
        if self.topics.is_empty() {
            let remedy = "name each with its partitions";
            errors.push(InputError::new("/topics", "there is no topic here", remedy));
        }
        for (name, topic) in &self.topics {
            errors.extend(check_topic(&format!("/topics/{name}"), name));
            let pointer = format!("/topics/{name}/partitions");
            errors.extend(check_range(&pointer, topic.partitions.into(), 1, 100_000));
            if topic.retention_ms.is_some_and(|ms| ms < -1 || ms == 0) {
                let pointer = format!("/topics/{name}/retention_ms");
                let remedy = "write milliseconds, or -1 for ever";
                errors.push(InputError::new(pointer, "is no time", remedy));
            }
        }
        errors.extend(check_range("/limit_s", self.limit_s, 1, 86_400));
        errors
    }

    pub(super) fn demands(&self) -> String {
        let topics = counted(self.topics.len(), "topic is", "topics are");
        format!("{topics} there with their partitions and retention")
    }
}
