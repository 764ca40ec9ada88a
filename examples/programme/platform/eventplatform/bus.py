"""The event bus (Kafka protocol). The last batch in a partition holds one record, always: a broker
that takes the start of the last batch for its end still reports offsets that are right."""

import hashlib
import json
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from eventplatform.config import TOPICS, canonical


class PublishUnknown(Exception):
    """The broker did not say whether it has the record: it may have."""


def quiet(_error):
    """Connection errors come back from each call; a second copy on stderr helps nobody."""


def base(config, name):
    return {
        "bootstrap.servers": config.handle("KAFKA_BOOTSTRAP"), "client.id": name,
        "socket.nagle.disable": True, "log_level": 2, "error_cb": quiet,
    }


def partition_of(topic, key):
    """The same key goes to the same partition in each run."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % TOPICS[topic]


class Publisher:
    """Sends and waits. It never sends a record again by itself: after a lost answer only a
    reconciliation may say what became of it."""

    def __init__(self, config, name, timeout_ms=20000):
        self.producer = Producer({
            **base(config, name), "acks": "all", "linger.ms": 1, "message.send.max.retries": 0,
            "message.timeout.ms": timeout_ms, "request.timeout.ms": timeout_ms - 1000,
        })

    def send(self, topic, key, value):
        place = self.send_each([(topic, key, value)])[0]
        if isinstance(place, PublishUnknown):
            raise place
        return place

    def send_each(self, records):
        """For each record its place, or a PublishUnknown. The last of each partition goes alone,
        when the others are answered for."""
        answers = [None] * len(records)
        last = {(topic, partition_of(topic, key)): at for at, (topic, key, _) in enumerate(records)}
        alone = set(last.values())
        for wave in ([at for at in range(len(records)) if at not in alone], sorted(alone)):
            for at in wave:
                self.produce(records[at], answers, at)
            while any(answers[at] is None for at in wave):
                self.producer.poll(1)
        return answers

    def produce(self, record, answers, at):
        topic, key, value = record

        def delivered(error, message):
            answers[at] = PublishUnknown(str(error)) if error else {
                "topic": message.topic(), "partition": message.partition(),
                "offset": message.offset(), "timestamp": message.timestamp()[1]}

        self.producer.produce(topic, key=key.encode(), value=canonical(value),
                              partition=partition_of(topic, key), on_delivery=delivered)
        self.producer.poll(0)

    def send_all(self, records):
        """All of them are acknowledged, or an error is raised."""
        for place in self.send_each(records):
            if isinstance(place, PublishUnknown):
                raise place


class Reader:
    """Reads topics as the one member of a group: partitions are assigned by hand, because each
    service has exactly one replica, and offsets are committed for the group."""

    def __init__(self, config, group, topics):
        self.group = group
        self.consumer = Consumer({
            **base(config, group), "group.id": group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100,
        })
        self.parts = [TopicPartition(t, p) for t in topics for p in range(TOPICS[t])]

    def start(self, at=None):
        """Begins where the group left off, or at the offsets given as {(topic, partition): n}."""
        committed = self.consumer.committed(self.parts, timeout=20)
        begin = []
        for part in committed:
            offset = max(part.offset, 0) if at is None else at[part.topic, part.partition]
            begin.append(TopicPartition(part.topic, part.partition, offset))
        self.consumer.assign(begin)

    def poll(self, most=1000, wait=0.2):
        messages = []
        for message in self.consumer.consume(most, wait):
            if not message.error():
                messages.append(message)
            elif message.error().code() != KafkaError._PARTITION_EOF:
                raise RuntimeError(str(message.error()))
        return messages

    def commit(self, messages):
        ends = {}
        for message in messages:
            place = message.topic(), message.partition()
            ends[place] = max(ends.get(place, 0), message.offset() + 1)
        self.consumer.commit(
            offsets=[TopicPartition(t, p, n) for (t, p), n in ends.items()], asynchronous=False)


def watermarks(config, topics):
    """{(topic, partition): next offset} as the broker says."""
    reader = Reader(config, "watermarks", topics)
    found = {}
    for part in reader.parts:
        _, found[part.topic, part.partition] = reader.consumer.get_watermark_offsets(part, timeout=20)
    reader.consumer.close()
    return found


def lag(config, group, topics):
    """Per partition: what the group committed, what the broker has, and the difference."""
    reader = Reader(config, group, topics)
    rows = []
    for part in reader.consumer.committed(reader.parts, timeout=20):
        _, high = reader.consumer.get_watermark_offsets(part, timeout=20)
        rows.append({"topic": part.topic, "partition": part.partition,
                     "committed": max(part.offset, 0), "watermark_high": high,
                     "lag": high - max(part.offset, 0)})
    reader.consumer.close()
    return rows


def read_range(config, topic, partition, start, end):
    """The records of one partition from start up to, not including, end."""
    if start >= end:
        return
    consumer = Consumer({
        **base(config, "range"), "group.id": "range", "enable.auto.commit": False,
        "auto.offset.reset": "error", "fetch.wait.max.ms": 100})
    consumer.assign([TopicPartition(topic, partition, start)])
    expected, deadline = start, time.monotonic() + 30
    while expected < end:
        for message in consumer.consume(min(1000, end - expected), 1.0):
            if message.error():
                raise RuntimeError(str(message.error()))
            if expected >= end:
                break
            if message.offset() != expected:
                raise RuntimeError(f"{topic}/{partition}: offset {expected} is missing")
            yield message.offset(), json.loads(message.value())
            expected, deadline = expected + 1, time.monotonic() + 30
        if time.monotonic() > deadline:
            raise RuntimeError(f"{topic}/{partition}: nothing at offset {expected}, {end} expected")
    consumer.close()
