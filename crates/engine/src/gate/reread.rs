//! Damage to records that were really read back, taken through the production digest: the content
//! gate must refuse each of them.

use std::sync::PoisonError;

use carnet_connect::{RecordRef, Records};
use carnet_ledger::{Digest, root_of};
use carnet_model::gate::content_root::Facts as RootFacts;
use carnet_model::gate::{Facts, Observation};

use crate::step::Context;
use crate::step::read_back::{Leaves, leaf};

/// The observation with the root that the target would have if one of its records were damaged:
/// for each collection, and for a record at its start, in its middle and at its end.
pub(super) fn damaged(
    cx: &Context<'_>,
    facts: &RootFacts,
    observed_at_us: i64,
) -> Vec<(&'static str, Observation)> {
    let held = cx.leaves.lock().unwrap_or_else(PoisonError::into_inner);
    let mut copies = Vec::new();
    for (index, roots) in facts.collections.iter().enumerate() {
        let found = held.iter().find(|(name, _)| name.as_str() == roots.collection);
        let Some((_, leaves)) = found else { continue };
        for (name, root) in damaged_roots(leaves) {
            let mut copy = facts.clone();
            if let Some(roots) = copy.collections.get_mut(index) {
                roots.target = Some(root);
            }
            copies.push((name, Observation::new(observed_at_us, Facts::ContentRoot(copy))));
        }
    }
    copies
}

/// Which samples are damaged: the first, the middle and the last.
fn chosen(leaves: &Leaves) -> Vec<&(usize, Records)> {
    let count = leaves.samples.len();
    let mut places = vec![0, count / 2, count.saturating_sub(1)];
    places.dedup();
    places.into_iter().filter_map(|place| leaves.samples.get(place)).collect()
}

fn damaged_roots(leaves: &Leaves) -> Vec<(&'static str, Digest)> {
    let mut roots = Vec::new();
    let all = || leaves.leaves.iter().copied();
    for (at, records) in chosen(leaves) {
        let at = *at;
        let Some(record) = records.get(0) else { continue };
        let with = |other: Digest| {
            root_of(all().enumerate().map(|(n, leaf)| if n == at { other } else { leaf }))
        };
        let dropped = all().enumerate().filter(|(n, _)| *n != at).map(|(_, leaf)| leaf);
        roots.push(("record_dropped", root_of(dropped)));
        let doubled = all()
            .enumerate()
            .flat_map(|(n, leaf)| std::iter::repeat_n(leaf, if n == at { 2 } else { 1 }));
        roots.push(("record_doubled", root_of(doubled)));
        if let Some(exchanged) = exchanged(&leaves.leaves, at) {
            roots.push(("records_swapped", root_of(exchanged)));
        }
        let mut vector = record.vector.to_vec();
        if let Some(first) = vector.first_mut() {
            *first = f32::from_bits(first.to_bits() ^ 1);
        }
        roots.push(("vector_one_ulp", with(leaf(&RecordRef { vector: &vector, ..record }))));
        let metadata = if record.metadata == "{}" { "{\"\":null}" } else { "{}" };
        roots.push(("metadata_changed", with(leaf(&RecordRef { metadata, ..record }))));
        let version = Some(record.version.unwrap_or(0) ^ 1);
        roots.push(("version_changed", with(leaf(&RecordRef { version, ..record }))));
    }
    roots
}

/// The leaves with one exchanged with a neighbour; none where there is no other.
fn exchanged(leaves: &[Digest], at: usize) -> Option<Vec<Digest>> {
    let other = if at + 1 < leaves.len() { at + 1 } else { at.checked_sub(1)? };
    let mut leaves = leaves.to_vec();
    leaves.swap(at, other);
    Some(leaves)
}
