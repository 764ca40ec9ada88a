"""`parameter.put` and the gates on AWS's services through the program, against an API server that is not ours
(moto): a secret is put, found again after a kill, and taken back; what somebody else changed since is left
alone; its value is nowhere in the state, the log or what is printed. Then a teardown, and the gate that says so.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

import boto3
import kit

SECRET, OLD = "n3w-s3cr3t-value", "0ld-s3cr3t-value"
NAME = "/carnet/demo/DB_PASSWORD"
PLAN = """carnet: v1
migration: parameters
owner: data-platform
evidence: {{ tenant: lab }}
phases:
  - name: provide
    steps:
      - {{ name: put, capability: parameter.put, with: {{ {place}, name: {name}, value: {{ secret: NEW_PASSWORD }}{more} }} }}
    exit:
      - {{ gate: file, with: {{ path: good }} }}
"""
GATE = """carnet: v1
migration: teardown
owner: data-platform
evidence: {{ tenant: lab }}
phases:
  - name: torn
    entry:
      - {{ gate: secrets_absent, with: {{ {place}, path: /carnet, absent: [demo/], present: [core/TOPIC] }} }}
    steps:
      - {{ name: note, capability: file.copy, with: {{ from: plan.yaml, to: torn.txt }} }}
    exit:
      - {{ gate: file, with: {{ path: torn.txt }} }}
"""


@contextlib.contextmanager
def server():
    port = kit.free_port()
    python = pathlib.Path(kit.setting("CARNET_TEST_PYTHON"))
    process = subprocess.Popen(
        [python.with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            kit.want(time.monotonic() < deadline, "moto does not listen")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class Case:
    """A plan in a state folder of its own, and the parameter that it is about."""

    def __init__(self, url, title, more=""):
        self.ssm = boto3.client("ssm", endpoint_url=url, region_name="eu-west-2", aws_access_key_id="a", aws_secret_access_key="b")
        self.title, self.state = title, title.replace(" ", "-").replace("/", "-")
        self.place = f'endpoint: "{url}", region: eu-west-2'
        self.ssm.delete_parameters(Names=[NAME])
        pathlib.Path("good").unlink(missing_ok=True)
        pathlib.Path("plan.yaml").write_text(PLAN.format(place=self.place, name=NAME, more=more))

    def now(self):
        with contextlib.suppress(self.ssm.exceptions.ParameterNotFound):
            found = self.ssm.get_parameter(Name=NAME, WithDecryption=True)["Parameter"]
            return found["Type"], found["Value"], found["Version"]
        return None

    def put(self, value):
        self.ssm.put_parameter(Name=NAME, Value=value, Type="SecureString", Overwrite=True)

    def run(self, *words, exit=0, fault=None):
        env = {"CARNET_FAULTS": fault} if fault else {}
        done = kit.carnet("run", "plan.yaml", "--state", self.state, *words, exit=exit, as_json=False, env=env)
        said = done.stdout + done.stderr
        kit.want(SECRET not in said and OLD not in said, f"{self.title}: a value was printed: {said}")
        return " ".join(said.split())

    def kill(self, point):
        kit.kill_at(point, "run", "plan.yaml", "--state", self.state)

    def wants(self, found, when=""):
        now = self.now()
        kit.want(now == found, f"{self.title} {when}: {now}, not {found}")
        for path in pathlib.Path(self.state).rglob("*"):
            if path.is_file():
                held = path.read_bytes()
                for value in (SECRET, OLD):
                    kit.want(value.encode() not in held, f"{self.title}: {path} holds a value")


NEW = ("SecureString", SECRET, 1)


def where_nothing_was(url):
    case = Case(url, "where nothing was")
    case.run("--dry-run")
    case.wants(None, "after a dry run")
    case.run(exit=None)
    case.wants(None, "after the gate behind it has closed")
    pathlib.Path("good").write_text("x")
    case.run()
    case.wants(NEW)
    case.run()
    case.wants(NEW, "run again")
    # Without `replace` what is there is left alone, and nothing is made.
    case = Case(url, "where something was")
    case.put(OLD)
    said = case.run(exit=None)
    kit.want("object.exists" in said, said)
    case.wants(("SecureString", OLD, 1))


def killed(url):
    count = 0
    for old in (None, OLD):
        more = ", replace: true" if old else ""
        version = 2 if old else 1
        for point in ("before/provide/put", "parameter/put", "after/provide/put"):
            case = Case(url, f"killed at {point} {version}", more)
            if old:
                case.put(old)
            case.kill(point)
            pathlib.Path("good").write_text("x")
            case.run()
            case.wants(("SecureString", SECRET, version))
            count += 1
        for point in ("undo/provide/put", "parameter/returned", "undone/provide/put"):
            case = Case(url, f"killed at {point} {version}", more)
            if old:
                case.put(old)
            case.kill(point)
            case.run(exit=None)
            case.wants(("SecureString", OLD, 3) if old else None)
            count += 1
    return count


def changed_by_others(url):
    """What others wrote since is theirs: no undo takes it away."""
    case = Case(url, "changed after a kill")
    case.kill("before/provide/put")
    case.put("theirs")
    said = case.run(exit=None)
    kit.want("changed by somebody else" in said, said)
    case.wants(("SecureString", "theirs", 1))
    case = Case(url, "changed before the undo")
    case.kill("undo/provide/put")
    case.put("theirs")
    said = case.run(exit=None)
    kit.want("changed by somebody else" in said, said)
    case.wants(("SecureString", "theirs", 2))


def torn_down(url):
    case = Case(url, "torn down")
    pathlib.Path("plan.yaml").write_text(GATE.format(place=case.place))
    gate = lambda: kit.carnet("status", "plan.yaml", "--state", case.state)["gates"][0]
    case.run(exit=None)
    kit.want(gate()["verdict"] == "no_data", gate())
    case.ssm.put_parameter(Name="/carnet/core/TOPIC", Value="bus", Type="String")
    case.put(OLD)
    case.run(exit=None)
    kit.want(gate()["verdict"] == "fail", gate())
    case.ssm.delete_parameter(Name=NAME)
    case.run()
    kit.want(gate()["verdict"] == "pass", gate())
    # Who may not ask is told so, and no gate opens.
    case = Case(url, "no keys")
    pathlib.Path("plan.yaml").write_text(GATE.format(place=case.place))
    key = os.environ.pop("AWS_ACCESS_KEY_ID")
    case.run(exit=None)
    kit.want(gate()["verdict"] == "error", gate())
    os.environ["AWS_ACCESS_KEY_ID"] = key


def scenario(folder):
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", NEW_PASSWORD=SECRET)
    with server() as url:
        where_nothing_was(url)
        points = killed(url)
        changed_by_others(url)
        torn_down(url)
    kit.table(["kills gone on with"], [[points]])


if __name__ == "__main__":
    kit.main(scenario)
