//! `chain-segment.json`: a head, and one entry for each event. It is as long as the log, and is read
//! beside the events in constant memory.

use std::sync::mpsc::SyncSender;

use super::AuditError;
use super::cut::{CutError, Cutter};
use super::documents::{CHAIN_SEGMENT, Found, Held, Members, in_full};
use super::material::{Hashed, Material};
use crate::digest::Digest;
use crate::json::Scanner;
use crate::value::{Object, ParseError, Value};

/// The most bytes of an entry, or of another member of the document.
const ENTRY_BYTES_MAX: usize = 1 << 20;
/// How many entries are handed on at once.
const BATCH: usize = 512;

/// What the segment says of one event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: Option<Box<str>>,
    pub(super) sequence: Option<u64>,
    pub(super) prev_hash: Option<Digest>,
    pub(super) event_hash: Option<Digest>,
    /// The digest in `event_ref`: `eosc://evidence/sha256:<hex>`.
    pub(super) stored: Option<Digest>,
    /// Whether it names another evidence profile than the manifest.
    pub(super) other_profile: bool,
}

/// The members of the document beside `events`.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) evidence_profile: Option<String>,
    pub(super) tenant_id: Option<String>,
    pub(super) scope: Option<(u64, u64)>,
    pub(super) algorithm: Option<String>,
    pub(super) segment_hash: Option<Digest>,
    pub(super) signature: Option<String>,
}

impl Head {
    fn decode(members: Members<'_>) -> Result<Self, String> {
        let owned = |name| members.optional(name).map(|text| text.map(str::to_owned));
        let from = members.optional_number("from_sequence")?;
        let to = members.optional_number("to_sequence")?;
        let segment_hash = match members.optional("segment_hash")? {
            Some(text) => Some(plain_digest(text).ok_or("segment_hash is not a SHA-256 in hex")?),
            None => None,
        };
        Ok(Self {
            evidence_profile: owned("evidence_profile_id")?,
            tenant_id: owned("tenant_id")?,
            scope: from.zip(to),
            algorithm: owned("algorithm")?,
            segment_hash,
            signature: owned("signature")?,
        })
    }
}

/// A digest written as hex digits, with or without `sha256:` before them.
pub(super) fn plain_digest(text: &str) -> Option<Digest> {
    text.strip_prefix("sha256:").unwrap_or(text).parse().ok()
}

/// The digest at the end of a reference such as `eosc://evidence/sha256:<hex>`.
pub(super) fn digest_of_ref(text: &str) -> Option<Digest> {
    let (before, digits) = text.split_at_checked(text.len().checked_sub(64)?)?;
    if before.ends_with("sha256:") { digits.parse().ok() } else { None }
}

/// Reads the document and hands its entries on in order. Nobody may want to hear them any more: the
/// document is then read to its end all the same, for its digest.
pub(super) fn read(
    material: &dyn Material,
    profile: Option<&str>,
    entries: &SyncSender<Vec<Entry>>,
) -> Found<Head> {
    if !material.has(CHAIN_SEGMENT) {
        return Ok((Held::Absent, None));
    }
    let failed = |source| AuditError::Read { name: CHAIN_SEGMENT.to_owned(), source };
    let file = Hashed::new(material.open(CHAIN_SEGMENT).map_err(failed)?);
    let mut cutter = Cutter::new(file, ENTRY_BYTES_MAX);
    let held = match document(&mut cutter, profile, entries) {
        Ok(head) => Held::Read(head),
        Err(CutError::Form(what)) => Held::Malformed(what),
        Err(CutError::Io(error)) => return Err(failed(error)),
    };
    let sum = cutter.into_reader().finish().map_err(failed)?;
    Ok((held, Some(sum)))
}

fn document(
    cutter: &mut Cutter<impl std::io::Read>,
    profile: Option<&str>,
    entries: &SyncSender<Vec<Entry>>,
) -> Result<Head, CutError> {
    let mut head = Object::new();
    let mut has_events = false;
    cutter.require(b'{', "an object")?;
    if !cutter.take(b'}')? {
        loop {
            let name = parsed(cutter.value()?)?;
            let Value::Text(name) = name else { return Err(cutter.wrong("expected a name")) };
            cutter.require(b':', "a colon")?;
            if head.contains_key(&name) || (has_events && name == "events") {
                return Err(CutError::Form(format!("the key {name:?} stands twice")));
            }
            if name == "events" {
                has_events = true;
                events(cutter, profile, entries)?;
            } else {
                let value = parsed(cutter.value()?)?;
                head.insert(name, value);
            }
            if !cutter.take(b',')? {
                break;
            }
        }
        cutter.require(b'}', "a comma or the end of the object")?;
    }
    if cutter.peek()?.is_some() {
        return Err(cutter.wrong("expected the end"));
    }
    if !has_events {
        return Err(CutError::Form("events is missing".to_owned()));
    }
    Head::decode(Members { object: &head }).map_err(CutError::Form)
}

fn events(
    cutter: &mut Cutter<impl std::io::Read>,
    profile: Option<&str>,
    entries: &SyncSender<Vec<Entry>>,
) -> Result<(), CutError> {
    cutter.require(b'[', "a list of events")?;
    if cutter.take(b']')? {
        return Ok(());
    }
    let mut batch = Vec::with_capacity(BATCH);
    let mut place = 0_u64;
    loop {
        let entry = Entry::read(cutter.value()?, profile);
        batch.push(entry.map_err(|what| CutError::Form(format!("entry {place}: {what}")))?);
        place += 1;
        if batch.len() == BATCH {
            // A failed send means that nobody compares any more.
            let _ = entries.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH)));
        }
        if !cutter.take(b',')? {
            break;
        }
    }
    let _ = entries.send(batch);
    cutter.require(b']', "a comma or the end of the list")
}

fn parsed(bytes: &[u8]) -> Result<Value, CutError> {
    Value::parse(bytes, ENTRY_BYTES_MAX).map_err(|error| CutError::Form(in_full(&error)))
}

impl Entry {
    fn read(bytes: &[u8], profile: Option<&str>) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        let mut scanner = Scanner::new(text);
        // Flat entries, as everybody writes them; any other is read, or refused, as a value.
        match Self::flat(&mut scanner, profile) {
            Some(entry) => Ok(entry),
            None => Self::value(bytes, profile),
        }
    }

    fn flat(scanner: &mut Scanner<'_>, profile: Option<&str>) -> Option<Self> {
        let mut entry = Self::default();
        let mut seen = 0;
        scanner.require(b'{', "").ok()?;
        loop {
            scanner.skip_space();
            let name = scanner.string().ok()?.inner();
            scanner.skip_space();
            scanner.require(b':', "").ok()?;
            scanner.skip_space();
            if name == "sequence" {
                let number = scanner.number().ok()?.parse().ok()?;
                (entry.sequence.replace(number).is_none()).then_some(())?;
            } else {
                let text = match scanner.peek()? {
                    b'"' => Some(scanner.string().ok()?.inner()),
                    // `null` is as good as absent.
                    _ => (scanner.word().ok()? == "null").then_some(None)?,
                };
                (!text.unwrap_or_default().contains('\\')).then_some(())?;
                entry.set(name, text, profile, &mut seen)?;
            }
            scanner.skip_space();
            if !scanner.take(b',') {
                break;
            }
        }
        scanner.require(b'}', "").ok()?;
        scanner.end().ok()?;
        Some(entry)
    }

    /// Takes a member that is a string or absent; none stands twice.
    fn set(
        &mut self,
        name: &str,
        text: Option<&str>,
        profile: Option<&str>,
        seen: &mut u8,
    ) -> Option<()> {
        let digest = |text| match text {
            Some(text) => plain_digest(text).map(Some),
            None => Some(None),
        };
        let bit = match name {
            "id" => {
                self.id = text.map(Into::into);
                1
            }
            "prev_hash" => {
                self.prev_hash = digest(text)?;
                2
            }
            "event_hash" => {
                self.event_hash = digest(text)?;
                4
            }
            "event_ref" => {
                self.stored = text.and_then(digest_of_ref);
                8
            }
            "evidence_profile_id" => {
                self.other_profile = text.is_some() && text != profile;
                16
            }
            _ => return None,
        };
        let first = *seen & bit == 0;
        *seen |= bit;
        first.then_some(())
    }

    fn value(bytes: &[u8], profile: Option<&str>) -> Result<Self, String> {
        let value = Value::parse(bytes, ENTRY_BYTES_MAX);
        let Value::Object(object) = value.map_err(|error: ParseError| in_full(&error))? else {
            return Err("not an object".to_owned());
        };
        let members = Members { object: &object };
        let digest = |name| match members.optional(name)? {
            None => Ok(None),
            Some(text) => plain_digest(text)
                .map(Some)
                .ok_or_else(|| format!("{name} is not a SHA-256 in hex")),
        };
        let named = members.optional("evidence_profile_id")?;
        Ok(Self {
            id: members.optional("id")?.map(Into::into),
            sequence: members.optional_number("sequence")?,
            prev_hash: digest("prev_hash")?,
            event_hash: digest("event_hash")?,
            stored: members.optional("event_ref")?.and_then(digest_of_ref),
            other_profile: named.is_some_and(|named| Some(named) != profile),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_entries_are_read_as_the_slow_way_reads_them() {
        let hash = Digest::of(b"x");
        let whole = format!(
            r#"{{"id": "e1","sequence":7,"prev_hash":null,"event_hash":"{hash}",
            "evidence_profile_id":"p","event_ref":"eosc://evidence/sha256:{hash}"}}"#
        );
        for text in [whole.clone(), whole.replace("null", &format!("\"sha256:{hash}\""))] {
            for profile in [Some("p"), Some("q"), None] {
                let flat = Entry::flat(&mut Scanner::new(&text), profile).unwrap();
                assert_eq!(flat, Entry::value(text.as_bytes(), profile).unwrap());
                assert_eq!(flat.other_profile, profile != Some("p"));
            }
        }
        // What is not flat takes the slow way; what stands twice is refused on both.
        let nested = whole.replace("{\"id\"", "{\"more\":{},\"id\"");
        assert_eq!(Entry::read(nested.as_bytes(), None).unwrap().sequence, Some(7));
        let twice = whole.replace("\"sequence\"", "\"sequence\":7,\"sequence\"");
        assert!(Entry::read(twice.as_bytes(), None).unwrap_err().contains("stands twice"));
        for wrong in [
            "7",
            "{",
            "{\"sequence\":-1}",
            "{\"sequence\":\"1\"}",
            "{\"event_hash\":\"x\"}",
            "{\"id\":1}",
        ] {
            assert!(Entry::read(wrong.as_bytes(), None).is_err(), "{wrong}");
        }
    }
}
