//! The trait over one bucket.

use std::io::Write;

use carnet_connect::{ObjectHead, ObjectPage, ObjectPlace, Objects, PutIf, StoreError};
use carnet_model::Code;
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket as Signed, BucketError, Credentials, UrlStyle};

use super::answer::{head, header, is_error, refused};
use super::call::{Given, credentials, send};
use super::place::{Place, check_key};
use super::{S3Keys, parts};

/// How much of an object is read with one request.
const READ_BYTES: u64 = 8 << 20;

/// A bucket with a prefix.
pub(super) struct Bucket {
    pub(super) signed: Signed,
    pub(super) credentials: Option<Credentials>,
    pub(super) place: Place,
    service: String,
}

impl Bucket {
    pub(super) fn open(url: &str, keys: &S3Keys) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let wrong = |what: &str| {
            StoreError::new(Code::STORE_URL, format!("the place for objects {what}"))
                .remedy("write s3://BUCKET/PREFIX?endpoint=http://HOST:PORT&region=NAME")
        };
        // Amazon wants the bucket in the name of the host; others seldom have such names.
        let (endpoint, style) = match &place.endpoint {
            Some(endpoint) => (endpoint.clone(), UrlStyle::Path),
            None => (place.service(), UrlStyle::VirtualHost),
        };
        let endpoint = endpoint.parse().map_err(|_| wrong("has an endpoint that is no URL"))?;
        let made = Signed::new(endpoint, style, place.bucket.clone(), place.region.clone());
        let signed = made.map_err(|error| match error {
            BucketError::UnsupportedScheme => wrong("has an endpoint that is not http: or https:"),
            BucketError::MissingHost => wrong("has an endpoint without a host"),
            BucketError::ParseError(_) => wrong("has a bucket that is no part of a host's name"),
        })?;
        let service = place.service();
        Ok(Self { signed, credentials: credentials(keys)?, place, service })
    }

    pub(super) fn whole(&self, key: &str) -> Result<String, StoreError> {
        let whole = format!("{}{key}", self.place.prefix);
        check_key(&whole)?;
        Ok(whole)
    }

    pub(super) fn keys(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// An object, for messages.
    pub(super) fn shown(&self, whole: &str) -> String {
        format!("s3://{}/{whole}", self.place.bucket)
    }

    /// The head of an object that must be there.
    pub(super) fn made(&self, key: &str, etag: Option<&str>) -> Result<ObjectHead, StoreError> {
        let changed = || {
            let what = format!("{} is not what was just written", self.shown(key));
            StoreError::new(Code::OBJECT_CHANGED, what).remedy("see who else writes there")
        };
        let head = self.look(key)?.ok_or_else(changed)?;
        if etag.is_some_and(|etag| bare(etag) != bare(&head.etag)) {
            Err(changed())
        } else {
            Ok(head)
        }
    }

    fn look(&self, whole: &str) -> Result<Option<ObjectHead>, StoreError> {
        let action = self.signed.head_object(self.keys(), whole);
        let headers = vec![("x-amz-checksum-mode", "ENABLED".to_owned())];
        let answer = send(action, Given { headers, ..Given::default() })?;
        let what = format!("cannot look at {}", self.shown(whole));
        match answer.status {
            200 => head(&answer).map(Some).ok_or_else(|| {
                StoreError::new(Code::STORE_MALFORMED, format!("{what}: no length or no etag"))
            }),
            404 => Ok(None),
            _ => Err(refused(&what, &answer)),
        }
    }
}

/// An etag without its quotes: services differ in whether they write them everywhere.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

impl Objects for Bucket {
    fn service(&self) -> &str {
        &self.service
    }

    fn place(&self, key: &str) -> ObjectPlace {
        let key = format!("{}{key}", self.place.prefix);
        ObjectPlace { bucket: self.place.bucket.clone(), key }
    }

    fn head(&self, key: &str) -> Result<Option<ObjectHead>, StoreError> {
        self.look(&self.whole(key)?)
    }

    fn get(&self, key: &str, bytes_max: u64, out: &mut dyn Write) -> Result<u64, StoreError> {
        let whole = self.whole(key)?;
        let what = format!("cannot read {}", self.shown(&whole));
        let Some(head) = self.look(&whole)? else {
            return Err(StoreError::new(Code::STORE_NOT_FOUND, format!("{what}: there is none")));
        };
        if head.bytes > bytes_max {
            let what = format!("{what}: it has {} bytes, and {bytes_max} are the most", head.bytes);
            return Err(StoreError::new(Code::STORE_UNSUPPORTED, what).remedy("name a smaller one"));
        }
        let mut read = 0;
        // Part by part under the condition that it stays the same, so that memory stays small.
        while read < head.bytes {
            let last = head.bytes.min(read + READ_BYTES) - 1;
            let headers =
                vec![("if-match", head.etag.clone()), ("range", format!("bytes={read}-{last}"))];
            let wanted = usize::try_from(last + 1 - read).unwrap_or(usize::MAX);
            let action = self.signed.get_object(self.keys(), &whole);
            let body_bytes_max = Some(wanted);
            let answer = send(action, Given { headers, body_bytes_max, ..Given::default() })?;
            if !matches!(answer.status, 200 | 206) {
                return Err(refused(&what, &answer));
            }
            if answer.body.len() != wanted || answer.cut {
                let what = format!("{what}: the service gave another range than asked for");
                return Err(StoreError::new(Code::STORE_MALFORMED, what));
            }
            out.write_all(&answer.body).map_err(|error| StoreError::io(what.clone(), error))?;
            read = last + 1;
        }
        Ok(read)
    }

    fn put(&self, key: &str, bytes: &[u8], condition: &PutIf) -> Result<ObjectHead, StoreError> {
        let whole = self.whole(key)?;
        let headers = vec![match condition {
            PutIf::Absent => ("if-none-match", "*".to_owned()),
            PutIf::Etag(etag) => ("if-match", etag.clone()),
        }];
        let action = self.signed.put_object(self.keys(), &whole);
        let answer = send(action, Given { headers, body: bytes, ..Given::default() })?;
        if answer.status != 200 {
            // Under If-Match, an object that is gone is another one than was seen.
            let gone = answer.status == 404 && matches!(condition, PutIf::Etag(_));
            let error = refused(&format!("cannot write {}", self.shown(&whole)), &answer);
            let changed = || StoreError::new(Code::OBJECT_CHANGED, error.to_string());
            return Err(if gone && error.code() == Code::STORE_NOT_FOUND {
                changed()
            } else {
                error
            });
        }
        self.made(&whole, header(&answer, "etag"))
    }

    fn copy_from(
        &self,
        source: &ObjectPlace,
        source_head: &ObjectHead,
        key: &str,
    ) -> Result<ObjectHead, StoreError> {
        let whole = self.whole(key)?;
        check_key(&source.key)?;
        // Not every service keeps the condition of a copy: most mistakes are noticed here.
        if self.look(&whole)?.is_some() {
            let what = format!("there is an object {} already", self.shown(&whole));
            return Err(StoreError::new(Code::OBJECT_CHANGED, what).remedy("see who writes there"));
        }
        parts::copy(self, source, source_head, &whole)
    }

    fn same_content(
        &self,
        source: &ObjectPlace,
        source_head: &ObjectHead,
        key: &str,
    ) -> Result<bool, StoreError> {
        check_key(&source.key)?;
        let whole = self.whole(key)?;
        let Some(copy) = self.look(&whole)? else { return Ok(false) };
        if copy.bytes != source_head.bytes {
            return Ok(false);
        }
        let copy_place = ObjectPlace { bucket: self.place.bucket.clone(), key: whole.clone() };
        let both = [(source, source_head), (&copy_place, &copy)];
        parts::same(self, both, &whole)
    }

    fn delete(&self, key: &str, etag: &str) -> Result<bool, StoreError> {
        let whole = self.whole(key)?;
        let Some(there) = self.look(&whole)? else { return Ok(false) };
        let what = format!("cannot remove {}", self.shown(&whole));
        if bare(&there.etag) != bare(etag) {
            let what = format!("{what}: it has other content by now");
            return Err(StoreError::new(Code::OBJECT_CHANGED, what).remedy("see who writes there"));
        }
        let headers = vec![("if-match", there.etag)];
        let action = self.signed.delete_object(self.keys(), &whole);
        let answer = send(action, Given { headers, ..Given::default() })?;
        match answer.status {
            200 | 204 => Ok(true),
            404 => Ok(false),
            _ => Err(refused(&what, &answer)),
        }
    }

    fn list(&self, starts_with: &str, next: Option<&str>) -> Result<ObjectPage, StoreError> {
        let prefix = format!("{}{starts_with}", self.place.prefix);
        let what = format!("cannot list {}", self.shown(&prefix));
        let mut action = self.signed.list_objects_v2(self.keys());
        action.with_prefix(prefix);
        if let Some(next) = next {
            action.with_continuation_token(next.to_owned());
        }
        let answer = send(action, Given::default())?;
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 || answer.cut || is_error(&text) {
            return Err(refused(&what, &answer));
        }
        let page = ListObjectsV2::parse_response(&text).map_err(|error| {
            StoreError::new(Code::STORE_MALFORMED, format!("{what}: the list is not understood"))
                .because(error.to_string())
        })?;
        let mut objects = Vec::with_capacity(page.contents.len());
        for object in page.contents {
            let below = object.key.strip_prefix(&self.place.prefix).map(str::to_owned);
            // The empty object by which some tools show a folder is no content.
            if let Some(key) = below.filter(|key| !key.is_empty()) {
                objects.push((key, object.size.unwrap_or(0)));
            }
        }
        Ok(ObjectPage { objects, next: page.next_continuation_token })
    }
}
