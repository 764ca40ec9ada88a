"""A programme of three phases, carried by people from phase to phase, and each way in which it stops."""

import hashlib
import json
import os
import pathlib
import re

import boto3
import evidence
import kit

RUN_ID = "platform_20260213T214223Z"
PLAN = """carnet: v1
migration: programme
owner: ops
approvals: {amendment: {any_of: [ops], assurance: named}}
programme:
  scope: {in: [control, rtdl], out: [learning]}
  authority: [flow.md, handles.md]
  legacy: [old]
  run:
    platform_run_id: THE_RUN
    scenario_run_id: '0123456789abcdef0123456789abcdef'
    config: config.json
    image: {tag: git-0a1b2c3, digest: 'sha256:1212121212121212121212121212121212121212121212121212121212121212'}
    source_revision: 0a1b2c3d4e
  evidence_root: store
phases:
- name: package
  does: build the image
  phase_id: P-1
  posture: {retry: L0, says: build it again}
  evidence: [{path: 'evidence/runs/{platform_run_id}/image.json', form: image}]
  entry: [{gate: file, name: rules, with: {path: flow.md}}]
  steps:
  - {name: build, capability: command.run, with: {program: sh, args: [-c, 'echo $REQUIRED_PLATFORM_RUN_ID > built'], repeat: again}, undo: {capability: command.run, with: {program: rm, args: [-f, built], repeat: again}}}
  exit: [{gate: file, name: is_built, with: {path: built}}]
- name: substrate
  does: make the substrate
  phase_id: [P0, P1]
  posture: {retry: none, says: look before it is made again}
  evidence: [{path: 'evidence/runs/{platform_run_id}/{phase_id}.json', form: apply}]
  entry: [{gate: file, name: rules, with: {path: flow.md}}]
  exit: [{gate: file, name: is_made, with: {path: made}}]
""".replace("THE_RUN", RUN_ID)
AT_GATE_LEVEL = """- name: daemons
  does: bring the daemons up
  phase_id: P2
  gate_level: true
  entry: [the substrate is done]
  exit: [each service runs once]
"""
WRITTEN_OUT = """- name: daemons
  does: bring the daemons up
  phase_id: P2
  posture: {retry: L1, says: stop them and start again}
  evidence: [{path: 'evidence/runs/{platform_run_id}/operate/daemons_ready.json', form: daemons_ready}]
  entry: [{gate: file, name: rules, with: {path: flow.md}}]
  exit: [{gate: file, name: is_made, with: {path: made}}]
"""


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def refused(*words, code, exit=3):
    """A command that ends with this code; gives what it says."""
    done = kit.carnet(*words, "--json", exit=exit, as_json=False)
    error = json.loads(done.stderr)["error"]
    kit.want(error["code"] == code, f"{words}: {error}")
    return " | ".join([error["message"], *error["causes"], error["remedy"] or ""])


def statuses(plan="plan.yaml"):
    return [row["status"] for row in kit.carnet("phase", "show", plan)["phases"]]


def missing(plan="plan.yaml"):
    return [it["what"] for it in (kit.carnet("phase", "show", plan)["next"] or {"missing": []})["missing"]]


def events():
    return evidence.parsed(".carnet/programme")


def begin():
    write("flow.md", "flow\n")
    write("handles.md", "handles\n")
    write("config.json", '{"b": 1, "a": "x"}\n')
    write("plan.yaml", PLAN + AT_GATE_LEVEL)
    kit.carnet("check", "plan.yaml")
    kit.want(statuses() == ["NOT_STARTED"] * 3, statuses())
    refused("phase", "advance", "plan.yaml", code="run.not_found", exit=2)
    # Nothing begins by itself; what the run is pinned to is written before anything else.
    kit.carnet("run", "plan.yaml", exit=5)
    kit.want(statuses() == ["NOT_STARTED"] * 3 and not pathlib.Path("built").exists(), "began by itself")
    path = pathlib.Path(f"store/evidence/runs/{RUN_ID}/run.json")
    pins = json.loads(path.read_text())
    digest = hashlib.sha256(b'{"a":"x","b":1}').hexdigest()
    kit.want(pins["config_digest"] == digest and pins["platform_run_id"] == RUN_ID, pins)
    return path


def first_phase():
    for node in ["package/activate", "package/confirm", "substrate/activate"]:
        said = refused("signal", "plan.yaml", node, "--reason", "x", code="run.not_now")
        kit.want("carnet phase advance" in said, said)
    kit.carnet("phase", "advance", "plan.yaml", "--by", "ops", "--reason", "go")
    kit.want(statuses() == ["ACTIVE", "NOT_STARTED", "NOT_STARTED"], statuses())
    said = refused("phase", "advance", "plan.yaml", code="programme.unready")
    kit.want("nothing of it is done" in said and "carnet run" in said, said)
    kit.carnet("run", "plan.yaml", exit=5)
    built = pathlib.Path("built").read_text().strip()
    kit.want(built == RUN_ID, f"the step was told to work for {built!r}")
    # Each thing that is missing is told with its remedy.
    said = refused("phase", "advance", "plan.yaml", code="programme.unready")
    kit.want("image.json (image) is not there" in said and "no note was kept" in said, said)
    told = events()[-1]
    kit.want(told["event_type"] == "migration.refusal" and any("no note was kept" in it for it in told["context"]["missing"]), told)
    write(f"store/evidence/runs/{RUN_ID}/image.json", "")
    kit.want(any("is empty" in it for it in missing()), missing())
    write(f"store/evidence/runs/{RUN_ID}/image.json", "{}\n")
    kit.carnet("note", "plan.yaml", "--text", "built with the pinned compiler", "--by", "ops")
    kit.carnet("note", "plan.yaml", "--text", "pushed\n## not a heading", "--kind", "action", "--by", "ops")
    kit.want(missing() == [], missing())
    # Held up: neither confirmed nor worked on.
    kit.carnet("phase", "block", "plan.yaml", "package", "--reason", "a leak", "--by", "sec")
    kit.want(statuses()[0] == "BLOCKED", statuses())
    said = refused("phase", "advance", "plan.yaml", code="programme.unready")
    kit.want("sec holds it up: a leak" in said and "phase unblock" in said, said)
    refused("run", "plan.yaml", code="programme.blocked", exit=5)
    refused("phase", "block", "plan.yaml", "package", "--reason", "again", code="run.not_now")
    kit.carnet("phase", "unblock", "plan.yaml", "package", "--reason", "fixed", "--by", "sec")
    kit.carnet("run", "plan.yaml", exit=5)
    kit.carnet("phase", "advance", "plan.yaml", "--by", "ops")
    kit.carnet("run", "plan.yaml", exit=5)
    kit.want(statuses() == ["DONE", "NOT_STARTED", "NOT_STARTED"], statuses())


def drift():
    """A changed authority stops the run until it is put back, or the change is approved."""
    write("handles.md", "other handles\n")
    said = refused("run", "plan.yaml", code="programme.drift")
    kit.want("handles.md" in said and "carnet repin" in said, said)
    refused("phase", "advance", "plan.yaml", code="programme.drift")
    kit.carnet("note", "plan.yaml", "--text", "handles.md was edited by mistake", "--by", "ops")
    write("handles.md", "handles\n")
    kit.carnet("run", "plan.yaml", exit=5)
    found = [event for event in events() if event["event_type"] == "programme.drift"]
    kit.want(len(found) == 1, f"{len(found)} events of drift")
    pinned, now = (hashlib.sha256(text).hexdigest() for text in (b"handles\n", b"other handles\n"))
    kit.want(found[0]["pinned_digest"] == f"sha256:{pinned}", found)
    kit.want(found[0]["found_digest"] == f"sha256:{now}", found)
    kit.want(found[0]["severity"] == "major" and "substrate" in found[0]["impact"], found)
    # For good: a plan that amends this one, once somebody approved it.
    write("handles.md", "new handles\n")
    refused("run", "plan.yaml", code="programme.drift")
    kit.carnet("repin", "plan.yaml", "--out", "repinned.yaml")
    refused("run", "repinned.yaml", code="approval.invalid")
    kit.carnet("approve", "repinned.yaml", "amendment", "--as", "ops", "--yes")
    kit.carnet("run", "repinned.yaml", exit=5)
    kit.want(statuses("repinned.yaml") == ["DONE", "NOT_STARTED", "NOT_STARTED"], "after the repin")
    pathlib.Path("repinned.yaml").rename("plan.yaml")


def drift_in_the_middle():
    """A step changes an authority file: the next one does not begin until it is put back."""
    touch = "  - {name: next, capability: command.run, with: {program: touch, args: [next], repeat: again}, undo: {capability: command.run, with: {program: rm, args: [-f, next], repeat: again}}}\n"
    plan = PLAN.replace("> built'", "> built; cp $0 handles.md', other.md").replace("  exit: [{gate: file, name: is_built", touch + "  exit: [{gate: file, name: is_built")
    kit.want("other.md" in plan and "name: next" in plan, plan)
    write("handles.md", "handles\n")
    write("other.md", "other handles\n")
    write("middle.yaml", plan.replace("evidence_root: store", "evidence_root: middle_store"))
    words = ["middle.yaml", "--state", "middle"]
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "advance", *words)
    said = refused("run", *words, code="programme.drift")
    kit.want("handles.md is pinned to" in said and "carnet repin" in said, said)
    kit.want(not pathlib.Path("next").exists(), "the next step has begun")
    found = [event for event in evidence.parsed("middle/programme") if event["event_type"] == "programme.drift"]
    kit.want(len(found) == 1 and found[0]["outcome"] != "refused", found)
    refused("run", *words, code="programme.drift")
    write("handles.md", "handles\n")
    kit.carnet("run", *words, exit=5)
    kit.want(pathlib.Path("next").exists(), "it does not go on")
    pathlib.Path("next").unlink()


def second_phase():
    kit.carnet("phase", "advance", "plan.yaml", "--by", "ops")
    refused("run", "plan.yaml", code="gate.waits", exit=5)
    kit.want(statuses()[1] == "BLOCKED", statuses())
    said = refused("run", "plan.yaml", code="programme.unready")
    kit.want("no retries" in said and "carnet incident retry" in said, said)
    write("made", "x\n")
    kit.carnet("incident", "retry", "plan.yaml", "substrate/is_made")
    kit.carnet("run", "plan.yaml", exit=5)
    for name in ["P0", "P1"]:
        kit.want(any(f"{name}.json" in it for it in missing()), missing())
        write(f"store/evidence/runs/{RUN_ID}/{name}.json", "{}\n")
    kit.carnet("note", "plan.yaml", "--text", "made", "--by", "ops")
    kit.carnet("phase", "advance", "plan.yaml", "--by", "ops")
    kit.carnet("run", "plan.yaml", exit=5)
    kit.want(statuses() == ["DONE", "DONE", "NOT_STARTED"], statuses())


def last_phase():
    """A phase at gate level begins after an approved amendment wrote it out."""
    said = refused("phase", "advance", "plan.yaml", code="programme.unready")
    kit.want("gate level" in said and "amend" in said, said)
    digest = kit.carnet("check", "plan.yaml")["plan_digest"]
    write("whole.yaml", PLAN + WRITTEN_OUT + f"amends: sha256:{digest}\n")
    refused("run", "whole.yaml", code="approval.invalid")
    kit.carnet("approve", "whole.yaml", "amendment", "--as", "ops", "--yes")
    kit.carnet("run", "whole.yaml", exit=5)
    kit.carnet("phase", "advance", "whole.yaml", "--by", "ops")
    kit.carnet("run", "whole.yaml", exit=5)
    kit.carnet("note", "whole.yaml", "--text", "all up", "--by", "ops")
    # Being there is not enough: the contract is judged as the gate `run_evidence` judges.
    path = f"store/evidence/runs/{RUN_ID}/operate/daemons_ready.json"
    good = json.loads((kit.ROOT / "crates/programme/src/forms/examples.json").read_text())["daemons_ready"]
    good = json.loads(json.dumps(good).replace(good["platform_run_id"], RUN_ID))
    twice = {**good, "services": [{**good["services"][0], "running_count": 2}, *good["services"][1:]]}
    for bad, word in [({}, "missing_field"), ({**good, "platform_run_id": "platform_20260213T214224Z"}, "other_run"), (twice, "ig")]:
        write(path, json.dumps(bad) + "\n")
        said = refused("phase", "advance", "whole.yaml", code="programme.unready")
        kit.want("does not hold" in said and word in said, said)
    write(path, json.dumps(good) + "\n")
    kit.carnet("phase", "advance", "whole.yaml", "--by", "ops")
    kit.carnet("run", "whole.yaml")
    kit.want(statuses("whole.yaml") == ["DONE"] * 3, statuses("whole.yaml"))


def failing(name, retry, program="test -f ok"):
    """A plan with a step that fails until `ok` is there, begun, and failed once."""
    steps = f"  - {{name: build, capability: command.run, with: {{program: sh, args: [-c, '{program}'], repeat: again}}, undo: {{capability: command.run, with: {{program: 'true', repeat: again}}}}}}\n"
    before, after = PLAN.split("  steps:\n", 1)
    plan = before + "  steps:\n" + steps + "  exit:" + after.split("  exit:", 1)[1]
    plan = plan.replace("retry: L0", f"retry: {retry}").replace("root: store", f"root: {name}_store")
    write("config.json", '{"b": 1, "a": "x"}\n')
    write(f"{name}.yaml", plan.replace("path: built", "path: flow.md"))
    words = [f"{name}.yaml", "--state", name]
    pathlib.Path("ok").unlink(missing_ok=True)
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "advance", *words)
    kit.carnet("run", *words, exit=None)
    kit.want(kit.carnet("status", *words, exit=None)["incidents"][0]["subject"] == "package/build", "no incident")
    return words


def goes_on(words):
    write("ok", "")
    kit.carnet("run", *words, exit=5)
    kit.want("package/confirm" in kit.carnet("status", *words, exit=None)["messages"], "the step was not done again")


def settled():
    """A step that nobody knows of is settled as not done: that is no way around its level."""
    killed = "test -f ok || kill -9 $$"
    words = failing("unknown1", "L1", killed)
    settle = ["incident", "settle", words[0], "package/build", "--outcome", "not-applied", "--reason", "looked", "--by", "ops", *words[1:]]
    said = refused(*settle, code="programme.unready")
    kit.want("cleaned up" in said, said)
    kit.carnet("note", *words, "--kind", "reset", "--text", "nothing is left of it")
    kit.carnet(*settle)
    goes_on(words)
    words = failing("unknown2", "L2", killed)
    settle[2], settle[-1] = words[0], words[-1]
    kit.carnet(*settle)
    write("ok", "")
    said = refused("run", *words, code="programme.unready")
    kit.want("a fresh platform_run_id" in said and "amendment" in said, said)
    kit.carnet("rollback", *words)


def retries():
    """What failed is done again as its phase allows, and not otherwise."""
    goes_on(failing("level0", "L0"))
    words = failing("level1", "L1")
    write("ok", "")
    for act in (["run", *words], ["incident", "retry", words[0], "package/build", *words[1:]]):
        said = refused(*act, code="programme.unready")
        kit.want("cleaned up" in said and "--kind reset" in said, said)
    kit.carnet("note", *words, "--kind", "reset", "--text", "the prefix is empty")
    said = refused("run", *words, code="programme.unready")
    kit.want("incident retry" in said, said)
    # It fails again: what was cleaned up before does not count for that.
    pathlib.Path("ok").unlink()
    kit.carnet("incident", "retry", words[0], "package/build", *words[1:])
    kit.carnet("run", *words, exit=None)
    refused("incident", "retry", words[0], "package/build", *words[1:], code="programme.unready")
    kit.carnet("note", *words, "--kind", "reset", "--text", "and again")
    kit.carnet("incident", "retry", words[0], "package/build", *words[1:])
    goes_on(words)
    for level, fresh in [("L2", "a fresh platform_run_id"), ("L3", "fresh root"), ("L4", "made anew")]:
        words = failing(level.lower(), level)
        for act in (["run", *words], ["incident", "retry", words[0], "package/build", *words[1:]]):
            said = refused(*act, code="programme.unready")
            kit.want(fresh in said and "amendment" in said, said)
    settled()
    # A rerun in the same run is approved explicitly, or it is not.
    digest = kit.carnet("check", words[0])["plan_digest"]
    write("rerun.yaml", pathlib.Path(words[0]).read_text().replace("retry: L4", "retry: L0") + f"amends: sha256:{digest}\n")
    refused("run", "rerun.yaml", *words[1:], code="approval.invalid")
    kit.carnet("approve", "rerun.yaml", "amendment", "--as", "ops", "--yes", *words[1:])
    goes_on(["rerun.yaml", *words[1:]])


def notes():
    text = kit.carnet("note", "whole.yaml", "--markdown", as_json=False).stdout
    kit.want("built with the pinned compiler" in text and "\n> ## not a heading" in text, text)
    kit.want(len(re.findall("^### ", text, re.M)) == 5, text)


def another_config(pins):
    """The same ids with another configuration: what the run is pinned to is never written again."""
    held = pins.read_bytes()
    write("config.json", '{"a": "y"}\n')
    said = refused("run", "whole.yaml", "--state", "elsewhere", code="programme.pinned")
    kit.want("config" in said and "new platform_run_id" in said, said)
    told = evidence.parsed("elsewhere")[-1]
    kit.want(told.get("refusal_reason_code") == "programme.pinned", told)
    kit.want(pins.read_bytes() == held, "the pins were written again")


def in_a_bucket():
    """The same where evidence is in a bucket: the pins are written once, and files are looked for there."""
    key, secret = kit.setting("CARNET_TEST_S3_KEY"), kit.setting("CARNET_TEST_S3_SECRET")
    endpoint, bucket = kit.setting("CARNET_TEST_S3"), f"carnet-programme-{os.getpid()}"
    os.environ.update({"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    s3.create_bucket(Bucket=bucket)
    root = f's3://{bucket}?endpoint={endpoint}&region=us-east-1'
    write("config.json", "{}\n")
    write("bucket.yaml", PLAN.replace("evidence_root: store", f"evidence_root: '{root}'"))
    words = ["bucket.yaml", "--state", "bucket"]
    kit.carnet("run", *words, exit=5)
    path = f"evidence/runs/{RUN_ID}/run.json"
    held = s3.get_object(Bucket=bucket, Key=path)["Body"].read()
    kit.want(json.loads(held)["config"] == {}, held)
    kit.carnet("phase", "advance", *words)
    kit.carnet("run", *words, exit=5)
    kit.carnet("note", *words, "--text", "built")
    said = refused("phase", "advance", *words, code="programme.unready")
    kit.want("image.json (image) is not there" in said, said)
    # The bucket cannot be asked: nothing is advanced, and the log says why.
    os.environ["AWS_SECRET_ACCESS_KEY"] = "another"
    done = kit.carnet("phase", "advance", *words, "--json", exit=None, as_json=False)
    code = json.loads(done.stderr)["error"]["code"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = secret
    told = evidence.parsed("bucket")[-1]
    kit.want(code != "programme.unready" and told.get("refusal_reason_code") == code, told)
    kit.want(secret not in json.dumps(told) and "another" not in json.dumps(told), told)
    s3.put_object(Bucket=bucket, Key=f"evidence/runs/{RUN_ID}/image.json", Body=b"{}\n")
    kit.carnet("phase", "advance", *words)
    write("config.json", '{"other": 1}\n')
    refused("run", "bucket.yaml", "--state", "another", code="programme.pinned")
    kit.want(s3.get_object(Bucket=bucket, Key=path)["Body"].read() == held, "written again")
    for each in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=each["Key"])
    s3.delete_bucket(Bucket=bucket)


def main():
    with kit.workspace():
        pins = begin()
        first_phase()
        drift()
        second_phase()
        last_phase()
        notes()
        drift_in_the_middle()
        retries()
        another_config(pins)
        evidence.verify(".carnet/programme")
        in_a_bucket()
    print("programme: three phases, each refusal seen")


if __name__ == "__main__":
    main()
