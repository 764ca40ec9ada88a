//! From the tree to the part of a plan that moves a knowledge base.

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::yaml::{Entry, Node, Value};
use carnet_document::{Code, Diagnostic};

use super::{mapping, required};
use crate::contract::{EmbeddingModel, IndexSpec, Metric, Normalisation};
use crate::decimal::Decimal;
use crate::layout::ColumnMap;
use crate::loss::LossName;
use crate::name::CollectionName;
use crate::plan::keys;
use crate::plan::knowledge::{
    Cutover, Decommission, Import, ImportMode, Knowledge, Layout, Process, Quiesce, Source,
    SourceKnowledge, Stated, Switch, Target, TargetKnowledge, Transfer, Validate,
};
use crate::plan::reader::{Fields, Reader};
use crate::plan::written::{ColumnName, Label, NotWritten, Written, WrittenStore};

pub(super) fn knowledge(reader: &mut Reader, fields: &Fields<'_>) -> Option<Knowledge> {
    let source = fields.get("source").and_then(|at| source(reader, at));
    let target = fields.get("target").and_then(|at| target(reader, at));
    let process = fields.get("process").and_then(|at| process(reader, at));
    let import = fields.get("import").and_then(|at| import(reader, at));
    let quiesce = fields.get("quiesce").and_then(|at| {
        let flag = required(reader, at, "`quiesce`", keys::QUIESCE, "flag")?;
        Some(Quiesce { flag })
    });
    let transfer = fields.get("transfer").and_then(|at| {
        let inbox = required(reader, at, "`transfer`", keys::TRANSFER, "inbox")?;
        Some(Transfer { inbox })
    });
    let validate = fields.get("validate").and_then(|at| validate(reader, at));
    let accept_loss = fields.get("accept_loss").map(|at| accept_loss(reader, at));
    let store = target.as_ref().map(|target| &target.knowledge.store);
    let cutover = fields.get("cutover").and_then(|at| cutover(reader, at, store));
    let decommission = fields.get("decommission").and_then(|at| {
        let archive = required(reader, at, "`decommission`", keys::DECOMMISSION, "archive")?;
        Some(Decommission { archive })
    });
    Some(Knowledge {
        source: source?,
        target: target?,
        process: process?,
        import: import.unwrap_or_default(),
        quiesce,
        transfer,
        validate: validate.unwrap_or_default(),
        accept_loss: accept_loss.unwrap_or_default(),
        cutover,
        decommission,
    })
}

pub(super) fn process(reader: &mut Reader, at: &Entry) -> Option<Process> {
    let later = match &at.node.value {
        Value::Text(text) if text.to_lowercase().ends_with(".bpmn") => {
            Some("a process from a BPMN file")
        }
        Value::Text(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Refused => None,
    };
    let Some(later) = later else {
        let words =
            [("knowledge/v1", Process::KnowledgeV1), ("portability/v1", Process::PortabilityV1)];
        return reader.word(at, &words);
    };
    reader.push(Diagnostic::error(
        Code::PLAN_UNSUPPORTED,
        at.node.span,
        format!("{later} cannot be run by this build"),
        "write knowledge/v1 or portability/v1, or write the phases out under `phases`",
    ));
    None
}

fn source(reader: &mut Reader, at: &Entry) -> Option<Source> {
    let fields = mapping(reader, at, "`source`", keys::SIDE)?;
    let name = fields.get("name").and_then(|at| reader.written(at));
    let knowledge = fields.get("knowledge").and_then(|at| source_knowledge(reader, at));
    Some(Source { name: name?, knowledge: knowledge? })
}

fn target(reader: &mut Reader, at: &Entry) -> Option<Target> {
    let fields = mapping(reader, at, "`target`", keys::SIDE)?;
    let name = fields.get("name").and_then(|at| reader.written(at));
    let knowledge = fields.get("knowledge").and_then(|at| target_knowledge(reader, at));
    Some(Target { name: name?, knowledge: knowledge? })
}

fn source_knowledge(reader: &mut Reader, at: &Entry) -> Option<SourceKnowledge> {
    let fields = mapping(reader, at, "`source.knowledge`", keys::SOURCE_KNOWLEDGE)?;
    let layouts = [
        ("carnet", Layout::Carnet),
        ("langchain", Layout::LangChain),
        ("llamaindex", Layout::LlamaIndex),
        ("columns", Layout::Columns),
    ];
    let store = fields.get("store").and_then(|at| reader.written(at));
    let artifacts = fields.get("artifacts").and_then(|at| reader.written(at));
    let collections = fields.get("collections").and_then(|at| collections(reader, at));
    let layout = fields.get("layout").and_then(|at| reader.word(at, &layouts));
    let columns = fields.get("columns").and_then(|at| columns(reader, at));
    let drop = fields.get("drop").map(|at| {
        let read = |reader: &mut Reader, node: &Node| {
            reader.written_of::<ColumnName>(node, at.key_span, "drop")
        };
        set(reader, at, read, ColumnName::as_str)
    });
    Some(SourceKnowledge {
        store: store?,
        artifacts,
        collections,
        layout,
        columns,
        drop: drop.unwrap_or_default(),
    })
}

fn target_knowledge(reader: &mut Reader, at: &Entry) -> Option<TargetKnowledge> {
    let fields = mapping(reader, at, "`target.knowledge`", keys::TARGET_KNOWLEDGE)?;
    let store: Option<WrittenStore> = fields.get("store").and_then(|at| reader.written(at));
    let artifacts = fields.get("artifacts").and_then(|at| reader.written(at));
    let index = fields.get("index").and_then(|at| index(reader, at));
    Some(TargetKnowledge { store: store?, artifacts, index })
}

fn collections(reader: &mut Reader, at: &Entry) -> Option<BTreeMap<CollectionName, Stated>> {
    let entries = reader.entries(&at.node, "`collections`", at.key_span)?;
    if entries.is_empty() {
        let remedy = "name a collection, or take the key out to move all of them";
        let message = "`collections` names none";
        reader.push(Diagnostic::error(Code::PLAN_VALUE, at.key_span, message, remedy));
    }
    let mut collections = BTreeMap::new();
    for entry in entries {
        if reader.is_full() {
            break;
        }
        let name = CollectionName::new(entry.key.clone());
        if name.is_err() {
            let message = "this cannot name a collection";
            let remedy = "use 1 to 63 of a-z A-Z 0-9 _ -, not starting with -";
            let finding = Diagnostic::error(Code::PLAN_VALUE, entry.key_span, message, remedy);
            reader.push(finding.with_value(&entry.key));
        }
        if let (Ok(name), Some(stated)) = (name, stated(reader, entry)) {
            collections.insert(name, stated);
        }
    }
    Some(collections)
}

fn stated(reader: &mut Reader, at: &Entry) -> Option<Stated> {
    let what = format!("the collection `{}`", at.key);
    let fields = mapping(reader, at, &what, keys::STATED)?;
    let metrics = [Metric::L2, Metric::InnerProduct, Metric::Cosine].map(|m| (m.name(), m));
    let scales = [("none", Normalisation::None), ("unit_length", Normalisation::UnitLength)];
    Some(Stated {
        metric: fields.get("metric").and_then(|at| reader.word(at, &metrics)),
        normalisation: fields.get("normalisation").and_then(|at| reader.word(at, &scales)),
        embedding_model: fields.get("embedding_model").and_then(|at| model(reader, at)),
        index: fields.get("index").and_then(|at| index(reader, at)),
    })
}

fn model(reader: &mut Reader, at: &Entry) -> Option<EmbeddingModel> {
    let fields = mapping(reader, at, "`embedding_model`", keys::EMBEDDING_MODEL)?;
    let name = fields.get("name").and_then(|at| reader.written::<Label>(at));
    let revision = fields.get("revision").and_then(|at| reader.written::<Label>(at));
    let revision = revision.map(|revision| revision.as_str().to_owned());
    Some(EmbeddingModel { name: name?.as_str().to_owned(), revision })
}

/// The largest parameter of an index; what a store takes is less.
const PARAMETER_MAX: u32 = 1_000_000_000;

fn index(reader: &mut Reader, at: &Entry) -> Option<IndexSpec> {
    let fields = mapping(reader, at, "`index`", keys::INDEX)?;
    let kind = fields.get("kind").and_then(|at| reader.written::<Label>(at));
    let mut parameters = BTreeMap::new();
    if let Some(at) = fields.get("parameters") {
        for entry in reader.entries(&at.node, "`parameters`", at.key_span).unwrap_or_default() {
            if let Some(number) = reader.number(entry, 0..=PARAMETER_MAX) {
                parameters.insert(entry.key.clone(), number.into());
            }
        }
    }
    Some(IndexSpec { kind: kind?.as_str().to_owned(), parameters })
}

fn columns(reader: &mut Reader, at: &Entry) -> Option<ColumnMap> {
    let fields = mapping(reader, at, "`columns`", keys::COLUMNS)?;
    let mut column = |key| {
        let name: Option<ColumnName> = fields.get(key).and_then(|at| reader.written(at));
        name.map(|name| name.as_str().to_owned())
    };
    let (id, vector, metadata) = (column("id"), column("vector"), column("metadata"));
    let (version, source_hash) = (column("version"), column("source_hash"));
    let (created_ts, updated_ts) = (column("created_ts"), column("updated_ts"));
    let (id, vector) = (id?, vector?);
    Some(ColumnMap { id, vector, metadata, version, source_hash, created_ts, updated_ts })
}

fn import(reader: &mut Reader, at: &Entry) -> Option<Import> {
    let fields = mapping(reader, at, "`import`", keys::IMPORT)?;
    let modes = [ImportMode::Append, ImportMode::Replace, ImportMode::Upsert];
    let words = modes.map(|mode| (mode.name(), mode));
    let mode = fields.get("mode").and_then(|at| reader.word(at, &words));
    Some(Import { mode: mode.unwrap_or_default() })
}

fn validate(reader: &mut Reader, at: &Entry) -> Option<Validate> {
    let fields = mapping(reader, at, "`validate`", keys::VALIDATE)?;
    let plain = Validate::default();
    let queries = fields.get("queries").and_then(|at| reader.number(at, 1..=10_000));
    let k = fields.get("k").and_then(|at| reader.number(at, 1..=1_000));
    let tolerance = fields.get("tolerance").and_then(|at| reader.written::<Tolerance>(at));
    Some(Validate {
        queries: queries.unwrap_or(plain.queries),
        k: k.unwrap_or(plain.k),
        tolerance: tolerance.map_or(plain.tolerance, |tolerance| tolerance.0),
    })
}

/// A decimal fraction from 0 to below 1.
struct Tolerance(Decimal);

impl Written for Tolerance {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let number = text.parse::<Decimal>().ok();
        let fits = number.filter(|number| (0.0..1.0).contains(&number.value()));
        let wrong = || {
            let must = "a decimal fraction in quotes, from 0 to below 1";
            NotWritten::new(must, "write, for example, \"0.00001\"")
        };
        fits.map(Self).ok_or_else(wrong)
    }
}

fn accept_loss(reader: &mut Reader, at: &Entry) -> BTreeSet<LossName> {
    let words = LossName::ALL.map(|name| (name.name(), name));
    let read =
        |reader: &mut Reader, node: &Node| reader.word_of(node, at.key_span, "accept_loss", &words);
    set(reader, at, read, |name| name.name())
}

/// Reads a list whose items must differ.
fn set<T: Ord>(
    reader: &mut Reader,
    at: &Entry,
    read: impl Fn(&mut Reader, &Node) -> Option<T>,
    name: impl Fn(&T) -> &str,
) -> BTreeSet<T> {
    let mut found = BTreeSet::new();
    for node in reader.list(at).unwrap_or_default() {
        if reader.is_full() {
            break;
        }
        let Some(value) = read(reader, node) else { continue };
        if found.contains(&value) {
            let message = format!("`{}` names {} twice", at.key, name(&value));
            let finding =
                Diagnostic::error(Code::PLAN_VALUE, node.span, message, "keep one of the two");
            reader.push(finding.with_value(name(&value)));
        }
        found.insert(value);
    }
    found
}

fn cutover(reader: &mut Reader, at: &Entry, store: Option<&WrittenStore>) -> Option<Cutover> {
    let fields = mapping(reader, at, "`cutover`", keys::CUTOVER)?;
    let at = fields.get("switch")?;
    let fields = mapping(reader, at, "`switch`", keys::SWITCH)?;
    let env_file = fields.get("env_file").and_then(|at| reader.written(at));
    let key = fields.get("key").and_then(|at| reader.written(at));
    let value = match fields.get("value") {
        Some(at) => reader.text(at).map(|text| (text.to_owned(), at)),
        None => None,
    };
    if let Some((text, at)) = &value
        && (text.is_empty() || text.chars().any(char::is_control))
    {
        let message = "`value` must be one line of text";
        let remedy = "write what the variable is set to";
        reader.push(Diagnostic::error(Code::PLAN_VALUE, at.node.span, message, remedy));
    }
    let value = value.map(|(text, _)| text).or_else(|| store.map(ToString::to_string));
    Some(Cutover { switch: Switch { env_file: env_file?, key: key?, value: value? } })
}
