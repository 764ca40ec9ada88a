//! A copy or an import, for people and programs.

use carnet_bundle::{ArtifactCounts, ImportCounts};
use carnet_engine::{CopyReport, Report};
use carnet_ledger::Digest;
use serde::Serialize;

use super::parts::{said, stopped, write_collections};
use crate::amount;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::stores::{Carried, in_the_metadata};

/// A copy as it is shown.
#[derive(Serialize)]
pub(crate) struct CopyView {
    source: String,
    target: String,
    mode: &'static str,
    /// Whether every record was read back and is what it must be.
    equal: bool,
    collections: Vec<Copied>,
    /// What was done with the artifacts of a snapshot, where they were installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifacts: Option<ArtifactCounts>,
    run: Report,
}

/// One collection.
#[derive(Serialize)]
struct Copied {
    name: String,
    records: u64,
    dimensions: u32,
    root: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<ImportCounts>,
    /// Columns of the source that arrived in the metadata, under `_columns`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    carried_columns: Vec<String>,
}

const LABEL: usize = 12;

impl CopyView {
    pub(crate) fn new(source: &str, target: &str, mode: &'static str, copied: CopyReport) -> Self {
        let CopyReport { report, planned, verified } = copied;
        let equal = report.status == "done"
            && verified.as_ref().is_some_and(carnet_bundle::VerifiedImport::is_equal);
        let collections = report.collections.iter().map(|one| {
            let found = verified.iter().flat_map(|verified| &verified.collections);
            let found = found.filter(|it| it.expected.contract.name.as_str() == one.name);
            let plan = planned.iter().flat_map(|planned| &planned.collections);
            let mut plan = plan.filter(|it| it.contract.name.as_str() == one.name);
            Copied {
                name: one.name.clone(),
                records: one.records,
                dimensions: one.dimensions,
                root: one.root_target.unwrap_or(one.root_source),
                contract_digest: found
                    .filter_map(|it| it.found.as_ref())
                    .map(|found| found.contract_digest)
                    .next(),
                counts: plan.next().map(|plan| plan.counts),
                carried_columns: Vec::new(),
            }
        });
        let collections = collections.collect();
        let (source, target) = (source.to_owned(), target.to_owned());
        Self { source, target, mode, equal, collections, artifacts: None, run: report }
    }

    /// With the source's columns that travel in the metadata.
    pub(crate) fn carrying(mut self, mut carried: Carried) -> Self {
        for one in &mut self.collections {
            one.carried_columns = carried.remove(&one.name).unwrap_or_default();
        }
        self
    }

    /// What stopped the copy; `None` if all is there and equal.
    pub(crate) fn failure(&self) -> Option<Failure> {
        (!self.equal).then(|| stopped(&self.run, "copy"))
    }

    pub(crate) fn text(&self) -> String {
        let mut sheet = Sheet::default();
        let done = if self.equal { "copied" } else { "not copied" };
        sheet.line(format_args!("{done} {} to {} ({})", self.source, self.target, self.mode));
        write_collections(&mut sheet, &self.run.collections, LABEL);
        for one in &self.collections {
            if let Some(counts) = one.counts {
                let name = if self.collections.len() > 1 { one.name.as_str() } else { "records" };
                sheet.field(name, LABEL, &in_words(counts));
            }
            if !one.carried_columns.is_empty() {
                sheet.field("carried", LABEL, &in_the_metadata(&one.carried_columns));
            }
        }
        if let Some(counts) = self.artifacts {
            let counts = [
                (counts.added, "added"),
                (counts.replaced, "replaced"),
                (counts.unchanged, "there already"),
            ];
            sheet.field("artifacts", LABEL, &listed(&counts));
        }
        for gate in &self.run.gates {
            sheet.field("gate", LABEL, &format!("{}: {}", gate.gate, said(gate)));
        }
        for left in &self.run.left_behind {
            sheet.field("left behind", LABEL, left);
        }
        if let Some(place) = &self.run.evidence {
            let events = amount::counted(self.run.events, "event", "events");
            sheet.field("evidence", LABEL, &format!("{}: {events}", place.display()));
        }
        sheet.text()
    }
}

fn in_words(counts: ImportCounts) -> String {
    listed(&[
        (counts.added, "added"),
        (counts.overwritten, "overwritten by a higher version"),
        (counts.unchanged, "there already"),
        (counts.kept, "kept: the target has a higher version"),
        (counts.replaced, "replaced"),
    ])
}

/// `3 added, 1 replaced`; what there is none of is left out.
fn listed(counts: &[(u64, &str)]) -> String {
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<_> =
        some.map(|(count, what)| format!("{} {what}", amount::count(*count))).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
