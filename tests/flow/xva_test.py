#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The XVA codecs against programs that know nothing of them: archives built
with Python's tarfile and with xva-img are read; what we write, GNU tar lists
and xva-img turns back into disks. Usage: xva_test.py XVA_TOOL"""
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

TOOL = sys.argv[1]
MIB = 1 << 20


def value(x):
    if isinstance(x, dict):
        return "<value><struct>%s</struct></value>" % "".join(
            "<member><name>%s</name>%s</member>" % (k, value(v))
            for k, v in x.items())
    if isinstance(x, list):
        return ("<value><array><data>%s</data></array></value>"
                % "".join(map(value, x)))
    return "<value>%s</value>" % x


def ova(sizes):
    objects = [("VM", "Ref:0", {"uuid": "u", "name_label": "web"}),
               ("SR", "Ref:1", {"uuid": "s", "content_type": "user"})]
    for i, (ref, size) in enumerate(sizes.items()):
        objects.append(("VBD", "Ref:v%d" % i,
                        {"VM": "Ref:0", "VDI": ref, "type": "Disk",
                         "userdevice": str(i)}))
        objects.append(("VDI", ref, {"uuid": ref, "SR": "Ref:1",
                                     "virtual_size": size}))
    return value({"version": {"xapi_major": 1, "xapi_minor": 20,
                              "export_vsn": 2},
                  "objects": [{"class": c, "id": i, "snapshot": r}
                              for c, i, r in objects]}).encode()


def contents(rng, size, density):
    """Random MiBs with holes between."""
    out = bytearray(size)
    for at in range(0, size, MIB):
        if rng.random() < density:
            n = min(MIB, size - at)
            out[at:at + n] = rng.randbytes(n)
    return bytes(out)


def blocks(disk):
    """Number and bytes of those that an exporter sends."""
    last = (len(disk) - 1) // MIB
    for n in range(last + 1):
        block = disk[n * MIB:(n + 1) * MIB]
        if n in (0, last) or block.strip(b"\0"):
            yield n, block


def pack(disks, form):
    """An XVA by Python's tarfile, with SHA-1 checksums."""
    out = io.BytesIO()
    tar = tarfile.open(fileobj=out, mode="w", format=form)

    def add(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))

    add("ova.xml", ova({k: len(v) for k, v in disks.items()}))
    for ref in sorted(disks):
        for n, block in blocks(disks[ref]):
            add("%s/%08d" % (ref, n), block)
            add("%s/%08d.checksum" % (ref, n),
                hashlib.sha1(block).hexdigest().encode())
    tar.close()
    return out.getvalue()


class Xva(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="xva_test.")
        self.addCleanup(shutil.rmtree, self.dir)
        self.rng = random.Random(20261120)
        # sizes: several blocks, one block, less than one, a short last one
        self.disks = {
            "Ref:20": contents(self.rng, 9 * MIB, 0.4),
            "Ref:3": contents(self.rng, 5 * MIB + 4096, 0.5),
            "Ref:100": contents(self.rng, MIB, 1),
            "Ref:4": bytes(6 * MIB),
        }

    def path(self, name):
        return os.path.join(self.dir, name)

    def save(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def run_ok(self, *args, cwd=None):
        done = subprocess.run(args, stdout=subprocess.PIPE, cwd=cwd,
                              stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, (args, done.stdout[-500:]))
        return done.stdout.decode()

    def check_read(self, archive, piece=16384):
        out = tempfile.mkdtemp(dir=self.dir)
        told = self.run_ok(TOOL, "read", archive, out, str(piece))
        self.assertEqual(told.splitlines(),
                         ["%s %d" % (r, len(self.disks[r]))
                          for r in sorted(self.disks)] + ["end"])
        for ref, disk in self.disks.items():
            with open(os.path.join(out, ref), "rb") as f:
                self.assertEqual(f.read(), disk, ref)
        shutil.rmtree(out)

    def write(self, sum_kind):
        args = []
        for ref in sorted(self.disks):
            args.append("%s=%s" % (ref, self.save(ref, self.disks[ref])))
        ova_path = self.save("ova", ova({k: len(v)
                                         for k, v in self.disks.items()}))
        archive = self.path("written.xva")
        told = self.run_ok(TOOL, "write", ova_path, archive, sum_kind, *args)
        self.assertEqual(int(told), os.path.getsize(archive))
        return archive

    def test_archives_of_python_are_read(self):
        for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT,
                     tarfile.PAX_FORMAT):
            archive = self.save("python.xva", pack(self.disks, form))
            for piece in (100, 16384, 1 << 24):
                self.check_read(archive, piece)

    def test_archives_packed_by_zstd_are_read(self):
        archive = self.save("python.xva", pack(self.disks,
                                               tarfile.GNU_FORMAT))
        for level in ("-1", "-3", "-19"):
            packed = self.path("packed.zst")
            self.run_ok("zstd", "-q", "-f", level, archive, "-o", packed)
            for piece in (100, 16384):
                self.check_read(packed, piece)

    def test_gzip_is_refused_in_words(self):
        archive = self.save("python.xva", pack(self.disks,
                                               tarfile.GNU_FORMAT))
        self.run_ok("gzip", "-1", archive)
        done = subprocess.run([TOOL, "read", archive + ".gz", self.dir, "999"],
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"gzip", done.stdout)

    def test_archives_of_xva_img_are_read(self):
        # xva-img disk-import keeps whole MiBs only and sends what is not zero
        self.disks["Ref:3"] = self.disks["Ref:3"][:5 * MIB]
        self.disks["Ref:3"] = (self.disks["Ref:3"][:-4096]
                               + self.rng.randbytes(4096))
        self.disks["Ref:4"] = b"\1" + bytes(6 * MIB - 2) + b"\1"
        tree = self.path("tree")
        os.mkdir(tree)
        with open(os.path.join(tree, "ova.xml"), "wb") as f:
            f.write(ova({k: len(v) for k, v in self.disks.items()}))
        for ref in sorted(self.disks):
            raw = self.save("raw", self.disks[ref])
            os.mkdir(os.path.join(tree, ref))
            self.run_ok("xva-img", "disk-import", os.path.join(tree, ref) + "/",
                        raw)
        # it drops the first folder of each name
        self.run_ok("xva-img", "package", self.path("img.xva"), "tree/ova.xml",
                    *("tree/%s/" % ref for ref in sorted(self.disks)),
                    cwd=self.dir)
        self.check_read(self.path("img.xva"))

    def test_what_we_write_is_a_tar_of_the_right_entries(self):
        archive = self.write("xxhash")
        self.check_read(archive)
        names = self.run_ok("tar", "-tf", archive).splitlines()
        want = ["ova.xml"]
        for ref in sorted(self.disks):
            for n, _ in blocks(self.disks[ref]):
                want += ["%s/%08d" % (ref, n), "%s/%08d.xxhash" % (ref, n)]
        self.assertEqual(names, want)
        with tarfile.open(archive) as tar:
            for member in tar:
                self.assertEqual(member.mode, 0o400)
                self.assertTrue(member.isreg())
        # V7: no magic; checksum field of 7 digits and a NUL; two zero blocks
        with open(archive, "rb") as f:
            data = f.read()
        self.assertEqual(data[257:265], bytes(8))
        self.assertTrue(data[148:155].isdigit() and data[155] == 0)
        self.assertEqual(data[-1024:], bytes(1024))

    def test_xva_img_gets_the_disks_back(self):
        archive = self.write("checksum")
        self.check_read(archive)
        tree = self.path("tree")
        os.mkdir(tree)
        self.run_ok("tar", "-xf", archive, "-C", tree)
        self.run_ok("chmod", "-R", "u+rw", tree)
        for ref, disk in self.disks.items():
            raw = self.path("raw." + ref)
            self.run_ok("xva-img", "disk-export",
                        os.path.join(tree, ref) + "/", raw)
            with open(raw, "rb") as f:
                self.assertEqual(f.read(), disk, ref)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
