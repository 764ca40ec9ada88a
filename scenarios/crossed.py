"""What every crossing of a border is put through, whatever crosses: used by portability.py and crossing.py."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time

import evidence
import kit

MADE = [".carnet", "lab", "prod", "auditor", "elsewhere"]


class Example:
    """One example in a folder of its own, with what it is about beside it."""

    kept = {".carnet"}
    # The words that open what is encrypted.
    opens = ()

    def __init__(self, home, name):
        self.home, self.name = pathlib.Path(home), name
        examples = kit.ROOT / "examples"
        for part in ("policy", "quickstart", name):
            if not (self.home / part).exists():
                ignore = shutil.ignore_patterns(".carnet", "keys", "archive", "trust", "segment", *MADE[1:])
                shutil.copytree(examples / part, self.home / part, ignore=ignore)
                (self.home / part / "prod").mkdir(exist_ok=True)
        self.folder = self.home / name
        self.text = (self.folder / "migration.yaml").read_text()
        (self.folder / "trust").mkdir()
        self.carnet("key", "new", "keys/operator", as_json=False)
        self.key = self.folder / "keys" / "operator.vkey"
        self.trust = "lab vkey " + self.key.read_text()
        (self.folder / "trust" / "allowed_signers").write_text(self.trust)
        self.reset()

    @property
    def target(self):
        return "auditor" if self.name == "evidence-only" else "prod"

    def carnet(self, *words, **options):
        return kit.carnet(*words, cwd=self.folder, **options)

    def plan(self, *pairs, name="migration.yaml"):
        """Writes the plan with these texts put in place of others."""
        text = self.text
        for old, new in pairs:
            kit.want(old in text, f"{self.name}: the plan has no {old!r}")
            text = text.replace(old, new)
        (self.folder / name).write_text(text)
        return name

    def bare(self):
        """As before any run, with nothing of the source."""
        for made in MADE:
            shutil.rmtree(self.folder / made, ignore_errors=True)
        (self.folder / self.target).mkdir()
        (self.folder / self.target / "allowed_signers").write_text(self.trust)
        self.plan()

    def reset(self):
        """As before any run."""
        self.bare()

    def at_source(self):
        """Wants that it runs at the source, and nowhere else."""

    def at_rest(self):
        """Wants that it does not run at the target."""

    def at_target(self):
        """Wants that it runs at the target, and nowhere else."""

    def tree(self):
        """Every file that is neither the state nor what a runtime keeps, by its digest. A database file that
        holds no collection is what taking records back leaves."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and not self.kept.intersection(path.parts))
        return {str(path.relative_to(self.folder)): digest(path) for path in files if not is_empty_store(path)}

    def events(self, state=None):
        return evidence.parsed(self.folder / (state or pathlib.Path(".carnet") / self.name))

    def types(self, state=None):
        return [event["event_type"] for event in self.events(state)]


def is_empty_store(path):
    if path.suffix != ".sqlite":
        return False
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchone()
        return tables == (0,)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(example, code, subject, state=None, klass=None):
    """The event of a refusal with its members. The remedy is for people, and stands in its context."""
    found = [
        event
        for event in example.events(state)
        if event["outcome"] == "refused" and event.get("refusal_reason_code") == code and subject in event["refusal_subject"]
    ]
    kit.want(found, f"{example.name}: no refusal {code} of {subject}: {refusals(example, state)}")
    event = next((event for event in found if event["event_type"] == "migration.refusal"), found[0])
    kit.want(event["context"].get("remedy"), f"{example.name}: {code} has no remedy: {event['context']}")
    if klass:
        kit.want(any(event["refusal_reason_class"] == klass for event in found), f"{code}: {found}")
    return event


def refusals(example, state=None):
    return [
        (event["event_type"], event.get("refusal_reason_class"), event.get("refusal_reason_code"), event.get("refusal_subject"))
        for event in example.events(state)
        if event["outcome"] == "refused"
    ]


def fails(example, *words, exit=3):
    done = example.carnet(*words, exit=None, as_json=False)
    kit.want(done.returncode == exit, f"{words} ended with {done.returncode}, not {exit}:\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def end_to_end(example, expected):
    """The whole plan, the bundle that it made, and the way back."""
    before = example.tree()
    report = example.carnet("run", "migration.yaml")
    kit.want(report["status"] == "done", f"{example.name}: {report}")
    kit.want(not report["switch"] or report["switch"]["switched"], f"{report['switch']}")
    example.at_target()
    types = example.types()
    for wanted in expected:
        kit.want(wanted in types, f"{example.name}: no event {wanted}")
    # Nothing was placed before it was decided, and nothing switched before it was validated.
    order = [types.index(name) for name in ("migration.export", "migration.import", "migration.validate", "migration.cutover")]
    kit.want(order == sorted(order), f"{example.name}: {order}")
    arrived = example.folder / example.target / "inbox" / "bundle"
    verified = example.carnet("bundle", "verify", arrived, "--key", example.key, *example.opens)
    open_rows = [row for row in verified["checks"] if row["verdict"] == "fail" or row["verdict"] == "not_checked"]
    kit.want(not open_rows, f"{example.name}: {open_rows}")
    export = next(event for event in example.events() if event["event_type"] == "migration.export")
    manifest = json.loads((example.folder / example.target / "place" / "manifest.json").read_text())
    kit.want(export["context"]["content_root"].endswith(manifest["content_root"]), f"{export['context']}")
    index = json.loads((arrived / "index.json").read_text())
    kit.want(export["artifact_manifest_hash"] == index["manifests"][0]["digest"], f"{export}")
    last = (arrived_file(example, "evidence/events.jsonl").read_text().splitlines())[-1]
    kit.want(manifest["content_root"] in last, "the evidence inside does not end with the root")
    held = example.tree()
    report = example.carnet("rollback", "migration.yaml")
    kit.want(report["status"] == "rolled_back", f"{report}")
    kit.want(not report["switch"] or not report["switch"]["switched"], f"{report['switch']}")
    kit.want("migration.rollback" in example.types(), f"{example.name}: no event migration.rollback")
    example.at_source()
    kit.want(example.tree() == before, f"{example.name}: the way back left {set(example.tree()) ^ set(before)}")
    return manifest, held


def arrived_file(example, path):
    return example.folder / example.target / "place" / path


def failed_validation(example):
    """What is not well is taken away again, and is never switched to."""
    example.reset()
    sick = "{ gate: file, name: well, with: { path: no-such-file } }"
    if "  health:\n" in example.text:
        example.plan(("  health:\n", f"  health:\n    - {sick}\n"))
    else:
        example.plan(("  downtime_expected: PT0S", f"  downtime_expected: PT0S\n  health: [{sick}]\n"))
    before = example.tree()
    fails(example, "run", "migration.yaml")
    example.at_source()
    types = example.types()
    for wanted in ("migration.import", "migration.refusal", "migration.rollback", "exit.validation.run"):
        kit.want(wanted in types, f"{example.name}: failed validation has no event {wanted}")
    kit.want("migration.cutover" not in types, f"{example.name}: it was switched all the same")
    refusal(example, "gate.closed", "validate/well", klass="evidence_precondition_failed")
    kit.want(example.tree() == before, f"{example.name}: failed validation left {set(example.tree()) ^ set(before)}")


def aborted_cutover(example):
    """Nobody gives the word: the run is taken back, and the source is as it was."""
    example.reset()
    approvals = "approvals: { cutover: { any_of: [ops], assurance: named } }\n\nprocess:"
    example.plan(("process:", approvals))
    before = example.tree()
    report = example.carnet("run", "migration.yaml", exit=5)
    kit.want(report["waits_for"]["subject"] == "cutover/approval", f"{report['waits_for']}")
    kit.want((example.folder / example.target / "place" / "manifest.json").exists(), "nothing was placed")
    example.carnet("rollback", "migration.yaml")
    example.at_source()
    types = example.types()
    kit.want("migration.rollback" in types and "migration.cutover" not in types, f"{example.name}: {types}")
    kit.want(example.tree() == before, f"{example.name}: an aborted cutover left {set(example.tree()) ^ set(before)}")


def two_halves(example, kill=None):
    """The source makes a bundle; the target has that, the plan, and nothing else. With `kill`, a point and
    how often it is passed, the import is killed there, and the same command goes on."""
    example.reset()
    made = example.carnet("bundle", "export", "migration.yaml", "--out", "crate.tar")
    kit.want(made["bundle"]["manifest_digest"].startswith("sha256:"), f"{made}")
    kit.want((example.folder / "crate.tar").is_file(), "no crate.tar")
    kit.want(not (example.folder / example.target / "place").exists(), "the export placed something")
    example.carnet("bundle", "verify", "crate.tar", "--key", example.key, *example.opens)
    words = ["bundle", "import", "crate.tar", "--plan", "migration.yaml", "--state", "elsewhere"]
    done = killed(example, *kill, *words) if kill else example.carnet(*words)
    kit.want(done["status"] == "done", f"{done}")
    state = example.folder / "elsewhere" / f"{example.name}-import-1"
    types = [event["event_type"] for event in evidence.parsed(state)]
    kit.want("migration.import" in types and "migration.validate" in types, f"{types}")
    kit.want("migration.cutover" not in types, "an import switches nothing")
    example.at_rest()
    return made["bundle"]


def enters(example, code, subject, klass, *pairs, prepare=lambda: None, bundle="crate.tar", exit=3):
    """An import that is refused: it stands in the target's log, and nothing is placed."""
    example.bare()
    example.plan(*pairs)
    prepare()
    fails(example, "bundle", "import", bundle, "--plan", "migration.yaml", "--state", "elsewhere", exit=exit)
    state = f"elsewhere/{example.name}-import-1"
    refusal(example, code, subject, state, klass)
    kit.want(not (example.folder / example.target / "place").exists(), f"{code}: it was placed")
    kit.want(not (example.folder / example.target / "policies").exists(), f"{code}: its policy is in force")


def law_refuses(events):
    """What the policy said stands in an event of its own: class, code, subject and remedy."""
    event = next((event for event in events if event["event_type"] == "policy.refusal"), None)
    kit.want(event, "no event policy.refusal")
    said = (event["refusal_reason_class"], event["refusal_reason_code"], event["refusal_subject"])
    kit.want(said[:2] == ("jurisdiction_denied", "jurisdiction.not_allowed") and said[2], f"{said}")
    kit.want("choose a target in one of" in event["refusal_reason"], f"no remedy: {event['refusal_reason']}")


def refused_imports(example):
    """By the law, by what the target may hold, by an authority that it does not know, by a swapped blob."""
    jurisdiction = ("jurisdiction: FR", "jurisdiction: US")
    enters(example, "gate.closed", "import/may_enter", None, jurisdiction)
    law_refuses(example.events(f"elsewhere/{example.name}-import-1"))
    accepts = next(line for line in example.text.splitlines() if line.strip().startswith("accepts: ["))
    enters(example, "gate.closed", "import/may_enter", None, (accepts, "    accepts: [public, restricted]"))

    def stranger():
        example.carnet("key", "new", "other/key", as_json=False)
        other = (example.folder / "other" / "key.vkey").read_text()
        (example.folder / example.target / "allowed_signers").write_text("lab vkey " + other)
        shutil.rmtree(example.folder / "other")

    enters(example, "authority.unknown", "import/enforce", "authority_missing_or_invalid", prepare=stranger)
    with swapped(example):
        enters(example, "bundle.damaged", "import/verify", "evidence_precondition_failed", bundle="swapped")


@contextlib.contextmanager
def swapped(example):
    """The bundle as a folder, with one bit of its largest blob changed."""
    folder = example.folder / "swapped"
    folder.mkdir()
    subprocess.run(["tar", "-xf", example.folder / "crate.tar", "-C", folder], check=True)
    blob = max((folder / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    bytes_ = bytearray(blob.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(bytes_)
    yield
    shutil.rmtree(folder)


def refused_exports(example):
    """What may not leave does not: by the law of the target, and by a policy that nobody can ask."""
    example.reset()
    example.plan(("jurisdiction: FR", "jurisdiction: US"))
    before = example.tree()
    said = fails(example, "run", "migration.yaml")
    kit.want("jurisdiction" in said, said)
    example.at_source()
    refusal(example, "gate.closed", "export/may_leave")
    law_refuses(example.events())
    kit.want("migration.import" not in example.types(), "it arrived")
    kit.want(example.tree() == before, f"a refused export left {set(example.tree()) ^ set(before)}")

    example.reset()
    broken = example.home / "broken"
    shutil.rmtree(broken, ignore_errors=True)
    shutil.copytree(example.home / "policy", broken)
    module = next(broken.glob("jurisdiction.rego"))
    module.write_text(module.read_text() + "\nthis is no rule {\n")
    example.plan(("../policy", "../broken"))
    fails(example, "run", "migration.yaml")
    refusal(example, "policy.compile", "export/policy", klass="dependency_unavailable_fail_closed")
    kit.want("migration.export" not in example.types(), "a bundle was made under a policy that is none")


def killed(example, point, nth, *words):
    """kill -9 at a fault point; the same command goes on and ends well."""
    held = subprocess.Popen(
        [kit.setting("CARNET_BIN"), *words],
        cwd=example.folder,
        env={**os.environ, "CARNET_FAULTS": f"{point}:{nth}:sleep"},
        stdout=subprocess.DEVNULL,
        stderr=(said := open(example.home / "said", "w+")),
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not any(name == "carnet-held" for name in threads(held.pid)):
        kit.want(held.poll() is None, f"{point}: it ended with {held.returncode}: {said.seek(0), said.read()}")
        kit.want(time.monotonic() < deadline, f"{point}: it was never reached")
        time.sleep(0.05)
    os.killpg(held.pid, signal.SIGKILL)
    held.wait()
    said.close()
    return example.carnet(*words)


def threads(pid):
    names = []
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                names.append((task / "comm").read_text().strip())
    return names


ALWAYS = ["migration.export", "migration.import", "migration.validate", "migration.cutover", "exit.path.declare",
          "exit.validation.run", "dependency.graph.publish", "policy.evaluate", "authority.check", "evidence.export"]
