use carnet_ledger::Digest;
use serde_json::{Value, json};

use super::super::{SbomFormat, SupplyDocument};
use super::*;

// Written by the libraries of others: fixtures/supply-chain/make.py.
const V15: &[u8] = include_bytes!("../../../../../../fixtures/supply-chain/sbom-1.5.cdx.json");
const V16: &[u8] = include_bytes!("../../../../../../fixtures/supply-chain/sbom-1.6.cdx.json");
const SPDX: &[u8] = include_bytes!("../../../../../../fixtures/supply-chain/sbom.spdx.json");
const PLAIN: &[u8] = include_bytes!("../../../../../../fixtures/supply-chain/provenance.json");
const DSSE: &[u8] = include_bytes!("../../../../../../fixtures/supply-chain/provenance.dsse.json");

fn image() -> Subject {
    Subject { what: "image/index.json".to_owned(), sha256: Digest::of(b"image") }
}

fn look(sbom: &[u8], provenance: &[u8], signed: &Signed) -> SupplyChain {
    let sboms = [SupplyDocument { path: "supply-chain/sbom.cdx.json", bytes: sbom }];
    let statements = [SupplyDocument { path: "supply-chain/provenance.json", bytes: provenance }];
    SupplyChain::look(vec![image()], &sboms, &statements, &|_| signed.clone())
}

fn by_builder() -> Signed {
    Signed::By { principal: "builder@example.org".to_owned(), key: "SHA256:x".to_owned() }
}

/// The invariants that are violated.
fn violated(seen: &SupplyChain, signed: bool) -> Vec<Invariant> {
    let lines = seen.assess(SupplyDemand { signed });
    assert_eq!(lines.len(), 4);
    lines.into_iter().filter(|it| it.standing.is_violated()).map(|it| it.invariant).collect()
}

/// The same after a change to one of the documents.
fn changed(document: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(document).unwrap();
    change(&mut value);
    value.to_string().into_bytes()
}

#[test]
fn documents_of_others_are_read_and_satisfy_all_four() {
    let forms = [
        (V15, SbomFormat::CycloneDx15),
        (V16, SbomFormat::CycloneDx16),
        (SPDX, SbomFormat::Spdx23),
    ];
    for (sbom, format) in forms {
        let seen = look(sbom, DSSE, &by_builder());
        assert_eq!(seen.sboms[0].format, Some(format), "{:?}", seen.sboms[0].wrong);
        assert_eq!((seen.sboms[0].parts, seen.provenance[0].from), (3, 2));
        assert_eq!(violated(&seen, true), [], "{seen:?}");
    }
}

#[test]
fn a_statement_needs_a_signature_that_is_believed() {
    let sup02 = [Invariant::Sup02, Invariant::Sup04];
    assert_eq!(violated(&look(V16, PLAIN, &by_builder()), true), sup02);
    assert_eq!(violated(&look(V16, PLAIN, &by_builder()), false), []);
    // A signature that nobody believes is worse than none.
    let unknown = Signed::ByNobodyKnown { why: "no key of the trust file made it".to_owned() };
    assert_eq!(violated(&look(V16, DSSE, &unknown), false), sup02);
}

#[test]
fn each_invariant_can_be_violated() {
    let all = [Invariant::Sup01, Invariant::Sup03, Invariant::Sup04];
    let with = |change: fn(&mut Value)| look(&changed(V16, change), DSSE, &by_builder());
    // SUP-01: not by the schema, about something else, or about nothing.
    let broken = with(|it| it["components"][0]["type"] = json!("gadget"));
    assert!(broken.sboms[0].wrong.as_ref().unwrap().contains("/components/0"));
    assert_eq!(violated(&broken, true), all);
    let other = with(|it| {
        it["metadata"]["component"]["hashes"][0]["content"] = json!("00".repeat(32));
    });
    assert_eq!(violated(&other, true), all);
    let nameless = with(|it| {
        it["metadata"]["component"].as_object_mut().unwrap().remove("hashes");
    });
    assert_eq!(violated(&nameless, true), all);
    // SUP-03: a part that nothing needs; a list that says that it is not complete.
    let loose = with(|it| {
        it["dependencies"].as_array_mut().unwrap().retain(|it| it["ref"] != "busybox");
    });
    assert_eq!(loose.sboms[0].unreached, ["glibc"]);
    assert_eq!(violated(&loose, true), [Invariant::Sup03]);
    let partial = with(|it| it["compositions"] = json!([{"aggregate": "incomplete"}]));
    assert_eq!(violated(&partial, true), [Invariant::Sup03]);
    // SUP-04: a part that could be anything; a source without a digest, or in no list.
    let anything = with(|it| {
        let parts = it["components"].as_array_mut().unwrap();
        let glibc = parts.iter_mut().find(|it| it["name"] == "glibc").unwrap();
        glibc.as_object_mut().unwrap().remove("purl");
    });
    assert_eq!(violated(&anything, true), [Invariant::Sup04]);
    let from = |change: fn(&mut Value)| {
        let statement = changed(PLAIN, |it| {
            change(&mut it["predicate"]["buildDefinition"]["resolvedDependencies"]);
        });
        violated(&look(V16, &statement, &by_builder()), false)
    };
    let undigested = from(|it| {
        it[0].as_object_mut().unwrap().remove("digest");
    });
    assert_eq!(undigested, [Invariant::Sup04]);
    let undeclared = from(|it| {
        let more =
            json!({"uri": "git+https://example.org/x", "digest": {"sha256": "1".repeat(64)}});
        it.as_array_mut().unwrap().push(more);
    });
    assert_eq!(undeclared, [Invariant::Sup04]);
    // SUP-02: about other content, of another form, without a subject.
    let origin = [Invariant::Sup02, Invariant::Sup04];
    let statement = |change: fn(&mut Value)| {
        violated(&look(V16, &changed(PLAIN, change), &by_builder()), false)
    };
    let other = |it: &mut Value| it["subject"][0]["digest"]["sha256"] = json!("00".repeat(32));
    assert_eq!(statement(other), origin);
    assert_eq!(statement(|it| it["subject"] = json!([])), origin);
    assert_eq!(
        statement(|it| it["predicateType"] = json!("https://slsa.dev/provenance/v0.2")),
        origin
    );
    assert_eq!(statement(|it| it["predicate"] = json!({})), origin);
}

#[test]
fn nothing_is_violated_and_no_software_is_not_applicable() {
    let nothing = SupplyChain::look(vec![image()], &[], &[], &|_| Signed::Not);
    assert_eq!(violated(&nothing, false).len(), 4);
    let data = SupplyChain::default().assess(SupplyDemand { signed: true });
    assert!(data.iter().all(|it| it.standing.name() == "not applicable"));
}

#[test]
fn one_of_two_images_without_documents_is_enough_to_violate() {
    let mut seen = look(V16, DSSE, &by_builder());
    seen.subjects
        .push(Subject { what: "machine/disk.raw".to_owned(), sha256: Digest::of(b"disk") });
    assert_eq!(violated(&seen, true).len(), 4);
}

#[test]
fn spdx_documents_must_have_their_members() {
    let with = |change: fn(&mut Value)| {
        let seen = look(&changed(SPDX, change), DSSE, &by_builder());
        (seen.sboms[0].wrong.is_some(), violated(&seen, true))
    };
    let all = vec![Invariant::Sup01, Invariant::Sup03, Invariant::Sup04];
    for change in [
        |it: &mut Value| it["dataLicense"] = json!("MIT"),
        |it: &mut Value| it["creationInfo"]["creators"] = json!([]),
        |it: &mut Value| it["packages"][0]["SPDXID"] = json!("web"),
        |it: &mut Value| it["relationships"][1]["relatedSpdxElement"] = json!("SPDXRef-none"),
        |it: &mut Value| it["spdxVersion"] = json!("SPDX-2.2"),
    ] {
        assert_eq!(with(change), (true, all.clone()));
    }
    let said = with(|it| it["relationships"][2]["relatedSpdxElement"] = json!("NOASSERTION"));
    assert_eq!(said, (false, vec![Invariant::Sup03]));
}

#[test]
fn images_are_found_by_their_manifests() {
    let digest = Digest::of(b"image");
    let index = json!({"manifests": [{"digest": format!("sha256:{digest}"), "size": 5}]});
    assert_eq!(super::super::image_subjects(index.to_string().as_bytes()), [digest]);
    assert_eq!(super::super::image_subjects(b"{}"), []);
    assert_eq!(super::super::image_subjects(b"not JSON"), []);
}
