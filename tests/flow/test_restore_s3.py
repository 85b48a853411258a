#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cairn-restore from a real S3 server that we did not write: the vault of the
vectors in a bucket of Ceph, over http and https, put there by boto3."""
import hashlib
import json
import os
import subprocess
import sys

from cephlib import BUILD, Cases, Ceph, credentials, same

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "..", "data", "vectors")
PROGRAM = os.path.join(BUILD, "cairn-restore")
cases = Cases()

with open(os.path.join(VECTORS, "vault.json"), encoding="utf-8") as f:
    VAULT = json.load(f)


def upload(boto, bucket, prefix):
    boto.create_bucket(Bucket=bucket)
    root = os.path.join(VECTORS, "vault")
    for folder, _, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            boto.upload_file(path, bucket,
                             prefix + os.path.relpath(path, root))


class Site:
    """How a vault is reached."""

    def __init__(self, server, endpoint, options=()):
        self.endpoint, self.options = endpoint, list(options)
        self.key = cases.file("key", (
            "cairn key 1\nvault %s\npassphrase %s\n"
            % (VAULT["vault_id"], VAULT["passphrase"])).encode())
        self.cred = credentials(cases.path("cred"), server.key, server.secret)

    def __call__(self, *words, url="s3://attic/acme/backup", cred=None,
                 options=None):
        return subprocess.run(
            [PROGRAM, "--vault", url, "--endpoint", self.endpoint,
             "--credentials-file", cred or self.cred, "--key-file", self.key,
             *(self.options if options is None else options), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
            check=False)


def every_disk_comes_back(site):
    for d in VAULT["disks"]:
        done = site("disk", d["point"], str(d["position"]), "-o", "-")
        same(d["point"] + done.stderr.decode(), done.returncode, 0)
        same("its bytes", hashlib.sha256(done.stdout).hexdigest(),
             d["sha256"])


def it_lists_and_verifies(site):
    listed = json.loads(site("list", "--json").stdout)
    same("points", len(listed["points"]), 2)
    done = site("verify")
    same("verify: " + done.stdout.decode() + done.stderr.decode(),
         done.returncode, 0)


def a_changed_object_is_found(site, boto):
    name = "acme/backup/packs/85/857e995ee7691622d781f2d8fb01d5bd"
    raw = boto.get_object(Bucket="attic", Key=name)["Body"].read()
    boto.put_object(Bucket="attic", Key=name,
                    Body=raw[:300] + bytes([raw[300] ^ 1]) + raw[301:])
    try:
        done = site("verify")
        same("exit", done.returncode, 8)
        same("named", name.encode()[12:] in done.stdout, True)
        done = site("disk", "vm two@latest", "0", "-o", "-")
        same("exit", done.returncode, 8)
    finally:
        boto.put_object(Bucket="attic", Key=name, Body=raw)


def each_refusal_has_its_code(site, server):
    wrong = credentials(cases.path("wrong"), server.key, "x" * 40)
    for what, code, more in (
            ("wrong secret", 5, {"cred": wrong}),
            ("no such bucket", 10, {"url": "s3://nowhere/acme"}),
            ("nothing at the prefix", 10, {"url": "s3://attic/bobco"})):
        done = site("list", **more)
        text = done.stderr.decode()
        same("%s: %s" % (what, text), done.returncode, code)
        same(what, text.count("\n"), 1)


def https_is_believed_by_its_ca_alone(site):
    done = site("list", options=[])
    same("without the CA: " + done.stderr.decode(), done.returncode, 13)


def main():
    with Ceph() as ceph:
        upload(ceph.boto(), "attic", "acme/backup/")
        plain = Site(ceph, ceph.http)
        secure = Site(ceph, ceph.https, ["--ca", ceph.ca])
        for site, how in ((plain, "http"), (secure, "https")):
            cases.run(every_disk_comes_back, site,
                      name="every disk comes back over " + how)
        cases.run(it_lists_and_verifies, secure)
        cases.run(a_changed_object_is_found, plain, ceph.boto())
        cases.run(each_refusal_has_its_code, plain, ceph)
        cases.run(https_is_believed_by_its_ca_alone, secure)
    return cases.end()


if __name__ == "__main__":
    sys.exit(main())
