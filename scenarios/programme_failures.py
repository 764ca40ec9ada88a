"""What goes wrong with programmes in practice, by name: evidence that the event platform really left passes the gates,
is changed as things go wrong, and blocks the very same plan. The command says why, and so does the event."""

import concurrent.futures
import json
import os
import pathlib
import shutil

import evidence
import failure_cases
import kit
import platform_evidence
import programme

# What a person is told has no more than so many characters.
REASON_MAX = 320
PLAYERS = 3


class Desk:
    """A folder to run plans in, and the place whose evidence they judge."""

    def __init__(self, folder, where, place, good):
        self.folder, self.where, self.place, self.good = folder, where, place, good
        self.passed, self.rows = set(), []

    def judged(self, state):
        """Runs the plan from its beginning. Gives what the event says of the gate, and what the command said."""
        made = self.folder / "made"
        made.unlink(missing_ok=True)
        shutil.rmtree(self.folder / state, ignore_errors=True)
        done = kit.carnet("run", "plan.yaml", "--state", state, cwd=self.folder, exit=None, as_json=False)
        found = [event for event in evidence.parsed(self.folder / state / "gated") if event["event_type"] == "gate.verdict"]
        found = [event for event in found if event["resource_id"] == "go/asked"]
        kit.want(len(found) == 1, f"{len(found)} verdicts\n{done.stdout}\n{done.stderr}")
        said = found[0]["context"]
        is_pass = said["verdict"] == "pass"
        kit.want(done.returncode == (0 if is_pass else 3), f"ended with {done.returncode}\n{done.stderr}")
        kit.want(made.exists() == is_pass == said["opens"], f"{said}; the step happened: {made.exists()}")
        kit.want(found[0]["outcome"] == ("accepted" if is_pass else "refused"), found[0])
        return said, "".join((done.stdout + done.stderr).split())

    def lay_out(self, run, case):
        """The evidence of a run as the platform left it, and the plan."""
        self.place.fill(self.good.root, run)
        kind, rule = case.ask
        files = rule["files"]
        if case.pinned:
            files = [{**file, "sha256": platform_evidence.digest(self.place.read(run.home + case.pinned))} for file in files]
        rule = {"root": self.place.url, "run": run.ids(), **rule, "files": files}
        plan = kit.BEHIND_A_GATE.format(kind=kind, rule=json.dumps(rule))
        (self.folder / "plan.yaml").write_text(plan)
        return plan

    def good_passes(self, run, case):
        """The very same plan over the very same bytes is run once."""
        plan = self.lay_out(run, case)
        if plan not in self.passed:
            said, _ = self.judged("good")
            kit.want(said["verdict"] == "pass", f"{case.name}: good evidence is refused: {said}")
            kit.want(said["damaged_copies"] == said["damaged_copies_refused"] > 0, f"{case.name}: {said}")
            self.passed.add(plan)

    def play(self, case):
        run, name = self.good.runs[case.of], f"{self.where}, {case.name}"
        self.good_passes(run, case)
        case.change(self.place, run, self.good)
        said, told = self.judged("bad")
        reason, remedy = said["reason"], said["remedy"]
        kit.want(said["verdict"] == case.verdict, f"{name}: {said}")
        for word in case.says:
            kit.want(word in reason, f"{name}: no word of {word!r}: {reason}")
        kit.want(len(reason) <= REASON_MAX and "\n" not in reason, f"{name}: {reason}")
        for text in (reason, remedy) if case.verdict != "pass" else ():
            kit.want(text and "".join(text.split()) in told, f"{name}: the command does not say {text!r}\n{told}")
        evidence.verify(self.folder / "bad" / "gated")
        self.tell(case.name, said["verdict"], reason.replace(run.home, "").replace(run.platform_run_id, "RUN"))

    def tell(self, name, verdict, why):
        self.rows.append((self.where, name, verdict, why))

    def play_all(self, cases):
        for case in cases:
            self.play(case)

    def as_the_platform_left_it(self):
        """Nobody changes this evidence: three runs that are whole pass, one whose cable was cut does not."""
        for name, drill in (("run", None), ("duplicate", "duplicate"), ("second_writer", "second_writer")):
            run = self.good.runs[name]
            for ask in failure_cases.whole(self.good.root, run, drill):
                case = failure_cases.Case(f"all evidence of the run {name}", ask, None, "pass", ())
                self.good_passes(run, case)
                self.tell(case.name, "pass", f"{ask[0]} over {len(ask[1]['files'])} files")
        case = failure_cases.Case("PUBLISH_AMBIGUOUS as the drill left it", failure_cases.unresolved_open, None, "fail", ())
        self.good_passes(self.good.runs["run"], case)
        self.lay_out(self.good.runs["ambiguous_publish"], case)
        said, _ = self.judged("bad")
        kit.want(said["verdict"] == "fail" and "1 in PUBLISH_AMBIGUOUS" in said["reason"], said)
        self.tell(case.name, said["verdict"], said["reason"])


def evidence_fails(rows, folder, good):
    """Most of a run is waiting for the disk, so that several are played at once."""
    cases, bucket = failure_cases.ALL, platform_evidence.Bucket(f"carnet-failures-{os.getpid()}")
    kit.want(len({case.name for case in cases}) == len(cases), "two cases have one name")
    there = [case for case in cases if case.name in failure_cases.IN_A_BUCKET]
    kit.want(len(there) == len(failure_cases.IN_A_BUCKET), "a case for the bucket has no name")
    step = -(-len(cases) // PLAYERS)
    parts = [cases[at:at + step] for at in range(0, len(cases), step)]

    def desk(number, where, place):
        (folder / f"desk{number}").mkdir()
        return Desk(folder / f"desk{number}", where, place, good)

    desks = [desk(at, "folder", platform_evidence.Folder(folder / f"store{at}")) for at in range(len(parts))]
    desks.append(desk("bucket", "bucket", bucket))
    try:
        desks[0].as_the_platform_left_it()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for played in [pool.submit(each.play_all, part) for each, part in zip(desks, [*parts, there], strict=True)]:
                played.result()
    finally:
        bucket.end()
    for each in desks:
        rows += each.rows


# Plans of programmes.

ACTIVE = "  does: build the image\n"
PLANS = [
    ("phase without rollback posture", "  posture: {retry: L0, says: build it again}\n", "", "plan.missing",
     "the phase `package` does not say what its failure means"),
    ("phase without evidence contract", "  evidence: [{path: 'evidence/runs/{platform_run_id}/image.json', form: image}]\n", "",
     "plan.missing", "the phase `package` has no evidence contract"),
    ("two phases with one id", "phase_id: P2", "phase_id: P1", "plan.conflict", "a second phase has the id P1"),
    ("skipped phase", "phase_id: P2", "phase_id: P3", "plan.conflict", "P2 is left out between P1 and P3"),
    ("phase that is written as ACTIVE", ACTIVE, ACTIVE + "  status: ACTIVE\n", "plan.unknown_key", "a phase has no key `status`"),
    ("step without undo", ", undo: {capability: command.run, with: {program: rm, args: [-f, built], repeat: again}}", "",
     "plan.conflict", "nothing says how that is undone"),
    ("step on a path that is called legacy", "args: [-c, 'echo $REQUIRED_PLATFORM_RUN_ID > built']", "args: [old/build.sh]",
     "plan.conflict", "`build` executes what the programme calls legacy"),
]


def plans_fail(rows):
    good = programme.PLAN + programme.AT_GATE_LEVEL
    for name, text in (("flow.md", "flow\n"), ("handles.md", "handles\n"), ("config.json", "{}\n")):
        pathlib.Path(name).write_text(text)
    for name, old, new, code, says in PLANS:
        path = pathlib.Path("programme.yaml")
        path.write_text(good)
        kit.carnet("check", path)
        kit.want(good.count(old) == 1, f"{name}: {old!r} is not there once")
        path.write_text(good.replace(old, new))
        done = kit.carnet("check", path, "--json", exit=2, as_json=False)
        findings = json.loads(done.stderr)["error"]["findings"]
        found = [(it["code"], it["message"]) for it in findings if it["severity"] == "error"]
        kit.want(found == [(code, said := found[0][1])] and says in said and findings[0]["remedy"], f"{name}: {findings}")
        rows.append(("plan", name, code, said))


def statuses():
    return [row["status"] for row in kit.carnet("phase", "show", "programme.yaml")["phases"]]


def refusals():
    return [event for event in evidence.parsed(".carnet/programme") if event["event_type"] == "migration.refusal"]


def two_active_phases_cannot_be(rows):
    pathlib.Path("programme.yaml").write_text(programme.PLAN + programme.AT_GATE_LEVEL)
    kit.carnet("run", "programme.yaml", exit=5)
    kit.carnet("phase", "advance", "programme.yaml", "--by", "ops")
    one = ["ACTIVE", "NOT_STARTED", "NOT_STARTED"]
    kit.want(statuses() == one, statuses())
    ways = [
        ("a second phase set active by a signal", ["signal", "programme.yaml", "substrate/activate", "--reason", "x"],
         "run.not_now", "is sent by `carnet phase advance`"),
        ("a phase skipped by a signal", ["signal", "programme.yaml", "package/confirm", "--reason", "x"],
         "run.not_now", "is sent by `carnet phase advance`"),
        ("advance before the one before is DONE", ["phase", "advance", "programme.yaml"],
         "programme.unready", "package cannot be confirmed yet"),
    ]
    for done in ("nothing of it is done", "its work is done, its evidence is not there"):
        for name, words, code, says in ways:
            before = len(refusals())
            said = programme.refused(*words, code=code)
            kit.want(says in said, f"{name}: {said}")
            kit.want(statuses() == one, f"{name}: {statuses()}")
            events = refusals()
            kit.want(len(events) == before + 1 and says in events[-1]["refusal_reason"], f"{name}: {events[before:]}")
            rows.append(("programme", f"{name} ({done})", code, events[-1]["refusal_reason"]))
        if done.startswith("nothing"):
            kit.carnet("run", "programme.yaml", exit=5)
            kit.want(pathlib.Path("built").exists(), "the first phase did nothing")
    kit.carnet("run", "programme.yaml", exit=5)
    kit.want(statuses() == one, statuses())
    evidence.verify(".carnet/programme")


def scenario(folder):
    rows = []
    plans_fail(rows)
    two_active_phases_cannot_be(rows)
    evidence_fails(rows, folder, platform_evidence.make(folder))
    kit.table(["where", "what goes wrong", "verdict", "why"], rows)
    blocked = sum(verdict != "pass" for _, _, verdict, _ in rows)
    print(f"{blocked} ways to go wrong, each refused by name")


if __name__ == "__main__":
    kit.main(scenario)
