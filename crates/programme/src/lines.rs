//! Files of many lines, read as they come: one line and the counts are held, never the file.

use carnet_ledger::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::form::{Form, LINE_BYTES_MAX};
use crate::read::read_at_most;
use crate::run::{Run, When};
use crate::tally::{Counter, Tally};

/// Where a file of lines is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineFault {
    /// The line, from 1.
    pub line: u64,
    /// The name of the fault.
    pub name: String,
    /// What is wrong.
    pub what: String,
}

/// Takes the bytes of a file of lines, part by part.
pub struct Lines {
    form: Form,
    run: Run,
    when: When,
    hasher: Hasher,
    bytes: u64,
    line: Vec<u8>,
    counter: Counter,
    fault: Option<LineFault>,
}

impl Lines {
    /// For a file whose lines have this form and belong to this run.
    pub fn new(form: Form, run: Run, when: When) -> Self {
        Self {
            form,
            run,
            when,
            hasher: Hasher::new(),
            bytes: 0,
            line: Vec::new(),
            counter: Counter::default(),
            fault: None,
        }
    }

    /// Takes the next part. After the first fault it only counts and hashes.
    pub fn push(&mut self, part: &[u8]) {
        self.hasher.update(part);
        self.bytes = self.bytes.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            if self.fault.is_some() {
                return;
            }
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.keep(end);
                    self.line_ends();
                }
                None => self.keep(piece),
            }
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.line.len().saturating_add(piece.len()) > LINE_BYTES_MAX {
            self.refuse(&Fault::TooLarge { max: LINE_BYTES_MAX });
        } else {
            self.line.extend_from_slice(piece);
        }
    }

    fn line_ends(&mut self) {
        if self.fault.is_some() {
            return;
        }
        let line = std::mem::take(&mut self.line);
        let taken = read_at_most(self.form, &line, LINE_BYTES_MAX).and_then(|document| {
            self.run.owns(self.form, document.value(), self.when)?;
            self.counter.count(self.form, document.value())
        });
        if let Err(fault) = taken {
            self.refuse(&fault);
        }
        // The room is used again.
        self.line = line;
        self.line.clear();
    }

    fn refuse(&mut self, fault: &Fault) {
        let line = self.counter.lines().saturating_add(1);
        let (name, what) = (fault.name().to_owned(), fault.to_string());
        self.fault = Some(LineFault { line, name, what });
        self.line = Vec::new();
    }

    /// How many bytes there were, their SHA-256, and what they say.
    pub fn finish(mut self) -> (u64, Digest, Tally) {
        if self.fault.is_none() && !self.line.is_empty() {
            self.refuse(&Fault::Truncated { bytes: self.line.len() });
        }
        let mut tally = self.counter.done();
        tally.fault = self.fault;
        (self.bytes, self.hasher.finish(), tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{now, receipts, run};

    fn taken(text: &[u8], step: usize) -> Tally {
        let mut lines = Lines::new(Form::IngestionReceipt, run(), now());
        text.chunks(step).for_each(|part| lines.push(part));
        let (bytes, digest, tally) = lines.finish();
        assert_eq!((bytes, digest), (text.len() as u64, Digest::of(text)));
        tally
    }

    fn refused(text: &str) -> (u64, String) {
        let fault = taken(text.as_bytes(), 1_000).fault.unwrap();
        (fault.line, fault.name)
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = receipts(20, 3, 2);
        let tally = taken(text.as_bytes(), text.len());
        assert_eq!(tally.fault, None);
        assert_eq!(
            (tally.lines, tally.decisions["ADMIT"], tally.decisions["DUPLICATE"]),
            (25, 20, 3)
        );
        for step in [1, 7, 4096] {
            assert_eq!(taken(text.as_bytes(), step), tally);
        }
    }

    #[test]
    fn each_fault_is_told_with_its_line_and_its_name() {
        let text = receipts(3, 0, 0);
        let with = |from: &str, to: &str| text.replacen(from, to, 1);
        let name = |text: &str| refused(text).1;
        assert_eq!(refused(&format!("\u{feff}{text}")), (1, "byte_order_mark".into()));
        assert_eq!(refused(&text.replace('\n', "\r\n")), (1, "carriage_return".into()));
        assert_eq!(refused(text.trim_end()), (3, "truncated".into()));
        assert_eq!(refused(&text[..text.len() / 2]).1, "truncated");
        assert_eq!(refused(&format!("{text}\n")), (4, "empty".into()));
        assert_eq!(name(&with("\"ADMIT\"", "\"ACCEPT\"")), "wrong_value");
        assert_eq!(name(&with("\"event_id\"", "\"eventId\"")), "missing_field");
        assert_eq!(name(&with("20260301T", "20260228T")), "other_run");
        assert_eq!(name(&with("{", "{\"decision\": \"ADMIT\", ")), "duplicate_key");
        let first = text.lines().next().unwrap();
        assert_eq!(refused(&format!("{text}{first}\n")), (4, "receipt_twice".into()));
        let long = format!("{}\n", "x".repeat(LINE_BYTES_MAX + 1));
        assert_eq!(refused(&format!("{text}{long}")), (4, "too_large".into()));
    }

    /// In practice: ids made of the content, without the run or the event class.
    #[test]
    fn one_receipt_id_for_two_events_is_refused() {
        let text = receipts(2, 0, 0);
        let lines: Vec<&str> = text.lines().collect();
        let id = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["receipt_id"].as_str().unwrap().to_owned()
        };
        let collapsed = text.replace(&id(lines[1]), &id(lines[0]));
        assert_eq!(refused(&collapsed), (2, "receipts_collapsed".into()));
    }

    /// A record of the broker is one event: who names one record for many has lost the others.
    #[test]
    fn two_admitted_events_do_not_lie_in_one_place() {
        let text = receipts(4, 0, 0);
        let shared = text.replace("\"offset\":101", "\"offset\":100");
        assert_ne!(shared, text);
        assert_eq!(refused(&shared), (3, "place_twice".into()));
        let what = taken(shared.as_bytes(), 1_000).fault.unwrap().what;
        assert!(what.contains("in fp.bus.traffic.fraud.v1/0/100 twice"), "{what}");
        // A duplicate names the place of the event that it is one of.
        let other = shared.replacen("\"ADMIT\"", "\"DUPLICATE\"", 2);
        assert_eq!(taken(other.as_bytes(), 1_000).fault, None);
    }

    #[test]
    fn one_event_is_not_admitted_twice() {
        let text = receipts(1, 0, 0);
        let again = text.replace("\"receipt_id\": \"0", "\"receipt_id\": \"f");
        assert_ne!(again, text);
        assert_eq!(refused(&format!("{text}{again}")), (2, "admitted_twice".into()));
    }
}
