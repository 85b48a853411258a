#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The independent reader against the vectors: the small vault opens and
restores, and every change of damage.json ends as it says."""
import hashlib
import json
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
import cairn_read  # noqa: E402

DATA = os.path.join(HERE, "..", "data", "vectors")
failed = 0


def report(good, name, why=""):
    global failed
    if good:
        print("ok", name)
    else:
        failed += 1
        print("not ok %s: %s" % (name, why))


def load(name):
    with open(os.path.join(DATA, name), encoding="utf-8") as f:
        return json.load(f)


def sha_of(vault, point, position):
    disk = next(d for d in point.disks if d.position == position)
    out = bytearray(disk.size)

    def put(at, raw):
        out[at:at + len(raw)] = raw
    vault.read_disk(point, disk, put)
    return hashlib.sha256(out).hexdigest()


def change(root, case):
    path = os.path.join(root, case["object"])
    if case["op"] == "create":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(bytes.fromhex(case["bytes"]))
        return
    if case["op"] == "delete":
        os.unlink(path)
        return
    with open(path, "rb") as f:
        raw = bytearray(f.read())
    if case["op"] == "flip":
        raw[case["at"]] ^= case["mask"]
    elif case["op"] == "truncate":
        raw = raw[:-case["by"]]
    elif case["op"] == "append":
        raw += bytes.fromhex(case["bytes"])
    elif case["op"] == "swap":
        other = os.path.join(root, case["with"])
        with open(other, "rb") as f:
            theirs = f.read()
        with open(other, "wb") as f:
            f.write(raw)
        raw = theirs
    with open(path, "wb") as f:
        f.write(raw)


def restores_of(vault, case, sums):
    points = {p.name: p for p in vault.points(hidden=True)}
    for row in case["restores"]:
        key = (row["point"], row["position"])
        try:
            got = ("good" if key[0] in points and
                   sha_of(vault, points[key[0]], key[1]) == sums[key]
                   else "refused")
        except cairn_read.Refused:
            got = "refused"
        if got != row["restore"]:
            yield "%s disk %d: %s, wanted %s" % (*key, got, row["restore"])


def main():
    v = load("vault.json")
    key = "cairn key 1\nvault %s\npassphrase %s\n" % (v["vault_id"],
                                                      v["passphrase"])
    source = os.path.join(DATA, "vault")
    vault = cairn_read.Vault(source, key)
    shown = {p.name for p in vault.points()}
    points = {p.name: p for p in vault.points(hidden=True)}
    sums = {}
    for row in v["disks"]:
        sums[row["point"], row["position"]] = row["sha256"]
        good = (sha_of(vault, points[row["point"]], row["position"])
                == row["sha256"] and
                (row["point"] in shown) == (not row["removed"]))
        report(good, "the small vault restores %s disk %d" % (
            row["point"], row["position"]))
    report(vault.verify() == [], "the small vault verifies")
    gateway = "cairn key 1\nvault %s\nprivate %s\n" % (
        v["vault_id"], v["gateway_private"])
    try:
        other = cairn_read.Vault(source, gateway)
        sha_of(other, other.points()[0], 0)
        report(False, "a gateway without data keys restores nothing")
    except cairn_read.Refused:
        report(True, "a gateway without data keys restores nothing")
    # The passphrase costs a second each time: open by the private key.
    private = "cairn key 1\nvault %s\nprivate %s\n" % (
        v["vault_id"], v["recovery_private"])
    for case in load("damage.json")["cases"]:
        with tempfile.TemporaryDirectory() as tmp:
            root = os.path.join(tmp, "v")
            shutil.copytree(source, root, copy_function=shutil.copyfile)
            change(root, case)
            hurt = cairn_read.Vault(root, private)
            wrong = list(restores_of(hurt, case, sums))
            # Padding is looked at by the digest alone.
            if bool(hurt.verify()) != case["full_finds"]:
                wrong.append("verify should %sfind it" % (
                    "" if case["full_finds"] else "not "))
            report(not wrong, "damage: %s (%s)" % (
                case["why"], case["object"][:8]), "; ".join(wrong))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
