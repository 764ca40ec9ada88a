//! What arrived: every file of the snapshot is hashed again.

use std::collections::BTreeMap;

use carnet_bundle::{ManifestCollection, verify_snapshot};
use carnet_ledger::Digest;
use carnet_model::gate::checksums::File;
use carnet_model::{Code, CollectionName};
use serde::{Deserialize, Serialize};

use super::context::{Context, Done};
use super::export::{ExportSeen, MANIFEST};
use super::files;
use crate::error::StepError;

/// The file that lists the others.
const CHECKSUMS: &str = "checksums.sha256";

/// What arrived.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ArrivedSeen {
    pub(crate) observed_at_us: i64,
    pub(crate) schema_version: Option<u32>,
    pub(crate) files: Vec<File>,
    pub(crate) collections: Vec<ManifestCollection>,
}

impl ArrivedSeen {
    pub(crate) fn collection(&self, name: &CollectionName) -> Option<&ManifestCollection> {
        self.collections.iter().find(|collection| collection.name == *name)
    }
}

pub(super) fn rehash(cx: &Context<'_>) -> Result<Done, StepError> {
    let arrived = cx.arrived()?;
    let listed = files::read(&arrived.join(CHECKSUMS))?.unwrap_or_default();
    let mut seen: BTreeMap<String, File> = parse(&listed)
        .into_iter()
        .map(|(path, digest)| (path.clone(), File { path, listed: Some(digest), found: None }))
        .collect();
    let tree = files::walk(&arrived)?;
    let total = tree.files.iter().map(|(_, size)| size).sum();
    let job = cx.work.progress.job("hash the snapshot", "bytes", Some(total));
    for (path, size) in &tree.files {
        let name = path.to_string_lossy().into_owned();
        if name == CHECKSUMS {
            continue;
        }
        let found = files::digest(&arrived.join(path))?;
        let file = seen.entry(name.clone()).or_insert(File { path: name, listed: None, found });
        file.found = found;
        job.add(*size);
    }
    drop(job);
    let count = seen.len() as u64;
    let files: Vec<File> = seen.into_values().collect();
    let as_listed = files.iter().all(|file| file.listed == file.found);
    let verification = verify_snapshot(&arrived, &cx.work)?;
    // What is wrong with a file is for the gates to say. Files that are as listed and do not hold
    // what the manifest says were written wrong.
    if let (Some(code), Some(_), true) = (verification.code(), &verification.manifest, as_listed) {
        let first = verification.first_difference().unwrap_or("the snapshot was not compared");
        return Err(StepError::new(code, format!("{}: {first}", arrived.display()))
            .remedy("export it again"));
    }
    let exported: ExportSeen = cx.seen("export/export_snapshot")?;
    let manifest_arrived = files.iter().find(|file| file.path == MANIFEST).and_then(|it| it.found);
    if as_listed && manifest_arrived != Some(exported.manifest) {
        let what = format!("{} is not the snapshot that was exported", arrived.display());
        return Err(StepError::new(Code::SNAPSHOT_DAMAGED, what)
            .remedy("move it away, and run the plan again"));
    }
    let manifest = verification.manifest;
    let seen = ArrivedSeen {
        observed_at_us: cx.now_us(),
        schema_version: manifest.as_ref().map(|manifest| manifest.schema_version),
        files,
        collections: manifest.map(|manifest| manifest.collections).unwrap_or_default(),
    };
    Ok(Done::seen(cx, &seen)?.count("files", count).count("bytes", total))
}

/// Lines `<sha256>  <path>`, as `sha256sum` writes and reads them. A line of another form lists
/// nothing: the file that it should list is then one that is not listed.
fn parse(text: &[u8]) -> Vec<(String, Digest)> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let (line, escaped) = match line.strip_prefix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        let (digest, path) = line.split_once("  ")?;
        let path = if escaped {
            path.replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\")
        } else {
            path.to_owned()
        };
        Some((path, digest.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}
