"""Runs with a fault in them. A drill says how many faults it injected, of how many it saw that they
took place, and what held afterwards; a fault that did not take place is no drill."""

import json
import os
import sys
import time

import psycopg2
from eventplatform import bus, database, source
from eventplatform.config import OUTPUTS, Multiset
from eventplatform.database import counted, one
from eventplatform.replay import section
from eventplatform.store import Bucket, Evidence
from supervisor.resources import HERE, free_port, listens
from supervisor.roles import Role
from supervisor.steps import (
    Blocked, config_of, config_path, daemons_ready, once, run, service, start_daemons, step_oracle,
    stop_daemons, wait_ready)

AGAIN = ["decision-lane-df", "decision-lane-al", "decision-lane-dla", "case-trigger", "case-mgmt", "label-store"]


def finish(lab, run_id, drill, fault, checks, more):
    """Writes the report of the drill, and what it rests on beside it."""
    evidence = Evidence(config_of(lab, run_id))
    passed = fault["injected"] > 0 and fault["injected"] == fault["took_place"] and all(checks.values())
    evidence.write(f"drills/{drill}_basis.json", {"scenario_run_id": evidence.config.scenario_run_id, **more})
    report = {
        "scenario_run_id": evidence.config.scenario_run_id, "drill": drill,
        "status": "PASS" if passed else "FAIL", "fault": fault, "checks": checks,
        "evidence_refs": [evidence.pinned(f"drills/{drill}_basis.json")]}
    evidence.write(f"drills/{drill}.json", report)
    return {"platform_run_id": run_id, **report, "basis": more}


def outcome_of(lab, run_id, name):
    """(exit code, what it said) of a role that may well refuse."""
    try:
        return 0, once(lab, run_id, name)
    except Blocked as blocked:
        return blocked.code, {"refused": blocked.said}


def audit_rows(config):
    """Count and sums of the audit, as it stands."""
    sums, connection = Multiset(), database.connect(config)
    with connection, connection.cursor() as cursor:
        cursor.execute("select seq::text, kind, event_id, body from audit where platform_run_id = %s", (config.platform_run_id,))
        for row in cursor:
            sums.add("\t".join(row).encode())
    connection.close()
    return sums.sums()


def change_is_refused(config, statement):
    """Tries to change base truth, and says whether the database refused."""
    connection = database.connect(config)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.errors.RaiseException as error:
        return "APPEND_ONLY" in str(error)
    finally:
        connection.close()
    return False


def prepare(lab, run_id, say, gate=None):
    """P1 to P5 of a run; `gate` is another configuration file for the gate alone."""
    once(lab, run_id, "pin")
    start_daemons(lab, run_id, {"ig": gate} if gate else {})
    daemons_ready(lab, run_id)
    step_oracle(lab, run_id)
    once(lab, run_id, "gate-ready")
    once(lab, run_id, "ready")
    say(f"{run_id} is ready")


def wait_until(what, seconds=120):
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit("the drill waited in vain")
        time.sleep(0.2)


def deduped(config):
    connection = database.connect(config)
    with connection, connection.cursor() as cursor:
        found = counted(cursor, "select service, n from service_count where platform_run_id = %s and name = 'deduped'", (config.platform_run_id,))
    connection.close()
    return found


def duplicate(lab, run_id, say, fault=True):
    """The same events twice at the gate; then the decision lane and the cases are made to read all
    of their topics again, as after a crash before the commit of their offsets."""
    config = config_of(lab, run_id)
    prepare(lab, run_id, say)
    streamed = once(lab, run_id, "stream", "--passes", "2" if fault else "1")
    say(f"streamed: {streamed}")
    once(lab, run_id, "ingest-committed")
    once(lab, run_id, "core-caught-up")
    once(lab, run_id, "decisions-committed")
    once(lab, run_id, "cases-committed")
    before, first = audit_rows(config), once(lab, run_id, "meaning")
    connection = database.connect(config)
    with connection, connection.cursor() as cursor:
        decided = one(cursor, "select count(*) from decision where platform_run_id = %s", (run_id,))
        opened = one(cursor, "select count(*) from case_record where platform_run_id = %s", (run_id,))
    lab.tasks.stop(AGAIN)
    for name in AGAIN:
        service(lab, run_id, name, "--again")
    wait_ready(lab, run_id, AGAIN)
    must = {"decision-lane-df": decided, "decision-lane-al": decided, "decision-lane-dla": 2 * decided, "case-mgmt": opened}
    wait_until(lambda: all(deduped(config).get(name, 0) >= n for name, n in must.items()))
    again = deduped(config)
    closed = outcome_of(lab, run_id, "report")
    stop_daemons(lab)
    with connection, connection.cursor() as cursor:
        receipts = counted(cursor, "select decision, count(*) from receipt where platform_run_id = %s group by 1", (run_id,))
        actions = one(cursor, "select count(*) from action where platform_run_id = %s", (run_id,))
        double = one(cursor, "select count(*) from (select 1 from action where platform_run_id = %s group by event_id having count(*) > 1) d", (run_id,))
        cases = one(cursor, "select count(*) from case_record where platform_run_id = %s", (run_id,))
        timeline = one(cursor, "select count(*) from case_timeline where platform_run_id = %s", (run_id,))
    sections = {name: section(connection, name, run_id) for name in ("actions", "cases", "decisions", "labels")}
    after = audit_rows(config)
    sent_again = config.settings["events"]
    return finish(lab, run_id, "duplicate", {
        "kind": "each event sent twice, and each topic of the lane read twice",
        "injected": sent_again, "took_place": receipts.get("DUPLICATE", 0)}, {
        "duplicate_receipts_present": receipts.get("DUPLICATE", 0) == sent_again == receipts.get("ADMIT", 0),
        "topics_read_again": all(again.get(name, 0) >= n > 0 for name, n in must.items()),
        "no_double_actions": double == 0 and actions == decided,
        "no_duplicate_case_records": cases == opened == timeline,
        "audit_append_only_preserved": before == after and change_is_refused(config, "update audit set body = ''"),
        "closed_all_the_same": closed[0] == 0,
        "same_meaning": all(first["sections"][name] == found for name, found in sections.items())},
        {"receipts": receipts, "deduped": again, "audit_before": before, "audit_after": after, "semantic_digest": first["semantic_digest"]})


def copies_on_bus(config, topic, event_id):
    """How often the bus holds an event."""
    found = 0
    for (name, partition), end in bus.watermarks(config, [topic]).items():
        found += sum(event.get("event_id") == event_id and event.get("platform_run_id") == config.platform_run_id
                     for _, event in bus.read_range(config, name, partition, 0, end))
    return found


def envelope_of(config, event_id):
    """The event of this id, made once more from the stream views."""
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_OBJECT_STORE_BUCKET"))
    for output in OUTPUTS:
        for _, _, row in source.rows(config, bucket, output):
            event = source.envelope(config, output, row)
            if event["event_id"] == event_id:
                return event
    raise SystemExit(f"{event_id} is in no stream view")


def post_once(config, event_id):
    """What the gate answers to this event, sent once more."""
    gate = source.Gate(config)
    try:
        return gate.post(envelope_of(config, event_id))[1]
    finally:
        gate.close()


def start_cable(lab, at):
    """A cable between the gate and the broker, which loses the answer to the given request."""
    port, report = free_port(), lab.path("cut.json")
    if os.path.exists(report):
        os.unlink(report)
    broker = lab.handles["KAFKA_BOOTSTRAP"].rsplit(":", 1)[1]
    lab.processes.start("cable", [sys.executable, "-m", "supervisor.cut", "--port", str(port), "--broker", broker,
                                  "--at", str(at), "--report", report], {**os.environ, "PYTHONPATH": str(HERE)})
    wait_until(lambda: listens(f"127.0.0.1:{port}"), 20)
    return f"127.0.0.1:{port}"


def gate_config(lab, run_id, bootstrap):
    """The run's configuration, but with the cable where the broker is; for the gate alone."""
    body = lab.read(f"runs/{run_id}.json")
    body["handles"]["KAFKA_BOOTSTRAP"] = bootstrap
    lab.save("cable.json", body)
    return lab.path("cable.json")


def ambiguous_publish(lab, run_id, say, fault=True):
    """The broker has the record, and its answer never reaches the gate."""
    config = config_of(lab, run_id)
    # The gate's first Produce request is the smoke test; the cut comes in the middle of the stream.
    bootstrap = start_cable(lab, 1 + max(2, config.settings["events"] // 2) if fault else 10**9)
    try:
        prepare(lab, run_id, say, gate_config(lab, run_id, bootstrap))
        streamed = once(lab, run_id, "stream")
        say(f"streamed: {streamed}")
        cut = lab.read("cut.json")
        connection = database.connect(config)
        with connection, connection.cursor() as cursor:
            cursor.execute("select event_class, event_id, topic from admission where platform_run_id = %s and state = 'PUBLISH_AMBIGUOUS'", (run_id,))
            unclear = cursor.fetchall()
        event_id, topic = (unclear[0][1], unclear[0][2]) if unclear else ("none", "none")
        held = copies_on_bus(config, topic, event_id) if unclear else 0
        retried = post_once(config, event_id) if unclear else {}
        held_after = copies_on_bus(config, topic, event_id) if unclear else 0
        committed = outcome_of(lab, run_id, "ingest-committed")
        for name in ("core-caught-up", "decisions-committed", "cases-committed"):
            outcome_of(lab, run_id, name)
        closed = outcome_of(lab, run_id, "report")
    finally:
        stop_daemons(lab)
        lab.processes.stop(["cable"])
    evidence = Evidence(config)
    blockers = json.loads(closed[1]["refused"])["blockers"] if closed[0] == 5 else []
    summary = evidence.read("ingest/receipt_summary.json")
    return finish(lab, run_id, "ambiguous_publish", {
        "kind": "connection cut after the broker answered and before the gate heard it",
        "injected": 1, "took_place": int(cut is not None and len(unclear) == 1 and held == 1)}, {
        "quarantined_as_ambiguous": len(unclear) == 1 and summary["by_reason_code"].get("PUBLISH_AMBIGUOUS") == 1
        and summary["admission_states"]["PUBLISH_AMBIGUOUS"] == 1 and streamed.get("QUARANTINE") == 1,
        "retry_rejected": retried.get("reason_codes") == ["PUBLISH_AMBIGUOUS_RETRY"],
        "not_published_again": held == held_after == 1,
        "others_admitted": streamed.get("ADMIT") == streamed["sent"] - 1,
        "gate_closed": committed[0] == 5 and closed[0] == 5 and blockers == [
            "PUBLISH_AMBIGUOUS: 1 events", "PUBLISH_AMBIGUOUS: 1 receipts"]
        and evidence.digest("run_completed.json") is None},
        {"cut": cut, "event_id": event_id, "topic": topic, "copies_on_bus": held_after, "retry": retried.get("reason_codes"),
         "ingest_committed": committed[0], "report": closed[0], "blockers": blockers})


def reporter(lab, run_id, *more):
    return lab.tasks.job(Role("report", config_path(lab, run_id), run_id, more))


def second_writer(lab, run_id, say, fault=True):
    """A second reporter while the first one works, and a third one when all is done."""
    config = config_of(lab, run_id)
    run(lab, run_id, say, until="cases")
    evidence, key = Evidence(config), f"reporter:{run_id}"
    connection = database.connect(config)
    connection.autocommit = True
    cursor = connection.cursor()
    with reporter(lab, run_id, "--hold-seconds", "6") as first:
        if not fault:
            first.wait(timeout=120)
        wait_until(lambda: one(cursor, "select count(*) from writer_lease where lock_key = %s", (key,)) == 1, 30)
        holder = one(cursor, "select holder from writer_lease where lock_key = %s", (key,))
        with reporter(lab, run_id) as second:
            second_said, _ = second.communicate(timeout=60)
        overlapped = first.poll() is None
        first_said, _ = first.communicate(timeout=120)
    third = outcome_of(lab, run_id, "report")
    stop_daemons(lab)
    conflicts = sorted(evidence.root.keys(evidence.ref("obs/conflict/")))
    generation = one(cursor, "select generation from writer_lease where lock_key = %s", (key,))
    reports = one(cursor, "select count(*) from governance_event where platform_run_id = %s and family = 'RUN_REPORT_GENERATED'", (run_id,))
    conflict = json.loads(evidence.root.get(conflicts[0])) if conflicts else {}
    basis = evidence.read("obs/run_report.json")["basis"] if evidence.digest("obs/run_report.json") else {}
    return finish(lab, run_id, "second_writer", {
        "kind": "a second reporter while the first holds the lock",
        "injected": 1, "took_place": int(overlapped and second.returncode == 3)}, {
        "refused_by_lock": second.returncode == 3 and "REPORTER_LOCK_HELD" in second_said,
        "conflict_recorded": conflicts == [evidence.ref("obs/conflict/1.json")] and conflict.get("lock_key") == key
        and conflict["held_by"] == {"generation": 1, "holder": holder},
        "one_writer": first.returncode == 0 and reports == 1 and basis.get("writer_generation") == 1
        and evidence.digest("run_completed.json") is not None,
        "third_refused": third[0] == 5},
        {"conflict": conflicts, "first": first.returncode, "second": second.returncode, "third": third[0],
         "generations": generation, "first_said": first_said.strip()})


DRILLS = {"duplicate": duplicate, "ambiguous_publish": ambiguous_publish, "second_writer": second_writer}
