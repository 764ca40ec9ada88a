//! What the crate promises, over stores in memory and snapshots on disk.

#[cfg(test)]
mod content;
#[cfg(test)]
mod export;
