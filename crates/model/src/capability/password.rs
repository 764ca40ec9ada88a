//! Passwords do not belong into a plan.

use carnet_document::InputError;

/// Refuses a URL with a password in it. Gives whether it was refused.
pub(super) fn no_password(pointer: &str, url: &str, errors: &mut Vec<InputError>) -> bool {
    let place = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = place.split(['/', '?', '#']).next().unwrap_or_default();
    let secret = host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    if secret {
        errors.push(password_in(pointer));
    }
    secret
}

/// The refusal of a password.
pub(super) fn password_in(pointer: &str) -> InputError {
    let remedy = "take it out: passwords come from the environment";
    InputError::new(pointer, "has a password in it", remedy)
}
