//! Events as CloudEvents 1.0 in the JSON format, for buses and stores that take those.

use crate::event::Event;
use crate::json::write_rfc8785_string;
use crate::projection::push_uri_part;

/// One event as one line of JSON, without the line's end. `stored` is the event as the log holds
/// it; it becomes the data, byte for byte.
///
/// `source` is the origin of the log, `carnet/<chain_id>`, and `id` the event's, so that the pair is
/// unique as CloudEvents wants it. `sequence` has as many digits as the largest number that an event
/// can have, so that its order as text is the order in the log.
pub fn cloud_event(event: &Event, stored: &str) -> String {
    let mut source = String::from("carnet/");
    push_uri_part(&event.chain_id, &mut source);
    let draft = &event.draft;
    let subject = draft.resource_id.as_deref().filter(|text| may_be_attribute(text));
    let correlation = Some(draft.correlation_id.as_str()).filter(|text| may_be_attribute(text));
    let attributes = [
        ("specversion", Some("1.0".to_owned())),
        ("id", Some(event.id.to_string())),
        ("source", Some(source)),
        ("type", Some(draft.event_type.name().to_owned())),
        ("subject", subject.map(str::to_owned)),
        ("time", Some(event.occurred_at.to_string())),
        ("datacontenttype", Some("application/json".to_owned())),
        ("sequence", Some(format!("{:016}", event.sequence))),
        ("correlationid", correlation.map(str::to_owned)),
    ];
    let mut line = String::with_capacity(stored.len() + 512);
    for (name, text) in attributes {
        let Some(text) = text else { continue };
        line.push(if line.is_empty() { '{' } else { ',' });
        write_rfc8785_string(name, &mut line);
        line.push(':');
        write_rfc8785_string(&text, &mut line);
    }
    line.push_str(",\"data\":");
    line.push_str(stored);
    line.push('}');
    line
}

/// Whether a text may be the value of an attribute: not empty, and without the characters that
/// CloudEvents excludes. One that may not be stands in the data alone.
fn may_be_attribute(text: &str) -> bool {
    let excluded = |c: char| {
        let point = u32::from(c);
        c.is_control() || (0xFDD0..=0xFDEF).contains(&point) || point & 0xFFFE == 0xFFFE
    };
    !text.is_empty() && !text.contains(excluded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::statement::tests::event;
    use serde_json::Value;

    fn parsed(event: &Event) -> Value {
        let stored = event.canonical();
        let line = cloud_event(event, &stored);
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn the_attributes_are_those_of_the_specification() {
        let event = event("gate.verdict");
        let found = parsed(&event);
        let stored: Value = serde_json::from_str(&event.canonical()).unwrap();
        assert_eq!(found["specversion"], "1.0");
        assert_eq!(found["id"], stored["id"]);
        assert_eq!(found["source"], "carnet/0192%C3%A9");
        assert_eq!(found["type"], "gate.verdict");
        assert_eq!(found["time"], stored["occurred_at"]);
        assert_eq!(found["subject"], stored["resource_id"]);
        assert_eq!(found["sequence"], "0000000000000007");
        assert_eq!(found["correlationid"], stored["correlation_id"]);
        assert_eq!(found["data"], stored);
        // Names of attributes are lower-case letters and digits.
        let names = found.as_object().unwrap().keys();
        assert!(names.flat_map(|name| name.bytes()).all(|byte| byte.is_ascii_lowercase()));
    }

    #[test]
    fn a_subject_that_cannot_be_one_stands_in_the_data_alone() {
        for text in ["", "a\nb", "a\u{85}b", "\u{FDD0}", "\u{1FFFF}"] {
            let mut event = event("gate.verdict");
            event.draft.resource_id = Some(text.to_owned());
            let found = parsed(&event);
            assert_eq!(found.get("subject"), None, "{text:?}");
            assert_eq!(found["data"]["resource_id"], text);
        }
        let mut event = event("gate.verdict");
        event.draft.resource_id = None;
        assert_eq!(parsed(&event).get("subject"), None);
    }
}
