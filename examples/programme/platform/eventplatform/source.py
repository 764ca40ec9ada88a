"""The source (world streamer producer). It reads the sorted stream views and nothing else, gives
each event an id that follows from its content, and posts it to the ingest gate, one request at
a time. It has no way to the bus but the gate."""

import heapq
import http.client
import json
import time
from itertools import islice
from urllib.parse import urlsplit

from eventplatform import bus, database
from eventplatform.config import CONTROL, OUTPUTS, canonical, now, sha256
from eventplatform.database import govern
from eventplatform.store import Bucket, Evidence


def rows(config, bucket, output):
    """(sort key, output, row) of one stream view, streamed, in its order."""
    manifest = json.loads(bucket.get(f"{config.view_path(output)}/_stream_view_manifest.json"))
    for part in manifest["parts"]:
        for line in bucket.lines(part["key"]):
            row = json.loads(line)
            yield (row["ts_utc"], row["flow_id"], row["event_seq"]), output, row


def envelope(config, output, row):
    """The event as posted. Its id says nothing of the run: the same row has the same id always."""
    event_class, _, event_type = OUTPUTS[output]
    return {
        "event_id": sha256(canonical([output, config.manifest_fingerprint, row])),
        "event_type": event_type, "event_class": event_class, "schema_version": "v1",
        "ts_utc": row["ts_utc"], "manifest_fingerprint": config.manifest_fingerprint,
        "parameter_hash": config.parameter_hash, "seed": config.settings["seed"],
        "scenario_id": config.settings["scenario_id"], "platform_run_id": config.platform_run_id,
        "scenario_run_id": config.scenario_run_id, "run_config_digest": config.config_digest,
        "payload": row}


class Gate:
    """A connection to the ingest gate that tries again, a fixed number of times, when no answer
    came or the gate said that it cannot now. What it answered for good is never tried again."""

    def __init__(self, config):
        self.place = urlsplit(config.handle("IG_BASE_URL"))
        with open(config.handle("IG_TOKEN_FILE"), encoding="utf-8") as file:
            self.token = file.read().strip()
        self.attempts = config.settings["wsp_retry_max_attempts"]
        self.pause = config.settings["wsp_retry_backoff_ms"] / 1000
        self.connection = None
        self.retries = 0

    def close(self):
        if self.connection is not None:
            self.connection.close()

    def post(self, events):
        """One event, or a list of them in one request: (status, receipt or receipts)."""
        body = canonical(events)
        why = None
        for attempt in range(self.attempts):
            if attempt:
                self.retries += len(events) if isinstance(events, list) else 1
                time.sleep(self.pause * attempt)
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.place.hostname, self.place.port, timeout=30)
                self.connection.request("POST", "/v1/ingest/push", body, {
                    "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
                answer = self.connection.getresponse()
                told = json.loads(answer.read())
                if answer.status < 500:
                    return answer.status, told
                why = f"HTTP {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                self.connection = None
                why = str(error)
        raise SystemExit(f"the gate did not answer in {self.attempts} attempts: {why}")


def heard_ready(config, evidence):
    """Reads READY at the place that its receipt names, and checks that it is for this run."""
    receipt = evidence.read("sr/ready_publish_receipt.json")
    if receipt is None:
        raise SystemExit("no READY receipt: nothing to stream")
    at = receipt["offset"]
    _, signal = next(bus.read_range(config, CONTROL, receipt["partition"], at, at + 1))
    facts = evidence.digest("sr/facts_view.json")
    if signal.get("platform_run_id") != config.platform_run_id or signal.get("bundle_hash") != facts:
        raise SystemExit("READY is for another run, or its facts are not those it names")


def stream(config, passes=1):
    evidence = Evidence(config)
    heard_ready(config, evidence)
    connection = database.connect(config)
    with connection, connection.cursor() as cursor:
        govern(cursor, config, "RUN_READY_SEEN", "wsp")
    bucket = Bucket(config.handle("S3_ENDPOINT"), config.handle("S3_OBJECT_STORE_BUCKET"))
    gate, begun = Gate(config), now()
    counts, failures, answers = dict.fromkeys(sorted(OUTPUTS), 0), 0, {}
    for _ in range(passes):
        merged = heapq.merge(*(rows(config, bucket, o) for o in sorted(OUTPUTS)))
        while batch := list(islice(merged, config.settings["wsp_batch_events"])):
            status, told = gate.post([envelope(config, output, row) for _, output, row in batch])
            for _, output, _ in batch:
                counts[output] += 1
            if status >= 400:
                failures += len(batch)
                answers[told["error"]] = answers.get(told["error"], 0) + len(batch)
                if config.settings["wsp_stop_on_nonretryable"]:
                    raise SystemExit(f"the gate refused events for good: {status} {told}")
                continue
            for receipt in told:
                answers[receipt["decision"]] = answers.get(receipt["decision"], 0) + 1
    gate.close()
    sent = sum(counts.values())
    if not sent:
        raise SystemExit("nothing was streamed: the stream views are empty")
    evidence.write("wsp/wsp_summary.json", {
        "scenario_run_id": config.scenario_run_id, "phase_id": "P6",
        "ready_receipt_ref": evidence.ref("sr/ready_publish_receipt.json"),
        "source_handles": {o: f"s3://{bucket.name}/{config.view_path(o)}" for o in sorted(OUTPUTS)},
        "output_counts": counts, "sent": sent, "attempts": sent + gate.retries, "retries": gate.retries,
        "failures": failures, "counts": {**answers, "passes": passes},
        "started_at_utc": begun, "ended_at_utc": now()})
    with connection, connection.cursor() as cursor:
        govern(cursor, config, "RUN_ENDED", "wsp", sent=sent)
    return {"sent": sent, "retries": gate.retries, **answers}
