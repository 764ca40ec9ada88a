//! Where a bundle is in a registry.

use std::fmt;
use std::str::FromStr;

use carnet_ledger::Digest;

/// A repository of a registry, and which bundle in it: `https://HOST[:PORT]/NAME[@sha256:DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryPlace {
    /// `https`, or `http` to this machine.
    scheme: &'static str,
    host: String,
    name: String,
    /// The id of the bundle; a push needs none.
    pub digest: Option<Digest>,
}

const NAME_BYTES_MAX: usize = 255;

impl RegistryPlace {
    /// The repository of an image: `https`, and plain `http` to this machine alone.
    pub(crate) fn of_image(host: &str, repository: &str) -> Result<Self, String> {
        let scheme = if is_loopback(host) { "http" } else { "https" };
        format!("{scheme}://{host}/{repository}").parse()
    }

    /// The place of a bundle in the same repository.
    #[must_use]
    pub fn with(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The scheme and the host.
    #[cfg(feature = "registry")]
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// What all URLs of the repository begin with.
    #[cfg(feature = "registry")]
    pub(super) fn base(&self) -> String {
        format!("{}://{}/v2/{}", self.scheme, self.host, self.name)
    }
}

impl fmt::Display for RegistryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.host, self.name)?;
        self.digest.map_or(Ok(()), |digest| write!(f, "@sha256:{digest}"))
    }
}

impl FromStr for RegistryPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "{what}; write https://HOST[:PORT]/NAME, and for a pull @sha256:DIGEST behind it"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("this is no URL"))?;
        let (host, rest) = rest.split_once('/').ok_or_else(|| wrong("the name is missing"))?;
        let scheme = match scheme {
            "https" => "https",
            // What is not encrypted can be read and changed by anybody on the way.
            "http" if is_loopback(host) => "http",
            "http" => return Err(wrong("plain http goes to this machine only")),
            _ => return Err(wrong("the URL is neither https nor http")),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(fits) {
            return Err(wrong("the host is not one"));
        }
        let (name, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((name, digest)) => {
                let hex = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
                (name, Some(hex.ok_or_else(|| wrong("the digest is no sha256:DIGEST"))?))
            }
        };
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let part = |part: &str| {
            part.bytes().all(fits)
                && part.bytes().next().is_some_and(|it| it.is_ascii_alphanumeric())
        };
        if name.len() > NAME_BYTES_MAX || !name.split('/').all(part) {
            return Err(wrong("the name has other characters than a-z 0-9 . _ - /, or a tag"));
        }
        Ok(Self { scheme, host: host.to_owned(), name: name.to_owned(), digest })
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_others_refused() {
        let digest = Digest::of(b"x");
        for good in [
            "https://registry.example/team/kb".to_owned(),
            "http://127.0.0.1:5055/kb".to_owned(),
            "http://[::1]:5055/kb".to_owned(),
            format!("http://localhost/kb@sha256:{digest}"),
        ] {
            assert_eq!(good.parse::<RegistryPlace>().unwrap().to_string(), good);
        }
        for bad in [
            "registry.example/kb",
            "http://registry.example/kb",
            "http://127.0.0.1.example/kb",
            "https://registry.example",
            "https://user:word@registry.example/kb",
            "https://registry.example/kb:latest",
            "https://registry.example/../kb",
            "https://registry.example/kb@sha256:12",
            "ftp://registry.example/kb",
        ] {
            assert!(bad.parse::<RegistryPlace>().is_err(), "{bad}");
        }
    }
}
