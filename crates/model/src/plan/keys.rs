//! Which keys each mapping of a plan has. The reader refuses all others; a test holds the JSON
//! Schema to the same tables.

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) need: Need,
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It must be there.
    Must,
    /// It may be there.
    May,
    /// Known, and not in this build: what it is. To ignore it would be to promise what nobody
    /// keeps.
    Later(&'static str),
    /// It belongs to plans of another kind.
    Other(Elsewhere),
}

impl Need {
    /// Whether the key can be written here.
    pub(super) fn is_usable(self) -> bool {
        match self {
            Self::Must | Self::May => true,
            Self::Later(_) | Self::Other(_) => false,
        }
    }
}

/// Where a key belongs that is not taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// To plans that move a knowledge base; this one has phases.
    Knowledge,
    /// To plans in which something crosses in a bundle; this one has phases.
    Crossing,
    /// To plans that move a knowledge base; this one says it under `portability`.
    Section,
}

const fn must(name: &'static str) -> Key {
    Key { name, need: Need::Must }
}

const fn may(name: &'static str) -> Key {
    Key { name, need: Need::May }
}

const fn other(name: &'static str) -> Key {
    Key { name, need: Need::Other(Elsewhere::Knowledge) }
}

const fn in_section(name: &'static str) -> Key {
    Key { name, need: Need::Other(Elsewhere::Section) }
}

const fn later(name: &'static str, what: &'static str) -> Key {
    Key { name, need: Need::Later(what) }
}

/// All keys that a plan can have, whatever it does.
pub(super) const DOCUMENT: &[Key] = &[
    must("carnet"),
    must("migration"),
    must("owner"),
    may("governance"),
    may("evidence"),
    may("trust"),
    may("dependencies"),
    may("terms"),
    may("amends"),
    may("source"),
    may("target"),
    may("process"),
    may("portability"),
    may("import"),
    may("quiesce"),
    may("transfer"),
    may("validate"),
    may("accept_loss"),
    may("cutover"),
    may("decommission"),
    may("approvals"),
    may("exceptions"),
    may("programme"),
    may("phases"),
    may("rollback"),
];
/// The keys of a plan that moves a knowledge base.
pub(super) const KNOWLEDGE: &[Key] = &[
    must("carnet"),
    must("migration"),
    must("owner"),
    may("governance"),
    may("evidence"),
    may("trust"),
    may("dependencies"),
    may("terms"),
    may("amends"),
    must("source"),
    must("target"),
    must("process"),
    may("import"),
    may("quiesce"),
    may("transfer"),
    may("validate"),
    may("accept_loss"),
    may("cutover"),
    may("decommission"),
    may("approvals"),
    may("exceptions"),
    later("rollback", "a prescribed way back, with a process that has one of its own"),
];
/// The keys of a plan in which something crosses in a bundle.
pub(super) const CROSSING: &[Key] = &[
    must("carnet"),
    must("migration"),
    must("owner"),
    may("governance"),
    may("evidence"),
    may("trust"),
    must("dependencies"),
    may("terms"),
    may("amends"),
    must("process"),
    must("portability"),
    may("approvals"),
    may("exceptions"),
    in_section("source"),
    in_section("target"),
    in_section("import"),
    in_section("quiesce"),
    in_section("transfer"),
    in_section("validate"),
    in_section("accept_loss"),
    in_section("cutover"),
    in_section("decommission"),
    in_section("rollback"),
];
/// The keys of a plan that writes its phases out itself.
pub(super) const PHASES: &[Key] = &[
    must("carnet"),
    must("migration"),
    must("owner"),
    may("governance"),
    may("evidence"),
    may("trust"),
    may("dependencies"),
    may("terms"),
    may("amends"),
    may("approvals"),
    may("exceptions"),
    may("programme"),
    must("phases"),
    may("rollback"),
    Key { name: "portability", need: Need::Other(Elsewhere::Crossing) },
    other("source"),
    other("target"),
    other("process"),
    other("import"),
    other("quiesce"),
    other("transfer"),
    other("validate"),
    other("accept_loss"),
    other("cutover"),
    other("decommission"),
];
pub(super) const PHASE: &[Key] = &[
    must("name"),
    may("does"),
    may("phase_id"),
    may("on_failure"),
    may("posture"),
    may("evidence"),
    may("entry"),
    may("steps"),
    must("exit"),
];
pub(super) const GATE_LEVEL: &[Key] = &[
    must("name"),
    must("does"),
    must("phase_id"),
    must("gate_level"),
    may("evidence"),
    must("entry"),
    must("exit"),
];
pub(super) const POSTURE: &[Key] = &[must("retry"), must("says")];
pub(super) const EVIDENCE_CONTRACT: &[Key] = &[must("path"), must("form")];
pub(super) const STEP: &[Key] = &[
    must("name"),
    must("capability"),
    may("with"),
    may("undo"),
    may("freeze"),
    may("unfreeze"),
    may("does"),
    may("after"),
];
pub(super) const GATE: &[Key] = &[
    must("gate"),
    may("name"),
    may("with"),
    may("age_max"),
    may("sample_min"),
    may("does"),
    may("after"),
];
pub(super) const CHOICE: &[Key] =
    &[must("choice"), must("branches"), must("otherwise"), may("does"), may("after")];
pub(super) const BRANCH: &[Key] = &[must("name"), must("when")];
pub(super) const WHEN: &[Key] = &[must("gate"), may("with"), may("age_max"), may("sample_min")];
pub(super) const WAIT: &[Key] = &[must("wait"), may("name"), may("does"), may("after")];
pub(super) const WAIT_UNTIL: &[Key] = &[must("wait_until"), may("name"), may("does"), may("after")];
pub(super) const MESSAGE: &[Key] = &[must("message"), may("name"), may("does"), may("after")];
pub(super) const ASK: &[Key] = &[must("approval"), may("name"), may("does"), may("after")];
pub(super) const COMMIT: &[Key] = &[must("commit"), may("name"), may("does"), may("after")];
pub(super) const UNDO_BY: &[Key] = &[must("capability"), may("with")];
pub(super) const UNDO_REFUSED: &[Key] = &[must("refused"), must("approval")];
pub(super) const APPROVAL: &[Key] =
    &[must("any_of"), may("count"), may("not"), may("expires"), may("assurance")];
pub(super) const EXCEPTION: &[Key] = &[
    must("gate"),
    must("label"),
    must("owner"),
    must("reason"),
    must("expires_at"),
    must("approval"),
];
pub(super) const ROLLBACK: &[Key] = &[
    must("phases"),
    later("window", "for how long a return must be possible"),
    later("time_max", "how long a return may take"),
    later("requires_rehearsal", "how fresh the last rehearsal of the return must be"),
];
pub(super) const GOVERNANCE: &[Key] =
    &[may("jurisdiction"), may("classification"), may("retention")];
pub(super) const EVIDENCE: &[Key] =
    &[may("profile"), may("tenant"), may("hash_profile"), may("signer"), may("create_signer")];
pub(super) const SIDE: &[Key] = &[must("name"), must("knowledge")];
pub(super) const SOURCE_KNOWLEDGE: &[Key] = &[
    must("store"),
    may("artifacts"),
    may("collections"),
    may("layout"),
    may("columns"),
    may("drop"),
];
pub(super) const TARGET_KNOWLEDGE: &[Key] = &[must("store"), may("artifacts"), may("index")];
pub(super) const STATED: &[Key] =
    &[may("metric"), may("normalisation"), may("embedding_model"), may("index")];
pub(super) const EMBEDDING_MODEL: &[Key] = &[must("name"), may("revision")];
pub(super) const INDEX: &[Key] = &[must("kind"), may("parameters")];
pub(super) const COLUMNS: &[Key] = &[
    must("id"),
    must("vector"),
    may("metadata"),
    may("version"),
    may("source_hash"),
    may("created_ts"),
    may("updated_ts"),
];
pub(super) const IMPORT: &[Key] = &[may("mode")];
pub(super) const QUIESCE: &[Key] = &[must("flag")];
pub(super) const TRANSFER: &[Key] = &[must("inbox")];
pub(super) const VALIDATE: &[Key] = &[may("queries"), may("k"), may("tolerance")];
pub(super) const CUTOVER: &[Key] = &[
    must("switch"),
    later("window", "the hours in which the cutover may start"),
    later("hold_max", "the longest time for which writes are held"),
];
pub(super) const SWITCH: &[Key] = &[must("env_file"), must("key"), may("value")];
pub(super) const DECOMMISSION: &[Key] = &[must("archive")];

/// All tables.
const ALL: [&[Key]; 39] = [
    DOCUMENT,
    KNOWLEDGE,
    CROSSING,
    PHASES,
    GOVERNANCE,
    EVIDENCE,
    SIDE,
    SOURCE_KNOWLEDGE,
    TARGET_KNOWLEDGE,
    STATED,
    EMBEDDING_MODEL,
    INDEX,
    COLUMNS,
    IMPORT,
    QUIESCE,
    TRANSFER,
    VALIDATE,
    CUTOVER,
    SWITCH,
    DECOMMISSION,
    PHASE,
    GATE_LEVEL,
    POSTURE,
    EVIDENCE_CONTRACT,
    STEP,
    GATE,
    CHOICE,
    BRANCH,
    WHEN,
    WAIT,
    WAIT_UNTIL,
    MESSAGE,
    ASK,
    COMMIT,
    UNDO_BY,
    UNDO_REFUSED,
    APPROVAL,
    EXCEPTION,
    ROLLBACK,
];

/// The table with exactly these keys, but for those of a later build; empty if there is none.
pub(super) fn table_of(names: &[&str]) -> &'static [Key] {
    let fits = |table: &&[Key]| {
        let mut known = table.iter().filter(|key| key.need.is_usable());
        known.clone().count() == names.len() && known.all(|key| names.contains(&key.name))
    };
    ALL.into_iter().find(fits).unwrap_or_default()
}
