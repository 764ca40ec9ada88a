//! A file or a folder has the content that it must have.

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::sha256_schema;
use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted, short};
use super::limits::check_text;

/// How many files a folder may have.
pub const FILES_MAX: usize = 100_000;

/// The path, and what its content must be: one of `sha256` and `same_as`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A file or a folder, relative to the plan's folder.
    pub path: String,
    /// Its content digest, in lower-case hexadecimal: of a file the SHA-256 of its bytes; of a
    /// folder the SHA-256 of the lines `SHA256  PATH` of all its files, in byte order of path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "sha256_schema")]
    pub sha256: Option<Digest>,
    /// Another file or folder with the same content, relative to the plan's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
}

/// What is at the two paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// At the path; absent if nothing is.
    pub found: Option<Tree>,
    /// At the other path; absent if nothing is, or none is named.
    pub other: Option<Tree>,
}

/// A file, or all files of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Whether it is a folder.
    pub folder: bool,
    /// The files in byte order of path; one without a path if it is a file.
    pub files: Vec<Leaf>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// Its path within the folder, with `/`.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

impl Tree {
    /// The content digest: the same as `sha256sum` gives of a file, and of its own output for all
    /// files of a folder in byte order of path.
    pub fn digest(&self) -> Option<Digest> {
        if !self.folder {
            return match self.files.as_slice() {
                [only] => Some(only.sha256),
                _ => None,
            };
        }
        let line = |leaf: &Leaf| format!("{}  {}\n", leaf.sha256, leaf.path);
        Some(Digest::of(self.files.iter().map(line).collect::<String>().as_bytes()))
    }
}

const REMEDY: &str = "compare the content with where it came from, and copy it again";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let path = &self.path;
        let found = facts.found.as_ref().filter(|tree| !tree.files.is_empty());
        let Some((tree, digest)) = found.and_then(|tree| Some((tree, tree.digest()?))) else {
            return Judgement::no_data(0, format!("there is no content at {path}"), REMEDY);
        };
        let sample = tree.files.len();
        let files = counted(sample, "file", "files");
        if let Some(must) = self.sha256 {
            if digest != must {
                let (seen, must) = (short(digest), short(must));
                let reason = format!("{path} has the content {seen}…, and must have {must}…");
                return Judgement::fail(sample, reason, REMEDY);
            }
            let reason = format!("{path} has the content {}… in {files}", short(digest));
            return Judgement::pass(sample, reason);
        }
        let same_as = self.same_as.as_deref().unwrap_or_default();
        let Some(other) = facts.other.as_ref().filter(|tree| !tree.files.is_empty()) else {
            return Judgement::no_data(0, format!("there is no content at {same_as}"), REMEDY);
        };
        if let Some(wrong) = difference(tree, other) {
            let reason = format!("{path} and {same_as} differ: {wrong}");
            return Judgement::fail(sample, reason, REMEDY);
        }
        Judgement::pass(sample, format!("{path} has the content of {same_as} in {files}"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let (files, folder) = match &facts.found {
            Some(tree) => (tree.files.len(), tree.folder),
            None => (0, false),
        };
        let mut add = |name, damage: &dyn Fn(&mut Tree)| {
            copies.add(name, |facts: &mut Facts| {
                if let Some(tree) = &mut facts.found {
                    damage(tree);
                }
            });
        };
        for spot in spots(files) {
            add("file_changed", &|tree| {
                if let Some(leaf) = tree.files.get_mut(spot) {
                    leaf.sha256 = flipped(leaf.sha256);
                }
            });
            add("file_missing", &|tree| drop(tree.files.remove(spot)));
            if folder {
                add("file_renamed", &|tree| {
                    if let Some(leaf) = tree.files.get_mut(spot) {
                        leaf.path.push('x');
                    }
                });
            }
        }
        add("file_added", &|tree| {
            tree.files.push(Leaf { path: "~added".to_owned(), sha256: Digest::of(b"added") });
        });
        if self.same_as.is_some() {
            add("folder_for_file", &|tree| tree.folder = !tree.folder);
            copies.add("other_missing", |facts| facts.other = None);
            copies.add("both_empty", |facts| {
                for tree in [&mut facts.found, &mut facts.other].into_iter().flatten() {
                    tree.files.clear();
                }
            });
        }
        copies.add("nothing_seen", |facts| *facts = Facts::default());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/path", &self.path);
        errors.extend(self.same_as.iter().flat_map(|path| check_text("/same_as", path)));
        if self.sha256.is_some() == self.same_as.is_some() {
            let remedy = "write exactly one of `sha256` and `same_as`";
            errors.push(InputError::new("", "it must be clear what is demanded", remedy));
        }
        if self.same_as.as_ref() == Some(&self.path) {
            let what = "a path is always the same as itself";
            errors.push(InputError::new("/same_as", what, "name another path"));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        match (&self.same_as, self.sha256) {
            (Some(other), _) => format!("{} has the content of {other}", self.path),
            (None, Some(sha256)) => format!("{} has the content {}…", self.path, short(sha256)),
            (None, None) => format!("{} has its content", self.path),
        }
    }
}

/// The first difference of two trees.
fn difference(one: &Tree, other: &Tree) -> Option<String> {
    if one.folder != other.folder {
        return Some("one is a file, the other a folder".to_owned());
    }
    let pair = one.files.iter().zip(&other.files).find(|(one, other)| one != other);
    if let Some((one, other)) = pair {
        return Some(match (one.path == other.path, one.path.as_str()) {
            (true, "") => "they have other bytes".to_owned(),
            (true, path) => format!("{path} has other bytes"),
            (false, _) => {
                let first = one.path.as_str().min(&other.path);
                format!("{first} is on one side only")
            }
        });
    }
    let (here, there) = (one.files.len(), other.files.len());
    (here != there).then(|| format!("{here} files are here, {there} there"))
}
