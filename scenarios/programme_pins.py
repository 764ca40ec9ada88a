"""What a run of a programme is pinned to: `run.json` and the pinned files, each changed, taken away or put in the
wrong place, and what is said and written then."""

import hashlib
import json
import pathlib
import re
import shlex
import subprocess

import evidence
import kit
from programme import AT_GATE_LEVEL, PLAN, RUN_ID, refused, write

OTHER_ID = "platform_20260301T130000Z"
CONFIG = '{"b": 1, "a": "x"}\n'


class Case:
    """A plan with a folder and a state of its own."""

    def __init__(self, name, plan=PLAN + AT_GATE_LEVEL, config=CONFIG):
        self.folder = pathlib.Path(name)
        for file, text in [("flow.md", "flow\n"), ("handles.md", "handles\n"), ("config.json", config), ("plan.yaml", plan)]:
            self.write(file, text)
        self.pins = self.folder / f"store/evidence/runs/{RUN_ID}/run.json"

    def write(self, file, text):
        write(self.folder / file, text)

    def carnet(self, *words, exit=0):
        return kit.carnet(*words, cwd=self.folder, exit=exit)

    def refused(self, *words, code, exit=3):
        done = kit.carnet(*words, "--json", cwd=self.folder, exit=exit, as_json=False)
        error = json.loads(done.stderr)["error"]
        kit.want(error["code"] == code, f"{words}: {error}")
        return " | ".join([error["message"], *error["causes"], error["remedy"] or ""])

    def files(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob("store/**/*") if path.is_file())

    def events(self, kind):
        return [event for event in evidence.parsed(self.folder / ".carnet/programme") if event["event_type"] == kind]

    def begin(self):
        self.carnet("run", "plan.yaml", exit=5)
        self.carnet("phase", "advance", "plan.yaml", "--by", "ops")
        return self

    def first_phase(self, exit=5):
        self.begin().carnet("run", "plan.yaml", exit=5)
        self.carnet("note", "plan.yaml", "--text", "built", "--by", "ops")
        self.write(f"store/evidence/runs/{RUN_ID}/image.json", "{}\n")
        self.carnet("phase", "advance", "plan.yaml", "--by", "ops")
        self.carnet("run", "plan.yaml", exit=exit)
        return self


def written_once():
    """What a run has put into its log stays as it is: neither gone nor edited, and never written again."""
    case = Case("gone").begin()
    held = case.pins.read_bytes()
    for change, word in [(case.pins.unlink, "is gone"), (lambda: case.pins.write_text(""), "is now"), (lambda: edit(case.pins, held), "is now")]:
        change()
        now = case.pins.read_bytes() if case.pins.exists() else None
        said = case.refused("run", "plan.yaml", code="programme.pinned")
        kit.want(word in said and "byte for byte" in said and hashlib.sha256(held).hexdigest() in said, said)
        kit.want((case.pins.read_bytes() if case.pins.exists() else None) == now, "it was written again")
        kit.want(not (case.folder / "built").exists(), "a step was done")
        case.pins.write_bytes(held)
    case.carnet("run", "plan.yaml", exit=5)
    case = Case("gone_after", PLAN.split("- name: substrate")[0]).first_phase(exit=0)
    kit.want(case.carnet("status", "plan.yaml")["status"] == "done", "not at its end")
    held = case.pins.read_bytes()
    case.carnet("run", "plan.yaml")
    case.pins.unlink()
    case.refused("run", "plan.yaml", code="programme.pinned")
    kit.want(not case.pins.exists(), "it was written again, after the end")
    case.pins.write_bytes(held)
    case.carnet("run", "plan.yaml")


def edit(pins, held):
    text = re.sub(rb'"written_at_utc": "[^"]*"', b'"written_at_utc": "2030-01-01T00:00:00Z"', held)
    kit.want(text != held, "nothing was edited")
    pins.write_bytes(text)


def found():
    """Another state folder finds the pins of the same run, and from then on holds to them as well."""
    case = Case("found")
    case.carnet("run", "plan.yaml", exit=5)
    held = case.pins.read_bytes()
    case.carnet("run", "plan.yaml", "--state", "elsewhere", exit=5)
    kit.want(case.pins.read_bytes() == held, "it was written again")
    edit(case.pins, held)
    case.refused("run", "plan.yaml", "--state", "elsewhere", code="programme.pinned")


def not_written():
    """A run that may not begin, and one whose pins nobody could read, leave nothing behind."""
    case = Case("burnt")
    case.carnet("run", "plan.yaml", exit=5)
    case.write("other.yaml", (PLAN + AT_GATE_LEVEL).replace(RUN_ID, OTHER_ID))
    before = case.files()
    case.refused("run", "other.yaml", code="plan.changed")
    kit.want(case.files() == before, case.files())
    with_run = PLAN.replace("image.json', form: image", "run.json', form: run")
    large = json.dumps({f"k{n}": {"a": ["x"] * 3} for n in range(6000)})
    for name, config, word in [("large", large, "too large"), ("minus", '{"a": -0}\n', "fractions"), ("large_alone", large, "too large")]:
        case = Case(name, (with_run if name != "large_alone" else PLAN) + AT_GATE_LEVEL, config)
        said = case.refused("run", "plan.yaml", code="plan.value", exit=2)
        kit.want("run.json" in said and "256 KiB" in said, said)
        kit.want(case.files() == [], case.files())


def in_its_own_place():
    """The contract may have the pins of another run: ours are not written there."""
    foreign = f"evidence/runs/{OTHER_ID}/run.json"
    plan = PLAN.replace("evidence/runs/{platform_run_id}/image.json', form: image", f"{foreign}', form: run")
    kit.want(plan != PLAN, plan)
    case = Case("foreign", plan + AT_GATE_LEVEL)
    case.carnet("run", "plan.yaml", exit=5)
    kit.want(case.files() == [f"store/evidence/runs/{RUN_ID}/run.json"], case.files())
    own = f"'{foreign}', form: run}}, {{path: 'pins/{{platform_run_id}}.json', form: run"
    case = Case("own", plan.replace(f"'{foreign}', form: run", own) + AT_GATE_LEVEL)
    case.carnet("run", "plan.yaml", exit=5)
    kit.want(case.files() == [f"store/pins/{RUN_ID}.json"], case.files())


STEP = "{program: sh, args: [-c, 'echo $REQUIRED_PLATFORM_RUN_ID > built'], repeat: again}, undo"
GATE = "exit: [{gate: file, name: is_built, with: {path: built}}]"


def legacy():
    """What is called legacy is executed by no path: neither from another folder, nor in whole, nor by a link."""
    script = "#!/bin/sh\necho legacy ran > $(dirname $0)/ran\n"
    step = lambda given: (STEP, f"{{{given}, repeat: again}}, undo")
    gate = lambda given: (GATE, f"exit: [{{gate: command, name: asks, with: {{{given}}}}}]")
    cases = [
        (step("program: old/run.sh, folder: scripts"), "check"),
        (step("program: sh, args: [old/run.sh], folder: scripts"), "check"),
        (step("program: sh, args: [-c, 'cd old; ./run.sh'], folder: ./scripts"), "check"),
        (gate("program: sh, args: [old/run.sh], folder: scripts"), "check"),
        (step("program: HERE/scripts/old/run.sh"), "run"),
        (step("program: sh, args: [-c, 'exec HERE/scripts/old/run.sh']"), "run"),
        (step("program: ./link"), "run"),
        (step("program: sh, args: [link], folder: ."), "run"),
        (step("program: ./run.sh, folder: linked"), "run"),
        (gate("program: ./link"), "run"),
    ]
    for number, ((old, new), where) in enumerate(cases):
        name = f"legacy{number}"
        here = pathlib.Path(name).absolute()
        plan = PLAN.replace("legacy: [old]", "legacy: [scripts/old, gone]").replace(old, new.replace("HERE", str(here)))
        kit.want(new.replace("HERE", str(here)) in plan, new)
        case = Case(name, plan + AT_GATE_LEVEL)
        case.write("scripts/old/run.sh", script)
        (here / "scripts/old/run.sh").chmod(0o755)
        (here / "link").symlink_to("scripts/old/run.sh")
        (here / "linked").symlink_to("scripts/old")
        if where == "check":
            done = kit.carnet("check", "plan.yaml", cwd=case.folder, exit=2, as_json=False)
            kit.want("the programme calls legacy" in done.stdout + done.stderr, f"{new}: {done}")
            continue
        case.begin().carnet("run", "plan.yaml", exit=None)
        kit.want(not (here / "scripts/old/ran").exists(), f"{new}: it was executed")
        said = case.carnet("status", "plan.yaml", exit=None)
        kit.want("calls legacy" in json.dumps([said["stop"], said["incidents"], said["gates"]]), f"{new}: {said['incidents']}")


def main():
    with kit.workspace():
        written_once()
        found()
        not_written()
        in_its_own_place()
        legacy()
    print("programme_pins: written once, and in its place")


if __name__ == "__main__":
    main()
