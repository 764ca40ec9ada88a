use std::collections::BTreeMap;

use carnet_ledger::Digest;
use serde_json::{Value, json};

use super::super::invariant::{Invariant, Standing};
use super::super::supply::{
    ProvenanceSeen, SbomFormat, SbomSeen, Signed, Subject, SupplyChain, SupplyDemand,
};
use super::super::{BUNDLE_VERSION, BundleManifest, DependencyManifest};
use super::*;

/// A log that is put together event by event, with its objects.
struct Log {
    events: Vec<Value>,
    objects: BTreeMap<Digest, Vec<u8>>,
}

fn bytes_of(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn dependencies() -> Value {
    json!({
        "version": "carnet-dependencies-1", "service_id": "shop",
        "dependencies": [{"id": "runtime", "what": "a runtime", "version": "1", "critical": true,
                          "substitutable": true, "alternative": "any other"}],
    })
}

fn terms() -> Value {
    json!({
        "notice_date": "2026-01-01T00:00:00Z", "transition_starts": "2026-03-01T00:00:00Z",
        "transition_deadline": "2026-03-31T00:00:00Z", "retrieval_until": "2026-05-01T00:00:00Z",
        "erasure_due": "2026-06-01T00:00:00Z",
    })
}

impl Log {
    fn object(&mut self, value: &Value) -> Digest {
        let bytes = DependencyManifest::read_value(value)
            .map_or_else(|_| bytes_of(value), |it| it.to_bytes());
        let digest = Digest::of(&bytes);
        self.objects.insert(digest, bytes);
        digest
    }

    fn event(&mut self, event_type: &str, more: Value) -> &mut Value {
        let mut event = json!({
            "sequence": self.events.len(), "event_type": event_type, "outcome": "accepted",
            "occurred_at": "2026-03-10T12:00:00.000Z", "context": {},
        });
        let Value::Object(more) = more else { panic!("members") };
        event.as_object_mut().unwrap().extend(more);
        self.events.push(event);
        self.events.last_mut().unwrap()
    }

    /// A run that does all that it must.
    fn whole() -> Self {
        let mut log = Self { events: Vec::new(), objects: BTreeMap::new() };
        let plan = log.object(&json!({"migration": "m", "terms": terms()}));
        let path = log.object(
            &json!({"irreversible_steps": ["wipe"], "irreversible_approvals": {"wipe": "wipe_it"}}),
        );
        let graph = log.object(&dependencies());
        log.event("process.start", json!({"context": {"document": plan}}));
        log.event("authority.check", json!({}));
        let pointer = format!("eosc://evidence/sha256:{path}");
        log.event("exit.path.declare", json!({"evidence_pointer": pointer, "exit_plan_id": "p"}));
        let graph = format!("eosc://artifact/sha256:{graph}");
        log.event("dependency.graph.publish", json!({"graph_ref": graph, "service_id": "shop"}));
        log.event(
            "interop.profile.declare",
            json!({"profile_id": "carnet-bundle", "version": "1"}),
        );
        log.event("approval.granted", json!({"resource_id": "wipe_it"}));
        log.event(
            "process.intent",
            json!({"resource_id": "export/pack", "context": {"idempotency_key": "k"}}),
        );
        log.event(
            "process.outcome",
            json!({"resource_id": "export/pack", "context": {"result": "applied"}}),
        );
        log.event("migration.export", json!({}));
        log.event("migration.import", json!({}));
        log.event("policy.evaluate", json!({}));
        log.event("migration.validate", json!({"integrity_verified": true}));
        log.event("exit.validation.run", json!({"exit_plan_id": "p"}));
        log.event("migration.cutover", json!({}));
        log.event("process.phase", json!({"resource_id": "activate", "action": "enter"}));
        log.event("process.end", json!({"context": {"ending": "done"}}));
        log
    }

    fn at(&mut self, event_type: &str) -> &mut Value {
        self.events.iter_mut().find(|it| it["event_type"] == event_type).unwrap()
    }

    fn without(mut self, event_type: &str) -> Self {
        self.events.retain(|it| it["event_type"] != event_type);
        for (at, event) in self.events.iter_mut().enumerate() {
            event["sequence"] = json!(at);
        }
        self
    }

    fn material(&self, kind: MaterialKind) -> Material {
        let mut trace = Trace::default();
        for event in &self.events {
            trace.add(event, &|digest| self.objects.get(&digest).cloned());
        }
        let good = Checked { holds: Some(true), found: "all".to_owned() };
        let names = ["events.hash", "chain.links", "tree.root"];
        Material {
            kind,
            place: "place".to_owned(),
            trace,
            checks: names.map(|name| (name.to_owned(), good.clone())).into(),
            families_missing: Vec::new(),
            bundle: None,
        }
    }

    fn judged(&self) -> Conformance {
        Conformance::of(&self.material(MaterialKind::State))
    }
}

fn standing(report: &Conformance, invariant: Invariant) -> &Standing {
    &report.invariants.iter().find(|it| it.invariant == invariant).unwrap().standing
}

fn violated(report: &Conformance) -> Vec<&'static str> {
    report.violated().map(|it| it.invariant.name()).collect()
}

#[test]
fn a_whole_run_violates_nothing_and_each_invariant_has_its_line() {
    let report = Log::whole().judged();
    assert_eq!(violated(&report), Vec::<&str>::new());
    let lines: Vec<_> = report.invariants.iter().map(|it| it.invariant).collect();
    assert_eq!(lines, Invariant::ALL);
    for line in &report.invariants {
        if let Standing::Satisfied { shown_by } = &line.standing {
            assert!(!shown_by.is_empty(), "{}", line.invariant);
        }
    }
    let not = |it: &&Assessed| it.standing.name() == "not applicable";
    let not: Vec<_> = report.invariants.iter().filter(not).map(|it| it.invariant.name()).collect();
    let wanted = ["SUP-01", "SUP-02", "SUP-03", "SUP-04", "EVID-05", "MIG-01", "MIG-02"];
    assert_eq!(not, wanted);
}

#[test]
fn nothing_satisfies_nothing() {
    let nothing = Log { events: Vec::new(), objects: BTreeMap::new() };
    for kind in [MaterialKind::State, MaterialKind::Export] {
        let mut material = nothing.material(kind);
        material.checks.clear();
        let report = Conformance::of(&material);
        let satisfied: Vec<_> =
            report.invariants.iter().filter(|it| it.standing.name() == "satisfied").collect();
        assert!(satisfied.is_empty(), "{satisfied:?}");
    }
}

/// What taking an event out violates.
#[test]
fn each_event_that_is_missing_shows() {
    for (event_type, wanted) in [
        ("exit.path.declare", &["EXIT-01", "EXIT-04"][..]),
        ("exit.validation.run", &["EXIT-03"]),
        ("interop.profile.declare", &["INT-01", "INT-03"]),
        ("dependency.graph.publish", &["INT-02", "DEP-01", "DEP-02", "DEP-03", "DEP-04", "MIG-05"]),
        ("approval.granted", &["EXIT-04"]),
        ("process.outcome", &["EVID-01"]),
        ("process.intent", &["EVID-01"]),
        ("migration.export", &["MIG-04"]),
        ("migration.import", &["MIG-04"]),
        ("migration.cutover", &["MIG-04"]),
        ("migration.validate", &["MIG-03", "MIG-04"]),
        ("process.end", &["EXIT-02", "MIG-04"]),
    ] {
        let report = Log::whole().without(event_type).judged();
        assert_eq!(violated(&report), wanted, "without {event_type}");
    }
}

#[test]
fn bounds_that_are_missing_or_broken_show() {
    let mut late = Log::whole();
    late.at("process.end")["occurred_at"] = json!("2026-03-31T00:00:00.001Z");
    assert_eq!(violated(&late.judged()), ["EXIT-02"]);
    let mut unbound = Log::whole();
    let plan = unbound.object(&json!({"migration": "m"}));
    unbound.at("process.start")["context"]["document"] = json!(plan);
    assert_eq!(violated(&unbound.judged()), ["EXIT-02"]);
}

#[test]
fn a_refused_way_out_and_a_refused_validation_show() {
    let mut log = Log::whole();
    log.at("exit.validation.run")["outcome"] = json!("refused");
    assert_eq!(violated(&log.judged()), ["EXIT-03"]);
    let mut log = Log::whole();
    log.at("migration.validate")["outcome"] = json!("refused");
    assert_eq!(violated(&log.judged()), ["MIG-03"]);
    // A validation before a rollback does not count for what comes after it.
    let mut log = Log::whole();
    log.event("migration.rollback", json!({}));
    log.event("migration.cutover", json!({}));
    assert_eq!(violated(&log.judged()), ["MIG-03"]);
}

#[test]
fn each_way_to_depend_wrongly_shows() {
    let with = |change: fn(&mut Value)| {
        let mut log = Log::whole();
        let mut graph = dependencies();
        change(&mut graph["dependencies"][0]);
        let digest = log.object(&graph);
        log.at("dependency.graph.publish")["graph_ref"] =
            json!(format!("eosc://artifact/sha256:{digest}"));
        violated(&log.judged())
    };
    assert_eq!(with(|it| it["critical"] = json!(false)), ["DEP-01"]);
    let bare = with(|it| {
        it.as_object_mut().unwrap().remove("alternative");
    });
    assert_eq!(bare, ["DEP-02"]);
    let held = with(|it| {
        it["substitutable"] = json!(false);
        it["facet"] = json!("policy");
    });
    assert_eq!(held, ["DEP-03"]);
    let proprietary = with(|it| {
        it["substitutable"] = json!(false);
        it["facet"] = json!("syntactic");
    });
    assert_eq!(proprietary, ["INT-02", "DEP-03"]);
    let accepted = with(|it| {
        it["substitutable"] = json!(false);
        it["facet"] = json!("syntactic");
        it["accepted"] = json!({"accepted_by": "ops", "compensation": "an export each night"});
    });
    assert_eq!(accepted, Vec::<&str>::new());
    // The event was refused, so nothing was published.
    let mut log = Log::whole();
    log.at("dependency.graph.publish")["outcome"] = json!("refused");
    assert_eq!(violated(&log.judged()), ["DEP-04"]);
}

#[test]
fn evidence_that_does_not_hold_shows() {
    let log = Log::whole();
    let mut gap = Log::whole();
    gap.events.remove(1);
    assert_eq!(violated(&gap.judged()), ["EVID-04"]);
    let mut families = log.material(MaterialKind::State);
    families.families_missing = vec!["SUP".to_owned()];
    assert_eq!(violated(&Conformance::of(&families)), ["EVID-04"]);
    for name in ["events.hash", "chain.links", "tree.root"] {
        for holds in [Some(false), None] {
            let mut broken = log.material(MaterialKind::State);
            let found = "other".to_owned();
            broken.checks.insert(name.to_owned(), Checked { holds, found });
            assert_eq!(violated(&Conformance::of(&broken)), ["EVID-03"]);
        }
        let mut unchecked = log.material(MaterialKind::State);
        unchecked.checks.remove(name);
        assert_eq!(violated(&Conformance::of(&unchecked)), ["EVID-03"]);
    }
    let mut empty = log.material(MaterialKind::State);
    empty.trace = Trace::default();
    assert!(violated(&Conformance::of(&empty)).contains(&"EVID-02"));
    let mut apart = Log::whole();
    apart.event("evidence.reconcile", json!({}));
    assert_eq!(violated(&apart.judged()), ["EVID-05"]);
    apart.event("chain.reconciliation", json!({"gap_detected": false, "tamper_detected": true}));
    assert_eq!(violated(&apart.judged()), ["EVID-05"]);
    apart.event("chain.reconciliation", json!({"gap_detected": false, "tamper_detected": false}));
    assert_eq!(standing(&apart.judged(), Invariant::Evid05).name(), "satisfied");
}

#[test]
fn a_workload_without_its_bundle_shows() {
    let mut log = Log::whole();
    log.event("workload.admit", json!({"workload_id": "web"}));
    assert_eq!(violated(&log.judged()), ["SUP-01", "SUP-02", "SUP-03", "SUP-04"]);
}

fn bundle(log: &Log) -> Material {
    let id = |text: &str| format!("sha256:{}", Digest::of(text.as_bytes()));
    let content = |kind: &str, path: &str| {
        json!({"type": kind, "path": path, "media_type": "application/json",
               "integrity_hash": id(path), "size": 1})
    };
    let governance = json!({"jurisdiction": "DE", "classification": "internal",
                            "retention": "P1D", "evidence_pointers": []});
    let manifest = json!({
        "version": BUNDLE_VERSION, "created": "2026-03-10T12:00:00Z", "source_provider": "lab",
        "tenant_id": "t", "scenario": "container", "workload_id": "web",
        "evidence_profile_id": "ecs-evidence-admissible", "profile_version": "1",
        "hash_profile_id": "ecs-hash-v1",
        "producer_identity": {"issuer_id": "ops", "producer_id": "carnet"},
        "scope": {"from_sequence": 0, "to_sequence": 9},
        "contents": [
            content("authority_snapshot", "authority/snapshot.json"),
            content("dependency_manifest", "dependency-manifest.json"),
            content("governance_metadata", "governance.json"),
            content("policy_snapshot", "policy/snapshot.json"),
        ],
        "content_root": Digest::of(b"root"), "governance_metadata": governance,
        "policy_snapshot_id": id("policy/snapshot.json"),
        "authority_snapshot_id": id("authority/snapshot.json"),
    });
    let image = Digest::of(b"image");
    let sbom = SbomSeen {
        path: "sbom".to_owned(),
        sha256: Digest::of(b"sbom"),
        format: Some(SbomFormat::CycloneDx16),
        wrong: None,
        subject: Some(image),
        parts: 1,
        unidentified: Vec::new(),
        unreached: Vec::new(),
        incomplete: None,
    };
    let statement = ProvenanceSeen {
        path: "provenance".to_owned(),
        sha256: Digest::of(b"provenance"),
        wrong: None,
        subjects: vec![image],
        builder: "b".to_owned(),
        signed: Signed::By { principal: "b".to_owned(), key: "k".to_owned() },
        undeclared: Vec::new(),
        from: 0,
    };
    let mut material = log.material(MaterialKind::Bundle);
    material.bundle = Some(BundleSeen {
        manifest: BundleManifest::read(&bytes_of(&manifest)).unwrap(),
        governance: bytes_of(&governance),
        dependencies: DependencyManifest::read_value(&dependencies()).unwrap().to_bytes(),
        supply: SupplyChain {
            subjects: vec![Subject { what: "image/index.json".to_owned(), sha256: image }],
            sboms: vec![sbom],
            provenance: vec![statement],
        },
        demand: SupplyDemand { signed: true },
    });
    material
}

/// The log of the sender, up to the export.
fn sent() -> Log {
    let mut log = Log::whole();
    let end = log.events.iter().position(|it| it["event_type"] == "migration.export").unwrap();
    log.events.truncate(end + 1);
    log
}

#[test]
fn a_whole_bundle_violates_nothing() {
    let report = Conformance::of(&bundle(&sent()));
    assert_eq!(violated(&report), Vec::<&str>::new());
    for invariant in [Invariant::Sup04, Invariant::Mig01, Invariant::Mig02, Invariant::Dep04] {
        assert_eq!(standing(&report, invariant).name(), "satisfied", "{invariant}");
    }
}

#[test]
fn each_flaw_of_a_bundle_shows() {
    type Change = fn(&mut BundleSeen);
    let changes: [(&[&str], Change); 8] = [
        (&["SUP-01", "SUP-03", "SUP-04"], |it| it.supply.sboms.clear()),
        (&["SUP-02", "SUP-04"], |it| it.supply.provenance.clear()),
        (&["SUP-02", "SUP-04"], |it| it.supply.provenance[0].signed = Signed::Not),
        (&["SUP-03"], |it| it.supply.sboms[0].unreached = vec!["x".to_owned()]),
        (&["SUP-04"], |it| it.supply.provenance[0].undeclared = vec!["x".to_owned()]),
        (&["MIG-01"], |it| it.manifest.policy_snapshot_id = "sha256:0".to_owned()),
        (&["MIG-02"], |it| it.manifest.governance_metadata.retention = "P2D".to_owned()),
        (&["INT-02", "DEP-01", "DEP-02", "DEP-03", "DEP-04", "MIG-05"], |it| {
            it.dependencies = b"{}".to_vec();
        }),
    ];
    for (wanted, change) in changes {
        let mut material = bundle(&sent());
        change(material.bundle.as_mut().unwrap());
        assert_eq!(violated(&Conformance::of(&material)), wanted);
    }
    // The document inside is not the one that the events speak of.
    let mut other = bundle(&sent());
    let mut stated = dependencies();
    stated["service_id"] = json!("other");
    let bytes = DependencyManifest::read_value(&stated).unwrap().to_bytes();
    other.bundle.as_mut().unwrap().dependencies = bytes;
    assert_eq!(violated(&Conformance::of(&other)), ["DEP-04"]);
}
