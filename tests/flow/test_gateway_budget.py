#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Little memory, many VMs, and a store that stalls: whoever waits for it keeps
what it has reserved, and nobody else waits with it."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
MEMORY = 96 * MIB
FLOOR = 20 * MIB
CEILING = 64 * MIB
BESIDE = 96 * MIB  # what a process may take beside `memory`
# Sanitizers triple what a process takes, so this wants a plain build.
BUILD = os.path.abspath(os.environ.get("CAIRN_RELEASE", gwlib.BUILD))


def has_sanitizers():
    with open(gwlib.program("cairnd", BUILD), "rb") as f:
        program = f.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def reset_peak(pid):
    with open("/proc/%d/clear_refs" % pid, "w", encoding="ascii") as f:
        f.write("5")


class World:
    """Two tenants, each with a vault in a store of its own; `stuck` (or
    several of that name with a number) is acme's, all others are bobco's."""

    def __init__(self, others, stuck=1, size=40 * MIB, snapshots_per_sr="32",
                 **settings):
        disk = {"size": size, "fill": "random"}
        self.stuck = ["stuck"] if stuck == 1 else \
            ["stuck%02d" % i for i in range(stuck)]
        self.others = ["vm%02d" % i for i in range(others)]
        self.open = []
        self.bad = self.enter(cephlib.Sink())
        self.good = self.enter(cephlib.Sink())
        self.sim = self.enter(simlib.Sim(gwcase.two_pools(
            *(gwcase.vm(n, disk) for n in self.stuck), *(
                gwcase.vm(n, disk, tags=["bobco"]) for n in self.others))))
        gw = self.gw = self.enter(gwlib.Gateway(
            build=BUILD, memory="96 MiB", snapshots_per_sr=snapshots_per_sr,
            **settings))
        self.options, self.keys = {}, {}
        gw.add_pool(self.sim, "paris")
        for tenant, sink in (("acme", self.bad), ("bobco", self.good)):
            gw.ok("tenant", "add", tenant)
            gw.ok("rule", "add", "--tenant", tenant, "--pool", "paris",
                  "--tag", tenant)
            cred = cephlib.credentials(os.path.join(gw.dir, tenant), sink.key,
                                       sink.secret)
            self.options[tenant] = ["--endpoint", sink.http,
                                    "--credentials-file", cred]
            self.keys[tenant] = gw.add_vault(
                tenant, "of-" + tenant, "s3://%s/v" % tenant,
                *self.options[tenant])

    def enter(self, thing):
        thing.__enter__()
        self.open.append(thing)
        return thing

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sink in (self.bad, self.good):
            sink.process.send_signal(signal.SIGCONT)
        while self.open:
            self.open.pop().__exit__(None, None, None)

    def stall(self):
        """acme's store stops in the middle of an upload; the backup."""
        self.sim.fault("export_slow", pool="paris", vm="stuck", rate=8 * MIB)
        parts = self.bad.stats()["part"]
        running = self.gw.start_run("backup", "stuck")
        end = time.monotonic() + 120
        while time.monotonic() < end and self.bad.stats()["part"] == parts:
            time.sleep(0.05)
        self.bad.process.send_signal(signal.SIGSTOP)
        return running

    def job_of(self, vm):
        for j in self.gw.json("job", "list"):
            if j["vm"]["name"] == vm:
                return j
        raise LookupError(vm)

    def used(self):
        return self.gw.json("status")["memory_used"]

    def good_points(self, tenant):
        """How many points cairn-restore finds whole, without the gateway."""
        done = subprocess.run(
            [gwlib.program("cairn-restore"), "--vault",
             "s3://%s/v" % tenant, "--key-file", self.keys[tenant],
             *self.options[tenant], "verify"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, self.points(tenant), done.stdout

    def points(self, tenant):
        sink = self.bad if tenant == "acme" else self.good
        return len(sink.boto().list_objects_v2(
            Bucket=tenant, Prefix="v/points/").get("Contents", []))


def one_store_stalls():
    """16 VMs at once within 96 MiB, and a store that goes on later."""
    with World(15) as w:
        reset_peak(w.gw.pid)
        stuck = w.stall()
        status, _, err = w.gw.run("backup", *w.others)
        checks.check("15 VMs are backed up while another's store stalls",
                     status == 0, err.strip()[-400:])
        job = w.job_of("stuck")
        used = w.used()
        checks.check("meanwhile the stalled job waits, neither failed nor done",
                     job["state"] == "running" and stuck.poll() is None, job)
        checks.check("it keeps what it has reserved, and nobody else does",
                     FLOOR <= used <= CEILING, used)
        w.bad.process.send_signal(signal.SIGCONT)
        _, err = stuck.communicate(timeout=240)
        checks.check("when its store goes on, it finishes",
                     stuck.returncode == 0, err)
        totals = w.gw.json("status")
        checks.check("all memory was given back, and never more was granted",
                     totals["memory_used"] == 0 and
                     2 * FLOOR <= totals["memory_peak"] <= MEMORY, totals)
        peak = w.gw.memory_peak()
        if has_sanitizers():
            print("skip the peak of memory: %s has sanitizers" % BUILD)
        else:
            checks.check("resident memory stays below memory + 96 MiB "
                         "(%.0f MiB)" % (peak / MIB),
                         peak <= MEMORY + BESIDE, peak)
        for tenant, count in (("acme", 1), ("bobco", 15)):
            status, n, out = w.good_points(tenant)
            checks.check("every point of %s is there and whole" % tenant,
                         (status, n) == (0, count), "%d points: %s" % (
                             n, out.strip()[-400:]))
        checks.same("and nothing is left in the pool",
                    gwcase.left_behind(w.gw, w.sim), [])


def many_jobs_wait_for_a_stalled_store():
    """Eight jobs of each tenant at once, and acme's store says nothing: acme
    does not get all the memory, and keeps what it has."""
    with World(8, stuck=8, size=20 * MIB, snapshots_per_sr="16",
               store_retry="20 min", store_request="10 min") as w:
        gw = w.gw
        status = gw.json("status")
        checks.same("what scrypt takes was charged: all there is, and given "
                    "back", (status["memory_peak"], status["memory_used"]),
                    (MEMORY, 0))
        reset_peak(gw.pid)
        w.bad.process.send_signal(signal.SIGSTOP)
        mixed = [vm for pair in zip(w.stuck, w.others) for vm in pair]
        jobs = gw.json("backup", "--no-wait", *mixed)
        of = {j["vm"]["name"]: j["id"] for j in gw.json("job", "list")}
        checks.same("16 jobs are under way", (len(jobs["jobs"]), len(of)),
                    (16, 16))

        def states(vms):
            return [gw.json("job", "show", of[vm])["state"] for vm in vms]
        end = time.monotonic() + 120
        while time.monotonic() < end and \
                set(states(w.others)) != {"succeeded"}:
            time.sleep(0.2)
        checks.same("all 8 of bobco finish while acme's store stalls",
                    states(w.others), ["succeeded"] * 8)
        left, used = states(w.stuck), w.used()
        checks.check("acme's wait, neither failed nor done, and have most of "
                     "the memory now", set(left) <= {"running", "queued"} and
                     2 * FLOOR <= used <= MEMORY, "%s, %d" % (left, used))
        w.bad.process.send_signal(signal.SIGCONT)
        end = time.monotonic() + 120
        while time.monotonic() < end and \
                set(states(w.stuck)) != {"succeeded"}:
            time.sleep(0.2)
        checks.same("when its store goes on, so does acme",
                    states(w.stuck), ["succeeded"] * 8)
        totals, peak = gw.json("status"), gw.memory_peak()
        checks.check("all memory was given back, and never more was granted",
                     totals["memory_used"] == 0 and
                     totals["memory_peak"] <= MEMORY, totals)
        checks.check("resident memory stays below memory + 96 MiB (%.0f MiB)"
                     % (peak / MIB),
                     has_sanitizers() or peak <= MEMORY + BESIDE, peak)


def limits_hold():
    """Both stores stall, so what was let in stays in and can be counted."""
    with World(4, stuck=4, size=4 * MIB, jobs_per_tenant="3",
               jobs_per_store="2", exports_per_host="3", snapshots_per_sr="8",
               store_retry="20 min", store_request="10 min") as w:
        gw, sinks = w.gw, (w.bad, w.good)
        for sink in sinks:
            sink.process.send_signal(signal.SIGSTOP)
        gw.ok("backup", "--no-wait", *w.stuck, *w.others)

        def running():
            return sorted((j["tenant"], j["stage"]) for j in gw.json(
                "job", "list") if j["state"] == "running")
        wanted = [("acme", 2), ("bobco", 2)]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            now = running()
            waits = sum(s == "wait for room" for _, s in now)
            have = [(t, sum(n == t for n, _ in now)) for t, _ in wanted]
            if have == wanted and waits == 1 and len(now) == 4:
                break
            time.sleep(0.2)
        checks.same("two jobs run of each tenant, since two may work on a "
                    "store at once; four wait", have, wanted)
        checks.check("and three of them alone are let in by the host",
                     waits == 1 and len(now) == 4, now)
        for sink in sinks:
            sink.process.send_signal(signal.SIGCONT)
        end = time.monotonic() + 120
        while time.monotonic() < end and any(j["state"] != "succeeded" for j in
                                             gw.json("job", "list")):
            time.sleep(0.2)
        checks.same("when the stores go on all eight finish",
                    [j["state"] for j in gw.json("job", "list")],
                    ["succeeded"] * 8)


def one_store_never_comes_back():
    with World(3, store_request="2 s", store_retry="4 s") as w:
        stuck = w.stall()
        status, _, err = w.gw.run("backup", *w.others)
        checks.check("VMs are backed up while another's store is gone",
                     status == 0, err.strip()[-400:])
        _, err = stuck.communicate(timeout=120)
        checks.check("a store that is gone for good: exit 13, one sentence "
                     "with tenant, VM and store", stuck.returncode == 13 and
                     gwcase.one_sentence(err, "acme", "stuck", "s3://acme"),
                     "exit %d: %s" % (stuck.returncode, err))
        checks.same("its memory was given back, and its snapshot is gone",
                    (w.used(), gwcase.left_behind(w.gw, w.sim)), (0, []))
        checks.same("what others stored is there",
                    w.points("bobco"), 3)
        w.bad.process.send_signal(signal.SIGCONT)
        status, _, err = w.gw.run("backup", "stuck")
        uploads = w.bad.boto().list_multipart_uploads(Bucket="acme")
        checks.check("when the store is back so is its tenant, and no upload "
                     "is left open", status == 0 and
                     not uploads.get("Uploads"), "%s %s" % (err, uploads))


for test in (one_store_stalls, many_jobs_wait_for_a_stalled_store,
             limits_hold, one_store_never_comes_back):
    checks.run(test.__name__, test)
checks.finish()
