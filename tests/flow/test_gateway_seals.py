#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No key and nonce seal twice: over gateways that are killed at every failpoint
of a session, one that is set back to an old copy of its state, and two that
write to one vault at the same time. Every seal of every process is put down
(crypto/seal_seen.h); what came of it all is read by the independent reader."""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
DISK = {"size": 18 * MIB, "fill": "random"}
KILLS = ("session_upload_created", "session_part_put", "session_pack_complete",
         "session_run_put", "session_point_put", "session_point_after_put")


class Seals:
    """The file that all gateways of this test put their seals down in."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "seals")
        self.env = {"CAIRN_SEALS": self.path}

    def read(self):
        """(all, pairs of key and nonce that came again, texts again)."""
        with open(self.path, "rb") as f:
            raw = f.read()
        assert len(raw) % 32 == 0, len(raw)
        seals = [raw[i:i + 32] for i in range(0, len(raw), 32)]
        return (len(seals), len(seals) - len({s[:16] for s in seals}),
                len(seals) - len({s[16:] for s in seals}))

    def check(self, name, texts=True):
        count, pairs, again = self.read()
        checks.check("%s: no key and nonce came twice" % name,
                     pairs == 0 and count > 100 and (again > 0 or not texts),
                     "%d of %d; texts: %d" % (pairs, count, again))


def settled(gw, seconds=120):
    """Wait until no job waits or runs; the states of all."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs = gw.json("job", "list")
        if not any(j["state"] in ("queued", "running", "waiting")
                   for j in jobs):
            return [j["state"] for j in jobs]
        time.sleep(0.1)
    raise TimeoutError("jobs do not end: %s" % jobs)


def every_point_is_right(gw, key, wanted):
    points = gwcase.read_points(gw, key)
    checks.check("all %d points are the disk of some moment" % len(points),
                 points and all(p in wanted for p in points.values()), points)
    return points


def killed_and_taken_up_again():
    """A VM for each failpoint: a first backup has packs of more than a part."""
    names = ["vm%d" % i for i in range(len(KILLS))]
    with simlib.Sim(gwcase.two_pools(*(
            gwcase.vm(n, DISK) for n in names))) as sim, \
            gwlib.Gateway(start=False) as gw:
        seals = Seals(gw.dir)
        gw.env.update(seals.env)
        gw.start()
        key = gwcase.set_up(gw, sim)
        for vm, name in zip(names, KILLS):
            gw.stop()
            gw.start({"CAIRN_FAILPOINTS": name + "=kill"})
            running = gw.start_run("backup", vm)
            status = gw.wait_dead(60)
            running.communicate()
            gw.start()
            states = settled(gw)
            checks.check("killed at %s, the job is done by the next start" %
                         name, status == -9 and states[0] == "succeeded",
                         (status, states))
        every_point_is_right(gw, key, [gwcase.digests(sim, "paris", n)
                                       for n in names])
        seals.check("killed and taken up again")


def set_back():
    """The same identity and keys, an old catalog, an old index."""
    with simlib.Sim(gwcase.two_pools(gwcase.vm("web", DISK))) as sim, \
            gwlib.Gateway(start=False) as gw:
        seals = Seals(gw.dir)
        gw.env.update(seals.env)
        gw.start()
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        wanted = [gwcase.digests(sim, "paris", "web")]
        gw.stop()
        old = os.path.join(gw.dir, "old")
        shutil.copytree(gw.state, old)
        for i in range(2):
            gw.start()
            sim.write(pool="paris", vm="web", offset=3 * MIB,
                      hex=os.urandom(MIB).hex())
            wanted.append(gwcase.digests(sim, "paris", "web"))
            gw.ok("backup", "web")
            gw.stop()
            shutil.rmtree(gw.state)
            shutil.copytree(old, gw.state)
        # The very same contents sealed once more, from the very same state.
        gw.start()
        gw.ok("backup", "web")
        points = every_point_is_right(gw, key, wanted)
        checks.same("an old copy of the state hides no point", len(points), 4)
        seals.check("a gateway set back to an old copy of its state")


def two_gateways():
    """Both at once, from the same contents, one of them by a granted key."""
    vms = [gwcase.vm(n, DISK) for n in ("web", "mail")]
    with simlib.Sim(gwcase.two_pools(*vms)) as sim, \
            gwlib.Gateway("north", start=False) as gw:
        seals = Seals(gw.dir)
        gw.env.update(seals.env)
        gw.start()
        key = gwcase.set_up(gw, sim)
        with gwlib.Gateway("south", env=seals.env) as other:
            other.ok("tenant", "add", "acme")
            other.add_pool(sim, "paris")
            other.ok("rule", "add", "--tenant", "acme", "--pool", "paris",
                     "--tag", "acme")
            other.ok("vault", "add", "main", "--tenant", "acme", "--url",
                     "file://" + gwcase.folder_of(gw), "--existing",
                     "--key-file", key)
            runs = [g.start_run("backup", "web", "mail") for g in (gw, other)]
            for r in runs:
                r.communicate()
            checks.same("two gateways write to one vault at once",
                        [r.returncode for r in runs], [0, 0])
            every_point_is_right(gw, key, [gwcase.digests(sim, "paris", n)
                                           for n in ("web", "mail")])
        seals.check("two gateways on one vault")


for test in (killed_and_taken_up_again, set_back, two_gateways):
    checks.run(test.__name__, test)
checks.finish()
