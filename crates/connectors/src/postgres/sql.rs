//! Text of SQL statements: names, literals, ranges of ids.

use carnet_connect::IdRange;

/// A name, quoted.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A JSON string.
pub(super) fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The condition that a text expression lies in a range by bytes.
pub(super) fn in_range(expression: &str, range: &IdRange) -> String {
    let mut parts = Vec::new();
    if let Some(from) = &range.from {
        parts.push(format!("{expression} COLLATE \"C\" >= {}", literal(from)));
    }
    if let Some(to) = &range.to {
        parts.push(format!("{expression} COLLATE \"C\" < {}", literal(to)));
    }
    if parts.is_empty() { "true".to_owned() } else { parts.join(" AND ") }
}

/// A name of at most 63 bytes, which is what PostgreSQL keeps, made of a name and an ending. A long
/// name is cut, and what was cut off is stood for by its hash, so that names stay apart.
pub(super) fn derived_name(name: &str, ending: &str) -> String {
    const MOST: usize = 63;
    if name.len() + ending.len() <= MOST {
        return format!("{name}{ending}");
    }
    // FNV-1a: stable between versions of the program, which the standard hasher is not.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let keep = MOST.saturating_sub(ending.len() + 9);
    let kept = name.get(..keep).unwrap_or_default();
    format!("{kept}_{:08x}{ending}", hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_cannot_leave_a_literal() {
        assert_eq!(literal("a'b"), "'a''b'");
        assert_eq!(literal(r"a\'b"), r" E'a\\''b'");
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn ranges_compare_by_bytes_on_both_sides() {
        let range = IdRange { from: Some("a".into()), to: Some("b".into()) };
        assert_eq!(in_range("id", &range), r#"id COLLATE "C" >= 'a' AND id COLLATE "C" < 'b'"#);
        assert_eq!(in_range("id", &IdRange::all()), "true");
    }

    #[test]
    fn derived_names_fit_and_stay_apart() {
        assert_eq!(derived_name("docs", "__carnet_one"), "docs__carnet_one");
        let ending = format!("__carnet_{}", "t".repeat(32));
        let one = derived_name(&"x".repeat(63), &ending);
        let two = derived_name(&format!("{}y", "x".repeat(62)), &ending);
        assert!(one.len() <= 63 && one.ends_with(&ending), "{one}");
        assert_ne!(one, two);
    }
}
