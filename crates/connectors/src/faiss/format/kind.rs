//! The index kinds that are recognised and refused, each by its name.

use std::fmt;

/// An index that Carnet does not read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    tag: String,
    name: &'static str,
    why: Why,
}

/// Why an index is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Codes stand in place of the vectors.
    Compressed,
    /// The vectors were rotated, projected or scaled before they were stored.
    Transformed,
    /// The vectors are whole, but laid out in a way that Carnet does not read.
    Layout,
    /// Bits, not floats.
    Binary,
    /// The index has no data of its own.
    Empty,
    /// A distance that collection contracts do not have.
    Metric,
    /// No class of FAISS 1.15 announces itself so.
    Unknown,
}

impl Refused {
    /// The refusal for a class tag that the reader does not know how to read.
    pub(super) fn by_tag(tag: [u8; 4]) -> Self {
        let (name, why) = named(tag);
        Self { tag: tag.escape_ascii().to_string(), name, why }
    }

    /// A scalar quantiser of another type than half precision.
    pub(super) fn scalar_quantiser(tag: [u8; 4], quantiser: i32) -> Self {
        let name = match quantiser {
            0 => "a scalar quantiser of 8 bits",
            1 => "a scalar quantiser of 4 bits",
            2 => "a uniform scalar quantiser of 8 bits",
            3 => "a uniform scalar quantiser of 4 bits",
            5 | 8 => "a scalar quantiser of whole numbers",
            6 => "a scalar quantiser of 6 bits",
            _ => "a scalar quantiser of few bits",
        };
        // Whole numbers from 0 to 255, or from -128 to 127, are stored as they are.
        let why = if matches!(quantiser, 5 | 8) { Why::Layout } else { Why::Compressed };
        Self { tag: tag.escape_ascii().to_string(), name, why }
    }

    /// A metric other than L2 and inner product.
    pub(super) fn metric(tag: [u8; 4], metric: i32) -> Self {
        let name = match metric {
            2 => "an index with the metric L1",
            3 => "an index with the metric Linf",
            4 => "an index with the metric Lp",
            _ => "an index with a metric that is neither L2 nor inner product",
        };
        Self { tag: tag.escape_ascii().to_string(), name, why: Why::Metric }
    }

    /// What to do.
    pub(super) const fn remedy(&self) -> &'static str {
        match self.why {
            Why::Compressed | Why::Transformed | Why::Empty => {
                "export from the original vectors, or rebuild the index as Flat from them"
            }
            Why::Layout => {
                "in Python, write IndexFlat with the vectors of index.reconstruct_n(0, index.ntotal)"
            }
            Why::Binary => "binary vectors have no place in a collection of floats: leave them out",
            Why::Metric => {
                "rebuild the index with L2 or inner product if that is what searches use"
            }
            Why::Unknown => "check that the file is a FAISS index; rebuild it as Flat if it is one",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tag, name, why } = self;
        let why = match why {
            Why::Compressed => "no longer holds the vectors, only codes of them",
            Why::Transformed => "no longer holds the vectors, only transformed ones",
            Why::Layout => "holds the vectors in a layout that Carnet does not read",
            Why::Binary => "holds bits, not floats",
            Why::Empty => "has no vectors in this file",
            Why::Metric => "cannot be described by a collection contract",
            Why::Unknown => "is not known",
        };
        write!(f, "{name} ({tag}) {why}")
    }
}

/// The name of each class that FAISS 1.15 and older releases write.
fn named(tag: [u8; 4]) -> (&'static str, Why) {
    use Why::{Binary, Compressed, Empty, Layout, Transformed, Unknown};
    match &tag {
        b"null" | b"il00" => ("an index without its storage", Empty),
        b"IxPQ" | b"IxPo" | b"IxPq" => ("a PQ index", Compressed),
        b"IPfs" => ("a PQ fast-scan index", Compressed),
        b"IvPQ" | b"IwPQ" => ("an IVF PQ index", Compressed),
        b"IvQR" | b"IwQR" => ("an IVF PQR index", Compressed),
        b"IwPf" => ("an IVF PQ fast-scan index", Compressed),
        b"IHNp" => ("an HNSW PQ index", Compressed),
        b"IHN2" | b"Ix2L" => ("a two-level PQ index", Compressed),
        b"INSp" => ("an NSG PQ index", Compressed),
        b"INSs" => ("an NSG index over a scalar quantiser", Compressed),
        b"IxHE" | b"IxHe" => ("an LSH index", Compressed),
        b"IwSh" => ("an IVF spectral hash index", Compressed),
        b"IxLa" => ("a lattice index", Compressed),
        b"IxRQ" | b"IxRq" | b"IwRQ" | b"ImRQ" => ("a residual quantiser index", Compressed),
        b"IxLS" | b"IwLS" => ("a local search quantiser index", Compressed),
        b"IxPR" | b"IxPL" | b"IwPR" | b"IwPL" => ("a product additive quantiser index", Compressed),
        b"ILfs" | b"IRfs" | b"IPRf" | b"IPLf" | b"IVLf" | b"IVRf" | b"NPLf" | b"NPRf" => {
            ("an additive quantiser fast-scan index", Compressed)
        }
        b"Imiq" => ("a multi-index quantiser", Compressed),
        b"IRMf" | b"IRMh" => ("a row-wise min-max index", Compressed),
        b"Ixrq" | b"Iwrq" | b"Irfn" | b"Iwrn" | b"IHNr" => ("a RaBitQ index", Compressed),
        b"IxEe" | b"IwEe" => ("an EDEN index", Compressed),
        b"IS48" | b"IS44" => ("an SVS LVQ index", Compressed),
        b"IvSQ" => ("an IVF scalar quantiser index of an old release", Layout),
        b"IxPT" => ("an index behind a pre-transform", Transformed),
        b"IwIQ" => ("an IVF index with an independent quantiser", Transformed),
        b"IxRF" => ("a refine index", Layout),
        b"IxRP" | b"IxFP" | b"IxFp" | b"IwP2" | b"IHfP" => ("a Panorama index", Layout),
        b"IvFl" | b"IvFL" => ("an IVF Flat index of an old release", Layout),
        b"IwFd" => ("an IVF Flat index without duplicates", Layout),
        b"IHc2" => ("an HNSW index made by CAGRA", Layout),
        b"INSf" => ("an NSG Flat index", Layout),
        b"INNf" => ("an NN-descent Flat index", Layout),
        b"ISVD" => ("an SVS index", Layout),
        b"ilod" => ("an IVF index with lists in a file of their own", Layout),
        [b'i', b'l', ..] => ("an IVF index with lists of another kind", Layout),
        [b'I', b'B', ..] => ("a binary index", Binary),
        _ => ("a file that begins with these letters", Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_kind_and_reason() {
        let text = Refused::by_tag(*b"IwPQ").to_string();
        assert_eq!(text, "an IVF PQ index (IwPQ) no longer holds the vectors, only codes of them");
        assert!(Refused::by_tag([0, 1, 0xff, b'x']).to_string().contains(r"\x00\x01\xffx"));
        assert!(Refused::scalar_quantiser(*b"IxSQ", 1).to_string().contains("4 bits"));
    }
}
