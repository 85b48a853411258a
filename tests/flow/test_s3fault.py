#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy that goes wrong when it is told to, judged by boto3 and by plain
sockets before Ceph: what is to pass comes through whole, and each fault is on
the wire what tests/sim/README.md says."""
import datetime
import http.client
import json
import os
import ssl
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import proxylib  # noqa: E402
from cephlib import holds, same  # noqa: E402

cases = cephlib.Cases()
MIB = 1 << 20
BUCKET = "bucket"


class AnHourAhead(datetime.datetime):
    """What botocore takes for the module and, in it, for the class."""

    @classmethod
    def utcnow(cls):
        return datetime.datetime.utcnow() + datetime.timedelta(hours=1)


AnHourAhead.datetime = AnHourAhead


class World:
    """Ceph, the proxy over http and over https, a bucket with things in it."""

    def __init__(self, ceph, proxy, tls):
        self.ceph, self.proxy, self.tls = ceph, proxy, tls
        self.ceph.boto().create_bucket(Bucket=BUCKET)
        self.s3 = self.boto(proxy)
        for i in range(5):
            self.s3.put_object(Bucket=BUCKET, Key="k%d" % i, Body=b"x" * 1000)

    def boto(self, proxy, tries=1):
        import boto3
        from botocore.config import Config
        return boto3.client(
            "s3", endpoint_url=proxy.url, region_name="us-east-1",
            aws_access_key_id=self.ceph.key, verify=self.ceph.ca,
            aws_secret_access_key=self.ceph.secret,
            config=Config(signature_version="s3v4", proxies={},
                          s3={"addressing_style": "path"},
                          read_timeout=3, retries={"total_max_attempts": tries}))

    def signed(self, method, **params):
        """A presigned URL's path, for plain sockets."""
        url = self.s3.generate_presigned_url(method, Params=params)
        return url[len(self.proxy.url):]

    def raw(self, method="GET", key="k1", body=None, timeout=3):
        """(status, headers, body) without a client that repairs things."""
        path = self.signed({"GET": "get_object", "PUT": "put_object",
                            "HEAD": "head_object"}[method], Bucket=BUCKET,
                           Key=key)
        c = http.client.HTTPConnection("127.0.0.1", self.proxy.port,
                                       timeout=timeout)
        try:
            c.request(method, path, body)
            answer = c.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            c.close()

    def fails(self, error, *args, **kw):
        """raw() must fail so."""
        try:
            got = self.raw(*args, **kw)
        except error as e:
            return e
        raise AssertionError("an answer came: %r" % (
            (args, kw, got[0], self.proxy.log()[-1]),))


def what_is_to_pass_comes_through_whole(w):
    body = os.urandom(9 * MIB + 17)
    for proxy in (w.proxy, w.tls):
        s3 = w.boto(proxy)
        s3.put_object(Bucket=BUCKET, Key="dir/big +&ä", Body=body)
        same("bytes", w.ceph.boto().get_object(
            Bucket=BUCKET, Key="dir/big +&ä")["Body"].read() == body, True)
        same("bytes back", s3.get_object(
            Bucket=BUCKET, Key="dir/big +&ä")["Body"].read() == body, True)
        same("a range", s3.get_object(
            Bucket=BUCKET, Key="dir/big +&ä", Range="bytes=5-9")["Body"].read(),
            body[5:10])
        up = s3.create_multipart_upload(Bucket=BUCKET, Key="m")["UploadId"]
        tag = s3.upload_part(Bucket=BUCKET, Key="m", UploadId=up, PartNumber=1,
                             Body=body)["ETag"]
        same("open uploads", len(s3.list_multipart_uploads(
            Bucket=BUCKET)["Uploads"]), 1)
        same("parts", len(s3.list_parts(Bucket=BUCKET, Key="m",
                                        UploadId=up)["Parts"]), 1)
        s3.complete_multipart_upload(
            Bucket=BUCKET, Key="m", UploadId=up, MultipartUpload={
                "Parts": [{"ETag": tag, "PartNumber": 1}]})
        up = s3.create_multipart_upload(Bucket=BUCKET, Key="m")["UploadId"]
        s3.abort_multipart_upload(Bucket=BUCKET, Key="m", UploadId=up)
        same("size", s3.head_object(Bucket=BUCKET, Key="m")["ContentLength"],
             len(body))
        same("keys", [o["Key"] for o in s3.list_objects_v2(
            Bucket=BUCKET, Prefix="dir/")["Contents"]], ["dir/big +&ä"])
        s3.delete_object(Bucket=BUCKET, Key="m")
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [
            {"Key": "dir/big +&ä"}]})
    kinds = {r["kind"] for r in w.proxy.log()}
    same("each kind was told from the others", kinds, {
        "put", "get", "create", "part", "uploads", "parts", "complete",
        "abort", "head", "list", "delete", "delete_many"})


def rules_choose(w):
    w.proxy.fault("status", kind="get", key="k[12]", skip=1, count=2, code=500)
    got = [w.raw(key=k)[0] for k in ("k1", "k3", "k2", "k3", "k1", "k1")]
    same("skip and count", got, [200, 200, 500, 200, 500, 200])
    told = w.proxy.clear()[0]
    same("matched and fired", (told["matched"], told["fired"]), (4, 2))
    w.proxy.fault("status", kind=["head", "list"], code=503)
    same("another kind", w.raw()[0], 200)
    same("one of two kinds", w.raw("HEAD")[0], 503)


def chance_has_a_seed(w):
    def sequence(seed):
        with proxylib.Proxy(int(w.ceph.env["HTTP"]), seed=seed) as p:
            p.rules({"probability": 0.5, "count": 0, "kind": "head", "any": [
                {"fault": "status", "code": 500},
                {"fault": "status", "code": 503}]})
            s3 = w.boto(p)
            out = []
            for _ in range(24):
                try:
                    s3.head_object(Bucket=BUCKET, Key="k1")
                    out.append(200)
                except s3.exceptions.ClientError as e:
                    out.append(int(e.response["Error"]["Code"]))
            return out
    one = sequence(7)
    same("the same seed, the same faults", sequence(7), one)
    same("all of them", set(one), {200, 500, 503})
    holds("another seed, others", sequence(8) != one)


def statuses(w):
    for code, word in ((500, b"InternalError"), (503, b"SlowDown"),
                       (403, b"AccessDenied")):
        w.proxy.fault("status", code=code)
        status, _, body = w.raw()
        same("status", (status, word in body), (code, True))
    for code in (502, 504):
        w.proxy.fault("status", code=code)
        status, headers, body = w.raw()
        same("status", (status, headers["Content-Type"], b"<html>" in body),
             (code, "text/html", True))
    w.proxy.fault("status", code=400, error="ExpiredToken", retry_after=7)
    status, headers, body = w.raw()
    same("status", (status, headers["Retry-After"], b"ExpiredToken" in body),
         (400, "7", True))
    w.proxy.fault("status", code=503, executed=True)
    same("told", w.raw("PUT", "new", b"there")[0], 503)
    same("but it was done", w.raw(key="new")[2], b"there")
    w.proxy.fault("status", code=503)
    same("told", w.raw("PUT", "new2", b"there")[0], 503)
    same("and it was not", w.raw(key="new2")[0], 404)
    w.proxy.fault("status", code=503, early=True)
    same("before the body", w.raw("PUT", "new2", b"there")[0], 503)
    w.proxy.fault("skewed", seconds=7200)
    status, headers, body = w.raw()
    import email.utils
    ahead = email.utils.parsedate_to_datetime(
        headers["Date"]).timestamp() - time.time()
    same("skewed", (status, b"RequestTimeTooSkewed" in body,
                    7100 < ahead < 7300), (403, True, True))
    w.proxy.fault("error200", blanks=3)
    status, _, body = w.raw("PUT", "new2", b"there")
    same("an error in a 200", (status, body[:6], b"<Code>Internal" in body),
         (200, b" \n \n \n", True))
    same("and it was not done", w.raw(key="new2")[0], 404)


def cuts(w):
    gone = (ConnectionResetError, http.client.RemoteDisconnected)
    body = b"y" * (3 * MIB)
    for how, error in (("reset", ConnectionResetError),
                       ("close", http.client.RemoteDisconnected),
                       ("stall", TimeoutError)):
        w.proxy.fault("cut", where="head", how=how)
        w.fails(error, timeout=1)
        w.proxy.fault("cut", where="sent", how=how, kind="put")
        w.fails(error, "PUT", "done-" + how, b"z", timeout=1)
        same("it was done", w.raw(key="done-" + how)[2], b"z")
        w.proxy.fault("cut", where="body", how=how, kind="put", after=MIB)
        w.fails(gone + (BrokenPipeError, TimeoutError), "PUT", "none", body,
                timeout=1)
        same("it was not done", w.raw(key="none")[0], 404)
        w.proxy.fault("cut", where="answer", how=how, after=400)
        e = w.fails((http.client.IncompleteRead, ConnectionResetError,
                     TimeoutError), timeout=1)
        if how == "close":
            same("bytes of the answer", len(e.partial), 400)
        w.proxy.fault("cut", where="answer_head", how=how, after=11)
        w.fails((http.client.HTTPException, ConnectionResetError,
                 TimeoutError), timeout=1)
        w.proxy.clear()
    w.proxy.fault("garbage")
    w.fails(http.client.BadStatusLine)


def answers_that_lie(w):
    w.proxy.fault("truncate", bytes=10)
    same("truncated", len(w.raw()[2]), 990)
    w.proxy.fault("flip", at=5)
    same("flipped", w.raw()[2], b"x" * 5 + b"y" + b"x" * 994)
    w.proxy.fault("etag")
    holds("ETag", w.raw()[1]["ETag"] != w.raw()[1]["ETag"])
    w.proxy.fault("slow", ms=300)
    began = time.monotonic()
    same("slow", len(w.raw()[2]), 1000)
    holds("it waited", time.monotonic() - began >= 0.3)
    w.proxy.fault("slow", rate=2000)
    began = time.monotonic()
    same("slow", w.raw()[2], b"x" * 1000)
    holds("it trickled", time.monotonic() - began >= 0.4)
    w.proxy.fault("close")
    same("close", w.raw()[1]["Connection"], "close")
    same("and not the next", w.raw()[1]["Connection"] == "close", False)


def listings(w):
    def keys():
        got = w.s3.list_objects_v2(Bucket=BUCKET, Prefix="k")
        same("KeyCount", got["KeyCount"], len(got["Contents"]))
        return [o["Key"] for o in got["Contents"]]
    whole = ["k0", "k1", "k2", "k3", "k4"]
    same("as it is", keys(), whole)
    time.sleep(1.1)
    w.s3.put_object(Bucket=BUCKET, Key="k5", Body=b"young")
    w.proxy.fault("hide", seconds=1)
    same("as it was", keys(), whole)
    same("as it is", keys(), whole + ["k5"])
    w.s3.delete_object(Bucket=BUCKET, Key="k5")
    w.proxy.fault("disorder", how="reverse")
    same("backwards", [o["Key"] for o in w.s3.list_objects_v2(
        Bucket=BUCKET, Prefix="k")["Contents"]], whole[::-1])
    w.proxy.fault("disorder", how="repeat")
    same("twice", [o["Key"] for o in w.s3.list_objects_v2(
        Bucket=BUCKET, Prefix="k")["Contents"]], whole + ["k4"])


def a_store_that_is_down(w):
    for how, error in (("refuse", ConnectionRefusedError),
                       ("reset", ConnectionResetError),
                       ("silent", TimeoutError)):
        w.proxy.down(how)
        w.fails(error, timeout=1)
        w.proxy.up()
        same("up again", w.raw()[0], 200)
    w.proxy.down("503")
    same("503", w.raw()[0], 503)
    w.proxy.up()
    same("up again", w.raw()[0], 200)


def a_store_of_another_time(w):
    with proxylib.Proxy(int(w.ceph.env["HTTP"]), secret="%s:%s" % (
            w.ceph.key, w.ceph.secret)) as p:
        s3 = w.boto(p)
        p.skew(3600)
        try:
            s3.get_object(Bucket=BUCKET, Key="k1")
        except s3.exceptions.ClientError as e:
            same("refused", e.response["Error"]["Code"], "RequestTimeTooSkewed")
        else:
            raise AssertionError("a request of our time passed")
        import botocore.auth
        true = botocore.auth.datetime
        try:
            botocore.auth.datetime = AnHourAhead
            key = "o dd+ä&"
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")
            got = s3.get_object(Bucket=BUCKET, Key=key)
            same("signed anew", got["Body"].read(), b"1")
            holds("its time is ours", 3500 < got[
                "LastModified"].timestamp() - time.time() < 3700)
            same("keys", len(s3.list_objects_v2(Bucket=BUCKET, Prefix="o d")[
                "Contents"]), 1)
        finally:
            botocore.auth.datetime = true


def a_certificate_changes(w):
    folder = cases.path("tls")
    os.makedirs(folder)
    cert, key = os.path.join(folder, "c.pem"), os.path.join(folder, "k.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
         cert, "-days", "2", "-subj", "/CN=Somebody else", "-addext",
         "subjectAltName=IP:127.0.0.1"], check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def shown():
        return ssl.get_server_certificate(("127.0.0.1", w.tls.port))
    before = shown()
    w.tls.certificate(cert, key)
    with open(cert, encoding="ascii") as f:
        same("the new one", shown().split(), f.read().split())
    tls = w.ceph.run + "/tls/server."
    w.tls.certificate(tls + "pem", tls + "key")
    same("the old one", shown(), before)


def mistakes_are_told(w):
    for rule, word in (({"fault": "hiccup"}, "hiccup"),
                       ({"fault": "etag", "kind": "putt"}, "putt"),
                       ({"fault": "cut", "where": "there"}, "where"),
                       ({"fault": "status", "codes": 3}, "codes")):
        try:
            w.proxy.rules(rule)
        except RuntimeError as e:
            holds("%s: %s" % (rule, e), word in str(e))
        else:
            raise AssertionError("%s passed" % rule)
    same("and leave no rule", w.proxy.ask("GET", "/faults"), [])
    script = cases.file("script", json.dumps([
        {"fault": "status", "code": 503, "kind": "get"}]).encode())
    with proxylib.Proxy(int(w.ceph.env["HTTP"]), script=script) as p:
        same("a script", p.ask("GET", "/faults")[0]["code"], 503)


def main():
    with cephlib.Ceph() as ceph, \
            proxylib.Proxy(int(ceph.env["HTTP"]), seed=1) as proxy, \
            proxylib.Proxy(int(ceph.env["HTTP"]), (
                ceph.run + "/tls/server.pem",
                ceph.run + "/tls/server.key"), verbose=True) as tls:
        w = World(ceph, proxy, tls)
        for case in (what_is_to_pass_comes_through_whole, rules_choose,
                     chance_has_a_seed, statuses, cuts, answers_that_lie,
                     listings, a_store_that_is_down, a_store_of_another_time,
                     a_certificate_changes, mistakes_are_told):
            cases.run(case, w)
            proxy.clear()
            proxy.log_clear()
    sys.exit(cases.end())


main()
