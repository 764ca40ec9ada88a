//! What gates look at. Judging is the model's affair; here is only looking.

mod approval;
pub(crate) mod outside;
mod parity;
mod reread;

pub use outside::{Surroundings, evaluate_outside, supply_chain_of};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use carnet_ledger::Object;
use carnet_model::gate::{
    self, Definition, Evaluation, Facts, Observation, Rule, artifact_checksums, checksums,
    content_root, contract, count, dimensions, losses, schema_version,
};
use carnet_model::plan::PhaseName;
use carnet_model::{CollectionContract, CollectionName};

use crate::capability::legacy;
use crate::error::StepError;
use crate::step::look::{SourceSeen, TargetSeen};
use crate::step::read_back::BackSeen;
use crate::step::{ArrivedSeen, Context, ExportSeen, artifact_digests, import, integer_of};

/// Looks, and judges what was seen together with its damaged copies. Gives the evaluation and the
/// observation.
pub(crate) fn evaluate(
    cx: &Context<'_>,
    phase: &str,
    definition: &Definition,
    dry_run: bool,
) -> (Evaluation, Option<Observation>) {
    // Nobody approves of a run that only shows what would happen.
    let asks_people = definition.gate() == gate::Gate::Approval;
    if dry_run && (asks_people || phase != PhaseName::Prepare.name()) {
        let reason = "a dry run makes nothing that could be looked at";
        return (Evaluation::not_run(definition, reason), None);
    }
    evaluate_now(cx, definition)
}

/// The same wherever the gate stands, and looking for real.
pub(crate) fn evaluate_now(
    cx: &Context<'_>,
    definition: &Definition,
) -> (Evaluation, Option<Observation>) {
    match observe(cx, definition) {
        Ok(seen) => {
            let Seen { observation, reread } = seen;
            let evaluation = gate::evaluate(definition, &observation, cx.now_us(), &reread);
            (evaluation, Some(observation))
        }
        Err(error) => (failed(definition, &error), None),
    }
}

/// The evaluation of an observation that could not be made.
fn failed(definition: &Definition, error: &StepError) -> Evaluation {
    let remedy = error.remedy.as_deref().unwrap_or("remove the cause and run the plan again");
    Evaluation::error(definition, error.told(), remedy)
}

/// What was seen, and the same after damage to the very content, taken through the same digest.
struct Seen {
    observation: Observation,
    reread: Vec<(&'static str, Observation)>,
}

impl Seen {
    fn at(observed_at_us: i64, facts: Facts) -> Self {
        Self { observation: Observation::new(observed_at_us, facts), reread: Vec::new() }
    }
}

fn observe(cx: &Context<'_>, definition: &Definition) -> Result<Seen, StepError> {
    match &definition.rule {
        Rule::Contract(rule) if !rule.sides.contains(&contract::Side::Snapshot) => {
            contract_before(cx)
        }
        Rule::Contract(_) => contract_after(cx),
        Rule::Losses(_) => would_be_lost(cx),
        Rule::SchemaVersion(_) => {
            let arrived: ArrivedSeen = cx.seen("verify/rehash_snapshot")?;
            let subject = "the snapshot".to_owned();
            let version = arrived.schema_version;
            let subjects = vec![schema_version::Versioned { subject, version }];
            let facts = Facts::SchemaVersion(schema_version::Facts { subjects });
            Ok(Seen::at(arrived.observed_at_us, facts))
        }
        Rule::Checksums(_) => {
            let arrived: ArrivedSeen = cx.seen("verify/rehash_snapshot")?;
            let facts = Facts::Checksums(checksums::Facts { files: arrived.files });
            Ok(Seen::at(arrived.observed_at_us, facts))
        }
        Rule::Dimensions(_) => lengths(cx),
        Rule::Count(_) => counts(cx),
        Rule::ContentRoot(_) => roots(cx),
        Rule::QueryParity(rule) => {
            let facts = parity::search(cx, rule)?;
            Ok(Seen::at(cx.now_us(), Facts::QueryParity(facts)))
        }
        Rule::ArtifactChecksums(_) => artifacts(cx),
        Rule::Command(_)
        | Rule::File(_)
        | Rule::Object(_)
        | Rule::Digest(_)
        | Rule::Sql(_)
        | Rule::Rows(_)
        | Rule::Http(_)
        | Rule::Tcp(_)
        | Rule::TlsExpiry(_)
        | Rule::Lag(_)
        | Rule::Claims(_)
        | Rule::SupplyChain(_)
        | Rule::Authority(_)
        | Rule::RunEvidence(_)
        | Rule::RunAgreement(_)
        | Rule::Certification(_)
        | Rule::Handles(_)
        | Rule::Image(_)
        | Rule::Terraform(_)
        | Rule::Topics(_)
        | Rule::ConsumerLag(_)
        | Rule::RegistryTag(_)
        | Rule::Services(_)
        | Rule::Budget(_)
        | Rule::SecretsAbsent(_) => {
            let written = serde_json::to_value(definition).unwrap_or_default();
            legacy::refuse(cx.plan, cx.folder, &written)?;
            let observation = outside::look(&around(cx), &definition.rule)?;
            Ok(Seen { observation, reread: Vec::new() })
        }
        Rule::Policy(rule) => {
            let (mut facts, evaluation) = outside::rules::ask(&around(cx), rule)?;
            facts.evaluation = Some(cx.recorder.put_json(&evaluation)?);
            Ok(Seen::at(cx.now_us(), Facts::Policy(facts)))
        }
        Rule::Term(_) => {
            let facts = outside::clock(cx.now_us(), cx.recorder.last_event_s());
            Ok(Seen::at(cx.now_us(), Facts::Term(facts)))
        }
        Rule::Approval(rule) => Ok(Seen::at(cx.now_us(), approval::given(cx, definition, rule)?)),
    }
}

fn around<'a>(cx: &Context<'a>) -> Surroundings<'a> {
    Surroundings { folder: cx.folder, outside: cx.outside, clock: cx.clock }
}

fn statement(side: contract::Side, by: &str, from: &CollectionContract) -> contract::Statement {
    contract::Statement {
        side,
        by: by.to_owned(),
        metric: from.metric,
        normalisation: from.normalisation,
        embedding_model: from.embedding_model.clone(),
    }
}

/// What the source's store and the plan say about the source's collections.
fn source_statements(
    cx: &Context<'_>,
    source: &SourceSeen,
) -> Result<Vec<contract::Declared>, StepError> {
    let stated = cx.knowledge()?.source.knowledge.collections.as_ref();
    let declared = source.collections.iter().map(|collection| {
        let name = &collection.digest.name;
        let side = contract::Side::Source;
        let mut statements = vec![statement(side, "store", &collection.declared)];
        if let Some(stated) = stated.and_then(|stated| stated.get(name)) {
            statements.push(contract::Statement {
                side,
                by: "plan".to_owned(),
                metric: stated.metric,
                normalisation: stated.normalisation,
                embedding_model: stated.embedding_model.clone(),
            });
        }
        contract::Declared { collection: name.to_string(), statements }
    });
    Ok(declared.collect())
}

fn contract_before(cx: &Context<'_>) -> Result<Seen, StepError> {
    let source: SourceSeen = cx.seen("prepare/describe_source")?;
    let target: TargetSeen = cx.seen("prepare/describe_target")?;
    let mut collections = source_statements(cx, &source)?;
    // What is to be replaced may have been of another kind.
    if cx.knowledge()?.import.mode != carnet_model::plan::ImportMode::Replace {
        for held in &target.collections {
            let name = held.name.as_str();
            if let Some(declared) = collections.iter_mut().find(|it| it.collection == name) {
                declared.statements.push(statement(
                    contract::Side::Target,
                    "store",
                    &held.contract,
                ));
            }
        }
    }
    Ok(Seen::at(source.observed_at_us, Facts::Contract(contract::Facts { collections })))
}

fn contract_after(cx: &Context<'_>) -> Result<Seen, StepError> {
    let source: SourceSeen = cx.seen("prepare/describe_source")?;
    let arrived: ArrivedSeen = cx.seen("verify/rehash_snapshot")?;
    let back: BackSeen = cx.seen("validate/read_back")?;
    let mut collections = source_statements(cx, &source)?;
    for (declared, collection) in collections.iter_mut().zip(&source.collections) {
        let name = &collection.digest.name;
        if let Some(held) = arrived.collection(name) {
            let said = statement(contract::Side::Snapshot, "manifest", &held.contract);
            declared.statements.push(said);
        }
        if let Some(held) = back.collection(name) {
            declared.statements.push(statement(contract::Side::Target, "store", &held.contract));
        }
    }
    Ok(Seen::at(back.observed_at_us, Facts::Contract(contract::Facts { collections })))
}

fn would_be_lost(cx: &Context<'_>) -> Result<Seen, StepError> {
    let source: SourceSeen = cx.seen("prepare/describe_source")?;
    let capabilities = cx.target()?.capabilities();
    let moved = cx.knowledge()?;
    let (mut checked, mut found) = (Vec::new(), Vec::new());
    for collection in &source.collections {
        let digest = &collection.digest;
        let mut contract = digest.contract.clone();
        contract.index = moved.target.knowledge.index.clone().or(contract.index);
        let losses = capabilities.losses(&contract, &digest.facts);
        found.extend(losses.into_iter().map(|loss| losses::Loss {
            collection: Some(digest.name.to_string()),
            name: loss.name.to_owned(),
            waivable: loss.waivable,
            what: loss.what,
            remedy: loss.remedy,
        }));
        checked.push(digest.name.to_string());
    }
    if checked.len() > 1 && !capabilities.collections {
        found.push(losses::Loss {
            collection: None,
            name: "collections".to_owned(),
            waivable: false,
            what: format!("{} collections; the target holds one", checked.len()),
            remedy: "name one of them under source.knowledge.collections".to_owned(),
        });
    }
    let knowledge = &moved.source.knowledge;
    if knowledge.artifacts.is_some() && moved.target.knowledge.artifacts.is_none() {
        found.push(losses::Loss {
            collection: None,
            name: carnet_model::LossName::Artifacts.name().to_owned(),
            waivable: true,
            what: "the artifact files have no place in the target".to_owned(),
            remedy: "name a folder under target.knowledge.artifacts, or accept the loss named \
                     `artifacts`"
                .to_owned(),
        });
    }
    let facts = Facts::Losses(losses::Facts { checked, losses: found });
    Ok(Seen::at(source.observed_at_us, facts))
}

fn lengths(cx: &Context<'_>) -> Result<Seen, StepError> {
    let exported: ExportSeen = cx.seen("export/export_snapshot")?;
    let arrived: ArrivedSeen = cx.seen("verify/rehash_snapshot")?;
    let back: BackSeen = cx.seen("validate/read_back")?;
    let collections = exported.collections.iter().map(|source| dimensions::Lengths {
        collection: source.name.to_string(),
        source: Some(source.dimensions),
        snapshot: arrived.collection(&source.name).map(|it| it.dimensions),
        target: back.collection(&source.name).map(|it| it.contract.dimensions),
    });
    let facts = dimensions::Facts { collections: collections.collect() };
    Ok(Seen::at(back.observed_at_us, Facts::Dimensions(facts)))
}

/// What the import's intent fixed about a collection.
struct Expectation {
    records: Option<u64>,
    root: Option<carnet_ledger::Digest>,
}

fn expectation(cx: &Context<'_>, name: &CollectionName) -> Expectation {
    let run = cx.recorder.run();
    let inputs = run.as_ref().and_then(|run| run.step(import::NODE)).map(|step| &step.inputs);
    let expected = inputs.and_then(|inputs| object_of(inputs, "expected"));
    let members = expected.and_then(|expected| object_of(expected, name.as_str()));
    let records = members.and_then(|members| integer_of(members, "records"));
    Expectation {
        records: records.and_then(|records| u64::try_from(records).ok()),
        root: members.and_then(|members| crate::step::digest_of(members, "root")),
    }
}

fn object_of<'o>(object: &'o Object, key: &str) -> Option<&'o Object> {
    match object.get(key) {
        Some(carnet_ledger::Value::Object(members)) => Some(members),
        Some(_) | None => None,
    }
}

fn counts(cx: &Context<'_>) -> Result<Seen, StepError> {
    let exported: ExportSeen = cx.seen("export/export_snapshot")?;
    let arrived: ArrivedSeen = cx.seen("verify/rehash_snapshot")?;
    let before: TargetSeen = cx.seen("prepare/describe_target")?;
    let back: BackSeen = cx.seen("validate/read_back")?;
    let collections = exported.collections.iter().map(|source| count::Counts {
        collection: source.name.to_string(),
        source: Some(source.records),
        snapshot: arrived.collection(&source.name).map(|it| it.record_count),
        before: before.before(&source.name),
        expected: expectation(cx, &source.name).records,
        target: back.collection(&source.name).map(|it| it.records),
    });
    let facts = count::Facts { collections: collections.collect() };
    Ok(Seen::at(back.observed_at_us, Facts::Count(facts)))
}

fn roots(cx: &Context<'_>) -> Result<Seen, StepError> {
    let exported: ExportSeen = cx.seen("export/export_snapshot")?;
    let arrived: ArrivedSeen = cx.seen("verify/rehash_snapshot")?;
    let before: TargetSeen = cx.seen("prepare/describe_target")?;
    let back: BackSeen = cx.seen("validate/read_back")?;
    let collections = exported.collections.iter().map(|source| content_root::Roots {
        collection: source.name.to_string(),
        records: source.records,
        before: before.before(&source.name),
        source: Some(source.root),
        snapshot: arrived.collection(&source.name).map(|it| it.root),
        expected: expectation(cx, &source.name).root,
        target: back.collection(&source.name).map(|it| it.root),
    });
    let facts = content_root::Facts { collections: collections.collect() };
    let mut seen = Seen::at(back.observed_at_us, Facts::ContentRoot(facts.clone()));
    seen.reread = reread::damaged(cx, &facts, back.observed_at_us);
    Ok(seen)
}

fn artifacts(cx: &Context<'_>) -> Result<Seen, StepError> {
    let before: TargetSeen = cx.seen("prepare/describe_target")?;
    let digests = |folder: Option<PathBuf>| match folder {
        Some(folder) => artifact_digests(&folder),
        None => Ok(BTreeMap::new()),
    };
    let (source, target) = (digests(cx.source_artifacts())?, digests(cx.target_artifacts())?);
    let snapshot = artifact_digests(&cx.arrived()?)?;
    let sides = [&source, &snapshot, &before.artifacts, &target];
    let paths: BTreeSet<&String> = sides.iter().flat_map(|side| side.keys()).collect();
    let artifacts = paths.into_iter().map(|path| artifact_checksums::Artifact {
        path: path.clone(),
        source: source.get(path).copied(),
        snapshot: snapshot.get(path).copied(),
        before: before.artifacts.get(path).copied(),
        target: target.get(path).copied(),
    });
    let facts = artifact_checksums::Facts { artifacts: artifacts.collect() };
    Ok(Seen::at(cx.now_us(), Facts::ArtifactChecksums(facts)))
}
