#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The n-th allocation fails, in a cairnd that backs up and restores and in a
cairn-restore: whatever was asked ends with one sentence or succeeds, what is
left restores bit for bit, the pools are clean, and cairnd goes on.

Allocations of the program and of its libraries are made to fail, one in each
round, at one place each (a chain of calls); the short form takes a few dozen
places, evenly, CAIRN_ALLOCS=all every one, CAIRN_ALLOCS=N about N of each kind.
"""
import glob
import hashlib
import os
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import alloclib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()
HOW_MANY = os.environ.get("CAIRN_ALLOCS", "10")
CLEAN_SECONDS = 60
BAD = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion")


def chosen(places):
    """Those of this run: all, or so many, evenly."""
    if HOW_MANY == "all" or len(places) <= int(HOW_MANY):
        return places
    step = len(places) / int(HOW_MANY)
    return [places[int(i * step + step / 2)] for i in range(int(HOW_MANY))]


def points_in(folder):
    return sorted(p[len(folder) + 1:]
                  for p in glob.glob(folder + "/points/*/*"))


def xva_disks(path):
    """Digests of the disks in an XVA; what is not in it is zero."""
    disks = {}
    with tarfile.open(path) as tar:
        for entry in tar:
            folder, _, name = entry.name.partition("/")
            if name.isdigit():
                disk = disks.setdefault(folder, bytearray())
                disk += bytes(int(name) * MIB - len(disk))
                disk += tar.extractfile(entry).read()
    return [hashlib.sha256(d).hexdigest() for d in disks.values()]


class World:
    """A pool with a small VM, one to restore to, and a cairnd under a shim."""

    def __init__(self):
        self.shim = alloclib.Shim()
        self.sim = simlib.Sim(gwcase.two_pools(gwcase.vm(
            "web", {"size": 2 * MIB, "fill": "random"},
            {"size": MIB + 512, "fill": "marked"})))
        self.gw = gwlib.Gateway(start=False)
        self.gw.start(env=self.shim.env)
        self.key = gwcase.set_up(self.gw, self.sim)
        self.folder = gwcase.folder_of(self.gw)
        self.digests = {}  # of each point that succeeded
        self.wrong = []
        self.rounds = self.refused = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gw.__exit__(None, None, None)
        self.sim.stop()
        self.shim.close()

    def say(self, what, place):
        self.wrong.append("%s, %s: %s" % (
            place, self.shim.where("cairnd") if place else "", what))
        print("#", self.wrong[-1], flush=True)

    def settled(self, place):
        """Until nothing of ours is left and all jobs have ended."""
        end = time.monotonic() + CLEAN_SECONDS
        while True:
            left = ["job " + j["id"] for j in self.gw.json("job", "list")
                    if j["state"] in ("queued", "running")] or \
                gwcase.left_behind(self.gw, self.sim)
            listed = sorted(p["id"] for p in self.gw.json("point", "list"))
            there = sorted(p.split("/")[-1] for p in points_in(self.folder))
            if not left and listed != there:
                left = ["points: %s, listed: %s" % (there, listed)]
            if not left:
                return
            if time.monotonic() > end:
                self.say("left behind: %s" % left, place)
                return
            time.sleep(0.1)

    def alive(self, place):
        """Whether cairnd lives; one that does not is started again."""
        process = self.gw.process
        for _ in range(3):
            if process.poll() is not None:
                break
            if self.gw.run("status")[0] == 0:
                return True
            time.sleep(0.2)
        status = process.poll()
        self.say("cairnd ended with %s: %s" % (
            status, self.gw.logged()[-3000:]), place)
        if status is None:
            self.gw.kill()
        self.gw.process = None
        self.gw.start(env=self.shim.env)
        return False

    def attempt(self, place, *args, **more):
        """One round: (exit status, what it said)."""
        self.rounds += 1
        with self.shim.fail(place):
            try:
                status, _, err = self.gw.run(*args, timeout=90, **more)
            except subprocess.TimeoutExpired:
                status, err = "hang", ""
                self.say("%s does not end" % args[0], place)
        self.alive(place)
        if status not in (0, 3):
            self.refused += 1
            if not self.shim.failed:
                self.say("%s failed without cause: %s" % (args[0], err), place)
            elif status != "hang" and not err.strip():
                self.say("%s: exit %s without a word" % (args[0], status),
                         place)
        return status, err

    def change(self):
        self.sim.write(pool="paris", vm="web", device="0",
                       offset=65536 * (self.rounds % 32),
                       hex=os.urandom(65536).hex())

    def back_up(self, place):
        before = points_in(self.folder)
        self.change()
        status, _ = self.attempt(place, "backup", "web")
        self.settled(place)
        new = [p for p in points_in(self.folder) if p not in before]
        if status in (0, 3) and len(new) != 1 or len(new) > 1:
            self.say("exit %s, but new: %s" % (status, new), place)
        for p in new:
            self.digests[p] = gwcase.digests(self.sim, "paris", "web")

    def restore(self, place):
        before = len(self.sim.state("rome")["vms"])
        name = "r%d" % self.rounds
        status, err = self.attempt(
            place, "restore", "web@latest", "--pool", "rome", "--sr", SR,
            "--network", "0=lan", "--name", name)
        self.settled(place)
        vms = self.sim.state("rome")["vms"]
        if status in (0, 3):
            self.expect(gwcase.digests(self.sim, "rome", name).values(), place)
        elif len(vms) != before:
            self.say("exit %s (%s), but there is a VM more" % (
                status, err.strip()), place)
        rome = self.sim.login("rome")
        for v in vms:
            rome("VM.destroy", v["ref"])
        for d in self.sim.state("rome")["vdis"]:
            rome("VDI.destroy", d["ref"])
        rome.logout()

    def stream(self, place):
        out = os.path.join(self.gw.dir, "out.xva")
        status, err = self.attempt(place, "restore", "web@latest", "--output",
                                   out)
        self.settled(place)
        if os.path.exists(out) != (status == 0):
            self.say("exit %s (%s), and the file is %sthere" % (
                status, err, "" if status else "not "), place)
        if os.path.exists(out):
            self.expect(xva_disks(out), place)
            os.unlink(out)

    def expect(self, got, place):
        """Digests of the disks that a restore of the newest point gave."""
        want = sorted(self.digests[max(self.digests)].values())
        if sorted(got) != want:
            self.say("restored something else: %s, not %s" % (got, want),
                     place)

    def finish(self, name, places):
        checks.check("%s: of %d places to allocate %d failed, %d times it "
                     "said so" % (name, len(places), self.rounds,
                                  self.refused),
                     not self.wrong and self.refused > 0,
                     "%d wrong: %s" % (len(self.wrong), self.wrong[:1]))
        self.wrong, self.rounds, self.refused = [], 0, 0


def in_cairnd():
    with World() as w:
        w.back_up(None)
        w.back_up(None)  # warm: what is asked for once has been
        for name, what in (("backup", w.back_up), ("restore", w.restore),
                           ("stream", w.stream)):
            places = w.shim.places(lambda: what(None))
            w.rounds = 0
            for place in chosen(places):
                what(place)
            w.finish(name, places)
        status, out = gwcase.restore_tool(w.gw, w.key, "verify")
        checks.check("all that was stored is whole", status == 0, out)
        w.shim.off()
        points = gwcase.read_points(w.gw, w.key)
        checks.same("and restores bit for bit by the independent reader",
                    points, w.digests)
        status = w.gw.stop()
        said = [line for line in w.gw.logged().split("\n")
                if any(b in line for b in BAD)]
        checks.check("nothing leaked, nothing crashed",
                     status == 0 and not said, "%s %s" % (status, said[:5]))


in_cairnd()
checks.finish()
