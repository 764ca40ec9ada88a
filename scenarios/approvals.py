"""A run that people hold in their hands: it waits for an approval and undoes nothing, refuses consents that
do not count, goes on under an amended plan only after that was approved, and an auditor reads it all.
Branches run side by side, a message and a timer are waited for, and a failed phase undoes in reverse.

Keys are made by the real ssh-keygen.
"""

import pathlib
import subprocess
import tempfile

import kit

PLAN = """carnet: v1
migration: go-live
owner: data-platform
trust: trust
{amends}
evidence: {{ tenant: lab, signer: operator }}
approvals:
  go: {{ any_of: [ops@example.org, dba@example.org], count: 2, not: initiator, expires: PT4H }}
  amendment: {{ any_of: [ops@example.org], not: initiator, expires: PT4H }}
phases:
  - name: copy
    steps:
      - {{ name: left, capability: file.copy, with: {{ from: in.txt, to: left.txt }} }}
      - {{ name: right, capability: file.copy, with: {{ from: in.txt, to: right.txt }}, after: [] }}
    exit:
      - {{ gate: file, name: there, with: {{ path: left.txt }} }}
  - name: live
    steps:
      - {{ approval: go }}
      - {{ message: released, name: released }}
      - {{ wait: PT1S, name: soak }}
      - {{ name: last, capability: file.copy, with: {{ from: in.txt, to: last.txt }} }}
    exit:
      - {{ gate: file, name: done, with: {{ path: last.txt }} }}
{more}
"""

MORE = """  - name: more
    steps:
      - { name: extra, capability: file.copy, with: { from: in.txt, to: extra.txt } }
    exit:
      - { gate: file, name: extra_there, with: { path: extra.txt } }
"""


def keys(folder):
    kit.carnet("key", "new", "operator", cwd=folder, as_json=False)
    trust = "dev@example.org vkey " + (folder / "operator.vkey").read_text()
    for name in ["ops", "dba", "eve"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name], cwd=folder, check=True)
        if name != "eve":
            trust += f"{name}@example.org " + " ".join((folder / f"{name}.pub").read_text().split()[:2]) + "\n"
    (folder / "trust").write_text(trust)


def files(folder):
    return sorted(path.name for path in folder.glob("*.txt"))


def refused(folder, exit, code, *words):
    done = kit.carnet(*words, "--json", exit=exit, as_json=False, cwd=folder)
    kit.want(code in done.stderr, f"{words} says {done.stderr!r}, not {code}")


def bring_own_keys(folder, digest):
    """Whoever amends a plan may not say who approves that, nor by which keys: both are those of the plan that
    is amended, though its file be overwritten."""
    trust = (folder / "trust").read_text()
    eve = (folder / "eve.pub").read_text().split()[1]
    ops = (folder / "ops.pub").read_text().split()[1]
    swapped = trust.replace(ops, eve)
    plan = PLAN.format(amends=f"amends: sha256:{digest}", more=MORE)
    (folder / "theirs").write_text(swapped)
    (folder / "other_file.yaml").write_text(plan.replace("trust: trust\n", "trust: theirs\n"))
    (folder / "same_file.yaml").write_text(plan)
    (folder / "other_rule.yaml").write_text(plan.replace("amendment: { any_of: [ops", "amendment: { any_of: [dba"))
    forge = lambda plan, key, name: ["approve", plan, "amendment", "--key", f"ssh:{key}", "--as", name, "--yes"]
    refused(folder, 3, "approval.invalid", *forge("other_file.yaml", "eve", "ops@example.org"))
    refused(folder, 3, "approval.invalid", "run", "other_file.yaml")
    (folder / "trust").write_text(swapped)
    refused(folder, 3, "approval.invalid", *forge("same_file.yaml", "eve", "ops@example.org"))
    refused(folder, 3, "approval.invalid", "run", "same_file.yaml")
    # Who may by the old plan can: they sign what they were shown, other keys included, and may take it back.
    kit.carnet(*forge("same_file.yaml", "ops", "ops@example.org"), as_json=False, cwd=folder)
    kit.carnet("approve", "same_file.yaml", "amendment", "--withdraw", "--reason", "those are eve's keys",
               "--key", "ssh:ops", as_json=False, cwd=folder)
    refused(folder, 3, "approval.invalid", "run", "same_file.yaml")
    (folder / "trust").write_text(trust)
    refused(folder, 3, "approval.invalid", *forge("other_rule.yaml", "dba", "dba@example.org"))
    refused(folder, 3, "approval.invalid", "run", "other_rule.yaml")


def main():
    with tempfile.TemporaryDirectory() as home:
        folder = pathlib.Path(home)
        keys(folder)
        (folder / "in.txt").write_text("one\n")
        (folder / "plan.yaml").write_text(PLAN.format(amends="", more=""))
        digest = kit.carnet("check", "plan.yaml", cwd=folder)["plan_digest"]
        kit.carnet("run", "plan.yaml", exit=5, as_json=False, cwd=folder)
        kit.want(files(folder) == ["in.txt", "left.txt", "right.txt"], f"a run that waits has undone: {files(folder)}")

        approve = lambda plan, gate, key: ["approve", plan, gate, "--key", f"ssh:{key}", "--yes"]
        refused(folder, 3, "approval.invalid", *approve("plan.yaml", "go", "eve"))
        kit.carnet(*approve("plan.yaml", "go", "ops"), as_json=False, cwd=folder)
        kit.carnet("run", "plan.yaml", exit=5, as_json=False, cwd=folder)

        # The plan as it was approved, and no other: one word changed in the same file is refused.
        text = (folder / "plan.yaml").read_text()
        (folder / "plan.yaml").write_text(text.replace("to: last.txt", "to: more.txt").replace("path: last.txt", "path: more.txt"))
        other = kit.carnet("check", "plan.yaml", cwd=folder)["plan_digest"]
        kit.want(other != digest, "the digest of the plan does not cover its steps")
        for words in (["run", "plan.yaml"], approve("plan.yaml", "go", "dba")):
            refused(folder, 3, "plan.changed", *words)
        kit.want(files(folder) == ["in.txt", "left.txt", "right.txt"], f"another plan has run: {files(folder)}")
        (folder / "plan.yaml").write_text(text)

        bring_own_keys(folder, digest)

        # Another plan: not without leave, and the approval of the old one does not carry over.
        (folder / "next.yaml").write_text(PLAN.format(amends=f"amends: sha256:{digest}", more=MORE))
        refused(folder, 3, "approval.invalid", "run", "next.yaml")
        refused(folder, 3, "approval.invalid", *approve("next.yaml", "amendment", "dba"))
        kit.carnet(*approve("next.yaml", "amendment", "ops"), as_json=False, cwd=folder)
        kit.carnet("run", "next.yaml", exit=5, as_json=False, cwd=folder)
        refused(folder, 3, "plan.changed", "run", "plan.yaml")
        for key in ["ops", "dba"]:
            kit.carnet(*approve("next.yaml", "go", key), as_json=False, cwd=folder)

        # Approved; now it waits for word, and then for a second.
        kit.carnet("run", "next.yaml", exit=5, as_json=False, cwd=folder)
        kit.want("last.txt" not in files(folder), "it did not wait for the message")
        kit.carnet("signal", "next.yaml", "live/released", "--reason", "the window is open", as_json=False, cwd=folder)
        kit.carnet("run", "next.yaml", as_json=False, cwd=folder)
        kit.want(files(folder) == ["extra.txt", "in.txt", "last.txt", "left.txt", "right.txt"], f"{files(folder)}")

        kit.carnet("evidence", "export", "next.yaml", "--out", "ev.tar", as_json=False, cwd=folder)
        verdict = kit.carnet("evidence", "verify", "ev.tar", "--key", "operator.vkey", as_json=False, cwd=folder)
        kit.want("verified" in verdict.stdout, verdict.stdout)

        kit.carnet("rollback", "next.yaml", as_json=False, cwd=folder)
        kit.want(files(folder) == ["in.txt"], f"not all was taken back: {files(folder)}")
    print("approvals: waited, refused, amended, approved, signalled, verified and taken back")


main()
