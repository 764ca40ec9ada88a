"""Evidence as it was exported, with nothing else at hand: a folder with evidence/runs/… in it, or a
bundle of `carnet evidence export`, which holds the files as the gates read them. Every byte of a
bundle is checked against the digest that names it; its signature is for `carnet evidence verify`."""

import json
import os

from eventplatform.config import sha256
from eventplatform.store import Folder

HOME = "evidence/runs/"


class NotAsItWas(SystemExit):
    """What was exported, or what it leads to, is not what the run left."""


def artifacts(folder):
    """The objects of a bundle, one after another."""
    with open(os.path.join(folder, "artifacts", "index.jsonl"), encoding="utf-8") as index:
        for line in index:
            row = json.loads(line)
            with open(os.path.join(folder, row["pack"]), "rb") as pack:
                pack.seek(row["offset"])
                data = pack.read(row["bytes"])
            if sha256(data) != row["sha256"]:
                raise NotAsItWas(f"{row['pack']}: what is at {row['offset']} is not what the index says")
            yield data


def files_in(value):
    """(path, text, its digest) of each file of evidence that a gate has read whole."""
    if isinstance(value, list):
        for each in value:
            yield from files_in(each)
    elif isinstance(value, dict):
        path, found = value.get("path"), value.get("found")
        said = found.get("said") if isinstance(found, dict) else None
        if isinstance(path, str) and path.startswith(HOME) and isinstance(said, dict) and "text" in said:
            yield path, said["text"].encode(), found["sha256"]
        else:
            for each in value.values():
                yield from files_in(each)


def of_bundle(folder):
    found = {}
    for data in artifacts(folder):
        try:
            value = json.loads(data)
        except ValueError:
            continue  # not what a gate has seen
        for path, text, digest in files_in(value):
            if sha256(text) != digest or found.setdefault(path, text) != text:
                raise NotAsItWas(f"{path} is not the same everywhere in the bundle")
    return found


class Exported:
    """The evidence of one run, to read."""

    def __init__(self, folder, run_id=None):
        if os.path.exists(os.path.join(folder, "artifacts", "index.jsonl")):
            self.get, paths = (files := of_bundle(folder)).get, list(files)
        else:
            root = Folder(folder)
            self.get, paths = root.get, list(root.keys(HOME))
        closed = sorted({path.split("/")[2] for path in paths if path.endswith("/obs/replay_anchors.json")})
        if run_id is None and len(closed) != 1:
            raise NotAsItWas(f"{folder} has anchors of {len(closed)} runs: {', '.join(closed)}; say which one: --run-id ID")
        self.run_id = run_id or closed[0]

    def read(self, path):
        data = self.get(f"{HOME}{self.run_id}/{path}")
        return None if data is None else json.loads(data)

    def digest(self, path):
        data = self.get(f"{HOME}{self.run_id}/{path}")
        return None if data is None else sha256(data)
