"""An auditor with an export and a public key: a real run is verified, and each way of damaging what it
left is told.

Whoever damages the bundle has no key, but covers up as far as one can without: the list of files in the
manifest is written anew.
"""

import base64
import hashlib
import io
import json
import shutil
import tarfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import kit

PLAN = """
carnet: v1
migration: audited
owner: data-platform
governance: {{ jurisdiction: DE, classification: internal, retention: P365D }}
evidence: {{ profile: ecs-evidence-admissible, tenant: lab, signer: "{folder}/keys/operator" }}
source: {{ name: lab, knowledge: {{ store: "faiss:{folder}/kb", artifacts: "{folder}/kb" }} }}
target:
  name: prod
  knowledge: {{ store: "sqlite:{folder}/prod/kb.sqlite", artifacts: "{folder}/prod/artifacts" }}
process: knowledge/v1
quiesce: {{ flag: "{folder}/prod/pause" }}
transfer: {{ inbox: "{folder}/prod/inbox" }}
validate: {{ queries: 5, k: 3 }}
cutover: {{ switch: {{ env_file: "{folder}/prod/das.env", key: VECTOR_ENDPOINT }} }}
decommission: {{ archive: "{folder}/archive" }}
"""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def lines(folder):
    return (folder / "events.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(folder, events):
    (folder / "events.jsonl").write_bytes(b"".join(events))


def list_anew(folder):
    """What somebody without a key can do to cover up."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for file in manifest["carnet"]["files"]:
        data = (folder / file["path"]).read_bytes() if (folder / file["path"]).exists() else b""
        file["sha256"], file["bytes"] = sha256(data), len(data)
    write_manifest(folder, manifest)


def write_manifest(folder, manifest):
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(text)


def events(change):
    """Damage to the list of events."""

    def damage(folder):
        held = lines(folder)
        write_lines(folder, change(held) or held)

    return damage


def text(number, old, new):
    def change(held):
        changed = held[number].replace(old, new, 1)
        kit.want(changed != held[number], f"event {number} has no {old}")
        held[number] = changed

    return events(change)


def linked_anew(folder):
    """Another history, consistent in itself: one event changed, all hashes and links made anew."""
    held, previous = [json.loads(line) for line in lines(folder)], None
    held[3]["actor"] = "somebody else"
    for event in held:
        event.pop("event_hash")
        if previous:
            event["prev_hash"] = previous
        form = json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
        event["event_hash"] = previous = sha256(form)
    write_lines(folder, [json.dumps(event, sort_keys=True, separators=(",", ":")).encode() + b"\n" for event in held])
    segment = json.loads((folder / "chain-segment.json").read_text())
    for entry, event, line in zip(segment["events"], held, lines(folder)):
        entry.update(prev_hash=event.get("prev_hash"), event_hash=event["event_hash"])
        entry["event_ref"] = f"eosc://evidence/sha256:{sha256(line[:-1])}"
    joined = "sha256:" + sha256("\n".join(event["event_hash"] for event in held).encode())
    segment["segment_hash"] = joined
    data = json.dumps(segment).encode()
    (folder / "chain-segment.json").write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["bundle_hash"] = joined
    manifest["chain_segment_ref"] = f"eosc://evidence/chain/sha256:{sha256(data)}"
    manifest["carnet"]["last_event_hash"] = previous
    write_manifest(folder, manifest)


def manifest(change):
    def damage(folder):
        held = json.loads((folder / "manifest.json").read_text())
        change(held)
        write_manifest(folder, held)

    return damage


def flip(name):
    def damage(folder):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return damage


def without_object(folder):
    """The last object is in its pack, and no longer in the index."""
    path = folder / "artifacts" / "index.jsonl"
    held = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(held[:-1]))


# name, damage, the check that tells, its word, the exit status
DAMAGES = [
    ("tail cut off", events(lambda held: held[:-2]), "chain.sequence", "tail_truncated", 3),
    ("head cut off", events(lambda held: held[2:]), "chain.sequence", "head_truncated", 3),
    ("middle cut out", events(lambda held: held[:5] + held[7:]), "chain.sequence", "gap", 3),
    ("two events swapped", events(lambda held: [*held[:5], held[6], held[5], *held[7:]]), "chain.sequence", "reordered", 3),
    ("an event twice", events(lambda held: [*held[:6], held[5], *held[6:]]), "chain.sequence", "duplicated", 3),
    ("an actor changed", text(4, b'"actor":"', b'"actor":"x'), "events.hash", "hash_wrong", 3),
    ("a chain of one's own", linked_anew, "tree.root", "chain_replaced", 3),
    ("a key twice", text(4, b'{"', b'{"actor":"x","'), "events.form", "duplicate_key", 3),
    ("a large integer", text(4, b'"sequence":4', b'"sequence":9007199254740992'), "events.form", "integer_range", 3),
    ("a space", text(4, b'"sequence":4', b'"sequence": 4'), "events.form", "not_canonical", 3),
    ("an object changed", flip("artifacts/pack-0"), "artifacts", "artifact_swapped", 3),
    ("an object not found", without_object, "pointers", "pointer_unresolved", 3),
    ("a weaker profile", manifest(lambda held: held.update(evidence_profile_id="ecs-evidence-baseline")), "profile.declared", "profile_downgrade", 3),
    ("no list of files", manifest(lambda held: held.pop("carnet")), "profile.declared", "profile_downgrade", 3),
    ("another owner", manifest(lambda held: held.update(provider_id="somebody")), "manifest.signature", "signature_bad", 3),
    ("no signature", manifest(lambda held: held.update(signatures=[])), "manifest.signature", "unsigned", 8),
    ("a file more", lambda folder: (folder / "more").write_text("more"), "bundle.files", "file_added", 3),
    ("a file less", lambda folder: (folder / "proofs" / "segment.json").unlink(), "bundle.files", "file_missing", 3),
]


def verify(path, status, *options):
    report = kit.carnet("evidence", "verify", path, "--key", "keys/operator.vkey", *options, exit=status)
    return {row["id"]: row for row in report["checks"]}


def signature_line(name, id, signature):
    return f"\u2014 {name} {base64.b64encode(id + signature).decode()}\n"


def cosigned_later(whole, folder):
    """A witness of our own (c2sp.org/tlog-cosignature) signs after the export has left."""
    key, name, time = Ed25519PrivateKey.generate(), "witness.example.org", 1_800_000_000
    public = b"\x04" + key.public_key().public_bytes_raw()
    id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    vkey = f"{name}+{id.hex()}+{base64.b64encode(public).decode()}"
    (folder / "policy").write_text(f"witness W {vkey}\nquorum W\n")

    def told(text, status, signed=None):
        signature = key.sign(f"cosignature/v1\ntime {time}\n{signed or text}".encode())
        (folder / "cosigned").write_text(f"{text}\n" + signature_line(name, id, time.to_bytes(8, "big") + signature))
        rows = verify(whole, status, "--witnesses", folder / "policy", "--checkpoint", folder / "cosigned")
        return rows["checkpoint.witnesses"]["reason_word"], rows["freshness"]["reason"]

    kit.want(verify(whole, 8, "--witnesses", folder / "policy")["checkpoint.witnesses"]["reason_word"] == "quorum_missing", "nobody")
    text = (whole / "checkpoint").read_text().split("\n\n")[0] + "\n"
    word, fresh = told(text, 0)
    kit.want(word is None and "2027-01-15T08:00:00" in fresh, f"a witness: {word}, {fresh}")
    word, _ = told(text, 3, signed=text.replace("\n", "\n1", 1))
    kit.want(word == "signature_bad", f"a witness of something else: {word}")
    origin, size, root = text.splitlines()
    word, _ = told(f"{origin}\n{int(size) - 1}\n{root}\n", 8)
    kit.want(word == "quorum_missing", f"a witness of another size: {word}")
    return ("a witness who signed other events", "checkpoint.witnesses", "signature_bad", 3)


def retired(plan, folder):
    """The key is handed over. What it signed before is good; what it signs afterwards is not."""
    private = (folder / "keys" / "operator").read_text().strip().split("+", 4)
    seed = base64.b64decode(private[4])[1:]
    kit.carnet("key", "succeed", "keys/operator", "keys/next", plan)
    kit.carnet("evidence", "export", plan, "--out", "refused", "--signer", "keys/operator", exit=3)
    kit.carnet("evidence", "export", plan, "--out", "third", "--signer", "keys/next")
    third = folder / "third"
    kit.want(verify(third, 0)["key.succession"]["verdict"] == "pass", "the succession")
    text = (third / "checkpoint").read_text().split("\n\n")[0] + "\n"
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(text.encode())
    line = signature_line(private[2], bytes.fromhex(private[3]), signature)
    (third / "checkpoint").write_text(f"{text}\n{line}")
    list_anew(third)
    row = verify(third, 3)["checkpoint.signature"]
    kit.want(row["reason_word"] == "key_retired", row)
    return ("a key that was retired", "checkpoint.signature", "key_retired", 3)


def scenario(folder):
    vectors, rows = kit.synthetic(200, dimensions=8)
    kit.write_faiss(folder / "kb", vectors, rows)
    kit.write_artifacts(folder / "kb")
    (folder / "prod").mkdir()
    kit.carnet("key", "new", "keys/operator")
    kit.carnet("key", "new", "keys/other", "--name", "operator")
    plan = folder / "plan.yaml"
    plan.write_text(PLAN.format(folder=folder))
    kit.carnet("run", plan)
    kit.carnet("evidence", "export", plan, "--out", "first")
    whole = folder / "first"

    checks = verify(whole, 0)
    odd = {name: row for name, row in checks.items() if row["verdict"] not in ("pass", "not_applicable")}
    kit.want(list(odd) == ["freshness"], f"an undamaged export: {odd}")
    told = [("nothing", "freshness", checks["freshness"]["reason_word"], 0)]

    for name, damage, check, word, status in DAMAGES:
        copy = folder / "copy"
        shutil.copytree(whole, copy)
        damage(copy)
        if check not in ("manifest.signature", "bundle.files") and name != "no list of files":
            list_anew(copy)
        row = verify(copy, status)[check]
        kit.want(row["reason_word"] == word, f"{name}: {row}")
        told.append((name, check, word, status))
        shutil.rmtree(copy)

    # Keys that the auditor does not know, and no key at all.
    for key in (["--key", "keys/other.vkey"], []):
        report = kit.carnet("evidence", "verify", whole, *key, exit=8)
        row = next(row for row in report["checks"] if row["id"] == "checkpoint.signature")
        kit.want(row["reason_word"] == "key_unknown", row)
    told.append(("another key, or none", "checkpoint.signature", "key_unknown", 8))

    # A second export goes on from the first; the first is then an old one.
    kit.carnet("evidence", "export", plan, "--out", "second.tar")
    since = verify("second.tar", 0, "--since", whole / "checkpoint")
    kit.want(since["history.since"]["verdict"] == "pass", since["history.since"])
    kit.want(since["freshness"]["verdict"] == "pass", since["freshness"])
    with tarfile.open("second.tar") as tar:
        name = next(name for name in tar.getnames() if name.endswith("/checkpoint"))
        (folder / "newer").write_bytes(tar.extractfile(name).read())
    old = verify(whole, 3, "--since", folder / "newer")["history.since"]
    kit.want(old["reason_word"] == "older_than_known", old)
    told.append(("an old export again", "history.since", "older_than_known", 3))

    # Two checkpoints of one size: the auditor kept the other one.
    note = (whole / "checkpoint").read_text().splitlines(keepends=True)
    # The first digit: of the last one of a digest not all values are base64.
    root = ("B" if note[2][0] == "A" else "A") + note[2][1:]
    (folder / "fork").write_text("".join([*note[:2], root, *note[3:]]))
    row = verify(whole, 3, "--since", folder / "fork")["history.since"]
    kit.want(row["reason_word"] == "forked", row)
    told.append(("two roots of one size", "history.since", "forked", 3))

    # A part of the log, with its proof.
    kit.carnet("evidence", "export", plan, "--out", "part.zip", "--from", 3, "--to", 9, "--incomplete")
    part = verify("part.zip", 8)
    kit.want(part["tree.root"]["verdict"] == "pass", part["tree.root"])
    kit.want(part["profile.families"]["reason_word"] == "range_only", part["profile.families"])
    told.append(("a part of the log", "profile.families", "range_only", 8))

    # A receipt, and another event under it.
    kit.carnet("evidence", "receipt", plan, "--event", 4, "--out", "event-4.tlog-proof")
    verify("event-4.tlog-proof", 0)
    beside = folder / "event-4.tlog-proof.event.json"
    beside.write_bytes(lines(whole)[5].rstrip(b"\n"))
    row = verify("event-4.tlog-proof", 3)["tree.root"]
    kit.want(row["reason_word"] == "proof_broken", row)
    told.append(("a receipt for another event", "tree.root", "proof_broken", 3))

    told.append(cosigned_later(whole, folder))
    kit.carnet("key", "new", "keys/next")
    told.append(retired(plan, folder))

    with tarfile.open(folder / "hostile.tar", "w") as tar:
        entry = tarfile.TarInfo("../../manifest.json")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"{}"))
    kit.carnet("evidence", "verify", folder / "hostile.tar", exit=7)
    told.append(("a path that leaves the archive", "(archive)", "", 7))
    kit.table(("damage", "check", "word", "status"), told)


if __name__ == "__main__":
    kit.main(scenario)
