//! What is shown of a result: one model for text and JSON.

pub(crate) mod copy;
mod parts;
pub(crate) mod run;
