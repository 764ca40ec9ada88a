//! Writes Flat indexes, and `IndexIDMap2` over Flat, as FAISS does: the vectors pass through.

use std::io::{self, Write};

use super::index::Metric;

/// What an index file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How FAISS shall compare.
    pub metric: Metric,
    /// The length of each vector.
    pub dimensions: u32,
    /// How many vectors will follow.
    pub len: u64,
    /// Whether ids follow the vectors (`IndexIDMap2`).
    pub ids: bool,
}

/// Writes one index: the header at once, then vectors, then ids where there are any.
pub struct FlatWriter<W> {
    out: W,
    layout: Layout,
    written: u64,
    bytes: Vec<u8>,
}

impl<W: Write> FlatWriter<W> {
    /// Writes the header.
    pub fn new(mut out: W, layout: Layout) -> io::Result<Self> {
        let floats = layout.len.checked_mul(u64::from(layout.dimensions));
        let floats = floats.filter(|_| layout.dimensions > 0).ok_or_else(wrong_count)?;
        if layout.ids {
            out.write_all(b"IxM2")?;
            header(&mut out, layout)?;
        }
        out.write_all(match layout.metric {
            Metric::L2 => b"IxF2",
            Metric::InnerProduct => b"IxFI",
        })?;
        header(&mut out, layout)?;
        out.write_all(&floats.to_le_bytes())?;
        Ok(Self { out, layout, written: 0, bytes: Vec::new() })
    }

    /// Writes whole vectors, one after another in `values`.
    pub fn vectors(&mut self, values: &[f32]) -> io::Result<()> {
        let dimensions = self.layout.dimensions as usize;
        if !values.len().is_multiple_of(dimensions) {
            return Err(wrong_count());
        }
        self.written += (values.len() / dimensions) as u64;
        if self.written > self.layout.len {
            return Err(wrong_count());
        }
        self.bytes.clear();
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.out.write_all(&self.bytes)
    }

    /// Ends the vectors, writes the ids if the layout has them, and gives the writer back. An error
    /// of kind `InvalidInput` if there were fewer or more than announced.
    pub fn finish(mut self, ids: impl IntoIterator<Item = i64>) -> io::Result<W> {
        if self.written != self.layout.len {
            return Err(wrong_count());
        }
        if self.layout.ids {
            self.out.write_all(&self.layout.len.to_le_bytes())?;
            let mut count = 0;
            for id in ids {
                self.out.write_all(&id.to_le_bytes())?;
                count += 1;
            }
            if count != self.layout.len {
                return Err(wrong_count());
            }
        }
        Ok(self.out)
    }
}

/// The fields that every index class begins with.
fn header(out: &mut impl Write, layout: Layout) -> io::Result<()> {
    let reserved = (1_u64 << 20).to_le_bytes();
    out.write_all(&layout.dimensions.to_le_bytes())?;
    out.write_all(&layout.len.to_le_bytes())?;
    out.write_all(&reserved)?;
    out.write_all(&reserved)?;
    out.write_all(&[1])?;
    let metric: i32 = match layout.metric {
        Metric::InnerProduct => 0,
        Metric::L2 => 1,
    };
    out.write_all(&metric.to_le_bytes())
}

fn wrong_count() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not as many vectors or ids as announced")
}
