"""Bad input, as a table: what is given, how Carnet ends, and what it says. For each: the right exit
status and code, a message that names the thing, no panic, no password, and nothing lost: source and
target hold what they held before.

    scenarios/bad_input.py        prints the table; exit 0 only if every row is as it should be
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import time

import faiss
import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq

import kit

COUNT, DIMENSIONS = 400, 16
PASSWORD = "hunter2-do-not-tell"
ROWS = []


def told(name, done, exit, code, words):
    """Judges what the program said, and adds a row to the table."""
    # As one line: a word may be broken over two.
    said = " ".join((done.stdout + done.stderr).split())
    wrong = []
    if done.returncode != exit:
        wrong.append(f"exit {done.returncode}, not {exit}")
    if code and f"code: {code} " not in done.stderr:
        wrong.append(f"no code {code}")
    wrong += [f"nothing about {word!r}" for word in words if word not in said]
    wrong += [f"it shows {word!r}" for word in ("panicked", PASSWORD, "RUST_BACKTRACE") if word in said]
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error")]
    whys = [line.strip() for line in lines if line.strip().startswith("because: ")]
    first = " ".join((errors + [""])[:1] + whys).removeprefix("error: ").replace(f"{os.getcwd()}/", "")
    ROWS.append((name, done.returncode, code or "", first[:120], wrong, done.stdout + done.stderr))


def refused(name, *words, exit, code, says=(), cwd=None, env=None, timeout=60):
    done = kit.carnet(*words, exit=None, as_json=False, cwd=cwd, env=env, timeout=timeout)
    told(name, done, exit, code, says)
    return done


def moves(name, source, target):
    """Odd but legal: it must arrive."""
    done = kit.carnet("copy", source, target, exit=None, as_json=False, timeout=60)
    same = kit.carnet("diff", source, target, exit=None, as_json=False, timeout=60)
    wrong = [] if (done.returncode, same.returncode) == (0, 0) else ["it did not arrive"]
    text = "moves, and is equal"
    ROWS.append((name, done.returncode, "", text, wrong, done.stderr + same.stdout + same.stderr))


def files_of(folder):
    """Every file with its digest."""
    folder = pathlib.Path(folder)
    paths = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


@contextlib.contextmanager
def unharmed(*stores, folders=()):
    """Stores and folders must be afterwards what they were before."""
    def look():
        digests = [kit.carnet("digest", store, exit=None) for store in stores]
        return digests, [files_of(folder) for folder in folders]

    before = look()
    yield
    after = look()
    if before != after:
        name, status, code, said, wrong, text = ROWS[-1]
        ROWS[-1] = (name, status, code, said, wrong + ["something has changed"], text)


# What a FAISS directory can hold.

KINDS = {
    "flat L2": "Flat",
    "IDMap2": "IDMap2,Flat",
    "IVFFlat": "IVF8,Flat",
    "HNSWFlat": "HNSW8,Flat",
    "SQ fp16": "SQfp16",
}
# How each compressed kind is made, and what it is called.
COMPRESSED = {
    "PQ4x4np": ["a PQ index", "IxPq"],
    "IVF4,PQ4x4np": ["an IVF PQ index", "IwPQ"],
    "SQ8": ["a scalar quantiser of 8 bits", "IxSQ"],
    "LSH": ["an LSH index", "IxHe"],
    "PCA8,Flat": ["an index behind a pre-transform", "IxPT"],
}


def write_kind(folder, factory, vectors, rows):
    """A FAISS directory with an index of a kind, made by faiss-cpu."""
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_L2)
    index.train(vectors)
    if factory.startswith("IDMap"):
        labels = np.arange(1000, 1000 + len(vectors))
        index.add_with_ids(vectors, labels)
    else:
        index.add(vectors)
    url = kit.write_faiss(folder, vectors, rows, metric="l2", index=index)
    if factory.startswith("IDMap"):
        table = pq.read_table(folder / "metadata.parquet")
        pq.write_table(table.append_column("faiss_id", pa.array(labels)), folder / "metadata.parquet")
    return url


def rewritten(folder, change):
    """Changes the rows of a FAISS directory's metadata."""
    path = folder / "metadata.parquet"
    rows = pq.read_table(path).to_pylist()
    rows = change(rows) or rows
    pq.write_table(pa.Table.from_pylist(rows, schema=kit.METADATA_SCHEMA), path)


def faiss_files(folder, vectors, rows, target):
    for number, (name, factory) in enumerate(KINDS.items()):
        place = folder / f"kind{number}"
        url = write_kind(place, factory, vectors, rows)
        kit.carnet("digest", url)
        path = place / "index.faiss"
        whole = path.read_bytes()
        for what, data in {
            "cut in half": whole[: len(whole) // 2],
            "one byte short": whole[:-1],
            "with bytes after its end": whole + b"\0",
        }.items():
            path.write_bytes(data)
            with unharmed(target, folders=[place]):
                refused(f"{name} index {what}", "copy", url, target, exit=7, code="faiss.malformed", says=["index.faiss"])
    for number, (factory, names) in enumerate(COMPRESSED.items()):
        place = folder / f"compressed{number}"
        url = write_kind(place, factory, vectors, rows)
        with unharmed(target, folders=[place]):
            refused(f"compressed kind: {factory}", "copy", url, target, exit=3, code="faiss.kind", says=names)
    place = folder / "header"
    url = write_kind(place, "Flat", vectors, rows)
    path = place / "index.faiss"
    whole = path.read_bytes()
    for name, at, form, value in [
        ("2^60 vectors in the header", 8, "<q", 1 << 60),
        ("-1 vectors in the header", 8, "<q", -1),
        ("one vector more in the header", 8, "<q", COUNT + 1),
        ("2^31-1 dimensions in the header", 4, "<i", (1 << 31) - 1),
        ("0 dimensions in the header", 4, "<i", 0),
    ]:
        data = bytearray(whole)
        struct.pack_into(form, data, at, value)
        path.write_bytes(data)
        with unharmed(target, folders=[place]):
            refused(name, "copy", url, target, exit=7, code="faiss.malformed", says=["index.faiss"])
    path.write_bytes(b"PK\x03\x04 this is a zip file")
    with unharmed(target, folders=[place]):
        refused("no FAISS file at all", "copy", url, target, exit=3, code="faiss.kind", says=["PK"])
    path.write_bytes(b"")
    refused("an empty index file", "copy", url, target, exit=7, code="faiss.malformed", says=["index.faiss"])


def faiss_rows(folder, vectors, rows, target):
    place = folder / "rows"

    def case(name, change, exit, code, says):
        url = write_kind(place, "Flat", vectors, rows)
        rewritten(place, change)
        with unharmed(target, folders=[place]):
            refused(name, "copy", url, target, exit=exit, code=code, says=says)

    def one(field, value, row=7):
        return lambda all: all[row].update({field: value})

    victim = rows[7]["id"]
    case("metadata with fewer rows", lambda all: all[:-3], 7, "faiss.rows", [str(COUNT), str(COUNT - 3)])
    case("metadata with more rows", lambda all: all + [{**all[0], "id": "more"}], 7, "faiss.rows", [str(COUNT + 1)])
    case("an empty id", one("id", ""), 7, "record.id", ["row 7"])
    case("an id that is NULL", one("id", None), 7, "record.id", ["row 7"])
    case("an id of 70,000 bytes", one("id", "x" * 70_000), 7, "record.id", ["65535"])
    case("an id that stands twice", lambda all: all[9].update(id=all[7]["id"]), 7, "record.duplicate", [victim])
    case("metadata that is no JSON", one("metadata", "{'a': 1}"), 7, "metadata.syntax", [victim])
    case("metadata that is a list", one("metadata", "[1]"), 7, "metadata.syntax", [victim])
    case("a key twice in the metadata", one("metadata", '{"a":1,"a":2}'), 7, "metadata.duplicate_key", [victim])
    case("a number beyond doubles", one("metadata", '{"a":1e999}'), 7, "metadata.number", [victim])
    case("a fraction that no double is", one("metadata", '{"a":0.10000000000000000001}'), 7, "metadata.number", [victim])
    case("half a surrogate pair", one("metadata", '{"a":"\\ud83d"}'), 7, "metadata.surrogate", [victim])
    case("metadata nested 100,000 deep", one("metadata", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), 7, "metadata.limit", [victim])

    url = write_kind(place, "Flat", vectors, rows)
    parquet = place / "metadata.parquet"
    whole = parquet.read_bytes()
    for name, data in {"cut in half": whole[: len(whole) // 2], "without its end": whole[:-4] + b"XXXX"}.items():
        parquet.write_bytes(data)
        with unharmed(target, folders=[place]):
            refused(f"metadata.parquet {name}", "copy", url, target, exit=7, code="store.malformed", says=["metadata.parquet"])
    parquet.write_bytes(whole)
    (place / "collection.json").write_text('{"name": "embeddings", "dimensions": 17}')
    with unharmed(target, folders=[place]):
        refused("a contract with other dimensions", "copy", url, target, exit=7, code=None, says=["17", "16"])
    (place / "collection.json").write_text('{"name": "embeddings"')
    refused("a contract that is no JSON", "copy", url, target, exit=7, code="store.malformed", says=["collection.json"])


def sides(folder, good, vectors, rows):
    """Of two stores the one that is broken is named, also where both have the same files."""
    broken = write_kind(folder / "broken", "Flat", vectors, rows)
    rewritten(folder / "broken", lambda all: all[9].update(id=all[7]["id"]))
    for name, words in {
        "diff, the first side broken": ("diff", broken, good),
        "diff, the second side broken": ("diff", good, broken),
        "copy, the source broken": ("copy", broken, f"faiss:{folder}/never"),
        "digest of a broken store": ("digest", broken),
    }.items():
        refused(name, *words, exit=7, code="record.duplicate", says=[broken])
    index = folder / "broken" / "index.faiss"
    index.write_bytes(index.read_bytes()[:-1])
    for name, words in {"diff, a cut side": ("diff", good, broken), "copy into a cut store": ("copy", good, broken)}.items():
        refused(name, *words, exit=7, code="faiss.malformed", says=[broken])


def target_first(folder, vectors, rows):
    """What is wrong with the target is noticed before the source is read through."""
    broken = write_kind(folder / "unread", "Flat", vectors, rows)
    rewritten(folder / "unread", lambda all: all[9].update(id=all[7]["id"]))
    nobody = "postgres://postgres@127.0.0.1:1/postgres?table=embeddings"
    bare = kit.database(16, "bare")
    kit.sql(bare, "DROP EXTENSION vector")
    home = folder / "target-first"
    home.mkdir()
    for name, target, exit, code, says in [
        ("a server that is not there", nobody, 6, "store.unreachable", "127.0.0.1"),
        ("a database without pgvector", f"{bare}?table=embeddings", 3, "store.unsupported", "CREATE EXTENSION vector"),
    ]:
        plan = write_plan(home, broken, target)
        for words in (("copy", broken, target), ("run", plan), ("run", plan, "--dry-run")):
            refused(f"{name}, before reading ({words[0]})", *words, exit=exit, code=code, says=[says], cwd=home)


def table18(name):
    """A table of its own on the newer server; a table is called as its collection."""
    return kit.database(18, name) + "?table=embeddings"


def odd_ids(folder, vectors, rows):
    """Ids that are long or hold newlines are legal. PostgreSQL cannot index 10 KB of noise."""
    place = folder / "odd"
    url = write_kind(place, "Flat", vectors, rows)
    noise = hashlib.shake_256(b"id").hexdigest(5_000)

    def change(all):
        all[3]["id"] = "two\nlines\r\n\tand a \\ and a \""
        all[4]["id"] = " leading and trailing "

    rewritten(place, change)
    odd = table18("odd")
    moves("ids with newlines, to SQLite", url, f"sqlite:{folder}/odd.sqlite")
    moves("ids with newlines, to FAISS", url, f"faiss:{folder}/odd-copy")
    moves("ids with newlines, to pgvector", url, odd)
    rewritten(place, lambda all: all[5].update(id=noise))
    moves("an id of 10 KB, to SQLite", url, f"sqlite:{folder}/long.sqlite")
    moves("an id of 10 KB, to FAISS", url, f"faiss:{folder}/long-copy")

    def no_place_in_pgvector(name, source, code, says):
        target = table18("none")
        with unharmed(odd, target, folders=[source.split(":", 1)[1]]):
            refused(f"{name}, to pgvector", "copy", source, target, exit=3, code=code, says=says)

    no_place_in_pgvector("an id of 10 KB", url, "loss", ["id"])
    rewritten(place, lambda all: all[5].update(id="nul\0byte"))
    no_place_in_pgvector("U+0000 in an id", url, "loss", ["U+0000"])
    vectors = vectors.copy()
    vectors[8][2] = np.nan
    url = write_kind(folder / "nan", "Flat", vectors, rows)
    moves("NaN in a vector, to FAISS", url, f"faiss:{folder}/nan-copy")
    no_place_in_pgvector("NaN in a vector", url, "loss", ["NaN"])


# What a PostgreSQL database can hold.


def tables(folder, url16, target):
    def case(name, statements, exit, code, says, *more):
        kind = kit.sql(url16, "SELECT relkind FROM pg_class WHERE oid = to_regclass('bad')")
        kit.sql(url16, f"DROP {'VIEW' if kind and kind[0][0] in ('v', b'v') else 'TABLE'} IF EXISTS bad CASCADE")
        kit.sql(url16, statements)
        before = kit.sql(url16, "SELECT count(*) FROM bad")
        with unharmed(target):
            refused(name, "copy", f"{url16}?table=bad", target, *more, exit=exit, code=code, says=says)
        kit.want(kit.sql(url16, "SELECT count(*) FROM bad") == before, f"{name}: the source has changed")

    values = "INSERT INTO bad SELECT 'id-' || n, format('[%s,1,2]', n)::vector, '{}' FROM generate_series(1, 9) n"
    made = "CREATE TABLE bad (id text {}, embedding {}, metadata {})"
    plain = made.format("PRIMARY KEY", "vector(3)", "jsonb")
    columns = ("--columns", "id=id,vector=embedding,metadata=metadata")
    no_key = made.format("", "vector(3)", "jsonb") + ";" + values
    case("a table without key", no_key, 3, "table.no_key", ["column id of table public.bad", "CREATE UNIQUE INDEX"], *columns)
    twice = no_key.replace("bad", "rows") + ";" + values.replace("bad", "rows") + "; CREATE VIEW bad AS SELECT * FROM rows"
    case("a view with an id twice", "DROP TABLE IF EXISTS rows CASCADE; " + twice, 7, "record.duplicate", ["id-1", "bad"], *columns)
    without = kit.database(16, "no_key")
    kit.sql(without, "CREATE TABLE embeddings AS SELECT 'x' AS id, format('[%s]', repeat('1,', 15) || '1')::vector(16) AS embedding, '{}'::jsonb AS metadata")
    with unharmed(target, f"{without}?table=embeddings"):
        name = "a target table without key"
        refused(name, "copy", target, f"{without}?table=embeddings", exit=3, code="table.no_key", says=["embeddings"])
    case("a vector column of type text", made.format("PRIMARY KEY", "text", "jsonb"), 3, "table.column", ["embedding", "text"], *columns)
    case("a vector column of type real[]", made.format("PRIMARY KEY", "real[]", "jsonb"), 3, "table.column", ["embedding", "real[]"], *columns)
    case("sparse vectors", made.format("PRIMARY KEY", "sparsevec(3)", "jsonb"), 3, "store.unsupported", ["sparsevec"], *columns)
    case("bit vectors", made.format("PRIMARY KEY", "bit(3)", "jsonb"), 3, "store.unsupported", ["bit"], *columns)
    case("a column that is not there", plain, 3, "table.column", ["nowhere"], "--columns", "id=id,vector=nowhere")
    case("a NULL vector", plain + ";" + values + "; UPDATE bad SET embedding = NULL WHERE id = 'id-5'", 7, "record.vector", ["id-5", "NULL"], *columns)
    case("an empty id in a table", plain + ";" + values + "; UPDATE bad SET id = '' WHERE id = 'id-5'", 7, "record.id", ["public.bad", "empty"], *columns)
    case("two vector lengths in a column", made.format("PRIMARY KEY", "vector", "jsonb") + ";" + values + "; UPDATE bad SET embedding = '[1,2]' WHERE id = 'id-5'", 7, "record.vector", ["of 2 and of 3"], *columns)
    case("metadata that is a number", plain + ";" + values + "; UPDATE bad SET metadata = '7' WHERE id = 'id-5'", 7, "metadata.syntax", ["id-5"], *columns)
    kit.sql(url16, "DROP TABLE bad")
    with unharmed(target):
        refused("a table that is not there", "copy", f"{url16}?table=nothing", target, exit=6, code="store.not_found", says=["nothing"])


def carried(folder, url16):
    """Columns that no part of a record stands for are named, once for each collection."""
    kit.sql(url16, "CREATE TABLE wide (id text PRIMARY KEY, embedding vector(1), note text, rank int)")
    kit.sql(url16, "INSERT INTO wide VALUES ('a', '[1]', 'x', 1), ('b', '[2]', 'y', 2)")
    store = f"{url16}?table=wide"
    for words in (("digest", store), ("copy", store, f"sqlite:{folder}/wide.sqlite")):
        (seen,) = kit.carnet(*words)["collections"]
        kit.want(seen["carried_columns"] == ["note", "rank"], f"{words[0]}: {seen}")
        said = kit.carnet(*words, as_json=False).stdout
        kit.want(said.count("in the metadata, as `_columns`: note, rank") == 1, f"{words[0]}: {said}")


def servers(folder, source, url16, target):
    nobody = "postgres://postgres@127.0.0.1:1/postgres?table=embeddings"
    refused("a server that is not there", "copy", source, nobody, exit=6, code="store.unreachable", says=["127.0.0.1"])
    refused("a source that is not there", "copy", nobody, target, exit=6, code="store.unreachable", says=["127.0.0.1"])
    refused("a host that does not exist", "digest", "postgres://u@nowhere.invalid/d?table=t", exit=6, code="store.unreachable", says=["nowhere.invalid"])
    host = url16.split("@", 1)[1]
    refused("a wrong password", "digest", f"postgres://carnet_password:{PASSWORD}@{host}?table=t", exit=6, code="store.denied", says=["carnet_password"])
    refused("a database that is not there", "digest", url16.rsplit("/", 1)[0] + "/no_such?table=t", exit=6, code=None, says=["no_such"])
    refused("a store of an unknown kind", "digest", f"milvus://me:{PASSWORD}@h/d", exit=2, code="store.url", says=["milvus"])
    refused("a snapshot as a target", "copy", source, f"snapshot:{folder}/no", exit=3, code="store.unsupported", says=["exported snapshot"])
    admin = kit.sql(url16, "SELECT current_database()")[0][0]
    kit.sql(url16, f'ALTER DATABASE "{admin}" SET default_transaction_read_only = on')
    done = refused("a database that is read-only", "copy", source, f"{url16}?table=embeddings", exit=3, code="store.read_only", says=["read-only"])
    with contextlib.closing(psycopg2.connect(url16, options="-c default_transaction_read_only=off")) as connection:
        connection.autocommit = True
        connection.cursor().execute(f'ALTER DATABASE "{admin}" RESET default_transaction_read_only')
    kit.want(kit.sql(url16, "SELECT to_regclass('embeddings')")[0][0] is None, f"a read-only database has a table: {done.stderr}")


def cut_connections(url, pattern, wait=30):
    """Waits for a backend that runs what the pattern says, and ends it. Gives whether it did."""
    until = time.monotonic() + wait
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        while time.monotonic() < until:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ILIKE %s AND state = 'active'",
                (pattern,),
            )
            if cursor.fetchone()[0]:
                return True
            time.sleep(0.001)
    return False


def lost_connections(folder):
    """The backend is ended in the middle of a copy; the same command afterwards brings all over."""
    vectors, rows = kit.synthetic(20_000, 128, seed=9)
    source = kit.write_faiss(folder / "big", vectors, rows)
    url16, url18 = kit.database(16, "cut"), kit.database(18, "cut")
    filled = f"{url16}?table=embeddings"
    kit.carnet("copy", source, filled)
    cases = [
        ("the target's connection is cut in mid-copy", source, f"{url18}?table=embeddings", url18, "COPY%FROM STDIN%"),
        ("the source's connection is cut in mid-copy", filled, f"sqlite:{folder}/cut.sqlite", url16, "COPY%TO STDOUT%"),
    ]
    for name, here, there, server, pattern in cases:
        command = [kit.setting("CARNET_BIN"), "copy", here, there]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            cut = cut_connections(server, pattern)
            stdout, stderr = process.communicate(timeout=60)
        kit.want(cut, f"{name}: nothing was cut; it ended with {process.returncode}: {stderr}")
        done = subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
        with unharmed(source, filled):
            told(name, done, 6, "store.lost", ["connection"])
        half = kit.carnet("digest", there, exit=None, as_json=False)
        kit.want(half.returncode != 0, f"{name}: a half copy counts as a store: {half.stdout}")
        moves("  the same command again", here, there)


# Disks and folders.


@contextlib.contextmanager
def small_disk(folder, name, size, read_only=False):
    """A file system of its own, gone afterwards; None where this user may not mount."""
    place = folder / name
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "carnet-test", place], capture_output=True)
    if mounted.returncode != 0:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def read_only(place):
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


def disks(folder, source):
    with small_disk(folder, "probe", "1m") as place:
        if place is None:
            print("SKIPPED: full and read-only disks: this user may not mount", flush=True)
            return
    vectors, rows = kit.synthetic(3_000, 64, seed=3)
    big = kit.write_faiss(folder / "full-source", vectors, rows)
    full_targets(folder, source, big)
    full_snapshots(folder, big)
    full_runs(folder, big)


def more_room(place):
    subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)


def full_targets(folder, source, big):
    """A copy that finds no room is taken back as a whole; the same command afterwards brings all."""
    says = {"sqlite": ["disk is full", "was taken back"], "faiss": ["No space left", "was taken back"]}
    for kind, name in [("sqlite", "store.sqlite"), ("faiss", "store")]:
        # Of several sizes: each ends in another part of the work.
        for size in ("640k", "900k", "1300k"):
            with small_disk(folder, f"full-{kind}-{size}", size) as place:
                target = f"{kind}:{place}/{name}"
                with unharmed(big):
                    refused(f"a full disk of {size}, {kind} target", "copy", big, target, exit=6, code="io.full", says=says[kind])
                nothing_visible(target)
                more_room(place)
                moves("  the same command with room", big, target)
                kit.want(kit.roots(target) == kit.roots(big), f"{target}: another root")
                kit.carnet("copy", source, target, exit=None)
                read_only(place)
                with unharmed(big, folders=[place]):
                    refused(f"a read-only disk, {kind} target", "copy", source, f"{kind}:{place}/other", exit=3, code="store.read_only", says=[str(place)])


def nothing_visible(target):
    half = kit.carnet("digest", target, exit=None, as_json=False)
    kit.want(half.returncode == 6, f"{target}: a half copy counts as a store: {half.stdout}{half.stderr}")


def full_snapshots(folder, big):
    for size in ("100k", "640k"):
        with small_disk(folder, f"full-snapshot-{size}", size) as place:
            words = ("snapshot", "export", big, "--out", place)
            refused(f"a full disk of {size}, snapshot", *words, exit=6, code="io.full", says=[str(place)])
            kit.want(not any(place.iterdir()), f"left of a snapshot without room: {list(place.iterdir())}")
            more_room(place)
            kit.carnet("snapshot", "verify", kit.carnet(*words)["snapshot"])
    archive = kit.carnet("snapshot", "export", big, "--out", folder / "packed", "--archive", "tar")["snapshot"]
    target = f"sqlite:{folder}/unpacked.sqlite"
    size = pathlib.Path(archive).stat().st_size // 1024 + 100
    with small_disk(folder, "full-beside", f"{size}k") as place:
        # It is unpacked beside itself.
        packed = shutil.copy(archive, place)
        refused("a full disk, an archive unpacked", "snapshot", "import", packed, "--to", target, exit=6, code="io.full", says=[str(place)])
        kit.want(len(list(place.iterdir())) == 1, f"left of an archive without room: {list(place.iterdir())}")
        nothing_visible(target)
        more_room(place)
        kit.carnet("snapshot", "import", packed, "--to", target)
        kit.want(kit.roots(target) == kit.roots(big), "another root after the import of an archive")


def full_runs(folder, big):
    """A plan whose folders lie on a full disk, one after the other: all is as it was, and the same
    plan goes through when there is room."""
    kit.write_artifacts(folder / "full-artifacts")
    (folder / "full-artifacts" / "logs" / "long.jsonl").write_text("{}\n" * 400_000)
    for what, size in [("state", "64k"), ("state", "900k"), ("inbox", "640k"), ("artifacts", "640k"), ("archive", "640k")]:
        with small_disk(folder, f"full-{what}-{size}", size) as place:
            home = folder / f"plan-{what}-{size}"
            home.mkdir()
            lies = {name: place if name == what else home / name for name in ("state", "inbox", "artifacts", "archive")}
            (home / "das.env").write_text("VECTOR_ENDPOINT=old\n")

            def on_the_disk(text):
                text = text.replace('" } }\ntarget', f'", artifacts: {folder}/full-artifacts }} }}\ntarget')
                text = text.replace('" } }\nprocess', f'", artifacts: {lies["artifacts"]}/a }} }}\nprocess')
                return text + f'transfer: {{ inbox: {lies["inbox"]}/i }}\ndecommission: {{ archive: {lies["archive"]}/z }}\n'

            target = f"sqlite:{home}/target.sqlite"
            plan = write_plan(home, big, target, on_the_disk)
            words = ("run", plan, "--state", lies["state"] / "s")
            # Behind the cutover nothing is taken back: the run waits, and goes on.
            exit, code = (5, "run.unknown") if what == "archive" else (6, "io.full")
            with unharmed(big):
                refused(f"a full disk of {size}, {what}", *words, exit=exit, code=code, says=[str(place)])
            if what not in ("archive", "state"):
                kit.want(not any(place.iterdir()), f"{what}: left behind: {list(place.rglob('*'))}")
            if what != "archive":
                nothing_visible(target)
                kit.want((home / "das.env").read_text() == "VECTOR_ENDPOINT=old\n", f"{what}: the switch has changed")
            more_room(place)
            done = kit.carnet(*words, cwd=home)
            kit.want(done["status"] == "done", f"{what}: with room the run ends as {done['status']}")
            kit.want(kit.roots(target) == kit.roots(big), f"{what}: another root")


# Plans and passwords.

PLAN = """carnet: v1
migration: bad-input
owner: ops
source: {{ name: lab, knowledge: {{ store: "{source}" }} }}
target: {{ name: prod, knowledge: {{ store: "{target}" }} }}
process: knowledge/v1
cutover:
  switch: {{ env_file: das.env, key: VECTOR_ENDPOINT }}
"""


def write_plan(folder, source, target, change=lambda text: text):
    path = pathlib.Path(folder) / "plan.yaml"
    path.write_text(change(PLAN.format(source=source, target=target)))
    return path


def plans(folder, source):
    place = folder / "plans"
    place.mkdir()
    (place / "das.env").write_text("VECTOR_ENDPOINT=old\n")
    mistakes = {
        "a plan with tabs": (lambda t: t.replace("  switch", "\tswitch"), "plan.syntax", ["tab", "plan.yaml:8"]),
        "a key twice in a plan": (lambda t: t + "owner: other\n", "plan.duplicate_key", ["owner", "plan.yaml:9", "line 3"]),
        "an unknown key": (lambda t: t.replace("owner", "ownr"), "plan.unknown_key", ["ownr", "did you mean"]),
        "a missing key": (lambda t: t.replace("owner: ops\n", ""), "plan.missing", ["owner"]),
        "a way back, which this build cannot enforce here": (lambda t: t + "rollback: { window: PT24H }\n", "plan.unsupported", ["rollback"]),
        "an approval that nobody can sign": (lambda t: t + "approvals: { cutover: { any_of: [a@b.c] } }\n", "plan.conflict", ["cutover", "trust"]),
        "an anchor": (lambda t: t.replace("owner: ops", "owner: &me ops"), "plan.syntax", ["anchor"]),
        "a fraction": (lambda t: t + "validate: { queries: 1.5 }\n", "plan.value", ["fraction"]),
        "a plan that is empty": (lambda t: "", "plan.syntax", ["plan.yaml"]),
        "a password in the value of the switch": (
            lambda t: t.replace("key: VECTOR_ENDPOINT", f"key: VECTOR_ENDPOINT, value: 'postgres://me:{PASSWORD}@db/kb'"),
            "plan.password",
            ["the value, which the evidence records"],
        ),
    }
    for name, (change, code, says) in mistakes.items():
        plan = write_plan(place, source, "sqlite:t.sqlite", change)
        for command in ("check", "run"):
            with unharmed(source, folders=[place]):
                refused(f"{name} ({command})", command, plan, exit=2, code=code, says=says, cwd=place)
    refused("a plan that is not there", "run", place / "no.yaml", exit=2, code="plan.not_found", says=["no.yaml"], cwd=place)


def passwords(folder, source, url18):
    """A password in a URL works, and is nowhere afterwards."""
    place = folder / "password"
    place.mkdir()
    secret = url18.replace("postgres@", f"postgres:{PASSWORD}@")
    outputs = []
    for words in [
        ("copy", source, f"{secret}?table=embeddings"),
        ("digest", f"{secret}?table=embeddings"),
        ("diff", source, f"{secret}?table=embeddings"),
        ("snapshot", "export", f"{secret}?table=embeddings", "--out", place / "out"),
        ("init", "knowledge", "--from", source, "--to", f"{secret}?table=embeddings", "--out", place / "made.yaml"),
    ]:
        for form in ((), ("--json",)):
            done = kit.carnet(*words, *form, exit=None, as_json=False, cwd=place)
            outputs.append((" ".join(map(str, words[:2])), done.stdout + done.stderr))
    leaks = [name for name, text in outputs if PASSWORD in text]
    for path in place.rglob("*"):
        if path.is_file() and PASSWORD.encode() in path.read_bytes():
            leaks.append(str(path.relative_to(place)))
    held = (place / ".carnet").is_dir()
    wrong = [f"it stands in {leak}" for leak in leaks] + ([] if held else ["no evidence was written"])
    ROWS.append(("a password in a URL", 0, "", f"in none of {len(outputs)} outputs, and no file", wrong, str(outputs)))


def scenario(folder):
    vectors, rows = kit.synthetic(COUNT, DIMENSIONS, seed=2)
    good = kit.write_faiss(folder / "good", vectors, rows)
    old_vectors, old_rows = kit.synthetic(20, DIMENSIONS, seed=4)
    old = kit.write_faiss(folder / "old", old_vectors, [{**r, "id": "old-" + r["id"]} for r in old_rows], metric="l2")
    target = f"sqlite:{folder}/target.sqlite"
    kit.carnet("copy", old, target)
    url16, url18 = kit.database(16, "bad_input"), kit.database(18, "bad_input")
    faiss_files(folder, vectors, rows, target)
    faiss_rows(folder, vectors, rows, target)
    sides(folder, good, vectors, rows)
    target_first(folder, vectors, rows)
    odd_ids(folder, vectors, rows)
    tables(folder, url16, target)
    carried(folder, url16)
    servers(folder, good, url16, target)
    lost_connections(folder)
    disks(folder, good)
    plans(folder, good)
    passwords(folder, good, url18)
    report()


def report():
    kit.table(["bad input", "exit", "code", "what is said"], [row[:4] for row in ROWS])
    wrong = [row for row in ROWS if row[4]]
    print(f"\n{len(ROWS) - len(wrong)} of {len(ROWS)} as they should be")
    for name, _, _, _, what, said in wrong:
        print(f"\nWRONG: {name}: {'; '.join(what)}\n{said.strip()}")
    kit.want(not wrong, f"{len(wrong)} bad inputs are not handled as they should be")


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    kit.main(scenario)
