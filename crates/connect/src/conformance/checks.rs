//! The checks.

use carnet_model::{Code, CollectionName};

use super::sample::{sample_contract, sample_records};
use crate::capability::{ReadConsistency, WriteCapability};
use crate::distance::{Nearest, distance};
use crate::error::StoreError;
use crate::filter::Filter;
use crate::memory::batches;
use crate::merge::RowCursor;
use crate::progress::NoProgress;
use crate::range::IdRange;
use crate::records::{RecordRef, Records};
use crate::repository::{
    LoadMode, LoadRequest, Query, RecordStream, StoreSnapshot, VectorRepository,
};

type Check = fn(&dyn VectorRepository) -> Result<(), String>;

/// Every check with its name, in the order in which they build on each other.
pub(super) const ALL: &[(&str, Check)] = &[
    ("empty_store_has_no_collections", empty_store_has_no_collections),
    ("loaded_records_come_back_bit_for_bit", loaded_records_come_back_bit_for_bit),
    ("contract_comes_back", contract_comes_back),
    ("ranges_and_shards_hold_each_record_once", ranges_and_shards_hold_each_record_once),
    ("parallel_scans_see_one_content", parallel_scans_see_one_content),
    ("nothing_is_visible_before_commit", nothing_is_visible_before_commit),
    ("replace_replaces_all", replace_replaces_all),
    ("upsert_load_keeps_the_rest", upsert_load_keeps_the_rest),
    ("a_failed_range_changes_nothing", a_failed_range_changes_nothing),
    ("a_load_continues_by_its_token", a_load_continues_by_its_token),
    ("abandon_removes_what_was_staged", abandon_removes_what_was_staged),
    ("upsert_fetch_delete", upsert_fetch_delete),
    ("exact_query_agrees_with_the_definition", exact_query_agrees_with_the_definition),
    ("query_filters", query_filters),
    ("several_collections", several_collections),
    ("a_snapshot_is_one_moment", a_snapshot_is_one_moment),
    ("missing_collections_are_named", missing_collections_are_named),
    ("other_dimensions_are_refused", other_dimensions_are_refused),
];

const COUNT: usize = 300;

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn text(error: StoreError) -> String {
    super::describe(&error)
}

fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}

fn name() -> CollectionName {
    CollectionName::standard()
}

fn request(store: &dyn VectorRepository, mode: LoadMode, token: &str) -> LoadRequest {
    LoadRequest {
        contract: sample_contract(&name(), store.capabilities()),
        mode,
        token: token.to_owned(),
    }
}

fn load(store: &dyn VectorRepository, records: &Records, mode: LoadMode) -> Result<(), String> {
    let load = store.begin_load(&request(store, mode, "one")).map_err(text)?;
    let written =
        load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).map_err(text)?;
    ensure(written == records.len() as u64, || format!("load_range counted {written}"))?;
    load.commit(&NoProgress).map_err(text)
}

fn loaded(store: &dyn VectorRepository) -> Result<Records, String> {
    let records = sample_records(COUNT).map_err(text)?;
    load(store, &records, LoadMode::Replace)?;
    Ok(records)
}

/// Equality by bits, so that −0.0 is not 0.0 and a NaN equals itself.
fn same(a: &RecordRef<'_>, b: &RecordRef<'_>) -> bool {
    let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    bits(a.vector) == bits(b.vector)
        && (a.id, a.metadata, a.version) == (b.id, b.metadata, b.version)
        && (a.source_hash, a.created_ts, a.updated_ts)
            == (b.source_hash, b.created_ts, b.updated_ts)
}

fn expect_stream<'a>(
    stream: Box<dyn RecordStream + '_>,
    wanted: impl IntoIterator<Item = RecordRef<'a>>,
) -> Result<(), String> {
    let mut cursor = RowCursor::new(stream).map_err(text)?;
    for (row, wanted) in wanted.into_iter().enumerate() {
        let seen = cursor.current().ok_or_else(|| format!("the stream ends at row {row}"))?;
        ensure(same(&seen, &wanted), || format!("row {row}: wanted {wanted:?}, seen {seen:?}"))?;
        cursor.advance().map_err(text)?;
    }
    ensure(cursor.current().is_none(), || format!("one too many: {:?}", cursor.current()))
}

fn expect_content(store: &dyn VectorRepository, wanted: &Records) -> Result<(), String> {
    let view = store.snapshot().map_err(text)?;
    let count = view.describe(&name()).map_err(text)?.records;
    ensure(count == wanted.len() as u64, || format!("describe counts {count}"))?;
    expect_stream(view.scan(&name(), &IdRange::all()).map_err(text)?, wanted.iter())
}

fn empty_store_has_no_collections(store: &dyn VectorRepository) -> Result<(), String> {
    let seen = store.snapshot().map_err(text)?.collections().map_err(text)?;
    ensure(seen.is_empty(), || format!("{seen:?}"))
}

fn loaded_records_come_back_bit_for_bit(store: &dyn VectorRepository) -> Result<(), String> {
    let records = loaded(store)?;
    expect_content(store, &records)
}

fn contract_comes_back(store: &dyn VectorRepository) -> Result<(), String> {
    loaded(store)?;
    let wanted = sample_contract(&name(), store.capabilities());
    let seen = store.snapshot().map_err(text)?.describe(&name()).map_err(text)?.contract;
    ensure(seen.digest() == wanted.digest() && seen.name == wanted.name, || format!("{seen:?}"))
}

fn ranges_and_shards_hold_each_record_once(store: &dyn VectorRepository) -> Result<(), String> {
    let records = loaded(store)?;
    let view = store.snapshot().map_err(text)?;
    for parts in [1, 2, 7] {
        let ranges = view.ranges(&name(), parts).map_err(text)?;
        ensure(ranges.len() <= parts * 2 + 1, || format!("{} ranges of {parts}", ranges.len()))?;
        for range in &ranges {
            let inside = records.iter().filter(|record| range.contains(record.id));
            expect_stream(view.scan(&name(), range).map_err(text)?, inside)
                .map_err(|seen| format!("range {range}: {seen}"))?;
        }
        let mut ids = Vec::new();
        for shard in view.shards(&name(), parts).map_err(text)? {
            let mut stream = view.scan_shard(&name(), &shard).map_err(text)?;
            while let Some(batch) = stream.next().map_err(text)? {
                ids.extend(batch.iter().map(|record| record.id.to_owned()));
            }
        }
        ids.sort_unstable();
        let wanted: Vec<_> = records.iter().map(|record| record.id.to_owned()).collect();
        ensure(ids == wanted, || format!("{} ids in {parts} shards", ids.len()))?;
    }
    Ok(())
}

fn parallel_scans_see_one_content(store: &dyn VectorRepository) -> Result<(), String> {
    let records = loaded(store)?;
    let view = store.snapshot().map_err(text)?;
    let view: &dyn StoreSnapshot = view.as_ref();
    let ranges = view.ranges(&name(), 4).map_err(text)?;
    let counts = std::thread::scope(|scope| {
        let workers: Vec<_> = ranges
            .iter()
            .map(|range| {
                scope.spawn(move || -> Result<usize, StoreError> {
                    let mut stream = view.scan(&name(), range)?;
                    let mut count = 0;
                    while let Some(batch) = stream.next()? {
                        count += batch.len();
                    }
                    Ok(count)
                })
            })
            .collect();
        workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let mut sum = 0;
    for count in counts {
        sum += count.map_err(|_| "a scan panicked".to_owned())?.map_err(text)?;
    }
    ensure(sum == records.len(), || format!("{sum} records"))
}

fn nothing_is_visible_before_commit(store: &dyn VectorRepository) -> Result<(), String> {
    let records = sample_records(COUNT).map_err(text)?;
    let load = store.begin_load(&request(store, LoadMode::Replace, "one")).map_err(text)?;
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).map_err(text)?;
    let seen = store.snapshot().map_err(text)?.collections().map_err(text)?;
    ensure(seen.is_empty(), || format!("visible before commit: {seen:?}"))?;
    let back = load.read_back(&IdRange::all()).map_err(text)?.ok_or("nothing to read back")?;
    expect_stream(back, records.iter())?;
    load.commit(&NoProgress).map_err(text)?;
    load.commit(&NoProgress).map_err(|error| format!("a repeated commit: {}", text(error)))?;
    expect_content(store, &records)
}

fn replace_replaces_all(store: &dyn VectorRepository) -> Result<(), String> {
    let records = loaded(store)?;
    let fewer = records.slice(10, 20).map_err(text)?;
    load(store, &fewer, LoadMode::Replace)?;
    expect_content(store, &fewer)
}

fn upsert_load_keeps_the_rest(store: &dyn VectorRepository) -> Result<(), String> {
    let records = sample_records(COUNT).map_err(text)?;
    load(store, &records.slice(0, 200).map_err(text)?, LoadMode::Replace)?;
    let load = store.begin_load(&request(store, LoadMode::Upsert, "two")).map_err(text)?;
    let view_ranges = IdRange::split_at(records.get(150).map(|record| record.id.to_owned()));
    for range in &view_ranges {
        let inside = records.iter().skip(100).filter(|record| range.contains(record.id));
        let part = Records::collect(super::SAMPLE_DIMENSIONS, inside).map_err(text)?;
        load.load_range(range, &mut batches(vec![part])).map_err(text)?;
    }
    load.commit(&NoProgress).map_err(text)?;
    expect_content(store, &records)
}

/// A stream that gives one batch and then fails, as a lost connection does.
struct Broken(Option<Records>);

impl RecordStream for Broken {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        match self.0.take() {
            Some(batch) => Ok(Some(batch)),
            None => Err(StoreError::new(Code::STORE_LOST, "the source went away")),
        }
    }
}

fn a_failed_range_changes_nothing(store: &dyn VectorRepository) -> Result<(), String> {
    let records = sample_records(COUNT).map_err(text)?;
    let load = store.begin_load(&request(store, LoadMode::Replace, "one")).map_err(text)?;
    let failed = load.load_range(&IdRange::all(), &mut Broken(Some(records.clone())));
    ensure(failed.as_ref().is_err_and(|error| error.code() == Code::STORE_LOST), || {
        format!("{failed:?}")
    })?;
    let back = load.read_back(&IdRange::all()).map_err(text)?;
    if let Some(back) = back {
        expect_stream(back, [])?;
    }
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).map_err(text)?;
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).map_err(text)?;
    load.commit(&NoProgress).map_err(text)?;
    expect_content(store, &records)
}

fn a_load_continues_by_its_token(store: &dyn VectorRepository) -> Result<(), String> {
    let records = sample_records(COUNT).map_err(text)?;
    let border = records.get(123).map(|record| record.id.to_owned()).unwrap_or_default();
    let ranges = IdRange::split_at([border]);
    for (range, part) in ranges
        .iter()
        .zip([records.slice(0, 123).map_err(text)?, records.slice(123, COUNT).map_err(text)?])
    {
        // The handle is dropped after each range, as a crash would.
        let load = store.begin_load(&request(store, LoadMode::Replace, "one")).map_err(text)?;
        load.load_range(range, &mut batches(vec![part])).map_err(text)?;
    }
    let load = store.begin_load(&request(store, LoadMode::Replace, "one")).map_err(text)?;
    load.commit(&NoProgress).map_err(text)?;
    expect_content(store, &records)
}

fn abandon_removes_what_was_staged(store: &dyn VectorRepository) -> Result<(), String> {
    let records = loaded(store)?;
    let load = store.begin_load(&request(store, LoadMode::Replace, "two")).map_err(text)?;
    let part = records.slice(0, 5).map_err(text)?;
    load.load_range(&IdRange::all(), &mut batches(vec![part])).map_err(text)?;
    let left = load.abandon().map_err(text)?;
    ensure(left.is_empty(), || format!("left behind: {left:?}"))?;
    expect_content(store, &records)?;
    let again = store.begin_load(&request(store, LoadMode::Replace, "two")).map_err(text)?;
    let back = again.read_back(&IdRange::all()).map_err(text)?;
    let found = back.map_or(Ok(None), |mut back| back.next()).map_err(text)?;
    ensure(found.is_none(), || "an abandoned range came back".to_owned())?;
    again.abandon().map(|_| ()).map_err(text)
}

fn upsert_fetch_delete(store: &dyn VectorRepository) -> Result<(), String> {
    let records = sample_records(COUNT).map_err(text)?;
    load(store, &records.slice(0, 250).map_err(text)?, LoadMode::Replace)?;
    if store.capabilities().write == WriteCapability::None {
        return Ok(());
    }
    store.upsert(&name(), &records.slice(240, 60).map_err(text)?).map_err(text)?;
    expect_content(store, &records)?;
    let ids: Vec<_> = records.iter().skip(290).map(|record| record.id).collect();
    let mut asked: Vec<&str> = ids.iter().rev().copied().collect();
    asked.push("no such id");
    let fetched = store.fetch(&name(), &asked).map_err(text)?;
    expect_stream(Box::new(batches(vec![fetched])), records.iter().skip(290))?;
    let deleted = store.delete(&name(), &asked).map_err(text)?;
    ensure(deleted == 10, || format!("{deleted} deleted"))?;
    expect_content(store, &records.slice(0, 290).map_err(text)?)
}

fn exact_query_agrees_with_the_definition(store: &dyn VectorRepository) -> Result<(), String> {
    let capabilities = store.capabilities().clone();
    for metric in &capabilities.metrics {
        let records = sample_records(COUNT).map_err(text)?;
        let mut request = request(store, LoadMode::Replace, "one");
        request.contract.metric = Some(*metric);
        // A store may hold a metric only for vectors of unit length: it then refuses this load.
        let Ok(load) = store.begin_load(&request) else { continue };
        load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).map_err(text)?;
        load.commit(&NoProgress).map_err(text)?;
        for vector in records.iter().step_by(37).map(|record| record.vector) {
            let mut wanted = Nearest::new(5);
            for record in records.iter() {
                wanted.offer(record.id, distance(*metric, vector, record.vector));
            }
            let query = Query { vector, k: 5, filter: &Filter::none(), exact: true };
            let seen = store.query(&name(), &query).map_err(text)?;
            let wanted = wanted.into_hits();
            // Stores sum in single precision too: equal up to their rounding.
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * a.abs().max(b.abs()).max(1.0);
            let equal = seen.len() == wanted.len()
                && seen.iter().zip(&wanted).all(|(a, b)| near(a.distance, b.distance));
            ensure(equal, || format!("{metric}: wanted {wanted:?}, seen {seen:?}"))?;
        }
    }
    Ok(())
}

fn query_filters(store: &dyn VectorRepository) -> Result<(), String> {
    let records = loaded(store)?;
    let vector = records.get(0).map(|record| record.vector.to_vec()).unwrap_or_default();
    for filter in [r#"{"a":1}"#, r#"{"a":1.0,"t":"text"}"#, r#"{"score":0.685}"#, r#"{"a":2}"#] {
        let filter: Filter = serde_json::from_str(filter).map_err(|error| error.to_string())?;
        let query = Query { vector: &vector, k: COUNT, filter: &filter, exact: true };
        let mut seen: Vec<_> =
            store.query(&name(), &query).map_err(text)?.into_iter().map(|hit| hit.id).collect();
        seen.sort_unstable();
        let wanted: Vec<_> = records
            .iter()
            .filter(|record| filter.fits(record.metadata))
            .map(|record| record.id.to_owned())
            .collect();
        ensure(seen == wanted, || {
            format!("{filter:?}: wanted {} records, seen {}", wanted.len(), seen.len())
        })?;
    }
    Ok(())
}

fn several_collections(store: &dyn VectorRepository) -> Result<(), String> {
    if !store.capabilities().collections {
        return Ok(());
    }
    loaded(store)?;
    let other = CollectionName::new("other_384").map_err(|error| error.to_string())?;
    let mut second = request(store, LoadMode::Replace, "two");
    second.contract.name = other.clone();
    let few = sample_records(3).map_err(text)?;
    let load = store.begin_load(&second).map_err(text)?;
    load.load_range(&IdRange::all(), &mut batches(vec![few.clone()])).map_err(text)?;
    load.commit(&NoProgress).map_err(text)?;
    drop(load);
    let view = store.snapshot().map_err(text)?;
    let seen = view.collections().map_err(text)?;
    ensure(seen == [name(), other.clone()], || format!("{seen:?}"))?;
    expect_stream(view.scan(&other, &IdRange::all()).map_err(text)?, few.iter())?;
    drop(view);
    ensure(store.drop_collection(&other).map_err(text)?, || "it was not there".to_owned())?;
    ensure(!store.drop_collection(&other).map_err(text)?, || "it is still there".to_owned())?;
    let seen = store.snapshot().map_err(text)?.collections().map_err(text)?;
    ensure(seen == [name()], || format!("{seen:?}"))
}

fn a_snapshot_is_one_moment(store: &dyn VectorRepository) -> Result<(), String> {
    let records = loaded(store)?;
    let view = store.snapshot().map_err(text)?;
    view.describe(&name()).map_err(text)?;
    let first = records.get(0).map(|record| record.id).unwrap_or_default();
    store.delete(&name(), &[first]).map_err(text)?;
    let seen = view
        .scan(&name(), &IdRange::all())
        .map_err(text)
        .and_then(|stream| expect_stream(stream, records.iter()));
    match (store.capabilities().read, seen) {
        (_, Ok(())) => Ok(()),
        (ReadConsistency::ChangeDetected, Err(seen)) if seen.contains("store.changed") => Ok(()),
        (_, Err(seen)) => Err(seen),
    }
}

fn missing_collections_are_named(store: &dyn VectorRepository) -> Result<(), String> {
    loaded(store)?;
    let none = CollectionName::new("nowhere").map_err(|error| error.to_string())?;
    let view = store.snapshot().map_err(text)?;
    let Err(error) = view.describe(&none) else { return Err("described".to_owned()) };
    ensure(error.to_string().contains("nowhere") && error.code() == Code::STORE_NOT_FOUND, || {
        text(error)
    })
}

fn other_dimensions_are_refused(store: &dyn VectorRepository) -> Result<(), String> {
    loaded(store)?;
    let wrong = Records::collect(
        3,
        [RecordRef {
            id: "wrong",
            vector: &[1.0, 2.0, 3.0],
            metadata: "{}",
            version: None,
            source_hash: None,
            created_ts: None,
            updated_ts: None,
        }],
    )
    .map_err(text)?;
    let Err(error) = store.upsert(&name(), &wrong) else { return Err("taken".to_owned()) };
    ensure(error.code() == Code::RECORD_VECTOR, || text(error))
}
