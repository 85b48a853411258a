#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backup is cancelled when its point is on its way to the store, which is
slow to answer or does not answer at all. What was sent cannot be called back:
so the answer decides, and where none comes the job says that it cannot tell.
No job is "cancelled" whose point is listed later."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import proxylib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, until  # noqa: E402

checks = simlib.Checks()


def points(gw):
    return {p["id"] for p in gw.json("point", "list")}


def struck(proxy):
    """Whether a request has met the fault: the point is on its way."""
    return any(f["fired"] for f in proxy.ask("GET", "/faults"))


def cancelled_at(gw, sim, proxy, **fault):
    """The job, and how long it took from the cancel to the end."""
    sim.write(pool="paris", vm="web", length=MIB, random=len(points(gw)))
    proxy.fault(fault.pop("fault"), kind="put", key="*/points/*", **fault)
    run = gw.start_run("backup", "web")
    until(lambda: struck(proxy))
    job = gw.json("job", "list")[0]["id"]
    began = time.monotonic()
    gw.run("job", "cancel", job)
    until(lambda: gw.json("job", "show", job)["final"])
    took = time.monotonic() - began
    _, err = run.communicate(timeout=60)
    return gw.json("job", "show", job), took, run.returncode, err


def answered(gw, sim, proxy):
    """The answer comes after the cancel, and the point is there."""
    had = points(gw)
    job, took, status, err = cancelled_at(gw, sim, proxy, fault="slow",
                                          ms=4000)
    proxy.clear()
    new = points(gw) - had
    checks.check("the store answers late: the job is done, and has its point",
                 job["state"] == "succeeded" and took < 30 and
                 new == {job["point"]} and status == 0,
                 (job["state"], job["error"], new, took, status, err))


def silent(gw, sim, proxy, where, there):
    """No answer comes at all; when the store is back, what is there is."""
    label = "no answer, and the point is%s there" % ("" if there else " not")
    had = points(gw)
    job, took, status, err = cancelled_at(gw, sim, proxy, fault="cut",
                                          where=where, how="stall", count=0)
    checks.check("%s: within 30 s the job says that it cannot tell" % label,
                 job["state"] == "failed" and took < 30 and status == 75 and
                 all(w in job["error"] for w in ("on its way", "be listed")),
                 (job["state"], job["error"], took, status, err))
    checks.same("%s: nothing is listed that is not sure" % label, points(gw),
                had)
    proxy.clear()
    until(lambda: gw.json("status")["places_to_tidy"] == 0, 120)
    new = points(gw) - had
    named = [p for p in new if p in err]
    checks.check("%s: when the store is back it is found out" % label,
                 len(new) == len(named) == int(there) and
                 gw.json("status")["places_to_tidy"] == 0,
                 (new, err, gw.json("status")))


def main():
    with cephlib.Sink() as sink, proxylib.Proxy(
            sink.port, secret="%s:%s" % (sink.key, sink.secret)) as proxy, \
            simlib.Sim(gwcase.two_pools(gwcase.vm(
                "web", {"size": 4 * MIB, "fill": "random"}))) as sim, \
            gwlib.Gateway() as gw:
        credentials = cephlib.credentials(os.path.join(gw.dir, "cred"),
                                          sink.key, sink.secret)
        gwcase.set_up(gw, sim, url="s3://acme/v", vault_args=[
            "--endpoint", proxy.url, "--credentials-file", credentials])
        gw.ok("backup", "web")
        checks.run("answered", answered, gw, sim, proxy)
        checks.run("sent", silent, gw, sim, proxy, "sent", True)
        checks.run("unsent", silent, gw, sim, proxy, "head", False)
        checks.same("nothing is left in the pools",
                    gwcase.left_behind(gw, sim), [])
        gw.ok("backup", "web")
    checks.finish()


main()
