#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How many snapshots an SR has to bear: made one at a time, a few of ours alive
at once, and none while too many disks wait there to be coalesced."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR, until  # noqa: E402

checks = simlib.Checks()
SLOW, QUICK = SR, "other"
WAITING = "disks waiting to be coalesced"


def world(*vms, chains="none"):
    return gwcase.two_pools(*vms, srs=[
        {"name": SLOW, "chains": chains}, {"name": QUICK, "chains": chains}])


def disk(sr=SLOW):
    return {"size": 4 * MIB, "fill": "marked", "sr": sr}


def at_most_so_many():
    vms = [gwcase.vm("vm-%d" % i, disk()) for i in range(5)]
    with simlib.Sim(world(*vms, gwcase.vm("far", disk(QUICK)))) as sim, \
            gwlib.Gateway(snapshots_per_sr="2") as gw:
        gwcase.set_up(gw, sim)
        sim.fault("task_delay", method="VM.snapshot", ms=400, count=0)
        for v in vms:
            sim.fault("export_stall", after=65536, ms=8000, vm=v["name"])
        gw.ok("backup", "--no-wait", *[v["name"] for v in vms])
        alive, making = 0, 0

        def look():
            nonlocal alive, making
            state = sim.state("paris")
            alive = max(alive, sum(v["is_a_snapshot"] for v in state["vms"]
                                   if not v["name_label"].endswith(" far")))
            making = max(making, sum(
                t["status"] == "pending" and "snapshot" in t["name_label"]
                for t in state["tasks"]))
            return state

        def stages():
            look()
            return sorted(j["stage"] for j in gw.json("job", "list"))

        def all_done():
            look()
            return all(j["state"] == "succeeded"
                       for j in gw.json("job", "list"))
        wanted = ["transfer"] * 2 + ["wait for room"] * 3
        checks.check("two of five snapshots are alive, three jobs wait for "
                     "room", until(lambda: stages() == wanted), stages())
        gw.ok("backup", "far")
        checks.check("a VM on another SR need not wait",
                     "wait for room" in stages(), stages())
        checks.check("then all are backed up", until(all_done, 180), stages())
        checks.same("never more were alive, and they were made one by one",
                    (alive, making), (2, 1))
        checks.same("nothing is left", gwcase.left_behind(gw, sim), [])


def paused(gw, job):
    shown = gw.json("job", "show", job)
    return shown if WAITING in (shown["stage"] or "") else None


def hidden(sim):
    return sum(not r["managed"] for r in sim.get(
        "records", pool="paris", **{"class": "VDI"}).values())


def run_until_paused(gw):
    """Back web up again and again; the job that has to wait. What is known of
    an SR may be some seconds old, and a backup takes less."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        job = gw.ok("backup", "--no-wait", "web").split()[-1]
        shown = until(lambda: paused(gw, job) or gw.json(
            "job", "show", job)["state"] == "succeeded")
        if shown is not True:
            return job
    return None


def a_backlog_pauses_its_sr():
    vms = (gwcase.vm("web", disk()), gwcase.vm("far", disk(QUICK)))
    with simlib.Sim(world(*vms, chains="later")) as sim, \
            gwlib.Gateway(coalesce_backlog="2", coalesce_wait="2 min",
                          memory="64 MiB") as gw:
        gwcase.set_up(gw, sim)
        job = run_until_paused(gw)
        checks.check("backups that outrun coalescing pause", job)
        shown = gw.json("job", "show", job)
        waiting = hidden(sim) - 1  # the last of the chain has a live child
        checks.check("the job says why", shown["state"] == "running" and
                     waiting > 2 and "SR %s has %d %s, more than 2" % (
                         SLOW, waiting, WAITING) == shown["stage"], shown)
        checks.check("so does its log", WAITING in gw.ok("job", "log", job))
        sr = gw.json("pool", "show", "paris")["backlog"]
        checks.same("and its pool", [(s["name"], s["disks"], s["limit"],
                                      s["jobs"]) for s in sr],
                    [(SLOW, waiting, 2, 1)])
        checks.check("as a person sees it", "PAUSED SR" in gw.ok(
            "pool", "show", "paris"))
        status, out, _ = gw.run("pool", "test", "paris")
        checks.check("a test of the pool counts them", status == 1 and
                     "%s has %d %s: its backups pause" % (
                         SLOW, waiting, WAITING) in out,
                     "exit %d: %s" % (status, out))
        totals = gw.json("status")
        checks.same("it holds neither memory nor a snapshot", (
            totals["memory_used"], gwcase.left_behind(gw, sim)), (0, []))
        gw.ok("backup", "far")
        checks.check("other SRs go on", paused(gw, job))

        sim.do("sr/set", pool="paris", sr=SLOW, chains="merged")
        checks.check("when the SR has caught up so does the job", until(
            lambda: gw.json("job", "show", job)["state"] == "succeeded"),
            gw.ok("job", "show", job))
        checks.same("and nobody waits", gw.json("pool", "show",
                                                "paris")["backlog"], [])
        sim.do("sr/set", pool="paris", sr=SLOW, chains="later")
        job = run_until_paused(gw)
        gw.ok("job", "cancel", job)
        checks.check("a job that waits for it is cancelled at once", until(
            lambda: gw.json("job", "show", job)["state"] == "cancelled", 30))
        gw.stop()
        with gwlib.Gateway(directory=gw.dir, coalesce_backlog="2",
                           coalesce_wait="2 s") as hasty:
            status, _, err = hasty.run("backup", "web")
            checks.check("the wait has an end: try again (75), and why",
                         status == 75 and gwcase.one_sentence(
                             err, "acme", "web", SLOW, WAITING),
                         "exit %d: %s" % (status, err))
            hasty.stop()
        with gwlib.Gateway(directory=gw.dir, coalesce_backlog="0") as any_way:
            any_way.ok("backup", "web")
            checks.same("without a limit nothing pauses",
                        gwcase.left_behind(any_way, sim), [])


def asking_may_fail():
    with simlib.Sim(world(gwcase.vm("web", disk()), chains="later")) as sim, \
            gwlib.Gateway(coalesce_backlog="1", coalesce_wait="2 min") as gw:
        gwcase.set_up(gw, sim)
        asked = {"method": "VDI.get_all_records_where", "error": [
            "INTERNAL_ERROR", "no such luck"]}
        sim.fault("rpc_error", count=0, **asked)
        status, _, err = gw.run("backup", "web")
        checks.check("a pool that does not tell: the job fails and says so",
                     status == 1 and gwcase.one_sentence(
                         err, "acme", "web", "no such luck"), err)
        checks.same("nothing was made", gwcase.left_behind(gw, sim), [])
        sim.clear()
        job = run_until_paused(gw)
        fault = sim.fault("rpc_error", count=0, **asked)
        checks.check("a job that waits bears it", until(lambda: [
            f for f in sim.get("faults") if f["hits"]]) and paused(gw, job),
            fault)
        sim.clear()
        sim.do("sr/set", pool="paris", sr=SLOW, chains="merged")
        checks.check("and goes on", until(lambda: gw.json(
            "job", "show", job)["state"] == "succeeded"))


def a_disk_that_goes_is_missed():
    web = gwcase.vm("web", disk(), disk(QUICK))
    with simlib.Sim(world(web)) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        pool = sim.login("paris")
        sim.fault("rpc_delay", method="task.create", ms=4000)
        job = gw.ok("backup", "--no-wait", "web").split()[-1]
        until(lambda: gw.json("job", "show", job)["stage"] == "transfer" and
              [f for f in sim.get("faults") if f["hits"]])
        gone = [d for d in sim.state("paris")["vdis"]
                if d["is_a_snapshot"] and d["name_label"] == "web 1"]
        checks.same("the snapshot has its second disk", len(gone), 1)
        pool("VDI.destroy", gone[0]["ref"])
        until(lambda: gw.json("job", "show", job)["state"] != "running")
        shown = gw.json("job", "show", job)
        checks.check("an export without it is not taken for the whole VM",
                     shown["state"] == "failed" and
                     gone[0]["uuid"] in str(shown["error"]), shown)
        checks.same("no point came of it", gw.json("point", "list"), [])
        checks.same("nothing is left", gwcase.left_behind(gw, sim), [])


def a_disk_that_goes_sooner_is_missed():
    """Before the gateway has looked what the snapshot has; and what the user
    takes from the VM meanwhile is not."""
    web = gwcase.vm("web", disk(), disk(QUICK), disk(),
                    power_state="Halted")
    with simlib.Sim(world(web)) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        pool = sim.login("paris")

        def during(method, act):
            sim.fault("rpc_delay", pool="paris", method=method, ms=3000)
            job = gw.ok("backup", "--no-wait", "web").split()[-1]
            until(lambda: [f for f in sim.get("faults") if f["hits"]])
            act()
            until(lambda: gw.json("job", "show", job)["state"] in (
                "succeeded", "failed"))
            sim.clear()
            return gw.json("job", "show", job)

        def from_snapshot():
            gone = [d for d in sim.state("paris")["vdis"]
                    if d["is_a_snapshot"] and d["name_label"] == "web 1"]
            checks.same("the snapshot has its second disk", len(gone), 1)
            pool("VDI.destroy", gone[0]["ref"])

        def from_vm():
            pool("VBD.destroy", next(b for b in pool(
                "VM.get_VBDs", pool.vm("web")) if pool(
                    "VBD.get_userdevice", b) == "2"))
        shown = during("VM.set_is_a_template", from_snapshot)
        checks.check("a snapshot without it is not taken for the whole VM",
                     shown["state"] == "failed" and
                     "lacks disk 1 ('web 1')" in str(shown["error"]), shown)
        checks.same("no point came of it", gw.json("point", "list"), [])
        shown = during("VM.snapshot", from_vm)
        checks.check("one that was taken from the VM is not missed",
                     shown["state"] == "succeeded", shown)
        checks.same("the point has the others", [d["position"] for d in gw.json(
            "point", "show", "web@latest")["disks"]], [0, 1])
        checks.same("nothing is left", gwcase.left_behind(gw, sim), [])


for test in (at_most_so_many, a_backlog_pauses_its_sr, asking_may_fail,
             a_disk_that_goes_is_missed, a_disk_that_goes_sooner_is_missed):
    checks.run(test.__name__, test)
checks.finish()
