"""The decision lane: the posture it decides in, the decision, the action, and the audit. Each can
meet the same event twice and still decides, acts and notes it once."""

import json
import time

from eventplatform.config import AUDIT, RTDL, canonical, sha256
from eventplatform.rtdl import keep

CONTEXT_WAIT_SECONDS = 30
ACTIONS = {"ALLOW": "release", "REVIEW": "hold", "BLOCK": "stop"}


def ladder(config, cursor, records):
    """Sets the posture of the run when READY is heard."""
    rows = [(config.platform_run_id, "NORMAL") for r in records if "bundle_hash" in r.event]
    return [], keep(cursor, "degrade_posture", rows)


def wait_for_context(config, cursor, flows):
    """The anchors of these flows, and whether the posture is NORMAL. Context reaches us by another
    way than traffic, so it may be a moment late; what does not come in time is decided without."""
    deadline = time.monotonic() + CONTEXT_WAIT_SECONDS
    while True:
        cursor.execute(
            "select flow_id, body from flow_context where platform_run_id = %s and kind = 'context_flow_fraud' "
            "and flow_id = any(%s)", (config.platform_run_id, sorted(flows)))
        found = {flow: json.loads(body) for flow, body in cursor.fetchall()}
        cursor.execute("select mode from degrade_posture where platform_run_id = %s", (config.platform_run_id,))
        posture = cursor.fetchone()
        if (len(found) == len(flows) and posture) or time.monotonic() > deadline:
            return found, posture is not None and posture[0] == "NORMAL"
        time.sleep(0.05)


def decide(payload, anchor):
    if anchor is None:
        return "REVIEW", True
    if payload["risk"] >= 0.8 and anchor["amount_minor"] >= 50_000:
        return "BLOCK", False
    return ("REVIEW" if payload["risk"] >= 0.8 else "ALLOW"), False


def fabric(config, cursor, records):
    anchors, normal = wait_for_context(config, cursor, {r.payload["flow_id"] for r in records})
    rows, out = [], []
    for r in records:
        decision, degraded = decide(r.payload, anchors.get(r.payload["flow_id"]))
        body = {
            "kind": "decision", "platform_run_id": config.platform_run_id, "event_id": r.event["event_id"],
            "event_class": r.event["event_class"], "flow_id": r.payload["flow_id"], "decision": decision,
            "degraded": degraded or not normal,
            "decision_id": sha256(canonical([config.platform_run_id, r.event["event_id"]]))[:32]}
        rows.append((config.platform_run_id, r.event["event_id"], decision, body["degraded"], canonical(body).decode()))
        out.append((RTDL, body["flow_id"], body))
    return out, keep(cursor, "decision", rows)


def act(config, cursor, records):
    """Acts once for each (platform_run_id, event_id, action_type), and says so once. After a crash
    it may say so again; who hears it knows the key."""
    rows, bodies = [], []
    for r in (r for r in records if r.event["kind"] == "decision"):
        action = ACTIONS[r.event["decision"]]
        rows.append((config.platform_run_id, r.event["event_id"], action, "EXECUTED"))
        bodies.append((RTDL, r.event["flow_id"], {
            "kind": "outcome", "platform_run_id": config.platform_run_id, "event_id": r.event["event_id"],
            "flow_id": r.event["flow_id"], "action_type": action, "outcome": "EXECUTED"}))
    return bodies, keep(cursor, "action (platform_run_id, event_id, action_type, outcome)", rows)


def audit(config, cursor, records):
    rows = [(config.platform_run_id, r.event["kind"], r.event["event_id"], canonical(r.event).decode()) for r in records]
    deduped = keep(cursor, "audit (platform_run_id, kind, event_id, body)", rows)
    return [(AUDIT, r.event["event_id"], r.event) for r in records], deduped
