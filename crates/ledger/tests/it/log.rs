//! Logs as the engine writes them, whole and damaged.

use carnet_ledger::{
    ActorDetails, ActorKind, Chain, Damage, Digest, Event, EventCheck, EventDraft, EventError,
    EventId, EventTime, EventType, EvidenceProfile, HashProfile, MAX_EVENT_BYTES, Object, Outcome,
    Refusal, RefusalClass, SealError, Value, Verified, Verifier, leaf_hash, root_of, verify_log,
};

use crate::events::PROFILES;

fn draft(event_type: EventType) -> EventDraft {
    EventDraft {
        event_type,
        actor: "ops@example.org".into(),
        actor_details: None,
        tenant_id: "lab".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: Digest::of(b"plan"),
        correlation_id: "run-1".into(),
        resource_id: None,
        action: None,
        authority_snapshot_id: Digest::of(b"approvers"),
        policy_snapshot_id: Digest::of(b"rules"),
        jurisdiction: None,
        classification: None,
        context: Object::new(),
        fields: Object::new(),
    }
}

/// A draft with every member, and text that the two profiles write differently.
fn full_draft() -> EventDraft {
    EventDraft {
        actor_details: Some(ActorDetails {
            id: "7".into(),
            kind: ActorKind::Human,
            org_id: Some("Zürich".into()),
            credential_ref: Some("keys/ops".into()),
            jurisdiction: Some("CH".into()),
        }),
        outcome: Outcome::Refused(Refusal {
            class: RefusalClass::EvidencePreconditionFailed,
            code: "gate.closed".into(),
            subject: "collection \"embeddings\"".into(),
            reason: Some("Prüfsumme fehlt 😀".into()),
        }),
        resource_id: Some("embeddings".into()),
        action: Some("import".into()),
        jurisdiction: Some("DE".into()),
        classification: Some("internal".into()),
        context: [
            ("\u{1f600}".to_owned(), 1u32.into()),
            ("\u{ff61}".to_owned(), Value::List(vec![Value::Null, true.into(), "é\u{7f}".into()])),
        ]
        .into(),
        fields: [
            ("aaa".to_owned(), "first".into()),
            ("generation".to_owned(), 3u32.into()),
            ("workload_id".to_owned(), "w".into()),
            ("zzz".to_owned(), Value::Object(Object::new())),
        ]
        .into(),
        ..draft(EventType::MigrationRefusal)
    }
}

fn id(number: u64) -> EventId {
    EventId(u128::from(number).to_be_bytes())
}

fn time(number: u64) -> EventTime {
    EventTime::from_unix_millis(1_800_000_000_000 + i64::try_from(number).unwrap()).unwrap()
}

fn new_chain(profile: HashProfile) -> Chain {
    Chain::new("log-1", profile, EvidenceProfile::Admissible)
}

fn append(chain: &mut Chain, log: &mut Vec<Vec<u8>>, draft: EventDraft) {
    let number = chain.next_sequence;
    let sealed = chain.seal(draft, id(number), time(number)).unwrap();
    chain.accept(&sealed.event).unwrap();
    log.push(sealed.bytes);
}

fn log_of(profile: HashProfile, count: usize) -> (Chain, Vec<Vec<u8>>) {
    let (mut chain, mut log) = (new_chain(profile), Vec::new());
    for number in 0..count {
        append(
            &mut chain,
            &mut log,
            if number % 2 == 0 { full_draft() } else { draft(EventType::ProcessIntent) },
        );
    }
    (chain, log)
}

/// Puts the right hash into an edited event, as a forger would.
fn reseal(profile: HashProfile, bytes: &[u8], edit: impl FnOnce(&mut Object)) -> Vec<u8> {
    let Value::Object(mut event) = Value::parse(bytes, MAX_EVENT_BYTES).unwrap() else { panic!() };
    edit(&mut event);
    event.remove("event_hash");
    let hash = profile.digest(&Value::Object(event.clone()));
    event.insert("event_hash".into(), hash.into());
    profile.canonical(&Value::Object(event)).into_bytes()
}

#[test]
fn a_whole_log_verifies_and_reads_back() {
    for profile in PROFILES {
        let (chain, log) = log_of(profile, 7);
        let verified = verify_log(profile, &log).unwrap();
        let expected = Verified {
            events: 7,
            chain_id: Some("log-1".into()),
            last_hash: chain.last_hash,
            root: root_of(log.iter().map(|bytes| leaf_hash(bytes))),
        };
        assert_eq!(verified, expected);
        let mut again = new_chain(profile);
        for bytes in &log {
            let event = Event::parse(bytes).unwrap();
            let sealed = again.seal(event.draft.clone(), event.id, event.occurred_at).unwrap();
            assert_eq!(&sealed.bytes, bytes);
            assert_eq!(sealed.event, event);
            again.accept(&event).unwrap();
        }
        assert_eq!(again, chain);
    }
}

#[test]
fn events_checked_on_several_threads_are_placed_one_by_one() {
    for profile in PROFILES {
        let (_, mut log) = log_of(profile, 40);
        let placed = |log: &[Vec<u8>]| {
            std::thread::scope(|scope| {
                let check = |bytes| EventCheck::of(profile, bytes).unwrap();
                let parts: Vec<_> = log
                    .chunks(7)
                    .map(|part| scope.spawn(move || part.iter().map(|b| check(b)).collect()))
                    .collect();
                let mut verifier = Verifier::new(profile);
                for part in parts {
                    let checks: Vec<EventCheck<'_>> = part.join().unwrap();
                    checks.iter().try_for_each(|event| verifier.place(&event.link()))?;
                }
                Ok(verifier.finish())
            })
        };
        assert_eq!(placed(&log), Ok(verify_log(profile, &log).unwrap()));
        replace(&mut log[21], "process.intent", "process.undo");
        assert_eq!(placed(&log), Err(Damage::WrongHash { sequence: 21 }));
        log.remove(21);
        assert_eq!(placed(&log), Err(Damage::Gap { from: 21, to: 21 }));
    }
}

#[test]
fn an_empty_log_is_whole() {
    let none: [&[u8]; 0] = [];
    let verified = verify_log(HashProfile::EcsHashV1, none).unwrap();
    assert_eq!((verified.events, verified.last_hash), (0, None));
    assert_eq!(verified.root, Digest::of(b""));
}

#[test]
fn stored_bytes_are_the_canonical_form_and_the_hash_leaves_itself_out() {
    for profile in PROFILES {
        let (_, log) = log_of(profile, 2);
        for bytes in &log {
            let value = Value::parse(bytes, MAX_EVENT_BYTES).unwrap();
            assert_eq!(profile.canonical(&value).as_bytes(), bytes);
            assert_eq!(reseal(profile, bytes, |_| {}), *bytes);
        }
        let first = String::from_utf8(log[0].clone()).unwrap();
        assert!(!first.contains("prev_hash"));
        let escaped = profile == HashProfile::EcsHashV1;
        assert_eq!(first.is_ascii(), escaped);
        assert_eq!(first.contains("Pr\\u00fcfsumme fehlt \\ud83d\\ude00"), escaped);
    }
}

/// The stored form is a promise: these bytes must stay readable for ever.
#[test]
fn the_form_of_an_event_is_fixed() {
    let sealed = new_chain(HashProfile::EcsHashV1).seal(full_draft(), id(1), time(0)).unwrap();
    let text = String::from_utf8(sealed.bytes).unwrap();
    let golden = include_str!("golden_event.json");
    assert_eq!(text, golden.trim_end());
}

/// What the verifier says to a log of six events after an edit.
fn damaged(profile: HashProfile, edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Damage {
    let (_, mut log) = log_of(profile, 6);
    edit(&mut log);
    verify_log(profile, &log).unwrap_err()
}

fn replace(event: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(event.clone()).unwrap();
    assert!(text.contains(from));
    *event = text.replacen(from, to, 1).into_bytes();
}

#[test]
fn each_misplaced_event_has_its_own_answer() {
    for profile in PROFILES {
        let gap = damaged(profile, |log| drop(log.drain(2..4)));
        assert_eq!(gap, Damage::Gap { from: 2, to: 3 });
        let swapped = damaged(profile, |log| log.swap(2, 3));
        assert_eq!(swapped, Damage::Reordered { sequence: 3, expected: 2 });
        let moved_to_the_end = damaged(profile, |log| log[1..].rotate_left(1));
        assert_eq!(moved_to_the_end, Damage::Reordered { sequence: 2, expected: 1 });
        let doubled = damaged(profile, |log| log.insert(4, log[3].clone()));
        assert_eq!(doubled, Damage::Duplicated { sequence: 3 });
        let replayed = damaged(profile, |log| log.push(log[1].clone()));
        assert_eq!(replayed, Damage::Duplicated { sequence: 1 });
        let head = damaged(profile, |log| drop(log.drain(..2)));
        assert_eq!(head, Damage::TruncatedHead { sequence: 2 });
        let renumbered = damaged(profile, |log| {
            log.drain(..2);
            log[0] = reseal(profile, &log[0], |event| {
                event.insert("sequence".into(), 0u32.into());
            });
        });
        assert_eq!(renumbered, Damage::TruncatedHead { sequence: 0 });
        let unlinked_head = damaged(profile, |log| {
            log.drain(..2);
            log[0] = reseal(profile, &log[0], |event| drop(event.remove("prev_hash")));
        });
        assert_eq!(unlinked_head, Damage::TruncatedHead { sequence: 2 });
    }
}

#[test]
fn each_changed_event_has_its_own_answer() {
    for profile in PROFILES {
        let edited = damaged(profile, |log| {
            replace(&mut log[3], "process.intent", "process.undo");
        });
        assert_eq!(edited, Damage::WrongHash { sequence: 3 });
        let forged = damaged(profile, |log| {
            log[3] = reseal(profile, &log[3], |event| {
                event.insert("actor".into(), "somebody else".into());
            });
        });
        assert_eq!(forged, Damage::BrokenLink { sequence: 4 });
        let unlinked = damaged(profile, |log| {
            log[3] = reseal(profile, &log[3], |event| drop(event.remove("prev_hash")));
        });
        assert_eq!(unlinked, Damage::BrokenLink { sequence: 3 });
        let other_log = damaged(profile, |log| {
            log[3] = reseal(profile, &log[3], |event| {
                event.insert("chain_id".into(), "log-2".into());
            });
        });
        assert_eq!(other_log, Damage::WrongChain { sequence: 3 });

        let spaced = damaged(profile, |log| log[3].push(b' '));
        assert_eq!(spaced, Damage::NotCanonical { sequence: 3 });
        let escaped = damaged(profile, |log| {
            replace(&mut log[3], "ops@", "op\\u0073@");
        });
        assert_eq!(escaped, Damage::NotCanonical { sequence: 3 });
        let cut = damaged(profile, |log| log[5].truncate(100));
        assert!(matches!(cut, Damage::NotJson { sequence: 5, .. }), "{cut}");
        let twice = damaged(profile, |log| {
            replace(&mut log[3], "{", "{\"actor\":\"me\",");
        });
        assert!(matches!(twice, Damage::NotJson { sequence: 3, .. }), "{twice}");
        let beyond = damaged(profile, |log| {
            replace(&mut log[2], ":3,", ":9007199254740992,");
        });
        assert!(matches!(beyond, Damage::NotJson { sequence: 2, .. }), "{beyond}");
        let no_hash = damaged(profile, |log| {
            replace(&mut log[3], "event_hash", "event_hush");
        });
        assert_eq!(no_hash, Damage::Member { sequence: 3, member: "event_hash" });
        let list = damaged(profile, |log| log[3] = b"[]".to_vec());
        assert_eq!(list, Damage::Member { sequence: 3, member: "sequence" });
        let other_profile = damaged(profile, |log| {
            log[3] = reseal(profile, &log[3], |event| {
                event.insert("hash_profile_id".into(), "md5".into());
            });
        });
        assert_eq!(other_profile, Damage::WrongProfile { sequence: 3 });
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let (_, log) = log_of(HashProfile::EcsHashV1, 3);
    for at in 0..log[1].len() {
        for bit in 0..8 {
            let mut log = log.clone();
            log[1][at] ^= 1 << bit;
            assert!(verify_log(HashProfile::EcsHashV1, &log).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_cut_tail_shows_in_count_hash_and_root() {
    let (_, log) = log_of(HashProfile::EcsHashV1, 5);
    let whole = verify_log(HashProfile::EcsHashV1, &log).unwrap();
    let cut = verify_log(HashProfile::EcsHashV1, &log[..4]).unwrap();
    assert_ne!((whole.events, whole.last_hash, whole.root), (cut.events, cut.last_hash, cut.root));
}

#[test]
fn the_writer_refuses_what_a_log_must_not_hold() {
    let chain = new_chain(HashProfile::EcsHashV1);
    let seal = |draft| chain.seal(draft, id(0), time(0)).map(|_| ());
    let plain = || draft(EventType::GateVerdict);

    assert_eq!(
        seal(EventDraft { actor: String::new(), ..plain() }),
        Err(SealError::Empty("actor"))
    );
    let refused = |code: &str, subject: &str| EventDraft {
        outcome: Outcome::Refused(Refusal {
            class: RefusalClass::PolicyDenied,
            code: code.into(),
            subject: subject.into(),
            reason: None,
        }),
        ..plain()
    };
    assert_eq!(seal(refused("", "x")), Err(SealError::Empty("refusal_reason_code")));
    assert_eq!(seal(refused("loss", "")), Err(SealError::Empty("refusal_subject")));
    assert_eq!(seal(refused("loss", "x")), Ok(()));

    for name in ["event_hash", "actor", "Upper", "é", "", "a-b"] {
        let fields = [(name.to_owned(), Value::Null)].into();
        let answer = seal(EventDraft { fields, ..plain() });
        assert_eq!(answer, Err(SealError::FieldName(name.into())));
    }

    let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let deep = |levels| [("deep".to_owned(), nested(levels))].into();
    assert_eq!(seal(EventDraft { context: deep(62), ..plain() }), Ok(()));
    assert_eq!(seal(EventDraft { context: deep(63), ..plain() }), Err(SealError::Depth));
    assert_eq!(seal(EventDraft { fields: deep(63), ..plain() }), Ok(()));
    assert_eq!(seal(EventDraft { fields: deep(64), ..plain() }), Err(SealError::Depth));

    let rest = chain.seal(EventDraft { action: Some(String::new()), ..plain() }, id(0), time(0));
    let room = MAX_EVENT_BYTES - rest.unwrap().bytes.len();
    let filled = |size| EventDraft { action: Some("x".repeat(size)), ..plain() };
    assert_eq!(seal(filled(room)), Ok(()));
    assert_eq!(seal(filled(room + 1)), Err(SealError::TooLarge(MAX_EVENT_BYTES + 1)));
}

#[test]
fn what_the_writer_takes_the_reader_takes() {
    let nested = (0..62).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let deep = EventDraft { context: [("deep".to_owned(), nested)].into(), ..full_draft() };
    let (mut chain, mut log) = log_of(HashProfile::EcsHashV1, 1);
    append(&mut chain, &mut log, deep);
    assert!(verify_log(HashProfile::EcsHashV1, &log).is_ok());
    assert!(Event::parse(&log[1]).is_ok());
}

#[test]
fn an_event_goes_only_where_it_was_sealed_for() {
    let mut chain = new_chain(HashProfile::EcsHashV1);
    let one = chain.seal(draft(EventType::ProcessStart), id(0), time(0)).unwrap();
    let other = chain.seal(draft(EventType::ProcessEnd), id(1), time(1)).unwrap();
    chain.accept(&one.event).unwrap();
    assert_eq!(chain.accept(&other.event), Err(SealError::NotNext));
    assert_eq!(chain.next_sequence, 1);
}

#[test]
fn the_typed_reader_names_what_is_wrong() {
    let profile = HashProfile::EcsHashV1;
    let (_, log) = log_of(profile, 2);
    let read = |at: usize, name: &str, value: Option<Value>| {
        let edited = reseal(profile, &log[at], |event| {
            event.remove(name);
            if let Some(value) = value {
                event.insert(name.into(), value);
            }
        });
        let error = Event::parse(&edited).unwrap_err();
        if let Ok(check) = EventCheck::of(profile, &edited) {
            assert_eq!(check.event().as_ref(), Err(&error));
        }
        error
    };
    assert_eq!(read(0, "tenant_id", None), EventError::Missing("tenant_id"));
    assert_eq!(read(0, "refusal_reason_code", None), EventError::Missing("refusal_reason_code"));
    assert_eq!(read(0, "event_type", Some("x".into())), EventError::Form("event_type"));
    assert_eq!(
        read(0, "sequence", Some(Value::try_from(-1i64).unwrap())),
        EventError::Form("sequence")
    );
    assert_eq!(read(0, "actor", Some(Value::Null)), EventError::Form("actor"));
    assert_eq!(read(0, "context", Some(Object::new().into())), EventError::Form("context"));
    assert_eq!(read(1, "Loud", Some(Value::Null)), EventError::Name("Loud".into()));
    assert_eq!(
        read(1, "refusal_reason_code", Some("loss".into())),
        EventError::Name("refusal_reason_code".into())
    );
    assert_eq!(Event::parse(b"[]"), Err(EventError::NotAnObject));
    assert!(matches!(Event::parse(b"{"), Err(EventError::Json(_))));
}
