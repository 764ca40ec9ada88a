//! The journal on disk: what is appended stays, and what was changed is noticed.

use std::path::Path;
use std::sync::Arc;

use carnet_engine::{Journal, JournalError, Log, LogProfile};
use carnet_ledger::{Damage, Digest, EventDraft, EventType, Object, Outcome, Value};
use carnet_model::Code;

use super::world::Ticks;

fn open(dir: &Path) -> Result<(Journal, Log), JournalError> {
    let ticks = Ticks::new();
    Journal::open(dir, LogProfile::default(), ticks.clone(), ticks)
}

fn draft(action: &str, pointer: Digest) -> EventDraft {
    EventDraft {
        event_type: EventType::ProcessIntent,
        actor: "test".into(),
        actor_details: None,
        tenant_id: "lab".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: pointer,
        correlation_id: "run".into(),
        resource_id: None,
        action: Some(action.into()),
        authority_snapshot_id: pointer,
        policy_snapshot_id: pointer,
        jurisdiction: None,
        classification: None,
        context: Object::new(),
        fields: Object::new(),
    }
}

fn three(dir: &Path) -> Digest {
    let (mut journal, _) = open(dir).unwrap();
    let object = journal.put(b"what was seen").unwrap();
    journal.append(vec![draft("a", object), draft("b", object)]).unwrap();
    journal.append(vec![draft("c", object)]).unwrap();
    object
}

#[test]
fn what_was_appended_is_there_with_its_objects_and_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let object = three(dir.path());
    let (mut journal, log) = open(dir.path()).unwrap();
    let actions: Vec<_> = log.events.iter().map(|e| e.draft.action.clone().unwrap()).collect();
    assert_eq!(actions, ["a", "b", "c"]);
    assert_eq!(journal.object(object).unwrap(), b"what was seen");
    assert_eq!((journal.events(), journal.generation()), (3, Some(2)));
    let next = journal.append(vec![draft("d", object)]).unwrap();
    let generation = next[0].draft.context.get("generation");
    assert_eq!(generation, Some(&Value::from(2u32)));
    assert_eq!(next[0].prev_hash, log.last_hash);
    let read = Journal::read(dir.path()).unwrap().unwrap();
    assert_eq!(read.events.len(), 4);
    assert!(Journal::read(&dir.path().join("elsewhere")).unwrap().is_none());
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path()).unwrap();
    let refused = open(dir.path()).err().unwrap();
    assert!(matches!(refused, JournalError::Locked { .. }));
    assert_eq!(refused.code(), Code::RUN_LOCKED);
    assert!(Journal::read(dir.path()).unwrap().is_some(), "readers are not refused");
    drop(journal);
    open(dir.path()).unwrap();
}

#[test]
fn a_writer_whose_lock_was_taken_away_is_refused_by_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (mut old, _) = open(dir.path()).unwrap();
    let object = old.put(b"x").unwrap();
    old.append(vec![draft("a", object)]).unwrap();
    // Somebody removes the lock file, and a second writer comes.
    std::fs::remove_file(dir.path().join("lock")).unwrap();
    let (mut new, _) = open(dir.path()).unwrap();
    let refused = old.append(vec![draft("late", object)]).unwrap_err();
    assert!(matches!(refused, JournalError::Fenced { mine: 1, now: 2 }));
    new.append(vec![draft("b", object)]).unwrap();
    assert_eq!(Journal::read(dir.path()).unwrap().unwrap().events.len(), 2);
}

#[test]
fn each_change_of_the_log_is_named_by_its_event() {
    let edit = |sql: &str| {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        let database = rusqlite::Connection::open(dir.path().join("evidence.sqlite")).unwrap();
        database.execute_batch(sql).unwrap();
        drop(database);
        let error = open(dir.path()).err().unwrap();
        assert_eq!(error.code(), Code::EVIDENCE_DAMAGED);
        assert!(Journal::read(dir.path()).is_err());
        let JournalError::Damaged(damage) = error else { panic!("{error}") };
        damage
    };
    let text = "update events set bytes = cast(replace(cast(bytes as text), '\"b\"', '\"x\"') \
                as blob) where sequence = 1";
    assert_eq!(edit(text), Damage::WrongHash { sequence: 1 });
    assert_eq!(edit("delete from events where sequence = 1"), Damage::Gap { from: 1, to: 1 });
    assert_eq!(
        edit("delete from events where sequence = 0"),
        Damage::TruncatedHead { sequence: 1 }
    );
    assert!(matches!(
        edit("update events set bytes = x'00' where sequence = 2"),
        Damage::NotJson { sequence: 2, .. }
    ));
}

#[test]
fn objects_are_believed_only_by_their_digest() {
    let dir = tempfile::tempdir().unwrap();
    let object = three(dir.path());
    let (journal, _) = open(dir.path()).unwrap();
    let name = object.to_string();
    let path = dir.path().join("objects/sha256").join(&name[..2]).join(&name[2..]);
    std::fs::write(&path, b"what was SEEN").unwrap();
    assert!(matches!(journal.object(object), Err(JournalError::ObjectDamaged(_))));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(journal.object(object), Err(JournalError::ObjectMissing(_))));
}

#[test]
fn a_dry_run_leaves_nothing_and_says_so_in_each_event() {
    let ticks = Ticks::new();
    let profile = LogProfile::default();
    let mut journal = Journal::in_memory(profile, Arc::clone(&ticks) as _, ticks);
    let object = journal.put(b"x").unwrap();
    let events = journal.append(vec![draft("a", object)]).unwrap();
    assert_eq!(events[0].draft.context.get("dry_run"), Some(&Value::from(true)));
    assert_eq!(journal.object(object).unwrap(), b"x");
    assert_eq!(journal.generation(), None);
}

#[test]
fn a_second_writer_beside_the_first_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let dir = dir.path().to_owned();
            std::thread::spawn(move || {
                let mut written = 0;
                for _ in 0..20 {
                    let Ok((mut journal, _)) = open(&dir) else { continue };
                    let object = journal.put(b"x").unwrap();
                    journal.append(vec![draft("a", object)]).unwrap();
                    written += 1;
                }
                written
            })
        })
        .collect();
    let written: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert!(written > 0);
    assert_eq!(Journal::read(dir.path()).unwrap().unwrap().events.len(), written);
}
