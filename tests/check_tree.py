#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of the tree itself: what no compiler and no test of ours looks at.

    check_tree.py [--root DIR] [--cc COMPILER]
                  includes|headers|words|files|lengths...

includes  every #include follows an arrow of DESIGN.md, "Rooms", and every
          third-party header stays in its home (STYLE.md, 2)
headers   every header compiles alone
words     SPDX lines, no private paths, no unfinished work, failpoints listed
files     DESIGN.md, "Files", has a line for each .c and .h of a room, and none
          for what is not there; the pages in docs/man name each key of the
          configuration and each command, and no other; some .cmake file
          builds each test; each mutant of tests/mutants/ can be applied
lengths   no file of a room has over 600 lines, no function over 60 (80 in tests)

Prints each finding as file:line: sentence, and ends with 1 if there was one.
Standard library only.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import re
import shlex
import subprocess
import sys

# DESIGN.md, "Rooms": a room may include itself and these.
ROOMS = {
    "base": "",
    "loop": "base",
    "crypto": "base",
    "net": "base loop crypto",
    "image": "base crypto",
    "xenapi": "base loop net",
    "s3": "base loop crypto net",
    "store": "base loop net s3",
    "vault": "base loop crypto store",
    "tenants": "base crypto",
    "gateway": "base loop crypto net image xenapi s3 store vault tenants",
    "cli": "base loop net",
    "restore": "base loop crypto net s3 store vault image",
    "tests/sim": "base loop net",
}
# tests/ may include everything but the simulator's insides, whose judge it is.
TESTS = "base loop crypto net image xenapi s3 store vault tenants gateway cli"

# STYLE.md, 2: the only files that may include a third-party header.
HOMES = {
    "uv.h": ["loop/*", "net/*", "xenapi/*", "s3/*", "store/*", "vault/*",
             "gateway/*", "cli/*", "restore/*"],
    "curl/*": ["net/*"],
    "microhttpd.h": ["net/*"],
    "openssl/*": ["crypto/*", "net/http_tls*"],
    "sqlite3.h": ["tenants/catalog*.[ch]", "vault/index.c", "vault/index_*"],
    "libxml/*": ["base/*.c"],
    "jansson.h": ["base/*.c"],
    "zstd*.h": ["image/*", "vault/*"],
    "xxhash.h": ["image/*"],
    "cyaml/*": ["gateway/config*.c"],
    "libnbd.h": ["xenapi/*"],
    "cmocka.h": [],
}

# The C library, POSIX and Linux.
SYSTEM = re.compile(
    r"(sys|net|netinet|arpa|linux|asm|sanitizer)/[\w/]+\.h$|"
    r"(aio|alloca|assert|byteswap|complex|cpuid|ctype|dirent|dlfcn|elf|endian|"
    r"errno|execinfo|fcntl|features|fenv|float|fnmatch|ftw|getopt|glob|grp|"
    r"ifaddrs|immintrin|inttypes|iso646|langinfo|libgen|limits|locale|malloc|"
    r"math|mntent|netdb|nl_types|nmmintrin|poll|pthread|pty|pwd|regex|sched|"
    r"search|semaphore|setjmp|signal|smmintrin|spawn|stdalign|stdarg|"
    r"stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|"
    r"syslog|termios|threads|time|uchar|ucontext|unistd|utime|utmp|wchar|"
    r"wctype|wmmintrin|wordexp|x86intrin)\.h$")

SKIPPED = {".git", ".cache", "node_modules", "__pycache__"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SPDX = "SPDX-License-" "Identifier: Apache-2.0"
PRIVATE = re.compile(r"(?<![\w.)-])/(work|farm|home/\w+|tmp/wt)/")
CONFLICT = re.compile(r"(<<<<<<<|>>>>>>>) |=======$")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b")
SOURCE_ENDS = (".c", ".h", ".py", ".sh", ".cmake", ".js", ".mjs", ".cjs")
SOURCE_NAMES = ("CMakeLists.txt", ".clang-tidy")


class Tree:
    def __init__(self, root):
        self.root = root
        self.findings = 0
        self.names = sorted(self.walk())

    def walk(self):
        for folder, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders if f not in SKIPPED
                          and not (folder == self.root
                                   and f.startswith("build"))]
            for name in sorted(set(files) - SKIPPED):  # .git: a worktree's
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield os.path.relpath(path, self.root)

    def text(self, name):
        """The text of a file, or None when it is none."""
        with open(os.path.join(self.root, name), "rb") as f:
            data = f.read()
        if b"\0" in data:
            return None
        return data.decode("utf-8", "replace")

    def tell(self, name, line, sentence):
        print(f"{name}:{line}: {sentence}")
        self.findings += 1


def room_of(name):
    if name.startswith("tests/sim/"):
        return "tests/sim"
    return name.split("/")[0]


def may_include(room):
    """The rooms whose headers a file of this room may name."""
    if room == "tests":
        return TESTS.split() + ["restore", "tests", "tests/sim"]
    if room not in ROOMS:
        return None
    return ROOMS[room].split() + [room]


def third_party_home(header):
    for pattern, homes in HOMES.items():
        if fnmatch.fnmatchcase(header, pattern):
            return homes
    return None


def check_system(tree, name, line, header):
    if SYSTEM.match(header) or room_of(name).startswith("tests"):
        return
    homes = third_party_home(header)
    if homes is None:
        tree.tell(name, line, f"<{header}> is no dependency of this project")
    elif not any(fnmatch.fnmatchcase(name, h) for h in homes):
        where = ", ".join(homes) if homes else "tests/"
        tree.tell(name, line, f"<{header}> may be included in {where} only")


def check_own(tree, name, line, header):
    room = room_of(name)
    if "/" not in header:
        if room.startswith("tests"):
            return
        tree.tell(name, line, f'"{header}" is included without its folder')
        return
    if header not in tree.names:
        tree.tell(name, line, f'"{header}" does not exist')
        return
    allowed = may_include(room)
    if allowed is None:
        tree.tell(name, line, f"{room}/ is not a room of DESIGN.md")
    elif room_of(header) not in allowed:
        tree.tell(name, line, f"{room}/ may not include {header}: only "
                  + ", ".join(r + "/" for r in allowed if r != room))


def check_circles(tree, arrows):
    """Headers that include each other, each circle told once."""
    state = {}

    def visit(name, path):
        state[name] = "open"
        for line, header in arrows.get(name, []):
            if state.get(header) == "open":
                circle = path[path.index(header):] + [header]
                tree.tell(name, line, "a circle: " + " -> ".join(circle))
            elif header not in state:
                visit(header, path + [header])
        state[name] = "done"

    for name in sorted(arrows):
        if name not in state:
            visit(name, [name])


def check_includes(tree):
    arrows = {}
    for name in tree.names:
        if not name.endswith((".c", ".h")) or name.startswith("tests/data/"):
            continue
        for line, text in enumerate(tree.text(name).splitlines(), 1):
            found = INCLUDE.match(text)
            if not found:
                continue
            kind, header = found.groups()
            if kind == "<":
                check_system(tree, name, line, header)
                continue
            check_own(tree, name, line, header)
            if name.endswith(".h"):
                arrows.setdefault(name, []).append((line, header))
    check_circles(tree, arrows)
    check_names(tree)


def check_names(tree):
    """No two sources but main.c share a name, so that a prefix is unique."""
    seen = {}
    for name in tree.names:
        base = os.path.basename(name)
        if (not name.endswith((".c", ".h")) or base == "main.c"
                or name.startswith("tests/")):
            continue
        if base in seen:
            tree.tell(name, 1, f"has the name of {seen[base]}")
        seen[base] = name


PACKAGES = ("libuv libcurl libcrypto libssl libxml-2.0 libzstd libxxhash "
            "sqlite3 jansson libcyaml libmicrohttpd cmocka")


def compile_alone(command, root, name):
    return name, subprocess.run(
        command + [name], cwd=root, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)


def check_headers(tree, cc):
    flags = subprocess.run(["pkg-config", "--cflags"] + PACKAGES.split(),
                           check=True, text=True, stdout=subprocess.PIPE)
    command = shlex.split(cc) + [
        "-std=c17", "-D_GNU_SOURCE", '-DCAIRN_VERSION="0"', '-DCAIRN_TEST_DATA="tests/data"',
        "-Wall", "-Wextra",
        "-Wstrict-prototypes", "-Wno-unused-parameter", "-Werror",
        "-fsyntax-only", "-I.", "-Itests/unit", "-Itests/sim", "-include",
        "base/banned.h", "-x", "c"] + shlex.split(flags.stdout)
    # cmocka.h wants others before it, so a test's helpers leave it to the test.
    cmocka = [part for name in ("stdarg", "stddef", "stdint", "setjmp",
                                "cmocka") for part in ("-include", name + ".h")]
    headers = [n for n in tree.names
               if n.endswith(".h") and not n.startswith("tests/data/")]
    if not headers:
        tree.tell(".", 0, "there are no headers")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        runs = pool.map(
            lambda n: compile_alone(
                command + (cmocka if n.startswith("tests/") else []),
                tree.root, n), headers)
        for name, run in runs:
            if run.returncode != 0:
                tree.tell(name, 1, "does not compile alone:")
                print(run.stdout, end="")


def is_source(name, text):
    base = os.path.basename(name)
    return (base.endswith(SOURCE_ENDS) or base in SOURCE_NAMES
            or text.startswith("#!"))


def check_text(tree, name, text):
    lines = text.splitlines()
    if is_source(name, text) and not any(SPDX in s for s in lines[:3]):
        tree.tell(name, 1, "has no SPDX line in its first three")
    for number, line in enumerate(lines, 1):
        if CONFLICT.match(line):
            tree.tell(name, number, "is left over from a merge")
        if PRIVATE.search(line):
            tree.tell(name, number, "names a path of somebody's machine")
        if is_source(name, text) and UNFINISHED.search(line):
            tree.tell(name, number, "announces unfinished work")


def check_failpoints(tree):
    home = "base/failpoint_list.h"
    if home not in tree.names:
        return
    listed = {}
    for number, line in enumerate(tree.text(home).splitlines(), 1):
        found = re.match(r'FAILPOINT_NAME\("(\w+)"\)$', line)
        if found and found[1] in listed:
            tree.tell(home, number, f"lists {found[1]} twice")
        elif found:
            listed[found[1]] = number
    used = set()
    for name in tree.names:
        if not name.endswith((".c", ".h")) or name == "base/failpoint.h":
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            for point in re.findall(r'\bFAILPOINT\("(\w+)"\)', line):
                used.add(point)
                if point not in listed:
                    tree.tell(name, number, f"{point} is not in {home}")
    for point, number in listed.items():
        if point not in used:
            tree.tell(home, number, f"nothing hits {point}")


def check_words(tree):
    for name in tree.names:
        text = tree.text(name)
        if text is not None and not name.startswith("tests/data/"):
            check_text(tree, name, text)
    check_failpoints(tree)


def listed_files(text):
    """{"base/buf": line} of DESIGN.md, "Files"."""
    listed, room, inside = {}, None, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            inside = line == "## Files"
        elif inside and line.startswith("### "):
            room = line[4:].rstrip("/")
        elif inside and room in ROOMS:
            found = re.match(r"- `(\w+)` \S", line)
            if found:
                listed[f"{room}/{found[1]}"] = number
    return listed


def check_files(tree):
    home = "DESIGN.md"
    listed = listed_files(tree.text(home) if home in tree.names else "")
    there = {os.path.splitext(name)[0]: name for name in tree.names
             if name.endswith((".c", ".h")) and name.split("/")[0] in ROOMS}
    for stem, name in there.items():
        if stem not in listed:
            tree.tell(name, 1, f'is not in {home}, "Files"')
    for stem, number in listed.items():
        if stem not in there:
            tree.tell(home, number, f"{stem} is not there")


TEST = re.compile(r"tests/\w+/((?:test|fuzz)_\w+)\.c$")


def check_tests(tree):
    """A test that no build knows is none."""
    known = set()
    for name in tree.names:
        if name.startswith("tests/") and name.endswith(".cmake"):
            known.update(re.findall(r"\w+", tree.text(name)))
    for name in tree.names:
        test = TEST.match(name)
        if test and test[1] not in known:
            tree.tell(name, 1, "is built by no .cmake file")


MUTANTS = "tests/mutants/run.py"


def check_mutants(tree):
    """Code that moved on takes its mutants along."""
    if MUTANTS not in tree.names:
        return
    run = subprocess.run(
        [sys.executable, os.path.join(tree.root, MUTANTS), "--check"],
        text=True, stdout=subprocess.PIPE, check=False)
    for line in run.stdout.splitlines():
        found = re.match(r"not ok (\w+): (.*)", line)
        if found:
            tree.tell(f"tests/mutants/{found[1]}.patch", 1, found[2])
    if run.returncode not in (0, 1):
        tree.tell(MUTANTS, 1, f"exit status {run.returncode}")


# What is named, by which lines, and the page that has an entry for each.
PAGES = [
    ("packaging/cairnd.yaml", r"#(\w+):", "docs/man/cairnd.yaml.5",
     r"\.It Ic (\w+)$"),
    ("cli/cli_commands.c", r'\{"(\w+)", (?:NULL|"(\w+)"), "',
     "docs/man/cairn.1", r"\.It Ic ([a-z]+)(?: ([a-z]+))?(?: Ar .*)?$"),
]


def entries(tree, name, pattern):
    found = {}
    for number, line in enumerate(tree.text(name).splitlines(), 1):
        match = re.match(pattern, line)
        if match:
            found[" ".join(filter(None, match.groups()))] = number
    return found


def check_pages(tree):
    for source, named, page, entry in PAGES:
        if source not in tree.names or page not in tree.names:
            continue
        have, want = entries(tree, page, entry), entries(tree, source, named)
        for word, number in want.items():
            if word not in have:
                tree.tell(source, number, f"{word} is not in {page}")
        for word, number in have.items():
            if word not in want:
                tree.tell(page, number, f"{word} is not in {source}")


FILE_LINES = 600
FUNCTION_LINES = 60
TEST_FUNCTION_LINES = 80


def check_functions(tree, name, most):
    """By the braces of the layout: alone at the beginning of their lines."""
    begin = None
    for number, line in enumerate(tree.text(name).splitlines(), 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            if number - begin - 1 > most:
                tree.tell(name, begin, f"a function of {number - begin - 1} "
                          f"lines, more than {most}")
            begin = None


def check_lengths(tree):
    for name in tree.names:
        if not name.endswith((".c", ".h")) or name.startswith("tests/data/"):
            continue
        room = name.split("/")[0]
        if room == "tests":
            check_functions(tree, name, TEST_FUNCTION_LINES)
        elif room in ROOMS:
            lines = len(tree.text(name).splitlines())
            if lines > FILE_LINES:
                tree.tell(name, lines, f"{lines} lines, more than "
                          f"{FILE_LINES}: it holds a second idea")
            check_functions(tree, name, FUNCTION_LINES)


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser = argparse.ArgumentParser(description="Checks of the tree itself.")
    parser.add_argument("--root", default=here)
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    parser.add_argument("checks", nargs="+",
                        choices=["includes", "headers", "words", "files",
                                 "lengths"])
    args = parser.parse_args()
    tree = Tree(os.path.abspath(args.root))
    for check in args.checks:
        if check == "includes":
            check_includes(tree)
        elif check == "headers":
            check_headers(tree, args.cc)
        elif check == "words":
            check_words(tree)
        elif check == "lengths":
            check_lengths(tree)
        else:
            check_files(tree)
            check_pages(tree)
            check_tests(tree)
            check_mutants(tree)
    if tree.findings:
        print(f"{tree.findings} findings")
    return 1 if tree.findings else 0


if __name__ == "__main__":
    sys.exit(main())
