//! The ids of a table in byte order with the addresses of their rows: how a table without a fitting
//! index is read range by range. The table is read once for its ids, whatever the number of ranges;
//! vectors and metadata are never held. Looking at every id also proves that they are unique.

use carnet_connect::{IdRange, StoreError, check_id};
use carnet_model::Code;
use postgres::Client;

use super::decode::{cannot_read, follows, wire_failed};
use super::error::failed;
use super::scan::{FREELY, Statements};
use super::table::Table;
use super::wire::{RowReader, read_tid};

/// How many rows one statement fetches.
const CHUNK: usize = 2_048;

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u64,
    length: u16,
    offset: u16,
    block: u32,
}

/// All ids of a collection, in byte order.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    text: String,
    entries: Vec<Entry>,
}

impl Addresses {
    /// Reads and sorts the ids. Refused: no id, an empty or overlong one (`record.id`), one that
    /// stands twice (`record.duplicate`).
    pub(super) fn read(client: &mut Client, table: &Table) -> Result<Self, StoreError> {
        let place = table.place();
        let cannot = |error| failed(format!("cannot read the ids of {place}"), error);
        client.batch_execute(FREELY).map_err(cannot)?;
        let copy = format!(
            "COPY (SELECT {}, t.ctid FROM {} t WHERE {}) TO STDOUT (FORMAT binary)",
            table.id_text(),
            table.sql(),
            table.condition()
        );
        let mut rows = RowReader::new(client.copy_out(copy.as_str()).map_err(cannot)?);
        let mut found = Self::default();
        let wire = |error| wire_failed(&place, error);
        while let Some(mut row) = rows.next().map_err(wire)? {
            let Some(id) = row.field().map_err(wire)? else {
                let what = format!("a row of {place} has no id");
                return Err(StoreError::new(Code::RECORD_ID, what).remedy("give each row an id"));
            };
            let id = std::str::from_utf8(id).map_err(|error| {
                StoreError::new(Code::RECORD_ID, format!("an id of {place} is not UTF-8"))
                    .because(error)
            })?;
            let address = row.field().map_err(wire)?.unwrap_or_default();
            let address = read_tid(address).map_err(wire)?;
            found.add(id, address).map_err(|error| cannot_read(&place, error))?;
        }
        drop(rows);
        found.sort(&place)?;
        Ok(found)
    }

    fn add(&mut self, id: &str, (block, offset): (u32, u16)) -> Result<(), StoreError> {
        check_id(id)?;
        let length = u16::try_from(id.len()).unwrap_or(u16::MAX);
        self.entries.push(Entry { start: self.text.len() as u64, length, offset, block });
        self.text.push_str(id);
        Ok(())
    }

    fn sort(&mut self, place: &str) -> Result<(), StoreError> {
        let text = std::mem::take(&mut self.text);
        self.entries.sort_unstable_by(|a, b| id_of(&text, a).cmp(id_of(&text, b)));
        self.text = text;
        self.entries.windows(2).try_for_each(|pair| match pair {
            [a, b] => follows(id_of(&self.text, a), id_of(&self.text, b), place),
            _ => Ok(()),
        })
    }

    /// About `parts` ranges of equal size.
    pub(super) fn ranges(&self, parts: usize) -> Vec<IdRange> {
        let step = self.entries.len().div_ceil(parts.max(1)).max(1);
        let borders = self.entries.iter().step_by(step).skip(1);
        IdRange::split_at(borders.map(|entry| id_of(&self.text, entry).to_owned()))
    }

    /// Statements that give the rows of a range in order, a few thousand each.
    pub(super) fn statements(
        self: std::sync::Arc<Self>,
        range: &IdRange,
        table: &Table,
    ) -> Statements {
        let border = |id: &Option<String>, open: usize| match id {
            Some(id) => {
                self.entries.partition_point(|entry| id_of(&self.text, entry) < id.as_str())
            }
            None => open,
        };
        let mut at = border(&range.from, 0);
        let end = border(&range.to, self.entries.len());
        let (list, place) = (table.select_list(), table.sql());
        Box::new(move || {
            let until = end.min(at + CHUNK);
            let chunk = self.entries.get(at..until).filter(|chunk| !chunk.is_empty())?;
            at = until;
            let addresses: Vec<_> = chunk
                .iter()
                .map(|entry| format!("\"({},{})\"", entry.block, entry.offset))
                .collect();
            Some(format!(
                "SELECT {list} FROM unnest('{{{}}}'::tid[]) WITH ORDINALITY AS o(address, n) \
                 JOIN {place} t ON t.ctid = o.address ORDER BY o.n",
                addresses.join(",")
            ))
        })
    }
}

fn id_of<'t>(text: &'t str, entry: &Entry) -> &'t str {
    let start = usize::try_from(entry.start).unwrap_or(usize::MAX);
    text.get(start..start + usize::from(entry.length)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[&str]) -> Result<Addresses, StoreError> {
        let mut found = Addresses::default();
        for (n, id) in ids.iter().enumerate() {
            found.add(id, (u32::try_from(n).unwrap(), 1))?;
        }
        found.sort("here").map(|()| found)
    }

    #[test]
    fn ids_are_sorted_by_bytes_and_cut_into_equal_parts() {
        let found = of(&["b", "B", "é", "a", "Z", "10", "9"]).unwrap();
        let order: Vec<_> = found.entries.iter().map(|e| id_of(&found.text, e)).collect();
        assert_eq!(order, ["10", "9", "B", "Z", "a", "b", "é"]);
        assert_eq!(
            (found.entries.len(), found.ranges(3).len(), found.ranges(100).len()),
            (7, 3, 7)
        );
        assert_eq!(of(&[]).unwrap().ranges(4), [IdRange::all()]);
    }

    #[test]
    fn empty_and_doubled_ids_are_refused() {
        assert_eq!(of(&["a", ""]).unwrap_err().code(), Code::RECORD_ID);
        let error = of(&["a", "b", "a"]).unwrap_err();
        assert_eq!(error.code(), Code::RECORD_DUPLICATE);
        assert!(error.to_string().contains("\"a\""), "{error}");
    }
}
