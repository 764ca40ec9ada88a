//! What is shown of a result: one model for text and JSON.

pub(crate) mod run;
