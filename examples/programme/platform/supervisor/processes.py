"""Processes by pid. A pid alone may name another process by tomorrow, so its start time is kept
beside it, and nothing is signalled unless both are those that we noted."""

import json
import os
import signal
import subprocess
import time

from eventplatform.config import DAEMONS


def started_at(pid):
    """The kernel's start time of a live process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def listed(run_id):
    """{service: [(pid, what a bare process of this number calls itself, what this one calls itself)]}
    of the services that may serve this run, as the kernel lists them."""
    found, scope = {}, f"REQUIRED_PLATFORM_RUN_ID={run_id}"
    for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc")))):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                words = file.read().split("\0")
            with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
                said = file.read().split("\0")
        except OSError:
            continue  # gone meanwhile, or another user's
        if scope in said and "eventplatform" in words:
            named = next((line.partition("=")[2] for line in said if line.startswith("TASK_ARN=")), "")
            row = (pid, f"process:{os.uname().nodename}:{pid}", named)
            found.setdefault(words[words.index("eventplatform") + 1], []).append(row)
    return found


def peak(pid):
    """The most memory that it has used, in MB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM"))


class Processes:
    def __init__(self, folder):
        self.folder = folder
        self.file = os.path.join(folder, "processes.json")
        self.children = {}

    def noted(self):
        try:
            with open(self.file, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return {}

    def note(self, rows):
        with open(self.file + ".part", "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
        os.replace(self.file + ".part", self.file)

    def alive(self):
        """{name: pid} of those that we started and that still run."""
        for child in self.children.values():
            child.poll()
        return {name: row["pid"] for name, row in self.noted().items() if started_at(row["pid"]) == row["started"]}

    def peaks(self):
        """{name: the most memory it has used, in MB} of those that run."""
        return {name: peak(pid) for name, pid in self.alive().items()}

    def start(self, name, argv, env=None):
        if name in self.alive():
            raise SystemExit(f"{name} runs already")
        os.makedirs(os.path.join(self.folder, "log"), exist_ok=True)
        with open(os.path.join(self.folder, "log", f"{name}.log"), "ab") as log:
            child = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.children[child.pid] = child
        self.note({**self.noted(), name: {"pid": child.pid, "started": started_at(child.pid)}})
        return child

    def log_of(self, name):
        with open(os.path.join(self.folder, "log", f"{name}.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def stop(self, names, seconds=15):
        """SIGTERM, a while to end in, then SIGKILL."""
        alive = {name: pid for name, pid in self.alive().items() if name in names}
        for pid in alive.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(name in self.alive() for name in alive):
            time.sleep(0.05)
        for name, pid in self.alive().items():
            if name in alive:
                os.kill(pid, signal.SIGKILL)
        while any(name in self.alive() for name in alive):
            time.sleep(0.05)
        self.note({name: row for name, row in self.noted().items() if name not in alive})
        return sorted(alive)


class Job(subprocess.Popen):
    """A role that ends, with what it says in pipes. Whoever leaves before it has ended kills it."""

    def __exit__(self, *exception):
        if self.poll() is None:
            self.kill()
        super().__exit__(*exception)


class Bare:
    """Roles as processes of this machine."""

    kind = "process"

    def __init__(self, lab):
        self.lab, self.processes = lab, lab.processes
        self.peaks, self.log_of, self.stop = self.processes.peaks, self.processes.log_of, self.processes.stop

    def environment(self, role):
        env = {name: value for name, value in os.environ.items() if name != "TASK_ARN"}
        return {**env, **role.said(self.lab, self.lab.path("rootfs"))}

    def alive(self):
        """{service: task}"""
        return {name: f"process:{os.uname().nodename}:{pid}" for name, pid in self.processes.alive().items()
                if name in DAEMONS}

    def tasks(self, run_id):
        """{service: tasks} that may serve this run, as the kernel lists them."""
        return {service: [bare for _, bare, _ in found] for service, found in listed(run_id).items()}

    def there(self):
        return {}

    def serve(self, role):
        self.processes.start(role.name, role.argv(), self.environment(role))

    def job(self, role):
        return Job(role.argv(), env=self.environment(role), stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def clear(self):
        """All but the broker, whose topics are still to be listed."""
        self.stop([name for name in self.processes.alive() if name != "broker"])
