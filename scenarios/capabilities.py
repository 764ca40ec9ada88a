"""The three example plans on real parts: an SQL change (SQLite, and PostgreSQL 16 and 18), a copy from
bucket to bucket (SeaweedFS), a service restart (supervisord). For each:

- a dry run changes nothing: parts, folder and state are the same before and after;
- a run does what the plan says, and every gate before and after it has looked;
- a failure in the middle takes everything back, newest first;
- killed (kill -9) before, in the middle of and after each step, and before and after each undo, the run
  goes on when it is started again, and ends as if nothing had happened.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request

import evidence
import kit

FAIL = 3, 6


def free_port():
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Example:
    """One example in a folder of its own, with what it works on."""

    name = None
    # Each step in order, with the points in the middle of its work.
    steps = []
    env = {}

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(kit.ROOT / "examples" / self.name, folder)
        self.plan = folder / "migration.yaml"

    def rewrite(self, *pairs):
        for path in [self.plan, *self.folder.glob("*.conf")]:
            text = path.read_text()
            for old, new in pairs:
                text = text.replace(old, new)
            path.write_text(text)

    def reset(self):
        """As before any run."""
        shutil.rmtree(self.folder / ".carnet", ignore_errors=True)

    def look(self):
        """What the example works on, as others see it."""

    def end(self):
        """Ends what was started for it."""

    def files(self):
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.name.startswith(("supervis", "shop.db")):
                found[str(path.relative_to(self.folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def start(self, *words, fault=None):
        env = {key: value for key, value in os.environ.items() if key != "CARNET_FAULTS"}
        env |= self.env
        if fault:
            env["CARNET_FAULTS"] = fault
        log = open(self.folder.parent / f"{self.name}.output", "w")
        command = [kit.setting("CARNET_BIN"), *words, "migration.yaml", "--json"]
        return subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log, start_new_session=True)

    def run(self, *words, fault=None, exit=0):
        status = self.start(*(words or ["run"]), fault=fault).wait(timeout=180)
        said = (self.folder.parent / f"{self.name}.output").read_text()
        wanted = exit if isinstance(exit, tuple) else (exit,)
        kit.want(status in wanted, f"{self.name}: {words} with {fault} ended with {status}, not {exit}:\n{said}")
        return said

    def kill_at(self, fault):
        """Starts a run that holds still at a point, and kills it there."""
        process = self.start("run", fault=fault)
        # It holds still when nothing has been recorded for a while.
        deadline, seen, since = time.monotonic() + 60, -1, time.monotonic()
        while time.monotonic() < deadline:
            kit.want(process.poll() is None, f"{self.name}: {fault} never struck: {process.returncode}\n"
                     + (self.folder.parent / f"{self.name}.output").read_text())
            now = evidence.count(self.folder / ".carnet")
            if now != seen:
                seen, since = now, time.monotonic()
            if now > 0 and time.monotonic() - since > self.quiet:
                break
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    # How long nothing is recorded when a run holds still.
    quiet = 0.8


class Sql(Example):
    name = "sql-change"
    steps = [("currency/add_column", ["sql/changed:1"]), ("currency/fill", ["sql/changed:2"]), ("fees/book", ["sql/changed:3"])]
    tables = {
        "orders": "SELECT * FROM orders ORDER BY id",
        "accounts": "SELECT * FROM accounts ORDER BY id",
        "bookings": "SELECT * FROM bookings ORDER BY what",
    }

    def __init__(self, folder, server):
        super().__init__(folder)
        self.server = server
        if server:
            self.url = kit.database(server, f"cap_sql_{server}")
            self.rewrite(("sqlite:shop.db", self.url))
        self.reset()

    def execute(self, script):
        if self.server:
            kit.sql(self.url, script)
            return
        with contextlib.closing(sqlite3.connect(self.folder / "shop.db")) as connection:
            connection.executescript(script)

    def rows(self, query):
        if self.server:
            return [list(row) for row in kit.sql(self.url, query)]
        with contextlib.closing(sqlite3.connect(self.folder / "shop.db")) as connection:
            return [list(row) for row in connection.execute(query)]

    def reset(self):
        super().reset()
        if self.server:
            kit.sql(self.url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        else:
            for path in self.folder.glob("shop.db*"):
                path.unlink()
        self.execute((self.folder / "shop.sql").read_text())

    def look(self):
        return {name: self.rows(query) for name, query in self.tables.items()}

    def wanted(self):
        return {
            "orders": [[1, "chair", 80, "EUR"], [2, "table", 240, "EUR"], [3, "lamp", 35, "EUR"]],
            "accounts": [[1, "ann", 95], [2, "bob", 20]],
            "bookings": [["fee", 5]],
        }


class S3(Example):
    name = "s3-copy"
    steps = [("copy/objects", ["s3/object:1", "s3/object:3"]), ("point/pointer", ["file/staged:1", "file/placed:1"])]
    count = 5

    def __init__(self, folder):
        super().__init__(folder)
        self.endpoint = kit.setting("CARNET_TEST_S3")
        self.lab, self.prod, self.prefix = "carnet-lab", "carnet-prod", f"kb-{os.getpid()}"
        self.rewrite(
            ("http://127.0.0.1:8333", self.endpoint),
            ("s3://carnet-lab/kb", f"s3://{self.lab}/{self.prefix}"),
            ("s3://carnet-prod/kb", f"s3://{self.prod}/{self.prefix}"),
        )
        self.env = {
            "AWS_ACCESS_KEY_ID": kit.setting("CARNET_TEST_S3_KEY"),
            "AWS_SECRET_ACCESS_KEY": kit.setting("CARNET_TEST_S3_SECRET"),
        }
        self.objects = {f"part/{n:02} é.bin": bytes([n]) * (1000 + n) for n in range(self.count)}
        self.objects["large.bin"] = os.urandom(1 << 20) * 6
        names = sorted(self.objects)
        self.objects["manifest.json"] = json.dumps({"objects": names}).encode()
        for key, data in self.objects.items():
            self.put(self.lab, key, data)
        self.put(self.prod, "../" + self.unrelated(), b"stays")

    def unrelated(self):
        """An object beside the prefix, which nothing may touch."""
        return f"{self.prefix}-unrelated"

    # The object store is asked by a client that is not ours.

    def client(self):
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    def put(self, bucket, key, data):
        key = key[3:] if key.startswith("../") else f"{self.prefix}/{key}"
        with contextlib.suppress(self.client().exceptions.BucketAlreadyOwnedByYou, self.client().exceptions.BucketAlreadyExists):
            self.client().create_bucket(Bucket=bucket)
        self.client().put_object(Bucket=bucket, Key=key, Body=data)

    def held(self, bucket):
        client = self.client()
        found = client.list_objects_v2(Bucket=bucket, Prefix=self.prefix).get("Contents", [])
        read = lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return {each["Key"]: hashlib.sha256(read(each["Key"])).hexdigest() for each in found}

    def reset(self):
        super().reset()
        client = self.client()
        for key in self.held(self.prod):
            if key != self.unrelated():
                client.delete_object(Bucket=self.prod, Key=key)
        (self.folder / "current.json").write_text('{"bucket": "carnet-lab"}\n')

    def look(self):
        return {"lab": self.held(self.lab), "prod": self.held(self.prod), "pointer": (self.folder / "current.json").read_text()}

    def wanted(self):
        held = self.held(self.lab)
        return {
            "lab": held,
            "prod": held | {self.unrelated(): hashlib.sha256(b"stays").hexdigest()},
            "pointer": (self.folder / "new.json").read_text(),
        }


class Service(Example):
    name = "service-restart"
    steps = [
        ("rehearse/restart", ["service/restarted:1"]),
        ("switch/settings", ["file/staged:1", "file/placed:1"]),
        ("switch/restart", ["service/restarted:2"]),
    ]
    quiet = 3.5

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        self.rewrite(("7180", str(self.port)))
        self.conf = folder / "supervisord.conf"
        subprocess.run(["supervisord", "-c", self.conf], check=True, capture_output=True)
        self.wait()

    def ctl(self, *words):
        return subprocess.run(["supervisorctl", "-c", self.conf, *words], capture_output=True, text=True)

    def wait(self):
        for _ in range(200):
            with contextlib.suppress(OSError):
                return json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2))
            time.sleep(0.1)
        kit.fail(f"the service does not answer: {self.ctl('status').stdout}")

    def reset(self):
        super().reset()
        (self.folder / "settings.json").write_text('{"version": 1}\n')
        self.ctl("restart", "web")
        self.wait()

    def look(self):
        return {"version": self.wait()["version"], "settings": (self.folder / "settings.json").read_text()}

    def wanted(self):
        return {"version": 2, "settings": (self.folder / "settings-new.json").read_text()}

    def pid(self):
        return re.search(r"pid (\d+)", self.ctl("status", "web").stdout).group(1)

    def end(self):
        self.ctl("shutdown")


def in_strict_reverse(state, name):
    """What was begun, in order; what was taken back must be the same from the end."""
    begun, back = [], []
    for event in evidence.parsed(state):
        fact, subject = event.get("context", {}).get("fact"), event.get("resource_id")
        if fact == "intent" and subject not in begun:
            begun.append(subject)
        elif fact == "undo_outcome":
            back.append(subject)
    kit.want(back == begun[::-1], f"{name}: begun {begun}, taken back {back}")


def play(example, rows):
    state = example.folder / ".carnet"
    example.reset()
    before, files = example.look(), example.files()
    kit.carnet("check", "migration.yaml", cwd=example.folder)
    # A dry run changes nothing.
    pid = example.pid() if hasattr(example, "pid") else None
    example.run("run", "--dry-run")
    kit.want(example.look() == before, f"{example.name}: a dry run changed {example.look()}")
    kit.want(example.files() == files and not state.exists(), f"{example.name}: a dry run left files")
    kit.want(pid is None or example.pid() == pid, f"{example.name}: a dry run restarted the service")
    # A run does what it says.
    example.run()
    kit.want(example.look() == example.wanted(), f"{example.name}: not as wanted: {example.look()}")
    evidence.verify(state)
    # A failure behind the last step takes everything back.
    names = [name for name, _ in example.steps]
    failures = 0
    for name in names:
        for when in ("before", "after"):
            example.reset()
            example.run("run", fault=f"{when}/{name}:1:fail", exit=FAIL)
            kit.want(example.look() == before, f"{example.name}: {when} {name}: not taken back: {example.look()}")
            in_strict_reverse(state, f"{example.name}: {when} {name}")
            evidence.verify(state)
            failures += 1
    kills = 0
    for name, points in example.steps:
        for point in [f"before/{name}:1", *points, f"after/{name}:1"]:
            example.reset()
            example.kill_at(f"{point}:sleep")
            evidence.verify(state)
            example.run()
            kit.want(example.look() == example.wanted(), f"{example.name}: killed at {point}: {example.look()}")
            evidence.verify(state)
            kills += 1
    last = names[-1]
    undo_kills = 0
    for name in names:
        for when in ("undo", "undone"):
            example.reset()
            example.kill_at(f"after/{last}:1:fail,{when}/{name}:1:sleep")
            evidence.verify(state)
            example.run("run", exit=(*FAIL, 0))
            held = example.look()
            kit.want(held in (before, example.wanted()), f"{example.name}: killed at {when} {name}: {held}")
            evidence.verify(state)
            undo_kills += 1
    rows.append([getattr(example, "title", example.name), len(names), failures, kills, undo_kills])


def scenario(folder):
    rows, open_ones = [], []
    try:
        for make in (
            lambda: Sql(folder / "sqlite", None),
            lambda: Sql(folder / "pg16", 16),
            lambda: Sql(folder / "pg18", 18),
            lambda: S3(folder / "s3"),
            lambda: Service(folder / "service"),
        ):
            example = make()
            open_ones.append(example)
            example.title = f"{example.name} ({example.folder.name})"
            play(example, rows)
    finally:
        for example in open_ones:
            example.end()
    kit.table(["example", "steps", "failures taken back", "kills", "kills in undo"], rows)


kit.main(scenario)
