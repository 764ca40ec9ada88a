//! What a bundle needs and an environment claims, and where images and disks come from.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use carnet_bundle::{Bundle, BundleLimits};
use carnet_ledger::detached::{Believed, DetachedAnswer};
use carnet_ledger::projection::{ENVELOPE_NAMESPACE, Envelope, check_envelope};
use carnet_ledger::trust::TrustFile;
use carnet_ledger::{EventTime, Hasher};
use carnet_model::Code;
use carnet_model::gate::{Facts, claims, supply_chain};
use carnet_model::portability::claims::{Claims, Needs, Parts};
use carnet_model::portability::supply::{
    Signed, Subject, SupplyChain, SupplyDocument, image_subjects,
};
use carnet_model::portability::{ContentType, DOCUMENT_BYTES_MAX};
use carnet_model::workload::DefinitionForm;

use super::{Looked, Surroundings};
use crate::error::StepError;

/// No list of parts is larger.
const SUPPLY_BYTES_MAX: u64 = 64 << 20;
/// The index of an image in a bundle.
const IMAGE_INDEX: &str = "image/index.json";
/// What a bundle says about its virtual machine.
const MACHINE: &str = "machine/machine.json";

/// Looks at the claims of an environment, and at what a bundle needs.
pub(super) fn claims(around: &Surroundings<'_>, rule: &claims::Rule) -> Result<Looked, StepError> {
    let path = around.path(&rule.bundle);
    let needs = if path.exists() {
        let bundle = open(&path)?;
        let mut parts = parts(&bundle)?;
        parts.stateful.extend(rule.stateful.iter().cloned());
        Some(Needs::of(bundle.manifest(), &parts))
    } else {
        None
    };
    let path = around.path(&rule.claims);
    let claimed = match small(&path, DOCUMENT_BYTES_MAX as u64)? {
        None => None,
        Some(bytes) => Some(Claims::read(&bytes).map_err(|errors| malformed(&path, &errors))?),
    };
    let facts = claims::Facts { needs: needs.map(Box::new), claims: claimed.map(Box::new) };
    Ok(Looked::new(Facts::Claims(facts)))
}

/// What the workload in a bundle rests on, and the disk of its machine.
fn parts(bundle: &Bundle) -> Result<Parts, StepError> {
    let read = |path: &str| -> Result<Option<Vec<u8>>, StepError> {
        if bundle.content(path).is_none() {
            return Ok(None);
        }
        Ok(Some(bundle.read(path, DOCUMENT_BYTES_MAX as u64)?))
    };
    let mut definition = None;
    for form in DefinitionForm::ALL {
        if let Some(bytes) = read(form.path())? {
            definition = Some((form, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    let machine = read(MACHINE)?;
    let definition = definition.as_ref().map(|(form, text)| (*form, text.as_str()));
    Parts::read(definition, machine.as_deref()).map_err(|what| {
        StepError::new(Code::BUNDLE_MALFORMED, what).remedy("correct it, and make the bundle anew")
    })
}

fn malformed(path: &Path, errors: &[carnet_model::InputError]) -> StepError {
    let first = errors.first().map_or_else(String::new, ToString::to_string);
    let what = format!("{} is not a file of claims: {first}", path.display());
    StepError::new(Code::CLAIMS_MALFORMED, what)
        .remedy("ask the environment again for the output of `carnet claims --json`")
}

fn open(path: &Path) -> Result<Bundle, StepError> {
    Ok(Bundle::open(path, &BundleLimits::default())?)
}

/// Looks at images and disks, at the lists of their parts, and at the statements on their making.
pub(super) fn supply_chain(
    around: &Surroundings<'_>,
    rule: &supply_chain::Rule,
) -> Result<Looked, StepError> {
    let signer = Builders::of(around, rule)?;
    let seen = match (&rule.bundle, &rule.content) {
        (Some(bundle), _) => {
            let path = around.path(bundle);
            if path.exists() { of_bundle(&open(&path)?, &signer)? } else { SupplyChain::default() }
        }
        (None, Some(content)) => of_content(around, rule, content, &signer)?,
        (None, None) => SupplyChain::default(),
    };
    Ok(Looked::new(Facts::SupplyChain(supply_chain::Facts { seen })))
}

/// The images and disks of a bundle with their documents. `trust` names whose signatures count, at
/// a moment.
pub fn supply_chain_of(
    bundle: &Bundle,
    trust: Option<TrustFile>,
    now: EventTime,
) -> Result<SupplyChain, StepError> {
    of_bundle(bundle, &Builders { trust, now })
}

/// Whose signatures of statements count.
struct Builders {
    trust: Option<TrustFile>,
    now: EventTime,
}

impl Builders {
    fn of(around: &Surroundings<'_>, rule: &supply_chain::Rule) -> Result<Self, StepError> {
        let now = around.clock.now();
        let Some(path) = rule.trust.as_ref().map(|path| around.path(path)) else {
            return Ok(Self { trust: None, now });
        };
        let bytes = small(&path, DOCUMENT_BYTES_MAX as u64)?.unwrap_or_default();
        let trust = TrustFile::parse(&bytes).map_err(|error| {
            let what = format!("{}: {error}", path.display());
            StepError::new(Code::TRUST_MALFORMED, what).remedy("correct the trust file")
        })?;
        Ok(Self { trust: Some(trust), now })
    }

    fn signed(&self, envelope: &Envelope) -> Signed {
        let nobody = |why: &str| Signed::ByNobodyKnown { why: why.to_owned() };
        let Some(trust) = &self.trust else { return nobody("no trust file was given") };
        let (namespace, now) = (ENVELOPE_NAMESPACE, self.now);
        let believed = Believed { trust, openpgp_keys: None, namespace, by: None, now };
        match check_envelope(envelope, &believed) {
            DetachedAnswer::Good { key, principal } => Signed::By { principal, key },
            DetachedAnswer::UnknownKey { why, .. } => nobody(why),
            DetachedAnswer::Bad { why } => nobody(&why),
            DetachedAnswer::Missing => Signed::Not,
        }
    }

    fn look(
        &self,
        subjects: Vec<Subject>,
        sboms: &[(String, Vec<u8>)],
        provenance: &[(String, Vec<u8>)],
    ) -> SupplyChain {
        let sboms: Vec<_> = sboms.iter().map(document).collect();
        let provenance: Vec<_> = provenance.iter().map(document).collect();
        SupplyChain::look(subjects, &sboms, &provenance, &|envelope| self.signed(envelope))
    }
}

fn document((path, bytes): &(String, Vec<u8>)) -> SupplyDocument<'_> {
    SupplyDocument { path, bytes }
}

fn of_bundle(bundle: &Bundle, builders: &Builders) -> Result<SupplyChain, StepError> {
    let manifest = bundle.manifest();
    let mut subjects = Vec::new();
    if bundle.content(IMAGE_INDEX).is_some() {
        let index = bundle.read(IMAGE_INDEX, SUPPLY_BYTES_MAX)?;
        subjects.extend(images(IMAGE_INDEX, &index)?);
    }
    for disk in manifest.of_type(ContentType::DiskImage) {
        let sha256 = disk.integrity_hash.strip_prefix("sha256:").and_then(|it| it.parse().ok());
        let sha256 = sha256.ok_or_else(|| {
            let what = format!("{} has no SHA-256 in the manifest", disk.path);
            StepError::new(Code::BUNDLE_MALFORMED, what)
        })?;
        subjects.push(Subject { what: disk.path.clone(), sha256 });
    }
    let of_kind = |kind| -> Result<Vec<_>, StepError> {
        let read = |path: &String| Ok((path.clone(), bundle.read(path, SUPPLY_BYTES_MAX)?));
        manifest.of_type(kind).map(|content| read(&content.path)).collect()
    };
    let (sboms, provenance) = (of_kind(ContentType::Sbom)?, of_kind(ContentType::Provenance)?);
    Ok(builders.look(subjects, &sboms, &provenance))
}

fn of_content(
    around: &Surroundings<'_>,
    rule: &supply_chain::Rule,
    content: &str,
    builders: &Builders,
) -> Result<SupplyChain, StepError> {
    let path = around.path(content);
    let subjects = if path.is_dir() {
        let index = small(&path.join("index.json"), SUPPLY_BYTES_MAX)?.unwrap_or_default();
        images(content, &index)?
    } else if path.exists() {
        let failed = |error| StepError::io("read", &path, error);
        let mut hasher = Hashing(Hasher::new());
        let mut file = File::open(&path).map_err(failed)?;
        std::io::copy(&mut file, &mut hasher).map_err(failed)?;
        vec![Subject { what: content.to_owned(), sha256: hasher.0.finish() }]
    } else {
        Vec::new()
    };
    let document = |path: &Option<String>| -> Result<Vec<_>, StepError> {
        let Some(path) = path else { return Ok(Vec::new()) };
        let bytes = small(&around.path(path), SUPPLY_BYTES_MAX)?;
        Ok(bytes.map(|bytes| (path.clone(), bytes)).into_iter().collect())
    };
    Ok(builders.look(subjects, &document(&rule.sbom)?, &document(&rule.provenance)?))
}

/// The images that an index names. One that names none is no image: nothing would be judged.
fn images(what: &str, index: &[u8]) -> Result<Vec<Subject>, StepError> {
    let found = image_subjects(index);
    if found.is_empty() {
        let text = format!("{what} names no image");
        return Err(StepError::new(Code::BUNDLE_MALFORMED, text).remedy("make the bundle anew"));
    }
    Ok(found.into_iter().map(|sha256| Subject { what: what.to_owned(), sha256 }).collect())
}

struct Hashing(Hasher);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The bytes of a file that must be small; `None` if there is none.
fn small(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StepError> {
    let failed = |error| StepError::io("read", path, error);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        let what = format!("{} is larger than {most} bytes", path.display());
        return Err(StepError::new(Code::CLAIMS_MALFORMED, what).remedy("name another file"));
    }
    Ok(Some(bytes))
}
