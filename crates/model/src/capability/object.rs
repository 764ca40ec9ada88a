//! `s3.copy`.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::password::no_password;
use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

pub(super) const NAME: &str = "s3.copy";

/// Objects that their service copies itself. Nothing passes through this machine: two places of
/// different services are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Copy {
    /// Where they are: `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
    #[schemars(regex(pattern = r"^s3://[^\u0000-\u0020]+$"), length(max = 4096))]
    pub from: String,
    /// Where they go, in the same service.
    #[schemars(regex(pattern = r"^s3://[^\u0000-\u0020]+$"), length(max = 4096))]
    pub to: String,
    /// The keys below the prefix; all that are there if nothing is said. At most 100,000.
    #[schemars(length(min = 1, max = 100_000), inner(length(min = 1, max = 1024)))]
    pub keys: Option<Vec<String>>,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "let an object store copy objects between two of its places",
    safety: Safety::Mutating,
    repeat: Repeat::Again,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::Conditional,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<S3Copy>,
    check: |with| checked::<S3Copy>(with, check),
};

fn check(copy: &S3Copy, errors: &mut Vec<InputError>) {
    for (pointer, url) in [("/from", &copy.from), ("/to", &copy.to)] {
        no_password(pointer, url, errors);
        let endpoint = url.split_once("endpoint=").map_or("", |(_, endpoint)| endpoint);
        no_password(pointer, endpoint, errors);
    }
    if copy.from == copy.to {
        errors.push(InputError::new("/to", "is the place itself", "name another place"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (number, key) in copy.keys.iter().flatten().enumerate() {
        if !seen.insert(key) {
            errors.push(InputError::new(
                format!("/keys/{number}"),
                "stands twice",
                "take it out once",
            ));
        }
    }
}
