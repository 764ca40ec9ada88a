//! Whole runs, on the real data of the quickstart.

use crate::golden::play;

#[test]
fn run_status_rollback() {
    play("run");
}

#[test]
fn refused() {
    play("refused");
}

#[test]
fn snapshots() {
    play("snapshots");
}

#[test]
fn copy() {
    play("copy");
}

#[test]
fn keys() {
    play("keys");
}

#[test]
fn evidence() {
    play("evidence");
}

#[test]
fn people() {
    play("people");
}

#[test]
fn screens() {
    play("screens");
}
