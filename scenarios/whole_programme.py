"""examples/programme from P(-1) to its certification, with what must stop it on the way."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import evidence
import kit

DRIVE = kit.ROOT / "examples" / "programme" / "drive.py"
SHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"


def drive(*words, exit=0):
    """The operator of the example, in the folder `run`; gives what was said."""
    words = [sys.executable, str(DRIVE), "--into", "run", "--git-sha", SHA, *map(str, words)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1200)
    kit.want((done.returncode == 0) == (exit == 0), f"{words}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def lab(*words, folder="lab"):
    words = [sys.executable, "platform/lab.py", "--dir", folder, *words]
    done = subprocess.run(words, cwd="run", capture_output=True, text=True, timeout=600)
    kit.want(done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def refused(*words, code, exit=3):
    done = kit.carnet(*words, "--json", exit=exit, as_json=False, cwd="run")
    error = json.loads(done.stderr)["error"]
    kit.want(error["code"] == code, f"{words}: {error}")
    return " | ".join([error["message"], *error["causes"], error["remedy"] or ""])


def statuses():
    return {row["phase"]: row["status"] for row in kit.carnet("phase", "show", "plan.yaml", cwd="run")["phases"]}


def another_image():
    """One more line in the source after packaging: another digest, and nothing is made from it."""
    source = pathlib.Path("run/platform/eventplatform/source.py")
    good = source.read_text()
    source.write_text(good + "\n# one more line\n")
    lab("image", "--git-sha", SHA)
    said = drive("--until", "substrate", exit=1)
    kit.want("waits at the gate substrate/same_image" in said, said)
    kit.want(statuses()["substrate"] == "BLOCKED" and not pathlib.Path("run/state").exists(), "the substrate was made")
    source.write_text(good)
    lab("image", "--git-sha", SHA)


def another_authority():
    """A document that decides is edited in the middle: nothing goes on until it is put back."""
    path = pathlib.Path("run/authority/build-plan.md")
    good = path.read_text()
    path.write_text(good.replace("thirteen services", "twelve services"))
    said = refused("run", "plan.yaml", code="programme.drift")
    kit.want("build-plan.md" in said and "carnet repin" in said, said)
    path.write_text(good)


def another_configuration():
    """Under the same ids: refused where the run is, and where nobody knows of it."""
    path = pathlib.Path("run/config.json")
    good = path.read_text()
    path.write_text(good.replace('"seed": 42', '"seed": 43'))
    kit.want(path.read_text() != good, good)
    refused("run", "plan.yaml", code="programme.drift")
    said = refused("run", "plan.yaml", "--state", "elsewhere", code="programme.pinned")
    kit.want("config" in said and "new platform_run_id" in said, said)
    path.write_text(good)


def ended():
    """All phases are done, all gates are open, and what is left is what was to stay."""
    kit.want(set(statuses().values()) == {"DONE"} and len(statuses()) == 11, statuses())
    report = kit.carnet("status", "plan.yaml", cwd="run")
    shut = [gate for gate in report["gates"] if not gate["open"] or gate["verdict"] != "pass"]
    # An approval is passed by a signature, and was no gate that looked at something.
    kit.want(report["status"] == "done" and not shut and len(report["gates"]) >= 45, shut)
    copies = sum(gate["damaged"] for gate in report["gates"])
    kit.want(copies == sum(gate["refused"] for gate in report["gates"]) > 2000, copies)
    for folder in ("lab", "certification"):
        left = lab("list", folder=folder)
        kit.want(not any(left[kind] for kind in ("processes", "topics", "tables", "secrets")), left)
        kit.want(all("evidence" in name or "archive" in name for name in left["buckets"]), left)
    return copies


def main():
    if shutil.which("terraform") is None:
        print("skipped: there is no terraform on this machine")
        return
    with kit.workspace():
        os.environ.update({
            "AWS_ACCESS_KEY_ID": kit.setting("CARNET_TEST_S3_KEY"), "AWS_SECRET_ACCESS_KEY": kit.setting("CARNET_TEST_S3_SECRET")})
        try:
            drive("--until", "packaging")
            another_image()
            drive("--until", "substrate")
            another_authority()
            another_configuration()
            said = drive()
            kit.want("verified: all that was demanded holds" in said, said)
            copies = ended()
            evidence.verify("run/.carnet/platform")
        finally:
            for folder in ("lab", "certification"):
                if pathlib.Path("run", folder, "lab.json").exists():
                    subprocess.run([sys.executable, "platform/lab.py", "--dir", folder, "down"], cwd="run", capture_output=True)
                    subprocess.run([sys.executable, "platform/lab.py", "--dir", folder, "purge"], cwd="run", capture_output=True)
    print(f"whole programme: eleven phases, {copies} damaged copies refused, nothing left")


if __name__ == "__main__":
    main()
