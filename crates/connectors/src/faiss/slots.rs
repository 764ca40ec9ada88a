//! Which vector belongs to which row.

use carnet_connect::StoreError;
use carnet_model::Code;

use super::format::Index;

/// The slot of each row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slots {
    /// Row and slot are one.
    Same,
    /// By row.
    Map(Vec<u32>),
}

impl Slots {
    /// The slot of a row.
    pub(super) fn of(&self, row: usize) -> usize {
        match self {
            Self::Same => row,
            // A row past the end has no slot: the largest number is beyond every index.
            Self::Map(slots) => slots.get(row).map_or(usize::MAX, |slot| *slot as usize),
        }
    }

    /// Finds the slot of each row by the label of its vector: its `faiss_id`, or its own number.
    pub(super) fn find(
        index: &Index,
        bytes: &[u8],
        faiss_ids: Option<&[i64]>,
    ) -> Result<Self, StoreError> {
        if faiss_ids.is_none() && index.is_positional() {
            return Ok(Self::Same);
        }
        let labels = labels(index, bytes)?;
        let by_label = |label: i64| {
            let at = labels.binary_search_by_key(&label, |(label, _)| *label).ok()?;
            labels.get(at).map(|(_, slot)| *slot)
        };
        let mut slots = Vec::with_capacity(index.len());
        let mut seen = vec![false; index.len()];
        for row in 0..index.len() {
            let number = i64::try_from(row).unwrap_or(i64::MAX);
            let label = faiss_ids.map_or(Some(number), |ids| ids.get(row).copied());
            let slot = label.and_then(by_label);
            let slot = slot.ok_or_else(|| unmatched(row, label, faiss_ids.is_some()))?;
            if let Some(seen) = seen.get_mut(slot as usize)
                && std::mem::replace(seen, true)
            {
                return Err(StoreError::new(
                    Code::FAISS_ROWS,
                    format!("row {row} has the same faiss_id as an earlier one"),
                )
                .remedy("give each row the id that its own vector has in the index"));
            }
            slots.push(slot);
        }
        let same = slots.iter().enumerate().all(|(row, slot)| row == *slot as usize);
        Ok(if same { Self::Same } else { Self::Map(slots) })
    }
}

fn unmatched(row: usize, label: Option<i64>, named: bool) -> StoreError {
    let label = label.unwrap_or(-1);
    let error = |what| StoreError::new(Code::FAISS_ROWS, what);
    if named {
        error(format!("row {row} has the faiss_id {label}, which no vector of the index has"))
            .remedy("give each row the id that its vector has in the index")
    } else {
        error(format!("the index has ids of its own, none of them {label}"))
            .remedy("add the column faiss_id to the metadata: the id of each row's vector")
    }
}

/// Every label with its slot, by label. Refused: a label that stands twice.
fn labels(index: &Index, bytes: &[u8]) -> Result<Vec<(i64, u32)>, StoreError> {
    let mut labels = Vec::with_capacity(index.len());
    for slot in 0..index.len() {
        let label = index.label(bytes, slot);
        let entry = label.zip(u32::try_from(slot).ok()).ok_or_else(|| {
            StoreError::new(
                Code::FAISS_MALFORMED,
                format!("the index has no label for slot {slot}"),
            )
        })?;
        labels.push(entry);
    }
    labels.sort_unstable();
    let twice = labels.iter().zip(labels.iter().skip(1)).find(|(a, b)| a.0 == b.0);
    match twice.map(|((label, _), _)| *label) {
        None => Ok(labels),
        Some(label) => Err(StoreError::new(
            Code::FAISS_ROWS,
            format!("the id {label} stands twice in the index"),
        )
        .remedy("remove the vectors that were replaced from the index")),
    }
}
