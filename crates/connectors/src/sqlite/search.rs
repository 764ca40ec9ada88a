//! Search. sqlite-vec measures L2 and cosine in single precision inside of SQLite; what may be
//! among the nearest is measured again in double precision, as every store does, so that the
//! answer is the same whatever store gives it.
//!
//! Of L2 its answer tells when it overflowed, so that nothing near is ever passed over. Of cosine
//! it does not: the squares of very large and very small vectors are lost without a trace. So an
//! exact search by cosine is measured here alone, as is inner product, which sqlite-vec lacks.

use carnet_connect::{Hit, IdRange, Nearest, Query, StoreError, StoreSnapshot as _, distance};
use carnet_model::{Code, CollectionName, Metric};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::failure::failed;
use super::rows::{id_of, read_vector};
use super::schema::Table;
use super::view::{SqliteView, condition};

/// The nearest records.
pub(super) fn nearest(
    view: &SqliteView<'_>,
    name: &CollectionName,
    query: &Query<'_>,
    ranges: &[IdRange],
) -> Result<Vec<Hit>, StoreError> {
    let held = view.table(name)?;
    let (table, contract) = (&held.0, &held.1);
    let metric = contract.metric.ok_or_else(|| {
        StoreError::new(Code::STORE_UNSUPPORTED, format!("{name} declares no metric"))
            .remedy("declare its metric")
    })?;
    if query.vector.len() != table.dimensions as usize {
        return Err(super::other_dimensions(name, query.vector.len()));
    }
    let search = Search { table, metric, query };
    let found = std::thread::scope(|scope| {
        let workers: Vec<_> = ranges
            .iter()
            .map(|range| scope.spawn(|| view.with(|connection| search.range(connection, range))))
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(StoreError::new(Code::BUG, "a search panicked")))
            })
            .collect::<Vec<_>>()
    });
    let mut nearest = Nearest::new(query.k);
    for part in found {
        if let Some(part) = part? {
            nearest.join(part);
        }
    }
    Ok(nearest.into_hits())
}

/// How many parts a search is worth: one per worker, once the collection is of some size.
pub(super) fn parts(
    view: &SqliteView<'_>,
    name: &CollectionName,
    workers: usize,
) -> Result<Vec<IdRange>, StoreError> {
    const WORTH_SPLITTING: u64 = 4_096;
    if view.describe(name)?.records < WORTH_SPLITTING {
        return Ok(vec![IdRange::all()]);
    }
    view.ranges(name, workers)
}

struct Search<'a> {
    table: &'a Table,
    metric: Metric,
    query: &'a Query<'a>,
}

impl Search<'_> {
    fn range(&self, connection: &Connection, range: &IdRange) -> Result<Nearest, StoreError> {
        let name = &self.table.name;
        let cannot = |source| failed(format!("cannot search {name}"), source);
        let function = match self.metric {
            Metric::L2 => Some("vec_distance_L2(vector, ?)"),
            Metric::Cosine if !self.query.exact => Some("vec_distance_cosine(vector, ?)"),
            Metric::Cosine | Metric::InnerProduct => None,
        };
        let (condition, values) = condition(range, None);
        let bytes = self.table.dimensions as usize * 4;
        // A vector of another length is left to `read_vector`, whose error names the record.
        let sql = format!(
            "SELECT id, vector, metadata, \
             CASE WHEN typeof(vector) = 'blob' AND length(vector) = {bytes} THEN {} END \
             FROM \"{name}\"{condition}",
            function.unwrap_or("NULL")
        );
        let wanted: Vec<u8> =
            self.query.vector.iter().flat_map(|float| float.to_le_bytes()).collect();
        let mut statement = connection.prepare_cached(&sql).map_err(cannot)?;
        if function.is_some() {
            statement.raw_bind_parameter(1, &wanted).map_err(cannot)?;
        }
        for (value, position) in values.iter().zip(1 + usize::from(function.is_some())..) {
            statement.raw_bind_parameter(position, value).map_err(cannot)?;
        }
        let mut rows = statement.raw_query();
        let mut nearest = Nearest::new(self.query.k);
        let mut vector = Vec::new();
        while let Some(row) = rows.next().map_err(cannot)? {
            let approximate: Option<f64> = row.get(3).map_err(cannot)?;
            if self.too_far(approximate, nearest.worst()) {
                continue;
            }
            let id = id_of(self.table, row.get_ref(0).map_err(cannot)?)?;
            read_vector(self.table, id, row.get_ref(1).map_err(cannot)?, &mut vector)?;
            let exact = distance(self.metric, self.query.vector, &vector);
            if nearest.worst().is_some_and(|worst| exact > worst) {
                continue;
            }
            let fits = self.query.filter.is_empty()
                || match row.get_ref(2).map_err(cannot)? {
                    ValueRef::Text(text) => std::str::from_utf8(text)
                        .is_ok_and(|metadata| self.query.filter.fits(metadata)),
                    ValueRef::Null
                    | ValueRef::Integer(_)
                    | ValueRef::Real(_)
                    | ValueRef::Blob(_) => false,
                };
            if fits {
                nearest.offer(id, exact);
            }
        }
        Ok(nearest)
    }

    /// Whether the record is too far away even if every rounding of sqlite-vec went against it.
    /// A sum of `d` products in single precision is off by at most `d` half-ulps, relative to the
    /// sum of their magnitudes; the margins are several times that. What overflowed is not told.
    fn too_far(&self, approximate: Option<f64>, worst: Option<f64>) -> bool {
        let (Some(approximate), Some(worst)) = (approximate, worst) else { return false };
        if !approximate.is_finite() {
            return false;
        }
        let margin = f64::from(self.table.dimensions + 8) * f64::from(f32::EPSILON);
        match self.metric {
            Metric::L2 => approximate * (1.0 - margin) > worst,
            Metric::Cosine => approximate - 4.0 * margin > worst,
            Metric::InnerProduct => false,
        }
    }
}
