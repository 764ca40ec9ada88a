"""The ingest gate: the only way in, and the only one that publishes admitted events.

The key of an event is (platform_run_id, event_class, event_id). Its row goes from
PUBLISH_IN_FLIGHT, which is durable before anything is sent to the bus, to ADMITTED, or to
PUBLISH_AMBIGUOUS when the bus did not say whether it has the record. An ambiguous event is put
aside with a receipt and is never sent again: that takes a reconciliation, not a retry.
"""

import hmac
import json
import os
import socket
import stat
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from eventplatform import bus, database
from eventplatform.config import CONTROL, OUTPUTS, POLICY, canonical, now, sha256
from eventplatform.database import one
from eventplatform.store import Evidence

CLASSES = {event_class: topic for event_class, topic, _ in OUTPUTS.values()}
TYPES = {event_class: event_type for event_class, _, event_type in OUTPUTS.values()}
PINS = ["manifest_fingerprint", "parameter_hash", "scenario_id", "platform_run_id", "scenario_run_id", "run_config_digest"]


def payload_hash(event):
    return sha256(canonical({name: event[name] for name in ("event_type", "schema_version", "payload")}))


def faults(event, config):
    """The reason codes against an envelope; none means that it may go on."""
    codes = []
    if not isinstance(event.get("payload"), dict) or not all(
            isinstance(event.get(name), str) for name in ("event_id", "event_type", "event_class", "ts_utc")):
        return ["ENVELOPE_INVALID"]
    if any(not event.get(pin) for pin in PINS) or event["run_config_digest"] != config.config_digest:
        codes.append("PINS_MISSING")
    if "schema_version" not in event:
        codes.append("SCHEMA_VERSION_REQUIRED")
    elif event["schema_version"] != "v1":
        codes.append("SCHEMA_VERSION_NOT_ALLOWED")
    if event["event_class"] not in CLASSES:
        codes.append("SCHEMA_POLICY_MISSING")
    elif TYPES[event["event_class"]] != event["event_type"]:
        codes.append("SCHEMA_FAIL")
    if not event["payload"].get("flow_id"):
        codes.append("PARTITION_KEY_MISSING")
    return codes


TAKE = """insert into admission (platform_run_id, event_class, event_id, state, payload_hash)
  values (%s, %s, %s, 'PUBLISH_IN_FLIGHT', %s) on conflict do nothing"""
RECEIPT = """insert into receipt
  (receipt_id, platform_run_id, decision, event_class, event_type, event_id, reason_codes, body)"""
# From PUBLISH_IN_FLIGHT only: no other state is ever left. The receipt is written with the move, in
# one statement, or neither is.
MOVE = f"""with moved as (
  update admission set state = %s, topic = %s, partition = %s, "offset" = %s, changed_at = now()
  where platform_run_id = %s and event_class = %s and event_id = %s and state = 'PUBLISH_IN_FLIGHT' returning 1)
{RECEIPT} select %s, %s, %s, %s, %s, %s, %s, %s from moved"""


class Admission:
    """One connection to the database, and what is done with one event after another on it. Each
    statement is a transaction of its own."""

    def __init__(self, config, publisher, publishing):
        self.config, self.publisher, self.publishing = config, publisher, publishing
        self.connection = database.connect(config)
        self.connection.autocommit = True
        self.evidence = Evidence(config)

    def receipt(self, event, decision, reasons=(), place=None, record=None):
        """(the receipt, its row)."""
        body = {
            "receipt_id": uuid.uuid4().hex, "decision": decision,
            "event_id": event["event_id"], "event_type": event["event_type"],
            "event_class": event["event_class"], "ts_utc": event["ts_utc"],
            "manifest_fingerprint": self.config.manifest_fingerprint,
            "platform_run_id": self.config.platform_run_id, "scenario_run_id": self.config.scenario_run_id,
            "run_config_digest": self.config.config_digest, "policy_rev": POLICY,
            "dedupe_key": "/".join((self.config.platform_run_id, event["event_class"], event["event_id"]))}
        if place:
            body["eb_ref"] = {**place, "offset_kind": "kafka_offset"}
            body["payload_hash"] = {"algo": "sha256", "hex": payload_hash(event)}
            body["admitted_at_utc"] = now()
        if reasons:
            body["reason_codes"] = list(reasons)
            body["evidence_refs"] = [{"kind": "quarantine_record", "ref": record}]
        return body, (
            body["receipt_id"], self.config.platform_run_id, decision, event["event_class"], event["event_type"],
            event["event_id"], list(reasons), canonical(body).decode())

    def quarantine(self, event, reasons):
        """A record of its own in the evidence first, then the receipt that refers to it."""
        quarantine_id = uuid.uuid4().hex
        named = {name: str(event.get(name) or "unknown") for name in ("event_id", "event_class", "event_type")}
        record = self.evidence.write(f"ig/quarantine/{quarantine_id}.json", {
            "quarantine_id": quarantine_id, "received_at_utc": now(), "decision": "QUARANTINE",
            "reason_codes": list(reasons), "manifest_fingerprint": self.config.manifest_fingerprint,
            "policy_rev": POLICY, **named})
        at = event.get("ts_utc")
        shown = {**event, **named, "ts_utc": at if isinstance(at, str) and at else now()}
        return self.receipt(shown, "QUARANTINE", reasons, record=record)

    def keep(self, receipt):
        body, row = receipt
        with self.connection.cursor() as cursor:
            cursor.execute(f"{RECEIPT} values (%s, %s, %s, %s, %s, %s, %s, %s)", row)
        return body

    def move(self, key, state, place, receipt):
        body, row = receipt
        with self.connection.cursor() as cursor:
            cursor.execute(MOVE, (state, place["topic"], place["partition"], place["offset"], *key, *row))
            if cursor.rowcount != 1:
                raise RuntimeError(f"ADMISSION_STATE_INVALID: {key} is not in flight")
        return body

    def admit(self, event):
        reasons = faults(event, self.config)
        if reasons:
            return self.keep(self.quarantine(event, reasons))
        key = (self.config.platform_run_id, event["event_class"], event["event_id"])
        digest = payload_hash(event)
        with self.connection.cursor() as cursor:
            cursor.execute(TAKE, (*key, digest))
            if cursor.rowcount == 0:
                return self.seen_before(cursor, event, key, digest)
        # The row is durable: whatever becomes of this process, it shows that we may have sent.
        topic = CLASSES[event["event_class"]]
        try:
            with self.publishing:
                sent = self.publisher.send(topic, event["payload"]["flow_id"], event)
        except Exception:  # any error here leaves it unknown whether the bus has the record
            nowhere = {"topic": topic, "partition": None, "offset": None}
            return self.move(key, "PUBLISH_AMBIGUOUS", nowhere, self.quarantine(event, ["PUBLISH_AMBIGUOUS"]))
        place = {name: sent[name] for name in ("topic", "partition", "offset")}
        return self.move(key, "ADMITTED", place, self.receipt(event, "ADMIT", place=place))

    def seen_before(self, cursor, event, key, digest):
        state, known, topic, partition, offset = one(
            cursor, 'select state, payload_hash, topic, partition, "offset" from admission '
            "where platform_run_id = %s and event_class = %s and event_id = %s", key)
        if known != digest:
            return self.keep(self.quarantine(event, ["PAYLOAD_HASH_MISMATCH"]))
        if state == "ADMITTED":
            place = {"topic": topic, "partition": partition, "offset": offset}
            return self.keep(self.receipt(event, "DUPLICATE", place=place))
        return self.keep(self.quarantine(event, [f"{state}_RETRY"]))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # head and body leave in one packet
    admission = None

    def log_message(self, *_args):
        """The receipts are the log."""

    def answer(self, status, body):
        data = canonical(body)
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def allowed(self):
        """Whether the caller shows the token. No header, no token, another scheme: no."""
        scheme, _, shown = self.headers.get("Authorization", "").partition(" ")
        token = self.server.token
        return bool(token) and scheme == "Bearer" and hmac.compare_digest(shown.encode(), token.encode())

    def do_GET(self):
        if urlsplit(self.path).path != "/v1/ops/health":
            return self.answer(404, {"error": "NOT_FOUND"})
        try:
            connection = database.connect(self.server.config)
            connection.close()
        except Exception as error:
            return self.answer(503, {"status": "DOWN", "error": str(error)})
        return self.answer(200, {"status": "OK", "service": "ig", "platform_run_id": self.server.config.platform_run_id})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = urlsplit(self.path).path
        if not self.allowed():
            return self.answer(401, {"error": "UNAUTHORIZED"})
        if path == "/v1/ops/smoke":
            with self.server.publishing:
                place = self.server.publisher.send(CONTROL, "smoke", {"smoke": "ig", "platform_run_id": self.server.config.platform_run_id})
            return self.answer(200, place)
        if path != "/v1/ingest/push":
            return self.answer(404, {"error": "NOT_FOUND"})
        try:
            event = json.loads(body)
        except ValueError:
            return self.answer(400, {"error": "ENVELOPE_INVALID"})
        if not isinstance(event, dict) or event.get("platform_run_id") != self.server.config.platform_run_id:
            return self.answer(403, {"error": "RUN_SCOPE"})
        if self.admission is None:  # one for each connection, kept as long as it lives
            self.admission = Admission(self.server.config, self.server.publisher, self.server.publishing)
        try:
            return self.answer(200, self.admission.admit(event))
        except Exception as error:
            self.admission = None
            return self.answer(500, {"error": "INTERNAL_ERROR", "details": str(error)})


def serve(config, ready):
    token_file = config.handle("IG_TOKEN_FILE")
    if stat.S_IMODE(os.stat(token_file).st_mode) & 0o077:
        raise SystemExit(f"{token_file} can be read by others")
    with open(token_file, encoding="utf-8") as file:
        token = file.read().strip()
    if len(token) < 16:
        raise SystemExit("the token is missing or too short: the gate does not open without one")
    place = urlsplit(config.handle("IG_BASE_URL"))
    server = ThreadingHTTPServer((place.hostname, place.port), Handler)
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.daemon_threads = True
    server.config, server.token = config, token
    server.publisher, server.publishing = bus.Publisher(config, "ig"), threading.Lock()
    ready(None)
    server.serve_forever()

