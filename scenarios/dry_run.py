"""A dry run changes nothing: for every example plan, all that it could touch (files and folders with their
times, rows with the numbers of their writers, objects, the running process, the state folder) has the same
digest before and after `run --dry-run`. Three times each: before any run, with a run that was cut off, and
with a run that is done.

That the digest would show a change is shown beside it: by small changes of others, each of which must be
noticed, and by the run itself.
"""

import hashlib
import json

import examples
import kit


def digest(example):
    found = example.fingerprint()
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest(), found


def changed(before, after, path=""):
    """The places where two fingerprints differ, for people."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [line for key in keys for line in changed(before.get(key), after.get(key), f"{path}/{key}")]
    return [] if before == after else [f"{path}: {before} is now {after}"]


def dry(example, when, exit=0):
    (one, before) = digest(example)
    said = example.run("run", "--dry-run", exit=exit)
    (two, after) = digest(example)
    kit.want(one == two, f"{example.title}, {when}: a dry run changed {changed(before, after)}\n{said}")
    return one[:12]


def play(example):
    example.reset()
    fresh = dry(example, "before any run")
    kit.want(not example.state.exists(), f"{example.title}: a dry run made a state folder")
    noticed = 0
    for what, change, back in example.tampers():
        one, _ = digest(example)
        change()
        two, _ = digest(example)
        kit.want(one != two, f"{example.title}: the digest does not show that {what}")
        back()
        noticed += 1
    example.reset()
    example.kill_at(f"{example.fails_at}:1:sleep")
    cut = dry(example, "with a run that was cut off", exit=(0, 3))
    one, _ = digest(example)
    example.run()
    two, _ = digest(example)
    kit.want(one != two, f"{example.title}: the digest does not show a run")
    done = dry(example, "with a run that is done", exit=(0, 3))
    return example.title, fresh, cut, done, noticed + 1


def scenario(folder):
    rows = [play(example) for example in examples.each(folder)]
    print("Digests before and after a dry run, which are one; and how many changes they were seen to show")
    kit.table(["example", "before any run", "cut off", "done", "noticed"], rows)


kit.main(scenario)
