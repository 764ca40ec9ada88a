//! The one pass over a stored event against the slow way: read into values, written again,
//! compared.

use std::collections::BTreeMap;

use carnet_ledger::{
    Digest, Event, EventCheck, EventDamage, HashProfile, MAX_DEPTH, MAX_EVENT_BYTES, Object,
    ParseError, Sealed, Value, leaf_hash,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::events::{PROFILES, any_sealed, any_text, any_value};

/// All that a check tells of an event.
#[derive(Debug, PartialEq)]
struct Told {
    sequence: u64,
    chain_id: String,
    prev_hash: Option<Digest>,
    event_hash: Digest,
    hash_holds: bool,
    leaf: Digest,
    /// In the order of the profile; names without their quotes.
    members: Vec<(String, String)>,
}

fn fast(profile: HashProfile, bytes: &[u8]) -> Result<Told, EventDamage> {
    let check = EventCheck::of(profile, bytes)?;
    assert_eq!(check.text().as_bytes(), bytes);
    assert_eq!(check.event(), Event::parse(bytes));
    Ok(Told {
        sequence: check.sequence(),
        chain_id: check.chain_id().into_owned(),
        prev_hash: check.prev_hash(),
        event_hash: check.event_hash(),
        hash_holds: check.hash_holds(),
        leaf: check.leaf(),
        members: check.members().map(|(name, raw)| (name.to_owned(), raw.to_owned())).collect(),
    })
}

/// The same answers by way of a tree of values.
fn slow(profile: HashProfile, bytes: &[u8]) -> Result<Told, EventDamage> {
    let value = Value::parse(bytes, MAX_EVENT_BYTES).map_err(EventDamage::NotJson)?;
    let Value::Object(event) = value else { return Err(EventDamage::Member("sequence")) };
    let text = |name| match event.get(name) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(EventDamage::Member(name)),
    };
    let digest = |name| match text(name)? {
        None => Ok(None),
        Some(text) => text.parse::<Digest>().map(Some).map_err(|_| EventDamage::Member(name)),
    };
    let sequence = match event.get("sequence") {
        Some(Value::Integer(number)) => u64::try_from(number.get()).ok(),
        _ => None,
    };
    let sequence = sequence.ok_or(EventDamage::Member("sequence"))?;
    let chain_id = text("chain_id")?.ok_or(EventDamage::Member("chain_id"))?;
    let event_hash = digest("event_hash")?.ok_or(EventDamage::Member("event_hash"))?;
    let prev_hash = digest("prev_hash")?;
    if text("hash_profile_id")?.is_some_and(|name| name != profile.name()) {
        return Err(EventDamage::WrongProfile { sequence });
    }
    if profile.canonical(&event.clone().into()).as_bytes() != bytes {
        return Err(EventDamage::NotCanonical { sequence });
    }
    let mut content = event.clone();
    content.remove("event_hash");
    let mut members: Vec<_> = event.iter().collect();
    if profile == HashProfile::Rfc8785Sha256V1 {
        members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
    }
    let raw_name = |name: &str| {
        let quoted = profile.canonical(&name.into());
        quoted[1..quoted.len() - 1].to_owned()
    };
    Ok(Told {
        sequence,
        chain_id,
        prev_hash,
        event_hash,
        hash_holds: profile.digest(&content.into()) == event_hash,
        leaf: leaf_hash(bytes),
        members: members
            .into_iter()
            .map(|(name, value)| (raw_name(name), profile.canonical(value)))
            .collect(),
    })
}

/// What damage looks like in bytes: space, escapes that are right, needless or broken, numbers
/// beyond the range, members that stand twice, nesting without end.
fn fragment() -> impl Strategy<Value = String> {
    let plain = select(vec![
        " ",
        "\n",
        "\\",
        "\"",
        ",",
        ":",
        "{",
        "}",
        "[",
        "]",
        "\\n",
        "\\/",
        "\\u000a",
        "\\u0061",
        "\\u001f",
        "\\u001F",
        "\\u00e9",
        "\\u00E9",
        "é",
        "\u{7f}",
        "\\u007f",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\uff61",
        "｡",
        "😀",
        "\u{0}",
        "0",
        "-",
        "-0",
        "-1",
        "1.0",
        "1e3",
        "00",
        "9007199254740991",
        "9007199254740992",
        "-9007199254740992",
        "null",
        "true",
        "nul",
        ",\"zz\":0",
        "\"actor\":\"x\",",
        "\"a\":[],",
        "\"a\":{},",
        "\"é\":1,",
        "\"\\u00e9\":1,",
        "\"sequence\":7,",
        ",\"zz\":{\"｡\":1,\"😀\":2}",
        ",\"zz\":{\"😀\":2,\"｡\":1}",
        ",\"zz\":{\"\\ud83d\\ude00\":2,\"\\uff61\":1}",
        ",\"zz\":{\"\\uff61\":1,\"\\ud83d\\ude00\":2}",
        ",\"zz\":{\"a\":1,\"a\":1}",
        ",\"zz\":-0",
        ",\"zz\":9007199254740992",
        ",\"zz\":-9007199254740992",
        ",\"zz\":0.5",
        ",\"zz\":1e3",
    ]);
    let nested = (0..=MAX_DEPTH + 1)
        .prop_map(|levels| format!(",\"zz\":{}{}", "[".repeat(levels), "]".repeat(levels)));
    prop_oneof![6 => plain.prop_map(str::to_owned), 1 => nested]
}

#[derive(Debug, Clone)]
enum Edit {
    /// Turns a bit of a byte around.
    Flip(Index, u8),
    /// Replaces some bytes.
    Replace(Index, usize, String),
    /// Puts a fragment behind the last member.
    Append(String),
    /// Puts a fragment before the first member.
    Prepend(String),
    /// Doubles a stretch of the event somewhere else.
    Copy(Index, usize, Index),
    /// Puts a member in, or another value into one, and computes the hash again or not.
    Put(String, Value, bool),
    /// Takes a member out, and computes the hash again or not.
    Remove(Index, bool),
    /// Writes the event in the form of the other profile, under the right hash.
    OtherForm,
}

fn edit() -> BoxedStrategy<Edit> {
    let at = any::<Index>;
    let names = select(vec![
        "sequence",
        "chain_id",
        "event_hash",
        "prev_hash",
        "hash_profile_id",
        "context",
        "a",
        "zz",
        "😀",
        "｡",
        "é",
        "\u{7f}",
        "",
    ]);
    let name = prop_oneof![names.prop_map(str::to_owned), any_text()];
    let number = (-2..9_i64).prop_map(|number| Value::try_from(number).unwrap());
    let hash = any::<[u8; 32]>().prop_map(|bytes| Value::from(Digest(bytes)));
    let value = prop_oneof![any_value(), number, hash];
    prop_oneof![
        1 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        1 => (at(), 0..3_usize, fragment()).prop_map(|(at, size, text)| Edit::Replace(at, size, text)),
        2 => fragment().prop_map(Edit::Append),
        1 => fragment().prop_map(Edit::Prepend),
        1 => (at(), 0..80_usize, at()).prop_map(|(from, size, to)| Edit::Copy(from, size, to)),
        1 => (name, value, any::<bool>()).prop_map(|(name, value, seal)| Edit::Put(name, value, seal)),
        1 => (at(), any::<bool>()).prop_map(|(at, seal)| Edit::Remove(at, seal)),
        1 => Just(Edit::OtherForm),
    ]
    .boxed()
}

fn object(bytes: &[u8]) -> Option<Object> {
    match Value::parse(bytes, MAX_EVENT_BYTES) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn write(profile: HashProfile, mut object: Object, seal: bool) -> Vec<u8> {
    if seal && object.remove("event_hash").is_some() {
        let hash = profile.digest(&object.clone().into());
        object.insert("event_hash".into(), hash.into());
    }
    profile.canonical(&object.into()).into_bytes()
}

impl Edit {
    fn apply(self, profile: HashProfile, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.len() < 2 {
            return bytes;
        }
        match self {
            Self::Flip(at, bit) => *at.get_mut(&mut bytes) ^= 1 << bit,
            Self::Replace(at, size, text) => {
                let at = at.index(bytes.len());
                let end = (at + size).min(bytes.len());
                bytes.splice(at..end, text.into_bytes());
            }
            Self::Append(text) => {
                let end = bytes.len() - 1;
                bytes.splice(end..end, text.into_bytes());
            }
            Self::Prepend(text) => drop(bytes.splice(1..1, text.into_bytes())),
            Self::Copy(from, size, to) => {
                let from = from.index(bytes.len());
                let piece = bytes[from..(from + size).min(bytes.len())].to_vec();
                let to = to.index(bytes.len());
                bytes.splice(to..to, piece);
            }
            Self::Put(name, value, seal) => {
                if let Some(mut object) = object(&bytes) {
                    object.insert(name, value);
                    bytes = write(profile, object, seal);
                }
            }
            Self::Remove(at, seal) => {
                if let Some(mut object) = object(&bytes).filter(|object| !object.is_empty()) {
                    let name = object.keys().nth(at.index(object.len())).unwrap().clone();
                    object.remove(&name);
                    bytes = write(profile, object, seal);
                }
            }
            Self::OtherForm => {
                if let Some(object) = object(&bytes) {
                    let other = PROFILES.into_iter().find(|other| *other != profile).unwrap();
                    bytes = other.canonical(&object.into()).into_bytes();
                }
            }
        }
        bytes
    }
}

fn case() -> impl Strategy<Value = (Sealed, Vec<Edit>)> {
    let sealed = prop_oneof![any_sealed(PROFILES[0]), any_sealed(PROFILES[1])];
    (sealed, prop::collection::vec(edit(), 0..3))
}

fn mutated((sealed, edits): (Sealed, Vec<Edit>)) -> (HashProfile, Vec<u8>) {
    let profile = sealed.event.hash_profile;
    (profile, edits.into_iter().fold(sealed.bytes, |bytes, edit| edit.apply(profile, bytes)))
}

fn kind(answer: &Result<Told, EventDamage>) -> &'static str {
    match answer {
        Ok(told) if told.hash_holds => "well",
        Ok(_) => "wrong hash",
        Err(EventDamage::NotJson(error)) => match error {
            ParseError::TooLarge { .. } => "too large",
            ParseError::Utf8(_) => "not UTF-8",
            ParseError::Syntax(_) => "not JSON",
            ParseError::DuplicateKey(_) => "a key twice",
            ParseError::Number(_) => "number out of range",
            ParseError::Depth(_) => "too deep",
        },
        Err(EventDamage::Member(member)) => member,
        Err(EventDamage::WrongProfile { .. }) => "wrong profile",
        Err(EventDamage::NotCanonical { .. }) => "not canonical",
    }
}

/// Random events, whole and damaged, get the same answer both ways; and every answer is among them,
/// so that the comparison is not empty.
#[test]
fn one_pass_answers_as_the_slow_way() {
    let mut runner = TestRunner::deterministic();
    let case = case();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..6_000 {
        let (profile, bytes) = mutated(case.new_tree(&mut runner).unwrap().current());
        let (fast, slow) = (fast(profile, &bytes), slow(profile, &bytes));
        assert_eq!(fast, slow, "{profile}: {}", String::from_utf8_lossy(&bytes));
        *kinds.entry(kind(&slow)).or_default() += 1;
    }
    for (kind, least) in [
        ("well", 1_000),
        ("wrong hash", 300),
        ("not canonical", 300),
        ("not JSON", 300),
        ("not UTF-8", 50),
        ("a key twice", 50),
        ("number out of range", 50),
        ("too deep", 2),
        ("sequence", 10),
        ("chain_id", 10),
        ("event_hash", 10),
        ("prev_hash", 10),
        ("hash_profile_id", 10),
        ("wrong profile", 10),
    ] {
        assert!(kinds.get(kind).is_some_and(|seen| *seen >= least), "{kind}: {kinds:?}");
    }
}

proptest! {
    #[test]
    fn one_pass_answers_as_the_slow_way_on_other_events(case in case()) {
        let (profile, bytes) = mutated(case);
        prop_assert_eq!(fast(profile, &bytes), slow(profile, &bytes));
    }

    #[test]
    fn no_bytes_make_the_check_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for profile in PROFILES {
            prop_assert_eq!(fast(profile, &bytes), slow(profile, &bytes));
        }
    }

    #[test]
    fn no_json_makes_the_check_fall(text in r#"\{[\[\]{}:,"\\a-c0-9eE.\- tfnué😀]{0,30}\}"#) {
        for profile in PROFILES {
            prop_assert_eq!(fast(profile, text.as_bytes()), slow(profile, text.as_bytes()));
        }
    }
}

/// The shortest event that has what a chain needs, with other members in front of and behind it.
fn event(profile: HashProfile, before: &str, after: &str) -> Vec<u8> {
    let text = |hash: &str| {
        let hash_member =
            if hash.is_empty() { String::new() } else { format!(",\"event_hash\":\"{hash}\"") };
        format!("{{{before}\"chain_id\":\"c\"{hash_member},\"sequence\":0{after}}}")
    };
    let hash = Digest::of(text("").as_bytes()).to_string();
    let bytes = text(&hash).into_bytes();
    assert_eq!(fast(profile, &bytes), slow(profile, &bytes));
    bytes
}

#[test]
fn each_form_has_its_answer() {
    use HashProfile::{EcsHashV1, Rfc8785Sha256V1};
    let deep = |levels| format!(",\"zz\":{}{}", "[".repeat(levels), "]".repeat(levels));
    let big = |size| format!(",\"zz\":\"{}\"", "x".repeat(size));
    let room = MAX_EVENT_BYTES - event(EcsHashV1, "", &big(0)).len();
    for (profile, before, after, expected) in [
        (EcsHashV1, "", "", "well"),
        (Rfc8785Sha256V1, "", "", "well"),
        (EcsHashV1, "\"a\":{},", ",\"z\":[]", "well"),
        (EcsHashV1, "", &deep(MAX_DEPTH - 1), "well"),
        (EcsHashV1, "", &deep(MAX_DEPTH), "too deep"),
        (EcsHashV1, "", &big(room), "well"),
        (EcsHashV1, "", &big(room + 1), "too large"),
        (EcsHashV1, "\"a\":1,\"a\":1,", "", "a key twice"),
        (EcsHashV1, "\"a\":1,\"\\u0061\":1,", "", "a key twice"),
        (EcsHashV1, "\"b\":1,\"a\":1,", "", "not canonical"),
        (EcsHashV1, "", ",\"a\":1", "not canonical"),
        (EcsHashV1, "\"a\":9007199254740991,", "", "well"),
        (EcsHashV1, "\"a\":-9007199254740991,", "", "well"),
        (EcsHashV1, "\"a\":9007199254740992,", "", "number out of range"),
        (EcsHashV1, "\"a\":-9007199254740992,", "", "number out of range"),
        (EcsHashV1, "\"a\":1.0,", "", "number out of range"),
        (EcsHashV1, "\"a\":1e0,", "", "number out of range"),
        (EcsHashV1, "\"a\":-0,", "", "not canonical"),
        (EcsHashV1, "\"a\": 1,", "", "not canonical"),
        (EcsHashV1, "\"a\":\"\\/\",", "", "not canonical"),
        (EcsHashV1, "\"a\":\"\\u000a\",", "", "not canonical"),
        (EcsHashV1, "\"a\":\"\\n\\u001f\\u007f\\u00e9\\ud83d\\ude00\",", "", "well"),
        (EcsHashV1, "\"a\":\"\\u00E9\",", "", "not canonical"),
        (EcsHashV1, "\"a\":\"é\",", "", "not canonical"),
        (EcsHashV1, "\"a\":\"\u{7f}\",", "", "not canonical"),
        (Rfc8785Sha256V1, "\"a\":\"\\n\\u001f\u{7f}é😀\",", "", "well"),
        (Rfc8785Sha256V1, "\"a\":\"\\u00e9\",", "", "not canonical"),
        (Rfc8785Sha256V1, "\"a\":\"\\u007f\",", "", "not canonical"),
        (Rfc8785Sha256V1, "\"a\":\"\\u001F\",", "", "not canonical"),
        // The two orders of keys differ beyond U+FFFF.
        (EcsHashV1, "", ",\"z\":{\"\\uff61\":1,\"\\ud83d\\ude00\":2}", "well"),
        (EcsHashV1, "", ",\"z\":{\"\\ud83d\\ude00\":2,\"\\uff61\":1}", "not canonical"),
        (EcsHashV1, "", ",\"z\":{\"z\":1,\"\\u00e9\":2}", "well"),
        (Rfc8785Sha256V1, "", ",\"z\":{\"😀\":2,\"｡\":1}", "well"),
        (Rfc8785Sha256V1, "", ",\"z\":{\"｡\":1,\"😀\":2}", "not canonical"),
        (EcsHashV1, "", ",\"sequence2\":0", "well"),
        (EcsHashV1, "", " ", "not canonical"),
        (EcsHashV1, "", ",", "not JSON"),
    ] {
        let bytes = event(profile, before, after);
        let answer = fast(profile, &bytes);
        assert_eq!(kind(&answer), expected, "{profile} {before} {after}: {answer:?}");
    }
}

#[test]
fn the_hash_leaves_its_member_out_wherever_that_stands() {
    for profile in PROFILES {
        let first = |hash: &str| format!("{{{hash}\"f\":1,\"sequence\":0}}");
        // `event_hash` is first where no name is before it; the chain is then not named.
        let hash = Digest::of(first("").as_bytes());
        let bytes = first(&format!("\"event_hash\":\"{hash}\",")).into_bytes();
        assert_eq!(EventCheck::of(profile, &bytes).err(), Some(EventDamage::Member("chain_id")));
        let zeros = Digest([0; 32]);
        let wrong = format!("{{\"chain_id\":\"c\",\"event_hash\":\"{zeros}\",\"sequence\":0}}");
        let check = EventCheck::of(profile, wrong.as_bytes()).unwrap();
        assert!(!check.hash_holds());
        assert_eq!(check.event_hash(), zeros);
    }
}

#[test]
fn members_are_found_by_name() {
    let pointer = Digest::of(b"pointer");
    let before = "\"b\":\"\\\"\",\"c\":{\"x\":[1]},";
    let after = format!(
        ",\"policy_snapshot_id\":\"sha256:{pointer}\",\"sequence\":0,\"tenant_id\":\"\\u00fc\""
    );
    let bytes = event(HashProfile::EcsHashV1, before, "");
    let check = EventCheck::of(HashProfile::EcsHashV1, &bytes).unwrap();
    assert_eq!(check.member("b"), Some("\"\\\"\""));
    assert_eq!(check.string("b").as_deref(), Some("\""));
    assert_eq!(check.member("c"), Some("{\"x\":[1]}"));
    assert_eq!(check.string("c"), None);
    assert_eq!(
        check.value("c").map(|value| HashProfile::EcsHashV1.canonical(&value)).as_deref(),
        Some("{\"x\":[1]}")
    );
    // Only members of the event itself.
    assert_eq!(check.member("x"), None);
    assert_eq!(check.evidence_pointer(), None);

    let text = format!(
        "{{\"authority_snapshot_id\":\"sha512:{pointer}\",\"chain_id\":\"c\",\
         \"event_hash\":\"{pointer}\",\"evidence_pointer\":\"eosc://evidence/sha256:{pointer}\"{after}}}"
    );
    let check = EventCheck::of(HashProfile::EcsHashV1, text.as_bytes()).unwrap();
    assert_eq!(check.evidence_pointer(), Some(pointer));
    assert_eq!(check.policy_snapshot(), Some(pointer));
    assert_eq!(check.authority_snapshot(), None);
    assert_eq!(check.string("tenant_id").as_deref(), Some("ü"));
    assert_eq!(check.members().count(), 7);
}

/// Checks may be made on any thread.
#[test]
fn a_check_can_be_sent() {
    fn sent<T: Send + Sync>() {}
    sent::<EventCheck<'static>>();
}
