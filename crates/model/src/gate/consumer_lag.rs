//! A group of consumers has read all but a few of the records of its topics.

use std::collections::BTreeSet;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{Login, Tls, check_access};
use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_range, check_servers, check_text, check_topic, limit_s};

/// The group, its topics, and how far behind it may be.
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
    /// The group of consumers.
    pub group: String,
    /// The topics that it reads.
    pub topics: BTreeSet<String>,
    /// How many records it may be behind, over all partitions together.
    pub at_most: u64,
    /// How long an answer may take, in seconds.
    #[serde(default = "limit_s")]
    pub limit_s: u64,
}

/// What the broker told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Each partition of each topic that there is.
    pub partitions: Vec<Partition>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The offset behind its last record: the high watermark.
    pub end: i64,
    /// The offset that the group has committed; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<i64>,
}

const REMEDY: &str = "see whether the group runs and what holds it up, and run again";
const BASIS: &str = "see whether anything was written to the topics, and run again";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let group = &self.group;
        let has = |topic: &&String| facts.partitions.iter().any(|it| it.topic == **topic);
        if let Some(topic) = self.topics.iter().find(|topic| !has(topic)) {
            return Judgement::no_data(0, format!("the topic {topic} has no partition"), BASIS);
        }
        let partitions = facts.partitions.iter().filter(|it| self.topics.contains(&it.topic));
        let partitions: Vec<&Partition> = partitions.collect();
        let holding = partitions.iter().filter(|it| it.end > 0).count();
        if holding == 0 {
            let reason = format!("no topic of the group {group} holds a record");
            return Judgement::no_data(0, reason, BASIS);
        }
        let mut behind: u64 = 0;
        for partition in partitions {
            let Partition { topic, partition, end, committed } = partition;
            let place = format!("partition {partition} of {topic}");
            if *end < 0 {
                return Judgement::no_data(holding, format!("{place} tells no end"), BASIS);
            }
            match committed {
                None if *end == 0 => {}
                None => {
                    let reason =
                        format!("{group} has committed nothing in {place}, which has {end}");
                    return Judgement::fail(holding, reason, REMEDY);
                }
                Some(at) if !(0..=*end).contains(at) => {
                    let reason =
                        format!("{group} has committed {at} in {place}, which ends at {end}");
                    return Judgement::fail(holding, reason, BASIS);
                }
                Some(at) => behind = behind.saturating_add(end.abs_diff(*at)),
            }
        }
        if behind > self.at_most {
            let most = self.at_most;
            let records = if behind == 1 { "record" } else { "records" };
            let reason = format!("{group} is {behind} {records} behind, and {most} is the most");
            return Judgement::fail(holding, reason, REMEDY);
        }
        let told = counted(holding, "partition", "partitions");
        Judgement::pass(holding, format!("{group} is {behind} behind over {told} with records"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| facts.partitions.clear());
        copies.add("ends_at_zero", |facts| {
            for it in &mut facts.partitions {
                (it.end, it.committed) = (0, it.committed.map(|_| 0));
            }
        });
        copies.add("ends_not_told", |facts| {
            for it in &mut facts.partitions {
                (it.end, it.committed) = (-1, None);
            }
        });
        for topic in &self.topics {
            copies.add("topic_missing", |facts| facts.partitions.retain(|it| it.topic != *topic));
        }
        let most = i64::try_from(self.at_most).unwrap_or(i64::MAX);
        for spot in spots(facts.partitions.len()) {
            let mut add = |name, damage: &dyn Fn(&mut Partition)| {
                copies
                    .add(name, |facts| facts.partitions.get_mut(spot).into_iter().for_each(damage));
            };
            add("too_far_behind", &|it| {
                let at = it.committed.unwrap_or(0);
                (it.end, it.committed) = (at.saturating_add(most).saturating_add(1), Some(at));
            });
            add("nothing_committed", &|it| {
                it.committed = it.committed.filter(|_| it.end == 0);
            });
            add("committed_past_the_end", &|it| it.committed = Some(it.end.saturating_add(1)));
            add("end_not_told", &|it| it.end = -1);
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_servers("/servers", &self.servers);
        errors.extend(check_access(self.tls.as_ref(), self.login.as_ref()));
        errors.extend(check_text("/group", &self.group));
        if self.topics.is_empty() {
            let remedy = "name the topics that the group reads";
            errors.push(InputError::new("/topics", "there is no topic here", remedy));
        }
        for (number, topic) in self.topics.iter().enumerate() {
            errors.extend(check_topic(&format!("/topics/{number}"), topic));
        }
        errors.extend(check_range("/limit_s", self.limit_s, 1, 86_400));
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("the group {} is at most {} records behind", self.group, self.at_most)
    }
}
