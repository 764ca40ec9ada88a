//! One line of a trust file.

use super::{PatternList, SSH_ALGORITHMS, SshKey, TrustEntry, TrustProblem, TrustedKey};
use crate::stamp::EventTime;

/// Reads a line that is neither empty nor a comment.
pub(super) fn read(line: usize, text: &str) -> Result<TrustEntry, TrustProblem> {
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(TrustProblem::Text);
    }
    let (principals, rest) = principals(text)?;
    let (mut word, mut rest) = word(rest)?;
    let mut options = Options::default();
    if !is_kind(word) {
        options = Options::read(word)?;
        (word, rest) = self::word(rest)?;
    }
    Ok(TrustEntry {
        line,
        principals: principals.parse()?,
        valid_after: options.valid_after,
        valid_before: options.valid_before,
        namespaces: options.namespaces,
        key: key(word, rest)?,
    })
}

/// The first field, in quotes or not, and the rest.
fn principals(text: &str) -> Result<(&str, &str), TrustProblem> {
    match text.strip_prefix('"') {
        Some(quoted) => {
            let (principals, rest) = quoted.split_once('"').ok_or(TrustProblem::Quote)?;
            if !rest.starts_with([' ', '\t']) {
                return Err(TrustProblem::Quote);
            }
            Ok((principals, rest))
        }
        None => word(text),
    }
}

/// The next word up to a space outside of quotes, and the rest.
fn word(text: &str) -> Result<(&str, &str), TrustProblem> {
    let text = text.trim_start_matches([' ', '\t']);
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        !quoted && matches!(c, ' ' | '\t')
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    match (word.is_empty(), quoted) {
        (_, true) => Err(TrustProblem::Quote),
        (true, false) => Err(TrustProblem::Form),
        (false, false) => Ok((word, rest)),
    }
}

fn is_kind(word: &str) -> bool {
    matches!(word, "vkey" | "openpgp") || SSH_ALGORITHMS.contains(&word)
}

/// The key, and behind an SSH key a comment.
fn key(kind: &str, rest: &str) -> Result<TrustedKey, TrustProblem> {
    if !is_kind(kind) {
        return Err(TrustProblem::Kind(kind.chars().take(80).collect()));
    }
    let rest = rest.trim_matches([' ', '\t']);
    let (text, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    if text.is_empty() {
        return Err(TrustProblem::Form);
    }
    let alone = || if comment.is_empty() { Ok(()) } else { Err(TrustProblem::Form) };
    match kind {
        "vkey" => {
            alone()?;
            text.parse().map(TrustedKey::Log).map_err(TrustProblem::Log)
        }
        "openpgp" => {
            alone()?;
            text.parse().map(TrustedKey::OpenPgp)
        }
        _ => SshKey::parse(kind, text).map(TrustedKey::Ssh).ok_or(TrustProblem::Ssh),
    }
}

#[derive(Default)]
struct Options {
    valid_after: Option<EventTime>,
    valid_before: Option<EventTime>,
    namespaces: Option<PatternList>,
}

impl Options {
    /// Reads `name="value",name="value"`. As with SSH, a name may be in capitals.
    fn read(text: &str) -> Result<Self, TrustProblem> {
        let mut options = Self::default();
        let mut rest = text;
        loop {
            let end = rest.find([',', '=']).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let unknown = || TrustProblem::Option(name.chars().take(80).collect());
            // `cert-authority` and `no-touch-required` have no value, and are not known here.
            let value = behind.strip_prefix('=').ok_or_else(unknown)?;
            let value = value.strip_prefix('"').ok_or(TrustProblem::Quote)?;
            let (value, behind) = value.split_once('"').ok_or(TrustProblem::Quote)?;
            match name.to_ascii_lowercase().as_str() {
                "valid-after" => once("valid-after", &mut options.valid_after, time(value)?)?,
                "valid-before" => once("valid-before", &mut options.valid_before, time(value)?)?,
                "namespaces" => once("namespaces", &mut options.namespaces, value.parse()?)?,
                _ => return Err(unknown()),
            }
            match behind.strip_prefix(',') {
                Some(next) => rest = next,
                None if behind.is_empty() => return Ok(options),
                None => return Err(TrustProblem::Quote),
            }
        }
    }
}

fn once<T>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), TrustProblem> {
    if place.is_some() {
        return Err(TrustProblem::Twice(name));
    }
    *place = Some(value);
    Ok(())
}

/// Reads a time. SSH takes one without `Z` in the zone of the machine; here it is UTC, so that a
/// trust file means the same everywhere.
fn time(text: &str) -> Result<EventTime, TrustProblem> {
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(TrustProblem::Time);
    }
    let part = |range| digits.get(range).unwrap_or("00");
    let [year, month, day] = [part(0..4), part(4..6), part(6..8)];
    let [hour, minute, second] = [part(8..10), part(10..12), part(12..14)];
    let time = format!("{year}-{month}-{day}T{hour}:{minute}:{second}.000Z");
    time.parse().map_err(|_| TrustProblem::Time)
}

/// A time as a trust file writes it, to the second.
pub(super) fn written(time: EventTime) -> String {
    let text = time.to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).take(14).collect();
    format!("{digits}Z")
}
