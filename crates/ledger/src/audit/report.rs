//! What an audit answers: one row a check, and what they amount to.

use serde::{Serialize, Serializer};

use crate::digest::Digest;

/// Defines an enum whose values have one fixed name each, by which they are serialised.
macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$value_doc:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$value_doc])* $value,)* }

        impl $type {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$value),*];

            /// The name in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)* }
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

words! {
    /// One check of an audit. Reports list them in this order.
    CheckId {
        /// The files are those that the manifest lists.
        BundleFiles = "bundle.files",
        /// A trusted key signed the manifest.
        ManifestSignature = "manifest.signature",
        /// A trusted person signed the manifest, too.
        ManifestOthers = "manifest.others",
        /// All documents and events declare one profile.
        ProfileDeclared = "profile.declared",
        /// Each event has the members that the profile demands.
        ProfileFields = "profile.fields",
        /// The families of events that the profile demands are there.
        ProfileFamilies = "profile.families",
        /// Each event is strict JSON in its one canonical form.
        EventsForm = "events.form",
        /// Each event has the hash of its content.
        EventsHash = "events.hash",
        /// Each event names the hash of the one before.
        ChainLinks = "chain.links",
        /// The events are numbered without gap, double or disorder.
        ChainSequence = "chain.sequence",
        /// The chain segment says what the events say.
        ChainSegment = "chain.segment",
        /// The events lead to the root of the tree.
        TreeRoot = "tree.root",
        /// A trusted key signed the root.
        CheckpointSignature = "checkpoint.signature",
        /// Enough witnesses cosigned the root.
        CheckpointWitnesses = "checkpoint.witnesses",
        /// Each new key was named by the one before.
        KeySuccession = "key.succession",
        /// What events point to is there.
        Pointers = "pointers",
        /// Each object has the digest that it goes by.
        Artifacts = "artifacts",
        /// One governed action has one policy and one authority.
        SnapshotsConsistent = "snapshots.consistent",
        /// Each refusal says on what ground, by which code, of what.
        Refusals = "refusals",
        /// No-control events name their artifact.
        NcpArtifacts = "ncp.artifacts",
        /// What was imported is what was exported.
        Lineage = "lineage",
        /// What policies decided is decided again in the same way.
        PolicyReplay = "policy.replay",
        /// The log goes on from a checkpoint that the auditor kept.
        HistorySince = "history.since",
        /// Whether anything tells how recent the export is.
        Freshness = "freshness",
    }
}

words! {
    /// How a check ended.
    CheckVerdict {
        /// All of it was compared, and holds.
        Pass = "pass",
        /// It does not hold.
        Fail = "fail",
        /// It could not be compared, or not all of it.
        NotChecked = "not_checked",
        /// There is nothing to compare.
        NotApplicable = "not_applicable",
    }
}

words! {
    /// Why a check did not simply pass: a stable word for each way.
    Reason {
        /// A document cannot be read in its form.
        Malformed = "malformed",
        /// A listed file is not there.
        FileMissing = "file_missing",
        /// A file is there that is not listed.
        FileAdded = "file_added",
        /// A file has other bytes than listed.
        FileChanged = "file_changed",
        /// Nothing is signed.
        Unsigned = "unsigned",
        /// Only keys that the auditor does not trust have signed.
        KeyUnknown = "key_unknown",
        /// A key signed that was retired before.
        KeyRetired = "key_retired",
        /// Signed by a retired key before its retirement.
        RetiredLater = "signed_before_retirement",
        /// A trusted key signed that did not count at that time.
        KeyNotValid = "key_not_valid",
        /// A trusted key is named, and did not sign this.
        SignatureBad = "signature_bad",
        /// This build, or what was given to it, cannot check the signature.
        CannotCheck = "cannot_check",
        /// A succession does not hold together.
        SuccessionBroken = "succession_broken",
        /// A weaker profile is declared than was made or asked for.
        ProfileDowngrade = "profile_downgrade",
        /// Documents declare different profiles.
        ProfileDrift = "profile_drift",
        /// A profile or hash profile that this build does not know.
        ProfileUnknown = "profile_unknown",
        /// A member that must be there is missing.
        FieldMissing = "field_missing",
        /// A member has another form than it should have.
        FieldForm = "field_form",
        /// A family of events is missing.
        FamilyMissing = "family_missing",
        /// Only a part of the log is at hand.
        RangeOnly = "range_only",
        /// Not JSON of the strict kind.
        NotJson = "not_json",
        /// A key stands twice in its object.
        DuplicateKey = "duplicate_key",
        /// An integer beyond 2^53 - 1.
        IntegerRange = "integer_range",
        /// A number with a fraction or an exponent.
        Fraction = "fraction",
        /// More bytes than an event may have.
        TooLarge = "too_large",
        /// Not in the one canonical form.
        NotCanonical = "not_canonical",
        /// The hash is that of other content.
        HashWrong = "hash_wrong",
        /// An event names another predecessor.
        LinkBroken = "link_broken",
        /// The first events were cut off.
        HeadTruncated = "head_truncated",
        /// The last events were cut off.
        TailTruncated = "tail_truncated",
        /// Events are missing in the middle.
        Gap = "gap",
        /// A sequence number stands twice.
        Duplicated = "duplicated",
        /// An event stands before one that it follows.
        Reordered = "reordered",
        /// More events than the manifest says.
        EventsAdded = "events_added",
        /// The chain segment does not say what the events say.
        SegmentDiffers = "segment_differs",
        /// A whole other chain in the place of the signed one.
        ChainReplaced = "chain_replaced",
        /// The events do not lead to the root.
        RootDiffers = "root_differs",
        /// Something belongs to another log.
        OtherLog = "other_log",
        /// Two roots for one size of the log.
        Forked = "forked",
        /// A proof does not hold.
        ProofBroken = "proof_broken",
        /// The proof that would tell is not there.
        ProofMissing = "proof_missing",
        /// The export is older than what the auditor has seen.
        OlderThanKnown = "older_than_known",
        /// Too few witnesses cosigned.
        QuorumMissing = "quorum_missing",
        /// A pointer leads to nothing.
        PointerUnresolved = "pointer_unresolved",
        /// An object has other bytes than its digest says.
        ArtifactSwapped = "artifact_swapped",
        /// One governed action under two policies or authorities.
        SnapshotsDiffer = "snapshots_differ",
        /// A refusal without class, code, subject or snapshots.
        RefusalIncomplete = "refusal_incomplete",
        /// Fewer or more refusals than the manifest says.
        RefusalsDiffer = "refusals_differ",
        /// Something was imported that was not exported.
        LineageBroken = "lineage_broken",
        /// A policy decides otherwise than is recorded.
        PolicyDiffers = "policy_not_reproducible",
        /// The material that would tell was not given.
        NotGiven = "not_given",
        /// Another check failed that this one stands on.
        Unread = "unread",
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Which check.
    pub id: CheckId,
    /// What was looked at: the names of files.
    pub input: &'static str,
    /// The SHA-256 of the first of them. None if it was not read, or is not there.
    pub input_digest: Option<Digest>,
    /// What must hold.
    pub rule: &'static str,
    /// Whether it does.
    pub verdict: CheckVerdict,
    /// The word for why not, or for what restricts a pass.
    pub reason_word: Option<Reason>,
    /// What was found, in words.
    pub reason: String,
}

/// What all rows amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    /// All that was demanded passed.
    Verified,
    /// A check failed.
    Refused,
    /// A document cannot be read in its form, and nothing else failed.
    Malformed,
    /// Material or trust is missing, so that not all that was demanded could be checked.
    Incomplete,
}

impl Overall {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Serialize for Overall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a bundle or a receipt is about, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Subject {
    /// Whether it is in Carnet's form: the contract's form with more documents.
    pub own: bool,
    /// The log's id.
    pub chain_id: Option<String>,
    /// The evidence profile that the manifest declares.
    pub evidence_profile: Option<String>,
    /// The sequence number of the first event.
    pub from_sequence: Option<u64>,
    /// The sequence number of the last event.
    pub to_sequence: Option<u64>,
    /// How many events were read.
    pub events: u64,
    /// How many of them are refusals.
    pub refusals: u64,
    /// The hash of the last event.
    pub last_event_hash: Option<Digest>,
    /// How many events the log had at the checkpoint.
    pub tree_size: Option<u64>,
    /// The root of the checkpoint.
    pub tree_root: Option<Digest>,
}

/// The answers of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// One row for each check, in the order of [`CheckId`].
    pub checks: Vec<Row>,
}

impl Report {
    /// The row of a check.
    pub fn row(&self, id: CheckId) -> Option<&Row> {
        self.checks.iter().find(|row| row.id == id)
    }

    /// What the rows amount to. Only `freshness` may stay open: nothing inside a file can tell
    /// whether a newer one exists.
    pub fn overall(&self) -> Overall {
        let failed = |row: &&Row| row.verdict == CheckVerdict::Fail;
        let open =
            |row: &Row| row.verdict == CheckVerdict::NotChecked && row.id != CheckId::Freshness;
        let malformed = |row: &Row| row.reason_word == Some(Reason::Malformed);
        if self.checks.iter().filter(failed).any(|row| !malformed(row)) {
            Overall::Refused
        } else if self.checks.iter().any(|row| failed(&row)) {
            Overall::Malformed
        } else if self.checks.iter().any(open) {
            Overall::Incomplete
        } else {
            Overall::Verified
        }
    }
}
