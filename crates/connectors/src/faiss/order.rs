//! The ids of a collection in memory, and the order that they stand in.

use carnet_connect::{IdRange, StoreError, shorten};
use carnet_model::Code;

use super::table::Table;

/// Every id, by row, and the rows in byte order of id.
#[derive(Debug)]
pub(super) struct Order {
    text: String,
    ends: Vec<usize>,
    /// The row of each rank; `None` if the rows stand in order.
    by_id: Option<Vec<u32>>,
}

impl Order {
    /// Reads the ids of a table. Refused: an id that stands twice.
    pub(super) fn read(table: &Table) -> Result<Self, StoreError> {
        let mut order = Self { text: String::new(), ends: Vec::new(), by_id: None };
        let mut ascending = true;
        order.ends.reserve_exact(table.len());
        table.each_id(&mut |id| {
            ascending &= order.ends.is_empty() || order.id(order.ends.len() - 1) < id;
            order.text.push_str(id);
            order.ends.push(order.text.len());
            Ok(())
        })?;
        order.text.shrink_to_fit();
        if !ascending {
            order.sort()?;
        }
        Ok(order)
    }

    fn sort(&mut self) -> Result<(), StoreError> {
        let rows = u32::try_from(self.ends.len()).map_err(|error| {
            StoreError::new(Code::STORE_UNSUPPORTED, "more rows than can be put in order")
                .because(error)
        })?;
        let mut by_id: Vec<u32> = (0..rows).collect();
        by_id.sort_unstable_by(|a, b| self.id(*a as usize).cmp(self.id(*b as usize)));
        for (a, b) in by_id.iter().zip(by_id.iter().skip(1)) {
            let id = self.id(*a as usize);
            if id == self.id(*b as usize) {
                let (first, second) = (a.min(b), a.max(b));
                return Err(StoreError::new(
                    Code::RECORD_DUPLICATE,
                    format!("the id {:?} stands in rows {first} and {second}", shorten(id)),
                )
                .remedy("give each record an id of its own"));
            }
        }
        self.by_id = Some(by_id);
        Ok(())
    }

    /// How many ids.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the rows stand in byte order of id.
    pub(super) fn is_sorted(&self) -> bool {
        self.by_id.is_none()
    }

    /// The id of a row; empty past the end.
    pub(super) fn id(&self, row: usize) -> &str {
        let end = self.ends.get(row).copied().unwrap_or(0);
        let start = row.checked_sub(1).and_then(|row| self.ends.get(row)).copied().unwrap_or(0);
        self.text.get(start..end).unwrap_or("")
    }

    /// The row of a rank.
    pub(super) fn row(&self, rank: usize) -> usize {
        match &self.by_id {
            None => rank,
            Some(rows) => rows.get(rank).map_or(rank, |row| *row as usize),
        }
    }

    /// The ranks of the ids in a range.
    pub(super) fn ranks(&self, range: &IdRange) -> std::ops::Range<usize> {
        let border = |id: &Option<String>, open| id.as_ref().map_or(open, |id| self.rank(id));
        let (start, end) = (border(&range.from, 0), border(&range.to, self.len()));
        start..end.max(start)
    }

    /// The row of an id.
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        let rank = self.rank(id);
        (rank < self.len() && self.id(self.row(rank)) == id).then(|| self.row(rank))
    }

    /// How many ids come before this one.
    fn rank(&self, id: &str) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.id(self.row(middle)) < id { low = middle + 1 } else { high = middle }
        }
        low
    }
}
