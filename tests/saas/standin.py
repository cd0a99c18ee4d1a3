"""Stands in for Iterable and Marketo: strict about every request, and it remembers everything.

Written from the vendors' documents, and from nothing of this project. What a request does wrong is answered as the real
one would, and also noted in `violations`, which a test expects to be empty. Standard library only.

    python3 standin.py CONFIG.json      prints its port; ends when stdin does
    GET /_dump                          all it holds, as JSON
    POST /_control                      {"faults": [...], "forget": true} sets other faults, forgets requests
"""

import fnmatch
import json
import os
import random
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter, deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from iterable_api import Iterable
from marketo_api import Marketo


class Violations(list):
    """What was wrong with requests; each kind once or a few times, so that a failing test can be read."""

    def note(self, text):
        if len(self) < 100:
            self.append(text)


class Request:
    def __init__(self, method, target, headers, body, violations):
        parts = urlsplit(target)
        self.method, self.raw_path, self.path = method, parts.path, unquote(parts.path)
        self.pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        self.query = dict(self.pairs)
        self.headers, self.body, self.target = headers, body, target
        self.violations = violations
        self.partial = None  # text in an identifier: such records are refused
        if len(self.query) != len(self.pairs):
            self.wrong("a query parameter is given twice")

    def wrong(self, text):
        self.violations.note(f"{self.method} {self.target}: {text}")

    def json(self):
        """The body as an object; None when it is not one."""
        kind = (self.headers.get("Content-Type") or "").split(";")[0].strip().lower()
        if kind != "application/json":
            self.wrong(f"content type {kind!r}")
        try:
            value = json.loads(self.body, object_pairs_hook=self.unique)
        except ValueError as error:
            self.wrong(f"the body is not JSON: {error}")
            return None
        if not isinstance(value, dict):
            self.wrong("the body is not an object")
            return None
        return value

    def unique(self, pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            self.wrong(f"a key is twice in an object: {names}")
        return dict(pairs)

    def shape(self, value, types, required=(), what="the body"):
        """Only these keys, of these types. `types`: name to type or tuple of types."""
        if not isinstance(value, dict):
            self.wrong(f"{what} is no object")
            return False
        good = True
        for name, item in value.items():
            if name not in types:
                self.wrong(f"{what} has the unknown key {name!r}")
                good = False
                continue
            kinds = types[name] if isinstance(types[name], tuple) else (types[name],)
            if not (isinstance(item, kinds) and (bool in kinds or not isinstance(item, bool))):
                self.wrong(f"{what}: {name!r} is {item!r}")
                good = False
        for name in required:
            if name not in value:
                self.wrong(f"{what} lacks {name!r}")
                good = False
        return good

    def only_query(self, *names):
        for name in self.query:
            if name not in names:
                self.wrong(f"the unknown query parameter {name!r}")


class Rate:
    """At most `most` in any `span` seconds. What left in time may arrive a little closer together."""

    def __init__(self, most, span):
        self.most, self.span, self.seen = most, span, deque()

    def over(self):
        now = time.monotonic()
        while self.seen and now - self.seen[0] > self.span * 0.9:
            self.seen.popleft()
        self.seen.append(now)
        return len(self.seen) > self.most


class World:
    def __init__(self, config):
        self.lock = threading.RLock()
        self.violations = Violations()
        self.iterable = Iterable(config.get("iterable", {}), Rate)
        self.marketo = Marketo(config.get("marketo", {}), Rate)
        self.pid_file = config.get("pid_file")
        self.requests, self.fired, self.random = Counter(), Counter(), random.Random(7)
        self.set_faults(config.get("faults", []))

    def set_faults(self, faults):
        self.faults = [dict(fault, met=0, done=0) for fault in faults]

    def fault(self, request):
        """The first fault that fires. {"kind", "path": glob, "method", "after", "every", "share", "times", "contains"}"""
        for fault in self.faults:
            if not fnmatch.fnmatch(request.path, fault.get("path", "*")):
                continue
            if fault.get("method", request.method) != request.method:
                continue
            fault["met"] += 1
            late = fault["met"] - fault.get("after", 0)
            if late <= 0 or late % fault.get("every", 1) or self.random.random() > fault.get("share", 1) or fault["done"] >= fault.get("times", 1 << 30):
                continue
            fault["done"] += 1
            self.fired[fault["kind"]] += 1
            return fault
        return {"kind": "none"}

    def dump(self):
        return {
            "violations": list(self.violations), "requests": dict(self.requests), "total": sum(self.requests.values()),
            "fired": dict(self.fired), "iterable": self.iterable.dump(), "marketo": self.marketo.dump(),
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        world = self.server.world
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_"):
            return self.control(body)
        request = Request(self.command, self.path, self.headers, body, world.violations)
        with world.lock:
            world.requests[f"{request.method} {request.path}"] += 1
            fault = world.fault(request)
        api = world.iterable if request.path.startswith("/api/") else world.marketo
        kind = fault["kind"]
        request.partial = fault.get("contains", "7@") if kind == "partial" else None
        if kind in ("500", "timeout", "reset", "kill"):
            return self.fail(kind, None)
        # Requests are at work side by side: what must not be is seen.
        with world.lock:
            early = api.begin(request)
        try:
            if fault.get("slow"):
                time.sleep(fault["slow"])
            with world.lock:
                answer = early or api.refused(kind) or api.answer(request)
        finally:
            with world.lock:
                api.end(request)
        if kind.endswith("_after") or kind == "truncated":
            return self.fail(kind.removesuffix("_after"), answer)
        self.give(*answer)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def control(self, body):
        world = self.server.world
        with world.lock:
            if self.path == "/_control":
                order = json.loads(body)
                if "faults" in order:
                    world.set_faults(order["faults"])
                world.iterable.types.update(order.get("fields", {}))
                if order.get("forget"):
                    world.requests.clear()
            text = json.dumps(world.dump())
        self.give(200, text)

    def fail(self, kind, answer):
        if kind == "500":
            return self.give(500, "<html><body>Internal Server Error</body></html>", "text/html")
        self.close_connection = True
        if kind == "truncated":
            text = answer[1] if isinstance(answer[1], str) else json.dumps(answer[1])
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode()[: len(text.encode()) // 2])
            return
        if kind == "timeout":
            time.sleep(4)
            return
        if kind == "kill":
            while not os.path.exists(self.server.world.pid_file):
                time.sleep(0.005)
            with open(self.server.world.pid_file, encoding="ascii") as file:
                os.kill(int(file.read()), signal.SIGKILL)
        # Without a byte, and not even a proper end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def give(self, status, value, kind="application/json"):
        text = (value if isinstance(value, str) else json.dumps(value)).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            self.close_connection = True  # who asked is gone


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.world.violations.note(f"the stand-in itself failed: {error!r}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    server = Server(("127.0.0.1", 0), Handler)
    server.world = World(config)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
