//! Lists of patterns, as SSH matches them.

use std::fmt;
use std::str::{Chars, FromStr};

use super::TrustProblem;

/// Patterns between commas: `*` stands for any text, `?` for one character, and a pattern behind
/// `!` takes out what it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternList(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    takes_out: bool,
    text: String,
}

impl PatternList {
    /// Whether a pattern fits the whole text and none takes it out.
    pub fn matches(&self, text: &str) -> bool {
        let mut found = false;
        for pattern in &self.0 {
            if fits(&pattern.text, text) {
                if pattern.takes_out {
                    return false;
                }
                found = true;
            }
        }
        found
    }
}

/// Matches from left to right. If it goes wrong behind a `*`, that `*` takes one character more: no
/// text takes more steps than the product of both lengths.
fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Behind the last `*`: the rest of the pattern, and the text that the `*` has not taken.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let untaken = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((pattern.clone(), untaken.clone()));
                text = untaken;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
            _ => {
                let Some((behind, untaken)) = &mut star else { return false };
                if untaken.next().is_none() {
                    return false;
                }
                (pattern, text) = (behind.clone(), untaken.clone());
            }
        }
    }
}

impl FromStr for PatternList {
    type Err = TrustProblem;

    fn from_str(text: &str) -> Result<Self, TrustProblem> {
        let pattern = |text: &str| {
            let (takes_out, text) = match text.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, text),
            };
            if text.is_empty() || text.contains('"') {
                return Err(TrustProblem::Pattern);
            }
            Ok(Pattern { takes_out, text: text.to_owned() })
        };
        text.split(',').map(pattern).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for PatternList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let out = if pattern.takes_out { "!" } else { "" };
            write!(f, "{comma}{out}{}", pattern.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(list: &str, text: &str) -> bool {
        list.parse::<PatternList>().unwrap().matches(text)
    }

    #[test]
    fn patterns_are_those_of_ssh() {
        for (list, text) in [
            ("a", "a"),
            ("*", ""),
            ("*", "anyone"),
            ("*@lab.org", "jo@lab.org"),
            ("a*b*c", "aXbYbZc"),
            ("a?c", "aéc"),
            ("**", "x"),
            ("a,b", "b"),
            ("*,!c", "b"),
        ] {
            assert!(matches(list, text), "{list} {text}");
        }
        for (list, text) in [
            ("a", "b"),
            ("a", "A"),
            ("a", "ab"),
            ("a?", "a"),
            ("*@lab.org", "jo@lab.org.evil"),
            ("a*b*c", "aXbYb"),
            ("*,!c", "c"),
            ("!c,*", "c"),
            ("!c", "b"),
        ] {
            assert!(!matches(list, text), "{list} {text}");
        }
        for wrong in ["", ",", "a,", "!", "a,!,b", "a\"b"] {
            assert!(wrong.parse::<PatternList>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_their_length() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
        assert!(!matches(&format!("{}b", "a*".repeat(500)), &"a".repeat(2_000)));
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_it_was_made_of(parts in prop::collection::vec("[a-c*?]{0,3}", 1..5)) {
            // Each part between stars is found in order; the longest way to say the same.
            let pattern = parts.join("*");
            let text: String = pattern.replace('*', "xy").replace('?', "é");
            prop_assert!(fits(&pattern, &text));
            let longer = text + "z";
            prop_assert!(!fits(&pattern.replace('*', ""), &longer));
        }
    }
}
