#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A folder vault goes away: moved, removed, or its file system is not mounted
and an empty mount point is left. Jobs say "no such vault" (10), not that an
object is not found (4) nor that something is damaged (8); nothing is written
to what lies in its place; and when the folder is back all goes on."""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()


def commands(gw):
    return {"a backup": ["backup", "web"],
            "a restore to a file": ["restore", "web@latest", "--disk", "0",
                                    "--output", os.path.join(gw.dir, "raw")],
            "a restore to a pool": ["restore", "web@latest", "--pool", "rome",
                                    "--sr", SR, "--network", "0=lan"],
            "a verification": ["point", "verify", "web@latest"],
            "a look for points": ["point", "list", "--refresh"]}


def all_say_no_vault(gw, sim, label):
    for what, args in commands(gw).items():
        status, out, err = gw.run(*args)
        checks.check("%s: %s says that there is no such vault" % (label, what),
                     status == 10 and "not mounted" in err,
                     "exit %d: %s%s" % (status, out, err))
    checks.same("%s: nothing is left in the pools" % label, [
        left for left in gwcase.left_behind(gw, sim)
        if not left.startswith("upload")], [])


def goes_on(gw, sim, label):
    gw.ok("backup", "web")
    raw = os.path.join(gw.dir, "raw")
    gw.ok("restore", "web@latest", "--disk", "0", "--output", raw)
    checks.same("%s: and when it is back all goes on" % label,
                gwcase.digest(raw), gwcase.digests(sim, "paris", "web")["0"])
    os.unlink(raw)


def between_jobs(gw, sim):
    folder, away = gwcase.folder_of(gw), gwcase.folder_of(gw) + "-away"
    os.rename(folder, away)
    all_say_no_vault(gw, sim, "the folder is gone")
    os.mkdir(folder)
    all_say_no_vault(gw, sim, "an empty folder is there")
    checks.same("nothing was written to what lies in its place",
                os.listdir(folder), [])
    os.rmdir(folder)
    os.rename(away, folder)
    goes_on(gw, sim, "between jobs")


def points(gw):
    return {p["id"] for p in gw.json("point", "list")}


def in_a_backup(gw, sim, goes, label):
    """The folder goes while packs are written."""
    folder, away = gwcase.folder_of(gw), gwcase.folder_of(gw) + "-away"
    shutil.copytree(folder, folder + "-copy")
    had = points(gw)
    sim.write(pool="paris", vm="web", length=24 * MIB, random=len(had))
    sim.fault("export_slow", pool="paris", rate=8 * MIB)
    run = gw.start_run("backup", "web")
    end = time.monotonic() + 60
    while time.monotonic() < end and not any(
            "+packs+" in f for f in os.listdir(os.path.join(folder, "tmp"))):
        time.sleep(0.02)
    goes(folder, away)
    _, err = run.communicate(timeout=120)
    sim.clear()
    checks.check("%s in a backup: it says that there is no such vault" % label,
                 run.returncode == 10 and "not mounted" in err,
                 "exit %d: %s" % (run.returncode, err))
    if os.path.isdir(away):
        os.rename(away, folder)
        shutil.rmtree(folder + "-copy")
    else:
        os.rename(folder + "-copy", folder)
    checks.same("%s in a backup: no point came of it" % label, points(gw), had)
    goes_on(gw, sim, label + " in a backup")


def in_a_restore(gw, sim):
    """The folder goes while a client reads. (Where it is only moved, what is
    open can still be read, and is.)"""
    folder = gwcase.folder_of(gw)
    shutil.copytree(folder, folder + "-copy")
    run = subprocess.Popen(gw.argv("restore", "big@latest", "--disk", "0",
                                   "--output", "-"), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    run.stdout.read(MIB)
    shutil.rmtree(folder)
    _, err = run.communicate(timeout=120)
    os.rename(folder + "-copy", folder)
    checks.check("gone in a restore: it says that there is no such vault",
                 run.returncode == 10 and b"not mounted" in err,
                 "exit %d: %s" % (run.returncode, err))
    goes_on(gw, sim, "gone in a restore")


def main():
    vms = [gwcase.vm("web", {"size": 32 * MIB, "fill": "random",
                             "used": 2 * MIB}),
           gwcase.vm("big", {"size": 128 * MIB, "fill": "random"})]
    with simlib.Sim(gwcase.two_pools(*vms)) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        gw.ok("backup", "web", "big")
        checks.run("between_jobs", between_jobs, gw, sim)
        checks.run("moved", in_a_backup, gw, sim, os.rename, "moved")
        checks.run("removed", in_a_backup, gw, sim,
                   lambda folder, _: shutil.rmtree(folder), "removed")
        checks.run("in_a_restore", in_a_restore, gw, sim)
    checks.finish()


main()
