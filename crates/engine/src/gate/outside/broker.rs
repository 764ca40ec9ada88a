//! Brokers: topics, and how far a group of consumers is behind.

use carnet_connect::{Broker, BrokerLogin, BrokerPlace, BrokerTls};
use carnet_model::Text;
use carnet_model::gate::{Control, Facts, Login, OTHER_NAME, Tls, consumer_lag, topics};

use super::{Looked, Surroundings, seconds};
use crate::capability::secrets::resolve;
use crate::error::StepError;

/// A topic that nobody makes.
const OTHER: &str = "carnet-control.invalid";

/// Asks for each topic, and for one of another name: a broker that has every topic tells nothing.
pub(super) fn topics(around: &Surroundings<'_>, rule: &topics::Rule) -> Result<Looked, StepError> {
    let access = (rule.tls.as_ref(), rule.login.as_ref());
    let mut broker = open(around, &rule.servers, access, rule.limit_s)?;
    let mut facts = topics::Facts::default();
    for name in rule.topics.keys() {
        let found = broker
            .topic(name)?
            .map(|it| topics::Found { partitions: it.partitions, retention_ms: it.retention_ms });
        facts.topics.insert(name.clone(), found);
    }
    let is_there = broker.topic(OTHER)?.is_some();
    let said = if is_there { "is there" } else { "is not there" };
    let control = Control::new(OTHER_NAME, format!("a topic that nobody made {said}"), !is_there);
    Ok(Looked::new(Facts::Topics(facts)).control(control))
}

/// The offsets that the group has committed are asked for first: what is written in between makes it
/// look further behind, never less.
pub(super) fn consumer_lag(
    around: &Surroundings<'_>,
    rule: &consumer_lag::Rule,
) -> Result<Looked, StepError> {
    let access = (rule.tls.as_ref(), rule.login.as_ref());
    let mut broker = open(around, &rule.servers, access, rule.limit_s)?;
    let mut partitions = Vec::new();
    for topic in &rule.topics {
        let committed = broker.committed(&rule.group, topic)?;
        let ends = broker.end_offsets(topic)?;
        partitions.extend(ends.into_iter().map(|(partition, end)| consumer_lag::Partition {
            topic: topic.clone(),
            partition,
            end,
            committed: committed.get(&partition).copied(),
        }));
    }
    Ok(Looked::new(Facts::ConsumerLag(consumer_lag::Facts { partitions })))
}

fn open(
    around: &Surroundings<'_>,
    servers: &[String],
    (tls, login): (Option<&Tls>, Option<&Login>),
    limit_s: u64,
) -> Result<Box<dyn Broker>, StepError> {
    let tls =
        tls.map(|tls| BrokerTls { roots: tls.roots.as_ref().map(|it| around.folder.join(it)) });
    let login = login.map(|login| {
        let user = resolve(around.outside, &login.user)?.whole;
        let password = resolve(around.outside, &Text::Secret(login.password.clone()))?.whole;
        Ok::<_, StepError>(BrokerLogin { user, password })
    });
    let (servers, limit) = (servers.to_vec(), seconds(limit_s));
    let place = BrokerPlace { servers, tls, login: login.transpose()?, limit };
    Ok(around.outside.broker(&place)?)
}
