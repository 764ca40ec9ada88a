//! Who else signed the manifest: signatures in files beside it, made with the keys of people.

use super::AuditError;
use super::documents::{MANIFEST, bytes_of, in_full};
use super::material::Material;
use super::report::Reason;
use super::rows::Answer;
use crate::detached::{Believed, DetachedAnswer, SignatureForm, check_detached};
use crate::trust::TrustedKey;

/// The files. They are made after the manifest, and so not listed in it.
pub(super) const BESIDE: [(SignatureForm, &str); 2] =
    [(SignatureForm::Ssh, "manifest.json.sig"), (SignatureForm::OpenPgp, "manifest.json.asc")];

/// Judges them for somebody who believes the keys of certain people. One good signature does; one
/// bad one spoils it.
pub(super) fn judge(
    material: &dyn Material,
    believed: Option<&Believed<'_>>,
) -> Result<Answer, AuditError> {
    let there = BESIDE.into_iter().filter(|(_, name)| material.has(name));
    let there: Vec<_> = there.collect();
    if there.is_empty() {
        let text = "no signature stands beside the manifest".to_owned();
        return Ok(Answer::NotApplicable(text));
    }
    let of_people = |key: &TrustedKey| match key {
        TrustedKey::Ssh(_) | TrustedKey::OpenPgp(_) => true,
        TrustedKey::Log(_) => false,
    };
    let asked = |it: &&Believed<'_>| it.trust.entries().iter().any(|one| of_people(&one.key));
    let Some(believed) = believed.filter(asked) else {
        let text = "it was not asked who else signed: no key of a person is trusted (--trust)";
        return Ok(Answer::NotApplicable(text.to_owned()));
    };
    let manifest = bytes_of(material, MANIFEST)?.map(|(bytes, _)| bytes).unwrap_or_default();
    let (mut good, mut open) = (Vec::new(), None);
    for (form, name) in there {
        let signature = bytes_of(material, name)?.map(|(bytes, _)| bytes);
        match check_detached(form, signature.as_deref(), &manifest, believed) {
            Ok(DetachedAnswer::Good { key, principal }) => {
                good.push(format!("{name} by {principal}, {key}"));
            }
            Ok(DetachedAnswer::Bad { why }) => {
                let text = format!("{name} is no signature of this manifest: {why}");
                return Ok(Answer::Fail(Reason::SignatureBad, text));
            }
            Ok(DetachedAnswer::UnknownKey { key, why }) => {
                open.get_or_insert((Reason::KeyUnknown, format!("{name} is by {key}: {why}")));
            }
            Ok(DetachedAnswer::Missing) => {}
            Err(error) => {
                let text = format!("{name}: {}", in_full(&error));
                open.get_or_insert((Reason::CannotCheck, text));
            }
        }
    }
    Ok(match open {
        Some((reason, text)) if good.is_empty() => Answer::NotChecked(reason, text),
        Some(_) | None => Answer::Pass(good.join("; ")),
    })
}
