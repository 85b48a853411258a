#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a backup session writes, judged by the independent reader: every disk of
every point comes back byte for byte, and a verification finds nothing."""
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
import cairn_read  # noqa: E402


def contents(rng, size):
    """Text, noise, zeros and repetitions in turn."""
    out, words = bytearray(), [b"stone ", b"heap ", b"path ", b"marks "]
    while len(out) < size:
        kind, n = rng.randrange(5), rng.randrange(1, 300000)
        if kind == 0:
            out += bytes(n)
        elif kind == 1:
            out += rng.randbytes(n)
        elif kind == 2 and len(out) > n:
            out += out[:n]
        else:
            out += b"".join(rng.choice(words) for _ in range(n // 5))
    return bytes(out[:size])


def change(rng, data):
    data = bytearray(data)
    for _ in range(3):
        at, n = rng.randrange(len(data)), rng.randrange(1, 200000)
        data[at:at + n] = (bytes(n) if rng.randrange(2)
                           else rng.randbytes(n))[:len(data) - at]
    return bytes(data)


def main():
    tool, rng = sys.argv[1], random.Random(1)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="cairn-test-") as top:
        vault, key = os.path.join(top, "vault"), os.path.join(top, "key")
        os.mkdir(vault)
        versions, backups = [], []
        disks = [contents(rng, 5 * 1024 * 1024 + 512), contents(rng, 700001)]
        # series, log2 of the chunk size, page_above, ceiling in MiB
        for i, spec in enumerate(["a:17:0:64", "a:17:0:20", "b:16:1:64",
                                  "b:16:1:20", "a:17:1:64", "c:20:0:20"]):
            paths = []
            for k, disk in enumerate(disks):
                paths.append(os.path.join(top, "%d-%d" % (i, k)))
                with open(paths[-1], "wb") as f:
                    f.write(disk)
            versions.append(list(disks))
            backups.append(spec + ":" + ",".join(paths))
            disks = [change(rng, d) for d in disks]
        names = subprocess.run(
            [tool, vault, key, os.path.join(top, "index")] + backups,
            check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        assert len(names) == len(backups), names
        with open(key, encoding="ascii") as f:
            opened = cairn_read.Vault(vault, f.read())
        points = {p.name: p for p in opened.points()}
        assert sorted(points) == sorted(names)
        for name, want in zip(names, versions):
            for disk, data in zip(points[name].disks, want):
                out = bytearray(disk.size)

                def put(at, raw):
                    out[at:at + len(raw)] = raw
                opened.read_disk(points[name], disk, put)
                good = bytes(out) == data
                failed += not good
                print("ok" if good else "not ok", name, disk.position)
        paged = sum(d.pages is not None for p in points.values()
                    for d in p.disks)
        assert paged == 6, paged
        for line in opened.verify():
            failed += 1
            print("not ok", line)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
