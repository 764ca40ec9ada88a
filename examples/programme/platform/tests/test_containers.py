"""Roles as containers: what they can see and do, that nothing of them stays, and that nobody passes for one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from labs import SERVERS, make_lab  # before the platform: it says where that is

from eventplatform import database, task
from supervisor import containers, resources, steps, teardown
from supervisor.processes import started_at
from supervisor.roles import Role

# Looks around in a container, and tries what must not work.
LOOK = """
import json, os, sys
def tried(what):
    try:
        what()
    except OSError as error:
        return error.strerror
    return "done"
written = {path: tried(lambda: open(path + "/x", "w")) for path in json.loads(sys.argv[1])}
status = dict(line.split(":\\t") for line in open("/proc/1/status").read().splitlines())
print(json.dumps({
    "written": written, "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()),
    "rights": {name: status[name].strip("0") for name in status if name.startswith("Cap")}, "no_new": status["NoNewPrivs"],
    "device": tried(lambda: os.mknod("/tmp/d", 0o20600, os.makedev(1, 11))), "env": sorted(os.environ),
    "lab": sorted(os.listdir(sys.argv[2]))}))
"""


NO_RUNC = containers.wrong()


class Lab:
    """A lab whose roles are containers, with a run that has begun."""

    @staticmethod
    def made():
        folder = tempfile.TemporaryDirectory()
        lab = make_lab(folder.name, "runc")
        run_id = steps.configure(lab, 20, None)
        steps.once(lab, run_id, "pin")
        return lab, run_id, lambda: (teardown.down(lab), resources.purge(lab), folder.cleanup())

    def role(self, name, *more):
        return Role(name, steps.config_path(self.lab, self.run_id), self.run_id, more)

    def rows(self):
        connection = database.connect(steps.config_of(self.lab, self.run_id))
        with connection, connection.cursor() as cursor:
            return list(task.runs(cursor, steps.config_of(self.lab, self.run_id)))

    def started(self, role):
        for _ in range(200):
            if any(row["role"] == role for row in self.rows()):
                return
            time.sleep(0.1)
        self.fail(f"{role} did not start")


@SERVERS
@unittest.skipIf(NO_RUNC, f"runc does not work here: {NO_RUNC}")
class InContainers(Lab, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab, cls.run_id, end = cls.made()
        cls.addClassCleanup(end)

    def tearDown(self):
        steps.stop_daemons(self.lab)
        self.assertEqual((self.lab.tasks.there(), os.listdir(self.lab.path("runc", "bundles"))), ({}, []))

    def test_a_service_sees_what_it_needs_and_can_do_nothing_else(self):
        steps.service(self.lab, self.run_id, "ig")
        steps.wait_ready(self.lab, self.run_id, ["ig"])
        name, places = self.lab.tasks.running()["ig"]["id"], ["/", "/opt", "/usr", "/etc", self.lab.folder, self.lab.path("secrets"), sys.prefix, "/tmp"]
        seen = json.loads(self.lab.tasks.ask("exec", name, sys.executable, "-c", LOOK, json.dumps(places), self.lab.folder))
        self.assertEqual(seen["written"], {**dict.fromkeys(places, "Read-only file system"), "/tmp": "done"})
        self.assertEqual(seen["processes"], [1])
        self.assertEqual((set(seen["rights"].values()), len(seen["rights"]), seen["no_new"], seen["device"]), ({""}, 5, "1", "Operation not permitted"))
        self.assertEqual(seen["lab"], ["runs", "secrets"])
        self.assertLessEqual(set(seen["env"]), {
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HOME", "IMAGE_DIGEST", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH",
            "PYTHONUNBUFFERED", "REQUIRED_PLATFORM_RUN_ID", "TASK_ARN"})
        self.assertEqual(self.lab.tasks.alive(), {"ig": f"runc:{self.lab.handles['DATABASE_SCHEMA']}/{name}"})
        self.assertEqual([(row["role"], row["kind"], row["task_arn"], row["image_digest"]) for row in self.rows()][-1:],
                         [("ig", "service", self.lab.tasks.alive()["ig"], self.lab.handles["IMAGE_DIGEST"])])
        self.assertNotIn(os.path.dirname(self.lab.handles["IG_TOKEN_FILE"]), self.role("world").reads(self.lab))

    def test_a_bare_process_beside_the_containers_is_seen_whatever_it_calls_itself(self):
        steps.service(self.lab, self.run_id, "ig")
        steps.wait_ready(self.lab, self.run_id, ["ig"])
        arn = self.lab.tasks.alive()["ig"]
        self.assertEqual(self.lab.tasks.tasks(self.run_id), {"ig": [arn]})
        words = [sys.executable, "-c", "import time; time.sleep(60)", "eventplatform", "ig"]
        stranger = subprocess.Popen(words, env={"REQUIRED_PLATFORM_RUN_ID": self.run_id, "TASK_ARN": arn})
        try:
            wanted = sorted([arn, f"process:{os.uname().nodename}:{stranger.pid}"])
            self.assertEqual(sorted(self.lab.tasks.tasks(self.run_id)["ig"]), wanted)
            with self.assertRaises(steps.Blocked) as caught:
                steps.daemons_ready(self.lab, self.run_id)
            self.assertIn(f"ig: runs as {sorted(wanted)}", caught.exception.said)
        finally:
            stranger.kill()
            stranger.wait()

    def test_a_job_that_nobody_waits_for_any_more_is_taken_down(self):
        with self.assertRaisesRegex(SystemExit, "143"), self.lab.tasks.job(self.role("report", "--hold-seconds", "60")):
            self.started("report")
            self.assertEqual(list(self.lab.tasks.there().values()), ["running"])
            raise SystemExit(143)
        self.assertEqual(self.lab.tasks.there(), {})


@SERVERS
@unittest.skipIf(NO_RUNC, f"runc does not work here: {NO_RUNC}")
class Down(Lab, unittest.TestCase):
    def setUp(self):
        self.lab, self.run_id, end = self.made()
        self.addCleanup(end)

    def test_down_takes_what_an_interrupted_command_left_and_says_so(self):
        steps.service(self.lab, self.run_id, "ig")
        job = self.lab.tasks.job(self.role("report", "--hold-seconds", "60"))
        self.started("report")
        os.kill(job.child.pid, signal.SIGKILL)
        job.communicate()
        there, pids = resources.inventory(self.lab)["containers"], [row["pid"] for row in self.lab.tasks.listed()]
        self.assertEqual((len(there), set(there.values())), (2, {"running"}))
        with self.assertRaisesRegex(SystemExit, "is up"):
            resources.make_image(self.lab, "0" * 40)
        proof, left = teardown.down(self.lab)
        self.assertEqual((proof["destroy_status"], left), ("DESTROYED", []))
        self.assertLessEqual({f"container:{name}" for name in there}, set(proof["destroyed"]))
        self.assertEqual((self.lab.tasks.there(), os.path.exists(self.lab.path("runc"))), ({}, False))
        self.assertEqual([started_at(pid) for pid in pids], [None, None])


if __name__ == "__main__":
    unittest.main()
