"""What every service on the bus has in common: one replica, its offsets committed after its work
is durable, and the events of other runs left alone.

A record may come twice (a crash between work and commit), so each handler must be idempotent: it
writes under a key and counts what was there already as deduped.
"""

import json
import signal
import sys
import threading
import time

from eventplatform import bus, database, gate, task
from eventplatform.database import try_lock


class Stop:
    """Set by SIGTERM; a service looks at it between two batches."""

    def __init__(self):
        self.asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: self.asked.set())


def enter(config, service):
    """Takes the place of the one replica, or ends: a second one fails closed."""
    keeper = database.connect(config)
    keeper.autocommit = True
    if not try_lock(keeper, f"service:{service}"):
        sys.exit(f"DUPLICATE_SERVICE: {service} runs already")
    return keeper


def announce(config, connection, service, group):
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into service_status values (%s, %s, %s, %s, now()) on conflict (platform_run_id, service) "
            "do update set task_arn = excluded.task_arn, group_id = excluded.group_id, ready_at = excluded.ready_at",
            (config.platform_run_id, service, task.task_arn(), group))


def count(cursor, config, service, **counts):
    for name, n in counts.items():
        cursor.execute(
            "insert into service_count values (%s, %s, %s, %s) on conflict (platform_run_id, service, name) "
            "do update set n = service_count.n + excluded.n", (config.platform_run_id, service, name, n))


class Record:
    """A record of this run, as a handler sees it."""

    def __init__(self, message, event):
        self.topic, self.partition, self.offset = message.topic(), message.partition(), message.offset()
        self.raw, self.event = message.value(), event

    @property
    def payload(self):
        return self.event["payload"]


def take(config, messages):
    """Our run's records. What is not JSON stops the service: it did not come through the gate."""
    records, foreign = [], 0
    for message in messages:
        event = json.loads(message.value())
        if event.get("platform_run_id") == config.platform_run_id:
            records.append(Record(message, event))
        else:
            foreign += 1
    return records, foreign


def consume(config, service, topics, handler, again=False, gather=0.2):
    """Runs a service until it is told to stop. `again` starts over at the run's first offsets;
    `gather` is how many seconds a batch may take to fill."""
    stop, keeper = Stop(), enter(config, service)
    connection = database.connect(config)
    reader = bus.Reader(config, service, topics)
    publisher = bus.Publisher(config, service)
    reader.start(first_offsets(connection, config) if again else None)
    announce(config, keeper, service, reader.group)
    while not stop.asked.is_set():
        messages = reader.poll(wait=gather)
        if not messages:
            continue
        records, foreign = take(config, messages)
        with connection, connection.cursor() as cursor:
            out, deduped = handler(config, cursor, records) if records else ([], 0)
            count(cursor, config, service, seen=len(records), deduped=deduped, foreign=foreign)
        # Published again after a crash here: whoever reads it knows the key.
        publisher.send_all(out)
        reader.commit(messages)
    reader.consumer.close()


def first_offsets(connection, config):
    with connection, connection.cursor() as cursor:
        cursor.execute("select topic, partition, start_offset from run_offset where platform_run_id = %s", (config.platform_run_id,))
        return {(topic, partition): offset for topic, partition, offset in cursor.fetchall()}


def serve_gate(config):
    keeper = enter(config, "ig")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    gate.serve(config, lambda group: announce(config, keeper, "ig", group))


def repeat(config, service, work, every=5.0):
    """A service that is not on the bus: does its work now and then."""
    stop, keeper = Stop(), enter(config, service)
    connection = database.connect(config)
    begun = False
    while not stop.asked.is_set():
        with connection, connection.cursor() as cursor:
            work(config, cursor)
        if not begun:
            announce(config, keeper, service, None)
            begun = True
        deadline = time.monotonic() + every
        while not stop.asked.is_set() and time.monotonic() < deadline:
            time.sleep(0.1)
