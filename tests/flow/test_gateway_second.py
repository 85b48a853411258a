#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A vault in Ceph that another gateway made: who opens it learns what the store
can do, or goes without where its credentials only read."""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cephlib  # noqa: E402
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
BUCKET = "shared"


def traits(gw):
    db = sqlite3.connect("file:%s?mode=ro" % os.path.join(
        gw.state, "catalog.db"), uri=True)
    try:
        return db.execute("SELECT traits FROM vault").fetchone()[0]
    finally:
        db.close()


def objects(ceph):
    boto = ceph.boto()
    return sorted(o["Key"] for o in boto.list_objects_v2(
        Bucket=BUCKET).get("Contents", []))


def options(gw, ceph, key=None, secret=None):
    path = cephlib.credentials(os.path.join(gw.dir, "credentials"),
                               key or ceph.key, secret or ceph.secret)
    return ["--tenant", "acme", "--url", "s3://%s/v" % BUCKET, "--endpoint",
            ceph.http, "--credentials-file", path]


def by_recovery_key(ceph, sim, key, wanted):
    with gwlib.Gateway(name="gw-2") as gw:
        gw.ok("tenant", "add", "acme")
        gw.ok("vault", "add", "main", *options(gw, ceph), "--existing",
              "--key-file", key)
        checks.same("opened by the recovery key: the store was probed",
                    traits(gw), wanted)
        gw.add_pool(sim, "paris")
        gw.ok("rule", "add", "--tenant", "acme", "--pool", "paris", "--tag",
              "acme")
        gw.ok("backup", "web")
        checks.check("the probe left nothing", not [
            o for o in objects(ceph) if "/probe/" in o], objects(ceph))


def by_grant(first, ceph, wanted):
    with gwlib.Gateway(name="gw-3") as gw:
        gw.ok("tenant", "add", "acme")
        before = objects(ceph)
        vault = gw.json("vault", "add", "main", *options(gw, ceph),
                        "--existing", "--vault-id", first.json(
                            "vault", "show", "main")["id"])["vault"]
        checks.same("who waits for keys tries nothing",
                    (vault["state"], traits(gw), objects(ceph)),
                    ("waiting", "", before))
        first.ok("key", "grant", "--vault", "main", vault["public_key"])
        said = gw.ok("vault", "test", "main")
        checks.check("granted: the test probes and says what was found",
                     traits(gw) == wanted and wanted in said,
                     "%s\n%s" % (traits(gw), said))
        db = sqlite3.connect(os.path.join(gw.state, "catalog.db"))
        gw.stop()
        db.execute("UPDATE vault SET traits = ''")
        db.commit()
        db.close()
        gw.start()
        gw.ok("vault", "test", "main")
        checks.same("a vault that was opened without is probed by its test",
                    traits(gw), wanted)
        checks.check("which does so once", wanted not in gw.ok(
            "vault", "test", "main"))


def read_only(ceph, sim, key, digest):
    bob = ceph.env["BOB_KEY"], ceph.env["BOB_SECRET"]
    ceph.boto().put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({
        "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/bob"]},
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::" + BUCKET,
                         "arn:aws:s3:::%s/*" % BUCKET]}]}))
    before = objects(ceph)
    with gwlib.Gateway(name="gw-4") as gw:
        gw.ok("tenant", "add", "acme")
        status, _, err = gw.run("vault", "add", "main",
                                *options(gw, ceph, *bob), "--existing",
                                "--key-file", key)
        checks.check("credentials that only read open it", status == 0, err)
        checks.same("and nothing is known of the store", traits(gw), "")
        checks.check("both are in the log", "store_traits_unknown" in
                     gw.logged() and "vault_is_read_only" in gw.logged())
        said = gw.ok("vault", "test", "main")
        checks.check("its test says so, too", "not relied on" in said and
                     "403" in said, said)
        out = os.path.join(gw.dir, "disk.raw")
        gw.ok("restore", "web@latest", "--disk", "0", "--output", out)
        checks.same("a disk comes back", gwcase.digest(out), digest)
        gw.ok("point", "verify", "web@latest")
        gw.add_pool(sim, "paris")
        gw.ok("rule", "add", "--tenant", "acme", "--pool", "paris", "--tag",
              "acme")
        status, _, err = gw.run("backup", "web")
        checks.check("a backup is refused in one sentence", status in (
            5, 11) and gwcase.one_sentence(err, "acme", "web"),
            "exit %d: %s" % (status, err))
        checks.same("nothing is left in the pool",
                    gwcase.left_behind(gw, sim, ["paris"]), [])
    checks.same("nothing was written", objects(ceph), before)


def several_gateways():
    vm = gwcase.vm("web", {"size": 4 * MIB, "fill": "marked"})
    with cephlib.Ceph() as ceph, simlib.Sim(gwcase.two_pools(vm)) as sim, \
            gwlib.Gateway() as gw:
        ceph.boto().create_bucket(Bucket=BUCKET)
        path = os.path.join(gw.dir, "recovery.key")
        gw.ok("tenant", "add", "acme")
        gw.add_pool(sim, "paris")
        gw.ok("rule", "add", "--tenant", "acme", "--pool", "paris", "--tag",
              "acme")
        gw.ok("vault", "add", "main", *options(gw, ceph), "--recovery-out",
              path)
        gw.ok("backup", "web")
        wanted = traits(gw)
        checks.check("who makes a vault probes its store",
                     "lists-at-once" in wanted.split(), wanted)
        by_recovery_key(ceph, sim, path, wanted)
        by_grant(gw, ceph, wanted)
        read_only(ceph, sim, path, gwcase.digests(sim, "paris", "web")["0"])


checks.run("several_gateways", several_gateways)
checks.finish()
