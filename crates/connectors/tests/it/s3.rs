//! A real object store: conditions, copies that never leave it, ranges, lists.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use carnet_connect::{ObjectHead, Objects, PutIf, StoreError};
use carnet_connectors::{S3Keys, open_objects};
use carnet_model::{Code, Secret};

#[expect(clippy::disallowed_methods, reason = "the test command tells where the servers are")]
fn setting(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run ./test, which starts the servers"))
}

fn keys() -> S3Keys {
    S3Keys {
        id: Some(Secret::new(setting("CARNET_TEST_S3_KEY"))),
        secret: Some(Secret::new(setting("CARNET_TEST_S3_SECRET"))),
        token: None,
    }
}

/// Two buckets for all tests, since each costs the server room for ever; a folder in them for each.
const BUCKETS: [&str; 2] = ["carnet-test-one", "carnet-test-two"];

/// A folder of its own.
fn folder(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{number}", std::process::id())
}

fn url(bucket: &str, folder: &str) -> String {
    format!("s3://{bucket}/{folder}?endpoint={}&part_mib=5", setting("CARNET_TEST_S3"))
}

fn place(bucket: &str, folder: &str) -> Box<dyn Objects> {
    open_objects(&url(bucket, folder), &keys()).unwrap()
}

/// A folder in each of the buckets.
fn places() -> [Box<dyn Objects>; 2] {
    BUCKETS.map(|bucket| place(bucket, &folder("copy")))
}

fn read(place: &dyn Objects, key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    place.get(key, 1 << 30, &mut bytes).unwrap();
    bytes
}

fn code<T>(done: Result<T, StoreError>) -> Option<Code> {
    done.err().map(|error| error.code())
}

/// Keys that are easily got wrong on the way into a URL, a signature or a list.
const KEYS: [&str; 6] = ["plain", "a/b c", "é😀", "plus+and&amp;", "q?x=1#y%2F", "quote'\"<>"];

#[test]
fn objects_are_written_once_read_listed_and_removed() {
    let place = place(BUCKETS[0], &folder("objects"));
    for key in KEYS {
        assert_eq!(place.head(key).unwrap(), None, "{key}");
        let bytes = format!("content of {key}");
        let head = place.put(key, bytes.as_bytes(), &PutIf::Absent).unwrap();
        assert_eq!(head.bytes, bytes.len() as u64);
        assert!(head.modified_s.is_some_and(|at| at > 1_600_000_000), "{head:?}");
        assert_eq!(place.head(key).unwrap().as_ref(), Some(&head), "{key}");
        assert_eq!(read(place.as_ref(), key), bytes.as_bytes(), "{key}");
        // Absent means absent.
        let again = place.put(key, b"other", &PutIf::Absent);
        assert_eq!(code(again), Some(Code::OBJECT_CHANGED), "{key}");
    }
    let listed = place.list("", None).unwrap();
    let mut wanted: Vec<_> = KEYS.map(|key| (key.to_owned(), 11 + key.len() as u64)).to_vec();
    wanted.sort();
    assert_eq!(listed.objects, wanted);
    assert_eq!(place.list("a/", None).unwrap().objects.len(), 1);
    let head = place.head("plain").unwrap().unwrap();
    let refused = place.delete("plain", "\"0123456789abcdef0123456789abcdef\"");
    assert_eq!(code(refused), Some(Code::OBJECT_CHANGED));
    assert!(place.delete("plain", &head.etag).unwrap());
    assert!(!place.delete("plain", &head.etag).unwrap());
}

#[test]
fn an_object_is_only_replaced_as_it_was_seen() {
    let place = place(BUCKETS[0], &folder("swap"));
    let first = place.put("k", b"one", &PutIf::Absent).unwrap();
    let second = place.put("k", b"two", &PutIf::Etag(first.etag.clone())).unwrap();
    let stale = place.put("k", b"three", &PutIf::Etag(first.etag));
    assert_eq!(code(stale), Some(Code::OBJECT_CHANGED));
    assert_eq!(read(place.as_ref(), "k"), b"two");
    place.delete("k", &second.etag).unwrap();
    let gone = place.put("k", b"four", &PutIf::Etag(second.etag));
    assert_eq!(code(gone), Some(Code::OBJECT_CHANGED));
}

#[test]
fn long_lists_come_in_pages() {
    let place = place(BUCKETS[0], &folder("pages"));
    let count = 1_005;
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let place = &place;
            scope.spawn(move || {
                for number in (worker..count).step_by(8) {
                    place.put(&format!("{number:05}"), b"", &PutIf::Absent).unwrap();
                }
            });
        }
    });
    let (mut keys, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = place.list("", next.as_deref()).unwrap();
        keys.extend(page.objects.into_iter().map(|(key, _)| key));
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((keys.len(), pages), (count, 2));
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
}

/// Copies one object and reads the copy.
fn copied(bytes: &[u8], key: &str) -> (ObjectHead, ObjectHead, Vec<u8>) {
    let [from, to] = places();
    assert_eq!(from.service(), to.service());
    let source = from.put(key, bytes, &PutIf::Absent).unwrap();
    // The bucket must be there before anything is copied into it.
    to.put("other", b"", &PutIf::Absent).unwrap();
    let copy = to.copy_from(&from.place(key), &source, key).unwrap();
    let back = read(to.as_ref(), key);
    (source, copy, back)
}

#[test]
fn the_service_copies_whole_objects() {
    for key in KEYS {
        let (source, copy, bytes) = copied(b"some bytes", key);
        assert_eq!(
            (source.etag, copy.bytes, bytes.as_slice()),
            (copy.etag, 10, &b"some bytes"[..])
        );
    }
}

#[test]
fn the_service_copies_large_objects_by_ranges() {
    let mut bytes = Vec::with_capacity(12 << 20);
    for number in 0..(3 << 20) / 2_u32 {
        bytes.write_all(&number.to_le_bytes()).unwrap();
        bytes.write_all(&number.to_be_bytes()).unwrap();
    }
    bytes.push(7);
    let (source, copy, back) = copied(&bytes, "large");
    assert_eq!(copy.bytes, source.bytes);
    // 12 MiB and a byte in parts of 5 MiB: three of them.
    assert!(copy.etag.trim_matches('"').ends_with("-3"), "{copy:?}");
    assert!(back == bytes, "the copy differs");
}

#[test]
fn the_service_compares_what_etags_cannot() {
    let [from, to] = places();
    let mut bytes = vec![3; (6 << 20) + 1];
    let source = from.put("k", &bytes, &PutIf::Absent).unwrap();
    to.put("other", b"", &PutIf::Absent).unwrap();
    let copy = to.copy_from(&from.place("k"), &source, "k").unwrap();
    assert_ne!(copy.etag, source.etag);
    assert!(to.same_content(&from.place("k"), &source, "k").unwrap());
    assert!(!to.same_content(&from.place("k"), &source, "none").unwrap());
    // One bit in the last part.
    *bytes.last_mut().unwrap() ^= 1;
    to.put("k", &bytes, &PutIf::Etag(copy.etag)).unwrap();
    assert!(!to.same_content(&from.place("k"), &source, "k").unwrap());
    assert_eq!(to.list("", None).unwrap().objects.len(), 2, "the comparison left something");
}

#[test]
fn a_source_that_changed_and_a_place_that_is_taken_are_refused() {
    let [from, to] = places();
    let large = vec![1; (5 << 20) + 1];
    for (key, one, other) in
        [("small", b"one".as_slice(), b"two".as_slice()), ("large", &large, b"x")]
    {
        let seen = from.put(key, one, &PutIf::Absent).unwrap();
        to.put(&format!("{key} taken"), b"here", &PutIf::Absent).unwrap();
        let taken = to.copy_from(&from.place(key), &seen, &format!("{key} taken"));
        assert_eq!(code(taken), Some(Code::OBJECT_CHANGED), "{key}");
        assert_eq!(read(to.as_ref(), &format!("{key} taken")), b"here");
        from.put(key, other, &PutIf::Etag(seen.etag.clone())).unwrap();
        let stale = ObjectHead { bytes: seen.bytes, ..seen };
        let changed = to.copy_from(&from.place(key), &stale, key);
        assert_eq!(code(changed), Some(Code::OBJECT_CHANGED), "{key}");
        assert_eq!(to.head(key).unwrap(), None, "{key}: half a copy is there");
    }
}

#[test]
fn wrong_keys_and_wrong_places_are_told_apart_and_no_secret_is_shown() {
    let (name, below) = (BUCKETS[0], folder("denied"));
    place(name, &below).put("k", b"x", &PutIf::Absent).unwrap();
    let mut wrong = keys();
    wrong.secret = Some(Secret::new("s3cr3t-that-is-wrong"));
    let denied = open_objects(&url(name, &below), &wrong).unwrap();
    let nobody = open_objects(&url(name, &below), &S3Keys::default()).unwrap();
    let nowhere =
        open_objects(&format!("s3://{name}?endpoint=http://127.0.0.1:1"), &wrong).unwrap();
    for (place, wanted) in [
        (denied, Code::STORE_DENIED),
        (nobody, Code::STORE_DENIED),
        (nowhere, Code::STORE_UNREACHABLE),
    ] {
        let mut out = Vec::new();
        for error in [
            place.head("k").unwrap_err(),
            place.put("n", b"", &PutIf::Absent).unwrap_err(),
            place.list("", None).unwrap_err(),
            place.get("k", 10, &mut out).unwrap_err(),
            place.delete("k", "\"x\"").unwrap_err(),
        ] {
            assert_eq!(error.code(), wanted, "{error:?}");
            let told = format!("{error} {error:?}");
            assert!(!told.contains("s3cr3t") && !told.contains("X-Amz"), "{told}");
        }
    }
    let small = place(name, &below).get("k", 0, &mut Vec::new());
    assert_eq!(code(small), Some(Code::STORE_UNSUPPORTED));
}
