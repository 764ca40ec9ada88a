//! Placeholders for what differs between two runs: times, durations, rates, random ids.

/// The text with placeholders. A placeholder is as wide as what it replaces where that is at the
/// end of a column, so that tables stay tables.
pub(crate) fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        shown.push_str(&durations(&line_ids(line)));
    }
    shown
}

/// Letters of a text one by one: a run of letters that `shape` accepts becomes the placeholder.
fn replace(line: &str, width: usize, placeholder: &str, shape: fn(&[u8]) -> bool) -> String {
    let bytes = line.as_bytes();
    let mut shown = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes.get(at..at + width).is_some_and(shape) {
            shown.extend_from_slice(placeholder.as_bytes());
            at += width;
        } else {
            shown.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(shown).unwrap()
}

/// `2026-01-31T23:59:59.123456Z`, `20260131_235959`, `20260131T235959Z` and UUIDs.
fn line_ids(line: &str) -> String {
    // The hash of the last event: it covers times and random ids.
    let line = match line.split_once("last hash   ") {
        Some((before, _)) => format!("{before}last hash   [HASH]\n"),
        None => line.to_owned(),
    };
    let line = replace(&line, 36, "[UUID]", |word| {
        matches_shape(word, b"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh")
    });
    let line =
        replace(&line, 27, "[TIME]", |word| matches_shape(word, b"dddd-dd-ddTdd:dd:dd.ddddddZ"));
    let line =
        replace(&line, 24, "[TIME]", |word| matches_shape(word, b"dddd-dd-ddTdd:dd:dd.dddZ"));
    let line = replace(&line, 20, "[TIME]", |word| matches_shape(word, b"dddd-dd-ddTdd:dd:ddZ"));
    let line = replace(&line, 20, "[TIME]", |word| matches_shape(word, b"dddd-dd-dd dd:dd:ddZ"));
    let line = replace(&line, 16, "[TIME]", |word| matches_shape(word, b"ddddddddTddddddZ"));
    replace(&line, 15, "[TIME]", |word| matches_shape(word, b"dddddddd_dddddd"))
}

/// `h` is a hexadecimal digit, `d` a digit, everything else itself.
fn matches_shape(word: &[u8], shape: &[u8]) -> bool {
    word.len() == shape.len()
        && word.iter().zip(shape).all(|(byte, form)| match form {
            b'h' => byte.is_ascii_hexdigit(),
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// `12 ms`, `1.25 s`, `2 min 05 s`: the number and its unit, with the spaces before them.
fn durations(line: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let blank = rest.starts_with(' ');
        let end = rest.find(|c: char| (c == ' ') != blank).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    let mut shown = String::new();
    let mut at = 0;
    while at < words.len() {
        let word = words[at];
        let unit = words.get(at + 2).map(|unit| unit.trim_end_matches(['\n', ',', ';', ')']));
        let number = word.trim_start_matches('(');
        let is_number = number.starts_with(|c: char| c.is_ascii_digit())
            && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_number && unit.is_some_and(|unit| matches!(unit, "ms" | "s")) {
            // However wide the number was: its column is lost, its line stays.
            let blanks = shown.len() - shown.trim_end_matches(' ').len();
            if blanks > 1 {
                shown.truncate(shown.trim_end_matches(' ').len() + 1);
            }
            let open = &word[..word.len() - number.len()];
            let close = &words[at + 2][unit.map_or(0, str::len)..];
            shown.extend([open, "[DURATION]", close]);
            at += 3;
        } else {
            shown.push_str(word);
            at += 1;
        }
    }
    shown
}

#[test]
fn only_what_differs_is_replaced() {
    for (text, shown) in [
        ("took    12 ms\n", "took [DURATION]\n"),
        ("a (1.25 s), 3 sides\n", "a ([DURATION]), 3 sides\n"),
        ("at 2026-01-31T23:59:59Z é 123\n", "at [TIME] é 123\n"),
        ("knowledge_snapshot_20260131_235959/x", "knowledge_snapshot_[TIME]/x"),
        ("run 123e4567-e89b-12d3-a456-426614174000", "run [UUID]"),
        ("4,000 records", "4,000 records"),
    ] {
        assert_eq!(redact(text), shown);
    }
}
