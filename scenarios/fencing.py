"""What keeps an old writer out is the resource itself. Two engines have one run: the first asks whether it
still holds it, gets yes, and is stopped right before its write. The run is taken away from it, the second goes
on with it; then the first writes, and the resource refuses:

- SQLite and PostgreSQL 16 and 18: in the transaction of the change, by the generation of the second;
- S3: by the precondition of the copy, which was on its way all the time.

For a database also after the second has taken everything back, when nothing but the generation stands against
the old write; and, as the control of that, with the generation removed: then the old write must go through.

Needs the build feature `faults`.
"""

import contextlib
import http.client
import http.server
import os
import signal
import threading
import time
import urllib.parse

import evidence
import examples
import hold
import kit


def started_and_stopped(example, point):
    """The first engine, stopped at a point behind its last look at the lease."""
    first = example.start("run", fault=f"{point}:1:pause")
    until = time.monotonic() + 60
    while not hold.held(first.pid):
        kit.want(first.poll() is None and time.monotonic() < until, f"{example.title}: not held: {example.said()}")
        time.sleep(0.02)
    # It would go on by itself after five seconds.
    os.kill(first.pid, signal.SIGSTOP)
    return first


def taken(example):
    (lock,) = example.state.glob("*/lock")
    lock.unlink()


def by_the_second(example, *words):
    """A command of the second engine. What it says does not replace what the first one says."""
    kit.carnet(*(words or ["run"]), "migration.yaml", cwd=example.folder, env=example.env)


def ended(first):
    """How the first engine ends when it is woken."""
    if first.poll() is None:
        os.kill(first.pid, signal.SIGCONT)
    return first.wait(timeout=120)


def old_change(example, after):
    """The first writes after the second is done (`run`), or has taken all back (`rollback`, `unfenced`)."""
    example.reset()
    before = example.look()
    first = started_and_stopped(example, "sql/changing")
    try:
        taken(example)
        by_the_second(example)
        kit.want(example.look() == example.wanted(), f"{example.title}: the second: {example.look()}")
        if after != "run":
            by_the_second(example, "rollback")
            kit.want(example.look() == before, f"{example.title}: taken back: {example.look()}")
        if after == "unfenced":
            example.execute("DELETE FROM carnet_fence")
        world, events = example.look(), evidence.events(example.state)
        status = ended(first)
    finally:
        hold.kill(first)
    said = example.said()
    kit.want((status, "run.fenced" in said) == (3, True), f"{example.title}, {after}: the first ended with {status}: {said}")
    kit.want(evidence.events(example.state) == events, f"{example.title}, {after}: the first recorded something")
    by_resource = "newer than generation" in said
    if after == "unfenced":
        kit.want(example.visible(before) == {"currency/add_column"}, f"{example.title}: without its generation {example.look()}")
        kit.want(not by_resource, f"{example.title}, {after}: {said}")
        return example.title, "control: taken back, and the generation removed", "goes through", "refused by the log"
    kit.want(example.look() == world, f"{example.title}, {after}: the first changed {example.look()}")
    kit.want(by_resource, f"{example.title}, {after}: not refused by the resource: {said}")
    evidence.verify(example.state)
    what = "done" if after == "run" else "done and taken back"
    return example.title, what, "refused by the generation", "nothing recorded"


class Way(http.server.BaseHTTPRequestHandler):
    """The way to the object store. One request of the first engine stays on it until it is let through."""

    protocol_version = "HTTP/1.1"
    store = holds = None

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mine = self.holds.takes(self)
        connection = http.client.HTTPConnection(self.store.hostname, self.store.port, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            if mine:
                self.holds.answer = answer.status
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", length or 0)
            self.end_headers()
            self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any


class Holds:
    """Which request is held: the first that fits."""

    def __init__(self, fits, holding=True):
        self.fits, self.holding = fits, holding
        self.arrived, self.let, self.taken, self.answer = threading.Event(), threading.Event(), threading.Lock(), None
        self.condition = None

    def takes(self, request):
        if not (self.fits(request) and self.taken.acquire(blocking=False)):
            return False
        self.condition = request.headers.get("if-none-match")
        self.arrived.set()
        self.let.wait(60)
        return True


@contextlib.contextmanager
def way_to(store, holds):
    handler = type("OneWay", (Way,), {"store": urllib.parse.urlsplit(store), "holds": holds})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        holds.let.set()
        server.shutdown()
        server.server_close()


def old_copy(example, what, fits):
    """A copy that is on its way while the second engine makes it."""
    holds = Holds(fits)
    plan = example.plan.read_text()
    with way_to(example.endpoint, holds) as way:
        example.rewrite((example.endpoint, way))
        example.reset()
        first = example.start("run")
        try:
            kit.want(holds.arrived.wait(60), f"{what}: no such request: {example.said()}")
            taken(example)
            by_the_second(example)
            kit.want(example.look() == example.wanted(), f"{what}: the second: {example.look()}")
            world, events = example.fingerprint(), evidence.events(example.state)
            time.sleep(1.1)  # The time of an object has whole seconds: another write would show.
            holds.let.set()
            status = first.wait(timeout=120)
        finally:
            hold.kill(first)
    said = example.said()
    kit.want((status, "run.fenced" in said) == (3, True), f"{what}: the first ended with {status}: {said}")
    kit.want(holds.condition == "*", f"{what}: no precondition was sent")
    kit.want(holds.answer == 412, f"{what}: the store answered {holds.answer}")
    after = example.fingerprint()
    for bucket in (example.lab, example.prod):
        *objects, uploads = after[bucket]
        kit.want(objects == world[bucket][:2], f"{what}: the first changed objects: {after[bucket]}, not {world[bucket]}")
        kit.want(not uploads, f"{what}: the first left an upload behind: {uploads}")
    kit.want(evidence.events(example.state) == events, f"{what}: the first recorded something")
    example.plan.write_text(plan)
    return "s3-copy", what, f"refused by the precondition ({holds.answer})", "nothing recorded"


def scenario(folder):
    rows = []
    for name in ("sqlite", "pg16", "pg18"):
        for example in examples.each(folder, [name]):
            rows += [old_change(example, after) for after in ("run", "rollback", "unfenced")]
    for example in examples.each(folder, ["s3"]):
        copies = lambda request: request.command == "PUT" and "x-amz-copy-source" in request.headers and "partNumber" not in request.path
        completes = lambda request: request.command == "POST" and "uploadId=" in request.path
        rows.append(old_copy(example, "a whole object", copies))
        rows.append(old_copy(example, "an object in parts", completes))
    kit.table(["resource", "meanwhile the second has", "the write of the first", "the log"], rows)


kit.main(scenario)
