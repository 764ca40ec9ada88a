"""`ecs.service` and `ecs.task` when the cluster does not answer, answers late, or loses an answer: what runs is found
again and nothing is started or recorded twice. Against the servers of `managed_services.py`.
"""

import os
import pathlib

import kit
import parameters
from managed_services import DIGEST, NEW, OLD, SERVICE, WELL, Case, Front, World, job, served

WAITS = "    on_failure: wait\n"
FAILED = [("ingest", {"exitCode": 3}), ("log", {})]
UNDO = """carnet: v1
migration: managed
owner: data-platform
evidence: {{ tenant: lab }}
phases:
  - name: serve
    steps:
      - name: note
        capability: file.copy
        with: {{ from: plan.yaml, to: noted }}
        undo:
          capability: ecs.task
          with: {{ {place}, cluster: demo, task_definition: "job:2", limit_s: 20, network: {{ subnets: [{subnet}], security_groups: [{group}] }} }}
    exit: [{{ gate: file, with: {{ path: good }} }}]
"""


def limited(limit_s):
    path = pathlib.Path("plan.yaml")
    path.write_text(path.read_text().replace("limit_s: 20", f"limit_s: {limit_s}"))


def a_task_that_runs_is_never_taken_for_none(world):
    """Each case: what goes wrong, what is said then, and the exit of the run after it."""
    front = world.front
    count = 0
    for title, action, kind, times, says, first, then in (
        ("not told for a while", "DescribeTasks", "down", 3, None, 0, 0),
        ("not told until the limit", "DescribeTasks", "down", 1000, "the task has not ended after 1 s: the service refuses", 5, 0),
        ("may not be asked", "DescribeTasks", "AccessDeniedException", 1, "nobody tells how the task ends", 5, 0),
        ("answer lost", "RunTask", "lost", 1, "nobody knows whether the task was started", 5, 0),
        ("token taken", "RunTask", "ConflictException", 1, "nobody knows whether the task was started", 5, 0),
        ("refused", "RunTask", "InvalidParameterException", 1, "the service refuses ecs:RunTask: InvalidParameter", 6, 0),
    ):
        case = job(world, title, WELL)
        if times == 1000:
            limited(1)
        before = front.count("RunTask")
        front.disturb(action, kind, times, after="RunTask" if action == "DescribeTasks" else None)
        case.run(says=says, exit=first)
        front.disturb(action, kind, 0)
        case.run(exit=then)
        # Where nothing was started, it is started by the second run.
        started = 2 if kind in ("ConflictException", "InvalidParameterException") else 1
        kit.want(front.count("RunTask") == before + started, f"{title}: {front.count('RunTask') - before} started")
        count += 1
    # One of which nothing was known has failed: that is said, and another one is not started.
    world.tasks_end(progression="manual", times=1000)
    case = job(world, "late and failed", FAILED)
    limited(1)
    before = front.count("RunTask")
    case.run(says="the task has not ended after 1 s", exit=5)
    world.tasks_end(progression="immediate")
    case.run(says="the container ingest ended with status 3")
    kit.want(front.count("RunTask") == before + 1, "another task was started for one that failed")
    for code, says, exit in (
        ("UserInitiated", "the task was stopped; UserInitiated", None),
        ("SpotInterruption", "the task was stopped; SpotInterruption", None),
        (None, "nobody tells what the task stopped for", 5),
    ):
        case = job(world, f"stopped for {code}", WELL)
        front.stop_code = code
        before = front.count("RunTask")
        said = case.run(says=says, exit=exit)
        kit.want(" is done" not in said and front.count("RunTask") == before + 1, said)
        count += 1
    front.stop_code = "EssentialContainerExited"
    return count + 1


def a_task_that_takes_back(world):
    front = world.front
    count = 0
    for title, point, tells, started, says in (
        ("undone", None, WELL, 1, None),
        ("undo killed", "ecs/started", WELL, 1, None),
        # Nobody has recorded since when there may be one.
        ("undo killed before", "undo/serve/note", WELL, 0, "the cluster has forgotten it by now"),
        ("undo failed", None, FAILED, 1, "the container ingest ended with status 3"),
    ):
        front.tells = tells
        case = Case(world, title, "ecs.task", "")
        pathlib.Path("noted").unlink(missing_ok=True)
        pathlib.Path("plan.yaml").write_text(UNDO.format(place=world.place, subnet=world.subnet, group=world.group))
        before = front.count("RunTask")
        if point:
            case.kill(point)
        case.run(says=says)
        kit.want(front.count("RunTask") == before + started, f"{title}: {front.count('RunTask') - before} started")
        count += 1
    return count


def a_service_that_does_not_come_up_is_set_back(world):
    """In a phase that waits, so that nothing else takes it back."""
    front = world.front
    count = 0
    late = "cluster: demo, service: slow, desired_count: 2, limit_s: 1"
    # moto tells of a service that was made with more tasks than it counts that they are on their way.
    world.create("slow", 3)
    slow = lambda: world.now("slow")
    case = Case(world, "slow", "ecs.service", late, entry=WAITS, good=True)
    for _ in range(2):
        case.run(says="slow is not steady after 1 s: 2 of 2 tasks run, 0 are on their way, in 1 deployments; it is set back to what it was before")
        kit.want(slow() == ("ingest:1", 3), f"it is left as {slow()}")
        count += 1
    kit.carnet("rollback", "plan.yaml", "--state", case.state, "--reason", "test", as_json=False, exit=None)
    kit.want(slow() == ("ingest:1", 3), f"the rollback has set {slow()}")
    case = Case(world, "slow and killed", "ecs.service", late, entry=WAITS, good=True)
    case.kill("ecs/given_back")
    case.run(says="it is set back to what it was before")
    kit.want(slow() == ("ingest:1", 3), f"it is left as {slow()}")
    count += 1
    # It cannot be set back: nobody knows, and the next run goes on with the same intent.
    case = Case(world, "not set back", "ecs.service", late, entry=WAITS, good=True)
    fault = {"CARNET_FAULTS": "ecs/given_back:1:fail"}
    kit.carnet("run", "plan.yaml", "--state", case.state, exit=5, as_json=False, env=fault)
    world.ecs.update_service(cluster="demo", service="slow", desiredCount=2)
    case.run(says="it is set back to what it was before")
    kit.want(slow() == ("ingest:1", 3), f"what was set in between is taken for what was before: {slow()}")
    return count + 1


def a_service_whose_answers_are_lost(world):
    front = world.front
    count = 0
    for title, action, kind, times, says, sets, found in (
        ("answer lost", "UpdateService", "lost", 1, "it is set back to what it was before", 2, OLD),
        ("down", "UpdateService", "down", 1, "it is set back to what it was before", 2, OLD),
        ("down for long", "UpdateService", "down", 2, "and it could not be set back", 2, OLD),
        ("refused", "UpdateService", "AccessDeniedException", 1, "AccessDeniedException", 1, OLD),
    ):
        case = served(world, f"{title} {times}", entry=WAITS, good=True)
        before = front.count("UpdateService")
        front.disturb(action, kind, times)
        said = case.run(says=says)
        kit.want(front.count("UpdateService") == before + sets, f"{title}: set {front.count('UpdateService') - before} times: {said}")
        case.wants(found, "after the first run")
        case.run(exit=0)
        case.wants(NEW, "after the second run")
        count += 1
    # For a while it tells what was before.
    for more in (", wait: accepted", ", limit_s: 15"):
        case = served(world, f"told late{more}", more=more, good=True)
        case.run("--dry-run", exit=0)
        before = front.count("UpdateService")
        front.disturb("DescribeServices", "stale", 3, after="UpdateService")
        case.run(exit=0)
        case.wants(NEW)
        kit.want(front.count("UpdateService") == before + 1, "it was set more than once")
        count += 1
    return count


def scenario(folder):
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", MOTO_ECS_SERVICE_RUNNING="1")
    with parameters.server() as url:
        front = Front(url)
        world = World(url, front)
        world.create(SERVICE)
        tasks = a_task_that_runs_is_never_taken_for_none(world)
        undos = a_task_that_takes_back(world)
        services = a_service_that_does_not_come_up_is_set_back(world) + a_service_whose_answers_are_lost(world)
        kit.want(not front.wrong, f"what passed is not as it is described: {front.wrong}")
    kit.table(["tasks", "undos", "services"], [[tasks, undos, services]])


if __name__ == "__main__":
    kit.main(scenario)
