//! What gates look through and steps act through, beside stores of vectors: HTTP, plain connections,
//! certificates, SQL, objects, services of AWS, containers and virtual machines. The engine names no
//! connector; it is handed one [`Outside`].

mod aws;
mod aws_jobs;
mod broker;
mod containers;
mod http;
mod machines;
mod none;
mod objects;
mod sql;

use std::path::PathBuf;
use std::time::Duration;

use carnet_model::Secret;
use carnet_model::policy::{PolicyAnswer, PolicyQuestion};

pub use aws::{
    Aws, AwsAlert, AwsBudget, AwsContainer, AwsDefinition, AwsDepth, AwsParameter, AwsPlace,
    AwsRepository, AwsService, AwsServing, AwsSpend, AwsTask,
};
pub use aws_jobs::{AwsChange, AwsEnded, AwsJob, AwsJobTask, AwsNetwork, AwsOverride};
pub use broker::{Broker, BrokerLogin, BrokerPlace, BrokerTls, BrokerTopic};
pub use containers::{
    ContainerPlace, ContainerRuntime, Health, HeldImage, NewContainer, Unit, UnitState,
};
pub use http::{Header, HeaderValue, HttpRequest, HttpResponse};
pub use machines::{Boot, DiskFacts, Forward, MachinePlace, MachineState, Machines};
pub use none::NoOutside;
pub use objects::{ObjectHead, ObjectPage, ObjectPlace, Objects, PutIf};
pub use sql::{SqlChange, SqlFence, SqlRows, SqlSession, SqlStatement, SqlValue};

use crate::error::StoreError;

/// The world outside. What a build leaves out, or was given no way to, it refuses with
/// `feature.missing`.
pub trait Outside: Send + Sync {
    /// Sends one request and reads the answer. An answer of any status is an answer; no answer is
    /// an error.
    fn http(&self, request: &HttpRequest) -> Result<HttpResponse, StoreError>;

    /// Opens a connection and closes it again. Gives how long it took.
    fn connect(&self, address: &Address) -> Result<Duration, StoreError>;

    /// The certificate that a server shows, whether it is trusted or not.
    fn certificate(&self, request: &CertificateRequest) -> Result<Certificate, StoreError>;

    /// Opens a database: `postgres://…` or `sqlite:FILE`, paths already made whole. A password
    /// comes from the environment as for stores.
    fn sql(&self, url: &str) -> Result<Box<dyn SqlSession>, StoreError>;

    /// Opens a place for objects: `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`. Credentials come
    /// from the environment.
    fn objects(&self, url: &str) -> Result<Box<dyn Objects>, StoreError>;

    /// Brokers that speak Kafka's protocol.
    fn broker(&self, _: &BrokerPlace) -> Result<Box<dyn Broker>, StoreError> {
        none::missing("ask a broker (feature `kafka`)")
    }

    /// Services of AWS, and what speaks like them. Keys come from the environment.
    fn aws(&self, _: &AwsPlace) -> Result<Box<dyn Aws>, StoreError> {
        none::missing("ask services of AWS (feature `aws`)")
    }

    /// A runtime of containers.
    fn containers(&self, _: &ContainerPlace) -> Result<Box<dyn ContainerRuntime>, StoreError> {
        none::missing("run containers")
    }

    /// What runs virtual machines.
    fn machines(&self, _: &MachinePlace) -> Result<Box<dyn Machines>, StoreError> {
        none::missing("run virtual machines")
    }

    /// Compiles the rules of a policy and asks them. Whatever they answer is an answer; rules that
    /// do not compile (`policy.compile`), that call what is not allowed (`policy.builtin`) or that
    /// are too large (`policy.limit`) are an error.
    fn policy(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError>;

    /// A secret of the environment that a plan names; only its name is ever recorded.
    fn secret(&self, name: &str) -> Option<Secret>;
}

/// Where a server listens, and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How long to wait.
    pub limit: Duration,
}

/// A question for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// Whom to ask.
    pub address: Address,
    /// The name that the certificate must be for; the host if nothing is said.
    pub server_name: Option<String>,
    /// A PEM file with the roots to trust; those of the system if nothing is said.
    pub roots: Option<PathBuf>,
}

/// A certificate that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as it says.
    pub subject: String,
    /// Who signed it, as it says.
    pub issuer: String,
    /// SHA-256 of its DER bytes.
    pub sha256: [u8; 32],
    /// From when on it is good, in seconds since 1970, UTC.
    pub not_before_s: i64,
    /// Until when it is good, in seconds since 1970, UTC.
    pub not_after_s: i64,
    /// Why it is not trusted for this name and now; `None` if it is.
    pub distrust: Option<String>,
}
