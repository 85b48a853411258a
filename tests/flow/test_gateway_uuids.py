#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""--uuid keep: only where no VM, no template and no vTPM has that uuid. And what
is said of a vTPM's state."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()
FREE = "00000000-1111-4222-8333-4444444444"
KEEP = ["restore", "web@latest", "--pool", "rome", "--sr", SR, "--network",
        "0=lan", "--uuid", "keep"]


def records(sim, class_):
    return sim.get("records", pool="rome", **{"class": class_})


def change(sim, class_, ref, **fields):
    sim.do("object/set", pool="rome", ref=ref, **{"class": class_,
                                                  "set": fields})


def refused(gw, sim, name, *words):
    before = {c: sorted(records(sim, c)) for c in ("VM", "VDI", "VTPM")}
    for more in ([], ["--dry-run"]):
        status, out, err = gw.run(*KEEP, *more)
        checks.check("%s%s: refused (7)" % (name, " ".join([""] + more)),
                     status == 7 and all(w in err for w in words),
                     "exit %d: %s" % (status, err or out))
    checks.same("%s: nothing was made or replaced" % name,
                {c: sorted(records(sim, c)) for c in before}, before)


def uuids_are_kept_or_refused():
    vm = gwcase.vm("web", {"size": 4 * MIB, "fill": "marked"}, vtpm="state")
    with simlib.Sim(gwcase.two_pools(vm)) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        uuid = sim.vm("web", "paris")["uuid"]
        status, _, err = gw.run(*KEEP)
        job = gwcase.last_job(gw)
        checks.check("a uuid that nobody has is kept; the receipt warns of the "
                     "vTPM's state (3)", status == 3 and
                     job["result"]["vm"]["new"] == uuid and any(
                         "vTPM" in w and "shutdown" in w
                         for w in job["result"]["warnings"]),
                     "exit %d: %s %s" % (status, err, job["result"]))
        ref, tpm = next((r, t) for r, t in records(sim, "VTPM").items())
        vm = tpm["VM"]
        refused(gw, sim, "a VM has the uuid", uuid, "--uuid new")

        change(sim, "VM", vm, is_a_template=True)
        change(sim, "VTPM", ref, uuid=FREE + "01")
        refused(gw, sim, "a template has it", uuid, "--uuid new", "rome")

        change(sim, "VM", vm, is_a_template=False, uuid=FREE + "02")
        change(sim, "VTPM", ref, uuid=tpm["uuid"])
        refused(gw, sim, "a vTPM has the vTPM's", "VTPM", tpm["uuid"],
                "--uuid new", "rome")

        fault = sim.fault("rpc_error", method="VTPM.get_by_uuid",
                          error=["INTERNAL_ERROR", "no such luck"])
        status, _, err = gw.run(*KEEP)
        checks.check("a pool that does not tell is not trusted to have none",
                     status == 1 and "no such luck" in err, err)
        del fault
        change(sim, "VTPM", ref, uuid=FREE + "01")
        sim.fault("rpc_error", method="VTPM.get_by_uuid",
                  error=["MESSAGE_METHOD_UNKNOWN", "VTPM.get_by_uuid"])
        status, _, err = gw.run(*KEEP)
        checks.check("an old pool without vTPMs takes the VM", status == 3,
                     "exit %d: %s" % (status, err))
        kept = [t for t in records(sim, "VTPM").values()
                if t["uuid"] == tpm["uuid"]]
        checks.check("its vTPM has its uuid again", len(kept) == 1, kept)


checks.run("uuids", uuids_are_kept_or_refused)
checks.finish()
