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

from psycopg2.extras import execute_values

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


TAKE = """insert into admission (platform_run_id, event_class, event_id, payload_hash, state) values %s
  on conflict do nothing returning event_class, event_id"""
IN_FLIGHT = "(%s, %s, %s, %s, 'PUBLISH_IN_FLIGHT')"
RECEIPT = """insert into receipt
  (receipt_id, platform_run_id, decision, event_class, event_type, event_id, reason_codes, body)"""
# From PUBLISH_IN_FLIGHT only: no other state is ever left. The receipts are written with the move,
# in one statement, or nothing is.
MOVE = f"""with said (state, topic, partition, "offset", receipt_id, run, decision, class, type, event, reasons, body) as (values %s),
moved as (
  update admission a set state = said.state, topic = said.topic, partition = said.partition, "offset" = said."offset", changed_at = now()
  from said where a.platform_run_id = run and a.event_class = class and a.event_id = event and a.state = 'PUBLISH_IN_FLIGHT'
  returning said.receipt_id)
{RECEIPT} select receipt_id, run, decision, class, type, event, reasons, said.body from said join moved using (receipt_id) returning 1"""
MOVED = "(%s, %s, %s::int, %s::bigint, %s, %s, %s, %s, %s, %s, %s::text[], %s)"


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

    def move(self, cursor, moves):
        """[(state, place, receipt)]: all of these events leave their flight, or none does."""
        rows = [(state, place["topic"], place["partition"], place["offset"], *row) for state, place, (_, row) in moves]
        done = execute_values(cursor, MOVE, rows, template=MOVED, page_size=len(rows), fetch=True)
        if len(done) != len(moves):
            raise RuntimeError(f"ADMISSION_STATE_INVALID: {len(moves) - len(done)} of {len(moves)} events are not in flight")

    def publish(self, cursor, events):
        """Sends events whose rows are in flight, and moves each on by what the bus said of it."""
        topics = [CLASSES[event["event_class"]] for event in events]
        try:
            with self.publishing:
                sent = self.publisher.send_each([
                    (topic, event["payload"]["flow_id"], event) for topic, event in zip(topics, events, strict=True)])
        except Exception as error:  # any error here leaves it unknown what the bus has
            sent = [error] * len(events)
        moves = []
        for event, topic, place in zip(events, topics, sent, strict=True):
            if isinstance(place, Exception):
                nowhere = {"topic": topic, "partition": None, "offset": None}
                moves.append(("PUBLISH_AMBIGUOUS", nowhere, self.quarantine(event, ["PUBLISH_AMBIGUOUS"])))
            else:
                place = {name: place[name] for name in ("topic", "partition", "offset")}
                moves.append(("ADMITTED", place, self.receipt(event, "ADMIT", place=place)))
        self.move(cursor, moves)
        return [body for _, _, (body, _) in moves]

    def admit(self, events):
        """A receipt for each event, in their order."""
        receipts, rows = [None] * len(events), {}
        for at, event in enumerate(events):
            reasons = faults(event, self.config)
            if reasons:
                receipts[at] = self.keep(self.quarantine(event, reasons))
            else:
                rows[at] = (self.config.platform_run_id, event["event_class"], event["event_id"], payload_hash(event))
        if not rows:
            return receipts
        with self.connection.cursor() as cursor:
            taken = set(execute_values(cursor, TAKE, list(rows.values()), template=IN_FLIGHT, page_size=len(rows), fetch=True))
            # The rows are durable: whatever becomes of this process, they show what we may have sent.
            fresh = []
            for at, row in rows.items():
                if row[1:3] in taken:
                    taken.remove(row[1:3])  # the same event further down is a duplicate of this one
                    fresh.append(at)
            if fresh:
                for at, body in zip(fresh, self.publish(cursor, [events[at] for at in fresh]), strict=True):
                    receipts[at] = body
            for at, row in rows.items():
                if receipts[at] is None:
                    receipts[at] = self.seen_before(cursor, events[at], row[:3], row[3])
        return receipts

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
            told = json.loads(body)
        except ValueError:
            return self.answer(400, {"error": "ENVELOPE_INVALID"})
        events = told if isinstance(told, list) else [told]
        if not events or not all(
                isinstance(event, dict) and event.get("platform_run_id") == self.server.config.platform_run_id for event in events):
            return self.answer(403, {"error": "RUN_SCOPE"})
        if self.admission is None:  # one for each connection, kept as long as it lives
            self.admission = Admission(self.server.config, self.server.publisher, self.server.publishing)
        try:
            receipts = self.admission.admit(events)
            return self.answer(200, receipts if told is events else receipts[0])
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

