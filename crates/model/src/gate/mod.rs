//! Gates: what was observed is judged here, without looking at the world again.
//!
//! A gate is a rule and a kind of facts. [`evaluate`] judges the facts, and, when they pass, judges
//! damaged copies of these very facts: a gate that would also have passed those shows nothing.

mod damaged;
mod definition;
mod demands;
mod evaluate;
mod finding;

pub mod artifact_checksums;
pub mod checksums;
pub mod content_root;
pub mod contract;
pub mod count;
pub mod dimensions;
pub mod losses;
pub mod query_parity;
pub mod schema_version;

pub use definition::{AGE_S_MAX, Definition, Facts, Gate, Observation, Rule};
pub use evaluate::{Evaluation, Judge, damage, evaluate, evaluate_with, judge};
pub use finding::{Judgement, Verdict};
