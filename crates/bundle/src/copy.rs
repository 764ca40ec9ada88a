//! Copy: from store to store without a snapshot between, read back and compared.

use std::collections::BTreeMap;

use carnet_connect::VectorRepository;
use carnet_model::plan::ImportMode;
use carnet_model::{CollectionContract, CollectionName, IndexSpec};
use serde::Serialize;

use crate::declared::DeclaredView;
use crate::error::BundleError;
use crate::import::{
    ImportJournal, ImportPlan, ImportRequest, Imported, VerifiedImport, plan_import, run_import,
    verify_target,
};
use crate::work::Work;

/// What to copy.
#[derive(Clone)]
pub struct CopyRequest<'a> {
    /// What happens to records that the target has already.
    pub mode: ImportMode,
    /// Names the loads in the target.
    pub token: &'a str,
    /// The collections; `None` for all.
    pub collections: Option<&'a [CollectionName]>,
    /// Contracts that the owner states for the source.
    pub contracts: &'a [CollectionContract],
    /// The index to declare in the target, by collection.
    pub indexes: &'a BTreeMap<CollectionName, IndexSpec>,
    /// The names of losses that the owner accepts.
    pub accept_losses: &'a [String],
}

/// What a copy has done and proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// What was planned.
    pub plan: ImportPlan,
    /// What was done.
    pub imported: Imported,
    /// What was read back. Not equal is no error here: `VerifiedImport::check`.
    pub verified: VerifiedImport,
}

/// Copies one store into another. The source is read once, and digested while it is written; the
/// target is then read back as a whole. With a plan of an earlier attempt it continues that one.
pub fn copy(
    source: &dyn VectorRepository,
    target: &dyn VectorRepository,
    request: &CopyRequest<'_>,
    earlier: Option<ImportPlan>,
    planned: impl FnOnce(&ImportPlan) -> Result<(), BundleError>,
    journal: &dyn ImportJournal,
    work: &Work<'_>,
) -> Result<Copied, BundleError> {
    let view = source.snapshot()?;
    let view = DeclaredView::new(view.as_ref(), request.contracts);
    let plan = match earlier {
        Some(plan) => plan,
        None => plan_import(
            &view,
            target,
            &ImportRequest {
                mode: request.mode,
                token: request.token,
                collections: request.collections,
                known: &[],
                source: source.capabilities(),
                indexes: request.indexes,
                accept_losses: request.accept_losses,
            },
            work,
        )?,
    };
    planned(&plan)?;
    let imported = run_import(&plan, &view, target, journal, work)?;
    let verified = verify_target(target, &imported.expected, work)?;
    Ok(Copied { plan, imported, verified })
}
