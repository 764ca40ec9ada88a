//! The writer of typed events against two implementations of RFC 8785 that are not ours, and
//! against our own slow way over a tree of values.

use carnet_ledger::{Digest, Event, EventCheck, HashProfile, Value};
use proptest::prelude::*;
use serde_json::Value as Json;

use crate::events::{PROFILES, any_sealed, as_json};

fn canonical_by_others(json: &Json) -> [String; 2] {
    [serde_json_canonicalizer::to_string(json).unwrap(), serde_jcs::to_string(json).unwrap()]
}

proptest! {
    #[test]
    fn typed_events_have_the_bytes_that_others_write(
        sealed in any_sealed(HashProfile::Rfc8785Sha256V1),
    ) {
        let mut members = as_json(&sealed.event);
        let stored = String::from_utf8(sealed.bytes).unwrap();
        for theirs in canonical_by_others(&members.clone().into()) {
            prop_assert_eq!(&stored, &theirs);
        }
        members.remove("event_hash");
        for theirs in canonical_by_others(&members.into()) {
            prop_assert_eq!(sealed.event.event_hash, Digest::of(theirs.as_bytes()));
        }
    }

    #[test]
    fn typed_events_have_the_bytes_of_their_values(
        sealed in prop_oneof![any_sealed(PROFILES[0]), any_sealed(PROFILES[1])],
    ) {
        let profile = sealed.event.hash_profile;
        let text = Json::from(as_json(&sealed.event)).to_string();
        let Value::Object(mut object) = Value::parse(text.as_bytes(), 1 << 20).unwrap() else {
            panic!("an event is an object");
        };
        let stored = String::from_utf8(sealed.bytes).unwrap();
        prop_assert_eq!(&stored, &profile.canonical(&object.clone().into()));
        prop_assert_eq!(&stored, &sealed.event.canonical());
        prop_assert_eq!(Event::parse(stored.as_bytes()), Ok(sealed.event.clone()));
        let check = EventCheck::of(profile, stored.as_bytes()).unwrap();
        prop_assert_eq!(check.event(), Ok(sealed.event.clone()));
        object.remove("event_hash");
        prop_assert_eq!(sealed.event.event_hash, profile.digest(&object.into()));
    }
}
