//! Every failure that a person can meet has one stable code, one exit status and one page.

use std::fmt;

/// What a process exit status means. One table for all commands (`docs/exit-codes.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done; everything that was compared is equal.
    Done = 0,
    /// A defect in Carnet.
    Bug = 1,
    /// The command line or the plan is wrong.
    Usage = 2,
    /// Refused: a gate, a policy, a loss, a verification.
    Refused = 3,
    /// The content differs.
    Differs = 4,
    /// Work waits for a person.
    Waits = 5,
    /// A system could not be reached.
    Unreachable = 6,
    /// Input from elsewhere is malformed.
    Malformed = 7,
    /// Material or trust is missing, so that not all could be checked.
    Incomplete = 8,
}

/// A stable name for one kind of failure. `carnet explain CODE` shows its page.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    name: &'static str,
    exit: Exit,
}

impl Code {
    /// The name that people see and type.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The exit status of a command that ends with this failure.
    pub const fn exit(self) -> Exit {
        self.exit
    }

    /// The code of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The registry: each line is a constant, its name and its exit status.
macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $exit:ident;)*) => {
        impl Code {
            $($(#[$doc])* pub const $constant: Code = Code { name: $name, exit: Exit::$exit };)*
            /// All codes, in the order of the registry.
            pub const ALL: &'static [Code] = &[$(Code::$constant),*];
        }
    };
}

codes! {
    /// A defect in Carnet itself.
    BUG = "bug", Bug;
    /// The command line does not make sense.
    USAGE = "usage", Usage;
    /// A file could not be read or written.
    IO = "io", Unreachable;
    /// The disk is full.
    DISK_FULL = "io.full", Unreachable;

    /// The plan is not YAML that Carnet reads.
    PLAN_SYNTAX = "plan.syntax", Usage;
    /// The plan file cannot be read.
    PLAN_NOT_FOUND = "plan.not_found", Usage;
    /// A key that plans do not have.
    PLAN_UNKNOWN_KEY = "plan.unknown_key", Usage;
    /// A key that stands twice.
    PLAN_DUPLICATE_KEY = "plan.duplicate_key", Usage;
    /// A key that must be there is missing.
    PLAN_MISSING = "plan.missing", Usage;
    /// A value of the wrong form.
    PLAN_VALUE = "plan.value", Usage;
    /// A key or feature that this build cannot enforce.
    PLAN_UNSUPPORTED = "plan.unsupported", Usage;
    /// Parts of the plan contradict one another, or the store that they name.
    PLAN_CONFLICT = "plan.conflict", Usage;
    /// A password stands in the plan.
    PLAN_PASSWORD = "plan.password", Usage;
    /// The run was started under another plan.
    PLAN_CHANGED = "plan.changed", Refused;

    /// A store URL that is not understood.
    STORE_URL = "store.url", Usage;
    /// A store of a kind that this build leaves out.
    STORE_FEATURE = "store.feature", Refused;
    /// There is nothing at this place.
    STORE_NOT_FOUND = "store.not_found", Unreachable;
    /// The store does not answer.
    STORE_UNREACHABLE = "store.unreachable", Unreachable;
    /// The connection was lost in the middle of the work.
    STORE_LOST = "store.lost", Unreachable;
    /// The store refused the credentials or the permission.
    STORE_DENIED = "store.denied", Unreachable;
    /// The store can only be read.
    STORE_READ_ONLY = "store.read_only", Refused;
    /// The store's content is malformed.
    STORE_MALFORMED = "store.malformed", Malformed;
    /// The store has a form that Carnet does not read or write.
    STORE_UNSUPPORTED = "store.unsupported", Refused;
    /// The source changed while it was read.
    STORE_CHANGED = "store.changed", Refused;
    /// A load was cut off; the store names what is left of it.
    STORE_HALF_LOADED = "store.half_loaded", Refused;
    /// The store answered with an error of its own.
    STORE_FAILED = "store.failed", Unreachable;
    /// Another process works on this store or state.
    STORE_BUSY = "store.busy", Refused;

    /// A table without a column that Carnet can use.
    TABLE_COLUMN = "table.column", Refused;
    /// A table whose ids are not unique.
    TABLE_NO_KEY = "table.no_key", Refused;
    /// A column that no rule covers.
    TABLE_UNMAPPED = "table.unmapped", Refused;

    /// A FAISS file that ends early or lies about its sizes.
    FAISS_MALFORMED = "faiss.malformed", Malformed;
    /// A FAISS index that no longer holds the vectors, or that is not known.
    FAISS_KIND = "faiss.kind", Refused;
    /// Vectors and metadata rows do not match.
    FAISS_ROWS = "faiss.rows", Malformed;

    /// An id that is empty, too long or not UTF-8.
    RECORD_ID = "record.id", Malformed;
    /// An id that stands twice.
    RECORD_DUPLICATE = "record.duplicate", Malformed;
    /// A vector that is missing or of another length.
    RECORD_VECTOR = "record.vector", Malformed;
    /// A time finer than microseconds, or out of range.
    RECORD_TIME = "record.time", Malformed;
    /// Metadata that is not a JSON object.
    METADATA_SYNTAX = "metadata.syntax", Malformed;
    /// A number that no double and no integer holds exactly.
    METADATA_NUMBER = "metadata.number", Malformed;
    /// A key that stands twice in one object.
    METADATA_DUPLICATE_KEY = "metadata.duplicate_key", Malformed;
    /// Half of a surrogate pair.
    METADATA_SURROGATE = "metadata.surrogate", Malformed;
    /// Metadata beyond the limits on size or depth.
    METADATA_LIMIT = "metadata.limit", Malformed;

    /// The target cannot hold all of the content.
    LOSS = "loss", Refused;
    /// The same id is on both sides with other content.
    IMPORT_CONFLICT = "import.conflict", Refused;
    /// The contents differ.
    CONTENT_DIFFERS = "content.differs", Differs;
    /// The collection contracts differ.
    CONTRACT_DIFFERS = "contract.differs", Differs;

    /// A snapshot that is not complete or not in the form of the specification.
    SNAPSHOT_MALFORMED = "snapshot.malformed", Malformed;
    /// A snapshot whose content does not match its own record.
    SNAPSHOT_DAMAGED = "snapshot.damaged", Differs;
    /// A snapshot of a schema version that this build does not read.
    SNAPSHOT_VERSION = "snapshot.version", Refused;
    /// The place for a snapshot is taken.
    SNAPSHOT_EXISTS = "snapshot.exists", Refused;
    /// A bundle that is not in the form of one.
    BUNDLE_MALFORMED = "bundle.malformed", Malformed;
    /// A bundle whose parts are not what it says of them.
    BUNDLE_DAMAGED = "bundle.damaged", Refused;
    /// A bundle of a version that this build does not read.
    BUNDLE_VERSION = "bundle.version", Refused;
    /// A bundle with a type of content that this build does not know.
    BUNDLE_CONTENT_TYPE = "bundle.content_type", Refused;
    /// A bundle that exceeds a limit.
    BUNDLE_LIMIT = "bundle.limit", Refused;
    /// The place for a bundle is taken.
    BUNDLE_EXISTS = "bundle.exists", Refused;
    /// Not all of a bundle could be checked.
    BUNDLE_INCOMPLETE = "bundle.incomplete", Incomplete;
    /// A content is encrypted, and no identity that was given opens it.
    BUNDLE_ENCRYPTED = "bundle.encrypted", Incomplete;
    /// The registry refused, or answered otherwise than it should.
    BUNDLE_REGISTRY = "bundle.registry", Unreachable;

    /// An artifact that is not a plain file with a UTF-8 name.
    ARTIFACT = "artifact.refused", Refused;

    /// The files of a policy, or an authority snapshot, are not of their form.
    POLICY_MALFORMED = "policy.malformed", Malformed;
    /// A file of a policy snapshot has other bytes than its digest says.
    POLICY_DAMAGED = "policy.damaged", Refused;
    /// A policy, its data or its input is too large.
    POLICY_LIMIT = "policy.limit", Refused;
    /// The modules of a policy do not compile.
    POLICY_COMPILE = "policy.compile", Refused;
    /// A module calls a function whose answer is not the same each time.
    POLICY_BUILTIN = "policy.builtin", Refused;
    /// A self-test of a policy comes out otherwise, or the self-tests show nothing.
    POLICY_SELF_TEST = "policy.self_test", Refused;
    /// What a policy is asked about has no canonical form.
    POLICY_INPUT = "policy.input", Malformed;
    /// A policy says no.
    POLICY_DENIED = "policy.denied", Refused;
    /// A policy gives no answer that could let anything pass.
    POLICY_UNDECIDED = "policy.undecided", Refused;
    /// Somebody who has authority where something comes from is not known here.
    AUTHORITY_UNKNOWN = "authority.unknown", Refused;

    /// Something that this build leaves out.
    FEATURE_MISSING = "feature.missing", Refused;
    /// A key for detached signatures that cannot be used.
    SIGNATURE_KEY = "signature.key", Usage;
    /// A trust file with a line that is not understood.
    TRUST_MALFORMED = "trust.malformed", Malformed;
    /// A detached signature is none of the file that it stands beside.
    SIGNATURE_BAD = "signature.bad", Refused;
    /// Nobody who is trusted made the detached signature.
    SIGNATURE_UNKNOWN_KEY = "signature.unknown_key", Incomplete;
    /// There is no detached signature.
    SIGNATURE_MISSING = "signature.missing", Incomplete;

    /// A secret that the plan names is not set.
    SECRET_MISSING = "secret.missing", Usage;
    /// A command ended otherwise than it should.
    COMMAND_FAILED = "command.failed", Unreachable;
    /// A server answered otherwise than it should.
    HTTP_FAILED = "http.failed", Unreachable;
    /// The place for a file is taken.
    FILE_EXISTS = "file.exists", Refused;
    /// The place for an object is taken.
    OBJECT_EXISTS = "object.exists", Refused;
    /// An object is not what it was any more.
    OBJECT_CHANGED = "object.changed", Refused;
    /// A copy between services would pass through this machine.
    S3_LOCAL_HOP = "s3.local_hop", Refused;
    /// A service does not run as it should after its restart.
    SERVICE_FAILED = "service.failed", Unreachable;

    /// The definition of a workload that is not in its form.
    WORKLOAD_MALFORMED = "workload.malformed", Malformed;
    /// Something in the definition of a workload that does not travel.
    WORKLOAD_UNSUPPORTED = "workload.unsupported", Refused;
    /// A workload that keeps state which no bundle moves.
    WORKLOAD_STATEFUL = "workload.stateful", Refused;
    /// An image that is named by what may mean another image tomorrow.
    WORKLOAD_UNPINNED = "workload.unpinned", Refused;
    /// An image that is not in its form, or not the one that was meant.
    WORKLOAD_IMAGE = "workload.image", Malformed;
    /// A workload of this name is there already.
    WORKLOAD_EXISTS = "workload.exists", Refused;
    /// There is no workload of this name.
    WORKLOAD_NOT_FOUND = "workload.not_found", Refused;
    /// A workload that must not run runs.
    WORKLOAD_RUNNING = "workload.running", Refused;
    /// A workload does not become healthy.
    WORKLOAD_UNHEALTHY = "workload.unhealthy", Refused;
    /// The program that runs workloads failed.
    WORKLOAD_FAILED = "workload.failed", Unreachable;

    /// A machine, or the header of its disk, that is not in its form.
    VM_MALFORMED = "vm.malformed", Malformed;
    /// A machine or a disk that cannot be moved as it is.
    VM_UNSUPPORTED = "vm.unsupported", Refused;
    /// A machine with a TPM whose state is not there.
    VM_TPM_MISSING = "vm.tpm_missing", Refused;
    /// The place for a machine is taken.
    VM_EXISTS = "vm.exists", Refused;
    /// There is no machine at this place.
    VM_NOT_FOUND = "vm.not_found", Refused;
    /// A machine that must not run runs.
    VM_RUNNING = "vm.running", Refused;
    /// A machine runs and does not show what it must show.
    VM_NO_PROOF = "vm.no_proof", Refused;
    /// The program that runs machines failed.
    VM_FAILED = "vm.failed", Unreachable;

    /// A gate did not pass.
    GATE_CLOSED = "gate.closed", Refused;
    /// A gate let damaged copies pass, so that its verdict means nothing.
    GATE_BROKEN = "gate.broken", Refused;
    /// A gate did not pass, and the run waits at it.
    GATE_WAITS = "gate.waits", Waits;
    /// Another process holds this run.
    RUN_LOCKED = "run.locked", Refused;
    /// A newer writer has taken over: a resource refuses this one.
    RUN_FENCED = "run.fenced", Refused;
    /// There is no run to show or to roll back.
    RUN_NOT_FOUND = "run.not_found", Usage;
    /// Nothing can be rolled back any more, or not yet.
    RUN_NOT_REVERSIBLE = "run.not_reversible", Refused;
    /// The outcome of a step is not known.
    RUN_UNKNOWN = "run.unknown", Waits;
    /// A timer of the run is not due yet.
    RUN_NOT_DUE = "run.not_due", Waits;
    /// A person's command does not fit what the run waits for.
    RUN_NOT_NOW = "run.not_now", Refused;
    /// Something must be approved before the run goes on.
    APPROVAL_MISSING = "approval.missing", Waits;
    /// An approval does not count: for another plan, by nobody who may, or expired.
    APPROVAL_INVALID = "approval.invalid", Refused;
    /// An approval was taken back by who gave it.
    APPROVAL_WITHDRAWN = "approval.withdrawn", Waits;
    /// The key that is to sign was replaced by another one.
    KEY_RETIRED = "key.retired", Refused;
    /// There is no key file at this place.
    KEY_NOT_FOUND = "key.not_found", Usage;
    /// The place for a key is taken.
    KEY_EXISTS = "key.exists", Refused;
    /// A private key that others can read.
    KEY_MODE = "key.mode", Refused;
    /// A key file that holds something else.
    KEY_MALFORMED = "key.malformed", Malformed;
    /// The log is signed by another key.
    KEY_OTHER = "key.other", Refused;
    /// The evidence log is damaged.
    EVIDENCE_DAMAGED = "evidence.damaged", Malformed;
    /// The place for an export of evidence is taken.
    EVIDENCE_EXISTS = "evidence.exists", Refused;
    /// The evidence lacks what its profile demands.
    EVIDENCE_PROFILE = "evidence.profile", Refused;
    /// No signed checkpoint covers the event.
    EVIDENCE_UNSIGNED = "evidence.unsigned", Incomplete;
    /// A check of evidence failed.
    EVIDENCE_REFUSED = "evidence.refused", Refused;
    /// A document of the evidence cannot be read in its form.
    EVIDENCE_MALFORMED = "evidence.malformed", Malformed;
    /// Not all that was demanded of evidence could be checked.
    EVIDENCE_INCOMPLETE = "evidence.incomplete", Incomplete;

    /// An environment does not claim what a bundle needs.
    CLAIMS_REFUSED = "claims.refused", Refused;
    /// A file of claims, or about an environment, cannot be read in its form.
    CLAIMS_MALFORMED = "claims.malformed", Malformed;
    /// An invariant of the portability contract is violated.
    CONFORMANCE_VIOLATED = "conformance.violated", Refused;
    /// A phase of a programme cannot be set active, confirmed or repeated yet.
    PROGRAMME_UNREADY = "programme.unready", Refused;
    /// A person holds a phase of a programme up.
    PROGRAMME_BLOCKED = "programme.blocked", Waits;
    /// A file that a programme is pinned to has changed.
    PROGRAMME_DRIFT = "programme.drift", Refused;
    /// Something else was run under the ids of a programme's run before.
    PROGRAMME_PINNED = "programme.pinned", Refused;
    /// Something that was to be erased is still there, or was never seen.
    ERASURE_REFUSED = "erasure.refused", Refused;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.name()), Some(*code));
        }
        assert_eq!(Code::parse("no.such"), None);
    }
}
