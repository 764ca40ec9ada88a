"""A cable that can be cut between a producer and the broker, at the worst moment: the broker has
the record and has answered, and the answer never arrives.

It passes the Kafka protocol through frame by frame. Where the broker names its own address, the
cable's is put in, so that the client stays on it. The n-th Produce request is sent on, its answer
is read and kept from the client, and the client's connection is closed. That happens once, and the
cable writes down what it did.
"""

import argparse
import json
import socket
import struct
import threading
from datetime import datetime, timezone

PRODUCE = 0


def frame(sock):
    """One frame with its length, or None at the end."""
    head = take(sock, 4)
    if head is None:
        return None
    body = take(sock, struct.unpack(">i", head)[0])
    return None if body is None else head + body


def take(sock, n):
    parts = b""
    while len(parts) < n:
        part = sock.recv(n - len(parts))
        if not part:
            return None
        parts += part
    return parts


def address(port):
    return b"127.0.0.1" + struct.pack(">i", port)


class Cable:
    def __init__(self, port, broker, at, report):
        self.port, self.broker, self.at, self.report = port, broker, at, report
        self.produced, self.lock, self.waiting = 0, threading.Lock(), {}

    def serve(self):
        with socket.create_server(("127.0.0.1", self.port)) as server:
            while True:
                client, _ = server.accept()
                broker = socket.create_connection(("127.0.0.1", self.broker))
                for end in (client, broker):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for work in (self.requests, self.answers):
                    threading.Thread(target=self.guarded, args=(work, client, broker), daemon=True).start()

    def guarded(self, work, client, broker):
        try:
            work(client, broker)
        except OSError:
            pass  # the other direction has closed both
        finally:
            for end in (client, broker):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def requests(self, client, broker):
        while (data := frame(client)) is not None:
            key, _, correlation = struct.unpack(">hhi", data[4:12])
            if key == PRODUCE:
                with self.lock:
                    self.produced += 1
                    if self.produced == self.at:
                        self.waiting[id(client), correlation] = len(data)
            broker.sendall(data)

    def answers(self, client, broker):
        while (data := frame(broker)) is not None:
            correlation = struct.unpack(">i", data[4:8])[0]
            sent = self.waiting.pop((id(client), correlation), None)
            if sent is not None:
                self.write(correlation, sent, len(data))
                return
            client.sendall(data.replace(address(self.broker), address(self.port)))

    def write(self, correlation, sent, answered):
        with open(self.report, "w", encoding="utf-8") as file:
            json.dump({
                "cut_at_utc": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "produce_request": self.at, "correlation_id": correlation, "request_bytes": sent,
                "answer_bytes_kept_back": answered}, file)


def main():
    parser = argparse.ArgumentParser(prog="cut")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--broker", type=int, required=True)
    parser.add_argument("--at", type=int, required=True, help="which Produce request loses its answer")
    parser.add_argument("--report", required=True, metavar="FILE")
    told = parser.parse_args()
    Cable(told.port, told.broker, told.at, told.report).serve()


if __name__ == "__main__":
    main()
