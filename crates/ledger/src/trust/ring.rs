//! Which keys a verifier believes, and what a signature by one of them means.

use super::Succession;
use crate::key::VerifyingKey;
use crate::note::{Note, SignatureAnswer};
use crate::stamp::EventTime;

/// The public key of a log, as a verifier brings it along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// The key.
    pub key: VerifyingKey,
    /// It counts from this time on.
    pub valid_after: Option<EventTime>,
    /// It counts up to this time.
    pub valid_before: Option<EventTime>,
}

impl From<VerifyingKey> for LogKey {
    /// A key that counts at any time.
    fn from(key: VerifyingKey) -> Self {
        Self { key, valid_after: None, valid_before: None }
    }
}

impl LogKey {
    /// Whether the key counts at this time. If the time is not known, only a key without limits
    /// does.
    fn counts_at(&self, time: Option<EventTime>) -> bool {
        match time {
            Some(time) => {
                self.valid_after.is_none_or(|after| after <= time)
                    && self.valid_before.is_none_or(|before| time <= before)
            }
            None => self.valid_after.is_none() && self.valid_before.is_none(),
        }
    }
}

/// What a signature over a log means to a verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// A key that is believed signed it.
    Good,
    /// A key signed it that was retired later, at a place that this log had not reached yet.
    SignedBeforeRetirement,
    /// The key was retired before: whoever signs with it now is not the log.
    Retired,
    /// The key does not count at this time.
    OutsideValidity,
    /// No key that is believed signed it. It may be good all the same: nothing is known.
    UnknownKey,
    /// It names a key that is believed, and that key did not sign it.
    BadSignature,
}

/// A judgement, and the key that it is about. None if the key is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyJudgement {
    /// What the signature means.
    pub state: KeyState,
    /// Whose signature it is.
    pub key: Option<VerifyingKey>,
}

/// Why a succession says nothing about the keys of this ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSucceeded {
    /// Nobody believes the old key.
    #[error("the key that hands over is not known")]
    UnknownKey,
    /// The old key no longer signed the log at that place.
    #[error("the key that hands over was retired before")]
    Retired,
    /// The old key did not count at that time.
    #[error("the key that hands over was not valid at that time")]
    OutsideValidity,
    /// The new key was retired before; keys do not come back.
    #[error("the key that takes over was retired before")]
    NewKeyRetired,
}

/// The keys that a verifier believes for one log: those brought along, and those that one of them
/// handed the log over to.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: Vec<RingKey>,
}

#[derive(Debug, Clone)]
struct RingKey {
    key: LogKey,
    /// The smallest log that it may have signed: 0 for a key that was brought along.
    from_size: u64,
    /// The place of the event that retired it.
    retired_at: Option<u64>,
}

impl RingKey {
    fn state(&self, size: u64, time: Option<EventTime>) -> KeyState {
        if size < self.from_size {
            return KeyState::UnknownKey;
        }
        if self.retired_at.is_some_and(|place| size > place) {
            return KeyState::Retired;
        }
        if !self.key.counts_at(time) {
            return KeyState::OutsideValidity;
        }
        match self.retired_at {
            Some(_) => KeyState::SignedBeforeRetirement,
            None => KeyState::Good,
        }
    }
}

impl KeyRing {
    /// A ring with the keys that the verifier brings along.
    pub fn new(keys: impl IntoIterator<Item = LogKey>) -> Self {
        let ring_key = |key| RingKey { key, from_size: 0, retired_at: None };
        Self { keys: keys.into_iter().map(ring_key).collect() }
    }

    /// Takes in a succession whose signatures were found good and whose event was found at this
    /// `place` (its sequence) of the log: the old key is retired from there on, and the new one
    /// believed. `time` is when the event says that it happened.
    pub fn succeed(
        &mut self,
        succession: &Succession,
        place: u64,
        time: Option<EventTime>,
    ) -> Result<(), NotSucceeded> {
        if self.find(&succession.new).is_some_and(|new| new.retired_at.is_some()) {
            return Err(NotSucceeded::NewKeyRetired);
        }
        let old = self.keys.iter_mut().find(|one| one.key.key == succession.old);
        let old = old.ok_or(NotSucceeded::UnknownKey)?;
        match old.state(place, time) {
            KeyState::Good => {}
            KeyState::OutsideValidity => return Err(NotSucceeded::OutsideValidity),
            KeyState::UnknownKey => return Err(NotSucceeded::UnknownKey),
            KeyState::SignedBeforeRetirement | KeyState::Retired | KeyState::BadSignature => {
                return Err(NotSucceeded::Retired);
            }
        }
        old.retired_at = Some(place);
        if self.find(&succession.new).is_none() {
            let key = LogKey::from(succession.new.clone());
            self.keys.push(RingKey { key, from_size: place + 1, retired_at: None });
        }
        Ok(())
    }

    /// Where the key of this id was retired.
    pub fn retired_at(&self, key_id: &str) -> Option<u64> {
        self.keys.iter().find(|one| one.key.key.key_id() == key_id)?.retired_at
    }

    /// What the signatures under a checkpoint of this size mean. `time` is that of the log's last
    /// event, by which limits in time are judged.
    ///
    /// A bad signature of one key spoils the note; of several good ones the best counts.
    pub fn judge_note(&self, note: &Note, size: u64, time: Option<EventTime>) -> KeyJudgement {
        let mut best = KeyJudgement { state: KeyState::UnknownKey, key: None };
        for one in &self.keys {
            let state = match note.check(&one.key.key) {
                SignatureAnswer::Absent => continue,
                SignatureAnswer::Good => one.state(size, time),
                SignatureAnswer::Bad => KeyState::BadSignature,
            };
            let found = KeyJudgement { state, key: Some(one.key.key.clone()) };
            if state == KeyState::BadSignature {
                return found;
            }
            if rank(state) > rank(best.state) {
                best = found;
            }
        }
        best
    }

    /// What a signature over `message` by the key of this id means, for a log of this size.
    pub fn judge_signature(
        &self,
        key_id: &str,
        message: &[u8],
        signature: &[u8],
        size: u64,
        time: Option<EventTime>,
    ) -> KeyJudgement {
        let known = self.keys.iter().filter(|one| one.key.key.key_id() == key_id);
        let judged = known.map(|one| {
            let good = one.key.key.verify(message, signature);
            let state = if good { one.state(size, time) } else { KeyState::BadSignature };
            (state, one)
        });
        match judged.max_by_key(|(state, _)| rank(*state)) {
            Some((KeyState::UnknownKey, _)) | None => {
                KeyJudgement { state: KeyState::UnknownKey, key: None }
            }
            Some((state, one)) => KeyJudgement { state, key: Some(one.key.key.clone()) },
        }
    }

    fn find(&self, key: &VerifyingKey) -> Option<&RingKey> {
        self.keys.iter().find(|one| one.key.key == *key)
    }
}

/// The better of two judgements has the higher rank.
fn rank(state: KeyState) -> u8 {
    match state {
        KeyState::BadSignature => 0,
        KeyState::UnknownKey => 1,
        KeyState::Retired => 2,
        KeyState::OutsideValidity => 3,
        KeyState::SignedBeforeRetirement => 4,
        KeyState::Good => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::digest::Digest;
    use crate::key::SigningKey;

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::generate(name.parse().unwrap(), &[seed; 32]).unwrap()
    }

    fn public(key: &SigningKey) -> VerifyingKey {
        key.verifying_key().clone()
    }

    fn ring(keys: &[&SigningKey]) -> KeyRing {
        KeyRing::new(keys.iter().map(|key| public(key).into()))
    }

    fn handover(old: &SigningKey, new: &SigningKey) -> Succession {
        Succession::check(&Succession::sign(old, new, "log").unwrap()).unwrap()
    }

    fn checkpoint(size: u64, keys: &[&SigningKey]) -> Note {
        let origin = "carnet/log".to_owned();
        Checkpoint { origin, size, root: Digest([1; 32]) }.sign(keys).unwrap()
    }

    fn time(text: &str) -> EventTime {
        text.parse().unwrap()
    }

    #[test]
    fn good_unknown_and_bad_are_three_answers() {
        let (ours, other) = (key("ours", 1), key("other", 2));
        let ring = ring(&[&ours]);
        let state = |note: &Note| ring.judge_note(note, 5, None).state;
        assert_eq!(state(&checkpoint(5, &[&ours])), KeyState::Good);
        assert_eq!(state(&checkpoint(5, &[&other])), KeyState::UnknownKey);
        assert_eq!(state(&checkpoint(5, &[&other, &ours])), KeyState::Good);
        let mut changed = checkpoint(5, &[&other, &ours]);
        changed.text = changed.text.replace("\n5\n", "\n6\n");
        assert_eq!(state(&changed), KeyState::BadSignature);
        let good = ring.judge_note(&checkpoint(5, &[&ours]), 5, None);
        assert_eq!(good.key, Some(public(&ours)));
        assert_eq!(KeyRing::default().judge_note(&changed, 5, None).state, KeyState::UnknownKey);
    }

    #[test]
    fn a_succession_takes_effect_at_its_place() {
        let (old, new, third) = (key("old", 1), key("new", 2), key("third", 3));
        let mut ring = ring(&[&old]);
        ring.succeed(&handover(&old, &new), 10, None).unwrap();
        let state = |ring: &KeyRing, size, key| {
            ring.judge_note(&checkpoint(size, &[key]), size, None).state
        };
        // A log of 10 events does not hold event 10 yet.
        assert_eq!(state(&ring, 10, &old), KeyState::SignedBeforeRetirement);
        assert_eq!(state(&ring, 11, &old), KeyState::Retired);
        assert_eq!(state(&ring, 10, &new), KeyState::UnknownKey);
        assert_eq!(state(&ring, 11, &new), KeyState::Good);
        assert_eq!(ring.retired_at(&public(&old).key_id()), Some(10));
        let both = checkpoint(11, &[&old, &new]);
        assert_eq!(ring.judge_note(&both, 11, None).key, Some(public(&new)));
        ring.succeed(&handover(&new, &third), 20, None).unwrap();
        assert_eq!(state(&ring, 20, &new), KeyState::SignedBeforeRetirement);
        assert_eq!(state(&ring, 21, &new), KeyState::Retired);
        assert_eq!(state(&ring, 21, &third), KeyState::Good);
    }

    #[test]
    fn only_the_key_of_that_place_hands_over() {
        let (old, new, thief) = (key("old", 1), key("new", 2), key("thief", 3));
        let mut ring = ring(&[&old]);
        assert_eq!(ring.succeed(&handover(&thief, &new), 5, None), Err(NotSucceeded::UnknownKey));
        ring.succeed(&handover(&old, &new), 10, None).unwrap();
        for place in [5, 10, 11] {
            let refused = ring.succeed(&handover(&old, &thief), place, None);
            assert_eq!(refused, Err(NotSucceeded::Retired), "{place}");
        }
        // The new key did not sign the log before it took over.
        let early = ring.succeed(&handover(&new, &thief), 9, None);
        assert_eq!(early, Err(NotSucceeded::UnknownKey));
        let back = ring.succeed(&handover(&new, &old), 12, None);
        assert_eq!(back, Err(NotSucceeded::NewKeyRetired));
        assert_eq!(
            ring.judge_note(&checkpoint(30, &[&thief]), 30, None).state,
            KeyState::UnknownKey
        );
    }

    #[test]
    fn a_new_key_that_was_brought_along_needs_no_old_one() {
        let (old, new) = (key("old", 1), key("new", 2));
        let mut ring = ring(&[&new]);
        assert_eq!(ring.succeed(&handover(&old, &new), 10, None), Err(NotSucceeded::UnknownKey));
        let state = |size, key| ring.judge_note(&checkpoint(size, &[key]), size, None).state;
        assert_eq!(state(11, &new), KeyState::Good);
        assert_eq!(state(5, &old), KeyState::UnknownKey);
    }

    #[test]
    fn limits_in_time_are_kept() {
        let ours = key("ours", 1);
        let limited = LogKey {
            valid_after: Some(time("2026-01-01T00:00:00.000Z")),
            valid_before: Some(time("2026-12-31T00:00:00.000Z")),
            ..public(&ours).into()
        };
        let mut ring = KeyRing::new([limited]);
        let note = checkpoint(5, &[&ours]);
        let state = |ring: &KeyRing, time| ring.judge_note(&note, 5, time).state;
        assert_eq!(state(&ring, Some(time("2026-01-01T00:00:00.000Z"))), KeyState::Good);
        assert_eq!(state(&ring, Some(time("2026-12-31T00:00:00.000Z"))), KeyState::Good);
        for outside in ["2025-12-31T23:59:59.999Z", "2026-12-31T00:00:00.001Z"] {
            assert_eq!(state(&ring, Some(time(outside))), KeyState::OutsideValidity, "{outside}");
        }
        assert_eq!(state(&ring, None), KeyState::OutsideValidity);
        let late = Some(time("2027-01-01T00:00:00.000Z"));
        let to = handover(&ours, &key("new", 2));
        assert_eq!(ring.succeed(&to, 9, late), Err(NotSucceeded::OutsideValidity));
        assert_eq!(ring.succeed(&to, 9, Some(time("2026-06-01T00:00:00.000Z"))), Ok(()));
    }

    #[test]
    fn signatures_outside_of_notes_are_judged_alike() {
        let (old, new) = (key("old", 1), key("new", 2));
        let mut ring = ring(&[&old]);
        ring.succeed(&handover(&old, &new), 10, None).unwrap();
        let judge = |key: &SigningKey, message: &[u8], size| {
            let id = key.verifying_key().key_id();
            ring.judge_signature(&id, message, &key.sign(b"manifest"), size, None).state
        };
        assert_eq!(judge(&new, b"manifest", 11), KeyState::Good);
        assert_eq!(judge(&new, b"manifesto", 11), KeyState::BadSignature);
        assert_eq!(judge(&new, b"manifest", 10), KeyState::UnknownKey);
        assert_eq!(judge(&old, b"manifest", 10), KeyState::SignedBeforeRetirement);
        assert_eq!(judge(&old, b"manifest", 11), KeyState::Retired);
        assert_eq!(judge(&key("other", 3), b"manifest", 11), KeyState::UnknownKey);
    }
}
