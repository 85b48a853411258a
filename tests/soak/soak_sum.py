# SPDX-License-Identifier: Apache-2.0
"""The sum of a disk: SHA-256 over those of its MiBs. So one after a write, or
after half of it, is known without reading all of the disk."""
import hashlib
import os

MIB = 1 << 20
ZERO = hashlib.sha256(bytes(MIB)).digest()


def of_blocks(blocks):
    return hashlib.sha256(b"".join(blocks)).hexdigest()


class Sum:
    """Bytes come in order."""

    def __init__(self):
        self.blocks, self.at = [], 0
        self.block, self.room = hashlib.sha256(), MIB

    def update(self, data):
        data = memoryview(data)
        self.at += len(data)
        while data:
            piece, data = data[:self.room], data[self.room:]
            self.block.update(piece)
            self.room -= len(piece)
            if not self.room:
                self.blocks.append(self.block.digest())
                self.block, self.room = hashlib.sha256(), MIB

    def zeros(self, count):
        while count > 0:
            if self.room == MIB and count >= MIB:
                n = MIB
                self.blocks.append(ZERO)
                self.at += MIB
            else:
                n = min(count, self.room)
                self.update(bytes(n))
            count -= n

    def zeros_to(self, at):
        self.zeros(at - self.at)

    def hexdigest(self):
        rest = [self.block.digest()] if self.room < MIB else []
        return of_blocks(self.blocks + rest)


def blocks_of(path, size, first=0, last=None):
    """The sums of some MiBs of a file."""
    found = []
    with open(path, "rb") as f:
        f.seek(first * MIB)
        while f.tell() < size and (last is None or f.tell() <= last * MIB):
            found.append(hashlib.sha256(
                f.read(min(MIB, size - f.tell()))).digest())
    return found


def of_file(path, size=None):
    return of_blocks(blocks_of(path, os.path.getsize(path) if size is None
                               else size))
