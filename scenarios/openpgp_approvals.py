"""Approvals by OpenPGP keys that the real gpg made: one lets the run go on, and gpg itself accepts the
signature that the evidence keeps. A stranger's key, another person's, one that has expired, an approval that
is over, and one that was changed in the evidence are all refused.
"""

import json
import pathlib
import subprocess
import time

import kit

PLAN = """carnet: v1
migration: go-live
owner: data-platform
trust: trust
evidence: { tenant: lab, signer: operator }
approvals:
  go: { any_of: [ops@example.org, late@example.org, past@example.org], not: initiator, expires: PT4H }
phases:
  - name: live
    steps:
      - { approval: go }
      - { name: last, capability: file.copy, with: { from: in.txt, to: last.txt } }
    exit:
      - { gate: file, name: done, with: { path: last.txt } }
"""


def gpg(home, *words, input=None):
    command = ["gpg", "--homedir", home, "--batch", "--quiet", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, input=input)
    return done.returncode, done.stdout, done.stderr


def make_key(folder, name, *options, lives="never"):
    """A key as gpg makes it; gives its fingerprint. Its secret half is NAME.asc."""
    home = folder / f"gpg-{name}"
    home.mkdir(mode=0o700)
    unlocked = ["--pinentry-mode", "loopback", "--passphrase", ""]
    made = gpg(home, *options, *unlocked, "--quick-gen-key", f"{name} <{name}@example.org>", "ed25519", "sign", lives)
    kit.want(made[0] == 0, f"gpg made no key for {name}: {made[2]}")
    _, listed, _ = gpg(home, "--with-colons", "--list-keys")
    _, secret, _ = gpg(home, *unlocked, "--armor", "--export-secret-keys")
    file = folder / f"{name}.asc"
    file.write_text(secret)
    file.chmod(0o600)
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def approve(key, *words, **expected):
    return kit.carnet("approve", "plan.yaml", "go", "--key", f"openpgp:{key}.asc", "--yes", *words, **expected)


def refused(key, because, *words):
    done = approve(key, *words, exit=3, as_json=False)
    told = " ".join(done.stderr.split())
    kit.want("approval.invalid" in told and because in told, f"{key} {words} is refused otherwise: {done.stderr}")


def waits(because):
    done = kit.carnet("run", "plan.yaml", exit=5, as_json=False)
    told = " ".join(done.stderr.split())
    kit.want(because in told and "approval.missing" in told, f"it waits for another reason: {done.stderr}")
    kit.want(not pathlib.Path("last.txt").exists(), "a run without a good approval went on")


def kept(kind):
    """The approvals of this kind that the evidence keeps, each with its file."""
    found = []
    for path in pathlib.Path(".carnet/go-live/objects").rglob("*"):
        if path.is_file():
            try:
                value = json.loads(path.read_bytes())
            except ValueError:
                continue
            if isinstance(value, dict) and value.get("kind") == kind:
                found.append((path, value))
    return found


def gpg_says(folder, approval):
    """What the real gpg says to a kept approval."""
    (folder / "statement").write_text(approval["statement"])
    (folder / "statement.asc").write_text(approval["signature"])
    return gpg(folder / "gpg-ops", "--verify", "statement.asc", "statement")


def scenario(folder):
    kit.carnet("key", "new", "operator", as_json=False)
    long_ago = "20200101T000000!"
    prints = {
        "ops": make_key(folder, "ops"),
        "other": make_key(folder, "other"),
        "late": make_key(folder, "late", "--faked-system-time", long_ago, lives="1d"),
    }
    make_key(folder, "stranger")
    trust = "dev@example.org vkey " + (folder / "operator.vkey").read_text()
    past = make_key(folder, "past")
    trust += f'past@example.org valid-before="20200101Z" openpgp {past}\n'
    trust += "".join(f"{name}@example.org openpgp {print_of}\n" for name, print_of in prints.items())
    (folder / "trust").write_text(trust)
    (folder / "in.txt").write_text("one\n")
    (folder / "plan.yaml").write_text(PLAN)
    waits("nobody has approved go")

    # Keys that do not count, whatever they say that they are.
    refused("stranger", "as nobody who may approve")
    refused("stranger", "does not count", "--as", "ops@example.org")
    refused("other", "of somebody else only", "--as", "ops@example.org")
    late = approve("late", exit=None, as_json=False)
    told = " ".join(late.stderr.split())
    kit.want(late.returncode not in (0, 5) and "it has expired" in told, f"an expired key: {late.returncode} {told}")
    refused("past", "does not count", "--as", "past@example.org")
    waits("nobody has approved go")

    # One that is over when the run gets to it.
    approve("ops", "--expires", "PT2S", as_json=False)
    time.sleep(2.5)
    waits("has expired")

    told = approve("ops")
    kit.want(told["key"] == prints["ops"], f"the approval names another key: {told}")
    approvals = kept("openpgp")
    kit.want(len(approvals) == 2, f"{len(approvals)} approvals are kept, not 2")
    file, approval = next((path, it) for path, it in approvals if told["expires"] in it["statement"])
    status, _, stderr = gpg_says(folder, approval)
    kit.want(status == 0, f"gpg refuses what carnet signed: {stderr}")

    # Changed in the evidence: the signature is no longer one of the statement, and both say so.
    good = file.read_bytes()
    changed = dict(approval, statement=approval["statement"].replace("ops@", "eve@"))
    kit.want(gpg_says(folder, changed)[0] != 0, "gpg accepts a changed statement")
    file.chmod(0o600)
    file.write_bytes(good.replace(b"ops@example.org", b"eve@example.org"))
    waits("was changed")
    file.write_bytes(good)

    kit.carnet("run", "plan.yaml", as_json=False)
    kit.want((folder / "last.txt").exists(), "the good approval did not let the run go on")
    kit.carnet("evidence", "export", "plan.yaml", "--out", "ev.tar", as_json=False)
    done = kit.carnet("evidence", "verify", "ev.tar", "--key", "operator.vkey", as_json=False)
    kit.want("verified" in done.stdout, done.stdout)


if __name__ == "__main__":
    kit.main(scenario)
