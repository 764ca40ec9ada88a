//! What a plan that moves a knowledge base gets wrong about it.

use carnet_document::{Code, Diagnostic, Masked, Span};

use crate::contract::IndexSpec;
use crate::loss::LossName;
use crate::plan::document::Document;
use crate::plan::knowledge::{ImportMode, Knowledge, Layout};
use crate::plan::nearest::nearest;
use crate::plan::place::Place;
use crate::plan::tree::Tree;
use crate::plan::written::WrittenPath;
use crate::store_url::StoreUrl;

const SOURCE: [&str; 2] = ["source", "knowledge"];
const TARGET: [&str; 2] = ["target", "knowledge"];

/// The folders of artifacts that travel.
const ARTIFACT_FOLDERS: [&str; 6] = ["bpmn", "prompts", "patterns", "examples", "domains", "logs"];

/// All findings, errors and warnings.
pub(super) fn check(document: &Document, knowledge: &Knowledge, tree: &Tree) -> Vec<Diagnostic> {
    let mut check = Check { document, knowledge, tree, findings: Vec::new() };
    check.stores();
    check.passwords();
    check.switch_value();
    check.tables();
    check.target_index();
    check.artifacts();
    check.places();
    check.import();
    check.findings
}

struct Check<'a> {
    document: &'a Document,
    knowledge: &'a Knowledge,
    tree: &'a Tree,
    findings: Vec<Diagnostic>,
}

impl Check<'_> {
    fn conflict(&mut self, span: Span, message: impl AsRef<str>, remedy: &str) {
        self.findings.push(Diagnostic::error(Code::PLAN_CONFLICT, span, message, remedy));
    }

    fn source_at(&self, keys: &[&str]) -> Span {
        self.tree.at(&[&SOURCE, keys].concat())
    }

    fn target_at(&self, keys: &[&str]) -> Span {
        self.tree.at(&[&TARGET, keys].concat())
    }

    fn source_url(&self) -> &StoreUrl {
        self.knowledge.source.knowledge.store.url()
    }

    fn target_url(&self) -> &StoreUrl {
        self.knowledge.target.knowledge.store.url()
    }

    fn stores(&mut self) {
        let at = self.target_at(&["store"]);
        if matches!(self.target_url(), StoreUrl::Snapshot(_)) {
            let remedy = "choose faiss:, sqlite: or postgres: as the target";
            self.conflict(at, "the target is a snapshot, which is never written to", remedy);
        } else if same_store(self.source_url(), self.target_url()) {
            let shown = self.knowledge.target.knowledge.store.to_string();
            let source = self.source_at(&["store"]);
            let finding = Diagnostic::error(
                Code::PLAN_CONFLICT,
                at,
                "source and target are the same place",
                "give the target a folder, file or table of its own",
            );
            self.findings.push(finding.with_value(&shown).with_related(source, "the source"));
        }
    }

    fn passwords(&mut self) {
        let sides = [(self.source_url(), SOURCE), (self.target_url(), TARGET)];
        let held = sides.map(|(url, side)| match url {
            StoreUrl::Postgres(url) if url.has_password() => {
                Some(self.tree.at(&[side[0], side[1], "store"]))
            }
            StoreUrl::Postgres(_)
            | StoreUrl::Faiss(_)
            | StoreUrl::Sqlite(_)
            | StoreUrl::Snapshot(_) => None,
        });
        for at in held.into_iter().flatten() {
            self.findings.push(Diagnostic::warning(
                Code::PLAN_PASSWORD,
                at,
                "a password stands in the plan",
                "take it out and set PGPASSWORD, or write a password file (~/.pgpass)",
            ));
        }
    }

    /// What is switched to is recorded in the evidence as it is written.
    fn switch_value(&mut self) {
        let Some(cutover) = &self.knowledge.cutover else { return };
        if Masked::of(&cutover.switch.value).hides() {
            self.findings.push(Diagnostic::error(
                Code::PLAN_PASSWORD,
                self.tree.at(&["cutover", "switch", "value"]),
                "a password stands in the value, which the evidence records",
                "take it out; let the reader of the variable have it from a file of its own",
            ));
        }
    }

    /// `layout`, `columns` and `drop` of the source.
    fn tables(&mut self) {
        let knowledge = &self.knowledge.source.knowledge;
        let postgres = matches!(self.source_url(), StoreUrl::Postgres(_));
        let written = [
            ("layout", knowledge.layout.is_some()),
            ("columns", knowledge.columns.is_some()),
            ("drop", !knowledge.drop.is_empty()),
        ];
        if !postgres {
            for (key, _) in written.into_iter().filter(|(_, written)| *written) {
                let kind = self.source_url().kind();
                let message = format!("`{key}` is for tables, and the source is {kind}");
                let at = self.source_at(&[key]);
                self.conflict(at, message, "take the key out");
            }
            return;
        }
        match (knowledge.layout, &knowledge.columns) {
            (Some(Layout::Columns), None) => {
                let remedy = "add `columns: {id: …, vector: …}`";
                self.conflict(self.source_at(&["layout"]), "the columns are not named", remedy);
            }
            (Some(Layout::Carnet | Layout::LangChain | Layout::LlamaIndex) | None, Some(_)) => {
                let remedy = "write `layout: columns`, or take `columns` out";
                let at = self.source_at(&["columns"]);
                self.conflict(at, "`columns` without `layout: columns`", remedy);
            }
            (Some(Layout::Columns), Some(_)) | (_, None) => {}
        }
        self.columns();
    }

    /// Each column has one meaning.
    fn columns(&mut self) {
        let knowledge = &self.knowledge.source.knowledge;
        let Some(columns) = &knowledge.columns else { return };
        let mut named = vec![("id", columns.id.as_str()), ("vector", columns.vector.as_str())];
        let others = [
            ("metadata", &columns.metadata),
            ("version", &columns.version),
            ("source_hash", &columns.source_hash),
            ("created_ts", &columns.created_ts),
            ("updated_ts", &columns.updated_ts),
        ];
        named.extend(others.iter().filter_map(|(key, name)| Some((*key, name.as_deref()?))));
        for (index, (key, name)) in named.iter().enumerate() {
            let at = self.source_at(&["columns", key]);
            let earlier = named.iter().take(index).find(|(_, other)| other == name);
            if let Some((earlier, _)) = earlier {
                let message = format!("the column {name} is both `{earlier}` and `{key}`");
                self.conflict(at, message, "name another column, or take one of the two out");
            }
            if knowledge.drop.iter().any(|dropped| dropped.as_str() == *name) {
                let message = format!("the column {name} is both `{key}` and under `drop`");
                self.conflict(at, message, "take it out of one of the two");
            }
        }
    }

    /// The index that the target is to have, and its parameters.
    fn target_index(&mut self) {
        let Some(index) = &self.knowledge.target.knowledge.index else { return };
        let url = self.target_url();
        let kinds = index_kinds(url);
        if !kinds.contains(&index.kind.as_str()) {
            let at = self.target_at(&["index", "kind"]);
            let message = format!("{} has no index of the kind {}", url.kind(), index.kind);
            let remedy = match nearest(&index.kind, kinds.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("write one of {}", kinds.join(", ")),
            };
            let finding = Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy);
            self.findings.push(finding.with_value(&index.kind));
            return;
        }
        self.index_parameters(index);
    }

    fn index_parameters(&mut self, index: &IndexSpec) {
        let known = index_parameters(&index.kind);
        for (name, number) in &index.parameters {
            let keys = [TARGET[0], TARGET[1], "index", "parameters", name];
            let at = self.tree.at(&keys);
            let finding = match known.iter().find(|(known, _, _)| known == name) {
                None => {
                    let names: Vec<&str> = known.iter().map(|(name, _, _)| *name).collect();
                    let remedy = match nearest(name, names.iter().copied()) {
                        Some(meant) => format!("did you mean {meant}?"),
                        None if names.is_empty() => "take it out".to_owned(),
                        None => format!("the parameters are {}", names.join(", ")),
                    };
                    let message = format!("the index {} has no parameter {name}", index.kind);
                    Diagnostic::error(Code::PLAN_CONFLICT, self.tree.key_at(&keys), message, remedy)
                }
                Some((_, low, high)) if !(*low..=*high).contains(number) => {
                    let message = format!("the parameter {name} is out of range");
                    let remedy = format!("write a number from {low} to {high}");
                    Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy)
                        .with_value(&number.to_string())
                }
                Some(_) => continue,
            };
            self.findings.push(finding);
        }
        let parameter = |name: &str, plain| index.parameters.get(name).copied().unwrap_or(plain);
        let (m, ef) = (parameter("m", 16), parameter("ef_construction", 64));
        if index.kind == "hnsw" && (2..=100).contains(&m) && ef < 2 * m {
            let at = self.target_at(&["index", "parameters"]);
            let message = format!("ef_construction is {ef}, less than twice m ({m})");
            self.conflict(at, message, "raise ef_construction, or lower m");
        }
    }

    fn artifacts(&mut self) {
        let source = self.knowledge.source.knowledge.artifacts.as_ref();
        let target = self.knowledge.target.knowledge.artifacts.as_ref();
        let waived = self.knowledge.accept_loss.contains(&LossName::Artifacts);
        match (source, target) {
            (Some(_), None) if !waived => {
                let remedy =
                    "add `artifacts` to `target.knowledge`, or accept the loss `artifacts`";
                let at = self.source_at(&["artifacts"]);
                self.conflict(at, "the artifacts have no place on the target side", remedy);
            }
            (None, Some(_)) => {
                let remedy = "add `artifacts` to `source.knowledge`, or take it out here";
                let at = self.target_at(&["artifacts"]);
                self.conflict(at, "no artifacts are read on the source side", remedy);
            }
            (Some(source), Some(target)) => {
                let (from, to) = (Place::of(source.as_str()), Place::of(target.as_str()));
                if from == to {
                    let at = self.target_at(&["artifacts"]);
                    let remedy = "give the target a folder of its own";
                    self.conflict(at, "source and target have the same artifact folder", remedy);
                }
            }
            (Some(_) | None, None) => {}
        }
    }

    /// Files and folders that the run makes: each of its own, and none where the source is read.
    fn places(&mut self) {
        let knowledge = self.knowledge;
        let made = [
            (["quiesce", "flag"].as_slice(), knowledge.quiesce.as_ref().map(|it| &it.flag)),
            (&["transfer", "inbox"], knowledge.transfer.as_ref().map(|it| &it.inbox)),
            (
                &["cutover", "switch", "env_file"],
                knowledge.cutover.as_ref().map(|it| &it.switch.env_file),
            ),
            (&["decommission", "archive"], knowledge.decommission.as_ref().map(|it| &it.archive)),
            // A private key must not travel with what moves.
            (&["evidence", "signer"], self.document.evidence.signer.as_ref()),
        ];
        let mut earlier: Vec<(Place, String)> = Vec::new();
        let (read, written) = (self.read_places(), self.written_places());
        for (keys, path) in made {
            let Some(path) = path else { continue };
            let (place, name) = (Place::of(path.as_str()), keys.join("."));
            let at = self.tree.at(keys);
            if let Some((_, other)) = earlier.iter().find(|(other, _)| *other == place) {
                let message = format!("`{name}` and `{other}` are the same place");
                self.conflict(at, message, "give each a path of its own");
            }
            if read.iter().any(|read| read.holds(&place)) {
                let message = format!("`{name}` lies inside the source");
                self.conflict(at, message, "choose a place that is not part of what moves");
            } else if written.iter().any(|written| written.holds(&place)) {
                let message = format!("`{name}` lies inside the target");
                self.conflict(at, message, "choose a place that is not part of what is written");
            }
            earlier.push((place, name));
        }
    }

    /// The places whose content is read. A FAISS folder counts with its collections; other folders
    /// beside `index.faiss` do not belong to it.
    fn read_places(&self) -> Vec<Reach> {
        let artifacts = self.knowledge.source.knowledge.artifacts.as_ref();
        reach(self.source_url(), artifacts.map(WrittenPath::as_str))
    }

    fn written_places(&self) -> Vec<Reach> {
        let artifacts = self.knowledge.target.knowledge.artifacts.as_ref();
        reach(self.target_url(), artifacts.map(WrittenPath::as_str))
    }

    fn import(&mut self) {
        let columns = self.knowledge.source.knowledge.columns.as_ref();
        let unversioned = columns.is_some_and(|columns| columns.version.is_none());
        match self.knowledge.import.mode {
            ImportMode::Upsert if unversioned => {
                let remedy =
                    "name the column under `columns.version`, or import with `mode: append`";
                let at = self.tree.at(&["import", "mode"]);
                self.conflict(at, "upsert compares versions, and no column holds them", remedy);
            }
            ImportMode::Replace => self.findings.push(Diagnostic::warning(
                Code::PLAN_CONFLICT,
                self.tree.at(&["import", "mode"]),
                "replace removes the records that the target has and the source has not",
                "keep it if the target's own records are not needed; else write append or upsert",
            )),
            ImportMode::Append | ImportMode::Upsert => {}
        }
    }
}

/// What a store and its artifacts reach: exact places, and folders with all below them.
enum Reach {
    Exactly(Place),
    Below(Place),
}

impl Reach {
    fn holds(&self, place: &Place) -> bool {
        match self {
            Self::Exactly(held) => held == place,
            Self::Below(held) => place.is_within(held),
        }
    }
}

fn reach(url: &StoreUrl, artifacts: Option<&str>) -> Vec<Reach> {
    let mut reach = Vec::new();
    match url {
        StoreUrl::Faiss(path) => {
            let place = Place::of_path(path);
            reach.push(Reach::Below(place.join("collections")));
            let files = ["index.faiss", "metadata.parquet", "metadata.sqlite", "collection.json"];
            reach.extend(files.map(|file| Reach::Exactly(place.join(file))));
            reach.push(Reach::Exactly(place));
        }
        StoreUrl::Sqlite(path) => reach.push(Reach::Exactly(Place::of_path(path))),
        StoreUrl::Snapshot(path) => reach.push(Reach::Below(Place::of_path(path))),
        StoreUrl::Postgres(_) => {}
    }
    if let Some(artifacts) = artifacts {
        let place = Place::of(artifacts);
        reach.extend(ARTIFACT_FOLDERS.map(|folder| Reach::Below(place.join(folder))));
        reach.push(Reach::Exactly(place));
    }
    reach
}

/// Whether two URLs name the same collections.
fn same_store(source: &StoreUrl, target: &StoreUrl) -> bool {
    match (source, target) {
        (StoreUrl::Faiss(a), StoreUrl::Faiss(b)) | (StoreUrl::Sqlite(a), StoreUrl::Sqlite(b)) => {
            Place::of_path(a) == Place::of_path(b)
        }
        (StoreUrl::Postgres(a), StoreUrl::Postgres(b)) => {
            let shared = a.tables.is_empty()
                || b.tables.is_empty()
                || a.tables.iter().any(|table| b.tables.contains(table));
            a.database() == b.database() && shared
        }
        (
            StoreUrl::Faiss(_)
            | StoreUrl::Sqlite(_)
            | StoreUrl::Postgres(_)
            | StoreUrl::Snapshot(_),
            _,
        ) => false,
    }
}

/// The index kinds that a store can be given; the first is what it has without one.
fn index_kinds(url: &StoreUrl) -> &'static [&'static str] {
    match url {
        StoreUrl::Postgres(_) => &["flat", "hnsw", "ivf_flat"],
        StoreUrl::Faiss(_) | StoreUrl::Sqlite(_) | StoreUrl::Snapshot(_) => &["flat"],
    }
}

/// The parameters of an index kind with their lowest and highest value (those of pgvector).
fn index_parameters(kind: &str) -> &'static [(&'static str, i64, i64)] {
    match kind {
        "hnsw" => &[("m", 2, 100), ("ef_construction", 4, 1_000)],
        "ivf_flat" => &[("lists", 1, 32_768)],
        _ => &[],
    }
}
