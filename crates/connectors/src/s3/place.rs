//! The URL of a place.

use carnet_connect::StoreError;
use carnet_model::Code;

/// What a URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: String,
    /// Empty, or ends in `/`.
    pub(super) prefix: String,
    /// `None`: Amazon's own, by region.
    pub(super) endpoint: Option<String>,
    pub(super) region: String,
    /// What is larger than this is copied in parts of this size.
    pub(super) part_bytes: u64,
}

const MIB: u64 = 1 << 20;

/// The least and the most that the protocol takes as a part, and what is used if nothing is said.
const PART_MIB: std::ops::RangeInclusive<u64> = 5..=5_120;
const PART_MIB_DEFAULT: u64 = 512;

/// The longest key.
const KEY_BYTES_MAX: usize = 1_024;

fn wrong(what: &str) -> StoreError {
    // The URL is not repeated: a secret may stand in the wrong place.
    StoreError::new(Code::STORE_URL, format!("the URL of a place for objects {what}"))
        .remedy("write s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=NAME")
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let rest = url.strip_prefix("s3://").ok_or_else(|| wrong("does not begin with s3://"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=255).contains(&bucket.len()) || !bucket.bytes().all(fits) {
            return Err(wrong("has no name of a bucket that can be used"));
        }
        let mut prefix = prefix.to_owned();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        if !prefix.is_empty() {
            check_key(prefix.trim_end_matches('/'))?;
        }
        let mut place = Self {
            bucket: bucket.to_owned(),
            prefix,
            endpoint: None,
            region: "us-east-1".to_owned(),
            part_bytes: PART_MIB_DEFAULT * MIB,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            place.take(pair)?;
        }
        Ok(place)
    }

    fn take(&mut self, pair: &str) -> Result<(), StoreError> {
        let (key, value) = pair.split_once('=').ok_or_else(|| wrong("has a part without ="))?;
        match key {
            "endpoint" => {
                let authority = value.split_once("://").map_or("", |(_, rest)| rest);
                let http = value.starts_with("http://") || value.starts_with("https://");
                if !http || authority.is_empty() || value.contains(['@', '#', ' ']) {
                    return Err(wrong("has an endpoint that is no http: or https: URL"));
                }
                self.endpoint = Some(value.trim_end_matches('/').to_owned());
            }
            "region" => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                if value.is_empty() || !value.bytes().all(fits) {
                    return Err(wrong("has a region that is none"));
                }
                value.clone_into(&mut self.region);
            }
            "part_mib" => {
                let parsed = value.parse().ok().filter(|mib| PART_MIB.contains(mib));
                let mib: u64 =
                    parsed.ok_or_else(|| wrong("has a part_mib outside of 5 to 5120"))?;
                self.part_bytes = mib * MIB;
            }
            _ => return Err(wrong("has a part that it does not know")),
        }
        Ok(())
    }

    /// The scheme, host and port that all requests go to.
    pub(super) fn service(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => canonical(endpoint),
            None => format!("https://s3.{}.amazonaws.com", self.region),
        }
    }
}

/// The origin of a URL: in lower case, and without the port that the scheme implies.
fn canonical(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let authority = rest.split('/').next().unwrap_or_default();
    let implied = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(implied).unwrap_or(authority);
    format!("{scheme}://{authority}").to_ascii_lowercase()
}

/// Refuses a key that no URL can name: a part `.` or `..` would be another object.
pub(super) fn check_key(key: &str) -> Result<(), StoreError> {
    let bad = key.is_empty()
        || key.len() > KEY_BYTES_MAX
        || key.starts_with('/')
        || key.split('/').any(|part| part == "." || part == "..")
        || key.contains('\0');
    if !bad {
        return Ok(());
    }
    Err(StoreError::new(Code::STORE_UNSUPPORTED, "the key of an object cannot be used")
        .remedy("use keys of 1 to 1024 bytes without parts that are . or .."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_whole() {
        let place =
            Place::parse("s3://b/in/x?endpoint=http://H:80/&region=eu-1&part_mib=5").unwrap();
        assert_eq!((place.bucket.as_str(), place.prefix.as_str()), ("b", "in/x/"));
        assert_eq!((place.region.as_str(), place.part_bytes), ("eu-1", 5 << 20));
        assert_eq!(place.service(), "http://h");
        let place = Place::parse("s3://b").unwrap();
        assert_eq!((place.prefix.as_str(), place.endpoint.is_none()), ("", true));
        assert_eq!(place.service(), "https://s3.us-east-1.amazonaws.com");
    }

    #[test]
    fn one_service_has_one_name() {
        let service = |endpoint: &str| {
            Place::parse(&format!("s3://b?endpoint={endpoint}")).unwrap().service()
        };
        assert_eq!(service("https://S3.example.org:443"), service("https://s3.example.org/"));
        assert_ne!(service("http://h:8333"), service("http://h:8334"));
        assert_ne!(service("http://h"), service("https://h"));
    }

    #[test]
    fn what_cannot_be_named_is_refused_without_being_repeated() {
        for url in [
            "http://b",
            "s3://",
            "s3:///x",
            "s3://b c",
            "s3://b/../c",
            "s3://b?endpoint=ftp://h",
            "s3://b?endpoint=http://u:s3cr3t@h",
            "s3://b?region=",
            "s3://b?part_mib=4",
            "s3://b?x=1",
            "s3://b?s3cr3t",
        ] {
            let error = Place::parse(url).unwrap_err();
            assert!(!format!("{error:?}").contains("s3cr3t"), "{url}");
        }
        for key in ["", "/a", "a/../b", "..", ".", "a/./b", "a\0"] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        assert!(check_key("a/..b/.c/é").is_ok());
    }
}
