#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy before an S3 server that goes wrong when it is told to.

    s3fault.py --upstream 127.0.0.1:8000 [--listen 127.0.0.1:0]
               [--cert PEM --key PEM] [--control 127.0.0.1:0]
               [--seed N] [--script FILE] [--secret ACCESS:SECRET]

Requests go through as they came: Host and signature stay whole. Which of them
meet what, rules decide; they come from a script or through the control port,
as tests/sim/README.md says. Standard library only; one thread per connection.
"""
import argparse
import fnmatch
import json
import os
import random
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3fault_act  # noqa: E402
import s3fault_wire as wire  # noqa: E402

KINDS = ("put", "part", "create", "complete", "abort", "list", "get", "head",
         "delete", "delete_many", "uploads", "parts", "other")
SCOPE = ("kind", "key", "skip", "count", "probability")


class Rule:
    """One fault, and which requests meet it."""

    def __init__(self, number, seed, spec):
        self.id = number
        self.seed = seed
        self.spec = dict(spec)
        kinds = spec.get("kind", [])
        self.kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        self.key = spec.get("key", "*")
        self.skip = int(spec.get("skip", 0))
        self.count = int(spec.get("count", 1))
        self.probability = float(spec.get("probability", 1))
        self.matched = self.fired = 0
        choices = spec.get("any") or [
            {k: v for k, v in spec.items() if k not in SCOPE}]
        self.plans = [s3fault_act.plan(c) for c in choices]
        wrong = [k for k in self.kinds if k not in KINDS]
        if wrong or not self.plans:
            raise ValueError("unknown kind: %s" % ", ".join(wrong))

    def strike(self, request):
        """The plan for this request, or None. Which one falls to chance hangs
        on seed, rule and the number of the match: not on threads."""
        if self.kinds and request.kind not in self.kinds:
            return None
        if not fnmatch.fnmatchcase(request.key, self.key):
            return None
        self.matched += 1
        dice = random.Random("%s:%d:%d" % (self.seed, self.id, self.matched))
        if self.matched <= self.skip or \
                (self.count and self.fired >= self.count) or \
                dice.random() >= self.probability:
            return None
        self.fired += 1
        return dice.choice(self.plans)

    def tell(self):
        return dict(self.spec, id=self.id, matched=self.matched,
                    fired=self.fired)


class Proxy:
    """Listens, and keeps what the connections share."""

    def __init__(self, upstream, listen=("127.0.0.1", 0), cert=None, key=None,
                 seed=None, secret=None, verbose=False):
        self.upstream = upstream
        self.seed = random.SystemRandom().randrange(1 << 32) if seed is None \
            else seed
        self.lock = threading.Lock()
        self.rules = []
        self.next_rule = 1
        self.log = []
        self.connections = {}  # number -> socket
        self.count = 0
        self.handshakes_failed = 0
        self.written = {}      # key -> when it was seen to be written
        self.down = None       # how, while it is
        self.skew = 0          # seconds that this store's clock is ahead
        self.secret = secret
        self.verbose = verbose
        self.cleared = threading.Event()
        self.context = wire.tls_context(cert, key) if cert else None
        self.place = listen
        self.listener = None
        self.open_port()

    # --- the port ---

    def open_port(self):
        self.listener = socket.create_server(self.place, backlog=256)
        self.place = self.listener.getsockname()[:2]
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()

    def close_port(self):
        listener, self.listener = self.listener, None
        if listener:
            # A thread that waits in accept() holds the port open otherwise.
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def url(self):
        return "%s://%s:%d" % ("https" if self.context else "http",
                               *self.place)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.count += 1
                number = self.count
                self.connections[number] = client
            threading.Thread(target=self._connection, args=(client, number),
                             daemon=True).start()

    def _connection(self, client, number):
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.down == "reset":
                raise wire.Reset()
            if self.down == "silent":
                self.wait_gone(client)
                return
            if self.context:
                try:
                    client = self.context.wrap_socket(client, server_side=True)
                except OSError:
                    self.handshakes_failed += 1
                    return
                with self.lock:
                    self.connections[number] = client
            stream = wire.Stream(client)
            while s3fault_act.exchange(self, stream, number):
                pass
        except wire.Reset:
            wire.reset(client)
        except (OSError, ValueError) as e:
            if self.verbose:
                print("s3fault: connection %d: %s: %s" % (
                    number, type(e).__name__, e), file=sys.stderr, flush=True)
        finally:
            with self.lock:
                self.connections.pop(number, None)
            try:
                client.close()
            except OSError:
                pass

    def drop_connections(self):
        with self.lock:
            all_of_them = list(self.connections.values())
        for s in all_of_them:
            wire.sever(s)

    def wait_gone(self, client, seconds=None):
        """Until the client goes, the faults are cleared, or time is up."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self.cleared.is_set() and not wire.is_gone(client) and \
                (end is None or time.monotonic() < end):
            self.cleared.wait(0.02)

    # --- rules ---

    def decide(self, request):
        """What this request meets: the plans of all rules that strike, the
        oldest rule first."""
        with self.lock:
            plan = {}
            for rule in self.rules:
                struck = rule.strike(request)
                for k, v in (struck or {}).items():
                    plan.setdefault(k, v)
            return plan

    def note(self, **row):
        with self.lock:
            row["n"] = len(self.log) + 1
            row["ms"] = round(time.monotonic() * 1000)
            self.log.append(row)

    def wrote(self, key):
        with self.lock:
            self.written[key] = time.monotonic()

    def written_since(self, seconds):
        begin = time.monotonic() - seconds
        with self.lock:
            return {k for k, t in self.written.items() if t >= begin}

    def add(self, spec):
        specs = spec if isinstance(spec, list) else [spec]
        with self.lock:
            rules = []
            for s in specs:
                rules.append(Rule(self.next_rule + len(rules), self.seed, s))
            self.next_rule += len(rules)
            self.rules += rules
            if rules:
                self.cleared.clear()
        return {"ids": [r.id for r in rules]}

    # --- the control port ---

    def control(self, method, path, body):
        """A request of the control port -> what it answers."""
        if (method, path) == ("POST", "/fault"):
            return self.add(body)
        if (method, path) == ("POST", "/clear"):
            with self.lock:
                told = [r.tell() for r in self.rules]
                self.rules = []
            self.cleared.set()
            return {"cleared": told}
        if (method, path) == ("GET", "/faults"):
            with self.lock:
                return [r.tell() for r in self.rules]
        if (method, path) == ("GET", "/log"):
            with self.lock:
                return list(self.log)
        if (method, path) == ("POST", "/log/clear"):
            with self.lock:
                self.log = []
            return {}
        if (method, path) == ("GET", "/state"):
            with self.lock:
                return {"seed": self.seed, "connections": self.count,
                        "open": len(self.connections), "down": self.down,
                        "handshakes_failed": self.handshakes_failed}
        return self._control_more(method, path, body)

    def _control_more(self, method, path, body):
        if (method, path) == ("POST", "/down"):
            self.down = body.get("how", "refuse")
            if self.down not in ("refuse", "reset", "silent", "503"):
                self.down = None
                raise ValueError("down how?")
            self.cleared.clear()
            if self.down == "refuse":
                self.close_port()
            if self.down != "silent":
                self.drop_connections()
            return {}
        if (method, path) == ("POST", "/up"):
            self.down = None
            self.cleared.set()
            self.drop_connections()
            if not self.listener:
                self.open_port()
            return {}
        if (method, path) == ("POST", "/certificate"):
            self.context = wire.tls_context(body["cert"], body["key"])
            self.drop_connections()
            return {}
        if (method, path) == ("POST", "/skew"):
            self.skew = int(body.get("seconds", 0))
            return {}
        if (method, path) == ("POST", "/upstream"):
            self.upstream = wire.place(body["to"])
            self.drop_connections()
            return {}
        raise ValueError("%s %s: there is no such thing" % (method, path))


def serve_control(proxy, place):
    """The control port: one thread per connection, one request each."""
    listener = socket.create_server(place, backlog=64)

    def one(client):
        try:
            stream = wire.Stream(client)
            request = wire.read_request(stream)
            if not request:
                return
            body = b"".join(wire.body_of(stream, request.headers, 0))
            try:
                answer = proxy.control(request.method, request.path,
                                       json.loads(body or b"{}"))
                status = "200 OK"
            except (ValueError, KeyError, TypeError, OSError) as e:
                answer = {"error": "%s: %s" % (type(e).__name__, e)}
                status = "400 Bad Request"
            text = json.dumps(answer).encode()
            client.sendall(("HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                            "Content-Length: %d\r\nConnection: close\r\n\r\n"
                            % (status, len(text))).encode() + text)
        except (OSError, ValueError):
            pass
        finally:
            client.close()

    def run():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=one, args=(client,), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()
    return "http://%s:%d" % listener.getsockname()[:2]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--upstream", required=True, type=wire.place)
    p.add_argument("--listen", default=("127.0.0.1", 0), type=wire.place)
    p.add_argument("--control", default=("127.0.0.1", 0), type=wire.place)
    p.add_argument("--cert")
    p.add_argument("--key")
    p.add_argument("--seed", type=int)
    p.add_argument("--script", help="a file of rules: a JSON list")
    p.add_argument("--verbose", action="store_true",
                   help="say how connections end")
    p.add_argument("--secret", help="ACCESS:SECRET, to sign anew under a skew")
    a = p.parse_args()
    proxy = Proxy(a.upstream, a.listen, a.cert, a.key, a.seed,
                  a.secret.split(":", 1) if a.secret else None, a.verbose)
    if a.script:
        with open(a.script, encoding="utf-8") as f:
            proxy.add(json.load(f))
    print("s3fault: seed %d" % proxy.seed, file=sys.stderr, flush=True)
    print(json.dumps({"pid": os.getpid(), "url": proxy.url(),
                      "control": serve_control(proxy, a.control),
                      "seed": proxy.seed}), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
