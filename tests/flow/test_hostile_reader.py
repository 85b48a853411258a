#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Vaults that a hostile store has changed (tests/unit/test_hostile.c): the
independent reader and cairn-restore give back the same points and refuse the
same ones, and neither gives a wrong byte.

Every 12th change, unless CAIRN_HOSTILE=all is in the environment, or
CAIRN_HOSTILE_STEP says every how manieth."""
import hashlib
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
import cairn_read  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402

checks = simlib.Checks()
STEP = os.environ.get("CAIRN_HOSTILE_STEP") or (
    "1" if "CAIRN_HOSTILE" in os.environ else "12")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def objects_of(folder):
    """{object: file}, and the names of those that are gone."""
    found = {n.replace("+", "/"): os.path.join(folder, n)
             for n in os.listdir(folder) if n not in ("gone", "why")}
    return found, read(folder, "gone").split()


def lay_out(objects, root):
    for name, file in objects.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.link(file, path)


def by_reader(root, key, names):
    """Digests of the points that the independent reader gives back."""
    try:
        vault = cairn_read.Vault(root, key)
        points = {p.name: p for p in vault.points(hidden=True)}
    except (cairn_read.Refused, ValueError, KeyError, OSError):
        return {}
    found = {}
    for name in names:
        if name not in points:
            continue
        disk = points[name].disks[0]
        raw = bytearray(disk.size)

        def put(at, data):
            raw[at:at + len(data)] = data
        try:
            vault.read_disk(points[name], disk, put)
        except cairn_read.Refused:
            continue
        found[name] = hashlib.sha256(raw).hexdigest()
    return found


def by_cairn(root, key_file, names):
    """And those that cairn-restore gives back; what it said of the others."""
    found, said = {}, []
    for name in names:
        done = subprocess.run(
            [gwlib.program("cairn-restore"), "--vault", "file://" + root,
             "--key-file", key_file, "disk", name, "0", "--output", "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=300, check=False)
        if done.returncode in (0, 3):
            found[name] = hashlib.sha256(done.stdout).hexdigest()
        else:
            said.append("%d %s" % (done.returncode,
                                   done.stderr.decode(errors="replace")))
    return found, said


def main():
    with tempfile.TemporaryDirectory(prefix="cairn-hostile-") as top:
        out, root = os.path.join(top, "out"), os.path.join(top, "v")
        os.mkdir(out)
        subprocess.run([gwlib.program("tests/test_hostile")], check=True,
                       env=dict(os.environ, CAIRN_HOSTILE_OUT=out,
                                CAIRN_HOSTILE_STEP=STEP),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        key_file = os.path.join(out, "key")
        key = read(key_file)
        sums = dict(line.split() for line in read(out, "points").splitlines())
        first, _ = objects_of(os.path.join(out, "0"))
        refused = 0
        for case in sorted((n for n in os.listdir(out) if n.isdigit()),
                           key=int):
            changed, gone = objects_of(os.path.join(out, case))
            now = {n: f for n, f in dict(first, **changed).items()
                   if n not in gone}
            here = root + case
            lay_out(now, here)
            theirs = by_reader(here, key, sums)
            ours, said = by_cairn(here, key_file, sums)
            refused += len(ours) < len(sums)
            right = all(sums[n] == s for n, s in
                        list(theirs.items()) + list(ours.items()))
            checks.check(
                "%s: %d points restore" % (read(out, case, "why"), len(ours)),
                right and theirs == ours and (case != "0" or ours == sums),
                "the reader gives %s, cairn-restore %s: %s" % (
                    sorted(theirs.items()), sorted(ours.items()), said))
        checks.check("of %d vaults some restore whole and some do not" % (
            len(os.listdir(out)) - 2), 0 < refused < len(os.listdir(out)) - 2)


checks.run("hostile_vaults", main)
checks.finish()
