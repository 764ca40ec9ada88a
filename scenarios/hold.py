"""Runs that a fault point (the build feature `faults`) holds still, and how they are killed there."""

import contextlib
import os
import pathlib
import signal
import time

import evidence
import kit


def tree(pid):
    """A process and all that it has started: where a run is started inside of a machine, it is a child."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # threads end
                found += [int(child) for child in task.read_text().split()]
    return found


def held(pid):
    """Whether a fault point holds a thread of the process: it names the thread."""
    for one in tree(pid):
        for name in pathlib.Path(f"/proc/{one}/task").glob("*/comm"):
            with contextlib.suppress(OSError):
                if name.read_text().strip() == "carnet-held":
                    return True
    return False


def cpu(pid):
    used = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            used += int(fields[11]) + int(fields[12])
    return used


def wait(process, state, where, said=lambda: ""):
    """Until it is held. One thread is held first; then the others come to a stop, and with them the log and
    the processor time."""
    until = time.monotonic() + 120
    quiet, last = 0, None
    while quiet < 3:
        kit.want(process.poll() is None, f"{where}: not reached, the process has ended with {process.returncode}: {said()}")
        kit.want(time.monotonic() < until, f"{where}: not reached: {said()}")
        time.sleep(0.04)
        now = cpu(process.pid), evidence.count(state)
        quiet, last = (quiet + 1, now) if now == last and held(process.pid) else (0, now)


def kill(process):
    """Kills the process with its threads and children (kill -9); says whether it was still running. It must
    have a session of its own."""
    alive = process.poll() is None
    if alive:
        family = tree(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        until = time.monotonic() + 30
        while any(pathlib.Path(f"/proc/{one}").exists() for one in family[1:]) and time.monotonic() < until:
            time.sleep(0.01)
    process.wait(timeout=30)
    return alive
