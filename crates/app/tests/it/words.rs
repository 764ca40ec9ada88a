//! What the program says without a store: plans, codes, usage.

use crate::golden::play;

#[test]
fn three_deliberate_mistakes_in_a_plan() {
    play("plan-mistakes");
}

#[test]
fn explain() {
    play("explain");
}

#[test]
fn usage() {
    play("usage");
}

#[test]
fn terminal() {
    play("terminal");
}

#[test]
fn init() {
    play("init");
}

#[test]
fn plan() {
    play("plan");
}

#[test]
fn capabilities() {
    play("capabilities");
}

#[test]
fn gates() {
    play("gates");
}
