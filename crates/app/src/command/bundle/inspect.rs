//! `carnet bundle inspect`.

use std::path::PathBuf;

use carnet_bundle::Bundle;
use carnet_model::Exit;
use carnet_model::portability::BundleManifest;
use clap::Args;
use serde::Serialize;

use super::Limits;
use crate::amount;
use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Say what a bundle contains, as it says itself. Nothing of it is checked but its form.
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// The bundle: its folder or its tar.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Serialize)]
struct View<'a> {
    path: String,
    bundle: String,
    manifest: &'a BundleManifest,
}

impl Inspect {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let bundle = Bundle::open(&self.path, &self.limits.limits())?;
        let view = View {
            path: self.path.display().to_string(),
            bundle: format!("sha256:{}", bundle.manifest_digest()),
            manifest: bundle.manifest(),
        };
        setting.screen.show(&view, text)?;
        Ok(Exit::Done)
    }
}

fn text(view: &View<'_>) -> String {
    const WIDTH: usize = 14;
    let mut sheet = Sheet::default();
    let manifest = view.manifest;
    sheet.line(&view.path);
    let governance = &manifest.governance_metadata;
    let producer = &manifest.producer_identity;
    let scope = &manifest.scope;
    let range = format!(
        "events {} to {}, {}",
        amount::count(scope.from_sequence),
        amount::count(scope.to_sequence),
        manifest.evidence_profile_id
    );
    let workload = manifest.workload_id.as_deref().unwrap_or("none");
    for (label, value) in [
        ("bundle", view.bundle.as_str()),
        ("content root", &manifest.content_root.to_string()),
        ("scenario", manifest.scenario.name()),
        ("workload", workload),
        ("made", &manifest.created),
        ("by", &format!("{} of {}", producer.producer_id, producer.issuer_id)),
        ("from", &manifest.source_provider),
        ("tenant", &manifest.tenant_id),
        ("jurisdiction", &governance.jurisdiction),
        ("class", &governance.classification),
        ("retention", &governance.retention),
        ("evidence", &range),
        ("policy", &manifest.policy_snapshot_id),
        ("authority", &manifest.authority_snapshot_id),
    ] {
        sheet.field(label, WIDTH, value);
    }
    sheet.gap();
    let width = manifest.contents.iter().map(|it| it.kind.name().len()).max().unwrap_or(0);
    for content in &manifest.contents {
        let locked = if content.encryption.is_some() { "  encrypted" } else { "" };
        let (kind, size) = (content.kind.name(), amount::bytes(content.size));
        sheet.line(format_args!("{kind:<width$}  {size:>10}  {}{locked}", content.path));
    }
    sheet.gap();
    sheet.line("not checked: `carnet bundle verify` reads all of it");
    sheet.text()
}
