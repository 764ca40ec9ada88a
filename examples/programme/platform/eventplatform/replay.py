"""Reads a run again and says what it meant.

`replay` takes nothing but the exported evidence and the bus (or the archive): from the anchors to
the ends in the snapshot that they name. `meaning` digests what the run came to, over the tables.

A semantic digest covers, as multisets: the admitted events (event_class, event_id, payload hash),
the decisions (event_id, decision, degraded), the actions, the cases and the labels. It leaves out
what two runs that mean the same may differ in: run ids, times, offsets, partitions, order,
duplicates and receipts' ids.
"""

import json

from eventplatform import bus, database
from eventplatform.config import Multiset, canonical, sha256
from eventplatform.gate import payload_hash
from eventplatform.store import Bucket, Evidence

SECTIONS = {
    "admitted": "select event_class, event_id, payload_hash from admission where platform_run_id = %s and state = 'ADMITTED'",
    "decisions": "select event_id, decision, degraded::text from decision where platform_run_id = %s",
    "actions": "select event_id, action_type, outcome from action where platform_run_id = %s",
    "cases": "select event_class, event_id, opened_for from case_record where platform_run_id = %s",
    "labels": "select event_id, label from label where platform_run_id = %s",
}


def line(*fields):
    """One row: its fields with tabs between them, and nothing at the end."""
    return "\t".join(fields).encode()


def section(connection, name, run_id):
    sums = Multiset()
    with connection, connection.cursor(name=name) as cursor:
        cursor.itersize = 5000
        cursor.execute(SECTIONS[name], (run_id,))
        for row in cursor:
            sums.add(line(*row))
    return sums.sums()


def meaning(config):
    connection = database.connect(config)
    sections = {name: section(connection, name, config.platform_run_id) for name in SECTIONS}
    found = {"sections": sections, "semantic_digest": sha256(canonical(sections))}
    Evidence(config).write("certification/semantic_digest.json", {
        "scenario_run_id": config.scenario_run_id, "config_digest": config.config_digest, **found})
    return found


def from_bus(config, rows):
    for row in rows:
        for _, event in bus.read_range(config, row["topic"], row["partition"], row["start_offset"], row["end_offset"]):
            yield event


def from_archive(config, rows):
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_ARCHIVE_BUCKET"))
    for row in rows:
        expected = row["start_offset"]
        for key in sorted(bucket.keys(f"archive/{config.platform_run_id}/topic={row['topic']}/partition={row['partition']}/")):
            for text in bucket.lines(key):
                entry = json.loads(text)
                if entry["offset"] != expected:
                    raise SystemExit(f"{key}: offset {expected} is missing")
                expected += 1
                yield entry["record"]
        if expected != row["end_offset"]:
            raise SystemExit(f"the archive of {row['topic']}/{row['partition']} ends at {expected}, not {row['end_offset']}")


def replay(config, source):
    """Counts and digest of the admitted events, read again. They must be those of the summary."""
    evidence = Evidence(config)
    anchors = evidence.read("obs/replay_anchors.json")
    named = next(ref for ref in anchors["source_refs"] if ref["ref"].endswith("kafka_offsets_snapshot.json"))
    if evidence.digest("ingest/kafka_offsets_snapshot.json") != named["sha256"]:
        raise SystemExit("the snapshot is not the one that the anchors come from")
    ends = {(r["topic"], r["partition"]): r["end_offset"] for r in evidence.read("ingest/kafka_offsets_snapshot.json")["partitions"]}
    rows = [{"topic": a["topic"], "partition": a["partition"], "start_offset": a["offset"], "end_offset": ends[a["topic"], a["partition"]]}
            for a in anchors["anchors"]["ingest"]]
    sums, foreign = Multiset(), 0
    for event in {"bus": from_bus, "archive": from_archive}[source](config, rows):
        if event["platform_run_id"] != config.platform_run_id:
            foreign += 1
            continue
        sums.add(line(event["event_class"], event["event_id"], payload_hash(event)))
    admitted = evidence.read("ingest/receipt_summary.json")["by_outcome"]["ADMIT"]
    known = evidence.read("certification/semantic_digest.json")
    same = sums.count == admitted and (known is None or sums.sums() == known["sections"]["admitted"])
    result = {"source": source, "admitted": admitted, "foreign": foreign, **sums.sums(), "status": "PASS" if same and not foreign else "FAIL"}
    evidence.write(f"certification/replay_{source}.json", {"scenario_run_id": config.scenario_run_id, **result})
    return result
