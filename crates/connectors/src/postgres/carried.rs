//! Columns that no part of a record stands for: they travel in the metadata under `_columns`, an
//! object of column name and value. Each type has one exact JSON form:
//!
//! | type | form |
//! |---|---|
//! | `boolean`, `smallint`, `integer`, `bigint` | as JSON |
//! | `real`, `double precision` | the shortest number that reads back to the same bits; `NaN`, infinities and −0 as text |
//! | `numeric` | text, because JSON numbers are compared by value and `1.50` keeps its zero |
//! | `timestamp`, `timestamptz` | ISO 8601 text, `timestamptz` in UTC |
//! | `json`, `jsonb` | as it stands |
//! | text types, `uuid`, `bytea` (hexadecimal), dates, times, networks, bits, enums, ranges, `tsvector`, `vector`, `halfvec`, `sparsevec` | the text that PostgreSQL writes, which reads back to the same value |
//! | arrays of these | lists; an array with subscripts of its own as PostgreSQL's text |
//!
//! NULL is left out. `jsonb_populate_record` turns every form back into the same value, which is
//! how `_columns` is written into tables that have such columns. Any other type is refused by name
//! (`table.unmapped`) unless it is named under `drop`.

use super::table::Column;

/// How a type is written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Float,
    ToJson,
    Text,
}

fn form(type_name: &str, kind: &str) -> Option<Form> {
    Some(match type_name {
        "json" | "jsonb" => Form::Json,
        "float4" | "float8" => Form::Float,
        "bool" | "int2" | "int4" | "int8" | "timestamp" | "timestamptz" => Form::ToJson,
        "text" | "varchar" | "bpchar" | "name" | "uuid" | "numeric" | "bytea" | "date" | "time"
        | "timetz" | "interval" | "inet" | "cidr" | "macaddr" | "macaddr8" | "bit" | "varbit"
        | "tsvector" | "vector" | "halfvec" | "sparsevec" => Form::Text,
        // Enums and ranges are types of the database's own.
        _ if matches!(kind, "e" | "r" | "m") => Form::Text,
        _ => return None,
    })
}

/// The SQL expression that gives a column's JSON text, or NULL; `None` for a type without a form.
pub(super) fn expression(column: &Column, value: &str) -> Option<String> {
    let Some(element) = &column.element else {
        return form(&column.type_name, &column.type_kind).map(|form| scalar(form, value));
    };
    let list = match form(element, &column.element_kind)? {
        Form::Json | Form::ToJson => format!("to_json({value})"),
        // −0 within a list would lose its sign.
        Form::Float => format!(
            "CASE WHEN {value}::text ~ '[{{,]-0[,}}]' THEN to_json({value}::text[]) \
             ELSE to_json({value}) END"
        ),
        Form::Text => format!("to_json({value}::text[])"),
    };
    // The text of an array begins with its bounds only if they do not start at one.
    Some(format!(
        "CASE WHEN left({value}::text, 1) = '[' THEN to_json({value}::text) ELSE {list} END::text"
    ))
}

fn scalar(form: Form, value: &str) -> String {
    match form {
        Form::Json => format!("{value}::text"),
        Form::ToJson => format!("to_json({value})::text"),
        Form::Text => format!("to_json({value}::text)::text"),
        Form::Float => {
            format!("CASE WHEN {value}::text = '-0' THEN '\"-0\"' ELSE to_json({value})::text END")
        }
    }
}
