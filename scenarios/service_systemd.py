"""`service.restart` on a real systemd: a Debian of its own, booted by systemd-nspawn, in which Carnet and the
unit run. The plan of examples/service-restart is run, failed at each step, and killed (kill -9) before, in the
middle of and after each step and each undo; then settings with which the unit does not start, and a unit that
does not exist.

Needs CARNET_TEST_SYSTEMD, the root that scripts/systemd-machine makes (`./test --long` does), and root.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import crash_points
import evidence
import examples
import hold
import kit

UNIT = """[Unit]
Description=A service that answers with its settings
StartLimitIntervalSec=0

[Service]
ExecStartPre=/usr/bin/python3 -m json.tool {folder}/settings.json
ExecStart=/usr/bin/python3 {folder}/web.py {port}
ExecStartPost=/usr/bin/python3 {folder}/up.py {port}
StandardOutput=null
"""


# A unit that says nothing to systemd is called running before it listens: systemd waits for this as well.
UP = """import socket, sys, time
for _ in range(600):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("it does not listen")
"""


class Machine:
    """A booted Debian that shares a folder and the network with us."""

    def __init__(self, folder, unit):
        root = pathlib.Path(kit.setting("CARNET_TEST_SYSTEMD"))
        (root / "etc/systemd/system/web.service").write_text(unit)
        binary = pathlib.Path(kit.setting("CARNET_BIN")).resolve()
        self.log = open(folder.parent / "machine.log", "w")
        command = ["systemd-nspawn", "--quiet", f"--directory={root}", f"--machine=carnet-{os.getpid()}", "--register=no",
                   "--keep-unit", "--console=pipe", f"--bind={folder}", f"--bind-ro={binary}", "--boot"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        self.unit = root / "etc/systemd/system/web.service"
        self.leader = self.wait_for_leader()

    def wait_for_leader(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            kit.want(self.process.poll() is None, f"the machine does not boot: {pathlib.Path(self.log.name).read_text()}")
            for pid in hold.tree(self.process.pid)[1:]:
                with contextlib.suppress(OSError):
                    if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                        state = subprocess.run([*self.enter(pid), "systemctl", "is-system-running"], capture_output=True, text=True)
                        if state.stdout.strip() == "running":
                            return pid
            time.sleep(0.1)
        kit.fail("the machine does not come up")

    @staticmethod
    def enter(leader):
        return ["nsenter", "-t", str(leader), "-m", "-p", "-u", "-i"]

    def end(self):
        os.kill(self.leader, signal.SIGRTMIN + 3)  # a clean shutdown
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=30)
        hold.kill(self.process)
        self.unit.unlink(missing_ok=True)
        self.log.close()


class Systemd(examples.Service):
    """The service, as a unit of a systemd that is the first process of its machine."""

    not_ours = ()

    def __init__(self, folder):
        super().__init__(folder, "service-restart, systemd")

    def boot(self):
        self.rewrite(
            ("manager: supervisord", "manager: systemd"),
            ("service: web, settings: supervisord.conf", "service: web.service"),
        )
        (self.folder / "up.py").write_text(UP)
        self.machine = Machine(self.folder, UNIT.format(folder=self.folder, port=self.port))
        self.inside = [*Machine.enter(self.machine.leader), "sh", "-c", 'cd "$0" && exec "$@"', str(self.folder)]
        self.ctl("start", "web.service")
        self.wait()

    def ctl(self, *words):
        return subprocess.run([*Machine.enter(self.machine.leader), "systemctl", *words], capture_output=True, text=True)

    def restart(self):
        self.ctl("restart", "web.service")

    def pid(self):
        return re.search(r"MainPID=(\d+)", self.ctl("show", "--property=MainPID", "web.service").stdout).group(1)

    def end(self):
        self.machine.end()


def settings_that_are_no_good(example):
    """The unit does not come up with them: the step fails, and the old ones are back and in force."""
    example.reset()
    before = example.look()
    good = (example.folder / "settings-new.json").read_text()
    (example.folder / "settings-new.json").write_text("{")
    said = example.run("run", exit=examples.FAIL)
    kit.want("service.failed" in said, f"a unit that does not start: {said}")
    kit.want(example.look() == before, f"a unit that does not start: {example.look()}")
    (example.folder / "settings-new.json").write_text(good)
    evidence.verify(example.state)


def no_such_unit(example):
    example.reset()
    pid, plan = example.pid(), example.plan.read_text()
    example.plan.write_text(plan.replace("web.service", "webb.service"))
    said = example.run("run", exit=examples.FAIL)
    kit.want("knows no unit webb.service" in said, f"a unit that is not there: {said}")
    kit.want(example.pid() == pid, "a unit that is not there: another one was restarted")
    example.plan.write_text(plan)


def scenario(folder):
    with examples.using(Systemd(folder / "systemd")) as example:
        version = example.ctl("--version").stdout.splitlines()[0]
        state = example.ctl("is-system-running").stdout.strip()
        print(f"{version}: {state}, its first process is {example.machine.leader} here", flush=True)
        example.reset()
        pid = example.pid()
        example.run()
        kit.want(example.look() == example.wanted() and example.pid() != pid, f"not as wanted: {example.look()}")
        rows, count = crash_points.play(example, crash_points.chance(), every=True)
        settings_that_are_no_good(example)
        no_such_unit(example)
    crash_points.show(rows, count)
    print("settings with which the unit does not start: service.failed, taken back; no such unit: refused")


kit.main(scenario)
