//! Copies that the service makes itself: as a whole, or range by range where the object is large.

use carnet_connect::{HttpResponse, ObjectHead, ObjectPlace, StoreError};
use carnet_model::Code;
use rusty_s3::actions::{CompleteMultipartUpload, CreateMultipartUpload};

use super::answer::{element, is_error, refused};
use super::call::{Given, send};
use super::objects::Bucket;

/// The most parts that an object may have.
const PARTS_MAX: u64 = 10_000;

/// Where the service is to read, as its header wants it.
fn source_of(bucket: &Bucket, source: &ObjectPlace) -> String {
    // The path of a URL for the key is the key, escaped as it must be; with the bucket's name in
    // front where that is not in the path already.
    let escaped = bucket.signed.object_url(&source.key);
    let path = escaped.path();
    let base = bucket.signed.base_url().path();
    let key = path.strip_prefix(base).unwrap_or(path).trim_start_matches('/');
    format!("/{}/{key}", source.bucket)
}

/// Copies; the source must still have its etag, the target must be absent.
pub(super) fn copy(
    bucket: &Bucket,
    source: &ObjectPlace,
    head: &ObjectHead,
    key: &str,
) -> Result<ObjectHead, StoreError> {
    if head.bytes <= bucket.place.part_bytes {
        whole(bucket, source, head, key)
    } else {
        by_ranges(bucket, source, head, key)
    }
}

fn text(answer: &HttpResponse) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The answer to a part of a copy, as far as it says that it was made.
fn made(what: &str, answer: &HttpResponse) -> Result<String, StoreError> {
    let said = text(answer);
    if answer.status != 200 || is_error(&said) {
        return Err(refused(what, answer));
    }
    Ok(said)
}

fn etag_of(what: &str, said: &str) -> Result<String, StoreError> {
    element(said, "ETag").ok_or_else(|| {
        StoreError::new(Code::STORE_MALFORMED, format!("{what}: the answer names no etag"))
    })
}

fn whole(
    bucket: &Bucket,
    source: &ObjectPlace,
    head: &ObjectHead,
    key: &str,
) -> Result<ObjectHead, StoreError> {
    let what = format!("cannot copy to {}", bucket.shown(key));
    let headers = vec![
        ("if-none-match", "*".to_owned()),
        ("x-amz-copy-source", source_of(bucket, source)),
        ("x-amz-copy-source-if-match", head.etag.clone()),
    ];
    let action = bucket.signed.put_object(bucket.keys(), key);
    let said = made(&what, &send(action, Given { headers, ..Given::default() })?)?;
    bucket.made(key, Some(&etag_of(&what, &said)?))
}

/// The ranges of an object, both ends included.
fn ranges(bytes: u64, part_bytes: u64) -> Vec<(u64, u64)> {
    let part = part_bytes.max(bytes.div_ceil(PARTS_MAX)).max(1);
    let starts = (0..bytes.div_ceil(part)).map(|number| number * part);
    starts.map(|start| (start, bytes.min(start + part) - 1)).collect()
}

fn by_ranges(
    bucket: &Bucket,
    source: &ObjectPlace,
    head: &ObjectHead,
    key: &str,
) -> Result<ObjectHead, StoreError> {
    let what = format!("cannot copy to {}", bucket.shown(key));
    let upload = begin(bucket, key)?;
    let copied = parts(bucket, source, head, (key, &upload)).and_then(|etags| {
        let etags = etags.iter().map(String::as_str);
        let complete = || {
            CompleteMultipartUpload::new(&bucket.signed, bucket.keys(), key, &upload, etags.clone())
        };
        let body = complete().body();
        let headers = vec![("if-none-match", "*".to_owned())];
        let given = Given { headers, body: body.as_bytes(), ..Given::default() };
        let said = made(&what, &send(complete(), given)?)?;
        bucket.made(key, Some(&etag_of(&what, &said)?))
    });
    if copied.is_err() {
        give_up(bucket, key, &upload);
    }
    copied
}

/// Begins an upload in parts; gives its name.
fn begin(bucket: &Bucket, key: &str) -> Result<String, StoreError> {
    let what = format!("cannot begin an upload to {}", bucket.shown(key));
    let action = bucket.signed.create_multipart_upload(bucket.keys(), key);
    let said = made(&what, &send(action, Given::default())?)?;
    let upload = CreateMultipartUpload::parse_response(&said).map_err(|error| {
        StoreError::new(Code::STORE_MALFORMED, format!("{what}: the answer names no upload"))
            .because(error.to_string())
    })?;
    Ok(upload.upload_id().to_owned())
}

/// Gives an upload up: what was copied so far costs room until then. That this fails too is no news.
fn give_up(bucket: &Bucket, key: &str, upload: &str) {
    let action = bucket.signed.abort_multipart_upload(bucket.keys(), key, upload);
    let _ = send(action, Given::default());
}

/// Whether two objects of one length hold the same bytes. Each is copied in the same ranges into an
/// upload that is never completed: the etags of the parts are digests that the service makes itself.
pub(super) fn same(
    bucket: &Bucket,
    both: [(&ObjectPlace, &ObjectHead); 2],
    key: &str,
) -> Result<bool, StoreError> {
    let upload = begin(bucket, key)?;
    let [one, other] = both.map(|(place, head)| parts(bucket, place, head, (key, &upload)));
    give_up(bucket, key, &upload);
    Ok(one? == other?)
}

fn parts(
    bucket: &Bucket,
    source: &ObjectPlace,
    head: &ObjectHead,
    (key, upload): (&str, &str),
) -> Result<Vec<String>, StoreError> {
    let mut etags = Vec::new();
    for (number, (first, last)) in (1_u16..).zip(ranges(head.bytes, bucket.place.part_bytes)) {
        let what = format!("cannot copy part {number} to {}", bucket.shown(key));
        let headers = vec![
            ("x-amz-copy-source", source_of(bucket, source)),
            ("x-amz-copy-source-if-match", head.etag.clone()),
            ("x-amz-copy-source-range", format!("bytes={first}-{last}")),
        ];
        let action = bucket.signed.upload_part(bucket.keys(), key, number, upload);
        let said = made(&what, &send(action, Given { headers, ..Given::default() })?)?;
        etags.push(etag_of(&what, &said)?);
    }
    Ok(etags)
}

#[cfg(test)]
mod tests {
    use super::super::S3Keys;
    use super::*;

    #[test]
    fn ranges_cover_every_byte_once() {
        assert_eq!(ranges(10, 4), [(0, 3), (4, 7), (8, 9)]);
        assert_eq!(ranges(8, 4), [(0, 3), (4, 7)]);
        assert!(ranges(0, 4).is_empty());
        let many = ranges(1 << 44, 5 << 20);
        assert!(
            many.len() <= 10_000 && many.last() == Some(&(many[many.len() - 1].0, (1 << 44) - 1))
        );
    }

    #[test]
    fn a_source_is_escaped_and_names_its_bucket() {
        for url in
            ["s3://to/p?endpoint=http://h:1/base", "s3://to/p?endpoint=http://h", "s3://to/p"]
        {
            let bucket = Bucket::open(url, &S3Keys::default()).unwrap();
            let source = ObjectPlace { bucket: "from".into(), key: "a b/é+?#%/c".into() };
            let told = source_of(&bucket, &source);
            assert_eq!(told, "/from/a%20b/%C3%A9%2B%3F%23%25/c", "{url}");
        }
    }
}
