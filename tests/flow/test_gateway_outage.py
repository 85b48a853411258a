#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Ten minutes without a store, in ten seconds: 1 s stands for a minute. The
VM is so large that its export has to wait, and a pack is complete before the
store goes (s3fault before Ceph).

With room to spill the job is only delayed; without, the export pauses, and a
pool that gives it up ends the job, which is done again without sending its
complete packs twice. Arguments: the names of groups."""
import os
import re
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
from gwcase import MIB  # noqa: E402
from storeslib import Running, checks, timed, wait_for  # noqa: E402


def begin_large(w):
    """A backup of web, under way behind its first pack."""
    w.proxy.log_clear()
    running = w.gw.start_run("backup", "web")
    wait_for("a pack", lambda: w.proxy.log(kind="complete", told=200))
    return running


def parts_sent(w):
    return sum(r["body"] for r in w.proxy.log(kind="part", told=200))


def export_bytes(w):
    return w.sim.get("counters")["pools"][0]["bytes_out"]


def outage(ceph):
    """Without room to spill."""
    with Running(ceph, "outage", sizes=(208, 2), store_request="1 s",
                 store_retry="40 s", memory="64 MiB") as w:
        w.key = gwcase.set_up(w.gw, w.sim, url=w.url, vault_args=w.options)

        # The pool gives up what nobody reads: the job ends for that cause ...
        w.sim.fault("export_impatient", pool="paris", ms=3000)
        running = begin_large(w)
        w.proxy.down()
        began = time.monotonic()
        _, err = running.communicate(timeout=200)
        took = time.monotonic() - began
        checks.check("the pool gives up: the job fails for that cause",
                     running.returncode == 1 and gwcase.one_sentence(
                         err, "acme", "web", "VDI_IO_ERROR") and took < 100,
                     "exit %d after %d s: %s" % (running.returncode, took,
                                                 err))
        print("#", err.strip().splitlines()[-1])
        w.sim.clear()
        w.proxy.up()
        checks.same("the pool gives up: the pool is clean",
                    gwcase.left_behind(w.gw, w.sim), [])
        first = parts_sent(w)
        w.proxy.log_clear()
        # ... is done again: it sends what is not there yet, and an outage only
        # delays it.
        job = gwcase.last_job(w.gw)["id"]
        before = w.listed()
        running = w.gw.start_run("job", "retry", job)
        wait_for("a pack", lambda: w.proxy.log(kind="complete", told=200))
        w.proxy.down()
        time.sleep(4)
        read = export_bytes(w)
        time.sleep(6)
        checks.check("a store is down for ten minutes: the job waits, and the "
                     "export with it", running.poll() is None and
                     export_bytes(w) - read < MIB, export_bytes(w) - read)
        w.proxy.up()
        _, err = running.communicate(timeout=120)
        checks.check("a store was down for ten minutes: the job succeeds",
                     running.returncode == 0, "exit %d: %s" % (
                         running.returncode, err))
        checks.check("complete packs are not sent again", first >= 60 * MIB and
                     parts_sent(w) <= (208 - 60 + 17) * MIB,
                     (first, parts_sent(w)))
        held = gwcase.digests(w.sim, "paris", "web")
        w.note(before, held)
        w.nothing_left("a store was down", within=60)
        status, err, digest = w.restored("web")
        checks.same("a store was down: a restore gives the disk back",
                    (status, digest), (0, held["0"]))


def spill_used(w):
    return w.gw.json("status")["spill_used"]


def stays_down(w):
    """With room to spill a store that stays away fails the job as without."""
    w.gw.stop()
    with open(w.gw.config, encoding="utf-8") as f:
        text = f.read()
    with open(w.gw.config, "w", encoding="utf-8") as f:
        f.write(text.replace('store_retry: "40 s"', 'store_retry: "3 s"'))
    w.gw.start()
    w.sim.do("disk/write", pool="paris", vm="web", offset=0,
             length=150 * MIB, random=77)
    w.proxy.log_clear()
    running = w.gw.start_run("backup", "web")
    wait_for("a part", lambda: w.proxy.log(kind="part", told=200))
    w.proxy.down()
    wait_for("something spilled", lambda: spill_used(w) or
             running.poll() is not None)
    spilled = spill_used(w)
    _, err = running.communicate(timeout=120)
    w.proxy.up()
    checks.check("a store stays down, parts are spilled: exit 13, one "
                 "sentence", running.returncode == 13 and spilled and
                 gwcase.one_sentence(err, "acme", "web", w.bucket),
                 "exit %d, %d spilled: %s" % (running.returncode, spilled,
                                              err))
    wait_for("an empty file", lambda: not spill_used(w), 30)
    w.nothing_left("a store stays down, parts are spilled", within=60)


def spilled(ceph):
    """With it, before a pool that stands five minutes."""
    with tempfile.TemporaryDirectory(prefix="cairn-spill-") as folder, \
            Running(ceph, "spilled", sizes=(208, 2), store_request="1 s",
                    store_retry="40 s", memory="64 MiB", spill=folder,
                    spill_size="512 MiB") as w:
        w.key = gwcase.set_up(w.gw, w.sim, url=w.url, vault_args=w.options)
        w.sim.fault("export_impatient", pool="paris", ms=5000, count=0)
        read = export_bytes(w)
        before = w.listed()
        running = begin_large(w)
        w.proxy.down()
        down = time.monotonic()
        wait_for("the end of the export", lambda: export_bytes(w) - read >=
                 208 * MIB or running.poll() is not None)
        used = spill_used(w)
        stage = ""

        def told():
            nonlocal stage
            stage = gwcase.last_job(w.gw)["stage"] or ""
            return "store down since" in stage or running.poll() is not None

        wait_for("words of the outage", told, 20)
        time.sleep(max(0, 10 - (time.monotonic() - down)))
        checks.check("a store is down for ten minutes: the export is read to "
                     "its end, in parts that are spilled",
                     running.poll() is None and export_bytes(w) - read >=
                     208 * MIB and used >= 48 * MIB,
                     (running.poll(), export_bytes(w) - read, used))
        checks.check("and the job says so", re.search(
            r", store down since \d\d:\d\d:\d\dZ, \d+ MiB spilled$",
            stage), stage)
        checks.same("the file has no name", os.listdir(folder), [])
        w.proxy.up()
        _, err = running.communicate(timeout=120)
        checks.check("a store was down, and the pool impatient: the job "
                     "succeeds", running.returncode == 0, "exit %d: %s" % (
                         running.returncode, err))
        # Two were under way when the store went; an answer may have got lost.
        checks.check("no part is sent twice, but those that were under way",
                     208 * MIB <= parts_sent(w) < 242 * MIB, parts_sent(w))
        result = gwcase.last_job(w.gw)["result"] or {}
        checks.check("and the result tells what was spilled",
                     result.get("spilled_bytes", 0) >= 48 * MIB, result)
        wait_for("an empty file", lambda: not spill_used(w), 30)
        w.note(before, gwcase.digests(w.sim, "paris", "web"))
        w.nothing_left("parts were spilled")
        w.judge_all("spilled")
        w.sim.clear()
        timed(stays_down, w)


def main():
    only = sys.argv[1:]
    with cephlib.Ceph() as ceph:
        for group in (outage, spilled):
            if not only or group.__name__ in only:
                timed(group, ceph)
    checks.finish()


main()
