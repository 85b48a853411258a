#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Stores that go wrong: every kind of request meets every fault of s3fault
before Ceph, through backups, restores and verifications by cairnd.

What passes is got over within the budget of tries; what does not ends in one
sentence with the right exit code. Never a point that restores otherwise than
the disk was (cairnd and the independent reader say so), never an upload left
open, nothing left in the pool.

By default the requests of one job all meet one fault, and of what is alike a
part is run; CAIRN_STORES=all gives each kind of request a job of its own, in
its first and its second occurrence. How many combinations were run is the last
line. Arguments: the names of groups or tests."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
from storeslib import Running, checks, timed  # noqa: E402

ALL = os.environ.get("CAIRN_STORES") == "all"

BODIES = ("put", "part", "complete")       # requests with a body
DOCUMENTS = ("create", "complete", "list")  # answers that are documents
ANSWERS = DOCUMENTS + ("get",)             # answers with a body
EVERY = ("put", "part", "create", "complete", "list", "get")


def cut(where, how, kinds, **more):
    return ("%s in %s" % (how, where),
            dict(more, fault="cut", where=where, how=how), kinds)


# What passes when it is tried again: name, fault, kinds of requests.
PASSING = [
    ("500", {"fault": "status", "code": 500}, EVERY),
    ("502", {"fault": "status", "code": 502}, EVERY),
    ("503 SlowDown", {"fault": "status", "code": 503}, EVERY),
    ("504", {"fault": "status", "code": 504}, EVERY),
    ("429", {"fault": "status", "code": 429}, EVERY),
    ("503 with Retry-After", {"fault": "status", "code": 503,
                              "retry_after": 1}, EVERY),
    ("503 before the body", {"fault": "status", "code": 503, "early": True},
     BODIES),
    ("500 though it was done", {"fault": "status", "code": 500,
                                "executed": True}, EVERY),
    ("RequestTimeout", {"fault": "status", "code": 400,
                        "error": "RequestTimeout"}, EVERY),
    cut("head", "reset", EVERY),
    cut("head", "close", EVERY),
    cut("body", "reset", BODIES),
    cut("body", "close", BODIES),
    cut("sent", "reset", EVERY),
    cut("sent", "close", EVERY),
    cut("answer_head", "reset", EVERY),
    cut("answer_head", "close", EVERY),
    cut("answer", "reset", ANSWERS),
    cut("answer", "close", ANSWERS),
    cut("head", "stall", EVERY),
    cut("body", "stall", BODIES),
    cut("sent", "stall", EVERY),
    cut("answer", "stall", ANSWERS),
    ("a cut document of the right length", {"fault": "truncate", "bytes": 30},
     DOCUMENTS),
    ("no HTTP", {"fault": "garbage"}, EVERY),
    ("a clock that jumps", {"fault": "skewed", "seconds": 3600}, EVERY),
    ("an error in a 200", {"fault": "error200"}, tuple(
        k for k in EVERY if k != "get")),
    ("an error in a 200 behind blanks", {"fault": "error200", "blanks": 50},
     DOCUMENTS),
    ("an error in a 200 though it was done",
     {"fault": "error200", "executed": True}, DOCUMENTS),
    ("an empty 200", {"fault": "error200", "empty": True}, DOCUMENTS),
    ("an empty 200 though it was done",
     {"fault": "error200", "empty": True, "executed": True}, DOCUMENTS),
    ("a listing backwards", {"fault": "disorder"}, ("list",)),
    ("a listing with an entry twice", {"fault": "disorder", "how": "repeat"},
     ("list",)),
    ("a slow answer", {"fault": "slow", "ms": 700}, EVERY),
    ("an answer that trickles", {"fault": "slow", "rate": 4000},
     ("list", "create", "complete")),
    ("Connection: close", {"fault": "close", "count": 0}, EVERY),
]

# What does not pass: name, fault, kinds, exit codes, words of the sentence.
# Exit 0 among them: it may be harmless.
REFUSALS = [
    ("AccessDenied", {"fault": "status", "code": 403}, EVERY, {5},
     ["AccessDenied"]),
    ("ExpiredToken", {"fault": "status", "code": 400,
                      "error": "ExpiredToken"}, EVERY, {5}, ["ExpiredToken"]),
    ("QuotaExceeded", {"fault": "status", "code": 403,
                       "error": "QuotaExceeded"}, ("put", "part", "create"),
     {6}, ["QuotaExceeded"]),
    ("NoSuchBucket", {"fault": "status", "code": 404,
                      "error": "NoSuchBucket"}, EVERY, {10}, ["NoSuchBucket"]),
    ("a redirect", {"fault": "status", "code": 307,
                    "error": "TemporaryRedirect"}, EVERY, {1}, ["307"]),
    ("another ETag of a part", {"fault": "etag"}, ("part",), {1},
     ["InvalidPart"]),
    ("another ETag", {"fault": "etag"}, ("put", "get", "complete"), {0}, []),
    ("a wrong bit", {"fault": "flip"}, ("get", "list", "create", "complete"),
     {0, 1, 8}, []),
    # Nothing on the wire tells that; what an object is to be does.
    ("a cut object of the right length", {"fault": "truncate"}, ("get",),
     {0, 1, 8}, []),
    ("a stale listing", {"fault": "hide", "count": 0}, ("list",), {0, 8},
     []),
]


def rules_for(fault, kinds, skip=0, count=1):
    return [dict({"count": count}, **fault, kind=k, skip=skip) for k in kinds]


WEB = ("create", "part", "complete")  # what only a large pack needs


def jobs_of(fault, kinds):
    """How the kinds of requests are spread over jobs: (VM, kinds, skip)."""
    if not ALL:
        return [("web" if set(kinds) & set(WEB) else "tiny", kinds, 0)]
    return [("web" if k in WEB else "tiny", (k,), skip)
            for k in kinds for skip in (0, 1)
            if not skip or (k not in ("create", "complete") and
                            fault.get("count") != 0 and "key" not in fault)]


def passing(w):
    """A backup gets over it."""
    rows = PASSING + [("an error in a 200", {
        "fault": "error200", "key": "*/packs/*"}, ("put",))]
    for name, fault, kinds in rows:
        for vm, some, skip in jobs_of(fault, kinds):
            what = "%s of %s%s" % (name, "+".join(some),
                                   ", the second" if skip else "")
            w.proxy.log_clear()
            w.proxy.rules(*rules_for(fault, some, skip))
            status, err = w.backup(vm)
            missed = w.unfired()
            checks.check("%s: a backup gets over it" % what,
                         status == 0 and not missed, "exit %d: %s %s %s" % (
                             status, err, missed, w.trouble()))
            w.nothing_left(what)


def refusals(w):
    """A backup fails, at once and clearly; or it was harmless."""
    for i, (name, fault, kinds, codes, words) in enumerate(REFUSALS):
        for kind in kinds if ALL else kinds[i % 2::2] or kinds:
            vm = "web" if kind in WEB else "tiny"
            what = "%s of %s" % (name, kind)
            before = w.keys("points/")
            w.proxy.log_clear()
            w.proxy.rules(*rules_for(fault, (kind,)))
            began = time.monotonic()
            status, err = w.backup(vm)
            took = time.monotonic() - began
            missed = w.unfired()
            checks.check("%s: exit %s%s" % (
                what, "/".join(map(str, sorted(codes))),
                ", one sentence with tenant, VM and cause"
                if codes != {0} else ""), status in codes and not missed and
                took < 15 and (status == 0 or gwcase.one_sentence(
                    err, "acme", vm, *words)),
                "exit %d after %d s: %s %s %s" % (status, took, err, missed,
                                                  w.trouble()))
            w.nothing_left(what)
            # When the point is read back it is there, and it is right.
            if status and kind not in ("get", "list"):
                checks.same("%s: no point was made" % what,
                            w.keys("points/"), before)


# Faults of requests that read, for a verification and a restore. (A wrong
# clock is met once: whoever lives by it is not told so again.)
READING = [p for p in PASSING if "get" in p[2] and
           p[1]["fault"] != "skewed"]


def reading(w):
    """Points are verified and restored over it, bit for bit."""
    for name, fault, _ in READING if ALL else READING[::3]:
        for vm in ("web", "tiny") if ALL else ("web",):
            what = "%s of get" % name
            w.proxy.log_clear()
            w.proxy.rules(dict({"count": 3}, **fault, kind="get",
                               key="*/packs/*"))
            status, err, digest = w.restored(vm)
            missed = w.unfired()
            checks.check("%s: a restore gets over it" % what, status == 0 and
                         digest == w.newest[vm]["0"] and not missed,
                         "exit %d: %s %s %s" % (status, err, missed,
                                                w.trouble()))
            w.proxy.rules(*rules_for(fault, ("get", "list"), count=2))
            status, _, err = w.gw.run("point", "verify", vm + "@latest")
            missed = w.unfired()
            checks.check("%s: a verification gets over it" % what,
                         status == 0 and not missed, "exit %d: %s %s %s" % (
                             status, err, missed, w.trouble()))
    for name, fault, codes, words in (
            ("a wrong bit", {"fault": "flip", "count": 0}, {8}, ["tiny"]),
            ("AccessDenied", {"fault": "status", "code": 403}, {5},
             ["AccessDenied"]),
            ("ExpiredToken", {"fault": "status", "code": 400,
                              "error": "ExpiredToken"}, {5},
             ["ExpiredToken"])):
        w.proxy.rules(dict(fault, kind="get", key="*/packs/*"))
        status, err, _ = w.restored("tiny")
        w.unfired()
        checks.check("%s of a pack: a restore fails (%s)" % (name, codes),
                     status in codes and all(t in err for t in words),
                     "exit %d: %s" % (status, err))


def aborting(w):
    """A job fails, and what goes wrong with its abort leaves no upload."""
    rows = [p for p in PASSING if "create" in p[2] and
            p[1]["fault"] in ("status", "cut", "garbage", "close", "skewed") and
            p[1].get("where") != "answer"]
    for name, fault, _ in rows if ALL else rows[::4]:
        what = "%s of abort" % name
        w.proxy.log_clear()
        w.proxy.rules({"fault": "status", "code": 400, "error": "InvalidPart",
                       "kind": "complete"},
                      dict({"count": 1}, **fault, kind="abort"))
        status, err = w.backup("web")
        missed = w.unfired()
        checks.check("%s: the job fails for its own cause" % what,
                     status == 1 and "InvalidPart" in err and not missed,
                     "exit %d: %s %s" % (status, err, missed))
        w.nothing_left(what)


def probing(w):
    """What vault test finds out of a store does not hang on its bad days."""
    def traits():
        status, out, err = w.gw.run("vault", "test", "main", "--json")
        return status, out, err
    kinds = EVERY + ("head", "delete")
    rows = [p for p in PASSING if set(EVERY) == set(p[2])]
    wanted = traits()
    for name, fault, _ in rows if ALL else rows[::4]:
        w.proxy.log_clear()
        w.proxy.rules(*rules_for(fault, kinds))
        got = traits()
        missed = [r for r in w.unfired() if r["kind"] in ("head", "delete")]
        checks.check("%s: vault test says what it says else" % name,
                     got[:2] == wanted[:2], "%s, not %s: %s %s" % (
                         got, wanted, missed, w.trouble()))
        w.nothing_left("%s of vault test" % name)


def staying_down(w):
    """What does not pass: the job fails with the cause in bounded time, the
    pool is clean at once and the bucket with the next job."""
    rows = [("503 for ever", {"fault": "status", "code": 503}, "part", {75},
             ["503 SlowDown"]),
            ("500 for ever", {"fault": "status", "code": 500}, "complete",
             {1}, ["500 InternalError"]),
            ("lost answers for ever", {"fault": "cut"}, "create", {13}, []),
            ("silence for ever", {"fault": "cut", "how": "stall"}, "part",
             {13}, []),
            ("resets for ever", {"fault": "cut", "where": "head"}, "list",
             {13}, []),
            ("an expired token", {"fault": "status", "code": 400,
                                  "error": "ExpiredToken"}, None, {5},
             ["ExpiredToken"])]
    for name, fault, kind, codes, words in rows if ALL else rows[::2]:
        w.proxy.log_clear()
        rule = dict(fault, count=0)
        if kind:
            rule["kind"] = [kind, "abort", "uploads"]
        else:  # in the middle of an upload
            rule["skip"] = 5
        w.proxy.rules(rule)
        began = time.monotonic()
        status, err = w.backup("web")
        took = time.monotonic() - began
        missed = w.unfired()
        checks.check("%s of %s: exit %s, one sentence" % (name, kind, codes),
                     status in codes and not missed and took < 40 and
                     gwcase.one_sentence(err, "acme", "web", *words),
                     "exit %d after %d s: %s %s" % (status, took, err,
                                                    w.trouble()))
        print("#", err.strip().splitlines()[-1])
        checks.same("%s of %s: the pool is clean" % (name, kind),
                    gwcase.left_behind(w.gw, w.sim), [])
        w.well("tiny", "%s of %s, afterwards" % (name, kind), within=60)
    w.proxy.down("refuse")
    began = time.monotonic()
    status, err = w.backup("tiny")
    took = time.monotonic() - began
    w.proxy.up()
    checks.check("nobody listens: exit 13, one sentence", status == 13 and
                 took < 20 and gwcase.one_sentence(err, "acme", "tiny"),
                 "exit %d after %d s: %s" % (status, took, err))
    checks.same("nobody listens: the pool is clean",
                gwcase.left_behind(w.gw, w.sim), [])
    w.well("tiny", "nobody listened, afterwards")


def strays(w):
    """The answer of a create is lost, and so goes what looks after it."""
    lost = {"fault": "cut", "kind": "create"}
    for name, fault in (("500", {"fault": "status", "code": 500}),
                        ("reset in sent", {"fault": "cut"}),
                        ("backwards", {"fault": "disorder"})):
        w.proxy.rules(dict(lost, count=2), dict(fault, kind="uploads"),
                      dict(fault, kind="abort"))
        status, err = w.backup("web")
        missed = [r for r in w.unfired() if r["fault"] != "disorder"]
        checks.check("%s of uploads: a backup gets over it" % name,
                     status == 0 and not missed, "exit %d: %s %s" % (
                         status, err, missed))
        w.nothing_left("%s of uploads" % name)
    # Where they may not be listed, they stay, and are no reason to fail.
    w.proxy.rules(lost, {"fault": "status", "code": 403, "kind": "uploads"})
    status, err = w.backup("web")
    checks.check("uploads may not be listed: a backup succeeds all the same",
                 status == 0 and not w.unfired(), err)
    w.well("tiny", "uploads may be listed again", within=30)


def over_tls(w):
    """The same over TLS, and what TLS adds."""
    rows = [p for p in PASSING if p[0] in (
        "close in sent", "reset in body", "close in answer",
        "Connection: close")]
    for name, fault, kinds in rows:
        what = "%s of %s over TLS" % (name, "+".join(kinds))
        w.proxy.rules(*rules_for(fault, kinds))
        status, err = w.backup("web")
        missed = w.unfired()
        checks.check("%s: a backup gets over it" % what, status == 0 and
                     not missed, "exit %d: %s %s" % (status, err, missed))
        w.nothing_left(what)
    one = w.ceph.run + "/tls/server."
    other = os.path.join(w.gw.dir, "other.")
    for subject, extra, code in (
            ("localhost", ["-CA", w.ceph.ca, "-CAkey",
                           w.ceph.run + "/tls/ca.key"], 0),
            ("Somebody else", [], 13)):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
             other + "key", "-out", other + "pem", "-days", "2", "-subj",
             "/CN=" + subject, "-addext", "subjectAltName=IP:127.0.0.1",
             "-addext", "basicConstraints=critical,CA:FALSE", *extra],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        w.proxy.certificate(other + "pem", other + "key")
        w.proxy.log_clear()
        status, err = w.backup("tiny")
        if code:
            checks.check("a certificate of another CA: exit 13, one sentence",
                         status == 13 and gwcase.one_sentence(
                             err, "acme", "tiny", "certificate"),
                         "exit %d: %s" % (status, err))
            checks.same("and no request is sent", w.proxy.log(), [])
        else:
            checks.check("another certificate of the same CA is taken",
                         status == 0, "exit %d: %s" % (status, err))
        w.proxy.certificate(one + "pem", one + "key")
        w.nothing_left("a certificate of %s" % subject)
    w.well("tiny", "the certificate is the old one again")


def another_time(w):
    """The store's clock is off, and goes off while it is used."""
    for seconds in (3600, -7200):
        what = "the store is %d s ahead" % seconds
        w.proxy.skew(seconds)
        status, err, digest = w.restored("tiny")
        checks.check(what + ": a restore succeeds", status == 0 and
                     digest == w.newest["tiny"]["0"], "exit %d: %s" % (
                         status, err))
        # Points are ordered by time: who is not sure of it writes none.
        status, err = w.backup("tiny")
        checks.check(what + ": a backup says so (7)", status == 7 and
                     gwcase.one_sentence(err, "acme", "tiny", "clock"),
                     "exit %d: %s" % (status, err))
        w.nothing_left(what)
    w.proxy.skew(200)
    w.well("tiny", "the store is 200 s ahead")
    w.proxy.skew(0)
    w.well("tiny", "the clocks agree again")
    checks.check("a clock that is off is said",
                 "s3_clock_skew" in w.gw.logged(), "")


def patient(ceph):
    """Faults that pass, and such as are told at once."""
    with Running(ceph, "patient", store_request="1 s",
                 store_retry="20 s") as w:
        w.set_up()
        for test in (passing, refusals, reading, aborting, strays, probing):
            if set(ONLY) <= {"patient"} or test.__name__ in ONLY:
                timed(test, w)
        timed(w.judge_all, "patient")
        return w.combinations


def secure(ceph):
    """TLS, and clocks."""
    with Running(ceph, "secure", tls=True, store_request="1 s",
                 store_retry="20 s") as w:
        w.set_up()
        for test in (over_tls, another_time):
            timed(test, w)
            w.proxy.clear()
        timed(w.judge_all, "secure")
        return w.combinations


def impatient(ceph):
    """Faults that do not."""
    with Running(ceph, "impatient", store_request="1 s",
                 store_retry="3 s") as w:
        w.set_up()
        timed(staying_down, w)
        w.proxy.clear()
        timed(w.judge_all, "impatient")
        return w.combinations


ONLY = sys.argv[1:]


def run_group(group, ceph, counts):
    counts.append(group(ceph))


def main():
    begun = time.monotonic()
    counts = []
    with cephlib.Ceph() as ceph:
        groups = (patient, secure, impatient)
        inside = set(ONLY) - {g.__name__ for g in groups}
        for group in groups:
            if ONLY and group.__name__ not in ONLY and not (
                    group is patient and inside):
                continue
            checks.run(group.__name__, run_group, group, ceph, counts)
    print("# %d combinations of request and fault%s, %.0f s" % (
        sum(counts), "" if ALL else " (CAIRN_STORES=all: each by itself)",
        time.monotonic() - begun))
    checks.finish()


main()
