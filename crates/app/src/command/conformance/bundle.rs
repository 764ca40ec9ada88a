//! Conformance of a bundle: its manifest, its documents, and the evidence inside it.

use std::collections::BTreeMap;
use std::path::Path;

use carnet_bundle::{Bundle, BundleLimits, BundleRequest, verify_bundle};
use carnet_engine::supply_chain_of;
use carnet_ledger::audit::CheckVerdict;
use carnet_ledger::trust::{LogKey, TrustFile};
use carnet_ledger::{Digest, EvidenceProfile};
use carnet_model::Code;
use carnet_model::portability::conformance::{BundleSeen, Checked, Material, MaterialKind};
use carnet_model::portability::supply::SupplyDemand;
use carnet_model::portability::{DEPENDENCIES_PATH, EVIDENCE_FOLDER, GOVERNANCE_PATH};
use serde::Deserialize;

use super::{Seen, checks_of};
use crate::command::Setting;
use crate::detached;
use crate::failure::Failure;

/// No part of the evidence in a bundle is larger.
const EVIDENCE_BYTES_MAX: u64 = 1 << 30;
/// No other document of it is larger.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// All that is at hand of a bundle.
pub(super) fn material(
    setting: &Setting<'_>,
    path: &Path,
    keys: &[LogKey],
    trust: Option<TrustFile>,
    demand: SupplyDemand,
) -> Result<Material, Failure> {
    let bundle = Bundle::open(path, &BundleLimits::default())?;
    let progress = setting.progress();
    let request = BundleRequest { keys, ..BundleRequest::default() };
    let verified = verify_bundle(path, &request, &setting.work(progress.as_ref()))?;
    let mut checks = verified.evidence.as_ref().map(checks_of).unwrap_or_default();
    for row in &verified.checks {
        // What was not checked of the bundle is no matter of the evidence: `bundle verify` says it.
        if row.verdict == CheckVerdict::Fail {
            let checked = Checked { holds: Some(false), found: row.reason.clone() };
            checks.insert(row.id.name().to_owned(), checked);
        }
    }
    let mut seen = Seen::default();
    let objects = Objects::of(&bundle)?;
    let events = bundle.read(&inside("events.jsonl"), EVIDENCE_BYTES_MAX)?;
    for line in events.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        seen.add(line, &|digest| objects.get(digest))?;
    }
    let manifest = bundle.manifest().clone();
    let profile = EvidenceProfile::parse(&manifest.evidence_profile_id);
    let place = path.display().to_string();
    let mut material = seen.material(MaterialKind::Bundle, place, checks, profile);
    let supply = supply_chain_of(&bundle, trust, detached::now()?);
    let supply = supply.map_err(|error| {
        Failure::from_error(&error, error.code).place(path.display().to_string())
    })?;
    material.bundle = Some(BundleSeen {
        manifest,
        governance: bundle.read(GOVERNANCE_PATH, DOCUMENT_BYTES_MAX)?,
        dependencies: bundle.read(DEPENDENCIES_PATH, DOCUMENT_BYTES_MAX)?,
        supply,
        demand,
    });
    Ok(material)
}

fn inside(name: &str) -> String {
    format!("{EVIDENCE_FOLDER}/{name}")
}

/// The objects of the evidence in a bundle: where each lies in its packs.
struct Objects {
    places: BTreeMap<Digest, Place>,
    packs: BTreeMap<String, Vec<u8>>,
}

#[derive(Deserialize)]
struct Place {
    sha256: Digest,
    pack: String,
    offset: usize,
    bytes: usize,
}

impl Objects {
    fn of(bundle: &Bundle) -> Result<Self, Failure> {
        let (mut places, mut packs) = (BTreeMap::new(), BTreeMap::new());
        let index = inside("artifacts/index.jsonl");
        if bundle.content(&index).is_none() {
            return Ok(Self { places, packs });
        }
        let index = bundle.read(&index, EVIDENCE_BYTES_MAX)?;
        for line in index.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let place: Place = serde_json::from_slice(line).map_err(|error| {
                Failure::from_error(&error, Code::EVIDENCE_MALFORMED)
                    .while_doing("cannot read the index of the objects")
            })?;
            if !packs.contains_key(&place.pack) {
                let pack = bundle.read(&inside(&place.pack), EVIDENCE_BYTES_MAX)?;
                packs.insert(place.pack.clone(), pack);
            }
            places.insert(place.sha256, place);
        }
        Ok(Self { places, packs })
    }

    /// The object of a digest; `None` if it is not there or is another one.
    fn get(&self, digest: Digest) -> Option<Vec<u8>> {
        let place = self.places.get(&digest)?;
        let end = place.offset.checked_add(place.bytes)?;
        let bytes = self.packs.get(&place.pack)?.get(place.offset..end)?;
        (Digest::of(bytes) == digest).then(|| bytes.to_vec())
    }
}
