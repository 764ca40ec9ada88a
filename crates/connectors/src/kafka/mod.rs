//! Kafka's protocol, as far as looking needs it: messages by `kafka-protocol`, one question at a time,
//! over TCP or TLS, with a login by SASL's PLAIN. Other mechanisms of SASL are not spoken.

mod connection;

use std::collections::BTreeMap;

use carnet_connect::{Broker, BrokerPlace, BrokerTopic, StoreError};
use carnet_model::Code;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeConfigsRequest, DescribeConfigsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest,
    MetadataResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use self::connection::Connection;

/// A topic in questions on configuration.
const TOPIC: i8 = 2;
const RETENTION: &str = "retention.ms";
/// The time that stands for "behind the last record".
const LATEST: i64 = -1;

/// Connects to one of the servers.
pub fn open_broker(place: &BrokerPlace) -> Result<Box<dyn Broker>, StoreError> {
    let mut failed = None;
    for server in &place.servers {
        match Connection::open(server, place) {
            Ok(first) => {
                let place = place.clone();
                return Ok(Box::new(Cluster { place, first, others: BTreeMap::new() }));
            }
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::new(Code::STORE_UNREACHABLE, "no broker is named")))
}

struct Cluster {
    place: BrokerPlace,
    first: Connection,
    /// By `HOST:PORT`.
    others: BTreeMap<String, Connection>,
}

/// A topic with the address of each partition's leader.
struct Led {
    topic: MetadataResponseTopic,
    addresses: BTreeMap<BrokerId, String>,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What a broker refuses.
fn refused(code: i16, what: &str) -> Result<(), StoreError> {
    match ResponseError::try_from_code(code) {
        None => Ok(()),
        Some(error) => Err(StoreError::new(
            Code::STORE_UNREACHABLE,
            format!("the broker refuses {what}: {error}"),
        )
        .remedy("see the log of the broker")),
    }
}

impl Cluster {
    fn at(&mut self, address: &str) -> Result<&mut Connection, StoreError> {
        use std::collections::btree_map::Entry;
        match self.others.entry(address.to_owned()) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(Connection::open(address, &self.place)?)),
        }
    }

    fn led(&mut self, name: &str) -> Result<Option<Led>, StoreError> {
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(name))));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![topic]))
            .with_allow_auto_topic_creation(false);
        // From version 4 on a question makes no topic.
        let answer: MetadataResponse = self.first.ask(ApiKey::Metadata, 4..=9, &request)?;
        let brokers = answer.brokers.into_iter();
        let addresses =
            brokers.map(|it| (it.node_id, format!("{}:{}", it.host, it.port))).collect();
        let mut topics = answer.topics.into_iter();
        let Some(topic) =
            topics.find(|it| it.name.as_ref().is_some_and(|it| it.0.as_str() == name))
        else {
            return Ok(None);
        };
        if topic.error_code == ResponseError::UnknownTopicOrPartition.code() {
            return Ok(None);
        }
        refused(topic.error_code, &format!("to tell of the topic {name}"))?;
        Ok(Some(Led { topic, addresses }))
    }

    fn retention(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(name))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        // As librdkafka asks it: over version 4 with a named key Tansu closed the connection.
        let answer = self.first.ask(ApiKey::DescribeConfigs, 1..=1, &request);
        let answer: DescribeConfigsResponse = match answer {
            // A broker that does not know the question.
            Err(error) if error.code() == Code::STORE_UNSUPPORTED => return Ok(None),
            answer => answer?,
        };
        let results = answer.results.into_iter().filter(|it| it.error_code == 0);
        let mut configs = results.flat_map(|it| it.configs);
        let found = configs.find(|it| it.name.as_str() == RETENTION).and_then(|it| it.value);
        Ok(found.and_then(|value| value.parse().ok()))
    }

    fn coordinator(&mut self, group: &str) -> Result<String, StoreError> {
        let request = FindCoordinatorRequest::default().with_key(text(group)).with_key_type(0);
        let answer: FindCoordinatorResponse =
            self.first.ask(ApiKey::FindCoordinator, 0..=3, &request)?;
        refused(answer.error_code, &format!("to name the coordinator of the group {group}"))?;
        Ok(format!("{}:{}", answer.host, answer.port))
    }
}

impl Broker for Cluster {
    fn topic(&mut self, name: &str) -> Result<Option<BrokerTopic>, StoreError> {
        let Some(led) = self.led(name)? else { return Ok(None) };
        let mut partitions: Vec<i32> =
            led.topic.partitions.iter().map(|it| it.partition_index).collect();
        partitions.sort_unstable();
        Ok(Some(BrokerTopic { partitions, retention_ms: self.retention(name)? }))
    }

    fn end_offsets(&mut self, name: &str) -> Result<BTreeMap<i32, i64>, StoreError> {
        let mut ends = BTreeMap::new();
        let Some(led) = self.led(name)? else { return Ok(ends) };
        for partition in &led.topic.partitions {
            let index = partition.partition_index;
            let Some(address) = led.addresses.get(&partition.leader_id) else {
                let what = format!("partition {index} of the topic {name} has no leader");
                return Err(StoreError::new(Code::STORE_UNREACHABLE, what)
                    .remedy("wait until the brokers have chosen one"));
            };
            let asked =
                ListOffsetsPartition::default().with_partition_index(index).with_timestamp(LATEST);
            let topic = ListOffsetsTopic::default()
                .with_name(TopicName(text(name)))
                .with_partitions(vec![asked]);
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_topics(vec![topic]);
            let answer: ListOffsetsResponse =
                self.at(address)?.ask(ApiKey::ListOffsets, 1..=6, &request)?;
            let mut told = answer.topics.iter().flat_map(|it| &it.partitions);
            let Some(told) = told.find(|it| it.partition_index == index) else {
                let what = format!("the broker tells no end of partition {index} of {name}");
                return Err(StoreError::new(Code::STORE_UNREACHABLE, what));
            };
            refused(told.error_code, &format!("the end of partition {index} of {name}"))?;
            ends.insert(index, told.offset);
        }
        Ok(ends)
    }

    fn committed(&mut self, group: &str, name: &str) -> Result<BTreeMap<i32, i64>, StoreError> {
        let Some(led) = self.led(name)? else { return Ok(BTreeMap::new()) };
        let partitions = led.topic.partitions.iter().map(|it| it.partition_index).collect();
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(text(name)))
            .with_partition_indexes(partitions);
        let request = OffsetFetchRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_topics(Some(vec![topic]));
        let address = self.coordinator(group)?;
        let answer: OffsetFetchResponse =
            self.at(&address)?.ask(ApiKey::OffsetFetch, 1..=7, &request)?;
        let what = format!("the offsets of the group {group}");
        refused(answer.error_code, &what)?;
        let mut committed = BTreeMap::new();
        for told in answer.topics.iter().flat_map(|it| &it.partitions) {
            refused(told.error_code, &what)?;
            if told.committed_offset >= 0 {
                committed.insert(told.partition_index, told.committed_offset);
            }
        }
        Ok(committed)
    }
}
