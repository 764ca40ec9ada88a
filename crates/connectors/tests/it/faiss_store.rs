//! The FAISS store: the conformance suite.

use carnet_connect::conformance;
use carnet_connect::{StoreError, VectorRepository};
use carnet_connectors::FaissStore;

#[test]
fn the_conformance_suite_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    let mut fresh = || -> Result<Box<dyn VectorRepository>, StoreError> {
        count += 1;
        Ok(Box::new(FaissStore::new(dir.path().join(count.to_string()))))
    };
    let checks = conformance::run(&mut fresh).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(checks >= 18);
}
