//! Signed checkpoints: when there is one, what it notices, and who may sign.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carnet_engine::{Clock, Journal, JournalError, LogProfile, LogReader, RunRequest, TreeDamage};
use carnet_ledger::{
    Checkpoint, Digest, Event, EventDraft, EventTime, EventType, Note, Object, SignatureAnswer,
    SigningKey, leaf_hash, root_from_tiles, root_of,
};
use carnet_model::Code;

use super::journal::{draft, edit, many};
use super::world::{Ticks, read};
use super::yard::Yard;

/// A clock on which no second ever passes.
struct Still;

impl Clock for Still {
    fn now(&self) -> EventTime {
        EventTime::from_unix_millis(1_800_000_000_000).unwrap()
    }

    fn elapsed_ms(&self) -> u64 {
        0
    }
}

/// A clock that goes.
struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> EventTime {
        Still.now()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

fn key(seed: u8) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate("lab".parse().unwrap(), &[seed; 32]).unwrap())
}

fn open_at(
    dir: &Path,
    signer: Option<&Arc<SigningKey>>,
    clock: Arc<dyn Clock>,
) -> Result<Journal, JournalError> {
    let seen = &mut |_: &Event| Ok(());
    let signer = signer.map(Arc::clone);
    Journal::open::<JournalError>(dir, LogProfile::default(), signer, clock, Ticks::new(), seen)
}

fn open(dir: &Path, signer: Option<&Arc<SigningKey>>) -> Result<Journal, JournalError> {
    open_at(dir, signer, Arc::new(Still))
}

fn sizes(dir: &Path) -> Vec<u64> {
    let database = rusqlite::Connection::open(dir.join("evidence.sqlite")).unwrap();
    let mut sizes = database.prepare("select size from checkpoints order by size").unwrap();
    let sizes = sizes.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    sizes.map(|size| u64::try_from(size.unwrap()).unwrap()).collect()
}

/// The root over the first events.
fn root(dir: &Path, size: u64) -> Digest {
    let log = LogReader::open(dir).unwrap().unwrap();
    let mut leaves = Vec::new();
    let take = |_, bytes: &[u8]| {
        leaves.push(leaf_hash(bytes));
        Ok::<_, JournalError>(())
    };
    log.each_event(0..size, take).unwrap();
    assert_eq!(root_from_tiles(&log, size).unwrap(), root_of(leaves.iter().copied()));
    root_of(leaves)
}

fn holds(dir: &Path, note: &Note, key: &SigningKey, size: u64) {
    assert_eq!(note.check(key.verifying_key()), SignatureAnswer::Good);
    let said = Checkpoint::parse(&note.text).unwrap();
    let log = LogReader::open(dir).unwrap().unwrap();
    assert_eq!(said.origin, format!("carnet/{}", log.made().chain_id));
    assert_eq!((said.size, said.root), (size, root(dir, size)));
}

#[test]
fn a_checkpoint_covers_all_events_and_is_signed_once() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(1);
    let journal = open(dir.path(), Some(&key)).unwrap();
    assert_eq!(journal.checkpoint().unwrap(), None, "there is nothing to sign");
    many(&journal, 300);
    let note = journal.checkpoint().unwrap().unwrap();
    holds(dir.path(), &note, &key, 300);
    assert_eq!(journal.checkpoint().unwrap().unwrap(), note);
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    assert_eq!(log.checkpoint_at_most(None).unwrap(), Some((300, note.clone())));
    assert_eq!(log.checkpoint_at_most(Some(1_000)).unwrap(), Some((300, note.clone())));
    assert_eq!(log.last_exported().unwrap(), None);
    journal.note_export(300, &note).unwrap();
    assert_eq!(log.last_exported().unwrap(), Some((300, note)));
}

#[test]
fn without_a_key_nothing_is_signed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), None).unwrap();
    many(&journal, 10);
    assert_eq!(journal.checkpoint().unwrap(), None);
    assert!(sizes(dir.path()).is_empty());
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    assert_eq!(log.checkpoint_at_most(None).unwrap(), None);
}

#[test]
fn a_checkpoint_comes_with_the_first_events_and_with_ten_thousand_more() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(1);
    let journal = open(dir.path(), Some(&key)).unwrap();
    // Batches of 500; on this clock no second passes.
    many(&journal, 21_000);
    assert_eq!(sizes(dir.path()), [500, 10_500, 20_500]);
    drop(journal);
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    let (size, note) = log.checkpoint_at_most(Some(20_499)).unwrap().unwrap();
    assert_eq!(size, 10_500);
    holds(dir.path(), &note, &key, 10_500);
    assert_eq!(log.checkpoint_at_most(Some(499)).unwrap(), None);
    open(dir.path(), Some(&key)).unwrap();
}

#[test]
fn a_checkpoint_comes_every_second_also_when_the_events_end() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(1);
    // This clock goes on by a millisecond with each look.
    let journal = open_at(dir.path(), Some(&key), Ticks::new()).unwrap();
    for _ in 0..5 {
        many(&journal, 1);
    }
    assert_eq!(sizes(dir.path()), [1]);
    drop(journal);
    let journal = open_at(dir.path(), Some(&key), Arc::new(Real(Instant::now()))).unwrap();
    many(&journal, 1);
    many(&journal, 1);
    let begun = Instant::now();
    while sizes(dir.path()).last() != Some(&7) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", sizes(dir.path()));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_log_that_contradicts_its_checkpoint_is_refused() {
    let elsewhere = Checkpoint { origin: "carnet/other".into(), size: 20, root: Digest([0; 32]) };
    let foreign = elsewhere.sign(&[key(9).as_ref()]).unwrap().to_string();
    let key = key(1);
    let damage = |change: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path(), Some(&key)).unwrap();
        many(&journal, 20);
        journal.checkpoint().unwrap().unwrap();
        many(&journal, 5);
        drop(journal);
        open(dir.path(), Some(&key)).unwrap();
        change(dir.path());
        let signed = open(dir.path(), Some(&key)).err().unwrap();
        assert_eq!(signed.code(), Code::EVIDENCE_DAMAGED);
        let JournalError::Tree(damage) = signed else { panic!("{signed}") };
        (damage, read(dir.path()).is_err(), open(dir.path(), None).is_err())
    };
    let cut = |dir: &Path| edit(dir, "delete from events where sequence >= 15");
    assert_eq!(damage(&cut), (TreeDamage::Truncated { events: 15 }, true, true));
    // The same number of events, another history: what a restored copy that went on looks like.
    let fork = |dir: &Path| {
        edit(
            dir,
            "delete from events where sequence >= 15; create table held as select * from checkpoints; delete from checkpoints",
        );
        let journal = open(dir, None).unwrap();
        for number in 0..10 {
            journal.append(vec![draft(&format!("other {number}"), Digest::of(b"y"))]).unwrap();
        }
        drop(journal);
        edit(dir, "insert into checkpoints select * from held; drop table held");
    };
    assert_eq!(damage(&fork), (TreeDamage::Forked { size: 20 }, true, true));
    let wrong = TreeDamage::Checkpoint { size: 20 };
    let not_a_note = |dir: &Path| edit(dir, "update checkpoints set note = 'x' where size = 20");
    assert_eq!(damage(&not_a_note), (wrong.clone(), true, true));
    let of_another_log = |dir: &Path| {
        edit(dir, &format!("update checkpoints set note = '{foreign}' where size = 20"));
    };
    assert_eq!(damage(&of_another_log), (wrong.clone(), true, true));
    let other_size = |dir: &Path| edit(dir, "update checkpoints set size = 21 where size = 20");
    assert_eq!(damage(&other_size), (TreeDamage::Checkpoint { size: 21 }, true, true));
    // A wrong signature is seen by whoever has the key.
    let forged = |dir: &Path| {
        let log = LogReader::open(dir).unwrap().unwrap();
        let (_, mut note) = log.checkpoint_at_most(Some(20)).unwrap().unwrap();
        note.signatures[0].signature[7] ^= 1;
        edit(dir, &format!("update checkpoints set note = '{note}' where size = 20"));
    };
    assert_eq!(damage(&forged), (wrong, false, false));
}

#[test]
fn two_keys_sign_the_same_size_beside_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (key(1), key(2));
    let journal = open(dir.path(), Some(&old)).unwrap();
    many(&journal, 3);
    journal.checkpoint().unwrap().unwrap();
    drop(journal);
    let journal = open(dir.path(), Some(&new)).unwrap();
    let note = journal.checkpoint().unwrap().unwrap();
    for key in [&old, &new] {
        holds(dir.path(), &note, key, 3);
    }
    assert_eq!(note.signatures.len(), 2);
    assert_eq!(journal.checkpoint().unwrap().unwrap(), note);
}

#[test]
fn only_a_stored_checkpoint_counts_as_exported() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(1);
    let journal = open(dir.path(), Some(&key)).unwrap();
    many(&journal, 3);
    let note = journal.checkpoint().unwrap().unwrap();
    assert!(journal.note_export(2, &note).is_err());
    let other = Note::sign(note.text.replace("\n3\n", "\n4\n"), &[key.as_ref()]).unwrap();
    assert!(journal.note_export(3, &other).is_err());
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    assert_eq!(log.last_exported().unwrap(), None);
}

#[test]
fn a_key_signs_nothing_behind_the_event_that_retires_it() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (key(1), key(2));
    let journal = open(dir.path(), Some(&old)).unwrap();
    many(&journal, 3);
    many(&journal, 4);
    let ids = [&old, &new].map(|key| key.verifying_key().key_id());
    let succession = EventDraft {
        event_type: EventType::KeySucceeded,
        fields: Object::from([
            ("old_key_id".to_owned(), ids[0].as_str().into()),
            ("new_key_id".to_owned(), ids[1].as_str().into()),
        ]),
        ..draft("succeed", Digest::of(b"x"))
    };
    journal.append(vec![succession]).unwrap();
    many(&journal, 10);
    assert_eq!(journal.checkpoint().unwrap(), None);
    // What stands before it is covered by the old key.
    assert_eq!(sizes(dir.path()).last(), Some(&7));
    drop(journal);
    let refused = open(dir.path(), Some(&old)).err().unwrap();
    assert!(matches!(&refused, JournalError::Retired { sequence: 7, .. }), "{refused:?}");
    assert!(refused.remedy().is_some());
    let journal = open(dir.path(), Some(&new)).unwrap();
    holds(dir.path(), &journal.checkpoint().unwrap().unwrap(), &new, 18);
    drop(journal);
    open(dir.path(), None).unwrap();
}

#[test]
fn a_run_signs_at_the_end_of_each_phase_and_at_its_own() {
    let yard = Yard::new();
    let key = key(1);
    let request = yard.request(yard.folder.path(), false);
    let request = RunRequest { signer: Some(Arc::clone(&key)), ..request };
    assert_eq!(yard.engine("").run(&request).unwrap().status, "done");
    let (_, events) = read(&yard.state()).unwrap();
    let sizes = sizes(&yard.state());
    let is = |event: &Event, fact: &str| {
        event.draft.event_type == EventType::ProcessPhase
            && event.draft.action.as_deref() == Some(fact)
    };
    let mut left = 0;
    for event in events.iter().filter(|event| is(event, "leave")) {
        let later = events.iter().find(|next| next.sequence > event.sequence && is(next, "enter"));
        let end = later.map_or(events.len() as u64, |next| next.sequence);
        let covers = |size: &&u64| (event.sequence + 1..=end).contains(*size);
        assert!(sizes.iter().any(|size| covers(&size)), "{:?} {sizes:?}", event.draft.resource_id);
        left += 1;
    }
    assert_eq!(left, 9);
    assert_eq!(sizes.last(), Some(&(events.len() as u64)));
}
