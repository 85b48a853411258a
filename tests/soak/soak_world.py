# SPDX-License-Identifier: Apache-2.0
"""What soaks: pools full of VMs, tenants, vaults in folders and behind proxies
before Ceph, one gateway; and what each VM's disks were at each time."""
import collections
import contextlib
import http.client
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "flow"),
                os.path.join(HERE, "..", "interop")]
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import proxylib  # noqa: E402
import simlib  # noqa: E402
import soak_sum  # noqa: E402

MIB = 1 << 20
LARGE = 32 * MIB
RELEASE = os.environ.get("CAIRN_RELEASE", gwlib.BUILD)
TENANTS = ("acme", "bravo", "carol", "dora")
# A minute of a pool or a store is some seconds here.
SETTINGS = {"pool_retry": "12 s", "pool_connect": "3 s", "pool_answer": "8 s",
            "export_first_byte": "6 s", "export_stall": "4 s",
            "pool_verdict": "12 s", "store_request": "3 s",
            "store_retry": "20 s"}


class Down(Exception):
    """cairnd does not answer."""


class Refused(Exception):
    """It answers with a problem: .status, .problem."""

    def __init__(self, status, problem):
        super().__init__("%d %s" % (status, problem.get("detail")))
        self.status, self.problem = status, problem


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("cairn", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class State:
    """The disks of a VM from one write to the next."""

    def __init__(self, begins, blocks):
        self.begins, self.ends = begins, None
        self.blocks = {d: tuple(b) for d, b in blocks.items()}
        self.digests = {d: soak_sum.of_blocks(b) for d, b in blocks.items()}


class Vm:
    """One VM of a pool, and all that it ever was."""

    def __init__(self, sim, pool, name, tenant):
        self.sim, self.pool, self.name, self.tenant = sim, pool, name, tenant
        self.uuid = sim.pool(pool)["vms"][name]
        self.lock = threading.Lock()
        self.states = []
        self.files, self.blocks = {}, {}

    def learn(self, state):
        """From a pool's state, before anything is written."""
        mine = next(v for v in state["vms"] if v["uuid"] == self.uuid)
        self.files = {d["userdevice"]: (d["file"], d["size"])
                      for d in mine["disks"]}
        self.blocks = {d: soak_sum.blocks_of(*f)
                       for d, f in self.files.items()}
        self.states = [State(0, self.blocks)]

    def is_large(self):
        return any(size > LARGE for _, size in self.files.values())

    def write(self, rng):
        """The guest writes: somewhere on one disk, mostly little. A snapshot
        may come between the MiBs of a larger write."""
        device = rng.choice(sorted(self.files))
        file, size = self.files[device]
        length = rng.choice((4096, 65536, 200000, 300000, MIB))
        at = rng.randrange(0, (size - length) // 512 + 1) * 512
        how = {"random": rng.randrange(1, 1 << 31)}
        if size > LARGE and rng.random() < 0.5:
            length = 17 * MIB  # so that an upload has parts
            at = rng.randrange(0, (size - length) // MIB + 1) * MIB
        elif rng.random() < 0.15:
            how = {"zero": True}
        with self.lock:
            begins = time.time()
            self.sim.write(pool=self.pool, vm=self.uuid, device=device,
                           offset=at, length=length, **how)
            ends = time.time()
            first, last = at // MIB, (at + length - 1) // MIB
            fresh = soak_sum.blocks_of(file, size, first, last)
            blocks = self.blocks[device]
            self.states[-1].ends = ends
            steps = range(1, len(fresh) + 1) if length > MIB else [len(fresh)]
            for n in steps:
                blocks[first:first + n] = fresh[:n]
                self.states.append(State(begins, self.blocks))
                self.states[-1].ends = ends
            self.states[-1].ends = None

    def was(self, digests, begins, ends):
        """Whether these disks are what they were at some moment from begins
        to ends; each for itself, since the simulator takes a snapshot disk by
        disk."""
        with self.lock:
            then = [s.digests for s in self.between(begins, ends)]
            return all(any(d.get(device) == got for d in then)
                       for device, got in digests.items())

    def between(self, begins, ends):
        return [s for s in self.states if s.begins <= ends + 1 and
                (s.ends is None or s.ends >= begins - 1)]

    def holes(self, digests, begins, ends):
        """In words, which MiB were zero where these disks are not what they
        were: a block that the export left out."""
        said = []
        with self.lock:
            then = self.between(begins, ends)
            for device, got in sorted(digests.items()):
                if any(s.digests.get(device) == got for s in then):
                    continue
                found = {n for s in then for n, b in enumerate(
                    s.blocks.get(device, ())) if b != soak_sum.ZERO and
                         soak_sum.of_blocks(s.blocks[device][:n] + (
                             soak_sum.ZERO,) + s.blocks[device][n + 1:]) ==
                         got}
                said.append("disk %s %s" % (device, "but for MiB %s, which is "
                                            "zero" % sorted(found) if found
                                            else "not by a MiB that is zero"))
        return ", ".join(said)


class Vault:
    """Where a tenant's backups lie. bucket: None for a folder."""

    def __init__(self, tenant, name, url, key, bucket=None, options=()):
        self.tenant, self.name, self.url, self.key = tenant, name, url, key
        self.bucket, self.options = bucket, list(options)


class World:
    """All of it, running. `say` gets what is worth a line in the log."""

    def __init__(self, plan, say):
        self.plan, self.say = plan, say
        self.dir = tempfile.mkdtemp(prefix="cairn-soak-")
        self.stack = contextlib.ExitStack()
        self.stack.callback(shutil.rmtree, self.dir, True)
        self.proxies, self.vaults, self.vms = [], [], {}
        self.ceph = None
        self.turn = threading.RLock()  # who starts and ends cairnd
        self.lives = 0
        self.began = 0                 # the present one
        self.problems = []
        self.samples = []

    def __enter__(self):
        try:
            self.set_up()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()

    def problem(self, text):
        """Something that Cairn must not do."""
        text = " ".join(str(text).split())[:1500]
        self.problems.append(text)
        self.say("PROBLEM: " + text)

    # --- to begin with ---

    def set_up(self):
        enter, plan = self.stack.enter_context, self.plan
        tenants = TENANTS[:plan.tenants]
        self.sim = enter(simlib.Sim(self.pools(tenants)))
        if plan.buckets:
            env = {"OSD": "bluestore"} if plan.seconds > 1800 else {}
            self.ceph = enter(cephlib.Ceph(**env))
        settings = dict(SETTINGS, memory=plan.memory)
        self.gw = enter(gwlib.Gateway("soak", start=False, **settings))
        self.start()
        for tenant in tenants:
            self.gw.ok("tenant", "add", tenant)
        for pool in self.pool_names:
            self.gw.add_pool(self.sim, pool)
            for tenant in tenants:
                self.gw.ok("rule", "add", "--tenant", tenant, "--pool", pool,
                           "--tag", tenant)
        for i, tenant in enumerate(tenants):
            self.add_vaults(i, tenant)
        for pool in self.sim.get("state")["pools"]:
            for vm in self.vms.values():
                if vm.pool == pool["name"]:
                    vm.learn(pool)

    def pools(self, tenants):
        """The pool file's pools: VMs of all tenants in each."""
        plan, out = self.plan, []
        self.pool_names = ["pool-%d" % (i + 1) for i in range(plan.pools)]
        self.spread = []
        for i, pool in enumerate(self.pool_names):
            vms = []
            for j in range(plan.vms // plan.pools):
                name, tenant = "vm-%d-%d" % (i + 1, j), tenants[
                    (i + j) % len(tenants)]
                disks = [{"size": 8 * MIB, "fill": "random" if j % 3 else
                          "marked", "used": 2 * MIB}]
                if j % 4 == 1:
                    disks.append({"size": 5 * MIB + 512 * 7,
                                  "fill": "random", "used": MIB})
                if j == 2:
                    disks[0].update(size=40 * MIB)
                vms.append({"name": name, "tags": [tenant], "disks": disks,
                            "nics": [{"network": "eth0"}]})
                self.spread.append((pool, name, tenant))
            out.append({"name": pool, "vms": vms, "hosts": [
                {"name": "%s-%d" % (pool, k)} for k in (1, 2)],
                "srs": [{"name": "one", "shared": True},
                        {"name": "two", "type": "lvm"}]})
        return out

    def add_vaults(self, number, tenant):
        """Folders and buckets in turn; the third tenant has both."""
        plan = self.plan
        kinds = {0: ["folder"], 1: ["http"], 2: ["folder", "http"],
                 3: ["https"]}[number]
        if not plan.buckets:
            kinds = ["folder"]
        elif plan.tenants == 1:
            kinds = ["folder", "http"]
        for kind in kinds:
            name = "vault-" + kind
            if kind == "folder":
                key = self.gw.add_vault(tenant, name)
                url = "file://" + gwcase.folder_of(self.gw, tenant, name)
                self.vaults.append(Vault(tenant, name, url, key))
                continue
            bucket = "%s-%s" % (tenant, kind)
            self.ceph.boto().create_bucket(Bucket=bucket)
            proxy = self.proxy(kind)
            options = ["--endpoint", proxy.url, "--credentials-file",
                       cephlib.credentials(os.path.join(self.dir, bucket),
                                           self.ceph.key, self.ceph.secret)]
            if kind == "https":
                options += ["--ca", self.ceph.ca]
            url = "s3://%s/in/side" % bucket
            key = self.gw.add_vault(tenant, name, url, *options)
            self.vaults.append(Vault(tenant, name, url, key, bucket, options))
        for pool, vm, owner in self.spread:
            if owner == tenant:
                one = Vm(self.sim, pool, vm, tenant)
                self.vms[one.uuid] = one

    def proxy(self, kind):
        for p in self.proxies:
            if p.url.startswith(kind + ":"):
                return p
        pem = self.ceph.run + "/tls/server."
        p = self.stack.enter_context(proxylib.Proxy(
            int(self.ceph.env["HTTP"]),
            (pem + "pem", pem + "key") if kind == "https" else None,
            seed=self.plan.seed))
        self.proxies.append(p)
        return p

    # --- the gateway ---

    def start(self):
        with self.turn:
            self.gw.start(seconds=120)
            self.lives += 1
            self.began = time.monotonic()

    def kill(self):
        with self.turn:
            self.gw.kill()
            self.lives += 1

    def stop(self):
        """By SIGTERM; its exit status."""
        with self.turn:
            self.lives += 1
            return self.gw.stop(90)

    def died(self):
        """Whether it has ended and nobody told it to. It is started again."""
        with self.turn:
            process = self.gw.process
            if process is None or process.poll() is None:
                return False
            self.problem("cairnd ended by itself, status %s: %s" % (
                process.returncode, self.gw.logged()[-1200:]))
            self.gw.process = None
            self.start()
            return True

    def api(self, method, path, body=None):
        """What /api/v1 answers. Down while it is killed; a gateway that lives
        and does not answer is a problem. (Twelve clients ask a pool 13 things
        each, it answers 20 at a time, and each has pool_answer, thrice.)"""
        life, had = self.lives, self.processor()
        c = Unix(self.gw.socket, self.plan.hang)
        try:
            c.request(method, "/api/v1" + path,
                      None if body is None else json.dumps(body),
                      {"Content-Type": "application/json"} if body is not None
                      else {})
            answer = c.getresponse()
            told = json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as e:
            with self.turn:
                if life == self.lives and self.gw.process and \
                        not self.died():
                    self.problem("%s %s: no answer: %s: %s; %s" % (
                        method, path, type(e).__name__, e,
                        self.since(had)))
            raise Down() from None
        finally:
            c.close()
        if answer.status >= 400:
            raise Refused(answer.status, told)
        return told

    def all_of(self, path):
        """Every item of a list."""
        found, cursor = [], ""
        while True:
            page = self.api("GET", path + ("&" if "?" in path else "?") +
                            "limit=1000" + cursor)
            found += page["items"]
            if not page["next"]:
                return found
            cursor = "&cursor=" + str(page["next"])

    # --- figures ---

    def sample(self):
        """(seconds, RSS in KiB, descriptors but for TCP, TCP connections,
        threads) of cairnd, kept."""
        try:
            pid = self.gw.process.pid
            with open("/proc/%d/status" % pid, encoding="ascii") as f:
                rows = dict(line.split(":", 1) for line in f)
            kinds = self.descriptors(pid)
        except (AttributeError, OSError, KeyError):
            return None
        tcp = sum(n for kind, n in kinds.items() if kind.startswith("tcp"))
        row = (time.monotonic(), int(rows["VmRSS"].split()[0]),
               sum(kinds.values()) - tcp, tcp, int(rows["Threads"]))
        self.samples.append(row)
        return row

    def processor(self):
        """Seconds that cairnd's control loop ran, and waited for a
        processor: whether it is late by itself. None: not known."""
        try:
            with open("/proc/%d/schedstat" % self.gw.process.pid,
                      encoding="ascii") as f:
                return [int(n) / 1e9 for n in f.read().split()[:2]]
        except (AttributeError, OSError):
            return None

    def since(self, had):
        """In words, what processor() has changed."""
        now = self.processor()
        if not had or not now:
            return "cairnd is another one"
        return "its control loop ran %.1f s and waited %.1f s for a " \
            "processor, load %.0f" % (now[0] - had[0], now[1] - had[1],
                                    os.getloadavg()[0])

    def descriptors(self, pid):
        """How many of each kind it has open; TCP by the port at the other
        end."""
        ports, kinds = {}, collections.Counter()
        with open("/proc/net/tcp", encoding="ascii") as f:
            for row in list(f)[1:]:
                fields = row.split()
                ports[fields[9]] = int(fields[2].rsplit(":", 1)[1], 16)
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                what = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            except OSError:
                continue
            inode = what[8:-1] if what.startswith("socket:[") else None
            kinds["tcp %s" % ports[inode] if inode in ports else
                  "socket" if inode else os.path.basename(what)] += 1
        return kinds
