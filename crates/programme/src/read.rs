//! Reading a file strictly.

use carnet_document::pointer_token;
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::fault::Fault;
use crate::form::{FILE_BYTES_MAX, Form};
use crate::json::parse;
use crate::whole::not_whole;

/// A file that has its form.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    form: Form,
    value: Value,
}

impl Document {
    /// Its form.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// What it says.
    pub const fn value(&self) -> &Value {
        &self.value
    }
}

/// What a file says that is one JSON object of this form.
pub fn read(form: Form, bytes: &[u8]) -> Result<Document, Fault> {
    read_at_most(form, bytes, FILE_BYTES_MAX)
}

/// The same for other limits. A name that drifted is told as such.
pub(crate) fn read_at_most(form: Form, bytes: &[u8], max: usize) -> Result<Document, Fault> {
    let value = parse(text_of(bytes, max)?)?;
    match first_wrong(form, &value) {
        Some(fault) => Err(fault),
        None => Ok(Document { form, value }),
    }
}

/// The text of a file: UTF-8 without a mark, and with plain line ends.
fn text_of(bytes: &[u8], max: usize) -> Result<&str, Fault> {
    if bytes.is_empty() {
        return Err(Fault::Empty);
    }
    if bytes.len() > max {
        return Err(Fault::TooLarge { max });
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Fault::ByteOrderMark);
    }
    if let Some(spot) = bytes.iter().position(|byte| *byte == b'\r') {
        let before = bytes.get(..spot).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        return Err(Fault::CarriageReturn { line });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| match error.error_len() {
        // The last character is cut in two.
        None => Fault::Truncated { bytes: bytes.len() },
        Some(_) => Fault::NotUtf8 { at: error.valid_up_to() },
    })?;
    if text.trim().is_empty() { Err(Fault::Empty) } else { Ok(text) }
}

/// Names that one side writes where the other reads another.
const DRIFTED: &[(&str, &str)] = &[
    ("run_start_offset", "start_offset"),
    ("run_end_offset", "end_offset"),
    ("watermark_high", "end_offset"),
    ("start_offset", "offset"),
    ("run_start_offset", "offset"),
    ("offset", "start_offset"),
    ("ambiguous", "publish_ambiguous"),
    ("captured_at_utc", "written_at_utc"),
    ("generated_at_utc", "written_at_utc"),
    ("written_at_utc", "generated_at_utc"),
    ("written_at_utc", "captured_at_utc"),
];

/// The first thing that is not of the form: what is drifted, then what is missing, then what is
/// unknown, then all else.
fn first_wrong(form: Form, value: &Value) -> Option<Fault> {
    let Some(validator) = form.validator() else {
        let (at, what) = (root(), "this form has no schema".to_owned());
        return Some(Fault::WrongValue { at, what });
    };
    if validator.is_valid(value) {
        return not_whole(form, value);
    }
    let mut faults: Vec<Fault> =
        validator.iter_errors(value).map(|error| fault(value, &error)).collect();
    let first = ["renamed_field", "missing_field", "unknown_field"];
    faults.sort_by_key(|fault| first.iter().position(|name| *name == fault.name()).unwrap_or(3));
    faults.into_iter().next()
}

fn root() -> String {
    "its root".to_owned()
}

fn fault(value: &Value, error: &ValidationError<'_>) -> Fault {
    let pointer = error.instance_path().to_string();
    let at = if pointer.is_empty() { root() } else { pointer.clone() };
    let masked = || error.masked().to_string().chars().take(200).collect::<String>();
    #[expect(clippy::wildcard_enum_match_arm, reason = "the validator's own list, which grows")]
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default().to_owned();
            let has =
                |name: &str| value.pointer(&format!("{pointer}/{}", pointer_token(name))).is_some();
            let drifted = DRIFTED.iter().find(|(found, must)| *must == key && has(found));
            match drifted {
                Some((found, must)) => {
                    Fault::RenamedField { at, found: (*found).into(), must: (*must).into() }
                }
                None => Fault::MissingField { at, key },
            }
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            Fault::UnknownField { at, key: unexpected.first().cloned().unwrap_or_default() }
        }
        ValidationErrorKind::Type { .. } => Fault::WrongType { at, what: masked() },
        _ => Fault::WrongValue { at, what: masked() },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::example::{RUN, now, run, value};

    fn name(form: Form, bytes: &[u8]) -> String {
        let read = read(form, bytes);
        let fault = read.and_then(|it| run().owns(form, it.value(), now())).unwrap_err();
        format!("{}: {fault}", fault.name())
    }

    fn changed(form: Form, change: impl FnOnce(&mut Value)) -> String {
        let mut value = value(form);
        change(&mut value);
        name(form, value.to_string().as_bytes())
    }

    #[test]
    fn what_has_its_form_is_read_and_belongs_to_the_run() {
        for form in Form::ALL {
            let text = serde_json::to_vec_pretty(&value(*form)).unwrap();
            let document = read(*form, &text).unwrap_or_else(|fault| panic!("{form} {fault}"));
            assert_eq!(document.form(), *form);
            run().owns(*form, document.value(), now()).unwrap_or_else(|it| panic!("{form} {it}"));
        }
    }

    #[test]
    fn every_bad_file_is_refused_by_name() {
        let form = Form::ReceiptSummary;
        let text = value(form).to_string();
        let of = |text: &str| name(form, text.as_bytes());
        assert_eq!(of(""), "empty: is empty");
        assert_eq!(of(" \n"), "empty: is empty");
        let mark = "byte_order_mark: begins with a UTF-8 byte order mark";
        assert_eq!(of(&format!("\u{feff}{text}")), mark);
        let lines = serde_json::to_string_pretty(&value(form)).unwrap().replace('\n', "\r\n");
        assert_eq!(of(&lines), "carriage_return: has a carriage return in line 1");
        for cut in 1..text.len() {
            assert!(of(&text[..cut]).starts_with("truncated: is cut off"), "{}", &text[..cut]);
        }
        assert!(name(form, "{\"é".as_bytes()[..3].as_ref()).starts_with("truncated"));
        assert!(name(form, b"{\"\xff\": 1}").starts_with("not_utf8"));
        assert!(of(&format!("{text} {text}")).starts_with("not_json"));
        assert!(of("{'a': 1}").starts_with("not_json"));
        assert!(of(&"[".repeat(100_000)).starts_with("not_json"));
        let twice = text.replacen('{', "{\"total\": 25,", 1);
        assert_eq!(of(&twice), "duplicate_key: has the key `total` twice in one object");
        let inner = text.replacen("\"ADMIT\":20", "\"ADMIT\":20,\"ADMIT\":0", 1);
        assert_ne!(inner, text);
        assert!(of(&inner).starts_with("duplicate_key"));
        let long = format!("{text}{}", " ".repeat(FILE_BYTES_MAX));
        assert!(of(&long).starts_with("too_large"));
        assert!(of("[]").starts_with("wrong_type"));
    }

    /// In practice: a metric that is missing was read as 0.
    #[test]
    fn a_missing_field_an_unknown_one_and_another_type_are_refused_by_name() {
        let form = Form::ReceiptSummary;
        let missing = changed(form, |it| {
            it["by_outcome"].as_object_mut().unwrap().remove("QUARANTINE");
        });
        assert_eq!(missing, "missing_field: lacks the field `QUARANTINE` at /by_outcome");
        let unknown = changed(form, |it| it["by_outcome"]["AMBIGUOUS"] = json!(1));
        assert_eq!(unknown, "unknown_field: has the unknown field `AMBIGUOUS` at /by_outcome");
        let nobody = changed(Form::RunReport, |it| it["basis"] = json!({}));
        assert_eq!(nobody, "missing_field: lacks the field `lock_key` at /basis");
        assert!(changed(form, |it| it["total"] = json!("25")).starts_with("wrong_type: "));
        assert!(changed(form, |it| it["total"] = json!(25.5)).starts_with("wrong_type: "));
        assert!(changed(form, |it| it["total"] = json!(null)).starts_with("wrong_type: "));
        assert!(changed(form, |it| it["total"] = json!(-1)).starts_with("wrong_value: "));
        let other = changed(Form::EnvironmentConformance, |it| {
            it["checks"][0]["check_id"] = json!("other");
        });
        assert!(
            other.starts_with("wrong_value: has a wrong value at /checks/0/check_id"),
            "{other}"
        );
    }

    /// JSON Schema takes 2.0 for a whole number; who counts with it would find no number, or 0.
    #[test]
    fn a_number_with_a_point_or_of_too_many_digits_is_refused_where_it_stands() {
        let told = |form: Form, from: &str, to: &str| {
            let text = value(form).to_string();
            assert!(text.contains(from), "{text}");
            name(form, text.replacen(from, to, 1).as_bytes())
        };
        let auth = "\"unauthenticated_status\":401";
        let at = "wrong_type: has a value of another type at /auth/unauthenticated_status: a whole";
        for number in ["200.0", "2e2", "401.0", "-0.0"] {
            let said = told(Form::IgReady, auth, &auth.replace("401", number));
            assert!(said.starts_with(at), "{number}: {said}");
        }
        for number in ["18446744073709551615", "9223372036854775808", "1000", "-1"] {
            let said = told(Form::IgReady, auth, &auth.replace("401", number));
            assert!(said.starts_with("wrong_value: "), "{number}: {said}");
        }
        let reason = told(
            Form::ReceiptSummary,
            "\"PUBLISH_AMBIGUOUS\":0,\"S",
            "\"PUBLISH_AMBIGUOUS\":2.0,\"S",
        );
        assert!(reason.contains("at /by_reason_code/PUBLISH_AMBIGUOUS: a whole"), "{reason}");
        let row = told(
            Form::KafkaOffsetsSnapshot,
            "\"start_offset\"",
            "\"sampled_records\":0.0,\"start_offset\"",
        );
        assert!(row.contains("at /partitions/0/sampled_records: a whole"), "{row}");
        let line = told(Form::IngestionReceipt, "\"partition\":1", "\"partition\":1.0");
        assert!(line.contains("at /eb_ref/partition: a whole"), "{line}");
        // A sum may be longer than what is counted, but none that would be rounded.
        let sum = "\"hash_sum\":9007199254740993";
        let text = value(Form::StreamSortReceipt).to_string();
        let long = text.replace(sum, "\"hash_sum\":18446744073709551615");
        read(Form::StreamSortReceipt, long.as_bytes()).unwrap();
        let longer = told(Form::StreamSortReceipt, sum, "\"hash_sum\":18446744073709551617");
        assert!(longer.contains("at /raw_stats/hash_sum: a whole"), "{longer}");
        // What the form does not count may be any number.
        let config = value(Form::Run).to_string().replace("\"seed\":7", "\"seed\":7.5");
        read(Form::Run, config.as_bytes()).unwrap();
    }

    /// In practice: one side wrote `start_offset`, the other `run_start_offset`, and the collector
    /// of anchors read `offset`.
    #[test]
    fn a_drifted_name_is_refused_by_both_names() {
        let renamed = |form, place: &str, must: &str, found: &str| {
            changed(form, |it| {
                let row = it.pointer_mut(place).unwrap().as_object_mut().unwrap();
                let value = row.remove(must).unwrap();
                row.insert(found.to_owned(), value);
            })
        };
        let told = |at: &str, found: &str, must: &str| {
            format!("renamed_field: has the field `{found}` at {at}, which must be named `{must}`")
        };
        for form in [Form::KafkaOffsetsSnapshot, Form::OffsetsSnapshot] {
            let at = "/partitions/1";
            for (found, must) in [
                ("run_start_offset", "start_offset"),
                ("run_end_offset", "end_offset"),
                ("watermark_high", "end_offset"),
                ("offset", "start_offset"),
            ] {
                assert_eq!(renamed(form, at, must, found), told(at, found, must));
            }
        }
        let at = "/anchors/ingest/0";
        for found in ["start_offset", "run_start_offset"] {
            assert_eq!(
                renamed(Form::ReplayAnchors, at, "offset", found),
                told(at, found, "offset")
            );
        }
    }

    #[test]
    fn another_run_is_refused() {
        let other = "platform_20260301T120001Z";
        let told = format!(
            "other_run: belongs to another run: `platform_run_id` is {other}, and must be {RUN}"
        );
        for form in Form::ALL.iter().filter(|form| form.is_of_run()) {
            assert_eq!(changed(*form, |it| it["platform_run_id"] = json!(other)), told);
        }
        let scenario = "f".repeat(32);
        let form = Form::RunStarted;
        assert!(
            changed(form, |it| it["scenario_run_id"] = json!(scenario)).starts_with("other_run")
        );
        let several = changed(Form::RunReport, |it| it["scenario_run_ids"] = json!([scenario]));
        assert!(several.starts_with("other_run"));
        let scope = changed(Form::DaemonsReady, |it| it["run_scope"]["value"] = json!(other));
        assert!(scope.contains("run_scope/value"), "{scope}");
    }

    #[test]
    fn what_is_older_than_the_run_or_from_the_future_is_refused() {
        let at = |form: Form, time: &str| {
            let mut value = value(form);
            value[form.time_key().unwrap()] = json!(time);
            let document = read(form, value.to_string().as_bytes()).unwrap();
            run().owns(form, document.value(), now()).map_err(|fault| fault.name())
        };
        for form in Form::ALL.iter().filter(|form| form.is_of_run() && form.time_key().is_some()) {
            // A skew of five seconds is let pass on both sides, and no more.
            assert_eq!(at(*form, "2026-03-01T11:59:55Z"), Ok(()), "{form}");
            assert_eq!(at(*form, "2026-03-01T11:59:54.999Z"), Err("before_run"), "{form}");
            assert_eq!(at(*form, "2026-03-01T13:00:05+00:00"), Ok(()), "{form}");
            assert_eq!(at(*form, "2026-03-01T13:00:05.001Z"), Err("in_future"), "{form}");
            assert_eq!(at(*form, "2026-02-30T00:00:00Z"), Err("wrong_value"), "{form}");
        }
        // The stream of the oracle may be older than the run.
        assert_eq!(at(Form::StreamSortReceipt, "2026-01-01T00:00:00Z"), Ok(()));
        assert_eq!(at(Form::StreamSortReceipt, "2026-04-01T00:00:00Z"), Err("in_future"));
        let row = changed(Form::KafkaOffsetsSnapshot, |it| {
            it["partitions"][1]["timestamp_utc"] = json!("2026-02-28T00:00:00Z");
        });
        assert!(row.starts_with("before_run"), "{row}");
        assert!(
            changed(Form::Run, |it| it["written_at_utc"] = json!("today"))
                .starts_with("wrong_value")
        );
    }
}
