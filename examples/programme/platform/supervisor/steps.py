"""The phases of a run, one function each; `run` is all of them in their order."""

import json
import time
from datetime import datetime, timezone

from eventplatform import database
from eventplatform.config import DAEMONS, Config, canonical, sha256
from supervisor.resources import HERE
from supervisor.roles import Role


class Blocked(Exception):
    def __init__(self, name, code, said):
        super().__init__(f"{name} ended with {code}\n{said}")
        self.name, self.code, self.said = name, code, said


def new_run_id(lab):
    """The second it is now, and no id twice."""
    while True:
        name = datetime.now(timezone.utc).strftime("platform_%Y%m%dT%H%M%SZ")
        if lab.read(f"runs/{name}.json") is None:
            return name
        time.sleep(0.2)


def configure(lab, events, seed, run_id=None, settings=None, scenario_run_id=None, batch=None):
    """Writes the configuration of a run into the lab's folder; from then on it is the current run."""
    with open(settings or HERE / "settings.json", encoding="utf-8") as file:
        wanted = json.load(file)
    wanted["events"] = events or wanted["events"]
    wanted["seed"] = wanted["seed"] if seed is None else seed
    wanted["wsp_batch_events"] = batch or wanted["wsp_batch_events"]
    run_id = run_id or new_run_id(lab)
    body = {
        "platform_run_id": run_id, "scenario_run_id": scenario_run_id or sha256(canonical([run_id, wanted]))[:32],
        "settings": wanted, "handles": lab.handles}
    Config(body)
    there = lab.read(f"runs/{run_id}.json")
    if there is not None and (there["settings"], there["scenario_run_id"]) != (wanted, body["scenario_run_id"]):
        raise SystemExit(f"{run_id} is configured otherwise already: a changed configuration needs a new run id")
    if there is None:
        lab.save(f"runs/{run_id}.json", body)
    lab.save("current.json", {"platform_run_id": run_id})
    return run_id


def current(lab):
    told = lab.read("current.json")
    if told is None:
        raise SystemExit("no run is configured: `lab.py pin` first")
    return told["platform_run_id"]


def config_path(lab, run_id):
    return lab.path("runs", f"{run_id}.json")


def config_of(lab, run_id):
    return Config.read(config_path(lab, run_id))


def once(lab, run_id, name, *more, files=()):
    """Runs a role that ends. Its last line is what it says; another code than 0 is a Blocked."""
    with lab.tasks.job(Role(name, config_path(lab, run_id), run_id, more, files)) as job:
        said, talk = job.communicate()
    if job.returncode:
        raise Blocked(name, job.returncode, talk.strip() or said.strip())
    return json.loads(said.strip().splitlines()[-1])


def service(lab, run_id, name, *more, config=None):
    lab.tasks.serve(Role(name, config or config_path(lab, run_id), run_id, more))


def start_daemons(lab, run_id, configs=None):
    """All thirteen, once each. `configs` gives single services another configuration file."""
    stop_daemons(lab)
    for name in DAEMONS:
        service(lab, run_id, name, config=(configs or {}).get(name))
    wait_ready(lab, run_id, DAEMONS)


def wait_ready(lab, run_id, names, seconds=90):
    connection = database.connect(config_of(lab, run_id))
    connection.autocommit = True
    deadline = time.monotonic() + seconds
    while True:
        alive = lab.tasks.alive()
        with connection.cursor() as cursor:
            cursor.execute("select service, task_arn from service_status where platform_run_id = %s", (run_id,))
            ready = dict(cursor.fetchall())
        dead = [name for name in names if name not in alive]
        if dead:
            raise SystemExit(f"{dead[0]} ended:\n{lab.tasks.log_of(dead[0])}")
        if all(ready.get(name) == alive[name] for name in names):
            connection.close()
            return
        if time.monotonic() > deadline:
            raise SystemExit("not ready: " + ", ".join(n for n in names if ready.get(n) != alive[n]))
        time.sleep(0.1)


def stop_daemons(lab):
    return lab.tasks.stop(DAEMONS)


def step_pin(lab, run_id):
    return once(lab, run_id, "pin")


def daemons_ready(lab, run_id):
    """The role is told what the kernel and runc list: it may be in a container, and see itself alone."""
    lab.save("running.json", lab.tasks.tasks(run_id))
    return once(lab, run_id, "daemons-ready", "--running", lab.path("running.json"), files=(lab.path("running.json"),))


def step_daemons(lab, run_id):
    start_daemons(lab, run_id)
    return daemons_ready(lab, run_id)


def step_oracle(lab, run_id):
    once(lab, run_id, "world")
    once(lab, run_id, "oracle-seed")
    once(lab, run_id, "oracle-sort")
    return once(lab, run_id, "oracle-check")


def single(name):
    return lambda lab, run_id: once(lab, run_id, name)


STEPS = {
    # name: (phase, function)
    "pin": ("P1", step_pin), "daemons": ("P2", step_daemons), "oracle": ("P3", step_oracle),
    "gate": ("P4", single("gate-ready")), "ready": ("P5", single("ready")), "stream": ("P6", single("stream")),
    "ingest": ("P7", single("ingest-committed")), "core": ("P8", single("core-caught-up")),
    "decisions": ("P9", single("decisions-committed")), "cases": ("P10", single("cases-committed")),
    "report": ("P11", single("report")),
}
AFTER = ["meaning", "replay-bus", "replay-archive"]


def run(lab, run_id, say, until=None):
    """All phases; then what the run meant, read again from the bus and from the archive."""
    for name, (phase, step) in STEPS.items():
        begun = time.monotonic()
        said = step(lab, run_id)
        said.pop("role", None)
        peak = said.pop("peak_mb")
        say(f"{phase:4} {name:10} {time.monotonic() - begun:7.2f} s  {peak:4} MB  {json.dumps(said)[:150]}")
        if name == until:
            return None
    found = []
    for name in AFTER:
        begun = time.monotonic()
        found.append(once(lab, run_id, name))
        say(f"     {name:15} {time.monotonic() - begun:.2f} s  {found[-1]['peak_mb']} MB")
    say(f"services at most, MB: {json.dumps(lab.tasks.peaks())}")
    stop_daemons(lab)
    return {"platform_run_id": run_id, "semantic_digest": found[0]["semantic_digest"],
            "replay": [again["status"] for again in found[1:]]}
