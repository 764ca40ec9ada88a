//! `faiss:DIR`: an index file with a table of metadata beside it.

mod format;

pub use format::{
    FlatWriter as FaissFlatWriter, FormatError as FaissFormatError, Index as FaissIndex,
    Layout as FaissLayout, Metric as FaissMetric, Refused as FaissRefused,
};
