//! The binary form of COPY: reading rows without copying them, writing rows into one buffer.
//!
//! A stream is an 11-byte signature, 4 bytes of flags, a header extension with its length, then
//! rows: a 16-bit count of fields, each field a 32-bit length (−1: NULL) and its bytes. A count of
//! −1 ends the stream. All numbers are big-endian.

use std::io::{self, BufRead};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flags for row OIDs and anything newer: the rows would have another form.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// Microseconds between 1970-01-01 and 2000-01-01, PostgreSQL's own zero.
const EPOCH: i64 = 946_684_800_000_000;

/// Why a stream of rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The connection or the server failed.
    #[error("the stream of rows ended early")]
    Io(#[source] io::Error),
    /// The bytes are not what COPY sends.
    #[error("the stream of rows is malformed: {0}")]
    Malformed(&'static str),
}

/// The fields of one row, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    rest: &'a [u8],
    fields: u16,
}

impl<'a> Row<'a> {
    /// The next field; `None` inside is NULL.
    pub(super) fn field(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        if self.fields == 0 {
            return Err(WireError::Malformed("a row has too few fields"));
        }
        self.fields -= 1;
        let (length, rest) = int32(self.rest).ok_or(WireError::Malformed("a length is cut off"))?;
        let Ok(length) = usize::try_from(length) else {
            self.rest = rest;
            return Ok(None);
        };
        let (field, rest) =
            rest.split_at_checked(length).ok_or(WireError::Malformed("a field is cut off"))?;
        self.rest = rest;
        Ok(Some(field))
    }
}

/// Reads rows out of a stream. Holds one row at most, and only where it is split over two chunks.
#[derive(Debug)]
pub(super) struct RowReader<R> {
    input: R,
    /// Bytes of the input's current chunk that the row given last stands in.
    pending: usize,
    /// A row that began in an earlier chunk, and what follows it.
    spill: Vec<u8>,
    spill_at: usize,
    begun: bool,
}

enum Next {
    /// The header, of this many bytes.
    Header(usize),
    /// A row of this many bytes.
    Row(usize),
    End,
}

impl<R: BufRead> RowReader<R> {
    /// Reads from a stream that stands at its signature.
    pub(super) fn new(input: R) -> Self {
        Self { input, pending: 0, spill: Vec::new(), spill_at: 0, begun: false }
    }

    /// The next row; `None` at the end, when the whole stream was read.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, WireError> {
        self.input.consume(std::mem::take(&mut self.pending));
        let (length, spilled) = loop {
            let spilled = self.spill_at < self.spill.len();
            let held = if spilled {
                self.spill.get(self.spill_at..).unwrap_or_default()
            } else {
                self.input.fill_buf().map_err(WireError::Io)?
            };
            if held.is_empty() {
                return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            match measure(held, self.begun)? {
                Some(Next::Row(length)) => break (length, spilled),
                Some(Next::Header(length)) => {
                    self.begun = true;
                    self.skip(length, spilled);
                }
                Some(Next::End) => {
                    self.drain(spilled)?;
                    return Ok(None);
                }
                None => self.more(spilled)?,
            }
        };
        let bytes = if spilled {
            let start = self.spill_at;
            self.spill_at += length;
            self.spill.get(start..self.spill_at)
        } else {
            self.pending = length;
            self.input.fill_buf().map_err(WireError::Io)?.get(..length)
        };
        row(bytes.unwrap_or_default()).map(Some)
    }

    fn skip(&mut self, length: usize, spilled: bool) {
        if spilled {
            self.spill_at += length;
        } else {
            self.input.consume(length);
        }
    }

    /// Brings the next chunk behind what is held of a row that it continues.
    fn more(&mut self, spilled: bool) -> Result<(), WireError> {
        if spilled {
            self.spill.drain(..self.spill_at);
        } else {
            self.spill.clear();
        }
        self.spill_at = 0;
        let had = self.spill.len();
        let mut chunk = self.input.fill_buf().map_err(WireError::Io)?;
        if !spilled {
            self.spill.extend_from_slice(chunk);
            let length = chunk.len();
            self.input.consume(length);
            chunk = self.input.fill_buf().map_err(WireError::Io)?;
        }
        if chunk.is_empty() {
            return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        debug_assert!(!spilled || had > 0);
        self.spill.extend_from_slice(chunk);
        let length = chunk.len();
        self.input.consume(length);
        Ok(())
    }

    /// Reads to the end of the stream, so that a failure after the last row is seen.
    fn drain(&mut self, spilled: bool) -> Result<(), WireError> {
        let mut left = if spilled { self.spill.len().saturating_sub(self.spill_at + 2) } else { 0 };
        if !spilled {
            self.input.consume(2);
        }
        loop {
            let chunk = self.input.fill_buf().map_err(WireError::Io)?;
            left += chunk.len();
            if left > 0 {
                return Err(WireError::Malformed("bytes after the end"));
            }
            if chunk.is_empty() {
                return Ok(());
            }
        }
    }
}

/// What stands at the start of these bytes; `None` when they end within it.
fn measure(bytes: &[u8], begun: bool) -> Result<Option<Next>, WireError> {
    if !begun {
        return header(bytes);
    }
    let Some((count, mut rest)) = int16(bytes) else { return Ok(None) };
    let Ok(count) = u16::try_from(count) else {
        return if count == -1 { Ok(Some(Next::End)) } else { Err(WireError::Malformed("count")) };
    };
    for _ in 0..count {
        let Some((length, after)) = int32(rest) else { return Ok(None) };
        let length = match usize::try_from(length) {
            Ok(length) => length,
            Err(_) if length == -1 => 0,
            Err(_) => return Err(WireError::Malformed("a negative length")),
        };
        match after.get(length..) {
            Some(after) => rest = after,
            None => return Ok(None),
        }
    }
    Ok(Some(Next::Row(bytes.len() - rest.len())))
}

fn header(bytes: &[u8]) -> Result<Option<Next>, WireError> {
    let Some((signature, rest)) = bytes.split_at_checked(SIGNATURE.len()) else { return Ok(None) };
    if signature != SIGNATURE {
        return Err(WireError::Malformed("no signature"));
    }
    let Some((flags, rest)) = int32(rest) else { return Ok(None) };
    if flags.cast_unsigned() & CRITICAL_FLAGS != 0 {
        return Err(WireError::Malformed("unknown flags"));
    }
    let Some((extension, rest)) = int32(rest) else { return Ok(None) };
    let extension =
        usize::try_from(extension).map_err(|_| WireError::Malformed("a negative length"))?;
    let whole = bytes.len() - rest.len() + extension;
    Ok((rest.len() >= extension).then_some(Next::Header(whole)))
}

fn row(bytes: &[u8]) -> Result<Row<'_>, WireError> {
    let (count, rest) = int16(bytes).ok_or(WireError::Malformed("a row is cut off"))?;
    let fields = u16::try_from(count).map_err(|_| WireError::Malformed("count"))?;
    Ok(Row { rest, fields })
}

fn int16(bytes: &[u8]) -> Option<(i16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((i16::from_be_bytes(*head), rest))
}

fn int32(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*head), rest))
}

/// Reads a `bigint`.
pub(super) fn read_int64(field: &[u8]) -> Result<i64, WireError> {
    field.try_into().map(i64::from_be_bytes).map_err(|_| WireError::Malformed("not 8 bytes"))
}

/// Reads a `timestamptz` as microseconds since 1970; `None` for ±infinity and beyond.
pub(super) fn read_time(field: &[u8]) -> Result<Option<i64>, WireError> {
    let raw = read_int64(field)?;
    Ok(if raw == i64::MIN || raw == i64::MAX { None } else { raw.checked_add(EPOCH) })
}

/// Reads a `vector` into `out`, which is cleared first.
pub(super) fn read_vector(field: &[u8], out: &mut Vec<f32>) -> Result<(), WireError> {
    let wrong = WireError::Malformed("a vector of another form");
    let Some((dimensions, rest)) = int16(field) else { return Err(wrong) };
    let Some((0, elements)) = int16(rest) else { return Err(wrong) };
    let (values, left) = elements.as_chunks::<4>();
    if !left.is_empty() || usize::try_from(dimensions) != Ok(values.len()) {
        return Err(wrong);
    }
    out.clear();
    out.extend(values.iter().map(|bytes| f32::from_be_bytes(*bytes)));
    Ok(())
}

/// Reads a `tid`: block and position.
pub(super) fn read_tid(field: &[u8]) -> Result<(u32, u16), WireError> {
    let wrong = || WireError::Malformed("a row address of another form");
    let (block, rest) = field.split_first_chunk().ok_or_else(wrong)?;
    let offset: [u8; 2] = rest.try_into().map_err(|_| wrong())?;
    Ok((u32::from_be_bytes(*block), u16::from_be_bytes(offset)))
}

/// Writes rows into one buffer.
#[derive(Debug, Default)]
pub(super) struct RowWriter {
    /// What was written and not taken yet.
    pub(super) bytes: Vec<u8>,
}

impl RowWriter {
    /// Begins the stream.
    pub(super) fn header(&mut self) {
        self.bytes.extend_from_slice(SIGNATURE);
        self.bytes.extend_from_slice(&[0; 8]);
    }

    /// Begins a row.
    pub(super) fn row(&mut self, fields: u16) {
        self.bytes.extend_from_slice(&fields.to_be_bytes());
    }

    /// Ends the stream.
    pub(super) fn trailer(&mut self) {
        self.bytes.extend_from_slice(&(-1i16).to_be_bytes());
    }

    fn length(&mut self, length: usize) -> Result<(), WireError> {
        let length =
            i32::try_from(length).map_err(|_| WireError::Malformed("a field beyond 2 GiB"))?;
        self.bytes.extend_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Writes NULL.
    pub(super) fn null(&mut self) {
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
    }

    /// Writes text.
    pub(super) fn text(&mut self, text: &str) -> Result<(), WireError> {
        self.length(text.len())?;
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Writes text or NULL.
    pub(super) fn text_option(&mut self, text: Option<&str>) -> Result<(), WireError> {
        if let Some(text) = text {
            return self.text(text);
        }
        self.null();
        Ok(())
    }

    /// Writes `jsonb`: its form's version, then text.
    pub(super) fn jsonb(&mut self, text: &str) -> Result<(), WireError> {
        self.length(text.len() + 1)?;
        self.bytes.push(1);
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Writes a `vector`.
    pub(super) fn vector(&mut self, vector: &[f32]) -> Result<(), WireError> {
        let dimensions =
            i16::try_from(vector.len()).map_err(|_| WireError::Malformed("too many dimensions"))?;
        self.length(vector.len() * 4 + 4)?;
        self.bytes.extend_from_slice(&dimensions.to_be_bytes());
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend(vector.iter().flat_map(|value| value.to_be_bytes()));
        Ok(())
    }

    /// Writes a `bigint` or NULL.
    pub(super) fn int64(&mut self, value: Option<i64>) {
        match value {
            Some(value) => {
                self.bytes.extend_from_slice(&8i32.to_be_bytes());
                self.bytes.extend_from_slice(&value.to_be_bytes());
            }
            None => self.null(),
        }
    }

    /// Writes a `timestamptz` or NULL from microseconds since 1970. Gives `false` for a time that
    /// PostgreSQL cannot hold.
    pub(super) fn time(&mut self, micros: Option<i64>) -> bool {
        // 4714-11-24 BC and 294277-01-01: the limits of `timestamptz`.
        const FIRST: i64 = -211_813_488_000_000_000;
        const END: i64 = 9_223_371_331_200_000_000;
        let raw = match micros {
            None => None,
            Some(micros) => match micros.checked_sub(EPOCH) {
                Some(raw) if (FIRST..END).contains(&raw) => Some(raw),
                _ => return false,
            },
        };
        self.int64(raw);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes in chunks of one size, as messages do.
    struct Chunks<'a>(&'a [u8], usize);

    impl io::Read for Chunks<'_> {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!("rows are read from the buffer")
        }
    }

    impl BufRead for Chunks<'_> {
        fn fill_buf(&mut self) -> io::Result<&[u8]> {
            // A chunk border stands at each multiple of the size, counted from the end.
            let over = self.0.len() % self.1;
            let length = if over > 0 { over } else { self.1.min(self.0.len()) };
            Ok(&self.0[..length])
        }

        fn consume(&mut self, amount: usize) {
            self.0 = &self.0[amount..];
        }
    }

    fn sample() -> Vec<u8> {
        let mut writer = RowWriter::default();
        writer.header();
        for n in 0..5i64 {
            writer.row(5);
            writer.text(&format!("id {n}")).unwrap();
            writer.vector(&[-0.0, 1e-45, f32::MAX]).unwrap();
            writer.int64((n % 2 == 0).then_some(n));
            assert!(writer.time(Some(n - 3)));
            writer.text_option(None).unwrap();
        }
        writer.trailer();
        writer.bytes
    }

    #[test]
    fn rows_come_back_however_the_stream_is_cut() {
        let bytes = sample();
        for size in 1..=bytes.len() {
            let mut reader = RowReader::new(Chunks(&bytes, size));
            let (mut vector, mut count) = (Vec::new(), 0i64);
            while let Some(mut row) = reader.next().unwrap() {
                assert_eq!(row.fields, 5);
                assert_eq!(row.field().unwrap().unwrap(), format!("id {count}").as_bytes());
                read_vector(row.field().unwrap().unwrap(), &mut vector).unwrap();
                let bits: Vec<_> = vector.iter().map(|value| value.to_bits()).collect();
                assert_eq!(bits, [0x8000_0000, 1, f32::MAX.to_bits()]);
                let version = row.field().unwrap().map(|field| read_int64(field).unwrap());
                assert_eq!(version, (count % 2 == 0).then_some(count));
                assert_eq!(read_time(row.field().unwrap().unwrap()).unwrap(), Some(count - 3));
                assert!(row.field().unwrap().is_none() && row.field().is_err());
                count += 1;
            }
            assert_eq!(count, 5, "chunks of {size}");
        }
    }

    #[test]
    fn a_stream_that_ends_early_is_never_whole() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            let mut reader = RowReader::new(Chunks(&bytes[..cut], 7));
            let mut result = reader.next().map(|row| row.is_some());
            while let Ok(true) = result {
                result = reader.next().map(|row| row.is_some());
            }
            assert!(result.is_err(), "cut at {cut}");
        }
        let mut longer = bytes;
        longer.push(0);
        let mut reader = RowReader::new(Chunks(&longer, 64));
        assert!((0..6).any(|_| reader.next().is_err()));
    }

    #[test]
    fn times_have_the_limits_of_the_server() {
        let mut writer = RowWriter::default();
        assert!(!writer.time(Some(i64::MIN)));
        assert!(writer.time(None) && writer.time(Some(i64::MAX)));
        assert_eq!(read_time(&i64::MAX.to_be_bytes()).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..40) {
            let mut stream = SIGNATURE.to_vec();
            stream.extend_from_slice(&[0; 8]);
            for whole in [&bytes, &[stream, bytes.clone()].concat()] {
                let mut reader = RowReader::new(Chunks(whole, size));
                let mut vector = Vec::new();
                while let Ok(Some(mut row)) = reader.next() {
                    while let Ok(Some(field)) = row.field() {
                        let _ = (read_vector(field, &mut vector), read_tid(field), read_time(field));
                    }
                }
                prop_assert!(reader.spill.capacity() <= 2 * whole.len() + 64);
            }
        }
    }
}
