"""Two engines fight for one run, with its log in a folder and in PostgreSQL 16 and 18. While one works, the
other is refused and told who works. Then the first is stopped (kill -STOP) in the middle of a step, before it
has done anything of it; what holds the run is taken away, and the other goes on with it to the end. The first
wakes up: it must notice before it acts, say run.fenced, and change and record nothing.

Needs the build feature `faults`, which holds the step still for some seconds.
"""

import hashlib
import json
import os
import signal
import subprocess
import time

import evidence
import hold
import kit

PLAN = """carnet: v1
migration: fought
owner: ops
source: {{ name: lab, knowledge: {{ store: "{source}", artifacts: artifacts }} }}
target: {{ name: prod, knowledge: {{ store: "faiss:target", artifacts: prod }} }}
process: knowledge/v1
quiesce: {{ flag: pause_ingestion }}
transfer: {{ inbox: inbox }}
cutover:
  switch: {{ env_file: das.env, key: VECTOR_ENDPOINT, value: new-place }}
decommission: {{ archive: archive }}
"""

OLD_ENV = "VECTOR_ENDPOINT=old-place\n"

# The step in which the first engine is held: its intent is recorded, and nothing is done yet.
STEP = "cutover/switch"


class InFolder:
    """The log is in the state folder, and the lock is a file in it."""

    name, options = "a state folder", []

    def __init__(self, place):
        self.state = place / ".carnet" / "fought"

    def events(self):
        return [json.loads(data) for _, data in evidence.events(self.state)]

    def steal(self):
        (self.state / "lock").unlink()


class InServer:
    """The log is in a database, and the lock is the connection of its writer."""

    def __init__(self, version):
        self.name, self.url = f"PostgreSQL {version}", kit.database(version, "two_engines")
        self.options = ["--log", self.url]

    def events(self):
        there = kit.sql(self.url, "SELECT to_regclass('carnet_log_fought.events')")[0][0]
        rows = kit.sql(self.url, "SELECT bytes FROM carnet_log_fought.events ORDER BY sequence") if there else []
        return [json.loads(bytes(row[0])) for row in rows]

    def steal(self):
        ended = kit.sql(
            self.url,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        kit.want(ended == [(True,)], f"{self.name}: ended {ended}")


def digests(place):
    """All files but those of the state folder, with their digests."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in place.rglob("*")
        if path.is_file() and ".carnet" not in path.parts and path.name != "output"
    }


def prepare(folder, name):
    place = folder / name
    place.mkdir()
    source = kit.write_faiss(place / "source", *kit.synthetic(500, 16))
    kit.write_artifacts(place / "artifacts")
    (place / "das.env").write_text(OLD_ENV)
    (place / "plan.yaml").write_text(PLAN.format(source=source))
    return place


def start(place, store):
    """The first engine; it hangs in its step for five seconds."""
    command = [kit.setting("CARNET_BIN"), "run", "plan.yaml", "--json", *store.options]
    env = {**os.environ, "CARNET_FAULTS": f"before/{STEP}:1:pause"}
    with open(place / "output", "w") as out:
        return subprocess.Popen(command, cwd=place, env=env, stdout=out, stderr=out)


def fight(place, store):
    first = start(place, store)
    said = lambda: (place / "output").read_text()
    try:
        until = time.monotonic() + 120
        while not hold.held(first.pid):
            kit.want(first.poll() is None and time.monotonic() < until, f"{store.name}: not held: {said()}")
            time.sleep(0.02)
        # It hangs for longer than it would.
        os.kill(first.pid, signal.SIGSTOP)
        # While the first has the run, the second is refused, and told who has it.
        second = kit.carnet("run", "plan.yaml", *store.options, exit=3, as_json=False, cwd=place)
        for words in ("run.locked", f"process {first.pid}", "since 20"):
            kit.want(words in second.stderr, f"{store.name}: no {words!r} in {second.stderr}")
        status = kit.carnet("status", "plan.yaml", *store.options, cwd=place)
        kit.want(status["at_work"] is True, f"{store.name}: status beside a run: {status}")

        store.steal()
        kit.carnet("run", "plan.yaml", *store.options, cwd=place)
        world, events = digests(place), store.events()
        kit.want(events[-1]["event_type"] == "process.end", f"{store.name}: ended with {events[-1]}")
        os.kill(first.pid, signal.SIGCONT)
        status = first.wait(timeout=60)
    finally:
        if first.poll() is None:
            first.kill()
            first.wait()
    kit.want((status, "run.fenced" in said()) == (3, True), f"{store.name}: the first ended with {status}: {said()}")
    changed = sorted(name for name, _ in digests(place).items() ^ world.items())
    kit.want(not changed, f"{store.name}: the first changed {changed}")
    kit.want(store.events() == events, f"{store.name}: the first recorded something")
    kit.want((place / "das.env").read_text() == OLD_ENV.replace("old", "new"), f"{store.name}: the switch")
    writers = sorted({event["context"]["generation"] for event in events if "context" in event})
    return store.name, len(events), writers, "run.locked", "run.fenced"


def scenario(folder):
    place = prepare(folder, "folder")
    rows = [fight(place, InFolder(place))]
    for version in (16, 18):
        rows.append(fight(prepare(folder, f"server{version}"), InServer(version)))
    kit.table(["log", "events", "writers", "the second, beside", "the first, woken"], rows)


if __name__ == "__main__":
    kit.main(scenario)
