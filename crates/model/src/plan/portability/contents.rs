//! What goes into a bundle, and where each part lies in it and beside it.

use super::section::{Portability, Side};
use crate::capability::Packed;
use crate::portability::ContentType;

/// The places of a crossing, as paths from the folder of the plan.
pub(super) struct Places {
    /// The bundle on the source side.
    pub(super) bundle: String,
    /// Where it arrives.
    pub(super) arrived: String,
    /// The policy snapshot on the source side.
    pub(super) policy: String,
    /// What is made to go into the bundle.
    pub(super) made: String,
    /// The papers of the bundle, on the source side.
    pub(super) papers: String,
    /// The papers of the bundle, on the target side.
    pub(super) papers_arrived: String,
    /// Where the contents are placed.
    pub(super) place: String,
    /// The key that opens what is encrypted.
    pub(super) identity: Option<String>,
}

impl Places {
    pub(super) fn of(section: &Portability) -> Self {
        let (out, into) = (section.transfer.outbox.as_str(), section.transfer.inbox.as_str());
        let named = section.encrypt.as_ref().and_then(|it| it.identity.clone());
        let mut places = Self {
            bundle: below(out, "bundle"),
            arrived: below(into, "bundle"),
            policy: below(out, "policy"),
            made: below(out, "made"),
            papers: below(out, "papers"),
            papers_arrived: below(into, "papers"),
            place: section.target.place.clone(),
            identity: named,
        };
        match &section.side {
            Some(Side::Export { bundle }) => places.bundle.clone_from(bundle),
            Some(Side::Import { bundle, identity }) => {
                places.arrived.clone_from(bundle);
                if identity.is_some() {
                    places.identity.clone_from(identity);
                }
            }
            None => {}
        }
        places
    }

    /// The folder in which the snapshot of a store is made.
    pub(super) fn snapshot(&self) -> String {
        below(&self.made, "snapshot")
    }

    /// A path of the bundle, where its content was placed.
    pub(super) fn placed(&self, path: &str) -> String {
        below(&self.place, path)
    }
}

pub(super) fn below(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// What goes into the bundle, beside what the export makes itself.
pub(super) fn contents(section: &Portability, places: &Places) -> Vec<Packed> {
    let mut found = Vec::new();
    let mut pack = |kind, path: &str, from: &str| {
        found.push(Packed { kind, path: path.to_owned(), from: from.to_owned() });
    };
    let source = &section.source;
    if let Some(container) = &source.container {
        let name = name_of(&container.definition);
        let kube = name.starts_with("kube");
        let path = if kube { "workload/kube.yaml" } else { "workload/compose.yaml" };
        pack(ContentType::WorkloadDefinition, path, &container.definition);
        if let Some(config) = &container.config {
            pack(ContentType::Config, "config", config);
        }
    }
    if let Some(data) = &source.data {
        if data.store.is_some() {
            pack(ContentType::DataSnapshot, "data", &places.snapshot());
        }
        if let Some(snapshot) = &data.snapshot {
            pack(ContentType::DataSnapshot, "data", snapshot);
        }
        for file in &data.parquet {
            pack(ContentType::DataSnapshot, &format!("data/{}", name_of(file)), file);
        }
    }
    if let Some(evidence) = &source.evidence {
        pack(ContentType::EvidenceChainSegment, "segment", &evidence.bundle);
    }
    if let Some(receipts) = &source.usage_receipts {
        pack(ContentType::UsageReceipt, "receipts/usage.jsonl", receipts);
    }
    if let Some(chain) = &section.supply_chain {
        pack(ContentType::Sbom, "supply-chain/sbom.cdx.json", &chain.sbom);
        pack(ContentType::Provenance, "supply-chain/provenance.json", &chain.provenance);
    }
    if let Some(claims) = &source.claims {
        pack(ContentType::CapabilityClaim, "claims.json", claims);
    }
    found
}

/// The last part of a path.
pub(super) fn name_of(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}
