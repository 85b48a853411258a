# SPDX-License-Identifier: Apache-2.0
"""What the measures are taken on: disks with real files, and others.

Standard library, and mke2fs.
"""
import hashlib
import os
import random
import shutil
import subprocess

MIB = 1 << 20
ROOTS = ("/usr/lib", "/usr/share", "/usr/bin", "/usr/include")
FILE_MAX = 64 * MIB


def files_of_system(total):
    """Files of this system that take about `total` bytes in blocks of 4 KiB,
    mixed, the same each time."""
    found = []
    folders = set()
    for root in ROOTS:
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    info = os.lstat(path)
                except OSError:
                    continue
                if os.path.isfile(path) and not os.path.islink(path) and \
                        0 < info.st_size <= FILE_MAX:
                    found.append((hashlib.sha256(path.encode()).digest(),
                                  path, info.st_size))
    found.sort()
    for _, path, size in found:
        total -= -(-size // 4096) * 4096
        folder = os.path.dirname(path)
        while folder not in folders and folder != "/":
            folders.add(folder)
            total -= 4096
            folder = os.path.dirname(folder)
        if total <= 0:
            return
        yield path


def make_real(image, size):
    """A raw disk of `size` bytes with ext4, most of it files of this system.
    Returns how many."""
    staging = image + ".files"
    count = 0
    shutil.rmtree(staging, ignore_errors=True)
    for path in files_of_system(int(size * 0.85)):
        place = staging + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        try:
            shutil.copyfile(path, place)
            count += 1
        except PermissionError:
            pass
    subprocess.run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-i", "8192",
         "-E", "lazy_itable_init=1", "-O", "^has_journal", "-d", staging,
         image, "%dk" % (size // 1024)],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    shutil.rmtree(staging)
    return count


def make_random(image, size):
    """A raw disk that nothing compresses."""
    with open(image, "wb") as f:
        for _ in range(size // MIB):
            f.write(os.urandom(MIB))


def make_slice(image, source, number, size, data=None):
    """A disk of `size` bytes with `data` bytes (default: full) of another
    disk's, evenly spread in pieces of 4 MiB, on no chunk grid that another one
    of the first 64 shares: streams of these have nothing to share."""
    piece_bytes = 4 * MIB
    pieces = max(1, (size if data is None else data) // piece_bytes)
    room = os.path.getsize(source) - piece_bytes - MIB
    if room < 64 * MIB:
        raise RuntimeError("%s is too small for slices" % source)
    shift = number % 32 * 4096 + number // 32 * 512
    with open(source, "rb") as f, open(image, "wb") as out:
        out.truncate(size)
        for i in range(pieces):
            at = number * 7 * MIB + i * piece_bytes
            # Once around, the same bytes come on another grid.
            f.seek(at % room // MIB * MIB + shift + at // room * 1024)
            out.seek(i * size // pieces // MIB * MIB)
            out.write(f.read(min(piece_bytes, size - out.tell())))


class Overwritten:
    """Some 1 MiB blocks of a disk are overwritten with bytes that do not
    compress; on leaving they are as before."""

    def __init__(self, image, share):
        self.image = image
        blocks = os.path.getsize(image) // MIB
        self.blocks = sorted(random.Random(1).sample(
            range(blocks), max(1, round(blocks * share))))
        self.bytes = len(self.blocks) * MIB
        self.before = []

    def __enter__(self):
        with open(self.image, "r+b") as f:
            for block in self.blocks:
                f.seek(block * MIB)
                self.before.append(f.read(MIB))
                f.seek(block * MIB)
                f.write(os.urandom(MIB))
        return self

    def __exit__(self, *_):
        with open(self.image, "r+b") as f:
            for block, old in zip(self.blocks, self.before):
                f.seek(block * MIB)
                f.write(old)
