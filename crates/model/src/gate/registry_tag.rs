//! A tag in a registry means the pinned image, and cannot be moved.

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped};
use super::finding::{Judgement, short};
use super::limits::{check_aws, check_range, check_text, limit_s};

/// The tag, and the image that it must mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The URL of the registry's interface; Amazon's own if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The repository. Its tags must be immutable.
    pub repository: String,
    /// The tag.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))]
    pub tag: String,
    /// The digest of the image.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// How long an answer may take, in seconds.
    #[serde(default = "limit_s")]
    pub limit_s: u64,
}

/// What the registry told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The repository; absent if there is none.
    pub repository: Option<Repository>,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Whether its tags may move, in the word of the registry.
    pub mutability: String,
    /// What the tag means; absent if there is none.
    pub digest: Option<Digest>,
}

/// The one word for tags that never move. With exclusions, or without it, they may.
const IMMUTABLE: &str = "IMMUTABLE";

const REMEDY: &str = "push the image with this tag, or name the right one, and run again";
const MOVES: &str =
    "set the repository to immutable tags, see that the tag is right, and run again";

impl Rule {
    fn wanted(&self) -> Option<Digest> {
        self.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok())
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (name, tag) = (&self.repository, &self.tag);
        let Some(repository) = &facts.repository else {
            return Judgement::no_data(0, format!("there is no repository {name}"), REMEDY);
        };
        let wanted = self.wanted();
        match repository.digest {
            None => return Judgement::fail(1, format!("{name} has no image tagged {tag}"), REMEDY),
            Some(digest) if Some(digest) != wanted => {
                let reason =
                    format!("{tag} in {name} is sha256:{}…, not {}", short(digest), self.digest);
                return Judgement::fail(1, reason, REMEDY);
            }
            Some(_) => {}
        }
        if repository.mutability != IMMUTABLE {
            return Judgement::fail(1, format!("the tags of {name} can be moved"), MOVES);
        }
        Judgement::pass(1, format!("{tag} in {name} is the image demanded, and cannot be moved"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| *facts = Facts::default());
        let mut add = |name, damage: &dyn Fn(&mut Repository)| {
            copies.add(name, |facts| facts.repository.iter_mut().for_each(damage));
        };
        add("not_tagged", &|it| it.digest = None);
        add("digest_other", &|it| it.digest = self.wanted().map(flipped));
        for word in ["MUTABLE", "IMMUTABLE_WITH_EXCLUSION", ""] {
            add("tag_can_move", &|it| word.clone_into(&mut it.mutability));
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_aws("", self.endpoint.as_deref(), &self.region);
        errors.extend(check_text("/repository", &self.repository));
        errors.extend(check_range("/limit_s", self.limit_s, 1, 86_400));
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("{} in {} is the pinned image, and cannot be moved", self.tag, self.repository)
    }
}
