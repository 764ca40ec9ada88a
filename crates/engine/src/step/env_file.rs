//! One variable in an environment file. Pure: bytes in, bytes out; everything else in the file
//! stays as it is.

/// The file's bytes with the variable set. Comments, other lines, their order and line ends stay.
/// Where the variable stands several times, the last line counts for readers, so it is the one
/// that is changed, and the others go: two values of one variable are a trap.
pub(crate) fn set(old: &[u8], key: &str, value: &str) -> Vec<u8> {
    let line_end: &[u8] = if old.windows(2).any(|pair| pair == b"\r\n") { b"\r\n" } else { b"\n" };
    let lines: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let last = lines.iter().rposition(|line| sets(line, key));
    let mut new = Vec::with_capacity(old.len() + key.len() + value.len() + 8);
    for (index, line) in lines.iter().enumerate() {
        if Some(index) == last {
            let export = if trimmed(line).starts_with(b"export ") { "export " } else { "" };
            new.extend_from_slice(format!("{export}{key}={}", quoted(value)).as_bytes());
            new.extend_from_slice(end_of(line));
        } else if !sets(line, key) {
            new.extend_from_slice(line);
        }
    }
    if last.is_none() {
        if !new.is_empty() && !new.ends_with(b"\n") {
            new.extend_from_slice(line_end);
        }
        new.extend_from_slice(format!("{key}={}", quoted(value)).as_bytes());
        new.extend_from_slice(line_end);
    }
    new
}

/// How a line ends: the last one may not end at all.
fn end_of(line: &[u8]) -> &[u8] {
    let ends: [&[u8]; 2] = [b"\r\n", b"\n"];
    ends.into_iter().find(|end| line.ends_with(end)).unwrap_or_default()
}

/// Whether a line sets the variable.
fn sets(line: &[u8], key: &str) -> bool {
    let line = trimmed(line);
    let line = line.strip_prefix(b"export ").map_or(line, trimmed);
    line.strip_prefix(key.as_bytes()).is_some_and(|rest| trimmed(rest).starts_with(b"="))
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii_start()
}

/// A value as shells and systemd read it: bare where no character means anything to them.
fn quoted(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-./:?=&@%+,~".contains(c);
    if !value.is_empty() && value.chars().all(bare) {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn changed(old: &str, value: &str) -> String {
        String::from_utf8(set(old.as_bytes(), "KEY", value)).unwrap()
    }

    #[test]
    fn only_the_variable_changes() {
        for (old, new) in [
            ("", "KEY=v\n"),
            ("A=1\n", "A=1\nKEY=v\n"),
            ("A=1", "A=1\nKEY=v\n"),
            ("KEY=old", "KEY=v"),
            ("# KEY=no\nKEY=old\nB=2\n", "# KEY=no\nKEY=v\nB=2\n"),
            ("export KEY=old\n", "export KEY=v\n"),
            ("  KEY = old\nKEYS=1\n", "KEY=v\nKEYS=1\n"),
            ("KEY=a\r\nB=2\r\n", "KEY=v\r\nB=2\r\n"),
            ("KEY=a\nB=2\nKEY=b\n", "B=2\nKEY=v\n"),
            ("\n\n", "\n\nKEY=v\n"),
        ] {
            assert_eq!(changed(old, "v"), new, "{old:?}");
        }
    }

    #[test]
    fn what_means_something_to_a_shell_is_quoted() {
        for (value, written) in [
            ("postgres://u@h:5432/d?table=t&x=1", "postgres://u@h:5432/d?table=t&x=1"),
            ("a b", "\"a b\""),
            ("", "\"\""),
            ("a\"b$c`d\\e", "\"a\\\"b\\$c\\`d\\\\e\""),
            ("#x", "\"#x\""),
        ] {
            assert_eq!(changed("", value), format!("KEY={written}\n"));
        }
    }

    proptest! {
        #[test]
        fn any_file_is_kept_but_for_the_variable(old in proptest::collection::vec(any::<u8>(), 0..200)) {
            let new = set(&old, "KEY", "v");
            prop_assert_eq!(set(&new, "KEY", "v"), new.clone(), "twice is once");
            prop_assert!(new.windows(5).any(|part| part == b"KEY=v"));
        }
    }
}
