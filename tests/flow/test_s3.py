#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our S3 client against servers that we did not write, and its work judged by
clients that we did not write: Ceph over http and https, Swift; boto3, libs3.
Needs CAIRN_BUILD (default: build/)."""
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import cephlib
from cephlib import (Between, Ceph, Cases, Sink, Swift, credentials, holds,
                     same, tool)

MIB = 1 << 20
cases = Cases()
rng = random.Random(20261120)
BIG = rng.randbytes(2 * 16 * MIB + 777777)
SMALL = b'{"format":1}'


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Vault:
    """A bucket and prefix, by s3tool and by boto3."""

    def __init__(self, server, bucket, endpoint=None, options=(), cred=None):
        self.server, self.bucket = server, bucket
        self.prefix = "va/ult"
        self.boto = server.boto()
        self.cred = cred or credentials(cases.path("cred-" + server.kind),
                                        server.key, server.secret)
        self.endpoint = endpoint or server.http
        self.options = list(options)

    def __call__(self, *args, more=(), cred=None, bucket=None, endpoint=None):
        return tool("--endpoint", endpoint or self.endpoint,
                    "--bucket", bucket or self.bucket,
                    "--prefix", self.prefix,
                    "--credentials", cred or self.cred, *self.options,
                    *more, *args)

    def good(self, *args, **kw):
        out = self(*args, **kw)
        same(args[0], out["code"], "ok")
        return out

    def body(self, name):
        return self.boto.get_object(Bucket=self.bucket,
                                    Key=self.prefix + "/" + name)["Body"].read()

    def uploads(self):
        return self.boto.list_multipart_uploads(
            Bucket=self.bucket).get("Uploads", [])


# ---- what must work at any server ----

def small_objects(v):
    path = cases.file("small", SMALL)
    out = v.good("put", "format", path)
    same("requests", out["requests"], 1)
    same("sent", out["sent"], len(SMALL))
    same("bytes by boto3", v.body("format"), SMALL)
    out = v.good("head", "format")
    same("head", out["bytes"], len(SMALL))
    holds("the store's date", abs(out["date_ms"] / 1000 - time.time()) < 60)
    v.good("get", "format", cases.path("out"))
    same("get", cases.read("out"), SMALL)
    v.good("remove", "format")
    same("head", v("head", "format")["code"], "not_found")
    v.good("remove", "format")
    out = v("get", "format", cases.path("out"))
    same("get", out["code"], "not_found")
    holds("names bucket and object: " + out["error"],
          v.bucket in out["error"] and "va/ult/format" in out["error"])


def an_empty_object(v):
    v.good("put", "empty", cases.file("empty", b""))
    same("bytes by boto3", v.body("empty"), b"")
    v.good("get", "empty", cases.path("out"))
    same("get", cases.read("out"), b"")
    out = v.good("get", "empty", cases.path("out"), "-64")
    same("the last 64 of nothing", out["got"], 0)
    v.good("remove", "empty")


def an_upload_in_parts(v):
    path = cases.file("big", BIG)
    out = v.good("upload", "packs/ab/one", path)
    same("requests: create, 3 parts, complete", out["requests"], 5)
    same("bytes", out["bytes"], len(BIG))
    head = v.boto.head_object(Bucket=v.bucket, Key="va/ult/packs/ab/one")
    same("size by boto3", head["ContentLength"], len(BIG))
    same("SHA-256 by boto3", sha(v.body("packs/ab/one")), sha(BIG))
    same("uploads left", v.uploads(), [])
    for number in (1, 2, 3):
        at = (number - 1) * 16 * MIB
        part = v.boto.get_object(
            Bucket=v.bucket, Key="va/ult/packs/ab/one",
            Range="bytes=%d-%d" % (at, at + 16 * MIB - 1))["Body"].read()
        same("part %d" % number, sha(part), sha(BIG[at:at + 16 * MIB]))


def reads_of_ranges(v):
    size = len(BIG)
    for args, want in (
            ((), BIG),
            (("0", "1"), BIG[:1]),
            (("16777215", "2"), BIG[16777215:16777217]),
            (("1000",), BIG[1000:]),
            ((str(size - 1), "500"), BIG[-1:]),
            (("-64",), BIG[-64:]),
            (("-999999999",), BIG)):
        out = v.good("get", "packs/ab/one", cases.path("out"), *args)
        same("whole object", out["whole"], size)
        same("bytes of %s" % (args,), sha(cases.read("out")), sha(want))
        same("requests", out["requests"], 1)
    out = v("get", "packs/ab/one", cases.path("out"), str(size), "1")
    same("behind the end", out["code"], "protocol")
    out = v.good("get", "packs/ab/one", cases.path("out"),
                 more=["--pause-every", "97"])
    same("with pauses", sha(cases.read("out")), sha(BIG))


def a_listing_of_many(v):
    path = cases.file("small", SMALL)
    v.good("puts", "points/%s/n" % ("0" * 32), path, "1203")
    for name in ("points.x", "points-x", "points0"):
        v.good("put", name, path)
    v.boto.put_object(Bucket=v.bucket, Key="va/ultra", Body=b"")
    v.boto.put_object(Bucket=v.bucket, Key="va/ult/not ours+&", Body=b"")
    out = v.good("list", "")
    keys = []
    for page in v.boto.get_paginator("list_objects_v2").paginate(
            Bucket=v.bucket, Prefix="va/ult/"):
        keys += [o["Key"] for o in page["Contents"]]
    names = [n for n, _ in out["names"]]
    want = sorted(k[len("va/ult/"):] for k in keys if "not ours" not in k)
    same("names", names, want)
    same("pages", out["lists"], 2)
    same("requests", out["requests"], 2)
    out = v.good("list", "points/", "points/%s/n%05d" % ("0" * 32, 1200))
    same("after a name", [n for n, _ in out["names"]],
         ["points/%s/n%05d" % ("0" * 32, i) for i in (1201, 1202)])
    same("none", v.good("list", "nothing/")["names"], [])


def what_a_dead_process_left(v):
    path = cases.file("big", BIG)
    left = v.good("upload", "packs/00/left", path, more=["--leave-open"])
    same("seen by boto3", [u["UploadId"] for u in v.uploads()],
         [left["upload"]])
    same("seen by us", v.good("uploads", "packs/")["names"],
         [["packs/00/left", left["upload"]]])
    same("of another prefix", v.good("uploads", "maps/")["names"], [])
    v.good("abort", "packs/00/left", left["upload"])
    same("uploads", v.uploads(), [])
    v.good("abort", "packs/00/left", left["upload"])
    v.good("upload", "packs/00/left", path, more=["--abort"])
    same("uploads", v.uploads(), [])
    same("head", v("head", "packs/00/left")["code"], "not_found")


def wrong_secrets(v):
    bad = credentials(cases.path("bad"), v.server.key, "x" * 40)
    unknown = credentials(cases.path("unknown"), "NOBODY0000000000000", "y")
    path = cases.file("small", SMALL)
    for cred in (bad, unknown):
        for args in (("put", "x", path), ("list", ""), ("head", "x"),
                     ("upload", "x", path)):
            out = v(*args, cred=cred)
            same("%s %s" % args[:2], out["code"], "denied")
            same("tries", out["requests"], 1)
            holds("no secret in " + out["error"], "xxxx" not in out["error"])


def a_bucket_that_is_not_there(v):
    for args in (("list", ""), ("put", "x", cases.file("small", SMALL))):
        out = v(*args, bucket="no-such-bucket")
        same(args[0], out["code"], "remote")
        holds(out["error"], "NoSuchBucket" in out["error"])


def a_late_clock(v):
    out = v.good("list", "none/", more=["--clock", "1500"])
    same("requests", out["requests"], 2)
    holds("skew", 1490000 < out["skew_ms"] < 1510000)
    same("said once", out["stderr"].count("s3_clock_skew"), 1)


# ---- Ceph alone ----

def only_if_absent(v):
    path = cases.file("small", SMALL)
    v.good("put", "once", path, more=["--if-absent"])
    other = cases.file("other", b"other")
    out = v("put", "once", other, more=["--if-absent"])
    same("second", out["code"], "conflict")
    same("bytes by boto3", v.body("once"), SMALL)
    v.good("remove", "once")


def libs3_reads_it_back(v):
    port = v.server.env["HTTP"]
    env = dict(os.environ, S3_ACCESS_KEY_ID=v.server.key,
               S3_SECRET_ACCESS_KEY=v.server.secret,
               S3_HOSTNAME="127.0.0.1:" + port)
    out = cases.path("libs3")
    if os.path.exists(out):
        os.unlink(out)
    subprocess.run(["s3", "-u", "get", v.bucket + "/va/ult/packs/ab/one",
                    "filename=" + out], env=env, check=True,
                   stdout=subprocess.DEVNULL, timeout=60)
    same("bytes by libs3", sha(cases.read("libs3")), sha(BIG))


def somebody_elses_bucket(v):
    bob = credentials(cases.path("bob"), v.server.env["BOB_KEY"],
                      v.server.env["BOB_SECRET"])
    path = cases.file("big", BIG)
    for args in (("list", ""), ("put", "x", path), ("upload", "x", path),
                 ("get", "packs/ab/one", cases.path("out"))):
        out = v(*args, cred=bob)
        same(args[0], out["code"], "denied")
        holds(out["error"], "AccessDenied" in out["error"])
    same("uploads", v.uploads(), [])


def session_tokens(v):
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/alice"]},
         "Action": ["sts:AssumeRole"]}]}
    allow = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:*"],
         "Resource": "arn:aws:s3:::*"}]}
    v.server.admin("caps", "add", "--uid=alice", "--caps=roles=*")
    v.server.admin("role", "create", "--role-name=R1", "--path=/",
                   "--assume-role-policy-doc=" + json.dumps(trust))
    v.server.admin("role-policy", "put", "--role-name=R1", "--policy-name=p",
                   "--policy-doc=" + json.dumps(allow))
    got = v.server.boto(service="sts").assume_role(
        RoleArn="arn:aws:iam:::role/R1", RoleSessionName="test",
        DurationSeconds=900)["Credentials"]
    good = credentials(cases.path("sts"), got["AccessKeyId"],
                       got["SecretAccessKey"], got["SessionToken"])
    v.good("head", "packs/ab/one", cred=good)
    v.good("put", "by-role", cases.file("small", SMALL), cred=good)
    v.good("get", "by-role", cases.path("out"), cred=good)
    same("bytes", cases.read("out"), SMALL)
    token = got["SessionToken"]
    altered = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    for name, t, code in (("without", None, "denied"),
                          ("cut off", token[:100], "denied"),
                          ("altered", altered, "remote")):
        cred = credentials(cases.path("sts"), got["AccessKeyId"],
                           got["SecretAccessKey"], t)
        out = v("list", "", cred=cred)
        same(name, out["code"], code)
        holds("no token in the sentence", token[:20] not in out["error"])
    v.good("remove", "by-role")


def https_trusts_nobody_else(v):
    other = cases.path("other-ca")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    os.devnull, "-out", other, "-subj", "/CN=other",
                    "-days", "2"], check=True, stderr=subprocess.DEVNULL)
    path = cases.file("big", BIG)
    base = ["--bucket", v.bucket, "--credentials", v.cred]
    before = v.server.log().count("PUT /")
    out = tool("--endpoint", v.server.https, "--ca", other, *base,
               "put", "x", path)
    same("another CA", out["code"], "unreachable")
    same("tries", out["requests"], 1)
    same("bytes sent", out["sent"], 0)
    out = tool("--endpoint", "https://else.where:" + v.server.env["HTTPS"],
               "--connect-to", "127.0.0.1:" + v.server.env["HTTPS"], "--ca",
               v.server.ca, *base, "put", "x", path)
    same("another name", out["code"], "unreachable")
    same("bytes sent", out["sent"], 0)
    same("seen by the server", v.server.log().count("PUT /"), before)


def the_bucket_in_the_host_name(v):
    for scheme, port in (("http", "HTTP"), ("https", "HTTPS")):
        port = v.server.env[port]
        out = tool("--endpoint", "%s://s3.localhost:%s" % (scheme, port),
                   "--connect-to", "127.0.0.1:" + port, "--host-style",
                   "--ca", v.server.ca, "--bucket", v.bucket, "--prefix",
                   "va/ult", "--credentials", v.cred, "get", "packs/ab/one",
                   cases.path("out"))
        same("code", out["code"], "ok")
        same("bytes", sha(cases.read("out")), sha(BIG))


def payloads_unsigned_and_with_checksums(v):
    path = cases.file("big", BIG)
    for option in ("--unsigned", "--checksums"):
        v.good("upload", "packs/ab/two", path, more=[option])
        same(option, sha(v.body("packs/ab/two")), sha(BIG))
        v.good("put", "three", path, more=[option])
        same(option, sha(v.body("three")), sha(BIG))
    v.good("remove", "packs/ab/two")
    v.good("remove", "three")


def storage_classes(v):
    path = cases.file("small", SMALL)
    v.good("put", "class", path, more=["--class", "STANDARD"])
    out = v("put", "class", path, more=["--class", "NO_SUCH_CLASS"])
    same("unknown class", out["code"], "remote")
    same("tries", out["requests"], 1)
    v.good("remove", "class")


def retention(server, cred):
    boto = server.boto()
    boto.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    v = Vault(server, "locked", cred=cred)
    out = v.good("probe", more=["--lock", "governance"])
    same("what Ceph can do", {k: out[k] for k in (
        "if_absent", "lists_at_once", "lock_on_put", "lock_on_create",
        "lock_by_call", "versioned")},
        dict(if_absent=False, lists_at_once=True, lock_on_put=True,
             lock_on_create=False, lock_by_call=True, versioned=True))
    left = boto.list_object_versions(Bucket="locked")
    same("left by the probe",
         [x["Key"] for x in left.get("Versions", [])
          + left.get("DeleteMarkers", [])], [])
    same("uploads left by the probe", v.uploads(), [])

    # Ceph 16 looks at If-None-Match only where there are no versions
    path = cases.file("small", SMALL)
    for _ in range(2):
        v.good("put", "twice", path, more=["--if-absent"])
    same("versions by boto3", len(boto.list_object_versions(
        Bucket="locked", Prefix="va/ult/twice")["Versions"]), 2)

    until = int(time.time()) + 3600
    lock = ["--lock", "compliance", "--until", until]
    put = v.good("put", "points/a", path, more=lock)
    holds("a version", put["version"])
    got = boto.get_object_retention(Bucket="locked", Key="va/ult/points/a")
    same("mode by boto3", got["Retention"]["Mode"], "COMPLIANCE")
    same("date by boto3",
         int(got["Retention"]["RetainUntilDate"].timestamp()), until)
    same("date by us", v.good("head", "points/a")["retain_until_ms"],
         until * 1000)

    up = v.good("upload", "packs/01/p", cases.file("big", BIG), more=lock)
    same("Ceph ignores it on create",
         v.good("head", "packs/01/p")["retain_until_ms"], 0)
    v.good("retain", "packs/01/p", up["version"],
           more=["--lock", "governance", "--until", until])
    same("by a call", v.good("head", "packs/01/p")["retain_until_ms"],
         until * 1000)
    out = v("retain", "points/a", put["version"],
            more=["--lock", "compliance", "--until", until - 1800])
    same("shorter", out["code"], "denied")


def a_probe_without_lock(v):
    out = v.good("probe")
    same("if_absent", out["if_absent"], True)
    same("versioned", out["versioned"], False)
    out = v.good("probe", more=["--lock", "compliance"])
    same("locks", [out["lock_on_put"], out["lock_on_create"],
                   out["lock_by_call"]], [False, False, False])
    same("left", v.good("list", "probe/")["names"], [])
    same("uploads left", v.uploads(), [])


# ---- failures on the way ----

def a_get_goes_on_where_it_broke(v):
    port = int(v.server.env["HTTP"])
    rules = [("down", 5000000, 1, "rst"), ("down", 7000001, 2, "fin"),
             ("down", 200, 3, "rst")]
    with Between(port, rules) as proxy:
        out = v.good("get", "packs/ab/one", cases.path("out"),
                     endpoint=proxy.url)
        same("bytes", sha(cases.read("out")), sha(BIG))
        same("requests", out["requests"], 4)
        holds("no byte twice", out["received"] <= len(BIG))
        same("connections", proxy.count, 4)


def an_upload_survives_broken_connections(v):
    port = int(v.server.env["HTTP"])
    path = cases.file("big", BIG)
    rules = [("up", 3000000, 2, "rst"), ("up", 1000000, 3, "fin")]
    with Between(port, rules) as proxy:
        out = v.good("upload", "packs/ab/broken", path, endpoint=proxy.url)
        holds("some requests twice: %d" % out["requests"],
              out["requests"] > 5)
    same("bytes", sha(v.body("packs/ab/broken")), sha(BIG))
    same("uploads left", v.uploads(), [])
    v.good("remove", "packs/ab/broken")


def a_lost_answer_is_not_a_conflict(v):
    port = int(v.server.env["HTTP"])
    path = cases.file("small", SMALL)
    with Between(port, [("down", 20, 1, "rst")]) as proxy:
        out = v.good("put", "lost", path, endpoint=proxy.url,
                     more=["--if-absent"])
        same("PUT, PUT again, HEAD", out["requests"], 3)
    same("bytes", v.body("lost"), SMALL)
    other = cases.file("other", SMALL[::-1])  # as long, and not the same
    with Between(port, [("down", 20, 1, "rst")]) as proxy:
        out = v("put", "lost", other, endpoint=proxy.url,
                more=["--if-absent"])
        same("another's object", out["code"], "conflict")
    same("bytes", v.body("lost"), SMALL)
    v.good("remove", "lost")


def nobody_listens(v):
    with Between(1, []) as proxy:
        url = proxy.url
    out = v("list", "", endpoint=url)
    same("code", out["code"], "unreachable")
    same("tries", out["requests"], 3)
    holds("soon: %.1f s" % out["seconds"], out["seconds"] < 10)


def a_store_that_hangs(v):
    osd = v.server.pid("osd.0")
    os.kill(osd, signal.SIGSTOP)
    try:
        out = v("put", "hang", cases.file("small", SMALL),
                more=["--timeout-ms", "700", "--tries", "2"])
    finally:
        os.kill(osd, signal.SIGCONT)
    same("code", out["code"], "timeout")
    same("tries", out["requests"], 2)
    v.good("put", "hang", cases.file("small", SMALL))
    v.good("remove", "hang")


def a_full_quota(v):
    admin = v.server.admin
    admin("quota", "set", "--quota-scope=user", "--uid=alice", "--max-size=1M")
    admin("quota", "enable", "--quota-scope=user", "--uid=alice")
    try:
        path = cases.file("big", BIG)
        out = v("put", "over", path)
        same("PUT", out["code"], "quota")
        out = v("upload", "over", path)
        same("upload", out["code"], "quota")
        same("aborted", v.uploads(), [])
    finally:
        admin("quota", "disable", "--quota-scope=user", "--uid=alice")


def a_busy_server_is_waited_for():
    with Ceph(MAXREQ="2") as server:
        server.boto().create_bucket(Bucket="busy")
        v = Vault(server, "busy", cred=credentials(
            cases.path("busy"), server.key, server.secret))
        path = cases.file("eight", BIG[:8 * MIB])
        out = v.good("puts", "n", path, "12", more=["--at-once", "12"])
        holds("it refused some: %d requests" % out["requests"],
              out["requests"] > 12)
        holds("SlowDown was seen by the server", " 503 " in server.log())
        for i in range(12):
            same("object %d" % i, sha(v.body("n%05d" % i)), sha(BIG[:8 * MIB]))


# ---- Swift alone ----

def swift_knows_no_conditions(v):
    out = v("put", "once", cases.file("small", SMALL), more=["--if-absent"])
    same("code", out["code"], "remote")
    same("status", out["status"], 501)
    out = v.good("probe")
    same("if_absent", out["if_absent"], False)
    same("lists_at_once", out["lists_at_once"], True)
    same("left", v.good("list", "probe/")["names"], [])


def the_region_is_learnt_where_none_was_given(v):
    out = v.good("list", "none/")
    same("region", out["region"], "cairn-7")
    same("requests", out["requests"], 2)
    out = v("list", "none/", more=["--region", "us-west-9"])
    same("a wrong one", out["code"], "argument")
    holds(out["error"], "cairn-7" in out["error"]
          and "us-west-9" in out["error"])


# ---- the signer alone ----

def botocore_signs_the_same():
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from urllib.parse import quote

    letters = "abzAZ09-._~/ !$&'()*+,;=:@[]%\"<>?#äß€😀\\^`{|}"
    word = lambda least, most: "".join(
        rng.choice(letters) for _ in range(rng.randint(least, most)))
    lines, want = [], []
    for _ in range(600):
        key = word(1, 40).lstrip("/")
        query = {}
        for _ in range(rng.randint(0, 6)):
            query[word(1, 8)] = word(0, 12)
        when = time.gmtime(rng.randint(1500000000, 2500000000))
        stamp = time.strftime("%Y%m%dT%H%M%SZ", when)
        payload = rng.choice([sha(word(0, 9).encode()), "UNSIGNED-PAYLOAD"])
        headers = {"host": "h%d.example:%d" % (rng.randint(0, 9),
                                               rng.randint(1000, 9999)),
                   "x-amz-date": stamp, "x-amz-content-sha256": payload}
        for i in range(rng.randint(0, 5)):
            headers[rng.choice(["x-amz-meta-%d", "x-amz-a%d", "x-amz-%d-b",
                                "range%d"]) % i] = "  ".join(
                rng.choice(["a", "bc", "\"e\"", "*", "d=1,2"])
                for _ in range(rng.randint(1, 3)))
        region = rng.choice(["us-east-1", "eu-central-1", "x"])
        secret = "".join(rng.choice("abcDEF+/0") for _ in range(40))
        lines.append(json.dumps(dict(
            method=rng.choice(["GET", "PUT"]), key=key,
            query=[[k, q] for k, q in query.items()],
            headers=[[k, h] for k, h in headers.items()], payload=payload,
            time_ms=int(__import__("calendar").timegm(when)) * 1000,
            region=region, access="AKID", secret=secret)))
        request = AWSRequest(
            method=json.loads(lines[-1])["method"],
            url="https://" + headers["host"] + "/" + quote(key, safe="/~"),
            params=query, headers={k: h for k, h in headers.items()
                                   if k != "host"})
        request.context["timestamp"] = stamp
        auth = S3SigV4Auth(Credentials("AKID", secret), "s3", region)
        canonical = auth.canonical_request(request)
        signature = auth.signature(auth.string_to_sign(request, canonical),
                                   request)
        want.append((signature, canonical))
    done = subprocess.run([os.path.join(cephlib.BUILD, "tests", "s3sign")],
                          input="\n".join(lines) + "\n", text=True,
                          stdout=subprocess.PIPE, check=True)
    got = [json.loads(line) for line in done.stdout.splitlines()]
    same("answers", len(got), len(want))
    for line, g, (signature, canonical) in zip(lines, got, want):
        if not g["authorization"].endswith("Signature=" + signature):
            raise AssertionError("%s: %r is not botocore's %r" % (
                line, g, canonical))


def at_any_server(v, label):
    for case in (small_objects, an_empty_object, an_upload_in_parts,
                 reads_of_ranges, a_listing_of_many, what_a_dead_process_left,
                 wrong_secrets, a_bucket_that_is_not_there, a_late_clock):
        cases.run(case, v, name="%s_%s" % (label, case.__name__))


def at_ceph():
    with Ceph() as ceph:
        boto = ceph.boto()
        for name in ("plain", "secure"):
            boto.create_bucket(Bucket=name)
        plain = Vault(ceph, "plain")
        secure = Vault(ceph, "secure", endpoint=ceph.https,
                       options=["--ca", ceph.ca])
        at_any_server(plain, "ceph_http")
        at_any_server(secure, "ceph_https")
        for case in (only_if_absent, libs3_reads_it_back,
                     somebody_elses_bucket, session_tokens,
                     https_trusts_nobody_else, the_bucket_in_the_host_name,
                     storage_classes, a_probe_without_lock,
                     a_get_goes_on_where_it_broke,
                     an_upload_survives_broken_connections,
                     a_lost_answer_is_not_a_conflict, nobody_listens,
                     a_store_that_hangs, a_full_quota):
            cases.run(case, plain)
        cases.run(payloads_unsigned_and_with_checksums, secure)
        cases.run(retention, ceph, plain.cred)


def at_swift():
    with Swift() as swift:
        swift.boto().create_bucket(Bucket="plain")
        v = Vault(swift, "plain")
        at_any_server(v, "swift")
        cases.run(swift_knows_no_conditions, v)
    with Swift(LOCATION="cairn-7") as swift:
        swift.boto(region="cairn-7").create_bucket(
            Bucket="far", CreateBucketConfiguration={
                "LocationConstraint": "cairn-7"})
        cases.run(the_region_is_learnt_where_none_was_given,
                  Vault(swift, "far"))


def the_sink_is_a_server():
    """What benchmarks write to keeps what it is given, and counts it."""
    with Sink() as sink:
        v = Vault(sink, "sunk")
        for case in (small_objects, an_empty_object, an_upload_in_parts,
                     reads_of_ranges, a_listing_of_many,
                     what_a_dead_process_left, only_if_absent):
            case(v)
        before = sink.stats()
        v.good("upload", "packs/ab/count", cases.file("big", BIG))
        after = sink.stats()
        for kind, n in (("create", 1), ("part", 3), ("complete", 1),
                        ("put", 0), ("list", 0)):
            same(kind, after[kind] - before[kind], n)
        got = after["received"] - before["received"]
        holds("bytes: %d" % got, len(BIG) < got < len(BIG) + 2000)
    same("status", sink.status, 0)


def main():
    cases.run(botocore_signs_the_same)
    cases.run(the_sink_is_a_server)
    cases.run(a_busy_server_is_waited_for)
    for part in (at_ceph, at_swift):
        try:
            part()
        except Exception as e:
            cases.failed += 1
            print("not ok %s: %s" % (part.__name__, " ".join(str(e).split())))
    return cases.end()


sys.exit(main())
