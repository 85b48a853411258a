#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a gateway keeps of a store: what it was found to do, and its time."""
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import proxylib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()


def puts(proxy):
    """(PUTs of all but packs, those of them that must not replace)."""
    all_ = [r for r in proxy.log(method="PUT") if "/packs/" not in r["key"]]
    return len(all_), sum(r["if_absent"] for r in all_)


def probe_is_remembered(gw, proxy):
    with sqlite3.connect(os.path.join(gw.state, "catalog.db")) as db:
        traits = db.execute("SELECT traits FROM vault").fetchone()[0]
    checks.check("what the probe found stands in the catalog",
                 set(traits.split()) == {"if-absent", "lists-at-once"}, traits)
    gw.stop()
    gw.start()
    proxy.log_clear()
    gw.ok("backup", "web")
    n, guarded = puts(proxy)
    checks.check("a gateway that was started anew still says If-None-Match "
                 "with all objects but packs", n >= 2 and n == guarded, (n, guarded))


def keys_are_not_replaced(gw, proxy):
    proxy.log_clear()
    gw.ok("key", "export", "--vault", "main", "--out",
          os.path.join(gw.dir, "second.key"))
    n, guarded = puts(proxy)
    checks.check("nor does a wrap of a key replace anything",
                 n >= 3 and n == guarded, (n, guarded))


def another_time(gw, sim, proxy):
    wanted = gwcase.digests(sim, "paris", "web")["0"]
    raw = os.path.join(gw.dir, "disk.raw")
    for seconds, words in ((3600, "s ahead of ours"), (-3600, "s behind ours")):
        proxy.skew(seconds)
        status, _, err = gw.run("backup", "web")
        checks.check("a backup does not begin on a store of another time (7), "
                     "and says so", status == 7 and gwcase.one_sentence(
                         err, "acme", "web", "s3://acme", "clock"),
                     "exit %d: %s" % (status, err))
        checks.same("no snapshot is left", gwcase.left_behind(gw, sim), [])
        for what in (["restore", "web@latest", "--disk", "0", "--output", raw],
                     ["point", "verify", "web@latest"]):
            status, _, err = gw.run(*what)
            job = gwcase.last_job(gw)
            log = gw.ok("job", "log", job["id"])
            line = [x for x in log.splitlines() if words in x]
            checks.check("%s works, and its log tells the correction" %
                         what[0], status == 0 and len(line) == 1 and
                         "s3://acme" in line[0], "exit %d: %s\n%s" % (
                             status, err, log))
        checks.same("what was restored is right", gwcase.digest(raw), wanted)
        os.unlink(raw)
    proxy.skew(0)
    status, _, err = gw.run("backup", "web")
    log = gw.ok("job", "log", gwcase.last_job(gw)["id"])
    checks.check("when the clocks agree again it is backed up, and nothing is "
                 "said", status == 0 and "clock" not in log, err + log)


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
        checks.run("probe_is_remembered", probe_is_remembered, gw, proxy)
        checks.run("keys_are_not_replaced", keys_are_not_replaced, gw, proxy)
        checks.run("another_time", another_time, gw, sim, proxy)
    checks.finish()


main()
