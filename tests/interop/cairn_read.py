#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An independent reader of vault format 1, written from docs/format.md alone.

It shares nothing with the C sources: the standard library,
python3-cryptography and the zstd program. It reads a vault that lies in a
folder, by a key file:

  cairn_read.py --vault DIR --key-file F list
  cairn_read.py --vault DIR --key-file F disk POINT POSITION OUT
  cairn_read.py --vault DIR --key-file F verify
"""
import argparse
import collections
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey, X25519PublicKey)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PIECE = 16 << 20
HEADER, TAIL = 96, 64
SEGMENT = 65536


class Refused(Exception):
    """Something that a reader must not use, and why."""


def need(good, why):
    if not good:
        raise Refused(why)


def hkdf(ikm, salt, info, length):
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    out, block = b"", b""
    for i in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([i]), "sha256")
        out += block
    return out[:length]


def label(text):
    return text.encode().ljust(16, b"\0")


def crc32c(data):
    table = crc32c.table
    crc = 0xffffffff
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


crc32c.table = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ 0x82f63b78 if _n & 1 else _n >> 1
    crc32c.table.append(_n)


def gcm_open(key, nonce, aad, sealed, what):
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        raise Refused(what + ": tag is wrong") from None


def varint(data, at):
    value = shift = 0
    while True:
        need(at < len(data), "varint: cut off")
        byte = data[at]
        at += 1
        need(shift < 63 or byte < 2, "varint: over 64 bits")
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            need(byte or shift == 7, "varint: not the shortest form")
            return value, at


# --- keys ------------------------------------------------------------------

Recipient = collections.namedtuple("Recipient", "private public tag")


class Keys:
    def __init__(self, vault, key_text):
        lines = key_text.split("\n")
        need(lines and lines[-1] == "", "key file: no newline at the end")
        need(len(lines) == 4 and lines[0] == "cairn key 1",
             "key file: not a cairn key 1 file")
        word, _, vault_hex = lines[1].partition(" ")
        need(word == "vault" and re.fullmatch("[0-9a-f]{32}", vault_hex),
             "key file: no vault line")
        self.vault = vault
        self.id = bytes.fromhex(vault_hex)
        word, _, rest = lines[2].partition(" ")
        if word == "passphrase":
            self.me = self.unlock(rest)
        else:
            need(word == "private" and re.fullmatch("[0-9a-f]{64}", rest),
                 "key file: neither passphrase nor private key")
            self.me = self.recipient(bytes.fromhex(rest))
        self.rs = self.secret(1, self.id)
        need(self.rs is not None, "no key here opens this vault")
        need(hkdf(self.rs, b"", label("cairn vault 1"), 16) == self.id,
             "RS does not give the vault id")
        self.k_id = hkdf(self.rs, self.id, label("cairn id 1"), 32)
        self.k_name = hkdf(self.rs, self.id, label("cairn name 1"), 32)
        self.meta, self.data = {}, {}

    def recipient(self, private):
        key = X25519PrivateKey.from_private_bytes(private)
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        tag = hashlib.sha256(label("cairn tag 1") + self.id + public)
        return Recipient(key, public, tag.digest()[:16])

    def open_wrap(self, raw, method, what, key_id, passphrase=None):
        need(len(raw) == 160, "wrap: not 160 bytes")
        magic, version, suite, meth, log2n, kind, zero, kid, salt, eph = \
            struct.unpack("<8sBBBBB3s16s16s32s", raw[:80])
        need(magic == b"CAIRNKEY", "wrap: magic")
        need(version == 1, "wrap: version %d" % version)
        need(suite == 1, "wrap: suite %d" % suite)
        need(zero == b"\0\0\0", "wrap: zero fields")
        need(meth == method and kind == what, "wrap: method or kind")
        need(kid == key_id, "wrap: another key id")
        if method == 2:
            need(15 <= log2n <= 20, "wrap: log2 N %d" % log2n)
            need(eph == bytes(32), "wrap: ephemeral key under scrypt")
            z = hashlib.scrypt(passphrase.encode(), salt=salt, n=1 << log2n,
                               r=8, p=1, maxmem=1500 << 20, dklen=32)
            public = bytes(32)
        else:
            need(log2n == 0, "wrap: log2 N")
            try:
                z = self.me.private.exchange(
                    X25519PublicKey.from_public_bytes(eph))
            except ValueError:
                raise Refused("wrap: shared secret is zero") from None
            need(z != bytes(32), "wrap: shared secret is zero")
            public = self.me.public
        both = hkdf(z, salt, label("cairn wrap 1") + self.id + raw[:80]
                    + public, 64)
        need(hmac.compare_digest(both[32:], raw[80:112]), "wrap: commitment")
        return gcm_open(both[:32], bytes(12), None, raw[112:], "wrap")

    def unlock(self, passphrase):
        why = Refused("no recovery key in this vault")
        for name in self.vault.list("keys/recovery/"):
            m = re.fullmatch("keys/recovery/([0-9a-f]{32})-[0-9a-f]{8}", name)
            if not m:
                continue
            tag = bytes.fromhex(m[1])
            try:
                private = self.open_wrap(self.vault.get(name), 2, 4, tag,
                                         passphrase)
                me = self.recipient(private)
                need(me.tag == tag, "recovery key: wrong tag")
                return me
            except Refused as e:
                why = e
        raise why

    def secret(self, what, key_id):
        prefix = "keys/%s/%s-" % (key_id.hex(), self.me.tag.hex())
        for name in self.vault.list(prefix):
            if not re.fullmatch("[0-9a-f]{8}", name[len(prefix):]):
                continue
            try:
                return self.open_wrap(self.vault.get(name), 1, what, key_id)
            except Refused:
                continue
        return None

    def key(self, kind, key_id):
        """K_meta or K_data of a key id."""
        cache, what, text = ((self.meta, 2, "cairn meta 1") if kind == "meta"
                             else (self.data, 3, "cairn data 1"))
        if key_id not in cache:
            raw = self.secret(what, key_id)
            need(raw is not None, "no %s key %s" % (kind, key_id.hex()))
            both = hkdf(self.rs + raw, self.id, label(text), 48)
            need(both[:16] == key_id, "key %s: id" % key_id.hex())
            cache[key_id] = both[16:]
        return cache[key_id]

    def vm_tag(self, series):
        return hmac.digest(self.k_name, series.encode(), "sha256")[:16].hex()


# --- sealed streams and fields -----------------------------------------------

def open_stream(keys, raw, kind, name):
    need(len(raw) >= 80 + 16, name + ": too short")
    magic, version, suite, got, zero, key_id, salt = struct.unpack(
        "<8sBBHI16s16s", raw[:48])
    need(magic == b"CAIRNST1", name + ": magic")
    need(version == 1, name + ": version %d" % version)
    need(suite == 1, name + ": suite %d" % suite)
    need(got == kind, name + ": kind %d" % got)
    need(zero == 0, name + ": zero field")
    k = keys.key("data" if kind == 5 else "meta", key_id)
    both = hkdf(k, salt, label("cairn stream 1") + keys.id + raw[:48]
                + name.encode(), 64)
    need(hmac.compare_digest(both[32:], raw[48:80]), name + ": commitment")
    out, at, count = [], 80, 0
    while True:
        piece = raw[at:at + SEGMENT + 16]
        at += len(piece)
        last = at == len(raw)
        need(len(piece) >= 16, name + ": cut off")
        nonce = struct.pack("<IB7x", count, int(last))
        out.append(gcm_open(both[:32], nonce, None, piece, name))
        count += 1
        if last:
            break
    need(out[-1] or count == 1, name + ": empty last segment")
    return b"".join(out), key_id


def fields(plain, known, what):
    """{type: [value, ...]}; known: {type: (critical, many)}."""
    out, at, before = {}, 0, -1
    while at < len(plain):
        need(len(plain) - at >= 8, what + ": field cut off")
        typ, flags, length = struct.unpack_from("<HHI", plain, at)
        at += 8
        need(length <= len(plain) - at, what + ": field %d too long" % typ)
        value = plain[at:at + length]
        at += length
        need(flags in (0, 1), what + ": field %d: flags" % typ)
        many = known.get(typ, (0, True))[1]
        need(typ > before or typ == before and many,
             what + ": field %d: order" % typ)
        before = typ
        if typ not in known:
            need(not flags, what + ": unknown critical field %d" % typ)
            continue
        need(flags == known[typ][0], what + ": field %d: flags" % typ)
        out.setdefault(typ, []).append(value)
    return out


NAME = re.compile(r"points/[0-9a-f]{32}/\d{8}T\d{6}Z-[0-9a-f]{8}")
LISTNAME = re.compile(r"gc/\d{8}T\d{6}Z-[0-9a-f]{8}")


def names(value):
    need(len(value) % 65 == 0, "names: length")
    out = [value[i:i + 65].decode() for i in range(0, len(value), 65)]
    need(all(NAME.fullmatch(n) for n in out), "names: not a point's")
    return out


Disk = collections.namedtuple(
    "Disk", "position vdi name size log2 runs pages sum")


def runs_of(data, at, chunks, packs):
    """[(count, pack or None, first slot)], covering `chunks` exactly."""
    out, seen = [], 0
    while at < len(data):
        head, at = varint(data, at)
        count = head >> 1
        need(count > 0, "map: empty run")
        if head & 1:
            pack, at = varint(data, at)
            first, at = varint(data, at)
            need(pack < packs, "map: no such pack")
            need(first + count <= 65536, "map: no such slot")
            out.append((count, pack, first))
        else:
            out.append((count, None, 0))
        seen += count
        need(seen <= chunks, "map: too many chunks")
    need(seen == chunks, "map: does not cover the disk")
    return out


class Point:
    def __init__(self, keys, name, raw):
        plain, _ = open_stream(keys, raw, 3, name)
        known = {1: (1, 0), 2: (0, 0), 3: (0, 0), 4: (0, 0), 5: (1, 0),
                 6: (0, 0), 7: (0, 0), 8: (0, 0), 9: (0, 0), 10: (0, 0),
                 11: (0, 0), 12: (0, 0), 13: (1, 0), 14: (0, 0), 15: (1, 0),
                 20: (1, 0), 21: (1, 0), 22: (1, 1)}
        f = fields(plain, known, name)
        for must in (1, 5, 15, 20, 21):
            need(must in f, "%s: no field %d" % (name, must))
        self.name = name
        self.series = f[1][0].decode()
        need(0 < len(f[1][0]) <= 128, name + ": series")
        need(keys.vm_tag(self.series) == name.split("/")[1],
             name + ": another VM's")
        need(len(f[15][0]) == 16 and len(f[5][0]) == 16, name + ": lengths")
        self.vm = f[15][0]
        self.start, self.end = struct.unpack("<QQ", f[5][0])
        self.label = f.get(2, [b""])[0].decode()
        self.metadata = f.get(4, [None])[0]
        self.unfinished = 13 in f
        self.replaces = names(f.get(14, [b""])[0])
        self.roster = names(f.get(10, [b""])[0])
        self.previous = f.get(9, [None])[0]
        keyraw, packraw = f[20][0], f[21][0]
        need(len(keyraw) % 16 == 0 and len(packraw) % 20 == 0,
             name + ": tables")
        self.keys = [keyraw[i:i + 16] for i in range(0, len(keyraw), 16)]
        self.packs = []
        for i in range(0, len(packraw), 20):
            pid, key, kind = struct.unpack_from("<16sHH", packraw, i)
            need(key < len(self.keys) and kind < 2, name + ": pack table")
            self.packs.append((pid, key, kind))
        need(len({p[0] for p in self.packs}) == len(self.packs),
             name + ": a pack twice")
        self.disks = []
        for raw_disk in f.get(22, []):
            self.disks.append(self.disk(raw_disk))
        positions = [d.position for d in self.disks]
        need(positions == sorted(set(positions)), name + ": positions")

    def disk(self, raw):
        g = fields(raw, {i: (int(i != 3), 0) for i in range(1, 9)}, "disk")
        for must in (1, 2, 4, 5, 8):
            need(must in g, "disk: no field %d" % must)
        need((6 in g) != (7 in g), "disk: map or pages")
        position, = struct.unpack("<I", g[1][0])
        size, = struct.unpack("<Q", g[4][0])
        log2 = g[5][0][0]
        need(16 <= log2 <= 20, "disk: chunk size")
        chunks = -(-size // (1 << log2))
        need(chunks <= 1 << 30, "disk: too large")
        runs = pages = None
        if 6 in g:
            runs = runs_of(g[6][0], 0, chunks, len(self.packs))
        else:
            pages = runs_of(g[7][0], 0, -(-chunks // 4096), len(self.packs))
        return Disk(position, g[2][0],
                    g[3][0].decode() if 3 in g else "", size, log2, runs,
                    pages, g[8][0])


# --- packs -------------------------------------------------------------------

Slot = collections.namedtuple("Slot", "id stored raw codec offset")


class Pack:
    """One object of a pack, opened: header, tail and toc are good and agree."""

    def __init__(self, keys, name, raw):
        self.keys, self.name, self.raw = keys, name, raw
        m = re.fullmatch(r"(packs|maps)/(..)/([0-9a-f]{32})"
                         r"(\.[0-9a-f]{4}-[0-9a-f]{8})?", name)
        need(m and m[2] == m[3][:2], name + ": not a pack's name")
        need(len(raw) % 65536 == 0 and raw, name + ": length")
        magic, version, suite, kind, key_id, pack_id, salt = struct.unpack(
            "<8sBBH16s16s16s", raw[:60])
        need(magic == b"CAIRNPK1", name + ": magic")
        need(version == 1, name + ": version %d" % version)
        need(suite == 1, name + ": suite %d" % suite)
        need(kind == (m[1] == "maps"), name + ": kind")
        need(pack_id.hex() == m[3], name + ": another pack's")
        need(crc32c(raw[:92]) == struct.unpack("<I", raw[92:96])[0],
             name + ": header crc")
        self.kind, self.key_id, self.pack_id = kind, key_id, pack_id
        self.info = (label("cairn map 1" if kind else "cairn pack 1")
                     + keys.id + raw[:60])
        self.salt, self.k = salt, None
        tail = raw[-TAIL:]
        toc_at, toc_len, count, digest, magic, crc, zero = struct.unpack(
            "<QII32s8sII", tail)
        need(crc == crc32c(tail[:56]) and zero == 0 and magic == b"CAIRNPKE",
             name + ": tail")
        need(toc_at + toc_len + TAIL == len(raw) and toc_at >= HEADER,
             name + ": toc place")
        toc, _ = open_stream(keys, raw[toc_at:toc_at + toc_len], 1, name)
        need(len(toc) >= 40, name + ": toc")
        need(toc[:32] == digest, name + ": digests differ")
        n, zero = struct.unpack_from("<II", toc, 32)
        need(n == count and zero == 0 and n <= 65536
             and len(toc) == 40 + 28 * n, name + ": toc")
        self.slots, at = [], HEADER
        for i in range(n):
            cid, stored, length, codec, zeros = struct.unpack_from(
                "<16sIIB3s", toc, 40 + 28 * i)
            need(zeros == b"\0\0\0" and codec < 2, name + ": toc entry")
            if stored:
                need(stored == length + 16 if codec == 0
                     else 16 < stored < length + 16, name + ": stored length")
            self.slots.append(Slot(cid, stored, length, codec, at))
            at += stored
        need(at <= toc_at, name + ": slots run into the toc")
        self.digest, self.toc_at = digest, toc_at

    def check_digest(self):
        outer = hashlib.sha256()
        for at in range(0, self.toc_at, PIECE):
            end = min(at + PIECE, self.toc_at)
            outer.update(hashlib.sha256(self.raw[at:end]).digest())
        need(outer.digest() == self.digest, self.name + ": digest")

    def chunk(self, number, length):
        need(number < len(self.slots), self.name + ": no such slot")
        slot = self.slots[number]
        need(slot.stored, self.name + ": slot was dropped")
        need(slot.raw == length, self.name + ": raw length")
        if self.k is None:
            key = self.keys.key("meta" if self.kind else "data", self.key_id)
            both = hkdf(key, self.salt, self.info, 64)
            need(hmac.compare_digest(both[32:], self.raw[60:92]),
                 self.name + ": commitment")
            self.k = both[:32]
        body = gcm_open(self.k, struct.pack("<I", number) + slot.id[:8],
                        struct.pack("<BI", slot.codec, slot.raw),
                        self.raw[slot.offset:slot.offset + slot.stored],
                        "%s slot %d" % (self.name, number))
        if slot.codec:
            body = unzstd(body, slot.raw)
        need(len(body) == slot.raw, self.name + ": length")
        cid = hmac.digest(self.keys.k_id, bytes([self.kind]) + body, "sha256")
        need(cid[:16] == slot.id, "%s slot %d: id" % (self.name, number))
        return body


def unzstd(body, length):
    need(body[:4] == b"\x28\xb5\x2f\xfd", "not a zstd frame")
    done = subprocess.run(["zstd", "-dcq", "--single-thread"], input=body,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False)
    need(done.returncode == 0 and len(done.stdout) == length, "zstd frame")
    return done.stdout


# --- the vault ---------------------------------------------------------------

class Folder:
    def __init__(self, root):
        self.root = root

    def get(self, name):
        try:
            with open(os.path.join(self.root, name), "rb") as f:
                return f.read()
        except OSError as e:
            raise Refused("%s: %s" % (name, e.strerror)) from None

    def list(self, prefix):
        out = []
        for folder, _, files in os.walk(self.root):
            for f in files:
                name = os.path.relpath(os.path.join(folder, f), self.root)
                if name.startswith(prefix) and not name.startswith("tmp/"):
                    out.append(name)
        return sorted(out)


class Vault:
    def __init__(self, root, key_text):
        self.store = Folder(root)
        self.complaints = []
        self.read_format()
        self.keys = Keys(self.store, key_text)
        self.opened = {}
        self.removed = self.read_lists()

    def read_format(self):
        """A hint: what cannot be read there hurts nothing."""
        try:
            number = json.loads(self.store.get("format")).get("format")
        except (Refused, ValueError, AttributeError):
            self.complaints.append("format: not to be read")
            return
        need(number == 1, "vault format %r" % number)

    def read_lists(self):
        state = {}
        for name in self.store.list("gc/"):
            if not LISTNAME.fullmatch(name):
                continue
            try:
                plain, _ = open_stream(self.keys, self.store.get(name), 4, name)
                f = fields(plain, {40: (1, 0), 41: (1, 0), 42: (1, 0)}, name)
                gone, back = names(f.get(41, [b""])[0]), names(
                    f.get(42, [b""])[0])
                need(not set(gone) & set(back), name + ": named in both")
            except Refused as e:
                self.complaints.append(str(e))
                continue
            state.update({n: True for n in gone})
            state.update({n: False for n in back})
        return {n for n, is_removed in state.items() if is_removed}

    def points(self, hidden=False):
        good = []
        for name in self.store.list("points/"):
            if not NAME.fullmatch(name):
                continue
            try:
                good.append(Point(self.keys, name, self.store.get(name)))
            except (Refused, UnicodeDecodeError, struct.error) as e:
                self.complaints.append("%s: %s" % (name, e))
        replaced = {n for p in good for n in p.replaces}
        return [p for p in good if hidden or not (
            p.unfinished or p.name in self.removed or p.name in replaced)]

    def generations(self, pack_id, kind):
        folder = "maps" if kind else "packs"
        base = "%s/%s/%s" % (folder, pack_id.hex()[:2], pack_id.hex())
        found = self.store.list(base)
        order = [base] if base in found else []
        return order + sorted((n for n in found if n != base), reverse=True)

    def chunk(self, point, pack, number, length, kind):
        pid, key, got = point.packs[pack]
        need(got == kind, "pack %s: kind" % pid.hex())
        why = Refused("pack %s is not there" % pid.hex())
        for name in self.generations(pid, kind):
            try:
                if name not in self.opened:
                    self.opened[name] = Pack(self.keys, name,
                                             self.store.get(name))
                one = self.opened[name]
                need(one.key_id == point.keys[key], name + ": key id")
                return one.chunk(number, length)
            except Refused as e:
                why = e
        raise why

    def runs(self, point, disk):
        if disk.runs is not None:
            return disk.runs
        chunks = -(-disk.size // (1 << disk.log2))
        out, page = [], 0
        index = {p[0]: i for i, p in enumerate(point.packs)}
        for count, pack, first in disk.pages:
            for i in range(count):
                here = min(4096, chunks - page * 4096)
                page += 1
                if pack is None:
                    out.append((here, None, 0))
                    continue
                out += self.page(point, pack, first + i, here, index)
        return out

    def page(self, point, pack, number, here, index):
        length = self.slot_length(point, pack, number)
        need(length <= 131072, "page: too long")
        raw = self.chunk(point, pack, number, length, 1)
        n, at = varint(raw, 0)
        need(at + 16 * n <= len(raw), "page: pack ids")
        ids = [raw[at + 16 * i:at + 16 * i + 16] for i in range(n)]
        need(all(i in index for i in ids), "page: pack not in the table")
        return [(c, None if p is None else index[ids[p]], f)
                for c, p, f in runs_of(raw, at + 16 * n, here, n)]

    def slot_length(self, point, pack, number):
        pid, _, kind = point.packs[pack]
        for name in self.generations(pid, kind):
            try:
                one = self.opened.setdefault(
                    name, Pack(self.keys, name, self.store.get(name)))
            except Refused:
                continue
            if number < len(one.slots) and one.slots[number].stored:
                return one.slots[number].raw
        raise Refused("page: no pack holds its slot")

    def read_disk(self, point, disk, write):
        """Calls write(offset, bytes); zeros are left out."""
        size, number, total = 1 << disk.log2, 0, 0
        for count, pack, first in self.runs(point, disk):
            for i in range(count if pack is not None else 0):
                at = (number + i) * size
                raw = self.chunk(point, pack, first + i,
                                 min(size, disk.size - at), 0)
                cid = hmac.digest(self.keys.k_id, b"\0" + raw, "sha256")[:16]
                total += int.from_bytes(hashlib.sha256(
                    struct.pack("<Q", number + i) + cid).digest(), "little")
                write(at, raw)
            number += count
        need((total % (1 << 256)).to_bytes(32, "little") == disk.sum,
             "%s disk %d: content sum" % (point.name, disk.position))

    def verify(self):
        bad = []
        for name in self.store.list("packs/") + self.store.list("maps/"):
            if "/" not in name:
                continue
            try:
                Pack(self.keys, name, self.store.get(name)).check_digest()
            except Refused as e:
                bad.append(str(e))
        for point in self.points(hidden=True):
            for disk in point.disks:
                try:
                    self.read_disk(point, disk, lambda at, raw: None)
                except Refused as e:
                    bad.append("%s disk %d: %s" % (point.name, disk.position,
                                                   e))
            if point.metadata:
                try:
                    open_stream(self.keys, point.metadata, 5, point.name)
                except Refused as e:
                    bad.append(str(e))
        for name in self.store.list("index/"):
            try:
                self.read_run(name)
            except Refused as e:
                bad.append(str(e))
        return bad + self.complaints

    def read_run(self, name):
        plain, _ = open_stream(self.keys, self.store.get(name), 2, name)
        for raw in fields(plain, {50: (0, 1)}, name).get(50, []):
            need(len(raw) >= 40, name + ": pack entry")
            kind, zero, count = struct.unpack_from("<HHI", raw, 32)
            need(kind < 2 and not zero and len(raw) == 40 + 28 * count,
                 name + ": pack entry")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--vault", required=True)
    ap.add_argument("--key-file", required=True)
    ap.add_argument("verb", choices=["list", "disk", "verify"])
    ap.add_argument("rest", nargs="*")
    args = ap.parse_args()
    with open(args.key_file, encoding="ascii") as f:
        vault = Vault(args.vault, f.read())
    if args.verb == "list":
        for p in vault.points():
            print(p.name, p.label, *(
                "%d:%d" % (d.position, d.size) for d in p.disks))
    elif args.verb == "disk":
        name, position, out = args.rest
        point = next((p for p in vault.points() if p.name == name), None)
        need(point, "no such point")
        disk = next(d for d in point.disks if d.position == int(position))
        with open(out, "wb") as f:
            def put(at, raw):
                f.seek(at)
                f.write(raw)
            vault.read_disk(point, disk, put)
            f.truncate(disk.size)
    else:
        bad = vault.verify()
        for line in bad:
            print(line)
        return 8 if bad else 0
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as e:
        print("cairn_read: %s" % e, file=sys.stderr)
        sys.exit(1)
