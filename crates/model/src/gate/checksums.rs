//! Each file of the snapshot is listed, there, and as listed.

use carnet_ledger::Digest;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted};

/// Nothing to choose: every file must be listed and every listed file must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {}

/// The files that are listed or there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each path that is in the list or in the folder; the list itself is not among them.
    pub files: Vec<File>,
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path within the snapshot.
    pub path: String,
    /// Its SHA-256 by the list; `None` if it is not listed.
    pub listed: Option<Digest>,
    /// Its SHA-256 computed from its bytes; `None` if it is not there.
    pub found: Option<Digest>,
}

const REMEDY: &str =
    "transfer the snapshot again, or export it again if the first copy is the same";

impl Rule {
    #[expect(clippy::unused_self, reason = "every rule judges by the same signature")]
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.files.len();
        if sample == 0 {
            return Judgement::no_data(0, "the snapshot has no files", REMEDY);
        }
        for File { path, listed, found } in &facts.files {
            let reason = match (listed, found) {
                (Some(listed), Some(found)) if listed == found => continue,
                (Some(listed), Some(found)) if found.is_damaged_copy(listed) => {
                    format!("the list of checksums is damaged in its line of {path}")
                }
                (Some(_), Some(_)) => format!("{path} has other bytes than are listed"),
                (Some(_), None) => format!("{path} is listed and missing"),
                (None, Some(_)) => format!("{path} is there and not listed"),
                (None, None) => format!("{path} is neither listed nor there"),
            };
            return Judgement::fail(sample, reason, REMEDY);
        }
        Judgement::pass(sample, format!("{} as listed", counted(sample, "file", "files")))
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.files.len()) {
            let mut add = |name, damage: fn(&mut File)| {
                copies.add(name, |facts| {
                    if let Some(file) = facts.files.get_mut(spot) {
                        damage(file);
                    }
                });
            };
            add("bit_flipped", |file| file.found = file.found.map(flipped));
            add("listing_edited", |file| file.listed = file.listed.map(flipped));
            add("file_missing", |file| file.found = None);
            add("file_not_listed", |file| file.listed = None);
        }
        copies.add("file_extra", |facts| {
            let found = Some(Digest::of(b"extra"));
            facts.files.push(File { path: "extra".to_owned(), listed: None, found });
        });
        copies.add("nothing_seen", |facts| facts.files.clear());
        copies.done()
    }
}
