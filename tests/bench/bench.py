#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./run bench: the measures of DESIGN.md, "Measures", and their bounds.

    bench.py [--json] [--alone] [--rounds N] [--size MIB] [--only GROUP]
             [--stream-size MIB] [--dense] [--index-size GIB] [--dir DIR]

Prints a table, or with --json one object per line and nothing else. All CPU
figures are of cairnd alone; what simulator and store used stands beside them in
`raw`. Ratios are taken within a round, and the median of the rounds is the
value. Ends with 0 unless a measure could not be taken: a bound that is missed
is told, not hidden.

    full      first backups of real files and of random bytes, to a folder and
              to a store over http and https
    again     an unchanged VM, and one of which 2 % have changed
    restore   to a file and to a pool
    verify    a point, with all its chunks
    rss       peak memory: one stream at 64 MiB, 32 streams at once and 60
              that queue at 640 MiB, a VM four times as large. Disks have the
              size told, an eighth of it data; --dense fills them (about 50
              GiB on --dir)
    restart   a gateway that was killed with 1,000 jobs running, each with an
              unfinished upload, until nothing is left behind
    index     filling the index of a vault of --index-size GiB

Each round starts everything afresh and makes one backup before it measures:
what a gateway keeps from job to job it has then ("first_job" tells what that
one cost). Others on the machine disturb: "others" tells how many cores they
took while something was measured, and with --alone (as root) they are held
back; that is also the way to measure cores_busy where others work.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile

import benchdata
import benchindex
import benchlib
import benchrestart
import benchround
import benchrss

MIB = 1 << 20
GIB = 1 << 30
STORES = ("dir", "http", "https")
KINDS = ("real", "random")


class Report:
    """Measures as they are taken."""

    def __init__(self, as_json):
        self.as_json = as_json
        self.incomplete = False
        self.headed = False

    def add(self, name, value, unit, bound, raw, least=False):
        """A measure. least: the bound is a lower one."""
        ok = bound is None or (value >= bound if least else value <= bound)
        if self.as_json:
            print(json.dumps({"measure": name, "value": round(value, 6),
                              "unit": unit, "bound": bound, "ok": ok,
                              "raw": raw}), flush=True)
            return
        if not self.headed:
            print("%-28s %12s %-11s %12s" % ("measure", "value", "unit",
                                            "bound"))
            self.headed = True
        limit = "" if bound is None else "%s %.6g" % (
            ">=" if least else "<=", bound)
        print("%-28s %12.6g %-11s %12s  %s" % (
            name, value, unit, limit,
            "" if bound is None else "OK" if ok else "MISSED"), flush=True)

    def missing(self, name, why):
        self.incomplete = True
        print("bench: %s was not taken: %s" % (name, why), file=sys.stderr)

    def ratio(self, name, rounds, bound, unit="x limit"):
        """The median of rounds' ratios; each is (over, under, raw)."""
        if not rounds:
            self.missing(name, "no round of it succeeded")
            return
        ratios = [over / under for over, under, _ in rounds]
        self.add(name, statistics.median(ratios), unit, bound,
                 {"ratios": [round(r, 4) for r in ratios],
                  "rounds": [raw for _, _, raw in rounds]})


def limit_of(r, kind, mode, *transfers):
    """CPU seconds of the bare primitives and of these bare transfers."""
    return (r["limit"][kind][mode]["cpu_s"]["all"] +
            sum(r["bare"][kind][t]["cpu_s"] for t in transfers))


def against_limit(rounds, case, kind, mode, *transfers):
    """(CPU of cairnd, limit, raw) of each round that has this case."""
    found = []
    for r in rounds:
        if case not in r or kind not in r["limit"]:
            continue
        found.append((r[case]["cpu_s"]["cairnd"],
                      limit_of(r, kind, mode, *transfers),
                      {"case": r[case], "limit": r["limit"][kind][mode],
                       "bare": {t: r["bare"][kind][t] for t in transfers}}))
    return found


def tell_full(report, rounds, cores):
    sending = {"dir": (), "http": ("put_http",), "https": ("put_https",)}
    for kind in KINDS:
        for store in STORES:
            report.ratio("full_%s_%s" % (kind, store),
                         against_limit(rounds, "full_%s_%s" % (kind, store),
                                       kind, "full", "get_export",
                                       *sending[store]), 1.25)
    for kind in KINDS:
        for store in STORES:
            name = "full_%s_%s" % (kind, store)
            flows = [r[name]["flow"] for r in rounds
                     if name in r and r[name]["flow"]]
            if not flows:
                continue
            report.add("throughput_%s_%s" % (kind, store), statistics.median(
                f["read_bytes"] / f["wall_s"] / MIB for f in flows), "MiB/s",
                None, {"rounds": flows})
    flows = [r["full_real_http"]["flow"] for r in rounds
             if r.get("full_real_http", {}).get("flow")]
    if not flows:
        report.missing("cores_busy", "no round of it succeeded")
        return
    raw = {"cores": cores, "rounds": flows}
    report.add("cores_busy", statistics.median(
        sum(f["cpu_s"].values()) / (cores * f["wall_s"]) for f in flows),
        "of cores", 0.85, raw, least=True)
    # What others on the machine take cannot be used.
    report.add("cores_busy_of_left", statistics.median(
        sum(f["cpu_s"].values()) /
        (cores * f["wall_s"] - f["machine_cpu_s"] + sum(f["cpu_s"].values()))
        for f in flows), "of cores", None, raw)


def tell_size(report, rounds):
    """Requests and bytes of the first full backup: counts, the same in each
    round."""
    r = next((r for r in rounds
              if "full_real_http" in r and "vault_dir" in r), None)
    if not r:
        report.missing("requests", "no round succeeded")
        return
    full = r["full_real_http"]
    stored = full["result"]["stored_bytes"]
    requests = sum(full["store"][k] for k in benchround.REQUESTS)
    report.add("requests_full", requests, "requests",
               round(96 * stored / GIB + 16, 3),
               {"stored_bytes": stored, "jobs": 1, "store": full["store"]})
    v = r["vault_dir"]
    report.add("objects_but_packs", v["other_bytes"] /
               (v["pack_bytes"] + v["other_bytes"]), "of bytes", 0.0015, v)
    limit = r["limit"]["real"]["full"]
    bodies = limit["stored_bytes"] - 16 * (
        limit["tried_bytes"] + benchround.CHUNK - 1) // benchround.CHUNK
    report.add("overhead_in_packs", v["pack_bytes"] / bodies - 1, "of bodies",
               None, dict(v, body_bytes=bodies, limit=limit))


def tell_again(report, rounds):
    report.ratio("unchanged", against_limit(
        rounds, "unchanged", "real", "unchanged", "get_export"), 1.3)
    done = [r["unchanged"] for r in rounds if "unchanged" in r]
    if done:
        report.add("unchanged_requests", max(
            sum(u["store"][k] for k in benchround.REQUESTS if k != "list")
            for u in done), "requests", 10, {"rounds": done})
        # The point is one PUT; nothing else may be written.
        report.add("unchanged_stored", max(
            u["store"]["put"] + u["store"]["create"] - 1 for u in done),
            "objects", 0, {"rounds": done})
    changed = [r["changed"] for r in rounds if "changed" in r]
    if not changed:
        report.missing("changed_stored", "no round of it succeeded")
        return
    report.add("changed_stored", statistics.median(
        c["store"]["received"] / c["changed_bytes"] for c in changed),
        "of changed", 1.02, {"rounds": changed})


def tell_restore(report, rounds):
    report.ratio("restore_file_http", against_limit(
        rounds, "restore_file_http", "real", "restore", "get_http",
        "out_http"), 1.25)
    report.ratio("restore_pool_http", against_limit(
        rounds, "restore_pool_http", "real", "restore", "get_http",
        "out_https"), 1.25)
    report.ratio("restore_file_dir", against_limit(
        rounds, "restore_file_dir", "real", "restore", "out_http"), 1.25)
    report.ratio("restore_pool_dir", against_limit(
        rounds, "restore_pool_dir", "real", "restore", "out_https"), 1.25)


def tell_verify(report, rounds):
    """No bound; what it is to be judged by stands beside it."""
    for store in ("http", "dir"):
        name = "verify_" + store
        found = [r for r in rounds if name in r and "real" in r["limit"]]
        if not found:
            report.missing(name, "no round of it succeeded")
            continue
        gib = [r["limit"]["real"]["restore"]["nonzero_bytes"] / GIB
               for r in found]
        report.add(name, statistics.median(
            r[name]["cpu_s"]["cairnd"] / g for r, g in zip(found, gib)),
            "s per GiB", None, {"gib": gib, "rounds": [r[name] for r in found]})
        report.add(name + "_wall", statistics.median(
            r[name]["wall_s"] / g for r, g in zip(found, gib)),
            "s per GiB", None, {"gib": gib, "rounds": [r[name] for r in found]})
        report.ratio(name + "_limit", against_limit(
            rounds, name, "real", "restore",
            *(("get_http",) if store == "http" else ())), None)


def tell_machine(report, rounds):
    """What stands beside all figures."""
    warm = [r["warm"] for r in rounds if "warm" in r]
    if warm:
        report.add("first_job", statistics.median(
            w["cpu_s"]["cairnd"] / (w["result"]["read_bytes"] / GIB)
            for w in warm), "s per GiB", None, {"rounds": warm})
    cases = [(c["machine_cpu_s"] - c["bench_cpu_s"] -
              sum(c["cpu_s"].values()), c["wall_s"])
             for r in rounds for c in r.values()
             if isinstance(c, dict) and "bench_cpu_s" in c]
    if cases:
        others = [max(0.0, cpu / wall) for cpu, wall in cases if wall > 0]
        report.add("others", statistics.median(others), "cores", None,
                   {"cases": [round(o, 3) for o in others],
                    "load": os.getloadavg()})


def parse():
    p = argparse.ArgumentParser(
        description="Measure Cairn against the bounds of DESIGN.md.")
    p.add_argument("--json", action="store_true")
    p.add_argument("--rounds", type=int, default=5, metavar="N")
    p.add_argument("--size", type=int, default=640, metavar="MIB",
                   help="of the disks with real files and random bytes")
    p.add_argument("--alone", action="store_true",
                   help="hold others on this machine back (root)")
    p.add_argument("--stream-size", type=int, default=1024, metavar="MIB",
                   help="of the disks of 32 streams; 60 have half of it")
    p.add_argument("--dense", action="store_true",
                   help="those disks are full of data, not an eighth of them")
    p.add_argument("--index-size", type=int, default=1024, metavar="GIB",
                   help="of the vault whose index is filled")
    p.add_argument("--only", choices=["full", "again", "restore", "verify",
                                      "rss", "restart", "index"])
    p.add_argument("--dir", default=None, help="where there is room")
    args = p.parse_args()
    if args.rounds < 1 or args.size < 256 or args.stream_size < 64 or \
            args.index_size < 1:
        p.error("at least 1 round, 256 MiB, streams of 64 MiB, 1 GiB of index")
    return args


def run_rounds(args, report, folder, images, cores):
    rounds = []
    for n in range(args.rounds):
        rounds.append(benchround.take(
            os.path.join(folder, "round-%d" % n), images, args.only,
            lambda name, why: note("%s: %s" % (name, why)),
            prove=n == 0))
        note("round %d of %d is done" % (n + 1, args.rounds))
    if args.only in (None, "full"):
        tell_full(report, rounds, cores)
        tell_size(report, rounds)
    if args.only in (None, "again"):
        tell_again(report, rounds)
    if args.only in (None, "restore"):
        tell_restore(report, rounds)
    if args.only in (None, "verify"):
        tell_verify(report, rounds)
    tell_machine(report, rounds)


def run(args, report, folder):
    cores = benchlib.pin()
    images = {k: os.path.join(folder, k + ".raw") for k in KINDS}
    note("load %s" % " ".join("%.1f" % x for x in os.getloadavg()))
    if args.only not in ("restart", "index"):
        note("making disks of %d MiB in %s" % (args.size, folder))
        files = benchdata.make_real(images["real"], args.size * MIB)
        note("%d files; %d rounds" % (files, args.rounds))
    if args.only not in ("rss", "restart", "index"):
        benchdata.make_random(images["random"], args.size * MIB)
        run_rounds(args, report, folder, images, cores)
        os.unlink(images["random"])
    if args.only in (None, "rss"):
        benchrss.measure(report, folder, images["real"], args)
    if args.only in (None, "restart"):
        with contextlib.ExitStack() as stack:
            benchrestart.measure(report, folder, stack)
    if args.only in (None, "index"):
        benchindex.measure(report, folder, args.index_size)


def note(text):
    print("bench:", text, file=sys.stderr, flush=True)


def main():
    args = parse()
    report = Report(args.json)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="cairn-bench-", dir=args.dir)
    try:
        with contextlib.ExitStack() as stack:
            if args.alone:
                stack.enter_context(benchlib.Alone())
            run(args, report, folder)
    except benchlib.Unmeasured as e:
        report.missing("the rest", e)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report.incomplete else 0


if __name__ == "__main__":
    sys.exit(main())
