//! `checksums.sha256`: the form that `sha256sum -c` reads.

use std::collections::BTreeMap;
use std::path::Path;

use carnet_ledger::Digest;

use crate::error::BundleError;

/// The name of the file in its directory.
pub(crate) const CHECKSUMS: &str = "checksums.sha256";

/// No list of checksums is larger.
pub(crate) const CHECKSUMS_BYTES_MAX: u64 = 256 << 20;

/// Lines `<sha256>  <path>`, sorted by the bytes of the path. As `sha256sum` does, a line whose
/// path has a backslash or a line break begins with a backslash and escapes them.
pub(crate) fn write_checksums(sums: &BTreeMap<String, Digest>) -> String {
    let mut text = String::new();
    for (path, digest) in sums {
        let escaped = path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        if escaped != *path {
            text.push('\\');
        }
        text.push_str(&digest.to_string());
        text.push_str("  ");
        text.push_str(&escaped);
        text.push('\n');
    }
    text
}

/// SHA-256 of the lines about these files: what a manifest says of all files but itself.
pub(crate) fn digest_of_checksums<'p>(sums: impl Iterator<Item = (&'p String, Digest)>) -> Digest {
    let sums = sums.map(|(path, digest)| (path.clone(), digest)).collect();
    Digest::of(write_checksums(&sums).as_bytes())
}

/// Reads what `write_checksums` writes; anything else is refused, so that equal lists have equal
/// bytes.
pub(crate) fn parse_checksums(
    file: &Path,
    bytes: &[u8],
) -> Result<BTreeMap<String, Digest>, BundleError> {
    let wrong = |line: usize, what: &str| {
        BundleError::malformed(file, format!("line {}: {what}", line + 1))
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| BundleError::malformed(file, "the text is not UTF-8"))?;
    let mut sums = BTreeMap::new();
    let mut last: Option<String> = None;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let line = line.strip_suffix('\n').ok_or_else(|| wrong(n, "the line is cut off"))?;
        let (escaped, line) = match line.strip_prefix('\\') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (digest, path) = line.split_once("  ").ok_or_else(|| wrong(n, "no two blanks"))?;
        let digest: Digest = digest.parse().map_err(|_| wrong(n, "no SHA-256 at the start"))?;
        let path = if escaped { unescape(path) } else { Some(path.to_owned()) };
        let path = path.filter(|path| is_relative(path)).ok_or_else(|| wrong(n, "a bad path"))?;
        if last.as_ref().is_some_and(|last| *last >= path) {
            return Err(wrong(n, "the paths do not ascend"));
        }
        last = Some(path.clone());
        sums.insert(path, digest);
    }
    if write_checksums(&sums) == text {
        Ok(sums)
    } else {
        Err(BundleError::malformed(file, "not in the form that sha256sum writes"))
    }
}

/// Whether a path stays inside its directory: parts that are neither empty, `.` nor `..`.
pub(crate) fn is_relative(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn unescape(path: &str) -> Option<String> {
    let mut plain = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<BTreeMap<String, Digest>, BundleError> {
        parse_checksums(Path::new("checksums.sha256"), text.as_bytes())
    }

    proptest! {
        #[test]
        fn lists_round_trip(paths in prop::collection::btree_set("[a-c\\\\\n\r é]{1,8}", 0..9)) {
            let sums: BTreeMap<_, _> =
                paths.into_iter().map(|path| (path.clone(), Digest::of(path.as_bytes()))).collect();
            prop_assert_eq!(parse(&write_checksums(&sums)).unwrap(), sums);
        }

        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_checksums(Path::new("x"), &bytes);
        }
    }

    #[test]
    fn what_is_not_the_form_is_refused() {
        let sum = Digest::of(b"").to_string();
        for bad in [
            format!("{sum}  a"),
            format!("{sum} a\n"),
            format!("{}  a\n", sum.to_uppercase()),
            format!("{sum}  b\n{sum}  a\n"),
            format!("{sum}  a\n{sum}  a\n"),
            format!("{sum}  ../a\n"),
            format!("{sum}  /a\n"),
            format!("{sum}  a//b\n"),
            format!("\\{sum}  a\n"),
            format!("\\{sum}  a\\x\n"),
            format!("{sum} *a\n"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
