"""The example plans, each in a folder of its own with the real parts that it works on: a knowledge base
(FAISS files to SQLite), an SQL change (SQLite, PostgreSQL), a copy from bucket to bucket (S3), a service
restart (supervisord). What each looks like to others, before and after, is written down here once.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

import evidence
import hold
import kit

# A run that was refused, or that met a system that failed.
FAIL = 3, 6


@dataclasses.dataclass
class Step:
    """One step, with the points in the middle of its effect, and in the middle of taking it back after the
    last step has failed: none where it is a single call that happens or does not."""

    name: str
    middle: list = dataclasses.field(default_factory=list)
    middle_of_undo: list = dataclasses.field(default_factory=list)
    # One that only looks is not taken back.
    changes: bool = True


def free_port():
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def file_digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


class Example:
    """One example in a folder of its own, with what it works on."""

    name = None
    # Each step that changes something, and others where they matter, in order.
    steps = []
    # Where a run fails so that all steps are taken back; and the steps that a rollback takes back.
    fails_at = None
    last_undone = None
    rolled_back = None
    # How often a run passes a point on its way forward, of those that undo passes as well.
    passed_forward = {}
    env = {}
    # Files that are not the plan's, and change by themselves; folders whose time tells nothing for that;
    # and one whose time does.
    not_ours = ()
    untimed = ()
    quiet = "."
    # What comes before each command.
    inside = []

    def __init__(self, folder, title=None):
        self.folder, self.title = folder, title or self.name
        shutil.copytree(kit.ROOT / "examples" / self.name, folder)
        self.plan = folder / "migration.yaml"
        self.state = folder / ".carnet"

    def rewrite(self, *pairs):
        for path in [self.plan, *self.folder.glob("*.conf")]:
            text = path.read_text()
            for old, new in pairs:
                text = text.replace(old, new)
            path.write_text(text)

    def reset(self):
        """As before any run."""
        shutil.rmtree(self.state, ignore_errors=True)

    def look(self):
        """What the example works on, as others see it."""

    def wanted(self):
        """The same after the run."""

    def after_rollback(self, before):
        """The same after a rollback."""
        return before

    def visible(self, before):
        """The steps of which an effect can be seen."""

    def fingerprint(self):
        """All that a run could change, to the last bit, with the times of files and rows."""
        return {"tree": tree(self.folder, self.not_ours, self.untimed)}

    def tampers(self):
        """Small changes by others, each of which the fingerprint must show."""
        unseen = self.folder / self.quiet / "unseen"

        def come_and_go():
            unseen.write_text("")
            unseen.unlink()

        def one_bit():
            data, times = bytearray(self.plan.read_bytes()), os.stat(self.plan)
            data[0] ^= 1
            self.plan.write_bytes(data)
            os.utime(self.plan, ns=(times.st_atime_ns, times.st_mtime_ns))

        def back():
            data = bytearray(self.plan.read_bytes())
            data[0] ^= 1
            self.plan.write_bytes(data)

        def state():
            self.state.mkdir(exist_ok=True)
            (self.state / "more").mkdir()

        return [
            ("a file comes and goes", come_and_go, lambda: None),
            ("one bit, at the old time", one_bit, back),
            ("a folder in the state", state, lambda: (self.state / "more").rmdir()),
        ]

    def end(self):
        """Ends what was started for it."""

    # Runs of it.

    def start(self, *words, fault=None):
        env = {key: value for key, value in os.environ.items() if key != "CARNET_FAULTS"}
        env |= self.env
        if fault:
            env["CARNET_FAULTS"] = fault
        command = [*self.inside, kit.setting("CARNET_BIN"), *words, "migration.yaml", "--json"]
        with open(self.folder.parent / f"{self.folder.name}.output", "w") as log:
            return subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log, start_new_session=True)

    def said(self):
        return (self.folder.parent / f"{self.folder.name}.output").read_text()

    def run(self, *words, fault=None, exit=0):
        status = self.start(*(words or ["run"]), fault=fault).wait(timeout=300)
        wanted = exit if isinstance(exit, tuple) else (exit,)
        kit.want(status in wanted, f"{self.title}: {words} with {fault} ended with {status}, not {exit}:\n{self.said()}")
        return self.said()

    def kill_at(self, fault, *words):
        """Starts a run that holds still at a point, and kills it there."""
        process = self.start(*(words or ["run"]), fault=fault)
        hold.wait(process, self.state, f"{self.title}: {fault}", self.said)
        kit.want(hold.kill(process), f"{self.title}: {fault}: it had ended")


def content_of(store):
    """What an SQLite file holds with its log. A reader that is the last to leave merges the log into the file,
    as SQLite does: the content stays."""
    if not store.exists():
        return None
    with tempfile.TemporaryDirectory() as copy:
        for path in store.parent.glob(store.name + "*"):
            if not path.name.endswith("-shm"):
                shutil.copy(path, copy)
        with contextlib.closing(sqlite3.connect(f"{copy}/{store.name}")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return file_digest(f"{copy}/{store.name}")


def tree(folder, skip=(), untimed=()):
    """Every file, folder and link below, with mode, length, times and digest. The time of a folder shows what
    came and went in it."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        if path.name.startswith(tuple(skip)) and skip:
            continue
        at = path.lstat()
        what = [oct(at.st_mode), None if str(path.relative_to(folder)) in untimed else at.st_mtime_ns]
        if path.is_symlink():
            what.append(os.readlink(path))
        elif path.is_file():
            what += [at.st_size, file_digest(path)]
        found[str(path.relative_to(folder))] = what
    return found


def dumped(url, server):
    """All of a PostgreSQL database, as text."""
    dump = [f"{kit.setting(f'CARNET_TEST_PG{server}_BIN')}/pg_dump", url]
    text = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


class Quickstart(Example):
    name = "quickstart"
    steps = [
        Step("quiesce/raise_flag"),
        Step("export/export_snapshot", ["export/written:1"], ["export/removing:1"]),
        Step("transfer/place_snapshot", ["transfer/file:2"], ["transfer/removing:1"]),
        Step(
            "import/load_records",
            ["import/range:1", "import/range_written:1", "import/commit:1", "import/committed:1"],
            ["import/abandoned:1"],
        ),
        Step("import/place_artifacts", ["import/artifact:2"], ["import/unplaced:2"]),
        Step("cutover/switch", ["cutover/replaced:1"], ["cutover/restored:1"]),
        Step("cutover/lower_flag"),
        Step("decommission/archive_snapshot", ["decommission/file:2"], ["decommission/removing:1"]),
    ]
    fails_at = "before/validate/read_back"
    last_undone = "import/place_artifacts"
    not_ours = ("knowledge.sqlite",)
    untimed = ("prod",)
    rolled_back = ["cutover/switch"]

    def reset(self):
        subprocess.run(["chmod", "-R", "u+w", self.folder], check=True)
        shutil.rmtree(self.folder)
        shutil.copytree(kit.ROOT / "examples" / self.name, self.folder)

    def look(self):
        prod = self.folder / "prod"
        store = prod / "knowledge.sqlite"
        files = lambda place: {str(p.relative_to(place)): file_digest(p) for p in place.rglob("*") if p.is_file()}
        env = prod / "das.env"
        return {
            "source": files(self.folder / "knowledge"),
            "flag": (prod / "pause_ingestion").exists(),
            "snapshots": sorted(p.name for p in self.state.glob("quickstart/snapshots/*/*")),
            "inbox": sorted(p.name for p in (prod / "inbox").glob("*")),
            # An undo leaves the file that SQLite was made to make, without a table in it.
            "store": kit.roots(f"sqlite:{store}") if self.has_records(store) else None,
            "artifacts": files(prod / "artifacts"),
            "env": env.read_text() if env.exists() else None,
            "archive": sorted(p.name for p in (self.folder / "archive").glob("*")),
        }

    def fingerprint(self):
        return super().fingerprint() | {"store": content_of(self.folder / "prod" / "knowledge.sqlite")}

    def has_records(self, store):
        """Asked without the program, which would say nothing of half a store."""
        if not store.exists():
            return False
        with contextlib.closing(sqlite3.connect(store)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
        return "embeddings" in names

    def wanted(self):
        held = self.look()
        (snapshot,) = held["snapshots"] or [None]
        source = {name: digest for name, digest in held["source"].items() if "/" in name}
        return held | {
            "flag": False,
            "inbox": [snapshot],
            "archive": [snapshot],
            "store": kit.roots(f"faiss:{self.folder}/knowledge"),
            "artifacts": source,
            "env": "VECTOR_ENDPOINT=sqlite:prod/knowledge.sqlite\n",
        }

    def after_rollback(self, before):
        """Readers are back at the source; what was moved stays."""
        return self.wanted() | {"env": before["env"]}

    def visible(self, before):
        held = self.look()
        differs = lambda key: held[key] != before[key]
        steps = {
            "quiesce/raise_flag": held["flag"],
            "export/export_snapshot": differs("snapshots"),
            "transfer/place_snapshot": differs("inbox"),
            "import/load_records": differs("store"),
            "import/place_artifacts": differs("artifacts"),
            "cutover/switch": differs("env"),
            "decommission/archive_snapshot": differs("archive"),
        }
        return {step for step, seen in steps.items() if seen}


class Sql(Example):
    name = "sql-change"
    steps = [
        Step("currency/add_column", ["sql/changing:1", "sql/changed:1"], ["sql/changing:6", "sql/changed:6"]),
        Step("currency/fill", ["sql/changing:2", "sql/changed:2"], ["sql/changing:5", "sql/changed:5"]),
        Step("fees/book", ["sql/changing:3", "sql/changed:3"], ["sql/changing:4", "sql/changed:4"]),
    ]
    fails_at = "after/fees/book"
    passed_forward = {"sql/changing": 3, "sql/changed": 3}
    tables = {
        "orders": "SELECT * FROM orders ORDER BY id",
        "accounts": "SELECT * FROM accounts ORDER BY id",
        "bookings": "SELECT * FROM bookings ORDER BY what",
    }

    def __init__(self, folder, server=None):
        super().__init__(folder, f"sql-change, PostgreSQL {server}" if server else "sql-change, SQLite")
        self.server = server
        if server:
            self.url = kit.database(server, f"example_{folder.parent.name}_{server}".replace("-", "_"))
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

    def visible(self, before):
        held = self.look()
        steps = {
            "currency/add_column": any(len(row) > 3 for row in held["orders"]),
            "currency/fill": any("EUR" in row for row in held["orders"]),
            "fees/book": held["accounts"] != before["accounts"] or bool(held["bookings"]),
        }
        return {step for step, seen in steps.items() if seen}

    def fingerprint(self):
        found = super().fingerprint()
        if self.server:
            # Also what was written and taken back: that leaves its number in `xmax`.
            found["dump"] = dumped(self.url, self.server)
            found["rows"] = {name: kit.sql(self.url, f"SELECT ctid::text, xmin::text, xmax::text FROM {name}") for name in self.tables}
        return found

    def tampers(self):
        def there_and_back():
            for sign in "+-":
                self.execute(f"UPDATE orders SET amount = amount {sign} 1 WHERE id = 1")

        return super().tampers() + [("a row is changed, and changed back", there_and_back, lambda: None)]


class S3(Example):
    name = "s3-copy"
    steps = [
        Step("copy/objects", ["s3/copying:1", "s3/object:1", "s3/object:3"], ["s3/removed:1", "s3/removed:3"]),
        Step("point/pointer", ["file/staged:1", "file/placed:1"], ["file/returned:1"]),
    ]
    fails_at = "after/point/pointer"
    count = 5

    def __init__(self, folder):
        super().__init__(folder)
        self.endpoint = kit.setting("CARNET_TEST_S3")
        self.lab, self.prod, self.prefix = "carnet-lab", "carnet-prod", f"kb-{os.getpid()}-{folder.parent.name}"
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

    def visible(self, before):
        held = self.look()
        steps = {"copy/objects": held["prod"] != before["prod"], "point/pointer": held["pointer"] != before["pointer"]}
        return {step for step, seen in steps.items() if seen}

    def fingerprint(self):
        client, found = self.client(), super().fingerprint()
        for bucket in (self.lab, self.prod):
            objects = client.list_objects_v2(Bucket=bucket, Prefix=self.prefix).get("Contents", [])
            uploads = client.list_multipart_uploads(Bucket=bucket, Prefix=self.prefix).get("Uploads", [])
            found[bucket] = [
                sorted((each["Key"], each["ETag"], each["Size"], str(each["LastModified"])) for each in objects),
                self.held(bucket),
                sorted(each["Key"] for each in uploads),
            ]
        return found

    def tampers(self):
        def again():
            time.sleep(1.1)  # The time of an object has whole seconds.
            self.put(self.lab, "manifest.json", self.objects["manifest.json"])

        def upload():
            self.upload = self.client().create_multipart_upload(Bucket=self.prod, Key=f"{self.prefix}/begun")

        def abort():
            self.client().abort_multipart_upload(Bucket=self.prod, Key=f"{self.prefix}/begun", UploadId=self.upload["UploadId"])

        return super().tampers() + [
            ("an object, with what it holds already", again, lambda: None),
            ("an upload is begun", upload, abort),
        ]


class Service(Example):
    name = "service-restart"
    steps = [
        Step("rehearse/restart", ["service/restarted:1"], ["service/restarted:3"]),
        Step("switch/settings", ["file/staged:1", "file/placed:1"], ["file/returned:1"]),
        Step("switch/restart", ["service/restarted:2"]),
    ]
    fails_at = "after/switch/restart"
    passed_forward = {"service/restarted": 2}
    not_ours = ("supervis",)

    def __init__(self, folder, title=None):
        super().__init__(folder, title or "service-restart, supervisord")
        self.port = free_port()
        self.rewrite(("7180", str(self.port)))
        self.boot()

    def boot(self):
        self.conf = self.folder / "supervisord.conf"
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
        self.restart()
        self.wait()
        self.first_pid = self.pid()

    def restart(self):
        self.ctl("restart", "web")

    def look(self):
        return {"version": self.wait()["version"], "settings": (self.folder / "settings.json").read_text()}

    def wanted(self):
        return {"version": 2, "settings": (self.folder / "settings-new.json").read_text()}

    def pid(self):
        return re.search(r"pid (\d+)", self.ctl("status", "web").stdout).group(1)

    def end(self):
        self.ctl("shutdown")

    def visible(self, before):
        """A restart is seen by another process."""
        held = self.look()
        steps = {
            "rehearse/restart": self.pid() != self.first_pid,
            "switch/settings": held["settings"] != before["settings"],
            "switch/restart": held["version"] != before["version"],
        }
        return {step for step, seen in steps.items() if seen}

    def fingerprint(self):
        return super().fingerprint() | {"process": self.pid()}

    def tampers(self):
        def restart():
            self.restart()
            self.wait()

        return super().tampers() + [("the service is restarted", restart, lambda: None)]


class Snapshots(Example):
    """Phases written out in the plan, with `snapshot.export`, `snapshot.verify` and `snapshot.import`."""

    name = "snapshot-move"
    steps = [
        Step("export/write", ["snapshot/exported:1"], ["snapshot/removing:1"]),
        Step("export/check", changes=False),
        Step(
            "load/import",
            ["import/range:1", "import/range_written:1", "import/commit:1", "import/committed:1"],
            ["import/abandoned:1"],
        ),
    ]
    fails_at = "after/load/import"
    not_ours = ("knowledge.sqlite",)
    untimed = (".",)
    quiet = "knowledge"
    records = 1_000

    def __init__(self, folder, server=None):
        super().__init__(folder, f"snapshot-move, PostgreSQL {server}" if server else "snapshot-move, SQLite")
        self.server = server
        self.source = kit.write_faiss(folder / "knowledge", *kit.synthetic(self.records, 32))
        kit.write_artifacts(folder / "knowledge")
        self.store = "sqlite:knowledge.sqlite"
        if server:
            self.store = kit.database(server, f"example_{folder.parent.name}_{server}_snapshots".replace("-", "_"))
        self.rewrite(("../quickstart/", ""), ("sqlite:knowledge.sqlite", self.store), ("4000", str(self.records)))
        # A loaded table is named in the URL that the step takes; the gate asks the database.
        self.expected = kit.roots(self.source)

    def reset(self):
        super().reset()
        subprocess.run(["chmod", "-R", "u+w", self.folder], check=True)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        if self.server:
            kit.sql(self.store, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION vector")
        for path in self.folder.glob("knowledge.sqlite*"):
            path.unlink()

    def fingerprint(self):
        store = dumped(self.store, self.server) if self.server else content_of(self.folder / "knowledge.sqlite")
        return super().fingerprint() | {"store": store}

    def tables(self):
        if self.server:
            there = sorted(row[0] for row in kit.sql(self.store, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
            # The table of contracts stays in PostgreSQL, empty: others may be reading it.
            empty = "carnet_collections" in there and not kit.sql(self.store, "SELECT 1 FROM carnet_collections")
            return [name for name in there if not (empty and name == "carnet_collections")]
        if not (self.folder / "knowledge.sqlite").exists():
            return None
        with contextlib.closing(sqlite3.connect(self.folder / "knowledge.sqlite")) as connection:
            return sorted(row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))

    def look(self):
        # The name of a snapshot is the moment of its export: what counts is what it holds.
        found = {}
        for path in sorted((self.folder / "out").rglob("*")):
            if path.is_file():
                name = str(path.relative_to(self.folder / "out"))
                found[re.sub(r"\d{8}_\d{6}", "MOMENT", name)] = path.stat().st_size
        tables = self.tables() or None
        store = self.store if self.server else f"sqlite:{self.folder}/knowledge.sqlite"
        return {
            "source": tree(self.folder / "knowledge"),
            "out": found if (self.folder / "out").exists() else None,
            "tables": tables,
            "roots": kit.roots(store) if "embeddings" in (tables or []) else None,
        }

    def wanted(self):
        (snapshot,) = (self.folder / "out").iterdir()
        kit.carnet("snapshot", "verify", snapshot)
        held = self.look()
        partly = [name for name in held["tables"] if "carnet" in name and name != "carnet_collections"]
        kit.want(not partly, f"{self.title}: left behind: {partly}")
        return held | {"roots": self.expected}

    def visible(self, before):
        held = self.look()
        steps = {"export/write": held["out"] != before["out"], "load/import": held["tables"] != before["tables"]}
        return {step for step, seen in steps.items() if seen}


MAKE = {
    "quickstart": Quickstart,
    "sqlite": Sql,
    "pg16": lambda folder: Sql(folder, 16),
    "pg18": lambda folder: Sql(folder, 18),
    "s3": S3,
    "service": Service,
    "snapshots": Snapshots,
    "snapshots18": lambda folder: Snapshots(folder, 18),
}


def each(folder, names=()):
    """Every example in turn, or those that are named here or on the command line; what was started for it is ended, whatever happens."""
    for name in sys.argv[1:] or names or MAKE:
        with using(MAKE[name](folder / name)) as example:
            yield example


@contextlib.contextmanager
def using(example):
    try:
        yield example
    finally:
        example.end()
