"""Whether the environment is as it must be. A check that cannot be made is DEGRADED, never a pass."""

import http.client
import json
import os
import stat
from urllib.parse import urlsplit

from eventplatform.config import POLICY, canonical
from eventplatform.store import Evidence

FAMILIES = {
    "RUN_READY_SEEN", "RUN_STARTED", "RUN_ENDED", "RUN_CANCELLED", "POLICY_REV_CHANGED",
    "CORRIDOR_ANOMALY", "EVIDENCE_REF_RESOLVED", "RUN_REPORT_GENERATED"}


def contract(config, _cursor):
    pinned = Evidence(config).read("run.json")
    if pinned is None:
        return "FAIL", "run.json is missing"
    same = pinned["config_digest"] == config.config_digest and pinned["config"] == config.settings
    return ("PASS" if same else "FAIL"), f"the pinned configuration digest is {pinned['config_digest']}"


def policy(config, cursor):
    # Receipts are kept in canonical form, so the text can be looked for: no JSON is read.
    said = f'"policy_rev":{canonical(POLICY).decode()}'
    cursor.execute("select count(*), count(*) filter (where strpos(body, %s) > 0) from receipt "
                   "where platform_run_id = %s", (said, config.platform_run_id))
    all_of_them, with_it = cursor.fetchone()
    return ("PASS" if all_of_them == with_it else "FAIL"), f"{with_it} of {all_of_them} receipts carry {POLICY['policy_id']}/{POLICY['revision']}"


def corridor(config, _cursor):
    place = urlsplit(config.handle("IG_BASE_URL"))
    answers = []
    for headers in ({}, {"Authorization": "Bearer not-the-token"}):
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=5)
        connection.request("POST", "/v1/ingest/push", b"{}", headers)
        answers.append(connection.getresponse().status)
        connection.close()
    private = not stat.S_IMODE(os.stat(config.handle("IG_TOKEN_FILE")).st_mode) & 0o077
    passed = answers == [401, 401] and private
    return ("PASS" if passed else "FAIL"), f"without a token {answers[0]}, with a wrong one {answers[1]}, token private: {private}"


def governance(config, cursor):
    cursor.execute("select body from governance_event where platform_run_id = %s", (config.platform_run_id,))
    events = [json.loads(body) for (body,) in cursor.fetchall()]
    bad = [e for e in events if e.get("family") not in FAMILIES or e.get("platform_run_id") != config.platform_run_id
           or not {"event_id", "ts_utc"} <= set(e)]
    return ("FAIL" if bad else "PASS"), f"{len(events)} events, {len(bad)} not in form"


CHECKS = {
    "semantic_contract_alignment": contract, "policy_revision_presence": policy,
    "security_corridor_posture": corridor, "governance_event_schema_contract": governance}


def look(config, cursor):
    """Makes every check and keeps the newest result. The reporter takes it from there."""
    for check_id, check in CHECKS.items():
        cursor.execute("savepoint looked")
        try:
            status, details = check(config, cursor)
        except Exception as error:
            cursor.execute("rollback to savepoint looked")
            status, details = "DEGRADED", str(error)
        cursor.execute(
            "insert into conformance values (%s, %s, %s, %s, clock_timestamp()) on conflict (platform_run_id, check_id) "
            "do update set status = excluded.status, details = excluded.details, checked_at = excluded.checked_at",
            (config.platform_run_id, check_id, status, details))


def found(config, cursor):
    """(status, checks) of the newest look; what is missing or stale is DEGRADED."""
    cursor.execute("select check_id, status, details, checked_at > now() - interval '30 seconds' from conformance "
                   "where platform_run_id = %s", (config.platform_run_id,))
    rows = {check_id: (status, details, fresh) for check_id, status, details, fresh in cursor.fetchall()}
    checks = []
    for check_id in CHECKS:
        status, details, fresh = rows.get(check_id, ("DEGRADED", "never made", False))
        checks.append({"check_id": check_id, "status": status if fresh else "DEGRADED", "details": details})
    states = {check["status"] for check in checks}
    overall = "FAIL" if "FAIL" in states else "DEGRADED" if "DEGRADED" in states else "PASS"
    return overall, checks
