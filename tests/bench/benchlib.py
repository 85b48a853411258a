# SPDX-License-Identifier: Apache-2.0
"""Runs what is measured: the gateway, the simulator's pools, the sink, the
limit; and reads the counters of their processes. Standard library only."""
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "flow"))
import simlib  # noqa: E402

BUILD = simlib.BUILD
MIB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")
AUTOGROUP = "/proc/self/autogroup"
CREDENTIALS = ("[default]\naws_access_key_id = bench\n"
               "aws_secret_access_key = bench\n")


class Unmeasured(Exception):
    """A measure could not be taken."""


# --- processes -------------------------------------------------------------


def cpu(pid):
    """CPU seconds of a process, all its threads, user and system, to the
    nanosecond: what clock_getcpuclockid() would name."""
    return time.clock_gettime((~pid << 3) | 2)


def machine_cpu():
    """CPU seconds of all that ran on this machine."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK


def pin():
    """Two cores, as the bounds have it. How many there are."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    return len(cores)


class Alone:
    """Holds the rest of the machine back while it lasts: the scheduling group
    of this session comes first, as root may say where the kernel groups by
    session (sched_autogroup_enabled)."""

    def __enter__(self):
        try:
            with open(AUTOGROUP, encoding="ascii") as f:
                self.before = f.read().split()[-1]
            self.say("-20")
        except OSError as e:
            raise Unmeasured("--alone is for root, where %s is there: %s" % (
                AUTOGROUP, e)) from e
        return self

    @staticmethod
    def say(nice):
        with open(AUTOGROUP, "w", encoding="ascii") as f:
            f.write(nice)

    def __exit__(self, *_):
        self.say(self.before)


def bytes_read(pid):
    """Bytes that a process has read from files."""
    with open("/proc/%d/io" % pid, encoding="ascii") as f:
        return int(f.readline().split()[1])


def reset_peak(pid):
    with open("/proc/%d/clear_refs" % pid, "w", encoding="ascii") as f:
        f.write("5")


def status_of(pid, key):
    """VmHWM or VmRSS, bytes."""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        for line in f:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    raise Unmeasured("no %s in /proc/%d/status" % (key, pid))


class Sampler(threading.Thread):
    """What some processes use while data flows: while `source` goes on
    reading its disks."""

    def __init__(self, pids, source):
        super().__init__(daemon=True)
        self.pids = dict(pids)
        self.source = source
        self.samples = []
        self.end = threading.Event()
        self.start()

    def sample(self):
        self.samples.append((time.monotonic(), bytes_read(self.source),
                             machine_cpu(),
                             {n: cpu(p) for n, p in self.pids.items()}))

    def run(self):
        try:
            self.sample()
            while not self.end.wait(0.03):
                self.sample()
            self.sample()
        except OSError:
            pass  # a process has ended, which others will notice

    def finish(self):
        """Counters of the time in which data flowed; None: it did not."""
        self.end.set()
        self.join()
        s = self.samples or [(0, 0, 0, {})]
        first = next((i for i, x in enumerate(s)
                      if x[1] > s[0][1] + 2 * MIB), None)
        last = next((i for i, x in enumerate(s) if x[1] == s[-1][1]), None)
        if first is None or last <= first:
            return None
        a, b = s[first], s[last]
        return {"wall_s": b[0] - a[0], "read_bytes": b[1] - a[1],
                "machine_cpu_s": b[2] - a[2],
                "cpu_s": {n: b[3][n] - a[3][n] for n in self.pids}}


def run_program(program, *args):
    """One of the bench programs; what it prints."""
    run = subprocess.run(
        [os.path.join(BUILD, "tests", program)] + [str(a) for a in args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise Unmeasured("%s: %s" % (program, run.stderr.strip()))
    return run.stdout


def run_json(program, *args):
    """One of the bench programs; its line."""
    return json.loads(run_program(program, *args))


def stop(process):
    """End a process of ours; False: it had to be killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
    return True


# --- the store -------------------------------------------------------------


def make_certificate(folder):
    """(certificate, key) for 127.0.0.1."""
    cert, key = os.path.join(folder, "s.crt"), os.path.join(folder, "s.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    return cert, key


class Sink:
    """tests/bench/s3sink: an S3 server in memory."""

    def __init__(self, certificate=None, options=()):
        self.scheme = "https" if certificate else "http"
        command = [os.path.join(BUILD, "tests", "s3sink")] + list(options)
        if certificate:
            command += ["--cert", certificate[0], "--key", certificate[1]]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Unmeasured("s3sink did not start")
        self.pid = self.process.pid
        self.url = "%s://127.0.0.1:%d" % (self.scheme, int(line.split()[-1]))

    def stats(self):
        """Requests by kind, bytes, as the sink counted them."""
        where = self.url.split("//")[1]
        c = http.client.HTTPConnection(where) if self.scheme == "http" else \
            http.client.HTTPSConnection(
                where, context=ssl._create_unverified_context())
        try:
            c.request("GET", "/_stats")
            return json.loads(c.getresponse().read())
        except (OSError, http.client.HTTPException) as e:
            raise Unmeasured("s3sink, %s: %s" % (
                "which ended with %s" % self.process.returncode
                if self.process.poll() is not None else "which runs",
                e)) from e
        finally:
            c.close()

    def stop(self):
        stop(self.process)
        self.process.stdout.close()


# --- the gateway -----------------------------------------------------------


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("gateway", timeout=3600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Gateway:
    """A cairnd of its own, in a folder of its own."""

    def __init__(self, folder, memory, **settings):
        self.folder = folder
        os.makedirs(folder)
        self.socket = os.path.join(folder, "s")
        self.log = os.path.join(folder, "log")
        config = dict(gateway="bench", state=os.path.join(folder, "state"),
                      socket=self.socket, memory=memory, **settings)
        self.config = os.path.join(folder, "cairnd.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.writelines("%s: %s\n" % kv for kv in config.items())
        self.start()

    def start(self):
        """Also again, once the process has ended."""
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "cairnd"), "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        end = time.monotonic() + 30
        while True:
            try:
                self.api("GET", "/status")
                return
            except OSError:
                if time.monotonic() > end:
                    raise Unmeasured("cairnd does not answer") from None
                time.sleep(0.02)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]

    def api(self, method, path, **body):
        """A request of the control API; what it answers."""
        c = UnixHttp(self.socket)
        try:
            if body:
                c.request(method, "/api/v1" + path, json.dumps(body),
                          {"Content-Type": "application/json"})
            else:
                c.request(method, "/api/v1" + path)
            answer = c.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as e:
            time.sleep(0.2)  # one that is ending has ended
            if self.process.poll() is None:
                raise
            raise Unmeasured("cairnd ended with %s: %s" % (
                self.process.returncode, self.tail())) from e
        finally:
            c.close()
        if answer.status >= 400:
            raise Unmeasured("%s %s: %d %s" % (method, path, answer.status,
                                               text.decode()[:500]))
        return json.loads(text) if text else None

    def add_pool(self, sim, name):
        p = sim.pool(name)
        h = p["hosts"][0]
        self.api("POST", "/pools", name=name, user=p["user"],
                 password=p["password"], fingerprints=[h["fingerprint"]],
                 hosts=["%s:%d" % (h["address"], h["https_port"])])

    def add_tenant(self, name, pool):
        """Whose VMs carry the tag of this name."""
        self.api("POST", "/tenants", name=name)
        self.api("POST", "/rules", tenant=name, pool=pool, kind="tag",
                 value=name)

    def add_vault(self, tenant, url, sink=None, ca=None):
        body = dict(tenant=tenant, name="main", url=url)
        if sink:
            body.update(endpoint=sink.url, region="us-east-1",
                        credentials=CREDENTIALS)
        if ca:
            with open(ca, encoding="ascii") as f:
                body["ca"] = f.read()
        answer = self.api("POST", "/vaults", **body)
        # It takes backups when its recovery file was seen to open it.
        self.api("POST", "/vaults/main/keys/test?tenant=" + tenant,
                 key_file=answer["recovery_key_file"])

    def wait(self, jobs, seconds=3600):
        """Until these jobs have ended, well; their results."""
        end = time.monotonic() + seconds
        results = []
        for job in jobs:
            while True:
                r = self.api("GET", "/jobs/" + job)
                if r["final"]:
                    break
                if time.monotonic() > end:
                    raise Unmeasured("job %s does not end" % job)
                time.sleep(0.1)
            if r["state"] != "succeeded":
                raise Unmeasured("job %s %s: %s" % (r["kind"], r["state"],
                                                    r["error"]))
            results.append(r)
        return results

    def backup(self, *vms):
        """Back up VMs; their jobs, ended."""
        answer = self.api("POST", "/backups", vms=list(vms))
        return self.wait([j["id"] for j in answer["jobs"]])

    def stop(self):
        clean = stop(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)
        return clean
