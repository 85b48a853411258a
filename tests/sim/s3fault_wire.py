# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 and TLS as s3fault needs them: heads and bodies as they stand on
the wire, connections that end badly, and a signature made anew."""
import hashlib
import hmac
import select
import socket
import ssl
import struct
import time
import urllib.parse

PIECE = 256 * 1024
HEAD_MAX = 64 * 1024


class Reset(Exception):
    """This connection is to end with RST."""


def place(text):
    """"host:port" -> (host, port)"""
    host, port = text.rsplit(":", 1)
    return host, int(port)


def tls_context(cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def reset(s):
    """Close with RST, whatever lies in the buffers."""
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack("ii", 1, 0))
    except OSError:
        pass
    s.close()


def sever(s):
    """End both ways; who waits on it wakes up."""
    try:
        socket.socket.shutdown(s, socket.SHUT_RDWR)
    except OSError:
        pass


def is_gone(s):
    """Whether the peer has closed, whatever it sent before."""
    poll = select.poll()
    try:
        poll.register(s.fileno(), select.POLLRDHUP)
    except (OSError, ValueError):
        return True
    return bool(poll.poll(0))


class Stream:
    """A socket with what was read too much."""

    def __init__(self, s):
        self.socket = s
        self.rest = b""

    def more(self, most=PIECE):
        if self.rest:
            piece, self.rest = self.rest[:most], self.rest[most:]
            return piece
        return self.socket.recv(most)

    def until(self, mark):
        """Bytes up to the mark, with it; b"" when the peer goes before."""
        got = b""
        while mark not in got:
            piece = self.more()
            if not piece or len(got) > HEAD_MAX:
                return b""
            got += piece
        at = got.index(mark) + len(mark)
        self.rest = got[at:] + self.rest
        return got[:at]


class Headers:
    """Fields in their order, as they were spelled."""

    def __init__(self, lines):
        self.rows = []
        for line in lines:
            name, _, value = line.partition(":")
            self.rows.append((name, value.strip()))

    def get(self, name, default=None):
        for k, v in self.rows:
            if k.lower() == name.lower():
                return v
        return default

    def set(self, name, value):
        self.drop(name)
        self.rows.append((name, value))

    def drop(self, name):
        self.rows = [r for r in self.rows if r[0].lower() != name.lower()]

    def wire(self, first):
        return "".join([first, "\r\n"] + ["%s: %s\r\n" % r for r in self.rows]
                       + ["\r\n"]).encode("latin-1")


class Request:
    """A request's head, and what S3 means by it."""

    def __init__(self, method, target, headers):
        self.method, self.target, self.headers = method, target, headers
        self.path, _, self.query = target.partition("?")
        self.params = dict(urllib.parse.parse_qsl(self.query, True))
        parts = urllib.parse.unquote(self.path).lstrip("/").split("/", 1)
        self.bucket = parts[0]
        self.key = parts[1] if len(parts) > 1 else ""
        self.kind = self._kind()
        length = headers.get("content-length")
        self.has_body = headers.get("transfer-encoding") is not None or \
            int(length or 0) > 0
        self.length = int(length or 0)

    def _kind(self):
        q = self.params
        plain = all(k == "versionId" or k.startswith("X-Amz-") for k in q)
        if self.method == "PUT" and self.key:
            return "part" if "partNumber" in q else \
                "put" if plain else "other"
        if self.method == "POST":
            return "create" if "uploads" in q else "complete" if \
                "uploadId" in q else "delete_many" if "delete" in q else "other"
        if self.method == "DELETE" and self.key:
            return "abort" if "uploadId" in q else "delete"
        if self.method == "HEAD" and self.key:
            return "head"
        if self.method == "GET" and self.key:
            return "parts" if "uploadId" in q else "get" if plain else "other"
        if self.method == "GET":
            return "uploads" if "uploads" in q else \
                "list" if "list-type" in q or "prefix" in q else "other"
        return "other"


def read_head(stream):
    """The first line and the fields, or None."""
    raw = stream.until(b"\r\n\r\n")
    if not raw:
        return None
    lines = raw[:-4].decode("latin-1").split("\r\n")
    return lines[0], Headers(lines[1:])


def read_request(stream):
    head = read_head(stream)
    if not head:
        return None
    method, target, _ = head[0].split(" ", 2)
    return Request(method, target, head[1])


def _chunks(stream):
    while True:
        line = stream.until(b"\r\n")
        if not line:
            raise OSError("a chunk is missing")
        left = int(line.split(b";")[0], 16)
        if left == 0:
            while stream.until(b"\r\n") not in (b"\r\n", b""):
                pass
            return
        while left:
            piece = stream.more(min(left, PIECE))
            if not piece:
                raise OSError("a chunk is cut")
            left -= len(piece)
            yield piece
        stream.until(b"\r\n")


def body_of(stream, headers, otherwise):
    """Pieces of a body. otherwise: its length when no field tells it, None:
    to the end of the connection."""
    if "chunked" in (headers.get("transfer-encoding") or "").lower():
        yield from _chunks(stream)
        return
    length = headers.get("content-length")
    left = int(length) if length is not None else otherwise
    while left is None or left > 0:
        piece = stream.more(PIECE if left is None else min(left, PIECE))
        if not piece:
            if left is None:
                return
            raise OSError("a body is cut")
        if left is not None:
            left -= len(piece)
        yield piece


# --- the time of a store that is not ours ---


def http_date(seconds):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(seconds))


def amz_date(seconds):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def signed_at(request):
    """When the client says that it signed, in seconds; None: it does not."""
    import calendar
    try:
        return calendar.timegm(time.strptime(
            request.headers.get("x-amz-date") or "", "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def sign_again(request, secret):
    """SigV4 over the same request at the true time: the server behind keeps
    it, while the client lives by another clock."""
    headers = request.headers
    old = headers.get("authorization") or ""
    fields = dict(f.strip().split("=", 1) for f in
                  old.partition(" ")[2].split(",") if "=" in f)
    names = fields["SignedHeaders"].split(";")
    _, _, region, service, _ = fields["Credential"].rsplit("/", 4)
    now = amz_date(time.time())
    headers.set("x-amz-date", now)
    scope = "/".join((now[:8], region, service, "aws4_request"))
    pairs = sorted((urllib.parse.quote(k, "-_.~"), urllib.parse.quote(v, "-_.~"))
                   for k, v in urllib.parse.parse_qsl(request.query, True))
    canonical = "\n".join(
        [request.method, request.path, "&".join("%s=%s" % p for p in pairs)] +
        ["%s:%s" % (n, " ".join((headers.get(n) or "").split()))
         for n in names] +
        ["", ";".join(names), headers.get("x-amz-content-sha256") or ""])
    text = "\n".join(("AWS4-HMAC-SHA256", now, scope, hashlib.sha256(
        canonical.encode()).hexdigest()))
    key = ("AWS4" + secret[1]).encode()
    for part in (now[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers.set("authorization", "AWS4-HMAC-SHA256 Credential=%s/%s, "
                "SignedHeaders=%s, Signature=%s" % (
                    secret[0], scope, ";".join(names),
                    hmac.new(key, text.encode(), hashlib.sha256).hexdigest()))
