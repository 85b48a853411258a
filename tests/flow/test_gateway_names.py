#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Names that whoever may name a VM chose to do harm with: they are kept as they
are, found, restored, and nowhere obeyed: not by a terminal, not by the log, not
as a path, not as a word of the API. And devices that have names."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
NAMES = [
    "../../../../etc/passwd",
    "/srv/x",
    "a\nroot: backup succeeded, point 20260101T000000Z-00000000",
    "tab\tand \u009b2J and \u202etxt.exe and \u2028line",
    "q\"'`$(touch /tmp/pwned);&<b>%00%0a{x}",
    "--help",
    "@latest",
    "-",
    "e\u0301\u200f \U0001f411 " + "x" * 300,
    # Whoever cuts these by bytes cuts a letter in two.
    *("a" * n + "\u5099" * 110 for n in range(3)),
    "a" + "\u5099" * 1500,  # longer than a point's text may be
]
# What no output may hold: controls but for the newline, C1, directions.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f\u0080-\u009f\u200e\u200f"
                    "\u2028-\u202e\u2066-\u2069\ufeff]")


def tame(name, *texts):
    bad = [t for t in texts if OBEYED.search(t) or "\nroot:" in t]
    checks.check("%s prints nothing that is obeyed" % name, not bad, bad)


def names_do_nothing():
    vms = [gwcase.vm(n, {"size": MIB, "fill": "random"},
                     uuid="0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c%02d" % i,
                     tags=["acme", n[:60]])
           for i, n in enumerate(NAMES)]
    with simlib.Sim(gwcase.two_pools(*vms)) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        before = sorted(os.listdir(gwcase.folder_of(gw)))
        uuids = [v["uuid"] for v in vms]
        for command in (["vm", "list"], ["backup", *uuids], ["job", "list"],
                        ["point", "list"], ["audit"]):
            status, out, err = gw.run(*command)
            checks.check("%s works" % " ".join(command[:2]), status == 0, err)
            tame(" ".join(command)[:14], out, err)
        job = gwcase.last_job(gw)
        for command in (["job", "show", job["id"]], ["job", "log", job["id"]],
                        ["vm", "show", uuids[3]],
                        ["point", "show", uuids[3] + "@latest"]):
            status, out, err = gw.run(*command)
            checks.check("%s works" % " ".join(command[:2]), status == 0, err)
            tame(" ".join(command[:2]), out, err)
        shown = {v["uuid"]: v["name"] for v in gw.json("vm", "list")}
        checks.same("a program gets all names as they are",
                    [shown.get(u) for u in uuids], NAMES)
        out = os.path.join(gw.dir, "out")
        for i in (0, 2, 4):
            gw.ok("restore", NAMES[i] + "@latest", "--disk", 0, "--output",
                  out)
            checks.same("a VM is found by the name %.20r" % NAMES[i],
                        gwcase.digest(out),
                        gwcase.digests(sim, "paris", NAMES[i])["0"])
            os.unlink(out)
        gw.ok("restore", uuids[-1] + "@latest", "--pool", "rome", "--sr",
              gwcase.SR, "--network", "0=lan")
        checks.same("a name that is too long is cut in front of a letter",
                    [v["name_label"] for v in sim.state("rome")["vms"]],
                    [NAMES[-1].encode()[:4096].decode(errors="ignore")])
        lines = gw.logged().splitlines()
        checks.check("the log has one line for each event", lines and all(
            re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", x) for x in lines),
            [x for x in lines if not x[:4].isdigit()][:3])
        tame("the log", gw.logged())
        status, text = gwcase.restore_tool(gw, key, "list")
        checks.check("cairn-restore lists them", status == 0, text)
        tame("cairn-restore list", text)
        status, text = gwcase.restore_tool(gw, key, "list", "--json")
        checks.same("and tells a program all names",
                    sorted(p["vm_name"] for p in json.loads(text)["points"]),
                    sorted(n.encode()[:255].decode(errors="ignore")
                           if len(n.encode()) > 255 else n for n in NAMES))
        status, text = gwcase.restore_tool(gw, key, "disk", NAMES[0] +
                                           "x@latest", "0", "--output", out)
        tame("a sentence about a name", text)
        checks.same("the vault has the folders it had, and points",
                    [f for f in sorted(os.listdir(gwcase.folder_of(gw)))
                     if f not in before], ["index", "packs", "points"])


def devices_may_have_names():
    """XAPI takes "xvda" for a userdevice as well, and keeps it."""
    disks = [{"size": (n + 1) * 2 * MIB, "fill": "random", "device": device}
             for n, device in enumerate(("xvdb", "5", "xvda"))]
    with simlib.Sim(gwcase.two_pools(gwcase.vm("old", *disks))) as sim, \
            gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "old")
        status, out, err = gw.run(
            "restore", "old@latest", "--pool", "rome", "--sr",
            gwcase.SR, "--network", "0=lan", "--name", "new")
        checks.same("a VM with named devices is restored", (status, err[-200:]
                    if status else ""), (0, ""))
        held = gwcase.digests(sim, "paris", "old")
        checks.same("each disk at its own device",
                    gwcase.digests(sim, "rome", "new") if not status else None,
                    held)
        job = gwcase.last_job(gw)
        live = {d["userdevice"]: d["vdi_uuid"]
                for d in sim.vm("old", "paris")["disks"]}
        checks.same("and the receipt tells which was which",
                    {d["disk"]: d.get("old")
                     for d in (job["result"] or {}).get("disks", [])}, live)
        xva = os.path.join(gw.dir, "old.xva")
        status, text = gwcase.restore_tool(gw, key, "xva", "old@latest",
                                           "--output", xva)
        checks.check("cairn-restore writes its XVA", status == 0, text)


checks.run("names_do_nothing", names_do_nothing)
checks.run("devices_may_have_names", devices_may_have_names)
checks.finish()
