"""What the phases leave behind: each function looks at the running platform and writes evidence.
It reports what is there, also when that is bad; whether it is good enough is for a gate to say."""

import http.client
import json
import time
from urllib.parse import urlsplit

from eventplatform import bus, database, task
from eventplatform.config import AUDIT, DAEMONS, INGEST_TOPICS, LABELS, RTDL, TRIGGERS, now
from eventplatform.database import counted, one
from eventplatform.roles import TOPICS_OF
from eventplatform.store import Bucket, Evidence

CORE = ["rtdl-core-archive-writer", "rtdl-core-ieg", "rtdl-core-ofp", "rtdl-core-csfb"]
DECISION = ["decision-lane-df", "decision-lane-al", "decision-lane-dla"]
CASES = ["case-trigger", "case-mgmt", "label-store"]


def daemons(config, running):
    """`running` is what was found to run, {service: tasks}, by who can see it."""
    evidence, connection = Evidence(config), database.connect(config)
    with connection, connection.cursor() as cursor:
        cursor.execute("select service, task_arn from service_status where platform_run_id = %s", (config.platform_run_id,))
        announced = dict(cursor.fetchall())
    services, wrong, compute = [], [], task.task_arn().partition(":")[0]
    for service in DAEMONS:
        arns = sorted(running.get(service, []))
        active = arns == [announced.get(service)]
        services.append({
            "service_name": service, "task_definition": f"{compute}:{service}", "task_arns": arns, "desired_count": 1,
            "running_count": len(arns), "pending_count": 0, "status": "ACTIVE" if active else "FAILED"})
        if not active:
            wrong.append(f"{service}: runs as {arns}, announced as {announced.get(service)}")
    evidence.write("operate/daemons_ready.json", {
        "captured_at_utc": now(), "phase_id": "P2", "scenario_run_id": config.scenario_run_id,
        "packs": ["control_ingress", "rtdl_core", "decision_lane", "case_labels", "obs_gov"],
        "services": services,
        "run_scope": {"key": "REQUIRED_PLATFORM_RUN_ID", "value": config.platform_run_id}})
    return wrong


def ask(place, method, path, headers=None, body=b"{}"):
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=15)
    try:
        connection.request(method, path, body if method == "POST" else None, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def gate_ready(config):
    evidence, place = Evidence(config), urlsplit(config.handle("IG_BASE_URL"))
    with open(config.handle("IG_TOKEN_FILE"), encoding="utf-8") as file:
        token = {"Authorization": f"Bearer {file.read().strip()}"}
    health, told = ask(place, "GET", "/v1/ops/health")
    stranger, _ = ask(place, "POST", "/v1/ingest/push")
    bogus, _ = ask(place, "POST", "/v1/ingest/push", {"Authorization": "Bearer not-the-token-not-the-token"})
    friend, smoke = ask(place, "POST", "/v1/ops/smoke", token)
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_ARCHIVE_BUCKET"))
    key = f"smoke/{config.platform_run_id}.txt"
    bucket.put(key, config.platform_run_id.encode())
    stored = bucket.get(key) == config.platform_run_id.encode()
    connection = database.connect(config)
    with connection, connection.cursor() as cursor:
        arn = one(cursor, "select task_arn from service_status where platform_run_id = %s and service = 'ig'", (config.platform_run_id,))
    evidence.write("ingest/ig_ready.json", {
        "phase_id": "P4", "scenario_run_id": config.scenario_run_id,
        "task_arn": arn,
        "health": {"status": told.get("status", "DOWN"), "http_status": health,
                   "url": config.handle("IG_BASE_URL") + "/v1/ops/health"},
        "auth": {"unauthenticated_status": stranger, "bogus_status": bogus, "authenticated_status": friend},
        "kafka_smoke": {name: smoke[name] for name in ("topic", "partition", "offset")},
        "s3_smoke_key": f"s3://{bucket.name}/{key}"})
    wrong = []
    if (health, stranger, bogus, friend) != (200, 401, 401, 200):
        wrong.append(f"the gate answers health {health}, strangers {stranger}, a wrong token {bogus}, its client {friend}")
    if not stored:
        wrong.append("the archive bucket did not give back what was put there")
    return wrong


def ranges(connection, config, topics):
    """Rows {topic, partition, start_offset, end_offset}: the run's part, without end_offset."""
    with connection, connection.cursor() as cursor:
        cursor.execute("select topic, partition, start_offset from run_offset where platform_run_id = %s "
                       "and topic = any(%s) order by 1, 2", (config.platform_run_id, topics))
        starts = cursor.fetchall()
    ends = bus.watermarks(config, topics)
    return [{"topic": t, "partition": p, "start_offset": start, "end_offset": ends[t, p]} for t, p, start in starts]


def sampled(config, row):
    """The first and the last record of a range: do they carry our run's id?"""
    start, end = row["start_offset"], row["end_offset"]
    picks = sorted({start, end - 1}) if end > start else []
    events = [next(bus.read_range(config, row["topic"], row["partition"], at, at + 1))[1] for at in picks]
    return {**row, "timestamp_utc": now(), "sampled_records": len(events),
            "sampled_run_id_match": all(e.get("platform_run_id") == config.platform_run_id for e in events)}


def receipts_of(connection, config):
    """The run's receipts in the order they were given, streamed by a cursor of the server's."""
    with connection, connection.cursor(name="receipts") as cursor:
        cursor.itersize = 2000
        cursor.execute("select body from receipt where platform_run_id = %s order by seq", (config.platform_run_id,))
        for (body,) in cursor:
            yield json.loads(body)


def ingest(config):
    evidence, connection = Evidence(config), database.connect(config)
    mine, shared = (config.platform_run_id,), {"phase_id": "P7", "scenario_run_id": config.scenario_run_id}
    where = "from receipt where platform_run_id = %s"
    with connection, connection.cursor() as cursor:
        outcome = counted(cursor, f"select decision, count(*) {where} group by 1", mine)
        states = counted(cursor, "select state, count(*) from admission where platform_run_id = %s group by 1", mine)
        reasons = counted(cursor, f"select unnest(reason_codes), count(*) {where} group by 1", mine)
        summary = {
            **shared, "total": sum(outcome.values()),
            "by_outcome": {name: outcome.get(name, 0) for name in ("ADMIT", "DUPLICATE", "QUARANTINE")},
            "by_event_class": counted(cursor, f"select event_class, count(*) {where} group by 1", mine),
            "by_event_type": counted(cursor, f"select event_type, count(*) {where} group by 1", mine),
            "by_reason_code": reasons,
            "admission_states": {name: states.get(name, 0) for name in ("PUBLISH_IN_FLIGHT", "PUBLISH_AMBIGUOUS", "ADMITTED")}}
    receipts, exported = evidence.write_lines("ingest/receipts.jsonl", receipts_of(connection, config))
    evidence.write("ingest/receipt_summary.json", {**summary, "digests": {"receipts": receipts["sha256"]}})
    records = [json.loads(evidence.root.get(key)) for key in sorted(evidence.root.keys(evidence.ref("ig/quarantine/")))]
    by_reason = {}
    for reason in (reason for record in records for reason in record["reason_codes"]):
        by_reason[reason] = by_reason.get(reason, 0) + 1
    for record in records:
        record.pop("written_at_utc")
    listed, _ = evidence.write_lines("ig/quarantine.jsonl", records)
    evidence.write("ingest/quarantine_summary.json", {
        **shared, "total": len(records), "by_reason_code": by_reason, "record_refs": [listed]})
    evidence.write("ingest/kafka_offsets_snapshot.json", {
        **shared, "partitions": [sampled(config, row) for row in ranges(connection, config, INGEST_TOPICS)]})
    wrong = [f"{n} events are {state}" for state, n in states.items() if state != "ADMITTED"]
    if reasons.get("PUBLISH_AMBIGUOUS"):
        wrong.append(f"{reasons['PUBLISH_AMBIGUOUS']} receipts say PUBLISH_AMBIGUOUS")
    if not outcome.get("ADMIT"):
        wrong.append("nothing was admitted: an empty basis is no basis")
    if exported != summary["total"] or len(records) != summary["by_outcome"]["QUARANTINE"]:
        wrong.append("the exported receipts or quarantine records do not add up to the receipts")
    return wrong


def wait_until_caught_up(config, groups, limit, seconds=600):
    """Waits for one group after another: a later one reads what an earlier one writes."""
    deadline, rows = time.monotonic() + seconds, []
    for group in groups:
        while True:
            behind = bus.lag(config, group, TOPICS_OF[group])
            if sum(row["lag"] for row in behind) <= limit:
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"{group} is behind by {sum(row['lag'] for row in behind)} records")
            time.sleep(0.2)
        rows += [{"consumer_group_id": group, **row} for row in behind]
    return rows


def core(config):
    evidence, connection = Evidence(config), database.connect(config)
    shared = {"phase_id": "P8", "scenario_run_id": config.scenario_run_id}
    rows = wait_until_caught_up(config, CORE, config.settings["rtdl_caught_up_lag_max"])
    # Behind by a little is caught up; but nothing may be on its way while the archive is counted.
    wait_until_caught_up(config, ["rtdl-core-archive-writer", "decision-lane-df"], 0)
    with connection, connection.cursor() as cursor:
        degraded = counted(cursor, "select degraded, count(*) from decision where platform_run_id = %s group by 1", (config.platform_run_id,))
        cursor.execute("select topic, partition, next_offset, records, objects from archive_progress "
                       "where platform_run_id = %s order by 1, 2", (config.platform_run_id,))
        progress = [dict(zip(("topic", "partition", "next_offset", "records", "objects"), row)) for row in cursor.fetchall()]
    evidence.write("rtdl_core/caught_up.json", {
        **shared, "lag_max": max(row["lag"] for row in rows), "lag_total": sum(row["lag"] for row in rows),
        "partitions": [{"topic": r["topic"], "partition": r["partition"], "consumer_group_id": r["consumer_group_id"],
                        "committed_offset": r["committed"], "end_offset": r["watermark_high"], "lag": r["lag"]} for r in rows],
        "degrade_counts": {"normal": degraded.get("False", 0), "degraded": degraded.get("True", 0)}})
    starts = {(r["topic"], r["partition"]): r["start_offset"] for r in ranges(connection, config, INGEST_TOPICS)}
    evidence.write("rtdl_core/offsets_snapshot.json", {
        **shared, "partitions": [{
            "topic": r["topic"], "partition": r["partition"], "consumer_group_id": r["consumer_group_id"],
            "start_offset": starts[r["topic"], r["partition"]], "end_offset": r["committed"],
            "timestamp_utc": now()} for r in rows]})
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_ARCHIVE_BUCKET"))
    objects = sorted(bucket.keys(f"archive/{config.platform_run_id}/"))
    evidence.write("rtdl_core/archive_progress.json", {
        **shared, "progress": progress, "archive_root": f"s3://{bucket.name}/archive/{config.platform_run_id}/",
        "commit_policy": "commit_after_durable_write",
        "counts": {"objects": len(objects), "records": sum(row["records"] for row in progress)}})
    wrong = [] if len(objects) == sum(row["objects"] for row in progress) else ["the archive's objects are not those that its progress counts"]
    return wrong + ([] if progress else ["nothing was archived"])


def decisions(config):
    wait_until_caught_up(config, DECISION, 0)
    evidence, connection = Evidence(config), database.connect(config)
    mine, shared = (config.platform_run_id,), {"phase_id": "P9", "scenario_run_id": config.scenario_run_id}
    with connection, connection.cursor() as cursor:
        decided = counted(cursor, "select decision, count(*) from decision where platform_run_id = %s group by 1", mine)
        degraded = one(cursor, "select count(*) from decision where platform_run_id = %s and degraded", mine)
        acted = counted(cursor, "select action_type, count(*) from action where platform_run_id = %s group by 1", mine)
        noted = counted(cursor, "select kind, count(*) from audit where platform_run_id = %s group by 1", mine)
    total = sum(decided.values())
    evidence.write("decision_lane/decision_summary.json", {**shared, "counts": {"decision": total, "degraded": degraded}, "by_kind": decided})
    evidence.write("decision_lane/action_summary.json", {**shared, "counts": {"outcome": sum(acted.values())}, "by_kind": acted})
    evidence.write("decision_lane/audit_summary.json", {
        **shared, "counts": {"audit_append": sum(noted.values())}, "by_kind": noted,
        "offset_ranges": ranges(connection, config, [RTDL, AUDIT])})
    if not total:
        return ["nothing was decided: an empty basis is no basis"]
    return [] if total == sum(acted.values()) == noted.get("decision") == noted.get("outcome") else ["decisions, actions and audit do not agree"]


def cases(config):
    wait_until_caught_up(config, CASES, 0)
    evidence, connection = Evidence(config), database.connect(config)
    mine, shared = (config.platform_run_id,), {"phase_id": "P10", "scenario_run_id": config.scenario_run_id}
    with connection, connection.cursor() as cursor:
        opened = counted(cursor, "select opened_for, count(*) from case_record where platform_run_id = %s group by 1", mine)
        entries = one(cursor, "select count(*) from case_timeline where platform_run_id = %s", mine)
        said = counted(cursor, "select label, count(*) from label where platform_run_id = %s group by 1", mine)
    evidence.write("case_labels/case_summary.json", {
        **shared, "counts": {"case": sum(opened.values()), "timeline": entries}, "by_kind": opened,
        "offset_ranges": ranges(connection, config, [TRIGGERS])})
    evidence.write("case_labels/label_summary.json", {
        **shared, "counts": {"label": sum(said.values())}, "by_kind": said, "offset_ranges": ranges(connection, config, [LABELS])})
    return [] if opened and said else ["no case or no label: an empty basis is no basis"]
