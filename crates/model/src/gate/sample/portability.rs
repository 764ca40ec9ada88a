//! Samples of the gates at a border.

use carnet_ledger::Digest;
use serde_json::json;

use super::super::definition::Facts;
use super::super::{claims, supply_chain, term};
use super::Sample;
use super::outside::{or_empty, sample};
use crate::portability::claims::{
    Build, DiskFormat, DiskNeed, Environment, Needs, Runtime, StatefulPart,
};
use crate::portability::supply::{
    ProvenanceSeen, SbomFormat, SbomSeen, Signed, Subject, SupplyChain,
};
use crate::portability::{BUNDLE_VERSION, ContentType, Scenario};

const WHOLE: Build =
    Build { rego: true, age: true, registry: true, podman: true, qemu: true, swtpm: true };

fn needs(scenario: Scenario) -> Needs {
    let machine = scenario == Scenario::Vm;
    Needs {
        bundle_version: BUNDLE_VERSION.to_owned(),
        scenario,
        content_types: [ContentType::PolicySnapshot, ContentType::GovernanceMetadata].into(),
        evidence_profile: "ecs-evidence-admissible".to_owned(),
        hash_profile: "ecs-hash-v1".to_owned(),
        policy_language: machine.then(|| "rego.v1".to_owned()),
        encryption: machine.then(|| "age-v1".to_owned()).into_iter().collect(),
        jurisdiction: "DE".to_owned(),
        classification: "internal".to_owned(),
        disk: machine.then_some(DiskNeed {
            format: DiskFormat::Qcow2,
            virtual_bytes: 1 << 30,
            tpm: true,
        }),
        runtime: machine.then_some(Runtime::Qemu),
        stateful: Vec::<StatefulPart>::new(),
    }
}

pub(super) fn claims() -> Vec<Sample> {
    let with = |bundle: &str| json!({"bundle": bundle, "claims": "prod/claims.json"});
    let claimed = WHOLE.claims(&Environment::unknown());
    let facts =
        |needs| Facts::Claims(claims::Facts { needs, claims: Some(Box::new(claimed.clone())) });
    let samples = [(Scenario::Vm, "out/machine"), (Scenario::DataOnly, "out/data")].map(
        |(scenario, bundle)| {
            sample("claims", &with(bundle), facts(Some(Box::new(needs(scenario)))))
        },
    );
    or_empty(samples.concat(), &facts(None))
}

pub(super) fn supply_chains() -> Vec<Sample> {
    let image = Digest::of(b"image");
    let sbom = SbomSeen {
        path: "supply-chain/sbom.cdx.json".to_owned(),
        sha256: Digest::of(b"sbom"),
        format: Some(SbomFormat::CycloneDx16),
        wrong: None,
        subject: Some(image),
        parts: 3,
        unidentified: Vec::new(),
        unreached: Vec::new(),
        incomplete: None,
    };
    let statement = |signed| ProvenanceSeen {
        path: "supply-chain/provenance.json".to_owned(),
        sha256: Digest::of(b"provenance"),
        wrong: None,
        subjects: vec![image],
        builder: "https://example.org/builder".to_owned(),
        signed,
        undeclared: Vec::new(),
        from: 2,
    };
    let facts = |signed| {
        let subjects = vec![Subject { what: "image/index.json".to_owned(), sha256: image }];
        let (sboms, provenance) = (vec![sbom.clone()], vec![statement(signed)]);
        Facts::SupplyChain(supply_chain::Facts {
            seen: SupplyChain { subjects, sboms, provenance },
        })
    };
    let by = Signed::By { principal: "builder@example.org".to_owned(), key: "SHA256:x".to_owned() };
    let signed = json!({"bundle": "out/bundle", "trust": "trust/builders"});
    let plain = json!({"bundle": "out/bundle", "unsigned": true});
    [sample("supply_chain", &signed, facts(by)), sample("supply_chain", &plain, facts(Signed::Not))]
        .concat()
}

pub(super) fn terms() -> Vec<Sample> {
    const AT_S: i64 = 1_774_908_000;
    let seen = |now_s, last_event_s| Facts::Term(term::Facts { now_s: Some(now_s), last_event_s });
    let rule = |term: &str, must: &str| json!({"term": term, "at": "2026-03-31T00:00:00+02:00", "must": must});
    let samples = [
        sample("term", &rule("transition_deadline", "before"), seen(AT_S, Some(AT_S))),
        sample("term", &rule("retrieval_until", "before"), seen(AT_S - 86_400, None)),
        sample("term", &rule("transition_starts", "after"), seen(AT_S, Some(AT_S - 1))),
    ];
    samples.concat()
}
