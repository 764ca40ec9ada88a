"""Cases and labels. A case is opened once for an event, its timeline only grows, and a label is
said once."""

import json

from eventplatform.config import LABELS, TRIGGERS, canonical, sha256
from eventplatform.rtdl import keep


def trigger(config, cursor, records):
    """Asks for a case where a decision was not ALLOW."""
    out = []
    for r in records:
        if r.event["kind"] == "decision" and r.event["decision"] != "ALLOW":
            out.append((TRIGGERS, r.event["event_id"], {
                "platform_run_id": config.platform_run_id, "event_class": r.event["event_class"],
                "event_id": r.event["event_id"], "flow_id": r.event["flow_id"], "why": r.event["decision"]}))
    return out, 0


def manage(config, cursor, records):
    cases, entries = [], []
    for r in records:
        subject = [config.platform_run_id, r.event["event_class"], r.event["event_id"]]
        case_id = sha256(canonical(subject))[:32]
        cases.append((*subject, case_id, r.event["why"]))
        entries.append((config.platform_run_id, case_id, canonical({"opened_for": r.event["why"]}).decode()))
    deduped = keep(cursor, "case_record", cases)
    keep(cursor, "case_timeline (platform_run_id, case_id, entry)", entries)
    return [], deduped


def label(config, cursor, records):
    """The label is what the anchor of the flow says; a decision without context has none yet."""
    flows = sorted({r.event["flow_id"] for r in records})
    cursor.execute(
        "select flow_id, body from flow_context where platform_run_id = %s and kind = 'context_flow_fraud' "
        "and flow_id = any(%s)", (config.platform_run_id, flows))
    truth = {flow: json.loads(body)["fraud_flag"] for flow, body in cursor.fetchall()}
    rows, out = [], []
    for r in (r for r in records if r.event["flow_id"] in truth):
        said = "FRAUD" if truth[r.event["flow_id"]] else "LEGIT"
        rows.append((config.platform_run_id, r.event["event_id"], said))
        out.append((LABELS, r.event["event_id"], {
            "platform_run_id": config.platform_run_id, "event_id": r.event["event_id"], "label": said}))
    return out, keep(cursor, "label", rows)
