//! The engine against real files and stores.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fall as tests do")]

mod capabilities;
mod checkpoints;
mod copy;
mod crash;
mod evidence;
mod evidence_bundle;
mod faults;
mod journal;
mod kept;
mod lease;
mod people;
mod policies;
mod run;
mod simulation;
mod succession;
mod take_back;
mod terraform;
mod world;
mod yard;
