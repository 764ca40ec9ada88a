"""Evidence that others wrote in the contract's form: verified as far as it goes, refused if damaged.

The bundle is made here, by nothing of Carnet's: ids of another form, lines with spaces, no actor, no
tree, no signature that the contract fixes.
"""

import hashlib
import io
import json
import pathlib
import shutil
import tarfile
import zipfile

import kit

TYPES = ["authority.check", "policy.evaluate", "workload.admit", "storage.write", "evidence.export"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def pretty(value):
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def bundle(folder, profile="ecs-evidence-baseline"):
    """Writes a bundle; gives its folder."""
    folder = pathlib.Path(folder)
    (folder / "artifacts").mkdir(parents=True)
    decision = pretty({"decision": "admit", "by": "naïve policy"})
    (folder / "artifacts" / "decision.json").write_bytes(decision)
    pointer = f"eosc://artifact/sha256:{sha256(decision)}"
    events, entries, previous = [], [], None
    for sequence, event_type in enumerate(TYPES * 40):
        event = {
            "id": f"evt-{sequence:04d}",
            "event_type": event_type,
            "occurred_at": "2026-02-01T10:00:00Z",
            "tenant_id": "tenant-日本",
            "outcome": "accepted",
            "evidence_pointer": pointer,
            "sequence": sequence,
            "policy_snapshot_id": "policy-v1",
            "authority_snapshot_id": "authority-v1",
            "correlation_id": f"request-{sequence // 5}",
            "chain_id": "their-chain",
        }
        if previous:
            event["prev_hash"] = previous
        previous = sha256(canonical(event))
        event["event_hash"] = previous
        events.append(event)
        entries.append(
            {
                "id": event["id"],
                "sequence": sequence,
                "prev_hash": event.get("prev_hash"),
                "event_hash": previous,
                "evidence_profile_id": profile,
                "event_ref": f"eosc://evidence/{event['id']}",
            }
        )
    joined = f"sha256:{sha256(chr(10).join(event['event_hash'] for event in events).encode())}"
    declared = {"evidence_profile_id": profile, "profile_version": "1.0", "hash_profile_id": "ecs-hash-v1"}
    place = {"from_sequence": 0, "to_sequence": len(events) - 1}
    segment = pretty(
        {
            "segment_id": "segment-1",
            "tenant_id": "tenant-日本",
            "evidence_profile_id": profile,
            **place,
            "algorithm": "sha256",
            "events": entries,
            "segment_hash": joined,
            "signature": "unsigned",
        }
    )
    segment_ref = f"eosc://evidence/chain/sha256:{sha256(segment)}"
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (folder / "chain-segment.json").write_bytes(segment)
    (folder / "verifier-inputs.json").write_bytes(
        pretty({**declared, **place, "chain_id": "their-chain", "chain_segment_ref": segment_ref})
    )
    claim = {"evidence_profiles": [profile], "hash_profiles": ["ecs-hash-v1"]}
    (folder / "profile-claim.json").write_bytes(pretty({**declared, "implements": claim}))
    (folder / "manifest.json").write_bytes(
        pretty(
            {
                **declared,
                "schema_version": "1.0",
                "export_id": "export-1",
                "tenant_id": "tenant-日本",
                "chain_id": "their-chain",
                "scope": place,
                "chain_segment_ref": segment_ref,
                "bundle_hash": joined,
                "artifacts": {"evidence_artifacts": [pointer]},
                "signatures": [],
            }
        )
    )
    return folder


def rows(path, status):
    report = kit.carnet("evidence", "verify", path, exit=status)
    return {row["id"]: row for row in report["checks"]}


def edit(name, old, new):
    """Damages one file of a bundle."""

    def damage(folder):
        path = folder / name
        text = path.read_text()
        kit.want(old in text, f"{name} has no {old!r}")
        path.write_text(text.replace(old, new, 1))

    return damage


def without_line(number):
    def damage(folder):
        path = folder / "events.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        del lines[number]
        path.write_text("".join(lines))

    return damage


DAMAGES = [
    ("an outcome changed", edit("events.jsonl", '"accepted"', '"failed"'), "events.hash", "hash_wrong"),
    ("the last event gone", without_line(-1), "chain.sequence", "tail_truncated"),
    ("the first event gone", without_line(0), "chain.sequence", "head_truncated"),
    ("an event in the middle gone", without_line(77), "chain.sequence", "gap"),
    ("a key twice", edit("events.jsonl", '{"id"', '{"outcome": "failed", "id"'), "events.form", "duplicate_key"),
    ("a large integer", edit("events.jsonl", '"sequence": 3,', '"sequence": 9007199254740992,'), "events.form", "integer_range"),
    ("an object changed", edit("artifacts/decision.json", "admit", "deny!"), "pointers", "pointer_unresolved"),
    ("a weaker profile", edit("manifest.json", "ecs-evidence-admissible", "ecs-evidence-baseline"), "profile.declared", "profile_downgrade"),
    ("another segment", edit("chain-segment.json", '"evt-0007"', '"evt-9999"'), "chain.segment", "segment_differs"),
    ("a document gone", lambda folder: (folder / "profile-claim.json").unlink(), "bundle.files", "file_missing"),
]


def scenario(folder):
    whole = bundle(folder / "whole")
    checks = rows(whole, 8)
    kit.want(checks["manifest.signature"]["reason_word"] == "unsigned", checks["manifest.signature"])
    failed = [row for row in checks.values() if row["verdict"] == "fail"]
    kit.want(not failed, f"an undamaged bundle fails: {failed}")
    for check in ("events.form", "events.hash", "chain.links", "chain.sequence", "chain.segment", "pointers"):
        kit.want(checks[check]["verdict"] == "pass", checks[check])

    # The same from archives that others packed.
    with tarfile.open(folder / "whole.tar", "w") as tar:
        tar.add(whole, arcname=".")
    with zipfile.ZipFile(folder / "whole.zip", "w") as archive:
        for path in sorted(whole.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(whole))
    for archive in ("whole.tar", "whole.zip"):
        kit.want(rows(folder / archive, 8) == checks, f"{archive} gives other rows than its folder")

    told = []
    admissible = bundle(folder / "admissible", "ecs-evidence-admissible")
    for name, damage, check, word in DAMAGES:
        copy = folder / "copy"
        shutil.copytree(admissible if check == "profile.declared" else whole, copy)
        damage(copy)
        row = rows(copy, 3)[check]
        kit.want((row["verdict"], row["reason_word"]) == ("fail", word), f"{name}: {row}")
        told.append((name, check, word, row["reason"]))
        shutil.rmtree(copy)

    hostile = folder / "hostile"
    with tarfile.open(hostile, "w") as tar:
        entry = tarfile.TarInfo("../../manifest.json")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"{}"))
    with zipfile.ZipFile(folder / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.jsonl", b"0" * (64 << 20))
    (folder / "no-json").mkdir()
    (folder / "no-json" / "manifest.json").write_text('{"a": 1, "a": 2}')
    for path in ("hostile", "bomb", "no-json"):
        kit.carnet("evidence", "verify", folder / path, exit=7)
        told.append((path, "(archive)", "malformed", "refused before anything is read"))
    kit.table(("damage", "check", "word", "reason"), told)


if __name__ == "__main__":
    kit.main(scenario)
