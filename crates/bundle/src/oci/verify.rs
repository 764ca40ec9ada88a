//! What is known of a bundle once all of it was read: nothing is believed that can be computed.

use std::collections::BTreeMap;
use std::path::Path;

use carnet_ledger::audit::{AuditRequest, Overall, PolicyReplayer, Report, audit_bundle};
use carnet_ledger::detached::{Believed, DetachedAnswer, SignatureForm, check_detached};
use carnet_ledger::trust::LogKey;
use carnet_model::Code;
use carnet_model::portability::{
    AUTHORITY_PATH, BundleManifest, ContentType, GOVERNANCE_PATH, POLICY_PATH, content_root,
};

use super::encryption::Identities;
use super::evidence::{EvidenceInside, names_content, says_the_same};
use super::expand::expanded;
use super::fault::BundleFault;
use super::limits::BundleLimits;
use super::read::{Layout, Summed, check_depth, check_sum, open_plain};
use super::rows::{Answer, BundleCheckId, BundleReport};
use crate::error::BundleError;
use crate::signature::signature_file;
use crate::work::Work;

/// No `governance.json` is larger.
const GOVERNANCE_BYTES_MAX: u64 = 1 << 20;
/// No signature is larger.
const SIGNATURE_BYTES_MAX: u64 = 64 << 10;

/// What a verifier brings along.
#[derive(Clone, Copy, Default)]
pub struct BundleRequest<'a> {
    /// The keys of logs that are believed. Without one, no evidence can be checked in full.
    pub keys: &'a [LogKey],
    /// The people whose signatures of the manifest count.
    pub people: Option<Believed<'a>>,
    /// What opens encrypted contents.
    pub identities: Option<&'a Identities>,
    /// What evaluates again what policies decided, as the evidence records it.
    pub replayer: Option<&'a dyn PolicyReplayer>,
    /// What is read at most.
    pub limits: BundleLimits,
}

/// Checks all of a bundle, in a folder or in a tar that is not unpacked.
///
/// An error means that nothing could be said: that it is no bundle, or of a version that is not read.
/// All else is in the rows.
pub fn verify_bundle(
    path: &Path,
    request: &BundleRequest<'_>,
    work: &Work<'_>,
) -> Result<BundleReport, BundleError> {
    let layout = Layout::open(path, &request.limits)?;
    let mut rows = BTreeMap::new();
    rows.insert(BundleCheckId::Layout, Answer::Pass(format!("bundle {}", layout.manifest_digest)));
    let (blobs, bytes) = check_blobs(&layout, work, &mut rows);
    let manifest = match layout.manifest() {
        Ok(manifest) => Some(manifest),
        Err(fault) => {
            rows.insert(BundleCheckId::ManifestForm, Answer::fault(&fault));
            None
        }
    };
    let mut evidence = None;
    if let Some(manifest) = &manifest {
        let said = Said { layout: &layout, manifest, request };
        said.manifest(&mut rows);
        said.contents(&mut rows, work);
        evidence = said.evidence(&mut rows, work);
    }
    let row = |id: &BundleCheckId| rows.remove(id).unwrap_or_else(Answer::unread).row(*id);
    let checks = BundleCheckId::ALL.iter().map(row).collect();
    let manifest_digest = layout.manifest_digest;
    Ok(BundleReport { manifest_digest, manifest, blobs, bytes, checks, evidence })
}

type Rows = BTreeMap<BundleCheckId, Answer>;

/// Every blob, each read once.
fn check_blobs(layout: &Layout, work: &Work<'_>, rows: &mut Rows) -> (u64, u64) {
    let mut blobs = layout.blobs();
    let count = blobs.len();
    let absent: Vec<_> =
        blobs.iter().filter(|(digest, ..)| layout.size_of(digest).is_none()).collect();
    let present = match absent.first() {
        None => Answer::Pass(format!("{count} blobs are there")),
        Some((digest, _, title)) => Answer::Fail(
            Code::BUNDLE_DAMAGED,
            format!("{} of {count} are missing, first {title}: {digest}", absent.len()),
        ),
    };
    rows.insert(BundleCheckId::BlobsPresent, present);
    blobs.retain(|(digest, ..)| layout.size_of(digest).is_some());
    let wrong = blobs.iter().find(|(digest, size, _)| layout.size_of(digest) != Some(*size));
    let sizes = match wrong {
        None => Answer::Pass(format!("{} blobs have the size announced", blobs.len())),
        Some((digest, size, title)) => Answer::Fail(
            Code::BUNDLE_DAMAGED,
            format!(
                "{title}: the blob {digest} has {} bytes; {size} were announced",
                layout.size_of(digest).unwrap_or_default()
            ),
        ),
    };
    rows.insert(BundleCheckId::BlobsSize, sizes);
    blobs.sort_by_key(|(digest, ..)| std::cmp::Reverse(layout.size_of(digest)));
    let total = blobs.iter().filter_map(|(digest, ..)| layout.size_of(digest)).sum();
    let job = work.progress.job("hash blobs", "bytes", Some(total));
    let hashed = work.each(blobs, |_, (digest, _, title)| {
        let size = layout.size_of(&digest).unwrap_or_default();
        let hashed = layout.open_blob(&digest, size, &title).and_then(|blob| {
            Summed::new(blob).drain().map_err(|error| {
                BundleFault::Damaged(format!("{title}: the blob {digest} cannot be read: {error}"))
            })
        });
        job.add(size);
        let fault = match hashed {
            Ok(sum) if sum.sha256 == digest => None,
            Ok(sum) => Some(BundleFault::Damaged(format!(
                "{title}: the blob that goes by {digest} has the digest {}",
                sum.sha256
            ))),
            Err(fault) => Some(fault),
        };
        Ok::<_, BundleError>(fault)
    });
    let faults: Vec<_> = hashed.unwrap_or_default().into_iter().flatten().collect();
    let digests = match faults.first() {
        None => Answer::Pass(format!("{total} bytes hashed")),
        Some(first) => {
            let more =
                if faults.len() > 1 { format!("; {} in all", faults.len()) } else { String::new() };
            Answer::Fail(first.code(), format!("{first}{more}"))
        }
    };
    rows.insert(BundleCheckId::BlobsDigest, digests);
    (count as u64, total)
}

/// A manifest, and what must be true if it is.
struct Said<'a> {
    layout: &'a Layout,
    manifest: &'a BundleManifest,
    request: &'a BundleRequest<'a>,
}

impl Said<'_> {
    fn manifest(&self, rows: &mut Rows) {
        let manifest = self.manifest;
        let form = match check_depth(manifest, &self.request.limits) {
            Ok(()) => Answer::Pass(format!("{}, {}", manifest.version, manifest.scenario)),
            Err(fault) => Answer::fault(&fault),
        };
        rows.insert(BundleCheckId::ManifestForm, form);
        rows.insert(BundleCheckId::ManifestSignature, self.signature());
        let root = content_root(&manifest.contents);
        let root = if root == manifest.content_root {
            Answer::Pass(root.to_string())
        } else {
            let text = format!("it is {root}; the manifest says {}", manifest.content_root);
            Answer::Fail(Code::BUNDLE_DAMAGED, text)
        };
        rows.insert(BundleCheckId::ContentRoot, root);
        for (check, path, id) in [
            (BundleCheckId::PolicySnapshot, POLICY_PATH, &manifest.policy_snapshot_id),
            (BundleCheckId::AuthoritySnapshot, AUTHORITY_PATH, &manifest.authority_snapshot_id),
        ] {
            let answer = match manifest.content(path) {
                Some(content) if content.integrity_hash == *id => Answer::Pass(id.clone()),
                Some(content) => Answer::Fail(
                    Code::BUNDLE_DAMAGED,
                    format!("{path} has {}; the manifest says {id}", content.integrity_hash),
                ),
                None => Answer::Fail(Code::BUNDLE_DAMAGED, format!("there is no {path}")),
            };
            rows.insert(check, answer);
        }
        rows.insert(BundleCheckId::Governance, self.governance());
    }

    fn governance(&self) -> Answer {
        let Some(content) = self.manifest.content(GOVERNANCE_PATH) else {
            return Answer::Fail(Code::BUNDLE_DAMAGED, format!("there is no {GOVERNANCE_PATH}"));
        };
        let said = self.manifest.governance_metadata.canonical();
        match super::evidence::small(self.layout, content, GOVERNANCE_BYTES_MAX) {
            Ok(bytes) if bytes == said.as_bytes() => Answer::Pass(format!(
                "{}, {}, kept {}",
                self.manifest.governance_metadata.jurisdiction,
                self.manifest.governance_metadata.classification,
                self.manifest.governance_metadata.retention
            )),
            Ok(_) => {
                let text = format!("{GOVERNANCE_PATH} says something else than the manifest");
                Answer::Fail(Code::BUNDLE_DAMAGED, text)
            }
            Err(fault) => Answer::fault(&fault),
        }
    }

    /// One good signature does; one bad one spoils it.
    fn signature(&self) -> Answer {
        let layers: Vec<_> = self.layout.signatures().collect();
        if layers.is_empty() {
            return Answer::NotApplicable("no signature stands beside the manifest".to_owned());
        }
        let Some(people) = &self.request.people else {
            let text = "it was not asked who signed: no key of a person is trusted (--trust)";
            return Answer::NotApplicable(text.to_owned());
        };
        let text = self.manifest.canonical();
        let (mut good, mut open) = (Vec::new(), None);
        for layer in layers {
            let form = SignatureForm::ALL.into_iter().find(|it| signature_file(*it) == layer.title);
            let read = super::evidence::small_blob(self.layout, layer, SIGNATURE_BYTES_MAX);
            let (Some(form), Ok(signature)) = (form, read) else {
                return Answer::Fail(
                    Code::BUNDLE_DAMAGED,
                    format!("{} cannot be read", layer.title),
                );
            };
            match check_detached(form, Some(&signature), text.as_bytes(), people) {
                Ok(DetachedAnswer::Good { key, principal }) => {
                    good.push(format!("{} by {principal}, {key}", layer.title));
                }
                Ok(DetachedAnswer::Bad { why }) => {
                    let text = format!("{} is no signature of this manifest: {why}", layer.title);
                    return Answer::Fail(Code::SIGNATURE_BAD, text);
                }
                Ok(DetachedAnswer::UnknownKey { key, why }) => {
                    let text = format!("{} is by {key}: {why}", layer.title);
                    open.get_or_insert((Code::SIGNATURE_UNKNOWN_KEY, text));
                }
                Ok(DetachedAnswer::Missing) => {}
                Err(error) => {
                    open.get_or_insert((
                        Code::FEATURE_MISSING,
                        format!("{}: {error}", layer.title),
                    ));
                }
            }
        }
        match open {
            Some((code, text)) if good.is_empty() => Answer::NotChecked(code, text),
            Some(_) | None => Answer::Pass(good.join("; ")),
        }
    }

    fn contents(&self, rows: &mut Rows, work: &Work<'_>) {
        let listed = match self.layout.match_titles(self.manifest) {
            Ok(count) => Answer::Pass(format!("{count} contents")),
            Err(fault) => Answer::fault(&fault),
        };
        rows.insert(BundleCheckId::ContentsListed, listed);
        let encrypted = self.manifest.contents.iter().filter(|it| it.encryption.is_some());
        let encrypted: Vec<_> = encrypted.collect();
        let count = encrypted.len();
        let checked = work.each(encrypted, |_, content| {
            let mut plain = open_plain(self.layout, content, self.request.identities)?;
            let sum = Summed::new(&mut plain).drain().map_err(|error| {
                BundleFault::Damaged(format!("{} cannot be decrypted: {error}", content.path))
            })?;
            check_sum(content, sum)
        });
        let decrypted = match checked {
            Ok(_) if count == 0 => Answer::NotApplicable("nothing is encrypted".to_owned()),
            Ok(_) => Answer::Pass(format!("{count} contents")),
            Err(fault) => Answer::fault(&fault),
        };
        rows.insert(BundleCheckId::ContentsDecrypted, decrypted);
        rows.insert(BundleCheckId::ImageLayers, self.image_layers(work));
    }

    fn image_layers(&self, work: &Work<'_>) -> Answer {
        let parts: Vec<_> = self.manifest.of_type(ContentType::ContainerImage).collect();
        if parts.is_empty() {
            return Answer::NotApplicable("there is no container image".to_owned());
        }
        let given = work.each(parts, |_, content| {
            let plain = open_plain(self.layout, content, self.request.identities)?;
            expanded(&content.path, content.size, plain, &self.request.limits)
        });
        let sum = |all: Vec<u64>| all.into_iter().fold(0_u64, u64::saturating_add);
        match given.map(sum) {
            Ok(bytes) if bytes <= self.request.limits.bytes => {
                Answer::Pass(format!("{bytes} bytes when they are decompressed"))
            }
            Ok(bytes) => Answer::Fail(
                Code::BUNDLE_LIMIT,
                format!("{bytes} bytes when they are decompressed"),
            ),
            Err(fault) => Answer::fault(&fault),
        }
    }

    fn evidence(&self, rows: &mut Rows, work: &Work<'_>) -> Option<Report> {
        let inside = EvidenceInside::of(self.layout, self.manifest);
        let request = AuditRequest {
            keys: self.request.keys,
            replayer: self.request.replayer,
            workers: work.workers,
            ..Default::default()
        };
        let report = match audit_bundle(&inside, &request) {
            Ok(report) => report,
            Err(error) => {
                let text = in_full(&error);
                rows.insert(BundleCheckId::Evidence, Answer::Fail(Code::EVIDENCE_MALFORMED, text));
                return None;
            }
        };
        rows.insert(BundleCheckId::Evidence, audited(&report));
        rows.insert(BundleCheckId::EvidenceScope, says_the_same(&inside, self.manifest, &report));
        rows.insert(BundleCheckId::EvidenceContent, names_content(&inside, self.manifest));
        Some(report)
    }
}

/// An error with its causes, on one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        text.push_str(": ");
        text.push_str(&one.to_string());
        cause = one.source();
    }
    text
}

/// What the audit amounts to, with the first row that says so.
fn audited(report: &Report) -> Answer {
    use carnet_ledger::audit::{CheckId, CheckVerdict};
    let first = |verdict| {
        let row =
            report.checks.iter().find(|row| row.verdict == verdict && row.id != CheckId::Freshness);
        row.map(|row| format!("{}: {}", row.id.name(), row.reason)).unwrap_or_default()
    };
    match report.overall() {
        Overall::Verified => Answer::Pass(format!("{} events", report.subject.events)),
        Overall::Refused => Answer::Fail(Code::EVIDENCE_REFUSED, first(CheckVerdict::Fail)),
        Overall::Malformed => Answer::Fail(Code::EVIDENCE_MALFORMED, first(CheckVerdict::Fail)),
        Overall::Incomplete => {
            Answer::NotChecked(Code::EVIDENCE_INCOMPLETE, first(CheckVerdict::NotChecked))
        }
    }
}
