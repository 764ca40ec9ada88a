//! Samples of the gates of a knowledge move.

use std::collections::BTreeSet;

use carnet_ledger::Digest;

use super::super::definition::{Facts, Rule};
use super::super::{
    artifact_checksums, checksums, content_root, contract, count, dimensions, losses, query_parity,
    schema_version,
};
use super::Sample;
use crate::contract::{EmbeddingModel, Metric, Normalisation};
use crate::decimal::Decimal;
use crate::loss::LossName;
use crate::plan::ImportMode;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn decimal(number: f64) -> Decimal {
    Decimal::new(number).unwrap_or(Decimal::ZERO)
}

pub(super) fn versions() -> Sample {
    let subject =
        |subject: &str| schema_version::Versioned { subject: subject.to_owned(), version: Some(1) };
    let subjects = vec![subject("the snapshot"), subject("the target")];
    Sample::new(
        Rule::SchemaVersion(schema_version::Rule { supported: vec![1] }),
        Facts::SchemaVersion(schema_version::Facts { subjects }),
    )
}

pub(super) fn lengths() -> Sample {
    let lengths = |name: &str, length| dimensions::Lengths {
        collection: name.to_owned(),
        source: Some(length),
        snapshot: Some(length),
        target: Some(length),
    };
    let collections = vec![lengths("a", 384), lengths("b", 768)];
    Sample::new(
        Rule::Dimensions(dimensions::Rule {}),
        Facts::Dimensions(dimensions::Facts { collections }),
    )
}

fn statement(side: contract::Side, by: &str) -> contract::Statement {
    let model = EmbeddingModel { name: "mini".to_owned(), revision: Some("1".to_owned()) };
    contract::Statement {
        side,
        by: by.to_owned(),
        metric: Some(Metric::L2),
        normalisation: Some(Normalisation::UnitLength),
        embedding_model: Some(model),
    }
}

pub(super) fn contracts() -> Sample {
    use contract::Side;
    let store = contract::Statement {
        normalisation: None,
        embedding_model: Some(EmbeddingModel { name: "mini".to_owned(), revision: None }),
        ..statement(Side::Source, "store")
    };
    let plan = contract::Statement { metric: None, ..statement(Side::Source, "plan") };
    let statements =
        vec![store, plan, statement(Side::Snapshot, "manifest"), statement(Side::Target, "store")];
    let declared = contract::Declared { collection: "a".to_owned(), statements };
    let sides = BTreeSet::from([Side::Source, Side::Snapshot, Side::Target]);
    Sample::new(
        Rule::Contract(contract::Rule { sides }),
        Facts::Contract(contract::Facts { collections: vec![declared] }),
    )
}

fn loss(name: &str) -> losses::Loss {
    losses::Loss {
        collection: Some("a".to_owned()),
        name: name.to_owned(),
        waivable: true,
        what: "the index kind is not supported".to_owned(),
        remedy: "accept the loss".to_owned(),
    }
}

pub(super) fn waived() -> Sample {
    let facts = losses::Facts { checked: vec!["a".to_owned()], losses: vec![loss("index")] };
    let waived = BTreeSet::from([LossName::Index]);
    Sample::new(Rule::Losses(losses::Rule { waived }), Facts::Losses(facts))
}

pub(super) fn files() -> Sample {
    let file = |path: &str| checksums::File {
        path: path.to_owned(),
        listed: Some(digest(path)),
        found: Some(digest(path)),
    };
    let files = vec![file("embeddings.parquet"), file("logs/x"), file("manifest.json")];
    Sample::new(Rule::Checksums(checksums::Rule {}), Facts::Checksums(checksums::Facts { files }))
}

pub(super) fn counts() -> Sample {
    let counts = |name: &str, before| count::Counts {
        collection: name.to_owned(),
        source: Some(500),
        snapshot: Some(500),
        before,
        expected: Some(500 + before),
        target: Some(500 + before),
    };
    let collections = vec![counts("a", 0), counts("b", 20)];
    let rule = count::Rule { mode: ImportMode::Append };
    Sample::new(Rule::Count(rule), Facts::Count(count::Facts { collections }))
}

pub(super) fn roots() -> Sample {
    let fresh = |name: &str| content_root::Roots {
        collection: name.to_owned(),
        records: 500,
        before: 0,
        source: Some(digest(name)),
        snapshot: Some(digest(name)),
        expected: Some(digest(name)),
        target: Some(digest(name)),
    };
    let joined = content_root::Roots {
        before: 20,
        expected: Some(digest("joined")),
        target: Some(digest("joined")),
        ..fresh("b")
    };
    let rule = content_root::Rule { mode: ImportMode::Upsert };
    let collections = vec![fresh("a"), joined];
    Sample::new(Rule::ContentRoot(rule), Facts::ContentRoot(content_root::Facts { collections }))
}

fn neighbours(list: &[(&str, f64)]) -> Vec<query_parity::Neighbour> {
    let neighbour = |(id, distance): &(&str, f64)| query_parity::Neighbour {
        id: (*id).to_owned(),
        distance: decimal(*distance),
    };
    list.iter().map(neighbour).collect()
}

/// Two searches for the three nearest of four records; `c` and `d` tie at the border of the second.
pub(super) fn searches() -> Sample {
    let first = query_parity::Query {
        id: "a".to_owned(),
        source: neighbours(&[("a", 0.0), ("b", 0.5), ("c", 0.75)]),
        target: neighbours(&[("a", 0.0), ("b", 0.500_001), ("c", 0.75)]),
    };
    let second = query_parity::Query {
        id: "b".to_owned(),
        source: neighbours(&[("b", 0.0), ("a", 0.5), ("c", 1.25), ("d", 1.25)]),
        target: neighbours(&[("b", 0.0), ("a", 0.5), ("d", 1.25), ("c", 1.250_001)]),
    };
    let searched = query_parity::Searched {
        collection: "a".to_owned(),
        records: 4,
        source_metric: Some(Metric::L2),
        target_metric: Some(Metric::L2),
        queries: vec![first, second],
    };
    let tolerance = decimal(0.000_01);
    Sample::new(
        Rule::QueryParity(query_parity::Rule { queries: 2, k: 3, tolerance }),
        Facts::QueryParity(query_parity::Facts { collections: vec![searched] }),
    )
}

fn artifact(path: &str) -> artifact_checksums::Artifact {
    let it = Some(digest(path));
    let path = path.to_owned();
    artifact_checksums::Artifact { path, source: it, snapshot: it, before: None, target: it }
}

pub(super) fn artifacts() -> Sample {
    let kept = artifact_checksums::Artifact {
        source: None,
        snapshot: None,
        before: Some(digest("kept")),
        ..artifact("kept")
    };
    let artifacts = vec![artifact("bpmn/a.bpmn"), kept, artifact("prompts/b.yaml")];
    Sample::new(
        Rule::ArtifactChecksums(artifact_checksums::Rule {}),
        Facts::ArtifactChecksums(artifact_checksums::Facts { artifacts }),
    )
}
