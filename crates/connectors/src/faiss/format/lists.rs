//! Inverted lists: the vectors of an IVF index, cell by cell, each list's codes before its ids.

use super::FormatError;
use super::cursor::{Cursor, Run, word};
use super::kind::Refused;

/// The non-empty lists of an index, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lists {
    filled: Vec<List>,
    len: usize,
    code_size: usize,
}

/// One list. Its length is the distance to the first slot of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct List {
    /// Its number: the centroid that its vectors are near.
    number: usize,
    /// The slot of its first vector, counted over all lists.
    first: usize,
    /// Where its codes begin; its ids follow them.
    codes: usize,
}

/// Where the vector of one slot is.
pub(super) struct Entry {
    /// The list's number.
    pub(super) list: usize,
    /// Where the code begins.
    pub(super) code: usize,
    /// Where the id stands.
    pub(super) id: usize,
}

impl Lists {
    /// Reads the list headers of an index with `nlist` cells and `len` vectors of `code_size` bytes.
    pub(super) fn read(
        cursor: &mut Cursor<'_>,
        bytes: &[u8],
        nlist: u64,
        len: usize,
        code_size: usize,
    ) -> Result<Self, FormatError> {
        let tag = cursor.tag()?;
        if &tag != b"ilar" {
            return Err(FormatError::Kind(Refused::by_tag(tag)));
        }
        if cursor.u64("the number of lists")? != nlist {
            return Err(cursor.wrong(format!("the index has {nlist} cells, its lists disagree")));
        }
        if cursor.u64("the size of a code")? != code_size as u64 {
            return Err(cursor.wrong(format!("codes of another size than {code_size} bytes")));
        }
        let sizes = Sizes::read(cursor, bytes, nlist)?;
        // Each list that is not empty has at least one code and one id in what is left.
        let filled = sizes.iter().filter(|(_, size)| *size > 0).count();
        if filled.saturating_mul(code_size + 8) > cursor.left() {
            return Err(cursor.wrong(format!("{filled} lists, but {} bytes left", cursor.left())));
        }
        let mut lists = Vec::with_capacity(filled);
        let mut first = 0_usize;
        for (number, size) in sizes.iter().filter(|(_, size)| *size > 0) {
            let rising = lists.last().is_none_or(|last: &List| (last.number as u64) < number);
            let cell = usize::try_from(number).ok().filter(|_| rising && number < nlist);
            let number =
                cell.ok_or_else(|| cursor.wrong(format!("list {number} of {nlist} out of order")))?;
            let size =
                usize::try_from(size).map_err(|_| cursor.wrong("a list larger than the file"))?;
            let codes = cursor.run(size, code_size, "a list's codes")?;
            cursor.run(size, 8, "a list's ids")?;
            lists.push(List { number, first, codes: codes.start });
            first = first.saturating_add(size);
        }
        if first != len {
            return Err(cursor.wrong(format!("{len} vectors announced, {first} in the lists")));
        }
        Ok(Self { filled: lists, len, code_size })
    }

    /// Where the vector of a slot is.
    pub(super) fn entry(&self, slot: usize) -> Option<Entry> {
        if slot >= self.len {
            return None;
        }
        let after = self.filled.partition_point(|list| list.first <= slot);
        let list = self.filled.get(after.checked_sub(1)?)?;
        let end = self.filled.get(after).map_or(self.len, |next| next.first);
        let within = slot - list.first;
        Some(Entry {
            list: list.number,
            code: list.codes + within * self.code_size,
            id: list.codes + (end - list.first) * self.code_size + within * 8,
        })
    }
}

/// The size of each list, in one of two forms: one size per cell, or pairs of number and size for
/// the cells that hold something.
struct Sizes<'a> {
    bytes: &'a [u8],
    run: Run,
    sparse: bool,
}

impl<'a> Sizes<'a> {
    fn read(cursor: &mut Cursor<'_>, bytes: &'a [u8], nlist: u64) -> Result<Self, FormatError> {
        let sparse = match &cursor.tag()? {
            b"full" => false,
            b"sprs" => true,
            _ => return Err(cursor.wrong("list sizes that are neither `full` nor `sprs`")),
        };
        let run = cursor.vector(8, "the list sizes")?;
        if sparse && run.count % 2 != 0 {
            return Err(cursor.wrong("half a pair of list number and size"));
        }
        if !sparse && run.count as u64 != nlist {
            return Err(cursor.wrong(format!("{} sizes for {nlist} lists", run.count)));
        }
        Ok(Self { bytes, run, sparse })
    }

    /// Number and size of each list.
    fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let word = |index: usize| word(self.bytes, self.run.start + index * 8).unwrap_or(0);
        let count = if self.sparse { self.run.count / 2 } else { self.run.count };
        (0..count).map(move |index| {
            if self.sparse {
                (word(index * 2), word(index * 2 + 1))
            } else {
                (index as u64, word(index))
            }
        })
    }
}
