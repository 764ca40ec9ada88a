//! Policies, and who has authority.

use std::fs;
use std::path::Path;

use carnet_bundle::read_policy;
use carnet_ledger::trust::TrustFile;
use carnet_ledger::{Digest, Value};
use carnet_model::Code;
use carnet_model::gate::{Facts, authority, policy};
use carnet_model::policy::{
    AdmissionBundle, AdmissionInput, AuthoritySnapshot, PolicyError, PolicyEvaluation,
    PolicyLimits, PolicyQuestion,
};
use carnet_model::portability::{BundleManifest, MANIFEST_BYTES_MAX, ManifestError};

use super::{Looked, Surroundings};
use crate::error::StepError;

/// Asks a policy. Gives also what somebody needs to ask it again.
pub(in crate::gate) fn ask(
    around: &Surroundings<'_>,
    rule: &policy::Rule,
) -> Result<(policy::Facts, PolicyEvaluation), StepError> {
    let policy = read_policy(&around.path(&rule.policy))?;
    let manifest = rule.manifest.as_ref().map(|path| manifest(&around.path(path))).transpose()?;
    let declared = manifest.map(|it| id_of(&it.policy_snapshot_id)).transpose()?;
    let input = match (&rule.input, &rule.admission) {
        (Some(path), _) => {
            let path = around.path(path);
            value(&path, &read(&path, PolicyLimits::MAX.input_bytes)?)?
        }
        (None, Some(admission)) => admitted(around, admission)?,
        (None, None) => Value::Null,
    };
    let question = PolicyQuestion { policy: &policy, input: &input };
    let answer = around.outside.policy(&question)?;
    let facts = policy::Facts {
        declared,
        snapshot: Some(policy.snapshot().digest()),
        input: Some(question.input_digest()),
        answer: Some(Box::new(answer.clone())),
        evaluation: None,
    };
    Ok((facts, PolicyEvaluation::of(&question, &answer)))
}

/// Asks a policy, where nothing is recorded.
pub(super) fn policy(around: &Surroundings<'_>, rule: &policy::Rule) -> Result<Looked, StepError> {
    ask(around, rule).map(|(facts, _)| Looked::new(Facts::Policy(facts)))
}

/// Compares who is named with who is known.
pub(super) fn authority(
    around: &Surroundings<'_>,
    rule: &authority::Rule,
) -> Result<Looked, StepError> {
    let snapshot = authority_snapshot(&around.path(&rule.authority))?;
    let trust = trust(&around.path(&rule.trust))?;
    let manifest = rule.manifest.as_ref().map(|path| manifest(&around.path(path))).transpose()?;
    let declared = manifest.map(|it| id_of(&it.authority_snapshot_id)).transpose()?;
    let keys = snapshot.standing(&trust, around.clock.now());
    let facts = authority::Facts { declared, snapshot: Some(snapshot.digest()), keys };
    Ok(Looked::new(Facts::Authority(facts)))
}

/// The input of an admission: what the bundle says, where it is to be let in, and now.
fn admitted(around: &Surroundings<'_>, admission: &policy::Admission) -> Result<Value, StepError> {
    let folder = around.path(&admission.bundle);
    let manifest = manifest(&folder.join("manifest.json"))?;
    let path = folder.join("dependency-manifest.json");
    let dependencies = value(&path, &read(&path, PolicyLimits::MAX.input_bytes)?)?;
    let input = AdmissionInput {
        bundle: AdmissionBundle::of(&manifest, dependencies),
        target: admission.target.clone(),
        authority: authority_snapshot(&folder.join("authority/snapshot.json"))?,
        now: around.clock.now().to_string(),
    };
    Ok(input.value())
}

/// The manifest of a bundle.
pub(crate) fn manifest(path: &Path) -> Result<BundleManifest, StepError> {
    let bytes = read(path, MANIFEST_BYTES_MAX as u64)?;
    BundleManifest::read(&bytes).map_err(|error: ManifestError| {
        let what = format!("{} cannot be used: {error}", path.display());
        StepError::new(Code::POLICY_MALFORMED, what).remedy("fetch the bundle again")
    })
}

/// The digest in `sha256:<hex>`.
pub(crate) fn id_of(id: &str) -> Result<Digest, StepError> {
    let digest = id.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    digest.ok_or_else(|| {
        let what = format!("the manifest names the snapshot {id:?}, which is no sha256:<hex>");
        StepError::new(Code::POLICY_MALFORMED, what).remedy("fetch the bundle again")
    })
}

/// An authority snapshot.
pub(crate) fn authority_snapshot(path: &Path) -> Result<AuthoritySnapshot, StepError> {
    let bytes = read(path, PolicyLimits::MAX.input_bytes)?;
    AuthoritySnapshot::read(&bytes).map_err(|error: PolicyError| {
        let what = format!("{} cannot be used: {error}", path.display());
        StepError::new(error.code(), what).remedy(error.remedy())
    })
}

/// A trust file.
pub(crate) fn trust(path: &Path) -> Result<TrustFile, StepError> {
    let bytes = read(path, carnet_ledger::trust::MAX_TRUST_BYTES as u64)?;
    TrustFile::parse(&bytes).map_err(|error| {
        let mut made = StepError::new(
            Code::TRUST_MALFORMED,
            format!("the trust file {} cannot be used", path.display()),
        );
        made.cause = Some(error.into());
        made.remedy("put the line right: `carnet explain trust.malformed`")
    })
}

/// A JSON document with one canonical form.
fn value(path: &Path, bytes: &[u8]) -> Result<Value, StepError> {
    Value::parse(bytes, usize::MAX).map_err(|error| {
        let what = format!("{} cannot be asked about", path.display());
        let mut made = StepError::new(Code::POLICY_INPUT, what);
        made.cause = Some(error.into());
        made.remedy("write fractions and large numbers as text, and each key once")
    })
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, StepError> {
    let failed = |error| StepError::io("read", path, error);
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > bytes_max {
        let what = format!("{} has {bytes} bytes, and {bytes_max} are the most", path.display());
        return Err(StepError::new(Code::POLICY_LIMIT, what).remedy("make it smaller"));
    }
    fs::read(path).map_err(failed)
}
