# SPDX-License-Identifier: Apache-2.0
"""The checker: what must be true when the faults are over and no job runs."""
import collections
import glob
import multiprocessing
import os
import sqlite3
import subprocess
import time

import cairn_read
import gwlib
import soak_sum
from soak_load import seconds_of, tool

CACHE_BYTES = 256 << 20


class Copy(cairn_read.Folder):
    """A folder that nobody writes to: it is listed once."""

    def __init__(self, root):
        super().__init__(root)
        self.names = super().list("")

    def list(self, prefix):
        return [n for n in self.names if n.startswith(prefix)]


class Vault(cairn_read.Vault):
    """The independent reader; a chunk that many points have is opened once."""

    def __init__(self, root, key_text):
        super().__init__(root, key_text)
        self.store = self.keys.vault = Copy(root)
        self.chunks, self.held = collections.OrderedDict(), 0

    def chunk(self, point, pack, number, length, kind):
        at = point.packs[pack][0], number, length, kind
        if at not in self.chunks:
            self.chunks[at] = super().chunk(point, pack, number, length, kind)
            self.held += len(self.chunks[at])
            while self.held > CACHE_BYTES:
                self.held -= len(self.chunks.popitem(last=False)[1])
        return self.chunks[at]


def read_vault(folder, key_file):
    """Runs in a process of its own: ({point: {position: digest}}, what the
    reader complains of)."""
    with open(key_file, encoding="ascii") as f:
        vault = Vault(folder, f.read())
    found, wrong = {}, []
    for point in sorted(vault.points(), key=lambda p: p.series):
        disks = found[point.name] = {}
        for disk in point.disks:
            one = soak_sum.Sum()

            def put(offset, raw, one=one):
                one.zeros_to(offset)
                one.update(raw)
            try:
                vault.read_disk(point, disk, put)
                one.zeros_to(disk.size)
                disks[str(disk.position)] = one.hexdigest()
            except cairn_read.Refused as e:
                wrong.append("%s disk %d: %s" % (point.name, disk.position, e))
    return found, wrong + vault.complaints


class Checker:
    """checks: simlib.Checks; what it looked at is in .figures."""

    def __init__(self, world, jobs, checks):
        self.world, self.jobs, self.checks = world, jobs, checks
        self.figures = collections.Counter()

    def run(self):
        """The gateway runs, faults are over, no job is left."""
        self.settled()
        self.checks.same("nothing of ours is left in a pool", self.pools(), [])
        self.checks.same("no multipart upload is open, tmp/ is empty",
                         self.uploads(), [])
        listed = self.listed()
        self.end_well()
        self.catalog()
        self.points(listed)

    def settled(self):
        """Every place is known to be clean. What a store refused with a 403
        while it was faulty only a person looks at again: by a new start."""
        for attempt in (1, 2):
            end = time.monotonic() + 30 * self.world.plan.slack
            while time.monotonic() < end:
                left = self.world.api("GET", "/status")["places_to_tidy"]
                if not left:
                    break
                time.sleep(0.2)
            if not left or attempt == 2:
                break
            self.figures["new starts to tidy"] += 1
            self.world.stop()
            self.world.start()
            self.jobs.drain(60)
        self.checks.same("every place is known to be clean", left, 0)
        if left:
            self.world.say("\n".join([
                line for line in self.world.gw.logged().splitlines()
                if "not_tidied" in line][-10:]))

    # --- pools and stores ---

    def pools(self):
        """Snapshots, tasks, VMs and disks that are neither the pools' own nor
        what a restore that succeeded has made."""
        end = time.monotonic() + 15
        while True:
            left = self.pools_now()
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.5)

    def pools_now(self):
        left, theirs = [], set(self.world.vms)
        for job in self.jobs.of("succeeded") + self.jobs.of("warned"):
            if job.doc["kind"] == "restore" and job.doc["pool"]:
                theirs.add(job.doc["result"]["vm"]["new"])
        for state in self.world.sim.get("state")["pools"]:
            pool, mine = state["name"], set()
            for vm in state["vms"]:
                if vm["uuid"] in theirs:
                    mine.update(d["file"] for d in vm["disks"])
                else:
                    left.append("%s %s in %s" % (
                        "snapshot" if vm["is_a_snapshot"] else "VM",
                        vm["name_label"], pool))
            left += ["disk %s in %s" % (d["name_label"], pool)
                     for d in state["vdis"] if d["file"] not in mine]
            for task in self.world.sim.get("records", pool=pool, **{
                    "class": "task"}).values():
                if task["name_description"].startswith("cairn/") or \
                        task["status"] == "pending":
                    left.append("task %s in %s: %s" % (
                        task["name_label"], pool, task["status"]))
        return left

    def uploads(self):
        left = gwlib.unfinished(self.world.gw)
        for v in self.world.vaults:
            if v.bucket:
                left += ["%s: %s" % (v.bucket, u["Key"]) for u in
                         self.world.ceph.boto().list_multipart_uploads(
                             Bucket=v.bucket).get("Uploads", [])]
        return left

    # --- the gateway ---

    def listed(self):
        """{(tenant, vault): {object: point}} of the catalog, as it is and as
        the vaults tell."""
        both = []
        for refresh in (False, True):
            found = {}
            for v in self.world.vaults:
                where = "tenant=%s" % v.tenant
                if refresh:
                    self.world.api("POST", "/vaults/%s/refresh?%s" % (
                        v.name, where))
                found[v] = {p["object"]: p for p in self.world.all_of(
                    "/points?vault=%s&%s" % (v.name, where))}
            both.append({v.url: sorted(f) for v, f in found.items()})
        self.checks.same("the catalog knows every point, and no other",
                         both[0], both[1])
        return found

    def end_well(self):
        status = self.world.stop()
        self.checks.same("cairnd ends by SIGTERM with 0", status, 0)
        log = self.world.gw.logged()
        bad = [line for line in log.splitlines()
               if "Sanitizer" in line or "runtime error:" in line]
        self.checks.same("the sanitizers have found nothing", bad[:5], [])
        if bad or status:
            self.world.say(log[log.find(bad[0]) if bad else -6000:][:12000])

    def catalog(self):
        files = [os.path.join(self.world.gw.state, "catalog.db")] + sorted(
            glob.glob(os.path.join(self.world.gw.state, "index", "*.db")))
        told = {}
        for path in files:
            db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
            told[os.path.basename(path)] = db.execute(
                "PRAGMA integrity_check").fetchone()[0]
            if path == files[0]:
                rows = db.execute("SELECT kind, ref, detail FROM journal "
                                  "WHERE closed_ms = 0").fetchall()
                jobs = db.execute("SELECT id FROM job WHERE state < 2"
                                  ).fetchall()
            db.close()
        self.checks.same("SQLite finds catalog and %d indexes consistent" %
                         (len(files) - 1), set(told.values()), {"ok"})
        self.checks.same("no row of the journal is open, no job runs",
                         rows + jobs, [])

    # --- points ---

    def folder(self, vault):
        """A bucket is copied, past the proxies."""
        if not vault.bucket:
            return vault.url[len("file://"):]
        folder = os.path.join(self.world.dir, "copy-" + vault.bucket)
        boto, below = self.world.ceph.boto(), "in/side/"
        for page in boto.get_paginator("list_objects_v2").paginate(
                Bucket=vault.bucket, Prefix=below):
            for o in page.get("Contents", []):
                path = os.path.join(folder, o["Key"][len(below):])
                os.makedirs(os.path.dirname(path), exist_ok=True)
                try:
                    boto.download_file(vault.bucket, o["Key"], path)
                except boto.exceptions.ClientError as e:
                    # Ceph lists what was just deleted for a moment more. What
                    # a point needs the reader misses all the same.
                    if e.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                        raise
                    self.figures["listed, but deleted"] += 1
        return folder

    def points(self, listed):
        vaults = [(v, self.folder(v)) for v in self.world.vaults]
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            results = pool.starmap(read_vault, [(f, v.key) for v, f in vaults])
        ended = {j.doc["point"]: j.doc for j in self.jobs.known.values()
                 if j.doc and j.doc["kind"] == "backup" and j.doc["point"]}
        wrong, complaints, there = [], [], set()
        for (vault, folder), (found, bad) in zip(vaults, results):
            complaints += bad
            if set(found) != set(listed[vault]):
                wrong.append("%s: reader and catalog differ by %s" % (
                    vault.url, set(found) ^ set(listed[vault])))
            for name, disks in found.items():
                there.add(name.rsplit("/", 1)[1])
                if name in listed[vault]:
                    wrong += self.judge(listed[vault][name], disks, ended)
            self.figures["vaults"] += 1
        self.checks.same("the independent reader restores all %d points bit "
                         "for bit" % self.figures["points"], wrong, [])
        self.checks.same("and complains of nothing", complaints, [])
        lost = [p for p, doc in ended.items()
                if doc["state"] in ("succeeded", "warned") and
                p not in there]
        self.checks.same("no point of a job that succeeded is lost", lost, [])
        self.whole(vaults)

    def judge(self, point, disks, ended):
        """One point, and the VM as it was at its time."""
        self.figures["points"] += 1
        vm = self.world.vms.get(point["vm"]["uuid"])
        job = ended.get(point["id"])
        window = (seconds_of(job["created"]), seconds_of(job["ended"])) \
            if job else (seconds_of(point["started"]) - 60,
                         seconds_of(point["ended"]))
        if vm is None or set(disks) != set(vm.files):
            return ["%s: not the disks of a VM that is ours" % point["id"]]
        if vm.was(disks, *window):
            return []
        ever = [i for i, s in enumerate(vm.states) if s.digests == disks]
        return ["%s of %s: %s, of %d states" % (
            point["id"], vm.name, "as it was at another time: %s" % ever
            if ever else "as it never was: " + vm.holes(disks, *window),
            len(vm.states))]

    def whole(self, vaults):
        """cairn-restore, without a gateway."""
        for vault, folder in vaults:
            argv = tool(vault)
            if vault.bucket:  # what lies in the bucket, past the proxy
                argv = argv[:2] + ["file://" + folder, *argv[3:5]]
            done = subprocess.run(argv + ["verify"], text=True,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
            self.checks.check("cairn-restore verifies %s of %s" % (
                vault.name, vault.tenant), done.returncode == 0,
                done.stdout[-800:])
