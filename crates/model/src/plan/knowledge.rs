//! What a plan of `knowledge/v1` says about the knowledge base that moves, after defaults.

use std::collections::{BTreeMap, BTreeSet};

use carnet_ledger::Family;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::written::{ColumnName, Label, VariableName, WrittenPath, WrittenStore};
use crate::contract::{EmbeddingModel, IndexSpec, Metric, Normalisation};
use crate::decimal::Decimal;
use crate::layout::{ColumnMap, TableLayout};
use crate::loss::LossName;
use crate::name::CollectionName;

/// A knowledge base that moves: from where to where, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Knowledge {
    /// Where the knowledge is.
    pub source: Source,
    /// Where it goes.
    pub target: Target,
    /// The process that is run.
    pub process: Process,
    /// How records enter a target that is not empty.
    #[schemars(default)]
    pub import: Import,
    /// How writers are asked to pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiesce: Option<Quiesce>,
    /// Where the snapshot arrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// How searches on both sides are compared.
    #[schemars(default)]
    pub validate: Validate,
    /// What may be lost, by name. Everything else that the target cannot hold stops the run.
    #[schemars(default)]
    pub accept_loss: BTreeSet<LossName>,
    /// What points readers at the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutover: Option<Cutover>,
    /// What happens to the snapshot afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decommission: Option<Decommission>,
}

/// The built-in processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Process {
    /// A knowledge base in nine phases.
    #[serde(rename = "knowledge/v1")]
    KnowledgeV1,
    /// A workload, data or evidence in a bundle, in seven phases.
    #[serde(rename = "portability/v1")]
    PortabilityV1,
}

impl Process {
    /// The families of evidence that a run of it and an export write.
    pub const fn families(self) -> &'static [Family] {
        match self {
            Self::KnowledgeV1 | Self::PortabilityV1 => {
                &[Family::Auth, Family::Pol, Family::Evid, Family::Exit, Family::Dep]
            }
        }
    }
}

/// The environment that the knowledge leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Source {
    /// The environment's name, such as lab.
    pub name: Label,
    /// Its knowledge.
    pub knowledge: SourceKnowledge,
}

/// The environment that the knowledge enters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Target {
    /// The environment's name, such as prod.
    pub name: Label,
    /// Its knowledge.
    pub knowledge: TargetKnowledge,
}

/// The store and the artifacts that are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SourceKnowledge {
    /// faiss:DIR, sqlite:FILE, snapshot:DIR or postgres://USER@HOST:PORT/DB?table=NAME.
    pub store: WrittenStore,
    /// A folder with bpmn/, prompts/, patterns/, examples/, domains/ and logs/.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<WrittenPath>,
    /// The collections that move, each with what the store itself does not declare; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<CollectionsSchema>")]
    pub collections: Option<BTreeMap<CollectionName, Stated>>,
    /// How the tables are laid out (postgres).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Which column holds what, with `layout: columns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<ColumnMap>,
    /// Columns that are left behind (postgres).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[schemars(default)]
    pub drop: BTreeSet<ColumnName>,
}

impl SourceKnowledge {
    /// How the tables of a PostgreSQL source are laid out; Carnet's own if nothing is said.
    pub fn table_layout(&self) -> TableLayout {
        match (self.layout, &self.columns) {
            (Some(Layout::LangChain), _) => TableLayout::LangChain,
            (Some(Layout::LlamaIndex), _) => TableLayout::LlamaIndex,
            (Some(Layout::Columns), Some(columns)) => TableLayout::Columns(columns.clone()),
            (Some(Layout::Columns | Layout::Carnet) | None, _) => TableLayout::Carnet,
        }
    }
}

/// The shape of `collections` in the schema: [`CollectionName`] keys a map, which schemas write as
/// a pattern.
#[derive(JsonSchema)]
#[schemars(
    inline,
    extend("minProperties" = 1, "propertyNames" = { "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$" })
)]
#[expect(dead_code, reason = "only its schema is used")]
struct CollectionsSchema(BTreeMap<String, Stated>);

/// What the plan states about a collection of a store that does not say it itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Stated {
    /// How vectors are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Whether vectors were scaled before they were stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// The model that made the vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<EmbeddingModel>,
    /// The search index that the source has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexSpec>,
}

/// How the tables of a PostgreSQL source are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Layout {
    /// Tables made by Carnet.
    Carnet,
    /// Tables made by LangChain.
    #[serde(rename = "langchain")]
    LangChain,
    /// Tables made by LlamaIndex.
    #[serde(rename = "llamaindex")]
    LlamaIndex,
    /// Other tables: `columns` says which column holds what.
    Columns,
}

/// The store and the artifacts that are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TargetKnowledge {
    /// faiss:DIR, sqlite:FILE or postgres://USER@HOST:PORT/DB?table=NAME.
    pub store: WrittenStore,
    /// The folder that takes the artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<WrittenPath>,
    /// The search index that is built after the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexSpec>,
}

/// How records enter a target that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Import {
    /// The import mode.
    #[schemars(default)]
    pub mode: ImportMode,
}

/// What happens to the records that the target already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ImportMode {
    /// They stay; an id that is on both sides with other content stops the run.
    #[default]
    Append,
    /// They go; the target then holds what the source holds.
    Replace,
    /// They stay, but a higher version from the source wins.
    Upsert,
}

impl ImportMode {
    /// The word in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Upsert => "upsert",
        }
    }
}

/// How writers are asked to pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Quiesce {
    /// A file that exists from before the source is read until after the cutover.
    pub flag: WrittenPath,
}

/// Where the snapshot arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Transfer {
    /// A folder on the target side.
    pub inbox: WrittenPath,
}

/// How searches on both sides are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Validate {
    /// How many searches are compared per collection.
    #[schemars(default = "queries_default", range(min = 1, max = 10_000))]
    pub queries: u32,
    /// How many nearest records each search returns.
    #[schemars(default = "k_default", range(min = 1, max = 1_000))]
    pub k: u32,
    /// How far two distances may lie apart and still be equal, relative to the larger of 1 and the
    /// distance; a decimal fraction in quotes, below 1.
    #[schemars(
        default = "tolerance_default",
        extend("pattern" = "^(0(\\.[0-9]+)?|[0-9](\\.[0-9]+)?[eE]-[0-9]+)$")
    )]
    pub tolerance: Decimal,
}

/// What points readers at the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Cutover {
    /// The switch.
    pub switch: Switch,
}

/// One variable in an environment file, replaced atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Switch {
    /// The environment file.
    pub env_file: WrittenPath,
    /// The variable in it.
    pub key: VariableName,
    /// Its new value; the target's store URL without password if nothing is said.
    #[schemars(with = "Option<SwitchValue>")]
    pub value: String,
}

/// The shape of a switch's value in the schema.
#[derive(JsonSchema)]
#[schemars(inline, extend("pattern" = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"))]
#[expect(dead_code, reason = "only its schema is used")]
struct SwitchValue(String);

/// What happens to the snapshot afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Decommission {
    /// The folder in which the snapshot is kept, read-only.
    pub archive: WrittenPath,
}

impl Default for Validate {
    fn default() -> Self {
        Self { queries: queries_default(), k: k_default(), tolerance: tolerance_default() }
    }
}

/// 20 searches, as the strategy for knowledge portability asks.
pub(super) const fn queries_default() -> u32 {
    20
}

/// The five nearest.
pub(super) const fn k_default() -> u32 {
    5
}

/// A hundred-thousandth: the rounding of single-precision sums over a thousand dimensions.
pub(super) fn tolerance_default() -> Decimal {
    Decimal::new(0.000_01).unwrap_or(Decimal::ZERO)
}
