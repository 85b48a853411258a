#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The disk under a folder vault fills up in the middle of a backup: one
sentence, the snapshot removed, no point, nothing unfinished, and room again
once somebody makes some. The small disk is a tmpfs in a mount namespace that
this program starts itself in."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

INSIDE = "CAIRN_IN_NAMESPACE"
checks = simlib.Checks()


def full_disk():
    vms = (gwcase.vm("small", {"size": 8 * MIB, "fill": "random"}),
           gwcase.vm("large", {"size": 130 * MIB, "fill": "random"}))
    with simlib.Sim(gwcase.two_pools(*vms)) as sim, gwlib.Gateway() as gw:
        folder = gwcase.folder_of(gw)
        os.makedirs(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=112m", "none",
                        folder], check=True)
        try:
            on_small_disk(gw, sim, folder)
        finally:
            gw.stop()
            subprocess.run(["umount", folder], check=True)


def on_small_disk(gw, sim, folder):
    key = gwcase.set_up(gw, sim)
    gw.ok("backup", "small")
    before = gwcase.read_points(gw, key)
    status, _, err = gw.run("backup", "large")
    checks.check("a folder vault whose disk is full: exit 6 and one sentence "
                 "with tenant, VM and cause", status == 6 and
                 gwcase.one_sentence(err, "acme", "large", "No space left"),
                 "exit %d: %s" % (status, err))
    checks.same("no snapshot, no upload is left", gwcase.left_behind(gw, sim),
                [])
    checks.same("and no point was made", gwcase.read_points(gw, key), before)
    gw.ok("restore", "small@latest", "--disk", "0", "--output",
          os.path.join(gw.dir, "small.raw"))
    checks.same("what was there restores",
                gwcase.digest(os.path.join(gw.dir, "small.raw")),
                gwcase.digests(sim, "paris", "small")["0"])
    subprocess.run(["mount", "-o", "remount,size=240m", folder], check=True)
    gw.ok("backup", "large")
    checks.check("with room the next backup succeeds",
                 gwcase.digests(sim, "paris", "large")
                 in gwcase.read_points(gw, key).values())
    sent = gwcase.last_job(gw)["result"]["new_bytes"]
    checks.check("and does not send again the pack that was complete",
                 sent <= 70 * MIB, sent)


def main():
    if INSIDE in os.environ:
        checks.run("full_disk", full_disk)
        checks.finish()
    for how in (["unshare", "-m"], ["unshare", "-Urm"]):
        if subprocess.run([*how, "mount", "-t", "tmpfs", "none", "/mnt"],
                          stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            os.environ[INSIDE] = "1"
            os.execvp(how[0], [*how, sys.executable, __file__])
    print("skip a full disk: nothing may be mounted here")


main()
