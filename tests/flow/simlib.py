# SPDX-License-Identifier: Apache-2.0
"""Pools for flow tests: starts xensim, speaks XML-RPC with it, flips faults.

    with simlib.Sim([{"name": "paris", "vms": [...]}]) as sim:
        xapi = sim.login("paris")
        vm = xapi("VM.get_by_name_label", "web")[0]
        sim.fault("export_cut", after=100000)

The program is taken from $CAIRN_BUILD (default: build/ at the root). The pool
file and the control API are described in tests/sim/README.md. Standard
library only.
"""
import atexit
import http.client
import json
import os
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid
import xmlrpc.client

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("CAIRN_BUILD",
                                       os.path.join(ROOT, "build")))
BLOCK = 4096
MIB = 1 << 20


def marked(vm_uuid, device, block, generation):
    """One marked block of 4096 bytes, as tests/sim/README.md lays it out."""
    return struct.pack("<8s16sIIQQ16s", b"CAIRNBLK", uuid.UUID(vm_uuid).bytes,
                       int(device), 0, block, generation,
                       b"cairn test block") * 64


def read_mark(block):
    """(vm uuid, device, block, generation) of a marked block, None: none."""
    if block[:8] != b"CAIRNBLK" or block != block[:64] * 64:
        return None
    _, vm, device, _, number, generation, _ = struct.unpack("<8s16sIIQQ16s",
                                                            block[:64])
    return str(uuid.UUID(bytes=vm)), device, number, generation


class XapiError(Exception):
    """An API error: .code and .params."""

    def __init__(self, description):
        super().__init__(" ".join(map(str, description)))
        self.code = description[0]
        self.params = description[1:]


class Xapi:
    """A session with one host. Call it: xapi("VM.get_record", ref)."""

    def __init__(self, url, user, password, originator="simlib"):
        self.url = url.rstrip("/")
        self.parts = urllib.parse.urlsplit(self.url)
        self.session = None
        self.session = self.bare("session.login_with_password", user, password,
                                 "2.0", originator)

    def connection(self, timeout=120):
        """A new HTTP connection to the host; certificates go unchecked."""
        if self.parts.scheme == "http":
            return http.client.HTTPConnection(self.parts.hostname,
                                              self.parts.port, timeout=timeout)
        return http.client.HTTPSConnection(
            self.parts.hostname, self.parts.port, timeout=timeout,
            context=ssl._create_unverified_context())

    def raw(self, method, path, body=None, headers=None):
        """One request; (status, headers, body)."""
        c = self.connection()
        try:
            try:
                c.request(method, path, body, headers or {})
            except (BrokenPipeError, ConnectionResetError):
                pass  # the answer may have come before all was sent
            answer = c.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            c.close()

    def bare(self, method, *args):
        """A call without the session in front."""
        status, _, body = self.raw(
            "POST", "/RPC2", xmlrpc.client.dumps(args, method).encode(),
            {"Content-Type": "text/xml"})
        if status != 200:
            raise XapiError(["HTTP_%d" % status, body.decode(errors="replace")])
        value = xmlrpc.client.loads(body)[0][0]
        if method == "system.listMethods":
            return value
        if value["Status"] != "Success":
            raise XapiError(value["ErrorDescription"])
        return value["Value"]

    def __call__(self, method, *args):
        return self.bare(method, self.session, *args)

    def wait(self, task, seconds=60):
        """Until the task ends; its record, and it is destroyed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            record = self("task.get_record", task)
            if record["status"] not in ("pending", "cancelling"):
                self("task.destroy", task)
                return record
            time.sleep(0.02)
        raise TimeoutError("task %s is still pending" % task)

    def done(self, method, *args):
        """An Async. call, waited for; the result as text, or XapiError."""
        record = self.wait(self("Async." + method, *args))
        if record["status"] != "success":
            raise XapiError(record["error_info"] or [record["status"]])
        return xmlrpc.client.loads("<params><param>%s</param></params>" %
                                   (record["result"] or "<value></value>")
                                   )[0][0]

    def vm(self, name):
        """The reference of the one VM of this name that is no snapshot."""
        refs = [r for r in self("VM.get_by_name_label", name)
                if not self("VM.get_is_a_snapshot", r)]
        if len(refs) != 1:
            raise LookupError("%d VMs named %s" % (len(refs), name))
        return refs[0]

    def export(self, ref, **params):
        """GET /export: (status, headers, body, task record)."""
        task = self("task.create", "export", "")
        query = dict(session_id=self.session, task_id=task, ref=ref, **params)
        try:
            answer = self.raw("GET", "/export?" + urllib.parse.urlencode(query))
        except (http.client.HTTPException, OSError) as e:
            answer = (0, {}, repr(e).encode())
        return answer + (self.wait(task),)

    def put_import(self, body, headers=None, **params):
        """PUT /import of bytes: (status or 0, task record)."""
        task = self("task.create", "import", "")
        query = dict(session_id=self.session, task_id=task, **params)
        try:
            status = self.raw("PUT", "/import?" + urllib.parse.urlencode(query),
                              body, headers)[0]
        except (http.client.HTTPException, OSError):
            status = 0  # the verdict is the task's
        return status, self.wait(task)

    def logout(self):
        self("session.logout")


class Sim:
    """A running xensim. `pools` is the list of the pool file; further members
    of the file are keyword arguments. time_scale is 0 unless given."""

    def __init__(self, pools, build=BUILD, **top):
        self.dir = tempfile.mkdtemp(prefix="xensim-")
        self.process = None
        atexit.register(self.stop)
        top.setdefault("state_dir", os.path.join(self.dir, "state"))
        top.setdefault("time_scale", 0)
        self.file = os.path.join(self.dir, "pools.json")
        with open(self.file, "w", encoding="utf-8") as f:
            json.dump(dict(top, pools=pools), f)
        self.process = subprocess.Popen(
            [os.path.join(build, "xensim"), self.file],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("xensim did not start (exit %s)" %
                               self.process.wait())
        self.ready = json.loads(line)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """End it by its pid and remove its files. Its exit status."""
        status = None
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(20)
            self.process.stdout.close()
            self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)
        return status

    def pool(self, name=None):
        """What the ready line tells of a pool (default: the first)."""
        for p in self.ready["pools"]:
            if name is None or p["name"] == name:
                return p
        raise LookupError(name)

    def login(self, name=None, host=0, scheme="http", user=None,
              password=None):
        """A session with a host of a pool."""
        p = self.pool(name)
        h = p["hosts"][host]
        return Xapi(h["http_url"] if scheme == "http" else h["url"],
                    user or p["user"], password or p["password"])

    def request(self, method, path, body=None):
        """The control API, raw: (status, bytes)."""
        parts = urllib.parse.urlsplit(self.ready["control"])
        c = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        try:
            c.request(method, "/sim/" + path,
                      None if body is None else json.dumps(body))
            answer = c.getresponse()
            return answer.status, answer.read()
        finally:
            c.close()

    def get(self, path, **params):
        """GET of the control API, parsed."""
        query = "?" + urllib.parse.urlencode(params) if params else ""
        status, body = self.request("GET", path + query)
        if status != 200:
            raise RuntimeError(body.decode())
        return json.loads(body)

    def do(self, path, **body):
        """POST of the control API, parsed. pool: else the first."""
        if not path.startswith(("fault", "reset")):
            body.setdefault("pool", self.pool()["name"])
        status, answer = self.request("POST", path, body)
        if status != 200:
            raise RuntimeError("%s: %s" % (path, answer.decode()))
        return json.loads(answer)

    def fault(self, name, **arguments):
        """Set a fault; its id."""
        return self.do("fault", name=name, **arguments)["id"]

    def clear(self):
        """Clear all faults."""
        return self.do("fault/clear")["cleared"]

    def state(self, name=None):
        """The state of one pool (default: the first)."""
        for p in self.get("state")["pools"]:
            if name is None or p["name"] == name:
                return p
        raise LookupError(name)

    def vm(self, vm, pool=None):
        """The state of the VM of this name or uuid that is no snapshot."""
        for v in self.state(pool)["vms"]:
            if vm in (v["name_label"], v["uuid"], v["ref"]) and \
                    not v["is_a_snapshot"]:
                return v
        raise LookupError(vm)

    def disk(self, **params):
        """Bytes of a disk: vm=, device= or vdi=, offset=, length=, pool=."""
        params.setdefault("pool", self.pool()["name"])
        status, body = self.request("GET", "disk?" +
                                    urllib.parse.urlencode(params))
        if status != 200:
            raise RuntimeError(body.decode())
        return body

    def write(self, **body):
        """Write to a live disk, see POST /sim/disk/write."""
        return self.do("disk/write", **body)


def in_time(items):
    """All of them, in an order of which every beginning is spread evenly over
    them; $CAIRN_MINUTES, where it is set, ends that early."""
    items, begun = list(items), time.monotonic()
    bits = max(len(items) - 1, 0).bit_length()
    minutes = float(os.environ.get("CAIRN_MINUTES", "inf"))
    at = (int(format(i, "0%db" % bits)[::-1], 2) if bits else i
          for i in range(1 << bits))
    for n, i in enumerate(i for i in at if i < len(items)):
        if time.monotonic() - begun > 60 * minutes:
            print("# %d of %d: the time is over" % (n, len(items)), flush=True)
            return
        if n and n % 50 == 0:
            print("# %d of %d" % (n, len(items)), flush=True)
        yield items[i]


class Checks:
    """Prints `ok name` and `not ok name: why`."""

    def __init__(self):
        self.failed = 0

    def check(self, name, good, why=""):
        if good:
            print("ok", name, flush=True)
        else:
            self.failed += 1
            print("not ok %s: %s" % (name, why), flush=True)
        return bool(good)

    def same(self, name, got, wanted):
        return self.check(name, got == wanted,
                          "wanted %.300r, got %.300r" % (wanted, got))

    def run(self, name, function, *args):
        """A test function; what it raises is a failure. Where CAIRN_ONLY
        names some, no other is run."""
        if name not in os.environ.get("CAIRN_ONLY", name).split():
            return
        try:
            function(*args)
        except Exception as e:  # whatever it is, the next test must run
            self.failed += 1
            print("not ok %s: %s: %s" % (name, type(e).__name__, e),
                  flush=True)

    def finish(self):
        sys.exit(1 if self.failed else 0)
