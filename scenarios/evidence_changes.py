"""Ways to change a piece of evidence. Each gives a function that is called with the place, the run that the
evidence is of, and all that the platform left."""

import datetime
import hashlib
import json

GONE = object()


class Named(str):
    """The new name of a field."""


def edit(path, changes, pinned_again=False):
    """Changes fields of a file: `{pointer: value}`, in which `*` is each item of a list, GONE takes a field away,
    Named gives it another name, and a function makes the new value of the old one. With `pinned_again`, whoever
    wrote this has also named the new digest wherever the old one stood."""

    def change(place, run, _):
        value = place.json(run.home + path)
        for pointer, new in changes.items():
            apply(value, pointer.strip("/").split("/"), new)
        place.write_json(run.home + path, value)
        if pinned_again:
            pin_again(place, run)

    return change


def apply(value, way, new):
    step, rest = way[0], way[1:]
    if step == "*":
        for number in range(len(value)):
            apply(value, [number, *rest], new)
    elif rest:
        apply(value[int(step) if isinstance(value, list) else step], rest, new)
    elif new is GONE:
        del value[step]
    elif isinstance(new, Named):
        value[str(new)] = value.pop(step)
    else:
        spot = int(step) if isinstance(value, list) else step
        value[spot] = new(value[spot]) if callable(new) else new


def pin_again(place, run):
    """Writes the digest that each file has now wherever one is named, until nothing changes any more."""
    files = [path for path in place.paths() if path.endswith(".json")]
    changed = True
    while changed:
        digests = {path: hashlib.sha256(place.read(path)).hexdigest() for path in place.paths()}
        changed = False
        for path in files:
            before = place.json(path)
            after = with_digests(before, digests)
            if after != before:
                place.write_json(path, after)
                changed = True
                break


def with_digests(value, digests):
    if isinstance(value, list):
        return [with_digests(item, digests) for item in value]
    if not isinstance(value, dict):
        return value
    if "sha256" in value and value.get("ref") in digests:
        return {**value, "sha256": digests[value["ref"]]}
    return {key: with_digests(item, digests) for key, item in value.items()}


def line(path, number, changes):
    """Changes fields of one line; or of all lines, if `number` is None."""

    def change(place, run, _):
        rows = place.lines(run.home + path)
        for row in rows if number is None else [rows[number]]:
            for pointer, new in changes.items():
                apply(row, pointer.strip("/").split("/"), new)
        place.write_lines(run.home + path, rows)

    return change


def rows(path, change_rows):
    """Makes other lines of the lines."""

    def change(place, run, _):
        place.write_lines(run.home + path, change_rows(place.lines(run.home + path)))

    return change


def raw(path, change_bytes):
    """Changes the bytes of a file."""

    def change(place, run, _):
        place.write(run.home + path, change_bytes(place.read(run.home + path)))

    return change


def moved(path, to):
    def change(place, run, _):
        place.write(run.home + to, place.read(run.home + path))
        place.remove(run.home + path)

    return change


def removed(path):
    return lambda place, run, _: place.remove(run.home + path)


def of_another_run(path, name):
    """The file of another run, laid where that of this one must be."""

    def change(place, run, good):
        place.write(run.home + path, good.root.read(good.runs[name].home + path))

    return change


def all_of(*changes):
    def change(place, run, good):
        for one in changes:
            one(place, run, good)

    return change


def ahead(seconds):
    """A time so far from now."""

    def time(_):
        then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        return then.strftime("%Y-%m-%dT%H:%M:%SZ")

    return time


def before_the_run(path, key, seconds):
    """A time so long before that in the run id."""

    def change(place, run, good):
        began = datetime.datetime.strptime(run.platform_run_id, "platform_%Y%m%dT%H%M%SZ")
        then = began - datetime.timedelta(seconds=seconds)
        edit(path, {key: then.strftime("%Y-%m-%dT%H:%M:%SZ")})(place, run, good)

    return change


def add(number):
    return lambda value: value + number


def byte_order_mark(data):
    return b"\xef\xbb\xbf" + data


def carriage_returns(data):
    return data.replace(b"\n", b"\r\n")


def cut(data):
    return data[: len(data) * 2 // 3]


def without_last_newline(data):
    return data[:-1]


def nothing(_):
    return b""


def key_twice(key):
    """The same key once more at the front of the object, with another value."""
    return lambda data: data.replace(b"{", b"{%s: 1, " % json.dumps(key).encode(), 1)
