#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An independent writer of vault format 1, for tests of what reads one.

Written from docs/format.md like its sister cairn_read.py, whose primitives it
uses. It makes small vaults in a folder: chunks go raw, all packs are written
by one session, a disk's map goes in pages when asked.
"""
import hashlib
import hmac
import json
import os
import struct
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cairn_read import PIECE, SEGMENT, crc32c, hkdf, label

PAGE = 4096
BLOCK = 65536


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(typ, critical, value):
    return struct.pack("<HHI", typ, critical, len(value)) + value


def runs_of(slots, number):
    """slots: per chunk None or (pack, slot); number: of a pack in the map."""
    out, i = bytearray(), 0
    while i < len(slots):
        j = i + 1
        if slots[i] is None:
            while j < len(slots) and slots[j] is None:
                j += 1
            out += varint(2 * (j - i))
        else:
            pack, slot = slots[i]
            while j < len(slots) and slots[j] == (pack, slot + j - i):
                j += 1
            out += (varint(2 * (j - i) + 1) + varint(number(pack))
                    + varint(slot))
        i = j
    return bytes(out)


class Pack:
    """One pack while it fills."""

    def __init__(self, vault, kind):
        self.vault, self.kind = vault, kind
        self.id = os.urandom(16)
        key_id, key = vault.dk if kind == 0 else vault.mk
        self.key_id = key_id
        head = struct.pack("<8sBBH16s16s16s", b"CAIRNPK1", 1, 1, kind, key_id,
                           self.id, os.urandom(16))
        text = "cairn pack 1" if kind == 0 else "cairn map 1"
        both = hkdf(key, head[44:60], label(text) + vault.id + head, 64)
        self.key = both[:32]
        head += both[32:]
        self.body = bytearray(head + struct.pack("<I", crc32c(head)))
        self.entries = []

    def add(self, raw):
        """Returns (pack, slot) and the chunk id."""
        slot = len(self.entries)
        cid = hmac.digest(self.vault.k_id, bytes([self.kind]) + raw,
                          "sha256")[:16]
        sealed = AESGCM(self.key).encrypt(
            struct.pack("<I", slot) + cid[:8], raw,
            struct.pack("<BI", 0, len(raw)))
        self.body += sealed
        self.entries.append(cid + struct.pack("<IIB3x", len(sealed), len(raw),
                                              0))
        return (self, slot), cid

    def close(self):
        name = "%s/%s/%s" % ("packs" if self.kind == 0 else "maps",
                             self.id[:1].hex(), self.id.hex())
        toc_len = 40 + 28 * len(self.entries)
        sealed_len = 80 + toc_len + 16 * max(1, -(-toc_len // SEGMENT))
        self.body += bytes(-(len(self.body) + sealed_len + 64) % BLOCK)
        digest = hashlib.sha256(b"".join(
            hashlib.sha256(self.body[at:at + PIECE]).digest()
            for at in range(0, len(self.body), PIECE))).digest()
        offset = len(self.body)
        toc = (digest + struct.pack("<I4x", len(self.entries))
               + b"".join(self.entries))
        self.body += self.vault.stream(1, name, toc)
        tail = struct.pack("<QII", offset, len(self.body) - offset,
                           len(self.entries)) + digest + b"CAIRNPKE"
        self.body += tail + struct.pack("<I4x", crc32c(tail))
        self.vault.put(name, self.body)


class Vault:
    def __init__(self, root, passphrase="badu cefi gohu jake lomi nupa rise"):
        self.root, self.passphrase = root, passphrase
        self.rs = os.urandom(32)
        self.id = hkdf(self.rs, b"", label("cairn vault 1"), 16)
        self.k_id = hkdf(self.rs, self.id, label("cairn id 1"), 32)
        self.k_name = hkdf(self.rs, self.id, label("cairn name 1"), 32)
        self.me = X25519PrivateKey.generate()
        self.public = self.me.public_key().public_bytes(Encoding.Raw,
                                                        PublicFormat.Raw)
        self.tag = hashlib.sha256(label("cairn tag 1") + self.id
                                  + self.public).digest()[:16]
        self.put("format", json.dumps(
            {"format": 1, "vault": self.id.hex(), "suite": 1,
             "created": "2026-01-01T00:00:00Z"}).encode())
        private = self.me.private_bytes_raw() if hasattr(
            self.me, "private_bytes_raw") else self._private()
        self.put("keys/recovery/%s-%s" % (self.tag.hex(),
                                          os.urandom(4).hex()),
                 self.wrap(2, 4, self.tag, private))
        self.put_key(1, self.id, self.rs)
        self.mk, self.dk = (self.new_key(2, "cairn meta 1"),
                            self.new_key(3, "cairn data 1"))
        self.clock = int(time.time())

    def _private(self):
        from cryptography.hazmat.primitives.serialization import (
            NoEncryption, PrivateFormat)
        return self.me.private_bytes(Encoding.Raw, PrivateFormat.Raw,
                                     NoEncryption())

    def key_file(self, path):
        with open(path, "w", encoding="ascii") as f:
            f.write("cairn key 1\nvault %s\npassphrase %s\n"
                    % (self.id.hex(), self.passphrase))
        return path

    def put(self, name, data):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as f:
            f.write(data)

    # --- keys ----------------------------------------------------------------

    def wrap(self, method, what, key_id, secret):
        salt = os.urandom(16)
        public, theirs = bytes(32), bytes(32)
        if method == 2:
            z = hashlib.scrypt(self.passphrase.encode(), salt=salt, n=1 << 15,
                               r=8, p=1, maxmem=128 << 20, dklen=32)
        else:
            once = X25519PrivateKey.generate()
            public = once.public_key().public_bytes(Encoding.Raw,
                                                    PublicFormat.Raw)
            z, theirs = once.exchange(self.me.public_key()), self.public
        head = struct.pack("<8sBBBBB3x16s16s32s", b"CAIRNKEY", 1, 1, method,
                           15 if method == 2 else 0, what, key_id, salt,
                           public)
        both = hkdf(z, salt, label("cairn wrap 1") + self.id + head + theirs,
                    64)
        return head + both[32:] + AESGCM(both[:32]).encrypt(bytes(12), secret,
                                                            None)

    def put_key(self, what, key_id, secret):
        self.put("keys/%s/%s-%s" % (key_id.hex(), self.tag.hex(),
                                    os.urandom(4).hex()),
                 self.wrap(1, what, key_id, secret))

    def new_key(self, what, text):
        secret = os.urandom(32)
        both = hkdf(self.rs + secret, self.id, label(text), 48)
        self.put_key(what, both[:16], secret)
        return both[:16], both[16:]

    # --- streams -------------------------------------------------------------

    def stream(self, kind, name, plain):
        key_id, key = self.dk if kind == 5 else self.mk
        salt = hmac.digest(key, os.urandom(16) + plain, "sha256")[:16]
        head = struct.pack("<8sBBH4x16s16s", b"CAIRNST1", 1, 1, kind, key_id,
                           salt)
        both = hkdf(key, salt, label("cairn stream 1") + self.id + head
                    + name.encode(), 64)
        out = bytearray(head + both[32:])
        pieces = [plain[at:at + SEGMENT]
                  for at in range(0, len(plain), SEGMENT)] or [b""]
        for i, piece in enumerate(pieces):
            nonce = struct.pack("<IB7x", i, i == len(pieces) - 1)
            out += AESGCM(both[:32]).encrypt(nonce, bytes(piece), None)
        return bytes(out)

    # --- a point -------------------------------------------------------------

    def point(self, series, vm, name, disks, ova=None, pool="", paged=False,
              slots=400):
        """disks: [(position, vdi uuid hex, name, bytes, log2 of chunk)].
        slots: of a pack. Returns the point's name."""
        self.clock += 1
        when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.clock))
        tag = hmac.digest(self.k_name, series.encode(), "sha256")[:16].hex()
        obj = "points/%s/%s-%s" % (tag, when, os.urandom(4).hex())
        packs = []  # in the order of their numbers
        told = b"".join(self._disk(d, packs, paged, slots)
                        for d in sorted(disks))
        for p in packs:
            p.close()
        out = field(1, 1, series.encode()) + field(2, 0, name.encode())
        if pool:
            out += field(3, 0, pool.encode())
        if ova is not None:
            out += field(4, 0, self.stream(5, obj, ova))
        out += field(5, 1, struct.pack("<QQ", self.clock * 1000,
                                       self.clock * 1000 + 500))
        out += field(6, 0, b"xva") + field(15, 1, bytes.fromhex(vm))
        out += field(20, 1, self.mk[0] + self.dk[0])
        out += field(21, 1, b"".join(
            p.id + struct.pack("<HH", 1 if p.kind == 0 else 0, p.kind)
            for p in packs)) + told
        self.put(obj, self.stream(3, obj, out))
        return obj

    def _disk(self, disk, packs, paged, slots):
        position, vdi, name, raw, log2 = disk
        size, where, total, seen = 1 << log2, [], 0, {}
        open_pack = None
        for n, at in enumerate(range(0, len(raw), size)):
            chunk = raw[at:at + size]
            if not chunk.strip(b"\0"):
                where.append(None)
                continue
            if chunk not in seen:
                if open_pack is None or len(open_pack.entries) == slots:
                    open_pack = Pack(self, 0)
                    packs.append(open_pack)
                seen[chunk] = open_pack.add(chunk)
            place, cid = seen[chunk]
            where.append(place)
            total += int.from_bytes(hashlib.sha256(
                struct.pack("<Q", n) + cid).digest(), "little")
        out = (field(1, 1, struct.pack("<I", position))
               + field(2, 1, bytes.fromhex(vdi))
               + field(3, 0, name.encode())
               + field(4, 1, struct.pack("<Q", len(raw)))
               + field(5, 1, bytes([log2])))
        if paged:
            out += field(7, 1, self._pages(where, packs))
        else:
            out += field(6, 1, runs_of(where, packs.index))
        out += field(8, 1, (total % (1 << 256)).to_bytes(32, "little"))
        return field(22, 1, out)

    def _pages(self, where, packs):
        held, pages = None, []
        for at in range(0, len(where), PAGE):
            part = where[at:at + PAGE]
            used = list(dict.fromkeys(p[0] for p in part if p))
            if not used:
                pages.append(None)
                continue
            if held is None:
                held = Pack(self, 1)
                packs.append(held)
            pages.append(held.add(
                varint(len(used)) + b"".join(p.id for p in used)
                + runs_of(part, used.index))[0])
        return runs_of(pages, packs.index)
