#![cfg(feature = "rego")]

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use carnet_bundle::read_policy;
use carnet_connect::NoProgress;
use carnet_engine::{Clock, Engine, EvidenceRequest, IdSource, Journal, JournalError, LogProfile};
use carnet_ledger::audit::{AuditRequest, CheckId, CheckVerdict, Material, audit_bundle};
use carnet_ledger::trust::LogKey;
use carnet_ledger::{
    Digest, Event, EventDraft, EventId, EventTime, EventType, EvidenceProfile, Object, Outcome,
    Refusal, SigningKey,
};
use carnet_model::policy::{
    EVALUATION_ACTION, PolicyDecision, PolicyEvaluation, PolicyQuestion, PolicyVerdict,
};
use carnet_policy::{PolicyEngine, Rego, Replayer};

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> EventTime {
        let ms = 1_800_000_000_000 + self.0.fetch_add(1, Ordering::SeqCst);
        EventTime::from_unix_millis(ms).unwrap()
    }

    fn elapsed_ms(&self) -> u64 {
        0
    }
}

impl IdSource for Ticks {
    fn next_id(&self) -> EventId {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        format!("00000000-0000-4000-8000-{number:012}").parse().unwrap()
    }
}

/// The files of an export.
struct Files(BTreeMap<String, Vec<u8>>, Vec<(String, u64)>);

impl Files {
    fn read(folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut waiting = vec![folder.to_owned()];
        while let Some(place) = waiting.pop() {
            for entry in std::fs::read_dir(&place).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
        let entries = files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64));
        let entries = entries.collect();
        Self(files, entries)
    }
}

impl Material for Files {
    fn entries(&self) -> &[(String, u64)] {
        &self.1
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0.get(name).ok_or(io::ErrorKind::NotFound)?.as_slice()))
    }
}

/// What an auditor says of a log whose chain, tree and signatures hold, and in which this evaluation
/// stands under an event that agrees with it.
fn audited(evaluation: &PolicyEvaluation) -> (CheckVerdict, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let ticks = Arc::new(Ticks(AtomicI64::new(0)));
    let key = Arc::new(SigningKey::generate("lab".parse().unwrap(), &[7; 32]).unwrap());
    let evidence = Some(EvidenceProfile::Baseline);
    let profile = LogProfile { evidence, ..LogProfile::default() };
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn IdSource>) = (ticks.clone(), ticks.clone());
    let mut nothing = |_: &Event| Ok::<_, JournalError>(());
    let journal = Journal::open(&state, profile, None, clock, ids, &mut nothing).unwrap();
    for bytes in [b"authority".as_slice(), b"policy"] {
        journal.put(bytes).unwrap();
    }
    let plan = journal.put(br#"{"migration":"m","owner":"the owner"}"#).unwrap();
    let object = journal.put(&serde_json::to_vec(evaluation).unwrap()).unwrap();
    let draft = |event_type, pointer| EventDraft {
        event_type,
        actor: "test".into(),
        actor_details: None,
        tenant_id: "lab".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: pointer,
        correlation_id: "run".into(),
        resource_id: None,
        action: None,
        authority_snapshot_id: Digest::of(b"authority"),
        policy_snapshot_id: Digest::of(b"policy"),
        jurisdiction: None,
        classification: None,
        context: Object::new(),
        fields: Object::new(),
    };
    let mut decided = draft(EventType::PolicyEvaluate, object);
    decided.action = Some(EVALUATION_ACTION.to_owned());
    if let Some(reason) = evaluation.answer.refusal() {
        let (class, code, subject) = (reason.class, reason.code, reason.subject);
        decided.event_type = EventType::PolicyRefusal;
        decided.outcome = Outcome::Refused(Refusal { class, code, subject, reason: None });
    }
    let events = [EventType::ProcessStart, EventType::AuthorityCheck];
    let mut drafts: Vec<_> = events.into_iter().map(|it| draft(it, plan)).collect();
    drafts.push(decided);
    journal.append(drafts).unwrap();
    drop(journal);
    let out = folder.path().join("out");
    let request = EvidenceRequest {
        out: &out,
        archive: None,
        from: 0,
        to: None,
        signer: Some(Arc::clone(&key)),
        signers: &[],
        tiles: false,
        incomplete: true,
        created: None,
        progress: &NoProgress,
    };
    Engine::new(state, ticks.clone(), ticks, "test").export_evidence(&request).unwrap();
    let keys = [LogKey::from(key.verifying_key().clone())];
    let replayer = Replayer(Rego);
    let request =
        AuditRequest { keys: &keys, replayer: Some(&replayer), workers: 1, ..Default::default() };
    let report = audit_bundle(&Files::read(&out), &request).unwrap();
    for id in [CheckId::EventsHash, CheckId::ChainLinks, CheckId::TreeRoot, CheckId::Artifacts] {
        assert_eq!(report.row(id).unwrap().verdict, CheckVerdict::Pass, "{report:#?}");
    }
    let row = report.row(CheckId::PolicyReplay).unwrap();
    (row.verdict, row.reason.clone())
}

/// The first self-test of the example that must be decided so, as it is recorded.
fn evaluation(verdict: PolicyVerdict) -> PolicyEvaluation {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policy");
    let policy = read_policy(&example).unwrap();
    let test = policy.tests().iter().find(|test| test.decision.verdict == verdict).unwrap();
    let question = PolicyQuestion { policy: &policy, input: &test.input };
    let answer = Rego.decide(&question).unwrap();
    assert_eq!(answer.decision, test.decision);
    PolicyEvaluation::of(&question, &answer)
}

#[test]
fn what_the_example_decides_is_reached_again() {
    for verdict in [PolicyVerdict::Allow, PolicyVerdict::Deny] {
        let (found, reason) = audited(&evaluation(verdict));
        assert_eq!(found, CheckVerdict::Pass, "{reason}");
    }
}

#[test]
fn a_result_that_was_altered_under_a_chain_that_holds_is_found() {
    let mut altered = evaluation(PolicyVerdict::Deny);
    altered.answer.decision = PolicyDecision::bare(PolicyVerdict::Allow);
    let mut hushed = evaluation(PolicyVerdict::Deny);
    hushed.answer.decision = PolicyDecision::bare(PolicyVerdict::Deny);
    let mut denied = evaluation(PolicyVerdict::Allow);
    denied.answer.decision = evaluation(PolicyVerdict::Deny).answer.decision;
    for evaluation in [altered, hushed, denied] {
        let (found, reason) = audited(&evaluation);
        assert_eq!(found, CheckVerdict::Fail, "{reason}");
        assert!(reason.contains("policy result not reproducible"), "{reason}");
    }
}

#[test]
fn every_self_test_of_the_example_holds() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policy");
    let policy = read_policy(&example).unwrap();
    let results = Rego.self_test(&policy).unwrap();
    for result in &results {
        assert!(result.holds(), "{}", result.told());
    }
    assert_eq!(results.len(), policy.tests().len());
}
