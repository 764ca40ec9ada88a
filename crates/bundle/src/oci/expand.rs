//! Compressed layers of container images: whoever runs the image will unpack them, so how much they
//! give is found out first, and nothing of it is kept.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::fault::BundleFault;
use super::limits::BundleLimits;

/// What gives no more than this is never too much, however small it was.
const HARMLESS_BYTES: u64 = 64 << 20;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How many bytes a blob gives when it is decompressed; its own size if it is not compressed.
pub(super) fn expanded(
    path: &str,
    size: u64,
    mut blob: impl Read,
    limits: &BundleLimits,
) -> Result<u64, BundleFault> {
    let damaged =
        |error: io::Error| BundleFault::Damaged(format!("{path} cannot be decompressed: {error}"));
    let mut magic = Vec::new();
    (&mut blob).take(4).read_to_end(&mut magic).map_err(damaged)?;
    let is_gzip = magic.starts_with(GZIP);
    let is_zstd = magic.starts_with(ZSTD);
    let whole = BufReader::new(io::Cursor::new(magic).chain(blob));
    if is_gzip {
        count(path, size, MultiGzDecoder::new(whole), limits)
    } else if is_zstd {
        count(path, size, zstd::stream::read::Decoder::with_buffer(whole).map_err(damaged)?, limits)
    } else {
        Ok(size)
    }
}

fn count(
    path: &str,
    size: u64,
    mut plain: impl Read,
    limits: &BundleLimits,
) -> Result<u64, BundleFault> {
    let most = size.saturating_mul(limits.ratio).max(HARMLESS_BYTES).min(limits.bytes);
    let mut buffer = vec![0; 256 << 10];
    let mut given = 0;
    loop {
        let read = plain.read(&mut buffer).map_err(|error| {
            BundleFault::Damaged(format!("{path} cannot be decompressed: {error}"))
        })?;
        if read == 0 {
            return Ok(given);
        }
        given += read as u64;
        if given > most {
            return Err(BundleFault::Limit(format!(
                "{path} has {size} bytes and gives more than {most} when it is decompressed"
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: u64) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        io::copy(&mut io::repeat(0).take(bytes), &mut out).unwrap();
        out.finish().unwrap()
    }

    fn answer(blob: &[u8]) -> Result<u64, BundleFault> {
        expanded("image/layer", blob.len() as u64, blob, &BundleLimits::default())
    }

    #[test]
    fn a_bomb_is_refused_and_a_layer_is_counted() {
        assert_eq!(answer(&gzip(8 << 20)), Ok(8 << 20));
        assert_eq!(answer(b"{}"), Ok(2));
        assert_eq!(answer(b""), Ok(0));
        let zeros = vec![0; 300 << 20];
        let zstd = zstd::encode_all(zeros.as_slice(), 3).unwrap();
        for bomb in [gzip(300 << 20), zstd] {
            assert!(matches!(answer(&bomb), Err(BundleFault::Limit(_))));
            let wide = BundleLimits { ratio: 1 << 20, ..BundleLimits::default() };
            let given = expanded("image/layer", bomb.len() as u64, bomb.as_slice(), &wide);
            assert_eq!(given, Ok(300 << 20));
        }
        // Two members, of which the second is the bomb.
        let mut two = gzip(1 << 20);
        two.extend(gzip(300 << 20));
        assert!(matches!(answer(&two), Err(BundleFault::Limit(_))));
        let mut cut = gzip(8 << 20);
        cut.truncate(cut.len() / 2);
        assert!(matches!(answer(&cut), Err(BundleFault::Damaged(_))));
    }
}
