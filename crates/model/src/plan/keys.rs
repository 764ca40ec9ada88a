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
}

const fn must(name: &'static str) -> Key {
    Key { name, need: Need::Must }
}

const fn may(name: &'static str) -> Key {
    Key { name, need: Need::May }
}

const fn later(name: &'static str, what: &'static str) -> Key {
    Key { name, need: Need::Later(what) }
}

pub(super) const DOCUMENT: &[Key] = &[
    must("carnet"),
    must("migration"),
    must("owner"),
    may("governance"),
    may("evidence"),
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
    later("approvals", "who must approve a phase before it starts"),
    later("rollback", "how long and how fast a return must be possible, and its rehearsal"),
    later("exceptions", "rules that are set aside until a date"),
    later("phases", "phases written out in the plan instead of a built-in process"),
    later("amends", "the plan that this one amends"),
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
const ALL: [&[Key]; 17] = [
    DOCUMENT,
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
];

/// The table with exactly these keys, but for those of a later build; empty if there is none.
pub(super) fn table_of(names: &[&str]) -> &'static [Key] {
    let fits = |table: &&[Key]| {
        let mut known = table.iter().filter(|key| !matches!(key.need, Need::Later(_)));
        known.clone().count() == names.len() && known.all(|key| names.contains(&key.name))
    };
    ALL.into_iter().find(fits).unwrap_or_default()
}
