//! Size budgets: what is too long to read is split. Functions are clippy's (`clippy.toml`).

use super::{root, sources};

const FILE_LINES_MAX: usize = 600;
const LIB_LINES_MAX: usize = 80;
// 20,000 is what a reader can hold; `model` is above it until its gates are a crate of their own.
const CRATE_LINES_MAX: usize = 24_300;
const ARCHITECTURE_LINES_MAX: usize = 300;

/// Lines before the inline tests.
fn lines(text: &str) -> usize {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or("").lines().count()
}

#[test]
fn files_and_crates_stay_within_their_budgets() {
    let mut crates = std::collections::BTreeMap::<String, usize>::new();
    let mut too_long = Vec::new();
    for (name, text) in sources() {
        let count = lines(&text);
        let most = if name.ends_with("src/lib.rs") { LIB_LINES_MAX } else { FILE_LINES_MAX };
        if count > most {
            too_long.push(format!("{name}: {count} lines, at most {most}"));
        }
        *crates.entry(name.split('/').nth(1).unwrap().to_owned()).or_default() += count;
    }
    too_long.extend(
        crates
            .iter()
            .filter(|(_, count)| **count > CRATE_LINES_MAX)
            .map(|(name, count)| format!("crate {name}: {count} lines")),
    );
    assert!(too_long.is_empty(), "{too_long:#?}");
}

#[test]
fn no_drawer_for_odds_and_ends() {
    for (name, _) in sources() {
        let stem = name.rsplit('/').next().unwrap();
        let banned = ["utils.rs", "util.rs", "common.rs", "helpers.rs", "types.rs", "misc.rs"];
        assert!(!banned.contains(&stem), "{name}: name the concept");
    }
}

#[test]
fn the_architecture_fits_in_one_sitting() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let count = text.lines().count();
    assert!((20..=ARCHITECTURE_LINES_MAX).contains(&count), "ARCHITECTURE.md has {count} lines");
}
