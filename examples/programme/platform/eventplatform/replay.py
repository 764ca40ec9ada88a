"""Reads a run again and says what it meant.

`replay` takes nothing but the evidence and the bus (or the archive): from the anchors to the ends in
the snapshot that they name. `replay_exported` does so when all else is gone. `meaning` digests what the run came to, over the tables.

A semantic digest covers, as multisets: the admitted events (event_class, event_id, payload hash),
the decisions (event_id, decision, degraded), the actions, the cases and the labels. It leaves out
what two runs that mean the same may differ in: run ids, times, offsets, partitions, order,
duplicates and receipts' ids.
"""

import json

from eventplatform import bus, database
from eventplatform.config import Multiset, canonical, sha256
from eventplatform.exported import NotAsItWas
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


def from_archive(bucket, run_id, rows):
    for row in rows:
        expected = row["start_offset"]
        for key in sorted(bucket.keys(f"archive/{run_id}/topic={row['topic']}/partition={row['partition']}/")):
            for text in bucket.lines(key):
                entry = json.loads(text)
                if entry["offset"] != expected:
                    raise NotAsItWas(f"{key}: offset {expected} is missing")
                expected += 1
                yield entry["record"]
        if expected != row["end_offset"]:
            raise NotAsItWas(f"the archive of {row['topic']}/{row['partition']} ends at {expected}, not {row['end_offset']}")


def pinned(evidence, refs, path):
    """The file, which must be the one that a reference pins."""
    digest = next((ref["sha256"] for ref in refs if ref["ref"].endswith(path)), None)
    if digest is None or evidence.digest(path) != digest:
        raise NotAsItWas(f"{path} is not the one that the run was closed with")
    return evidence.read(path)


def ranges(evidence):
    """From where to where the run goes: the closure pins the anchors, and they the snapshot."""
    closure = evidence.read("run_completed.json")
    if closure is None:
        raise NotAsItWas("run_completed.json is missing: the run is not closed")
    anchors = pinned(evidence, closure["closure_refs"].values(), "obs/replay_anchors.json")
    snapshot = pinned(evidence, anchors["source_refs"], "ingest/kafka_offsets_snapshot.json")
    ends = {(row["topic"], row["partition"]): row["end_offset"] for row in snapshot["partitions"]}
    return [{"topic": a["topic"], "partition": a["partition"], "start_offset": a["offset"], "end_offset": ends[a["topic"], a["partition"]]}
            for a in anchors["anchors"]["ingest"]]


def compare(evidence, run_id, source, events):
    """Counts and digest of the admitted events, read again. They must be those of the run."""
    sums, foreign = Multiset(), 0
    for event in events:
        if event["platform_run_id"] != run_id:
            foreign += 1
            continue
        sums.add(line(event["event_class"], event["event_id"], payload_hash(event)))
    admitted = evidence.read("ingest/receipt_summary.json")["by_outcome"]["ADMIT"]
    known = evidence.read("certification/semantic_digest.json")
    if known is None:
        raise NotAsItWas("certification/semantic_digest.json is missing: nothing says what the run meant")
    same = sums.count == admitted and sums.sums() == known["sections"]["admitted"]
    return {"source": source, "admitted": admitted, "foreign": foreign, **sums.sums(), "status": "PASS" if same and not foreign else "FAIL"}


def replay(config, source):
    evidence = Evidence(config)
    rows = ranges(evidence)
    if source == "bus":
        events = from_bus(config, rows)
    else:
        events = from_archive(Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_ARCHIVE_BUCKET")), config.platform_run_id, rows)
    result = compare(evidence, config.platform_run_id, source, events)
    evidence.write(f"certification/replay_{source}.json", {"scenario_run_id": config.scenario_run_id, **result})
    return result


def replay_exported(evidence, endpoint):
    """The same with the exported evidence and the archive that it names, and with nothing else."""
    progress = evidence.read("rtdl_core/archive_progress.json")
    if progress is None:
        raise NotAsItWas("rtdl_core/archive_progress.json is missing: nothing says where the archive is")
    name = progress["archive_root"].removeprefix("s3://").partition("/")[0]
    bucket = Bucket(endpoint, name)
    try:
        found = compare(evidence, evidence.run_id, "archive", from_archive(bucket, evidence.run_id, ranges(evidence)))
    except bucket.s3.exceptions.ClientError as error:
        raise NotAsItWas(f"the archive s3://{name} cannot be read: {error}") from error
    known = evidence.read("certification/semantic_digest.json")["sections"]["admitted"]
    return {"platform_run_id": evidence.run_id, "archive": f"s3://{name}", "run": known, **found}
