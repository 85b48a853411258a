# SPDX-License-Identifier: Apache-2.0
"""A mutant: a patch that breaks Cairn, and the case of a test that must tell.

Its file NAME.patch begins with comment lines - the license, what is broken and
what would be lost by it - and one line that names the case:

    Test: unit test_store_dir nothing_is_ever_replaced
    Test: flow tests/flow/test_gateway.py there_and_back: what it prints

A unified diff follows. Lines may have moved since; but what a hunk takes away,
with the lines around it, must be found exactly once.
"""
import glob
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ROOMS = ("base", "loop", "crypto", "net", "image", "xenapi", "s3", "store",
         "vault", "tenants", "gateway", "cli", "restore")
UNIT = re.compile(r"Test: unit (test_\w+) (\w+)$")
FLOW = re.compile(r"Test: flow (tests/flow/\w+\.py) (\w+): (.+)$")


class Bad(Exception):
    """The mutant itself is at fault: it does not apply, or names no test."""


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


class Mutant:
    """.name; .kind, "unit" or "flow"; .program, the test; .function, what
    alone is run of it; .case, what must fail; .hunks: {file: [(old, new)]}"""

    def __init__(self, path):
        self.name = os.path.basename(path)[:-len(".patch")]
        head, diff = [], []
        for line in read(path).splitlines():
            (diff if diff or line.startswith("--- ") else head).append(line)
        self.read_head(head)
        self.hunks = {}
        self.read_diff(diff)

    def read_head(self, lines):
        if not lines or "SPDX-License-Identifier" not in lines[0] or \
                len(lines) < 3 or not all(x.startswith("# ")
                                          for x in lines[:-1]):
            raise Bad("it begins with comments: the license, what is broken")
        unit, flow = UNIT.match(lines[-1]), FLOW.match(lines[-1])
        if unit:
            self.kind, self.program, self.case = "unit", *unit.groups()
            self.function = self.case
        elif flow:
            self.kind = "flow"
            self.program, self.function, self.case = flow.groups()
        else:
            raise Bad("no test in %r" % lines[-1])

    def read_diff(self, lines):
        name = old = new = None
        for line in lines:
            if line.startswith("--- "):
                continue
            if line.startswith("+++ b/"):
                name = line[len("+++ b/"):]
                if name.split("/")[0] not in ROOMS or name[-2:] != ".c":
                    raise Bad("%s is no .c file of a room" % name)
                self.hunks[name] = []
            elif line.startswith("@@ ") and name:
                old, new = [], []
                self.hunks[name].append((old, new))
            elif old is None or line[:1] not in (" ", "-", "+", ""):
                raise Bad("what is %r" % line)
            else:
                if line[:1] != "+":
                    old.append(line[1:])
                if line[:1] != "-":
                    new.append(line[1:])
        if not any(self.hunks.values()):
            raise Bad("it changes nothing")

    def texts(self):
        """{file: its text with the mutation}"""
        found = {}
        for name, hunks in self.hunks.items():
            path = os.path.join(ROOT, name)
            if not os.path.exists(path):
                raise Bad("%s is not there any more" % name)
            text = read(path)
            for old, new in hunks:
                old, new = ("\n" + "\n".join(x) + "\n" for x in (old, new))
                if ("\n" + text).count(old) != 1:
                    raise Bad("%s has the lines that it changes %d times; "
                              "first: %s" % (name, ("\n" + text).count(old),
                                             old.split("\n")[1].strip()))
                text = ("\n" + text).replace(old, new)[1:]
            found[name] = text
        return found

    def source(self):
        """The file of the test."""
        if self.kind == "flow":
            return os.path.join(ROOT, self.program)
        found = glob.glob(os.path.join(ROOT, "tests", "*",
                                       self.program + ".c"))
        return found[0] if found else ""

    def check(self):
        """That it applies, and that its test exists."""
        self.texts()
        if not os.path.exists(self.source()):
            raise Bad("%s is no test" % self.program)
        text = read(self.source())
        start = r"static void\s+%s\(void \*\*" if self.kind == "unit" else \
            r"def %s\("
        if not re.search(start % self.function, text):
            raise Bad("%s has no %s" % (self.program, self.function))
        if self.kind == "flow" and not is_said(self.case, text):
            raise Bad("%s checks no %r" % (self.program, self.case))


def is_said(case, text):
    """Whether a test of this source may print this name: written in one piece
    or several, with what %s and %d stand for, or as the name of a function."""
    text = re.sub(r'"\s*\n\s*"', "", text)
    if "def %s(" % case.replace(" ", "_") in text:
        return True
    for said in re.findall(r'"([^"\n]{8,})"', text):
        parts = [re.escape(p) for p in re.split("%[sd]", said)]
        if re.fullmatch(".*".join(parts), case):
            return True
    return False


def load(names):
    """([Mutant], [(name, why it is none)]) of these, or of all."""
    good, bad = [], []
    paths = [os.path.join(HERE, n + ".patch") for n in names] or \
        sorted(glob.glob(os.path.join(HERE, "*.patch")))
    for path in paths:
        try:
            good.append(Mutant(path))
        except (Bad, OSError) as why:
            bad.append((os.path.basename(path)[:-len(".patch")], why))
    return good, bad
