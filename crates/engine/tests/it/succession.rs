//! One key hands a log over to another: what is written, and what is refused.

use std::sync::Arc;

use carnet_engine::{EngineError, HandOverError, LogReader, RunRequest};
use carnet_ledger::trust::{KeyRing, KeyState, LogKey, Succession};
use carnet_ledger::{Event, EventType, Note, SigningKey};
use carnet_model::Code;

use super::yard::Yard;

fn key(name: &str, seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(name.parse().unwrap(), &[seed; 32]).unwrap())
}

fn run(yard: &Yard, key: &Arc<SigningKey>) -> Result<(), EngineError> {
    let folder = yard.path("");
    let signer = Some(Arc::clone(key));
    let request = RunRequest { signer, ..yard.request(&folder, false) };
    yard.engine("").run(&request).map(|report| assert_eq!(report.status, "done"))
}

fn log(yard: &Yard) -> LogReader {
    LogReader::open(&yard.state()).unwrap().unwrap()
}

#[test]
fn the_new_key_signs_from_its_event_on() {
    let yard = Yard::new();
    let (old, new) = (key("old", 1), key("new", 2));
    run(&yard, &old).unwrap();
    let before = log(&yard).size();
    let done = yard.engine("").hand_over(&old, &new).unwrap();
    let log = log(&yard);
    assert_eq!((done.sequence, done.size, log.size()), (before, before + 1, before + 1));
    assert_eq!(done.chain_id, log.made().chain_id);

    let event = Event::parse(&log.event(before).unwrap()).unwrap();
    assert_eq!(event.draft.event_type, EventType::KeySucceeded);
    let statement = log.object(event.draft.evidence_pointer).unwrap();
    let statement = Succession::check(&Note::parse(&statement).unwrap()).unwrap();
    assert_eq!((&statement.old, &statement.new), (old.verifying_key(), new.verifying_key()));
    assert_eq!(statement.chain_id, done.chain_id);

    // Who believes the old key believes the new one from there on.
    let mut ring = KeyRing::new([LogKey::from(old.verifying_key().clone())]);
    let judged = |ring: &KeyRing, at: u64| {
        let (size, note) = log.checkpoint_at_most(Some(at)).unwrap().unwrap();
        (size, ring.judge_note(&note, size, Some(event.occurred_at)).state)
    };
    assert_eq!(judged(&ring, before), (before, KeyState::Good));
    assert_eq!(judged(&ring, before + 1), (before + 1, KeyState::UnknownKey));
    ring.succeed(&statement, before, Some(event.occurred_at)).unwrap();
    assert_eq!(judged(&ring, before), (before, KeyState::SignedBeforeRetirement));
    assert_eq!(judged(&ring, before + 1), (before + 1, KeyState::Good));

    // The log takes the new key, and the old one no more.
    run(&yard, &new).unwrap();
    let refused = run(&yard, &old).unwrap_err();
    assert_eq!(refused.code(), Code::KEY_RETIRED);
    let third = key("third", 3);
    yard.engine("").hand_over(&new, &third).unwrap();
    run(&yard, &third).unwrap();
}

#[test]
fn only_the_key_of_the_log_hands_it_over_and_only_to_another() {
    let yard = Yard::new();
    let (old, new, thief) = (key("old", 1), key("new", 2), key("thief", 3));
    let engine = yard.engine("");
    let none = engine.hand_over(&old, &new).unwrap_err();
    assert_eq!(none.code(), Code::RUN_NOT_FOUND);
    run(&yard, &old).unwrap();
    let before = log(&yard).size();

    let other = engine.hand_over(&thief, &new).unwrap_err();
    assert_eq!(other.code(), Code::KEY_OTHER);
    assert!(other.to_string().contains("old+") && other.to_string().contains("thief+"), "{other}");
    let same = engine.hand_over(&old, &old).unwrap_err();
    assert!(matches!(same, HandOverError::Statement(_)), "{same}");
    assert_eq!(log(&yard).size(), before);

    engine.hand_over(&old, &new).unwrap();
    let again = engine.hand_over(&old, &thief).unwrap_err();
    assert_eq!(again.code(), Code::KEY_OTHER);
    let back = engine.hand_over(&new, &old).unwrap_err();
    assert!(matches!(back, HandOverError::NewKeyRetired(_)), "{back}");
    assert_eq!(back.code(), Code::KEY_RETIRED);
    assert_eq!(log(&yard).size(), before + 1);
}

#[test]
fn a_log_that_nobody_signed_takes_any_key_first() {
    let yard = Yard::new();
    assert_eq!(yard.run("").unwrap().status, "done");
    yard.engine("").hand_over(&key("first", 1), &key("second", 2)).unwrap();
    assert_eq!(run(&yard, &key("first", 1)).unwrap_err().code(), Code::KEY_RETIRED);
    run(&yard, &key("second", 2)).unwrap();
}
