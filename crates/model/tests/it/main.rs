//! The plan and the metadata as their callers meet them.

#[cfg(test)]
mod metadata;
mod plan;
