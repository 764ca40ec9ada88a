//! The JSON Schema of plans, for editors. What it cannot say only the reader says.

use carnet_document::NoNull;
use schemars::transform::Transform;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::document::Document;
use super::keys;
use super::knowledge::Knowledge;
use super::portability::Crossing;
use super::shape::PlanShape;

/// The JSON Schema (draft 2020-12) of `carnet: v1`.
pub fn schema() -> Value {
    let mut schema = of::<Document>();
    // All keys of a plan stand beside one another, whatever its process.
    let parts = [of::<Knowledge>(), of::<Crossing>(), of::<PlanShape>()];
    let processes = [Some("knowledge/v1"), Some("portability/v1"), None];
    let kinds: Vec<_> =
        parts.iter().zip(processes).map(|(kind, process)| kind_of(kind, &parts, process)).collect();
    let kinds = Value::Array(kinds);
    for part in parts {
        join(&mut schema, part);
    }
    if let Some(members) = schema.as_object_mut() {
        members.insert("oneOf".to_owned(), kinds);
    }
    schema
}

/// One kind of plan: it has the keys that this kind must have, none of the others', and names its
/// process.
fn kind_of(kind: &Value, all: &[Value], process: Option<&str>) -> Value {
    let keys = |of: &Value| of.get("properties").and_then(Value::as_object).cloned();
    let own = keys(kind).unwrap_or_default();
    let others = all.iter().filter_map(keys).flatten().map(|(key, _)| key);
    let others = others.filter(|key| !own.contains_key(key)).map(|key| (key, false.into()));
    let mut properties: serde_json::Map<String, Value> = others.collect();
    if let Some(process) = process {
        properties.insert("process".to_owned(), json!({"const": process}));
    }
    json!({"required": kind.get("required"), "properties": properties})
}

pub(super) fn of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    NoNull.transform(&mut schema);
    schema.to_value()
}

/// Adds the keys and definitions of a part.
fn join(schema: &mut Value, mut part: Value) {
    for key in ["properties", "$defs"] {
        let taken = part.get_mut(key).map(Value::take);
        if let (Some(Value::Object(held)), Some(Value::Object(more))) = (schema.get_mut(key), taken)
        {
            held.extend(more);
        }
    }
}

/// The same as text, two spaces to a level, in the order in which a person reads it: what a value is
/// for, then what it must be, then its keys in the order of the plan.
pub fn schema_text() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&Ordered { schema: &schema(), names: false })
}

/// The keywords in that order. One that is not listed comes last.
const KEYWORDS: [&str; 26] = [
    "$schema",
    "title",
    "description",
    "$ref",
    "type",
    "const",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "oneOf",
    "anyOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "items",
    "default",
    "minProperties",
    "propertyNames",
    "properties",
    "required",
    "additionalProperties",
    "$defs",
    "$comment",
];

/// A part of a schema that is written in that order.
struct Ordered<'s> {
    schema: &'s Value,
    /// Whether the members are keys of a plan, or names of definitions, and no keywords.
    names: bool,
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = |schema| Ordered { schema, names: false };
        match self.schema {
            Value::Array(items) => serializer.collect_seq(items.iter().map(inner)),
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if self.names {
                    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
                    let table = keys::table_of(&names);
                    let place = |name: &str| table.iter().position(|key| key.name == name);
                    members.sort_by_key(|(name, _)| place(name));
                } else {
                    let place = |name: &str| KEYWORDS.iter().position(|keyword| *keyword == name);
                    members.sort_by_key(|(name, _)| place(name).unwrap_or(KEYWORDS.len()));
                }
                let members = members.into_iter().map(|(name, schema)| {
                    let names = !self.names && ["properties", "$defs"].contains(&name.as_str());
                    (name, Ordered { schema, names })
                });
                serializer.collect_map(members)
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                plain.serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::keys::{Key, Need};
    use super::super::open::read;
    use super::*;
    use carnet_document::yaml::{self, Node};

    /// The part of JSON Schema that ours uses, but for `pattern` and `propertyNames`.
    fn fits(root: &Value, schema: &Value, value: &Value) -> bool {
        let known = [
            "$defs",
            "$ref",
            "$schema",
            "additionalProperties",
            "anyOf",
            "const",
            "default",
            "description",
            "format",
            "items",
            "maxLength",
            "maximum",
            "minItems",
            "minLength",
            "minProperties",
            "minimum",
            "oneOf",
            "pattern",
            "properties",
            "propertyNames",
            "required",
            "title",
            "type",
            "uniqueItems",
        ];
        if let Value::Bool(taken) = schema {
            return *taken;
        }
        for key in schema.as_object().unwrap().keys() {
            assert!(known.contains(&key.as_str()), "{key} is not checked by this test");
        }
        let of_kind = |kind: &str| match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("{other}"),
        };
        let size = || value.as_str().map_or(0, |text| text.chars().count() as u64);
        let number = || value.as_f64().unwrap_or(f64::NAN);
        let at = |key: &str| schema.get(key);
        at("$ref").is_none_or(|path| {
            let path = path.as_str().unwrap().strip_prefix('#').unwrap();
            fits(root, root.pointer(path).unwrap(), value)
        }) && at("type").is_none_or(|kind| of_kind(kind.as_str().unwrap()))
            && at("const").is_none_or(|only| only == value)
            && at("oneOf").is_none_or(|options| {
                options.as_array().unwrap().iter().filter(|it| fits(root, it, value)).count() == 1
            })
            && at("anyOf").is_none_or(|options| {
                options.as_array().unwrap().iter().any(|it| fits(root, it, value))
            })
            && at("minLength").is_none_or(|least| size() >= least.as_u64().unwrap())
            && at("maxLength").is_none_or(|most| size() <= most.as_u64().unwrap())
            && at("minimum").is_none_or(|least| number() >= least.as_f64().unwrap())
            && at("maximum").is_none_or(|most| number() <= most.as_f64().unwrap())
            && value.as_array().is_none_or(|items| fits_items(root, schema, items))
            && value.as_object().is_none_or(|members| fits_members(root, schema, members))
    }

    fn fits_items(root: &Value, schema: &Value, items: &[Value]) -> bool {
        let unique = schema.get("uniqueItems") != Some(&json!(true))
            || items.iter().enumerate().all(|(at, item)| !items[..at].contains(item));
        let least = schema.get("minItems").map_or(0, |least| least.as_u64().unwrap());
        let taken = |item| schema.get("items").is_none_or(|taken| fits(root, taken, item));
        unique && items.len() as u64 >= least && items.iter().all(taken)
    }

    fn fits_members(
        root: &Value,
        schema: &Value,
        members: &serde_json::Map<String, Value>,
    ) -> bool {
        let required = schema.get("required").and_then(Value::as_array);
        let there = required
            .is_none_or(|keys| keys.iter().all(|key| members.contains_key(key.as_str().unwrap())));
        let least = schema.get("minProperties").map_or(0, |least| least.as_u64().unwrap());
        let properties = schema.get("properties");
        let known = members.iter().all(|(key, value)| {
            match (properties.and_then(|all| all.get(key)), schema.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => {
                    fits(root, schema, value)
                }
                (None, allowed) => allowed != Some(&json!(false)),
            }
        });
        there && known && members.len() as u64 >= least
    }

    fn to_json(node: &Node) -> Value {
        match &node.value {
            yaml::Value::Null | yaml::Value::Refused => Value::Null,
            yaml::Value::Bool(word) => json!(word),
            yaml::Value::Int(number) => json!(number),
            yaml::Value::Float(number) => json!(number.parse::<f64>().unwrap()),
            yaml::Value::Text(text) => json!(text),
            yaml::Value::List(items) => items.iter().map(to_json).collect(),
            yaml::Value::Map(entries) => {
                entries.iter().map(|it| (it.key.clone(), to_json(&it.node))).collect()
            }
        }
    }

    /// Whether the schema and the reader take the text.
    fn verdicts(schema: &Value, text: &str) -> (bool, bool) {
        let (root, _) = yaml::parse(text);
        (fits(schema, schema, &to_json(&root.unwrap())), read("p.yaml", text).is_ok())
    }

    const GOOD: &str = "carnet: v1
migration: kb
owner: me
governance: {jurisdiction: DE, classification: internal, retention: P1Y}
evidence: {profile: ecs-evidence-baseline, tenant: lab, hash_profile: rfc8785-sha256-v1, signer: keys/op, create_signer: true}
source:
  name: lab
  knowledge:
    store: postgres://h/d
    artifacts: a
    collections: {docs: {metric: l2, normalisation: none, embedding_model: {name: m}, index: {kind: flat}}}
    layout: columns
    columns: {id: i, vector: v, metadata: m, version: n, source_hash: s, created_ts: c, updated_ts: u}
    drop: [tsv]
target: {name: prod, knowledge: {store: 'sqlite:f', artifacts: b, index: {kind: flat, parameters: {m: 1}}}}
process: knowledge/v1
import: {mode: append}
quiesce: {flag: f}
transfer: {inbox: i}
validate: {queries: 1, k: 1000, tolerance: '0.1'}
accept_loss: [index]
cutover: {switch: {env_file: e, key: K, value: v}}
decommission: {archive: a}
";

    #[test]
    fn schema_and_reader_agree_about_documents() {
        let schema = schema();
        assert_eq!(verdicts(&schema, GOOD), (true, true));
        // Every key taken out, every line taken out, every value of another kind.
        let lines: Vec<&str> = GOOD.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let without = [&lines[..index], &lines[index + 1..]].concat().join("\n");
            if yaml::parse(&without).0.is_some() {
                let (by_schema, by_reader) = verdicts(&schema, &without);
                assert_eq!(by_schema, by_reader, "without {line:?}");
            }
        }
        let words = [
            "v1",
            "kb",
            "me",
            "DE",
            "lab",
            "a",
            "l2",
            "none",
            "flat",
            "columns",
            "prod",
            "[tsv]",
            "append",
            "1000",
            "'0.1'",
            "[index]",
            "K",
            "knowledge/v1",
            "postgres://h/d",
            "{name: m}",
            "{m: 1}",
            "{flag: f}",
            "keys/op",
            "true",
        ];
        let others =
            ["5", "0.5", "true", "~", "[]", "{}", "[x, x]", "{x: 1}", "unheard-of", "0", "''"];
        let mut compared = 0;
        for word in words {
            let place = GOOD.find(&format!(": {word}")).expect(word);
            for other in others {
                let mut text = GOOD.to_owned();
                text.replace_range(place + 2..place + 2 + word.len(), other);
                if yaml::parse(&text).0.is_none() || only_by_pattern(word, other) {
                    continue;
                }
                let (by_schema, by_reader) = verdicts(&schema, &text);
                assert_eq!(by_schema, by_reader, "{word} -> {other}");
                compared += 1;
            }
        }
        assert!(compared > 150, "{compared}");
    }

    /// A plan with every key of every node, one to a line.
    const PHASES: &str = "carnet: v1
migration: kb
owner: me
trust: keys
amends: 'sha256:abababababababababababababababababababababababababababababababab'
approvals:
  go:
    any_of: [me]
    count: 1
    not: initiator
    expires: PT4H
    assurance: named
phases:
  - name: one
    does: it
    phase_id: P-1
    on_failure: wait
    posture:
      retry: L0
      says: x
    evidence:
      - path: a
        form: b
    entry:
      - gate: file
        name: first
        with: {path: a}
        age_max: PT1M
        sample_min: 1
        does: x
        after: []
    steps:
      - name: copy
        capability: file.copy
        with: {from: a, to: b}
        does: x
        after: [first]
        undo:
          refused: no
          approval: go
      - name: told
        capability: file.copy
        with: {from: a, to: b}
        undo:
          capability: file.copy
          with: {from: a, to: b}
      - choice: size
        branches:
          - name: small
            when:
              gate: file
              with: {path: a}
              age_max: PT1M
              sample_min: 1
        otherwise: large
        does: x
        after: [copy]
      - wait: PT1S
        name: soak
        does: x
        after: [copy]
      - wait_until: 2026-12-01T00:00:00Z
        name: until
        does: x
        after: [copy]
      - message: go on
        name: word
        does: x
        after: [copy]
      - approval: go
        name: asked
        does: x
        after: [copy]
      - commit: true
        name: point
        does: x
        after: [copy]
    exit:
      - gate: file
        with: {path: a}
  - name: two
    does: it
    phase_id: [P0]
    gate_level: true
    entry: [x]
    exit: [x]
rollback:
  phases:
    - name: back
      exit: [{gate: file, with: {path: a}}]
exceptions:
  - gate: one/first
    label: x
    owner: x
    reason: x
    expires_at: 2026-12-01T00:00:00Z
    approval: go
";

    #[test]
    fn schema_and_reader_agree_about_phases() {
        let schema = schema();
        let (by_schema, by_reader) = verdicts(&schema, PHASES);
        assert!(by_schema && by_reader, "{:#?}", read("p", PHASES).map(|_| ()));
        let lines: Vec<&str> = PHASES.lines().collect();
        let mut compared = 0;
        let mut compare = |text: &str, what: &str| {
            if yaml::parse(text).0.is_some() {
                let (by_schema, by_reader) = verdicts(&schema, text);
                assert_eq!(by_schema, by_reader, "{what}");
                compared += 1;
            }
        };
        for (index, line) in lines.iter().enumerate() {
            // The inputs are told apart by the capability and the gate, not by the schema.
            if line.trim_start().starts_with("with:") {
                continue;
            }
            let put = |line: &str| {
                let changed = [&lines[..index], &[line], &lines[index + 1..]].concat();
                changed.join("\n")
            };
            let item = line.trim_start().starts_with("- ");
            let indent = line.len() - line.trim_start().len();
            let without = if item { format!("{}- ", " ".repeat(indent)) } else { String::new() };
            compare(&put(&without), &format!("without {line:?}"));
            compare(&put(&line.replacen(": ", "x: ", 1)), &format!("another key in {line:?}"));
            for other in ["5", "0.5", "~", "{x: 1}", "[5]", "[]"] {
                let Some((key, _)) = line.split_once(": ") else { continue };
                compare(&put(&format!("{key}: {other}")), &format!("{line:?} -> {other}"));
            }
        }
        assert!(compared > 200, "{compared}");
    }

    /// What the schema refuses by a pattern, which this test does not evaluate.
    fn only_by_pattern(word: &str, other: &str) -> bool {
        let text = ["unheard-of", "''"].contains(&other);
        text && ["'0.1'", "postgres://h/d", "K"].contains(&word)
            // Shared with other formats, whose schema does not limit the text.
            || other == "''" && word == "flat"
    }

    #[test]
    fn the_text_is_the_schema_in_the_order_of_the_plan() {
        let text = schema_text().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), schema());
        let mut at = 0;
        let order =
            ["$schema", "title", "carnet", "migration", "owner", "source", "cutover", "$defs"];
        for key in order {
            let found = text[at..].find(&format!("\"{key}\": "));
            at += found.unwrap_or_else(|| panic!("{key} does not follow"));
        }
        let names =
            |value: &Value| value.as_object().map(|it| it.keys().cloned().collect::<Vec<_>>());
        for (name, definition) in schema()["$defs"].as_object().unwrap() {
            if let Some(properties) = names(&definition["properties"]) {
                let properties: Vec<_> = properties.iter().map(String::as_str).collect();
                let table = keys::table_of(&properties);
                assert!(!table.is_empty(), "{name}");
            }
            for keyword in names(definition).unwrap() {
                assert!(KEYWORDS.contains(&keyword.as_str()), "{name}: {keyword}");
            }
        }
    }

    #[test]
    fn schema_and_reader_know_the_same_keys() {
        let schema = schema();
        let tables: &[(&str, &[Key])] = &[
            ("", keys::DOCUMENT),
            ("/$defs/Governance", keys::GOVERNANCE),
            ("/$defs/Evidence", keys::EVIDENCE),
            ("/$defs/Source", keys::SIDE),
            ("/$defs/Target", keys::SIDE),
            ("/$defs/SourceKnowledge", keys::SOURCE_KNOWLEDGE),
            ("/$defs/TargetKnowledge", keys::TARGET_KNOWLEDGE),
            ("/$defs/Stated", keys::STATED),
            ("/$defs/EmbeddingModel", keys::EMBEDDING_MODEL),
            ("/$defs/IndexSpec", keys::INDEX),
            ("/$defs/ColumnMap", keys::COLUMNS),
            ("/$defs/Import", keys::IMPORT),
            ("/$defs/Quiesce", keys::QUIESCE),
            ("/$defs/Transfer", keys::TRANSFER),
            ("/$defs/Validate", keys::VALIDATE),
            ("/$defs/Cutover", keys::CUTOVER),
            ("/$defs/Switch", keys::SWITCH),
            ("/$defs/Decommission", keys::DECOMMISSION),
            ("/$defs/Approval", keys::APPROVAL),
            ("/$defs/Exception", keys::EXCEPTION),
            ("/$defs/Rollback", keys::ROLLBACK),
            ("/$defs/Phase", keys::PHASE),
            ("/$defs/GateLevel", keys::GATE_LEVEL),
            ("/$defs/Posture", keys::POSTURE),
            ("/$defs/EvidenceContract", keys::EVIDENCE_CONTRACT),
            ("/$defs/Step", keys::STEP),
            ("/$defs/Gate", keys::GATE),
            ("/$defs/Choice", keys::CHOICE),
            ("/$defs/Branch", keys::BRANCH),
            ("/$defs/When", keys::WHEN),
            ("/$defs/Wait", keys::WAIT),
            ("/$defs/WaitUntil", keys::WAIT_UNTIL),
            ("/$defs/Message", keys::MESSAGE),
            ("/$defs/Ask", keys::ASK),
            ("/$defs/Commit", keys::COMMIT),
            ("/$defs/UndoBy", keys::UNDO_BY),
            ("/$defs/UndoRefused", keys::UNDO_REFUSED),
        ];
        for (place, table) in tables {
            let object = schema.pointer(place).expect(place);
            let named = |need: &[Need]| -> Vec<String> {
                let keys = table.iter().filter(|key| need.contains(&key.need));
                let mut keys: Vec<String> = keys.map(|key| key.name.to_owned()).collect();
                keys.sort();
                keys
            };
            let properties = object["properties"].as_object().unwrap();
            let mut keys: Vec<String> = properties.keys().cloned().collect();
            keys.sort();
            assert_eq!(keys, named(&[Need::Must, Need::May]), "{place}");
            let required = object.get("required").and_then(Value::as_array);
            let mut required: Vec<String> = required
                .map(|keys| keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect())
                .unwrap_or_default();
            required.sort();
            assert_eq!(required, named(&[Need::Must]), "{place}");
            assert_eq!(object["additionalProperties"], json!(false), "{place}");
            for (key, property) in properties {
                let text = property["description"].as_str();
                assert!(text.is_some_and(|text| !text.is_empty()), "{place}/{key}");
            }
        }
        let objects = schema["$defs"].as_object().unwrap().values();
        let mappings = objects.filter(|it| it.get("properties").is_some()).count();
        assert_eq!(mappings, tables.len() - 1, "a mapping without a table");
    }
}
