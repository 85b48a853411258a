# SPDX-License-Identifier: Apache-2.0
"""What a power cut leaves of a folder, out of a log of all that was done to it
(tests/flow/write_log.c).

The model is the weakest that POSIX lets a file system be, as in Pillai et al.,
"All File Systems Are Not Created Equal" (OSDI 2014, ALICE), and stricter than
ext4 or XFS in their default modes:

- What was written to a file since its last fsync() may be there or not, block
  by block of 512 bytes, in any order: old, new, or zeros where the file grew.
  Its length may be any between that of the last fsync() and the newest. That
  includes O_DIRECT, which says nothing of the drive's cache or the length.
- fsync() of a file makes its bytes and its length last, not its name (POSIX:
  a name is its folder's). fsync() of a folder makes the names in it last, as
  they are then: files, links, folders made, names removed.
- Names made, moved or removed since the folder's last fsync() may be so or
  not, each for itself and in any order. A rename within a folder is one step,
  as POSIX rename() demands of what other processes see and as every journal
  does it; between two folders it is two.
- A file whose bytes never lasted but whose name did shows any of the above.
- A folder whose own name did not last is gone with all that is in it.
- What fsync() has acknowledged is there; a 512-byte block is never torn
  (which is what drives promise, and what SQLite builds on too).

Not modelled: drives that lie about flushes, and bits that rot.
"""
import os
import struct

HEAD = struct.Struct("<IIQQQII")
MAGIC = 0x474c5743
BLOCK = 512


class File:
    def __init__(self):
        self.lasting = bytearray()
        self.pending = []  # ("write", offset, bytes) or ("cut", size)
        self.kept = b""    # what lasts, once it was asked for

    def change(self, what):
        self.pending.append(what)

    def sync(self):
        if self.pending:
            self.kept = None
        for what in self.pending:
            apply(self.lasting, what)
        self.pending.clear()

    def newest(self):
        data = bytearray(self.lasting)
        for what in self.pending:
            apply(data, what)
        return data

    def shown(self, how):
        """Its bytes after the cut."""
        if not self.pending or how.least:
            if self.kept is None:
                self.kept = bytes(self.lasting)
            return self.kept
        if how.most:
            return bytes(self.newest())
        data = bytearray(self.lasting)
        longest = len(data)
        for what in self.pending:
            longest = max(longest, what[1] + (len(what[2]) if what[0] ==
                                              "write" else 0))
            if what[0] == "cut":
                if how.lucky():
                    apply(data, what)
                continue
            _, offset, new = what
            # Runs of blocks with one fate: a drive writes them so, too.
            at = 0
            while at < len(new):
                end = min(len(new), (offset + at) // BLOCK * BLOCK +
                          BLOCK * how.blocks() - offset)
                if how.lucky():
                    apply(data, ("write", offset + at, new[at:end]))
                at = end
        if len(data) < longest and how.lucky():
            data.extend(bytes(how.random.randint(0, longest - len(data))))
        return bytes(data)


def apply(data, what):
    if what[0] == "cut":
        del data[what[1]:]
        data.extend(bytes(what[1] - len(data)))
        return
    _, offset, new = what
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset:offset + len(new)] = new


class Folder:
    def __init__(self):
        self.lasting = {}  # name: File or Folder
        self.now = {}
        self.pending = []  # (name or None, name or None, object)

    def change(self, gone, come, what):
        self.pending.append((gone, come, what))
        step(self.now, self.pending[-1])

    def sync(self):
        self.lasting = dict(self.now)
        self.pending.clear()

    def shown(self, how):
        """{name: File or Folder} after the cut."""
        if not self.pending or how.least:
            return dict(self.lasting)
        if how.most:
            return dict(self.now)
        names = dict(self.lasting)
        for what in self.pending:
            if how.lucky():
                step(names, what)
        return names


def step(names, what):
    gone, come, thing = what
    if gone is not None:
        names.pop(gone, None)
    if come is not None:
        names[come] = thing


class How:
    """Which of what may last did: the least of it, the most, or as chance
    will have it."""

    def __init__(self, kind, random=None):
        self.kind, self.random = kind, random
        self.least, self.most = kind == "least", kind == "most"
        self.odds = random.choice((0.1, 0.5, 0.9)) if random else 0

    def lucky(self):
        return self.random.random() < self.odds

    def blocks(self):
        return self.random.choice((1, 8, 32, 4096))


class Unseen(Exception):
    """The log says that it cannot say what happened."""


class Log:
    """A log that is read as far as it is wanted, over and over."""

    def __init__(self, path, roots):
        self.path, self.roots = path, roots

    def length(self):
        """Its length now: a mark. What was done before is in it."""
        return os.path.getsize(self.path)

    def ops(self):
        """(where it ends, letter, inode, offset, path, other, data)"""
        with open(self.path, "rb") as f:
            while head := f.read(HEAD.size):
                magic, op, ino, offset, data, path, other = HEAD.unpack(head)
                if magic != MAGIC:
                    raise Unseen("the log is broken at %d" % f.tell())
                path = f.read(path).decode()
                other = f.read(other).decode()
                bytes_ = f.read(data)
                yield (f.tell(), chr(op), ino, offset, path, other, bytes_)


class Disk:
    """The folders of a log as they come to be, one step after the other."""

    def __init__(self, roots):
        self.roots = {r: Folder() for r in roots}
        self.inodes = {}
        self.names = []  # of the last step that made a name: (path, object)

    def split(self, path):
        """The folder of a path, and its name there."""
        for root, folder in self.roots.items():
            if path.startswith(root + "/"):
                *way, leaf = path[len(root) + 1:].split("/")
                for part in way:
                    folder = folder.now[part]
                return folder, leaf
        raise Unseen("not below a root: " + path)

    def folder(self, path):
        if path in self.roots:
            return self.roots[path]
        folder, leaf = self.split(path)
        return folder.now[leaf]

    def do(self, op):
        _, letter, ino, offset, path, other, data = op
        self.names = []
        if letter in "CD":
            thing = File() if letter == "C" else Folder()
            if path in self.roots:
                return  # made by the program: there from the beginning
            folder, leaf = self.split(path)
            folder.change(None, leaf, thing)
            self.names = [(path, thing)]
            if letter == "C":
                self.inodes[ino] = thing
        elif letter == "W":
            self.inodes[ino].change(("write", offset, data))
        elif letter == "T":
            self.inodes[ino].change(("cut", offset))
        elif letter == "S":
            self.inodes[ino].sync()
        elif letter == "F":
            self.folder(path).sync()
        elif letter == "X":
            folder, leaf = self.split(path)
            folder.change(leaf, None, None)
        elif letter in "LR":
            old, old_leaf = self.split(path)
            new, new_leaf = self.split(other)
            thing = old.now[old_leaf]
            if letter == "R" and old is new:
                old.change(old_leaf, new_leaf, thing)
            else:
                new.change(None, new_leaf, thing)
                if letter == "R":
                    old.change(old_leaf, None, None)
            self.names = [(other, thing)]
        else:
            raise Unseen("%s of %s" % (other, path))

    def shown(self, root, how):
        """{path below root: bytes; None for a folder} after the cut."""
        found = {}

        def look(folder, way):
            for name, thing in sorted(folder.shown(how).items()):
                if isinstance(thing, Folder):
                    found[way + name] = None
                    look(thing, way + name + "/")
                else:
                    found[way + name] = thing.shown(how)
        look(self.roots[root], "")
        return found


def write_out(found, root, link_from=None):
    """Make the folder `root` from shown(). link_from: where a file of the same
    name has the same bytes, so that a link will do."""
    os.makedirs(root, mode=0o700)
    for name, data in found.items():
        path = os.path.join(root, name)
        if data is None:
            os.mkdir(path, 0o700)
        elif link_from and name in link_from:
            os.link(link_from[name], path)
        else:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                              0o600), "wb") as f:
                f.write(data)
