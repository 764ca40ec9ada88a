"""An undo that fails, on the command line: the run waits for a person and says so, and each way on works and is
recorded. Tried again after the cause is mended; skipped with a reason and the approval of somebody who may,
and not without; taken over by hand. What is decided wrongly is refused, and the incident stays.
"""

import json
import pathlib
import subprocess

import kit

PLAN = """carnet: v1
migration: {name}
owner: data-platform
trust: trust
evidence: {{ tenant: lab, signer: operator }}
approvals:
  go: {{ any_of: [ops@example.org], not: initiator, expires: PT4H }}
phases:
  - name: change
    steps:
      - {{ name: first, capability: file.copy, with: {{ from: in.txt, to: {name}/first.txt }} }}
      - name: second
        capability: command.run
        with: {{ program: touch, args: [{name}/second.txt] }}
        undo: {{ capability: command.run, with: {{ program: sh, args: [-c, "test ! -e stuck && rm {name}/second.txt"] }} }}
      - {{ name: third, capability: command.run, with: {{ program: "false" }}, undo: {{ refused: "it did nothing", approval: go }} }}
    exit:
      - {{ gate: file, name: there, with: {{ path: {name}/first.txt }} }}
"""
STEP = "change/second"


def keys():
    kit.carnet("key", "new", "operator", as_json=False)
    trust = "dev@example.org vkey " + pathlib.Path("operator.vkey").read_text()
    for name in ["ops", "eve"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name], check=True)
        trust += f"{name}@example.org " + " ".join(pathlib.Path(f"{name}.pub").read_text().split()[:2]) + "\n"
    pathlib.Path("trust").write_text(trust)
    pathlib.Path("in.txt").write_text("one\n")


class Run:
    """A run whose third step fails and whose undo is stuck at the second."""

    def __init__(self, name):
        self.name, self.plan = name, f"{name}.yaml"
        pathlib.Path(name).mkdir()
        pathlib.Path(self.plan).write_text(PLAN.format(name=name))
        pathlib.Path("stuck").write_text("")
        self.carnet("run", exit=5)
        self.approve("go")
        done = self.carnet("run", exit=6)
        kit.want(f"waits on its way back at {STEP}" in done.stderr, f"the failed undo is no incident: {done.stderr}")
        kit.want(self.files() == ["first.txt", "second.txt"], f"undo went on behind the step that failed: {self.files()}")
        self.waits()

    def carnet(self, *words, exit=0, as_json=False):
        words = [*words[:2], self.plan, *words[2:]] if words[0] == "incident" else [words[0], self.plan, *words[1:]]
        return kit.carnet(*words, exit=exit, as_json=as_json)

    def approve(self, subject, key="ops", exit=0):
        return self.carnet("approve", subject, "--key", f"ssh:{key}", "--yes", exit=exit)

    def files(self):
        return sorted(path.name for path in pathlib.Path(self.name).iterdir())

    def waits(self):
        """Status, the list and the history say what waits; undo is not gone on with."""
        status = self.carnet("status", exit=5, as_json=True)
        [incident] = status["incidents"]
        kit.want(incident["subject"] == STEP and status["status"] == "waiting", f"{status['incidents']}")
        text = self.carnet("status", exit=5).stdout
        kit.want(f"waits for     {STEP}: " in text, text)
        listed = self.carnet("incident", "list", exit=5, as_json=True)
        kit.want([it["subject"] for it in listed] == [STEP], f"{listed}")
        kit.want(f"waits for a person: {STEP}" in self.carnet("history").stdout, "the history does not say it")

    def refused(self, exit, code, *words):
        done = self.carnet(*words, exit=exit)
        kit.want(code in done.stderr, f"{words} says {done.stderr}")
        self.waits()

    def events(self, event_type, **context):
        shown = kit.carnet("evidence", "show", self.plan, "--type", event_type, "--json", as_json=False)
        found = [json.loads(line) for line in shown.stdout.splitlines()]
        return [it for it in found if all(it.get("context", {}).get(key) == value for key, value in context.items())]

    def over(self, ending, files, what):
        """The run has ended, the world is as it should be, and the evidence holds the decision."""
        status = self.carnet("status", as_json=True)
        kit.want(status["status"] == ending and not status["incidents"], f"{status['status']}: {status['incidents']}")
        kit.want(self.files() == files, f"{self.name}: {self.files()}, not {files}")
        history = self.carnet("history").stdout
        kit.want(what in history, f"the history does not say {what!r}:\n{history}")
        self.carnet("incident", "list")
        kit.carnet("evidence", "export", self.plan, "--out", f"{self.name}.tar", as_json=False)
        done = kit.carnet("evidence", "verify", f"{self.name}.tar", "--key", "operator.vkey", as_json=False)
        kit.want("verified" in done.stdout, done.stdout)


def retried():
    run = Run("retried")
    run.refused(6, "command.failed", "run")
    run.refused(3, "run.not_now", "incident", "retry", "change/first")
    run.carnet("incident", "retry", STEP)
    # The cause is still there: it fails again, and is one incident again.
    run.carnet("run", exit=6)
    run.waits()
    pathlib.Path("stuck").unlink()
    run.carnet("incident", "retry", STEP)
    run.carnet("run", exit=6)
    kit.want(len(run.events("process.incident", fact="retry")) == 2, "not each retry is an event")
    run.over("failed", [], f"{STEP} is to be tried again")


def skipped():
    run = Run("skipped")
    skip = ["incident", "skip", STEP]
    run.refused(2, "--reason", *skip)
    run.refused(5, "approval.missing", *skip, "--reason", "it may stay")
    done = run.approve(f"skip:{STEP}", key="eve", exit=3)
    kit.want("approval.invalid" in done.stderr, done.stderr)
    run.refused(5, "approval.missing", *skip, "--reason", "it may stay")
    # The approval of one step is not one of another.
    run.approve("skip:change/first")
    run.refused(5, "approval.missing", *skip, "--reason", "it may stay")
    run.approve(f"skip:{STEP}")
    run.refused(2, "--reason", *skip)
    run.carnet(*skip, "--reason", "it may stay", "--by", "jo")
    run.carnet("run", exit=6)
    [event] = run.events("process.incident", fact="settle_by_hand")
    context = event["context"]
    kit.want((context["by_hand"], context["by"], context["reason"]) == ("left_standing", "jo", "it may stay"), f"{context}")
    left = run.carnet("status", as_json=True)["left_behind"]
    kit.want(any(STEP in it and "it may stay" in it for it in left), f"nobody is told what was left behind: {left}")
    run.over("failed", ["second.txt"], f"{STEP} is settled: left standing")


def taken_over():
    run = Run("taken-over")
    settle = ["incident", "settle", STEP, "--outcome", "undone"]
    run.refused(2, "--by", *settle, "--reason", "removed by hand")
    run.refused(2, "--reason", *settle, "--by", "jo")
    run.refused(3, "run.not_now", "incident", "settle", "change/third", "--outcome", "undone", "--by", "jo", "--reason", "x")
    pathlib.Path("taken-over/second.txt").unlink()
    run.carnet(*settle, "--by", "jo", "--reason", "removed by hand")
    run.carnet("run", exit=6)
    [event] = run.events("process.incident", fact="settle_by_hand")
    kit.want((event["context"]["by_hand"], event["context"]["by"]) == ("undone", "jo"), f"{event['context']}")
    run.over("failed", [], f"{STEP} is settled: undone")


def scenario(folder):
    keys()
    retried()
    skipped()
    taken_over()


if __name__ == "__main__":
    kit.main(scenario)
