"""Data and evidence cross a border in a bundle: the examples data-only and evidence-only on real parts.

For each: the run from lab to prod and everything that it leaves as events; the way back; a validation that
fails, and a cutover that is given up, both back at the source; the same in two halves that share nothing but
the bundle; refusals with class, code, subject, remedy and event; kill -9 in the middle of the export and of
the import, and the same end. Data: what governs it is the same, byte for byte, after export, import and
export again, and so is the content root.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import kit
from crossed import ALWAYS, Example, aborted_cutover, arrived_file, end_to_end, enters, failed_validation, killed
from crossed import refused_exports, refused_imports, two_halves


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
    enters(example, "bundle.content_type", "import/verify", None, *other_scenario(example))
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
    enters(example, "bundle.content_type", "import/verify", None, *other_scenario(example))
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
