# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while it soaks: stores by s3fault, pools by the switches of
xensim, hosts that go away, and kill -9."""
import collections
import random
import threading
import time

BODIES = ("put", "part", "complete")
ALL = ("put", "part", "create", "complete", "abort", "list", "get", "head",
       "delete", "uploads", "parts")
DOCUMENTS = ("create", "complete", "list", "uploads")


def status(code, **more):
    return dict(more, fault="status", code=code)


def cut(where, how):
    return {"fault": "cut", "where": where, "how": how}


# What a store does, and to which kinds of requests.
STORE = [(f, ALL) for f in (
    status(500), status(502), status(503), status(504), status(429),
    status(503, retry_after=1), status(500, executed=True),
    status(400, error="RequestTimeout"), status(403),
    status(400, error="ExpiredToken"), cut("head", "reset"),
    cut("head", "close"), cut("sent", "reset"), cut("sent", "close"),
    cut("answer_head", "reset"), cut("head", "stall"), cut("sent", "stall"),
    {"fault": "garbage"}, {"fault": "skewed"}, {"fault": "close"},
    {"fault": "slow", "ms": 700})] + [(f, BODIES) for f in (
        status(503, early=True), cut("body", "reset"), cut("body", "stall"),
    )] + [(f, DOCUMENTS) for f in (
        cut("answer", "reset"), cut("answer", "stall"), {"fault": "error200"},
        {"fault": "error200", "blanks": 50},
        {"fault": "error200", "executed": True},
        {"fault": "error200", "empty": True},
        {"fault": "truncate", "bytes": 30}, {"fault": "slow", "rate": 4000},
        {"fault": "flip"})] + [
    ({"fault": "flip"}, ("get",)), ({"fault": "truncate"}, ("get",)),
    (cut("answer", "reset"), ("get",)), (cut("answer", "stall"), ("get",)),
    ({"fault": "etag"}, ("put", "part", "get", "complete")),
    ({"fault": "hide", "seconds": 5}, ("list",)),
    ({"fault": "disorder"}, ("list", "uploads")),
    ({"fault": "disorder", "how": "repeat"}, ("list",)),
    ({"fault": "disorder", "how": "swap"}, ("list",))]

INTERNAL = {"error": ["INTERNAL_ERROR", "soak"]}
IO = {"error": ["VDI_IO_ERROR", "Device I/O errors"]}
AT = 1 << 20
# Of calls and connections.
CALLS = [
    ("rpc_error", INTERNAL), ("rpc_error", dict(INTERNAL, at_once=True)),
    ("rpc_delay", {"ms": 1500}), ("rpc_close", {}),
    ("rpc_close", {"executed": True}), ("rpc_500", {}), ("rpc_garbage", {}),
    ("host_is_slave", {}), ("host_still_booting", {}),
    ("session_invalid", {}), ("too_many_pending_tasks", {}),
    ("other_operation_in_progress", {}), ("vdi_in_use", {}),
    ("connection_refuse", {}), ("connection_reset", {"after": 300}),
    ("tls_stall", {}), ("http_431", {}),
    ("event_error", {"error": ["EVENTS_LOST"]}), ("event_silent", {"ms": 5000}),
    ("event_token", {}), ("task_stuck", {}), ("task_delay", {"ms": 2000}),
    ("task_gone", {}), ("task_fail", INTERNAL)] + [
    ("rpc_error", dict(INTERNAL, method=m)) for m in (
        "VM.snapshot", "VM.destroy", "VDI.destroy", "VIF.create", "VM.start",
        "VM.remove_from_other_config")] + [
    ("rpc_close", {"executed": True, "method": m}) for m in (
        "VM.snapshot", "VM.destroy", "task.create", "VIF.create")]
# Of snapshots, exports and imports: they are few, so five times as many of them
# are struck. Not what nobody can tell: a block in the middle that is left out
# is zero, and a disk that differs from what was imported is the pool's affair.
TRANSFERS = [
    ("snapshot_error", dict(IO, disk=0)), ("sr_full", {}), ("dom0_vbd", {}),
    ("export_401", {}), ("export_403", {}), ("export_redirect", {}),
    ("export_close", {}), ("export_500", {}), ("export_500_body", {}),
    ("export_first_byte", {"ms": 2000}), ("export_first_byte", {"ms": 20000}),
    ("export_cut", {"after": AT}), ("export_cut", {"after": AT, "reset": True}),
    ("export_cut", {"after": AT, "task": "success"}),
    ("export_cut", {"after": AT, "task": "pending"}),
    ("export_append_500", {"after": AT}), ("export_stall", {"after": AT}),
    ("export_stall", {"after": AT, "ms": 1500}),
    ("export_slow", {"rate": 2 << 20}), ("export_impatient", {"ms": 1000}),
    ("export_keepalive", {"every": 2}), ("export_first_small",
                                         {"bytes": 65536}),
    ("export_sha1", {}), ("export_all_blocks", {}),
    ("export_bad_checksum", {"block": 1}), ("export_bad_data", {"block": 1}),
    ("export_no_checksum", {"block": 1}), ("export_drop_block", {"block": -1}),
    ("export_repeat_block", {"block": 1}),
    ("export_swap_disks", {}), ("export_no_end", {}),
    ("export_tail", {"bytes": 5000}), ("export_bad_header", {"block": 1}),
    ("export_ova", {"text": "<value/>"}), ("export_task_fail", IO),
    ("import_401", {}), ("import_403", {}), ("import_redirect", {}),
    ("import_400", {}), ("import_cut", {"after": AT}),
    ("import_cut", {"after": AT, "reset": True}),
    ("import_fail", dict(IO, after=AT)), ("import_stall", {"after": AT}),
    ("import_stall", {"after": AT, "ms": 1500}),
    ("import_slow", {"rate": 2 << 20}), ("import_vanish", {"after": AT})]
TRANSFER_TIMES = 5


def store_rules(rate):
    """One rule for each kind of request: so many of them meet one of its
    faults."""
    return [{"kind": kind, "count": 0, "probability": rate,
             "any": [f for f, kinds in STORE if kind in kinds]}
            for kind in ALL]


class Faults:
    """Threads that make trouble until stop(); pause() leaves a time of
    peace."""

    def __init__(self, world):
        self.world, self.plan = world, world.plan
        self.fired = collections.Counter()
        self.kills = 0
        self.killing = threading.Event()
        self.on = threading.Event()
        self.quiet = threading.Event()  # the pools' thread has cleared up
        self.quiet.set()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=t, daemon=True)
                        for t in (self.pools, self.killer)]
        for t in self.threads:
            t.start()

    def start(self):
        for p in self.world.proxies:
            p.rules(*store_rules(self.plan.rate))
        self.quiet.clear()
        self.on.set()

    def pause(self):
        self.on.clear()
        self.count_stores()
        for p in self.world.proxies:
            p.clear()
        self.quiet.wait(60)
        # Tasks that are stuck are so for 24 hours.
        for pool in self.world.pool_names:
            self.world.sim.do("tasks/expire", pool=pool)

    def stop(self):
        self.killing.clear()
        self.pause()
        self.ending.set()
        for t in self.threads:
            t.join(60)
        # What a host that vanished has in hand it lets go of only so.
        for pool in self.world.pool_names:
            self.world.sim.do("pool/restart", pool=pool)

    def count_stores(self):
        """What the proxies have done since the last time."""
        for p in self.world.proxies:
            for row in p.log():
                if row["fault"]:
                    self.fired["S3 " + row["fault"]] += 1
                self.fired["requests"] += 1
            p.log_clear()

    # --- pools ---

    def pools(self):
        rng = random.Random("%d pools" % self.plan.seed)
        while not self.ending.is_set():
            if not self.on.wait(0.5):
                continue
            try:
                self.trouble(rng)
                self.count_stores()
            except Exception as e:  # trouble must go on
                self.world.problem("making trouble: %s: %s" % (
                    type(e).__name__, e))
            if not self.on.is_set():
                self.quiet.set()

    def trouble(self, rng):
        """Some switches for a second or three, and now and then a host."""
        sim, rate = self.world.sim, self.plan.rate
        for name, arguments in rng.sample(CALLS, 4):
            sim.fault(name, count=0, probability=rate, **arguments)
        for name, arguments in rng.sample(TRANSFERS, 4):
            sim.fault(name, count=0, probability=rate * TRANSFER_TIMES,
                      **arguments)
        back = self.happening(rng) if rng.random() < self.plan.events else None
        end = time.monotonic() + rng.uniform(1, 3)
        while self.on.is_set() and time.monotonic() < end:
            time.sleep(0.1)
        if back:
            back()
        for f in sim.get("faults"):
            if f["hits"]:
                self.fired[f["name"]] += f["hits"]
        sim.clear()

    def happening(self, rng):
        """Something happens to a pool; what undoes it, or None."""
        sim, pool = self.world.sim, rng.choice(self.world.pool_names)
        hosts = [h["name"] for h in sim.pool(pool)["hosts"]]
        what = rng.choice(("restart", "restart hard", "coordinator",
                           "sessions", "tasks", "host", "migrate"))
        self.fired["pool: " + what] += 1
        if what.startswith("restart"):
            sim.do("pool/restart", pool=pool, connections="hard" in what)
        elif what == "coordinator":
            sim.do("pool/coordinator", pool=pool, host=hosts[1])
            return lambda: sim.do("pool/coordinator", pool=pool,
                                  host=hosts[0])
        elif what in ("sessions", "tasks"):
            sim.do(what + "/expire", pool=pool)
        elif what == "host":
            sim.do("host/down", pool=pool, host=hosts[1], down=True)
            return lambda: sim.do("host/down", pool=pool, host=hosts[1],
                                  down=False)
        else:
            vm = rng.choice([v for v in self.world.vms.values()
                             if v.pool == pool])
            sim.do("vm/migrate", pool=pool, vm=vm.uuid, host=rng.choice(hosts))
        return None

    # --- kill -9 ---

    def killer(self):
        rng = random.Random("%d kills" % self.plan.seed)
        while not self.ending.is_set():
            if not self.killing.wait(0.5):
                continue
            end = time.monotonic() + self.plan.kill_every * rng.uniform(
                0.7, 1.3)
            while time.monotonic() < end and self.killing.is_set():
                time.sleep(0.05)
            if self.killing.is_set():
                self.kill(rng)

    def kill(self, rng):
        """And a new start; one in four dies again while it starts."""
        world = self.world
        world.kill()
        self.kills += 1
        time.sleep(rng.choice((0, 0.2, 2)))
        try:
            world.start()
            if rng.random() < 0.25:
                time.sleep(rng.uniform(0, 1))
                world.kill()
                self.kills += 1
                world.start()
        except (RuntimeError, TimeoutError) as e:
            world.problem("cairnd does not start again: %s" % e)
