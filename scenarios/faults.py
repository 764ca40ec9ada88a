"""Seeded faults, as a table: each known way in which a move goes wrong is done to a copy of good data,
and Carnet must notice it and name the first differing record or file. Beside it, what pg_dump and
pg_restore, and reladiff, say to the same fault, where it can be done to a PostgreSQL table.

    scenarios/faults.py        prints the table; exit 0 only if Carnet caught every fault
"""

import json
import os
import pathlib
import shutil
import subprocess

import faiss
import numpy as np

import kit

COUNT, DIMENSIONS = 300, 16
# The record that is damaged, in the order of ids.
VICTIM = 123


class Knowledge:
    """Good data, in a form that is easy to damage: a list of records in id order."""

    def __init__(self, plain_ids=False):
        vectors, rows = kit.synthetic(COUNT, DIMENSIONS, seed=5)
        if plain_ids:
            rows = [{**row, "id": f"rec-{n:06d}"} for n, row in enumerate(rows)]
        order = sorted(range(COUNT), key=lambda n: rows[n]["id"].encode())
        self.vectors = vectors[order].copy()
        self.rows = [dict(rows[n]) for n in order]
        # The shapes that faults need, at known places.
        self.vectors[VICTIM][3] = 0.0
        self.rows[VICTIM]["metadata"] = json.dumps({"big": 9007199254740993, "tags": ["a", "b"]})
        self.rows[VICTIM]["version"] = 7
        self.metric, self.model = "l2", kit.MODEL

    @property
    def victim(self):
        return self.rows[VICTIM]["id"]

    def write(self, folder):
        return kit.write_faiss(folder, self.vectors, self.rows, self.metric, self.model)


# Faults to records. Each changes a Knowledge; the id that must be named is the victim's, unless the
# fault gives another.


def missing(k):
    k.vectors = np.delete(k.vectors, VICTIM, axis=0)
    del k.rows[VICTIM]


def duplicated(k):
    k.vectors = np.insert(k.vectors, VICTIM, k.vectors[VICTIM], axis=0)
    k.rows.insert(VICTIM, dict(k.rows[VICTIM]))


def added(k):
    k.vectors = np.insert(k.vectors, VICTIM + 1, k.vectors[VICTIM], axis=0)
    k.rows.insert(VICTIM + 1, {**k.rows[VICTIM], "id": k.victim + "+"})
    return k.rows[VICTIM + 1]["id"]


def swapped(k):
    k.vectors[[VICTIM, VICTIM + 1]] = k.vectors[[VICTIM + 1, VICTIM]]


def reordered(k):
    """The vectors are rotated by one against their metadata, as after a lost row in one of two files."""
    k.vectors[VICTIM:] = np.roll(k.vectors[VICTIM:], 1, axis=0)


def one_ulp(k):
    k.vectors[VICTIM][5] = np.nextafter(k.vectors[VICTIM][5], np.float32(np.inf), dtype=np.float32)


def minus_zero(k):
    k.vectors[VICTIM][3] = -0.0


def not_a_number(k):
    k.vectors[VICTIM][3] = np.nan


def dropped_list(k):
    k.rows[VICTIM]["metadata"] = json.dumps({"big": 9007199254740993})


def rounded_integer(k):
    k.rows[VICTIM]["metadata"] = json.dumps({"big": int(float(9007199254740993)), "tags": ["a", "b"]})


def other_version(k):
    k.rows[VICTIM]["version"] = 8


def wrong_metric(k):
    k.metric = "inner_product"
    return "metric"


def wrong_dimension(k):
    k.vectors = np.ascontiguousarray(k.vectors[:, : DIMENSIONS // 2])
    return "dimensions"


def other_model(k):
    k.model = {"name": "synthetic", "revision": "2"}
    return "embedding_model"


RECORD_FAULTS = {
    "a record is missing": missing,
    "a record stands twice": duplicated,
    "a record was added": added,
    "two vectors are swapped": swapped,
    "vectors are out of order": reordered,
    "one float differs by 1 ulp": one_ulp,
    "-0.0 instead of 0.0": minus_zero,
    "NaN in a vector": not_a_number,
    "wrong metric": wrong_metric,
    "wrong dimension": wrong_dimension,
    "a list is gone from the metadata": dropped_list,
    "an integer went through a double": rounded_integer,
    "another version": other_version,
    "another model, same dimensions": other_model,
}


def vector_sql(vector):
    return "[" + ",".join(repr(float(x)) for x in vector) + "]"


def to_postgres(url, k):
    """The same change to a PostgreSQL table: those that PostgreSQL lets happen."""
    row, vector = k["row"], k["vector"]
    return {
        "a record is missing": ("DELETE FROM embeddings WHERE id = %s", (row["id"],)),
        "a record was added": (
            "INSERT INTO embeddings SELECT id || '+', embedding, metadata, version, source_hash, created_ts, updated_ts FROM embeddings WHERE id = %s",
            (row["id"],),
        ),
        "two vectors are swapped": (
            "UPDATE embeddings a SET embedding = b.embedding FROM embeddings b WHERE (a.id, b.id) IN ((%s, %s), (%s, %s))",
            (row["id"], k["next"], k["next"], row["id"]),
        ),
        "one float differs by 1 ulp": (
            "UPDATE embeddings SET embedding = %s WHERE id = %s",
            (vector_sql([*vector[:5], np.nextafter(vector[5], np.float32(np.inf), dtype=np.float32), *vector[6:]]), row["id"]),
        ),
        "-0.0 instead of 0.0": (
            "UPDATE embeddings SET embedding = %s WHERE id = %s",
            (vector_sql([*vector[:3], -0.0, *vector[4:]]), row["id"]),
        ),
        "a list is gone from the metadata": (
            "UPDATE embeddings SET metadata = metadata - 'tags' WHERE id = %s",
            (row["id"],),
        ),
        "an integer went through a double": (
            "UPDATE embeddings SET metadata = jsonb_set(metadata, '{big}', '9007199254740992') WHERE id = %s",
            (row["id"],),
        ),
        "another version": ("UPDATE embeddings SET version = 8 WHERE id = %s", (row["id"],)),
        "NULL vector": (
            "ALTER TABLE embeddings ALTER embedding DROP NOT NULL; UPDATE embeddings SET embedding = NULL WHERE id = %s",
            (row["id"],),
        ),
        "another model, same dimensions": (
            "UPDATE carnet_collections SET contract = jsonb_set(contract, '{embedding_model,revision}', '\"2\"')",
            None,
        ),
    }


def ask_carnet(good, bad, name):
    """What `carnet diff` says. Caught: it did not say equal, and the first thing that it names is the
    one that was damaged."""
    done = kit.carnet("diff", good, bad, "--json", exit=None, as_json=False)
    if done.returncode == 4:
        return judge(done, [name], first_difference(json.loads(done.stdout)))
    return judge(done, [name])


def first_difference(report):
    """The field of the contract, or the record and its field, that the report names first."""
    (collection,) = report["collections"]
    if collection["contract"]:
        field = collection["contract"][0]
        return f"{field['field']}: {field['a']}, {field['b']}"
    first = collection["first"][0]
    if isinstance(first["kind"], str):
        return f"{first['id']} {first['kind'].replace('_', ' ')}"
    field = first["kind"]["differs"][0]
    return f"{first['id']} {field['field']}: {field['a']}, {field['b']}"


def judge(done, names, named=None):
    """Caught: a refusing status, and the place is named."""
    said = done.stdout + done.stderr
    where = said if named is None else named
    found = [name for name in names if name in where or json.dumps(name)[1:-1] in where]
    if done.returncode in (4, 7) and found:
        return True, f"exit {done.returncode}: {(named or found[0])[:60]}"
    return False, f"exit {done.returncode}, {names} not named: {said[-1_500:]}"


def ask_dump(bad_url, count, folder):
    """pg_dump and pg_restore move; they compare nothing. What they say is their exit status and the
    count that a careful user compares afterwards."""
    dump = folder / "one.dump"
    b = pathlib.Path(kit.setting("CARNET_TEST_PG18_BIN"))
    target = kit.database(18, "restored")
    first = subprocess.run([b / "pg_dump", "-Fc", "-t", "embeddings", "-f", dump, bad_url], capture_output=True)
    second = subprocess.run([b / "pg_restore", "-d", target, dump], capture_output=True)
    arrived = kit.sql(target, "SELECT count(*) FROM embeddings")[0][0]
    word = "count differs" if arrived != count else "silent"
    return f"{word} (exit {first.returncode}/{second.returncode})"


def ask_reladiff(good_url, bad_url):
    program = pathlib.Path(kit.setting("CARNET_TEST_PYTHON")).with_name("reladiff")
    if not program.exists():
        return "not installed"
    fix = lambda url: url.replace("postgres://", "postgresql://")
    done = subprocess.run(
        [program, fix(good_url), "embeddings", fix(bad_url), "embeddings", "-k", "id", "-c", "%", "--limit", "20"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    rows = [line for line in done.stdout.splitlines() if line.startswith(("+", "-"))]
    word = "shown" if rows else "ERROR" if "ERROR" in done.stderr else "silent"
    return f"{word} (exit {done.returncode})"


def record_faults(folder):
    good = Knowledge()
    good_url = good.write(folder / "good")
    results = []
    kit.carnet("diff", good_url, Knowledge().write(folder / "again"), exit=0)
    for name, damage in RECORD_FAULTS.items():
        bad = Knowledge()
        named = damage(bad) or good.victim
        place = folder / "bad"
        shutil.rmtree(place, ignore_errors=True)
        caught, said = ask_carnet(good_url, bad.write(place), named)
        results.append((name, "FAISS", caught, said, "", ""))
    return results


def postgres_faults(folder):
    # reladiff ends with an error on keys that are not ASCII: it gets others.
    good = Knowledge(plain_ids=True)
    source = good.write(folder / "pg-good")
    good_url = kit.database(16, "good")
    kit.carnet("copy", source, good_url + "?table=embeddings")
    facts = {
        "row": good.rows[VICTIM],
        "next": good.rows[VICTIM + 1]["id"],
        "vector": good.vectors[VICTIM],
    }
    results = []
    for name in to_postgres(good_url, facts):
        bad_url = kit.database(18, "bad")
        kit.carnet("copy", source, bad_url + "?table=embeddings")
        statement, values = to_postgres(bad_url, facts)[name]
        kit.sql(bad_url, statement, values)
        named = good.victim if "model" not in name else "embedding_model"
        caught, said = ask_carnet(good_url + "?table=embeddings", bad_url + "?table=embeddings", named)
        dump, differ = ask_dump(bad_url, COUNT, folder), ask_reladiff(good_url, bad_url)
        results.append((name, "pgvector", caught, said, dump, differ))
    return results


def flip_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


def edit_manifest(snapshot):
    path = snapshot / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["record_count"] -= 1
    path.write_text(json.dumps(manifest, indent=2))


def edit_manifest_and_checksums(snapshot):
    """A careful forger: the manifest's numbers and the checksum list agree with each other."""
    edit_manifest(snapshot)
    files = sorted(p.relative_to(snapshot) for p in snapshot.rglob("*") if p.is_file())
    kept = [str(f) for f in files if f.name != "checksums.sha256"]
    done = subprocess.run(["sha256sum", *kept], cwd=snapshot, capture_output=True, text=True, check=True)
    (snapshot / "checksums.sha256").write_text(done.stdout)


def snapshot_faults(folder):
    source = Knowledge().write(folder / "snapshot-good")
    out = folder / "out"
    kit.write_artifacts(folder / "artifacts")
    kit.carnet("snapshot", "export", source, "--out", out, "--artifacts", folder / "artifacts")
    (good,) = out.glob("knowledge_snapshot_*")
    kit.carnet("snapshot", "verify", good, exit=0)
    files = sorted(str(p.relative_to(good)) for p in good.rglob("*") if p.is_file())
    kit.want(len(files) >= 9, f"only {files}")
    cases = []
    for file in files:
        names = [file]
        cases.append((f"a bit is flipped in {file}", names, lambda s, f=file: flip_bit(s / f)))
        cases.append((f"{file} is cut short", names, lambda s, f=file: truncate(s / f)))
        cases.append((f"{file} is missing", [file], lambda s, f=file: (s / f).unlink()))
    cases += [
        ("an additional file", ["bpmn/extra.bpmn"], lambda s: (s / "bpmn/extra.bpmn").write_text("x")),
        ("an additional hidden file", [".hidden"], lambda s: (s / ".hidden").write_text("x")),
        ("the manifest is edited", ["manifest.json"], edit_manifest),
        ("manifest and checksums are edited", ["record_count", "299"], edit_manifest_and_checksums),
    ]
    results = []
    for name, names, damage in cases:
        bad = folder / "damaged" / good.name
        shutil.rmtree(bad.parent, ignore_errors=True)
        shutil.copytree(good, bad)
        subprocess.run(["chmod", "-R", "u+w", bad], check=True)
        damage(bad)
        done = kit.carnet("snapshot", "verify", bad, exit=None, as_json=False)
        caught, said = judge(done, names)
        results.append((name, "snapshot", caught, said, "", ""))
    return results


def dump_file_faults(folder):
    """The same two damages to what pg_dump writes, for comparison; they say nothing about Carnet."""
    url = kit.database(16, "dumped")
    kit.carnet("copy", Knowledge().write(folder / "for-dump"), url + "?table=embeddings")
    b = pathlib.Path(kit.setting("CARNET_TEST_PG18_BIN"))
    rows = []
    for level in ("-Z0", "-Z6"):
        for name, damage in (("a bit is flipped", flip_bit), ("cut short", truncate)):
            dump = folder / "file.dump"
            subprocess.run([b / "pg_dump", "-Fc", level, "-t", "embeddings", "-f", dump, url], check=True)
            damage(dump)
            target = kit.database(18, "file")
            done = subprocess.run([b / "pg_restore", "-d", target, dump], capture_output=True)
            there = kit.sql(target, "SELECT to_regclass('embeddings')")[0][0]
            count = kit.sql(target, "SELECT count(*) FROM embeddings")[0][0] if there else 0
            rows.append((f"pg_dump -Fc {level}: {name}", f"pg_restore exit {done.returncode}, {count} of {COUNT} rows"))
    return rows


def scenario(folder):
    results = record_faults(folder) + postgres_faults(folder) + snapshot_faults(folder)
    kit.table(
        ["fault", "in", "carnet", "pg_dump/pg_restore", "reladiff"],
        [(name, where, said if caught else "MISSED", dump, differ) for name, where, caught, said, dump, differ in results],
    )
    print()
    kit.table(["damage to a dump file", "what is said"], dump_file_faults(folder))
    missed = [(name, where, said) for name, where, caught, said, *_ in results if not caught]
    print(f"\n{len(results) - len(missed)} of {len(results)} faults caught")
    for name, where, said in missed:
        print(f"missed in {where}: {name}: {said}")
    kit.want(not missed, f"{len(missed)} faults were not caught")


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    kit.main(scenario)
