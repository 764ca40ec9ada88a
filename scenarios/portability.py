"""Data and evidence cross a border in a bundle: the examples data-only and evidence-only on real parts.

For each: the run from lab to prod and everything that it leaves as events; the way back; a validation that
fails, and a cutover that is given up, both back at the source; the same in two halves that share nothing but
the bundle; refusals with class, code, subject, remedy and event; kill -9 in the middle of the export and of
the import, and the same end. Data: what governs it is the same, byte for byte, after export, import and
export again, and so is the content root.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import evidence
import kit

MADE = [".carnet", "lab", "prod", "auditor", "elsewhere"]


class Example:
    """One example in a folder of its own, with what it is about beside it."""

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

    def reset(self):
        """As before any run."""
        for made in MADE:
            shutil.rmtree(self.folder / made, ignore_errors=True)
        (self.folder / self.target).mkdir()
        (self.folder / self.target / "allowed_signers").write_text(self.trust)
        self.plan()

    def tree(self):
        """Every file that is not the state, by its digest. A database file that holds no collection is
        what taking records back leaves."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and ".carnet" not in path.parts)
        return {str(path.relative_to(self.folder)): digest(path) for path in files if not is_empty_store(path)}

    def events(self, state=None):
        return evidence.parsed(self.folder / ".carnet" / (state or self.name))

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
    types = example.types()
    for wanted in expected:
        kit.want(wanted in types, f"{example.name}: no event {wanted}")
    # Nothing was placed before it was decided, and nothing switched before it was validated.
    order = [types.index(name) for name in ("migration.export", "migration.import", "migration.validate", "migration.cutover")]
    kit.want(order == sorted(order), f"{example.name}: {order}")
    arrived = example.folder / example.target / "inbox" / "bundle"
    verified = example.carnet("bundle", "verify", arrived, "--key", example.key)
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
    example.carnet("rollback", "migration.yaml")
    kit.want("migration.rollback" in example.types(), f"{example.name}: no event migration.rollback")
    kit.want(example.tree() == before, f"{example.name}: the way back left {set(example.tree()) ^ set(before)}")
    return manifest, held


def arrived_file(example, path):
    return example.folder / example.target / "place" / path


def failed_validation(example):
    """What is not well is taken away again, and is never switched to."""
    example.reset()
    health = "  downtime_expected: PT0S\n  health: [{ gate: file, name: well, with: { path: no-such-file } }]\n"
    example.plan(("  downtime_expected: PT0S", health))
    before = example.tree()
    fails(example, "run", "migration.yaml")
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
    types = example.types()
    kit.want("migration.rollback" in types and "migration.cutover" not in types, f"{example.name}: {types}")
    kit.want(example.tree() == before, f"{example.name}: an aborted cutover left {set(example.tree()) ^ set(before)}")


def two_halves(example):
    """The source makes a bundle; the target has that, the plan, and nothing else."""
    example.reset()
    made = example.carnet("bundle", "export", "migration.yaml", "--out", "crate.tar")
    kit.want(made["bundle"]["manifest_digest"].startswith("sha256:"), f"{made}")
    kit.want((example.folder / "crate.tar").is_file(), "no crate.tar")
    kit.want(not (example.folder / example.target / "place").exists(), "the export placed something")
    example.carnet("bundle", "verify", "crate.tar", "--key", example.key)
    done = example.carnet("bundle", "import", "crate.tar", "--plan", "migration.yaml", "--state", "elsewhere")
    kit.want(done["status"] == "done", f"{done}")
    state = example.folder / "elsewhere" / f"{example.name}-import-1"
    types = [event["event_type"] for event in evidence.parsed(state)]
    kit.want("migration.import" in types and "migration.validate" in types, f"{types}")
    kit.want("migration.cutover" not in types, "an import switches nothing")
    return made["bundle"]


def refused_imports(example):
    """Each refusal stands in the target's log, and nothing is placed."""
    crate = example.folder / "crate.tar"

    def enters(code, subject, klass, *pairs, prepare=lambda: None, bundle="crate.tar", exit=3):
        for made in MADE[1:]:
            shutil.rmtree(example.folder / made, ignore_errors=True)
        (example.folder / example.target).mkdir()
        (example.folder / example.target / "allowed_signers").write_text(example.trust)
        example.plan(*pairs)
        prepare()
        fails(example, "bundle", "import", bundle, "--plan", "migration.yaml", "--state", "elsewhere", exit=exit)
        state = pathlib.Path("..") / "elsewhere" / f"{example.name}-import-1"
        refusal(example, code, subject, state, klass)
        kit.want(not (example.folder / example.target / "place").exists(), f"{code}: it was placed")
        kit.want(not (example.folder / example.target / "policies").exists(), f"{code}: its policy is in force")

    enters("gate.closed", "import/may_enter", None, ("jurisdiction: FR", "jurisdiction: US"))
    enters("gate.closed", "import/may_enter", None, ("accepts: [", "accepts: [public, restricted] #"))

    def stranger():
        example.carnet("key", "new", "other/key", as_json=False)
        other = (example.folder / "other" / "key.vkey").read_text()
        (example.folder / example.target / "allowed_signers").write_text("lab vkey " + other)
        shutil.rmtree(example.folder / "other")

    enters("authority.unknown", "import/enforce", "authority_missing_or_invalid", prepare=stranger)

    swapped = example.folder / "swapped"
    shutil.rmtree(swapped, ignore_errors=True)
    subprocess.run(["mkdir", swapped], check=True)
    subprocess.run(["tar", "-xf", crate, "-C", swapped], check=True)
    blob = max((swapped / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    bytes_ = bytearray(blob.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(bytes_)
    enters("bundle.damaged", "import/verify", "evidence_precondition_failed", bundle="swapped")
    enters("bundle.content_type", "import/verify", None, *other_scenario(example))
    shutil.rmtree(swapped)


def other_scenario(example):
    """A plan about the other of the two scenarios."""
    if example.name == "data-only":
        return [
            ("scenario: data_only", "scenario: evidence_only"),
            ('data: { store: "faiss:../quickstart/knowledge", artifacts: ../quickstart/knowledge }', "evidence: { bundle: x }"),
            ('    store: "sqlite:prod/knowledge.sqlite"\n', ""),
        ]
    return [
        ("scenario: evidence_only", "scenario: data_only"),
        ("evidence: { bundle: segment }", "data: { snapshot: x }"),
    ]


def refused_exports(example):
    """What may not leave does not: by the law of the target, and by a policy that nobody can ask."""
    example.reset()
    example.plan(("jurisdiction: FR", "jurisdiction: US"))
    before = example.tree()
    said = fails(example, "run", "migration.yaml")
    kit.want("jurisdiction" in said, said)
    refusal(example, "gate.closed", "export/may_leave")
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
    codes = [code for _, _, code, _ in refusals(example)]
    kit.want(any(code and code.startswith("policy.") for code in codes), f"{codes}")
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


def kills(example, points):
    for point, nth in points:
        example.reset()
        report = killed(example, point, nth, "run", "migration.yaml")
        kit.want(report["status"] == "done", f"{point}: {report}")
        arrived = example.folder / example.target / "inbox" / "bundle"
        example.carnet("bundle", "verify", arrived, "--key", example.key)
        outcomes = [
            event["context"]["facts"]
            for event in example.events()
            if event["event_type"] == "process.outcome" and "blobs_skipped" in event["context"].get("facts", {})
        ]
        kit.want(outcomes, f"{point}: no outcome tells of blobs")
        if point == "bundle/laid":
            kit.want(outcomes[0]["blobs_skipped"] > 0, f"{point}: nothing was taken up again: {outcomes}")


def goes_round(example, manifest):
    """What arrived is exported again, with what governs it in the file that came with it."""
    example.reset()
    example.carnet("run", "migration.yaml")
    first = {path: arrived_file(example, path).read_bytes() for path in ("governance.json", "receipts/usage.jsonl")}
    kept = json.loads(arrived_file(example, "manifest.json").read_text())
    example.plan(
        ("migration: data-only", "migration: onward"),
        ('data: { store: "faiss:../quickstart/knowledge", artifacts: ../quickstart/knowledge }', "data: { snapshot: prod/place/data }"),
        ("usage_receipts: usage.jsonl", "usage_receipts: prod/place/receipts/usage.jsonl\n    governance: prod/place/governance.json"),
        ("policy: { folder: ../policy }", "policy: { folder: prod/place/policy }"),
        ("place: prod/place ", "place: prod/onward "),
        ("policies: prod/policies ", "policies: prod/onward-policies "),
        ("lab/outbox", "lab/onward"),
        ("prod/inbox", "prod/onward-inbox"),
        ("sqlite:prod/knowledge.sqlite", "sqlite:prod/onward.sqlite"),
        name="onward.yaml",
    )
    example.carnet("run", "onward.yaml")
    place = example.folder / "prod" / "onward"
    for path, bytes_ in first.items():
        kit.want((place / path).read_bytes() == bytes_, f"{path} changed on its way round")
    again = json.loads((place / "manifest.json").read_text())
    for member in ("content_root", "governance_metadata", "policy_snapshot_id", "authority_snapshot_id"):
        kit.want(again[member] == kept[member], f"{member}: {again[member]} is not {kept[member]}")
    roots = {store: kit.roots(f"sqlite:{example.folder}/prod/{store}.sqlite") for store in ("knowledge", "onward")}
    kit.want(roots["knowledge"] == roots["onward"], f"{roots}")
    kit.want(roots["knowledge"] == kit.roots(f"faiss:{example.home}/quickstart/knowledge"), "the records changed")


ALWAYS = ["migration.export", "migration.import", "migration.validate", "migration.cutover", "exit.path.declare",
          "exit.validation.run", "dependency.graph.publish", "policy.evaluate", "authority.check", "evidence.export"]


def data_only(home):
    example = Example(home, "data-only")
    manifest, held = end_to_end(example, [*ALWAYS, "data.usage.receipt"])
    kit.want(example.types().count("data.usage.receipt") == 2, "two receipts crossed")
    kit.want("prod/knowledge.sqlite" in held and "prod/das.env" in held, f"{sorted(held)}")
    goes_round(example, manifest)
    failed_validation(example)
    aborted_cutover(example)
    two_halves(example)
    refused_imports(example)
    refused_exports(example)
    # The papers are taken out twice before the contents are placed.
    kills(example, [("bundle/laid", 1), ("bundle/sealed", 1), ("bundle/placing", 3), ("bundle/placed", 3)])
    print("data-only: end to end, round, back, two halves, refused, killed")


def evidence_only(home):
    example = Example(home, "evidence-only")
    example.carnet("run", "../quickstart/migration.yaml")
    example.carnet("evidence", "export", "../quickstart/migration.yaml", "--out", "segment")
    other = example.home / "quickstart" / "keys" / "operator.vkey"
    # Whose log is handed over is believed by a key of its own.
    example.text = example.text.replace("keys: [keys/operator.vkey]", "keys: [keys/operator.vkey, ../quickstart/keys/operator.vkey]")
    example.plan()
    end_to_end(example, ALWAYS)
    example.reset()
    example.carnet("run", "migration.yaml")
    place = example.folder / "auditor" / "place"
    kit.want(not (place / "data").exists(), "data crossed")
    # Elsewhere, with a public key and nothing else.
    with tempfile.TemporaryDirectory() as bare:
        shutil.copytree(place / "segment", pathlib.Path(bare) / "segment")
        shutil.copy(other, bare)
        kit.carnet("evidence", "verify", "segment", "--key", "operator.vkey", cwd=bare)
        events = pathlib.Path(bare) / "segment" / "events.jsonl"
        lines = events.read_text().splitlines(keepends=True)
        events.write_text("".join(lines[:3] + lines[4:]))
        kit.carnet("evidence", "verify", "segment", "--key", "operator.vkey", cwd=bare, exit=3)
    failed_validation(example)
    aborted_cutover(example)
    two_halves(example)
    refused_imports(example)
    refused_exports(example)
    print("evidence-only: end to end, verified without data, back, two halves, refused")


PARTS = {"data": data_only, "evidence": evidence_only}


def main():
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory(prefix="carnet-portability-") as home:
            PARTS[name](home)
    print("ok")


if __name__ == "__main__":
    main()
