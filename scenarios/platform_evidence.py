"""Evidence to judge: the event platform of examples/programme really runs, and leaves it. What the scenarios
then change in it, they change here, in a folder or in a bucket."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import boto3
import kit

PLATFORM = kit.ROOT / "examples" / "programme" / "platform"
DRILLS = ("duplicate", "second_writer", "ambiguous_publish")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of the platform: its ids, as a gate is told them, and where its evidence lies."""

    platform_run_id: str
    scenario_run_id: str

    @property
    def home(self):
        return f"evidence/runs/{self.platform_run_id}/"

    def ids(self):
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Good:
    """All that the platform left, and its runs by name."""

    root: "Folder"
    runs: dict


def lab(folder, *words):
    """One word to the lab; gives what it prints."""
    command = [sys.executable, "lab.py", "--dir", str(folder / "lab"), *words]
    done = subprocess.run(command, cwd=PLATFORM, capture_output=True, text=True, timeout=600)
    if done.returncode:
        kit.fail(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout)


def make(folder):
    """A run of 20 events and three drills, then all of it torn down."""
    root = folder / "platform"
    runs = {}
    try:
        lab(folder, "choose", "--evidence", str(root), "--git-sha", "0" * 40)
        lab(folder, "up")
        runs["run"] = lab(folder, "run", "20")["platform_run_id"]
        for name in DRILLS:
            runs[name] = lab(folder, "drill", name, "20")["platform_run_id"]
    except BaseException:
        # What cannot be ended must not hide why it was not made.
        if (folder / "lab" / "lab.json").exists():
            with contextlib.suppress(SystemExit):
                lab(folder, "down")
                lab(folder, "purge")
        raise
    lab(folder, "down")
    lab(folder, "purge")
    return found(Folder(root), runs)


def found(root, runs):
    pins = {name: root.json(f"evidence/runs/{run_id}/run.json") for name, run_id in runs.items()}
    return Good(root, {name: Run(it["platform_run_id"], it["scenario_run_id"]) for name, it in pins.items()})


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Place:
    """Where evidence lies. Paths are below its root."""

    def json(self, path):
        return json.loads(self.read(path))

    def lines(self, path):
        return [json.loads(line) for line in self.read(path).splitlines()]

    def write_json(self, path, value):
        """As the services write it."""
        self.write(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n")

    def write_lines(self, path, rows):
        texts = (json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for row in rows)
        self.write(path, "".join(text + "\n" for text in texts).encode())


class Folder(Place):
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.url = str(self.path)

    def fill(self, root, run):
        """The good evidence of one run, and nothing else."""
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.copytree(root.path / run.home, self.path / run.home)

    def paths(self):
        return [path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file()]

    def read(self, path):
        return (self.path / path).read_bytes()

    def write(self, path, data):
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(data)

    def remove(self, path):
        (self.path / path).unlink()


class Bucket(Place):
    def __init__(self, name):
        key, secret = kit.setting("CARNET_TEST_S3_KEY"), kit.setting("CARNET_TEST_S3_SECRET")
        os.environ.update({"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret})
        endpoint = kit.setting("CARNET_TEST_S3")
        self.name, self.s3 = name, boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        self.url = f"s3://{name}?endpoint={endpoint}&region=us-east-1"
        self.s3.create_bucket(Bucket=name)

    def fill(self, root, run):
        self.empty()
        for path in root.paths():
            if path.startswith(run.home):
                self.write(path, root.read(path))

    def paths(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def read(self, path):
        return self.s3.get_object(Bucket=self.name, Key=path)["Body"].read()

    def write(self, path, data):
        self.s3.put_object(Bucket=self.name, Key=path, Body=data)

    def remove(self, path):
        self.s3.delete_object(Bucket=self.name, Key=path)

    def empty(self):
        for path in self.paths():
            self.remove(path)

    def end(self):
        self.empty()
        self.s3.delete_bucket(Bucket=self.name)
