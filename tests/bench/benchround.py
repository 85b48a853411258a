# SPDX-License-Identifier: Apache-2.0
"""One round of the measures of CPU, requests and bytes. Everything starts
afresh: store, pool, gateway, vaults. Standard library only."""
import contextlib
import filecmp
import os
import shutil
import subprocess
import time

import benchdata
import benchlib
import simlib

MIB = 1 << 20
CHUNK = 128 << 10
PART = 16 * MIB
STORES = ("dir", "http", "https")
FOLDERS = {"dir": "vault", "warm": "warm"}  # vaults that lie in a folder
WARM_BYTES = 96 * MIB  # as much as fills all buffers of a stream
KINDS = ("real", "random")
REQUESTS = ("put", "get", "head", "delete", "list", "create", "part",
            "complete", "abort", "other")
# Anything may go wrong in a case; the next one is to be taken all the same.
FAILURES = (benchlib.Unmeasured, OSError, subprocess.SubprocessError,
            simlib.XapiError, KeyError, ValueError)


class Round:
    """What runs during a round: sinks, a pool of two VMs per store, and a
    gateway with a tenant and a vault per store."""

    def __init__(self, folder, images, stack):
        os.makedirs(folder)
        self.folder = folder
        self.images = images
        cert = benchlib.make_certificate(folder)
        room = 3 * sum(os.path.getsize(images[k]) for k in KINDS) // 2
        warm = os.path.join(folder, "warm.raw")
        benchdata.make_random(warm, WARM_BYTES)
        self.sinks = {
            "http": benchlib.Sink(options=["--warm", str(room)]),
            "https": benchlib.Sink(cert, ["--warm", str(room)])}
        for sink in self.sinks.values():
            stack.callback(sink.stop)
        self.sim = simlib.Sim([{"name": "p", "vms": [
            {"name": "%s-%s" % (kind, store), "power_state": "Halted",
             "tags": [store], "disks": [{"file": images[kind],
                                         "in_place": True}]}
            for store in STORES for kind in KINDS] + [
                {"name": "warm", "power_state": "Halted", "tags": ["warm"],
                 "disks": [{"file": warm, "in_place": True}]}]}])
        stack.callback(self.sim.stop)
        self.gateway = benchlib.Gateway(os.path.join(folder, "gw"), "1 GiB")
        stack.callback(self.gateway.stop)
        self.gateway.add_pool(self.sim, "p")
        self.vault_dir = os.path.join(folder, FOLDERS["dir"])
        for store in STORES + ("warm",):
            self.gateway.add_tenant(store, "p")
            if store in FOLDERS:
                self.gateway.add_vault(
                    store, "file://" + self.make_folder(FOLDERS[store]))
            else:
                self.gateway.add_vault(
                    store, "s3://bench/vault", self.sinks[store],
                    cert[0] if store == "https" else None)

    def make_folder(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(path)
        return path

    def pids(self, store=None):
        pids = {"cairnd": self.gateway.pid, "xensim": self.sim.pid}
        if store in self.sinks:
            pids["store"] = self.sinks[store].pid
        return pids

    @contextlib.contextmanager
    def counted(self, store):
        """CPU and requests of what is done inside, filled in afterwards."""
        raw = {}
        pids = self.pids(store)
        sink = self.sinks.get(store)
        before = sink.stats() if sink else None
        cpu = {n: benchlib.cpu(p) for n, p in pids.items()}
        machine, began = benchlib.machine_cpu(), time.monotonic()
        own = time.process_time()
        yield raw
        raw["wall_s"] = time.monotonic() - began
        raw["machine_cpu_s"] = benchlib.machine_cpu() - machine
        raw["bench_cpu_s"] = time.process_time() - own
        raw["cpu_s"] = {n: benchlib.cpu(p) - cpu[n] for n, p in pids.items()}
        if sink:
            after = sink.stats()
            raw["store"] = {k: after[k] - before[k]
                            for k in REQUESTS + ("received", "sent")}

    def backup(self, kind, store, vm=None):
        sampler = benchlib.Sampler(self.pids(store), self.sim.pid)
        try:
            with self.counted(store) as raw:
                job = self.gateway.backup("p/" + (vm or kind + "-" + store))[0]
        finally:
            flow = sampler.finish()
        raw["flow"] = flow
        raw["result"] = job["result"]
        return raw

    # --- bare transfers ---

    def get_export(self, kind):
        xapi = self.sim.login("p")
        host = self.sim.pool("p")["hosts"][0]
        url = "%s/export?session_id=%s&ref=%s" % (
            host["url"], xapi.session, xapi.vm(kind + "-dir"))
        got = benchlib.run_json("bench_bare", "get", 1, url)
        xapi.logout()
        return got

    def warm_up(self):
        """A gateway runs for months: what it keeps from job to job, above all
        memory that the kernel has cleared, it has after this. Returns what
        the first job cost."""
        return self.backup(None, None, "warm")

    def put(self, sink, size, parallel, part, name="bare"):
        return benchlib.run_json("bench_bare", "put", parallel, size, part,
                                 "%s/bench/%s" % (sink.url, name))

    def get(self, sink, size):
        """64 MiB at a time, as packs are."""
        parts = -(-size // (64 * MIB))
        self.put(sink, size, 2, -(-size // parts), "get")
        return benchlib.run_json("bench_bare", "get", 2, *[
            "%s/bench/get%d" % (sink.url, i) for i in range(parts)])

    # --- verifying ---

    def verify(self, store):
        """The newest point of a VM with real files, with all its chunks."""
        with self.counted(store) as raw:
            answer = self.gateway.api(
                "POST", "/points/real-%s@latest/verify" % store)
            job = self.gateway.wait([answer["jobs"][0]["id"]])[0]
        raw["result"] = job["result"]
        return raw

    # --- restores ---

    def restore_file(self, store, prove):
        """By `cairn`, to a file; its own CPU is told apart."""
        path = os.path.join(self.folder, "out.xva")
        with self.counted(store) as raw:
            run = subprocess.Popen(
                [os.path.join(benchlib.BUILD, "cairn"), "restore",
                 "p/real-%s@latest" % store, "--output", path,
                 "--server", self.gateway.socket],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE)
            text = run.stderr.read()
            _, status, used = os.wait4(run.pid, 0)
            run.returncode = os.waitstatus_to_exitcode(status)
        run.stderr.close()
        if run.returncode:
            raise benchlib.Unmeasured("cairn restore: " +
                                      text.decode(errors="replace")[-400:])
        raw["cpu_s"]["cairn"] = used.ru_utime + used.ru_stime
        raw["file_bytes"] = os.path.getsize(path)
        os.unlink(path)
        return raw

    def restore_pool(self, store, prove):
        """To the same pool, as a new VM, which is looked at and removed."""
        name = "back-" + store
        with self.counted(store) as raw:
            answer = self.gateway.api(
                "POST", "/restores", point="p/real-%s@latest" % store,
                pool="p", name=name)
            job = self.gateway.wait([answer["jobs"][0]["id"]])[0]
        raw["result"] = {k: v for k, v in job["result"].items()
                         if k.endswith("_bytes") or k == "body_gets"}
        disk = self.sim.vm(name)["disks"][0]["file"]
        if prove and not filecmp.cmp(disk, self.images["real"],
                                     shallow=False):
            raise benchlib.Unmeasured("the restored disk differs")
        self.sim.do("vm/remove", vm=name)
        return raw


def vault_bytes(folder):
    """Bytes of packs, and of all else, of a vault in a folder."""
    sizes = {"packs": 0, "other": 0, "objects": 0, "packs_count": 0}
    for place, _, names in os.walk(folder):
        top = os.path.relpath(place, folder).split(os.sep)[0]
        for name in names:
            size = os.path.getsize(os.path.join(place, name))
            sizes["packs" if top == "packs" else "other"] += size
            sizes["packs_count" if top == "packs" else "objects"] += 1
    return {"pack_bytes": sizes["packs"], "other_bytes": sizes["other"],
            "packs": sizes["packs_count"], "other_objects": sizes["objects"]}


def take_limits(r, out, only):
    """What each case is held against, taken in the same round."""
    for kind in KINDS if only in (None, "full") else ("real",):
        modes = {"full": ["full"], "again": ["unchanged", "full"],
                 "restore": ["restore", "full"],
                 "verify": ["restore"],
                 None: ["full", "unchanged", "restore"]}[only]
        if kind == "random":
            modes = ["full"]
        limit = {m: benchlib.run_json("bench_limit", m, r.images[kind])
                 for m in modes}
        stored = limit[modes[-1]]["stored_bytes"]
        bare = {"get_export": r.get_export(kind)}
        if only in (None, "full"):
            for name in ("http", "https"):
                bare["put_" + name] = r.put(r.sinks[name], stored, 2, PART)
        if kind == "real" and only in (None, "restore", "verify"):
            bare["get_http"] = r.get(r.sinks["http"], stored)
        if kind == "real" and only in (None, "restore"):
            exported = bare["get_export"]["bytes"]
            for name in ("http", "https"):
                bare["out_" + name] = r.put(r.sinks[name], exported, 1,
                                            64 * MIB, "out")
        out["limit"][kind] = limit
        out["bare"][kind] = bare


def take_again(r, case):
    case("unchanged", lambda: r.backup("real", "http"))

    def changed():
        with benchdata.Overwritten(r.images["real"], 0.02) as change:
            raw = r.backup("real", "http")
        raw["changed_bytes"] = change.bytes
        return raw

    case("changed", changed)


def take(folder, images, only, tell, prove):
    """A round: {case: counters}, with the limits under "limit" and "bare". A
    case that failed is told and left out. prove: compare what comes back."""
    out = {"limit": {}, "bare": {}}

    def case(name, run):
        try:
            out[name] = run()
        except FAILURES as e:
            tell(name, e)

    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        r = Round(folder, images, stack)
        out["warm"] = r.warm_up()
        take_limits(r, out, only)
        for store in STORES:
            if only in (None, "full", "restore", "verify") or store == "http":
                case("full_real_" + store, lambda s=store: r.backup("real", s))
            if only in (None, "full"):
                if store == "dir":
                    out["vault_dir"] = vault_bytes(r.vault_dir)
                case("full_random_" + store,
                     lambda s=store: r.backup("random", s))
        if only in (None, "restore"):
            for store in ("http", "dir"):
                case("restore_file_" + store,
                     lambda s=store: r.restore_file(s, prove))
                case("restore_pool_" + store,
                     lambda s=store: r.restore_pool(s, prove))
        if only in (None, "verify"):
            for store in ("http", "dir"):
                case("verify_" + store, lambda s=store: r.verify(s))
        if only in (None, "again"):
            take_again(r, case)
    return out
