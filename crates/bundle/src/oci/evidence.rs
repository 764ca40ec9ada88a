//! The evidence inside a bundle, as the audit reads it.

use std::io::{self, BufRead, BufReader, Read};

use carnet_ledger::Digest;
use carnet_ledger::audit::{Material, Report};
use carnet_model::Code;
use carnet_model::portability::{BundleContent, BundleManifest, EVIDENCE_FOLDER};

use super::fault::BundleFault;
use super::image::Layer;
use super::read::{Layout, check_sum, open_plain};
use super::rows::Answer;
use crate::files::FileSum;

/// No line of an event file is longer: an event is smaller by far.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// The contents under `evidence/`, under the names that they have in an export.
pub(super) struct EvidenceInside<'a> {
    layout: &'a Layout,
    manifest: &'a BundleManifest,
    entries: Vec<(String, u64)>,
}

impl<'a> EvidenceInside<'a> {
    pub(super) fn of(layout: &'a Layout, manifest: &'a BundleManifest) -> Self {
        let inside = manifest.contents.iter().filter_map(|content| {
            let name = content.path.strip_prefix(EVIDENCE_FOLDER)?.strip_prefix('/')?;
            Some((name.to_owned(), content.size))
        });
        Self { layout, manifest, entries: inside.collect() }
    }
}

impl Material for EvidenceInside<'_> {
    fn entries(&self) -> &[(String, u64)] {
        &self.entries
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let content = self.manifest.content(&format!("{EVIDENCE_FOLDER}/{name}"));
        let content = content.ok_or(io::ErrorKind::NotFound)?;
        let (digest, size) = content.blob();
        let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        let digest: Digest = digest.ok_or(io::ErrorKind::InvalidData)?;
        self.layout.open_blob(&digest, size, &content.path).map_err(io::Error::other)
    }
}

/// Reads a small content that is not encrypted; its digest must hold.
pub(super) fn small(
    layout: &Layout,
    content: &BundleContent,
    most: u64,
) -> Result<Vec<u8>, BundleFault> {
    if content.size > most {
        let what = format!("{} has {} bytes; the limit is {most}", content.path, content.size);
        return Err(BundleFault::Limit(what));
    }
    let bytes = all_of(open_plain(layout, content, None)?, &content.path, most)?;
    check_sum(content, FileSum { bytes: bytes.len() as u64, sha256: Digest::of(&bytes) })?;
    Ok(bytes)
}

/// Reads a small layer; its digest is checked with all others.
pub(super) fn small_blob(
    layout: &Layout,
    layer: &Layer,
    most: u64,
) -> Result<Vec<u8>, BundleFault> {
    all_of(layout.open_blob(&layer.digest, layer.size, &layer.title)?, &layer.title, most)
}

fn all_of(source: impl Read, path: &str, most: u64) -> Result<Vec<u8>, BundleFault> {
    let mut bytes = Vec::new();
    source
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| BundleFault::Damaged(format!("{path} cannot be read: {error}")))?;
    if bytes.len() as u64 > most {
        return Err(BundleFault::Limit(format!("{path} has more than {most} bytes")));
    }
    Ok(bytes)
}

/// Whether the evidence is of the range and the profile that the manifest of the bundle names.
pub(super) fn says_the_same(
    inside: &EvidenceInside<'_>,
    manifest: &BundleManifest,
    report: &Report,
) -> Answer {
    let subject = &report.subject;
    let (from, to) = (Some(manifest.scope.from_sequence), Some(manifest.scope.to_sequence));
    if (subject.from_sequence, subject.to_sequence) != (from, to) {
        let shown = |it: Option<u64>| it.map_or("nothing".to_owned(), |it| it.to_string());
        let text = format!(
            "the evidence goes from {} to {}; the manifest says {} to {}",
            shown(subject.from_sequence),
            shown(subject.to_sequence),
            shown(from),
            shown(to)
        );
        return Answer::Fail(Code::BUNDLE_DAMAGED, text);
    }
    let documents = inside.open("manifest.json").map_err(|_| ()).and_then(|source| {
        let bytes = all_of(source, "evidence/manifest.json", LINE_BYTES_MAX).map_err(|_| ())?;
        serde_json::from_slice::<serde_json::Value>(&bytes).map_err(|_| ())
    });
    let Ok(document) = documents else { return Answer::unread() };
    for (name, said) in [
        ("evidence_profile_id", &manifest.evidence_profile_id),
        ("profile_version", &manifest.profile_version),
        ("hash_profile_id", &manifest.hash_profile_id),
        ("tenant_id", &manifest.tenant_id),
    ] {
        let found = document.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        if found != said {
            let text = format!("{name} is {found:?} in the evidence and {said:?} in the manifest");
            return Answer::Fail(Code::BUNDLE_DAMAGED, text);
        }
    }
    let (from, to) = (manifest.scope.from_sequence, manifest.scope.to_sequence);
    Answer::Pass(format!("events {from} to {to}, {}", manifest.evidence_profile_id))
}

/// Whether the last event names the content root: then what was signed is about this content.
pub(super) fn names_content(inside: &EvidenceInside<'_>, manifest: &BundleManifest) -> Answer {
    let last = match last_line(inside) {
        Ok(last) => last,
        Err(fault) => return Answer::fault(&fault),
    };
    let Ok(event) = serde_json::from_str::<serde_json::Value>(&last) else {
        return Answer::Fail(Code::EVIDENCE_MALFORMED, "the last event is no JSON".to_owned());
    };
    let sequence = event.get("sequence").and_then(serde_json::Value::as_u64);
    if sequence != Some(manifest.scope.to_sequence) {
        let text = format!("the last event is not {}", manifest.scope.to_sequence);
        return Answer::Fail(Code::BUNDLE_DAMAGED, text);
    }
    let root = manifest.content_root.to_string();
    if names(&event, &root) {
        return Answer::Pass(format!("event {}", manifest.scope.to_sequence));
    }
    let text = format!("event {} does not name {root}", manifest.scope.to_sequence);
    Answer::Fail(Code::BUNDLE_DAMAGED, text)
}

/// Whether some text in it is the digest, with or without `sha256:`.
fn names(value: &serde_json::Value, hex: &str) -> bool {
    match value {
        serde_json::Value::String(text) => text.strip_prefix("sha256:").unwrap_or(text) == hex,
        serde_json::Value::Array(items) => items.iter().any(|item| names(item, hex)),
        serde_json::Value::Object(members) => members.values().any(|member| names(member, hex)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            false
        }
    }
}

fn last_line(inside: &EvidenceInside<'_>) -> Result<String, BundleFault> {
    let damaged =
        |error: io::Error| BundleFault::Damaged(format!("evidence/events.jsonl: {error}"));
    let mut events = BufReader::new(inside.open("events.jsonl").map_err(damaged)?);
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let read = (&mut events).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.map_err(damaged)? == 0 {
            break;
        }
        std::mem::swap(&mut line, &mut last);
    }
    String::from_utf8(last)
        .map_err(|_| BundleFault::Damaged("the last event is not UTF-8".to_owned()))
}
