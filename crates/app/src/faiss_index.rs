//! Writes `index.faiss` into a snapshot: position i is row i of `metadata.parquet`.

use std::path::Path;

use carnet_connect::{RecordStream, StoreError};
use carnet_model::{Code, CollectionContract};

/// Writes the vectors of a collection as a flat FAISS index.
#[cfg(feature = "faiss")]
pub(crate) fn write(
    contract: &CollectionContract,
    records: u64,
    stream: &mut dyn RecordStream,
    file: &Path,
) -> Result<(), StoreError> {
    use std::fs::File;
    use std::io::{BufWriter, Write};

    use carnet_connectors::{FaissFlatWriter, FaissLayout};

    let failed = |error| StoreError::io(format!("cannot write {}", file.display()), error);
    let layout = FaissLayout {
        metric: metric(contract)?,
        dimensions: contract.dimensions,
        len: records,
        ids: false,
    };
    let out = BufWriter::with_capacity(1 << 20, File::create_new(file).map_err(failed)?);
    let mut writer = FaissFlatWriter::new(out, layout).map_err(failed)?;
    while let Some(batch) = stream.next()? {
        for record in batch.iter() {
            writer.vectors(record.vector).map_err(failed)?;
        }
    }
    writer.finish([]).and_then(|mut out| out.flush()).map_err(failed)
}

/// The metric by which FAISS gives the same order.
#[cfg(feature = "faiss")]
fn metric(contract: &CollectionContract) -> Result<carnet_connectors::FaissMetric, StoreError> {
    use carnet_connectors::FaissMetric;
    use carnet_model::{Metric, Normalisation};

    match (contract.metric, contract.normalisation) {
        (Some(Metric::L2), _) => Ok(FaissMetric::L2),
        (Some(Metric::InnerProduct), _)
        | (Some(Metric::Cosine), Some(Normalisation::UnitLength)) => Ok(FaissMetric::InnerProduct),
        (Some(Metric::Cosine), Some(Normalisation::None) | None) => Err(refused(
            contract,
            "FAISS has no cosine for vectors that are not of unit length",
            "export without --index",
        )),
        (None, _) => Err(refused(
            contract,
            "nobody has declared the metric, by which FAISS would search",
            "declare it with --metric, or export without --index",
        )),
    }
}

#[cfg(feature = "faiss")]
fn refused(contract: &CollectionContract, why: &str, remedy: &str) -> StoreError {
    let what = format!("collection {}: {why}", contract.name);
    StoreError::new(Code::STORE_UNSUPPORTED, what).remedy(remedy)
}

/// This build leaves FAISS out.
#[cfg(not(feature = "faiss"))]
pub(crate) fn write(
    _: &CollectionContract,
    _: u64,
    _: &mut dyn RecordStream,
    _: &Path,
) -> Result<(), StoreError> {
    Err(StoreError::new(Code::STORE_FEATURE, "this build leaves out faiss")
        .remedy("build Carnet with the feature `faiss`"))
}
