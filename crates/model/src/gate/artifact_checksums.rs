//! Each artifact file is the same on all sides.

use carnet_ledger::Digest;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted};

/// Nothing to choose: every artifact must arrive, and nothing else may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {}

/// The artifact files of all sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each path that is on any side.
    pub artifacts: Vec<Artifact>,
}

/// The SHA-256 of one artifact file, by side; `None` where it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path within the artifact folder.
    pub path: String,
    /// In the source.
    pub source: Option<Digest>,
    /// In the snapshot.
    pub snapshot: Option<Digest>,
    /// In the target before the import.
    pub before: Option<Digest>,
    /// In the target.
    pub target: Option<Digest>,
}

const REMEDY: &str = "compare the file on both sides and run the import again";

impl Rule {
    #[expect(clippy::unused_self, reason = "every rule judges by the same signature")]
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.artifacts.iter().filter(|it| it.source.is_some()).count();
        if sample == 0 {
            let remedy = "check the artifact folder, or take `artifacts` out of the plan";
            return Judgement::no_data(0, "the source has no artifact files", remedy);
        }
        let wrong = facts.artifacts.iter().find_map(|it| Some((it, it.wrong()?)));
        if let Some((artifact, wrong)) = wrong {
            return Judgement::fail(sample, format!("{} {wrong}", artifact.path), REMEDY);
        }
        Judgement::pass(
            sample,
            format!("{} the same on all sides", counted(sample, "artifact", "artifacts")),
        )
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.artifacts.len()) {
            let mut add = |name, damage: fn(&mut Artifact)| {
                copies.add(name, |facts| {
                    if let Some(artifact) = facts.artifacts.get_mut(spot) {
                        damage(artifact);
                    }
                });
            };
            add("source_changed", |it| it.source = it.source.map(flipped));
            add("snapshot_changed", |it| it.snapshot = it.snapshot.map(flipped));
            add("target_changed", |it| it.target = it.target.map(flipped));
            add("snapshot_missing", |it| it.snapshot = None);
            add("target_missing", |it| it.target = None);
        }
        copies.add("target_extra", |facts| {
            let target = Some(Digest::of(b"extra"));
            let (source, snapshot, before) = (None, None, None);
            let path = "extra".to_owned();
            facts.artifacts.push(Artifact { path, source, snapshot, before, target });
        });
        copies.add("nothing_seen", |facts| facts.artifacts.clear());
        copies.done()
    }
}

impl Artifact {
    fn wrong(&self) -> Option<&'static str> {
        let Some(source) = self.source else {
            // Not of this move: it must be what it was.
            return match (self.snapshot, self.before, self.target) {
                (Some(_), _, _) => Some("is in the snapshot and not in the source"),
                (None, Some(before), Some(target)) if before == target => None,
                (None, Some(_), Some(_)) => Some("was in the target before, and has changed"),
                (None, Some(_), None) => Some("was in the target before, and is gone"),
                (None, None, Some(_)) => Some("is in the target and not in the source"),
                (None, None, None) => Some("is on no side"),
            };
        };
        match (self.snapshot, self.target) {
            (None, _) => Some("is missing in the snapshot"),
            (_, None) => Some("is missing in the target"),
            (Some(snapshot), _) if snapshot != source => Some("differs in the snapshot"),
            (_, Some(target)) if target != source => Some("differs in the target"),
            (Some(_), Some(_)) => None,
        }
    }
}
