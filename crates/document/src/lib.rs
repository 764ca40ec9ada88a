//! A document that a person wrote: how it is read, what is wrong with it, and its canonical bytes.
//!
//! - [`yaml`]: YAML as a tree in which each node knows its place.
//! - [`Diagnostic`]: what is wrong, where, and what to write instead; [`Code`]: its stable name.
//! - [`mask`]: no password is shown.
//! - [`canonical_json`]: the bytes of a document that are hashed.
//! - [`InputError`], [`NoNull`]: a value held against its JSON Schema.

#![forbid(unsafe_code)]

mod canonical;
mod code;
mod diagnostic;
mod input;
mod mask;
mod no_null;
pub mod yaml;

pub use canonical::{canonical_json, canonical_value, digest_of};
pub use code::{Code, Exit};
pub use diagnostic::{Diagnostic, Severity, Span, shortened};
pub use input::{InputError, compiled, input_errors, linear, pointer_token, told};
pub use mask::{Masked, mask};
pub use no_null::NoNull;
