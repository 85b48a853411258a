#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Things that happen while something else is under way: a backup commits while
the points of its vault are being read, a client stops to read its restore, and
a tenant is suspended, or the gateway told to end, while one waits."""
import json
import os
import socket
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


def struck(proxy):
    return any(f["fired"] for f in proxy.ask("GET", "/faults"))


def jobs(gw, **having):
    return [j for j in gw.json("job", "list")
            if all(j[k] == v for k, v in having.items())]


def read_and_committed(gw, sim, proxy):
    """The vault is listed, a point comes, and then what was listed is written
    down: the point that was not there yet is no point that is gone."""
    gw.ok("backup", "web")
    had = {p["id"] for p in gw.json("point", "list")}
    proxy.fault("slow", kind="get", key="*/points/*", ms=8000)
    read = gw.start_run("point", "list", "--refresh", "--json")
    until(lambda: struck(proxy))
    new = {gw.json("backup", "db")[0]["point"]}
    _, err = read.communicate(timeout=60)
    proxy.clear()
    listed = {p["id"] for p in gw.json("point", "list")}
    checks.check("a point that was committed while its vault was read stays "
                 "listed", listed == had | new and read.returncode == 0,
                 (had, new, listed, err))


def ask(gw, body):
    """A request to restore, of which nobody reads the answer: the socket."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(gw.socket)
    text = json.dumps(body).encode()
    s.sendall(b"POST /api/v1/restores HTTP/1.1\r\nHost: cairn\r\n"
              b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
              % len(text) + text)
    return s


def nobody_reads(gw, vm):
    """Its place and its memory are needed by others."""
    with ask(gw, {"point": vm + "@latest", "output": "xva"}) as client:
        until(lambda: jobs(gw, kind="restore", state="running"))
        over = until(lambda: not jobs(gw, kind="restore", final=False), 30)
        client.recv(1)
    job = jobs(gw, kind="restore")[0]
    checks.check("a restore that its client does not read ends (%s)" % vm,
                 over and job["state"] == "failed" and job["exit"] == 75 and
                 "client took less than 256 KiB in 3 s" in job["error"], job)
    checks.same("and gives its memory back (%s)" % vm,
                gw.json("status")["memory_used"], 0)


def queued_behind(gw, sim, proxy, token=None):
    """The only slot is a backup's, whose store has stopped to answer; a
    restore to a client waits. The client."""
    sim.write(pool="paris", vm="web", length=MIB, random=len(jobs(gw)))
    proxy.fault("cut", kind="put", where="sent", how="stall", count=0)
    backup = gw.start_run("backup", "web", "--no-wait")
    backup.communicate(timeout=60)
    until(lambda: struck(proxy))
    client = gw.start_run("restore", "db@latest", "--output",
                          os.path.join(gw.dir, "db.xva"), token=token)
    until(lambda: jobs(gw, kind="restore", state="queued"))
    return client


def suspended(gw, sim, proxy):
    """Nobody may have what it would write."""
    token = os.path.join(gw.dir, "token")
    gw.ok("token", "add", "--tenant", "acme", "--out", token)
    client = queued_behind(gw, sim, proxy, token)
    gw.ok("tenant", "suspend", "acme")
    gone = until(lambda: not jobs(gw, kind="restore", final=False), 20)
    job = jobs(gw, kind="restore")[0]
    client.communicate(timeout=60)
    proxy.clear()
    checks.check("a restore that waits ends with its tenant's rights",
                 gone and job["state"] == "cancelled" and
                 "client went away" in job["error"] and client.returncode,
                 (job, client.returncode))


def told_to_end(gw, sim, proxy):
    client = queued_behind(gw, sim, proxy)
    began = time.monotonic()
    status = gw.stop()
    took = time.monotonic() - began
    client.communicate(timeout=60)
    proxy.clear()
    checks.check("told to end with a restore in the queue, it does so cleanly",
                 status == 0 and took < 20, (status, took, gw.logged()[-600:]))
    gw.start()
    ended = until(lambda: not [j for j in gw.json("job", "list")
                               if not j["final"]], 60)
    checks.check("what was interrupted is taken up, what was streamed is not",
                 ended and jobs(gw, kind="backup")[0]["state"] == "succeeded"
                 and jobs(gw, kind="restore")[0]["state"] == "failed",
                 gw.json("job", "list"))


def main():
    disk = {"size": 4 * MIB, "fill": "random"}
    with cephlib.Sink() as sink, proxylib.Proxy(
            sink.port, secret="%s:%s" % (sink.key, sink.secret)) as proxy, \
            simlib.Sim(gwcase.two_pools(gwcase.vm("web", disk), gwcase.vm(
                "db", {"size": MIB, "fill": "random"}))) as sim, \
            gwlib.Gateway(jobs_at_once=1, client_stall="3 s") as gw:
        credentials = cephlib.credentials(os.path.join(gw.dir, "cred"),
                                          sink.key, sink.secret)
        gwcase.set_up(gw, sim, url="s3://acme/v", vault_args=[
            "--endpoint", proxy.url, "--credentials-file", credentials])
        checks.run("read", read_and_committed, gw, sim, proxy)
        # One is longer than all that waits for a client, one is not.
        checks.run("web", nobody_reads, gw, "web")
        checks.run("db", nobody_reads, gw, "db")
        checks.run("ending", told_to_end, gw, sim, proxy)
        checks.run("suspended", suspended, gw, sim, proxy)
    checks.finish()


main()
