# SPDX-License-Identifier: Apache-2.0
"""Real S3 servers for tests: Ceph's and Swift's, started and ended here, and
boto3 clients of them. Nothing of ours is used but the scripts that start
them."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SIM = os.path.join(os.path.dirname(HERE), "sim")
BUILD = os.environ.get("CAIRN_BUILD") or os.path.join(
    os.path.dirname(os.path.dirname(HERE)), "build")

# What a machine may have set up for its own purposes.
for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY",
             "HTTPS_PROXY", "ALL_PROXY", "AWS_CA_BUNDLE", "AWS_PROFILE",
             "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
             "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE",
             "AWS_SHARED_CREDENTIALS_FILE"):
    os.environ.pop(name, None)
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


class Server:
    """A server in a folder of its own; `with` ends it."""
    kind = None

    def __init__(self, **env):
        self.run = tempfile.mktemp(prefix="cairn-%s-" % self.kind, dir="/tmp")
        done = subprocess.run([os.path.join(SIM, self.kind + "_up.sh"),
                               self.run],
                              env=dict(os.environ, **env), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, timeout=180)
        if done.returncode:
            self.down()
            raise RuntimeError(done.stdout)
        with open(os.path.join(self.run, "env")) as f:
            self.env = dict(line.rstrip("\n").split("=", 1) for line in f)
        self.http = "http://127.0.0.1:" + self.env["HTTP"]
        self.key = self.env["ALICE_KEY"]
        self.secret = self.env["ALICE_SECRET"]

    def down(self):
        subprocess.run([os.path.join(SIM, self.kind + "_down.sh"), self.run],
                       check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def boto(self, key=None, secret=None, service="s3", token=None,
             region="us-east-1"):
        import boto3
        from botocore.config import Config
        how = dict(s3={"addressing_style": "path"}, proxies={},
                   retries={"max_attempts": 2})
        try:  # newer ones send checksums that Ceph 16 and Swift refuse
            config = Config(request_checksum_calculation="when_required", **how)
        except TypeError:
            config = Config(**how)
        return boto3.client(
            service, endpoint_url=self.http, region_name=region,
            aws_access_key_id=key or self.key,
            aws_secret_access_key=secret or self.secret,
            aws_session_token=token, config=config)


class Ceph(Server):
    kind = "rgw"

    def __init__(self, **env):
        super().__init__(**env)
        self.https = "https://127.0.0.1:" + self.env["HTTPS"]
        self.ca = self.env["CA"]

    def admin(self, *args):
        return subprocess.run(
            ["radosgw-admin", *args], check=True, text=True,
            env=dict(os.environ, CEPH_CONF=self.run + "/ceph.conf"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout

    def pid(self, name):
        with open("%s/run/%s.pid" % (self.run, name)) as f:
            return int(f.read())

    def log(self):
        with open(self.run + "/log/client.rgw.log", errors="replace") as f:
            return f.read()


class Swift(Server):
    kind = "swift"


class Sink(Server):
    """Our own, which measures; not a judge."""
    kind = "sink"

    def __init__(self, *options):
        self.key, self.secret = "K", "S"
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests", "s3sink"), *options],
            stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.http = "http://127.0.0.1:%d" % self.port

    def down(self):
        self.process.terminate()
        self.status = self.process.wait(30)
        self.process.stdout.close()

    def stats(self):
        import urllib.request
        with urllib.request.urlopen(self.http + "/_stats") as f:
            return json.load(f)


def credentials(path, key, secret, token=None):
    """A file of AWS's form."""
    with open(path, "w") as f:
        f.write("[default]\naws_access_key_id = %s\n"
                "aws_secret_access_key = %s\n" % (key, secret))
        if token:
            f.write("aws_session_token = %s\n" % token)
    return path


def tool(*args, program="s3tool", timeout=120):
    """Run s3tool; its JSON as a dict, with wall time as "seconds"."""
    begun = time.monotonic()
    done = subprocess.run([os.path.join(BUILD, "tests", program),
                           *map(str, args)], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout)
    if done.returncode:
        raise RuntimeError("%s: status %d: %s" % (program, done.returncode,
                                                  done.stderr[-3000:]))
    out = json.loads(done.stdout)
    out["seconds"] = time.monotonic() - begun
    out["stderr"] = done.stderr
    return out


class Between:
    """A proxy on loopback that breaks connections: rules are (direction,
    bytes, connection, how): after so many bytes "up" (to the server) or "down"
    of the connection with that number from 1, it is reset ("rst") or closed
    ("fin"). With "cut" the answer is swallowed and the connection closed."""

    def __init__(self, port, rules):
        self.port, self.rules = port, rules
        self.count = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open = False
        self.listener.close()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            server = socket.create_connection(("127.0.0.1", self.port))
            for way, a, b in (("up", client, server), ("down", server, client)):
                limit = [(r[1], r[3]) for r in self.rules
                         if r[0] == way and r[2] == self.count]
                threading.Thread(target=self._pump, daemon=True,
                                 args=(a, b, client, server,
                                       limit[0] if limit else None)).start()

    @staticmethod
    def _pump(a, b, client, server, limit):
        moved = 0
        try:
            while True:
                want = 65536
                if limit:
                    want = min(want, limit[0] - moved)
                    if want <= 0:
                        if limit[1] == "rst":
                            client.setsockopt(socket.SOL_SOCKET,
                                              socket.SO_LINGER,
                                              b"\1\0\0\0\0\0\0\0")
                        break
                data = a.recv(want)
                if not data:
                    break
                moved += len(data)
                b.sendall(data)
        except OSError:
            pass
        for s in (client, server):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        client.close()


class Cases:
    """Collects `ok name` and `not ok name: why` lines."""

    def __init__(self):
        self.failed = 0
        self.folder = tempfile.mkdtemp(prefix="cairn-flow-")

    def path(self, name):
        return os.path.join(self.folder, name)

    def file(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def run(self, function, *args, name=None):
        name = name or function.__name__
        try:
            function(*args)
        except Exception as e:  # a case must not end the others
            self.failed += 1
            why = " ".join(("%s: %s" % (type(e).__name__, e)).split())
            print("not ok %s: %s" % (name, why[:600]), flush=True)
        else:
            print("ok %s" % name, flush=True)

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        return 1 if self.failed else 0


def same(what, got, want):
    if got != want:
        raise AssertionError("%s: %r, not %r" % (what, got, want))


def holds(what, truth):
    if not truth:
        raise AssertionError(what)
