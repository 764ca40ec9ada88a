//! The ledger against public vectors, other implementations and damaged logs.

#[cfg(test)]
mod check;
#[cfg(test)]
mod detached;
#[cfg(test)]
mod ed25519;
#[cfg(test)]
mod events;
#[cfg(test)]
mod jcs;
#[cfg(test)]
mod log;
#[cfg(test)]
mod node;
#[cfg(test)]
mod oracles;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod python;
#[cfg(test)]
mod rfc6962;

/// A folder of public vectors.
#[cfg(test)]
fn vectors(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/vectors").join(name)
}
