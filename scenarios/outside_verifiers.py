"""What tools that are not ours say to what Carnet writes. Each is shown the thing itself, which it
must accept, and a damaged copy, which it must refuse: a tool that cannot say no proves nothing.

    scenarios/outside_verifiers.py        prints the table; exit 0 only if every answer is right

From Debian: golang-go, golang-golang-x-mod-dev (golang.org/x/mod: the Go team's notes and trees),
openssh-client, gnupg, coreutils. From PyPI: securesystemslib, scitt-cose, rfc8785, cryptography.
"""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import rfc8785
import scitt_cose
import securesystemslib.exceptions
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

import kit

TABLE = []
PLAN = """
carnet: v1
migration: outside
owner: data-platform
evidence: { hash_profile: rfc8785-sha256-v1, signer: keys/operator }
source:
  name: lab
  knowledge: { store: "faiss:lab", artifacts: artifacts }
target:
  name: prod
  knowledge: { store: "sqlite:prod/kb.sqlite", artifacts: prod/artifacts }
process: knowledge/v1
quiesce: { flag: prod/pause }
transfer: { inbox: prod/inbox }
validate: { queries: 5, k: 3 }
cutover: { switch: { env_file: prod/das.env, key: VECTOR_ENDPOINT } }
decommission: { archive: archive }
"""


def show(tool, what, good, damaged):
    """Asks twice: `good` and `damaged` say whether the tool accepts."""
    accepted, refused = bool(good()), not damaged()
    TABLE.append((tool, what, "accepted" if accepted else "REFUSED", "refused" if refused else "ACCEPTED"))


def accepts(*command, stdin=None, **options):
    """Whether a program ends with status 0."""
    stdin = open(stdin, "rb") if stdin else subprocess.DEVNULL
    done = subprocess.run(list(map(str, command)), stdin=stdin, capture_output=True, text=True, timeout=300, **options)
    return done.returncode == 0


def done(*command, **options):
    """Runs a program that must succeed; gives what it said."""
    try:
        ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **options)
    except FileNotFoundError:
        kit.fail(f"{command[0]} is not there: run ./test, which installs it")
    kit.want(ran.returncode == 0, f"{' '.join(map(str, command))}: {ran.stderr}")
    return ran.stdout


def copy_with(path, change, to=None):
    """A damaged copy, beside the file if nothing else is said."""
    path = pathlib.Path(path)
    other = to or path.with_name(f"damaged-{path.name}")
    before = path.read_bytes()
    after = change(before)
    kit.want(after != before, f"{path} was not damaged")
    other.write_bytes(after)
    return other


def flip(data, at=None):
    """One bit flipped, in the middle if nothing is said."""
    at = len(data) // 2 if at is None else at
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def make(folder):
    """A whole migration with a signed log, and everything that can be had of it."""
    vectors, rows = kit.synthetic(60, dimensions=8)
    kit.write_faiss(folder / "lab", vectors, rows)
    kit.write_artifacts(folder / "artifacts")
    (folder / "keys").mkdir()
    (folder / "prod").mkdir()
    kit.carnet("key", "new", "keys/operator", "--name", "operator.example.org")
    (folder / "plan.yaml").write_text(PLAN)
    kit.carnet("run", "plan.yaml")


def go_notes(folder):
    """golang.org/x/mod/sumdb: the code that checks Go's own checksum database."""
    verify = folder / "go-verify"
    settings = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": f"/usr/share/gocode:{folder / 'go'}",
        "GOCACHE": str(folder / "go-cache"),
        "GOFLAGS": "",
    }
    done("go", "build", "-o", verify, kit.ROOT / "scenarios" / "go" / "verify.go", env=settings)
    vkey = "keys/operator.vkey"
    checkpoint = "evidence/checkpoint"
    larger = copy_with(checkpoint, lambda text: text.replace(b"\n", b"\n1", 1))
    show(
        "x/mod note",
        "checkpoint",
        lambda: accepts(verify, "note", vkey, checkpoint),
        lambda: accepts(verify, "note", vkey, larger),
    )
    receipt, event = "receipt.tlog-proof", "receipt.tlog-proof.event.json"
    other = copy_with(event, lambda text: text.replace(b'"accepted"', b'"refused"', 1))
    show(
        "x/mod tlog",
        "receipt of an event",
        lambda: accepts(verify, "proof", vkey, receipt, event),
        lambda: accepts(verify, "proof", vkey, receipt, other),
    )
    lines = pathlib.Path(receipt).read_text().split("\n")
    swapped = pathlib.Path("swapped.tlog-proof")
    swapped.write_text("\n".join([*lines[:2], lines[3], lines[2], *lines[4:]]))
    show(
        "x/mod tlog",
        "order of the proof's hashes",
        lambda: accepts(verify, "proof", vkey, receipt, event),
        lambda: accepts(verify, "proof", vkey, swapped, event),
    )


def ssh(folder, snapshot):
    public = pathlib.Path("ssh-key.pub").read_text()
    (folder / "allowed_signers").write_text(f'ops@example.org namespaces="carnet-manifest" {public}')
    for what, where in (("snapshot manifest", snapshot), ("evidence manifest", pathlib.Path("evidence"))):
        words = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-I", "ops@example.org"]
        words += ["-n", "carnet-manifest", "-s", where / "manifest.json.sig"]
        other = copy_with(where / "manifest.json", flip, to=where.parent / f"damaged-{where.name}.json")
        show(
            "ssh-keygen -Y",
            what,
            lambda: accepts(*words, stdin=where / "manifest.json"),
            lambda: accepts(*words, stdin=other),
        )


def gpg(snapshot, home):
    for what, where in (("snapshot manifest", snapshot), ("evidence manifest", pathlib.Path("evidence"))):
        words = ["gpg", "--batch", "--verify", where / "manifest.json.asc"]
        other = where.parent / f"damaged-{where.name}.json"
        show(
            "gpg --verify",
            what,
            lambda: accepts(*words, where / "manifest.json", env=home),
            lambda: accepts(*words, other, env=home),
        )


def ours(snapshot, folder):
    """What we say to the signatures of theirs, and to damage."""
    trust = folder / "trust"
    print_of = (folder / "gpg-fingerprint").read_text().strip()
    trust.write_text((folder / "allowed_signers").read_text() + f"ops@example.org openpgp {print_of}\n")
    words = ["snapshot", "verify", snapshot, "--trust", trust, "--openpgp-key", folder / "gpg-public.asc"]
    kit.carnet(*words)
    signed = {kind: (snapshot / f"manifest.json.{kind}").read_bytes() for kind in ("sig", "asc")}
    for kind, name in (("sig", "ssh-keygen -Y sign"), ("asc", "gpg --detach-sign")):
        path = snapshot / f"manifest.json.{kind}"
        (snapshot / f"manifest.json.{'asc' if kind == 'sig' else 'sig'}").unlink()
        path.write_bytes((folder / f"theirs.{kind}").read_bytes())
        good = kit.carnet(*words, exit=None, as_json=False).returncode == 0
        path.write_bytes((folder / f"theirs-other.{kind}").read_bytes())
        bad = kit.carnet(*words, exit=None, as_json=False)
        TABLE.append(
            (
                "carnet verify",
                f"signature of {name}",
                "accepted" if good else "REFUSED",
                "refused" if bad.returncode == 3 and "signature.bad" in bad.stderr else "ACCEPTED",
            )
        )
        for other, data in signed.items():
            (snapshot / f"manifest.json.{other}").write_bytes(data)
    nobody = folder / "nobody"
    nobody.write_text("# nobody\n")
    kit.carnet("snapshot", "verify", snapshot, "--trust", nobody, exit=8)
    for kind in signed:
        (snapshot / f"manifest.json.{kind}").unlink()
    kit.carnet("snapshot", "verify", snapshot, "--trust", trust, exit=8)
    kit.carnet("snapshot", "verify", snapshot)


def our_evidence(folder):
    """What `evidence verify` says to people's signatures: unasked, good, by a stranger, damaged, none."""
    evidence, trust = pathlib.Path("evidence"), folder / "trust"
    for damaged in evidence.glob("damaged-*"):  # of the checks before
        damaged.unlink()
    log = f"operator vkey {pathlib.Path('keys/operator.vkey').read_text()}"
    with_log, nobody = folder / "trust-with-log", folder / "trust-others"
    with_log.write_text(trust.read_text() + log)
    done("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "stranger")
    nobody.write_text(f"stranger {(folder / 'stranger.pub').read_text()}" + log)
    gpg_key = ["--openpgp-key", folder / "gpg-public.asc"]

    def told(path, *words, exit):
        checks = kit.carnet("evidence", "verify", path, *words, exit=exit)["checks"]
        (row,) = [row for row in checks if row["id"] == "manifest.others"]
        return row["verdict"], row.get("reason_word")

    archive = pathlib.Path("signed.tar")
    done("tar", "cf", archive, "--transform", "s/^evidence/carnet-evidence/", "evidence")
    for path in (evidence, archive):
        kit.want(told(path, "--key", "keys/operator.vkey", exit=0) == ("not_applicable", None), "nobody asked")
        good = told(path, "--trust", with_log, *gpg_key, exit=0)
        kit.want(good == ("pass", None), f"{path}: {good}")
        stranger = told(path, "--trust", nobody, exit=8)
        kit.want(stranger == ("not_checked", "key_unknown"), f"{path}: a stranger: {stranger}")
    archive.unlink()
    for kind in ("sig", "asc"):
        path = evidence / f"manifest.json.{kind}"
        held = path.read_bytes()
        path.write_bytes((folder / f"theirs.{kind}").read_bytes())
        bad = told(evidence, "--trust", with_log, *gpg_key, exit=3)
        TABLE.append(
            (
                "carnet evidence verify",
                f"manifest.json.{kind}",
                "accepted" if good[0] == "pass" else "REFUSED",
                "refused" if bad == ("fail", "signature_bad") else "ACCEPTED",
            )
        )
        path.write_bytes(held)
        path.rename(folder / f"away.{kind}")
    kit.want(told(evidence, "--trust", with_log, exit=0) == ("not_applicable", None), "no signature is there")
    for kind in ("sig", "asc"):
        (folder / f"away.{kind}").rename(evidence / f"manifest.json.{kind}")


def dsse(key_id, public):
    key = SSlibKey(key_id, "ed25519", "ed25519", {"public": public.hex()})
    lines = pathlib.Path("statements.jsonl").read_text().splitlines()
    kit.want(len(lines) >= 5, f"only {len(lines)} statements")

    def holds(line):
        envelope = Envelope.from_dict(json.loads(line))
        try:
            return envelope.verify([key], 1) and json.loads(envelope.payload)
        except securesystemslib.exceptions.VerificationError:
            return False

    def damaged(line):
        envelope = json.loads(line)
        statement = base64.b64decode(envelope["payload"]).replace(b"PASSED", b"FAILED").replace(b"CARNET", b"CRANET")
        return json.dumps({**envelope, "payload": base64.b64encode(statement).decode()})

    show(
        "securesystemslib",
        f"{len(lines)} DSSE envelopes",
        lambda: all(holds(line) for line in lines),
        lambda: any(holds(damaged(line)) for line in lines),
    )
    statements = [holds(line) for line in lines]
    kit.want(all(one["_type"] == "https://in-toto.io/Statement/v1" for one in statements), "another type")
    kinds = {one["predicateType"] for one in statements}
    wanted = {"https://in-toto.io/attestation/svr/v0.1", "https://slsa.dev/verification_summary/v1"}
    kit.want(kinds == wanted, f"predicates {kinds}")


def cose(public):
    pem = Ed25519PublicKey.from_public_bytes(public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    receipt = pathlib.Path("receipt.cose").read_bytes()
    event = pathlib.Path("receipt.cose.event.json").read_bytes()

    def holds(receipt, event):
        found = scitt_cose.verify_receipt(receipt, leaf_entry_hex=event.hex(), log_public_key_pem=pem)
        return found.ok and found.issuer.startswith("carnet/") and found.subject

    show("scitt-cose", "COSE receipt", lambda: holds(receipt, event), lambda: holds(receipt, flip(event)))
    show("scitt-cose", "its signature", lambda: holds(receipt, event), lambda: holds(flip(receipt, -5), event))


def canonical(public):
    lines = pathlib.Path("evidence/events.jsonl").read_bytes().splitlines()

    def holds(line):
        event = json.loads(line)
        same = rfc8785.dumps(event) == line
        claimed = event.pop("event_hash")
        return same and hashlib.sha256(rfc8785.dumps(event)).hexdigest() == claimed

    damaged = lines[3].replace(b'"outcome":"', b'"outcome":"x', 1)
    show(
        "rfc8785",
        f"bytes and hashes of {len(lines)} events",
        lambda: all(map(holds, lines)),
        lambda: holds(damaged),
    )

    def signed(manifest):
        manifest = dict(manifest)
        (signature,) = manifest.pop("signatures")
        key = Ed25519PublicKey.from_public_bytes(public)
        try:
            key.verify(base64.b64decode(signature["signature"]), rfc8785.dumps(manifest))
        except InvalidSignature:
            return False
        return True

    manifest = json.loads(pathlib.Path("evidence/manifest.json").read_text())
    other = json.loads(json.dumps(manifest))
    other["scope"]["to_sequence"] -= 1
    show(
        "rfc8785, cryptography",
        "the evidence manifest's signature",
        lambda: signed(manifest),
        lambda: signed(other),
    )


def sums(snapshot):
    damaged = pathlib.Path("damaged-snapshot")
    shutil.copytree(snapshot, damaged)
    prompt = next(damaged.glob("prompts/*"))
    prompt.write_bytes(flip(prompt.read_bytes()))
    words = ["sha256sum", "--check", "--strict", "--quiet", "checksums.sha256"]
    show(
        "sha256sum -c",
        "every file of a snapshot",
        lambda: accepts(*words, cwd=snapshot),
        lambda: accepts(*words, cwd=damaged),
    )
    # The manifest, and so a signature of it, covers the same files.
    listed = done("sh", "-c", "grep -v '  manifest.json$' checksums.sha256 | sha256sum", cwd=snapshot)
    manifest = json.loads((snapshot / "manifest.json").read_text())
    kit.want(manifest["files_sha256"] == listed.split()[0], "files_sha256 is not that of the list")


def keys(folder):
    """Keys of the tools themselves, and signatures by them."""
    done("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ops", "-f", "ssh-key")
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    settings = {**os.environ, "GNUPGHOME": str(home)}
    quick = ["--quiet", "--batch", "--passphrase", ""]
    done("gpg", *quick, "--quick-gen-key", "ops <ops@example.org>", "ed25519", "sign", "never", env=settings)
    listed = done("gpg", "--batch", "--with-colons", "--list-keys", env=settings)
    print_of = next(line for line in listed.splitlines() if line.startswith("fpr:")).split(":")[9]
    (folder / "gpg-fingerprint").write_text(print_of)
    for words, name in ((["--export-secret-keys"], "gpg-secret.asc"), (["--export"], "gpg-public.asc")):
        (folder / name).write_text(done("gpg", "--quiet", "--armor", *words, env=settings))
    (folder / "gpg-secret.asc").chmod(0o600)
    return settings


def sign_with_theirs(snapshot, folder, settings):
    for name, data in (("theirs", b""), ("theirs-other", b" ")):
        message = folder / name
        message.write_bytes((snapshot / "manifest.json").read_bytes() + data)
        done("ssh-keygen", "-q", "-Y", "sign", "-f", "ssh-key", "-n", "carnet-manifest", message)
        done("gpg", "--quiet", "--batch", "--armor", "--detach-sign", message, env=settings)


def scenario(folder):
    make(folder)
    settings = keys(folder)
    signs = ["--sign", "ssh:ssh-key", "--sign", "openpgp:gpg-secret.asc"]
    kit.carnet("evidence", "export", "plan.yaml", "--out", "evidence", *signs)
    kit.carnet("evidence", "receipt", "plan.yaml", "--event", "5", "--out", "receipt.tlog-proof")
    kit.carnet("evidence", "receipt", "plan.yaml", "--event", "5", "--format", "cose", "--out", "receipt.cose")
    kit.carnet("evidence", "project", "plan.yaml", "--to", "in-toto", "--out", "statements.jsonl")
    kit.carnet("snapshot", "export", "faiss:lab", "--artifacts", "artifacts", "--out", "snapshots", *signs)
    (snapshot,) = (folder / "snapshots").glob("knowledge_snapshot_*")
    name, hash_of, material = (folder / "keys" / "operator.vkey").read_text().strip().split("+", 2)
    public = base64.b64decode(material)[1:]
    go_notes(folder)
    ssh(folder, snapshot)
    gpg(snapshot, settings)
    dsse(f"{name}+{hash_of}", public)
    cose(public)
    canonical(public)
    sums(snapshot)
    sign_with_theirs(snapshot, folder, settings)
    ours(snapshot, folder)
    our_evidence(folder)
    kit.table(["tool", "what", "good", "damaged"], TABLE)
    wrong = [row for row in TABLE if row[2:] != ("accepted", "refused")]
    kit.want(not wrong, f"{len(wrong)} wrong answers: {wrong}")


kit.main(scenario)
