//! What a store must offer. Reading order: records, ranges, the repository traits, capabilities,
//! the in-memory store, the conformance suite that every connector passes. Beside stores, `outside`:
//! what gates look through and steps act through.

#![forbid(unsafe_code)]

mod capability;
mod distance;
mod error;
mod filter;
mod memory;
mod merge;
mod outside;
mod progress;
mod range;
mod records;
mod repository;

pub mod conformance;

pub use capability::{Capabilities, ContentFacts, Loss, ReadConsistency, WriteCapability};
pub use distance::{Nearest, distance};
pub use error::StoreError;
pub use filter::Filter;
pub use memory::{MemoryStore, batches};
pub use merge::{MergedStream, RowCursor};
pub use outside::{
    Address, Aws, AwsAlert, AwsBudget, AwsChange, AwsContainer, AwsDefinition, AwsDepth, AwsEnded,
    AwsJob, AwsJobTask, AwsNetwork, AwsOverride, AwsParameter, AwsPlace, AwsRepository, AwsService,
    AwsServing, AwsSpend, AwsTask, Boot, Broker, BrokerLogin, BrokerPlace, BrokerTls, BrokerTopic,
    Certificate, CertificateRequest, ContainerPlace, ContainerRuntime, DiskFacts, Forward, Header,
    HeaderValue, Health, HeldImage, HttpRequest, HttpResponse, MachinePlace, MachineState,
    Machines, NewContainer, NoOutside, ObjectHead, ObjectPage, ObjectPlace, Objects, Outside,
    PutIf, SqlChange, SqlFence, SqlRows, SqlSession, SqlStatement, SqlValue, Unit, UnitState,
};
pub use progress::{Job, NoProgress, Progress};
pub use range::IdRange;
pub use records::{ID_BYTES_MAX, RecordRef, Records, RecordsBuilder, check_id, shorten};
pub use repository::{
    Description, Hit, Load, LoadMode, LoadRequest, Query, RecordStream, Shard, StoreSnapshot,
    VectorRepository,
};
