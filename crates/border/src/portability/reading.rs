//! Reading a document of ours: every wrong key is told, with its place and a remedy.

use carnet_document::{InputError, NoNull, input_errors};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::Transform;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The size that such a document has at most.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// The JSON Schema (draft 2020-12) of a document.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    NoNull.transform(&mut schema);
    schema.to_value()
}

/// Reads bytes. A name that stands twice in an object is refused: readers differ on which one
/// counts.
pub(super) fn read<T: JsonSchema + DeserializeOwned>(bytes: &[u8]) -> Result<T, Vec<InputError>> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let what = format!("it has {} bytes", bytes.len());
        let remedy = format!("write at most {DOCUMENT_BYTES_MAX} bytes");
        return Err(vec![InputError::new("", what, remedy)]);
    }
    let not_json = |what: String| vec![InputError::new("", what, "write one JSON document")];
    carnet_ledger::Value::parse(bytes, DOCUMENT_BYTES_MAX)
        .map_err(|error| not_json(error.to_string()))?;
    let value = serde_json::from_slice(bytes).map_err(|error| not_json(error.to_string()))?;
    read_value(&value)
}

/// Reads a JSON value.
pub(super) fn read_value<T: JsonSchema + DeserializeOwned>(
    value: &Value,
) -> Result<T, Vec<InputError>> {
    let errors = input_errors(&schema_of::<T>(), value);
    if !errors.is_empty() {
        return Err(errors);
    }
    T::deserialize(value).map_err(|error| {
        let what = error.to_string();
        vec![InputError::new("", what, "compare it with the schema")]
    })
}
