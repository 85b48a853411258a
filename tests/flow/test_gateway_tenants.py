#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where tenants meet: a VM that changes hands, a tenant that is suspended, a
token that is revoked, while jobs wait, run, or are done again."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, until  # noqa: E402

checks = simlib.Checks()
DISK = {"size": 4 * MIB, "fill": "marked"}


def ended(gw, job, code, exit_code, *words):
    """Whether a job failed so."""
    return job["state"] == "failed" and job["code"] == code and \
        job["exit"] == exit_code and all(w in job["error"] for w in words)


def job(gw, number):
    return gw.json("job", "show", number)


def vm_changes_hands():
    """What was asked for when a VM was one tenant's does not bring its data
    to that tenant once it is another's: not by a retry, not from the queue."""
    web = gwcase.vm("web", DISK)
    slow = gwcase.vm("slow", {"size": 16 * MIB, "fill": "random"})
    with simlib.Sim(gwcase.two_pools(web, slow)) as sim, \
            gwlib.Gateway(jobs_at_once=1) as gw:
        gwcase.set_up(gw, sim)
        gw.ok("tenant", "add", "bobco")
        gw.add_vault("bobco", "theirs")
        sim.fault("snapshot_error", pool="paris", error=[
            "VDI_IO_ERROR", "Device I/O errors"])
        gw.run("backup", "web")
        sim.clear()
        old = gwcase.last_job(gw)
        checks.same("a backup of a tenant's VM failed", old["state"],
                    "failed")

        sim.fault("export_slow", pool="paris", rate=2 * MIB, count=1)
        gw.ok("backup", "slow", "--no-wait")
        until(lambda: gwcase.last_job(gw)["done_bytes"] > 0)
        gw.ok("backup", "web", "--no-wait")
        waiting = gwcase.last_job(gw)
        checks.same("another waits in the queue", waiting["state"], "queued")
        gw.ok("vm", "move", "web", "--tenant", "bobco")
        sim.clear()
        until(lambda: job(gw, waiting["id"])["final"])
        waiting = job(gw, waiting["id"])
        checks.check("a job that waited while its VM was moved is refused (6)",
                     ended(gw, waiting, "quota", 6, "acme", "web",
                           "not this tenant's"), waiting["error"])
        status, _, err = gw.run("job", "retry", old["id"])
        checks.check("so is the retry of an old one (6)", status == 6 and
                     gwcase.one_sentence(err, "acme", "web",
                                         "not this tenant's"), err)
        checks.check("neither says whose it is now", "bobco" not in err and
                     "bobco" not in waiting["error"], err)
        checks.same("no point of it was made", [
            p for p in gw.json("point", "list") if p["vm"]["name"] == "web"],
            [])
        checks.check("nothing of it lies in the pool",
                     not gwcase.left_behind(gw, sim))
        gw.ok("backup", "web")
        points = [p for p in gw.json("point", "list")
                  if p["vm"]["name"] == "web"]
        checks.same("the new owner's backup is the new owner's",
                    [p["tenant"] for p in points], ["bobco"])


def tenant_is_suspended():
    slow = gwcase.vm("slow", {"size": 16 * MIB, "fill": "random"})
    web = gwcase.vm("web", DISK)
    with simlib.Sim(gwcase.two_pools(web, slow)) as sim, \
            gwlib.Gateway(jobs_at_once=1) as gw:
        gwcase.set_up(gw, sim)
        sim.fault("export_slow", pool="paris", rate=2 * MIB, count=1)
        gw.ok("backup", "slow", "--no-wait")
        running = gwcase.last_job(gw)
        until(lambda: job(gw, running["id"])["done_bytes"] > 0)
        gw.ok("backup", "web", "--no-wait")
        waiting = gwcase.last_job(gw)
        gw.ok("tenant", "suspend", "acme")
        sim.clear()
        until(lambda: job(gw, waiting["id"])["final"])
        checks.same("what runs when a tenant is suspended ends well",
                    job(gw, running["id"])["state"], "succeeded")
        waiting = job(gw, waiting["id"])
        checks.check("what waits is refused (5)",
                     ended(gw, waiting, "denied", 5, "acme", "web",
                           "not active"), waiting["error"])
        status, _, err = gw.run("job", "retry", waiting["id"])
        checks.check("and not taken up again (5)", status == 5 and
                     "not active" in err, err)


def rule_is_removed():
    with simlib.Sim(gwcase.two_pools(gwcase.vm("web", DISK))) as sim, \
            gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        sim.fault("snapshot_error", pool="paris", error=[
            "VDI_IO_ERROR", "Device I/O errors"])
        gw.run("backup", "web")
        sim.clear()
        old = gwcase.last_job(gw)
        gw.ok("rule", "remove", gw.json("rule", "list")[0]["id"])
        status, _, err = gw.run("job", "retry", old["id"])
        checks.check("a retry for a VM that is nobody's any more is refused "
                     "(6)", status == 6 and "no rule gives it" in err, err)


def a_stream_is_cut():
    """What flows to a bearer ends with the token, or with the tenant's right."""
    disk = {"size": 24 * MIB, "fill": "random"}
    with simlib.Sim(gwcase.two_pools(gwcase.vm("web", disk))) as sim, \
            gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        first, second = (os.path.join(gw.dir, n) for n in ("one", "two"))
        for token in (first, second):
            gw.ok("token", "add", "--tenant", "acme", "--out", token)
        ids = [t["id"] for t in gw.json("token", "list")]
        point = gw.json("point", "list")[0]["id"]

        def reading(token):
            """A client that stops reading after a byte."""
            run = gw.start_run("restore", point, "--disk", "0", "--output",
                               "-", token=token)
            run.stdout.buffer.read(1)
            return run

        def whole(run):
            data = run.stdout.buffer.read()
            run.stdout.close()
            run.stderr.close()
            return run.wait() == 0, len(data) + 1 == disk["size"]

        one, two = reading(first), reading(second)
        gw.ok("token", "revoke", ids[0])
        checks.same("a revoked token's stream breaks off", whole(one),
                    (False, False))
        checks.same("that of another goes on", whole(two), (True, True))
        three, four = reading(second), reading(None)
        gw.ok("tenant", "suspend", "acme")
        checks.same("a suspended tenant's breaks off", whole(three),
                    (False, False))
        checks.same("the provider's goes on", whole(four), (True, True))
        until(lambda: all(j["final"] for j in gw.json("job", "list")))
        checks.same("the jobs end so", [
            j["state"] for j in gw.json("job", "list")][::-1],
            ["succeeded", "cancelled", "succeeded", "cancelled", "succeeded"])


for test in (a_stream_is_cut, vm_changes_hands, tenant_is_suspended, rule_is_removed):
    checks.run(test.__name__, test)
checks.finish()
