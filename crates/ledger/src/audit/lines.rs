//! Lines of a stream in batches, so that many are worked on at once.

use std::io::{self, Read};

use super::material::{BUFFER, read_full};

/// Some lines that stand one after the other.
#[derive(Debug)]
pub(super) struct Batch {
    /// The lines, each with its newline but perhaps the last of the stream.
    bytes: Vec<u8>,
    /// The place of the first one, from 0 on.
    pub(super) first: u64,
}

impl Batch {
    /// The lines without their newlines.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        whole.split(|byte| *byte == b'\n')
    }
}

/// Cuts a stream into batches of whole lines.
pub(super) struct Lines<R> {
    reader: R,
    /// What stands behind the last newline read.
    rest: Vec<u8>,
    next: u64,
    limit: usize,
}

impl<R: Read> Lines<R> {
    /// A line of more bytes than `limit` is given cut off behind one byte more.
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, rest: Vec::new(), next: 0, limit }
    }

    /// The reader, at the end of what was read.
    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    /// The next lines; None at the end.
    pub(super) fn batch(&mut self) -> io::Result<Option<Batch>> {
        let mut bytes = std::mem::take(&mut self.rest);
        let mut looked_at = 0;
        loop {
            let held = bytes.len();
            bytes.resize(held + BUFFER, 0);
            let read = match bytes.get_mut(held..) {
                Some(room) => read_full(&mut self.reader, room)?,
                None => 0,
            };
            bytes.truncate(held + read);
            if read == 0 {
                break;
            }
            let new = bytes.get(looked_at..).unwrap_or_default();
            if let Some(last) = new.iter().rposition(|byte| *byte == b'\n') {
                self.rest = bytes.split_off(looked_at + last + 1);
                break;
            }
            looked_at = bytes.len();
            if bytes.len() > self.limit {
                bytes.truncate(self.limit + 1);
                self.skip_line()?;
                break;
            }
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let batch = Batch { bytes, first: self.next };
        self.next += batch.lines().count() as u64;
        Ok(Some(batch))
    }

    /// Reads to the end of the present line, and keeps what stands behind it.
    fn skip_line(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = read_full(&mut self.reader, &mut buffer)?;
            let now = buffer.get(..read).unwrap_or_default();
            if let Some(end) = now.iter().position(|byte| *byte == b'\n') {
                self.rest = now.get(end + 1..).unwrap_or_default().to_vec();
                return Ok(());
            }
            if read == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], limit: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(text, limit);
        let mut all = Vec::new();
        while let Some(batch) = lines.batch().unwrap() {
            assert_eq!(batch.first, all.len() as u64);
            all.extend(batch.lines().map(<[u8]>::to_vec));
        }
        all
    }

    #[test]
    fn lines_are_whole_whatever_the_batches() {
        assert_eq!(all(b"", 9), [b""; 0]);
        assert_eq!(all(b"a\n\nb", 9), [&b"a"[..], b"", b"b"]);
        assert_eq!(all(b"\n", 9), [b""]);
        let long: Vec<u8> = (0..40_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let lines = all(&long, 100);
        assert_eq!(lines.len(), 40_000);
        assert_eq!(lines[39_999], b"line 39999");
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut text = b"a\n".to_vec();
        text.extend(vec![b'x'; 3 * BUFFER]);
        text.extend(b"\nb\n");
        let lines = all(&text, 64);
        let lengths: Vec<_> = lines.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 65, 1]);
        assert_eq!(lines[2], b"b");
    }
}
