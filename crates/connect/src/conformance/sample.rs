//! Records that are hard to carry: exact float bits, awkward ids, every metadata shape.

use carnet_model::{CollectionContract, CollectionName, EmbeddingModel, Metric, Normalisation};

use crate::capability::Capabilities;
use crate::error::StoreError;
use crate::records::{RecordRef, Records, RecordsBuilder};

/// The length of the sample's vectors.
pub const SAMPLE_DIMENSIONS: u32 = 8;

/// The sample's contract, in the first metric that the store supports.
pub fn sample_contract(name: &CollectionName, capabilities: &Capabilities) -> CollectionContract {
    CollectionContract {
        name: name.clone(),
        dimensions: SAMPLE_DIMENSIONS,
        metric: capabilities.metrics.first().copied().or(Some(Metric::L2)),
        normalisation: Some(Normalisation::None),
        embedding_model: Some(EmbeddingModel {
            name: "sample".to_owned(),
            revision: Some("1".to_owned()),
        }),
        index: None,
    }
}

/// `count` records in byte order of id. The same call gives the same records.
pub fn sample_records(count: usize) -> Result<Records, StoreError> {
    let mut ids: Vec<String> = (0..count)
        .map(|n| match n % 7 {
            0 => format!("plain-{n:05}"),
            1 => format!("Ünïcode-{n}-日本"),
            2 => format!("with space {n}"),
            3 => format!("line\nbreak\t{n}"),
            4 => format!("quote'\"\\{n}"),
            5 => format!("\u{1F600}{n}"),
            _ => format!("\u{FF61}{n}"),
        })
        .collect();
    ids.sort_unstable();
    let metadata = [
        r"{}",
        r#"{"a":1,"b":[1,2,[3,{"c":null}]],"t":"text"}"#,
        r#"{"big":9007199254740993,"negative":-9223372036854775809,"score":0.685}"#,
        r#"{"é":"naïve","日本":"\n\t\"\\","😀":true,"｡":false}"#,
        r#"{"deep":{"er":{"list":["a","b"],"n":1e-7}},"huge":1e+300}"#,
    ];
    let mut builder = RecordsBuilder::new(SAMPLE_DIMENSIONS);
    for (n, id) in ids.iter().enumerate() {
        let vector = sample_vector(n);
        let hash = format!("{n:064x}");
        let some = |present: bool, value: i64| present.then_some(value);
        let n64 = i64::try_from(n).unwrap_or(0);
        let canonical = canonical_huge(metadata.get(n % metadata.len()).copied().unwrap_or("{}"));
        builder.push(&RecordRef {
            id,
            vector: &vector,
            metadata: &canonical,
            version: some(n % 3 != 0, if n % 5 == 0 { i64::MAX - n64 } else { n64 }),
            source_hash: (n % 4 != 0).then_some(hash.as_str()),
            created_ts: some(n % 2 == 0, 1_700_000_000_123_456 + n64),
            updated_ts: some(n % 6 != 0, -1 - n64),
        })?;
    }
    builder.finish()
}

/// `1e+300` is a mathematical integer, and integers are written as plain digits.
fn canonical_huge(metadata: &str) -> String {
    metadata.replace("1e+300", &format!("1{}", "0".repeat(300)))
}

/// Values whose bits are easily lost: −0.0, subnormals, the extremes, one ulp above one.
fn sample_vector(n: usize) -> Vec<f32> {
    let awkward = [-0.0, f32::MIN_POSITIVE, 1e-45, 1.000_000_1, -1.5, 0.1, 16_777_217.0, 3e38];
    let seed = u32::try_from(n % 65_536).unwrap_or(0);
    (0..SAMPLE_DIMENSIONS)
        .map(|d| {
            let mixed = (seed.wrapping_mul(2_654_435_761) ^ d.wrapping_mul(40_503)) % 1_000;
            let value = f32::from(u16::try_from(mixed).unwrap_or(0)) / 997.0 - 0.5;
            match usize::try_from(d).ok().filter(|d| n % 11 == *d) {
                Some(d) if d < 7 => awkward.get(d).copied().unwrap_or(value),
                _ => value,
            }
        })
        .collect()
}
