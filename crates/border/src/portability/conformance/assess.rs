//! Each invariant, judged.

use carnet_ledger::{Digest, EventType};
use serde_json::Value;

use super::trace::Mark;
use super::{BundleSeen, Checked, Material, MaterialKind};
use crate::portability::ContentType;
use crate::portability::dependencies::{DependencyManifest, Facet};
use crate::portability::invariant::{Assessed, Invariant, Shown, Standing};

/// All invariants, in the order of the contract.
pub(super) fn all(material: &Material) -> Vec<Assessed> {
    let mut lines = exit(material).to_vec();
    lines.extend(interop(material));
    lines.extend(dependencies(material));
    lines.extend(supply(material));
    lines.extend(evidence(material));
    lines.extend(migration(material));
    lines.sort_by_key(|line| line.invariant);
    lines
}

fn events(marks: &[&Mark]) -> Standing {
    Standing::shown(marks.iter().map(|mark| mark.shown()).collect())
}

fn object(what: &str, sha256: Digest) -> Shown {
    Shown::Object { what: what.to_owned(), sha256 }
}

fn check(name: &str, found: impl Into<String>) -> Shown {
    Shown::Check { name: name.to_owned(), found: found.into() }
}

const RUN: &str = "run the plan to its end, and look again";

fn exit(material: &Material) -> [Assessed; 4] {
    let trace = &material.trace;
    let declared = match trace.last(EventType::ExitPathDeclare) {
        Some(mark) if mark.is_accepted() && trace.exit.is_some() => {
            let mut shown = vec![mark.shown()];
            shown.extend(mark.pointer.map(|it| object("declared way out", it)));
            Standing::shown(shown)
        }
        Some(_) => Standing::violated("the declared way out cannot be read", RUN),
        None => Standing::violated("no way out is declared", RUN),
    };
    let exercised = match trace.last(EventType::ExitValidationRun) {
        Some(mark) if mark.is_accepted() => events(&[mark]),
        Some(mark) => {
            let code = mark.text("refusal_reason_code").unwrap_or("an unknown reason");
            Standing::violated(format!("the last time it was refused: {code}"), RUN)
        }
        None if material.kind == MaterialKind::Bundle => Standing::not_applicable(
            "the evidence in a bundle ends with the export; look at the log of the run",
        ),
        None => Standing::violated("the way out was never gone to its end", RUN),
    };
    [
        Assessed::new(Invariant::Exit01, declared),
        Assessed::new(Invariant::Exit02, bounds(material)),
        Assessed::new(Invariant::Exit03, exercised),
        Assessed::new(Invariant::Exit04, irreversible(material)),
    ]
}

/// Whether the run kept to the dates of its plan. Volume and cost have no bounds in a plan.
fn bounds(material: &Material) -> Standing {
    let trace = &material.trace;
    let Some(terms) = &trace.terms else {
        let why = "the plan states no bounds";
        return Standing::violated(why, "state notice, transition and retrieval under `terms`");
    };
    if material.kind == MaterialKind::Bundle {
        return Standing::not_applicable(
            "the evidence in a bundle ends with the export; look at the log of the run",
        );
    }
    let ends = (trace.last(EventType::ProcessStart), trace.last(EventType::ProcessEnd));
    let (Some(start), Some(end)) = ends else {
        return Standing::violated("the run has not ended, so nothing shows that it fits", RUN);
    };
    let deadline = &terms.transition_deadline;
    if !end.is_accepted() {
        return Standing::violated("the run failed", RUN);
    }
    if end.at_ms > deadline.unix_seconds().saturating_mul(1_000) {
        let why = format!("the run ended after transition_deadline, {deadline}");
        return Standing::violated(why, "agree on another date, and amend the plan");
    }
    let found =
        format!("ended before transition_deadline, {deadline}; volume and cost have no bounds");
    Standing::shown(vec![start.shown(), end.shown(), check("terms", found)])
}

/// Whether each step that cannot be undone is known, and somebody approved of it.
fn irreversible(material: &Material) -> Standing {
    let trace = &material.trace;
    let (Some(mark), Some(path)) = (trace.last(EventType::ExitPathDeclare), &trace.exit) else {
        return Standing::violated("no way out is declared, so its steps are not known", RUN);
    };
    let steps = path.get("irreversible_steps").and_then(Value::as_array);
    let Some(steps) = steps else {
        let why = "the declared way out does not say which steps cannot be undone";
        return Standing::violated(why, RUN);
    };
    let approvals = path.get("irreversible_approvals").and_then(Value::as_object);
    for step in steps.iter().filter_map(Value::as_str) {
        let approval = approvals.and_then(|it| it.get(step)).and_then(Value::as_str);
        if !approval.is_some_and(|name| trace.approved.contains(name)) {
            let why = format!("{step} cannot be undone, and nobody approved of that");
            return Standing::violated(why, "approve of it: `carnet approve`");
        }
    }
    let found = match steps.len() {
        0 => "no step is without a way back".to_owned(),
        count => format!("{count} steps without a way back, each approved"),
    };
    Standing::shown(vec![mark.shown(), check("irreversible steps", found)])
}

fn interop(material: &Material) -> [Assessed; 3] {
    let declared = || {
        let mark = material.trace.last(EventType::InteropProfileDeclare);
        let accepted = mark.filter(|mark| mark.is_accepted());
        let versioned =
            accepted.filter(|mark| mark.text("version").is_some_and(|it| !it.is_empty()));
        let mut shown: Vec<_> = versioned.map(Mark::shown).into_iter().collect();
        if let Some(bundle) = &material.bundle {
            let version = &bundle.manifest.version;
            shown.push(check("manifest.json", format!("a bundle of the version {version}")));
        }
        if shown.is_empty() {
            let why = "no interface with a version is declared";
            return Standing::violated(why, "write `dependencies` in the plan, and run it");
        }
        Standing::shown(shown)
    };
    let proprietary = match stated(material) {
        Err(why) => Standing::violated(why, STATE),
        Ok((manifest, shown)) => {
            let interface = |facet: Option<Facet>| {
                matches!(
                    facet,
                    Some(
                        Facet::Transport
                            | Facet::Syntactic
                            | Facet::Semantic
                            | Facet::Behavioural
                            | Facet::DataSyntactic
                            | Facet::ApplicationInstruction
                    )
                )
            };
            let stuck = manifest.dependencies.iter().find(|it| {
                it.critical && !it.substitutable && it.accepted.is_none() && interface(it.facet)
            });
            match stuck {
                Some(it) => Standing::violated(
                    format!("{} is critical, and its interface is nobody else's", it.id),
                    "use a standard interface, or say under `accepted` who accepted it",
                ),
                None => Standing::shown(shown),
            }
        }
    };
    [
        Assessed::new(Invariant::Int01, declared()),
        Assessed::new(Invariant::Int02, proprietary),
        Assessed::new(Invariant::Int03, declared()),
    ]
}

const STATE: &str = "write `dependencies` in the plan, and run it";

/// The dependency manifest, and what shows it.
fn stated(material: &Material) -> Result<(DependencyManifest, Vec<Shown>), String> {
    if let Some(bundle) = &material.bundle {
        let manifest = DependencyManifest::read(&bundle.dependencies).map_err(|errors| {
            let first = errors.first().map_or_else(String::new, ToString::to_string);
            format!("dependency-manifest.json cannot be read: {first}")
        })?;
        let shown = object("dependency-manifest.json", Digest::of(&bundle.dependencies));
        return Ok((manifest, vec![shown]));
    }
    match &material.trace.published {
        Some((mark, Ok(manifest))) => Ok((manifest.clone(), vec![mark.shown()])),
        Some((_, Err(why))) => Err(format!("the plan states no dependencies ({why})")),
        None => Err("no dependencies are published".to_owned()),
    }
}

fn dependencies(material: &Material) -> Vec<Assessed> {
    let manifest = match stated(material) {
        Ok((manifest, _)) => manifest,
        Err(why) => {
            let lines = [Invariant::Dep01, Invariant::Dep02, Invariant::Dep03, Invariant::Dep04];
            return lines
                .map(|it| Assessed::new(it, Standing::violated(why.clone(), STATE)))
                .to_vec();
        }
    };
    let published = material.trace.published.as_ref().filter(|(mark, found)| {
        let same = found.as_ref().is_ok_and(|found| found.digest() == manifest.digest());
        mark.is_accepted() && same
    });
    manifest.assess(published.map(|(mark, _)| mark.shown()))
}

fn supply(material: &Material) -> Vec<Assessed> {
    if let Some(bundle) = &material.bundle {
        return bundle.supply.assess(bundle.demand);
    }
    let lines = [Invariant::Sup01, Invariant::Sup02, Invariant::Sup03, Invariant::Sup04];
    let standing = if material.trace.workload {
        Standing::violated(
            "a workload moves, and its bundle is not at hand",
            "name the bundle: carnet conformance BUNDLE",
        )
    } else {
        Standing::not_applicable("no workload moves")
    };
    lines.map(|it| Assessed::new(it, standing.clone())).to_vec()
}

fn evidence(material: &Material) -> [Assessed; 5] {
    let trace = &material.trace;
    let governed = match (&trace.ended, trace.open.iter().next()) {
        (_, Some((step, sequence))) if trace.last(EventType::ProcessEnd).is_some() => {
            let why =
                format!("{step} has begun (event {sequence}), and no event says how it ended");
            Standing::violated(why, "settle it: `carnet status` shows what waits")
        }
        (Some(mark), _) => {
            let found = format!("{} steps, each with its intent and its outcome", trace.begun);
            Standing::shown(vec![mark.shown(), check("intents and outcomes", found)])
        }
        (None, _) => Standing::violated("no governed action is in it", RUN),
    };
    let kept = match material.kind {
        MaterialKind::State if trace.events > 0 => {
            let found = format!("{} events, read where they were written", trace.events);
            Standing::shown(vec![check("log", found)])
        }
        MaterialKind::State => Standing::violated("the log is empty", RUN),
        MaterialKind::Export | MaterialKind::Bundle => Standing::not_applicable(
            "what left does not show where it was kept; look at the log of the run",
        ),
    };
    let missing = &material.families_missing;
    let complete = if let Some(at) = trace.gap_at {
        Standing::violated(format!("event {at} is missing"), "export the whole log")
    } else if !missing.is_empty() {
        let why = format!("there is no evidence of {}", missing.join(" and "));
        Standing::violated(why, "run what leaves it, or choose a profile that does not ask")
    } else if trace.events == 0 {
        Standing::violated("there are no events", RUN)
    } else {
        let found = format!("{} events without a gap, all families", trace.events);
        Standing::shown(vec![check("events and families", found)])
    };
    [
        Assessed::new(Invariant::Evid01, governed),
        Assessed::new(Invariant::Evid02, kept),
        Assessed::new(Invariant::Evid03, integrity(material)),
        Assessed::new(Invariant::Evid04, complete),
        Assessed::new(Invariant::Evid05, reconciled(material)),
    ]
}

/// The checks without which nothing is known to be unchanged.
const INTEGRITY: [&str; 3] = ["events.hash", "chain.links", "tree.root"];

fn integrity(material: &Material) -> Standing {
    let mut shown = Vec::new();
    for (name, Checked { holds, found }) in &material.checks {
        let needed = INTEGRITY.contains(&name.as_str());
        match holds {
            Some(false) => {
                return Standing::violated(format!("{name}: {found}"), "do not rely on it");
            }
            None if needed => {
                let why = format!("{name} was not checked: {found}");
                return Standing::violated(why, "bring what is missing, and look again");
            }
            None => {}
            Some(true) => shown.push(check(name, found.clone())),
        }
    }
    if let Some(name) = INTEGRITY.iter().find(|name| !material.checks.contains_key(**name)) {
        return Standing::violated(format!("{name} was not checked"), "look again");
    }
    Standing::shown(shown)
}

fn reconciled(material: &Material) -> Standing {
    let trace = &material.trace;
    let apart = trace.last(EventType::EvidenceReconcile);
    match (apart, trace.last(EventType::ChainReconciliation)) {
        (None, None) => Standing::not_applicable("no evidence was kept apart"),
        (Some(_), None) => Standing::violated(
            "evidence was brought together, and the logs were not compared",
            "compare them, and record what was found",
        ),
        (_, Some(mark)) => {
            let is_true = |key: &str| mark.event.get(key) != Some(&Value::Bool(false));
            match ["gap_detected", "tamper_detected"].into_iter().find(|key| is_true(key)) {
                Some(key) => Standing::violated(
                    format!("the comparison says {key} (event {})", mark.sequence),
                    "find out what is missing or changed",
                ),
                None => events(&[mark]),
            }
        }
    }
}

fn migration(material: &Material) -> [Assessed; 5] {
    let beside = |show: fn(&BundleSeen) -> Standing| match &material.bundle {
        Some(bundle) => show(bundle),
        None => Standing::not_applicable("no bundle is looked at"),
    };
    let disclosed = match stated(material) {
        Ok((_, shown)) => Standing::shown(shown),
        Err(why) => Standing::violated(why, STATE),
    };
    [
        Assessed::new(Invariant::Mig01, beside(rules_travel)),
        Assessed::new(Invariant::Mig02, beside(governance_kept)),
        Assessed::new(Invariant::Mig03, validated_first(material)),
        Assessed::new(Invariant::Mig04, reported(material)),
        Assessed::new(Invariant::Mig05, disclosed),
    ]
}

fn rules_travel(bundle: &BundleSeen) -> Standing {
    let mut shown = Vec::new();
    for (kind, id) in [
        (ContentType::PolicySnapshot, &bundle.manifest.policy_snapshot_id),
        (ContentType::AuthoritySnapshot, &bundle.manifest.authority_snapshot_id),
    ] {
        let named = bundle.manifest.of_type(kind).find(|it| it.integrity_hash == *id);
        let sha256 = named.and_then(|it| it.integrity_hash.strip_prefix("sha256:")?.parse().ok());
        let Some(sha256) = sha256 else {
            let why = format!("no content of type {kind} has the digest {id}");
            return Standing::violated(why, "make the bundle anew");
        };
        shown.push(object(kind.name(), sha256));
    }
    Standing::shown(shown)
}

fn governance_kept(bundle: &BundleSeen) -> Standing {
    let said = serde_json::to_value(&bundle.manifest.governance_metadata).ok();
    let inside = serde_json::from_slice::<Value>(&bundle.governance).ok();
    if said.is_none() || said != inside {
        let why = "governance.json and the manifest do not say the same";
        return Standing::violated(why, "make the bundle anew");
    }
    Standing::shown(vec![object("governance.json", Digest::of(&bundle.governance))])
}

/// Whether what goes on for good did so only after a validation that passed.
fn validated_first(material: &Material) -> Standing {
    let mut valid: Option<&Mark> = None;
    let mut shown: Vec<&Mark> = Vec::new();
    for mark in &material.trace.order {
        let validates = mark.event_type == EventType::MigrationValidate.name();
        let rolls_back = mark.event_type == EventType::MigrationRollback.name();
        let goes_on = mark.event_type == EventType::MigrationCutover.name()
            || (mark.resource == "activate" && mark.text("action") == Some("enter"));
        if validates {
            valid = Some(mark).filter(|mark| mark.is_accepted());
        } else if rolls_back {
            valid = None;
        } else if goes_on {
            let Some(before) = valid else {
                let why = format!("event {} goes on without a validation before it", mark.sequence);
                return Standing::violated(why, "put the cutover behind the validation");
            };
            shown.extend([before, mark]);
        }
    }
    if shown.is_empty() {
        return Standing::not_applicable("nothing was cut over or activated");
    }
    events(&shown)
}

/// Whether what a run must leave evidence of has left it.
fn reported(material: &Material) -> Standing {
    let trace = &material.trace;
    let Some(start) = trace.last(EventType::ProcessStart) else {
        return Standing::violated("no run is in it", RUN);
    };
    let Some(end) = trace.last(EventType::ProcessEnd) else {
        if material.kind == MaterialKind::Bundle {
            return Standing::not_applicable(
                "the evidence in a bundle ends with the export; look at the log of the run",
            );
        }
        return Standing::violated("the run has not ended", RUN);
    };
    let needed: &[EventType] = match end.text("ending") {
        Some("done") => &[
            EventType::MigrationExport,
            EventType::MigrationImport,
            EventType::MigrationValidate,
            EventType::MigrationCutover,
        ],
        Some("rolled_back") => &[EventType::MigrationRollback],
        Some(_) | None => &[EventType::MigrationRefusal],
    };
    let mut shown = vec![start];
    for event_type in needed {
        let Some(mark) = trace.last(*event_type) else {
            let why = format!("the run has ended, and no event {event_type} is there");
            return Standing::violated(
                why,
                "let the plan do this with the capability that says so",
            );
        };
        shown.push(mark);
    }
    shown.push(end);
    events(&shown)
}
