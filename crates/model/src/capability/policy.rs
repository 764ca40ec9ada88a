//! `policy.snapshot`, `policy.enforce`.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

/// A policy that is written as a snapshot: its document, its modules, its data, its self-tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySnapshot {
    /// The folder of the policy, from the folder of the plan. Its self-tests must come out as they
    /// say.
    #[schemars(length(min = 1, max = 4096))]
    pub policy: String,
    /// The folder that is made for the snapshot.
    #[schemars(length(min = 1, max = 4096))]
    pub into: String,
}

/// A policy snapshot that is put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyEnforce {
    /// The folder of the snapshot, from the folder of the plan.
    #[schemars(length(min = 1, max = 4096))]
    pub snapshot: String,
    /// The SHA-256 that its document must have, in hexadecimal.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// The manifest of the bundle that it came in, whose `policy_snapshot_id` it must have.
    #[schemars(length(min = 1, max = 4096))]
    pub manifest: Option<String>,
    /// The authority snapshot that came with it. Everybody in it must be known here.
    #[schemars(length(min = 1, max = 4096))]
    pub authority: String,
    /// Our trust file, in the form of SSH allowed signers.
    #[schemars(length(min = 1, max = 4096))]
    pub trust: String,
    /// The folder of the policies in force here. It is made if it is missing.
    #[schemars(length(min = 1, max = 4096))]
    pub place: String,
}

pub(super) const SNAPSHOT: Descriptor = Descriptor {
    name: "policy.snapshot",
    does: "write a policy as a snapshot, after its self-tests came out as they say",
    safety: Safety::Mutating,
    repeat: Repeat::Again,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<PolicySnapshot>,
    check: |with| {
        checked::<PolicySnapshot>(with, |it, errors| apart(&it.policy, &it.into, "/into", errors))
    },
};

pub(super) const ENFORCE: Descriptor = Descriptor {
    name: "policy.enforce",
    does: "put a policy snapshot in force, if it decides here as it did there and all are known",
    safety: Safety::Mutating,
    repeat: Repeat::Again,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<PolicyEnforce>,
    check: |with| checked::<PolicyEnforce>(with, check),
};

fn check(enforce: &PolicyEnforce, errors: &mut Vec<InputError>) {
    apart(&enforce.snapshot, &enforce.place, "/place", errors);
    if enforce.sha256.is_some() == enforce.manifest.is_some() {
        let what = "exactly one of `sha256` and `manifest` says which snapshot it must be";
        errors.push(InputError::new("", what, "name the digest, or a bundle's manifest"));
    }
}

fn apart(from: &str, to: &str, pointer: &str, errors: &mut Vec<InputError>) {
    if from == to {
        errors.push(InputError::new(pointer, "is the policy itself", "name another folder"));
    }
}
