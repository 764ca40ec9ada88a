"""The core of the real-time decision loop: the archive, the graph of entities, the features, and
the context that a decision needs."""

from psycopg2.extras import execute_values

from eventplatform.config import canonical
from eventplatform.database import one
from eventplatform.store import Bucket

_BUCKETS = {}


def bucket_of(config):
    name = config.handle("S3_ARCHIVE_BUCKET")
    if name not in _BUCKETS:
        _BUCKETS[name] = Bucket(config.handle("S3_ENDPOINT"), name)
    return _BUCKETS[name]


def archive_key(config, topic, partition, first, last):
    return f"archive/{config.platform_run_id}/topic={topic}/partition={partition}/{first:012}-{last:012}.jsonl"


def archive(config, cursor, records):
    """Writes records to S3, then notes how far it is; the caller commits the offset after that."""
    by_place = {}
    for record in records:
        by_place.setdefault((record.topic, record.partition), []).append(record)
    deduped = 0
    for (topic, partition), batch in sorted(by_place.items()):
        done = one(cursor, "select next_offset from archive_progress where platform_run_id = %s and topic = %s "
                   "and partition = %s", (config.platform_run_id, topic, partition)) or 0
        fresh = [record for record in batch if record.offset >= done]
        deduped += len(batch) - len(fresh)
        if not fresh:
            continue
        body = b"".join(b'{"offset":%d,"record":%s}\n' % (record.offset, record.raw) for record in fresh)
        bucket_of(config).put(archive_key(config, topic, partition, fresh[0].offset, fresh[-1].offset), body)
        cursor.execute(
            "insert into archive_progress values (%s, %s, %s, %s, %s, 1) on conflict (platform_run_id, topic, partition) "
            "do update set next_offset = excluded.next_offset, records = archive_progress.records + excluded.records, "
            "objects = archive_progress.objects + 1",
            (config.platform_run_id, topic, partition, fresh[-1].offset + 1, len(fresh)))
    return [], deduped


def keep(cursor, table, rows):
    """Inserts rows whose key is new; answers how many were there already."""
    if not rows:
        return 0
    fresh = execute_values(
        cursor, f"insert into {table} values %s on conflict do nothing returning 1", rows, fetch=True, page_size=1000)
    return len(rows) - len(fresh)


def graph(config, cursor, records):
    rows = [(config.platform_run_id, r.payload["flow_id"], kind, r.payload[kind])
            for r in records for kind in ("party", "account", "device")]
    return [], keep(cursor, "entity_edge", rows) // 3


def features(config, cursor, records):
    rows = [(config.platform_run_id, r.event["event_id"], r.payload["flow_id"], r.payload["amount_minor"]) for r in records]
    return [], keep(cursor, "feature_row", rows)


def context(config, cursor, records):
    rows = [(config.platform_run_id, r.payload["flow_id"], r.event["event_class"], canonical(r.payload).decode()) for r in records]
    return [], keep(cursor, "flow_context", rows)



