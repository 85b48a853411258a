# SPDX-License-Identifier: Apache-2.0
"""What s3fault does to one request: the faults, and the way through."""
import re
import socket
import time
import urllib.parse

import s3fault_wire as wire

REASONS = {200: "OK", 204: "No Content", 206: "Partial Content",
           307: "Temporary Redirect", 400: "Bad Request", 403: "Forbidden",
           404: "Not Found", 412: "Precondition Failed",
           429: "Too Many Requests", 500: "Internal Server Error",
           502: "Bad Gateway", 503: "Slow Down", 504: "Gateway Timeout"}
WORDS = {400: "RequestTimeout", 403: "AccessDenied", 404: "NoSuchKey",
         429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}
WHERE = ("head", "body", "sent", "answer_head", "answer")
HOW = ("reset", "close", "stall")
SKEW_MAX = 15 * 60

# fault: what it may be told
ARGUMENTS = {
    "status": ("code", "error", "message", "retry_after", "early", "executed",
               "html"),
    "error200": ("error", "message", "executed", "blanks", "empty"),
    "cut": ("where", "how", "after"),
    "truncate": ("bytes",),
    "etag": (),
    "flip": ("at",),
    "hide": ("seconds",),
    "disorder": ("how",),
    "slow": ("ms", "rate"),
    "skewed": ("seconds",),
    "garbage": (),
    "close": (),
}


def plan(spec):
    """A fault as rules name it -> what exchange() looks at."""
    name = spec.get("fault")
    if name not in ARGUMENTS:
        raise ValueError("unknown fault: %s" % name)
    wrong = set(spec) - {"fault"} - set(ARGUMENTS[name])
    if wrong:
        raise ValueError("%s knows no %s" % (name, ", ".join(sorted(wrong))))
    if name == "close":
        return {"close": True}
    p = dict(spec)
    if name == "cut":
        p.setdefault("where", "sent")
        p.setdefault("how", "reset")
        if p["where"] not in WHERE or p["how"] not in HOW:
            raise ValueError("cut: where or how?")
    if name == "disorder" and p.setdefault("how", "reverse") not in (
            "reverse", "repeat", "swap"):
        raise ValueError("disorder: how?")
    p["label"] = " ".join(str(p[k]) for k in ("fault", "code", "error",
                                              "where", "how") if k in p)
    return p


def error_document(code, message, request):
    return ('<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code>'
            "<Message>%s</Message><Key>%s</Key><RequestId>s3fault-%d"
            "</RequestId></Error>" % (code, message, request.key.replace(
                "&", "&amp;").replace("<", "&lt;"), id(request) % 10**9)
            ).encode()


class Exchange:
    """One request and its answer."""

    def __init__(self, proxy, stream, number, request, its_plan):
        self.proxy, self.stream, self.number = proxy, stream, number
        self.request, self.plan = request, its_plan
        self.fault = its_plan.get("fault")
        self.up = None        # the connection to the server
        self.body_read = 0    # bytes of the request's body
        self.body_done = not request.has_body
        self.expects = request.headers.get("expect") is not None
        self.server_said = None
        self.told = None      # the status that went to the client
        self.began = time.monotonic()

    # --- ends ---

    def cut(self):
        """The end that a cut asks for; what was sent before is on its way."""
        if self.plan["how"] == "reset":
            raise wire.Reset()
        if self.plan["how"] == "stall":
            self.proxy.wait_gone(self.stream.socket)
        return False

    def cut_at(self, where):
        return self.fault == "cut" and self.plan["where"] == where

    def keeps(self):
        connection = (self.request.headers.get("connection") or "").lower()
        return not self.plan.get("close") and connection != "close"

    # --- the request's body ---

    def body(self):
        """Pieces of the request's body."""
        if not self.request.has_body:
            return
        if self.expects:
            self.stream.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for piece in wire.body_of(self.stream, self.request.headers, 0):
            self.body_read += len(piece)
            yield piece
        self.body_done = True

    # --- answers of our own ---

    def say(self, status, body=b"", headers=()):
        """Ours instead of the server's. Whether the connection stays."""
        head = wire.Headers([])
        head.set("Date", wire.http_date(time.time() + self.proxy.skew))
        for name, value in headers:
            head.set(name, value)
        if status != 204:
            head.set("Content-Length", str(len(body)))
        if body and not head.get("content-type"):
            head.set("Content-Type", "application/xml")
        keeps = self.keeps() and self.body_done
        if not keeps:
            head.set("Connection", "close")
        self.told = status
        raw = head.wire("HTTP/1.1 %d %s" % (status, REASONS.get(status, "X")))
        if self.request.method == "HEAD":
            body = b""
        self.stream.socket.sendall(raw + body)
        return keeps

    def say_status(self, p):
        code = int(p.get("code", 503))
        word = p.get("error", WORDS.get(code, "InternalError"))
        message = p.get("message", "s3fault says so")
        more = []
        if "retry_after" in p:
            more.append(("Retry-After", str(p["retry_after"])))
        if p.get("html") or code in (502, 504):
            more.append(("Content-Type", "text/html"))
            return self.say(code, b"<html><body><h1>%d %s</h1></body></html>" %
                            (code, REASONS.get(code, "X").encode()), more)
        return self.say(code, error_document(word, message, self.request),
                        more)

    def say_error200(self):
        p = self.plan
        body = b"" if p.get("empty") else error_document(
            p.get("error", "InternalError"), p.get("message", "s3fault"),
            self.request)
        return self.say(200, b" \n" * int(p.get("blanks", 0)) + body)

    def say_skewed(self, seconds):
        return self.say(403, error_document(
            "RequestTimeTooSkewed", "The difference between the request time "
            "and the current time is too large.", self.request),
            [("Date", wire.http_date(time.time() + seconds))])

    def instead(self):
        """What is said instead of the server's answer, as a function; None:
        nothing is."""
        if self.proxy.down == "503":
            return lambda: self.say_status({"code": 503})
        if self.proxy.skew and abs((wire.signed_at(self.request) or 0) -
                                   time.time() - self.proxy.skew) > SKEW_MAX:
            return lambda: self.say_skewed(self.proxy.skew)
        if self.fault == "status":
            return lambda: self.say_status(self.plan)
        if self.fault == "error200":
            return self.say_error200
        if self.fault == "skewed":
            return lambda: self.say_skewed(int(self.plan.get("seconds", 3600)))
        if self.fault == "garbage":
            return self.say_garbage
        return None

    def say_garbage(self):
        self.stream.socket.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        return False

    # --- forward ---

    def connect(self):
        s = socket.create_connection(self.proxy.upstream)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up = wire.Stream(s)

    def forward(self):
        """Send the request on. False: it was cut in its body."""
        headers = self.request.headers
        if self.proxy.skew and self.proxy.secret:
            wire.sign_again(self.request, self.proxy.secret)
        # Hop by hop: ours, and not signed.
        headers.drop("expect")
        self.connect()
        self.up.socket.sendall(headers.wire("%s %s HTTP/1.1" % (
            self.request.method, self.request.target)))
        chunked = headers.get("transfer-encoding") is not None
        stop = self.plan.get("after", self.request.length // 2) \
            if self.cut_at("body") else None
        for piece in self.body():
            if stop is not None and self.body_read > stop:
                keep = len(piece) - (self.body_read - stop)
                self.up.socket.sendall(piece[:max(keep, 0)])
                return False
            if chunked:
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.up.socket.sendall(piece)
        if chunked:
            self.up.socket.sendall(b"0\r\n\r\n")
        return stop is None

    def answer(self):
        """The server's: first line, fields, pieces of the body."""
        while True:
            head = wire.read_head(self.up)
            if not head:
                raise OSError("the server went")
            line, headers = head
            self.server_said = int(line.split(" ", 2)[1])
            if self.server_said >= 200:
                break
        if self.request.method == "HEAD" or self.server_said in (204, 304):
            return line, headers, iter(())
        return line, headers, wire.body_of(self.up, headers, None)

    # --- changes to an answer ---

    def edit(self, headers, body):
        """The answer's body as this fault has it."""
        if self.fault == "truncate":
            return body[:max(len(body) - int(self.plan.get("bytes", 1)), 0)]
        if self.fault == "flip" and body:
            at = int(self.plan.get("at", len(body) // 2)) % len(body)
            return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
        if self.fault == "hide":
            return self.hide(body)
        if self.fault == "disorder":
            return disorder(body, self.plan["how"])
        return body

    def hide(self, body):
        """A listing as it was a while ago."""
        young = self.proxy.written_since(float(self.plan.get("seconds", 60)))

        def one(match):
            key = re.search(rb"<Key>(.*?)</Key>", match.group(0), re.S)
            name = urllib.parse.unquote_plus(key.group(1).decode())
            return b"" if name in young else match.group(0)
        left, _ = re.subn(rb"<Contents>.*?</Contents>", one, body, flags=re.S)
        count = left.count(b"<Contents>")
        return re.sub(rb"<KeyCount>\d+</KeyCount>",
                      b"<KeyCount>%d</KeyCount>" % count, left)

    def shift_dates(self, headers):
        """The answer in the time of a store whose clock is off."""
        if not self.proxy.skew:
            return
        import calendar
        for name in ("Date", "Last-Modified"):
            text = headers.get(name)
            if text:
                then = calendar.timegm(time.strptime(
                    text, "%a, %d %b %Y %H:%M:%S GMT"))
                headers.set(name, wire.http_date(then + self.proxy.skew))

    def relay(self, line, headers, pieces):
        """The server's answer, with what the plan does to it."""
        s = self.stream.socket
        edits = self.fault in ("truncate", "flip", "hide", "disorder")
        self.shift_dates(headers)
        if self.fault == "etag" and headers.get("etag"):
            headers.set("ETag", '"00000000000000000000000000000bad"')
        whole = None
        if edits or self.fault == "cut" or headers.get(
                "content-length") is None:
            body = b"".join(pieces)
            whole = self.edit(headers, body)
            if self.request.method != "HEAD" and self.server_said not in (
                    204, 304):
                headers.drop("transfer-encoding")
                headers.set("Content-Length", str(len(whole)))
        if self.plan.get("close"):
            headers.set("Connection", "close")
        raw = headers.wire(line)
        if self.cut_at("answer_head"):
            s.sendall(raw[:int(self.plan.get("after", len(raw) // 2))])
            return self.cut()
        self.told = self.server_said
        if self.cut_at("answer"):
            at = int(self.plan.get("after", len(whole) // 2))
            s.sendall(raw + whole[:at])
            return self.cut()
        s.sendall(raw)
        self.pour([whole] if whole is not None else pieces)
        return self.keeps() and (headers.get("connection") or
                                 "").lower() != "close"

    def pour(self, pieces):
        rate = int(self.plan.get("rate", 0)) if self.fault == "slow" else 0
        for piece in pieces:
            for at in range(0, len(piece), rate // 20 + 1) if rate else [None]:
                if at is None:
                    self.stream.socket.sendall(piece)
                else:
                    self.stream.socket.sendall(piece[at:at + rate // 20 + 1])
                    time.sleep(0.05)

    # --- the whole ---

    def run(self):
        instead = self.instead()
        if self.cut_at("head"):
            return self.cut()
        if instead and not self.plan.get("executed"):
            if not self.plan.get("early"):
                for _ in self.body():
                    pass
            return instead()
        if not self.forward():
            wire.sever(self.up.socket)
            return self.cut()
        line, headers, pieces = self.answer()
        if self.server_said < 300 and self.request.kind in (
                "put", "complete"):
            self.proxy.wrote(self.request.key)
        if instead or self.cut_at("sent"):
            for _ in pieces:
                pass
            return instead() if instead else self.cut()
        if self.fault == "slow" and self.plan.get("ms"):
            self.proxy.wait_gone(self.stream.socket,
                                 int(self.plan["ms"]) / 1000)
        return self.relay(line, headers, pieces)

    def note(self):
        if self.up:
            self.up.socket.close()
        r = self.request
        label = self.plan.get("label", "")
        if self.plan.get("close"):
            label = (label + " close").strip()
        self.proxy.note(kind=r.kind, method=r.method, key=r.key,
                        query=r.query, fault=label,
                        if_absent=r.headers.get("if-none-match") == "*",
                        server=self.server_said, told=self.told,
                        body=self.body_read, connection=self.number,
                        took_ms=round((time.monotonic() - self.began) * 1000))


def disorder(body, how):
    """A listing whose entries do not come as they should."""
    found = re.findall(rb"<Contents>.*?</Contents>", body, re.S) or \
        re.findall(rb"<Upload>.*?</Upload>", body, re.S)
    if not found:
        return body
    if how == "reverse":
        new = found[::-1]
    elif how == "repeat":
        new = found + found[-1:]
    else:
        new = found[1:] + found[:1]
    begin = body.index(found[0])
    end = body.rindex(found[-1]) + len(found[-1])
    return body[:begin] + b"".join(new) + body[end:]


def exchange(proxy, stream, number):
    """One request. Whether the connection stays."""
    request = wire.read_request(stream)
    if not request:
        return False
    x = Exchange(proxy, stream, number, request, proxy.decide(request))
    try:
        return x.run()
    finally:
        x.note()
