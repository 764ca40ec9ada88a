"""The test sequence of the requirements (section 11, items 1 to 5) on each store: 500 synthetic
embeddings and artifacts, export, delete the store, import, all ids present, 20 random queries with
the same top 5 (another order only among equal distances)."""

import pathlib
import random
import shutil

import kit

COUNT, QUERIES, K = 500, 20, 5


def queries(store, ids):
    chosen = random.Random(11).sample(sorted(ids), QUERIES)
    return {
        record: [(hit["id"], hit["distance"]) for hit in kit.carnet("query", store, "--vector-of", record, "-k", K)["hits"]]
        for record in chosen
    }


def same_hits(before, after):
    """Equal sets; another order, or another last member, only where distances tie."""
    for record, old in before.items():
        new = after[record]
        kit.want(len(old) == len(new) == K, f"{record}: {len(old)} and {len(new)} hits")
        for (old_id, old_distance), (new_id, new_distance) in zip(old, new):
            near = abs(float(old_distance) - float(new_distance)) <= 1e-5
            kit.want(near, f"{record}: {old_id} at {old_distance}, {new_id} at {new_distance}")
        tied = abs(float(old[-1][1]) - float(old[-2][1])) <= 1e-5
        kit.want(tied or {i for i, _ in old} == {i for i, _ in new}, f"{record}: {old} and {new}")


def delete(store):
    kind, _, place = store.partition(":")
    if kind == "faiss":
        shutil.rmtree(place)
    elif kind == "sqlite":
        for name in pathlib.Path(place).parent.glob(pathlib.Path(place).name + "*"):
            name.unlink()
    else:
        url = store.split("?")[0]
        kit.sql(url, "DROP TABLE embeddings; DROP TABLE carnet_collections")


def sequence(folder, kind, store):
    vectors, rows = kit.synthetic(COUNT)
    made = kit.write_faiss(folder / f"made-{kind}", vectors, rows)
    artifacts = kit.write_artifacts(folder / f"artifacts-{kind}")
    kit.carnet("copy", made, store)
    ids = {row["id"] for row in rows}
    root = kit.roots(store)
    before = queries(store, ids)
    out = folder / f"out-{kind}"
    kit.carnet("snapshot", "export", store, "--out", out, "--artifacts", folder / f"artifacts-{kind}")
    (snapshot,) = out.glob("knowledge_snapshot_*")
    kit.carnet("snapshot", "verify", snapshot)
    delete(store)
    if kind in ("faiss", "sqlite"):
        kit.carnet("digest", store, exit=6)
    installed = folder / f"installed-{kind}"
    kit.carnet("snapshot", "import", snapshot, "--to", store, "--artifacts", installed)
    kit.want(kit.roots(store) == root, f"{kind}: another root")
    kit.want(root["embeddings"][1] == len(ids) == COUNT, f"{kind}: {root}")
    for name in artifacts:
        kit.want((installed / name).is_file(), f"{kind}: {name} did not arrive")
    same_hits(before, queries(store, ids))
    return root["embeddings"][0]


def scenario(folder):
    stores = {
        "faiss": f"faiss:{folder / 'faiss-store'}",
        "sqlite": f"sqlite:{folder / 'store.sqlite'}",
        "pgvector 16": kit.database(16, "sequence") + "?table=embeddings",
        "pgvector 18": kit.database(18, "sequence") + "?table=embeddings",
    }
    found = {kind: sequence(folder, kind, store) for kind, store in stores.items()}
    kit.table(["store", "root"], sorted(found.items()))
    kit.want(len(set(found.values())) == 1, "the stores gave different roots")


kit.main(scenario)
