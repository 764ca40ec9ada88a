//! The place of a run: what it is pinned to, what runs, what is left of it.

use std::collections::{BTreeMap, BTreeSet};

use carnet_ledger::{HashProfile, Value as Exact};
use serde_json::Value;

use super::Says;
use crate::wrong::Wrong;

/// A value longer than this cannot stand in a file.
const BYTES_MAX: usize = crate::form::FILE_BYTES_MAX;

/// The digest of the configuration is computed again, over JSON with sorted keys.
pub(super) fn run(says: Says<'_>) -> Result<u64, Wrong> {
    let (tag, sha) = (says.text("/image_tag"), says.text("/git_sha"));
    let of_tag = tag.strip_prefix("git-").unwrap_or_default();
    if !sha.starts_with(of_tag) && !of_tag.starts_with(sha) {
        return says.differs(format!("has the image tag {tag} and the revision {sha}"));
    }
    let Some(config) = says.at("/config") else {
        if says.at("/config_ref").is_none() {
            return says.empty("has neither its configuration nor a reference to it");
        }
        return Ok(1);
    };
    match has_digest(config, says.text("/config_digest")) {
        Some(true) => Ok(2),
        Some(false) => says.differs("has a configuration with another digest than it says"),
        None => {
            says.differs("has a configuration with fractions or large numbers: write them as text")
        }
    }
}

/// Whether a value has this digest, over JSON with sorted keys; `None` if nobody can say, as its
/// numbers are not exact.
pub(super) fn has_digest(value: &Value, said: &str) -> Option<bool> {
    let exact = Exact::parse(value.to_string().as_bytes(), BYTES_MAX).ok()?;
    let said = said.trim_start_matches("sha256:");
    let profiles = [HashProfile::EcsHashV1, HashProfile::Rfc8785Sha256V1];
    Some(profiles.into_iter().any(|profile| profile.digest(&exact).to_string() == said))
}

/// Each service once, with one replica and nothing pending.
pub(super) fn daemons(says: Says<'_>) -> Result<u64, Wrong> {
    let (mut services, mut tasks) = (BTreeSet::new(), BTreeSet::new());
    for row in says.list("/services") {
        let service = row.get("service_name").and_then(Value::as_str).unwrap_or_default();
        if !services.insert(service) {
            return says.differs(format!("has the service {service} twice"));
        }
        let status = row.get("status").and_then(Value::as_str).unwrap_or_default();
        if !matches!(status, "ACTIVE" | "RUNNING") {
            return says.differs(format!("has {service} with the status {status}"));
        }
        for (key, must) in [("desired_count", 1), ("running_count", 1), ("pending_count", 0)] {
            let found = row.get(key).and_then(Value::as_i64).unwrap_or(-1);
            if found != must {
                return says.differs(format!("has {service} with {key} {found}, not {must}"));
            }
        }
        let arns: Vec<&str> = row
            .get("task_arns")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if arns.len() != 1 || !arns.iter().all(|arn| tasks.insert(*arn)) {
            return says.differs(format!("has {service} without one task of its own"));
        }
    }
    let (run, scope) = (says.text("/platform_run_id"), says.text("/run_scope/value"));
    if run != scope {
        return says.differs(format!("has services of the run {scope}"));
    }
    Ok(u64::try_from(services.len()).unwrap_or(u64::MAX))
}

pub(super) fn ig_ready(says: Says<'_>) -> Result<u64, Wrong> {
    if says.text("/health/status") != "OK" {
        return says.differs(format!("has the health {}", says.text("/health/status")));
    }
    for key in ["unauthenticated_status", "bogus_status"] {
        let status = says.given(&format!("/auth/{key}"))?;
        if let Some(status) = status.filter(|status| !matches!(status, 401 | 403)) {
            let who = if key == "bogus_status" { "a bogus" } else { "no" };
            return says.differs(format!("lets {who} credential in, with status {status}"));
        }
    }
    let let_in = says.given("/auth/authenticated_status")?;
    if let Some(status) = let_in.filter(|status| !(200..300).contains(status)) {
        return says.differs(format!("refuses a good credential, with status {status}"));
    }
    if says.number("/kafka_smoke/offset")? < 0 {
        return says.empty("has no offset of its smoke test");
    }
    Ok(3)
}

pub(super) fn published(says: Says<'_>) -> Result<u64, Wrong> {
    if says.number("/offset")? < 0 { says.empty("has no offset of READY") } else { Ok(1) }
}

/// Somebody else held the lock, by a lease.
pub(super) fn refused(says: Says<'_>) -> Result<u64, Wrong> {
    let (loser, holder) = (says.text("/loser"), says.text("/held_by/holder"));
    if holder.is_empty() || says.number("/held_by/generation")? == 0 {
        return says.empty("does not say who held the lock");
    }
    if loser == holder {
        return says.differs(format!("says that {loser} was refused by itself"));
    }
    Ok(2)
}

/// The lease was taken, and given back before this was written.
pub(super) fn leased(says: Says<'_>) -> Result<u64, Wrong> {
    if says.number("/generation")? == 0 {
        return says.empty("has the generation 0: nobody took the lease");
    }
    if says.text("/holder").trim().is_empty() {
        return says.empty("does not name who held the lease");
    }
    let time = |key: &str| crate::moment::micros(says.text(key));
    let (released, written) = (time("/released_at_utc"), time("/written_at_utc"));
    match released.zip(written) {
        Some((released, written)) if released <= written => Ok(2),
        Some(_) => says.differs("was released after it was written down"),
        None => says.differs("has a time that is no moment of the calendar"),
    }
}

/// Every check, once, passed. A check that could not be made is no pass.
pub(super) fn conforms(says: Says<'_>) -> Result<u64, Wrong> {
    let mut found = BTreeMap::new();
    for row in says.list("/checks") {
        let [id, status] = ["check_id", "status"]
            .map(|key| row.get(key).and_then(Value::as_str).unwrap_or_default());
        if found.insert(id, status).is_some() {
            return says.differs(format!("has the check {id} twice"));
        }
    }
    let all = [
        "semantic_contract_alignment",
        "policy_revision_presence",
        "security_corridor_posture",
        "governance_event_schema_contract",
    ];
    for id in all {
        match found.get(id) {
            Some(&"PASS") => {}
            Some(status) => return says.differs(format!("has {id} {status}, which is no PASS")),
            None => return says.empty(format!("lacks the check {id}")),
        }
    }
    match says.text("/status") {
        "PASS" => Ok(4),
        other => says.differs(format!("has the status {other}, which is no PASS")),
    }
}

/// What was destroyed is gone; what is preserved was not destroyed.
pub(super) fn torn_down(says: Says<'_>) -> Result<u64, Wrong> {
    let status = says.text("/destroy_status");
    if status != "DESTROYED" {
        return says.differs(format!("has the status {status}"));
    }
    let mut compared = 0;
    for pointer in ["/confirmed_absent", "/secrets_absent"] {
        for (name, there) in says.members(pointer) {
            compared += 1;
            if there.as_bool() != Some(false) {
                return says.differs(format!("says that {name} is still there"));
            }
        }
    }
    let names = |pointer| says.list(pointer).filter_map(Value::as_str).collect::<BTreeSet<_>>();
    let (destroyed, preserved) = (names("/destroyed"), names("/preserved"));
    if destroyed.is_empty() {
        return says.empty("names nothing that was destroyed");
    }
    if let Some(both) = destroyed.intersection(&preserved).next() {
        return says.differs(format!("names {both} as destroyed and as preserved"));
    }
    if preserved.is_empty() {
        return says.empty("names nothing that was preserved");
    }
    if says.members("/secrets_absent").next().is_none() {
        return says.empty("does not say of any secret whether it is gone");
    }
    match says.at("/evidence_readable").and_then(Value::as_bool) {
        Some(true) => Ok(compared + 2),
        Some(false) => says.differs("says that the evidence cannot be read any more"),
        None => says.empty("does not say whether the evidence can still be read"),
    }
}

/// What must hold after the fault of each drill.
fn demanded(drill: &str) -> &'static [&'static str] {
    match drill {
        "duplicate" => &[
            "duplicate_receipts_present",
            "no_double_actions",
            "no_duplicate_case_records",
            "audit_append_only_preserved",
        ],
        "ambiguous_publish" => &["quarantined_as_ambiguous", "not_published_again", "gate_closed"],
        "second_writer" => &["refused_by_lock", "conflict_recorded", "one_writer"],
        _ => &[],
    }
}

/// The fault took place, and everything held that must hold after it.
pub(super) fn drilled(says: Says<'_>) -> Result<u64, Wrong> {
    let (injected, took_place) =
        (says.number("/fault/injected")?, says.number("/fault/took_place")?);
    if injected == 0 {
        return says.empty("injected nothing");
    }
    if took_place == 0 {
        return says.empty(format!("injected {injected}, and none of them took place"));
    }
    says.equal("the number of faults that took place", took_place, injected)?;
    for name in demanded(says.text("/drill")) {
        if says.at(&format!("/checks/{name}")).is_none() {
            return says.empty(format!("does not say whether {name} holds"));
        }
    }
    let mut compared = 1;
    for (name, holds) in says.members("/checks") {
        compared += 1;
        if holds.as_bool() != Some(true) {
            return says.differs(format!("says that {name} does not hold"));
        }
    }
    match says.text("/status") {
        "PASS" => Ok(compared),
        other => says.differs(format!("has the status {other}")),
    }
}
