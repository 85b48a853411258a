# SPDX-License-Identifier: Apache-2.0
"""Makes one allocation fail in a program under test, by alloc_shim.c beside.

    shim = alloclib.Shim()
    gw.start(env=shim.env)
    places = shim.places(lambda: gw.ok("backup", "web"))
    with shim.fail(places[3]): gw.run("backup", "web")

An allocation's place is the chain of calls that led to it.
"""
import contextlib
import mmap
import os
import struct
import subprocess
import tempfile

import gwlib

# struct control of alloc_shim.c
MODE, WHOSE, WANTED, COUNTED, FAILED, COUNT = 0, 4, 8, 16, 24, 36
DEPTH, PLACES, CHAIN = 12, 16384, 40
PLACE = CHAIN + 8 * DEPTH
ORDER = PLACE + 8 * PLACES
EXAMPLE = ORDER + 8 * PLACES
BYTES = EXAMPLE + 8 * DEPTH * PLACES
# libxml2 2.9.14 forgets the buffer of a document that it cannot make larger.
LEAKS = b"leak:xmlBufCreateSize\n"
OFF, RECORD, AT = range(3)
ALL, OURS = range(2)


class Shim:
    """One control file; `env` is what a program's environment needs. ours:
    only what the program itself asks for fails, not what libraries do."""

    def __init__(self, ours=False, build=gwlib.BUILD):
        self.build, self.ours = build, ours
        self.callers = {}  # of each place, who asks for the memory
        self.file = tempfile.NamedTemporaryFile(prefix="cairn-alloc-")
        self.file.truncate(BYTES)
        self.map = mmap.mmap(self.file.fileno(), BYTES)
        self.leaks = tempfile.NamedTemporaryFile(prefix="cairn-alloc-")
        self.leaks.write(LEAKS)
        self.leaks.flush()
        asan = os.environ.get("ASAN_OPTIONS", "")
        # The shim stands before ASan on purpose.
        self.env = {
            "CAIRN_ALLOC_CONTROL": self.file.name,
            "LD_PRELOAD": gwlib.program("tests/liballoc_shim.so", build),
            "ASAN_OPTIONS": (asan + ":" if asan else "") +
                            "verify_asan_link_order=0",
            "LSAN_OPTIONS": "print_suppressions=0:suppressions=" +
                            self.leaks.name,
        }

    def close(self):
        self.map.close()
        self.file.close()
        self.leaks.close()

    def put(self, form, at, value):
        struct.pack_into(form, self.map, at, value)

    def get(self, form, at, count=1):
        got = struct.unpack_from("<%d%s" % (count, form), self.map, at)
        return got[0] if count == 1 else list(got)

    def arm(self, mode, wanted=0):
        self.off()
        self.put("<Q", COUNTED, 0)
        self.put("<Q", FAILED, 0)
        self.put("<I", WHOSE, OURS if self.ours else ALL)
        self.put("<Q", WANTED, wanted)
        self.put("<I", MODE, mode)

    def off(self):
        self.put("<I", MODE, OFF)

    @property
    def failed(self):
        """Whether one failed since the last arm()."""
        return self.get("Q", FAILED) > 0

    @property
    def counted(self):
        return self.get("Q", COUNTED)

    def places(self, do):
        """The places where do() allocates, in the order they were met."""
        self.map[PLACE:EXAMPLE] = bytes(EXAMPLE - PLACE)
        self.put("<I", COUNT, 0)
        self.arm(RECORD)
        do()
        self.off()
        rows = list(zip(self.get("Q", ORDER, PLACES),
                        self.get("Q", PLACE, PLACES),
                        self.get("Q", EXAMPLE, DEPTH * PLACES)[::DEPTH]))
        self.callers = {place: caller for order, place, caller in rows if order}
        return [place for order, place, _ in sorted(rows) if order]

    @contextlib.contextmanager
    def fail(self, place):
        """Within, the first allocation at the place fails; None: none does."""
        if place:
            self.put("<Q", CHAIN, self.callers[place])
            self.arm(AT, wanted=place)
        try:
            yield self
        finally:
            if place:
                self.off()

    def where(self, program, depth=DEPTH):
        """The chain of the one that failed, as text: what of it lies in the
        program, by function and line; the rest as module and offset."""
        chain = [a for a in self.get("Q", CHAIN, DEPTH) if a][:depth]
        own = ["0x%x" % ((a & (1 << 48) - 1) - 1) for a in chain
               if a >> 48 == 1]
        out = subprocess.run(
            ["addr2line", "-f", "-s", "-e", gwlib.program(program, self.build),
             *own], stdout=subprocess.PIPE, text=True, check=False)
        lines = out.stdout.split("\n")
        named = iter(["%s (%s)" % (lines[2 * i], lines[2 * i + 1])
                      for i in range(len(own))])
        return " < ".join(next(named) if a >> 48 == 1 else
                          "library %d+0x%x" % ((a >> 48) - 1, a & (1 << 48) - 1)
                          for a in chain)
