//! The journal on disk: what is appended stays, and what was changed is noticed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Barrier};

use carnet_engine::{Journal, JournalError, LogPlace, LogProfile, LogReader, TreeDamage};
use carnet_ledger::{
    Chain, Damage, Digest, Event, EventDraft, EventType, EvidenceProfile, HashProfile,
    HashTiles as _, Object, Outcome, Value, leaf_hash, root_of, verify_log,
};
use carnet_model::Code;

use super::kept::on_each;
use super::world::{Ticks, read};

pub(crate) fn open(place: impl Into<LogPlace>) -> Result<Journal, JournalError> {
    let ticks = Ticks::new();
    let seen = &mut |_: &Event| Ok(());
    Journal::open::<JournalError>(place, LogProfile::default(), None, ticks.clone(), ticks, seen)
}

pub(crate) fn draft(action: &str, pointer: Digest) -> EventDraft {
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

fn actions(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.draft.action.as_deref().unwrap()).collect()
}

fn three(place: impl Into<LogPlace>) -> Digest {
    let journal = open(place).unwrap();
    let object = journal.put(b"what was seen").unwrap();
    journal.append(vec![draft("a", object), draft("b", object)]).unwrap();
    journal.append(vec![draft("c", object)]).unwrap();
    object
}

/// So many events, many to a transaction.
pub(crate) fn many(journal: &Journal, events: usize) {
    let object = Digest::of(b"x");
    for first in (0..events).step_by(500) {
        let numbers = first..events.min(first + 500);
        journal.append(numbers.map(|n| draft(&n.to_string(), object)).collect()).unwrap();
    }
}

/// Changes the database by hand.
pub(crate) fn edit(dir: &Path, sql: &str) {
    let database = rusqlite::Connection::open(dir.join("evidence.sqlite")).unwrap();
    database.execute_batch(sql).unwrap();
}

#[test]
fn what_was_appended_is_there_with_its_objects_and_its_writer() {
    on_each(|kept| {
        assert!(LogReader::open(kept.place()).unwrap().is_none());
        let object = three(kept.place());
        let mut events = Vec::new();
        let ticks = Ticks::new();
        let journal = Journal::open(
            kept.place(),
            LogProfile::default(),
            None,
            ticks.clone(),
            ticks,
            &mut |e| {
                events.push(e.clone());
                Ok::<_, JournalError>(())
            },
        );
        let journal = journal.unwrap();
        assert_eq!(actions(&events), ["a", "b", "c"]);
        assert_eq!(journal.object(object).unwrap(), b"what was seen");
        assert_eq!((journal.events(), journal.generation()), (3, Some(2)));
        let next = journal.append(vec![draft("d", object)]).unwrap();
        let generation = next[0].draft.context.get("generation");
        assert_eq!(generation, Some(&Value::from(2u32)));
        assert_eq!(next[0].prev_hash, Some(events[2].event_hash));
        assert_eq!(read(kept.place()).unwrap().1.len(), 4);
        assert!(journal.append(Vec::new()).unwrap().is_empty());
    });
}

#[test]
fn an_event_that_cannot_be_sealed_leaves_nothing_of_its_append() {
    on_each(|kept| {
        let object = three(kept.place());
        let journal = open(kept.place()).unwrap();
        let nameless = EventDraft { actor: String::new(), ..draft("no", object) };
        let refused = journal.append(vec![draft("first", object), nameless]).unwrap_err();
        assert!(matches!(refused, JournalError::Seal(_)));
        journal.append(vec![draft("d", object)]).unwrap();
        assert_eq!(actions(&read(kept.place()).unwrap().1), ["a", "b", "c", "d"]);
    });
}

#[test]
fn one_writer_at_a_time() {
    on_each(|kept| {
        let journal = open(kept.place()).unwrap();
        let refused = open(kept.place()).err().unwrap();
        assert!(matches!(refused, JournalError::Locked { .. }));
        assert_eq!(refused.code(), Code::RUN_LOCKED);
        assert!(LogReader::open(kept.place()).unwrap().is_some(), "readers are not refused");
        drop(journal);
        open(kept.place()).unwrap();
    });
}

#[test]
fn a_writer_whose_lock_was_taken_away_is_refused_by_the_store() {
    on_each(|kept| {
        let old = open(kept.place()).unwrap();
        let object = old.put(b"x").unwrap();
        old.append(vec![draft("a", object)]).unwrap();
        // Somebody removes the lock file, and a second writer comes.
        kept.steal();
        let new = open(kept.place()).unwrap();
        let told = old.check_lease().unwrap_err();
        let refused = old.append(vec![draft("late", object)]).unwrap_err();
        for error in [told, refused] {
            let known = matches!(
                error,
                JournalError::Fenced { mine: 1, now: 2 } | JournalError::LeaseLost { .. }
            );
            assert!(known && error.code() == Code::RUN_FENCED, "{error:?}");
        }
        new.check_lease().unwrap();
        new.append(vec![draft("b", object)]).unwrap();
        assert_eq!(actions(&read(kept.place()).unwrap().1), ["a", "b"]);
    });
}

#[test]
fn each_change_of_the_log_is_named_by_its_event() {
    let damage = |sql: &str| {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        edit(dir.path(), sql);
        let error = open(dir.path()).err().unwrap();
        assert_eq!(error.code(), Code::EVIDENCE_DAMAGED);
        assert!(read(dir.path()).is_err());
        let JournalError::Damaged(damage) = error else { panic!("{error}") };
        damage
    };
    let text = "update events set bytes = cast(replace(cast(bytes as text), '\"b\"', '\"x\"') \
                as blob) where sequence = 1";
    assert_eq!(damage(text), Damage::WrongHash { sequence: 1 });
    assert_eq!(damage("delete from events where sequence = 1"), Damage::Gap { from: 1, to: 1 });
    assert_eq!(
        damage("delete from events where sequence = 0"),
        Damage::TruncatedHead { sequence: 1 }
    );
    let other = "update meta set value = 'another log' where key = 'chain_id'";
    assert_eq!(damage(other), Damage::WrongChain { sequence: 0 });
    assert!(matches!(
        damage("update events set bytes = x'00' where sequence = 2"),
        Damage::NotJson { sequence: 2, .. }
    ));
}

#[test]
fn a_change_is_found_wherever_the_log_is_kept() {
    on_each(|kept| {
        let first = kept.place();
        many(&open(first).unwrap(), 600);
        let changed = |sql: &str, back: &str| {
            kept.edit(sql);
            let error = open(first).err().unwrap();
            assert_eq!(error.code(), Code::EVIDENCE_DAMAGED, "{error:?}");
            kept.edit(back);
            open(first).unwrap();
            error
        };
        let keep = "create table kept as select * from events where sequence in (1, 599); ";
        let back = "insert into events select * from kept; drop table kept;";
        let gone = format!("{keep} delete from events where sequence = 1;");
        let back_1 = back.replace("from kept", "from kept where sequence = 1");
        let gap = changed(&gone, &back_1);
        assert!(matches!(gap, JournalError::Damaged(Damage::Gap { from: 1, to: 1 })), "{gap:?}");
        let cut = format!("{keep} delete from events where sequence = 599;");
        let place = format!("{cut} update tiles set idx = 7 where level = 0 and idx = 1;");
        let back_599 = back.replace("from kept", "from kept where sequence = 599");
        let back_599 = format!("{back_599} update tiles set idx = 1 where level = 0 and idx = 7;");
        let tile = changed(&place, &back_599);
        assert!(
            matches!(tile, JournalError::Tree(TreeDamage::Tile { level: 0, index: 1 })),
            "{tile:?}"
        );
        let other = "update meta set value = 'x' || value where key = 'chain_id'";
        let back = "update meta set value = substr(value, 2) where key = 'chain_id'";
        let chain = changed(other, back);
        assert!(matches!(chain, JournalError::Damaged(Damage::WrongChain { sequence: 0 })));
    });
}

#[test]
fn a_writer_that_was_replaced_without_a_sign_is_refused_by_the_store() {
    on_each(|kept| {
        let old = open(kept.place()).unwrap();
        many(&old, 10);
        kept.edit("update meta set value = '9' where key = 'generation'");
        let told = old.check_lease().unwrap_err();
        let refused = old.append(vec![draft("late", Digest::of(b"x"))]).unwrap_err();
        for error in [told, refused] {
            assert!(matches!(error, JournalError::Fenced { mine: 1, now: 9 }), "{error:?}");
        }
        drop(old);
        assert_eq!(read(kept.place()).unwrap().1.len(), 10);
        assert_eq!(open(kept.place()).unwrap().generation(), Some(10));
    });
}

#[test]
fn the_tree_beside_the_events_must_be_theirs() {
    let damage = |sql: &str| {
        let dir = tempfile::tempdir().unwrap();
        many(&open(dir.path()).unwrap(), 600);
        open(dir.path()).unwrap();
        edit(dir.path(), sql);
        let error = open(dir.path()).err().unwrap();
        assert_eq!(error.code(), Code::EVIDENCE_DAMAGED);
        assert!(read(dir.path()).is_err());
        let JournalError::Tree(damage) = error else { panic!("{error}") };
        damage
    };
    let tile = TreeDamage::Tile { level: 0, index: 1 };
    assert_eq!(damage("delete from tiles where idx = 1"), tile);
    let above = TreeDamage::Tile { level: 1, index: 0 };
    assert_eq!(damage("update tiles set hashes = zeroblob(64) where level = 1"), above);
    let more = TreeDamage::Truncated { events: 600 };
    assert_eq!(damage("insert into tiles values (1, 7, zeroblob(64))"), more);
    assert_eq!(damage("update tiles set hashes = zeroblob(8192) where idx = 1"), tile);
    let cut = TreeDamage::Truncated { events: 500 };
    assert_eq!(damage("delete from events where sequence >= 500"), cut);
}

#[test]
fn a_reader_answers_for_the_moment_at_which_it_was_opened() {
    on_each(|kept| {
        let journal = open(kept.place()).unwrap();
        many(&journal, 70_000);
        let log = LogReader::open(kept.place()).unwrap().unwrap();
        journal.append(vec![draft("later", Digest::of(b"x"))]).unwrap();
        assert_eq!((log.size(), log.made().hash_profile), (70_000, HashProfile::EcsHashV1));
        let mut leaves = Vec::new();
        let take = |sequence: u64, bytes: &[u8]| {
            assert_eq!(sequence, leaves.len() as u64);
            leaves.push(leaf_hash(bytes));
            Ok::<_, JournalError>(())
        };
        log.each_event(0..log.size(), take).unwrap();
        assert_eq!(leaf_hash(&log.event(69_999).unwrap()), leaves[69_999]);
        // Full tiles are stored, and the open ones above; the last of level 0 is made from its events.
        let root = |from: usize, to: usize| root_of(leaves[from..to].iter().copied());
        assert_eq!(log.tile(0, 3, 256).unwrap(), leaves[768..1024]);
        assert_eq!(log.tile(0, 273, 112).unwrap(), leaves[69_888..]);
        assert_eq!(log.tile(1, 0, 9).unwrap()[8], root(8 * 256, 9 * 256));
        assert_eq!(log.tile(1, 1, 17).unwrap()[16], root(272 * 256, 273 * 256));
        assert_eq!(log.tile(2, 0, 1).unwrap(), [root(0, 65_536)]);
        for missing in [log.tile(0, 273, 200), log.tile(1, 1, 18), log.tile(255, u64::MAX, 256)] {
            assert!(matches!(missing, Err(JournalError::EventMissing(_))), "{missing:?}");
        }
        let beyond = log.each_event(69_999..70_002, |_, _| Ok::<_, JournalError>(()));
        assert!(matches!(beyond, Err(JournalError::EventMissing(70_000))));
        assert!(matches!(log.event(70_000), Err(JournalError::EventMissing(70_000))));
    });
}

/// A log as the first release wrote it.
fn first_format(dir: &Path, events: usize) -> Vec<Vec<u8>> {
    use carnet_engine::{Clock as _, IdSource as _};
    let database = rusqlite::Connection::open(dir.join("evidence.sqlite")).unwrap();
    database
        .execute_batch(
            "pragma journal_mode = wal;
            create table meta (key text primary key, value text not null) strict;
            create table events (
                sequence integer primary key,
                bytes blob not null,
                event_hash text not null unique
            ) strict;
            insert into meta values
                ('format', 'carnet-evidence-1'),
                ('chain_id', '00000000-0000-0000-0000-00000000beef'),
                ('hash_profile', 'ecs-hash-v1'),
                ('evidence_profile', 'ecs-evidence-baseline'),
                ('generation', '7');",
        )
        .unwrap();
    let ticks = Ticks::new();
    let mut chain = Chain::new(
        "00000000-0000-0000-0000-00000000beef",
        HashProfile::EcsHashV1,
        EvidenceProfile::Baseline,
    );
    let mut stored = Vec::new();
    for number in 0..u32::try_from(events).unwrap() {
        let draft = draft(&number.to_string(), Digest::of(b"x"));
        let sealed = chain.seal(draft, ticks.next_id(), ticks.now()).unwrap();
        chain.accept(&sealed.event).unwrap();
        let row = (number, &sealed.bytes, sealed.event.event_hash.to_string());
        database.execute("insert into events values (?1, ?2, ?3)", row).unwrap();
        stored.push(sealed.bytes);
    }
    stored
}

#[test]
fn a_log_of_the_first_format_is_read_as_it_is_and_goes_on_in_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let old = first_format(dir.path(), 700);
    let leaves: Vec<_> = old.iter().map(|bytes| leaf_hash(bytes)).collect();
    let check = |format: &str| {
        let (log, events) = read(dir.path()).unwrap();
        assert_eq!(log.made().chain_id, "00000000-0000-0000-0000-00000000beef");
        for (number, bytes) in old.iter().enumerate() {
            assert_eq!(log.event(number as u64).unwrap(), *bytes);
        }
        assert_eq!(log.tile(0, 1, 256).unwrap(), leaves[256..512]);
        assert_eq!(log.tile(1, 0, 2).unwrap()[1], root_of(leaves[256..512].iter().copied()));
        let database = rusqlite::Connection::open(dir.path().join("evidence.sqlite")).unwrap();
        let row = "select value from meta where key = 'format'";
        let stored: String = database.query_row(row, [], |row| row.get(0)).unwrap();
        assert_eq!(stored, format);
        events.len()
    };
    assert_eq!(check("carnet-evidence-1"), 700);
    let journal = open(dir.path()).unwrap();
    assert_eq!((journal.events(), journal.generation()), (700, Some(8)));
    many(&journal, 100);
    assert_eq!(check("carnet-evidence-2"), 800);
    drop(journal);
    assert_eq!(open(dir.path()).unwrap().events(), 800);
    let tables = rusqlite::Connection::open(dir.path().join("evidence.sqlite")).unwrap();
    let mut tables = tables.prepare("select name from sqlite_schema where type = 'table'").unwrap();
    let tables: BTreeSet<String> =
        tables.query_map([], |row| row.get(0)).unwrap().flatten().collect();
    let wanted = ["meta", "events", "tiles", "checkpoints"].map(str::to_owned);
    assert_eq!(tables, BTreeSet::from(wanted));
}

#[test]
fn a_damaged_log_of_the_first_format_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    first_format(dir.path(), 10);
    edit(dir.path(), "delete from events where sequence = 4");
    let before = std::fs::read(dir.path().join("evidence.sqlite")).unwrap();
    assert!(matches!(open(dir.path()), Err(JournalError::Damaged(Damage::Gap { from: 4, to: 4 }))));
    assert_eq!(std::fs::read(dir.path().join("evidence.sqlite")).unwrap(), before);
}

#[test]
fn a_log_of_an_unknown_format_is_not_touched() {
    for sql in [
        "update meta set value = 'carnet-evidence-3' where key = 'format'",
        "delete from meta where key = 'format'",
        "drop table meta",
    ] {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        edit(dir.path(), sql);
        let refused = open(dir.path()).err().unwrap();
        assert!(matches!(refused, JournalError::Format { .. }), "{refused:?}");
        assert!(matches!(LogReader::open(dir.path()), Err(JournalError::Format { .. })));
    }
}

#[test]
fn objects_are_believed_only_by_their_digest() {
    let dir = tempfile::tempdir().unwrap();
    let object = three(dir.path());
    let journal = open(dir.path()).unwrap();
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
    let journal = Journal::in_memory(profile, Arc::clone(&ticks) as _, ticks);
    let object = journal.put(b"x").unwrap();
    let events = journal.append(vec![draft("a", object)]).unwrap();
    assert_eq!(events[0].draft.context.get("dry_run"), Some(&Value::from(true)));
    assert_eq!(journal.object(object).unwrap(), b"x");
    assert_eq!((journal.generation(), journal.events()), (None, 1));
}

#[test]
fn threads_share_transactions_and_each_gets_its_own_events() {
    on_each(|kept| {
        let journal = open(kept.place()).unwrap();
        let object = journal.put(b"x").unwrap();
        let start = Barrier::new(16);
        let mine = |thread: usize| {
            start.wait();
            let mut sequences = Vec::new();
            for round in 0..25 {
                let action = format!("{thread}/{round}");
                let drafts = vec![draft(&action, object); 1 + round % 3];
                let events = journal.append(drafts).unwrap();
                assert!(events.iter().all(|event| event.draft.action.as_deref() == Some(&action)));
                // Durable by now: another connection sees it.
                let log = LogReader::open(kept.place()).unwrap().unwrap();
                assert!(log.size() > events.last().unwrap().sequence);
                sequences.extend(events.iter().map(|event| event.sequence));
            }
            assert!(sequences.is_sorted());
            sequences
        };
        let all: Vec<u64> = std::thread::scope(|scope| {
            let mine = &mine;
            let threads: Vec<_> = (0..16).map(|thread| scope.spawn(move || mine(thread))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: BTreeSet<u64> = all.iter().copied().collect();
        assert_eq!((distinct.len(), all.len()), (16 * 49, 16 * 49));
        assert_eq!(read(kept.place()).unwrap().1.len(), all.len());
    });
}

#[test]
fn threads_of_a_writer_that_was_replaced_are_all_refused() {
    on_each(|kept| {
        let old = open(kept.place()).unwrap();
        kept.steal();
        let new = open(kept.place()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let refused =
                            old.append(vec![draft("late", Digest::of(b"x"))]).unwrap_err();
                        assert_eq!(refused.code(), Code::RUN_FENCED);
                        assert!(refused.remedy().is_some());
                    }
                });
            }
        });
        assert_eq!(old.events(), 0);
        many(&new, 10);
        assert_eq!(read(kept.place()).unwrap().1.len(), 10);
    });
}

#[test]
fn a_second_writer_beside_the_first_loses_nothing() {
    on_each(|kept| {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let place = kept.place().clone();
                std::thread::spawn(move || {
                    let mut written = 0;
                    for _ in 0..20 {
                        let Ok(journal) = open(&place) else { continue };
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
        let (log, events) = read(kept.place()).unwrap();
        assert_eq!(events.len(), written);
        let mut stored = Vec::new();
        let keep = |_, bytes: &[u8]| {
            stored.push(bytes.to_owned());
            Ok::<_, JournalError>(())
        };
        log.each_event(0..log.size(), keep).unwrap();
        assert_eq!(verify_log(HashProfile::EcsHashV1, stored).unwrap().events, written as u64);
    });
}
