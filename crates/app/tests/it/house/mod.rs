//! Rules of the house that no lint knows: who may depend on whom, and how large things may grow.

mod edges;
mod size;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every Rust file under `crates/*/src`, with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                if name.contains("/src/") {
                    found.push((name, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    assert!(found.len() > 20, "only {} files found: the search is broken", found.len());
    found.sort();
    found
}
