"""What a role is told: the ids of its run, its settings and the handles of what it talks to.

Settings are what a run means (seed, number of events, thresholds); the config digest covers them
and nothing else. Handles say where things are; they may differ between two runs that mean the same.
"""

import hashlib
import json
import os
import re
from datetime import datetime, timezone

OUTPUTS = {
    # output_id: (event_class, topic, event_type). Context comes before the traffic that needs it.
    "arrival_events_5B": (
        "context_arrival", "fp.bus.context.arrival_events.v1", "arrival_events_5B"),
    "s1_arrival_entities_6B": (
        "context_arrival_entities", "fp.bus.context.arrival_entities.v1", "s1_arrival_entities_6B"),
    "s3_flow_anchor_with_fraud_6B": (
        "context_flow_fraud", "fp.bus.context.flow_anchor.fraud.v1", "s3_flow_anchor_with_fraud_6B"),
    "s3_event_stream_with_fraud_6B": (
        "traffic_fraud", "fp.bus.traffic.fraud.v1", "s3_event_stream_with_fraud_6B"),
}
TRAFFIC = "fp.bus.traffic.fraud.v1"
INGEST_TOPICS = [topic for _, topic, _ in OUTPUTS.values()]
CONTROL, RTDL, AUDIT = "fp.bus.control.v1", "fp.bus.rtdl.v1", "fp.bus.audit.v1"
TRIGGERS, LABELS = "fp.bus.case.triggers.v1", "fp.bus.labels.events.v1"
# High volume: three partitions, kept a day. Low volume: one partition, kept three days.
TOPICS = {**{topic: 3 for topic in INGEST_TOPICS}, RTDL: 3, CONTROL: 1, AUDIT: 1, TRIGGERS: 1, LABELS: 1}

DAEMONS = [
    "ig", "rtdl-core-archive-writer", "rtdl-core-ieg", "rtdl-core-ofp", "rtdl-core-csfb",
    "decision-lane-dl", "decision-lane-df", "decision-lane-al", "decision-lane-dla",
    "case-trigger", "case-mgmt", "label-store", "env-conformance",
]
RUN_ID = re.compile(r"platform_[0-9]{8}T[0-9]{6}Z\Z")
POLICY = {"policy_id": "ig.partitioning.v0", "revision": "r1"}


def now():
    stamp = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def canonical(value):
    """Sorted keys, no spaces, UTF-8: the one form that digests are taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Config:
    def __init__(self, body):
        self.platform_run_id = body["platform_run_id"]
        self.scenario_run_id = body["scenario_run_id"]
        self.settings = body["settings"]
        self.handles = body["handles"]
        self.body = body
        if not RUN_ID.match(self.platform_run_id):
            raise SystemExit(f"not a platform_run_id: {self.platform_run_id}")
        required = os.environ.get("REQUIRED_PLATFORM_RUN_ID")
        if required and required != self.platform_run_id:
            raise SystemExit(f"this process may serve {required} only, not {self.platform_run_id}")

    @classmethod
    def read(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(json.load(file))

    def handle(self, name):
        if name not in self.handles:
            raise SystemExit(f"handle {name} is missing from the configuration")
        return self.handles[name]

    @property
    def config_digest(self):
        return sha256(canonical(self.settings))

    @property
    def manifest_fingerprint(self):
        """Names the world that the seed makes, whatever run streams it."""
        return sha256(canonical({"seed": self.settings["seed"], "events": self.settings["events"]}))

    @property
    def parameter_hash(self):
        return sha256(canonical({"scenario_id": self.settings["scenario_id"]}))

    @property
    def oracle_path(self):
        """One place for each world, so that another seed or size does not overwrite it."""
        return "oracle/{}/{}/{}".format(
            self.settings["oracle_source_namespace"], self.settings["oracle_engine_run_id"], self.manifest_fingerprint[:16])

    def view_path(self, output_id):
        return f"{self.oracle_path}/stream_view/output_id={output_id}"


class Multiset:
    """A digest of rows that does not depend on their order: the count, and two sums over hashes.

    hash_sum adds up sha256(row) modulo 2^256; hash_sum2 adds up sha256(row + 0x01). Rows can be
    taken one at a time, so a reader needs no memory for them and no sort.
    """

    def __init__(self):
        self.count = self.first = self.second = 0

    def add(self, row):
        self.count += 1
        self.first += int.from_bytes(hashlib.sha256(row).digest(), "big")
        self.second += int.from_bytes(hashlib.sha256(row + b"\x01").digest(), "big")

    def sums(self):
        return {
            "row_count": self.count,
            "hash_sum": f"{self.first % 2**256:064x}",
            "hash_sum2": f"{self.second % 2**256:064x}",
        }
