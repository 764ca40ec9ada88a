//! Plans, gates and metadata as their callers meet them.

#[cfg(test)]
mod crossing;
#[cfg(test)]
mod freezes;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod jcs;
#[cfg(test)]
mod metadata;
#[cfg(test)]
mod phases;
#[cfg(test)]
mod plan;
