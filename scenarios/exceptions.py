"""An exception of a plan, from end to end: named, reasoned and approved, it opens one gate that does not pass,
until its moment has come. Unapproved, taken back, of another gate, or over: the gate stays closed. In the
evidence it is an exception by name and never a pass, also for who reads in-toto statements.
"""

import base64
import datetime
import json
import pathlib
import subprocess
import time

import kit

PLAN = """carnet: v1
migration: split
owner: data-platform
trust: trust
evidence: {{ tenant: lab, signer: operator }}
approvals:
  let_by: {{ any_of: [ops@example.org], not: initiator, expires: PT4H }}
exceptions:
  - gate: {gate}
    label: split-dns
    owner: ops
    reason: the old name is gone on Monday
    expires_at: {until}
    approval: let_by
phases:
  - name: change
    on_failure: wait
    entry:
      - {{ gate: file, name: old_name, with: {{ path: in.txt, bytes_min: 100 }} }}
      - {{ gate: file, name: other, with: {{ path: in.txt }} }}
    steps:
      - {{ message: released, name: released }}
      - {{ name: copy, capability: file.copy, with: {{ from: in.txt, to: out.txt }} }}
    exit:
      - {{ gate: file, name: there, with: {{ path: out.txt }} }}
"""
GATE = "change/old_name"
NAMED = "split-dns: the old name is gone on Monday (ops)"


def keys():
    kit.carnet("key", "new", "operator", as_json=False)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops", "-f", "ops"], check=True)
    trust = "dev@example.org vkey " + pathlib.Path("operator.vkey").read_text()
    trust += "ops@example.org " + " ".join(pathlib.Path("ops.pub").read_text().split()[:2]) + "\n"
    pathlib.Path("trust").write_text(trust)
    pathlib.Path("in.txt").write_text("one\n")


def plan(gate=GATE, seconds=3600):
    """A plan of its own state folder, so that each case is a run of its own."""
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    pathlib.Path("plan.yaml").write_text(PLAN.format(gate=gate, until=until.strftime("%Y-%m-%dT%H:%M:%SZ")))


def carnet(case, *words, **expected):
    return kit.carnet(words[0], "plan.yaml", *words[1:], "--state", case, **expected)


def approve(case, *words):
    carnet(case, "approve", "let_by", "--key", "ssh:ops", *words, as_json=False)


def gate(case, name=GATE):
    found = carnet(case, "status", exit=None)["gates"]
    return next(it for it in found if f"{it['phase']}/{it['gate']}" == name)


def closed(case, because):
    """The run waits at the gate, and says so; nothing was done."""
    done = carnet(case, "run", exit=5, as_json=False)
    kit.want(f"waits at the gate {GATE}" in done.stderr, f"{because}: it does not wait at the gate: {done.stderr}")
    seen = gate(case)
    kit.want(seen["open"] is False and seen["verdict"] == "fail", f"{because}: {seen}")
    kit.want("exception" not in seen, f"{because}: a closed gate names an exception: {seen}")


def opens(case):
    """The run goes on until it waits for word."""
    done = carnet(case, "run", exit=5, as_json=False)
    kit.want("fail; open by exception" in done.stdout and NAMED in " ".join(done.stdout.split()), done.stdout)
    seen = gate(case)
    kit.want(seen["open"] and seen["verdict"] == "fail" and seen["exception"] == NAMED, f"{seen}")
    kit.want(carnet(case, "status", exit=5)["messages"] == ["change/released"], "it does not wait for word")


def refused_cases():
    plan()
    closed("unapproved", "nobody has approved")
    approve("unapproved", "--yes")
    approve("unapproved", "--withdraw", "--reason", "not on a Friday")
    closed("unapproved", "the approval was taken back")

    plan(gate="change/other")
    closed("wrong", "it is the exception of another gate")
    approve("wrong", "--yes")
    closed("wrong", "it is the exception of another gate, and approved")

    plan()
    closed("brief", "nobody has approved")
    approve("brief", "--yes", "--expires", "PT2S")
    time.sleep(2.5)
    closed("brief", "the approval is over")


def expires():
    """Open, and closed again once its moment has come: the run has not gone on behind the gate yet."""
    plan(seconds=6)
    closed("expires", "nobody has approved")
    approve("expires", "--yes")
    opens("expires")
    time.sleep(6.5)
    closed("expires", "its moment has come")
    done = kit.carnet("check", "plan.yaml", exit=2, as_json=False)
    kit.want("the exception has expired" in done.stdout + done.stderr, f"{done.stdout}{done.stderr}")


def to_the_end():
    plan()
    closed("good", "nobody has approved")
    approve("good", "--yes")
    opens("good")
    asked = kit.carnet("approve", "plan.yaml", "let_by", "--key", "ssh:ops", "--state", "good", "--expires", "PT1H",
                       exit=2, as_json=False)
    kit.want("fail; open by exception" in asked.stderr, f"an approver is not told: {asked.stderr}")
    carnet("good", "signal", "change/released", "--reason", "now", as_json=False)
    carnet("good", "run", as_json=False)
    kit.want(pathlib.Path("out.txt").exists(), "the run is done and has done nothing")

    why = carnet("good", "why", GATE)
    kit.want((why["verdict"], why["open"], why["exception"]) == ("fail", True, NAMED), f"{why}")
    told = carnet("good", "why", GATE, as_json=False).stdout
    kit.want(f"gate {GATE}: open by exception (fail)" in told and NAMED in told, told)
    history = carnet("good", "history", "--trouble", as_json=False).stdout
    kit.want(f"{GATE}: fail, open by exception" in history and f"exception {NAMED}" in history, history)


def evidence():
    """What leaves names the exception, and claims no pass."""
    kit.carnet("evidence", "export", "plan.yaml", "--state", "good", "--out", "ev.tar", as_json=False)
    done = kit.carnet("evidence", "verify", "ev.tar", "--key", "operator.vkey", as_json=False)
    kit.want("verified" in done.stdout, done.stdout)
    subprocess.run(["tar", "xf", "ev.tar"], check=True)
    [path] = pathlib.Path(".").rglob("events.jsonl")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    verdicts = [it for it in events if it["event_type"] == "gate.verdict" and it["resource_id"] == GATE]
    opened = [it for it in verdicts if it["outcome"] == "accepted"]
    kit.want(opened, "no event says that the gate was opened")
    for event in verdicts:
        context = event["context"]
        kit.want(context["verdict"] == "fail", f"a gate that failed is told as {context['verdict']}")
        kit.want((event in opened) == (context.get("exception") == NAMED), f"{context}")
    granted = [it for it in events if it["event_type"] == "approval.granted" and it["resource_id"] == "let_by"]
    kit.want(granted and granted[0]["sequence"] < opened[0]["sequence"], "no approval stands before the exception")
    table = decisions(path.parent, events)
    rows = [row for row in table["gates"] if row["gate"] == GATE]
    kit.want(rows and rows[0]["exception"] == NAMED and rows[0]["verdict"] == "fail", f"{rows}")

    projected = kit.carnet("evidence", "project", "plan.yaml", "--state", "good", "--to", "in-toto", as_json=False)
    statements = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in projected.stdout.splitlines()]
    properties = [it for one in statements for it in one["predicate"].get("properties", [])]
    kit.want("CARNET_GATE_CHANGE_OTHER" in properties, f"a gate that passed is not asserted: {properties}")
    kit.want("CARNET_GATE_CHANGE_OLD_NAME" not in properties, "a statement claims that an excepted gate holds")


def decisions(bundle, events):
    """The table of gates by which the phase was left."""
    [left] = [it for it in events if it["event_type"] == "policy.evaluate" and it["resource_id"] == "change"]
    digest = left["evidence_pointer"].rsplit(":", 1)[1]
    for line in (bundle / "artifacts" / "index.jsonl").read_text().splitlines():
        at = json.loads(line)
        if at["sha256"] == digest:
            pack = (bundle / "artifacts" / at["pack"].rsplit("/", 1)[-1]).read_bytes()
            return json.loads(pack[at["offset"] : at["offset"] + at["bytes"]])
    kit.fail("the table of gates is not in the bundle")


def scenario(folder):
    keys()
    refused_cases()
    expires()
    to_the_end()
    evidence()


if __name__ == "__main__":
    kit.main(scenario)
