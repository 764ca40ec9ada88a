//! The header of a qcow2 file, read without QEMU: what a bundle says about a disk must not depend on
//! the program that is to be checked by it.

/// How much of a file is needed to read its header, with the name of a file behind it.
pub const QCOW2_HEADER_BYTES: usize = 4096;

const MAGIC: [u8; 4] = *b"QFI\xfb";
/// The longest name of a file behind it, by the specification.
const BACKING_NAME_MAX: u32 = 1023;
/// The bits of incompatible features: dirty, corrupt, external data file, compression type.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const KNOWN_FEATURES: u64 = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | 1 << 4;

/// What the header says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bit of the header")]
pub struct Qcow2Header {
    /// The version: 2 or 3.
    pub version: u32,
    /// How many bytes the machine sees.
    pub virtual_size: u64,
    /// The size of a cluster, as a power of two.
    pub cluster_bits: u32,
    /// The file behind it, as its writer named it.
    pub backing_file: Option<String>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// How many snapshots it holds inside.
    pub snapshots: u32,
    /// Whether its data lie in another file.
    pub data_file: bool,
    /// Whether it was not closed in order.
    pub dirty: bool,
    /// Whether QEMU has marked it as damaged.
    pub corrupt: bool,
}

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Qcow2Error {
    /// It ends early, or does not begin as such a file does.
    #[error("it is no qcow2 file")]
    NotQcow2,
    /// A version that is not known.
    #[error("it is of qcow2 version {0}; 2 and 3 are read")]
    Version(u32),
    /// A number that cannot be.
    #[error("its header says that {what} is {value}")]
    Value {
        /// What.
        what: &'static str,
        /// The number.
        value: u64,
    },
    /// Features that change what the file means.
    #[error("it has features that are not known: {0:#x}")]
    Features(u64),
}

/// Whether a file begins as a qcow2 file does.
pub fn is_qcow2(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

impl Qcow2Header {
    /// Reads the first [`QCOW2_HEADER_BYTES`] bytes of a file, or all of a shorter one.
    pub fn read(start: &[u8]) -> Result<Self, Qcow2Error> {
        if !is_qcow2(start) {
            return Err(Qcow2Error::NotQcow2);
        }
        let u32_at = |at| Ok::<_, Qcow2Error>(u32::from_be_bytes(bytes_at(start, at)?));
        let u64_at = |at| Ok::<_, Qcow2Error>(u64::from_be_bytes(bytes_at(start, at)?));
        let version = u32_at(4)?;
        if !matches!(version, 2 | 3) {
            return Err(Qcow2Error::Version(version));
        }
        let cluster_bits = u32_at(20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(value("the size of a cluster, in bits,", cluster_bits));
        }
        let virtual_size = u64_at(24)?;
        if virtual_size == 0 || virtual_size > u64::MAX / 2 {
            return Err(value("the size of the disk", virtual_size));
        }
        let encryption = u32_at(32)?;
        if encryption > 2 {
            return Err(value("the method of encryption", encryption));
        }
        let features = if version == 2 { 0 } else { u64_at(72)? };
        if version == 3 {
            let length = u32_at(100)?;
            if !(104..=1 << cluster_bits).contains(&length) || !length.is_multiple_of(8) {
                return Err(value("the length of the header", length));
            }
        }
        if features & !KNOWN_FEATURES != 0 {
            return Err(Qcow2Error::Features(features & !KNOWN_FEATURES));
        }
        Ok(Self {
            version,
            virtual_size,
            cluster_bits,
            backing_file: backing_file(start, u64_at(8)?, u32_at(16)?)?,
            encrypted: encryption != 0,
            snapshots: u32_at(60)?,
            data_file: features & DATA_FILE != 0,
            dirty: features & DIRTY != 0,
            corrupt: features & CORRUPT != 0,
        })
    }
}

fn value(what: &'static str, value: impl Into<u64>) -> Qcow2Error {
    Qcow2Error::Value { what, value: value.into() }
}

fn bytes_at<const N: usize>(start: &[u8], at: usize) -> Result<[u8; N], Qcow2Error> {
    let bytes = start.get(at..).and_then(|rest| rest.first_chunk::<N>());
    bytes.copied().ok_or(Qcow2Error::NotQcow2)
}

/// The name of the file behind it. One that lies further in than is read is refused: a disk of
/// others must not make us look anywhere.
fn backing_file(start: &[u8], at: u64, length: u32) -> Result<Option<String>, Qcow2Error> {
    if at == 0 {
        return Ok(None);
    }
    if length == 0 || length > BACKING_NAME_MAX {
        return Err(value("the length of the name of the file behind it", length));
    }
    let from = usize::try_from(at).ok().filter(|from| *from >= 72);
    let name = from.and_then(|from| start.get(from..)?.get(..length as usize));
    let name = name.ok_or_else(|| value("the place of the name of the file behind it", at))?;
    Ok(Some(String::from_utf8_lossy(name).into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `qemu-img create -f qcow2` writes it.
    fn header(backing: Option<&str>) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(4, &3u32.to_be_bytes());
        put(20, &16u32.to_be_bytes());
        put(24, &(64u64 << 20).to_be_bytes());
        put(100, &104u32.to_be_bytes());
        if let Some(name) = backing {
            put(8, &200u64.to_be_bytes());
            put(16, &u32::try_from(name.len()).unwrap().to_be_bytes());
            put(200, name.as_bytes());
        }
        bytes
    }

    #[test]
    fn a_header_is_read_and_a_damaged_one_refused() {
        let plain = Qcow2Header::read(&header(None)).unwrap();
        assert_eq!((plain.version, plain.virtual_size, plain.cluster_bits), (3, 64 << 20, 16));
        assert_eq!((plain.backing_file, plain.encrypted, plain.snapshots), (None, false, 0));
        let chained = Qcow2Header::read(&header(Some("base.raw"))).unwrap();
        assert_eq!(chained.backing_file.as_deref(), Some("base.raw"));
        let with = |at: usize, byte: u8| {
            let mut bytes = header(Some("base.raw"));
            bytes[at] = byte;
            Qcow2Header::read(&bytes)
        };
        for (at, byte) in [(0, 0), (7, 4), (23, 8), (23, 30), (24, 0x80), (35, 9), (103, 1)] {
            assert!(with(at, byte).is_err(), "byte {at} = {byte}");
        }
        // The name behind it lies outside, has no length, or too much of it.
        for (at, byte) in [(14, 0xff), (19, 0), (18, 0xff)] {
            assert!(with(at, byte).is_err(), "byte {at} = {byte}");
        }
        assert_eq!(with(79, 0x40), Err(Qcow2Error::Features(0x40)));
        assert!(with(79, 2).unwrap().corrupt && with(79, 4).unwrap().data_file);
        assert!(with(35, 2).unwrap().encrypted);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_look_outside(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            place in 0usize..120,
            backing in any::<bool>(),
        ) {
            let _ = Qcow2Header::read(&bytes);
            let mut damaged = header(backing.then_some("b"));
            for (byte, new) in damaged.iter_mut().skip(place).zip(&bytes) {
                *byte = *new;
            }
            if let Ok(read) = Qcow2Header::read(&damaged) {
                prop_assert!(read.virtual_size > 0 && (9..=21).contains(&read.cluster_bits));
            }
            damaged.truncate(place);
            prop_assert!(Qcow2Header::read(&damaged).is_err() || place >= 104);
        }
    }
}
