//! An index file, understood: where each vector is, and which label FAISS gives it.

use std::collections::BTreeMap;

use half::{bf16, f16};

use super::FormatError;
use super::cursor::{Cursor, Run, word};
use super::graph;
use super::kind::Refused;
use super::lists::Lists;

/// Vectors longer than this are taken for damage.
pub(in super::super) const MAX_DIMENSIONS: u32 = 1 << 20;
/// An `IDMap` around an IVF index with an HNSW quantiser over a flat one is the deepest real nesting.
const MAX_DEPTH: usize = 4;

/// The metrics that FAISS shares with collection contracts. FAISS has no cosine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Inner product.
    InnerProduct,
    /// Squared Euclidean distance.
    L2,
}

/// What one component of a vector takes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F32,
    F16,
    Bf16,
}

impl Element {
    const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// Where the vectors are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Storage {
    /// One after another from this byte on.
    Rows(usize),
    /// In inverted lists; with `centroids`, as differences from the centroid of their list.
    Lists { lists: Lists, centroids: Option<Box<Index>> },
}

/// The layout of an index file. It holds no vectors: they are gathered from the bytes that were
/// parsed, which the caller keeps (and which must be the same bytes).
///
/// Vectors are numbered by *slot*, their order in the file. FAISS itself knows a vector by its
/// *label*: the slot, the id that an inverted list holds, or what an `IDMap` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    kind: String,
    parameters: BTreeMap<String, i64>,
    dimensions: usize,
    len: usize,
    metric: Metric,
    element: Element,
    storage: Storage,
    /// The id table of an `IDMap`, by position.
    map: Option<Run>,
}

impl Index {
    /// Understands the bytes of an index file.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(bytes);
        let index = Reader { cursor: &mut cursor, bytes }.index(0)?;
        if cursor.left() > 0 {
            return Err(cursor.wrong(format!("{} bytes after the end of the index", cursor.left())));
        }
        Ok(index)
    }

    /// What kind of index it is: `flat`, `hnsw`, `ivf_flat`, `sq_fp16`, …
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Build parameters by the names that search indexes have elsewhere: `m`, `lists`, ….
    pub const fn parameters(&self) -> &BTreeMap<String, i64> {
        &self.parameters
    }

    /// The length of each vector.
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// How many vectors.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How FAISS compares them.
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// Whether the labels are simply the slots.
    pub const fn is_positional(&self) -> bool {
        matches!(self.storage, Storage::Rows(_)) && self.map.is_none()
    }

    /// Whether an `IDMap` gives the labels.
    pub const fn has_map(&self) -> bool {
        self.map.is_some()
    }

    /// Whether components are stored at half precision.
    pub const fn is_half(&self) -> bool {
        matches!(self.element, Element::F16 | Element::Bf16)
    }

    /// The label of a slot. None if the slot is beyond the end, or if an inverted list points
    /// beyond the id table.
    pub fn label(&self, bytes: &[u8], slot: usize) -> Option<i64> {
        let position = match &self.storage {
            Storage::Rows(_) => i64::try_from(slot).ok().filter(|_| slot < self.len)?,
            Storage::Lists { lists, .. } => word(bytes, lists.entry(slot)?.id)?.cast_signed(),
        };
        let Some(map) = self.map else { return Some(position) };
        let position = usize::try_from(position).ok().filter(|position| *position < map.count)?;
        word(bytes, map.start + position * 8).map(u64::cast_signed)
    }

    /// Appends the vector of a slot to `out`, widened exactly to single precision. Returns `None`,
    /// and leaves `out` as it was, if there is no such slot.
    pub fn gather(&self, bytes: &[u8], slot: usize, out: &mut Vec<f32>) -> Option<()> {
        let (start, list) = match &self.storage {
            Storage::Rows(start) if slot < self.len => (start + slot * self.code_size(), 0),
            Storage::Rows(_) => return None,
            Storage::Lists { lists, .. } => {
                lists.entry(slot).map(|entry| (entry.code, entry.list))?
            }
        };
        let code = bytes.get(start..)?.get(..self.code_size())?;
        let from = out.len();
        widen(self.element, code, out);
        if let Storage::Lists { centroids: Some(centroids), .. } = &self.storage {
            let mut centroid = Vec::with_capacity(self.dimensions);
            if centroids.gather(bytes, list, &mut centroid).is_none() {
                out.truncate(from);
                return None;
            }
            let added = out.get_mut(from..).unwrap_or_default();
            added.iter_mut().zip(&centroid).for_each(|(value, centre)| *value += centre);
        }
        Some(())
    }

    /// The bytes of consecutive slots, if they lie in the file as plain single precision floats.
    pub fn plain<'a>(&self, bytes: &'a [u8], slots: std::ops::Range<usize>) -> Option<&'a [u8]> {
        let Storage::Rows(start) = self.storage else { return None };
        if self.element != Element::F32 || slots.end > self.len {
            return None;
        }
        let size = self.code_size();
        bytes.get(start + slots.start * size..start + slots.end * size)
    }

    const fn code_size(&self) -> usize {
        self.dimensions * self.element.size()
    }
}

/// Appends the components of one stored vector.
fn widen(element: Element, code: &[u8], out: &mut Vec<f32>) {
    match element {
        Element::F32 => {
            out.extend(code.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)));
        }
        Element::F16 => {
            let halves = code.as_chunks::<2>().0.iter();
            out.extend(halves.map(|chunk| f16::from_le_bytes(*chunk).to_f32()));
        }
        Element::Bf16 => {
            let halves = code.as_chunks::<2>().0.iter();
            out.extend(halves.map(|chunk| bf16::from_le_bytes(*chunk).to_f32()));
        }
    }
}

/// The fields that every index class begins with.
struct Header {
    dimensions: usize,
    len: usize,
    metric: Metric,
}

/// Reads one class after another.
struct Reader<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    bytes: &'a [u8],
}

impl Reader<'_, '_> {
    fn index(&mut self, depth: usize) -> Result<Index, FormatError> {
        if depth >= MAX_DEPTH {
            return Err(self.cursor.wrong("indexes nested too deeply"));
        }
        let tag = self.cursor.tag()?;
        match &tag {
            b"IxF2" | b"IxFI" | b"IxFl" => self.flat(tag),
            b"IxSQ" => self.scalar(tag),
            b"IHNf" | b"IHNs" => self.hnsw(tag, depth),
            b"IwFl" => self.ivf_flat(tag, depth),
            b"IwSq" | b"IwSQ" => self.ivf_scalar(tag, depth),
            b"IxMp" | b"IxM2" => self.id_map(tag, depth),
            _ => Err(FormatError::Kind(Refused::by_tag(tag))),
        }
    }

    fn header(&mut self, tag: [u8; 4]) -> Result<Header, FormatError> {
        let dimensions = self.cursor.i32("the dimensions")?;
        let fits = u32::try_from(dimensions).ok().filter(|d| (1..=MAX_DIMENSIONS).contains(d));
        let dimensions =
            fits.ok_or_else(|| self.cursor.wrong(format!("{dimensions} dimensions")))?;
        let len = self.cursor.u64("the number of vectors")?;
        // Each kind that is read keeps at least one byte for each vector.
        let len = usize::try_from(len).ok().filter(|len| *len <= self.cursor.left());
        let len = len.ok_or_else(|| self.cursor.wrong("more vectors than bytes"))?;
        self.cursor.u64("a reserved word")?;
        self.cursor.u64("a reserved word")?;
        if self.cursor.byte("the trained flag")? > 1 {
            return Err(self.cursor.wrong("a flag that is neither 0 nor 1"));
        }
        let metric = match self.cursor.i32("the metric")? {
            0 => Metric::InnerProduct,
            1 => Metric::L2,
            other => return Err(FormatError::Kind(Refused::metric(tag, other))),
        };
        Ok(Header { dimensions: dimensions as usize, len, metric })
    }

    fn build(header: &Header, kind: &str, element: Element, storage: Storage) -> Index {
        Index {
            kind: kind.to_owned(),
            parameters: BTreeMap::new(),
            dimensions: header.dimensions,
            len: header.len,
            metric: header.metric,
            element,
            storage,
            map: None,
        }
    }

    fn flat(&mut self, tag: [u8; 4]) -> Result<Index, FormatError> {
        let header = self.header(tag)?;
        let told = match &tag {
            b"IxF2" => Some(Metric::L2),
            b"IxFI" => Some(Metric::InnerProduct),
            _ => None,
        };
        if told.is_some_and(|told| told != header.metric) {
            return Err(self.cursor.wrong("a metric that is not that of the class"));
        }
        let floats = self.cursor.vector(4, "the vectors")?;
        if header.len.checked_mul(header.dimensions) != Some(floats.count) {
            return Err(self.cursor.wrong(format!(
                "{} vectors of {} dimensions announced, {} floats stored",
                header.len, header.dimensions, floats.count
            )));
        }
        Ok(Self::build(&header, "flat", Element::F32, Storage::Rows(floats.start)))
    }

    /// A scalar quantiser: its type, a range statistic, sizes, and what training left.
    fn quantiser(&mut self, tag: [u8; 4], dimensions: usize) -> Result<Element, FormatError> {
        let element = match self.cursor.i32("the quantiser's type")? {
            4 => Element::F16,
            7 => Element::Bf16,
            other => return Err(FormatError::Kind(Refused::scalar_quantiser(tag, other))),
        };
        self.cursor.i32("the quantiser's range")?;
        self.cursor.i32("the quantiser's range argument")?;
        if self.cursor.u64("the quantiser's dimensions")? != dimensions as u64 {
            return Err(self.cursor.wrong("a quantiser of other dimensions than the index"));
        }
        if self.cursor.u64("the quantiser's code size")? != (dimensions * element.size()) as u64 {
            return Err(self.cursor.wrong("a code size that does not fit the dimensions"));
        }
        self.cursor.vector(4, "the quantiser's training")?;
        Ok(element)
    }

    fn scalar(&mut self, tag: [u8; 4]) -> Result<Index, FormatError> {
        let header = self.header(tag)?;
        let element = self.quantiser(tag, header.dimensions)?;
        let codes = self.cursor.vector(1, "the vectors")?;
        if header.len.checked_mul(header.dimensions * element.size()) != Some(codes.count) {
            return Err(self.cursor.wrong(format!(
                "{} vectors of {} dimensions announced, {} bytes of codes stored",
                header.len, header.dimensions, codes.count
            )));
        }
        let kind = if element == Element::F16 { "sq_fp16" } else { "sq_bf16" };
        Ok(Self::build(&header, kind, element, Storage::Rows(codes.start)))
    }

    fn hnsw(&mut self, tag: [u8; 4], depth: usize) -> Result<Index, FormatError> {
        let header = self.header(tag)?;
        let graph = graph::skip(self.cursor, self.bytes, header.len)?;
        let mut index = self.nested(&header, depth)?;
        if !index.is_positional() {
            return Err(self.cursor.wrong("a graph over storage that is not in order"));
        }
        index.kind = if index.is_half() { format!("hnsw_{}", index.kind) } else { "hnsw".into() };
        index.parameters.insert("m".into(), graph.m);
        index.parameters.insert("ef_construction".into(), graph.ef_construction);
        Ok(index)
    }

    /// The storage of an index: another index of the same size.
    fn nested(&mut self, header: &Header, depth: usize) -> Result<Index, FormatError> {
        let inner = self.index(depth + 1)?;
        if inner.len != header.len || inner.dimensions != header.dimensions {
            return Err(self.cursor.wrong(format!(
                "{} vectors of {} dimensions announced, {} of {} in the storage",
                header.len, header.dimensions, inner.len, inner.dimensions
            )));
        }
        if inner.metric != header.metric {
            return Err(self.cursor.wrong("storage with another metric than its index"));
        }
        Ok(inner)
    }

    /// What IVF indexes have in common: the number of cells and their centroids.
    fn cells(&mut self, header: &Header, depth: usize) -> Result<(u64, Index), FormatError> {
        let nlist = self.cursor.u64("the number of cells")?;
        self.cursor.u64("the number of probes")?;
        let centroids = self.index(depth + 1)?;
        if centroids.dimensions != header.dimensions {
            return Err(self.cursor.wrong("centroids of other dimensions than the index"));
        }
        // FAISS also writes an index that was never trained: no centroids, no vectors.
        if centroids.len as u64 != nlist && header.len > 0 {
            return Err(self.cursor.wrong(format!("{} centroids, {nlist} cells", centroids.len)));
        }
        let direct = self.cursor.byte("the kind of direct map")?;
        self.cursor.vector(8, "the direct map")?;
        match direct {
            0 | 1 => {}
            2 => {
                self.cursor.vector(16, "the direct map's table")?;
            }
            _ => return Err(self.cursor.wrong("a direct map of an unknown kind")),
        }
        Ok((nlist, centroids))
    }

    fn ivf(
        &mut self,
        header: &Header,
        kind: &str,
        element: Element,
        nlist: u64,
        centroids: Option<Index>,
    ) -> Result<Index, FormatError> {
        let code_size = header.dimensions * element.size();
        let lists = Lists::read(self.cursor, self.bytes, nlist, header.len, code_size)?;
        let storage = Storage::Lists { lists, centroids: centroids.map(Box::new) };
        let mut index = Self::build(header, kind, element, storage);
        index.parameters.insert("lists".into(), i64::try_from(nlist).unwrap_or(i64::MAX));
        Ok(index)
    }

    fn ivf_flat(&mut self, tag: [u8; 4], depth: usize) -> Result<Index, FormatError> {
        let header = self.header(tag)?;
        let (nlist, _) = self.cells(&header, depth)?;
        self.ivf(&header, "ivf_flat", Element::F32, nlist, None)
    }

    fn ivf_scalar(&mut self, tag: [u8; 4], depth: usize) -> Result<Index, FormatError> {
        let header = self.header(tag)?;
        let (nlist, centroids) = self.cells(&header, depth)?;
        let element = self.quantiser(tag, header.dimensions)?;
        if self.cursor.u64("the code size")? != (header.dimensions * element.size()) as u64 {
            return Err(self.cursor.wrong("a code size that does not fit the dimensions"));
        }
        // The old class always stored differences from the centroid.
        let residual = match (&tag, &tag == b"IwSQ") {
            (_, true) => true,
            _ => self.cursor.byte("the residual flag")? != 0,
        };
        let kind = if element == Element::F16 { "ivf_sq_fp16" } else { "ivf_sq_bf16" };
        self.ivf(&header, kind, element, nlist, residual.then_some(centroids))
    }

    fn id_map(&mut self, tag: [u8; 4], depth: usize) -> Result<Index, FormatError> {
        let header = self.header(tag)?;
        let mut index = self.nested(&header, depth)?;
        if index.map.is_some() {
            return Err(self.cursor.wrong("an IDMap within an IDMap"));
        }
        let map = self.cursor.vector(8, "the id table")?;
        if map.count != header.len {
            return Err(self.cursor.wrong(format!("{} ids for {} vectors", map.count, header.len)));
        }
        index.map = Some(map);
        Ok(index)
    }
}
