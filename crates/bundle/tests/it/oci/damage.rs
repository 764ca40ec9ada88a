//! Each damage of a bundle, and the answer that it has.

use std::fs;

use carnet_bundle::{
    Bundle, BundleCheckId as Check, BundleLimits, BundleRequest, Work, verify_bundle,
};
use carnet_ledger::audit::{CheckVerdict, Overall};
use carnet_ledger::trust::LogKey;
use carnet_ledger::{Digest, SigningKey};
use carnet_model::Code;
use carnet_model::portability::{AUTHORITY_PATH, GOVERNANCE_PATH, POLICY_PATH};
use serde_json::json;

use super::{Documents, Made, failing, verify};

/// Damages a bundle; wants that just these checks fail.
fn refused(damage: impl FnOnce(&Made), wanted: &[(Check, Code)]) {
    let made = Made::new();
    damage(&made);
    let report = made.verify().unwrap();
    assert_eq!(failing(&report), wanted, "{report:#?}");
    assert_ne!(report.overall(), Overall::Verified);
}

/// Changes the documents, as somebody does who makes all digests fit again.
fn covered_up(change: impl FnOnce(&mut Documents), wanted: &[(Check, Code)]) {
    let damage = |made: &Made| {
        let mut documents = Documents::of(&made.path());
        change(&mut documents);
        documents.save();
    };
    refused(damage, wanted);
}

/// Wants that a bundle cannot even be looked at, with this code.
fn unreadable(made: &Made, code: Code) {
    assert_eq!(made.verify().unwrap_err().code(), code);
    let opened = Bundle::open(&made.path(), &BundleLimits::default());
    assert_eq!(opened.err().unwrap().code(), code);
}

#[test]
fn a_whole_bundle_is_verified() {
    let report = Made::new().verify().unwrap();
    assert_eq!(report.overall(), Overall::Verified, "{report:#?}");
    assert_eq!(report.checks.len(), Check::ALL.len());
    for row in &report.checks {
        let open = matches!(
            row.id,
            Check::ContentsDecrypted | Check::ManifestSignature | Check::ImageLayers
        );
        let wanted = if open { CheckVerdict::NotApplicable } else { CheckVerdict::Pass };
        assert_eq!(row.verdict, wanted, "{row:?}");
    }
}

#[test]
fn a_missing_layer() {
    let remove = |made: &Made| fs::remove_file(made.blob("data/one.bin")).unwrap();
    refused(remove, &[(Check::BlobsPresent, Code::BUNDLE_DAMAGED)]);
    let made = Made::new();
    remove(&made);
    let opened = Bundle::open(&made.path(), &BundleLimits::default());
    assert_eq!(opened.err().unwrap().code(), Code::BUNDLE_DAMAGED);
    // The same, where the image manifest no longer names it.
    let wanted = [(Check::ContentsListed, Code::BUNDLE_DAMAGED)];
    let drop_layer = |it: &mut Documents| {
        let at = it.at("data/one.bin") + 1;
        it.image["layers"].as_array_mut().unwrap().remove(at);
    };
    covered_up(drop_layer, &wanted);
    let last = |it: &mut Documents| drop(it.image["layers"].as_array_mut().unwrap().pop());
    covered_up(last, &wanted);
}

#[test]
fn a_layer_that_no_content_lists() {
    let add = |it: &mut Documents| {
        let mut layer = it.image["layers"][1].clone();
        layer["annotations"] = json!({"org.opencontainers.image.title": "more"});
        it.image["layers"].as_array_mut().unwrap().push(layer);
    };
    covered_up(add, &[(Check::ContentsListed, Code::BUNDLE_MALFORMED)]);
}

#[test]
fn a_swapped_blob() {
    let swap = |made: &Made| fs::write(made.blob("data/one.bin"), [8; 5_000]).unwrap();
    refused(swap, &[(Check::BlobsDigest, Code::BUNDLE_DAMAGED)]);
    // Two contents that change places.
    let exchange = |it: &mut Documents| {
        let (one, two) = (it.at("data/one.bin") + 1, it.at("data/text") + 1);
        let layers = it.image["layers"].as_array_mut().unwrap();
        for member in ["digest", "size"] {
            let kept = layers[one][member].clone();
            layers[one][member] = layers[two][member].clone();
            layers[two][member] = kept;
        }
    };
    covered_up(exchange, &[(Check::ContentsListed, Code::BUNDLE_DAMAGED)]);
}

#[test]
fn a_blob_swapped_everywhere_is_not_the_one_that_the_evidence_names() {
    let swap = |it: &mut Documents| {
        it.replace("data/one.bin", &[8; 5_000]);
        it.root_again();
    };
    covered_up(swap, &[(Check::EvidenceContent, Code::BUNDLE_DAMAGED)]);
    let swap = |it: &mut Documents| it.replace("data/one.bin", &[8; 5_000]);
    covered_up(swap, &[(Check::ContentRoot, Code::BUNDLE_DAMAGED)]);
}

#[test]
fn a_size_lie() {
    let longer = |made: &Made| fs::write(made.blob("data/text"), b"abcd").unwrap();
    let wanted = [Check::BlobsSize, Check::BlobsDigest].map(|it| (it, Code::BUNDLE_DAMAGED));
    refused(longer, &wanted);
    let announced = |it: &mut Documents| {
        let at = it.at("data/text");
        it.image["layers"][at + 1]["size"] = 4.into();
    };
    let wanted = [Check::BlobsSize, Check::ContentsListed].map(|it| (it, Code::BUNDLE_DAMAGED));
    covered_up(announced, &wanted);
    let listed = |it: &mut Documents| {
        let at = it.at("data/text");
        it.manifest["contents"][at]["size"] = 4.into();
        it.image["layers"][at + 1]["size"] = 4.into();
    };
    let wanted = [Check::BlobsSize, Check::ContentRoot].map(|it| (it, Code::BUNDLE_DAMAGED));
    covered_up(listed, &wanted);
}

#[test]
fn a_digest_lie() {
    let other = format!("sha256:{}", Digest::of(b"nothing of the bundle"));
    let wanted = [
        (Check::BlobsPresent, Code::BUNDLE_DAMAGED),
        (Check::ContentsListed, Code::BUNDLE_DAMAGED),
    ];
    let lie = |it: &mut Documents| {
        let at = it.at("data/text");
        it.image["layers"][at + 1]["digest"] = other.clone().into();
    };
    covered_up(lie, &wanted);
    // The manifest lies as well, and the blob is there under the wrong name.
    let made = Made::new();
    let mut documents = Documents::of(&made.path());
    let at = documents.at("data/text");
    documents.image["layers"][at + 1]["digest"] = other.clone().into();
    documents.manifest["contents"][at]["integrity_hash"] = other.clone().into();
    documents.root_again();
    documents.save();
    let place = made.path().join("blobs/sha256").join(other.trim_start_matches("sha256:"));
    fs::write(place, b"abc").unwrap();
    let wanted = [Check::BlobsDigest, Check::EvidenceContent].map(|it| (it, Code::BUNDLE_DAMAGED));
    assert_eq!(failing(&made.verify().unwrap()), wanted);
}

#[test]
fn a_stripped_referrer_takes_nothing_away() {
    let made = Made::new();
    let mut documents = Documents::of(&made.path());
    let subject = documents.index["manifests"][0].clone();
    let referrer = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.carnet.bundle.v1",
        "config": documents.image["config"],
        "layers": [],
        "subject": subject,
    })
    .to_string();
    let digest = documents.blob(referrer.as_bytes());
    let entry = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": referrer.len(),
    });
    documents.index["manifests"].as_array_mut().unwrap().insert(0, entry);
    documents.save_index();
    let with = made.verify().unwrap();
    assert_eq!(with.overall(), Overall::Verified);
    let mut documents = Documents::of(&Made::new().path());
    documents.root = made.path();
    documents.save_index();
    let without = made.verify().unwrap();
    assert_eq!(without.overall(), Overall::Verified);
    assert_eq!(with.manifest_digest, without.manifest_digest);
}

#[test]
fn an_unknown_content_type() {
    let change = |it: &mut Documents| {
        let at = it.at("data/text");
        it.manifest["contents"][at]["type"] = "quantum_state".into();
    };
    covered_up(change, &[(Check::ManifestForm, Code::BUNDLE_CONTENT_TYPE)]);
}

#[test]
fn a_version_that_is_too_old_or_too_new() {
    for (version, word) in [("carnet-bundle-0", "too old"), ("carnet-bundle-2", "too new")] {
        let made = Made::new();
        let mut documents = Documents::of(&made.path());
        documents.manifest["version"] = version.into();
        documents.manifest["unknown_to_us"] = true.into();
        documents.save();
        let report = made.verify().unwrap();
        assert_eq!(failing(&report), [(Check::ManifestForm, Code::BUNDLE_VERSION)]);
        assert!(report.row(Check::ManifestForm).unwrap().reason.contains(word), "{word}");
        assert_eq!(report.overall(), Overall::Refused);
        let opened = Bundle::open(&made.path(), &BundleLimits::default());
        assert_eq!(opened.err().unwrap().code(), Code::BUNDLE_VERSION);
    }
    let made = Made::new();
    let mut documents = Documents::of(&made.path());
    documents.image["artifactType"] = "application/vnd.carnet.bundle.v2".into();
    documents.save();
    unreadable(&made, Code::BUNDLE_VERSION);
    let made = Made::new();
    fs::write(made.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    unreadable(&made, Code::BUNDLE_VERSION);
}

#[test]
fn what_is_no_bundle() {
    let made = Made::new();
    let mut documents = Documents::of(&made.path());
    documents.image["artifactType"] = "application/vnd.example".into();
    documents.save();
    unreadable(&made, Code::BUNDLE_MALFORMED);
    for file in ["oci-layout", "index.json"] {
        let made = Made::new();
        fs::remove_file(made.path().join(file)).unwrap();
        unreadable(&made, Code::BUNDLE_MALFORMED);
        let made = Made::new();
        fs::write(made.path().join(file), "{").unwrap();
        unreadable(&made, Code::BUNDLE_MALFORMED);
    }
    let made = Made::new();
    let mut documents = Documents::of(&made.path());
    let twice = documents.index["manifests"][0].clone();
    documents.index["manifests"].as_array_mut().unwrap().push(twice);
    documents.save_index();
    unreadable(&made, Code::BUNDLE_MALFORMED);
}

#[test]
fn a_manifest_that_is_not_canonical() {
    let made = Made::new();
    let mut documents = Documents::of(&made.path());
    let text = serde_json::to_string_pretty(&documents.manifest).unwrap();
    documents.image["layers"][0]["digest"] = documents.blob(text.as_bytes()).into();
    documents.image["layers"][0]["size"] = text.len().into();
    documents.save_image();
    let report = made.verify().unwrap();
    assert_eq!(failing(&report), [(Check::ManifestForm, Code::BUNDLE_MALFORMED)]);
    assert_eq!(report.overall(), Overall::Malformed);
}

#[test]
fn paths_that_leave_the_folder_or_stand_twice() {
    for path in ["../out", "/etc/passwd", "data/../../out", "DATA/TEXT", "data/text/inside"] {
        let made = Made::new();
        let mut documents = Documents::of(&made.path());
        let mut more = documents.manifest["contents"][documents.at("data/text")].clone();
        more["path"] = path.into();
        let contents = documents.manifest["contents"].as_array_mut().unwrap();
        contents.push(more);
        contents.sort_by_key(|content| content["path"].as_str().unwrap().to_owned());
        documents.save();
        let report = made.verify().unwrap();
        assert_eq!(failing(&report), [(Check::ManifestForm, Code::BUNDLE_MALFORMED)], "{path}");
    }
}

#[test]
fn governance_that_says_two_things() {
    let change =
        |it: &mut Documents| it.manifest["governance_metadata"]["jurisdiction"] = "US".into();
    covered_up(change, &[(Check::Governance, Code::BUNDLE_DAMAGED)]);
    let change = |it: &mut Documents| {
        it.replace(GOVERNANCE_PATH, br#"{"jurisdiction":"US"}"#);
        it.root_again();
    };
    let wanted = [Check::Governance, Check::EvidenceContent].map(|it| (it, Code::BUNDLE_DAMAGED));
    covered_up(change, &wanted);
}

#[test]
fn a_policy_or_authority_that_is_not_inside() {
    for member in ["policy_snapshot_id", "authority_snapshot_id"] {
        let change = |it: &mut Documents| {
            it.manifest[member] = format!("sha256:{}", Digest::of(b"another")).into();
        };
        covered_up(change, &[(Check::ManifestForm, Code::BUNDLE_MALFORMED)]);
    }
    for (path, check) in
        [(POLICY_PATH, Check::PolicySnapshot), (AUTHORITY_PATH, Check::AuthoritySnapshot)]
    {
        // The id leads to a content of the type, but not to the snapshot.
        let change = |it: &mut Documents| {
            let (from, to) = (it.at(path), it.at("data/text"));
            it.manifest["contents"][to]["type"] = it.manifest["contents"][from]["type"].clone();
            let id = it.manifest["contents"][to]["integrity_hash"].clone();
            let member =
                if path == POLICY_PATH { "policy_snapshot_id" } else { "authority_snapshot_id" };
            it.manifest[member] = id;
            it.root_again();
        };
        let wanted = [check, Check::EvidenceContent].map(|it| (it, Code::BUNDLE_DAMAGED));
        covered_up(change, &wanted);
    }
}

#[test]
fn evidence_of_another_range_tenant_or_key() {
    let scope = |it: &mut Documents| it.manifest["scope"]["to_sequence"] = 2.into();
    let wanted =
        [Check::EvidenceScope, Check::EvidenceContent].map(|it| (it, Code::BUNDLE_DAMAGED));
    covered_up(scope, &wanted);
    let tenant = |it: &mut Documents| it.manifest["tenant_id"] = "other".into();
    covered_up(tenant, &[(Check::EvidenceScope, Code::BUNDLE_DAMAGED)]);
    let made = Made::new();
    for (keys, wanted) in
        [(Vec::new(), Code::EVIDENCE_INCOMPLETE), (vec![2_u8], Code::EVIDENCE_INCOMPLETE)]
    {
        let key = |seed: u8| {
            let key = SigningKey::generate("sample-log-2".parse().unwrap(), &[seed; 32]).unwrap();
            LogKey::from(key.verifying_key().clone())
        };
        let keys: Vec<_> = keys.into_iter().map(key).collect();
        let request = BundleRequest { keys: &keys, ..Default::default() };
        let report = verify_bundle(&made.path(), &request, &Work::quiet(1)).unwrap();
        assert_eq!(report.overall(), Overall::Incomplete);
        assert_eq!(report.row(Check::Evidence).unwrap().code, Some(wanted));
    }
}

#[test]
fn evidence_that_was_changed_or_left_out() {
    let change = |it: &mut Documents| it.replace("evidence/events.jsonl", b"{}\n");
    let made = Made::new();
    let mut documents = Documents::of(&made.path());
    change(&mut documents);
    documents.save();
    let report = made.verify().unwrap();
    assert_eq!(report.overall(), Overall::Refused);
    assert_eq!(report.row(Check::Evidence).unwrap().verdict, CheckVerdict::Fail);
    let drop_it = |it: &mut Documents| {
        let at = it.at("evidence/manifest.json");
        it.manifest["contents"].as_array_mut().unwrap().remove(at);
        it.image["layers"].as_array_mut().unwrap().remove(at + 1);
    };
    covered_up(drop_it, &[(Check::Evidence, Code::EVIDENCE_MALFORMED)]);
}

#[test]
fn a_link_in_the_folder() {
    let made = Made::new();
    let blob = made.blob("data/text");
    fs::rename(&blob, made.folder.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(made.folder.path().join("elsewhere"), &blob).unwrap();
    unreadable(&made, Code::BUNDLE_MALFORMED);
}

#[test]
fn a_path_that_is_not_there_is_no_matter_of_the_bundle() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(verify(&folder.path().join("none")).unwrap_err().code(), Code::STORE_NOT_FOUND);
}
