"""The reporter: one shot, one writer. It holds an advisory lock of the database while it works;
who comes second writes down the conflict and ends. It closes a run only when nothing is unresolved
and all that the closure refers to is there."""

import json
import time
import uuid
from itertools import count

from eventplatform import conformance, database, task
from eventplatform.config import INGEST_TOPICS, now
from eventplatform.database import counted, govern, one
from eventplatform.store import Evidence, WrittenAlready

CONFLICT, BLOCKED = 3, 5
NEEDED = [
    "run.json", "run_started.json", "operate/daemons_ready.json", "oracle/checker_pass.json",
    "ingest/ig_ready.json", "sr/ready_publish_receipt.json", "wsp/wsp_summary.json",
    "ingest/receipt_summary.json", "ingest/quarantine_summary.json", "ingest/kafka_offsets_snapshot.json",
    "rtdl_core/caught_up.json", "rtdl_core/offsets_snapshot.json", "rtdl_core/archive_progress.json",
    "decision_lane/decision_summary.json", "decision_lane/action_summary.json", "decision_lane/audit_summary.json",
    "case_labels/case_summary.json", "case_labels/label_summary.json"]


def execution_id():
    return f"{now().replace(':', '').replace('-', '').replace('.', '')}-{uuid.uuid4().hex[:8]}"


def blockers(config, evidence, cursor):
    """Why this run may not be closed, from the tables and not from what others summed up."""
    found = [f"EVIDENCE_MISSING: {path}" for path in NEEDED if evidence.digest(path) is None]
    states = counted(cursor, "select state, count(*) from admission where platform_run_id = %s group by 1", (config.platform_run_id,))
    for state in ("PUBLISH_AMBIGUOUS", "PUBLISH_IN_FLIGHT"):
        if states.get(state):
            found.append(f"{state}: {states[state]} events")
    ambiguous = one(cursor, "select count(*) from receipt where platform_run_id = %s and 'PUBLISH_AMBIGUOUS' = any(reason_codes)", (config.platform_run_id,))
    if ambiguous:
        found.append(f"PUBLISH_AMBIGUOUS: {ambiguous} receipts")
    status, checks = conformance.found(config, cursor)
    if status != "PASS":
        found.append(f"CONFORMANCE_{status}: " + "; ".join(c["check_id"] for c in checks if c["status"] != "PASS"))
    return found


def take_generation(cursor, key, holder):
    return one(cursor, "insert into writer_lease values (%s, 1, %s) on conflict (lock_key) do update "
               "set generation = writer_lease.generation + 1, holder = excluded.holder returning generation", (key, holder))


def numbers(config, evidence, cursor):
    """The run in numbers: what was sent from the source's summary, the rest from the tables."""
    run = (config.platform_run_id,)
    outcome = counted(cursor, "select decision, count(*) from receipt where platform_run_id = %s group by 1", run)
    ambiguous = one(cursor, "select count(*) from receipt where platform_run_id = %s and 'PUBLISH_AMBIGUOUS' = any(reason_codes)", run)
    without = one(cursor, "select count(*) from admission a where platform_run_id = %s and not exists (select 1 from receipt r "
                  "where r.platform_run_id = a.platform_run_id and r.event_class = a.event_class and r.event_id = a.event_id)", run)
    seen = counted(cursor, "select service, n from service_count where platform_run_id = %s and name = 'seen'", run)
    deduped = counted(cursor, "select service, n from service_count where platform_run_id = %s and name = 'deduped'", run)

    def rows(table, extra=""):
        return one(cursor, f"select count(*) from {table} where platform_run_id = %s {extra}", run)

    return {
        "ingress": {
            "sent": evidence.read("wsp/wsp_summary.json")["sent"], "received": sum(outcome.values()),
            "admit": outcome.get("ADMIT", 0), "duplicate": outcome.get("DUPLICATE", 0),
            "quarantine": outcome.get("QUARANTINE", 0), "publish_ambiguous": ambiguous, "receipt_write_failed": without},
        "rtdl": {
            "inlet_seen": seen["decision-lane-df"], "deduped": deduped["decision-lane-df"],
            "degraded": rows("decision", "and degraded"), "decision": rows("decision"),
            "outcome": rows("action"), "audit_append": rows("audit")},
        "archive": {
            "seen": seen["rtdl-core-archive-writer"] - deduped["rtdl-core-archive-writer"],
            "archived": one(cursor, "select sum(records)::bigint from archive_progress where platform_run_id = %s", run)},
        "case_labels": {
            "case": rows("case_record"), "label": rows("label"),
            "anomalies": rows("case_record c", "and not exists (select 1 from label l where l.platform_run_id = "
                              "c.platform_run_id and l.event_id = c.event_id)")}}


def reconcile(n, refs):
    i, r, a = n["ingress"], n["rtdl"], n["archive"]
    checks = {
        "sent_ge_received": i["sent"] >= i["received"], "received_ge_admit": i["received"] >= i["admit"],
        "decision_ge_outcome": r["decision"] >= r["outcome"], "archive_seen_ge_archived": a["seen"] >= a["archived"]}
    return {
        "status": "PASS" if all(checks.values()) else "WARN", "checks": checks,
        "inputs": {
            **{name: i[name] for name in ("sent", "received", "admit", "duplicate", "quarantine", "publish_ambiguous")},
            "decision": r["decision"], "outcome": r["outcome"], "audit_append": r["audit_append"],
            "archive_seen": a["seen"], "archived": a["archived"]},
        "deltas": {
            "sent_minus_received": i["sent"] - i["received"], "received_minus_admit": i["received"] - i["admit"],
            "decision_minus_outcome": r["decision"] - r["outcome"]},
        "basis": {"component_reconciliation_refs": refs}}


def anchors(evidence):
    """From where the run can be read again; the ends are in the snapshots that are named."""
    found, paths = {}, {"ingest": "ingest/kafka_offsets_snapshot.json", "rtdl_core": "rtdl_core/offsets_snapshot.json"}
    for side, path in paths.items():
        rows = {(row["topic"], row["partition"]): row["start_offset"] for row in evidence.read(path)["partitions"]
                if row["topic"] in INGEST_TOPICS}
        found[side] = [{"topic": t, "partition": p, "offset": offset} for (t, p), offset in sorted(rows.items())]
    return {"anchors": found, "counts": {side: len(rows) for side, rows in found.items()},
            "source_refs": [evidence.pinned(path) for path in paths.values()]}


def close(config, evidence, cursor, generation):
    shared = {"phase_id": "P11", "scenario_run_id": config.scenario_run_id}
    n = numbers(config, evidence, cursor)
    refs = [evidence.pinned(path) for path in NEEDED]
    for ref in refs:
        govern(cursor, config, "EVIDENCE_REF_RESOLVED", "reporter", **ref)
    evidence.write("obs/run_report.json", {
        **shared, "generated_at_utc": now(), "scenario_run_ids": [config.scenario_run_id], **n,
        "evidence_refs": refs, "basis": {"writer_generation": generation, "lock_key": f"reporter:{config.platform_run_id}"}})
    govern(cursor, config, "RUN_REPORT_GENERATED", "reporter", generation=generation)
    evidence.write("obs/reconciliation.json", {**shared, **reconcile(n, [
        evidence.pinned(path) for path in ("wsp/wsp_summary.json", "ingest/receipt_summary.json",
                                           "decision_lane/decision_summary.json", "rtdl_core/archive_progress.json")])})
    evidence.write("obs/replay_anchors.json", {**shared, **anchors(evidence)})
    status, checks = conformance.found(config, cursor)
    evidence.write("obs/environment_conformance.json", {
        **shared, "status": status, "checks": checks, "profiles": {"env": "dev_min", "profile": config.settings["scenario_id"]}})
    odd = {"ingress_publish_ambiguous": n["ingress"]["publish_ambiguous"],
           "ingress_receipt_write_failed": n["ingress"]["receipt_write_failed"],
           "rtdl_degraded": n["rtdl"]["degraded"], "case_labels_anomalies_total": n["case_labels"]["anomalies"]}
    evidence.write("obs/anomaly_summary.json", {**shared, "anomaly_counts": odd, "anomaly_total": sum(odd.values())})
    cursor.execute("select body from governance_event where platform_run_id = %s order by seq", (config.platform_run_id,))
    events, _ = evidence.write_lines("obs/governance/events.jsonl", (json.loads(body) for (body,) in cursor.fetchall()))
    evidence.write_lines("operate/task_runs.jsonl", task.runs(cursor, config))
    names = ("run_report", "reconciliation", "replay_anchors", "environment_conformance", "anomaly_summary")
    closure = {f"{name}_ref": evidence.pinned(f"obs/{name}.json") for name in names}
    evidence.write("run_completed.json", {**shared, "status": "COMPLETED", "closure_refs": {**closure, "governance_events_ref": events}})
    return n


def record_conflict(evidence, key, mine, held_by):
    """The first one is obs/conflict/1.json, so that a plan can name it before there is one."""
    for number in count(1):
        try:
            evidence.write(f"obs/conflict/{number}.json", {
                "scenario_run_id": evidence.config.scenario_run_id, "phase_id": "P11", "conflict": "REPORTER_LOCK_HELD",
                "lock_key": key, "lock_backend": "db_advisory_lock", "loser": mine, "held_by": held_by})
            return f"obs/conflict/{number}.json"
        except WrittenAlready:
            continue


def report(config, hold_seconds=0):
    """(exit code, what to say). `hold_seconds` makes the work take longer, so that a drill can
    send a second reporter in while the first holds the lock."""
    evidence, connection = Evidence(config), database.connect(config)
    key, mine = f"reporter:{config.platform_run_id}", execution_id()
    connection.autocommit = True
    if not database.try_lock(connection, key):
        with connection.cursor() as cursor:
            holder = one(cursor, "select generation, holder from writer_lease where lock_key = %s", (key,))
        path = record_conflict(evidence, key, mine, {"generation": holder[0], "holder": holder[1]} if holder else None)
        return CONFLICT, {"conflict": "REPORTER_LOCK_HELD", "evidence": path}
    with connection.cursor() as cursor:
        generation = take_generation(cursor, key, mine)
        time.sleep(hold_seconds)
        if evidence.digest("run_completed.json"):
            return BLOCKED, {"blockers": ["RUN_COMPLETED: this run is closed"]}
        found = blockers(config, evidence, cursor)
        if found:
            evidence.write(f"obs/attempts/{mine}.json", {
                "phase_id": "P11", "status": "BLOCKED", "blockers": found, "writer_generation": generation})
            return BLOCKED, {"blockers": found}
    connection.autocommit = False
    with connection, connection.cursor() as cursor:
        n = close(config, evidence, cursor, generation)
    return 0, n["ingress"]
