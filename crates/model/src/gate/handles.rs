//! Each handle of a registry resolves to the value that is pinned there.

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_aws, check_objects_url, check_path, check_text};

/// The longest registry or environment file that is read, in bytes.
pub const HANDLES_BYTES_MAX: u64 = 1 << 20;

/// The registry, and where its handles must resolve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The registry, relative to the plan's folder: a file with a line `HANDLE=value` for each
    /// handle, in `UPPER_SNAKE_CASE`. Empty lines and lines that begin with `#` say nothing.
    pub registry: String,
    /// Where they resolve: an environment file, relative to the plan's folder. This, `object` or
    /// `parameters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// Where they resolve: an object in S3 of the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectAt>,
    /// Where they resolve: parameters of SSM directly below a path. The last part of a name is the
    /// handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<ParametersAt>,
    /// Handles that the registry must pin. Without them, whatever it pins is enough.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub handles: BTreeSet<String>,
    /// Whether names may be set that the registry does not know.
    #[serde(default)]
    pub others: bool,
}

/// An object in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectAt {
    /// The place: `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
    pub url: String,
    /// The key below the prefix.
    pub key: String,
}

/// Parameters of SSM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParametersAt {
    /// The URL of the service; Amazon's own if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The path, such as `/carnet/dev_min`.
    pub path: String,
}

/// What was read. Of a value only the SHA-256 is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The registry; absent if there is no such file.
    pub registry: Option<Listing>,
    /// What is set where the handles must resolve; absent if nothing is there.
    pub found: Option<Listing>,
}

/// The lines of a file that set something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// The first line that cannot be read, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<u64>,
}

/// A name that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// SHA-256 of its value; absent if the value is empty, or none of ours to record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

impl Listing {
    /// Reads the lines of a registry or an environment file.
    pub fn of(bytes: &[u8]) -> Self {
        let mut listing = Self::default();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            match Line::of(line) {
                Line::Sets(name, value) => {
                    listing.entries.extend(Self::of_values([(&*name, &*value)]).entries);
                }
                Line::Note => {}
                Line::Unreadable => listing.unreadable = listing.unreadable.or(Some(number)),
            }
        }
        listing
    }

    /// What is set by a list of names and values.
    pub fn of_values<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let entry = |(name, value): (&str, &str)| {
            let sha256 = (!value.is_empty()).then(|| Digest::of(value.as_bytes()));
            Entry { name: name.to_owned(), sha256 }
        };
        Self { entries: values.into_iter().map(entry).collect(), unreadable: None }
    }

    /// The same, without what it says of names that a registry does not have.
    #[must_use]
    pub fn known_to(mut self, registry: &Self) -> Self {
        let known: BTreeSet<&str> = registry.entries.iter().map(|it| it.name.as_str()).collect();
        for entry in self.entries.iter_mut().filter(|it| !known.contains(it.name.as_str())) {
            entry.sha256 = None;
        }
        self
    }

    fn doubled(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        self.entries.iter().map(|it| it.name.as_str()).find(|name| !seen.insert(*name))
    }
}

/// What a line says.
enum Line {
    /// Nothing.
    Note,
    /// A name and its value.
    Sets(String, String),
    /// Nobody can tell.
    Unreadable,
}

impl Line {
    fn of(line: &[u8]) -> Self {
        let Ok(line) = std::str::from_utf8(line).map(str::trim) else { return Self::Unreadable };
        if line.is_empty() || line.starts_with('#') {
            return Self::Note;
        }
        let set = Self::set(line);
        set.map_or(Self::Unreadable, |(name, value)| Self::Sets(name.to_owned(), value))
    }

    fn set(line: &str) -> Option<(&str, String)> {
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = line.split_once('=')?;
        let name = name.trim_end();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.chars().all(plain) {
            return None;
        }
        Some((name, unquoted(value.trim_start())?))
    }
}

/// A value as shells and systemd read it; `None` where a quote does not end.
fn unquoted(value: &str) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        let inner = rest.strip_suffix('\'')?;
        return (!inner.contains('\'')).then(|| inner.to_owned());
    }
    let Some(rest) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let (mut out, mut rest) = (String::new(), rest.chars());
    loop {
        match rest.next()? {
            '"' => return rest.as_str().trim_start().is_empty().then_some(out),
            '\\' => match rest.next()? {
                escaped @ ('"' | '\\' | '$' | '`') => out.push(escaped),
                other => out.extend(['\\', other]),
            },
            c => out.push(c),
        }
    }
}

/// Whether a name is in `UPPER_SNAKE_CASE`.
fn is_handle(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    };
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.split('_').all(part)
}

const CORRECT: &str = "correct the registry, and run again";
const RESOLVE: &str = "set each handle to the value of the registry, and run again";

impl Rule {
    /// Where handles resolve, in words.
    fn place(&self) -> &str {
        let object = self.object.as_ref().map(|it| it.key.as_str());
        let parameters = self.parameters.as_ref().map(|it| it.path.as_str());
        self.env_file.as_deref().or(object).or(parameters).unwrap_or_default()
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (name, place) = (&self.registry, self.place());
        let Some(registry) = facts.registry.as_ref() else {
            return Judgement::no_data(0, format!("there is no registry {name}"), CORRECT);
        };
        if registry.entries.is_empty() && registry.unreadable.is_none() {
            return Judgement::no_data(0, format!("the registry {name} pins no handle"), CORRECT);
        }
        let found = match &facts.found {
            Some(found) if !found.entries.is_empty() || found.unreadable.is_some() => found,
            Some(_) | None => {
                return Judgement::no_data(0, format!("nothing is set in {place}"), RESOLVE);
            }
        };
        let sample = registry.entries.len();
        if let Some(wrong) = self.wrong_registry(registry) {
            return Judgement::fail(sample, wrong, CORRECT);
        }
        if let Some(wrong) = self.wrong_place(registry, found) {
            return Judgement::fail(sample, wrong, RESOLVE);
        }
        let handles = counted(sample, "handle resolves", "handles resolve");
        Judgement::pass(sample, format!("{handles} in {place} as {name} pins them"))
    }

    fn wrong_registry(&self, registry: &Listing) -> Option<String> {
        let name = &self.registry;
        if let Some(line) = registry.unreadable {
            return Some(format!("line {line} of {name} is no HANDLE=value"));
        }
        if let Some(doubled) = registry.doubled() {
            return Some(format!("the handle {doubled} stands twice in {name}"));
        }
        for entry in &registry.entries {
            let handle = &entry.name;
            if !is_handle(handle) {
                return Some(format!("{handle} in {name} is not in UPPER_SNAKE_CASE"));
            }
            if entry.sha256.is_none() {
                return Some(format!("the handle {handle} has no value in {name}"));
            }
        }
        let pinned: BTreeSet<&String> = registry.entries.iter().map(|it| &it.name).collect();
        let unknown = self.handles.iter().find(|handle| !pinned.contains(handle))?;
        Some(format!("the handle {unknown} is not known to {name}"))
    }

    fn wrong_place(&self, registry: &Listing, found: &Listing) -> Option<String> {
        let (name, place) = (&self.registry, self.place());
        if let Some(line) = found.unreadable {
            return Some(format!("line {line} of {place} is no NAME=value"));
        }
        if let Some(doubled) = found.doubled() {
            return Some(format!("{doubled} is set twice in {place}"));
        }
        let mut set: BTreeMap<&String, _> =
            found.entries.iter().map(|it| (&it.name, it.sha256)).collect();
        for entry in &registry.entries {
            let handle = &entry.name;
            match set.remove(handle) {
                None => return Some(format!("the handle {handle} is missing in {place}")),
                Some(value) if value != entry.sha256 => {
                    return Some(format!("{handle} has another value in {place} than {name} pins"));
                }
                Some(_) => {}
            }
        }
        let unknown = set.keys().next().filter(|_| !self.others)?;
        Some(format!("{unknown} is set in {place} and not known to {name}"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| *facts = Facts::default());
        copies.add("registry_empty", |facts| facts.registry = Some(Listing::default()));
        copies.add("place_missing", |facts| facts.found = None);
        copies.add("place_empty", |facts| facts.found = Some(Listing::default()));
        let mut registry = |name, damage: &dyn Fn(&mut Listing)| {
            copies.add(name, |facts| facts.registry.iter_mut().for_each(damage));
        };
        registry("registry_unreadable", &|it| it.unreadable = Some(1));
        let entries = facts.registry.as_ref().map_or(&[][..], |it| &it.entries);
        for spot in spots(entries.len()) {
            registry("pin_doubled", &|it| doubled(it, spot));
            registry("pin_other", &|it| other_value(it, spot));
            registry("pin_without_value", &|it| {
                it.entries.iter_mut().skip(spot).take(1).for_each(|entry| entry.sha256 = None);
            });
            registry("pin_in_lower_case", &|it| {
                it.entries
                    .iter_mut()
                    .skip(spot)
                    .take(1)
                    .for_each(|it| it.name.make_ascii_lowercase());
            });
        }
        let pinned: Vec<String> = spots(entries.len())
            .iter()
            .filter_map(|it| Some(entries.get(*it)?.name.clone()))
            .collect();
        let mut found = |name, damage: &dyn Fn(&mut Listing)| {
            copies.add(name, |facts| facts.found.iter_mut().for_each(damage));
        };
        found("place_unreadable", &|it| it.unreadable = Some(1));
        for handle in &pinned {
            let spot = |it: &Listing| it.entries.iter().position(|entry| entry.name == *handle);
            found("handle_missing", &|it| it.entries.retain(|entry| entry.name != *handle));
            found("handle_doubled", &|it| {
                if let Some(spot) = spot(it) {
                    doubled(it, spot);
                }
            });
            found("handle_other", &|it| {
                if let Some(spot) = spot(it) {
                    other_value(it, spot);
                }
            });
        }
        if !self.others {
            let name = "NOT_IN_THE_REGISTRY_".to_owned();
            found("handle_unknown", &|it| {
                it.entries.push(Entry { name: name.clone(), sha256: None });
            });
        }
        for handle in self.handles.iter().take(1) {
            copies.add("handle_not_pinned", |facts| {
                let both = facts.registry.iter_mut().chain(&mut facts.found);
                both.for_each(|it| it.entries.retain(|entry| entry.name != *handle));
            });
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/registry", &self.registry);
        match (&self.env_file, &self.object, &self.parameters) {
            (Some(file), None, None) => errors.extend(check_text("/env_file", file)),
            (None, Some(object), None) => {
                errors.extend(check_objects_url("/object/url", &object.url));
                errors.extend(check_text("/object/key", &object.key));
            }
            (None, None, Some(at)) => {
                errors.extend(check_aws("/parameters", at.endpoint.as_deref(), &at.region));
                errors.extend(check_path("/parameters/path", &at.path));
            }
            _ => errors.push(InputError::new(
                "",
                "the handles must resolve in one place",
                "write one of env_file, object and parameters",
            )),
        }
        for (number, handle) in self.handles.iter().enumerate() {
            if !is_handle(handle) {
                let what = format!("{handle:?} is not in UPPER_SNAKE_CASE");
                let pointer = format!("/handles/{number}");
                errors.push(InputError::new(pointer, what, "write the name of a handle"));
            }
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("every handle of {} resolves in {} to its value", self.registry, self.place())
    }
}

fn doubled(listing: &mut Listing, spot: usize) {
    listing.entries.extend(listing.entries.get(spot).cloned());
}

fn other_value(listing: &mut Listing, spot: usize) {
    for entry in listing.entries.iter_mut().skip(spot).take(1) {
        entry.sha256 = entry.sha256.map(flipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, Option<Digest>)>, Option<u64>) {
        let listing = Listing::of(text.as_bytes());
        (listing.entries.into_iter().map(|it| (it.name, it.sha256)).collect(), listing.unreadable)
    }

    #[test]
    fn lines_are_read_as_shells_and_systemd_do() {
        for (line, value) in [
            ("A_B=x", "x"),
            ("export A_B=x", "x"),
            ("  A_B = s3://b/p?x=1&y=2 \r", "s3://b/p?x=1&y=2"),
            ("A_B=\"a b\"", "a b"),
            (r#"A_B="a\"b\$c\`d\\e\n""#, r#"a"b$c`d\e\n"#),
            ("A_B='a \"b\"'", "a \"b\""),
        ] {
            let told = vec![("A_B".to_owned(), Some(Digest::of(value.as_bytes())))];
            assert_eq!(read(&format!("# note\n\n{line}\n")), (told, None), "{line}");
        }
        assert_eq!(read("A="), (vec![("A".to_owned(), None)], None));
        let bad =
            ["A", "=x", "1A=x", "A-B=x", "A=\"x", "A='x", "A=\"x\" y", "A='x'y'", "\u{feff}A=x"];
        for line in bad {
            assert_eq!(read(&format!("B=1\n{line}\n")).1, Some(2), "{line}");
        }
        assert_eq!(Listing::of(b"A=1\nB=\xff\n").unreadable, Some(2));
        assert!(is_handle("A1_B2") && is_handle("X"));
        for name in ["", "a", "_A", "A_", "A__B", "1A", "Ab"] {
            assert!(!is_handle(name), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_name() {
        let with = serde_json::json!({"registry": "r", "env_file": "e", "handles": ["A"]});
        let Ok(super::super::Rule::Handles(rule)) = super::super::read_rule("handles", &with)
        else {
            panic!("{with}")
        };
        let says = |registry: &str, found: &str| {
            let read = |text: &str| Some(Listing::of(text.as_bytes()));
            let judgement = rule.judge(&Facts { registry: read(registry), found: read(found) });
            format!("{}: {}", judgement.verdict, judgement.reason)
        };
        for (registry, found, said) in [
            ("A=1\nB=2", "B=2\nA=1", "pass: 2 handles resolve in e as r pins them"),
            ("", "A=1", "no_data: the registry r pins no handle"),
            ("A=1", "# nothing", "no_data: nothing is set in e"),
            ("B=1", "B=1", "fail: the handle A is not known to r"),
            ("A=1\nB=2", "A=1", "fail: the handle B is missing in e"),
            ("A=1\nB=2", "A=1\nB=3", "fail: B has another value in e than r pins"),
            ("A=1", "A=1\nA=1", "fail: A is set twice in e"),
            ("A=1\nA=1", "A=1", "fail: the handle A stands twice in r"),
            ("A=1", "A=1\nC=1", "fail: C is set in e and not known to r"),
            ("A=1\nbucket=1", "A=1", "fail: bucket in r is not in UPPER_SNAKE_CASE"),
            ("A=", "A=", "fail: the handle A has no value in r"),
            ("A", "A=1", "fail: line 1 of r is no HANDLE=value"),
            ("A=1", "A=1\nB", "fail: line 2 of e is no NAME=value"),
        ] {
            assert_eq!(says(registry, found), said);
        }
    }
}
