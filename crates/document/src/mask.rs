//! Passwords hidden in text that is about to be shown.

use std::ops::Range;

/// What stands in place of a password, whatever it is: its length is nobody's business either.
const STARS: &str = "******";

/// The text with each password in a URL replaced by stars.
///
/// What cannot be told apart is hidden too: in each line all between the first colon after `://` and
/// the last `@` that no digest follows, and whatever follows `password=`.
pub fn mask(text: &str) -> String {
    Masked::of(text).text
}

/// A masked text that knows where the parts of the original are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The text without passwords.
    pub text: String,
    /// What was replaced, as byte ranges of the original, in order.
    hidden: Vec<Range<usize>>,
}

impl Masked {
    /// Masks a text.
    pub fn of(text: &str) -> Self {
        let mut hidden = Vec::new();
        let mut begin = 0;
        for line in text.split_inclusive('\n') {
            let found = passwords(line);
            hidden.extend(found.into_iter().map(|it| it.start + begin..it.end + begin));
            begin += line.len();
        }
        let mut masked = String::with_capacity(text.len());
        let mut at = 0;
        for one in &hidden {
            masked.push_str(text.get(at..one.start).unwrap_or_default());
            masked.push_str(STARS);
            at = one.end;
        }
        masked.push_str(text.get(at..).unwrap_or_default());
        Self { text: masked, hidden }
    }

    /// Whether there was anything to hide.
    pub fn hides(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// Where a byte of the original is in the masked text. The inside of a password is where its
    /// stars begin.
    pub fn place(&self, at: usize) -> usize {
        let (mut taken, mut put) = (0, 0);
        for one in &self.hidden {
            if at < one.end {
                return at.min(one.start) - taken + put;
            }
            taken += one.len();
            put += STARS.len();
        }
        at - taken + put
    }
}

/// Whether a text begins with a digest: what stands before its `@` names a thing, and is no login.
fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").and_then(|text| text.get(..64));
    hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The passwords in one line, in order, none overlapping another, none empty.
fn passwords(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut ats = line.rmatch_indices('@').map(|(at, _)| at);
    let at = ats.find(|at| !line.get(at + 1..).is_some_and(is_digest));
    if let (Some(scheme), Some(at)) = (line.find("://"), at) {
        let login = scheme + 3;
        let colon = line.get(login..at).and_then(|text| text.find(':'));
        found.extend(colon.map(|colon| login + colon + 1..at));
    }
    let lower = line.to_ascii_lowercase();
    for (place, word) in lower.match_indices("password=") {
        let from = place + word.len();
        let rest = lower.get(from..).unwrap_or_default();
        let ends = rest.find(|c: char| c == '&' || c == '"' || c == '\'' || c.is_whitespace());
        found.push(from..from + ends.unwrap_or(rest.len()));
    }
    found.retain(|one| !one.is_empty());
    found.sort_by_key(|one| one.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for one in found {
        match joined.last_mut() {
            Some(last) if one.start <= last.end => last.end = last.end.max(one.end),
            Some(_) | None => joined.push(one),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_go_with_their_lengths() {
        for (text, shown) in [
            ("store: postgres://me:s3@cr/t@db/kb", "store: postgres://me:******@db/kb"),
            ("docker://h:5000/n@sha256:DIGEST", "docker://h:5000/n@sha256:DIGEST"),
            ("docker://u:s3cr3t@h/n@sha256:DIGEST", "docker://u:******@h/n@sha256:DIGEST"),
            ("postgres://me:a@db/kb", "postgres://me:******@db/kb"),
            ("postgres://db/kb?password=s3cr3tlong&x=1", "postgres://db/kb?password=******&x=1"),
            ("a: \"postgres://u:pä@h/d\"\nb: x", "a: \"postgres://u:******@h/d\"\nb: x"),
            ("x://u:a@h?password=b&c@d", "x://u:******@d"),
            ("password=a password=b", "password=****** password=******"),
            ("postgres://me@db/kb", "postgres://me@db/kb"),
            ("postgres://me:@db/kb", "postgres://me:@db/kb"),
            ("owner: ops@example.org", "owner: ops@example.org"),
            ("nothing to hide: here", "nothing to hide: here"),
        ] {
            let [text, shown] = [text, shown].map(|it| it.replace("DIGEST", &"0f".repeat(32)));
            assert_eq!(mask(&text), shown);
            assert_eq!(Masked::of(&text).hides(), text != shown, "{text}");
        }
        // Stars are a password like any other.
        assert!(Masked::of("postgres://me:******@db").hides());
    }

    #[test]
    fn places_keep_their_meaning() {
        let text = "a: x://u:password-of-some-length@host/d\nb: x://u:p@h/d\nc: here";
        let masked = Masked::of(text);
        for word in ["a: ", "host", "b: ", "@h/d", "c: ", "here"] {
            let place = masked.place(text.find(word).unwrap());
            assert!(masked.text[place..].starts_with(word), "{word}");
        }
        let inside = masked.place(text.find("of-some").unwrap());
        assert!(masked.text[inside..].starts_with(STARS));
        assert_eq!(masked.place(text.len()), masked.text.len());
    }
}
