# SPDX-License-Identifier: Apache-2.0
"""A gateway for flow tests, the demo and benchmarks: starts cairnd on a state
directory of its own and runs `cairn` against it.

    with gwlib.Gateway() as gw:
        gw.ok("tenant", "add", "acme")
        jobs = gw.json("job", "list")

Programs are taken from $CAIRN_BUILD (default: build/ at the root). Standard
library only.
"""
import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("CAIRN_BUILD",
                                       os.path.join(ROOT, "build")))


def program(name, build=BUILD):
    """The path of one of our programs."""
    path = os.path.join(build, name)
    if not os.path.exists(path):
        raise FileNotFoundError("%s is not built (./run build)" % path)
    return path


class Failed(Exception):
    """A command that should have worked: .status, .out, .err."""

    def __init__(self, argv, status, out, err):
        super().__init__("%s: exit %d: %s" % (
            " ".join(argv[1:]), status, (err or out).strip()[-800:]))
        self.status, self.out, self.err = status, out, err


class Gateway:
    """A cairnd. `settings` are keys of its configuration."""

    def __init__(self, name="gw-1", env=None, build=BUILD, directory=None,
                 start=True, **settings):
        self.build = build
        self.own = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="cairn-gw-")
        self.state = os.path.join(self.dir, "state")
        self.socket = os.path.join(self.dir, "s")
        self.log = os.path.join(self.dir, "cairnd.log")
        self.config = os.path.join(self.dir, "cairnd.yaml")
        self.env = dict(os.environ, **(env or {}))
        self.env.pop("CAIRN_SERVER", None)
        self.process = None
        rows = dict(gateway=name, state=self.state, socket=self.socket)
        rows.update(settings)
        with open(self.config, "w", encoding="utf-8") as f:
            for key, value in rows.items():
                f.write("%s: \"%s\"\n" % (key, value))
        atexit.register(self.stop)
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self.own:
            shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, env=None, seconds=60):
        """Start and wait until it answers."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [program("cairnd", self.build), "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(self.env, **(env or {})))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError("cairnd ended (%d): %s" % (
                    self.process.returncode, self.logged()[-2000:]))
            if self.run("status")[0] == 0:
                return
            time.sleep(0.05)
        raise TimeoutError("cairnd does not answer: " + self.logged()[-2000:])

    @property
    def pid(self):
        return self.process.pid

    def stop(self, seconds=40):
        """SIGTERM; its exit status."""
        if not self.process:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = -9
        self.process = None
        return status

    def kill(self):
        """kill -9, at once."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def wait_dead(self, seconds=180):
        """Until it ends by itself; its status."""
        status = self.process.wait(seconds)
        self.process = None
        return status

    def logged(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def argv(self, *args, token=None, server=None):
        argv = [program("cairn", self.build), *map(str, args), "--server",
                server or self.socket]
        if token:
            argv += ["--token-file", token]
        return argv

    def run(self, *args, stdin=None, token=None, server=None, timeout=600):
        """(exit status, stdout, stderr) of `cairn ARGS`."""
        done = subprocess.run(
            self.argv(*args, token=token, server=server), input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.env, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr

    def ok(self, *args, **kw):
        """stdout of a command that must exit with 0 (or 3: warnings)."""
        argv = self.argv(*args)
        status, out, err = self.run(*args, **kw)
        if status not in (0, 3):
            raise Failed(argv, status, out, err)
        return out

    def json(self, *args, **kw):
        """What a command prints with --json."""
        return json.loads(self.ok(*args, "--json", **kw))

    def start_run(self, *args, **kw):
        """A command in the background: a Popen."""
        return subprocess.Popen(
            self.argv(*args, **kw), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.env)

    # --- what most tests need ---

    def add_pool(self, sim, name):
        """A pool of a running xensim, trusted by the pins of its hosts."""
        pool = sim.pool(name)
        secret = os.path.join(self.dir, "password-" + name)
        with open(secret, "w", encoding="utf-8") as f:
            f.write(pool["password"] + "\n")
        host = pool["hosts"][0]
        pins = []
        for h in pool["hosts"]:
            pins += ["--fingerprint", h["fingerprint"]]
        self.ok("pool", "add", name, "--host",
                "%s:%d" % (host["address"], host["https_port"]), "--user",
                pool["user"], "--password-file", secret, *pins)

    def add_vault(self, tenant, name, url=None, *more):
        """A vault, in a new folder unless a URL is given; the key file."""
        if url is None:
            folder = os.path.join(self.dir, "vault-%s-%s" % (tenant, name))
            os.makedirs(folder, exist_ok=True)
            url = "file://" + folder
        key = os.path.join(self.dir, "recovery-%s-%s.key" % (tenant, name))
        self.ok("vault", "add", name, "--tenant", tenant, "--url", url,
                "--recovery-out", key, *more)
        return key

    def memory_peak(self):
        """VmHWM in bytes."""
        with open("/proc/%d/status" % self.pid, encoding="ascii") as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    def cpu_seconds(self):
        """User and system time so far."""
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unfinished(gw):
    """Files under tmp/ of the folder vaults that a gateway test made: what is
    left of unfinished uploads."""
    left = []
    for v in gw.json("vault", "list"):
        if v["url"].startswith("file://"):
            tmp = os.path.join(v["url"][7:], "tmp")
            if os.path.isdir(tmp):
                left += [os.path.join(tmp, f) for f in os.listdir(tmp)]
    return left

