"""Gates before a real step, with the real program on real parts: `object` in an S3 bucket, `sql` and `rows` in
PostgreSQL 16 and 18. For each: pass, fail, no_data, error, and the negative control: what has just passed is
damaged by a little in the bucket or in the table itself, and must not pass again.

Only a pass lets the step behind the gate happen; after any other verdict nothing has been done. A pass says how
many damaged copies of what it saw were refused, and that its control was.
"""

import contextlib
import hashlib
import json
import os
import pathlib

import kit

EXITS = {"pass": 0, "fail": 3, "no_data": 3, "error": 3}


def expect(rows, folder, where, kind, case, rule, verdict, env=None):
    gate, happened = kit.judged(folder, kind, rule, env, EXITS[verdict])
    told = f"{where}, {kind}, {case}: {gate}"
    kit.want(gate["verdict"] == verdict, told)
    kit.want(happened == (verdict == "pass") == gate["open"], f"{told}; the step happened: {happened}")
    refused = "-"
    if verdict == "pass":
        kit.want(gate["damaged"] > 0 and gate["refused"] == gate["damaged"], told)
        kit.want("refused" in gate["reason"], f"{told}: no word of its control")
        refused = f"{gate['refused']} of {gate['damaged']}"
    rows.append((where, kind, case, verdict, refused, gate["reason"]))


# Objects in a bucket.


def client():
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=kit.setting("CARNET_TEST_S3"),
        region_name="us-east-1",
        aws_access_key_id=kit.setting("CARNET_TEST_S3_KEY"),
        aws_secret_access_key=kit.setting("CARNET_TEST_S3_SECRET"),
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def objects(rows, folder):
    bucket, key, s3 = f"carnet-gates-{os.getpid()}", "in/ventory é.json", client()
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=bucket)
    good = json.dumps({"hosts": 3, "names": ["a", "b", "c"]}).encode()
    env = {"AWS_ACCESS_KEY_ID": kit.setting("CARNET_TEST_S3_KEY"), "AWS_SECRET_ACCESS_KEY": kit.setting("CARNET_TEST_S3_SECRET")}
    url = lambda endpoint: f"s3://{bucket}/kb?endpoint={endpoint}"
    there = {"url": url(kit.setting("CARNET_TEST_S3")), "key": key}
    schema = {"type": "object", "required": ["hosts"], "properties": {"hosts": {"type": "integer", "minimum": 1}}}
    shape, digest = there | {"schema": schema}, there | {"sha256": hashlib.sha256(good).hexdigest()}
    put = lambda data: s3.put_object(Bucket=bucket, Key=f"kb/{key}", Body=data)
    say = lambda case, rule, verdict, env=env: expect(rows, folder, "S3", "object", case, rule, verdict, env)
    put(good)
    say("as its schema and length say", shape | {"bytes_min": 10, "bytes_max": 100}, "pass")
    say("the very bytes", digest, "pass")
    put(bytes([good[0] ^ 1]) + good[1:])
    say("control: one bit changed in the bucket, by digest", digest, "fail")
    say("control: one bit changed in the bucket, by schema", shape, "fail")
    put(json.dumps({"hosts": 0}).encode())
    say("a value that is too low", shape, "fail")
    put(good + b" " * 200)
    say("too long", shape | {"bytes_max": 100}, "fail")
    put(b"")
    say("an empty object", shape, "no_data")
    s3.delete_object(Bucket=bucket, Key=f"kb/{key}")
    say("no object", shape, "no_data")
    put(good)
    say("a bogus key", shape, "error", env | {"AWS_SECRET_ACCESS_KEY": "bogus"})
    say("nobody listens", shape | {"url": url("http://127.0.0.1:1")}, "error")
    say("longer than is read", shape | {"read_bytes_max": 5}, "error")
    say("control: put back, it passes again", digest, "pass")


# Rows in a table.


def tables(rows, folder, version):
    where = f"PostgreSQL {version}"
    here, there = kit.database(version, "gates_here"), kit.database(version, "gates_there")
    for url in (here, there):
        kit.sql(url, "CREATE TABLE orders (id int PRIMARY KEY, total numeric(9,2)); INSERT INTO orders SELECT n, n * 1.5 FROM generate_series(1, 9) n")
    say = lambda kind, case, rule, verdict: expect(rows, folder, where, kind, case, rule, verdict)
    total = {"database": here, "query": "SELECT sum(total) FROM orders", "value": {"equals": "67.50"}}
    none = {"database": here, "query": "SELECT id FROM orders WHERE total IS NULL", "rows": 0, "control": "SELECT id FROM orders LIMIT 1"}
    list_ = {"database": here, "query": "SELECT id, total FROM orders WHERE id < $1 ORDER BY id", "parameters": [3], "table": [[1, "1.50"], [2, "3.00"]]}
    same = {"source": {"database": here, "query": "SELECT count(*) FROM orders"}, "target": {"database": there, "query": "SELECT count(*) FROM orders"}}
    for case, rule in (("a sum", total), ("no bad row, and there are rows", none), ("these very rows", list_)):
        say("sql", case, rule, "pass")
    say("rows", "as many on both sides", same, "pass")
    kit.sql(here, "UPDATE orders SET total = total + 0.01 WHERE id = 2")
    say("sql", "control: one cent more in the table, the sum", total, "fail")
    say("sql", "control: one cent more in the table, the rows", list_, "fail")
    kit.sql(here, "UPDATE orders SET total = NULL WHERE id = 2")
    say("sql", "control: a bad row in the table", none, "fail")
    kit.sql(there, "DELETE FROM orders WHERE id = 9")
    say("rows", "control: one row less on one side", same, "fail")
    for url in (here, there):
        kit.sql(url, "TRUNCATE orders")
    say("sql", "nothing to sum", total, "fail")
    say("sql", "no bad row, but no row either", none, "no_data")
    say("sql", "a query without rows", {"database": here, "query": "SELECT total FROM orders", "value": {"at_least": "1"}}, "no_data")
    say("rows", "nothing on both sides", same, "no_data")
    kit.sql(there, "DROP TABLE orders")
    say("sql", "no such table", {**total, "database": there}, "error")
    say("rows", "no such table", same, "error")
    say("sql", "nobody listens", {**total, "database": "postgres://postgres@127.0.0.1:1/shop"}, "error")
    say("sql", "a query that would write", {**total, "query": "DELETE FROM orders RETURNING 1"}, "error")
    say("sql", "too slow", {**total, "query": "SELECT 1 FROM pg_sleep(5)", "limit_s": 1}, "error")


def scenario(folder):
    rows = []
    objects(rows, pathlib.Path(folder))
    for version in (16, 18):
        tables(rows, pathlib.Path(folder), version)
    kit.table(["where", "gate", "case", "verdict", "damaged refused", "reason"], [(*row[:5], row[5][:60]) for row in rows])


kit.main(scenario)
