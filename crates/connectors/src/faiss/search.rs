//! Exact search: every vector is compared, on all cores.

use std::ops::Range;
use std::thread;

use carnet_connect::{Hit, Nearest, Query, RecordStream, StoreError, distance, shorten};
use carnet_model::{Code, Metric};

use super::collection::Collection;
use super::cores;

/// The nearest records of a collection.
pub(super) fn search(collection: &Collection, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
    let name = &collection.contract.name;
    let metric = collection.contract.metric.ok_or_else(|| {
        StoreError::new(Code::STORE_UNSUPPORTED, format!("{name} declares no metric"))
    })?;
    if query.vector.len() != collection.index.dimensions() {
        return Err(StoreError::new(
            Code::RECORD_VECTOR,
            format!(
                "the query has {} dimensions, the collection {} has {}",
                query.vector.len(),
                shorten(name.as_str()),
                collection.index.dimensions()
            ),
        ));
    }
    let len = collection.index.len();
    let step = len.div_ceil(cores()).max(1);
    let spans: Vec<_> = (0..len).step_by(step).map(|at| at..len.min(at + step)).collect();
    let mut nearest = Nearest::new(query.k);
    let parts = thread::scope(|scope| {
        let workers: Vec<_> = spans
            .into_iter()
            .map(|span| scope.spawn(move || part(collection, metric, query, span)))
            .collect();
        let panicked = |_| StoreError::new(Code::BUG, "a search thread panicked");
        workers
            .into_iter()
            .map(|worker| worker.join().map_err(panicked).and_then(|part| part))
            .collect::<Result<Vec<_>, _>>()
    })?;
    for part in parts {
        nearest.join(part);
    }
    collection.ensure_unchanged()?;
    Ok(nearest.into_hits())
}

fn part(
    collection: &Collection,
    metric: Metric,
    query: &Query<'_>,
    rows: Range<usize>,
) -> Result<Nearest, StoreError> {
    let mut nearest = Nearest::new(query.k);
    if query.filter.is_empty() {
        let (order, slots) = (collection.order()?, collection.slots()?);
        let mut vector = Vec::with_capacity(collection.index.dimensions());
        for row in rows {
            vector.clear();
            collection.gather(slots.of(row), &mut vector)?;
            nearest.offer(order.id(row), distance(metric, query.vector, &vector));
        }
        return Ok(nearest);
    }
    let mut scan = collection.scan_rows(rows)?;
    while let Some(batch) = scan.next()? {
        for record in batch.iter().filter(|record| query.filter.fits(record.metadata)) {
            nearest.offer(record.id, distance(metric, query.vector, record.vector));
        }
    }
    Ok(nearest)
}
