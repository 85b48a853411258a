#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Vaults in object stores that we did not write: VMs leave a pool for Ceph and
Swift and come back, judged by boto3, libs3, the independent reader and
cairn-restore; and what the store refuses ends in one sentence, with nothing
left in the pool or in the bucket."""
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()
PIECE = 16 * MIB
PREFIX = "back/up"


class Bucket:
    """A vault's place at a server, seen through boto3."""

    def __init__(self, server, name, endpoint, ca=None, key=None, secret=None,
                 make=True):
        self.server, self.name = server, name
        self.endpoint, self.ca = endpoint, ca
        self.url = "s3://%s/%s" % (name, PREFIX)
        self.boto = server.boto(key, secret)
        if make:
            self.boto.create_bucket(Bucket=name)

    def options(self, gw, key=None, secret=None, ca=None):
        """What cairn and cairn-restore have to be told beside the URL."""
        path = cephlib.credentials(
            os.path.join(gw.dir, "credentials-" + self.name),
            key or self.server.key, secret or self.server.secret)
        more = ["--endpoint", self.endpoint, "--credentials-file", path]
        if ca or self.ca:
            more += ["--ca", ca or self.ca]
        return more

    def keys(self, below=""):
        """{name in the vault: size}"""
        found = {}
        for page in self.boto.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=PREFIX + "/" + below):
            for o in page.get("Contents", []):
                found[o["Key"][len(PREFIX) + 1:]] = o["Size"]
        return found

    def body(self, name):
        return self.boto.get_object(Bucket=self.name, Key="%s/%s" % (
            PREFIX, name))["Body"].read()

    def uploads(self):
        return [u["Key"] for u in self.boto.list_multipart_uploads(
            Bucket=self.name).get("Uploads", [])]

    def download(self, folder):
        for name in self.keys():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(self.body(name))
        return folder


def world(megabytes):
    return gwcase.two_pools(gwcase.vm(
        "web", {"size": megabytes * MIB, "fill": "random"},
        {"size": 5 * MIB + 512, "fill": "marked"}))


# --- there and back ----------------------------------------------------------


def journey(label, bucket, megabytes, aside=None):
    """A VM goes into the bucket twice and comes back by every way."""
    with simlib.Sim(world(megabytes)) as sim, gwlib.Gateway() as gw:
        options = bucket.options(gw)
        key = gwcase.set_up(gw, sim, url=bucket.url, vault_args=options)
        wanted = gwcase.digests(sim, "paris", "web")
        gw.ok("backup", "web")
        result = gwcase.last_job(gw)["result"]
        checks.check(label + ": a first backup stores all that is not zero",
                     result["new_bytes"] >= megabytes * MIB and
                     result["packs"] >= megabytes / 64, result)
        gw.ok("backup", "web")
        result = gwcase.last_job(gw)["result"]
        checks.same(label + ": a second one of an unchanged VM stores no pack",
                    (result["new_bytes"], result["packs"]), (0, 0))
        checks.check(label + ": and needs at most 10 requests beside listings",
                     result["requests"] - result["listings"] <= 10, result)
        checks.same(label + ": no multipart upload is open, no snapshot left",
                    (bucket.uploads(), gwcase.left_behind(gw, sim)), ([], []))
        packs_hold(label, bucket)
        if aside:
            aside(bucket)
        folder = bucket.download(os.path.join(gw.dir, "copy"))
        points = gwcase.read_points(gw, key, folder)
        checks.same(label + ": the independent reader restores each point",
                    list(points.values()), [wanted, wanted])
        shutil.rmtree(folder)
        gw.ok("restore", "web@latest", "--pool", "rome", "--sr", SR,
              "--network", "0=lan", "--name", "copy")
        sizes = gwcase.disk_files(sim, "paris", "web")
        got = {device: gwcase.digest(file, sizes[device][1]) for device,
               (file, _) in gwcase.disk_files(sim, "rome", "copy").items()}
        checks.same(label + ": a restore to a pool gives the disks back", got,
                    wanted)
        raw = os.path.join(gw.dir, "disk.raw")
        gw.ok("restore", "web@latest", "--disk", "0", "--output", raw)
        checks.same(label + ": a restore to a file too", gwcase.digest(raw),
                    wanted["0"])
        gw.stop()
        without_gateway(label, gw, bucket, key, options, wanted)


def without_gateway(label, gw, bucket, key, options, wanted):
    def tool(*args):
        done = subprocess.run(
            [gwlib.program("cairn-restore"), "--vault", bucket.url,
             "--key-file", key, *options, *args], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout
    raw = os.path.join(gw.dir, "alone.raw")
    status, out = tool("disk", "web@latest", "0", "--output", raw)
    checks.check(label + ": cairn-restore gives a disk back", status == 0 and
                 gwcase.digest(raw) == wanted["0"], out)
    status, out = tool("verify")
    checks.check(label + ": cairn-restore verifies", status == 0, out)
    status, out = tool("list", "--json")
    checks.check(label + ": cairn-restore lists both points",
                 status == 0 and out.count('"web"') == 2, out)


def packs_hold(label, bucket):
    """What docs/format.md section 2 says of every pack, without any key."""
    names = [n for n in bucket.keys() if n.startswith(("packs/", "maps/"))]
    odd, wrong, parts = [], [], []
    for name in names:
        raw = bucket.body(name)
        if len(raw) % 65536 or not raw:
            odd.append((name, len(raw)))
        toc, _, _, digest, magic = struct.unpack("<QII32s8s", raw[-64:-8])
        outer = hashlib.sha256()
        for at in range(0, toc, PIECE):
            outer.update(hashlib.sha256(
                raw[at:min(at + PIECE, toc)]).digest())
        if magic != b"CAIRNPKE" or outer.digest() != digest:
            wrong.append(name)
        tag = bucket.boto.head_object(Bucket=bucket.name, Key="%s/%s" % (
            PREFIX, name))["ETag"].strip('"')
        # The ETag of a multipart upload ends in its number of parts.
        if bucket.server.kind == "rgw" and len(raw) > PIECE:
            parts.append((-(-len(raw) // PIECE), int(tag.split("-")[1])))
    checks.check(label + ": there are packs, all multiples of 64 KiB, none "
                 "over 64 MiB", names and not odd and
                 max(bucket.keys().values()) <= 64 * MIB, odd)
    checks.same(label + ": the pieces of each fold to the digest in its tail",
                wrong, [])
    checks.check(label + ": they were sent in parts of 16 MiB",
                 all(a == b for a, b in parts), parts)


def libs3_agrees(bucket):
    packs = bucket.keys("packs/")
    name = max(packs, key=packs.get)
    out = os.path.join("/tmp", "cairn-libs3-%d" % os.getpid())
    try:
        subprocess.run(
            ["s3", "-u", "get", "%s/%s/%s" % (bucket.name, PREFIX, name),
             "filename=" + out], check=True, stdout=subprocess.DEVNULL,
            env=dict(os.environ, S3_ACCESS_KEY_ID=bucket.server.key,
                     S3_SECRET_ACCESS_KEY=bucket.server.secret,
                     S3_HOSTNAME=bucket.server.http[7:]), timeout=120)
        checks.same("libs3 reads a pack byte for byte as boto3 does",
                    gwcase.digest(out),
                    hashlib.sha256(bucket.body(name)).hexdigest())
    finally:
        if os.path.exists(out):
            os.unlink(out)


# --- what a store refuses ----------------------------------------------------


class Impostor:
    """A TLS server for 127.0.0.1 whose certificate another CA has signed."""

    def __init__(self, folder):
        self.ca = os.path.join(folder, "impostor.pem")
        key = os.path.join(folder, "impostor.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
             self.ca, "-days", "2", "-subj", "/CN=Somebody else", "-addext",
             "subjectAltName=IP:127.0.0.1"], check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.bytes = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(plain, server_side=True) as s:
                    self.bytes += len(s.recv(65536))
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def adding(ceph):
    """A vault that cannot be used is refused when it is added."""
    theirs = Bucket(ceph, "bobs", ceph.http, key=ceph.env["BOB_KEY"],
                    secret=ceph.env["BOB_SECRET"])
    mine = Bucket(ceph, "mine", ceph.https, ceph.ca)
    none = Bucket(ceph, "nothing-here", ceph.http, make=False)
    with gwlib.Gateway(store_request="3 s", store_retry="4 s") as gw, \
            Impostor(gw.dir) as impostor:
        gw.ok("tenant", "add", "acme")
        with socket.create_server(("127.0.0.1", 0)) as s:
            closed = s.getsockname()[1]
        silent = Bucket(ceph, "mine", "http://127.0.0.1:%d" % closed,
                        make=False)
        for what, bucket, how, code, words in (
                ("a bucket that is not there", none, {}, 10,
                 ["nothing-here", "NoSuchBucket"]),
                ("a wrong secret", mine, {"secret": "wrong"}, 5,
                 ["mine", "AccessDenied"]),
                ("an unknown access key", mine, {"key": "NOBODY"}, 5,
                 ["mine", "AccessDenied"]),
                ("somebody else's bucket", theirs, {}, 5,
                 ["bobs", "AccessDenied"]),
                ("another CA", mine, {"ca": impostor.ca}, 13,
                 ["mine", "certificate"]),
                ("a port where nobody listens", silent, {}, 13,
                 ["127.0.0.1:%d" % closed])):
            key = os.path.join(gw.dir, "key")
            status, out, err = gw.run(
                "vault", "add", "main", "--tenant", "acme", "--url",
                bucket.url, "--recovery-out", key,
                *bucket.options(gw, **how))
            checks.check("vault add with %s is refused (%d), in one sentence"
                         % (what, code), status == code and
                         all(w in err for w in words) and
                         err.strip().count("\n") == 0,
                         "exit %d: %s" % (status, err or out))
            left = gw.json("vault", "list")
            checks.check("vault add with %s leaves nothing" % what,
                         not left and not os.path.exists(key) and
                         not mine.keys() and not theirs.keys(), left)


class Case:
    """A VM, a vault in a bucket that bob lends to alice, and what must be true
    after a backup that failed."""

    def __init__(self, ceph, sim, gw, bucket, proxy):
        self.ceph, self.sim, self.gw, self.bucket = ceph, sim, gw, bucket
        self.proxy = proxy
        self.key = gwcase.set_up(gw, sim, url=bucket.url,
                                 vault_args=bucket.options(gw))
        self.round = 0

    def change(self):
        """So much that a pack is sent in parts."""
        self.round += 1
        self.sim.do("disk/write", pool="paris", vm="web", offset=0,
                    length=56 * MIB, random=self.round)

    def refused(self, what, code, words, result=None, within=60, uploads=True):
        before = self.bucket.keys("points/")
        began = time.monotonic()
        status, _, err = result or self.gw.run("backup", "web")
        took = time.monotonic() - began
        checks.check("%s: exit %d and one sentence with tenant, VM and cause"
                     % (what, code), status == code and took < within and
                     gwcase.one_sentence(err, "acme", "web", *words),
                     "exit %d after %d s: %s" % (status, took, err))
        checks.same("%s: no snapshot is left, no point was made" % what,
                    (gwcase.left_behind(self.gw, self.sim),
                     self.bucket.keys("points/")), ([], before))
        if uploads:
            checks.same("%s: no upload is left open" % what,
                        self.bucket.uploads(), [])

    def well(self, what):
        """Afterwards a backup succeeds, and leaves no upload either."""
        status, _, err = self.gw.run("backup", "web")
        checks.check("%s: when it is over, a backup succeeds" % what,
                     status == 0 and not self.bucket.uploads(),
                     "exit %d: %s %s" % (status, err, self.bucket.uploads()))


def lend(bucket):
    bucket.boto.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": ["arn:aws:iam:::user/alice"]},
            "Action": ["s3:*"],
            "Resource": ["arn:aws:s3:::" + bucket.name,
                         "arn:aws:s3:::%s/*" % bucket.name]}]}))


def refusals(ceph):
    """What a store does to a backup of a vault that was fine."""
    with cephlib.Between(int(ceph.env["HTTPS"]), []) as proxy, \
            simlib.Sim(world(60)) as sim, gwlib.Gateway(
                store_request="3 s", store_retry="6 s") as gw:
        bucket = Bucket(ceph, "lent", proxy.url.replace("http:", "https:"),
                        ceph.ca, ceph.env["BOB_KEY"], ceph.env["BOB_SECRET"])
        lend(bucket)
        case = Case(ceph, sim, gw, bucket, proxy)
        gw.ok("backup", "web")
        for test in (no_permission, wrong_secret, full, hangs, impostor,
                     no_bucket):
            case.change()
            checks.run(test.__name__, test, case)


def no_permission(case):
    case.bucket.boto.delete_bucket_policy(Bucket=case.bucket.name)
    try:
        case.refused("a bucket that is lent no longer", 5,
                     ["lent", "AccessDenied"])
    finally:
        lend(case.bucket)
    case.well("a bucket that is lent no longer")


def wrong_secret(case):
    def secret(text):
        case.ceph.admin("key", "create", "--uid=alice", "--key-type=s3",
                        "--access-key=" + case.ceph.key, "--secret=" + text)
    secret("another0000000000000000000000000000001")
    try:
        case.refused("a secret that was changed", 5,
                     ["lent", "AccessDenied"])
    finally:
        secret(case.ceph.secret)
    case.well("a secret that was changed")


def full(case):
    """The quota is reached in the middle of an upload."""
    used = sum(case.bucket.keys().values())
    quota = ["--quota-scope=bucket", "--bucket=" + case.bucket.name]
    case.ceph.admin("quota", "set", *quota,
                    "--max-size=%d" % (used + 24 * MIB))
    case.ceph.admin("quota", "enable", *quota)
    try:
        case.refused("a bucket that is full", 6, ["lent", "QuotaExceeded"])
    finally:
        case.ceph.admin("quota", "disable", *quota)
    case.well("a bucket that is full")


def hangs(case):
    """Storage that stops answering in the middle of an upload."""
    case.sim.fault("export_slow", pool="paris", rate=12 * MIB)
    running = case.gw.start_run("backup", "web")
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and not case.bucket.uploads():
            time.sleep(0.1)
        osd = case.ceph.pid("osd.0")
        os.kill(osd, signal.SIGSTOP)
        began = time.monotonic()
        try:
            _, err = running.communicate(timeout=120)
        finally:
            os.kill(osd, signal.SIGCONT)
        took = time.monotonic() - began
    finally:
        case.sim.clear()
        if running.poll() is None:
            running.kill()
    checks.check("a store that hangs: the job ends in bounded time",
                 took < 60, took)
    # The store answers nobody meanwhile, so what is open stays open: the
    # journal remembers it, and the next job on the vault clears it away.
    case.refused("a store that hangs", 13, ["lent"],
                 result=(running.returncode, "", err), uploads=False)
    case.well("a store that hangs")


def impostor(case):
    """Somebody else answers where the store was."""
    case.gw.stop()
    with Impostor(case.gw.dir) as other:
        case.proxy.port = other.port
        try:
            case.gw.start()
            case.refused("a store with a certificate of another CA", 13,
                         ["lent", "certificate"])
            checks.same("and is told nothing", other.bytes, 0)
        finally:
            case.proxy.port = int(case.ceph.env["HTTPS"])
    case.well("a store with a certificate of another CA")


def no_bucket(case):
    for name in case.bucket.keys():
        case.bucket.boto.delete_object(Bucket="lent", Key="%s/%s" % (
            PREFIX, name))
    case.bucket.boto.delete_bucket(Bucket="lent")
    status, _, err = case.gw.run("backup", "web")
    checks.check("a bucket that was deleted: exit 10 and one sentence",
                 status == 10 and gwcase.one_sentence(
                     err, "acme", "web", "lent", "NoSuchBucket"),
                 "exit %d: %s" % (status, err))
    checks.same("a bucket that was deleted: no snapshot is left",
                gwcase.left_behind(case.gw, case.sim), [])


# --- the servers -------------------------------------------------------------


def at_ceph():
    with cephlib.Ceph() as ceph:
        for test in (over_https, over_http, adding, refusals):
            checks.run(test.__name__, test, ceph)


def over_https(ceph):
    journey("Ceph, https", Bucket(ceph, "safe", ceph.https, ceph.ca), 150,
            libs3_agrees)


def over_http(ceph):
    journey("Ceph, http", Bucket(ceph, "plain", ceph.http), 70)


def at_swift():
    with cephlib.Swift() as swift:
        journey("Swift", Bucket(swift, "swift", swift.http), 70)


def main():
    only = sys.argv[1:]
    for test in (at_ceph, at_swift):
        if not only or test.__name__ in only:
            checks.run(test.__name__, test)
    checks.finish()


main()
