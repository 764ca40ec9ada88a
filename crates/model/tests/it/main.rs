//! Plans, gates and metadata as their callers meet them.

mod gate;
mod metadata;
mod plan;
