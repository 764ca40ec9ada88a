//! Secrets that a plan names. They come from the environment when they are needed, and are masked in
//! what others print before that is recorded.

use std::collections::BTreeMap;

use carnet_connect::Outside;
use carnet_model::{Code, Secret, Text};

use super::Act;
use crate::error::StepError;

/// A text as it is used.
pub(crate) struct Resolved {
    /// All of it.
    pub(crate) whole: Secret,
    /// The secret in it, where it names one.
    pub(crate) secret: Option<Secret>,
}

/// The text itself, or with the secret that it names.
pub(crate) fn resolve(outside: &dyn Outside, text: &Text) -> Result<Resolved, StepError> {
    let named = match text {
        Text::Plain(text) => {
            return Ok(Resolved { whole: Secret::new(text.clone()), secret: None });
        }
        Text::Secret(named) => named,
    };
    let secret = outside.secret(&named.secret).ok_or_else(|| {
        let what = format!("the variable {} is not set", named.secret);
        let remedy = format!("set {} in the environment of carnet, then repeat", named.secret);
        StepError::new(Code::SECRET_MISSING, what).remedy(remedy)
    })?;
    let whole = Secret::new(format!("{}{}", named.before, secret.reveal()));
    Ok(Resolved { whole, secret: Some(secret) })
}

/// The variables that a program is given, and the secrets in them.
#[derive(Default)]
pub(crate) struct Variables {
    pub(crate) given: Vec<(String, Secret)>,
    pub(crate) hidden: Vec<Secret>,
}

impl Variables {
    pub(crate) fn of(
        outside: &dyn Outside,
        named: &BTreeMap<String, Text>,
    ) -> Result<Self, StepError> {
        let mut all = Self::default();
        for (name, text) in named {
            let resolved = resolve(outside, text)?;
            all.given.push((name.clone(), resolved.whole));
            all.hidden.extend(resolved.secret);
        }
        Ok(all)
    }
}

/// Fails where a secret is missing: looked at before anything is done.
pub(super) fn check<'t>(
    act: &Act<'_>,
    texts: impl IntoIterator<Item = &'t Text>,
) -> Result<(), StepError> {
    texts.into_iter().try_for_each(|text| resolve(act.cx.outside, text).map(|_| ()))
}

/// Bytes with every secret in them replaced by `***`. What is shorter than four characters is no
/// secret, and would make the text unreadable.
pub(crate) fn masked(bytes: &[u8], secrets: &[Secret]) -> Vec<u8> {
    let mut masked = bytes.to_vec();
    for secret in secrets.iter().map(|secret| secret.reveal().as_bytes()) {
        if secret.len() < 4 {
            continue;
        }
        let mut rest = masked.as_slice();
        let mut next = Vec::with_capacity(masked.len());
        while let Some(at) = rest.windows(secret.len()).position(|part| part == secret) {
            let (before, after) = rest.split_at(at);
            next.extend_from_slice(before);
            next.extend_from_slice(b"***");
            rest = after.get(secret.len()..).unwrap_or_default();
        }
        next.extend_from_slice(rest);
        masked = next;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let secrets = [Secret::new("s3cr3t"), Secret::new("x"), Secret::new("")];
        let masked = |text: &str| String::from_utf8(masked(text.as_bytes(), &secrets)).unwrap();
        assert_eq!(masked("s3cr3t"), "***");
        assert_eq!(masked("as3cr3ts3cr3tb"), "a******b");
        assert_eq!(masked("xs3cr3"), "xs3cr3");
    }
}
