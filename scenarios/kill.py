"""Runs that are killed (kill -9) at random moments and continued: the same root, nothing lost, nothing
doubled, and no half-written file that could be taken for a whole one. Then the failures that must
leave everything as it was: two processes at once, a target that is tampered with, a step that fails.

    scenarios/kill.py                      about 20 kills: random moments, each phase that changes
                                           something at least once, and the loads over other records
                                           and of several collections
    CARNET_TEST_LONG=1 scenarios/kill.py   50 kills at random moments with 1, 2, 4 and 8 workers, and
                                           more inside the phases that they hit less than three times;
                                           then 50 into filled targets and of several collections

Moments are drawn evenly over a whole run that was measured before; a kill that comes after the end does
not count and is drawn again. The phase in which each kill struck is read from the evidence log that
the killed process left. Where chance does not strike often enough, a fault point (the build feature
`faults`) holds the step still, with its intent recorded and its outcome not, until it is killed;
the histogram tells the two apart.
"""

import collections
import hashlib
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import sys
import subprocess
import time

import evidence
import hold
import kit

LONG = bool(os.environ.get("CARNET_TEST_LONG"))
SEED = int(os.environ.get("CARNET_TEST_SEED", "20251"))
# A snapshot is loaded in ranges of at least 8,192 records: the long form has two of them.
COUNT, DIMENSIONS = (12_000, 64) if LONG else (2_000, 64)
WORKERS = (1, 2, 4, 8)
OLD_ENV = "# readers\nVECTOR_ENDPOINT=old-place\nOTHER=1\n"
NEW_ENV = OLD_ENV.replace("old-place", "new-place")

PLAN = """carnet: v1
migration: killed
owner: ops
source: {{ name: lab, knowledge: {{ store: "{source}", artifacts: artifacts }} }}
target: {{ name: prod, knowledge: {{ store: "{target}", artifacts: prod }} }}
process: knowledge/v1
quiesce: {{ flag: pause_ingestion }}
transfer: {{ inbox: inbox }}
cutover:
  switch: {{ env_file: das.env, key: VECTOR_ENDPOINT, value: new-place }}
decommission: {{ archive: archive }}
{more}"""

# The points inside each phase's steps: the intent is recorded, the outcome is not.
POINTS = {
    "prepare": ["before/prepare/describe_source", "after/prepare/describe_target"],
    "quiesce": ["before/quiesce/raise_flag", "after/quiesce/raise_flag", "after/quiesce/pin_source"],
    "export": ["before/export/export_snapshot", "export/written", "after/export/export_snapshot"],
    "transfer": ["transfer/file", "before/transfer/place_snapshot", "after/transfer/place_snapshot"],
    "verify": ["before/verify/rehash_snapshot", "after/verify/rehash_snapshot"],
    "import": [
        "import/range",
        "import/range_written",
        "import/commit",
        "import/committed",
        "after/import/load_records",
        "import/artifact",
    ],
    "validate": ["before/validate/read_back", "after/validate/read_back"],
    "cutover": ["before/cutover/switch", "after/cutover/switch", "before/cutover/lower_flag", "after/cutover/lower_flag"],
    "decommission": ["decommission/file", "before/decommission/archive_snapshot", "after/decommission/archive_snapshot"],
}
MUTATING = ["quiesce", "export", "transfer", "import", "cutover", "decommission"]


def digests(folder):
    """Every file under a folder with the digest of its bytes."""
    folder = pathlib.Path(folder)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


class Pair:
    """One kind of move: where from, where to. `fresh` gives a folder in which nothing has run."""

    more = ""
    tables = ["embeddings"]

    def __init__(self, folder, name):
        self.name, self.folder, self.number = name, folder, 0
        here, there = name.split(",")[0].split(" -> ")
        self.files = self.write_source(folder / "source")
        self.artifacts = kit.write_artifacts(folder / "artifacts")
        self.source, self.there = self.files, there
        if here == "pgvector":
            self.source = kit.database(16, f"kill_source_{folder.name}") + self.query()
            kit.carnet("copy", self.files, self.source, cwd=folder)
        self.database = kit.database(18, f"kill_target_{folder.name}") if there == "pgvector" else None
        self.root = kit.roots(self.source)
        self.before, self.after = {}, self.root
        self.source_files = digests(folder / "source")
        self.took = {}

    def query(self):
        return "?table=embeddings" if len(self.tables) == 1 else ""

    def write_source(self, folder):
        return kit.write_faiss(folder, *kit.synthetic(COUNT, DIMENSIONS, seed=SEED))

    def fresh(self):
        """A folder with the plan, the artifacts and the old switch; the target is as it is before."""
        self.number += 1
        place = self.folder / f"run{self.number}"
        shutil.copytree(self.folder / "artifacts", place / "artifacts")
        (place / "das.env").write_text(OLD_ENV)
        if self.database:
            kit.sql(self.database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION vector")
            self.target = self.database + self.query()
        elif self.there == "SQLite":
            self.target = f"sqlite:{place}/target.sqlite"
        else:
            self.target = f"faiss:{place}/target"
        (place / "plan.yaml").write_text(PLAN.format(source=self.source, target=self.target, more=self.more))
        self.fill()
        return place

    def fill(self):
        """What the target holds before the run: here nothing."""

    def start(self, place, workers, fault=None):
        """Starts a run. It has a process group of its own, so that a kill reaches all of it."""
        command = [kit.setting("CARNET_BIN"), "run", "plan.yaml", "--workers", str(workers), "--json"]
        env = {key: value for key, value in os.environ.items() if key != "CARNET_FAULTS"}
        if fault:
            env["CARNET_FAULTS"] = fault
        log = open(place / "output", "a")
        return subprocess.Popen(command, cwd=place, env=env, stdout=log, stderr=log, start_new_session=True)

    def finish(self, place, workers=2, exit=0, fault=None):
        process = self.start(place, workers, fault)
        status = process.wait(timeout=120)
        kit.want(status == exit, f"{self.name}: the run in {place} ended with {status}, not {exit}:\n{output(place)}")

    # What must hold.

    def half_way(self, place, killed):
        """Right after a kill, before anything else has run."""
        where = f"{self.name}, {killed}"
        kit.want(digests(self.folder / "source") == self.source_files, f"{where}: the source has changed")
        kit.want((place / "das.env").read_text() in (OLD_ENV, NEW_ENV), f"{where}: the env file is half written")
        evidence.verify(place / ".carnet")
        for snapshot in place.rglob("knowledge_snapshot_*"):
            if snapshot.is_dir() and ".partial" not in str(snapshot):
                done = kit.carnet("snapshot", "verify", snapshot, exit=None, as_json=False)
                kit.want(done.returncode == 0, f"{where}: {snapshot} has a whole snapshot's name: {done.stdout}{done.stderr}")
        for name in self.artifacts:
            arrived = place / "prod" / name
            whole = (place / "artifacts" / name).read_bytes()
            kit.want(not arrived.exists() or arrived.read_bytes() == whole, f"{where}: {arrived} is half written")
        self.target_is_none_or_whole(place, where)

    def target_is_none_or_whole(self, place, where):
        """As Carnet sees it, and as other programs see it."""
        done = kit.carnet("digest", self.target, exit=None, as_json=False)
        if done.returncode == 0:
            held = kit.roots(self.target)
            kit.want(held.items() <= self.after.items(), f"{where}: the target is half written: {done.stdout}")
        else:
            kit.want(done.returncode in (3, 6), f"{where}: exit {done.returncode}: {done.stderr}")
        for table, held in self.held_by_others().items():
            kit.want(held in (0, self.count(table)), f"{where}: others see {held} records in {table}")

    def count(self, table):
        """How many records a table must hold in the end."""
        return self.after[table][1]

    def counts(self, roots):
        return {table: roots.get(table, (None, 0))[1] for table in self.tables}

    def held_by_others(self):
        """How many records each table of the target has for a program that knows nothing of Carnet."""
        return {table: self.held_in(table) for table in self.tables}

    def held_in(self, table):
        if self.database:
            there = kit.sql(self.database, f"SELECT to_regclass('public.{table}')")[0][0]
            return kit.sql(self.database, f"SELECT count(*) FROM {table}")[0][0] if there else 0
        path = pathlib.Path(self.target.split(":", 1)[1])
        if not path.exists():
            return 0
        if self.there == "SQLite":
            connection = sqlite3.connect(path)
            try:
                names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
                return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] if table in names else 0
            finally:
                connection.close()
        path = path if table == "embeddings" else path / "collections" / table
        index, rows = path / "index.faiss", path / "metadata.parquet"
        if not (index.exists() and rows.exists()):
            return 0
        counts = kit.faiss.read_index(str(index)).ntotal, kit.pq.ParquetFile(rows).metadata.num_rows
        kit.want(counts[0] == counts[1], f"{counts[0]} vectors beside {counts[1]} rows")
        return counts[0]

    def whole(self, place, killed):
        """After the run went on to its end."""
        where = f"{self.name}, {killed}"
        kit.want(evidence.ended(place / ".carnet") == "done", f"{where}: the run is not done")
        evidence.verify(place / ".carnet")
        kit.want(kit.roots(self.target) == self.after, f"{where}: another root")
        kit.want(self.held_by_others() == self.counts(self.after), f"{where}: {self.held_by_others()} records")
        kit.want((place / "das.env").read_text() == NEW_ENV, f"{where}: the switch is not set")
        kit.want(digests(place / "prod") == digests(place / "artifacts"), f"{where}: other artifacts")
        kit.want(not (place / "pause_ingestion").exists(), f"{where}: the flag is still there")
        (archived,) = (place / "archive").iterdir()
        kit.carnet("snapshot", "verify", archived)
        left = [str(p) for p in place.rglob("*") if any(part in p.name for part in (".partial", ".carnet-", "-carnet-room"))]
        kit.want(not left, f"{where}: left behind: {left}")
        if self.database:
            tables = [row[0] for row in kit.sql(self.database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
            kit.want(sorted(tables) == sorted(["carnet_collections", *self.tables]), f"{where}: tables {tables}")

    def untouched(self, place, why):
        """After a failure before the cutover: everything as it was."""
        where = f"{self.name}, {why}"
        kit.want(digests(self.folder / "source") == self.source_files, f"{where}: the source has changed")
        kit.want(kit.roots(self.source) == self.root, f"{where}: the source has another root")
        kit.want((place / "das.env").read_text() == OLD_ENV, f"{where}: the switch has changed")
        kit.want(not (place / "pause_ingestion").exists(), f"{where}: the writers are still held")
        kit.want(self.held_by_others() == self.counts(self.before), f"{where}: the target holds {self.held_by_others()}")
        left = [name for name in ("inbox", "prod", "archive") if digests(place / name)]
        kit.want(not left, f"{where}: {left} are not empty: {[digests(place / name) for name in left]}")
        evidence.verify(place / ".carnet")

    def measure(self, workers):
        """How long a whole run takes, from its start to its end."""
        place = self.fresh()
        began = time.monotonic()
        self.finish(place, workers)
        self.took[workers] = time.monotonic() - began
        self.whole(place, "not killed")
        self.clear(place)

    def clear(self, place):
        subprocess.run(["chmod", "-R", "u+w", place], check=True)
        shutil.rmtree(place)


class Laid(Pair):
    """A load over other records, in place: they stay, and what is added is added once.

    Of the source's records the target has a part already. With `upsert` some of these have a lower
    version there and are overwritten, others a higher one and stay."""

    def __init__(self, folder, name):
        self.mode = name.rsplit(" ", 1)[1]
        self.more = f"import: {{ mode: {self.mode} }}\n"
        super().__init__(folder, name)
        vectors, rows = kit.synthetic(COUNT, DIMENSIONS, seed=SEED)
        others, other_rows = kit.synthetic(COUNT // 3, DIMENSIONS, seed=SEED + 1)
        new = {row["id"]: (row, vector) for row, vector in zip(rows, vectors)}
        old = {"old-" + row["id"]: ({**row, "id": "old-" + row["id"]}, vector) for row, vector in zip(other_rows, others)}
        self.raised = 0
        for number, (id, (row, vector)) in enumerate(list(new.items())[: COUNT // 2]):
            if self.mode == "upsert" and row["version"] and number % 2:
                raised = number % 4 == 1
                self.raised += raised
                old[id] = ({**row, "version": 0 if raised else 9, "metadata": "{}"}, -vector)
            else:
                old[id] = (row, vector)
        higher = lambda id: (old[id][0]["version"] or 0) < (new[id][0]["version"] or 0)
        union = {**old, **{id: record for id, record in new.items() if id not in old or higher(id)}}
        self.old = self.write(folder / "old", old)
        self.before = kit.roots(self.old)
        self.after = kit.roots(self.write(folder / "union", union))

    def write(self, folder, records):
        rows, vectors = zip(*records.values())
        return kit.write_faiss(folder, kit.np.array(vectors), list(rows))

    def fill(self):
        kit.carnet("copy", self.old, self.target, cwd=self.folder)
        shutil.rmtree(self.folder / ".carnet", ignore_errors=True)

    def target_is_none_or_whole(self, place, where):
        """Records are added and raised in place: what was there is there, and nothing else."""
        (held,) = kit.carnet("diff", self.old, self.target, exit=None)["collections"]
        kit.want(held["only_in_a"] == 0, f"{where}: {held['only_in_a']} old records are lost")
        kit.want(held["differing"] <= self.raised, f"{where}: {held['differing']} old records have changed")
        (left,) = kit.carnet("diff", self.target, self.union_url(), exit=None)["collections"]
        kit.want(left["only_in_a"] == 0, f"{where}: {left['only_in_a']} records are nobody's")
        most = self.raised - held["differing"]
        kit.want(left["differing"] <= most, f"{where}: {left['differing']} records are half raised")
        (seen,) = self.held_by_others().values()
        least, most = self.before["embeddings"][1], self.after["embeddings"][1]
        kit.want(least <= seen <= most, f"{where}: others see {seen} records")

    def union_url(self):
        return f"faiss:{self.folder}/union"


class Several(Pair):
    """Several collections in one run: each is there as a whole, or not."""

    tables = ["embeddings", "notes", "titles"]

    def write_source(self, folder):
        for number, name in enumerate(self.tables):
            place = folder if number == 0 else folder / "collections" / name
            content = kit.synthetic(COUNT // (number + 1), DIMENSIONS // (number + 1), seed=SEED + number)
            kit.write_faiss(place, *content, name=name)
        return f"faiss:{folder}"


def output(place):
    return (place / "output").read_text()[-3_000:]


class Histogram:
    """How often each phase was hit, by workers; how often in mid-effect, by how the moment was chosen."""

    def __init__(self):
        self.hits = collections.Counter()
        self.mid = collections.Counter()
        self.missed = 0

    def add(self, phase, workers, mid, chosen):
        self.hits[phase, workers, chosen] += 1
        if mid:
            self.mid[phase, chosen] += 1

    def mid_effect(self, phase):
        return self.mid[phase, "random"] + self.mid[phase, "fault point"]

    def show(self):
        rows = []
        for phase in ["(before the log)", *POINTS, "(between phases)"]:
            cells = [
                "+".join(str(n) for n in (self.hits[phase, w, "random"], self.hits[phase, w, "fault point"])) for w in WORKERS
            ]
            rows.append((phase, *cells, self.mid[phase, "random"], self.mid[phase, "fault point"]))
        print("\nKills by phase and workers, as RANDOM+FAULT POINT; the last two columns: those in mid-effect")
        kit.table(["phase", *(f"{w} workers" for w in WORKERS), "random", "fault point"], rows)
        kinds = collections.Counter()
        for (_, _, chosen), number in self.hits.items():
            kinds[chosen] += number
        print(f"{kinds['random']} kills at random moments, {kinds['fault point']} at fault points; {self.missed} came too late and do not count")


def struck(place):
    """Where the kill struck: (phase, whether an intent was open)."""
    events = evidence.parsed(place / ".carnet")
    if not any(event.get("context", {}).get("fact") == "start" for event in events):
        return "(before the log)", False
    phase, steps = evidence.standing(place / ".carnet")
    return phase or "(between phases)", bool(steps)


def random_kills(pair, workers, chance, histogram, wanted):
    """Kills at random moments. Now and then the continued run is killed, too."""
    done = 0
    while done < wanted:
        place = pair.fresh()
        kills = []
        again = True
        while again and done < wanted:
            moment = chance.uniform(0, pair.took[workers])
            process = pair.start(place, workers)
            time.sleep(moment)
            if not hold.kill(process):
                histogram.missed += 1
                kit.want(process.returncode == 0, f"{pair.name}: exit {process.returncode}: {output(place)}")
                break
            done += 1
            phase, mid = struck(place)
            histogram.add(phase, workers, mid, "random")
            kills.append(f"killed after {moment:.3f} s in {phase}")
            pair.half_way(place, "; ".join(kills))
            again = chance.random() < 0.25
        if kills:
            pair.finish(place, workers)
            pair.whole(place, "; ".join(kills))
        pair.clear(place)


def kill_at(pair, place, workers, point, nth=1):
    """Kills a run while a fault point holds it, and never before."""
    process = pair.start(place, workers, fault=f"{point}:{nth}:sleep")
    kill_held(process, place, f"{pair.name}: {point}, pass {nth}")


def kill_held(process, place, where):
    hold.wait(process, place / ".carnet", where, lambda: output(place))
    kit.want(hold.kill(process), f"{where}: it had ended")


def point_kill(pair, workers, phase, point, histogram, nth=1):
    place = pair.fresh()
    kill_at(pair, place, workers, point, nth)
    hit, mid = struck(place)
    kit.want((hit, mid) == (phase, True), f"{pair.name}: {point} struck in {hit}, open intent: {mid}")
    statuses = evidence.parts(place / ".carnet").values()
    half = "done" in statuses and "intent" in statuses
    kit.want(half or nth == 1, f"{pair.name}: {point}, pass {nth}, struck at {sorted(statuses)}")
    histogram.add(phase, workers, mid, "fault point")
    said = kit.carnet("status", "plan.yaml", cwd=place, as_json=False).stdout
    kit.want("cut off; `carnet run plan.yaml` goes on" in said, f"{pair.name}: status after a kill: {said}")
    pair.half_way(place, f"killed at {point}")
    pair.finish(place, workers)
    pair.whole(place, f"killed at {point}")
    pair.clear(place)


def two_at_once(pair):
    """The second of two processes is refused; the first, which is only held still, loses nothing."""
    place = pair.fresh()
    first = pair.start(place, 2)
    until = time.monotonic() + 30
    while not evidence.count(place / ".carnet"):
        kit.want(first.poll() is None and time.monotonic() < until, f"the run did not start: {output(place)}")
        time.sleep(0.005)
    os.killpg(first.pid, signal.SIGSTOP)
    try:
        kit.want(evidence.ended(place / ".carnet") is None, "the first run was too fast")
        second = kit.carnet("run", "plan.yaml", exit=3, as_json=False, cwd=place, timeout=60)
        kit.want("run.locked" in second.stderr, f"the second process was not refused by the lock: {second.stderr}")
        status = kit.carnet("status", "plan.yaml", cwd=place, timeout=60)
        kit.want((status["status"], status["at_work"]) == ("running", True), f"status beside a run: {status}")
        kit.want(status.get("process") in (None, first.pid), f"status names another process: {status}")
    finally:
        os.killpg(first.pid, signal.SIGCONT)
    kit.want(first.wait(timeout=120) == 0, f"the first run: {output(place)}")
    pair.whole(place, "two at once")
    again = kit.carnet("run", "plan.yaml", cwd=place)
    kit.want(again["already_done"] is True, f"a run that is done is not left alone: {again}")
    pair.whole(place, "run again")
    pair.clear(place)
    return "the second is refused (run.locked), the first moves all"


def tamper(pair, place):
    """Somebody changes one record of the target between import and validation."""
    if pair.database:
        kit.sql(pair.database, "UPDATE embeddings SET metadata = '{}' WHERE id = (SELECT max(id) FROM embeddings)")
    elif pair.there == "SQLite":
        connection = sqlite3.connect(place / "target.sqlite")
        connection.execute("UPDATE embeddings SET metadata = '{}' WHERE id = (SELECT max(id) FROM embeddings)")
        connection.commit()
        connection.close()
    else:
        path = place / "target" / "index.faiss"
        data = bytearray(path.read_bytes())
        data[-9_000] ^= 1
        path.write_bytes(data)


def tampered(pair):
    place = pair.fresh()
    kill_at(pair, place, 2, "before/validate/read_back")
    tamper(pair, place)
    # The way back is cut off, too.
    kill_at(pair, place, 2, "undo/import/load_records")
    evidence.verify(place / ".carnet")
    pair.finish(place, exit=3)
    said = output(place)
    kit.want("content_root" in said, f"the gate is not named: {said}")
    pair.untouched(place, "tampered with")
    status = kit.carnet("status", "plan.yaml", cwd=place, exit=None)
    kit.want(status["status"] == "refused", f"status after a refusal: {status}")
    # What was refused can be tried again.
    pair.finish(place)
    pair.whole(place, "run again after the refusal")
    pair.clear(place)
    return "exit 3 at gate content_root; all is as it was; the next run moves all"


def failing(pair, point):
    place = pair.fresh()
    process = pair.start(place, 2, fault=f"{point}:1:fail")
    status = process.wait(timeout=120)
    kit.want(status in (3, 6), f"{pair.name}: {point} fails, exit {status}: {output(place)}")
    pair.untouched(place, f"{point} failed")
    pair.finish(place)
    pair.whole(place, f"run again after {point} failed")
    pair.clear(place)


def rolled_back(pair):
    """A rollback that is killed and continued: readers are back at the source."""
    place = pair.fresh()
    pair.finish(place)
    command = [kit.setting("CARNET_BIN"), "rollback", "plan.yaml"]
    env = {**os.environ, "CARNET_FAULTS": "undo/cutover/switch:1:sleep"}
    process = subprocess.Popen(command, cwd=place, env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kill_held(process, place, "the rollback")
    kit.carnet("rollback", "plan.yaml", cwd=place)
    kit.want((place / "das.env").read_text() == OLD_ENV, "the env file is not as it was")
    kit.want(not (place / "pause_ingestion").exists(), "the flag is still there")
    kit.want(kit.roots(pair.target) == pair.root, "a rollback behind the cutover keeps the target")
    evidence.verify(place / ".carnet")
    pair.clear(place)
    return "killed and continued: readers are back at the source"


def kills(pairs, chance):
    histogram = Histogram()
    plan = collections.Counter()
    if LONG:
        for number in range(50):
            plan[number % len(pairs), WORKERS[number // len(pairs) % len(WORKERS)]] += 1
    else:
        for number in range(6):
            plan[number % len(pairs), WORKERS[number % len(WORKERS)]] += 1
    for (number, workers), wanted in sorted(plan.items()):
        if workers not in pairs[number].took:
            pairs[number].measure(workers)
        random_kills(pairs[number], workers, chance, histogram, wanted)
        print(f"{pairs[number].name}, {workers} workers: {wanted} random kills, a run takes {pairs[number].took[workers]:.2f} s", flush=True)
    turn = 0
    for phase, points in POINTS.items():
        least = 3 if LONG else 1 if phase in MUTATING else 0
        number = 0
        while histogram.mid_effect(phase) < least:
            pair = pairs[turn % len(pairs)]
            point_kill(pair, WORKERS[turn % len(WORKERS)], phase, points[number % len(points)], histogram)
            number, turn = number + 1, turn + 1
    histogram.show()
    for phase in POINTS:
        least = 3 if LONG else 1 if phase in MUTATING else 0
        kit.want(histogram.mid_effect(phase) >= least, f"{phase} was hit {histogram.mid_effect(phase)} times")


def other_loads(folder, chance):
    """Loads over other records and of several collections: killed inside the import, and at random
    moments."""
    kinds = [
        (Laid, "FAISS -> SQLite, append"),
        (Laid, "FAISS -> SQLite, upsert"),
        (Laid, "FAISS -> pgvector, append"),
        (Laid, "FAISS -> pgvector, upsert"),
        (Several, "FAISS -> SQLite, several collections"),
        (Several, "FAISS -> pgvector, several collections"),
    ]
    if LONG:
        kinds += [(Laid, "FAISS -> FAISS, append"), (Laid, "FAISS -> FAISS, upsert")]
        kinds += [(Several, "pgvector -> FAISS, several collections")]
        kinds += [(Laid, "pgvector -> pgvector, append"), (Laid, "pgvector -> pgvector, upsert")]
        kinds += [(Several, "pgvector -> pgvector, several collections")]
    histogram = Histogram()
    for number, (kind, name) in enumerate(kinds):
        place = folder / f"other{number}"
        place.mkdir()
        pair = kind(place, name)
        points = POINTS["import"][:-1] if LONG else [POINTS["import"][(number + 2) % 5]]
        for turn, point in enumerate(points):
            # Where it is passed more than once, also at a later pass: a part is done, another is not.
            repeats = point == "import/range_written" or len(pair.tables) > 1
            point_kill(pair, WORKERS[(number + turn) % 4], "import", point, histogram, nth=1 + turn % 2 if repeats else 1)
        workers = WORKERS[number % 4]
        pair.measure(workers)
        random_kills(pair, workers, chance, histogram, 3 if LONG else 1)
        print(f"{name}: killed and continued, the same root", flush=True)
        kit.want(kit.roots(pair.source) == pair.root, f"{name}: the source has changed")
    histogram.show()


def scenario(folder):
    names = sys.argv[1:] or ["FAISS -> SQLite", "FAISS -> pgvector", "pgvector -> FAISS"]
    pairs = []
    for number, name in enumerate(names):
        place = folder / f"pair{number}"
        place.mkdir()
        pairs.append(Pair(place, name))
    kills(pairs, random.Random(SEED))
    other_loads(folder, random.Random(SEED + 1))
    rows = []
    for pair in pairs if LONG else pairs[:1]:
        rows.append((pair.name, "two processes at once", two_at_once(pair)))
        rows.append((pair.name, "rollback", rolled_back(pair)))
    for pair in pairs:
        rows.append((pair.name, "the target is tampered with", tampered(pair)))
    points = [point for phase in ("quiesce", "export", "transfer", "import", "validate") for point in POINTS[phase]]
    failed = points if LONG else ["after/import/load_records", "import/artifact", "transfer/file"]
    for number, point in enumerate(failed):
        failing(pairs[number % len(pairs)], point)
    rows.append(("all", f"a step fails, at each of {len(failed)} points", "all is as it was; the next run moves all"))
    print()
    kit.table(["move", "what happens", "what came of it"], rows)
    for pair in pairs:
        kit.want(kit.roots(pair.source) == pair.root, f"{pair.name}: the source has changed")


kit.main(scenario)
