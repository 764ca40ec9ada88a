#!/usr/bin/env python3
"""A lab for the event platform: `choose`, `up`, `run N`, single phases, `drill NAME`, `down`, `purge`."""

import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from eventplatform import exported, replay
from supervisor import containers, drills, records, resources, steps, teardown


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    parser.add_argument("--dir", default=".lab", help="the folder of the lab (.lab)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="make what was chosen: broker, topics, buckets, tables, secret")
    choose = verbs.add_parser("choose", help="build the image, say where all will be, make the evidence bucket")
    choose.add_argument("--s3", default=os.environ.get("CARNET_TEST_S3"), metavar="URL")
    choose.add_argument("--database", default=os.environ.get("CARNET_TEST_PG16"), metavar="URL")
    choose.add_argument("--compute", choices=["process", "runc"], default="process", help="what the roles run as (process)")
    choose.add_argument("--evidence", metavar="ROOT", help="a folder, or s3://BUCKET (a bucket of the lab)")
    for verb in (choose, verbs.add_parser("image", help="P-1: build the image that the roles run from")):
        verb.add_argument("--git-sha", metavar="SHA", help="the source revision (that of this folder)")
    for name, text in (("run", "a run from P1 to P11"), ("configure", "write down what a run is configured to"),
                       ("pin", "P1 alone: configure and pin a run"), ("drill", "a run with a fault in it")):
        verb = verbs.add_parser(name, help=text)
        if name == "drill":
            verb.add_argument("name", choices=sorted(drills.DRILLS))
            verb.add_argument("--no-fault", action="store_true", help="inject nothing: the drill must say FAIL")
        verb.add_argument("events", type=int, nargs="?", help="how many (as in settings.json)")
        verb.add_argument("--seed", type=int)
        verb.add_argument("--batch", type=int, help="how many events the source posts in one request")
        verb.add_argument("--run-id", metavar="ID", help="platform_YYYYMMDDTHHMMSSZ (now)")
        verb.add_argument("--scenario-run-id", metavar="HEX32", help="(follows from the run id and the settings)")
        verb.add_argument("--settings", metavar="FILE", help="what run.json pins (settings.json)")
    record = verbs.add_parser("record", help="what a phase rests on, as evidence of the current run")
    record.add_argument("what", choices=sorted(records.RECORDS))
    record.add_argument("files", nargs="*", metavar="FILE")
    verbs.add_parser("withdraw", help="say that what a step did was taken back").add_argument("what")
    for name, (phase, _) in steps.STEPS.items():
        if name != "pin":
            verbs.add_parser(name, help=f"{phase} of the current run")
    verbs.add_parser("meaning", help="the semantic digest of the current run")
    verbs.add_parser("replay", help="read the current run again, from bus and archive")
    again = verbs.add_parser("replay-archive", help="read a run again, from exported evidence and the archive alone; also after down")
    again.add_argument("--evidence", required=True, metavar="DIR", help="a folder with evidence/runs/…, or what `carnet evidence export` wrote")
    again.add_argument("--run-id", metavar="ID", help="where the evidence is of several runs")
    again.add_argument("--s3", default=os.environ.get("CARNET_TEST_S3"), metavar="URL", help="where the archive is (that of the lab)")
    verbs.add_parser("release", help="stop the services of the current run")
    verbs.add_parser("list", help="what is there")
    verbs.add_parser("compute", help="what roles can run as on this machine; null, or what is wrong")
    verbs.add_parser("down", help="destroy, and prove it; evidence and archive stay")
    verbs.add_parser("purge", help="after down: evidence and archive too")
    return parser.parse_args()


def pinned(lab, told):
    run_id = steps.configure(lab, told.events, told.seed, told.run_id, told.settings, told.scenario_run_id, told.batch)
    say(f"run {run_id}")
    return run_id


def replay_archive(lab, told):
    """(what to print, exit code). It asks no broker, no database and no service, and needs no lab."""
    endpoint = lab.handles.get("S3_ENDPOINT") or told.s3
    if not endpoint:
        raise SystemExit("say where S3 is: --s3 URL")
    try:
        found = replay.replay_exported(exported.Exported(told.evidence, told.run_id), endpoint)
    except exported.NotAsItWas as wrong:
        found = {"source": "archive", "status": "FAIL", "why": str(wrong)}
    return found, 0 if found["status"] == "PASS" else 5


def do(lab, told):
    """(what to print, exit code)."""
    verb = told.verb
    if verb == "image":
        return resources.make_image(lab, told.git_sha), 0
    if verb == "compute":
        return {"process": None, "runc": containers.wrong()}, 0
    if verb == "choose":
        if not told.s3 or not told.database:
            raise SystemExit("say where S3 and PostgreSQL are: --s3 URL --database URL")
        resources.choose(lab, told.s3, told.database, told.evidence, told.git_sha, told.compute)
        return lab.handles, 0
    if verb == "replay-archive":
        return replay_archive(lab, told)
    if not lab.handles:
        raise SystemExit(f"{lab.folder} is no lab: `lab.py choose` first")
    if verb == "up":
        resources.up(lab)
        return lab.handles, 0
    if verb == "list":
        return resources.inventory(lab), 0
    if verb == "down":
        proof, left = teardown.down(lab)
        return {**proof, "left": left}, 5 if left else 0
    if verb == "purge":
        resources.purge(lab)
        return resources.inventory(lab), 0
    if verb == "configure":
        return steps.config_of(lab, pinned(lab, told)).body, 0
    if verb == "record":
        return records.RECORDS[told.what](lab, steps.current(lab), told.files), 0
    if verb == "withdraw":
        return records.withdraw(lab, steps.current(lab), told.what), 0
    lab.must_be_up()
    if verb == "run":
        return steps.run(lab, pinned(lab, told), say), 0
    if verb == "pin":
        run_id = pinned(lab, told) if told.events or told.run_id else steps.current(lab)
        return {"platform_run_id": run_id, **steps.step_pin(lab, run_id)}, 0
    if verb == "drill":
        report = drills.DRILLS[told.name](lab, pinned(lab, told), say, not told.no_fault)
        return report, 0 if report["status"] == "PASS" else 5
    if verb == "release":
        return {"stopped": steps.stop_daemons(lab)}, 0
    run_id = steps.current(lab)
    if verb == "replay":
        return [steps.once(lab, run_id, name) for name in steps.AFTER[1:]], 0
    step = steps.STEPS[verb][1] if verb in steps.STEPS else steps.single(verb)
    return step(lab, run_id), 0


def main():
    told = arguments()
    os.environ.setdefault("AWS_ACCESS_KEY_ID", os.environ.get("CARNET_TEST_S3_KEY", ""))
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", os.environ.get("CARNET_TEST_S3_SECRET", ""))
    # A role that this process waits for ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    try:
        result, code = do(resources.Lab(told.dir), told)
    except steps.Blocked as blocked:
        say(str(blocked))
        return blocked.code
    print(json.dumps(result, indent=1, sort_keys=True))
    say(f"{told.verb}: {time.monotonic() - begun:.1f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
