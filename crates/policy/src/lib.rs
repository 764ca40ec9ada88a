//! Policies evaluated. What they are and what they answer is in `carnet_model::policy`; here is what
//! evaluates them.
//!
//! Reading order: what an engine must do (`engine`), the one for Rego (`rego`, with `syntax`: what a
//! module calls and which rules it has; `apart`: in a process of its own), and evaluations that are reached again (`replay`). The
//! crate opens no files: who asks brings the files of the policy.

#![forbid(unsafe_code)]

#[cfg(feature = "rego")]
mod apart;
mod engine;
#[cfg(feature = "rego")]
mod reasons;
#[cfg(feature = "rego")]
mod rego;
mod replay;
#[cfg(feature = "rego")]
mod syntax;
#[cfg(test)]
mod testing;

#[cfg(feature = "rego")]
pub use apart::{Apart, serve};
pub use engine::{PolicyEngine, PolicyFailure};
#[cfg(feature = "rego")]
pub use rego::Rego;
pub use replay::Replayer;
