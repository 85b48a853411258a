#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The n-th allocation fails, in a cairnd that backs up and restores and in a
cairn-restore: whatever was asked ends with one sentence or succeeds, what is
left restores bit for bit, the pools are clean, and cairnd goes on.

Allocations of the program and of its libraries are made to fail, one in each
round, at one place each (a chain of calls); the short form takes a few dozen
places, evenly, CAIRN_ALLOCS=all every one, CAIRN_ALLOCS=N about N of each kind,
CAIRN_ALLOCS=N:backup those of one kind alone (backup, restore, stream, xva);
CAIRN_MINUTES=N ends each kind after so long, evenly, too.
"""
import glob
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import alloclib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()
MUSEUM = os.path.join(gwlib.ROOT, "tests/data/museum/vault-0.1.0")
HOW_MANY, _, PART = os.environ.get("CAIRN_ALLOCS", "10").partition(":")
CLEAN_SECONDS = 120
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


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("cairn", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class World:
    """A pool with a small VM, one to restore to, and a cairnd under a shim."""

    def __init__(self):
        self.shim = alloclib.Shim()
        self.sim = simlib.Sim(gwcase.two_pools(gwcase.vm(
            "web", {"size": 2 * MIB, "fill": "random"},
            {"size": 2 * MIB, "fill": "marked"})))
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

    def ask(self, path):
        """GET without the cost of a process: the items of a list."""
        c = UnixConnection(self.gw.socket)
        try:
            c.request("GET", "/api/v1" + path)
            return json.loads(c.getresponse().read())["items"]
        finally:
            c.close()

    def left(self):
        """What should not be there when no job runs."""
        left = ["upload " + p for p in glob.glob(self.folder + "/tmp/*")]
        for pool in ("paris", "rome"):
            state = self.sim.state(pool)
            left += [o["name_label"] for o in state["vms"] + state["vdis"]
                     if o["is_a_snapshot"]]
            left += [t["name_label"] for t in state["tasks"]
                     if t["status"] == "pending"]
        return left

    def settled(self, place):
        """Until nothing of ours is left and all jobs have ended."""
        end = time.monotonic() + CLEAN_SECONDS
        while True:
            left = ["job " + j["id"] for j in self.ask("/jobs?limit=5")
                    if j["state"] in ("queued", "running")] or self.left()
            listed = sorted(p["id"] for p in self.ask("/points?limit=1000"))
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
        for _ in range(50):
            if process.poll() is not None:
                break
            try:
                self.ask("/jobs?limit=1")
                return True
            except (OSError, http.client.HTTPException, ValueError):
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
                status, _, err = self.gw.run(*args, timeout=240, **more)
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
        if status == 75 or "goes on" in err:  # an answer was lost on its way
            status = 0 if len(vms) > before else 1
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
            if PART not in ("", name):
                continue
            places = w.shim.places(lambda: what(None))
            w.rounds = 0
            for place in simlib.in_time(chosen(places)):
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
        if said:
            print(w.gw.logged()[-6000:])


def in_cairn_restore():
    """A whole process from its start, on the vault of the museum. Only what it
    asks for itself fails: OpenSSL 3.0 and libuv crash and abort when there is
    no memory at all while they are being set up."""
    shim = alloclib.Shim(ours=True)
    with open(os.path.join(MUSEUM, "expect.json"), encoding="utf-8") as f:
        point = json.load(f)["points"][0]
    want = sorted(d["sha256"] for d in point["disks"])
    rounds, refused, wrong = 0, 0, []
    with tempfile.TemporaryDirectory(prefix="cairn-alloc-") as top:
        out = os.path.join(top, "out.xva")

        def run():
            return subprocess.run(
                [gwlib.program("cairn-restore"), "--vault",
                 "file://" + os.path.join(MUSEUM, "vault"), "--key-file",
                 os.path.join(MUSEUM, "private.key"), "xva", point["point"],
                 "--output", out], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                errors="replace", timeout=240, check=False,
                env=dict(os.environ, **shim.env))

        places = shim.places(run)
        for place in simlib.in_time(chosen(places)):
            if os.path.exists(out):
                os.unlink(out)
            rounds += 1
            with shim.fail(place):
                done = run()
            there = os.listdir(top)
            refused += done.returncode != 0
            if done.returncode == 0 and there == ["out.xva"]:
                good = sorted(xva_disks(out)) == want
            else:
                good = done.returncode > 0 and not there and \
                    done.stdout.startswith("cairn-restore: ") and \
                    not any(b in done.stdout for b in BAD)
            if not good:
                wrong.append("%s: exit %s, %s: %s" % (
                    shim.where("cairn-restore"), done.returncode, there,
                    done.stdout[-3000:]))
                print("#", wrong[-1], flush=True)
    checks.check("cairn-restore: of %d places to allocate %d failed, %d times "
                 "it said so" % (len(places), rounds, refused),
                 not wrong and refused > 0, "%d wrong" % len(wrong))
    shim.close()


if PART in ("", "xva"):
    checks.run("in_cairn_restore", in_cairn_restore)
if PART != "xva":
    checks.run("in_cairnd", in_cairnd)
checks.finish()
