use std::collections::BTreeSet;

use carnet_ledger::Digest;
use carnet_model::gate::{
    Control, Definition, Evaluation, Facts, Gate, Judgement, Observation, Rule, Sample, Verdict,
    artifact_checksums, checksums, content_root, contract, count, damage, dimensions, evaluate,
    evaluate_with, judge, kinds, losses, query_parity, samples, schema_version,
};
use carnet_model::plan::ImportMode;
use carnet_model::{Code, Decimal, Metric, Normalisation};
use proptest::prelude::*;

const NOW_US: i64 = 1_800_000_000_000_000;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn seen(facts: Facts) -> Observation {
    Observation::new(NOW_US - 1_000_000, facts)
}

// ---- the samples of the gates -----------------------------------------------------------------

fn first(gate: Gate) -> (Rule, Facts) {
    let Sample { rule, facts, .. } = samples(gate).remove(0);
    (rule, facts)
}

fn versions() -> (Rule, Facts) {
    first(Gate::SchemaVersion)
}

fn lengths() -> (Rule, Facts) {
    first(Gate::Dimensions)
}

fn contracts() -> (Rule, Facts) {
    first(Gate::Contract)
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

fn waived() -> (Rule, Facts) {
    first(Gate::Losses)
}

fn files() -> (Rule, Facts) {
    first(Gate::Checksums)
}

fn counts() -> (Rule, Facts) {
    first(Gate::Count)
}

fn roots() -> (Rule, Facts) {
    first(Gate::ContentRoot)
}

fn neighbours(list: &[(&str, f64)]) -> Vec<query_parity::Neighbour> {
    let neighbour = |(id, distance): &(&str, f64)| query_parity::Neighbour {
        id: (*id).to_owned(),
        distance: Decimal::new(*distance).unwrap(),
    };
    list.iter().map(neighbour).collect()
}

fn searches() -> (Rule, Facts) {
    first(Gate::QueryParity)
}

fn artifacts() -> (Rule, Facts) {
    first(Gate::ArtifactChecksums)
}

/// Every sample of every gate, with the controls that it needs.
fn passing() -> Vec<(Definition, Observation)> {
    let all = Gate::ALL.iter().flat_map(|gate| samples(*gate));
    all.map(|Sample { rule, facts, .. }| {
        let controls = refused_controls(&rule);
        (Definition::new(rule), Observation { controls, ..seen(facts) })
    })
    .collect()
}

fn refused_controls(rule: &Rule) -> Vec<Control> {
    rule.controls().iter().map(|name| Control::new(name, "it was refused", true)).collect()
}

// ---- the verdicts -----------------------------------------------------------------------------

#[test]
fn every_gate_passes_its_case_and_refuses_every_damaged_copy_of_it() {
    let cases = passing();
    let gates: BTreeSet<Gate> = cases.iter().map(|(definition, _)| definition.gate()).collect();
    assert_eq!(gates.into_iter().collect::<Vec<_>>(), Gate::ALL);
    // A sample whose rule the reader refuses would be missing without a word.
    assert_eq!(cases.len(), 76 + 37 + 12);
    for (definition, observation) in cases {
        let evaluation = evaluate(&definition, &observation, NOW_US, &[]);
        assert_eq!(evaluation.judgement.verdict, Verdict::Pass, "{evaluation:?}");
        assert!(evaluation.damaged > 0, "{evaluation:?}");
        assert_eq!(evaluation.missed, Vec::<String>::new(), "{evaluation:?}");
        assert!(evaluation.opens() && evaluation.code().is_none());
        assert!(evaluation.judgement.sample > 0 && evaluation.judgement.remedy.is_none());
    }
}

#[test]
fn the_damage_list_is_the_checked_in_one() {
    let mut names = BTreeSet::new();
    for (definition, observation) in passing() {
        for (name, copy) in damage(&definition, &observation) {
            assert_ne!(copy, observation, "{name}");
            names.insert(format!("{} {name}\n", definition.gate()));
        }
    }
    let names: String = names.into_iter().collect();
    #[expect(clippy::disallowed_methods, reason = "how tests are told to write the list anew")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/gate/damage.txt");
        std::fs::write(file, &names).unwrap();
        return;
    }
    let listed = include_str!("../../src/gate/damage.txt");
    assert_eq!(names, listed, "crates/model/src/gate/damage.txt");
}

/// The page of the gates has each kind with each of its keys, its damage and its controls.
#[test]
fn the_page_of_the_gates_leaves_nothing_out() {
    let page = include_str!("../../../../docs/gates.md");
    let damage = include_str!("../../src/gate/damage.txt");
    for kind in kinds() {
        let part = page.split("\n### ").find(|part| part.lines().next() == Some(kind.name()));
        let part = part.unwrap_or_else(|| panic!("{} has no part of its own", kind.name()));
        let schema = (kind.schema)();
        for key in schema["properties"].as_object().unwrap().keys() {
            assert!(part.contains(&format!("| `{key}` |")), "{} {key}", kind.name());
        }
        let lines = damage.lines().filter_map(|line| line.split_once(' '));
        for (_, name) in lines.filter(|(gate, _)| *gate == kind.name()) {
            assert!(part.contains(&format!("`{name}`")), "{} {name}", kind.name());
        }
        for control in samples(kind.gate).iter().flat_map(|sample| sample.rule.controls()) {
            assert!(part.contains(&format!("`{control}`")), "{} {control}", kind.name());
        }
    }
    for gate in Gate::ALL {
        assert!(page.contains(gate.id()), "{gate}");
    }
}

#[test]
fn what_is_too_old_or_from_the_future_is_stale() {
    for (definition, observation) in passing() {
        let asks = matches!(definition.rule, Rule::Approval(_));
        let closed = if asks { Code::APPROVAL_MISSING } else { Code::GATE_CLOSED };
        let edge = observation.observed_at_us + 900_000_000;
        assert_eq!(judge(&definition, &observation, edge).verdict, Verdict::Pass);
        for now_us in [edge + 1, observation.observed_at_us - 1, i64::MAX, i64::MIN] {
            let evaluation = evaluate(&definition, &observation, now_us, &[]);
            assert_eq!(evaluation.judgement.verdict, Verdict::Stale);
            assert_eq!((evaluation.damaged, evaluation.code()), (0, Some(closed)));
            assert!(evaluation.judgement.remedy.is_some());
        }
    }
}

#[test]
fn nothing_is_never_a_pass() {
    for sample in Gate::ALL.iter().flat_map(|gate| samples(*gate)) {
        let controls = refused_controls(&sample.rule);
        let definition = Definition::new(sample.rule);
        for facts in sample.empty {
            let observation = Observation { controls: controls.clone(), ..seen(facts) };
            let judgement = judge(&definition, &observation, NOW_US);
            assert_eq!(judgement.verdict, Verdict::NoData, "{definition:?} {judgement:?}");
            assert_eq!(judgement.sample, 0, "{definition:?} {judgement:?}");
            assert!(judgement.remedy.is_some());
        }
    }
}

#[test]
fn a_pass_over_too_few_is_no_data() {
    for (definition, observation) in passing() {
        let sample = judge(&definition, &observation, NOW_US).sample;
        let enough = Definition { sample_min: sample, ..definition.clone() };
        assert_eq!(judge(&enough, &observation, NOW_US).verdict, Verdict::Pass);
        let more = Definition { sample_min: sample + 1, ..definition };
        let judgement = judge(&more, &observation, NOW_US);
        assert_eq!(judgement.verdict, Verdict::NoData, "{judgement:?}");
        assert_ne!(enough.digest(), more.digest());
    }
}

#[test]
fn a_control_that_is_let_through_or_left_out_is_never_a_pass() {
    let mut tried = 0;
    for (definition, observation) in passing() {
        for spot in 0..observation.controls.len() {
            tried += 1;
            let mut let_in = observation.clone();
            let_in.controls[spot].refused = false;
            assert_eq!(judge(&definition, &let_in, NOW_US).verdict, Verdict::Error);
            let mut left_out = observation.clone();
            left_out.controls.remove(spot);
            assert_eq!(judge(&definition, &left_out, NOW_US).verdict, Verdict::NoData);
        }
    }
    assert!(tried > 20, "{tried}");
}

/// The passing facts of a gate with a change.
fn changed<F>(
    case: (Rule, Facts),
    facts: fn(&mut Facts) -> Option<&mut F>,
    change: impl FnOnce(&mut F),
) -> (Rule, Facts) {
    let (rule, mut all) = case;
    change(facts(&mut all).unwrap());
    (rule, all)
}

macro_rules! facts_of {
    ($variant:ident) => {
        |facts| match facts {
            Facts::$variant(it) => Some(it),
            _ => None,
        }
    };
}

/// A named change of a passing case, and what must be said to it.
type Case = (&'static str, (Rule, Facts), Verdict, &'static str);

#[rustfmt::skip]
fn small_cases() -> Vec<Case> {
    use Verdict::{Fail, NoData};
    let version = |change: fn(&mut schema_version::Facts)| changed(versions(), facts_of!(SchemaVersion), change);
    let length = |change: fn(&mut dimensions::Facts)| changed(lengths(), facts_of!(Dimensions), change);
    let agreed = |change: fn(&mut Vec<contract::Statement>)| {
        changed(contracts(), facts_of!(Contract), |facts: &mut contract::Facts| change(&mut facts.collections[0].statements))
    };
    let lost = |change: fn(&mut losses::Facts)| changed(waived(), facts_of!(Losses), change);
    let listed = |change: fn(&mut checksums::Facts)| changed(files(), facts_of!(Checksums), change);
    let stored = |change: fn(&mut Vec<artifact_checksums::Artifact>)| {
        changed(artifacts(), facts_of!(ArtifactChecksums), |facts: &mut artifact_checksums::Facts| change(&mut facts.artifacts))
    };
    vec![
        ("newer version", version(|it| it.subjects[1].version = Some(2)), Fail, "the target has schema version 2; this build reads 1"),
        ("no version", version(|it| it.subjects[0].version = None), NoData, "the snapshot states no"),
        ("other length", length(|it| it.collections[1].target = Some(767)), Fail, "collection b: the target has 767 dimensions, the source 768"),
        ("length of no collection", length(|it| it.collections[0].target = None), NoData, "collection a: the target"),
        ("other metric", agreed(|it| it[3].metric = Some(Metric::Cosine)), Fail, "the metric is l2 by the source (store), cosine by the target (store)"),
        ("plan against store", agreed(|it| it[1].metric = Some(Metric::Cosine)), Fail, "cosine by the source (plan)"),
        ("other scale", agreed(|it| it[2].normalisation = Some(Normalisation::None)), Fail, "none by the snapshot"),
        ("other model, same dimensions", agreed(|it| it[3].embedding_model.as_mut().unwrap().name = "other".into()), Fail, "embedding model is mini by the source"),
        ("other revision", agreed(|it| it[3].embedding_model.as_mut().unwrap().revision = Some("2".into())), Fail, "1 in the source, 2 in the target"),
        ("revision lost", agreed(|it| it[3].embedding_model.as_mut().unwrap().revision = None), Fail, "revision of the embedding model is 1 in the source, not stated in the target"),
        ("nothing declared by the source", agreed(|it| drop(it.drain(..2))), NoData, "the source does not declare metric, normalisation, embedding_model"),
        ("metric declared by nobody", agreed(|it| it.iter_mut().for_each(|it| it.metric = None)), NoData, "does not declare metric"),
        ("no target statement", agreed(|it| { it.pop(); }), NoData, "the target does not declare"),
        ("unwaived loss", lost(|it| it.losses.push(loss("version"))), Fail, "(version)"),
        ("two unwaived losses", lost(|it| it.losses.extend([loss("version"), loss("x")])), Fail, "and 1 more"),
        ("a waiver does not help", lost(|it| it.losses[0].waivable = false), Fail, "(index)"),
        ("changed file", listed(|it| it.files[2].found = Some(digest("x"))), Fail, "manifest.json has other bytes than are listed"),
        ("missing file", listed(|it| it.files[1].found = None), Fail, "logs/x is listed and missing"),
        ("additional file", listed(|it| it.files[0].listed = None), Fail, "embeddings.parquet is there and not listed"),
        ("artifact missing in the snapshot", stored(|it| it[0].snapshot = None), Fail, "bpmn/a.bpmn is missing in the snapshot"),
        ("artifact missing in the target", stored(|it| it[2].target = None), Fail, "prompts/b.yaml is missing in the target"),
        ("artifact changed", stored(|it| it[2].target = Some(digest("x"))), Fail, "differs in the target"),
        ("artifact changed on the way", stored(|it| it[2].snapshot = Some(digest("x"))), Fail, "differs in the snapshot"),
        ("kept file changed", stored(|it| it[1].target = Some(digest("x"))), Fail, "kept was in the target before, and has changed"),
        ("kept file gone", stored(|it| it[1].target = None), Fail, "is gone"),
        ("additional artifact", stored(|it| it[1].before = None), Fail, "kept is in the target and not in the source"),
        ("artifacts only in the target", stored(|it| it.retain(|it| it.source.is_none())), NoData, "no artifact files"),
    ]
}

#[rustfmt::skip]
fn content_cases() -> Vec<Case> {
    use Verdict::{Fail, NoData};
    let counted = |change: fn(&mut Vec<count::Counts>)| {
        changed(counts(), facts_of!(Count), |facts: &mut count::Facts| change(&mut facts.collections))
    };
    let rooted = |change: fn(&mut Vec<content_root::Roots>)| {
        changed(roots(), facts_of!(ContentRoot), |facts: &mut content_root::Facts| change(&mut facts.collections))
    };
    let searched = |change: fn(&mut query_parity::Searched)| {
        changed(searches(), facts_of!(QueryParity), |facts: &mut query_parity::Facts| change(&mut facts.collections[0]))
    };
    let replace = |(_, facts): (Rule, Facts)| (Rule::Count(count::Rule { mode: ImportMode::Replace }), facts);
    vec![
        ("a record missing", counted(|it| it[0].target = Some(499)), Fail, "collection a: the target has 499 records, and 500 were expected"),
        ("a record doubled", counted(|it| it[1].target = Some(521)), Fail, "collection b: the target has 521"),
        ("a record not exported", counted(|it| it[0].snapshot = Some(499)), Fail, "the source has 500 records, the snapshot 499"),
        ("an impossible expectation", counted(|it| { it[1].expected = Some(521); it[1].target = Some(521); }), Fail, "521 records were expected of 500 and 20 before"),
        ("an expectation that forgets", counted(|it| { it[1].expected = Some(499); it[1].target = Some(499); }), Fail, "499 records were expected"),
        ("replaced, and the old ones are there", replace(counts()), Fail, "520 records were expected of 500"),
        ("not counted", counted(|it| it[0].target = None), NoData, "not counted on every side"),
        ("no records", counted(|it| it.iter_mut().for_each(|it| it.source = Some(0))), NoData, "holds no records"),
        ("other content", rooted(|it| it[0].target = Some(digest("x"))), Fail, "collection a: the target has the root"),
        ("edited manifest", rooted(|it| it[1].snapshot = Some(digest("x"))), Fail, "collection b: the snapshot has the root"),
        ("another expectation for a fresh target", rooted(|it| { it[0].expected = Some(digest("x")); it[0].target = it[0].expected; }), Fail, "the expectation has the root"),
        ("not read back", rooted(|it| it[0].target = None), NoData, "no root on one of the sides"),
        ("roots over no records", rooted(|it| it.iter_mut().for_each(|it| it.records = 0)), NoData, "holds no records"),
        ("another order", searched(|it| it.queries[0].target.swap(1, 2)), Fail, "place 3 of the target is nearer"),
        ("ids exchanged", searched(|it| { it.queries[0].target[1].id = "c".into(); it.queries[0].target[2].id = "b".into(); }), Fail, "is at 0.75 in the target"),
        ("a neighbour missing", searched(|it| { it.queries[0].target.pop(); }), Fail, "the target found 2 of 3 records"),
        ("a stranger", searched(|it| it.queries[0].target[2].id = "z".into()), Fail, "the target misses \"c\", place 3"),
        ("a stranger at the border", searched(|it| it.queries[1].target[2].id = "z".into()), Fail, "misses"),
        ("a record twice", searched(|it| it.queries[1].target[3].id = "d".into()), Fail, "found a record twice"),
        ("another distance", searched(|it| it.queries[0].target[1].distance = Decimal::new(0.501).unwrap()), Fail, "place 2 is \"b\" at 0.5 in the source, \"b\" at 0.501 in the target"),
        ("another metric", searched(|it| it.target_metric = Some(Metric::Cosine)), Fail, "l2 in the source, cosine in the target"),
        ("unknown metric", searched(|it| it.target_metric = None), NoData, "unknown metric"),
        ("too few searches", searched(|it| it.queries.truncate(1)), NoData, "1 different searches, 2 are asked for"),
        ("one search twice", searched(|it| it.queries[1].id = "a".into()), NoData, "1 different searches"),
        ("both sides find nothing", searched(|it| it.queries.iter_mut().for_each(|it| { it.source.clear(); it.target.clear(); })), Fail, "the source found 0 of 3"),
        ("no records to find", searched(|it| it.records = 0), NoData, "no search was compared"),
    ]
}

#[test]
fn each_failing_case_is_refused_with_its_reason_and_a_remedy() {
    for (what, (rule, facts), verdict, reason) in small_cases().into_iter().chain(content_cases()) {
        let evaluation = evaluate(&Definition::new(rule), &seen(facts), NOW_US, &[]);
        let Judgement { verdict: said, reason: because, remedy, .. } = &evaluation.judgement;
        assert_eq!(*said, verdict, "{what}: {because}");
        assert!(because.contains(reason), "{what}: {because}");
        assert!(remedy.is_some(), "{what}");
        assert!(!evaluation.opens() && evaluation.damaged == 0, "{what}");
    }
}

// ---- broken gates -----------------------------------------------------------------------------

#[test]
fn a_judge_that_lets_damage_pass_is_caught() {
    let blind = |_: &Rule, _: &Facts| {
        let reason = "always".to_owned();
        Some(Judgement { verdict: Verdict::Pass, reason, remedy: None, sample: 1 })
    };
    for (definition, observation) in passing() {
        let evaluation = evaluate_with(blind, &definition, &observation, NOW_US, &[]);
        assert!(evaluation.is_broken() && !evaluation.opens());
        // Controls are not the judge's affair: only their damage is refused.
        let controls = evaluation.refused > 0 && !definition.rule.controls().is_empty();
        assert!(evaluation.refused == 0 || controls, "{evaluation:?}");
        assert!(!evaluation.missed.is_empty());
        assert_eq!(evaluation.code(), Some(Code::GATE_BROKEN));
    }
}

#[test]
fn damage_that_the_observer_made_counts_too() {
    let (rule, facts) = roots();
    let (definition, observation) = (Definition::new(rule), seen(facts));
    let harmless = [("record_dropped", observation.clone())];
    let evaluation = evaluate(&definition, &observation, NOW_US, &harmless);
    assert_eq!(evaluation.missed, ["record_dropped"]);
    assert_eq!(evaluation.code(), Some(Code::GATE_BROKEN));
}

#[test]
fn an_observation_for_another_gate_is_an_error() {
    let (definition, _) = passing().remove(0);
    let (_, observation) = passing().remove(1);
    let evaluation = evaluate(&definition, &observation, NOW_US, &[]);
    assert_eq!(evaluation.judgement.verdict, Verdict::Error);
    assert_eq!(damage(&definition, &observation), []);
    assert_eq!(Evaluation::error(&definition, "no answer", "try again").judgement.sample, 0);
    assert!(!Evaluation::not_run(&definition, "no target yet").opens());
}

// ---- forms ------------------------------------------------------------------------------------

#[test]
fn observations_and_evaluations_read_back_as_they_were_written() {
    for (definition, observation) in passing() {
        let text = serde_json::to_string(&observation).unwrap();
        assert_eq!(serde_json::from_str::<Observation>(&text).unwrap(), observation);
        let text = serde_json::to_string(&definition).unwrap();
        assert_eq!(serde_json::from_str::<Definition>(&text).unwrap(), definition);
        let evaluation = evaluate(&definition, &observation, NOW_US, &[]);
        let text = serde_json::to_string(&evaluation).unwrap();
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);
    }
}

#[test]
fn a_definition_is_known_by_its_digest() {
    let digests: BTreeSet<_> =
        passing().iter().map(|(definition, _)| definition.digest()).collect();
    assert_eq!(digests.len(), passing().len() - 2, "two rules have two samples");
    let (rule, _) = lengths();
    let older = Definition { age_s_max: 901, ..Definition::new(rule.clone()) };
    assert_ne!(older.digest(), Definition::new(rule.clone()).digest());
    // The canonical form, so that others can compute it.
    let text = r#"{"age_s_max":900,"rule":{"gate":"dimensions"}}"#;
    assert_eq!(Definition::new(rule).digest(), digest(text));
    let (rule, _) = searches();
    let text = r#"{"age_s_max":900,"rule":{"gate":"query_parity","k":3,"queries":2,"tolerance":"0.00001"}}"#;
    assert_eq!(Definition::new(rule).digest(), digest(text));
}

#[test]
fn a_list_is_settled_when_it_goes_past_the_ties() {
    let tolerance = Decimal::new(0.000_01).unwrap();
    let settled = |list: &[(&str, f64)], k| query_parity::settled(&neighbours(list), k, tolerance);
    assert!(settled(&[("a", 0.0), ("b", 1.0), ("c", 2.0)], 2));
    assert!(!settled(&[("a", 0.0), ("b", 1.0), ("c", 1.0)], 2));
    assert!(!settled(&[("a", 0.0), ("b", 1.0), ("c", 1.000_02)], 2));
    assert!(!settled(&[("a", 0.0), ("b", 1.0)], 2));
    assert!(!settled(&[], 2));
}

proptest! {
    /// Ties in any order, noise within the tolerance, one distance for all: a true pass is never
    /// taken for a broken gate.
    #[test]
    fn equal_searches_pass_and_their_damage_is_refused(
        distances in prop::collection::vec(-3i8..4, 1..12),
        scale in prop::sample::select(vec![0.0, 1e-7, 1.0, 1e6]),
        metric in prop::sample::select(vec![Metric::L2, Metric::InnerProduct, Metric::Cosine]),
        tolerance in prop::sample::select(vec![0.0, 0.000_01, 0.5]),
        k in 1u32..6,
        noise in any::<bool>(),
    ) {
        let tolerance = Decimal::new(tolerance).unwrap();
        let lowest = if metric == Metric::InnerProduct { 0.0 } else { 3.0 };
        let mut list: Vec<(String, f64)> = distances
            .iter()
            .enumerate()
            .map(|(index, step)| (format!("r{index}"), (f64::from(*step) + lowest) * scale))
            .collect();
        list.sort_by(|a, b| a.1.total_cmp(&b.1));
        let neighbour = |(id, distance): &(String, f64), moved: f64| query_parity::Neighbour {
            id: id.clone(),
            distance: Decimal::new(distance + moved * distance.abs().max(1.0)).unwrap(),
        };
        let source: Vec<_> = list.iter().map(|it| neighbour(it, 0.0)).collect();
        // Equal distances in the other order of ids.
        list.reverse();
        list.sort_by(|a, b| a.1.total_cmp(&b.1));
        let moved = if noise { tolerance.value() * 0.25 } else { 0.0 };
        let target: Vec<_> = list.iter().map(|it| neighbour(it, moved)).collect();
        let query = query_parity::Query { id: "r0".to_owned(), source, target };
        let searched = query_parity::Searched {
            collection: "a".to_owned(),
            records: list.len() as u64,
            source_metric: Some(metric),
            target_metric: Some(metric),
            queries: vec![query],
        };
        let rule = Rule::QueryParity(query_parity::Rule { queries: 1, k, tolerance });
        let facts = Facts::QueryParity(query_parity::Facts { collections: vec![searched] });
        let evaluation = evaluate(&Definition::new(rule), &seen(facts), NOW_US, &[]);
        prop_assert!(evaluation.opens(), "{evaluation:?}");
    }
}
