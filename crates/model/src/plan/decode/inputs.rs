//! Inputs of capabilities and gates: JSON that they check themselves. What they say of it is told
//! where it stands in the plan.

use carnet_document::yaml::{Entry, Node, Value};
use carnet_document::{Code, Diagnostic, InputError, Span};
use serde_json::{Map, Number, Value as Json};

use crate::plan::reader::Reader;

/// Inputs as they stand in the plan.
pub(super) struct Inputs<'a> {
    pub(super) json: Json,
    node: Option<&'a Node>,
    at: Span,
}

/// Reads the inputs under a key; none are `{}`. `at` is what to point at if nothing is written.
/// `None` if a value of them was refused.
pub(super) fn inputs<'a>(
    reader: &mut Reader,
    with: Option<&'a Entry>,
    at: Span,
) -> Option<Inputs<'a>> {
    let Some(with) = with else {
        return Some(Inputs { json: Json::Object(Map::new()), node: None, at });
    };
    reader.entries(&with.node, &format!("`{}`", with.key), with.key_span)?;
    let json = to_json(reader, &with.node)?;
    Some(Inputs { json, node: Some(&with.node), at: with.key_span })
}

impl Inputs<'_> {
    /// Says what is wrong with them. `of` is what they are given to.
    pub(super) fn tell(&self, reader: &mut Reader, of: &str, errors: &[InputError]) {
        for error in errors {
            let (span, value) = self.place(&error.pointer);
            let message = format!("{of}: {error}");
            let finding = Diagnostic::error(Code::PLAN_VALUE, span, message, &error.remedy);
            reader.push(match value {
                Some(value) => finding.with_value(&value),
                None => finding,
            });
        }
    }

    /// The key of the value that a JSON pointer leads to, or of the last one on the way that is
    /// there, and the value, if it is a plain one.
    fn place(&self, pointer: &str) -> (Span, Option<String>) {
        let (mut span, mut node) = (self.at, self.node);
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let below = match node.map(|node| &node.value) {
                Some(Value::Map(entries)) => entries
                    .iter()
                    .find(|entry| entry.key == token)
                    .map(|entry| (entry.key_span, &entry.node)),
                Some(Value::List(items)) => {
                    let item = token.parse().ok().and_then(|at: usize| items.get(at));
                    item.map(|item| (item.span, item))
                }
                Some(
                    Value::Null
                    | Value::Bool(_)
                    | Value::Int(_)
                    | Value::Float(_)
                    | Value::Text(_)
                    | Value::Refused,
                )
                | None => None,
            };
            let Some((key, found)) = below else { break };
            (span, node) = (key, Some(found));
        }
        let value = node.and_then(|node| match &node.value {
            Value::Int(number) => Some(number.to_string()),
            Value::Bool(word) => Some(word.to_string()),
            Value::Null
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Map(_)
            | Value::Refused => None,
        });
        (span, value)
    }
}

/// The value as JSON. Fractions are refused: there are as many of them as there are readers.
fn to_json(reader: &mut Reader, node: &Node) -> Option<Json> {
    match &node.value {
        Value::Null => Some(Json::Null),
        Value::Bool(word) => Some(Json::Bool(*word)),
        Value::Int(number) => Some(Json::Number(Number::from(*number))),
        Value::Text(text) => Some(Json::String(text.clone())),
        Value::Refused => None,
        Value::Float(number) => {
            let message = "a fraction stands here that is not in quotes";
            let remedy = format!("put it in quotes: \"{number}\"");
            let finding = Diagnostic::error(Code::PLAN_VALUE, node.span, message, remedy);
            reader.push(finding.with_value(number));
            None
        }
        Value::List(items) => {
            // All of them, so that each mistake is told.
            let items: Vec<_> = items.iter().map(|item| to_json(reader, item)).collect();
            items.into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
        }
        Value::Map(entries) => {
            let members: Vec<_> = entries
                .iter()
                .map(|entry| Some((entry.key.clone(), to_json(reader, &entry.node)?)))
                .collect();
            members.into_iter().collect::<Option<Map<_, _>>>().map(Json::Object)
        }
    }
}
