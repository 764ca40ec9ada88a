//! What the documents say of themselves and of one another: files, profile, segment, signature.

use std::collections::BTreeSet;

use base64ct::{Base64, Encoding};

use super::beside::BESIDE;
use super::documents::{
    CHAIN_SEGMENT, CHECKPOINT, Declared, EVENTS, Held, MANIFEST, PROFILE_CLAIM, VERIFIER_INPUTS,
};
use super::event::drift;
use super::keys::answer;
use super::report::{CheckId, Reason};
use super::rows::{Answer, Context, counted, unknown_profile};
use super::segment::{digest_of_ref, plain_digest};
use crate::event::EvidenceProfile;
use crate::trust::{KeyJudgement, KeyState};
use crate::value::{HashProfile, Object, Value};

/// The documents that every bundle of the contract has.
const CONTRACT: [&str; 5] = [MANIFEST, EVENTS, CHAIN_SEGMENT, VERIFIER_INPUTS, PROFILE_CLAIM];
/// What is signed of a chain segment begins with this.
const SEGMENT_DOMAIN: &str = "carnet/segment/v1\n";

impl Context<'_> {
    pub(super) fn bundle_files(&mut self) -> Answer {
        let manifest = &self.documents.manifest;
        let mut wrong: Option<(Reason, String, u64)> = None;
        let mut add = |reason, text: String| match &mut wrong {
            Some((_, _, more)) => *more += 1,
            None => wrong = Some((reason, text, 0)),
        };
        for name in CONTRACT.into_iter().filter(|name| !self.material.has(name)) {
            add(Reason::FileMissing, format!("{name} is missing"));
        }
        let mut listed = BTreeSet::from([MANIFEST]);
        if let Some(own) = &manifest.own {
            for file in &own.files {
                if !listed.insert(&file.path) {
                    add(Reason::FileChanged, format!("{:?} is listed twice", file.path));
                }
                match self.sums.get(&file.path) {
                    None => add(Reason::FileMissing, format!("{:?} is missing", file.path)),
                    Some(sum) if *sum != file.sum => {
                        add(
                            Reason::FileChanged,
                            format!("{:?} has other bytes than listed", file.path),
                        );
                    }
                    Some(_) => {}
                }
            }
            let known =
                |name: &str| listed.contains(name) || BESIDE.iter().any(|(_, it)| *it == name);
            for (name, _) in self.material.entries().iter().filter(|(name, _)| !known(name)) {
                add(Reason::FileAdded, format!("{name:?} is not listed"));
            }
        }
        match (wrong, &manifest.own) {
            (Some((reason, text, 0)), _) => Answer::Fail(reason, text),
            (Some((reason, text, more)), _) => {
                Answer::Fail(reason, format!("{text}; and {more} more"))
            }
            (None, Some(own)) => {
                let files = counted(own.files.len() as u64, "file", "files");
                Answer::Pass(format!("{files}, each as listed"))
            }
            (None, None) => Answer::Pass(
                "the five documents of the contract are there; its manifest lists no files"
                    .to_owned(),
            ),
        }
    }

    pub(super) fn manifest_signature(&mut self) -> Answer {
        let manifest = &self.documents.manifest;
        if manifest.signatures.is_empty() {
            let text = "the manifest is not signed".to_owned();
            return Answer::NotChecked(Reason::Unsigned, text);
        }
        let signed: Object = manifest
            .object
            .iter()
            .filter(|(name, _)| *name != "signatures")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let message = HashProfile::Rfc8785Sha256V1.canonical(&Value::Object(signed));
        // The key is judged by how far the log had come.
        let size = match (&manifest.own, manifest.scope) {
            (Some(own), _) => own.tree.0,
            (None, Some((_, to))) => to + 1,
            (None, None) => self.streamed.order.events,
        };
        let mut best: Option<KeyJudgement> = None;
        let mut signers = Vec::new();
        for one in &manifest.signatures {
            signers.push(one.key_id.chars().take(80).collect());
            let bytes = Base64::decode_vec(&one.signature).unwrap_or_default();
            let judged = self.ring.judge_signature(
                &one.key_id,
                message.as_bytes(),
                &bytes,
                size,
                self.streamed.last_time,
            );
            let known = judged.state != KeyState::UnknownKey;
            if best.is_none() || known {
                best = Some(judged);
            }
        }
        match best {
            Some(judged) => answer("the manifest", &judged, &signers, &self.ring),
            None => Answer::NotChecked(Reason::Unsigned, "the manifest is not signed".to_owned()),
        }
    }

    pub(super) fn profile_declared(&mut self) -> Answer {
        self.declares(VERIFIER_INPUTS, &self.documents.verifier_inputs);
        self.declares(PROFILE_CLAIM, &self.documents.profile_claim);
        self.segment_declares();
        let manifest = &self.documents.manifest;
        let stripped = manifest.own.is_none() && self.material.has(CHECKPOINT);
        if stripped {
            self.findings.add(CheckId::ProfileDeclared, Reason::ProfileDowngrade, || {
                format!("the bundle has a {CHECKPOINT}, and its manifest no part that names it")
            });
        }
        let version = manifest.profile_version.as_deref();
        if version != Some(EvidenceProfile::VERSION) {
            self.findings.add(CheckId::ProfileDeclared, Reason::ProfileUnknown, || {
                format!(
                    "the version {:?} of the profile is not known here",
                    version.unwrap_or("none")
                )
            });
        }
        self.asked_for();
        if let Some(answer) = self.found(CheckId::ProfileDeclared) {
            return answer;
        }
        match (self.expected.profile, self.expected.hash_profile) {
            (Some(profile), Some(hash)) => Answer::Pass(format!("{profile} under {hash}")),
            (Some(_), None) => Answer::NotChecked(
                Reason::ProfileUnknown,
                "the hash profile that the manifest names is not known here".to_owned(),
            ),
            (None, _) => unknown_profile(self.expected),
        }
    }

    /// The auditor may ask for more than the manifest promises.
    fn asked_for(&mut self) {
        let (Some(wanted), Some(declared)) = (self.request.profile, self.expected.profile_name)
        else {
            return;
        };
        let profile = self.expected.profile;
        // Admissible asks for all that baseline asks for, and more.
        let holds = profile == Some(wanted)
            || (wanted == EvidenceProfile::Baseline
                && profile == Some(EvidenceProfile::Admissible));
        if !holds {
            self.findings.add(CheckId::ProfileDeclared, Reason::ProfileDowngrade, || {
                format!("{wanted} was asked for, and the manifest declares {declared}")
            });
        }
    }

    fn declares(&mut self, name: &'static str, document: &Held<Declared>) {
        let manifest = &self.documents.manifest;
        let id = CheckId::ProfileDeclared;
        let document = match document {
            // That it is missing is said elsewhere.
            Held::Absent => return,
            Held::Malformed(what) => {
                return self
                    .findings
                    .add(id, Reason::Malformed, || format!("{name} cannot be read: {what}"));
            }
            Held::Read(document) => document,
        };
        let declared = manifest.evidence_profile.as_deref().unwrap_or_default();
        if let Some(said) = document.evidence_profile.as_deref().filter(|said| *said != declared) {
            self.findings.add(id, drift(said, declared), || {
                format!("{name} declares {said}, and the manifest {declared}")
            });
        }
        let listed = &document.implements;
        if !listed.is_empty() && !listed.iter().any(|one| one == declared) {
            self.findings.add(id, Reason::ProfileDrift, || {
                format!("{name} does not claim {declared}, which the manifest declares")
            });
        }
        let pairs = [
            ("hash_profile_id", &document.hash_profile, &manifest.hash_profile),
            ("profile_version", &document.profile_version, &manifest.profile_version),
            ("chain_id", &document.chain_id, &manifest.chain_id),
            ("chain_segment_ref", &document.chain_segment_ref, &manifest.chain_segment_ref),
        ];
        for (member, said, declared) in pairs {
            if said.is_some() && said != declared {
                self.findings.add(id, Reason::ProfileDrift, || {
                    format!("{name} and the manifest differ in {member}")
                });
            }
        }
        if document.scope.is_some() && document.scope != manifest.scope {
            self.findings.add(id, Reason::ProfileDrift, || {
                format!("{name} and the manifest differ in their range")
            });
        }
    }

    fn segment_declares(&mut self) {
        let Held::Read(head) = &self.streamed.segment else { return };
        let declared = self.documents.manifest.evidence_profile.as_deref().unwrap_or_default();
        if let Some(said) = head.evidence_profile.as_deref().filter(|said| *said != declared) {
            self.findings.add(CheckId::ProfileDeclared, drift(said, declared), || {
                format!("{CHAIN_SEGMENT} declares {said}, and the manifest {declared}")
            });
        }
    }

    pub(super) fn chain_segment(&mut self) -> Answer {
        let found = self.found(CheckId::ChainSegment);
        let head = match &self.streamed.segment {
            Held::Absent => {
                return Answer::Fail(Reason::FileMissing, format!("{CHAIN_SEGMENT} is missing"));
            }
            Held::Malformed(what) => {
                return Answer::Fail(Reason::Malformed, format!("{CHAIN_SEGMENT}: {what}"));
            }
            Held::Read(head) => head,
        };
        if let Some(answer) = found {
            return answer;
        }
        let manifest = &self.documents.manifest;
        let differs = |what: &str| Answer::Fail(Reason::SegmentDiffers, what.to_owned());
        let joined = self.streamed.order.joined();
        if head.segment_hash.is_some_and(|hash| hash != joined) {
            return differs("segment_hash is not that of the events");
        }
        let bundle_hash = manifest.bundle_hash.as_deref();
        if bundle_hash.is_some_and(|hash| plain_digest(hash) != Some(joined)) {
            return differs("the manifest's bundle_hash is not that of the events");
        }
        if head.algorithm.as_deref().is_some_and(|name| !matches!(name, "sha256" | "SHA-256")) {
            return differs("its algorithm is not sha256");
        }
        if head.scope.is_some() && head.scope != manifest.scope {
            return differs("its range is not that of the manifest");
        }
        if head.tenant_id.is_some() && head.tenant_id != manifest.tenant_id {
            return differs("its tenant is not that of the manifest");
        }
        let named = manifest.chain_segment_ref.as_deref().and_then(digest_of_ref);
        let file = self.streamed.segment_sum.map(|sum| sum.sha256);
        if manifest.chain_segment_ref.is_some() && named != file {
            return differs("the manifest names another chain segment than this file");
        }
        let missing = head.segment_hash.is_none() || bundle_hash.is_none() || named.is_none();
        if missing && self.expected.own {
            return differs("segment_hash, bundle_hash or chain_segment_ref is missing");
        }
        self.segment_signature(head.signature.as_deref(), joined)
    }

    /// The segment is signed too, so that it can travel alone.
    fn segment_signature(&self, signature: Option<&str>, joined: crate::Digest) -> Answer {
        let holds = || Answer::Pass(format!("{} compared", self.events()));
        let own = self.documents.manifest.own.as_ref();
        let (Some(signature), Some(own)) = (signature, own) else { return holds() };
        let message = format!("{SEGMENT_DOMAIN}{joined}");
        let bytes = Base64::decode_vec(signature).unwrap_or_default();
        let time = self.streamed.last_time;
        // It names no key: it is by one of those that signed the manifest.
        for one in &self.documents.manifest.signatures {
            let judged = self.ring.judge_signature(
                &one.key_id,
                message.as_bytes(),
                &bytes,
                own.tree.0,
                time,
            );
            if judged.state == KeyState::BadSignature {
                let text = format!("its signature is not by {}", one.key_id);
                return Answer::Fail(Reason::SignatureBad, text);
            }
        }
        holds()
    }
}
