#!/usr/bin/env python3
"""Measures Carnet against the tools that a user would pick instead, in one run, as ratios.

    benches/run.py [--records 50000] [--rounds 5] [--only export,move,digest,verify,start]

Needs the servers of `./test --serve` (then: . .test-servers/env) and a release build. Each round runs
every contender once, in turn, so that a slow moment of the machine hits all; medians are compared.
Peak memory is the largest RssAnon seen of the program (polled every 2 ms): memory-mapped files are
not in it.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scenarios"))
os.environ.setdefault(
    "CARNET_BIN", str(pathlib.Path(__file__).resolve().parent.parent / "target/release/carnet")
)
import kit  # noqa: E402

DIMENSIONS = 384
GOALS = {"export": 1.3, "move": 1.5, "digest": 1.2, "verify": 1.2}


def make_source(folder, count):
    """A FAISS store with `count` records of 384 dimensions and about 230 bytes of metadata."""
    import faiss
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    random = np.random.default_rng(7)
    index = faiss.IndexFlatIP(DIMENSIONS)
    for start in range(0, count, 50_000):
        block = random.standard_normal((min(50_000, count - start), DIMENSIONS), dtype=np.float32)
        index.add(block / np.linalg.norm(block, axis=1, keepdims=True))
    faiss.write_index(index, str(folder / "index.faiss"))
    with pq.ParquetWriter(folder / "metadata.parquet", kit.METADATA_SCHEMA) as writer:
        for start in range(0, count, 50_000):
            numbers = range(start, min(start + 50_000, count))
            rows = {
                "id": [f"doc:{n:09d}" for n in numbers],
                "metadata": [
                    json.dumps(
                        {
                            "applicable_to": ["debian", "testing"],
                            "doc_id": 9007199254740993 + n,
                            "domain": f"domain-{n % 97}",
                            "score": (n % 1000) / 1000,
                            "summary": f"The description of package {n}, as its maintainer wrote it for others",
                            "type": "domain_knowledge",
                        }
                    )
                    for n in numbers
                ],
                "version": [1] * len(numbers),
                "source_hash": [f"{n * 2654435761 % 2**64:064x}" for n in numbers],
                "created_ts": [1_700_000_000_000_000 + n for n in numbers],
                "updated_ts": [1_700_000_000_000_000 + n for n in numbers],
            }
            writer.write_table(pa.Table.from_pydict(rows, schema=kit.METADATA_SCHEMA))
    contract = {
        "name": "embeddings",
        "dimensions": DIMENSIONS,
        "metric": "inner_product",
        "normalisation": "unit_length",
        "embedding_model": kit.MODEL,
    }
    (folder / "collection.json").write_text(json.dumps(contract))
    return f"faiss:{folder}"


def anonymous_kib(pid):
    try:
        for line in open(f"/proc/{pid}/status", encoding="ascii"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def timed(command, shell=False):
    """Wall seconds, and the peak of anonymous memory in MiB of the first process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command if shell else [str(word) for word in command],
        shell=shell,
        executable="/bin/bash" if shell else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous_kib(process.pid))
        time.sleep(0.002)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}: {process.stderr.read().decode()[-2000:]}")
    return seconds, peak / 1024


def hash_alone(paths):
    """SHA-256 of the same bytes on all cores, in spans: the least that any digest must cost."""
    span = 8 << 20
    spans = [(p, at) for p in paths for at in range(0, p.stat().st_size, span)]

    def one(job):
        path, at = job
        with open(path, "rb", buffering=0) as file:
            file.seek(at)
            hashlib.sha256(file.read(span)).digest()

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, spans))
    return time.perf_counter() - started, 0


def compare(name, contenders, rounds, before=None):
    """Runs all contenders in turn; prints medians and ratios to the one called `base`."""
    times = {key: [] for key in contenders}
    peaks = dict.fromkeys(contenders, 0)
    for _ in range(rounds):
        for key, run in list(contenders.items()):
            if before:
                before()
            try:
                seconds, peak = run()
            except (RuntimeError, OSError) as error:
                print(f"  {key}: did not run: {str(error).strip()[-300:]}")
                del contenders[key], times[key]
                continue
            times[key].append(seconds)
            peaks[key] = max(peaks[key], peak)
    base = next(key for key in times if key.startswith("base"))
    least = statistics.median(times[base])
    print(f"\n{name}")
    kit.table(
        ["what", "median s", "min", "max", "ratio", "peak MiB"],
        [
            (
                key.removeprefix("base: "),
                f"{statistics.median(seen):.3f}",
                f"{min(seen):.3f}",
                f"{max(seen):.3f}",
                f"{statistics.median(seen) / least:.2f}",
                f"{peaks[key]:.0f}" if peaks[key] else "",
            )
            for key, seen in times.items()
        ],
    )
    goal = GOALS.get(name.split(":")[0])
    if goal:
        ours = next(key for key in times if key.startswith("carnet"))
        ratio = statistics.median(times[ours]) / least
        print(f"goal: {goal:.1f} x; {'met' if ratio <= goal else 'fell short'} ({ratio:.2f} x)")
    sys.stdout.flush()


class Bench:
    def __init__(self, folder, options):
        self.folder, self.rounds = folder, options.rounds
        self.carnet = os.environ["CARNET_BIN"]
        self.faiss = make_source(folder / "faiss", options.records)
        self.a, self.b = kit.database(16, "bench_a"), kit.database(18, "bench_b")
        self.psql = pathlib.Path(kit.setting("CARNET_TEST_PG18_BIN")) / "psql"
        self.path = f"PATH={kit.setting('CARNET_TEST_PG18_BIN')}:$PATH"
        kit.carnet("copy", self.faiss, f"{self.a}?table=embeddings", timeout=3600)

    def run(self, *words):
        return lambda: timed([self.carnet, "--state", self.folder / "state", *words])

    def fresh(self, path):
        shutil.rmtree(path, ignore_errors=True)
        return path

    def reset_target(self):
        kit.sql(self.b, "DROP TABLE IF EXISTS embeddings, raw, carnet_collections")
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        shutil.rmtree(self.folder / "out", ignore_errors=True)

    def export(self):
        out = shlex.quote(str(self.folder / "raw.bin"))
        order = "(SELECT * FROM embeddings ORDER BY id COLLATE \"C\")"

        def copy(what):
            text = f"\\copy {what} TO {out} (FORMAT binary)"
            return lambda: timed([self.psql, self.a, "-qc", text])

        compare(
            "export: snapshot with digests, against a raw binary COPY to a file",
            {
                "base: \\copy, unordered": copy("embeddings"),
                "\\copy, ORDER BY id": copy(order),
                "carnet snapshot export": self.run(
                    "snapshot", "export", f"{self.a}?table=embeddings", "--out", self.folder / "out"
                ),
            },
            self.rounds,
            self.reset_target,
        )

    def move(self):
        psql = shlex.quote(str(self.psql))
        columns = "id text COLLATE \"C\" PRIMARY KEY, embedding vector(384), metadata jsonb, version bigint, source_hash text, created_ts timestamptz, updated_ts timestamptz"

        def pipe():
            kit.sql(self.b, f"CREATE TABLE raw ({columns})")
            return timed(
                f"set -o pipefail; {psql} {self.a} -qc 'COPY embeddings TO STDOUT (FORMAT binary)' | "
                f"{psql} {self.b} -qc 'COPY raw FROM STDIN (FORMAT binary)'",
                shell=True,
            )

        def dump():
            return timed(
                f"set -o pipefail; {self.path} pg_dump -t embeddings {self.a} | {self.path} psql -q {self.b}",
                shell=True,
            )

        def pgcopydb():
            if not shutil.which("pgcopydb"):
                raise RuntimeError("pgcopydb is not installed (apt-get install pgcopydb)")
            kit.sql(self.b, "DROP EXTENSION vector CASCADE")
            work = self.fresh(self.folder / "pgcopydb")
            try:
                return timed(
                    f"{self.path} pgcopydb clone --source {self.a} --target {self.b} --dir {work} "
                    "--table-jobs 2 --index-jobs 2 --not-consistent",
                    shell=True,
                )
            finally:
                kit.sql(self.b, "CREATE EXTENSION IF NOT EXISTS vector")

        compare(
            "move: pgvector 16 to pgvector 18, both sides read back and compared, against the unverified pipe",
            {
                "base: binary COPY pipe, not verified": pipe,
                "pg_dump | psql, not verified": dump,
                "pgcopydb clone, not verified": pgcopydb,
                "carnet copy, verified": self.run(
                    "copy", f"{self.a}?table=embeddings", f"{self.b}?table=embeddings"
                ),
            },
            self.rounds,
            self.reset_target,
        )

    def files(self, folder):
        return sorted(path for path in folder.rglob("*") if path.is_file())

    def digest(self):
        files = self.files(self.folder / "faiss")
        compare(
            "digest: a FAISS store, against SHA-256 of the same bytes on all cores",
            {
                "base: the hash alone, all cores": lambda: hash_alone(files),
                "sha256sum": lambda: timed(["sha256sum", *files]),
                "carnet digest": self.run("digest", self.faiss),
            },
            self.rounds,
        )

    def verify(self):
        out = self.folder / "verify"
        kit.carnet("snapshot", "export", self.faiss, "--out", out, timeout=3600)
        (snapshot,) = out.glob("knowledge_snapshot_*")
        files = self.files(snapshot)
        compare(
            "verify: a snapshot, against SHA-256 of the same bytes on all cores",
            {
                "base: the hash alone, all cores": lambda: hash_alone(files),
                "sha256sum -c": lambda: timed(
                    f"cd {shlex.quote(str(snapshot))} && sha256sum --quiet -c checksums.sha256", shell=True
                ),
                "carnet snapshot verify": self.run("snapshot", "verify", snapshot),
            },
            self.rounds,
        )

    def start(self):
        seen = sorted(timed([self.carnet, "--version"])[0] for _ in range(20))
        print(f"\nstart-up: median of 20: {seen[10] * 1000:.1f} ms (goal 20 ms)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="start,export,move,digest,verify")
    options = parser.parse_args()
    print(f"{options.records} records of {DIMENSIONS} dimensions, {options.rounds} rounds, {os.cpu_count()} cores")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="carnet-bench-"))
    try:
        bench = Bench(folder, options)
        for part in options.only.split(","):
            getattr(bench, part)()
        print("\nvdf-io 0.1.248: not measured: it has no connector for pgvector, SQLite or FAISS files")
    finally:
        kit.drop_databases()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
