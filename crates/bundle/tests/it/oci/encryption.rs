//! Contents that are encrypted for somebody.

use std::fs;
use std::path::Path;

use carnet_bundle::{
    Bundle, BundleCheckId as Check, BundleItem, BundleLimits, BundleReport, BundleRequest,
    Identities, Recipients, Sealed, Work, lay_out, unpack_contents, verify_bundle,
};
use carnet_ledger::audit::{CheckVerdict, Overall};
use carnet_ledger::trust::LogKey;
use carnet_model::Code;

use super::{Documents, Made, data, evidence, failing, sample};

// Made by age-keygen for these tests alone.
const RECIPIENT: &str = "age1yudsjqxk30e8wur4wq9vs0rpkskys9598elzlcxhurqjgy4eee4sjzptrq";
const IDENTITY: &str = "AGE-SECRET-KEY-19N7SAENNC20LCDCA8LH4M8LM6VK2XN57TS8F5TDEC5H9MWVVAZQQQ0VM6Z";
const OTHER_IDENTITY: &str =
    "AGE-SECRET-KEY-1V707KWY0D3764F70HEF9EYE594PLV8CQRAXR25SV52R6G29Y32DSZA6UJ9";

fn secret() -> Vec<BundleItem> {
    let sensitive = |item: BundleItem| {
        if item.path == "data/one.bin" || item.path == "data/two/empty" {
            item.sensitive()
        } else {
            item
        }
    };
    data().into_iter().map(sensitive).collect()
}

fn recipients() -> Recipients {
    Recipients::parse(&[RECIPIENT.to_owned()]).unwrap()
}

fn make(out: &Path) -> Sealed {
    sample::make(out, secret(), Some(&recipients()), &Work::quiet(2)).unwrap()
}

fn verify(path: &Path, identity: Option<&str>) -> BundleReport {
    let keys = [LogKey::from(evidence::key().verifying_key().clone())];
    let identities = identity.map(|text| Identities::parse(text).unwrap());
    let identities = identities.as_ref();
    let request = BundleRequest { keys: &keys, identities, ..Default::default() };
    verify_bundle(path, &request, &Work::quiet(2)).unwrap()
}

#[test]
fn what_is_encrypted_is_read_with_the_identity_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("b");
    let sealed = make(&out);
    assert_eq!(sealed.manifest.content_root, Made::new().sealed.manifest.content_root);
    let content = sealed.manifest.content("data/one.bin").unwrap();
    assert_eq!(content.encryption.as_ref().unwrap().recipients, [RECIPIENT]);
    assert!(sealed.manifest.content("data/text").unwrap().encryption.is_none());
    let report = verify(&out, Some(IDENTITY));
    assert_eq!(report.overall(), Overall::Verified, "{report:#?}");
    for identity in [None, Some(OTHER_IDENTITY)] {
        let report = verify(&out, identity);
        assert_eq!(report.overall(), Overall::Incomplete);
        let row = report.row(Check::ContentsDecrypted).unwrap();
        assert_eq!(
            (row.verdict, row.code),
            (CheckVerdict::NotChecked, Some(Code::BUNDLE_ENCRYPTED))
        );
    }
    let bundle = Bundle::open(&out, &BundleLimits::default()).unwrap();
    let all = |_: &carnet_model::portability::BundleContent| true;
    let to = folder.path().join("out");
    let failed = unpack_contents(&bundle, all, "", &to, None, &Work::quiet(1)).unwrap_err();
    assert_eq!(failed.code(), Code::BUNDLE_ENCRYPTED);
    let identities = Identities::parse(IDENTITY).unwrap();
    unpack_contents(&bundle, all, "", &to, Some(&identities), &Work::quiet(2)).unwrap();
    assert_eq!(fs::read(to.join("data/one.bin")).unwrap(), [7; 5_000]);
    assert_eq!(fs::read(to.join("data/two/empty")).unwrap(), b"");
}

#[test]
fn a_changed_ciphertext_or_a_lie_about_the_plain_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("b");
    let sealed = make(&out);
    let content = sealed.manifest.content("data/one.bin").unwrap();
    let (digest, _) = content.blob();
    let blob = out.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let mut bytes = fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut documents = Documents::of(&out);
    let (at, new) = (documents.at("data/one.bin"), documents.blob(&bytes));
    documents.image["layers"][at + 1]["digest"] = new.clone().into();
    documents.manifest["contents"][at]["encryption"]["ciphertext_hash"] = new.into();
    documents.save();
    let report = verify(&out, Some(IDENTITY));
    assert_eq!(failing(&report), [(Check::ContentsDecrypted, Code::BUNDLE_DAMAGED)]);

    let out = folder.path().join("lie");
    make(&out);
    let mut documents = Documents::of(&out);
    let at = documents.at("data/one.bin");
    let other = format!("sha256:{}", carnet_ledger::Digest::of(b"another"));
    documents.manifest["contents"][at]["integrity_hash"] = other.into();
    documents.root_again();
    documents.save();
    let wanted = [Check::ContentsDecrypted, Check::EvidenceContent];
    assert_eq!(failing(&verify(&out, Some(IDENTITY))), wanted.map(|it| (it, Code::BUNDLE_DAMAGED)));
}

#[test]
fn a_try_that_was_cut_off_keeps_its_ciphertexts() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("b");
    let items = || sample::needed().into_iter().chain(secret()).collect::<Vec<_>>();
    let first = lay_out(&out, items(), Some(&recipients()), &Work::quiet(2)).unwrap();
    let contents = first.contents().to_vec();
    drop(first);
    let second = lay_out(&out, items(), Some(&recipients()), &Work::quiet(2)).unwrap();
    assert_eq!(second.contents(), contents);
    assert_eq!(second.tally().blobs_written, 0);
    drop(second);
    let sealed = make(&out);
    let again = make(&out);
    assert_eq!(again.manifest_digest, sealed.manifest_digest);
    assert_eq!(again.tally.bytes_written, 0);
    assert!(!out.join(".carnet-encrypted").exists());
}

#[test]
fn words_that_are_no_keys_are_refused_and_not_repeated() {
    let failed = Recipients::parse(&["age1nothing".to_owned()]).err().unwrap();
    assert_eq!(failed.code(), Code::USAGE);
    assert!(Recipients::parse(&[]).is_err());
    let failed = Identities::parse("AGE-SECRET-KEY-1NOTHING").err().unwrap();
    assert!(!failed.to_string().contains("NOTHING"));
    assert!(Identities::parse("# only a comment\n").is_err());
}
