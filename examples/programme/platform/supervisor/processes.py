"""Processes by pid. A pid alone may name another process by tomorrow, so its start time is kept
beside it, and nothing is signalled unless both are those that we noted."""

import json
import os
import signal
import subprocess
import time


def started_at(pid):
    """The kernel's start time of a live process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


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
        found = {}
        for name, pid in self.alive().items():
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                found[name] = next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM"))
        return found

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
