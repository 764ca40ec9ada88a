"""What a run of a programme is pinned to: `run.json` and the pinned files, each changed, taken away or put in the
wrong place, and what is said and written then."""

import hashlib
import json
import os
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


NEXT = "  - {name: next, capability: command.run, with: {program: touch, args: [next], repeat: again}, undo: {capability: command.run, with: {program: rm, args: [-f, next], repeat: again}}}\n"


def gone():
    """A pinned file that was taken away is drift as a changed one is, between runs and in the middle of one."""
    case = Case("away").first_phase()
    for file, severity in [("handles.md", "major"), ("flow.md", "critical"), ("config.json", "major")]:
        held = (case.folder / file).read_text()
        (case.folder / file).unlink()
        said = case.refused("run", "plan.yaml", code="programme.drift")
        kit.want(file in said and "put the file back" in said and "repin" not in said, said)
        told = case.events("programme.drift")[-1]
        kit.want(told["path"] == file and told["severity"] == severity and "found_digest" not in told, told)
        kit.want(told["pinned_digest"] == "sha256:" + hashlib.sha256(held.encode()).hexdigest(), told)
        case.refused("phase", "advance", "plan.yaml", code="programme.drift")
        kit.want(any(file in it["what"] for it in case.carnet("phase", "show", "plan.yaml")["next"]["missing"]), file)
        case.refused("repin", "plan.yaml", "--out", "r.yaml", code="programme.drift" if file != "config.json" else "programme.pinned")
        kit.want(not (case.folder / "r.yaml").exists(), "it wrote a plan that cannot be read")
        # What is no run's is a fault of the plan, as before.
        case.refused("check", "plan.yaml", code="plan.value", exit=2)
        case.refused("run", "plan.yaml", "--state", "another", code="plan.value", exit=2)
        case.write(file, held)
        case.carnet("run", "plan.yaml", exit=5)
    old = "exit: [{gate: file, name: is_built"
    plan = PLAN.replace("> built'", "> built; rm handles.md'").replace("  " + old, NEXT + "  " + old)
    kit.want("rm handles.md" in plan and "name: next" in plan, plan)
    case = Case("away_in_the_middle", plan + AT_GATE_LEVEL).begin()
    said = case.refused("run", "plan.yaml", code="programme.drift")
    kit.want("is now not there" in said and not (case.folder / "next").exists(), said)
    kit.want("found_digest" not in case.events("programme.drift")[-1], "no event of it")
    case.write("handles.md", "handles\n")
    case.carnet("run", "plan.yaml", exit=5)
    kit.want((case.folder / "next").exists(), "it does not go on")


def next_commands(case, *words):
    """Repins, and does exactly what is printed, by a person at a terminal."""
    done = kit.carnet(*words, cwd=case.folder, as_json=False)
    lines = [line.removeprefix("next").strip() for line in done.stdout.splitlines()]
    lines = [line for line in lines if line.startswith("carnet ")]
    kit.want(len(lines) == 2, done.stdout)
    for line, exit in zip(lines, [0, 5]):
        ours, theirs = os.openpty()
        os.write(ours, b"yes\n")
        words = [kit.setting("CARNET_BIN"), *shlex.split(line)[1:]]
        done = subprocess.run(words, cwd=case.folder, stdin=theirs, capture_output=True, text=True, timeout=60)
        os.close(ours), os.close(theirs)
        kit.want(done.returncode == exit, f"{line}: {done}")


def repinned():
    """What repin prints is what is to be done, once and again, and elsewhere."""
    case = Case("repin").first_phase()
    case.write("handles.md", "two\n")
    next_commands(case, "repin", "plan.yaml", "--out", "r1.yaml")
    case.write("handles.md", "three\n")
    next_commands(case, "repin", "r1.yaml", "--out", "r2.yaml")
    # Approved, and changed once more before anything was run.
    case.write("handles.md", "four\n")
    case.carnet("repin", "r2.yaml", "--out", "r3.yaml")
    case.carnet("approve", "r3.yaml", "amendment", "--as", "ops", "--yes")
    case.write("handles.md", "five\n")
    next_commands(case, "repin", "r3.yaml", "--out", "r4.yaml")
    case = Case("repin_elsewhere")
    for words, exit in [(["run"], 5), (["phase", "advance"], 0)]:
        case.carnet(*words, "plan.yaml", "--state", "a place", exit=exit)
    case.write("handles.md", "two\n")
    next_commands(case, "repin", "plan.yaml", "--out", "r1.yaml", "--state", "a place")


def another_config():
    """A changed configuration is never repinned: it needs another run."""
    case = Case("config").first_phase()
    case.write("config.json", '{"z": 1}\n')
    for words, code in [(["run"], "programme.drift"), (["repin", "--out", "r.yaml"], "programme.pinned")]:
        said = case.refused(words[0], "plan.yaml", *words[1:], code=code)
        kit.want("new platform_run_id and a new run" in said and "carnet repin" not in said, said)
    missing = case.carnet("phase", "show", "plan.yaml")["next"]["missing"]
    kit.want(any("new platform_run_id" in it["remedy"] for it in missing), missing)
    kit.want(not (case.folder / "r.yaml").exists(), "it wrote a plan")


def on_the_screen():
    """What others have written reaches a terminal without what commands it."""
    bad = "\x1b]0;pwned\x07\x1b[2J\x9b1m"
    plan = PLAN.replace("image.json', form: image", "run_started.json', form: run_started")
    good = json.loads((kit.ROOT / "crates/programme/src/forms/examples.json").read_text())["run_started"]
    good = json.loads(json.dumps(good).replace(good["platform_run_id"], RUN_ID))
    case = Case("screen", plan + AT_GATE_LEVEL).begin()
    case.carnet("run", "plan.yaml", exit=5)
    case.carnet("note", "plan.yaml", "--text", f"a{bad}", "--by", f"b{bad}")
    case.write(f"store/evidence/runs/{RUN_ID}/run_started.json", json.dumps({**good, bad: 1}))
    case.carnet("phase", "block", "plan.yaml", "substrate", "--reason", f"c{bad}", "--by", f"d{bad}")
    shown = ""
    for words in (["phase", "show"], ["phase", "advance"], ["history"], ["status"], ["run"], ["note", "--markdown"], ["evidence", "show"]):
        done = kit.carnet(*words, "plan.yaml", cwd=case.folder, exit=None, as_json=False)
        for text in (done.stdout, done.stderr):
            found = [c for c in text if (ord(c) < 32 or 127 <= ord(c) < 160) and c not in "\n\t"]
            kit.want(not found, f"{words}: {text!r}")
            shown += text
    kit.want("\\u{1b}" in shown and "unknown field" in shown, shown)
    notes = kit.carnet("phase", "show", "plan.yaml", cwd=case.folder)
    kit.want(any(bad in (row["reason"] or "") for row in notes["phases"]), "--json says something else")


def main():
    with kit.workspace():
        written_once()
        found()
        not_written()
        in_its_own_place()
        legacy()
        gone()
        repinned()
        another_config()
        on_the_screen()
    print("programme_pins: written once, and in its place")


if __name__ == "__main__":
    main()
