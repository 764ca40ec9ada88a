"""`ecs.service`, `ecs.task` and the gates `services` and `budget` through the program, against an API server that
is not ours (moto). Before it stands one that tells what moto cannot, as it runs no container: how a container
ended, and which image it ran. Each request to ECS and AWS Budgets, and what is added to an answer, is held against the
description that Amazon's own client has of them.
"""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import threading
import urllib.parse
import urllib.request

import boto3
import botocore.session
import botocore.validate
import kit
import parameters

REGION = "eu-west-2"
DIGEST, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
PLAN = """carnet: v1
migration: managed
owner: data-platform
evidence: {{ tenant: lab }}
phases:
  - name: serve
{entry}    steps:
      - {{ name: {name}, capability: {capability}, with: {{ {place}, {inputs} }}{more} }}
    exit: [{{ gate: file, with: {{ path: good }} }}{exit}]
"""


class Front:
    """Stands before moto, holds what passes against its description, and tells how containers ended."""

    def __init__(self, url):
        self.to, self.asked, self.sent, self.tells, self.wrong = urllib.parse.urlsplit(url), [], {}, [], []
        self.stop_code, self.trouble, self.before = "EssentialContainerExited", {}, None
        session = botocore.session.get_session()
        models = {"AmazonEC2ContainerServiceV20141113": "ecs", "AWSBudgetServiceGateway": "budgets"}
        self.models = {target: session.get_service_model(name) for target, name in models.items()}
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                status, body = front.pass_on(self.headers, self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.send_header("content-type", "application/x-amz-json-1.1")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def disturb(self, action, kind, times=1, after=None):
        """The next `times` of an action, once another one was asked, go wrong: `down` (not passed on), `lost` (done, and
        the answer lost), `stale` (told as the last time), or the word of a refusal."""
        self.trouble[action] = [kind, times, after and (after, self.count(after))]

    def pass_on(self, headers, body):
        action = headers["x-amz-target"].partition(".")[2]
        kind, left, after = self.trouble.get(action, (None, 0, None))
        if left == 0 or after and self.count(after[0]) == after[1]:
            status, told = self.answer(headers, body)
            if action == "DescribeServices":
                self.before = told
            return status, told
        self.trouble[action][1] -= 1
        if kind == "stale":
            self.asked.append(action)
            return 200, self.before
        if kind == "lost":
            self.answer(headers, body)
        else:
            self.asked.append(action)
        status, word = (500, "ServerException") if kind in ("down", "lost") else (400, kind)
        return status, json.dumps({"__type": word, "message": "of the test"}).encode()

    def answer(self, headers, body):
        connection = http.client.HTTPConnection(self.to.hostname, self.to.port, timeout=30)
        connection.request("POST", "/", body, {name: value for name, value in headers.items() if name.lower() != "host"})
        answer = connection.getresponse()
        status, told = answer.status, answer.read()
        connection.close()
        target, _, action = headers["x-amz-target"].partition(".")
        self.asked.append(action)
        if target not in self.models:
            return status, told
        shapes = self.models[target].operation_model(action)
        self.sent[action] = json.loads(body)
        self.hold(action, self.sent[action], shapes.input_shape)
        if action == "DescribeTasks" and status == 200:
            told = json.loads(told)
            for task in told["tasks"]:
                task["containers"] = [{"name": name, **more} for name, more in self.tells]
                task.pop("stopCode", None)
                if self.stop_code is not None:
                    task["stopCode"] = self.stop_code
            shape = shapes.output_shape.members["tasks"].member
            self.hold(f"what is told by {action}", told["tasks"][0]["containers"], shape.members["containers"])
            if self.stop_code not in (None, *shape.members["stopCode"].enum):
                self.wrong.append(f"{self.stop_code} is no stop code")
            told = json.dumps(told).encode()
        return status, told

    def hold(self, what, value, shape):
        report = botocore.validate.ParamValidator().validate(value, shape)
        if report.has_errors():
            self.wrong.append(f"{what}: {report.generate_report()}")

    def count(self, action):
        return self.asked.count(action)


class World:
    """A cluster with the service `ingest`, and a budget."""

    def __init__(self, url, front):
        client = lambda name: boto3.client(name, endpoint_url=url, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
        self.front, self.url, self.ecs, self.budgets = front, url, client("ecs"), client("budgets")
        ec2 = client("ec2")
        self.subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        self.group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        self.network = {"awsvpcConfiguration": {"subnets": [self.subnet], "securityGroups": [self.group]}}
        self.ecs.create_cluster(clusterName="demo")
        for image in (OTHER, DIGEST):
            container = {"name": "ingest", "image": f"registry.example/platform@{image}", "essential": True, "memory": 256}
            log = {"name": "log", "image": "registry.example/log:1", "essential": False, "memory": 256}
            self.ecs.register_task_definition(
                family="ingest", requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
                containerDefinitions=[container],
            )
            self.ecs.register_task_definition(
                family="job", requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512",
                containerDefinitions=[container, log],
            )
        self.place = f'endpoint: "{front.url}", region: {REGION}'

    def tasks_end(self, **transition):
        # One of moto ends at once, or goes on by a step whenever it is looked at.
        asked = json.dumps({"model_name": "ecs::task", "transition": transition}).encode()
        url, head = f"{self.url}/moto-api/state-manager/set-transition", {"content-type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url, asked, head)).read()

    def create(self, name, count=1):
        self.ecs.create_service(
            cluster="demo", serviceName=name, taskDefinition="ingest:1", desiredCount=count, launchType="FARGATE",
            networkConfiguration=self.network,
        )

    def now(self, name):
        told = self.ecs.describe_services(cluster="demo", services=[name])["services"][0]
        return told["taskDefinition"].split("/")[-1], told["desiredCount"]

    def set(self, name, definition, count):
        self.ecs.update_service(cluster="demo", service=name, taskDefinition=definition, desiredCount=count)


class Case:
    def __init__(self, world, title, capability, inputs, entry="", exit="", more="", good=False):
        self.world, self.title, self.state = world, title, title.replace(" ", "-").replace("/", "-")
        pathlib.Path("good").unlink(missing_ok=True)
        if good:
            pathlib.Path("good").write_text("x")
        self.name = capability.split(".")[-1]
        pathlib.Path("plan.yaml").write_text(PLAN.format(
            entry=entry, exit=exit, name=self.name, capability=capability, place=world.place, inputs=inputs, more=more,
        ))

    def run(self, *words, says=None, exit=None):
        done = kit.carnet("run", "plan.yaml", "--state", self.state, *words, exit=exit, as_json=False)
        said = " ".join((done.stdout + done.stderr).split())
        kit.want(says is None or says in said, f"{self.title}: {says!r} is not in {said}")
        return said

    def kill(self, point):
        kit.kill_at(point, "run", "plan.yaml", "--state", self.state)

    def gate(self, kind):
        gates = kit.carnet("status", "plan.yaml", "--state", self.state)["gates"]
        return next(it for it in gates if it["gate"] == kind)

    def wants(self, found, when=""):
        now = self.world.now(SERVICE)
        kit.want(now == found, f"{self.title} {when}: {now}, not {found}")


SERVICE, OLD, NEW = "ingest", ("ingest:1", 1), ("ingest:2", 2)
SET = "cluster: demo, service: ingest, task_definition: \"ingest:2\", desired_count: 2"


def served(world, title, more=", wait: accepted", good=False, **parts):
    world.set(SERVICE, *OLD)
    return Case(world, title, "ecs.service", SET + more, good=good, **parts)


def a_service_is_set_and_put_back(world):
    case = served(world, "set")
    case.run("--dry-run", exit=0)
    case.wants(OLD, "after a dry run")
    before = world.front.count("UpdateService")
    case.run()
    kit.want(world.front.count("UpdateService") == before + 2, "the gate behind it has closed, and it is put back")
    case.wants(OLD, "after the gate behind it has closed")
    pathlib.Path("good").write_text("x")
    case.run(exit=0)
    case.wants(NEW)
    before = world.front.count("UpdateService")
    case.run(exit=0)
    kit.want(world.front.count("UpdateService") == before, "run again it sets nothing")
    case = served(world, "only the count", good=True)
    text = pathlib.Path("plan.yaml").read_text().replace('task_definition: "ingest:2", ', "")
    pathlib.Path("plan.yaml").write_text(text.replace("desired_count: 2", "desired_count: 0"))
    case.run(exit=0)
    case.wants(("ingest:1", 0))
    for wrong, says in (("service: ingest", "there is no service other in demo"), ("ingest:2", "the service refuses ecs:DescribeTaskDefinition")):
        case = served(world, f"no {wrong}")
        text = pathlib.Path("plan.yaml").read_text()
        pathlib.Path("plan.yaml").write_text(text.replace(wrong, "service: other" if "service" in wrong else "ingest:9"))
        case.run(says=says)
        case.wants(OLD)


def a_service_is_waited_for(world):
    # moto tells of a service that was made with more tasks than it counts that they are on their way.
    case = served(world, "steady", more=", limit_s: 5", good=True)
    case.run(exit=0)
    case.wants(NEW)
    world.create("late", 3)
    case = Case(world, "late", "ecs.service", "cluster: demo, service: late, desired_count: 2, limit_s: 1", good=True)
    case.run(says="late is not steady after 1 s: 2 of 2 tasks run")
    kit.want(world.now("late") == ("ingest:1", 3), "what does not come up is taken back")


def a_service_after_a_kill(world):
    count = 0
    for point in ("before/serve/service", "ecs/set", "after/serve/service"):
        case = served(world, f"killed at {point}", good=False)
        before = world.front.count("UpdateService")
        case.kill(point)
        pathlib.Path("good").write_text("x")
        case.run(exit=0)
        case.wants(NEW)
        kit.want(world.front.count("UpdateService") == before + 1, f"{point}: it was set more than once")
        count += 1
    for point in ("undo/serve/service", "ecs/returned", "undone/serve/service"):
        case = served(world, f"killed at {point}")
        case.kill(point)
        case.run()
        case.wants(OLD)
        count += 1
    for point, theirs in (("before/serve/service", ("ingest:1", 5)), ("undo/serve/service", ("ingest:2", 7))):
        case = served(world, f"changed after {point}")
        case.kill(point)
        world.set(SERVICE, *theirs)
        case.run(says="was set by somebody else")
        case.wants(theirs)
    return count


def job(world, title, tells, inputs=""):
    """A job whose containers end as `tells` says."""
    world.front.tells = tells
    network = f"network: {{ subnets: [{world.subnet}], security_groups: [{world.group}] }}"
    asked = f'cluster: demo, task_definition: "job:2", limit_s: 20, {network}{inputs}'
    undo = f", undo: {{ capability: file.copy, with: {{ from: plan.yaml, to: undone/{title.replace('/', '-')} }} }}"
    return Case(world, title, "ecs.task", asked, more=undo, good=True)


WELL = [("ingest", {"exitCode": 0, "imageDigest": DIGEST}), ("log", {"exitCode": 137})]
SAID = "overrides: { ingest: { command: [seed, --all], environment: { RUN: r-1 } } }"


def a_job_is_run_to_its_end(world):
    front = world.front
    case = job(world, "job", WELL, inputs=f", image: \"{DIGEST}\", {SAID}")
    case.run("--dry-run", exit=0)
    kit.want(front.count("RunTask") == 0, "a dry run has started a task")
    world.tasks_end(progression="manual", times=1)
    case.run(exit=0)
    world.tasks_end(progression="immediate")
    case.run(exit=0)
    kit.want(front.count("RunTask") == 1, "run again it starts nothing")
    overrides = front.sent["RunTask"]["overrides"]["containerOverrides"]
    kit.want(overrides == [{"name": "ingest", "environment": [{"name": "RUN", "value": "r-1"}], "command": ["seed", "--all"]}], overrides)
    case = job(world, "failed job", [("ingest", {"exitCode": 3, "reason": "OutOfMemoryError: killed"}), ("log", {})])
    case.run(says="the container ingest ended with status 3; OutOfMemoryError: killed")
    case = job(world, "other image", [("ingest", {"exitCode": 0, "imageDigest": OTHER}), ("log", {})], inputs=f", image: \"{DIGEST}\"")
    case.run(says="the container ingest ran another image")
    # Nobody tells: a person looks, and nothing is started again.
    for title, tells in (
        ("no status", [("ingest", {"reason": "CannotPullContainerError: no"}), ("log", {"exitCode": 0})]),
        ("no container", []),
        ("no image", [("ingest", {"exitCode": 0}), ("log", {})]),
    ):
        case = job(world, title, tells, inputs=f", image: \"{DIGEST}\"")
        said = case.run(exit=5)
        kit.want("nobody tells" in said, f"{title}: {said}")
        before = front.count("RunTask")
        said = case.run(exit=5)
        kit.want(front.count("RunTask") == before, f"{title}: {said}")
    # One that takes too long is waited for again, and not started again.
    world.tasks_end(progression="manual", times=1000)
    case = job(world, "late job", WELL)
    text = pathlib.Path("plan.yaml").read_text()
    pathlib.Path("plan.yaml").write_text(text.replace("limit_s: 20", "limit_s: 1"))
    before = front.count("RunTask")
    case.run(says="the task has not ended after 1 s", exit=5)
    world.tasks_end(progression="immediate")
    case.run(exit=0)
    kit.want(front.count("RunTask") == before + 1, "the late job was started twice")
    # What is known to be wrong is refused before anything is started.
    before = front.count("RunTask")
    job(world, "no such container", WELL, inputs=", overrides: { other: {} }").run(says="job:2 has no container other")
    kit.want(front.count("RunTask") == before, "a task was started for a container that is not there")
    case = job(world, "no such subnet", WELL)
    text = pathlib.Path("plan.yaml").read_text()
    pathlib.Path("plan.yaml").write_text(text.replace(world.subnet, "subnet-0"))
    case.run(says="the service refuses ecs:RunTask")
    # Its undo is the plan's, and runs for what a job that failed may have done.
    undone = {path.name for path in pathlib.Path("undone").iterdir()}
    kit.want(undone == {"failed job", "other image", "no such subnet"}, f"taken back: {undone}")


def a_job_after_a_kill(world):
    """moto does not know tokens, so it shows that the task itself is found again."""
    count = 0
    failed = [("ingest", {"exitCode": 3}), ("log", {})]
    for point, started, tells, exit in (
        ("before/serve/task", 0, WELL, 0), ("ecs/started", 1, WELL, 0), ("ecs/started", 1, failed, None),
        ("after/serve/task", 1, WELL, 0),
    ):
        case = job(world, f"job killed at {point} {exit}", tells)
        before = world.front.count("RunTask")
        case.kill(point)
        kit.want(world.front.count("RunTask") == before + started, f"{case.title}: it was started at another time")
        said = case.run(exit=exit)
        kit.want(exit == 0 or "ended with status 3" in said, said)
        kit.want(world.front.count("RunTask") == before + 1, f"{case.title}: started more than once")
        count += 1
    return count


LIMIT = {"Amount": "30.0", "Unit": "USD"}
ACCOUNT = "123456789012"


def budgeted(world, alerts=(10.0, 20.0, 28.0), spent="12.345", **more):
    """Makes the budget anew: that of the requirements, but for what is said."""
    with contextlib.suppress(world.budgets.exceptions.NotFoundException):
        world.budgets.delete_budget(AccountId=ACCOUNT, BudgetName="dev-min")
    notification = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "ThresholdType": "ABSOLUTE_VALUE"}
    told = [{
        "Notification": notification | {"Threshold": at}, "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "ops@example.com"}],
    } for at in alerts]
    budget = {
        "BudgetName": "dev-min", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": LIMIT,
        "CalculatedSpend": {"ActualSpend": {"Amount": spent, "Unit": "USD"}},
    }
    world.budgets.create_budget(AccountId=ACCOUNT, Budget=budget | more, NotificationsWithSubscribers=told)


def what_runs_and_what_it_costs_is_judged(world):
    """A service is set behind a budget, and stays only if the cluster runs it as it must."""
    asked = f'endpoint: "{world.front.url}", account_id: "{ACCOUNT}", budget: dev-min'
    limit = 'limit: { amount: "30", unit: USD }, alerts: { at: ["10", "20", "28"] }'
    entry = f"    entry: [{{ gate: budget, with: {{ {asked}, {limit} }} }}]\n"
    runs = f'services: {{ ingest: {{ replicas: 2 }} }}, image: "{DIGEST}", others: true'
    exit = f", {{ gate: services, with: {{ {world.place}, cluster: demo, {runs} }} }}"
    case = served(world, "judged", good=True, entry=entry, exit=exit)
    usd = lambda amount: {"Amount": amount, "Unit": "USD"}
    filters = {"CostFilters": {"Service": ["Amazon Simple Storage Service"]}}
    expression = {"FilterExpression": {"Dimensions": {"Key": "REGION", "Values": ["eu-west-2"]}}}
    period = lambda start, end: {"TimePeriod": {"Start": start, "End": end}}
    closed = [
        ("no_data", "there is no budget dev-min in 123456789012", None),
        ("fail", "dev-min is for 30.01 USD, above 30", {"BudgetLimit": usd("30.01")}),
        ("fail", "dev-min is in EUR, not USD", {"BudgetLimit": {"Amount": "30", "Unit": "EUR"}}),
        ("fail", "dev-min is ANNUALLY, not MONTHLY", {"TimeUnit": "ANNUALLY"}),
        ("fail", "dev-min is about USAGE, not COST", {"BudgetType": "USAGE"}),
        ("fail", "dev-min has no alert when more than 20 USD is spent", {"alerts": (10.0, 28.0)}),
        ("fail", "30.00 USD of dev-min are spent, and 30.0 is all", {"spent": "30.00"}),
        ("fail", "dev-min has a filter, and counts a part of the account alone", filters),
        ("fail", "dev-min has a filter, and counts a part of the account alone", expression),
        ("fail", "dev-min leaves costs out: IncludeTax is false", {"CostTypes": {"IncludeTax": False, "IncludeCredit": False}}),
        ("fail", "the alert of dev-min at 28 USD comes when all is spent", {"BudgetLimit": usd("27.5")}),
        ("fail", "dev-min is over", period(1577836800, 1609459200)),
        ("fail", "dev-min has not begun", period(4102444800, 4102444801)),
    ]
    for verdict, reason, budget in closed:
        if budget is not None:
            budgeted(world, **budget)
        before = world.front.count("UpdateService")
        case.run()
        gate = case.gate("budget")
        kit.want((gate["verdict"], reason in gate["reason"]) == (verdict, True), f"{reason}: {gate}")
        kit.want(world.front.count("UpdateService") == before, f"{reason}: the service was set")
    budgeted(world)
    # Nothing runs, then something else does; each time what was set is put back.
    place = {"cluster": "demo", "launchType": "FARGATE", "networkConfiguration": world.network, "group": "service:ingest"}
    start = lambda definition, count: [it["taskArn"] for it in world.ecs.run_task(taskDefinition=definition, count=count, **place)["tasks"]]
    world.tasks_end(progression="manual", times=1000)

    def judged(verdict, reason, tells, exit=None):
        world.front.tells = tells
        said = case.run(exit=exit)
        gate = case.gate("services")
        kit.want((gate["verdict"], reason in gate["reason"]) == (verdict, True), f"{reason}: {gate} {said}")
        case.wants(NEW if verdict == "pass" else OLD, reason)

    judged("fail", "ingest has 0 tasks that have not ended, and must have 2", [])
    old = start("ingest:1", 2)
    judged("fail", "a task of ingest was made from another definition", [("ingest", {"imageDigest": OTHER})])
    for task in old:
        world.ecs.stop_task(cluster="demo", task=task)
    start("ingest:2", 2)
    judged("no_data", "nobody tells which image the container ingest of a task of ingest runs", [("ingest", {})])
    judged("fail", "a task of ingest runs another image", [("ingest", {"imageDigest": OTHER})])
    judged("pass", "1 service runs in demo as demanded on FARGATE, with 2 tasks", [("ingest", {"imageDigest": DIGEST})], exit=0)
    kit.want("12.345 of 30.0 USD of dev-min are spent, with 3 alerts" in case.gate("budget")["reason"], case.gate("budget"))


def scenario(folder):
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", MOTO_ECS_SERVICE_RUNNING="1")
    with parameters.server() as url:
        front = Front(url)
        world = World(url, front)
        world.create(SERVICE)
        a_service_is_set_and_put_back(world)
        a_service_is_waited_for(world)
        points = a_service_after_a_kill(world)
        a_job_is_run_to_its_end(world)
        points += a_job_after_a_kill(world)
        what_runs_and_what_it_costs_is_judged(world)
        kit.want(not front.wrong, f"what passed is not as it is described: {front.wrong}")
    kit.table(["kills gone on with"], [[points]])


if __name__ == "__main__":
    kit.main(scenario)
