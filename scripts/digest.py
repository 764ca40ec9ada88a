#!/usr/bin/env python3
"""Record digests and collection roots, a second time.

Written from docs/formats.md and independent of the Rust code: where both agree, the text is
enough to implement the digest.

    digest.py FILE.parquet     a Parquet file with the columns of a snapshot
    digest.py DIRECTORY        a FAISS store: index.faiss and metadata.parquet
    digest.py --vectors DIR    the test vectors: exit 1 if one is not reproduced

Prints one JSON object: records, dimensions, root.
"""

import hashlib
import json
import struct
import sys
from decimal import Decimal
from pathlib import Path

INTEGER_DIGITS_MAX = 400


class Refused(ValueError):
    """The input has no canonical form."""


# Canonical metadata


class Number(str):
    """A number as it stands in the text."""


def canonical(text):
    """The canonical form of metadata: a JSON object."""

    def once(pairs):
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise Refused("a key stands twice")
        return dict(pairs)

    def constant(name):
        raise Refused(f"{name} is not JSON")

    value = json.loads(
        text,
        object_pairs_hook=once,
        parse_int=Number,
        parse_float=Number,
        parse_constant=constant,
    )
    if not isinstance(value, dict):
        raise Refused("metadata is an object")
    return write(value)


def write(value):
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Number):
        return number(value)
    if isinstance(value, str):
        return string(value)
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    # utf-16-be bytes order as code units do.
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(string(key) + ":" + write(value[key]) for key in keys) + "}"


ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def string(text):
    out = []
    for c in text:
        if "\ud800" <= c <= "\udfff":
            raise Refused("half of a surrogate pair")
        if c in ESCAPES:
            out.append(ESCAPES[c])
        elif c < " ":
            out.append(f"\\u{ord(c):04x}")
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def number(token):
    """By exact decimal value: integers as digits, others as the nearest double, if it is equal."""
    value = Decimal(token)
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return "0"
    trailing = len(text) - len(text.rstrip("0"))
    text, exponent = text.rstrip("0"), exponent + trailing
    minus = "-" if sign else ""
    if exponent >= 0:
        if len(text) + exponent > INTEGER_DIGITS_MAX:
            raise Refused("an integer of too many digits")
        return minus + text + "0" * exponent
    shortest = ecmascript(abs(float(token)))
    if Decimal(shortest) != value.copy_abs():
        raise Refused("a number that no double holds")
    return minus + shortest


def ecmascript(value):
    """Number::toString of ECMA-262 for a positive finite double."""
    if value == 0 or value == float("inf"):
        raise Refused("a number that no double holds")
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(text)
    k, n = len(text), len(text) + exponent
    if k <= n <= 21:
        return text + "0" * (n - k)
    if 0 < n <= 21:
        return text[:n] + "." + text[n:]
    if -6 < n <= 0:
        return "0." + "0" * -n + text
    e = ("+" if n > 0 else "-") + str(abs(n - 1))
    return text[0] + ("." + text[1:] if k > 1 else "") + "e" + e


# Record digest and collection root


def layout(id, vector, metadata, version, source_hash, created_ts, updated_ts):
    """The bytes of a record; `vector` is its elements as little-endian bytes."""

    def text(value):
        raw = value.encode()
        return struct.pack("<I", len(raw)) + raw

    def integer(value):
        return b"\0" if value is None else b"\1" + struct.pack("<q", value)

    return b"".join(
        [
            b"carnet-record-v1\0",
            text(id),
            struct.pack("<I", len(vector) // 4),
            vector,
            text(metadata),
            integer(version),
            b"\0" if source_hash is None else b"\1" + text(source_hash),
            integer(created_ts),
            integer(updated_ts),
        ]
    )


def sha256(data):
    return hashlib.sha256(data).digest()


def root(leaves):
    """The root of RFC 6962, section 2.1, over leaf hashes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:]))


def collection_root(digests):
    """`digests` maps ids to record digests."""
    order = sorted(digests, key=lambda id: id.encode())
    return root([sha256(b"\0" + digests[id]) for id in order]).hex()


# Stores


def columns_of(table):
    import pyarrow as pa

    def times(name):
        if name not in table.column_names:
            return [None] * len(table)
        column = table[name].cast(pa.timestamp("us", tz="UTC"))
        return column.cast(pa.int64()).to_pylist()

    def plain(name):
        return table[name].to_pylist() if name in table.column_names else [None] * len(table)

    return (
        plain("id"),
        plain("metadata"),
        plain("version"),
        plain("source_hash"),
        times("created_ts"),
        times("updated_ts"),
    )


def parquet_vectors(table):
    import numpy

    flat = table["vector"].combine_chunks()
    if hasattr(flat, "chunks"):
        flat = flat.chunk(0)
    values = flat.flatten().to_numpy(zero_copy_only=False)
    if values.dtype != numpy.float32:
        raise Refused(f"vectors of {values.dtype}")
    return values.reshape(len(table), -1)


def faiss_vectors(directory, table):
    import faiss
    import numpy

    index = faiss.read_index(str(directory / "index.faiss"))
    ids = None
    if hasattr(index, "id_map"):
        ids = faiss.vector_to_array(index.id_map)
        index = faiss.downcast_index(index.index)
    vectors = index.reconstruct_n(0, index.ntotal)
    if ids is None:
        return vectors
    row_of = {int(id): row for row, id in enumerate(ids)}
    return vectors[numpy.array([row_of[id] for id in table["faiss_id"].to_pylist()])]


def digest(path):
    import pyarrow.parquet

    path = Path(path)
    if path.is_dir():
        table = pyarrow.parquet.read_table(path / "metadata.parquet")
        vectors = faiss_vectors(path, table)
    else:
        table = pyarrow.parquet.read_table(path)
        vectors = parquet_vectors(table) if len(table) else []
    digests = {}
    for row, (id, metadata, version, source_hash, created, updated) in enumerate(
        zip(*columns_of(table))
    ):
        if id in digests:
            raise Refused(f"the id {id!r} stands twice")
        vector = vectors[row].astype("<f4").tobytes()
        record = layout(
            id, vector, canonical(metadata or "{}"), version, source_hash, created, updated
        )
        digests[id] = sha256(record)
    dimensions = len(vectors[0]) if len(vectors) else 0
    return {
        "records": len(digests),
        "dimensions": dimensions,
        "root": collection_root(digests),
    }


# Test vectors


def record_bytes(record):
    bits = [int(element, 16) for element in record["vector_bits"]]
    return layout(
        record["id"],
        struct.pack(f"<{len(bits)}I", *bits),
        canonical(record["metadata"]),
        *(
            None if record[field] is None else int(record[field])
            for field in ["version"]
        ),
        record["source_hash"],
        *(
            None if record[field] is None else int(record[field])
            for field in ["created_ts", "updated_ts"]
        ),
    )


def check_vectors(directory):
    wrong = []
    digests = {}
    vectors = json.loads((Path(directory) / "records.json").read_text(encoding="utf-8"))
    for case in vectors["records"]:
        data = record_bytes(case["record"])
        digests[case["record"]["id"]] = sha256(data)
        if canonical(case["record"]["metadata"]) != case["canonical"]:
            wrong.append(f"{case['name']}: canonical metadata")
        if data.hex() != case["bytes"]:
            wrong.append(f"{case['name']}: bytes")
        if sha256(data).hex() != case["digest"]:
            wrong.append(f"{case['name']}: digest")
    roots = json.loads((Path(directory) / "roots.json").read_text(encoding="utf-8"))
    for case in roots["roots"]:
        if collection_root({id: digests[id] for id in case["ids"]}) != case["root"]:
            wrong.append(f"root of {len(case['ids'])} records")
    for refusal in roots["refused_metadata"]:
        try:
            canonical(refusal)
            wrong.append(f"metadata not refused: {refusal}")
        except ValueError:
            pass
    return wrong, len(vectors["records"]) + len(roots["roots"])


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--vectors":
        wrong, count = check_vectors(sys.argv[2])
        for line in wrong:
            print(line, file=sys.stderr)
        print(json.dumps({"vectors": count, "wrong": len(wrong)}))
        return 1 if wrong else 0
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    print(json.dumps(digest(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
