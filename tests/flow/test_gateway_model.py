#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random lives of one vault with two gateways, against a model of it: a list of
points, each the digests of the disks as they were. After every step the
independent reader must see just these points in the store.

A step is a row: ["write", vm, MiB, length], ["backup", gateway, vm], ["crash",
gateway, vm, ms] (kill -9 after so long, then a new start), ["race", vm, vm, ms]
(both gateways at once; where ms is not null the first is killed), ["restore",
gateway, n] (the n-th point, counted round), ["verify", gateway], ["forget",
gateway] (its index is deleted).

A sequence that fails is made as short as it can be made and printed; put into
tests/data/model/ it is run again each time. CAIRN_MODEL=N: so many sequences
(default 2) of CAIRN_MODEL_STEPS steps (default 10); CAIRN_SEED repeats a run."""
import glob
import json
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
VMS = ("a", "b")
GATEWAYS = ("north", "south")
DISK = 6 * MIB
SHRINK_RUNS = 24
KEPT = os.path.join(gwlib.ROOT, "tests", "data", "model", "*.json")


class Wrong(Exception):
    """The vault is not what the model says."""


class Life:
    """Two gateways, one vault, one pool; and the model: self.points."""

    def __init__(self, sim, gateways):
        self.sim, self.gateways = sim, gateways
        self.points = []  # (vm, digests), in the order they were made
        self.seed = 0
        north, south = (gateways[g] for g in GATEWAYS)
        self.key = gwcase.set_up(north, sim)
        self.folder = gwcase.folder_of(north)
        south.ok("tenant", "add", "acme")
        south.add_pool(sim, "paris")
        south.ok("rule", "add", "--tenant", "acme", "--pool", "paris",
                 "--tag", "acme")
        south.ok("vault", "add", "main", "--tenant", "acme", "--url",
                 "file://" + self.folder, "--existing", "--key-file", self.key)
        # Each writes under keys of its own; both shall read both.
        for gw, other in (north, south), (south, north):
            gw.ok("key", "grant", "--vault", "main",
                  other.json("vault", "show", "main")["public_key"])

    def now(self, vm):
        return gwcase.digests(self.sim, "paris", vm)

    def settle(self, gw):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            jobs = gw.json("job", "list")
            if all(j["final"] for j in jobs):
                return jobs
            time.sleep(0.05)
        raise Wrong("a job does not end: %s" % [j["stage"] for j in jobs])

    # --- steps ---

    def write(self, vm, at, length):
        self.seed += 1
        self.sim.write(pool="paris", vm=vm, offset=at * MIB // 4,
                       hex=random.Random(self.seed).randbytes(length).hex())

    def backup(self, name, vm):
        self.gateways[name].ok("backup", vm)
        self.points.append((vm, self.now(vm)))

    def crash(self, name, vm, ms):
        gw = self.gateways[name]
        before = len(gw.json("job", "list"))
        run = gw.start_run("backup", vm)
        while len(gw.json("job", "list")) == before:
            time.sleep(0.005)
        time.sleep(ms / 1000)
        gw.kill()
        run.communicate()
        gw.start()
        job = self.settle(gw)[0]
        if job["state"] not in ("succeeded", "warned"):
            raise Wrong("a job that was taken up again: %s %s" % (
                job["state"], job["error"]))
        self.points.append((vm, self.now(vm)))

    def race(self, first, second, ms):
        north, south = (self.gateways[g] for g in GATEWAYS)
        other = south.start_run("backup", second)
        if ms is None:
            self.backup("north", first)
        else:
            self.crash("north", first, ms)
        _, err = other.communicate()
        if other.returncode not in (0, 3):
            raise Wrong("backup at south: %s" % err)
        self.points.append((second, self.now(second)))

    def restore(self, name, n):
        if not self.points:
            return
        gw = self.gateways[name]
        known = sorted(gw.json("point", "list", "--refresh"),
                       key=lambda p: p["id"])
        if len(known) != len(self.points):
            raise Wrong("%s lists %d of %d points" % (name, len(known),
                                                      len(self.points)))
        point = known[n % len(known)]
        raw = os.path.join(gw.dir, "disk.raw")
        gw.ok("restore", point["id"], "--disk", "0", "--output", raw)
        got = {"0": gwcase.digest(raw)}
        os.unlink(raw)
        if (point["vm"]["name"], got) not in self.points:
            raise Wrong("%s: %s restores as nothing that ever was" %
                        (name, point["id"]))

    def verify(self, name):
        gw = self.gateways[name]
        for point in gw.json("point", "list")[:2]:
            gw.ok("point", "verify", point["id"])
        status, out = gwcase.restore_tool(gw, self.key, "verify",
                                          folder=self.folder)
        if status:
            raise Wrong("cairn-restore verify: %s" % out)

    def forget(self, name):
        gw = self.gateways[name]
        gw.stop()
        shutil.rmtree(os.path.join(gw.state, "index"), ignore_errors=True)
        gw.start()

    # --- what must be true after each ---

    def compare(self):
        found = gwcase.read_points(self.gateways["north"], self.key,
                                   self.folder)
        got = sorted(json.dumps(d, sort_keys=True) for d in found.values())
        wanted = sorted(json.dumps(d, sort_keys=True)
                        for _, d in self.points)
        if got != wanted:
            raise Wrong("the store holds %d points, the model %d; equal: %d" %
                        (len(got), len(wanted),
                         len([d for d in got if d in wanted])))
        for gw in self.gateways.values():
            left = gwcase.left_behind(gw, self.sim, ("paris",))
            if left:
                raise Wrong("left behind: %s" % left)


def live(steps):
    """Run a sequence; why it is wrong, or None."""
    vms = [gwcase.vm(v, {"size": DISK, "fill": "marked"}) for v in VMS]
    with simlib.Sim(gwcase.two_pools(*vms)) as sim, \
            gwlib.Gateway("north") as north, gwlib.Gateway("south") as south:
        life = Life(sim, {"north": north, "south": south})
        for i, (verb, *arguments) in enumerate(steps):
            try:
                getattr(life, verb)(*arguments)
                life.compare()
            except (Wrong, gwlib.Failed, RuntimeError, TimeoutError) as e:
                return "step %d, %s: %s" % (i + 1, json.dumps(steps[i]), e)
    return None


def invent(rng, count):
    verbs = ["write"] * 4 + ["backup"] * 4 + ["crash"] * 3 + ["race"] * 2 + \
        ["restore"] * 3 + ["verify", "forget"]
    steps = [["backup", rng.choice(GATEWAYS), rng.choice(VMS)]]
    while len(steps) < count:
        verb = rng.choice(verbs)
        gateway, vm = rng.choice(GATEWAYS), rng.choice(VMS)
        steps.append({
            "write": ["write", vm, rng.randrange(20),
                      rng.choice((512, 4096, 131072, 400000))],
            "backup": ["backup", gateway, vm],
            "crash": ["crash", gateway, vm, rng.randrange(900)],
            "race": ["race", *rng.sample(VMS, 2),
                     rng.choice((None, rng.randrange(600)))],
            "restore": ["restore", gateway, rng.randrange(100)],
            "verify": ["verify", gateway],
            "forget": ["forget", gateway]}[verb])
    return steps


def shrink(steps):
    """A short sequence that still fails."""
    runs, size = 0, len(steps) // 2
    while size and runs < SHRINK_RUNS:
        at = 0
        while at < len(steps) and runs < SHRINK_RUNS:
            shorter = steps[:at] + steps[at + size:]
            runs += 1
            if shorter and live(shorter):
                steps = shorter
            else:
                at += size
        size //= 2
    return steps


def judge(name, steps, found):
    why = live(steps)
    if why and found:
        short = shrink(steps)
        print("# fails: %s" % json.dumps(short), flush=True)
    checks.check(name, not why, why)


def main():
    for path in sorted(glob.glob(KEPT)):
        with open(path, encoding="utf-8") as f:
            kept = json.load(f)
        judge("kept: " + kept["why"], kept["steps"], False)
    seed = int(os.environ.get("CAIRN_SEED", str(int(time.time()))))
    count = int(os.environ.get("CAIRN_MODEL", "2"))
    length = int(os.environ.get("CAIRN_MODEL_STEPS", "10"))
    print("# CAIRN_SEED=%d, %d sequences of %d steps" % (seed, count, length),
          flush=True)
    for i in range(count):
        judge("a random life agrees with the model (%d of %d)" %
              (i + 1, count), invent(random.Random(seed + i), length), True)
    checks.finish()


main()
