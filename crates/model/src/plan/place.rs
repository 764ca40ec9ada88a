//! Paths compared by their words alone: the model never looks at a file system.

use std::path::{Component, Path};

/// A path without `.`, doubled slashes and resolvable `..`. Two equal places are the same file;
/// two different ones may still be, through links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(Vec<String>);

impl Place {
    pub(super) fn of(path: &str) -> Self {
        Self::of_path(Path::new(path))
    }

    pub(super) fn of_path(path: &Path) -> Self {
        let mut parts: Vec<String> = Vec::new();
        for component in path.components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir if parts.last().is_some_and(|part| part != "..") => {
                    parts.pop();
                }
                Component::ParentDir => parts.push("..".to_owned()),
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                    parts.push(component.as_os_str().to_string_lossy().into_owned());
                }
            }
        }
        Self(parts)
    }

    pub(super) fn join(&self, name: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(name.to_owned());
        Self(parts)
    }

    /// Whether this is the folder or lies below it.
    pub(super) fn is_within(&self, folder: &Self) -> bool {
        self.0.starts_with(&folder.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_the_same_place() {
        for (one, other) in [("lab", "./lab/"), ("a/../lab", "lab"), ("a//b", "a/b")] {
            assert_eq!(Place::of(one), Place::of(other), "{one} {other}");
        }
        for (one, other) in [("lab", "/lab"), ("lab", "lab2"), ("../lab", "lab")] {
            assert_ne!(Place::of(one), Place::of(other), "{one} {other}");
        }
        assert!(Place::of("lab/x").is_within(&Place::of("lab")));
        assert!(!Place::of("labx").is_within(&Place::of("lab")));
    }
}
