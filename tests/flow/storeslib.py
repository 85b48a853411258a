# SPDX-License-Identifier: Apache-2.0
"""What flow tests of stores that go wrong share: two pools, a gateway and a
vault in Ceph behind s3fault, and what must be true after each job."""
import contextlib
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import proxylib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
RELEASE = os.environ.get("CAIRN_RELEASE", gwlib.BUILD)
PREFIX = "va/ult"


class Gateway(gwlib.Gateway):
    """Its commands are those of the release build: they start quicker."""

    def argv(self, *args, **kw):
        argv = super().argv(*args, **kw)
        if os.path.exists(os.path.join(RELEASE, "cairn")):
            argv[0] = os.path.join(RELEASE, "cairn")
        return argv


class World:
    """Two VMs (what changes on web is sent in parts, what changes on tiny in
    one piece), a vault behind the proxy, and what must be true of it."""

    def __init__(self, ceph, proxy, sim, gw, bucket):
        self.ceph, self.proxy, self.sim, self.gw = ceph, proxy, sim, gw
        self.bucket, self.boto = bucket, ceph.boto()
        self.boto.create_bucket(Bucket=bucket)
        self.url = "s3://%s/%s" % (bucket, PREFIX)
        self.options = ["--endpoint", proxy.url, "--credentials-file",
                        cephlib.credentials(os.path.join(gw.dir, "cred"),
                                            ceph.key, ceph.secret)]
        self.key = None
        self.round = 0
        self.wanted = {}   # point name -> digests of the disks
        self.newest = {}   # VM -> those of its newest point
        self.tried = []    # of backups that failed: what may be there, too
        self.combinations = 0

    def set_up(self, **more):
        self.key = gwcase.set_up(self.gw, self.sim, url=self.url,
                                 vault_args=self.options, **more)
        for vm in ("web", "tiny"):
            self.well(vm, "at first")

    # --- the store, past the proxy ---

    def keys(self, below=""):
        found = []
        for page in self.boto.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix="%s/%s" % (PREFIX, below)):
            found += [o["Key"][len(PREFIX) + 1:]
                      for o in page.get("Contents", [])]
        return found

    def uploads(self):
        return [u["Key"] for u in self.boto.list_multipart_uploads(
            Bucket=self.bucket).get("Uploads", [])]

    def nothing_left(self, what, within=0):
        """within: seconds in which the gateway may look after what a job had
        to leave."""
        end = time.monotonic() + within
        while open_ones := self.boto.list_multipart_uploads(
                Bucket=self.bucket).get("Uploads", []):
            if time.monotonic() > end:
                break
            time.sleep(0.2)
        checks.same("%s: nothing is left" % what, (
            [u["Key"] for u in open_ones],
            gwcase.left_behind(self.gw, self.sim)), ([], []))
        for u in open_ones:  # it is told once
            self.boto.abort_multipart_upload(
                Bucket=self.bucket, Key=u["Key"], UploadId=u["UploadId"])

    # --- jobs ---

    def change(self, vm):
        self.round += 1
        self.sim.do("disk/write", pool="paris", vm=vm, offset=0,
                    length=(17 if vm == "web" else 1) * MIB,
                    random=self.round)

    def listed(self):
        return {p["object"] for p in self.gw.json("point", "list")}

    def note(self, before, held):
        """What the point must hold that was not listed before. Its place in
        the list does not tell: a clock may step back between two VMs."""
        new = self.listed() - before
        if len(new) != 1:
            checks.check("a backup makes one point", False, sorted(new))
        self.wanted.update(dict.fromkeys(new, held))

    def backup(self, vm, change=True):
        """(exit status, sentence), and what the point must hold."""
        if change:
            self.change(vm)
        before = self.listed()
        status, _, err = self.gw.run("backup", vm)
        held = gwcase.digests(self.sim, "paris", vm)
        if status in (0, 3):
            self.newest[vm] = held
            self.note(before, held)
        else:
            self.tried.append(held)
        return status, err

    def well(self, vm, what, within=0):
        status, err = self.backup(vm)
        checks.check("%s: a backup of %s succeeds" % (what, vm), status == 0,
                     "exit %d: %s" % (status, err))
        self.nothing_left(what, within)

    def restored(self, vm):
        """Digest of the first disk as it comes back."""
        raw = os.path.join(self.gw.dir, "raw")
        if os.path.exists(raw):
            os.unlink(raw)
        status, _, err = self.gw.run("restore", vm + "@latest", "--disk", "0",
                                     "--output", raw)
        return status, err, gwcase.digest(raw) if status == 0 else None

    def unfired(self):
        """Ends the faults; those that nothing met."""
        rules = self.proxy.clear()
        self.combinations += len(rules)
        return [r for r in rules if not r["fired"]]

    def trouble(self):
        """For the message of a check that failed."""
        return [(r["kind"], r["key"][-40:], r["fault"], r["server"], r["told"])
                for r in self.proxy.log() if r["fault"] or (
                    r["server"] or 0) >= 400][-8:]

    def judge_all(self, what):
        """The independent reader finds every point as it should be."""
        folder = os.path.join(self.gw.dir, "copy")
        for name in self.keys():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.boto.download_file(self.bucket, "%s/%s" % (PREFIX, name),
                                    path)
        points = gwcase.read_points(self.gw, self.key, folder)
        shutil.rmtree(folder)
        wrong = [n for n in self.wanted if points.get(n) != self.wanted[n]]
        checks.same("%s: the independent reader restores all %d points" % (
            what, len(self.wanted)), wrong, [])
        # A job may fail behind its commit; what it left is whole as well.
        checks.same("%s: and no point that is wrong" % what,
                    [n for n in points if n not in self.wanted and
                     points[n] not in self.tried], [])


class Running:
    """Ceph, a proxy before it, two pools and a gateway, with a vault."""

    def __init__(self, ceph, bucket, tls=False, sizes=(18, 2), **settings):
        self.stack = contextlib.ExitStack()
        enter = self.stack.enter_context
        pem = ceph.run + "/tls/server."
        self.proxy = enter(proxylib.Proxy(
            int(ceph.env["HTTP"]), (pem + "pem", pem + "key") if tls else None,
            seed=20261123, secret="%s:%s" % (ceph.key, ceph.secret)))
        world = gwcase.two_pools(
            gwcase.vm("web", {"size": sizes[0] * MIB, "fill": "random"}),
            gwcase.vm("tiny", {"size": sizes[1] * MIB, "fill": "random"}))
        self.sim = enter(simlib.Sim(world))
        self.gw = enter(Gateway(**settings))
        self.world = World(ceph, self.proxy, self.sim, self.gw, bucket)
        if tls:
            self.world.options += ["--ca", ceph.ca]

    def __enter__(self):
        return self.world

    def __exit__(self, *_):
        self.stack.close()


def timed(test, *args):
    begun = time.monotonic()
    checks.run(test.__name__, test, *args)
    print("# %s: %.0f s" % (test.__name__, time.monotonic() - begun))


def wait_for(what, truth, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if truth():
            return
        time.sleep(0.1)
    raise TimeoutError(what)
