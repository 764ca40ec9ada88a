//! Gates: what was observed is judged here, without looking at the world again.
//!
//! A gate is a rule and a kind of facts. [`evaluate`] judges the facts, and, when they pass, judges
//! damaged copies of these very facts: a gate that would also have passed those shows nothing.

mod access;
mod amount;
mod content;
mod control;
mod damaged;
mod definition;
mod demands;
mod evaluate;
mod evidence_files;
mod expected;
mod finding;
mod kinds;
mod limits;
mod sample;
mod score;
mod violation;

pub mod approval;
pub mod artifact_checksums;
pub mod authority;
pub mod budget;
pub mod certification;
pub mod checksums;
pub mod claims;
pub mod command;
pub mod consumer_lag;
pub mod content_root;
pub mod contract;
pub mod count;
pub mod digest;
pub mod dimensions;
pub mod file;
pub mod handles;
pub mod http;
pub mod image;
pub mod lag;
pub mod losses;
pub mod object;
pub mod policy;
pub mod query_parity;
pub mod registry_tag;
pub mod rows;
pub mod run_agreement;
pub mod run_evidence;
pub mod schema_version;
pub mod secrets_absent;
pub mod services;
pub mod sql;
pub mod supply_chain;
pub mod tcp;
pub mod term;
pub mod terraform;
pub mod tls_expiry;
pub mod topics;

pub use access::{Login, Tls};
pub use content::{CONTENT_BYTES_MAX, Content};
pub use control::{
    BOGUS_CREDENTIAL, CANARY, CLOSED_PORT, Control, NO_ROWS, OTHER_NAME, WITHOUT_CREDENTIAL,
};
pub use definition::{AGE_S_MAX, Definition, Facts, Gate, Observation, Rule, judge_facts};
pub use evaluate::{Evaluation, Judge, damage, evaluate, evaluate_with, judge};
pub use evidence_files::{Asked, Found, Said, Seen};
pub use expected::{Expected, Scalar};
pub use finding::{Judgement, Verdict};
pub use kinds::{GateKind, kinds, read_rule};
pub use sample::{Sample, samples};
pub use score::{Scored, score};
