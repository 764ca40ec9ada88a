//! What crosses a border, as nouns and pure decisions.
//!
//! - [`portability`]: scenarios, the manifest of a bundle, claims, dependencies, supply chains,
//!   terms, conformance.
//! - [`policy`]: what a policy is asked and answers, and who has authority.
//! - [`workload`]: containers and machines, and what a bundle has of them.

#![forbid(unsafe_code)]

pub mod policy;
pub mod portability;
pub mod workload;
