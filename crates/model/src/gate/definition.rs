//! Which gates there are, what each demands, and what each is shown.

use std::fmt;

use carnet_document::digest_of;
use carnet_ledger::Digest;
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::{
    approval, artifact_checksums, authority, budget, certification, checksums, claims, command,
    consumer_lag, content_root, contract, count, digest, dimensions, file, handles, http, image,
    lag, losses, object, policy, query_parity, registry_tag, rows, run_agreement, run_evidence,
    schema_version, secrets_absent, services, sql, supply_chain, tcp, term, terraform, tls_expiry,
    topics,
};

/// How old an observation may be when it is judged, in seconds: a quarter of an hour, so that what
/// was seen before an interruption is looked at again.
pub const AGE_S_MAX: u64 = 900;

/// Lists the gates once, for the enums that have a variant for each.
macro_rules! gates {
    ($($(#[$doc:meta])* $variant:ident = $module:ident;)*) => {
        /// The built-in gates.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Gate {
            $($(#[$doc])* $variant,)*
        }

        impl Gate {
            /// All gates.
            pub const ALL: &'static [Gate] = &[$(Gate::$variant),*];

            /// The id in plans, reports and events.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => stringify!($module),)* }
            }
        }

        /// What a gate demands.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "gate", rename_all = "snake_case")]
        pub enum Rule {
            $($(#[$doc])* $variant($module::Rule),)*
        }

        impl Rule {
            /// Whose rule it is.
            pub const fn gate(&self) -> Gate {
                match self { $(Self::$variant(_) => Gate::$variant,)* }
            }
        }

        /// What was seen.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "gate", rename_all = "snake_case")]
        pub enum Facts {
            $($(#[$doc])* $variant($module::Facts),)*
        }

        impl Facts {
            /// Whose facts they are.
            pub const fn gate(&self) -> Gate {
                match self { $(Self::$variant(_) => Gate::$variant,)* }
            }

            /// The facts of a look that saw nothing.
            pub fn nothing(gate: Gate) -> Self {
                match gate { $(Gate::$variant => Self::$variant($module::Facts::default()),)* }
            }
        }

        /// The facts judged by the rule, whatever their age and controls; `None` if they belong to
        /// different gates.
        pub fn judge_facts(rule: &Rule, facts: &Facts) -> Option<super::Judgement> {
            match (rule, facts) {
                $((Rule::$variant(rule), Facts::$variant(facts)) => Some(rule.judge(facts)),)*
                ($(Rule::$variant(_))|*, _) => None,
            }
        }

        /// The damaged copies of the facts.
        pub(super) fn damage_facts(rule: &Rule, facts: &Facts) -> Vec<(&'static str, Facts)> {
            match (rule, facts) {
                $((Rule::$variant(rule), Facts::$variant(facts)) => {
                    let copies = rule.damage(facts).into_iter();
                    copies.map(|(name, facts)| (name, Facts::$variant(facts))).collect()
                })*
                ($(Rule::$variant(_))|*, _) => Vec::new(),
            }
        }
    };
}

gates! {
    /// Snapshot and stores have a schema version that this build reads.
    SchemaVersion = schema_version;
    /// Vectors have one length on all sides.
    Dimensions = dimensions;
    /// Metric, normalisation and embedding model are declared and equal.
    Contract = contract;
    /// The target can hold everything, but for what the plan waives by name.
    Losses = losses;
    /// Each file of the snapshot is listed, there, and as listed.
    Checksums = checksums;
    /// As many records as there must be.
    Count = count;
    /// The content read back from the target is the content of the source.
    ContentRoot = content_root;
    /// Searches give the same records in the same order on both sides.
    QueryParity = query_parity;
    /// Each artifact file is the same on all sides.
    ArtifactChecksums = artifact_checksums;
    /// A command ends as it must, and prints what it must.
    Command = command;
    /// A file is there, and is what it must be.
    File = file;
    /// An object in S3 is there, and is what it must be.
    Object = object;
    /// A file or a folder has the content that it must have.
    Digest = digest;
    /// A query on a database gives what it must.
    Sql = sql;
    /// Two databases count the same.
    Rows = rows;
    /// A server answers a request as it must, and refuses it without its credential.
    Http = http;
    /// A server takes connections.
    Tcp = tcp;
    /// The certificate of a server is good, for its name, and for long enough.
    TlsExpiry = tls_expiry;
    /// How far something is behind stays below a maximum.
    Lag = lag;
    /// An environment claims all that a bundle needs.
    Claims = claims;
    /// Images and disks come with their parts and their origin.
    SupplyChain = supply_chain;
    /// A term of a switch is kept.
    Term = term;
    /// Enough people have approved this very plan, having seen these very gates.
    Approval = approval;
    /// A declared policy allows it.
    Policy = policy;
    /// Everybody who has authority where something comes from is known here.
    Authority = authority;
    /// The evidence of a run is there, is of this run and of its time, and agrees with itself.
    RunEvidence = run_evidence;
    /// The evidence files of a run agree with each other.
    RunAgreement = run_agreement;
    /// A shakedown, larger runs, a repetition and drills certify a programme.
    Certification = certification;
    /// Each handle of a registry resolves to its pinned value.
    Handles = handles;
    /// An image of a container is the one that it must be, and holds no secret.
    Image = image;
    /// A tag in a registry means the pinned image, and cannot be moved.
    RegistryTag = registry_tag;
    /// What Terraform keeps is as it is written down, and holds nothing forbidden.
    Terraform = terraform;
    /// Topics are there, with their partitions and their retention.
    Topics = topics;
    /// A group of consumers has read all but a few records.
    ConsumerLag = consumer_lag;
    /// A cluster runs the services that it must, and nothing beside them.
    Services = services;
    /// A budget of an account is the pinned one, and is not spent.
    Budget = budget;
    /// Secrets that a teardown takes away are gone.
    SecretsAbsent = secrets_absent;
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A gate as a plan has it. Its identity is the gate's id and [`Definition::digest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// How old an observation may be, in seconds.
    pub age_s_max: u64,
    /// How many things must have been compared at least: a pass over fewer is `no_data`. 1 is not
    /// written, as it is what every gate demands.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub sample_min: u64,
    /// What is demanded.
    pub rule: Rule,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_one(number: &u64) -> bool {
    *number == 1
}

impl Definition {
    /// A definition with the usual age, for which one thing that was compared is enough.
    pub fn new(rule: Rule) -> Self {
        Self { age_s_max: AGE_S_MAX, sample_min: one(), rule }
    }

    /// Which gate.
    pub const fn gate(&self) -> Gate {
        self.rule.gate()
    }

    /// SHA-256 of the canonical JSON (RFC 8785) of the definition.
    pub fn digest(&self) -> Digest {
        digest_of(self)
    }
}

/// What was seen, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When looking ended, in microseconds since 1970, UTC.
    pub observed_at_us: i64,
    /// What was seen.
    pub facts: Facts,
    /// What was asked beside it, that must be refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Control>,
}

impl Observation {
    /// What was seen, without controls.
    pub const fn new(observed_at_us: i64, facts: Facts) -> Self {
        Self { observed_at_us, facts, controls: Vec::new() }
    }

    /// Which gate.
    pub const fn gate(&self) -> Gate {
        self.facts.gate()
    }

    /// SHA-256 of the canonical JSON (RFC 8785) of the observation.
    pub fn digest(&self) -> Digest {
        digest_of(self)
    }
}
