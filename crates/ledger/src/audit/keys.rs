//! Who signed: the keys that the auditor brought, and those that they handed the log over to.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::{Found, Held, Members, SUCCESSION, bytes_of, in_full};
use super::findings::Findings;
use super::material::Material;
use super::report::{CheckId, Reason};
use super::rows::Answer;
use crate::digest::Digest;
use crate::event_check::EventCheck;
use crate::key::VerifyingKey;
use crate::note::Note;
use crate::proof::verify_inclusion;
use crate::stamp::EventTime;
use crate::trust::Succession;
use crate::trust::{KeyJudgement, KeyRing, KeyState, NotSucceeded};
use crate::value::{HashProfile, Value};

/// The longest line of `keys/succession.jsonl`: an event as a string, and its proof.
const LINE_BYTES_MAX: usize = 1 << 20;

/// A line of `keys/succession.jsonl`.
#[derive(Debug)]
pub(super) struct Handover {
    event: String,
    index: u64,
    hashes: Vec<Digest>,
}

/// The successions of a bundle, not yet checked.
pub(super) fn read(material: &dyn Material) -> Found<Vec<Handover>> {
    let Some((bytes, sum)) = bytes_of(material, SUCCESSION)? else {
        return Ok((Held::Absent, None));
    };
    let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes).split(|byte| *byte == b'\n');
    let handovers = lines.enumerate().map(|(place, line)| {
        Handover::parse(line).map_err(|what| format!("line {}: {what}", place + 1))
    });
    let held = match handovers.collect() {
        Ok(handovers) => Held::Read(handovers),
        Err(what) => Held::Malformed(what),
    };
    Ok((held, Some(sum)))
}

impl Handover {
    fn parse(line: &[u8]) -> Result<Self, String> {
        let value = Value::parse(line, LINE_BYTES_MAX).map_err(|error| in_full(&error))?;
        let Value::Object(object) = value else { return Err("not a JSON object".to_owned()) };
        let members = Members { object: &object };
        Ok(Self {
            event: members.text("event")?.to_owned(),
            index: members.number("index")?,
            hashes: members.digests("hashes")?,
        })
    }

    /// The object that the event points to: the note that both keys signed.
    fn note(&self, profile: HashProfile) -> Option<Digest> {
        EventCheck::of(profile, self.event.as_bytes()).ok()?.evidence_pointer()
    }
}

/// The objects that the successions stand on.
pub(super) fn notes(handovers: &[Handover], profile: HashProfile) -> BTreeSet<Digest> {
    handovers.iter().filter_map(|handover| handover.note(profile)).collect()
}

/// What the log is that the successions belong to.
pub(super) struct Log<'a> {
    pub(super) profile: HashProfile,
    pub(super) chain_id: &'a str,
    pub(super) tree: (u64, Digest),
    /// The objects that were asked for.
    pub(super) objects: &'a BTreeMap<Digest, Vec<u8>>,
}

/// What became of the successions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Succeeded {
    /// The places of all that hold together.
    pub(super) places: Vec<u64>,
    /// How many hand over from a key that is not believed.
    pub(super) unknown: u64,
}

/// Takes the successions into the ring, in order.
pub(super) fn succeed(
    ring: &mut KeyRing,
    handovers: &[Handover],
    log: &Log<'_>,
    findings: &mut Findings,
) -> Succeeded {
    let mut done = Succeeded::default();
    for handover in handovers {
        let place = handover.index;
        if done.places.last().is_some_and(|last| *last >= place) {
            findings.add(CheckId::KeySuccession, Reason::SuccessionBroken, || {
                format!("the succession at event {place} stands twice, or too late")
            });
            continue;
        }
        let (succession, time) = match handover.check(log) {
            Ok(checked) => checked,
            Err(what) => {
                findings.add(CheckId::KeySuccession, Reason::SuccessionBroken, || {
                    format!("the succession at event {place}: {what}")
                });
                continue;
            }
        };
        done.places.push(place);
        match ring.succeed(&succession, place, time) {
            Ok(()) => {}
            Err(NotSucceeded::UnknownKey) => done.unknown += 1,
            Err(error) => findings.add(CheckId::KeySuccession, Reason::SuccessionBroken, || {
                format!("the succession at event {place}: {error}")
            }),
        }
    }
    done
}

impl Handover {
    /// Whether the log holds the event, and both keys signed what it points to.
    fn check(&self, log: &Log<'_>) -> Result<(Succession, Option<EventTime>), String> {
        let event =
            EventCheck::of(log.profile, self.event.as_bytes()).map_err(|error| in_full(&error))?;
        if !event.hash_holds() {
            return Err("the event has another hash than its content".to_owned());
        }
        if event.chain_id() != log.chain_id || event.sequence() != self.index {
            return Err("the event belongs elsewhere".to_owned());
        }
        if event.string("event_type").as_deref() != Some("key.succeeded") {
            return Err("the event does not hand over".to_owned());
        }
        let (size, root) = log.tree;
        verify_inclusion(event.leaf(), self.index, size, &self.hashes, root)
            .map_err(|error| error.to_string())?;
        let pointer = event.evidence_pointer().ok_or("the event points to nothing")?;
        let bytes = log.objects.get(&pointer).ok_or("what both keys signed is not there")?;
        let note = Note::parse(bytes).map_err(|error| in_full(&error))?;
        let succession = Succession::check(&note).map_err(|error| in_full(&error))?;
        let says = |member: &str, key: String| event.string(member).as_deref() == Some(&key);
        if succession.chain_id != log.chain_id
            || !says("old_key_id", succession.old.key_id())
            || !says("new_key_id", succession.new.key_id())
        {
            return Err("the event and what both keys signed name different things".to_owned());
        }
        let time = event.string("occurred_at").and_then(|time| time.parse().ok());
        Ok((succession, time))
    }
}

/// What a judgement means for a row. `signers` are the keys that the material names.
pub(super) fn answer(
    what: &str,
    judgement: &KeyJudgement,
    signers: &[String],
    ring: &KeyRing,
) -> Answer {
    let key = judgement.key.as_ref().map(VerifyingKey::key_id).unwrap_or_default();
    let retired = || match ring.retired_at(&key) {
        Some(place) => format!("which was retired at event {place}"),
        None => "which was retired".to_owned(),
    };
    match judgement.state {
        KeyState::Good => Answer::Pass(format!("{what} is signed by {key}")),
        KeyState::SignedBeforeRetirement => Answer::PassBut(
            Reason::RetiredLater,
            format!(
                "{what} is signed by a retired key before its retirement: {key}, {}",
                retired()
            ),
        ),
        KeyState::Retired => Answer::Fail(
            Reason::KeyRetired,
            format!(
                "{what} is signed by {key}, {}: whoever signs with it now is not the log",
                retired()
            ),
        ),
        KeyState::OutsideValidity => Answer::Fail(
            Reason::KeyNotValid,
            format!("{what} is signed by {key}, which did not count at the time of the last event"),
        ),
        KeyState::UnknownKey => Answer::NotChecked(
            Reason::KeyUnknown,
            format!("{what} is signed by {}, and no such key was given", signers.join(", ")),
        ),
        KeyState::BadSignature => Answer::Fail(
            Reason::SignatureBad,
            format!("{what} names the key {key}, which did not sign it"),
        ),
    }
}
