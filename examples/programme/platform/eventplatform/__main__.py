"""python3 -m eventplatform ROLE --config FILE: one role, one process.

Services stay until SIGTERM; everything else does one thing and ends: 0 done, 3 another writer holds
the lock, 5 done but not good enough to go on (what is wrong is on stderr).
"""

import argparse
import json
import resource
import sys

from eventplatform import conformance, database, oracle, replay, reporter, roles, scenario, snapshots, source, task, worker
from eventplatform.config import DAEMONS, Config

ONCE = {
    "world": lambda config, _: oracle.world(config),
    "oracle-seed": lambda config, _: oracle.seed(config),
    "oracle-sort": lambda config, _: oracle.sort(config),
    "oracle-check": lambda config, _: oracle.check(config),
    "pin": lambda config, _: scenario.pin(config),
    "ready": lambda config, _: scenario.ready(config),
    "stream": lambda config, told: source.stream(config, told.passes),
    "meaning": lambda config, _: replay.meaning(config),
    "replay-bus": lambda config, _: replay.replay(config, "bus"),
    "replay-archive": lambda config, _: replay.replay(config, "archive"),
}
SNAPSHOTS = {
    "daemons-ready": lambda config, told: snapshots.daemons(config, running(told)),
    "gate-ready": lambda config, _: snapshots.gate_ready(config), "ingest-committed": lambda config, _: snapshots.ingest(config),
    "core-caught-up": lambda config, _: snapshots.core(config),
    "decisions-committed": lambda config, _: snapshots.decisions(config), "cases-committed": lambda config, _: snapshots.cases(config),
}


def running(told):
    if not told.running:
        raise SystemExit("say what was found to run: --running FILE")
    with open(told.running, encoding="utf-8") as file:
        return json.load(file)


def enroll(config, role):
    """Before anything else; only `pin` has run.json to write first, and does it itself."""
    if role != "pin":
        connection = database.connect(config)
        task.enroll(connection, config, role)
        connection.close()


def serve(role, config, again):
    if role == "ig":
        worker.serve_gate(config)
    elif role == "env-conformance":
        worker.repeat(config, role, conformance.look)
    else:
        handler, topics = roles.HANDLERS[role]
        # The archive waits a little longer, or it would write very many very small objects.
        gather = 1.0 if role == "rtdl-core-archive-writer" else 0.2
        worker.consume(config, role, topics, handler, again, gather)


def main():
    parser = argparse.ArgumentParser(prog="eventplatform")
    parser.add_argument("role", choices=sorted([*ONCE, *SNAPSHOTS, *DAEMONS, "report"]))
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--passes", type=int, default=1, help="stream: how often to send each event")
    parser.add_argument("--hold-seconds", type=float, default=0, help="report: hold the lock for longer")
    parser.add_argument("--again", action="store_true", help="services: begin at the run's first offsets")
    parser.add_argument("--running", metavar="FILE", help="daemons-ready: {service: tasks} as they were found to run")
    told = parser.parse_args()
    config = Config.read(told.config)
    enroll(config, told.role)
    if told.role in DAEMONS:
        return serve(told.role, config, told.again)
    code = 0
    if told.role == "report":
        code, said = reporter.report(config, told.hold_seconds)
    elif told.role in SNAPSHOTS:
        wrong = SNAPSHOTS[told.role](config, told)
        code, said = (5 if wrong else 0), {"blockers": wrong}
        for line in wrong:
            print(line, file=sys.stderr)
    else:
        said = ONCE[told.role](config, told)
        code = 5 if said.get("status") == "FAIL" else 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"role": told.role, "peak_mb": peak, **said}, sort_keys=True))
    return code


if __name__ == "__main__":
    sys.exit(main())
