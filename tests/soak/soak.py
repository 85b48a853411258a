#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./run soak: 50 VMs in five pools, four tenants with vaults in folders and in
Ceph, backups, restores, verifications and cancels while 1 % of requests and
calls go wrong and cairnd is killed about once a minute; then the checker.

    soak.py [--seconds N] [--seed N] [--short] [--log FILE]

The first part of the time has kills. Then one process lives on under faults:
its memory, descriptors and threads after a warm-up are compared with those at
the end. --short: two pools with ten VMs, for a suite. Programs: $CAIRN_BUILD;
memory is compared where no sanitizer is."""
import argparse
import collections
import os
import resource
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import soak_faults  # noqa: E402
import soak_world  # noqa: E402
import soak_check  # noqa: E402
import soak_jobs  # noqa: E402
import soak_load  # noqa: E402
import simlib  # noqa: E402

# What may have grown from the end of the warm-up to the end.
# (A vault's index, disk threads and idle connections come with its first job;
# of free parts and chunks up to 56 MiB are kept.)
RSS_KIB, DESCRIPTORS, CONNECTIONS, THREADS = 32 << 10, 32, 128, 4


class Checks(simlib.Checks):
    """Counts what is well, too."""
    passed = 0

    def check(self, name, good, why=""):
        self.passed += bool(good)
        return super().check(name, good, why)


class Say:
    """Lines with the time, into a file; without one the last of them are kept
    until they are asked for."""

    def __init__(self, path):
        self.out = open(path, "w", encoding="utf-8") if path else None
        self.begun = time.monotonic()
        self.kept = collections.deque(maxlen=300)

    def __call__(self, text):
        line = "# %6.1f %s" % (time.monotonic() - self.begun, text)
        if self.out:
            self.out.write(line + "\n")
            self.out.flush()
        self.kept.append(line[:1000])
        if text.startswith(("PROBLEM", "phase")):
            print(line[:2000], flush=True)

    def tell(self):
        """Where something failed and nobody else has it."""
        if not self.out:
            print("# what happened:", *self.kept, sep="\n", flush=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seconds", type=int)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--short", action="store_true")
    p.add_argument("--log", metavar="FILE",
                   help="what happened, line by line")
    plan = p.parse_args()
    plan.pools, plan.vms, plan.tenants, plan.actors = 5, 50, 4, 12
    plan.buckets, plan.kill_every, plan.memory = True, 60, "512 MiB"
    plan.rest, plan.events, plan.hang, plan.rate = 1.5, 0.1, 300, 0.01
    if plan.short:
        plan.pools, plan.vms, plan.tenants, plan.actors = 2, 10, 3, 4
        plan.kill_every, plan.rest, plan.rate = 9, 1, 0.03
    plan.seconds = plan.seconds or (60 if plan.short else 600)
    plan.kill_every = min(plan.kill_every, plan.seconds * 0.2)
    # How much longer than its time a thing may take on a busy machine.
    plan.slack = 4 if plan.short else 2
    return plan


def is_sanitized():
    with open(os.path.join(simlib.BUILD, "CMakeCache.txt"),
              encoding="utf-8") as f:
        return any(line.startswith("CAIRN_SANITIZE:") and "=address" in line
                   for line in f)


class Soak:
    def __init__(self, plan, say):
        self.plan, self.say, self.checks = plan, say, Checks()
        self.figures = {}

    def run(self):
        with soak_world.World(self.plan, self.say) as self.world:
            self.jobs = soak_jobs.Jobs(self.world)
            self.faults = soak_faults.Faults(self.world)
            self.load = soak_load.Load(self.world, self.jobs)
            try:
                self.soak()
            finally:
                self.faults.stop()
                self.load.stop(self.plan.hang + 60)
            self.checker = soak_check.Checker(self.world, self.jobs,
                                              self.checks)
            self.say("phase: the checker")
            self.judge()
            self.table()

    # --- the phases ---

    def under_load(self, seconds):
        end = time.monotonic() + seconds
        self.load.at_work.set()
        self.faults.start()
        while time.monotonic() < end:
            self.world.died()
            self.world.sample()
            time.sleep(min(2, max(0.1, end - time.monotonic())))

    def quiet(self, name):
        """No faults, no jobs; the figures then."""
        self.say("phase: " + name)
        self.faults.pause()
        self.load.pause(self.plan.hang + 30)
        drained = self.jobs.drain(60 * self.plan.slack)
        self.checks.check(name + ": every job has ended", drained,
                          "some have not")
        time.sleep(2)
        rows = []
        for _ in range(5):
            rows.append(self.world.sample()[1:])
            time.sleep(0.3)
        self.figures[name] = tuple(min(column) for column in zip(*rows))
        self.say("descriptors: %s" % dict(self.world.descriptors(
            self.world.gw.process.pid)))

    def soak(self):
        seconds = self.plan.seconds
        # The first points are made in peace.
        self.say("phase: %d VMs in %d pools, %d vaults; first points" % (
            len(self.world.vms), self.plan.pools, len(self.world.vaults)))
        self.load.at_work.set()
        time.sleep(min(5, seconds * 0.05))
        self.say("phase: faults and kill -9")
        self.faults.killing.set()
        self.under_load(seconds * 0.55)
        self.faults.killing.clear()
        self.quiet("after the kills")
        self.checks.same("cairnd ends by SIGTERM with 0", self.world.stop(), 0)
        self.world.start()
        self.say("phase: one life, warm-up")
        self.load.large = True
        self.under_load(seconds * 0.15)
        self.load.large = False
        self.quiet("after warm-up")
        self.say("phase: one life")
        self.under_load(seconds * 0.25)
        self.quiet("at the end")

    def judge(self):
        self.checks.run("checker", self.checker.run)
        self.jobs.stop()
        self.checks.same("nothing happened that must not happen",
                         self.world.problems, [])
        self.checks.check("there are points", self.checker.figures["points"])
        self.checks.check("each kind of job was run and has succeeded", all(
            self.jobs.outcomes[k, "succeeded"] for k in (
                "backup", "restore", "verify")), self.jobs.outcomes)
        self.checks.check("cairnd was killed, and stores and pools failed",
                          self.faults.kills > 0 and len(self.faults.fired) > 5,
                          self.faults.fired)
        began, ended = (self.figures[n] for n in ("after warm-up",
                                                  "at the end"))
        sanitized = is_sanitized()
        for name, i, more in (("memory", 0, RSS_KIB),
                              ("descriptors", 1, DESCRIPTORS),
                              ("connections", 2, CONNECTIONS),
                              ("threads", 3, THREADS)):
            if name == "memory" and sanitized:
                continue  # a sanitizer keeps what is freed
            self.checks.check("%s of cairnd: as after the warm-up (%d; %d; at "
                              "most %d more)" % (name, began[i], ended[i],
                                                 more),
                              ended[i] <= began[i] + more, "it has grown")

    # --- what happened ---

    def table(self):
        print("\njobs: kind, outcome, number")
        for (kind, state), n in sorted(self.jobs.outcomes.items()):
            print("  %-10s %-12s %6d" % (kind, state, n))
        for (kind, code), n in sorted(self.jobs.causes.items()):
            print("  %-10s ! %-10s %6d" % (kind, code, n))
        for what, n in sorted(self.load.counts.items()):
            print("  %-23s %6d" % (what, n))
        print("faults (%g %% of %d requests to stores, of calls; %g %% of "
              "transfers):" % (self.plan.rate * 100,
                               self.faults.fired.pop("requests", 0),
                               self.plan.rate * 500))
        for what, n in sorted(self.faults.fired.items()):
            print("  %-45s %6d" % (what, n))
        jobs = self.jobs
        print("kill -9: %d; seed %d" % (self.faults.kills, self.plan.seed))
        print("bytes read %d MiB, stored %d MiB; %d points; longest job %d s; "
              "longest cancel %.1f s of %d" % (
                  jobs.read_bytes >> 20, jobs.stored_bytes >> 20,
                  self.checker.figures["points"], jobs.longest,
                  max(jobs.cancels, default=0), len(jobs.cancels)))
        if self.checker.figures["new starts to tidy"]:
            print("a new start was needed before every place was clean")
        print("cairnd: %-24s RSS KiB  descriptors  connections  "
              "threads" % "")
        for name, row in self.figures.items():
            print("  %-29s %8d %12d %12d %8d" % ((name,) + row))
        print("  %-29s %8d %12d %12d %8d" % (("most, under load",) + tuple(
            max(column) for column in zip(*self.world.samples))[1:]))


def interrupted(number, _):
    raise KeyboardInterrupt("signal %d" % number)


def main():
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    plan = arguments()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    print("# soak: %d s, seed %d" % (plan.seconds, plan.seed), flush=True)
    say = Say(plan.log)
    soak = Soak(plan, say)
    try:
        soak.run()
    except KeyboardInterrupt:
        print("not ok soak: interrupted", flush=True)
        return 130
    except Exception as e:
        soak.checks.check("soak", False, "%s: %s" % (type(e).__name__, e))
        if os.environ.get("CAIRN_TRACE"):
            raise
    if soak.checks.failed:
        say.tell()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
