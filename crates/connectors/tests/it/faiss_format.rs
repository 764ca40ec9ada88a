//! The FAISS file format: every kind that faiss-cpu writes, damaged files, and our own files.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use carnet_connectors::{FaissFlatWriter, FaissFormatError, FaissIndex, FaissLayout, FaissMetric};
use proptest::prelude::*;

use crate::allocations::peak_of;
use crate::python::python;

/// Writes one file per kind, with the vectors as faiss itself gives them back (`NAME.f32`, in the
/// order of its labels) and the labels (`NAME.i64`). With the argument 12 it writes the fixtures.
const WRITE_ALL: &str = r"
import sys
import faiss, numpy as np
n, d = int(sys.argv[1]) if len(sys.argv) > 1 else 200, 16
random = np.random.RandomState(7)
x = random.randn(n, d).astype('f4')
x[1, 0], x[1, 1], x[1, 2] = -0.0, 1e-42, np.float32(1) / 3
ids = np.arange(n)[::-1] * 1000003 - 5

def write(name, index, labels=None, vectors=None):
    faiss.write_index(index, name + '.faiss')
    labels = np.arange(n) if labels is None else labels
    if vectors is None:
        vectors = np.stack([index.reconstruct(int(label)) for label in labels])
    vectors.astype('<f4').tofile(name + '.f32')
    labels.astype('<i8').tofile(name + '.i64')

def filled(text, metric=faiss.METRIC_L2):
    index = faiss.index_factory(d, text, metric)
    index.train(x)
    index.add(x)
    return index

ip = faiss.METRIC_INNER_PRODUCT
write('flat_l2', filled('Flat'), vectors=x)
write('flat_ip', filled('Flat', ip), vectors=x)
for name, text in [('idmap', 'IDMap,Flat'), ('idmap2', 'IDMap2,Flat')]:
    index = faiss.index_factory(d, text)
    index.add_with_ids(x, ids)
    write(name, index, ids, x)
index = faiss.IndexIDMap2(faiss.IndexHNSWFlat(d, 8))
index.add_with_ids(x, ids)
write('idmap2_hnsw', index, ids, x)
for name, text, metric in [
    ('ivf_full', 'IVF4,Flat', ip),
    ('ivf_hnsw_quantizer', 'IVF4_HNSW8,Flat', faiss.METRIC_L2),
    ('ivf_fp16', 'IVF4,SQfp16', faiss.METRIC_L2),
    ('ivf_bf16', 'IVF4,SQbf16', faiss.METRIC_L2),
]:
    index = filled(text, metric)
    index.make_direct_map()
    write(name, index)
index = filled('IVF4,Flat')
index.set_direct_map_type(faiss.DirectMap.Hashtable)
write('ivf_hash', index, vectors=x)
index = faiss.IndexIVFScalarQuantizer(
    faiss.IndexFlatL2(d), d, 4, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2, False)
index.train(x)
index.add(x)
index.make_direct_map()
write('ivf_fp16_plain', index)
index = faiss.index_factory(d, 'IVF4,Flat')
index.train(x)
index.add_with_ids(x, ids)
write('ivf_ids', index, ids, x)
index = faiss.IndexIVFFlat(faiss.IndexFlatL2(d), d, 150 if n >= 150 else n)
index.train(x)
index.add(x[np.arange(n) % 3])
write('ivf_sparse', index, vectors=x[np.arange(n) % 3])
inner = faiss.index_factory(d, 'IVF4,Flat')
inner.train(x)
index = faiss.IndexIDMap2(inner)
index.add_with_ids(x, ids)
write('idmap2_ivf', index, ids, x)
write('hnsw_l2', filled('HNSW8,Flat'), vectors=x)
write('hnsw_ip', filled('HNSW8,Flat', ip), vectors=x)
write('hnsw_fp16', filled('HNSW8,SQfp16'))
write('sq_fp16', filled('SQfp16'), vectors=x.astype('f2').astype('f4'))
write('sq_bf16', filled('SQbf16'))
empty = faiss.IndexFlatL2(d)
write('empty', empty, np.zeros(0), np.zeros((0, d)))
write('empty_ivf', faiss.index_factory(d, 'IVF4,Flat'), np.zeros(0), np.zeros((0, d)))
";

/// Kinds that no longer hold the vectors, or that Carnet does not read.
const WRITE_REFUSED: &str = r"
import faiss, numpy as np
x = np.random.RandomState(7).randn(300, 16).astype('f4')
def filled(index):
    index.train(x)
    index.add(x)
    return index
for name, text in [
    ('pq', 'PQ4x4'), ('ivf_pq', 'IVF4,PQ4x4'), ('pq_fs', 'PQ4x4fs'), ('ivf_pq_fs', 'IVF4,PQ4x4fs'),
    ('sq8', 'SQ8'), ('sq4', 'SQ4'), ('sq6', 'SQ6'), ('sq8_direct', 'SQ8_direct'), ('lsh', 'LSH'),
    ('ivf_sq8', 'IVF4,SQ8'), ('hnsw_pq', 'HNSW8_PQ4x4'), ('hnsw_sq8', 'HNSW8,SQ8'),
    ('pca', 'PCA8,Flat'), ('opq', 'OPQ4,IVF4,PQ4x4'), ('l2norm', 'L2norm,Flat'),
    ('refine', 'PQ4x4,RFlat'), ('nsg', 'NSG8,Flat'), ('rq', 'RQ2x4'), ('lsq', 'LSQ2x4'),
    ('rabitq', 'RaBitQ'), ('ivf_rabitq', 'IVF4,RaBitQ'), ('panorama', 'FlatL2Panorama2'),
    ('ivf_dedup', 'IVF4,FlatDedup'), ('imi', 'IMI2x4,Flat'),
]:
    faiss.write_index(filled(faiss.index_factory(16, text)), name + '.faiss')
coarse = faiss.IndexFlatL2(16)
faiss.write_index(filled(faiss.IndexIVFPQR(coarse, 16, 4, 4, 4, 4, 4)), 'ivf_pqr.faiss')
faiss.write_index(filled(faiss.IndexFlat(16, faiss.METRIC_L1)), 'flat_l1.faiss')
faiss.write_index(filled(faiss.IndexFlat(16, faiss.METRIC_Lp)), 'flat_lp.faiss')
bits = np.random.RandomState(7).randint(0, 256, size=(300, 4)).astype('u1')
for name, text in [('binary', 'BFlat'), ('binary_hnsw', 'BHNSW8'), ('binary_ivf', 'BIVF4')]:
    index = faiss.index_binary_factory(32, text)
    index.train(bits)
    index.add(bits)
    faiss.write_index_binary(index, name + '.faiss')
";

/// Every label and vector of an index, as (label, bits).
fn contents(index: &FaissIndex, bytes: &[u8]) -> Vec<(i64, Vec<u32>)> {
    (0..index.len())
        .map(|slot| {
            let mut vector = Vec::new();
            index.gather(bytes, slot, &mut vector).expect("each slot has a vector");
            let bits = vector.iter().map(|value| value.to_bits()).collect();
            (index.label(bytes, slot).expect("each slot has a label"), bits)
        })
        .collect()
}

fn words<const N: usize>(path: &Path) -> Vec<[u8; N]> {
    fs::read(path).unwrap().as_chunks::<N>().0.to_vec()
}

fn expected(dir: &Path, name: &str) -> Vec<(i64, Vec<u32>)> {
    let labels = words::<8>(&dir.join(format!("{name}.i64")));
    let bits = words::<4>(&dir.join(format!("{name}.f32")));
    let rows =
        bits.chunks(16).map(|row| row.iter().map(|word| u32::from_le_bytes(*word)).collect());
    let mut all: Vec<_> = labels.iter().map(|word| i64::from_le_bytes(*word)).zip(rows).collect();
    all.sort();
    all
}

fn indexes(dir: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "faiss"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    found.sort();
    found
}

#[test]
fn every_kind_that_holds_the_vectors_is_read_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    python(dir.path(), WRITE_ALL);
    let found = indexes(dir.path());
    assert_eq!(found.len(), 21);
    for (name, path) in found {
        let bytes = fs::read(path).unwrap();
        let index = FaissIndex::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut read = contents(&index, &bytes);
        read.sort();
        assert!(read == expected(dir.path(), &name), "{name}: other vectors or labels");
        assert_eq!(index.dimensions(), 16, "{name}");
        let inner_product = ["flat_ip", "hnsw_ip", "ivf_full"].contains(&name.as_str());
        let metric = if inner_product { FaissMetric::InnerProduct } else { FaissMetric::L2 };
        assert_eq!(index.metric(), metric, "{name}");
        assert_eq!(index.is_half(), name.contains("16"), "{name}");
        if name.starts_with("hnsw") {
            assert_eq!(index.parameters()["m"], 8, "{name}");
            assert_eq!(index.parameters()["ef_construction"], 40, "{name}");
        }
    }
}

#[test]
fn kinds_without_the_vectors_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    python(dir.path(), WRITE_REFUSED);
    let found = indexes(dir.path());
    assert_eq!(found.len(), 30);
    for (name, path) in found {
        let error = FaissIndex::parse(&fs::read(path).unwrap()).unwrap_err();
        assert!(matches!(error, FaissFormatError::Kind(_)), "{name}: {error}");
        assert_eq!(error.code().name(), "faiss.kind");
        assert!(!error.to_string().contains("not known"), "{name}: {error}");
        eprintln!("{name}: {error}");
    }
}

/// What faiss-cpu writes for 200 vectors, which we write again from what we read.
#[test]
fn our_files_are_those_of_faiss_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    python(dir.path(), WRITE_ALL);
    for name in ["flat_l2", "flat_ip", "idmap2", "empty"] {
        let theirs = fs::read(dir.path().join(format!("{name}.faiss"))).unwrap();
        let index = FaissIndex::parse(&theirs).unwrap();
        let layout = FaissLayout {
            metric: index.metric(),
            dimensions: 16,
            len: index.len() as u64,
            ids: index.has_map(),
        };
        let mut writer = FaissFlatWriter::new(Cursor::new(Vec::new()), layout).unwrap();
        let mut ids = Vec::new();
        for slot in 0..index.len() {
            let mut vector = Vec::new();
            index.gather(&theirs, slot, &mut vector).unwrap();
            writer.vectors(&vector).unwrap();
            ids.push(index.label(&theirs, slot).unwrap());
        }
        let ours = writer.finish(ids).unwrap().into_inner();
        assert!(ours == theirs, "{name} differs");
    }
}

#[test]
fn a_writer_refuses_other_counts_than_it_announced() {
    let layout = FaissLayout { metric: FaissMetric::L2, dimensions: 2, len: 2, ids: true };
    let open = || FaissFlatWriter::new(Vec::new(), layout).unwrap();
    assert!(open().finish([]).is_err());
    assert!(open().vectors(&[0.0; 6]).is_err());
    assert!(open().vectors(&[0.0; 3]).is_err());
    let mut writer = open();
    writer.vectors(&[0.0; 4]).unwrap();
    assert!(writer.finish([1]).is_err());
    assert!(FaissFlatWriter::new(Vec::new(), FaissLayout { dimensions: 0, ..layout }).is_err());
    assert!(FaissFlatWriter::new(Vec::new(), FaissLayout { len: u64::MAX, ..layout }).is_err());
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/faiss");
    indexes(&dir).into_iter().map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

/// Parses, and reads everything that a parsed index offers. Whatever the bytes are, neither panics,
/// and parsing allocates no more than the file's size (plus a little for names and messages).
fn read_without_trust(name: &str, bytes: &[u8]) -> Result<(), FaissFormatError> {
    let (index, peak) = peak_of(|| FaissIndex::parse(bytes));
    assert!(peak <= bytes.len() + 4096, "{name}: {peak} bytes allocated for {}", bytes.len());
    let index = index?;
    assert!(index.len() <= bytes.len());
    let mut vector = Vec::new();
    for slot in 0..=index.len() {
        let _ = index.label(bytes, slot);
        vector.clear();
        let _ = index.gather(bytes, slot, &mut vector);
        let _ = index.plain(bytes, slot..slot + 1);
    }
    Ok(())
}

#[test]
fn every_truncation_of_every_kind_is_malformed() {
    let fixtures = fixtures();
    assert_eq!(fixtures.len(), 21);
    for (name, bytes) in fixtures {
        read_without_trust(&name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for end in 0..bytes.len() {
            let error = read_without_trust(&name, &bytes[..end]).unwrap_err();
            assert!(matches!(error, FaissFormatError::Malformed { .. }), "{name} to {end}");
            assert_eq!(error.code().name(), "faiss.malformed");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        let error = read_without_trust(&name, &longer).unwrap_err();
        assert!(error.to_string().contains("1 bytes after the end"), "{name}: {error}");
    }
}

/// Each 4- and 8-byte word of each header takes the values that overflow sums and products.
#[test]
fn lying_counts_are_caught_or_harmless() {
    let lies = [0, 1, 2, u64::MAX, u64::MAX / 2, u64::MAX / 4 + 1, 1 << 32, (1 << 61) + 1, 1 << 20];
    for (name, bytes) in fixtures() {
        for at in 0..bytes.len() - 8 {
            for lie in lies {
                for size in [1, 4, 8] {
                    let mut damaged = bytes.clone();
                    damaged[at..at + size].copy_from_slice(&lie.to_le_bytes()[..size]);
                    let _ = read_without_trust(&name, &damaged);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_damage_makes_the_reader_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        splice in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let fixtures = fixtures();
        let (name, mut bytes) = fixtures[which.index(fixtures.len())].clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((other, at)) = splice {
            let other = &fixtures[other.index(fixtures.len())].1;
            let at = at.index(bytes.len());
            bytes.splice(at.., other.iter().copied());
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read_without_trust(&name, &bytes);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_without_trust("random bytes", &bytes);
    }
}
