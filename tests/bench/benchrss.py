# SPDX-License-Identifier: Apache-2.0
"""Peak memory of the gateway: one stream, many, and more than there is room
for. Standard library only."""
import os
import time

import benchdata
import benchlib
import simlib

MIB = 1 << 20
BEYOND = 96  # MiB on top of `memory`, whatever the streams
GROWTH = 8   # MiB, of a VM four times as large
SHARE = 8    # one byte in so many of a disk is data, but with --dense
GROWTH_SHARE = 4  # ... where one stream is to fill all that it may have


def vm(name, file):
    return {"name": name, "power_state": "Halted", "tags": ["rss"],
            "disks": [{"file": file, "in_place": True}]}


class Rss:
    """A pool of VMs with disks from `files`, and a gateway with `memory` whose
    only vault is open."""

    def __init__(self, folder, memory_mib, files):
        os.makedirs(folder)
        self.sink = self.sim = self.gateway = None
        self.memory_mib = memory_mib
        self.names = ["vm-%02d" % i for i in range(len(files))]
        try:
            self.sink = benchlib.Sink(options=["--folder", folder])
            self.sim = simlib.Sim([{
                "name": "rss",
                "vms": [vm(n, f) for n, f in zip(self.names, files)]}])
            self.gateway = benchlib.Gateway(
                os.path.join(folder, "gw"), "%d MiB" % memory_mib,
                jobs_per_pool=128, snapshots_per_sr=64)
            self.gateway.add_pool(self.sim, "rss")
            self.gateway.add_tenant("rss", "rss")
            self.gateway.add_vault("rss", "s3://bench/rss", self.sink)
        except BaseException:
            self.stop()
            raise

    def peak(self, *names):
        """VmHWM over a backup of these VMs, and what was done."""
        pid = self.gateway.pid
        before = benchlib.status_of(pid, "VmRSS")
        benchlib.reset_peak(pid)
        began = time.monotonic()
        jobs = self.gateway.backup(*["rss/" + n for n in names])
        results = [j["result"] for j in jobs]
        return {"peak_bytes": benchlib.status_of(pid, "VmHWM"),
                "before_bytes": before, "streams": len(jobs),
                "memory_bytes": self.memory_mib * MIB,
                "wall_s": time.monotonic() - began,
                "read_bytes": sum(r["read_bytes"] for r in results),
                "stored_bytes": sum(r["stored_bytes"] for r in results)}

    def stop(self):
        for part in (self.gateway, self.sim, self.sink):
            if part:
                part.stop()


def slices(folder, source, count, size, data):
    files = []
    for i in range(count):
        files.append(os.path.join(folder, "slice-%02d.raw" % i))
        benchdata.make_slice(files[-1], source, i, size, data)
    return files


def measure(report, folder, real, args):
    """real: a disk to take bytes from. args: as of bench.py."""

    def one(name, memory_mib, files, take):
        place = os.path.join(folder, name)
        rss = None
        try:
            rss = Rss(place, memory_mib, files)
            take(rss)
        except (benchlib.Unmeasured, OSError, RuntimeError) as e:
            report.missing(name, e)
        finally:
            if rss:
                rss.stop()
            for path in files:
                os.unlink(path)

    def one_stream(rss):
        _, small, big = [rss.peak(n) for n in rss.names]
        report.add("rss_one_stream", big["peak_bytes"] / MIB, "MiB",
                   rss.memory_mib + BEYOND, big)
        report.add("rss_growth", (big["peak_bytes"] - small["peak_bytes"]) /
                   MIB, "MiB", GROWTH, {
                       "small": small, "big": big,
                       "small_disk_mib": args.stream_size,
                       "big_disk_mib": 4 * args.stream_size})

    def many(name):
        def take(rss):
            raw = rss.peak(*rss.names)
            report.add(name, raw["peak_bytes"] / MIB, "MiB",
                       rss.memory_mib + BEYOND, raw)
        return take

    # The first brings the process to its size, as any job would.
    vms = []
    for number, times in enumerate((1, 1, 4)):
        vms.append(os.path.join(folder, "growth-%d.raw" % number))
        size = args.stream_size * times
        benchdata.make_slice(vms[-1], real, number, size * MIB,
                             size * MIB if args.dense else
                             size * MIB // GROWTH_SHARE)
    one("rss_one_stream", 64, vms, one_stream)
    for count, size in ((32, args.stream_size), (60, args.stream_size // 2)):
        one("rss_%d_streams" % count, 640,
            slices(folder, real, count, size * MIB, size * MIB // (1 if args.dense else SHARE)),
            many("rss_%d_streams" % count))
