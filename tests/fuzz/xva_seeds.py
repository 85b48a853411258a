#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small XVAs to begin fuzzing with. Usage: xva_seeds.py FOLDER"""
import hashlib
import os
import subprocess
import sys


def value(x):
    if isinstance(x, dict):
        return "<value><struct>%s</struct></value>" % "".join(
            "<member><name>%s</name>%s</member>" % (k, value(v))
            for k, v in x.items())
    if isinstance(x, list):
        return ("<value><array><data>%s</data></array></value>"
                % "".join(map(value, x)))
    return "<value>%s</value>" % x


def entry(name, data):
    head = bytearray(512)
    head[:len(name)] = name.encode()
    head[100:124] = b"0000400\0" + b"0000000\0" * 2
    head[124:148] = b"%011o\0" % len(data) + b"%011o\0" % 0
    head[148:156] = b" " * 8
    head[148:156] = b"%07o\0" % sum(head)
    return bytes(head) + data + bytes(-len(data) % 512)


def ova(disks):
    objects = [("VM", "Ref:0", {"uuid": "u"})]
    for i, (ref, size) in enumerate(disks):
        objects += [("VBD", "v%d" % i, {"VM": "Ref:0", "VDI": ref,
                                        "type": "Disk"}),
                    ("VDI", ref, {"virtual_size": size})]
    return entry("ova.xml", value({
        "version": {"export_vsn": 2},
        "objects": [{"class": c, "id": i, "snapshot": r}
                    for c, i, r in objects]}).encode())


def block(name, data):
    return entry(name, data) + entry(
        name + ".checksum", hashlib.sha1(data).hexdigest().encode())


END = bytes(1024)
plain = (ova([("Ref:1", 2048), ("Ref:2", 0), ("Ref:3", 700)])
         + block("Ref:1/00000000", b"a" * 512)
         + block("Ref:1/00000001", b"")
         + block("Ref:1/00000003", b"b" * 1024)
         + block("Ref:3/00000000", b"c" * 700) + END)
page = (b"HTTP/1.1 500 Internal Error\r\n\r\n<html><body><h1> Additional "
        b"information </h1>VDI_IO_ERROR: [ x ]</body></html>")
packed = subprocess.run(["zstd", "-c"], input=plain, stdout=subprocess.PIPE,
                        check=True).stdout
seeds = {"plain": plain, "page": page, "cut": plain[:-3000] + page,
         "zstd": packed, "zstd_cut": packed[:-40] + page}
for name, data in seeds.items():
    for how in (0, 6):
        path = os.path.join(sys.argv[1], "%s%d" % (name, how))
        with open(path, "wb") as f:
            f.write(bytes([how]) + data)
