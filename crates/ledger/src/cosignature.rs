//! Cosignatures: witnesses say when they saw a checkpoint (c2sp.org/tlog-cosignature@v1.0.0).

use crate::key::{SigningKey, WitnessKey};
use crate::note::{Note, NoteSignature};

/// The largest time that a cosignature may name.
const MAX_TIME: u64 = i64::MAX as u64;

/// What a checkpoint says about one witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CosignatureAnswer {
    /// The witness did not sign.
    Absent,
    /// The witness saw this checkpoint.
    Good {
        /// When, in seconds since 1970; the latest, if it signed more than once.
        time: u64,
    },
    /// A signature under the witness's name and id does not fit. The checkpoint is to be refused,
    /// whoever else signed it.
    Bad,
}

impl WitnessKey {
    /// Whether this witness cosigned the checkpoint. If it has several lines, each must fit.
    pub fn check(&self, checkpoint: &Note) -> CosignatureAnswer {
        let mut latest = None;
        for line in &checkpoint.signatures {
            if line.id == self.id() && line.name == *self.name() {
                match self.time_of(&checkpoint.text, line) {
                    Some(time) => latest = latest.max(Some(time)),
                    None => return CosignatureAnswer::Bad,
                }
            }
        }
        latest.map_or(CosignatureAnswer::Absent, |time| CosignatureAnswer::Good { time })
    }

    /// The time that a line of this witness names, if the witness signed it.
    fn time_of(&self, text: &str, line: &NoteSignature) -> Option<u64> {
        let (time, signature) = line.signature.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let signed = time <= MAX_TIME && self.verify(&message(text, time), signature);
        signed.then_some(time)
    }
}

/// The signature line of a witness that saw a checkpoint's text at this time, in seconds since 1970.
pub fn cosign(key: &SigningKey, text: &str, time: u64) -> NoteSignature {
    let witness = WitnessKey::new(key.verifying_key().clone());
    let signature = key.sign(&message(text, time));
    NoteSignature {
        name: witness.name().clone(),
        id: witness.id(),
        signature: [time.to_be_bytes().as_slice(), &signature].concat(),
    }
}

fn message(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::SignatureAnswer;
    use proptest::prelude::*;

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::generate(name.parse().unwrap(), &[seed; 32]).unwrap()
    }

    fn witnessed(time: u64) -> (Note, SigningKey, SigningKey) {
        let (log, witness) = (key("log", 1), key("witness", 2));
        let mut note = Note::sign("log\n1\nroot\n", &[&log]).unwrap();
        note.signatures.push(cosign(&witness, &note.text, time));
        (note, log, witness)
    }

    #[test]
    fn a_witness_is_found_with_its_time() {
        let (note, log, witness) = witnessed(1_679_315_147);
        let public = WitnessKey::new(witness.verifying_key().clone());
        assert_eq!(public.check(&note), CosignatureAnswer::Good { time: 1_679_315_147 });
        // The log's own signature stays what it was, and the key as a log's key did not sign.
        assert_eq!(note.check(log.verifying_key()), SignatureAnswer::Good);
        assert_eq!(note.check(witness.verifying_key()), SignatureAnswer::Absent);
        let other = WitnessKey::new(key("witness", 3).verifying_key().clone());
        assert_eq!(other.check(&note), CosignatureAnswer::Absent);
        let mut twice = note.clone();
        twice.signatures.push(cosign(&witness, &note.text, 1_700_000_000));
        assert_eq!(public.check(&twice), CosignatureAnswer::Good { time: 1_700_000_000 });
    }

    #[test]
    fn another_time_or_another_text_is_not_cosigned() {
        let (note, _, witness) = witnessed(7);
        let public = WitnessKey::new(witness.verifying_key().clone());
        let mut later = note.clone();
        later.signatures[1].signature[7] = 8;
        assert_eq!(public.check(&later), CosignatureAnswer::Bad);
        let mut changed = note.clone();
        changed.text = changed.text.replace('1', "2");
        assert_eq!(public.check(&changed), CosignatureAnswer::Bad);
        for length in [1, 7, 8, 71] {
            let mut cut = note.clone();
            cut.signatures[1].signature.truncate(length);
            assert_eq!(public.check(&cut), CosignatureAnswer::Bad, "{length}");
        }
        // A good line does not make up for a bad one.
        later.signatures.push(note.signatures[1].clone());
        assert_eq!(public.check(&later), CosignatureAnswer::Bad);
        let mut plain = note.clone();
        plain.signatures[1].signature.splice(8.., witness.sign(note.text.as_bytes()));
        assert_eq!(public.check(&plain), CosignatureAnswer::Bad);
    }

    #[test]
    fn times_past_the_limit_are_refused() {
        for (time, good) in [(0, true), (MAX_TIME, true), (MAX_TIME + 1, false), (u64::MAX, false)]
        {
            let (note, _, witness) = witnessed(time);
            let answer = WitnessKey::new(witness.verifying_key().clone()).check(&note);
            assert_eq!(answer == CosignatureAnswer::Good { time }, good, "{time}");
            assert_eq!(answer == CosignatureAnswer::Bad, !good, "{time}");
        }
    }

    proptest! {
        #[test]
        fn any_signature_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 1..100)) {
            let (mut note, _, witness) = witnessed(1);
            note.signatures[1].signature = bytes;
            let public = WitnessKey::new(witness.verifying_key().clone());
            prop_assert_eq!(public.check(&note), CosignatureAnswer::Bad);
        }
    }
}
