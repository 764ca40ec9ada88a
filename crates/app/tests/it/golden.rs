//! What people see, as files: `tests/golden/*.txt` hold command lines and what they print.
//!
//! A scenario is run by a shell in an empty folder, its outputs in a pipe, and written down again:
//! the two texts must be equal. `UPDATE_GOLDEN=1` writes the new text instead. Lines are
//!
//! ```text
//! # a remark
//! $ carnet digest faiss:kb      a command
//! | what it prints to stdout
//! ! what it prints to stderr
//! ? 4                           its exit status, where it is not 0
//! ```

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::redact::redact;

/// Plays one scenario and compares.
pub(crate) fn play(name: &str) {
    let file = folder().join(format!("{name}.txt"));
    let written = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let place = tempfile::tempdir().unwrap();
    let mut seen = String::new();
    for line in written.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            writeln!(seen, "{line}\n{}", run(command, place.path())).unwrap();
        } else if line.starts_with('#') {
            writeln!(seen, "{line}").unwrap();
        }
    }
    if updates() {
        std::fs::write(&file, &seen).unwrap();
        return;
    }
    if seen != written {
        let wrong = written.lines().zip(seen.lines()).position(|(a, b)| a != b);
        let at = wrong.unwrap_or_else(|| written.lines().count().min(seen.lines().count()));
        panic!(
            "{} line {}: expected\n  {}\ngot\n  {}\n(UPDATE_GOLDEN=1 writes the new text)\n\n{seen}",
            file.display(),
            at + 1,
            written.lines().nth(at).unwrap_or("(end)"),
            seen.lines().nth(at).unwrap_or("(end)"),
        );
    }
}

/// Whether expected texts are written instead of compared.
pub(crate) fn updates() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests themselves")]
    let update = std::env::var("UPDATE_GOLDEN");
    update.is_ok_and(|value| value == "1")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Runs one line and writes down what it printed.
fn run(line: &str, place: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_carnet")).parent().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let output = Command::new("bash")
        .args(["-c", line])
        .current_dir(place)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", binary.display()))
        .env("HOME", place)
        .env("LC_ALL", "C.UTF-8")
        .env("ROOT", &root)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut text = String::new();
    for line in shown(&output.stdout, place, &root).lines() {
        writeln!(text, "{}", format!("| {line}").trim_end()).unwrap();
    }
    // Of jobs that run side by side, any may end first: progress is only kept where it is asked for,
    // and then sorted.
    let stderr = shown(&output.stderr, place, &root);
    let (mut progress, talk): (Vec<_>, Vec<_>) = stderr.lines().partition(|line| is_progress(line));
    progress.sort_unstable();
    progress.retain(|_| line.ends_with("# with progress"));
    for line in progress.iter().chain(&talk) {
        text.push_str(format!("! {line}").trim_end());
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(status) => writeln!(text, "? {status}").unwrap(),
        None => text.push_str("? killed\n"),
    }
    text
}

fn is_progress(line: &str) -> bool {
    line.ends_with("[DURATION]") || line.ends_with(" …") || line.contains(" … (")
}

/// The text with all that differs between two runs replaced; control characters made visible.
fn shown(bytes: &[u8], place: &Path, root: &Path) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.replace(place.to_str().unwrap(), "[HERE]");
    let text = text.replace(root.to_str().unwrap(), "[ROOT]");
    let text = text.replace('\u{1b}', "[ESC]").replace('\r', "[CR]");
    redact(&text)
}
