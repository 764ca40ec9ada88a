//! Checks of keys that several rules have.

use carnet_document::InputError;

/// Seconds that a look may take when nothing is said.
pub(super) const fn limit_s() -> u64 {
    30
}

/// Yes, when nothing is said.
pub(super) const fn yes() -> bool {
    true
}

/// Once, when nothing is said.
pub(super) const fn once() -> u32 {
    1
}

/// What is wrong with a text that must not be empty or hold control characters.
pub(super) fn check_text(pointer: &str, text: &str) -> Vec<InputError> {
    if text.trim().is_empty() || text.contains('\0') {
        return vec![InputError::new(
            pointer,
            "there is nothing here to look at",
            "write what to look at",
        )];
    }
    Vec::new()
}

/// What is wrong with a number outside of its range.
pub(super) fn check_range(pointer: &str, number: u64, min: u64, max: u64) -> Vec<InputError> {
    if (min..=max).contains(&number) {
        return Vec::new();
    }
    let what = format!("{number} is not between {min} and {max}");
    vec![InputError::new(pointer, what, "write a number in this range")]
}

/// What is wrong with the URL of a database.
pub(super) fn check_database(pointer: &str, url: &str) -> Vec<InputError> {
    let remedy = "write sqlite:FILE or postgres://USER@HOST:PORT/DATABASE";
    match crate::StoreUrl::parse(url) {
        Ok(crate::StoreUrl::Postgres(url)) if url.has_password() => {
            let what = "a password stands in the URL";
            let remedy = "take it out, and set PGPASSWORD in the environment";
            vec![InputError::new(pointer, what, remedy)]
        }
        Ok(crate::StoreUrl::Sqlite(_) | crate::StoreUrl::Postgres(_)) => Vec::new(),
        Ok(crate::StoreUrl::Faiss(_) | crate::StoreUrl::Snapshot(_)) | Err(_) => {
            vec![InputError::new(pointer, "not the URL of a database", remedy)]
        }
    }
}

/// What is wrong with the URL of a server.
pub(super) fn check_http_url(pointer: &str, url: &str) -> Vec<InputError> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    match authority {
        Some(authority) if authority.contains('@') => {
            let what = "a user or a password stands in the URL";
            let remedy = "take it out, and name a secret of the environment in a header";
            vec![InputError::new(pointer, what, remedy)]
        }
        Some(authority) if !authority.is_empty() && !url.contains(char::is_whitespace) => {
            Vec::new()
        }
        Some(_) | None => {
            let remedy = "write http://HOST:PORT/PATH or https://HOST:PORT/PATH";
            vec![InputError::new(pointer, "not the URL of a server", remedy)]
        }
    }
}

/// What is wrong with the URL of a place for objects.
pub(super) fn check_objects_url(pointer: &str, url: &str) -> Vec<InputError> {
    let bucket = url.strip_prefix("s3://").and_then(|rest| rest.split(['/', '?']).next());
    if bucket.is_some_and(|bucket| !bucket.is_empty() && !bucket.contains('@')) {
        return Vec::new();
    }
    let remedy = "write s3://BUCKET/PREFIX?endpoint=URL&region=NAME, without credentials";
    vec![InputError::new(pointer, "not the URL of a place for objects", remedy)]
}

/// What is wrong with a list of brokers.
pub(super) fn check_servers(pointer: &str, servers: &[String]) -> Vec<InputError> {
    let remedy = "write HOST:PORT of a broker or more";
    if servers.is_empty() {
        return vec![InputError::new(pointer, "there is no broker here", remedy)];
    }
    let is_right = |server: &str| {
        server.rsplit_once(':').is_some_and(|(host, port)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
            !host.is_empty()
                && host.chars().all(plain)
                && port.parse::<u16>().is_ok_and(|it| it > 0)
        })
    };
    let wrong = servers.iter().enumerate().filter(|(_, server)| !is_right(server));
    let error =
        |(number, _)| InputError::new(format!("{pointer}/{number}"), "is no HOST:PORT", remedy);
    wrong.map(error).collect()
}

/// What is wrong with the name of a topic.
pub(super) fn check_topic(pointer: &str, name: &str) -> Vec<InputError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (1..=249).contains(&name.len()) && name.chars().all(plain) && !matches!(name, "." | "..") {
        return Vec::new();
    }
    let remedy = "write letters, digits, dots, lines and underscores, 249 at most";
    vec![InputError::new(pointer, format!("{name:?} is no name of a topic"), remedy)]
}

/// What is wrong with where a service of AWS is asked.
pub(super) fn check_aws(pointer: &str, endpoint: Option<&str>, region: &str) -> Vec<InputError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut errors = Vec::new();
    if region.is_empty() || !region.chars().all(plain) {
        let pointer = format!("{pointer}/region");
        errors.push(InputError::new(pointer, "is no region", "write it as in eu-west-2"));
    }
    if let Some(endpoint) = endpoint {
        let pointer = format!("{pointer}/endpoint");
        errors.extend(check_http_url(&pointer, endpoint));
        if endpoint.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?', '#'])) {
            let remedy = "write http://HOST:PORT or https://HOST:PORT";
            errors.push(InputError::new(pointer, "an endpoint has no path", remedy));
        }
    }
    errors
}

/// What is wrong with a path of parameters.
pub(super) fn check_path(pointer: &str, path: &str) -> Vec<InputError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_right = |part: &str| !part.is_empty() && part.chars().all(plain);
    if path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_right)) {
        return Vec::new();
    }
    let remedy = "write it as in /carnet/dev_min";
    vec![InputError::new(pointer, format!("{path:?} is no path of parameters"), remedy)]
}
