"""Roles as containers of runc: an OCI bundle for each, whose root is the unpacked layer of the image.

A container has process numbers, mounts, IPC and host name of its own, no capability, and a root that
is read-only; interpreter and libraries are this machine's, mounted so that they cannot be written. The
network is this machine's, because all servers are on its loopback. What runs is asked of runc, whose
state is in the lab's folder.
"""

import json
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
import uuid

from supervisor.processes import listed, peak

LIBRARIES = ("/usr", "/lib", "/lib64")
SETTINGS = ("/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/passwd", "/etc/localtime", "/etc/ld.so.cache", "/etc/ssl")
# The servers' credentials, where there are any; nothing else of our environment goes in.
PASSED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD")
MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def runc():
    return shutil.which("runc") or "/usr/sbin/runc"


def interpreter():
    """The folders that this Python is made of, each link on the way to it included."""
    wanted, path = [sys.prefix, sys.base_prefix, *site.getsitepackages()], sys.executable
    while os.path.islink(path):
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        wanted.append(os.path.dirname(path))
    wanted.append(os.path.dirname(os.path.realpath(sys.executable)))
    found = []
    for folder in sorted({os.path.normpath(folder) for folder in wanted if os.path.isdir(folder)}):
        if not any(folder == other or folder.startswith(other + "/") for other in [*LIBRARIES, *found]):
            found.append(folder)
    return found


def bind(path, *options):
    return {"destination": path, "type": "bind", "source": os.path.realpath(path), "options": ["rbind", *options]}


def memory(path, *options):
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", *options]}


def mounts(lab_folder, reads, writes):
    """Later ones lie on earlier ones. The lab's folder is an empty one, with what the role may see in it."""
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=64k"]},
        memory("/dev/shm", "noexec", "mode=1777"), memory("/tmp", "mode=1777"), memory("/etc", "mode=755", "ro"),
        *(bind(path, "ro") for path in LIBRARIES + SETTINGS if os.path.exists(path)),
        *(bind(path, "ro") for path in interpreter()), memory(lab_folder, "mode=755", "ro"),
        *(bind(path, "ro", "nosuid", "nodev") for path in reads),
        *(bind(path, "rw", "nosuid", "nodev") for path in writes)]


def bundle(rootfs, name, argv, env, mounted, cgroup, annotations):
    """config.json of the runtime specification."""
    nothing = {kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")}
    return {
        "ociVersion": "1.0.2", "hostname": name, "root": {"path": rootfs, "readonly": True},
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": argv,
                    "env": [f"{key}={value}" for key, value in env.items()], "capabilities": nothing, "noNewPrivileges": True},
        "mounts": mounted, "annotations": annotations,
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")], "cgroupsPath": cgroup,
            "resources": {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 512}},
            "maskedPaths": MASKED, "readonlyPaths": READ_ONLY}}


class Job:
    """A container that ends by itself, with what it says in pipes."""

    def __init__(self, containers, name, child):
        self.containers, self.name, self.child = containers, name, child
        self.poll, self.wait, self.communicate = child.poll, child.wait, child.communicate

    @property
    def returncode(self):
        return self.child.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Whoever leaves before it has ended takes it down."""
        if self.child.poll() is None:
            self.containers.remove(self.name)
            self.child.wait()
        for pipe in (self.child.stdout, self.child.stderr):
            pipe.close()
        self.containers.forget(self.name)


class Containers:
    kind = "runc"

    def __init__(self, lab):
        self.lab, self.place = lab, lab.path("runc")

    def command(self, *words):
        return [runc(), "--root", os.path.join(self.place, "state"), *words]

    def ask(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"runc {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def listed(self):
        """All containers of this lab, as runc lists them: running or ended, services and jobs."""
        if not os.path.isdir(os.path.join(self.place, "state")):
            return []
        return json.loads(self.ask("list", "--format", "json")) or []

    def there(self):
        """{container: its status}"""
        return {row["id"]: row["status"] for row in self.listed()}

    def arn(self, name):
        return f"runc:{self.lab.handles['DATABASE_SCHEMA']}/{name}"

    def running(self):
        """{service: its row} of those that we started to stay."""
        return {row["annotations"]["role"]: row for row in self.listed()
                if row["status"] == "running" and row["annotations"]["kind"] == "service"}

    def alive(self):
        """{service: task}"""
        return {service: self.arn(row["id"]) for service, row in self.running().items()}

    def tasks(self, run_id):
        """{service: tasks} that may serve this run, as the kernel lists them. One that runc does not
        know at that process number is a bare process, whatever it calls itself."""
        known = {(self.arn(row["id"]), row["pid"]) for row in self.listed()}
        return {service: [arn if (arn, pid) in known else bare for pid, bare, arn in found]
                for service, found in listed(run_id).items()}

    def peaks(self):
        return {service: peak(row["pid"]) for service, row in self.running().items()}

    def prepare(self, role):
        """Writes the bundle, for its owner alone: credentials are in it. Gives the container's name."""
        name = f"{role.name}-{uuid.uuid4().hex[:6]}"
        env = {
            "PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "TASK_ARN": self.arn(name), **role.said(self.lab, "/"),
            **{key: os.environ[key] for key in PASSED if os.environ.get(key)}}
        root = self.lab.handles["EVIDENCE_ROOT"]
        writes = [] if root.startswith("s3://") else [root]
        for path in writes:
            os.makedirs(path, exist_ok=True)
        annotations = {
            "org.opencontainers.image.ref.name": self.lab.handles["IMAGE_TAG"], "digest": env["IMAGE_DIGEST"],
            "role": role.name, "kind": role.kind, "platform_run_id": role.run_id}
        body = bundle(self.lab.path("rootfs"), name, role.argv(), env, mounts(self.lab.folder, role.reads(self.lab), writes),
                      f"/{self.lab.handles['DATABASE_SCHEMA']}-{name}", annotations)
        os.makedirs(self.bundle_of(name), mode=0o700)
        with open(os.open(os.path.join(self.bundle_of(name), "config.json"), os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            json.dump(body, file, indent=1)
        return name

    def bundle_of(self, name):
        return os.path.join(self.place, "bundles", name)

    def serve(self, role):
        if role.name in self.running():
            raise SystemExit(f"{role.name} runs already")
        name = self.prepare(role)
        os.makedirs(self.lab.path("log"), exist_ok=True)
        with open(self.lab.path("log", f"{role.name}.log"), "ab") as log:
            done = subprocess.run(self.command("run", "--detach", "--bundle", self.bundle_of(name), name),
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if done.returncode:
            self.forget(name)
            raise SystemExit(f"{role.name} was not started:\n{self.log_of(role.name)}")

    def job(self, role):
        name = self.prepare(role)
        return Job(self, name, subprocess.Popen(
            self.command("run", "--bundle", self.bundle_of(name), name),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    def log_of(self, name):
        return self.lab.processes.log_of(name)

    def forget(self, name):
        shutil.rmtree(self.bundle_of(name), ignore_errors=True)

    def remove(self, name):
        """Kills and deletes it, however far it is; one that is gone already is no fault."""
        subprocess.run(self.command("delete", "--force", name), capture_output=True, check=False)
        self.forget(name)

    def stop(self, names, seconds=15):
        """SIGTERM, a while to end in, then SIGKILL; then nothing of them is left."""
        asked = {service: row["id"] for service, row in self.running().items() if service in names}
        for name in asked.values():
            subprocess.run(self.command("kill", name, str(int(signal.SIGTERM))), capture_output=True, check=False)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and asked.keys() & self.running().keys():
            time.sleep(0.05)
        gone = [row["id"] for row in self.listed() if row["annotations"]["kind"] == "service" and row["annotations"]["role"] in names]
        for name in gone:
            self.remove(name)
        return sorted(asked)

    def clear(self):
        """Each container of the lab, also those that an interrupted command left, and their bundles."""
        for name in self.there():
            self.remove(name)
        if left := self.there():  # without its state nobody would see that it runs
            raise SystemExit(f"containers that are still there: {left}")
        shutil.rmtree(self.place, ignore_errors=True)


def wrong():
    """Why runc does not work here, or None: it is tried."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "rootfs"))
        name = f"probe-{uuid.uuid4().hex[:6]}"
        body = bundle("rootfs", name, [sys.executable, "-c", "import boto3, psycopg2, confluent_kafka"],
                      {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, mounts(os.path.join(folder, "lab"), [], []), f"/{name}", {})
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(body, file)
        try:
            done = subprocess.run([runc(), "--root", os.path.join(folder, "state"), "run", "--bundle", folder, name],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        except OSError as error:
            return str(error)
        return None if done.returncode == 0 else done.stderr.strip()[-500:]
