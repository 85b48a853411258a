#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The power fails. All that a gateway did to a folder vault and to its state
directory is written down (write_log.c); from that, what a disk may show after
a cut at any moment is made (powerlib.py says by which model). Of every such
state it must be true:

- nothing torn has an object's name: what has one is the whole object;
- a point that was reported as done is there, and every point that is there
  has all that it needs: it restores bit for bit;
- cairn-restore finds no damage, and a gateway goes on: with its own state from
  the same cut, and, where that is gone too, with an empty one; what lay under
  tmp/ is gone then.

The first two are looked at for every moment. Gateways are started on a few of
these states; CAIRN_CUTS=N: on so many, CAIRN_CUTS=all: at every moment, twice,
or as many of them, evenly, as CAIRN_MINUTES let. CAIRN_SEED=N repeats a run."""
import functools
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import powerlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402
from gwcase import cairn_read  # noqa: E402

checks = simlib.Checks()
CUTS = os.environ.get("CAIRN_CUTS", "2")
PASSES = 63 if CUTS == "all" else 1  # through the log; odd: of both kinds
SEED = int(os.environ.get("CAIRN_SEED", str(int(time.time()))))
rng = random.Random(SEED)
# One vault, one passphrase: the second and what it costs is paid once.
hashlib.scrypt = functools.lru_cache(maxsize=None)(hashlib.scrypt)


def preload():
    """What lets a program write its log, sanitizers before everything."""
    libs = []
    told = subprocess.run(["ldd", gwlib.program("cairnd")], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    for line in told.splitlines():
        if "libasan" in line:
            libs.append(line.split("=>")[1].split()[0])
    return ":".join(libs + [gwlib.program("write_log.so")])


class Recorded:
    """A gateway's life from its first start to its end, written down."""

    def __init__(self, sim, gw):
        self.sim, self.gw = sim, gw
        self.vault = gwcase.folder_of(gw)
        self.log = powerlib.Log(os.path.join(gw.dir, "writes"),
                                [gw.state, self.vault])
        gw.start(env={"LD_PRELOAD": preload(),
                      "CAIRN_WRITE_LOG": self.log.path,
                      "CAIRN_WRITE_LOG_ROOTS": ":".join(self.log.roots)})
        self.key = gwcase.set_up(gw, sim)
        self.begin = self.log.length()
        self.done = []    # (mark, point) of backups that were reported
        self.wanted = {}  # point: its disk's digest
        self.backup("web")
        self.backup("big")  # an upload, written past the page cache
        sim.write(pool="paris", vm="web", length=MIB, offset=MIB, random=7)
        self.backup("web")
        gw.stop()
        self.names = {}   # of the vault's objects, at the end: digest
        for folder, _, files in os.walk(self.vault):
            for name in files:
                path = os.path.join(folder, name)
                self.names[os.path.relpath(path, self.vault)] = \
                    gwcase.digest(path)

    def backup(self, vm):
        self.gw.ok("backup", vm)
        mark = self.log.length()
        for p in self.gw.json("point", "list"):
            if p["id"] not in self.wanted:
                self.wanted[p["id"]] = gwcase.digests(self.sim, "paris", vm)
                self.done.append((mark, p["id"]))

    def required(self, end):
        return {point for mark, point in self.done if mark <= end}

    def read(self, folder):
        """{point: digests} by the independent reader; and, point by point,
        the objects that it needed."""
        with open(self.key, encoding="ascii") as f:
            vault = cairn_read.Vault(folder, f.read())
        opened = set(["format"])
        get = vault.store.get
        vault.store.get = lambda name: (opened.add(name), get(name))[1]
        with open(self.key, encoding="ascii") as f:
            vault.keys = cairn_read.Keys(vault.store, f.read())
        keys, found, needs = set(opened), {}, {}
        for point in vault.points():
            opened.clear()
            vault.opened.clear()
            disks = found[point.name.rsplit("/", 1)[1]] = {}
            for disk in point.disks:
                image = bytearray(disk.size)

                def put(offset, raw, image=image):
                    image[offset:offset + len(raw)] = raw
                vault.read_disk(point, disk, put)
                disks[str(disk.position)] = hashlib.sha256(image).hexdigest()
            needs[point.name.rsplit("/", 1)[1]] = keys | opened | {point.name}
        return found, needs


def point_names(names):
    return {n.rsplit("/", 1)[1]: n for n in names if n.startswith("points/")}


def log_is_whole(r):
    """The log, played back, gives the folders as they are."""
    disk, last = powerlib.Disk(r.log.roots), None
    how = powerlib.How("most")
    try:
        for op in r.log.ops():
            disk.do(op)
            last = op
    except powerlib.Unseen as e:
        checks.check("everything that was done is in the log", False, e)
        return
    for root in r.log.roots:
        got = {n: None if d is None else hashlib.sha256(d).hexdigest()
               for n, d in disk.shown(root, how).items()}
        real = {}
        for folder, folders, files in os.walk(root):
            for name in folders + files:
                path = os.path.join(folder, name)
                real[os.path.relpath(path, root)] = None if name in folders \
                    else gwcase.digest(path)
        checks.check("everything that was done to %s is in the log" %
                     os.path.basename(root), got == real and last,
                     set(got.items()) ^ set(real.items()))


class Digests(dict):
    """Of bytes that stay the same object while nothing happens to a file."""

    def of(self, data):
        if id(data) not in self:
            self[id(data)] = data, hashlib.sha256(data).hexdigest()
        return self[id(data)][1]


def sound(r, shown, end, needs, digests):
    """What is wrong with the vault as a cut shows it; None: nothing."""
    names = {n for n, d in shown.items()
             if d is not None and not n.startswith("tmp/")}
    for name in names:
        if digests.of(shown[name]) != r.names.get(name):
            return "%s is torn" % name
    points = point_names(names)
    if missing := r.required(end) - set(points):
        return "reported and gone: %s" % missing
    for point in points:
        if lost := needs[point] - names:
            return "%s lacks %s" % (point, lost)
    return None


def every_moment(r, needs):
    """All moments, three ways each. What the folder shows changes with what is
    done to it alone, and its state is a thing of SQLite's; so it is enough to
    look when the vault changes."""
    disk, digests = powerlib.Disk(r.log.roots), Digests()
    moments, looked, bad, inside = 0, 0, [], set()
    for op in r.log.ops():
        end, letter, ino, _, path, other, _ = op
        disk.do(op)
        ours = (other or path).startswith(r.vault + "/") or path == r.vault \
            or ino in inside
        if ours and letter == "C":
            inside.add(ino)
        if not ours or len(bad) > 5:
            continue
        moments += 1
        for how in (powerlib.How("least"), powerlib.How("most"),
                    powerlib.How("chance", rng)):
            looked += 1
            wrong = sound(r, disk.shown(r.vault, how), end, needs, digests)
            if wrong:
                bad.append("at %s %s, %s: %s" % (letter, other or path,
                                                 how.kind, wrong))
    checks.same("at each of %d moments, in %d states: nothing torn has a name, "
                "and each point has all that it needs" % (moments, looked),
                bad, [])


def moments_of(r):
    """(where in the log, how) of states that programs are started on: in the
    middle of each backup, and right after it was reported."""
    ends = [op[0] for op in r.log.ops() if op[0] > r.begin]
    if CUTS == "all":
        return [(end, how) for end in ends for how in ("least", "chance")]
    picked = []
    for i in range(int(CUTS)):
        how = ("chance", "least", "chance", "most")[i % 4]
        lo = ([r.begin] + [m for m, _ in r.done])[(i + 1) % len(r.done)]
        hi = [m for m, _ in r.done][(i + 1) % len(r.done)]
        inside = [e for e in ends if lo <= e <= hi]
        picked.append((inside[-1] if i % 4 == 1 else rng.choice(inside), how))
    return sorted(picked)


def states(r, moments):
    """Play the log back once, and stop at the moments."""
    disk, left = powerlib.Disk(r.log.roots), list(moments)
    for op in r.log.ops():
        disk.do(op)
        while left and left[0][0] == op[0]:
            end, kind = left.pop(0)
            how = powerlib.How(kind, rng if kind == "chance" else None)
            yield end, kind, {root: disk.shown(root, how)
                              for root in r.log.roots}


def put_back(r, shown, with_state):
    """The folders as the cut shows them, where they were."""
    for root in r.log.roots:
        shutil.rmtree(root, ignore_errors=True)
    powerlib.write_out(shown[r.vault], r.vault)
    if with_state:
        # Memory that SQLite shares through a file is no file after a cut.
        powerlib.write_out({n: d for n, d in shown[r.gw.state].items()
                            if not n.endswith("-shm")}, r.gw.state)


def settle(gw, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if all(j["final"] for j in gw.json("job", "list")) and \
                gw.json("status")["places_to_tidy"] == 0:
            return True
        time.sleep(0.05)
    return False


def goes_on(r, end, label):
    """The gateway that was just started has all points and makes another."""
    gw = r.gw
    if not checks.check("%s: it comes to rest" % label, settle(gw),
                        gw.json("status")):
        return
    got = {p["id"] for p in gw.json("point", "list")}
    checks.check("%s: it knows what it reported" % label,
                 r.required(end) <= got, r.required(end) - got)
    gw.ok("backup", "web")
    new = {p["id"] for p in gw.json("point", "list")} - got
    found, _ = r.read(r.vault)
    checks.check("%s: it makes the next backup" % label, len(new) == 1 and
                 found[new.copy().pop()] == gwcase.digests(r.sim, "paris",
                                                           "web"), new)
    wrong = [p for p, d in found.items() if p in r.wanted and
             r.wanted[p] != d]
    checks.check("%s: every point restores bit for bit" % label,
                 not wrong and r.required(end) <= set(found), wrong)


def restart(r, end, kind, shown):
    gw = r.gw
    label = "cut at %d, %s" % (end, kind)
    put_back(r, shown, True)
    status, out = gwcase.restore_tool(gw, r.key, "verify", folder=r.vault)
    checks.check("%s: cairn-restore finds no damage" % label, status == 0,
                 "exit %d: %s" % (status, out))
    gw.start()
    goes_on(r, end, label + ", its own state")
    checks.same("%s: nothing is left of what was interrupted" % label,
                gwcase.left_behind(gw, r.sim), [])
    gw.stop()
    put_back(r, shown, False)
    gw.start()
    gw.ok("tenant", "add", "acme")
    gw.add_pool(r.sim, "paris")
    gw.ok("rule", "add", "--tenant", "acme", "--pool", "paris", "--tag",
          "acme")
    gw.ok("vault", "add", "main", "--tenant", "acme", "--url",
          "file://" + r.vault, "--existing", "--key-file", r.key)
    goes_on(r, end, label + ", an empty state")
    gw.stop()


def restarts(r):
    ran, moments = 0, moments_of(r)
    for first in simlib.in_time(range(PASSES)):
        for state in states(r, moments[first::PASSES]):
            restart(r, *state)
            ran += 1
    print("# %d of %d states restarted, seed %d" % (ran, len(moments), SEED))


def main():
    vms = [gwcase.vm("web", {"size": 3 * MIB, "fill": "random"}),
           gwcase.vm("big", {"size": 18 * MIB, "fill": "random"})]
    with simlib.Sim(gwcase.two_pools(*vms)) as sim, \
            gwlib.Gateway(start=False) as gw:
        r = Recorded(sim, gw)
        checks.run("log_is_whole", log_is_whole, r)
        found, needs = r.read(r.vault)
        checks.same("undisturbed, every point restores bit for bit", found,
                    r.wanted)
        checks.run("every_moment", every_moment, r, needs)
        checks.run("restarts", restarts, r)
    checks.finish()


main()
