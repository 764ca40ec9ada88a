//! What is shown of a result: one model for text and JSON.

pub(crate) mod copy;
mod parts;
pub(crate) mod plan;
pub(crate) mod plan_text;
pub(crate) mod run;
