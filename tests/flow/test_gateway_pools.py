#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Pools that break, lie, stall and change under a job: it gets through, or
fails in one sentence that names tenant, VM and cause, with the right exit code.
However it ends, the pool is clean: no snapshot, no task, no half-imported VM;
no point of a broken export, no open upload.

Times are compressed by the gateway's own settings: what takes a pool a minute
takes a second here. CAIRN_POOL_FAULTS=all runs every call of a backup and a
restore x every way to lose its answer; without, a part of them."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()
ALL = os.environ.get("CAIRN_POOL_FAULTS", "") == "all"
AFTER = 4 * MIB  # where an export pauses, so that something may happen
DISK = {"size": 8 * MIB, "fill": "random"}
IO_ERROR = ["VDI_IO_ERROR", "Device I/O errors"]
# A minute of a pool is a second here.
SETTINGS = {"pool_retry": "6 s", "pool_connect": "5 s", "pool_answer": "5 s",
            "export_first_byte": "4 s", "export_stall": "2 s",
            "pool_verdict": "6 s"}
RESTORE = ["restore", "web@latest", "--pool", "rome", "--sr", SR,
           "--network", "0=lan", "--name", "back"]


def is_clear(err, words):
    """One sentence with the cause. Before there is a job - while the VM is
    looked for - it names pool and VM, and no tenant yet."""
    if err.startswith("cairn: no VM 'web' in the pools that answer"):
        return len(err.strip().splitlines()) == 1 and \
            all(word in err for word in ["paris", *words])
    return gwcase.one_sentence(err, "acme", *words)


class World:
    """Two pools, a tenant, a vault, and what they were like before."""

    def __init__(self, *vms):
        self.sim = simlib.Sim(gwcase.two_pools(
            *(vms or (gwcase.vm("web", DISK), gwcase.vm(
                "cold", DISK, power_state="Halted"), gwcase.vm("web2", DISK))),
            hosts=[{"name": "paris-%d" % i} for i in (1, 2, 3)],
            srs=[{"name": SR, "shared": True},
                 {"name": "other", "shared": True}]))
        self.gw = gwlib.Gateway(**SETTINGS)
        self.key = gwcase.set_up(self.gw, self.sim)
        self.tried = 0
        self.wanted = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gw.__exit__()
        self.sim.stop()

    def points(self):
        """Names of the points in the vault's folder."""
        folder = os.path.join(gwcase.folder_of(self.gw), "points")
        return {os.path.relpath(os.path.join(d, f), gwcase.folder_of(self.gw))
                for d, _, files in os.walk(folder) for f in files}

    def expect(self, name, disks):
        self.wanted[name] = disks

    def all_as_expected(self):
        """Every point that a job has reported, as the independent reader sees
        it; and cairn-restore finds all whole."""
        got = gwcase.read_points(self.gw, self.key)
        checks.same("bit for bit: %d points" % len(self.wanted),
                    {n: got.get(n) for n in self.wanted}, self.wanted)
        status, out = gwcase.restore_tool(self.gw, self.key, "verify")
        checks.check("the vault verifies", status == 0, out)

    def sent(self, pool="paris"):
        """Bytes that a pool has answered so far."""
        return next(p["bytes_out"] for p in self.sim.get("counters")["pools"]
                    if p["name"] == pool)

    def received(self, pool="rome"):
        return next(p["bytes_in"] for p in self.sim.get("counters")["pools"]
                    if p["name"] == pool)

    def left(self):
        """What is ours and should not be there. The last calls of a job are
        nobody's to wait for: they have a moment."""
        end = time.monotonic() + 5
        while True:
            left = gwcase.left_behind(self.gw, self.sim)
            for pool in ("paris", "rome"):
                state = self.sim.state(pool)
                # Others that have ended are the pool's to forget: of calls
                # whose answer was lost, and of requests without a task.
                left += ["%s task %s in %s" % (t["status"], t["name_label"],
                                               pool) for t in state["tasks"]
                         if t["status"] == "pending" or
                         t["name_label"].startswith("cairn ")]
                left += ["VM %s in %s" % (v["name_label"], pool)
                         for v in state["vms"] if pool == "rome"]
                left += ["disk %s in %s" % (d["name_label"], pool)
                         for d in state["vdis"] if pool == "rome"]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.1)

    def run(self, args, during=None, sent=None):
        """A command, and what happens when its transfer has gone so far. The
        exit status and what it said."""
        sent = sent or self.sent
        before = sent()
        running = self.gw.start_run(*args)
        if during:
            end = time.monotonic() + 30
            while sent() < before + AFTER and running.poll() is None and \
                    time.monotonic() < end:
                time.sleep(0.02)
            during()
        _, err = running.communicate(timeout=120)
        self.tried += 1
        return running.returncode, err

    def judge(self, name, status, err, codes, words, points):
        """The verdict of a backup: `points` were there before."""
        now = self.points()
        fresh = sorted(now - points)
        if status in (0, 3):
            checks.check("%s: it gets through" % name, status in codes and
                         len(fresh) == 1, "exit %d, %s: %s" % (
                             status, fresh, err.strip()[-500:]))
        else:
            checks.check("%s: one sentence, the right code" % name,
                         status in codes and is_clear(err, words),
                         "exit %d: %s" % (status, err.strip()[-500:]))
            checks.same("%s: no point" % name, fresh, [])
        checks.same("%s: nothing is left" % name, self.left(), [])
        return fresh[0] if fresh else None


def at(w, verb, **body):
    """Something to happen in the middle."""
    return lambda: w.sim.do(verb, **body)


# --- faults by switch ---------------------------------------------------------

# name, arguments, exit codes, words of the sentence; 0 alone: it must get
# through. What test_gateway_faults.py has is not here.
SWITCHES = [
    ("host_is_slave", {"count": 3}, {0}, []),
    ("host_is_slave", {"count": 0}, {12, 75}, ["no one is coordinator"]),
    ("host_still_booting", {"count": 5}, {0}, []),
    ("host_still_booting", {"count": 0}, {12, 75}, ["HOST_STILL_BOOTING"]),
    ("host_still_booting", {"count": 0, "method": "VM.snapshot"}, {75},
     ["HOST_STILL_BOOTING"]),
    ("too_many_pending_tasks", {"count": 9}, {0}, []),
    ("too_many_pending_tasks", {"count": 0}, {75}, ["TOO_MANY"]),
    ("other_operation_in_progress", {"method": "VM.snapshot", "count": 0},
     {75}, ["OTHER_OPERATION_IN_PROGRESS"]),
    ("other_operation_in_progress", {"method": "VM.destroy", "count": 12},
     {0}, []),
    ("other_operation_in_progress", {"method": "VDI.destroy", "count": 12},
     {0}, []),
    ("vdi_in_use", {"count": 15}, {0}, []),  # a minute and more
    ("dom0_vbd", {"count": 2}, {0}, []),
    ("snapshot_error", {"error": ["SR_BACKEND_FAILURE_46", "", "The VDI is "
                                  "not available", ""]}, {1},
     ["SR_BACKEND_FAILURE_46"]),
    ("snapshot_error", {"error": ["SR_BACKEND_FAILURE_109", "", "The snapshot "
                                  "chain is too long", ""]}, {1},
     ["SR_BACKEND_FAILURE_109"]),
    ("rpc_error", {"method": "VM.destroy", "error": [
        "SR_BACKEND_FAILURE_460", "", "Failed to calculate changed blocks",
        ""]}, {0}, []),
    ("connection_refuse", {"skip": 2}, {0}, []),
    ("connection_refuse", {"skip": 2, "count": 6}, {0}, []),
    ("connection_reset", {"skip": 2, "after": 200}, {0, 1}, ["reset"]),
    # ... which then ends before a connection would.
    ("tls_stall", {"skip": 2}, {0, 12}, ["the export does not begin"]),
    ("http_431", {"skip": 3}, {0, 12}, ["431"]),
    ("event_token", {"count": 0}, {0}, []),
    ("event_error", {"error": ["EVENTS_LOST"], "count": 0}, {0}, []),
    ("event_silent", {"ms": 60000, "count": 0}, {0}, []),
    ("task_gone", {"method": "VM.destroy"}, {0}, []),
    ("task_gone", {"method": "VDI.destroy"}, {0}, []),
    ("task_fail", {"method": "VM.snapshot", "error": ["INTERNAL_ERROR", "x"]},
     {1}, ["INTERNAL_ERROR"]),
    ("task_fail", {"method": "VM.destroy", "error": ["INTERNAL_ERROR", "x"]},
     {0}, []),
    ("task_fail", {"method": "VDI.destroy", "error": ["INTERNAL_ERROR", "x"]},
     {0}, []),
    ("task_stuck", {"method": "VM.export"}, {12, 75}, ["goes on"]),
    ("task_stuck", {"method": "VM.snapshot"}, {12}, ["not done in time"]),
    ("task_stuck", {"method": "VDI.destroy"}, {0}, []),
    ("task_stuck", {"method": "VM.destroy"}, {0}, []),
    ("export_cut", {"after": AFTER, "task": "pending"}, {1, 8, 12, 75}, []),
    ("export_cut", {"after": AFTER, "task": "success", "ms": 2500}, {1, 8},
     []),
    ("export_stall", {"after": AFTER}, {12}, ["does not go on"]),
    ("export_first_byte", {"ms": 60000}, {12}, ["does not begin"]),
    ("export_first_byte", {"ms": 3000}, {0}, []),
    ("export_stall", {"after": AFTER, "ms": 1000}, {0}, []),
    ("export_slow", {"rate": 6 * MIB}, {0}, []),
    ("export_swap_disks", {}, {0}, []),  # there is one
]


def switches():
    with World() as w:
        sim, gw = w.sim, w.gw
        gw.ok("backup", "web")
        wanted = gwcase.digests(sim, "paris", "web")
        for name, arguments, codes, words in SWITCHES:
            points = w.points()
            sim.fault(name, pool="paris", **arguments)
            began = time.monotonic()
            status, err = w.run(["backup", "web"])
            took = time.monotonic() - began
            sim.clear()
            if name == "task_stuck":  # nobody can end them
                sim.do("tasks/expire", pool="paris")
            label = " ".join([name] + ["%s=%s" % (k, v[0] if isinstance(
                v, list) else v) for k, v in arguments.items()])
            point = w.judge(label, status, err, codes, words, points)
            if point:
                w.expect(point, wanted)
            checks.check("%s: in bounded time" % label, took < 30, took)
        w.all_as_expected()
        # A login whose answer is lost is the pool's to forget.
        checks.check("hardly a session is left", len(sim.state("paris")[
            "sessions"]) <= 4, sim.state("paris")["sessions"])
        print("# %d switches" % len(SWITCHES))


# --- what happens in the middle -----------------------------------------------

def coordinator_changes(w):
    w.sim.do("pool/coordinator", host="paris-2", connections=True)


def coordinator_dies(w):
    """paris-1, which sends the export, is gone; paris-2 takes over."""
    w.sim.do("pool/coordinator", host="paris-2")
    w.sim.do("host/down", host="paris-1", down=True)


def member_restarts(w):
    w.sim.do("host/down", host="paris-2", down=True)
    w.sim.do("host/down", host="paris-2", down=False)


def toolstack_restarts(w):
    w.sim.do("pool/restart", connections=True)


def toolstack_hangs(w):
    """The pool forgets session and task, and the connection stays, silent."""
    w.sim.do("pool/restart")


def restarted_and_booting(w):
    w.sim.fault("host_still_booting", pool="paris", count=8)
    w.sim.do("pool/restart", connections=True)


def vm_is_removed(w):
    """By its owner, who leaves our snapshot alone."""
    xapi = w.sim.login("paris")
    xapi.done("VM.destroy", xapi.vm("cold"))


def vm_and_snapshot_are_removed(w):
    w.sim.do("vm/remove", vm="web2")


def vm_is_renamed(w):
    w.sim.do("vm/set", vm="cold", set={"name_label": "warm"})


def vm_is_back(w):
    w.sim.do("vm/set", vm="warm", set={"name_label": "cold"})


def up_again(w):
    w.sim.do("host/down", host="paris-1", down=False)
    w.sim.do("pool/coordinator", host="paris-1")


PAUSE = [("export_stall", {"after": AFTER, "ms": 1000})]
ON_TWO = PAUSE + [("export_redirect", {"to": "paris-2"})]

# what, VM, faults beforehand, then in mid-export; exit codes, words; after it
MIDDLE = [
    ("the coordinator changes", "web", PAUSE, coordinator_changes,
     {1, 8, 12, 75}, [], up_again),
    ("the coordinator dies", "web", PAUSE, coordinator_dies, {1, 8, 12, 75},
     [], up_again),
    ("a member restarts", "web", ON_TWO, member_restarts, {1, 8, 12, 75}, [],
     None),
    ("the toolstack restarts", "web", PAUSE, toolstack_restarts,
     {1, 8, 12, 75}, [], None),
    ("the toolstack restarts and takes long", "web", PAUSE,
     restarted_and_booting, {1, 8, 12, 75}, [], None),
    ("session and task die in silence", "web",
     [("export_stall", {"after": AFTER})], toolstack_hangs, {75},
     ["lost the task"], None),
    ("24 hours are over", "web", PAUSE,
     lambda w: w.sim.do("tasks/expire"), {75}, ["lost the task"], None),
    ("the session expires", "web", PAUSE,
     lambda w: w.sim.do("sessions/expire"), {0}, [], None),
    ("the VM is removed", "cold", PAUSE, vm_is_removed, {0}, [],
     lambda w: w.sim.do("vm/add", vm=gwcase.vm(
         "cold", DISK, power_state="Halted"))),
    ("the VM is renamed", "cold", PAUSE, vm_is_renamed, {0}, [], vm_is_back),
    ("the VM migrates", "web", PAUSE,
     lambda w: w.sim.do("vm/migrate", vm="web", host="paris-2"), {0}, [],
     None),
    ("its disks are moved", "web", PAUSE,
     lambda w: w.sim.do("vm/move", vm="web", sr="other"), {0}, [], None),
    ("the SR fills up", "web", PAUSE,
     lambda w: w.sim.do("sr/set", sr=SR, used="100 GiB"), {0}, [],
     lambda w: w.sim.do("sr/set", sr=SR, used=0)),
    ("its snapshot goes, too", "web2", PAUSE, vm_and_snapshot_are_removed,
     {0, 1, 8, 75}, [], None),
]


def middle():
    with World() as w:
        sim, gw = w.sim, w.gw
        for vm in ("web", "cold", "web2"):
            gw.ok("backup", vm)
        for what, vm, faults, happens, codes, words, after in MIDDLE:
            points = w.points()
            wanted = gwcase.digests(sim, "paris", vm)
            for name, arguments in faults:
                sim.fault(name, pool="paris", **arguments)
            began = time.monotonic()
            status, err = w.run(["backup", vm], lambda: happens(w))
            took = time.monotonic() - began
            sim.clear()
            if after:
                after(w)
            point = w.judge(what, status, err, codes, words, points)
            if point:
                w.expect(point, wanted)
            checks.check("%s: in bounded time" % what, took < 30, took)
            if ALL:
                status, _, err = gw.run("backup", "web")
                checks.check("%s: and then all is well" % what, status == 0,
                             err)
        gw.ok("backup", "web")
        w.all_as_expected()
        print("# %d events in mid-export" % len(MIDDLE))


def before():
    """What is wrong with a VM or a host when a backup begins."""
    with World() as w:
        sim, gw = w.sim, w.gw
        points = w.points()
        sim.do("host/down", host="paris-2", down=True)
        sim.fault("export_redirect", host="paris-1", to="paris-2", count=0)
        began = time.monotonic()
        status, err = w.run(["backup", "web"])
        w.judge("a redirect to a member that is down", status, err, {12},
                ["127.0.10.2"], points)
        took = time.monotonic() - began
        checks.check("and is tried again for pool_retry", 4 < took < 30, took)
        sim.do("host/down", host="paris-2", down=False)
        sim.clear()
        sim.fault("export_redirect", pool="paris", url="https://example.org/x")
        status, err = w.run(["backup", "web"])
        w.judge("a redirect to somebody else", status, err, {1},
                ["example.org", "no host of this pool"], points)
        sim.do("vm/set", vm="web", set={
            "current_operations": {"OpaqueRef:x": "pool_migrate"}})
        status, err = w.run(["backup", "web"])
        w.judge("a VM on its way", status, err, {75}, ["migrated"], points)
        sim.do("vm/set", vm="web", set={"current_operations": {}})
        sim.fault("rpc_delay", pool="paris", method="VM.snapshot", ms=2500)
        running = gw.start_run("backup", "web2")
        end = time.monotonic() + 30
        while time.monotonic() < end and not any(
                t["name_label"] == "Async.VM.snapshot"
                for t in sim.state("paris")["tasks"]):
            time.sleep(0.02)
        sim.do("vm/remove", vm="web2")
        _, err = running.communicate(timeout=60)
        checks.check("a VM that goes before its snapshot: one sentence",
                     running.returncode in (1, 4) and gwcase.one_sentence(
                         err, "acme", "web2", "HANDLE_INVALID"), err)
        checks.same("and nothing is left", (w.points(), w.left()),
                    (points, []))
        sim.clear()
        status, _, err = gw.run("backup", "web2")
        checks.check("a VM that is gone is said to be unknown (4)",
                     status == 4 and "web2" in err, err)


def grown():
    """A guest's disk grows between two backups: the second has all of it, and
    only what is new of it is sent."""
    with World() as w:
        sim, gw = w.sim, w.gw
        gw.ok("backup", "cold")
        xapi = sim.login("paris")
        vdi = [xapi("VBD.get_VDI", b) for b in xapi(
            "VM.get_VBDs", xapi.vm("cold"))][0]
        xapi("VDI.resize", vdi, str(20 * MIB))
        sim.write(vm="cold", offset=18 * MIB, length=MIB, random=7)
        points = w.points()
        status, err = w.run(["backup", "cold"])
        point = w.judge("a disk that has grown", status, err, {0}, [], points)
        w.expect(point, gwcase.digests(sim, "paris", "cold"))
        w.all_as_expected()
        result = gwcase.last_job(gw)["result"]
        checks.check("a disk that has grown: only what is new is stored",
                     result["new_bytes"] <= 2 * MIB and
                     result["unchanged_bytes"] >= 7 * MIB, result)
        gw.ok("restore", "cold@latest", *RESTORE[2:])
        checks.same("a disk that has grown: restored as large", gwcase.digests(
            sim, "rome", "back"), gwcase.digests(sim, "paris", "cold"))


def speeds():
    """A store that is slower than the export, and pauses longer than an export
    may be silent; and a pool that has no patience with that."""
    big = {"size": 96 * MIB, "fill": "random"}

    def exports():
        return [t for t in sim.state("paris")["tasks"] if t["status"] ==
                "pending" and t["name_label"].startswith("cairn ")]
    with cephlib.Sink() as sink, simlib.Sim(gwcase.two_pools(
            gwcase.vm("web", big))) as sim, \
            gwlib.Gateway(**SETTINGS) as gw:
        cred = cephlib.credentials(os.path.join(gw.dir, "c"), sink.key,
                                   sink.secret)
        gwcase.set_up(gw, sim, url="s3://acme/v", vault_args=(
            "--endpoint", sink.http, "--credentials-file", cred))
        for what, faults, codes, words in (
                ("the pool waits", [], {0}, []),
                ("the pool gives up", [("export_impatient", {"ms": 1500})],
                 {1}, ["VDI_IO_ERROR"])):
            # The store stops before the export begins: there is more of it
            # than a job may hold, so it is never read to its end meanwhile.
            sim.fault("export_first_byte", pool="paris", ms=2000)
            for name, arguments in faults:
                sim.fault(name, pool="paris", **arguments)
            running = gw.start_run("backup", "web")
            end = time.monotonic() + 60
            while time.monotonic() < end and not exports() and \
                    running.poll() is None:
                time.sleep(0.02)
            sink.process.send_signal(signal.SIGSTOP)
            time.sleep(6)
            while faults and time.monotonic() < end and exports():
                time.sleep(0.1)
            sink.process.send_signal(signal.SIGCONT)
            _, err = running.communicate(timeout=120)
            sim.clear()
            checks.check("a store that stops for a while: %s" % what,
                         running.returncode in codes and (
                             running.returncode == 0 or gwcase.one_sentence(
                                 err, "acme", "web", *words)),
                         "exit %d: %s" % (running.returncode, err[-500:]))
            checks.same("%s: and is clean" % what, [
                x for x in gwcase.left_behind(gw, sim)], [])
            sim.write(vm="web", offset=0, length=90 * MIB, random=len(what))


# --- restores -----------------------------------------------------------------

def host_comes_back(w):
    """In the midst of the tries to remove what is half imported."""
    time.sleep(3)
    w.sim.do("pool/restart", pool="rome")


RESTORES = [
    ("the coordinator restarts", [("import_stall", {
        "after": AFTER, "ms": 1000})],
     lambda w: w.sim.do("pool/restart", pool="rome", connections=True),
     {1, 8, 12, 75}, []),
    ("session and task die in silence", [("import_stall", {"after": AFTER})],
     lambda w: w.sim.do("pool/restart", pool="rome"), {1, 12, 75},
     ["lost the task"]),
    ("24 hours are over", [("import_stall", {"after": AFTER, "ms": 1000})],
     lambda w: w.sim.do("tasks/expire", pool="rome"), {75},
     ["lost the task"]),
    ("the session expires", [("import_stall", {"after": AFTER, "ms": 1000})],
     lambda w: w.sim.do("sessions/expire", pool="rome"), {0}, []),
    # Not for ever: where the kernel takes all that is left of so small a body,
    # neither side learns that the other went.
    ("the import stalls", [("import_stall", {
        "after": AFTER, "ms": 10000})], None,
     {1, 12, 75}, []),
    ("a host dies and comes back", [("import_vanish", {"after": AFTER}),
                                    ("vdi_in_use", {"count": 5})],
     host_comes_back, {1, 12, 75}, []),
    ("the import is slow", [("import_slow", {"rate": 8 * MIB})], None, {0},
     []),
    ("a NIC's answer is lost", [("rpc_close", {"method": "VIF.create",
                                               "executed": True})], None,
     {0, 1}, ["VIF.create"]),
]


def unheard():
    """A member that takes no connection at first: export and import are asked
    for again, and there is one VM."""
    with World() as w:
        sim, gw = w.sim, w.gw
        for args in (["backup", "web"],
                     ["restore", "web@latest", "--pool", "paris", "--name",
                      "back"]):
            what = "%s, a host that is not heard" % args[0]
            for name in ("export_redirect", "import_redirect"):
                sim.fault(name, host="paris-1", to="paris-2", count=0)
            sim.fault("connection_refuse", host="paris-2", count=2)
            status, err = w.run(args)
            checks.check("%s: it gets through" % what, status == 0, err)
            sim.clear()
            log = gw.ok("job", "log", gwcase.last_job(gw)["id"])
            checks.check("%s: the log tells" % what, log.count(
                "the host did not answer") == 2, log)
            checks.same("%s: nothing is left" % what, w.left(), [])
        checks.same("one VM came back", len([
            v for v in sim.state("paris")["vms"]
            if v["name_label"] == "back"]), 1)
        checks.same("as it was", gwcase.digests(sim, "paris", "back"),
                    gwcase.digests(sim, "paris", "web"))


def restores():
    with World() as w:
        sim, gw = w.sim, w.gw
        gw.ok("backup", "web")
        wanted = gwcase.digests(sim, "paris", "web")
        for what, faults, happens, codes, words in RESTORES:
            for name, arguments in faults:
                sim.fault(name, pool="rome", **arguments)
            status, err = w.run(RESTORE, happens and (lambda: happens(w)),
                                w.received)
            sim.clear()
            if status == 0:
                checks.check("restore, %s: it gets through" % what,
                             status in codes and gwcase.digests(
                                 sim, "rome", "back") == wanted, err)
                sim.do("vm/remove", pool="rome", vm="back")
            else:
                checks.check("restore, %s: one sentence, the right code" % what,
                             status in codes and gwcase.one_sentence(
                                 err, "acme", "web", *words),
                             "exit %d: %s" % (status, err.strip()[-500:]))
            checks.same("restore, %s: nothing is left" % what, w.left(), [])
        print("# %d restores" % len(RESTORES))


# --- every call, every way to lose its answer ---------------------------------

LOST = [("rpc_close", {"executed": True}), ("rpc_close", {}),
        ("rpc_garbage", {}), ("rpc_500", {}), ("rpc_error", {
            "error": ["INTERNAL_ERROR", "Storage_error ([S(Fatal)])"]}),
        ("session_invalid", {})]
# Where the answer matters most: what it made is nobody's, or who asks again
# does it twice.
SHORT = {"Async.VM.snapshot", "task.create", "VM.add_to_other_config",
         "Async.VM.destroy", "Async.VDI.destroy", "VDI.add_to_other_config"}


def calls():
    """The calls are those that a backup makes, as the simulator counts them."""
    with World() as w:
        sim, gw = w.sim, w.gw
        gw.ok("backup", "web")
        wanted = gwcase.digests(sim, "paris", "web")
        sim.do("reset")
        gw.ok("backup", "web")
        made = next(p["rpc"] for p in sim.get("counters")["pools"]
                    if p["name"] == "paris")
        checks.check("a backup makes the calls that matter", SHORT <= set(
            made), sorted(made))
        tried = 0
        for method in sorted(made):
            for name, arguments in LOST:
                if not ALL and (method not in SHORT or
                                arguments.get("executed") is not True):
                    continue
                points = w.points()
                what = "%s of %s%s" % (name, method, " (done)" * bool(
                    arguments.get("executed")))
                sim.fault(name, pool="paris", method=method, **arguments)
                status, err = w.run(["backup", "web"])
                sim.clear()
                point = w.judge(what, status, err,
                                {0, 1, 3, 4, 5, 12, 75}, [], points)
                if point:
                    w.expect(point, wanted)
                tried += 1
        w.all_as_expected()
        print("# %d lost answers of %d calls%s" % (
            tried, len(made), "" if ALL else " (CAIRN_POOL_FAULTS=all: %d)" %
            (len(made) * len(LOST))))


for test in (switches, middle, before, grown, speeds, unheard, restores, calls):
    if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
        start = time.monotonic()
        checks.run(test.__name__, test)
        print("# %s: %.0f s" % (test.__name__, time.monotonic() - start))
checks.finish()
