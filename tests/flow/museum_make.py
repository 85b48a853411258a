#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the room of the museum that belongs to the programs of a build.

  CAIRN_BUILD=build /usr/bin/python3 tests/flow/museum_make.py tests/data/museum/VERSION

A room is made once, by the release that it is named after, and never again:
every later version reads it (tests/flow/test_museum.py). What is in it is
always the same: two VMs through a real gateway, the disks from fixed seeds
below. Keys, ids and times are random, as they are in any vault. A disk that is
small enough for a museum has no map in pages; those of the vectors have.
"""
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402

KIB = 1024
CHUNK = 64 * KIB
WEB = "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c01"
MAIL = "0b8f6a3e-51d2-4c1e-9c58-3f0d8a4f9c02"


def chunk(seed, noise=4 * KIB):
    """64 KiB that compress well, but for some noise."""
    rng = random.Random(seed)
    words = b"".join(rng.choice([b"stone ", b"heap ", b"path ", b"marks "])
                     for _ in range(CHUNK // 4))
    return rng.randbytes(noise) + words[:CHUNK - noise]


def web(change):
    """Twice the same chunk, zeros, and with `change` another one: disk 0. Disk
    1 ends in a chunk that is short and does not compress."""
    root = [chunk(1), chunk(2), bytes(CHUNK), chunk(1), bytes(5 * CHUNK),
            chunk(3 + change), bytes(CHUNK)]
    return [b"".join(root), chunk(9) + random.Random(10).randbytes(1536)]


def mail():
    """All that it has is web's already, at other places, and zeros."""
    return [bytes(2 * CHUNK) + chunk(2) + bytes(9 * CHUNK) + chunk(9)]


def save(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def row(point, name, disks):
    """What expect.json says of a point."""
    return {"point": point, "vm_name": name, "disks": [
        {"position": i, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()}
        for i, d in enumerate(disks)]}


def through_a_gateway(place):
    out = os.path.join(place, "vault")
    with gwlib.Gateway("museum", chunk="64 KiB", start=False) as gw:
        def disks(name, contents):
            return [{"file": save(os.path.join(gw.dir, "%s-%d" % (name, i)), d)}
                    for i, d in enumerate(contents)]
        vms = [gwcase.vm("web", *disks("web", web(0)), uuid=WEB,
                         description="serves pages"),
               gwcase.vm("m\u00e4il \u2709", *disks("mail", mail()), uuid=MAIL)]
        with simlib.Sim(gwcase.two_pools(*vms)) as sim:
            gw.start()
            os.makedirs(os.path.join(gw.dir, "vault-acme-main"))
            key = gwcase.set_up(gw, sim)
            made = []

            def back_up(uuid, name, contents):
                gw.ok("backup", uuid)
                made.append(row(gwcase.last_job(gw)["point"], name, contents))
            back_up(WEB, "web", web(0))
            back_up(MAIL, "m\u00e4il \u2709", mail())
            sim.write(pool="paris", vm="web", device="0", offset=9 * CHUNK,
                      hex=chunk(4).hex())
            back_up(WEB, "web", web(1))
            back_up(MAIL, "m\u00e4il \u2709", mail())
            back_up(WEB, "web", web(1))
            gw.ok("key", "export", "--vault", "main", "--out",
                  os.path.join(place, "private.key"))
            shutil.copyfile(key, os.path.join(place, "recovery.key"))
            gw.stop()
            shutil.copytree(gwcase.folder_of(gw), out,
                            ignore=shutil.ignore_patterns("tmp"))
    return made


def main():
    place = os.path.abspath(sys.argv[1])
    version = subprocess.run(
        [gwlib.program("cairn-restore"), "--version"], check=True,
        stdout=subprocess.PIPE, text=True).stdout.split()[1]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version), version
    os.makedirs(place)  # what is there is never made again
    doc = {"version": version, "points": through_a_gateway(place)}
    with open(os.path.join(place, "expect.json"), "w", encoding="utf-8") as f:
        json.dump(doc, f, indent=1, ensure_ascii=False)
        f.write("\n")


if __name__ == "__main__":
    main()
