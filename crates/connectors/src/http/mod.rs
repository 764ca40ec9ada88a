//! HTTP, plain connections and certificates: what gates look at and steps call.
//!
//! Each call stands alone: no connection is kept, no redirect is followed, no proxy is asked, and
//! nothing is taken from the environment.

mod certificate;
mod client;
mod connection;

pub use certificate::certificate;
pub use client::http;
pub use connection::connect;
