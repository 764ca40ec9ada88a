//! Brokers that speak Kafka's protocol. Only looked at: nothing is written, no group is joined.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use carnet_model::Secret;

use crate::error::StoreError;

/// Where brokers listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerPlace {
    /// `HOST:PORT` of one of them or more; the rest is asked of it.
    pub servers: Vec<String>,
    /// How the connection is kept from others; `None`: it is not.
    pub tls: Option<BrokerTls>,
    /// Who asks; `None`: nobody in particular.
    pub login: Option<BrokerLogin>,
    /// How long an answer may take.
    pub limit: Duration,
}

/// TLS: each broker must show a certificate for the name by which it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerTls {
    /// A PEM file with the roots to trust; those of the machine if nothing is said.
    pub roots: Option<PathBuf>,
}

/// A user and a password, as SASL's PLAIN (RFC 4616) sends them. TLS must keep them from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerLogin {
    /// The user.
    pub user: Secret,
    /// The password.
    pub password: Secret,
}

/// A topic as its broker tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerTopic {
    /// The numbers of its partitions, in order.
    pub partitions: Vec<i32>,
    /// How many milliseconds a record is kept (`retention.ms`; -1 is for ever); `None` if the broker
    /// does not tell.
    pub retention_ms: Option<i64>,
}

/// A broker.
pub trait Broker {
    /// What it tells of a topic; `None` if there is none. None is made by asking.
    fn topic(&mut self, name: &str) -> Result<Option<BrokerTopic>, StoreError>;

    /// By partition, the offset behind the last record of a topic: its high watermark.
    fn end_offsets(&mut self, topic: &str) -> Result<BTreeMap<i32, i64>, StoreError>;

    /// By partition, the offset that a group has committed; without those where it has none.
    fn committed(&mut self, group: &str, topic: &str) -> Result<BTreeMap<i32, i64>, StoreError>;
}
