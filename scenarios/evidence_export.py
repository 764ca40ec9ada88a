"""Evidence leaves the program, and a second implementation (bundle.py) checks it: whole logs, parts of
them, folders, tar and zip files. Damaged copies are refused, passwords are nowhere, and an export that is
killed or refused leaves nothing that could be taken for a whole one.

    scenarios/evidence_export.py      exit 0 only if everything is as it should be

The kills need the build feature `faults`.
"""

import base64
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile

import bundle
import evidence
import kit

PASSWORD = "hunter2-do-not-tell"
TOKEN = "token-of-another-service-4711"
ENV = f"# services\nAPI_TOKEN={TOKEN}\nVECTOR_ENDPOINT=old-place\n"
PLAN = """carnet: v1
migration: evidence
owner: data-platform
governance: { jurisdiction: DE, classification: internal, retention: P365D }
evidence: { signer: lab.key }
source: { name: lab, knowledge: { store: "faiss:source", artifacts: artifacts } }
target: { name: prod, knowledge: { store: "sqlite:prod/knowledge.sqlite", artifacts: prod/artifacts } }
process: knowledge/v1
transfer: { inbox: inbox }
cutover:
  switch: { env_file: das.env, key: VECTOR_ENDPOINT }
decommission: { archive: archive }
"""
STATE = ".carnet/evidence"


def export(out, *words, exit=0):
    return kit.carnet("evidence", "export", "plan.yaml", "--out", out, *words, exit=exit)


def holds(folder, key, what):
    try:
        return bundle.check(folder, key)
    except bundle.Refused as refused:
        kit.fail(f"{what} is refused: {refused}")


def refused(folder, key, what):
    try:
        bundle.check(folder, key)
    except bundle.Refused as found:
        return str(found)
    kit.fail(f"{what}: it was not refused")


def run_once():
    vectors, rows = kit.synthetic(300, 16)
    kit.write_faiss("source", vectors, rows)
    kit.write_artifacts("artifacts")
    pathlib.Path("plan.yaml").write_text(PLAN)
    pathlib.Path("das.env").write_text(ENV)
    pathlib.Path("prod").mkdir()
    kit.carnet("key", "new", "lab.key")
    kit.carnet("run", "plan.yaml", env={"PGPASSWORD": PASSWORD})
    return bundle.Key(pathlib.Path("lab.key.vkey").read_text())


def every_form(key):
    """Folder, tar and zip, with and without tiles; each proves that it goes on from the one before."""
    first = export("whole")
    manifest = holds("whole", key, "the whole log")
    kit.want(manifest["scope"] == {"from_sequence": 0, "to_sequence": first["to_sequence"]}, manifest["scope"])
    kit.want(not pathlib.Path("whole/proofs/consistency.json").exists(), "the first export goes on from nothing")
    stored = [data for _, data in evidence.events(STATE)]
    kit.want(bundle.lines(pathlib.Path("whole"), "events.jsonl") == stored, "events are not the stored bytes")
    for name, unpack in (("b.tar", tarfile.open), ("b.zip", zipfile.ZipFile)):
        before = export(f"tiles_beside_{name}.d", "--tiles")
        holds(f"tiles_beside_{name}.d", key, "a bundle with tiles")
        kit.want(before["previous_size"] is not None, "it does not go on from the last export")
        export(name)
        with unpack(name) as archive:
            archive.extractall(f"out-{name}")
        (folder,) = pathlib.Path(f"out-{name}").iterdir()
        manifest = holds(folder, key, name)
        kit.want(folder.name == f"carnet-evidence-{manifest['export_id']}", f"the folder in {name} is {folder.name}")
        kit.want((folder / "proofs/consistency.json").exists(), f"{name} does not go on from the last export")
    return pathlib.Path("whole")


def every_range(key):
    last = export("probe")["to_sequence"]
    for number, (begin, end) in enumerate([(0, 0), (0, 9), (5, 5), (7, 40), (last - 9, last), (last, last)]):
        export(f"range{number}", "--from", begin, "--to", end, "--incomplete")
        manifest = holds(f"range{number}", key, f"events {begin} to {end}")
        kit.want(manifest["scope"] == {"from_sequence": begin, "to_sequence": end}, manifest["scope"])
    for begin, end in [(3, 2), (0, last + 1000)]:
        export("never", "--from", begin, "--to", end, exit=2)
    export("never", "--from", "5", "--to", "5", exit=3)  # a single event is not what the profile demands
    kit.want(not pathlib.Path("never").exists(), "a refused export left something")


def rewrite(folder):
    """Makes the manifest name the files as they are now, as somebody would who covers up a change."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p != path)
    manifest["carnet"]["files"] = [
        {"bytes": len(data := (folder / name).read_bytes()), "path": name, "sha256": bundle.sha(data)} for name in names
    ]
    segment = bundle.sha((folder / "chain-segment.json").read_bytes())
    manifest["chain_segment_ref"] = f"eosc://evidence/chain/sha256:{segment}"
    path.write_bytes(bundle.pretty(manifest))


def edit(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


def edit_manifest(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_bytes(bundle.pretty(manifest))


def without_line(number):
    def change(data):
        lines = data.splitlines(keepends=True)
        del lines[number]
        return b"".join(lines)

    return change


def swapped(data):
    lines = data.splitlines(keepends=True)
    lines[4], lines[5] = lines[5], lines[4]
    return b"".join(lines)


def rehashed(data):
    """An event is changed and given the hash of its new content."""
    lines = data.splitlines()
    event = json.loads(lines[6])
    event["actor"] = "somebody else"
    del event["event_hash"]
    event["event_hash"] = bundle.sha(bundle.canonical(event))
    lines[6] = bundle.canonical(event)
    return b"\n".join(lines) + b"\n"


def resigned(folder):
    """Everything agrees, and is signed by somebody else."""
    edit_manifest(folder, lambda m: m["signatures"][0].update(signature=base64.b64encode(bytes(64)).decode()))


def flip(data):
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


DAMAGE = [
    ("a flipped bit in an object", lambda f: edit(f, "artifacts/pack-0", flip), False),
    ("a flipped bit in an object, covered up", lambda f: edit(f, "artifacts/pack-0", flip), True),
    ("the last event cut off", lambda f: edit(f, "events.jsonl", without_line(-1)), True),
    ("the first event cut off", lambda f: edit(f, "events.jsonl", without_line(0)), True),
    ("an event missing in the middle", lambda f: edit(f, "events.jsonl", without_line(9)), True),
    ("two events exchanged", lambda f: edit(f, "events.jsonl", swapped), True),
    ("an event changed and hashed anew", lambda f: edit(f, "events.jsonl", rehashed), True),
    ("an event with a space more", lambda f: edit(f, "events.jsonl", lambda d: d.replace(b":", b": ", 1)), True),
    ("an object missing in the index", lambda f: edit(f, "artifacts/index.jsonl", without_line(0)), True),
    ("a file added", lambda f: (f / "note.txt").write_text("hello"), False),
    ("a file removed", lambda f: (f / "profile-claim.json").unlink(), False),
    ("another segment proof", lambda f: edit(f, "proofs/segment.json", lambda d: d.replace(b'"from": 0', b'"from": 1')), True),
    ("another checkpoint", lambda f: edit(f, "checkpoint", lambda d: d.replace(b"\n", b"0\n", 1)), True),
    ("a lower profile", lambda f: edit_manifest(f, lambda m: m.update(evidence_profile_id="ecs-evidence-ncp")), False),
    ("another range", lambda f: edit_manifest(f, lambda m: m["scope"].update(from_sequence=1)), False),
    ("no signature", lambda f: edit_manifest(f, lambda m: m.update(signatures=[])), False),
    ("a signature of nobody", resigned, False),
    ("a manifest that only claims another time", lambda f: edit_manifest(f, lambda m: m.update(created_at="2020-01-01T00:00:00.000Z")), False),
]


def damaged_copies(whole, key):
    rows = []
    for what, damage, covered in DAMAGE:
        copy = pathlib.Path("damaged")
        shutil.copytree(whole, copy)
        damage(copy)
        if covered:
            rewrite(copy)
        # Once covered up, only the signature would tell; what is said is what is found without it.
        rows.append((what, refused(copy, None if covered else key, what)[:90]))
        refused(copy, key, what)
        shutil.rmtree(copy)
    kit.table(["damage", "refused because"], rows)


def nothing_private(whole):
    """Neither what stood in the environment file, nor passwords: not in any file of any export."""
    secrets = [PASSWORD.encode(), TOKEN.encode()]
    private = pathlib.Path(STATE, "private")
    kept = [p.read_bytes() for p in private.rglob("*") if p.is_file()]
    kit.want(any(TOKEN.encode() in data for data in kept), "the test is blind: nothing private was kept")
    seen = 0
    for path in pathlib.Path(".").rglob("*"):
        if path.is_file() and (path.suffix in (".tar", ".zip") or whole in path.parents):
            seen += 1
            data = path.read_bytes()
            for secret in secrets:
                kit.want(secret not in data, f"{path} holds a secret")
            named = [hashlib.sha256(one).hexdigest().encode() for one in kept]
            kit.want(not path.name.startswith("pack-") or not any(one in data for one in kept), f"{path}: private bytes")
            kit.want(path.name != "index.jsonl" or not any(name in data for name in named), f"{path}: a private object")
    kit.want(seen > 8, f"only {seen} files were searched")


def password_in_a_url():
    """A copy is named by URLs that may hold a password."""
    url = kit.database(16, "evidence")
    url = url.replace("postgres@", f"postgres:{PASSWORD}@")
    kit.carnet("copy", "faiss:source", f"{url}?table=embeddings", "--state", "copies-state")
    (state,) = pathlib.Path("copies-state/copies").iterdir()
    kit.carnet("evidence", "export", state, "--out", "copied", "--incomplete")
    holds("copied", None, "the evidence of a copy")
    for path in pathlib.Path("copied").rglob("*"):
        kit.want(not path.is_file() or PASSWORD.encode() not in path.read_bytes(), f"{path} holds the password")
    shown = kit.carnet("evidence", "show", state, as_json=False).stdout
    kit.want(PASSWORD not in shown, "the password is shown")


def at_work():
    """While somebody holds the log, nothing is exported, and events can still be read."""
    with open(f"{STATE}/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        export("locked", exit=3)
        listed = kit.carnet("evidence", "show", "plan.yaml", as_json=False).stdout
        kit.want("process.start" in listed, listed)
    kit.want(not pathlib.Path("locked").exists(), "an export of a log at work")


def killed(key):
    """Killed before and after the manifest is written, in each form: no whole name, and the next one works."""
    for point in ("evidence/events", "evidence/manifest"):
        for out in ("killed", "killed.tar", "killed.zip"):
            command = [kit.setting("CARNET_BIN"), "evidence", "export", "plan.yaml", "--out", out]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "CARNET_FAULTS": f"{point}:1:sleep"})
            until = time.monotonic() + 60
            held = pathlib.Path(f"{out}.partial")
            name = "events.jsonl" if point == "evidence/events" else "manifest.json"
            while not list(held.rglob(name)):
                kit.want(process.poll() is None and time.monotonic() < until, f"{point} did not hold")
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
            kit.want(not pathlib.Path(out).exists(), f"{out} exists after a kill at {point}")
            export(out)
            kit.want(not held.exists(), f"{held} is left behind")
            if out == "killed":
                holds(out, key, "the export after a kill")
                shutil.rmtree(out)
            else:
                os.remove(out)


def receipts(key):
    """A receipt, checked with nothing but the event, the receipt and the key."""
    for number in (0, 13):
        made = kit.carnet("evidence", "receipt", "plan.yaml", "--event", number, "--out", f"r{number}.tlog-proof")
        text = pathlib.Path(made["receipt"]).read_bytes()
        kit.want(len(text) <= 4096, f"a receipt of {len(text)} bytes")
        head, note = text.split(b"\n\n", 1)
        first, index, *hashes = head.decode().split("\n")
        kit.want((first, index) == ("c2sp.org/tlog-proof@v1", f"index {number}"), first)
        origin, size, root = bundle.checkpoint(note, key)
        event = pathlib.Path(made["event"]).read_bytes()
        proof = [base64.b64decode(line, validate=True) for line in hashes]
        kit.want(bundle.included(number, size, bundle.leaf(event), proof) == root, "the receipt does not hold")
        kit.want(bundle.included(number, size, bundle.leaf(event + b" "), proof) != root, "it holds for anything")


def scenario(_folder):
    key = run_once()
    kit.carnet("evidence", "receipt", "plan.yaml", "--event", 10**6, exit=2)
    whole = every_form(key)
    every_range(key)
    damaged_copies(whole, key)
    receipts(key)
    at_work()
    killed(key)
    nothing_private(whole)
    password_in_a_url()
    export("whole", exit=3)
    evidence.verify(STATE)
    print("evidence leaves whole, and only whole")


if __name__ == "__main__":
    kit.main(scenario)
