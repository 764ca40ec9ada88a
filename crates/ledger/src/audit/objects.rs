//! What the events point to: every object hashed again, and looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::AuditError;
use super::documents::INDEX;
use super::findings::Findings;
use super::lines::Lines;
use super::material::{BUFFER, FileSum, Hashed, Material, hash_entry};
use super::report::{CheckId, Reason};
use crate::checkpoint::log_number;
use crate::digest::{Digest, Hasher};

/// The folder of all objects.
const FOLDER: &str = "artifacts/";
/// A line of the index is far shorter.
const LINE_BYTES_MAX: usize = 4_096;
/// The largest object that is kept when it is asked for.
const KEPT_BYTES_MAX: u64 = 1 << 20;

/// The objects of a bundle.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) findings: Findings,
    /// How many there are.
    pub(super) count: u64,
    /// Those that were asked for, as far as they hold.
    pub(super) kept: BTreeMap<Digest, Vec<u8>>,
    /// The files that were read on the way.
    pub(super) sums: BTreeMap<String, FileSum>,
    /// The digests of all objects where there is no index of them, sorted.
    loose: Vec<Digest>,
    /// Whether the index can be read at all.
    pub(super) readable: bool,
}

fn failed(name: &str) -> impl Fn(io::Error) -> AuditError {
    let name = name.to_owned();
    move |source| AuditError::Read { name: name.clone(), source }
}

/// Hashes all objects again. `keep` names those whose bytes are wanted.
pub(super) fn check(
    material: &dyn Material,
    own: bool,
    keep: &BTreeSet<Digest>,
) -> Result<Objects, AuditError> {
    let mut objects = Objects { readable: true, ..Objects::default() };
    if own {
        packed(material, keep, &mut objects)?;
    } else {
        loose(material, &mut objects)?;
    }
    Ok(objects)
}

/// In bundles of others each file under `artifacts/` is an object.
fn loose(material: &dyn Material, objects: &mut Objects) -> Result<(), AuditError> {
    for (name, _) in material.entries().iter().filter(|(name, _)| name.starts_with(FOLDER)) {
        let sum = hash_entry(material, name).map_err(failed(name))?;
        objects.sums.insert(name.clone(), sum);
        objects.loose.push(sum.sha256);
        // A file that goes by a digest must have it.
        let base = name.rsplit(['/', ':']).next().unwrap_or_default();
        let named = base.split('.').next().and_then(|name| name.parse::<Digest>().ok());
        if named.is_some_and(|named| named != sum.sha256) {
            objects.findings.add(CheckId::Artifacts, Reason::ArtifactSwapped, || {
                format!("{name} has other bytes than its name says")
            });
        }
    }
    objects.count = objects.loose.len() as u64;
    objects.loose.sort_unstable();
    Ok(())
}

/// A line of the index.
struct Line<'a> {
    bytes: u64,
    offset: u64,
    pack: &'a str,
    sha256: Digest,
}

impl<'a> Line<'a> {
    /// Reads the one form that a line has.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (bytes, rest) = text.strip_prefix(r#"{"bytes":"#)?.split_once(',')?;
        let (offset, rest) = rest.strip_prefix(r#""offset":"#)?.split_once(',')?;
        let (pack, rest) = rest.strip_prefix(r#""pack":""#)?.split_once('"')?;
        Some(Self {
            bytes: log_number(bytes)?,
            offset: log_number(offset)?,
            pack,
            sha256: rest.strip_prefix(r#","sha256":""#)?.strip_suffix(r#""}"#)?.parse().ok()?,
        })
    }
}

/// Goes through the index. The callback gets each line; false ends the walk. Gives the file's sum,
/// and the first line that cannot be read.
fn each_line(
    material: &dyn Material,
    mut each: impl FnMut(&Line<'_>) -> Result<(), AuditError>,
) -> Result<(FileSum, Option<u64>), AuditError> {
    let failed = failed(INDEX);
    let file = Hashed::new(material.open(INDEX).map_err(&failed)?);
    let mut lines = Lines::new(file, LINE_BYTES_MAX);
    let mut wrong = None;
    let mut last = None;
    'read: while let Some(batch) = lines.batch().map_err(&failed)? {
        for (place, line) in (batch.first + 1..).zip(batch.lines()) {
            match Line::parse(line) {
                Some(line) if last < Some(line.sha256) => {
                    last = Some(line.sha256);
                    each(&line)?;
                }
                Some(_) | None => {
                    wrong = Some(place);
                    break 'read;
                }
            }
        }
    }
    Ok((lines.into_reader().finish().map_err(&failed)?, wrong))
}

/// The objects lie in packs, in the order of the index and one behind the other.
fn packed(
    material: &dyn Material,
    keep: &BTreeSet<Digest>,
    objects: &mut Objects,
) -> Result<(), AuditError> {
    if !material.has(INDEX) {
        objects.readable = false;
        objects
            .findings
            .add(CheckId::Artifacts, Reason::FileMissing, || format!("{INDEX} is missing"));
        return Ok(());
    }
    let mut packs = Packs { material, open: None, next: 0, buffer: vec![0; BUFFER] };
    let (sum, wrong) = each_line(material, |line| {
        objects.count += 1;
        packs.object(line, keep, objects)
    })?;
    packs.close(wrong.is_none(), objects)?;
    objects.sums.insert(INDEX.to_owned(), sum);
    if let Some(place) = wrong {
        objects.readable = false;
        objects.findings.add(CheckId::Artifacts, Reason::Malformed, || {
            format!("line {place} of {INDEX} is not of its form, or not in order")
        });
    }
    Ok(())
}

struct Packs<'m> {
    material: &'m dyn Material,
    open: Option<Pack<'m>>,
    next: u64,
    buffer: Vec<u8>,
}

struct Pack<'m> {
    name: String,
    /// None if the pack is missing.
    file: Option<Hashed<Box<dyn Read + Send + 'm>>>,
    at: u64,
}

impl Packs<'_> {
    fn object(
        &mut self,
        line: &Line<'_>,
        keep: &BTreeSet<Digest>,
        objects: &mut Objects,
    ) -> Result<(), AuditError> {
        if self.open.as_ref().is_none_or(|pack| pack.name != line.pack) {
            self.close(true, objects)?;
            self.begin(line.pack, objects)?;
        }
        let Some(pack) = &mut self.open else { return Ok(()) };
        if line.offset != pack.at {
            objects.findings.add(CheckId::Artifacts, Reason::Malformed, || {
                format!("object {} does not follow the one before it in its pack", line.sha256)
            });
        }
        pack.at = line.offset.saturating_add(line.bytes);
        let Some(file) = &mut pack.file else { return Ok(()) };
        let mut kept = (keep.contains(&line.sha256) && line.bytes <= KEPT_BYTES_MAX).then(Vec::new);
        let mut hasher = Hasher::new();
        let mut left = line.bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            let room = self.buffer.get_mut(..most).unwrap_or_default();
            let read = file.read(room).map_err(failed(&pack.name))?;
            if read == 0 {
                break;
            }
            let now = room.get(..read).unwrap_or_default();
            hasher.update(now);
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(now);
            }
            left -= read as u64;
        }
        if left > 0 || hasher.finish() != line.sha256 {
            objects.findings.add(CheckId::Artifacts, Reason::ArtifactSwapped, || {
                format!("object {} has other bytes than its digest says", line.sha256)
            });
        } else if let Some(kept) = kept {
            objects.kept.insert(line.sha256, kept);
        }
        Ok(())
    }

    fn begin(&mut self, name: &str, objects: &mut Objects) -> Result<(), AuditError> {
        let wanted = format!("{FOLDER}pack-{}", self.next);
        self.next += 1;
        if name != wanted {
            objects.findings.add(CheckId::Artifacts, Reason::Malformed, || {
                format!("{INDEX} names {name:?} where {wanted} is due")
            });
        }
        let there = name.starts_with(FOLDER) && self.material.has(name);
        if !there {
            objects.findings.add(CheckId::Artifacts, Reason::FileMissing, || {
                format!("{name:?}, which the index names, is missing")
            });
        }
        let file = if there {
            Some(Hashed::new(self.material.open(name).map_err(failed(name))?))
        } else {
            None
        };
        self.open = Some(Pack { name: name.to_owned(), file, at: 0 });
        Ok(())
    }

    /// `read` says whether the index could be read up to here.
    fn close(&mut self, read: bool, objects: &mut Objects) -> Result<(), AuditError> {
        let Some(Pack { name, file: Some(file), at }) = self.open.take() else { return Ok(()) };
        let sum = file.finish().map_err(failed(&name))?;
        if read && sum.bytes > at {
            objects.findings.add(CheckId::Artifacts, Reason::FileChanged, || {
                format!("{name} has bytes that belong to no object")
            });
        }
        objects.sums.insert(name, sum);
        Ok(())
    }
}

/// The largest object that is handed on one at a time.
const READ_BYTES_MAX: u64 = 64 << 20;

/// Hands on the objects with these digests, one at a time; those that hold other bytes, or cannot be
/// read, are left out: other rows tell of them.
pub(super) fn each_of(
    material: &dyn Material,
    own: bool,
    wanted: &BTreeSet<Digest>,
    each: &mut dyn FnMut(Digest, &[u8]),
) -> Result<(), AuditError> {
    let mut hand_on = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        if wanted.contains(&digest) {
            each(digest, bytes);
        }
    };
    if !own {
        for (name, bytes) in material.entries().iter().filter(|(name, _)| name.starts_with(FOLDER))
        {
            if *bytes <= READ_BYTES_MAX {
                let mut held = Vec::new();
                material
                    .open(name)
                    .and_then(|mut file| file.read_to_end(&mut held))
                    .map_err(failed(name))?;
                hand_on(&held);
            }
        }
        return Ok(());
    }
    if !material.has(INDEX) {
        return Ok(());
    }
    let mut pack: Option<(String, Box<dyn Read + Send + '_>)> = None;
    each_line(material, |line| {
        if pack.as_ref().is_none_or(|(name, _)| name != line.pack) {
            pack = None;
            if line.pack.starts_with(FOLDER) && material.has(line.pack) {
                let file = material.open(line.pack).map_err(failed(line.pack))?;
                pack = Some((line.pack.to_owned(), file));
            }
        }
        let Some((name, file)) = &mut pack else { return Ok(()) };
        let mut part = file.take(line.bytes);
        if wanted.contains(&line.sha256) && line.bytes <= READ_BYTES_MAX {
            let mut held = Vec::new();
            part.read_to_end(&mut held).map_err(failed(name))?;
            hand_on(&held);
        } else {
            io::copy(&mut part, &mut io::sink()).map_err(failed(name))?;
        }
        Ok(())
    })?;
    Ok(())
}

impl Objects {
    /// Looks for objects by their digests, which are sorted. Gives the first that is not there, and
    /// how many are not.
    pub(super) fn unresolved(
        &self,
        material: &dyn Material,
        own: bool,
        pointers: &[Digest],
    ) -> Result<Option<(Digest, u64)>, AuditError> {
        let mut missing = Missing::default();
        let mut wanted = pointers.iter().copied().peekable();
        if own {
            each_line(material, |line| {
                while let Some(digest) = wanted.next_if(|digest| *digest < line.sha256) {
                    missing.add(digest);
                }
                wanted.next_if_eq(&line.sha256);
                Ok(())
            })?;
            wanted.for_each(|digest| missing.add(digest));
        } else {
            wanted
                .filter(|digest| self.loose.binary_search(digest).is_err())
                .for_each(|digest| missing.add(digest));
        }
        Ok(missing.first.map(|first| (first, missing.count)))
    }
}

#[derive(Default)]
struct Missing {
    first: Option<Digest>,
    count: u64,
}

impl Missing {
    fn add(&mut self, digest: Digest) {
        self.first.get_or_insert(digest);
        self.count += 1;
    }
}
