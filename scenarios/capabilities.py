"""The example plans on real parts: a run does what its plan says, and every gate before and after it has
looked; a failure before or after any step takes everything back, newest first; what is done stays done.

What a dry run leaves alone is in dry_run.py, and what a kill leaves in crash_points.py.
"""

import shutil

import evidence
import examples
import kit


def in_strict_reverse(example, name):
    """What was begun that changes something, in order; what was taken back must be the same from the end."""
    begun, back = [], []
    looks = [step.name for step in example.steps if not step.changes]
    for event in evidence.parsed(example.state):
        fact, subject = event.get("context", {}).get("fact"), event.get("resource_id")
        if fact == "intent" and subject not in begun + looks:
            begun.append(subject)
        elif fact == "undo_outcome":
            back.append(subject)
    kit.want(back == begun[::-1], f"{name}: begun {begun}, taken back {back}")


def play(example):
    example.reset()
    before = example.look()
    kit.carnet("check", "migration.yaml", cwd=example.folder)
    example.run()
    kit.want(example.look() == example.wanted(), f"{example.title}: not as wanted: {example.look()}")
    evidence.verify(example.state)
    # Run again, it is left alone.
    kit.want('"already_done": true' in example.run(), f"{example.title}: not left alone: {example.said()}")
    kit.want(example.look() == example.wanted(), f"{example.title}: run again: {example.look()}")
    failures = 0
    for step in example.steps:
        for when in ("before", "after"):
            where = f"{example.title}: {when} {step.name}"
            example.reset()
            example.run("run", fault=f"{when}/{step.name}:1:fail", exit=examples.FAIL)
            kit.want(example.look() == before, f"{where}: not taken back: {example.look()}")
            in_strict_reverse(example, where)
            evidence.verify(example.state)
            failures += 1
    return example.title, len(example.steps), failures


def the_only_snapshot(example):
    """A folder stands for the only snapshot in it: not for one of two, nor for a damaged one."""
    example.reset()
    example.run()
    out = example.folder / "out"
    verify = lambda exit: kit.carnet("cap", "run", "snapshot.verify", "--set", "snapshot=out", cwd=example.folder, exit=exit, as_json=False)
    verify(0)
    (one,) = out.iterdir()
    two = shutil.copytree(one, out / "knowledge_snapshot_20200101_000000")
    said = verify(None)
    kit.want(said.returncode != 0 and "there are 2 snapshots" in said.stderr, f"two snapshots: {said}")
    shutil.rmtree(two)
    path = one / "embeddings.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    said = verify(None)
    kit.want(said.returncode != 0 and "snapshot.damaged" in said.stderr, f"a damaged snapshot: {said}")


def scenario(folder):
    # The knowledge base has a script of its own, kill.py.
    rows = []
    for example in examples.each(folder):
        if not isinstance(example, examples.Quickstart):
            rows.append(play(example))
        if isinstance(example, examples.Snapshots) and not example.server:
            the_only_snapshot(example)
    kit.table(["example", "steps", "failures taken back"], rows)


kit.main(scenario)
