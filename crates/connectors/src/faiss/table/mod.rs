//! The table of metadata beside an index: `metadata.parquet` or `metadata.sqlite`.

mod columns;
mod json;
mod parquet;
mod spool;
mod sqlite;
mod value;

use std::ops::Range;
use std::sync::Arc;

use carnet_connect::StoreError;
use carnet_model::Code;

pub(super) use columns::TableRows;
pub(super) use json::faiss_id;
pub(super) use spool::Spool;

use self::parquet::ParquetTable;
use self::sqlite::SqliteTable;
use super::cores;
use super::once::Once;
use super::place::{PARQUET, Place, SQLITE};

/// An open table. Rows are numbered in the table's own order.
#[derive(Debug)]
pub(super) struct Table {
    source: Source,
    spool: Once<Spool>,
}

#[derive(Debug)]
enum Source {
    Parquet(ParquetTable),
    Sqlite(SqliteTable),
}

/// Consecutive rows, batch by batch.
pub(super) type RowBatches<'t> =
    Box<dyn Iterator<Item = Result<TableRows, StoreError>> + Send + 't>;

impl Table {
    /// Opens whichever of the two tables is there, without the columns to drop.
    pub(super) fn open(place: &Place, drop: &[String]) -> Result<Self, StoreError> {
        let (parquet, sqlite) = (place.file(PARQUET), place.file(SQLITE));
        let source = match (parquet.exists(), sqlite.exists()) {
            (true, true) => {
                let dir = place.dir().display();
                return Err(StoreError::new(
                    Code::STORE_MALFORMED,
                    format!("{dir} has both {PARQUET} and {SQLITE}"),
                )
                .remedy("remove the one that does not belong to the index"));
            }
            (false, false) => {
                let dir = place.dir().display();
                return Err(StoreError::new(
                    Code::STORE_NOT_FOUND,
                    format!("{dir} has neither {PARQUET} nor {SQLITE}"),
                )
                .remedy("write a row with the id of each vector, in the order of the index"));
            }
            (false, true) => Source::Sqlite(SqliteTable::open(&sqlite, drop)?),
            (true, false) => Source::Parquet(ParquetTable::open(&parquet, drop)?),
        };
        Ok(Self { source, spool: Once::default() })
    }

    /// Whether it is the form that Carnet writes.
    pub(super) const fn is_parquet(&self) -> bool {
        matches!(self.source, Source::Parquet(_))
    }

    /// How many rows.
    pub(super) fn len(&self) -> usize {
        match &self.source {
            Source::Parquet(table) => table.len(),
            Source::Sqlite(table) => table.len(),
        }
    }

    /// The columns that travel in the metadata.
    pub(super) fn carried_columns(&self) -> &[String] {
        match &self.source {
            Source::Parquet(table) => table.carried_columns(),
            Source::Sqlite(table) => table.carried_columns(),
        }
    }

    /// The FAISS id of each row, if the table has that column.
    pub(super) fn faiss_ids(&self) -> Result<Option<Vec<i64>>, StoreError> {
        match &self.source {
            Source::Parquet(table) if table.has_faiss_ids() => table.faiss_ids().map(Some),
            Source::Sqlite(table) if table.has_faiss_ids() => table.faiss_ids().map(Some),
            Source::Parquet(_) | Source::Sqlite(_) => Ok(None),
        }
    }

    /// Calls `take` with the id of each row in turn.
    pub(super) fn each_id(
        &self,
        take: &mut dyn FnMut(&str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match &self.source {
            Source::Parquet(table) => table.each_id(take),
            Source::Sqlite(_) => {
                let spool = self.spool()?;
                (0..self.len()).try_for_each(|row| take(spool.row(row)?.id))
            }
        }
    }

    /// Consecutive rows, where the table can be read from the middle; else `None`, and the spool
    /// has them.
    pub(super) fn rows(&self, rows: Range<usize>) -> Result<Option<RowBatches<'_>>, StoreError> {
        match &self.source {
            Source::Parquet(table) if table.can_skip() => Ok(Some(table.rows(&[rows])?)),
            Source::Parquet(_) | Source::Sqlite(_) => Ok(None),
        }
    }

    /// Single rows in ascending order, under the same condition.
    pub(super) fn picked(&self, rows: &[usize]) -> Result<Option<RowBatches<'_>>, StoreError> {
        let spans: Vec<_> = rows.iter().map(|row| *row..row + 1).collect();
        match &self.source {
            Source::Parquet(table) if table.can_skip() => Ok(Some(table.rows(&spans)?)),
            Source::Parquet(_) | Source::Sqlite(_) => Ok(None),
        }
    }

    /// The whole table in a temporary file, where each row can be reached at once. Made when it is
    /// first asked for.
    pub(super) fn spool(&self) -> Result<Arc<Spool>, StoreError> {
        self.spool.get_or_try(|| match &self.source {
            Source::Parquet(table) => {
                Spool::fill(table.spans(cores()), &|rows| table.rows(&[rows]))
            }
            Source::Sqlite(table) => table.spool(),
        })
    }

    /// Fails with `store.changed` if the table is not what it was when it was opened.
    pub(super) fn ensure_unchanged(&self) -> Result<(), StoreError> {
        match &self.source {
            Source::Parquet(table) => table.ensure_unchanged(),
            Source::Sqlite(table) => table.ensure_unchanged(),
        }
    }
}
