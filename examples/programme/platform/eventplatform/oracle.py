"""The oracle lane. `world` stands for the engine outside that makes the data; `seed` copies its
outputs from S3 to S3 on the server's side; `sort` makes a stream view per output, in time order,
with a receipt; `check` reads every view again and fails closed.

A sort is valid when it changed the order and nothing else: count and order-independent sums over
row hashes are equal before and after.
"""

import json
import random

from eventplatform.config import OUTPUTS, Multiset, canonical, now, sha256
from eventplatform.store import Bucket, Evidence

ROWS_PER_PART = 5000
SORT_KEYS = ["ts_utc", "flow_id", "event_seq"]


def stamp(millis):
    seconds, rest = divmod(millis, 1000)
    hours, left = divmod(seconds, 3600)
    minutes, seconds = divmod(left, 60)
    day, hours = divmod(hours, 24)
    return f"2026-01-{1 + day % 28:02}T{hours:02}:{minutes:02}:{seconds:02}.{rest:03}Z"


def flow_rows(number, seed, extra):
    """The rows of one flow: arrival, entities, anchor, then its traffic. Same seed, same rows."""
    dice = random.Random(f"{seed}/{number}")
    flow_id = sha256(f"{seed}/flow/{number}".encode())[:16]
    start = number * 40
    amount = dice.randrange(100, 200_000)
    fraud = number == 0 or dice.random() < 0.2  # at least one, or the case lane has an empty basis
    entities = {kind: f"{kind}-{dice.randrange(1, 5000):05}" for kind in ("party", "account", "device")}
    yield "arrival_events_5B", {
        "flow_id": flow_id, "event_seq": 0, "ts_utc": stamp(start), "merchant_id": f"m-{dice.randrange(500):03}"}
    yield "s1_arrival_entities_6B", {
        "flow_id": flow_id, "event_seq": 1, "ts_utc": stamp(start + 5), **entities}
    yield "s3_flow_anchor_with_fraud_6B", {
        "flow_id": flow_id, "event_seq": 2, "ts_utc": stamp(start + 10), "amount_minor": amount, "fraud_flag": fraud}
    for turn in range(1 + extra):
        yield "s3_event_stream_with_fraud_6B", {
            "flow_id": flow_id, "event_seq": 3 + turn, "ts_utc": stamp(start + 15 + turn),
            "amount_minor": amount, "risk": round(0.9 if fraud else dice.random() * 0.7, 3)}


def world(config):
    """Writes the raw outputs, out of order, where the engine outside would have left them."""
    events, seed = config.settings["events"], config.settings["seed"]
    if events < 4:
        raise SystemExit("a flow has four events: ask for 4 or more")
    rows = {output: [] for output in OUTPUTS}
    flows, extra = divmod(events, 4)
    for number in range(flows):
        for output, row in flow_rows(number, seed, extra if number == 0 else 0):
            rows[output].append(canonical(row))
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_SOURCE_BUCKET"))
    for output, lines in rows.items():
        random.Random(f"{seed}/{output}").shuffle(lines)
        for part, begin in enumerate(range(0, len(lines), ROWS_PER_PART)):
            body = b"\n".join(lines[begin:begin + ROWS_PER_PART]) + b"\n"
            bucket.put(f"{config.oracle_path}/output_id={output}/part-{part:05}.jsonl", body)
    return {output: len(lines) for output, lines in rows.items()}


def seed(config):
    """Copies from S3 to S3. A source that is not in S3 is refused: there is no local way in."""
    evidence = Evidence(config)
    source_uri = config.handle("ORACLE_SOURCE_URI")
    if not source_uri.startswith("s3://"):
        raise SystemExit(f"ORACLE_SOURCE_URI must be in S3, not {source_uri}")
    source = Bucket(config.handle("S3_ENDPOINT"), source_uri[len("s3://"):])
    target = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_OBJECT_STORE_BUCKET"), source.s3)
    copies = []
    for output in sorted(OUTPUTS):
        for key in sorted(source.keys(f"{config.oracle_path}/output_id={output}/")):
            into = key.replace(f"{config.oracle_path}/", f"{config.oracle_path}/inputs/", 1)
            etag = target.copy_from(source.name, key, into)
            copies.append({"output_id": output, "source": f"s3://{source.name}/{key}",
                           "target": f"s3://{target.name}/{into}", "etag": etag, "how": "CopyObject"})
    if not copies:
        raise SystemExit(f"{source_uri}/{config.oracle_path} holds nothing")
    evidence.write("oracle/seed_snapshot.json", {
        "phase_id": "P3", "scenario_run_id": config.scenario_run_id, "source_uri": source_uri,
        "copies": copies, "counts": {"objects": len(copies)}, "status": "PASS"})
    return {"objects": len(copies)}


def stats_of(lines):
    """Counts and sums of rows, with the earliest and latest time."""
    sums, first, last = Multiset(), None, None
    for line in lines:
        sums.add(line)
        at = json.loads(line)["ts_utc"]
        first = at if first is None or at < first else first
        last = at if last is None or at > last else last
    return {**sums.sums(), "min_ts_utc": first, "max_ts_utc": last}


def sort_key(line):
    row = json.loads(line)
    return tuple(row[key] for key in SORT_KEYS)


def sort_output(config, bucket, output):
    inputs = sorted(bucket.keys(f"{config.oracle_path}/inputs/output_id={output}/"))
    lines = [line for key in inputs for line in bucket.lines(key)]
    if not lines:
        raise SystemExit(f"STREAM_VIEW_EMPTY: {output} has no rows")
    locator = sha256(canonical([[key, sha256(bucket.get(key))] for key in inputs]))
    view = config.view_path(output)
    view_id = sha256(canonical([config.oracle_path, output, SORT_KEYS, locator]))[:32]
    before = bucket.get(f"{view}/_stream_view_manifest.json")
    if before and json.loads(before)["stream_view_id"] != view_id:
        raise SystemExit(f"STREAM_VIEW_ID_MISMATCH: {output} was sorted from other rows")
    raw = stats_of(lines)
    lines.sort(key=sort_key)
    parts = []
    for part, begin in enumerate(range(0, len(lines), ROWS_PER_PART)):
        body = b"\n".join(lines[begin:begin + ROWS_PER_PART]) + b"\n"
        key = f"{view}/part-{part:05}.jsonl"
        bucket.put(key, body)
        parts.append({"key": key, "sha256": sha256(body)})
    shared = {"stream_view_id": view_id, "output_ids": [output], "sort_keys": SORT_KEYS}
    receipt = {
        **shared, "engine_run_root": f"s3://{bucket.name}/{config.oracle_path}",
        "stream_view_root": f"s3://{bucket.name}/{view}", "partition_granularity": f"{ROWS_PER_PART} rows",
        "source_locator_digest": locator, "raw_stats": raw,
        "sorted_stats": stats_of(line for p in parts for line in bucket.lines(p["key"])),
        "created_utc": now(), "status": "OK"}
    if receipt["raw_stats"] != receipt["sorted_stats"]:
        raise SystemExit(f"MANIFEST_MISMATCH: the rows of {output} changed while they were sorted")
    bucket.put(f"{view}/_stream_view_manifest.json", canonical({**shared, "parts": parts}) + b"\n")
    bucket.put(f"{view}/_stream_sort_receipt.json", canonical(receipt) + b"\n")
    return receipt


def sort(config):
    evidence = Evidence(config)
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_OBJECT_STORE_BUCKET"))
    results = []
    for output in sorted(OUTPUTS):
        receipt = sort_output(config, bucket, output)
        # The receipt is the oracle's, and names no run: what is kept with the run is its copy.
        evidence.copy(f"oracle/{output}/_stream_sort_receipt.json", canonical(receipt) + b"\n")
        results.append({"output_id": output, "stream_view_id": receipt["stream_view_id"],
                        "row_count": receipt["sorted_stats"]["row_count"],
                        "receipt": f"{receipt['stream_view_root']}/_stream_sort_receipt.json"})
    evidence.write("oracle/stream_sort_summary.json", {
        "phase_id": "P3", "scenario_run_id": config.scenario_run_id, "outputs": results,
        "counts": {"rows": sum(r["row_count"] for r in results)}, "status": "PASS"})
    return {r["output_id"]: r["row_count"] for r in results}


def check_output(config, bucket, output):
    """What is wrong with one stream view: an empty list is a pass."""
    view = config.view_path(output)
    manifest, receipt = (bucket.get(f"{view}/{name}") for name in (
        "_stream_view_manifest.json", "_stream_sort_receipt.json"))
    if manifest is None or receipt is None:
        return None, [f"{output}: manifest or receipt is missing"]
    manifest, receipt, wrong = json.loads(manifest), json.loads(receipt), []
    named = {part["key"]: part["sha256"] for part in manifest["parts"]}
    there = {key for key in bucket.keys(f"{view}/") if key.endswith(".jsonl")}
    if there != set(named):
        wrong.append(f"STREAM_VIEW_PARTIAL_EXISTS: {output} holds parts that its manifest does not name, or lacks some")
        return receipt, wrong
    lines, before = [], None
    for key in sorted(named):
        if sha256(bucket.get(key)) != named[key]:
            wrong.append(f"MANIFEST_MISMATCH: {key}")
        for line in bucket.lines(key):
            at = sort_key(line)
            if before is not None and at < before:
                wrong.append(f"{output}: not in order at {at}")
            before = at
            lines.append(line)
    if not lines:
        wrong.append(f"{output}: no rows")
    if stats_of(lines) != receipt["raw_stats"]:
        wrong.append(f"MANIFEST_MISMATCH: the rows of {output} are not those that its receipt counted")
    return receipt, wrong


def check(config):
    evidence = Evidence(config)
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_OBJECT_STORE_BUCKET"))
    results, blockers = [], []
    for output in sorted(OUTPUTS):
        receipt, wrong = check_output(config, bucket, output)
        blockers += wrong
        results.append({"output_id": output, "status": "FAIL" if wrong else "PASS",
                        "row_count": receipt["sorted_stats"]["row_count"] if receipt else 0})
    if blockers:
        raise SystemExit("the checker refuses the stream views:\n" + "\n".join(blockers))
    evidence.write("oracle/checker_pass.json", {
        "phase_id": "P3", "scenario_run_id": config.scenario_run_id, "outputs": results,
        "counts": {"outputs": len(results), "rows": sum(r["row_count"] for r in results)},
        "blockers": [], "status": "PASS"})
    return {"outputs": len(results)}
