//! The commands that open stores, on the real data of the quickstart.

use crate::golden::play;

#[test]
fn stores() {
    play("stores");
}
