//! Comparing stores: exactly the difference is found, and nothing else.

use carnet_bundle::{DiffReport, DifferenceKind, Work, diff};
use carnet_connect::{MemoryStore, VectorRepository};
use carnet_model::{Code, CollectionContract, Metric};
use proptest::prelude::*;

use crate::content::{Rows, any_row, any_rows, contract, fill, plain_rows, records, store_of};

fn compare(a: &dyn VectorRepository, b: &dyn VectorRepository, workers: usize) -> DiffReport {
    let (a, b) = (a.snapshot().unwrap(), b.snapshot().unwrap());
    diff(a.as_ref(), b.as_ref(), 5, &Work::quiet(workers)).unwrap()
}

proptest! {
    #[test]
    fn exactly_the_mutations_are_found(
        base in any_rows(30),
        over in any_rows(8),
        dropped in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        workers in 1usize..4,
    ) {
        let mut changed = base.clone();
        changed.extend(over);
        for index in dropped.iter().filter(|_| !base.is_empty()) {
            changed.remove(base.keys().nth(index.index(base.len())).unwrap());
        }
        let report = compare(&store_of(&base), &store_of(&changed), workers);
        let found = &report.collections[0];
        let absent = |rows: &Rows, other: &Rows| {
            rows.keys().filter(|id| !other.contains_key(*id)).count() as u64
        };
        let differing = base.iter().filter(|(id, row)| changed.get(*id).is_some_and(|c| c != *row));
        prop_assert_eq!(found.only_in_a, absent(&base, &changed));
        prop_assert_eq!(found.only_in_b, absent(&changed, &base));
        prop_assert_eq!(found.differing, differing.count() as u64);
        prop_assert_eq!(report.is_equal(), base == changed);
        let all = found.only_in_a + found.only_in_b + found.differing;
        prop_assert_eq!(found.first.len() as u64, all.min(5));
        prop_assert!(found.first.is_sorted_by(|a, b| a.id < b.id));
    }

    #[test]
    fn one_flipped_bit_is_found_and_named(
        row in any_row(), element in 0usize..3, bit in 0u32..32,
    ) {
        let mut rows = plain_rows(20);
        rows.insert("id-000007".to_owned(), row);
        let mut other = rows.clone();
        other.get_mut("id-000007").unwrap().bits[element] ^= 1 << bit;
        let report = compare(&store_of(&rows), &store_of(&other), 2);
        let found = &report.collections[0].first;
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(found[0].id.as_str(), "id-000007");
        let DifferenceKind::Differs(fields) = &found[0].kind else { panic!("{found:?}") };
        prop_assert_eq!(&fields[0].field, &format!("vector[{element}]"));
        prop_assert_ne!(&fields[0].a, &fields[0].b);
        prop_assert_eq!(report.code(), Some(Code::CONTENT_DIFFERS));
    }
}

#[test]
fn contracts_count_and_so_does_silence() {
    let rows = records(&plain_rows(3));
    let declared = store_of(&plain_rows(3));
    for other in [
        CollectionContract { metric: Some(Metric::Cosine), ..contract("embeddings") },
        CollectionContract { metric: None, ..contract("embeddings") },
    ] {
        let store = MemoryStore::default();
        fill(&store, &other, rows.clone());
        let report = compare(&declared, &store, 1);
        assert_eq!(report.code(), Some(Code::CONTRACT_DIFFERS));
        assert_eq!(report.collections[0].contract[0].field, "metric");
        assert_eq!(report.collections[0].same, 3);
    }
}

#[test]
fn nothing_compared_is_not_equal() {
    let empty = MemoryStore::default();
    assert!(!compare(&empty, &empty, 1).is_equal());
    assert_eq!(compare(&empty, &empty, 1).code(), Some(Code::CONTENT_DIFFERS));
    let one = store_of(&plain_rows(1));
    let report = compare(&one, &empty, 1);
    assert!(!report.is_equal() && report.only_in_a.len() == 1);
}

#[test]
fn single_collections_are_compared_whatever_they_are_called() {
    let one = store_of(&plain_rows(9));
    let other = MemoryStore::default();
    fill(&other, &contract("elsewhere"), records(&plain_rows(9)));
    assert!(compare(&one, &other, 2).is_equal());
    fill(&other, &contract("embeddings"), records(&plain_rows(9)));
    let report = compare(&one, &other, 2);
    assert!(!report.is_equal() && report.only_in_b.len() == 1);
}
