//! The plan as its callers meet it.

mod plan;
