"""What every scenario needs: the program, real stores, made-up knowledge, and a way to fail.

Settings come from the environment: CARNET_BIN (the binary), CARNET_TEST_PG16 and CARNET_TEST_PG18
(admin URLs of servers with pgvector). `./test` sets them; `./test --serve` leaves them running.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import faiss
import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parent.parent
REAL_DATA = ROOT / "examples" / "quickstart" / "knowledge"
MODEL = {"name": "synthetic", "revision": "1"}
# One step behind one gate: `.format(kind=…, rule=…)`.
BEHIND_A_GATE = """carnet: v1
migration: gated
owner: ops
phases:
  - name: go
    entry:
      - gate: {kind}
        name: asked
        with: {rule}
    steps:
      - {{ name: step, capability: file.copy, with: {{ from: plan.yaml, to: made }} }}
    exit:
      - {{ gate: file, name: made, with: {{ path: made }} }}
"""


def setting(name):
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{name} is not set: run ./test, or ./test --serve and . .test-servers/env")
    return value


def carnet(*words, exit=0, as_json=True, env=None, cwd=None, timeout=600):
    """Runs the program, wants an exit status, gives its JSON (or text)."""
    command = [setting("CARNET_BIN"), *map(str, words)] + (["--json"] if as_json else [])
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=timeout, env={**os.environ, **(env or {})}
    )
    if exit is not None and done.returncode != exit:
        fail(f"{' '.join(command)}\nended with {done.returncode}, not {exit}\n{done.stdout}\n{done.stderr}")
    if not as_json:
        return done
    try:
        return json.loads(done.stdout) if done.stdout.strip() else {}
    except ValueError:
        fail(f"{' '.join(command)}\ndid not print JSON:\n{done.stdout}\n{done.stderr}")


def judged(folder, kind, rule, env=None, exit=None):
    """Runs a plan with this gate before its step. Gives the gate as the run reports it."""
    shutil.rmtree(folder / ".carnet", ignore_errors=True)
    (folder / "made").unlink(missing_ok=True)
    (folder / "plan.yaml").write_text(BEHIND_A_GATE.format(kind=kind, rule=json.dumps(rule)))
    carnet("run", "plan.yaml", cwd=folder, env=env, exit=exit, as_json=False)
    said = carnet("status", "plan.yaml", cwd=folder, env=env)
    (gate,) = [gate for gate in said["gates"] if gate["gate"] == "asked"]
    return gate, (folder / "made").exists()


def kill_at(point, *words, cwd=None, limit=180):
    """Starts the program, and kills it (kill -9) when it has reached a point."""
    env = {**os.environ, "CARNET_FAULTS": f"{point}:1:sleep"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [setting("CARNET_BIN"), *map(str, words), "--json"],
            cwd=cwd, env=env, stdout=log, stderr=log, start_new_session=True,
        )
        deadline = time.monotonic() + limit
        while not held(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                log.seek(0)
                fail(f"{point} never struck: {process.wait()}\n{log.read()}")
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def held(pid):
    """Whether a fault holds a thread of this process."""
    for name in pathlib.Path(f"/proc/{pid}/task").glob("*/comm"):
        with contextlib.suppress(OSError):
            if name.read_text().strip() == "carnet-held":
                return True
    return False


def free_port():
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def fail(message):
    print(f"FAILED: {message}", file=sys.stderr)
    sys.exit(1)


def want(holds, message):
    if not holds:
        fail(message)


@contextlib.contextmanager
def workspace():
    """A folder that is gone afterwards; the program's state goes there too."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="carnet-scenario-"))
    here = os.getcwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(here)
        shutil.rmtree(folder, ignore_errors=True)


_databases = []


def database(version, name):
    """A fresh database with pgvector on the server of a major version; gives its URL."""
    admin = setting(f"CARNET_TEST_PG{version}")
    name = f"{name}_{os.getpid()}"
    with contextlib.closing(psycopg2.connect(admin)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
    url = admin.rsplit("/", 1)[0] + "/" + name
    sql(url, "CREATE EXTENSION vector")
    _databases.append((admin, name))
    return url


def drop_databases():
    for admin, name in _databases:
        with contextlib.closing(psycopg2.connect(admin)) as connection:
            connection.autocommit = True
            connection.cursor().execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    _databases.clear()


def sql(url, statement, values=None):
    """Runs SQL; gives the rows, if there are any."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else None


METADATA_SHAPES = [
    lambda n: {"n": n, "applicable_to": ["debian", ["nested", n]], "score": 0.1 + n / 1000},
    lambda n: {"big": 9007199254740993 + n, "negative": -(2**70) - n, "text": "naïve 日本 😀"},
    lambda n: {"empty": {}, "list": [], "none": None, "yes": True, "tiny": 1e-7, "quote": '"\\\n'},
    lambda n: {"deep": {"er": [{"a": [1, 2, {"b": "c"}]}]}, "hundred": 100.0},
]


def synthetic(count, dimensions=32, seed=1):
    """Ids, vectors and rows of metadata; unit length, the same for the same seed."""
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((count, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [
        {
            "id": f"rec-{(n * 7919) % count:06d}" if n % 5 else f"é😀 {n}",
            "metadata": json.dumps(METADATA_SHAPES[n % 4](n), ensure_ascii=bool(n % 2)),
            "version": n % 3 if n % 7 else None,
            "source_hash": f"{n:064x}" if n % 4 else None,
            "created_ts": 1_700_000_000_000_000 + n,
            "updated_ts": None if n % 6 == 0 else 1_700_000_000_000_001 + n,
        }
        for n in range(count)
    ]
    return vectors, rows


METADATA_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("metadata", pa.string()),
        ("version", pa.int64()),
        ("source_hash", pa.string()),
        ("created_ts", pa.timestamp("us", tz="UTC")),
        ("updated_ts", pa.timestamp("us", tz="UTC")),
    ]
)


def write_faiss(folder, vectors, rows, metric="inner_product", model=MODEL, index=None, name="embeddings"):
    """A FAISS store as others write it: faiss-cpu and pyarrow, and the contract beside it."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if index is None:
        index = (faiss.IndexFlatIP if metric != "l2" else faiss.IndexFlatL2)(vectors.shape[1])
        index.add(vectors)
    faiss.write_index(index, str(folder / "index.faiss"))
    pq.write_table(pa.Table.from_pylist(rows, schema=METADATA_SCHEMA), folder / "metadata.parquet")
    contract = {
        "name": name,
        "dimensions": vectors.shape[1],
        "metric": metric,
        "normalisation": "unit_length",
        "embedding_model": model,
    }
    (folder / "collection.json").write_text(json.dumps(contract))
    return f"faiss:{folder}"


def write_artifacts(folder):
    """A small knowledge layer: every kind of artifact of the requirements."""
    files = {
        "bpmn/order_v1.bpmn": "<definitions xmlns='http://www.omg.org/spec/BPMN/20100524/MODEL'/>",
        "prompts/résumé_v2.yaml": "prompt: résumé\n",
        "patterns/pattern_catalog_v3.yaml": "patterns: []\n",
        "examples/examples_v1.jsonl": '{"q":1}\n',
        "domains/domain_profiles.jsonl": '{"domain":"debian"}\n',
        "logs/generation_events.jsonl": '{"event":"kernel_starting"}\n',
    }
    for name, text in files.items():
        path = pathlib.Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return files


def roots(store, **options):
    """Collection name -> (root, records) as `carnet digest` gives them."""
    return {
        c["name"]: (c["root"], c["records"]) for c in carnet("digest", store, **options)["collections"]
    }


def table(head, rows):
    """A table in plain text that fits what it holds."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())


def main(scenario):
    """Runs one scenario and cleans up whatever happens."""
    try:
        with workspace() as folder:
            scenario(folder)
    finally:
        drop_databases()
    print("ok")
