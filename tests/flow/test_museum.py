#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Vaults that earlier releases wrote (tests/data/museum/) are read to the last
byte by this one: by cairn-restore, by the independent reader, by a gateway that
opens one by its recovery key and goes on in it."""
import hashlib
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import cairn_read  # noqa: E402

MUSEUM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data",
                      "museum")
checks = simlib.Checks()


def everything_in(folder):
    """{name: SHA-256} of all files."""
    return {os.path.relpath(os.path.join(d, f), folder):
            gwcase.digest(os.path.join(d, f))
            for d, _, files in os.walk(folder) for f in files}


def restore(room, key, *words):
    return subprocess.run(
        [gwlib.program("cairn-restore"), "--vault", "file://" +
         os.path.join(room, "vault"), "--key-file", os.path.join(room, key),
         *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        check=False)


def by_cairn_restore(room, points):
    for key in ("recovery.key", "private.key"):
        done = restore(room, key, "list", "--json")
        shown = {p["id"]: p["vm_name"] for p in json.loads(done.stdout)[
            "points"]} if done.returncode == 0 else done.stderr
        checks.same("its points are listed with " + key, shown,
                    {p["point"]: p["vm_name"] for p in points})
        done = restore(room, key, "verify", "--full", "--json")
        checks.check("every chunk of it is found good with " + key,
                     done.returncode == 0 and
                     json.loads(done.stdout)["points"] == len(points),
                     done.stderr)
    for p in points:
        for d in p["disks"]:
            done = restore(room, "private.key", "disk", p["point"],
                           d["position"], "--output", "-")
            checks.same("%s disk %d is what it was" % (p["point"],
                                                       d["position"]),
                        (len(done.stdout),
                         hashlib.sha256(done.stdout).hexdigest()),
                        (d["size"], d["sha256"]))
    done = restore(room, "private.key", "xva", points[-1]["point"], "--output",
                   "-")
    names = subprocess.run(["tar", "-t"], input=done.stdout, check=False,
                           stdout=subprocess.PIPE).stdout.decode().split()
    checks.check("a VM comes back as an archive", done.returncode == 0 and
                 "ova.xml" in names and len(names) > 4, done.stderr)


def by_the_other_reader(room, points):
    for key in ("recovery.key", "private.key"):
        with open(os.path.join(room, key), encoding="ascii") as f:
            vault = cairn_read.Vault(os.path.join(room, "vault"), f.read())
        got = {}
        for p in vault.points():
            for disk in p.disks:
                out = bytearray(disk.size)

                def put(at, raw):
                    out[at:at + len(raw)] = raw
                vault.read_disk(p, disk, put)
                got[p.name.rsplit("/", 1)[1], disk.position] = \
                    hashlib.sha256(out).hexdigest()
        checks.same("the independent reader restores it with " + key, got,
                    {(p["point"], d["position"]): d["sha256"]
                     for p in points for d in p["disks"]})
        checks.same("and finds nothing wrong", vault.verify(), [])


def by_a_gateway(room, points):
    """In a copy: a further point joins the history of one of its VMs."""
    with gwlib.Gateway(start=False) as gw:
        folder = os.path.join(gw.dir, "copy")
        shutil.copytree(os.path.join(room, "vault"), folder)
        disk = os.path.join(gw.dir, "disk")
        restored = restore(room, "private.key", "disk", points[-1]["point"],
                           0, "--output", "-").stdout
        with open(disk, "wb") as f:
            f.write(os.urandom(4096) + restored[4096:])
        series = restore(room, "private.key", "list", "--json").stdout
        series = next(p["series"] for p in json.loads(series)["points"]
                      if p["id"] == points[-1]["point"])
        vm = gwcase.vm("web", {"file": disk}, uuid=series)
        with simlib.Sim(gwcase.two_pools(vm)) as sim:
            gw.start()
            gw.ok("tenant", "add", "acme")
            gw.add_pool(sim, "paris")
            gw.ok("rule", "add", "--tenant", "acme", "--pool", "paris",
                  "--tag", "acme")
            gw.ok("vault", "add", "main", "--tenant", "acme", "--url",
                  "file://" + folder, "--existing", "--key-file",
                  os.path.join(room, "recovery.key"))
            shown = {p["id"] for p in gw.json("point", "list")}
            checks.same("a gateway opens it and shows its points", shown,
                        {p["point"] for p in points})
            out = os.path.join(gw.dir, "out")
            for p in points:
                gw.ok("restore", p["point"], "--disk", 0, "--output", out)
                checks.same("and restores " + p["point"], gwcase.digest(out),
                            p["disks"][0]["sha256"])
                os.unlink(out)
            gw.ok("backup", series)
            job = gwcase.last_job(gw)["result"]
            checks.check("a backup goes on where the old release ended",
                         0 < job["new_bytes"] <= 131072, job)
        new = gwcase.read_points(gw, os.path.join(room, "recovery.key"),
                                 folder)
        checks.check("and all points are right after it", len(new) ==
                     len(points) + 1 and gwcase.digest(disk) in
                     [d["0"] for d in new.values()], new)


def visit(name):
    room = os.path.join(MUSEUM, name)
    before = everything_in(room)
    with open(os.path.join(room, "expect.json"), encoding="utf-8") as f:
        doc = json.load(f)
    checks.same("%s is of the release that it says" % name,
                "vault-" + doc["version"], name)
    by_cairn_restore(room, doc["points"])
    by_the_other_reader(room, doc["points"])
    by_a_gateway(room, doc["points"])
    checks.same("nothing of %s was changed" % name, everything_in(room), before)


rooms = sorted(r for r in os.listdir(MUSEUM) if r.startswith("vault-"))
checks.check("the museum is open", rooms)
for one in rooms:
    checks.run("visit of " + one, visit, one)
checks.finish()
