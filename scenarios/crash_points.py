"""Every step of every example plan, and every undo: killed (kill -9) before its effect, in the middle of it
and after it, and then gone on with. At each kill:

- what can be seen in the world has an intent in the log: nothing was done that was not announced;
- the log is whole: chain, hashes, objects (checked by a second implementation);

and after going on: everything is there exactly once, or as it was before; the log is whole; a further run
leaves a run alone that is done.

    scenarios/crash_points.py                      one point of each step and one of its undo, by a seed
    CARNET_TEST_LONG=1 scenarios/crash_points.py   every point
    CARNET_TEST_SEED=N                             other points
    scenarios/crash_points.py sqlite s3            only these examples

Three ways: forward (a run is killed), back (a run fails, and is killed while it takes itself back), return
(`carnet rollback` of a run that is done is killed). Prints one line for each kill.
"""

import os
import random

import evidence
import examples
import kit

LONG = bool(os.environ.get("CARNET_TEST_LONG"))
SEED = int(os.environ.get("CARNET_TEST_SEED", "20251"))


def points(example):
    """(way, step, place, point) of everything that there is to be killed at."""
    for step in example.steps:
        middle = [(f"in the middle: {point}", point) for point in step.middle]
        for place, point in [("before", f"before/{step.name}:1"), *middle, ("after", f"after/{step.name}:1")]:
            yield "forward", step.name, place, point
    forward = [step.name for step in example.steps]
    back = forward[: forward.index(example.last_undone) + 1] if example.last_undone else forward
    for way, names in (("back", back), ("return", example.rolled_back or forward)):
        for step in reversed(example.steps):
            if step.name not in names or not step.changes:
                continue
            # A rollback is a process of its own, in which nothing was passed before.
            inside = [earlier(example, point) if way == "return" else point for point in step.middle_of_undo]
            middle = [(f"in the middle: {point}", point) for point in inside]
            for place, point in [("before", f"undo/{step.name}:1"), *middle, ("after", f"undone/{step.name}:1")]:
                yield way, step.name, place, point


def announced(visible, events):
    """The steps that can be seen in the world, and have no intent in the log."""
    intents = {event.get("resource_id") for event in events if event.get("context", {}).get("fact") == "intent"}
    return visible - intents


def standing(events):
    """The last fact of the log, for people: `intent export/export_snapshot`."""
    facts = [event for event in events if event.get("context", {}).get("fact") in FACTS]
    last = facts[-1]
    return f"{last['context']['fact']} {last.get('resource_id', '')}".strip()


FACTS = ("start", "enter", "intent", "outcome", "part", "leave", "undo_intent", "undo_outcome", "end", "rollback")


def killed(example, before, way, step, place, point):
    where = f"{example.title}, {way}: killed {place} {step}"
    example.reset()
    if way == "forward":
        example.kill_at(f"{point}:sleep")
    elif way == "back":
        example.kill_at(f"{example.fails_at}:1:fail,{point}:sleep")
    else:
        example.run()
        example.kill_at(f"{point}:sleep", "rollback")
    events = evidence.parsed(example.state)
    unannounced = announced(example.visible(before), events)
    kit.want(not unannounced, f"{where}: done without an intent: {unannounced}")
    evidence.verify(example.state)
    stands = standing(events)
    if way == "forward":
        example.run()
        came = "done, everything once"
    elif way == "back":
        example.run("run", exit=examples.FAIL)
        kit.want(example.look() == before, f"{where}: not as before: {example.look()}")
        evidence.verify(example.state)
        # What was taken back can be done again.
        example.run()
        came = "as before; then done, everything once"
    else:
        example.run("rollback")
        after = example.after_rollback(before)
        kit.want(example.look() == after, f"{where}: not returned: {example.look()}, wanted {after}")
        came = "returned"
    if way != "return":
        kit.want(example.look() == example.wanted(), f"{where}: not as wanted: {example.look()}")
        example.run()
        kit.want(example.look() == example.wanted(), f"{where}: run again: {example.look()}")
    evidence.verify(example.state)
    return way, step, place, stands, came


def earlier(example, point):
    """The pass of a point, without those of the way forward."""
    name, nth = point.rsplit(":", 1)
    return f"{name}:{int(nth) - example.passed_forward.get(name, 0)}"


def would_be_noticed(example, before):
    """The check of intents must find what it looks for: a log from which the intents are taken."""
    visible = example.visible(before)
    events = evidence.parsed(example.state)
    silent = [event for event in events if event.get("context", {}).get("fact") != "intent"]
    kit.want(visible and announced(visible, silent) == visible, f"{example.title}: a missing intent goes unnoticed")


def play(example, chance, every=LONG):
    """Kills at some points, or at every one of them; gives a row for each, and how many points there are."""
    example.reset()
    before = example.look()
    found = list(points(example))
    chosen = found
    if not every:
        groups = {}
        for one in found:
            groups.setdefault((one[0] != "forward", one[1]), []).append(one)
        chosen = [chance.choice(group) for group in groups.values()]
    rows = [(example.title, *killed(example, before, *one)) for one in chosen]
    example.reset()
    example.run()
    would_be_noticed(example, before)
    return rows, len(found)


def show(rows, count):
    kit.table(["example", "way", "step", "killed", "last in the log", "gone on with, it ended"], rows)
    print(f"{len(rows)} kills at {count} points" + ("" if len(rows) == count else f", chosen by the seed {SEED}"))


def chance():
    return random.Random(SEED)


def scenario(folder):
    rows, there, dice = [], 0, chance()
    # Each kind of part once, where not all are asked for.
    short = [name for name in examples.MAKE if not name.endswith("18")]
    for example in examples.each(folder, () if LONG else short):
        made, count = play(example, dice)
        rows += made
        there += count
        print(f"{example.title}: {len(made)} kills at {count} points", flush=True)
    print()
    show(rows, there)


if __name__ == "__main__":
    kit.main(scenario)
