//! Vectors straight from the pages of a Parquet file.
//!
//! The general reader decodes a list of *d* singles through one repetition and one definition level
//! for every element, which costs more than all the rest. Here the levels are checked run by run
//! (each row starts a list, every list has *d* elements, none is empty), and the elements are joined
//! from their byte streams.

use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

/// Where the vectors are among the columns, if they have the form that this module reads: lists that
/// may not be absent, of singles split into byte streams, without a dictionary.
pub(crate) fn vector_leaf(metadata: &ArrowReaderMetadata) -> Option<usize> {
    let schema = metadata.parquet_schema();
    let leaf = schema.columns().iter().position(|column| {
        column.path().parts().first().is_some_and(|name| name == "vector")
            && column.physical_type() == Type::FLOAT
            && (column.max_def_level(), column.max_rep_level()) == (1, 1)
    })?;
    let in_form = metadata.metadata().row_groups().iter().all(|group| {
        group.columns().get(leaf).is_some_and(|chunk| {
            chunk.dictionary_page_offset().is_none()
                && chunk
                    .encodings()
                    .all(|e| matches!(e, Encoding::BYTE_STREAM_SPLIT | Encoding::RLE))
        })
    });
    in_form.then_some(leaf)
}

/// The elements of the vectors of some row groups, in order.
pub(crate) struct VectorPages<R: ChunkReader> {
    file: Arc<R>,
    metadata: ArrowReaderMetadata,
    leaf: usize,
    dimensions: usize,
    /// Row groups still to read.
    groups: std::vec::IntoIter<usize>,
    pages: Option<SerializedPageReader<R>>,
    /// Elements of the current row group that its pages have not given yet.
    left: usize,
    /// Elements of the current row group so far: where in its list the next one stands.
    seen: usize,
    page: Streams,
}

/// The four byte streams of one page.
#[derive(Default)]
struct Streams {
    bytes: Bytes,
    count: usize,
    taken: usize,
}

fn wrong(what: &str) -> ParquetError {
    ParquetError::General(format!("column vector: {what}"))
}

impl<R: ChunkReader + 'static> VectorPages<R> {
    pub(crate) fn new(
        file: Arc<R>,
        metadata: ArrowReaderMetadata,
        leaf: usize,
        dimensions: usize,
        groups: Vec<usize>,
    ) -> Self {
        Self {
            file,
            metadata,
            leaf,
            dimensions: dimensions.max(1),
            groups: groups.into_iter(),
            pages: None,
            left: 0,
            seen: 0,
            page: Streams::default(),
        }
    }

    /// The elements of the next rows. Fewer are an error.
    pub(crate) fn take(&mut self, rows: usize) -> Result<Vec<f32>> {
        let wanted = rows.checked_mul(self.dimensions).ok_or_else(|| wrong("too many rows"))?;
        let mut elements = Vec::with_capacity(wanted);
        while elements.len() < wanted {
            if self.page.taken == self.page.count && !self.next_page()? {
                return Err(wrong("fewer vectors than rows"));
            }
            self.page.join(wanted - elements.len(), &mut elements)?;
        }
        Ok(elements)
    }

    /// Goes to the next page that has elements; `false` at the end.
    fn next_page(&mut self) -> Result<bool> {
        loop {
            let Some(pages) = &mut self.pages else {
                let Some(group) = self.groups.next() else { return Ok(false) };
                self.open(group)?;
                continue;
            };
            let Some(page) = pages.get_next_page()? else {
                if self.left > 0 {
                    return Err(wrong("a row group ends early"));
                }
                self.pages = None;
                continue;
            };
            self.page = self.streams_of(page)?;
            if self.page.count > 0 {
                return Ok(true);
            }
        }
    }

    fn open(&mut self, group: usize) -> Result<()> {
        let held = self.metadata.metadata().row_groups().get(group);
        let held = held.ok_or_else(|| wrong("no such row group"))?;
        let chunk = held.columns().get(self.leaf).ok_or_else(|| wrong("no such column"))?;
        let rows = usize::try_from(held.num_rows()).map_err(|_| wrong("a negative count"))?;
        let file = Arc::clone(&self.file);
        self.pages = Some(SerializedPageReader::new(file, chunk, rows, None)?);
        self.left = rows.checked_mul(self.dimensions).ok_or_else(|| wrong("too many rows"))?;
        self.seen = 0;
        Ok(())
    }

    /// Checks a page and gives its streams.
    fn streams_of(&mut self, page: Page) -> Result<Streams> {
        let Page::DataPage {
            buf,
            num_values,
            encoding: Encoding::BYTE_STREAM_SPLIT,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            ..
        } = page
        else {
            return Err(wrong("a page of another form"));
        };
        let count = num_values as usize;
        self.left =
            self.left.checked_sub(count).ok_or_else(|| wrong("more elements than rows have"))?;
        let (first, d) = (self.seen, self.dimensions);
        let lists = check_levels(
            &buf,
            0,
            count,
            |begin, end, one| {
                // A list starts (0) at each multiple of d, and nowhere else.
                let next_start = begin.div_ceil(d).checked_mul(d);
                if one {
                    next_start.is_none_or(|start| start >= end)
                } else {
                    begin.is_multiple_of(d) && (end - begin == 1 || d == 1)
                }
            },
            first,
        )?;
        let values = check_levels(&buf, lists, count, |_, _, one| one, first)?;
        self.seen = first + count;
        let bytes = buf.slice(values..);
        if bytes.len() != count.checked_mul(4).ok_or_else(|| wrong("too many elements"))? {
            return Err(wrong("a page of another size"));
        }
        Ok(Streams { bytes, count, taken: 0 })
    }
}

impl Streams {
    /// Appends up to `most` elements.
    fn join(&mut self, most: usize, elements: &mut Vec<f32>) -> Result<()> {
        let length = most.min(self.count - self.taken);
        let stream = |number: usize| {
            let begin = number * self.count + self.taken;
            self.bytes.get(begin..begin + length).ok_or_else(|| wrong("a page of another size"))
        };
        let joined = stream(0)?.iter().zip(stream(1)?).zip(stream(2)?).zip(stream(3)?);
        elements.extend(joined.map(|(((first, second), third), fourth)| {
            f32::from_bits(u32::from_le_bytes([*first, *second, *third, *fourth]))
        }));
        self.taken += length;
        Ok(())
    }
}

/// Walks `count` levels of one bit each, in the hybrid of runs and packed bits that begins at `at`
/// with its length. Each run `begin..end` of equal levels, counted from `first`, must be as `fits`
/// says. Gives where the levels end.
fn check_levels(
    page: &[u8],
    at: usize,
    count: usize,
    fits: impl Fn(usize, usize, bool) -> bool,
    first: usize,
) -> Result<usize> {
    let short = || wrong("levels that end early");
    let length = page.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    let length = u32::from_le_bytes(length.ok_or_else(short)?) as usize;
    let end = at + 4 + length;
    let mut bytes = page.get(at + 4..end).ok_or_else(short)?.iter();
    let mut done = 0;
    let mut check = |run: usize, one: bool| {
        let run = run.min(count - done);
        let begin = first + done;
        done += run;
        if run == 0 || fits(begin, begin + run, one) {
            Ok(done == count)
        } else {
            Err(wrong("a vector of another length, or an empty one"))
        }
    };
    let mut over = count == 0;
    while !over {
        let header = varint(&mut bytes).ok_or_else(short)?;
        if header & 1 == 0 {
            let level = *bytes.next().ok_or_else(short)?;
            if level > 1 || header == 0 {
                return Err(wrong("levels that are none"));
            }
            over = check(header >> 1, level == 1)?;
            continue;
        }
        for _ in 0..header >> 1 {
            let packed = *bytes.next().ok_or_else(short)?;
            if packed == 0xff {
                over = check(8, true)?;
            } else {
                for bit in 0..8 {
                    over = check(1, packed >> bit & 1 == 1)?;
                }
            }
            if over {
                break;
            }
        }
    }
    Ok(end)
}

/// A number of at most 32 bits in groups of seven.
fn varint<'b>(bytes: &mut impl Iterator<Item = &'b u8>) -> Option<usize> {
    let mut number = 0u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return usize::try_from(u32::try_from(number).ok()?).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Levels as bits, packed eight to a byte.
    fn packed(bits: &[bool]) -> Vec<u8> {
        let groups = bits.len().div_ceil(8);
        let mut body = vec![u8::try_from(groups << 1 | 1).unwrap()];
        for group in bits.chunks(8) {
            body.push(group.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)));
        }
        let mut page = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        page.extend(body);
        page
    }

    proptest! {
        #[test]
        fn runs_are_told_as_they_are(bits in prop::collection::vec(any::<bool>(), 1..400)) {
            let page = packed(&bits);
            let seen = std::cell::RefCell::new(Vec::new());
            let end = check_levels(&page, 0, bits.len(), |begin, end, one| {
                seen.borrow_mut().extend(std::iter::repeat_n(one, end - begin));
                true
            }, 0).unwrap();
            prop_assert_eq!(end, page.len());
            prop_assert_eq!(seen.into_inner(), bits);
        }

        #[test]
        fn any_levels_are_an_answer(page in prop::collection::vec(any::<u8>(), 0..60), count in 0usize..2_000) {
            let _ = check_levels(&page, 0, count, |_, _, _| true, 0);
        }
    }

    #[test]
    fn a_run_of_ones_may_not_cross_the_start_of_a_list() {
        let fits = |begin: usize, end: usize, one: bool| {
            if one {
                begin.div_ceil(3) * 3 >= end
            } else {
                begin.is_multiple_of(3) && end - begin == 1
            }
        };
        let good = [false, true, true, false, true, true];
        assert!(check_levels(&packed(&good), 0, 6, fits, 0).is_ok());
        for wrong in [[true; 6], [false; 6], [false, true, true, true, true, true]] {
            assert!(check_levels(&packed(&wrong), 0, 6, fits, 0).is_err());
        }
    }
}
