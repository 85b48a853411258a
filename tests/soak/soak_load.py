# SPDX-License-Identifier: Apache-2.0
"""What the tenants do: backups, restores to a pool, to a client and by
cairn-restore, verifications, retries, cancels. What comes back is compared at
once with what the VM's disks were when the point was made."""
import collections
import datetime
import json
import os
import random
import signal
import subprocess
import tarfile
import threading
import time
import uuid
import xmlrpc.client

import gwlib
import soak_sum
from soak_world import MIB, RELEASE, Down, Refused

ACTS = (("backup", 46), ("restore", 14), ("stream", 14), ("tool", 6),
        ("verify", 14), ("retry", 6))


def seconds_of(text):
    """RFC 3339 -> seconds since 1970."""
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp()


class Load:
    """So many at work as the plan says, until pause() or stop()."""

    def __init__(self, world, jobs):
        self.world, self.jobs, self.plan = world, jobs, world.plan
        self.lock = threading.Lock()
        self.counts = collections.Counter()  # of what needs no job
        self.kept = set()    # uuids of VMs that restores have made
        self.at_work = threading.Event()
        self.ending = threading.Event()
        self.busy = 0
        self.large = False  # large VMs first: so that all memory is used
        self.threads = [threading.Thread(target=self.actor, args=(i,),
                                         daemon=True)
                        for i in range(self.plan.actors)]
        for t in self.threads:
            t.start()

    def pause(self, seconds):
        """Nobody begins anything; until all have ended what they did."""
        with self.lock:
            self.at_work.clear()
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            time.sleep(0.1)
        if self.busy:
            self.world.problem("%d clients have not come back" % self.busy)

    def stop(self, seconds):
        self.ending.set()
        self.pause(seconds)
        for t in self.threads:
            t.join(5)

    def actor(self, number):
        rng = random.Random("%d actor %d" % (self.plan.seed, number))
        names, weights = zip(*ACTS)
        while not self.ending.is_set():
            if not self.at_work.wait(0.5):
                continue
            with self.lock:
                if not self.at_work.is_set():
                    continue
                self.busy += 1
            try:
                act = rng.choices(names, weights)[0]
                getattr(self, "do_" + act)(rng)
            except Down:
                time.sleep(0.3)
            except Refused as e:
                self.refused(act, e)
            except Exception as e:  # a fault of ours must be seen, too
                self.world.problem("%s: %s: %s" % (act, type(e).__name__, e))
            finally:
                with self.lock:
                    self.busy -= 1
            self.ending.wait(rng.uniform(0, self.plan.rest))

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def refused(self, act, e):
        """A pool that cannot be asked for its VMs, and the like: with a
        cause."""
        self.count(act + " refused")
        text = e.problem.get("detail") or ""
        self.world.say("%s refused: %s" % (act, e))
        if len(text.split()) < 3 or not e.problem.get("code"):
            self.world.problem("%s was refused without a cause: %s %s" % (
                act, e.status, e.problem))

    # --- jobs ---

    def follow(self, rng, job, vm=None):
        """To its end, with a write or a cancel on the way."""
        if vm and rng.random() < 0.3:
            time.sleep(rng.uniform(0, 0.5))
            vm.write(rng)
        if rng.random() < 0.06:
            time.sleep(rng.uniform(0, 2) ** 2)
            self.jobs.cancel(job, self.plan.slack)
        return self.jobs.wait(job, self.plan.hang)

    def do_backup(self, rng):
        vms = list(self.world.vms.values())
        if self.large and rng.random() < 0.5:
            vms = [v for v in vms if v.is_large()]
        vm = rng.choice(vms)
        vault = rng.choice([v for v in self.world.vaults
                            if v.tenant == vm.tenant])
        if rng.random() < 0.8:
            vm.write(rng)
        told = self.world.api("POST", "/backups", {
            "vms": [vm.uuid], "tenant": vm.tenant, "vault": vault.name})
        for failed in told["failed"]:
            self.count("backup refused")
            if len(json.dumps(failed).split()) < 4:
                self.world.problem("backup refused without a cause: %s" %
                                   failed)
        for row in told["jobs"]:
            self.follow(rng, self.jobs.note(row["id"]), vm)

    def do_retry(self, rng):
        failed = [j for j in self.jobs.of("failed") +
                  self.jobs.of("cancelled")
                  if j.doc["kind"] != "restore" or j.doc["pool"]][-40:]
        if not failed:
            return
        told = self.world.api("POST", "/jobs/%s/retry" %
                              rng.choice(failed).id)
        self.count("retry")
        for row in told.get("jobs", []):
            job = self.jobs.note(row["id"])
            self.follow(rng, job)
            self.judge_vm(job)

    # --- points ---

    def point(self, rng):
        """One that is listed, new ones first."""
        vault = rng.choice(self.world.vaults)
        points = self.world.api("GET", "/points?limit=60&vault=%s&tenant=%s" %
                                (vault.name, vault.tenant))["items"]
        if not points:
            raise Down()  # there is none yet
        p = rng.choice(points)
        return vault, p

    def window(self, point):
        """From when to when its snapshot may have been taken."""
        begins = seconds_of(point["started"]) - 60
        ends = seconds_of(point["ended"])
        for job in list(self.jobs.known.values()):
            doc = job.doc
            if doc and doc["kind"] == "backup" and \
                    doc["point"] == point["id"]:
                begins = seconds_of(doc["created"])
                ends = seconds_of(doc["ended"])
        return begins, ends

    def compare(self, what, point, digests):
        vm = self.world.vms.get(point["vm"]["uuid"])
        if not vm or not vm.was(digests, *self.window(point)):
            self.world.problem("%s of %s (%s) gives what the VM never was" % (
                what, point["id"], point["vm"]["name"]))
            return False
        return True

    def do_verify(self, rng):
        vault, point = self.point(rng)
        told = self.world.api("POST", "/points/%s/verify?vault=%s&tenant=%s" %
                              (point["id"], vault.name, vault.tenant))
        for row in told["jobs"]:
            self.follow(rng, self.jobs.note(row["id"]))

    def do_restore(self, rng):
        vault, point = self.point(rng)
        name = "copy-" + uuid.uuid4().hex[:12]
        told = self.world.api("POST", "/restores", {
            "point": point["id"], "tenant": vault.tenant, "vault": vault.name,
            "pool": rng.choice(self.world.pool_names), "name": name,
            "sr": {"*": rng.choice(("one", "two"))},
            "network": {"0": "eth0"}, "start": rng.random() < 0.5})
        for row in told["jobs"]:
            job = self.jobs.note(row["id"])
            self.follow(rng, job)
            self.judge_vm(job)

    def judge_vm(self, job):
        """What a restore to a pool has made; then it is removed."""
        doc = job.doc
        if not doc or doc["kind"] != "restore" or \
                doc["state"] not in ("succeeded", "warned"):
            return
        new = doc["result"]["vm"]["new"]
        point = self.world.api("GET", "/points/%s?tenant=%s&vault=%s" % (
            doc["point"], doc["tenant"], doc["vault"]))
        pool = doc["pool"]
        with self.lock:
            if new in self.kept:
                return
            self.kept.add(new)
        try:
            made = next(v for v in self.world.sim.state(pool)["vms"]
                        if v["uuid"] == new)
        except StopIteration:
            self.world.problem("restore %s: there is no VM %s in %s" % (
                job.id, new, pool))
            return
        self.compare("restore " + job.id, point, {
            d["userdevice"]: soak_sum.of_file(
                d["file"], self.size_of(point, d["userdevice"]))
            for d in made["disks"]})
        self.count("VM as it was")
        self.world.sim.do("vm/remove", pool=pool, vm=new)

    def size_of(self, point, device):
        """The pool may round it up."""
        return self.world.vms[point["vm"]["uuid"]].files[device][1]

    # --- to a file ---

    def out(self):
        return os.path.join(self.world.dir, uuid.uuid4().hex)

    def do_stream(self, rng):
        """cairn restore --output: a disk, or all of it as an XVA."""
        vault, point = self.point(rng)
        vm = self.world.vms[point["vm"]["uuid"]]
        whole = rng.random() < 0.4
        device = rng.choice(sorted(vm.files))
        path = self.out()
        argv = [gwlib.program("cairn", RELEASE), "restore", point["id"],
                "--tenant", vault.tenant, "--vault", vault.name, "--output",
                path, "--server", self.world.gw.socket]
        life, begun = self.world.lives, time.monotonic()
        status, err = self.run(argv + ([] if whole else ["--disk", device]),
                               rng.random() < 0.06 and rng.uniform(0, 1))
        if status == 0:
            self.compare("a stream", point, xva_disks(path) if whole else
                         {device: soak_sum.of_file(path)})
            self.count("stream as it was")
            os.unlink(path)
            return
        self.count("stream broken off")
        if os.path.exists(path):
            self.world.problem("a restore that failed left its file: " + err)
            os.unlink(path)
        self.judge_tool("cairn restore", status, err, life, begun)

    def do_tool(self, rng):
        """cairn-restore, which needs no gateway."""
        vault, point = self.point(rng)
        device = rng.choice(sorted(
            self.world.vms[point["vm"]["uuid"]].files))
        path = self.out()
        begun = time.monotonic()
        status, err = self.run(tool(vault) + [
            "disk", point["id"], device, "-o", path], None)
        if status == 0:
            self.compare("cairn-restore", point,
                         {device: soak_sum.of_file(path)})
            self.count("cairn-restore as it was")
            os.unlink(path)
            return
        self.count("cairn-restore failed")
        self.judge_tool("cairn-restore", status, err, None, begun)

    def run(self, argv, kill_after):
        """A command: exit status and its last words. It may be ended by
        ^C."""
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        try:
            if kill_after:
                try:
                    process.wait(kill_after)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
                    self.count("client went away")
            _, err = process.communicate(timeout=self.plan.hang)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.world.problem("%s hangs" % " ".join(argv[:8]))
            return -1, "hangs"
        return process.returncode, err.strip()

    def judge_tool(self, what, status, err, life, begun):
        last = err.splitlines()[-1] if err else ""
        self.world.say("%s: exit %d: %s" % (what, status, last))
        if status == -signal.SIGINT:
            return  # before it could say so
        if status < 0 or (status != 130 and len(last.split()) < 4):
            self.world.problem("%s ended with %d after %d s: %s" % (
                what, status, time.monotonic() - begun, err[-600:]))


def tool(vault):
    return [gwlib.program("cairn-restore"), "--vault", vault.url, "--key-file",
            vault.key, *vault.options]


def xva_disks(path):
    """Digests of the disks of an XVA by device. Blocks of 1 MiB; what is left
    out is zero. (Its checksums are xensim's and the suites' to judge.)"""
    with tarfile.open(path) as tar:
        first = tar.next()
        ova = xmlrpc.client.loads(
            b"<params><param>" + tar.extractfile(first).read() +
            b"</param></params>")[0][0]
        sizes, sums = {}, {}
        for o in ova["objects"]:
            if o["class"] == "VDI":
                sizes[o["id"]] = int(o["snapshot"]["virtual_size"])
                sums[o["id"]] = soak_sum.Sum()
        while entry := tar.next():
            disk, number = entry.name.split("/")
            if not number.isdigit():
                continue  # a checksum
            sums[disk].zeros_to(int(number) * MIB)
            sums[disk].update(tar.extractfile(entry).read())
        for disk, one in sums.items():
            one.zeros_to(sizes[disk])
        return {o["snapshot"]["userdevice"]:
                sums[o["snapshot"]["VDI"]].hexdigest()
                for o in ova["objects"] if o["class"] == "VBD" and
                o["snapshot"]["VDI"] in sums}
