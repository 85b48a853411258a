#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's xva-img against xensim: it unpacks what xensim exports, and what it
packs, xensim imports."""
import os
import random
import subprocess
import tempfile

import simlib
import xvalib

MIB = 1 << 20
POOL = {
    "name": "old", "checksum": "sha1",
    "srs": [{"name": "file", "type": "file"}],
    "vms": [{"name": "web", "power_state": "Halted", "disks": [
        {"size": "5 MiB", "fill": "marked"},
        {"size": "64 MiB", "fill": "random", "used": "7 MiB"},
        {"size": 3 * MIB + 512 * 1024, "fill": "random"},
        {"size": "2 MiB", "fill": "zero"}]}],
}
NEW = {"name": "new", "srs": [{"name": "file", "type": "file"}]}

checks = simlib.Checks()


def run(*command, cwd=None):
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def live_disks(sim, vm):
    """{userdevice: bytes}"""
    return {d["userdevice"]: sim.disk(pool=vm[0], vdi=d["vdi"])
            for d in sim.vm(vm[1], vm[0])["disks"]}


def exported_is_unpacked(sim, work):
    xapi = sim.login("old")
    body = xapi.export(xapi.vm("web"))[2]
    wanted = live_disks(sim, ("old", "web"))
    tree = os.path.join(work, "tree")
    os.mkdir(tree)
    with open(os.path.join(work, "x.xva"), "wb") as f:
        f.write(body)
    run("tar", "-xf", os.path.join(work, "x.xva"), "-C", tree)
    run("chmod", "-R", "u+rw", tree)
    for o in xvalib.Xva(body).objects("VBD"):
        device, ref = o["snapshot"]["userdevice"], o["snapshot"]["VDI"]
        raw = os.path.join(work, "disk.raw")
        run("xva-img", "disk-export", os.path.join(tree, ref) + "/", raw)
        with open(raw, "rb") as f:
            checks.check("xva-img unpacks disk %s as it was" % device,
                         f.read() == wanted[device])


def packed_is_imported(sim, work, pool):
    rng = random.Random(7)
    disks = {"Ref:3": rng.randbytes(4 * MIB),
             "Ref:4": b"\1" + bytes(6 * MIB - 2) + b"\1"}
    name = "tree-" + pool
    tree = os.path.join(work, name)
    os.mkdir(tree)
    with open(os.path.join(tree, "ova.xml"), "wb") as f:
        f.write(xvalib.minimal_ova({k: len(v) for k, v in disks.items()}))
    for ref, content in disks.items():
        raw = os.path.join(work, "in.raw")
        with open(raw, "wb") as f:
            f.write(content)
        os.mkdir(os.path.join(tree, ref))
        run("xva-img", "disk-import", os.path.join(tree, ref) + "/", raw)
    # it leaves out the first folder of each name
    run("xva-img", "package", os.path.join(work, "img.xva"),
        name + "/ova.xml", *("%s/%s/" % (name, ref) for ref in disks),
        cwd=work)
    with open(os.path.join(work, "img.xva"), "rb") as f:
        status, task = sim.login(pool).put_import(f.read())
    checks.check("pool %s imports what xva-img packed" % pool,
                 status == 200 and task["status"] == "success",
                 "%s %s" % (status, task))
    got = live_disks(sim, (pool, "built"))
    checks.check("pool %s: the disks are equal" % pool,
                 got == {"0": disks["Ref:3"], "1": disks["Ref:4"]})


def main():
    with simlib.Sim([POOL, NEW]) as sim, \
            tempfile.TemporaryDirectory() as work:
        checks.run("exported", exported_is_unpacked, sim, work)
        checks.run("packed for old", packed_is_imported, sim, work, "old")
        checks.run("packed for new", packed_is_imported, sim, work, "new")
    checks.finish()


main()
