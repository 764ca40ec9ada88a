//! Detached signatures of manifests: who signs (`--sign`), and whose signatures count (`--trust`).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use carnet_bundle::{MANIFEST, ManifestSigner, signature_file};
use carnet_connect::StoreError;
use carnet_engine::Signature;
use carnet_ledger::EventTime;
use carnet_ledger::detached::{
    APPROVAL_NAMESPACE, Believed, DetachedAnswer, DetachedError, DetachedSigner,
    MANIFEST_NAMESPACE, MAX_SIGNATURE_BYTES, SignatureForm, check_detached,
};
use carnet_ledger::trust::TrustFile;
use carnet_model::Code;
use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::outside::random_bytes;
use crate::sheet::Sheet;

/// The largest file of a key or of trusted keys that is read.
const KEY_BYTES_MAX: u64 = 8 << 20;
/// The largest manifest whose signature is checked.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// A private key that signs a manifest, as it is named on the command line.
#[derive(Debug, Clone)]
pub(crate) struct SignWith {
    form: SignatureForm,
    file: PathBuf,
}

impl FromStr for SignWith {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, file) = text.split_once(':').unwrap_or((text, ""));
        let form = SignatureForm::ALL.into_iter().find(|form| form.name() == word);
        match form {
            Some(form) if !file.is_empty() => Ok(Self { form, file: file.into() }),
            _ => Err("say ssh:FILE or openpgp:FILE".to_owned()),
        }
    }
}

impl SignWith {
    fn pen(&self) -> Result<Pen, Failure> {
        let Self { form, file } = self;
        must_be_private(file)?;
        let key = Zeroizing::new(read(file, KEY_BYTES_MAX)?);
        let signer = DetachedSigner::read(*form, &key)
            .map_err(|error| failure(&error).place(file.display().to_string()))?;
        Ok(Pen { form: *form, signer, now: now()?, seed: random_bytes()? })
    }
}

/// The trust file of a plan, to find out whose key it is. The engine judges by it, not this.
pub(crate) fn trust_file(path: &Path) -> Result<TrustFile, Failure> {
    TrustFile::parse(&read(path, KEY_BYTES_MAX)?).map_err(|error| {
        Failure::from_error(&error, Code::TRUST_MALFORMED).place(path.display().to_string())
    })
}

/// Who signs a manifest.
#[derive(Debug, Args)]
pub(crate) struct Signing {
    /// Sign manifest.json with this private key: beside it comes manifest.json.sig (SSH) or
    /// manifest.json.asc (OpenPGP). May be given once for each kind.
    #[arg(long = "sign", value_name = "ssh:KEY|openpgp:KEY")]
    with: Vec<SignWith>,
}

/// One key that signs approvals.
pub(crate) struct ApprovalPen(Pen);

impl ApprovalPen {
    /// Reads the key.
    pub(crate) fn read(key: &SignWith) -> Result<Self, Failure> {
        key.pen().map(Self)
    }

    /// The key, as people compare it.
    pub(crate) fn key(&self) -> String {
        self.0.signer.key()
    }

    /// When it signs.
    pub(crate) fn now(&self) -> EventTime {
        self.0.now
    }

    /// Signs the text of a statement.
    pub(crate) fn sign(&self, text: &str) -> Result<Signature, Failure> {
        let Pen { form, signer, now, seed } = &self.0;
        let signature = signer.sign(APPROVAL_NAMESPACE, text.as_bytes(), *now, seed);
        Ok(Signature {
            form: *form,
            signature: signature.map_err(|error| failure(&error))?,
            public_key: signer.public_key().map_err(|error| failure(&error))?,
        })
    }
}

/// The keys that sign, read. They are dropped, and so wiped, when the command ends.
pub(crate) struct Pens(Vec<Pen>);

struct Pen {
    form: SignatureForm,
    signer: DetachedSigner,
    now: EventTime,
    seed: [u8; 32],
}

impl Signing {
    /// Reads the keys. Before the work begins: a key that cannot sign must not cost an export.
    pub(crate) fn pens(&self) -> Result<Pens, Failure> {
        let mut pens: Vec<Pen> = Vec::new();
        for with in &self.with {
            let form = with.form;
            if pens.iter().any(|pen| pen.form == form) {
                let what = format!("two keys of the kind {form} cannot sign the same manifest");
                return Err(Failure::new(Code::USAGE, what).remedy("name one of them"));
            }
            pens.push(with.pen()?);
        }
        Ok(Pens(pens))
    }
}

impl Pens {
    /// Those who sign.
    pub(crate) fn signers(&self) -> Vec<&dyn ManifestSigner> {
        self.0.iter().map(|pen| pen as &dyn ManifestSigner).collect()
    }

    /// What they sign with, for people: `ssh SHA256:…`.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.iter().map(|pen| format!("{} {}", pen.form, pen.signer.key())).collect()
    }
}

impl ManifestSigner for Pen {
    fn form(&self) -> SignatureForm {
        self.form
    }

    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, StoreError> {
        let signature = self.signer.sign(MANIFEST_NAMESPACE, manifest, self.now, &self.seed);
        signature.map(String::into_bytes).map_err(|error| {
            StoreError::new(code(&error), "cannot sign the manifest").because(error)
        })
    }
}

/// Whose signatures of a manifest count.
#[derive(Debug, Args)]
pub(crate) struct Trusting {
    /// Check who signed the manifest: a key in this file must have (the allowed signers of ssh-keygen,
    /// and lines `PRINCIPALS openpgp FINGERPRINT`).
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Take OpenPGP public keys from this file (gpg --export).
    #[arg(long, value_name = "FILE", requires = "trust")]
    openpgp_key: Option<PathBuf>,
}

/// What the signatures beside a manifest say.
#[derive(Debug, Serialize)]
pub(crate) struct SignatureView {
    /// The file.
    file: String,
    answer: Answer,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Good,
    UnknownKey,
    BadSignature,
    Missing,
    NotChecked,
}

impl Answer {
    const fn words(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::UnknownKey => "unknown key",
            Self::BadSignature => "BAD SIGNATURE",
            Self::Missing => "missing",
            Self::NotChecked => "not checked",
        }
    }
}

impl Trusting {
    /// Judges the signatures beside the manifest of a folder. Without a trust file none is.
    pub(crate) fn check(&self, folder: &Path) -> Result<Vec<SignatureView>, Failure> {
        let Some(trust) = &self.trust else { return Ok(unchecked(folder)) };
        if !folder.join(MANIFEST).is_file() {
            // Nothing that a signature could be about: that is the failure of another check.
            return Ok(Vec::new());
        }
        let trust = trust_file(trust)?;
        let keys = self.openpgp_key.as_deref().map(|file| read(file, KEY_BYTES_MAX)).transpose()?;
        let believed = Believed {
            trust: &trust,
            openpgp_keys: keys.as_deref(),
            namespace: MANIFEST_NAMESPACE,
            by: None,
            now: now()?,
        };
        let manifest = read(&folder.join(MANIFEST), MANIFEST_BYTES_MAX)?;
        let mut views = Vec::new();
        for form in SignatureForm::ALL {
            let name = signature_file(form);
            let path = folder.join(&name);
            if !path.is_file() {
                continue;
            }
            // One byte more than is taken, so that what is too large is seen to be.
            let signature = read(&path, MAX_SIGNATURE_BYTES as u64 + 1)?;
            views.push(match check_detached(form, Some(&signature), &manifest, &believed) {
                Ok(answer) => SignatureView::new(name, answer),
                Err(error @ DetachedError::Feature(_)) => SignatureView::left_out(name, &error),
                Err(error) => return Err(failure(&error)),
            });
        }
        if views.is_empty() {
            views.push(SignatureView::new(MANIFEST.to_owned(), DetachedAnswer::Missing));
        }
        Ok(views)
    }

    /// Why the signatures do not do; `None` if one is good and none is bad, or none was asked for.
    pub(crate) fn failure(&self, views: &[SignatureView]) -> Option<Failure> {
        let find = |answer| views.iter().find(|view| view.answer == answer);
        if let Some(bad) = find(Answer::BadSignature) {
            return Some(bad.failure(Code::SIGNATURE_BAD, "is no signature of this manifest"));
        }
        self.trust.as_ref()?;
        if find(Answer::Good).is_some() {
            return None;
        }
        if let Some(unknown) = find(Answer::UnknownKey) {
            let what = "was made with a key that is not trusted";
            return Some(unknown.failure(Code::SIGNATURE_UNKNOWN_KEY, what));
        }
        if let Some(left_out) = find(Answer::NotChecked) {
            let what = "cannot be checked by this build";
            return Some(left_out.failure(Code::FEATURE_MISSING, what));
        }
        find(Answer::Missing)
            .map(|missing| missing.failure(Code::SIGNATURE_MISSING, "has no signature beside it"))
    }
}

/// What is there and was not judged.
fn unchecked(folder: &Path) -> Vec<SignatureView> {
    let names = SignatureForm::ALL.into_iter().map(signature_file);
    let there = names.filter(|name| folder.join(name).is_file());
    let why = "no --trust was given";
    there.map(|file| SignatureView::bare(file, Answer::NotChecked, Some(why.to_owned()))).collect()
}

impl SignatureView {
    fn bare(file: String, answer: Answer, why: Option<String>) -> Self {
        Self { file, answer, key: None, principal: None, why }
    }

    fn left_out(file: String, error: &DetachedError) -> Self {
        Self::bare(file, Answer::NotChecked, Some(error.to_string()))
    }

    fn new(file: String, answer: DetachedAnswer) -> Self {
        match answer {
            DetachedAnswer::Good { key, principal } => Self {
                key: Some(key),
                principal: Some(principal),
                ..Self::bare(file, Answer::Good, None)
            },
            DetachedAnswer::UnknownKey { key, why } => Self {
                key: Some(key),
                ..Self::bare(file, Answer::UnknownKey, Some(why.to_owned()))
            },
            DetachedAnswer::Bad { why } => Self::bare(file, Answer::BadSignature, Some(why)),
            DetachedAnswer::Missing => Self::bare(file, Answer::Missing, None),
        }
    }

    fn failure(&self, code: Code, what: &str) -> Failure {
        let failure = Failure::new(code, format!("{} {what}", self.file));
        let failure = match &self.key {
            Some(key) => failure.because(format!("the key is {key}")),
            None => failure,
        };
        match &self.why {
            Some(why) => failure.because(why),
            None => failure,
        }
    }

    /// Adds its line to a sheet.
    pub(crate) fn write(&self, sheet: &mut Sheet) {
        let by = match (&self.principal, &self.key) {
            (Some(principal), Some(key)) => format!("by {principal}, {key}"),
            (_, Some(key)) => key.clone(),
            (_, None) => String::new(),
        };
        let said = [by, self.why.clone().unwrap_or_default()];
        let said: Vec<_> = said.into_iter().filter(|text| !text.is_empty()).collect();
        let label = format!("  {:<18} {}", self.file, self.answer.words());
        sheet.field(label, 33, &said.join(": "));
    }
}

/// The present, as limits in time are judged by.
pub(crate) fn now() -> Result<EventTime, Failure> {
    EventTime::from_unix_millis(Environment::now().div_euclid(1_000))
        .map_err(|error| Failure::from_error(&error, Code::USAGE))
}

/// Refuses a private key that others can read, as ssh does.
fn must_be_private(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let about = std::fs::metadata(path)
        .map_err(|error| Failure::io(format!("cannot read {shown}"), error))?;
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let what = format!("{shown} can be read by others: its mode is {mode:04o}");
        return Err(Failure::new(Code::SIGNATURE_KEY, what)
            .because("whoever reads it can sign in its owner's name")
            .remedy(format!("close it: chmod 600 {shown}")));
    }
    Ok(())
}

/// Reads a file that must be small.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::io(format!("cannot read {}", path.display()), error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        let what = format!("{} has more than {most} bytes", path.display());
        return Err(Failure::new(Code::USAGE, what));
    }
    Ok(bytes)
}

fn code(error: &DetachedError) -> Code {
    match error {
        DetachedError::Feature(_) => Code::FEATURE_MISSING,
        DetachedError::Key { .. }
        | DetachedError::Locked
        | DetachedError::Algorithm(_)
        | DetachedError::PublicKeys(_) => Code::SIGNATURE_KEY,
        DetachedError::Sign(_) => Code::BUG,
    }
}

fn failure(error: &DetachedError) -> Failure {
    let failure = Failure::from_error(error, code(error));
    match error {
        DetachedError::Feature(form) => failure.remedy(format!("build it with --features {form}")),
        DetachedError::Locked => failure.remedy(
            "name a key without a passphrase, kept where only its owner reads it; carnet asks for \
             no passphrase and speaks to no agent",
        ),
        DetachedError::Algorithm(_) => {
            failure.remedy("make a key that signs: ssh-keygen -t ed25519, or -t ecdsa -b 256")
        }
        DetachedError::Key { .. } => failure.remedy(
            "name a private key as ssh-keygen writes it, or as gpg --export-secret-keys does",
        ),
        DetachedError::PublicKeys(_) => {
            failure.remedy("name public keys as gpg --export writes them")
        }
        DetachedError::Sign(_) => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_kind_and_file() {
        let read: SignWith = "ssh:/home/a:b/id".parse().unwrap();
        assert_eq!((read.form, read.file.to_str()), (SignatureForm::Ssh, Some("/home/a:b/id")));
        let read: SignWith = "openpgp:k".parse().unwrap();
        assert_eq!(read.form, SignatureForm::OpenPgp);
        for wrong in ["", "ssh", "ssh:", "gpg:k", "k"] {
            assert!(wrong.parse::<SignWith>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_good_signature_does_and_one_bad_one_spoils_it() {
        let trusting = Trusting { trust: Some("t".into()), openpgp_key: None };
        let blind = Trusting { trust: None, openpgp_key: None };
        let view = |answer| SignatureView::bare("f".to_owned(), answer, None);
        for (answers, code) in [
            (&[Answer::Good][..], None),
            (&[Answer::Good, Answer::UnknownKey], None),
            (&[Answer::NotChecked, Answer::Good], None),
            (&[Answer::Good, Answer::BadSignature], Some(Code::SIGNATURE_BAD)),
            (&[Answer::UnknownKey], Some(Code::SIGNATURE_UNKNOWN_KEY)),
            (&[Answer::NotChecked], Some(Code::FEATURE_MISSING)),
            (&[Answer::Missing], Some(Code::SIGNATURE_MISSING)),
        ] {
            let views: Vec<_> = answers.iter().copied().map(view).collect();
            let found = trusting.failure(&views).map(|failure| failure.code);
            assert_eq!(found, code, "{answers:?}");
        }
        assert!(blind.failure(&[view(Answer::NotChecked)]).is_none());
        assert!(blind.failure(&[]).is_none());
    }
}
