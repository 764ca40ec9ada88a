//! What exceeds a limit is refused before it is written.

use std::io::Read;

use carnet_bundle::{Bundle, BundleCheckId, BundleItem, BundleLimits, Work, transfer};
use carnet_model::Code;
use carnet_model::portability::ContentType;

use super::{Made, failing, sample, verify};

#[test]
fn too_many_bytes_and_too_many_files() {
    let made = Made::new();
    let to = made.folder.path().join("to");
    let default = BundleLimits::default();
    for limits in [BundleLimits { bytes: 6_000, ..default }, BundleLimits { entries: 5, ..default }]
    {
        let failed = transfer(&made.path(), &to, &limits, &Work::quiet(1)).unwrap_err();
        assert_eq!(failed.code(), Code::BUNDLE_LIMIT);
        assert!(!to.exists());
    }
}

#[test]
fn folders_too_deep_inside_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let deep = BundleItem::bytes(
        ContentType::DataSnapshot,
        format!("data/{}x", "a/".repeat(40)),
        "text/plain",
        "x",
    );
    let out = folder.path().join("b");
    sample::make(&out, vec![deep], None, &Work::quiet(1)).unwrap();
    let failed = Bundle::open(&out, &BundleLimits::default()).err().unwrap();
    assert_eq!(failed.code(), Code::BUNDLE_LIMIT);
    let wider = BundleLimits { depth: 64, ..BundleLimits::default() };
    Bundle::open(&out, &wider).unwrap();
}

#[test]
fn a_layer_of_an_image_that_is_a_bomb() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = zstd::encode_all(std::io::repeat(0).take(300 << 20), 3).unwrap();
    let kind = ContentType::ContainerImage;
    let out = folder.path().join("b");
    let layer =
        BundleItem::bytes(kind, "image/blobs/sha256/layer", "application/octet-stream", bomb);
    sample::make(&out, vec![layer], None, &Work::quiet(1)).unwrap();
    let report = verify(&out).unwrap();
    assert_eq!(failing(&report), [(BundleCheckId::ImageLayers, Code::BUNDLE_LIMIT)]);
}
