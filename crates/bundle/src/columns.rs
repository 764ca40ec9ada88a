//! Parquet files whose bytes depend on their rows alone: encoded by many threads, written in order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use carnet_connect::{Records, StoreError};
use carnet_model::Code;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions,
    compute_leaves,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::error::BundleError;
use crate::files::{FileSum, HashedFile};

/// Rows of one row group; only a file's last one has fewer.
pub(crate) const GROUP_ROWS: usize = 8_192;

/// Rows that are encoded at a time. Page borders follow from it, so it is part of the form.
pub(crate) const BLOCK_ROWS: usize = 1_024;

/// Which of a snapshot's Parquet files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Whole records.
    Embeddings,
    /// Everything but the vectors.
    Metadata,
    /// Ids and record digests.
    Digests,
}

impl Table {
    pub(crate) fn schema(self, dimensions: u32) -> SchemaRef {
        match self {
            Self::Embeddings => Records::schema(dimensions),
            Self::Metadata => {
                let records = Records::schema(dimensions);
                let fields = records.fields().iter().filter(|field| field.name() != "vector");
                Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
            }
            Self::Digests => Arc::new(Schema::new(vec![
                Field::new("id", DataType::Utf8, false),
                Field::new("digest", DataType::FixedSizeBinary(32), false),
            ])),
        }
    }

    fn properties(self) -> Result<WriterProperties, ParquetError> {
        let fast = Compression::ZSTD(ZstdLevel::try_new(1)?);
        let small = Compression::ZSTD(ZstdLevel::try_new(6)?);
        let column = |path: &[&str]| {
            ColumnPath::from(path.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
        };
        let vector = column(&["vector", "list", "item"]);
        let builder = WriterProperties::builder()
            .set_created_by("carnet".to_owned())
            .set_max_row_group_row_count(None)
            .set_write_batch_size(BLOCK_ROWS)
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_column_statistics_enabled(column(&["id"]), EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_compression(fast);
        Ok(match self {
            Self::Embeddings | Self::Metadata => builder
                .set_column_encoding(vector, Encoding::BYTE_STREAM_SPLIT)
                .set_column_compression(column(&["metadata"]), small),
            Self::Digests => {
                builder.set_column_compression(column(&["digest"]), Compression::UNCOMPRESSED)
            }
        }
        .build())
    }
}

/// One row group, encoded and not yet in its file.
pub(crate) struct EncodedGroup(Vec<ArrowColumnChunk>);

/// A Parquet file that is being written.
pub(crate) struct TableFile {
    path: PathBuf,
    schema: SchemaRef,
    writer: SerializedFileWriter<HashedFile>,
    factory: Arc<ArrowRowGroupWriterFactory>,
}

/// Encodes row groups of one file; shared by threads.
#[derive(Clone)]
pub(crate) struct Encoder {
    path: PathBuf,
    schema: SchemaRef,
    factory: Arc<ArrowRowGroupWriterFactory>,
}

fn failed(path: &Path) -> impl Fn(ParquetError) -> BundleError + '_ {
    |error| {
        let ParquetError::External(cause) = error else { return broken(path, error) };
        match cause.downcast::<std::io::Error>() {
            Ok(cause) => BundleError::io("write", path, *cause),
            Err(cause) => broken(path, ParquetError::External(cause)),
        }
    }
}

fn broken(path: &Path, error: ParquetError) -> BundleError {
    StoreError::new(Code::BUG, format!("cannot encode {}", path.display())).because(error).into()
}

impl TableFile {
    /// Makes the file.
    pub(crate) fn create(path: &Path, table: Table, dimensions: u32) -> Result<Self, BundleError> {
        let file =
            HashedFile::create(path).map_err(|error| BundleError::io("write", path, error))?;
        let schema = table.schema(dimensions);
        let properties = table.properties().map_err(failed(path))?;
        let options = ArrowWriterOptions::new().with_properties(properties);
        let (writer, factory) =
            ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options)
                .and_then(ArrowWriter::into_serialized_writer)
                .map_err(failed(path))?;
        Ok(Self { path: path.to_owned(), schema, writer, factory: Arc::new(factory) })
    }

    /// What other threads encode with.
    pub(crate) fn encoder(&self) -> Encoder {
        Encoder {
            path: self.path.clone(),
            schema: Arc::clone(&self.schema),
            factory: Arc::clone(&self.factory),
        }
    }

    /// Appends the next row group.
    pub(crate) fn append(&mut self, group: EncodedGroup) -> Result<(), BundleError> {
        let append = || {
            let mut place = self.writer.next_row_group()?;
            for chunk in group.0 {
                chunk.append_to_row_group(&mut place)?;
            }
            place.close().map(drop)
        };
        append().map_err(failed(&self.path))
    }

    /// Ends the file, makes it durable and gives its sum.
    pub(crate) fn finish(self) -> Result<FileSum, BundleError> {
        let file = self.writer.into_inner().map_err(failed(&self.path))?;
        file.finish().map_err(|error| BundleError::io("write", &self.path, error))
    }
}

/// One row group while it is encoded.
pub(crate) struct GroupEncoder<'e> {
    encoder: &'e Encoder,
    writers: Vec<ArrowColumnWriter>,
}

impl Encoder {
    /// Begins row group `number`.
    pub(crate) fn begin(&self, number: usize) -> Result<GroupEncoder<'_>, BundleError> {
        let writers = self.factory.create_column_writers(number).map_err(failed(&self.path))?;
        Ok(GroupEncoder { encoder: self, writers })
    }
}

impl GroupEncoder<'_> {
    /// Adds a block of `BLOCK_ROWS` rows; only a group's last one is shorter.
    pub(crate) fn add(&mut self, block: &RecordBatch) -> Result<(), BundleError> {
        let Encoder { path, schema, .. } = self.encoder;
        let mut at = self.writers.iter_mut();
        let mut add = || {
            for (field, column) in schema.fields().iter().zip(block.columns()) {
                for leaf in compute_leaves(field, column)? {
                    let writer = at.next();
                    let none = || ParquetError::General("a column too many".to_owned());
                    writer.ok_or_else(none)?.write(&leaf)?;
                }
            }
            Ok(())
        };
        add().map_err(failed(path))
    }

    /// Ends the row group.
    pub(crate) fn end(self) -> Result<EncodedGroup, BundleError> {
        let closed = self.writers.into_iter().map(ArrowColumnWriter::close);
        let chunks = closed.collect::<Result<Vec<_>, _>>();
        chunks.map(EncodedGroup).map_err(failed(&self.encoder.path))
    }
}

/// The block of `digests.parquet` that belongs to these ids.
pub(crate) fn digest_block(ids: ArrayRef, digests: ArrayRef) -> Result<RecordBatch, BundleError> {
    RecordBatch::try_new(Table::Digests.schema(0), vec![ids, digests]).map_err(|error| {
        StoreError::new(Code::BUG, "cannot build a block of digests").because(error).into()
    })
}
