//! What the crate promises, over stores in memory and snapshots on disk.

#[cfg(test)]
mod archive;
#[cfg(test)]
mod content;
#[cfg(test)]
mod diff;
#[cfg(test)]
mod export;
#[cfg(test)]
mod import;
#[cfg(test)]
mod oci;
#[cfg(test)]
mod package;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod stores;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod verify;
