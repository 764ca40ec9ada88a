"""The evidence log, read and checked by a second implementation: nothing here calls Carnet."""

import contextlib
import hashlib
import json
import pathlib
import shutil
import sqlite3
import tempfile

import kit


def find(state):
    """The log in a state directory, or None."""
    state = pathlib.Path(state)
    found = [*state.glob("evidence.sqlite"), *state.glob("*/evidence.sqlite")]
    kit.want(len(found) <= 1, f"several logs: {found}")
    return found[0] if found else None


def events(state):
    """The events in order. The files are copied first: looking must not change what a killed
    process left."""
    log = find(state)
    if log is None:
        return []
    with tempfile.TemporaryDirectory(prefix="carnet-evidence-") as folder:
        for name in ("evidence.sqlite", "evidence.sqlite-wal"):
            if (log.parent / name).exists():
                shutil.copy(log.parent / name, folder)
        connection = sqlite3.connect(f"{folder}/evidence.sqlite")
        try:
            rows = connection.execute("SELECT sequence, bytes FROM events ORDER BY sequence").fetchall()
        except sqlite3.OperationalError as error:
            kit.want("no such table" in str(error), f"{log}: {error}")
            rows = []
        finally:
            connection.close()
    return [(sequence, bytes(data)) for sequence, data in rows]


def count(state):
    """How many events there are now, beside a process that writes."""
    log = find(state)
    if log is None:
        return 0
    try:
        with contextlib.closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT count(*) FROM events").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def parsed(state):
    return [json.loads(data) for _, data in events(state)]


def verify(state):
    """The chain from its first event to its last, and every object by its name. Gives the number of
    events."""
    previous, rows = None, events(state)
    for number, (sequence, data) in enumerate(rows):
        event = json.loads(data)
        where = f"event {number}"
        kit.want(sequence == event["sequence"] == rows[0][0] + number, f"{where} has the sequence {sequence}")
        kit.want(event.get("prev_hash") == previous, f"{where} does not follow on the one before")
        kit.want(event["hash_profile_id"] == "ecs-hash-v1", f"{where}: {event['hash_profile_id']}")
        kit.want(canonical(event) == data, f"{where} is not stored in its canonical form")
        claimed = event.pop("event_hash")
        kit.want(hashlib.sha256(canonical(event)).hexdigest() == claimed, f"{where} has another hash")
        previous = claimed
    objects = pathlib.Path(state).rglob("objects/sha256/*/*")
    for path in objects:
        if path.name != ".new":  # what a kill left unfinished, under its own name
            named = path.parent.name + path.name
            kit.want(hashlib.sha256(path.read_bytes()).hexdigest() == named, f"object {named} has other bytes")
    for _, data in rows:
        pointer = json.loads(data)["evidence_pointer"].rsplit(":", 1)[-1].rsplit("/", 1)[-1]
        held = find(state).parent / "objects" / "sha256" / pointer[:2] / pointer[2:]
        kit.want(held.is_file(), f"an event points to {pointer}, which is not there")
    return len(rows)


def canonical(event):
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def standing(state):
    """Where a run stands: (phase or None, the steps with an intent and no outcome)."""
    phase, steps = None, {}
    for event in parsed(state):
        fact, subject = event.get("context", {}).get("fact"), event.get("resource_id")
        if fact == "start":
            phase, steps = None, {}
        elif fact == "enter":
            phase = subject
        elif fact == "leave":
            phase = None
        elif fact in ("intent", "undo_intent"):
            steps[subject] = fact
        elif fact in ("outcome", "undo_outcome"):
            steps.pop(subject, None)
    return phase, sorted(steps)


def parts(state):
    """The parts of the steps of the last run, as (step, part) -> intent or done."""
    found = {}
    for event in parsed(state):
        context = event.get("context", {})
        if context.get("fact") == "start":
            found = {}
        elif context.get("fact") == "part":
            found[event["resource_id"], context["part"]] = context["status"]
    return found


def ended(state):
    """How the last run ended, or None."""
    ending = None
    for event in parsed(state):
        fact = event.get("context", {}).get("fact")
        if fact == "start":
            ending = None
        elif fact == "end":
            ending = event["context"]["ending"]
    return ending
