#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every boundary of backups and restores, and at random moments.
After the next start: committed points restore bit for bit, nothing that was not
committed is shown, nothing of ours is left in a pool or a store, the journal is
closed, and the interrupted job has ended well.

CAIRN_KILLS=N: so many random moments of each kind (default 2), or as many of
them as CAIRN_MINUTES=N lets for each; CAIRN_SEED=N repeats a run."""
import os
import random
import signal
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()
KILLS = int(os.environ.get("CAIRN_KILLS", "2"))
SEED = int(os.environ.get("CAIRN_SEED", str(int(time.time()))))
rng = random.Random(SEED)
killed = {"named": 0, "random": 0}

# Which a backup of some new MiB meets, and which one with a whole part of
# 16 MiB; where a number follows, the hits that pass before.
BACKUP = ["job_started", "backup_snapshot_noted", "backup_snapshot_made",
          "backup_export_begun", "backup_streamed", "backup_export_done",
          "backup_object_noted", "backup_object_noted@2",
          "backup_object_noted@3", "session_pack_put", "session_run_put",
          "session_point_put", "session_point_after_put", "session_point_read",
          "session_point_seen", "backup_committed", "backup_snapshot_removed",
          "backup_point_kept", "job_ends", "job_end_written"]
UPLOAD = ["backup_object_noted", "session_upload_created", "session_part_put",
          "session_part_put@2", "session_pack_complete"]
RESTORE = ["job_started", "restore_import_noted", "restore_import_begun",
           "restore_streamed", "restore_imported", "restore_nic_made",
           "restore_made", "restore_release_noted", "restore_unmarked",
           "restore_released", "job_ends", "job_end_written"]
# Killed at the first, and then while what that left is taken away.
TIDYING = [("backup_export_begun", "reconcile_pool_swept"),
           ("session_point_after_put", "reconcile_vault_cleared"),
           ("restore_imported", "reconcile_pool_swept")]


class World:
    """Two pools, a gateway, a vault; what every kill must leave as it is."""

    def __init__(self, sim, gw, uploads=lambda: [], **vault):
        self.sim, self.gw, self.uploads = sim, gw, uploads
        self.key = gwcase.set_up(gw, sim, **vault)
        self.folder = None if vault else gwcase.folder_of(gw)
        self.wanted = {}  # point id: digests
        self.round = 0
        self.change(1)
        gw.ok("backup", "web")
        self.note_point()
        self.rome = len(sim.state("rome")["vms"])

    def change(self, megabytes):
        """New contents at a new place."""
        self.round += 1
        self.sim.write(pool="paris", vm="web", length=megabytes * MIB,
                       offset=self.round % 4 * MIB, random=self.round)

    def points(self):
        return {p["id"] for p in self.gw.json("point", "list")}

    def note_point(self):
        """The newest point is the disk as it is now."""
        new = self.points() - set(self.wanted)
        checks.same("one new point in the catalog", len(new), 1)
        for point in new:
            self.wanted[point] = gwcase.digests(self.sim, "paris", "web")

    def settle(self, seconds=120):
        """Until no job runs and every place is tidied; the last jobs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            jobs = self.gw.json("job", "list")
            if all(j["final"] for j in jobs) and \
                    self.gw.json("status")["places_to_tidy"] == 0:
                return jobs
            time.sleep(0.05)
        raise TimeoutError("jobs %s, status %s" % (
            [(j["kind"], j["state"], j["stage"]) for j in jobs if not
             j["final"]], self.gw.json("status")))

    def left(self):
        """What must not be there; empty: all is well."""
        left = self.uploads()
        left += gwcase.left_behind(self.gw, self.sim)
        for pool in ("paris", "rome"):
            for task in self.sim.get("records", pool=pool,
                                     **{"class": "task"}).values():
                if task["name_description"].startswith("cairn/"):
                    left.append("task %s in %s: %s" % (
                        task["name_label"], pool, task["status"]))
            for vm in self.sim.state(pool)["vms"]:
                if "cairn:job" in vm["other_config"]:
                    left.append("VM %s in %s" % (vm["name_label"], pool))
        # A row is closed behind the end of its job: a moment is allowed.
        for _ in range(50):
            rows = self.rows()
            if not rows:
                break
            time.sleep(0.1)
        return left + rows

    def rows(self):
        db = sqlite3.connect("file:%s/catalog.db?mode=ro" % self.gw.state,
                             uri=True)
        try:
            return ["row %s %s %s" % row for row in db.execute(
                "SELECT kind, ref, detail FROM journal WHERE closed_ms = 0")] \
                + ["job %s" % row for row in db.execute(
                    "SELECT id FROM job WHERE state < 2")]
        finally:
            db.close()

    def run_and_die(self, args, failpoint=None, after=0.0):
        """Start a job and kill the gateway: at a failpoint, or after so long.
        Whether it died of it."""
        if failpoint:
            self.gw.stop()
            name, _, nth = failpoint.partition("@")
            self.gw.start(env={"CAIRN_FAILPOINTS": "%s=kill@%s" % (
                name, nth or 1)})
        before = len(self.gw.json("job", "list"))
        run = self.gw.start_run(*args)
        if failpoint:
            try:
                died = self.gw.wait_dead(60) == -9
                killed["named"] += 1
            except Exception:  # it lives: the point was not met
                died = False
                self.gw.kill()
        else:
            while len(self.gw.json("job", "list")) == before:
                time.sleep(0.005)
            time.sleep(after)
            self.gw.kill()
            killed["random"] += 1
            died = True
        run.communicate()
        return died

    def after_backup(self, label):
        jobs = self.settle()
        checks.check("%s: the job ends well" % label,
                     jobs[0]["state"] == "succeeded", jobs[0]["error"])
        self.note_point()
        checks.same("%s: nothing is left" % label, self.left(), [])

    def after_restore(self, label, name):
        jobs = self.settle()
        job = self.gw.json("job", "show", jobs[0]["id"])
        checks.check("%s: the job ends well" % label,
                     jobs[0]["state"] == "succeeded", jobs[0]["error"])
        vms = [v for v in self.sim.state("rome")["vms"]
               if v["name_label"] == name]
        if checks.check("%s: there is one VM, as it should be" % label,
                        len(vms) == 1 and
                        vms[0]["power_state"] == "Running" and
                        not vms[0]["blocked_operations"] and
                        len(vms[0]["nics"]) == 1 and
                        job["result"]["vm"]["new"] == vms[0]["uuid"],
                        [vms, job["result"]]):
            sizes = gwcase.disk_files(self.sim, "paris", "web")
            got = {d["userdevice"]: gwcase.digest(
                d["file"], sizes[d["userdevice"]][1])
                for d in vms[0]["disks"]}
            checks.same("%s: its disks are those of the point" % label, got,
                        self.wanted[max(self.wanted)])
            self.sim.do("vm/remove", pool="rome", vm=vms[0]["uuid"])
        checks.same("%s: nothing is left" % label,
                    self.left() + [v["name_label"] for v in
                                   self.sim.state("rome")["vms"]][self.rome:],
                    [])

    def kill_backup(self, failpoint, megabytes=2, tidying=None):
        label = "backup, kill -9 at %s" % failpoint
        self.change(megabytes)
        if not checks.check(label, self.run_and_die(["backup", "web"],
                                                    failpoint), "not met"):
            self.gw.start()
            self.settle()
            self.note_point()
            return
        if tidying:
            self.gw.start_dying(tidying)
            label += " and " + tidying
            killed["named"] += 1
        self.gw.start()
        self.after_backup(label)

    def restore_args(self, name):
        return ["restore", "web@latest", "--pool", "rome", "--sr", SR,
                "--network", "0=lan", "--name", name, "--start"]

    def kill_restore(self, failpoint, tidying=None):
        label = "restore, kill -9 at %s" % failpoint
        name = "copy-%d" % killed["named"]
        if not checks.check(label, self.run_and_die(
                self.restore_args(name), failpoint), "not met"):
            self.gw.start()
            self.settle()
            return
        if tidying:
            self.gw.start_dying(tidying)
            label += " and " + tidying
            killed["named"] += 1
        self.gw.start()
        self.after_restore(label, name)

    def kill_at_random(self):
        """Over about the time that an undisturbed one takes."""
        for kind in ("backup", "restore"):
            began = time.monotonic()
            self.change(20)
            if kind == "backup":
                self.gw.ok("backup", "web")
                self.note_point()
            else:
                self.gw.ok("backup", "web")
                self.note_point()
                began = time.monotonic()
                self.gw.ok(*self.restore_args("timed"))
                self.sim.do("vm/remove", pool="rome", vm="timed")
            takes = time.monotonic() - began
            for i in simlib.in_time(range(KILLS)):
                after = rng.uniform(0, takes)
                label = "%s, kill -9 after %.3f s" % (kind, after)
                if kind == "backup":
                    self.change(20)
                    self.run_and_die(["backup", "web"], after=after)
                    self.gw.start()
                    self.after_backup(label)
                else:
                    name = "random-%d" % i
                    self.run_and_die(self.restore_args(name), after=after)
                    self.gw.start()
                    self.after_restore(label, name)

    def all_points(self, folder=None):
        """The independent reader restores every point, and sees no other."""
        got = gwcase.read_points(self.gw, self.key, folder or self.folder)
        checks.same("every point restores bit for bit, and there is no other",
                    {name.rsplit("/", 1)[1]: disks for name, disks
                     in got.items()}, self.wanted)


class Gateway(gwlib.Gateway):
    def start_dying(self, failpoint):
        """Start one that kills itself before it is of any use."""
        try:
            self.start(env={"CAIRN_FAILPOINTS": failpoint + "=kill"})
        except RuntimeError:
            self.process = None
            return
        self.wait_dead()


def pools():
    return gwcase.two_pools(gwcase.vm("web", {"size": 40 * MIB,
                                              "fill": "marked",
                                              "used": 8 * MIB}))


def folder_vault():
    with simlib.Sim(pools()) as sim, Gateway() as gw:
        world = World(sim, gw)
        for failpoint in BACKUP:
            world.kill_backup(failpoint)
        for failpoint in UPLOAD:
            world.kill_backup(failpoint, 20)
        for failpoint in RESTORE:
            world.kill_restore(failpoint)
        for first, second in TIDYING:
            if first.startswith("restore"):
                world.kill_restore(first, second)
            else:
                world.kill_backup(first, 2, second)
        world.kill_at_random()
        world.all_points()


def stalled(world, osd):
    """The store hangs while an upload is open, and the job is cancelled."""
    gw, sim = world.gw, world.sim
    world.change(20)
    sim.fault("export_slow", pool="paris", rate=12 * MIB)
    run = gw.start_run("backup", "web")
    end = time.monotonic() + 60
    while time.monotonic() < end and not world.uploads():
        time.sleep(0.05)
    os.kill(osd, signal.SIGSTOP)
    try:
        began = time.monotonic()
        job = gw.json("job", "list")[0]["id"]
        gw.run("job", "cancel", job)
        run.wait(60)
        took = time.monotonic() - began
        checks.check("cancelled while the store hangs: it ends within 30 s",
                     took < 30 and gw.json("job", "show", job)["state"] ==
                     "cancelled", took)
    finally:
        os.kill(osd, signal.SIGCONT)
        run.communicate()
        sim.clear()
    world.settle()
    checks.same("and when the store is back its upload is aborted",
                world.left(), [])


def object_store():
    with cephlib.Ceph() as ceph, simlib.Sim(pools()) as sim, Gateway() as gw:
        boto = ceph.boto()
        boto.create_bucket(Bucket="crash")

        def uploads():
            return [u["Key"] for u in boto.list_multipart_uploads(
                Bucket="crash").get("Uploads", [])]
        secret = cephlib.credentials(os.path.join(gw.dir, "credentials"),
                                     ceph.key, ceph.secret)
        world = World(sim, gw, uploads, url="s3://crash/vault", vault_args=[
            "--endpoint", ceph.http, "--credentials-file", secret])
        for failpoint in UPLOAD:
            world.kill_backup(failpoint, 20)
        for failpoint in ("session_pack_put", "session_run_put",
                          "session_point_put", "session_point_after_put",
                          "session_point_seen"):
            world.kill_backup(failpoint)
        world.kill_restore("restore_streamed")
        stalled(world, ceph.pid("osd.0"))
        world.kill_at_random()
        folder = os.path.join(gw.dir, "copy")
        for page in boto.get_paginator("list_objects_v2").paginate(
                Bucket="crash", Prefix="vault/"):
            for o in page.get("Contents", []):
                path = os.path.join(folder, o["Key"][len("vault/"):])
                os.makedirs(os.path.dirname(path), exist_ok=True)
                boto.download_file("crash", o["Key"], path)
        world.all_points(folder)


def packs_are_sent_once():
    """What was complete at the kill is not sent again."""
    with simlib.Sim(gwcase.two_pools(gwcase.vm("web", {
            "size": 330 * MIB, "fill": "random"}))) as sim, Gateway() as gw:
        gwcase.set_up(gw, sim)
        gw.stop()
        gw.start(env={"CAIRN_FAILPOINTS": "session_pack_complete=kill@4"})
        run = gw.start_run("backup", "web")
        gw.wait_dead()
        run.communicate()
        folder = os.path.join(gwcase.folder_of(gw), "packs")
        before = {f for _, _, files in os.walk(folder) for f in files}
        gw.start()
        end = time.monotonic() + 120
        while not gw.json("job", "list")[0]["final"] and \
                time.monotonic() < end:
            time.sleep(0.1)
        result = gwcase.last_job(gw)["result"]
        after = {f for _, _, files in os.walk(folder) for f in files}
        # Alone it would have made 6 packs of 64 MiB and a rest.
        checks.check("a retried backup sends at most two packs twice",
                     len(before) == 3 and before < after and
                     len(after) <= 6 + 2 and
                     result["known_bytes"] >= 3 * 60 * MIB,
                     (len(before), len(after), result))


print("seed %d" % SEED)
for test in (folder_vault, object_store, packs_are_sent_once):
    checks.run(test.__name__, test)
print("killed %(named)d times at named places, %(random)d times at random "
      "ones" % killed)
checks.finish()
