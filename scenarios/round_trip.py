"""Real data goes FAISS -> pgvector -> SQLite -> FAISS, with a snapshot from each: four equal roots,
four byte-identical embeddings.parquet; faiss-cpu reads the last index and finds the same vectors bit
for bit; pyarrow reads the Parquet; hard metadata survives, also through jsonb."""

import decimal
import hashlib
import json

import faiss
import pyarrow.parquet as pq

import kit

EPOCH = {"SOURCE_DATE_EPOCH": "1755012600"}


def vectors_by_id(folder):
    index = faiss.read_index(str(folder / "index.faiss"))
    ids = pq.read_table(folder / "metadata.parquet", columns=["id"]).column("id").to_pylist()
    kit.want(index.ntotal == len(ids), f"{index.ntotal} vectors, {len(ids)} rows")
    base = faiss.downcast_index(index.index) if hasattr(index, "index") else index
    held = base.reconstruct_n(0, index.ntotal)
    return {record: held[row].tobytes() for row, record in enumerate(ids)}


def metadata_by_id(path):
    rows = pq.read_table(path, columns=["id", "metadata"]).to_pylist()
    # Decimal keeps each number as it is written.
    return {r["id"]: json.loads(r["metadata"], parse_float=decimal.Decimal) for r in rows}


def scenario(folder):
    source = kit.REAL_DATA
    stops = [
        f"faiss:{source}",
        kit.database(16, "trip") + "?table=embeddings",
        f"sqlite:{folder / 'trip.sqlite'}",
        kit.database(18, "trip") + "?table=embeddings",
        f"faiss:{folder / 'back'}",
    ]
    for here, there in zip(stops, stops[1:]):
        moved = kit.carnet("copy", here, there)
        kit.want(moved["equal"] is True, f"{here} to {there}: {moved}")
        kit.carnet("diff", here, there)
    rows = []
    for number, store in enumerate(stops):
        out = folder / f"out{number}"
        kit.carnet("snapshot", "export", store, "--out", out, "--env", "lab", env=EPOCH)
        (snapshot,) = out.glob("knowledge_snapshot_*")
        parquet = (snapshot / "embeddings.parquet").read_bytes()
        ((root, records),) = kit.roots(store).values()
        rows.append((store.split(":")[0], records, root[:16], hashlib.sha256(parquet).hexdigest()[:16]))
    kit.table(["store", "records", "root", "embeddings.parquet"], rows)
    kit.want(len({row[2] for row in rows}) == 1, "the roots differ")
    kit.want(len({row[3] for row in rows}) == 1, "the Parquet files differ")

    kit.want(vectors_by_id(source) == vectors_by_id(folder / "back"), "faiss-cpu sees other vectors")
    before, after = (metadata_by_id(p / "metadata.parquet") for p in (source, folder / "back"))
    kit.want(before == after, "the metadata differ")
    hard = json.dumps(list(before.values()), default=str)
    for shape in ["900719925474", "\\u00", "["]:
        kit.want(shape in hard, f"the data no longer has {shape}: the test proves nothing")


kit.main(scenario)
