#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Would the tests tell? Each mutant of tests/mutants/ must make its case fail.

    run.py [--build DIR] [--jobs N] NAME...|--all|--some N [--from NAME]|--check

NAME...   these mutants; --all: all of them
--some    N of those that a test of tests/unit/ tells, other ones each day
--from    the one that --some begins with
--check   only that each applies to the tree and names a case that exists

Nothing in the tree or in the build is touched: a mutant's files are compiled
elsewhere, as DIR (build-asan: sanitizers and failpoints) compiles them, and
linked into the test, or into the programs of a flow test, before the library
that they come from. A case must pass without the mutant, run in the same way;
with it, it must fail: itself, not the compiler, nor another case in its place.

Prints "ok NAME: ..." or "not ok NAME: ..." for each, and the counts at the end.
Standard library only.
"""
import argparse
import concurrent.futures
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from mutant import Bad, HERE, ROOT, load

PROGRAMS = ("cairnd", "cairn", "cairn-restore", "xensim")
UNIT_SECONDS = 240
FLOW_SECONDS = 1200


def shell(command, cwd):
    """Run it; what it printed if it fails."""
    done = subprocess.run(command, shell=True, cwd=cwd, text=True,
                          errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.strip() if done.returncode else None


class Build:
    """A configured build directory, and how it makes things."""

    def __init__(self, path):
        self.path = path
        with open(os.path.join(path, "compile_commands.json"),
                  encoding="utf-8") as f:
            self.compiles = json.load(f)
        self.links = {}

    def make(self, targets):
        """What is built already costs nothing."""
        status = subprocess.run(["ninja", "-C", self.path, *sorted(targets)],
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True)
        if status.returncode:
            raise SystemExit(status.stdout[-4000:])
        for target in targets:
            lines = subprocess.run(
                ["ninja", "-C", self.path, "-t", "commands", target],
                stdout=subprocess.PIPE, text=True, check=True)
            self.links[target] = lines.stdout.strip().splitlines()[-1]

    def compile(self, text, source, folder):
        """[(object in the build, object in `folder`)] of a mutated file."""
        mutated = os.path.join(folder, source)
        os.makedirs(os.path.dirname(mutated), exist_ok=True)
        with open(mutated, "w", encoding="utf-8") as f:
            f.write(text)
        made = []
        for entry in self.compiles:
            if entry["file"] != os.path.join(ROOT, source):
                continue
            words = shlex.split(entry["command"])
            usual = words[words.index("-o") + 1]
            words[words.index("-o") + 1] = "%s.%d.o" % (mutated, len(made))
            words[words.index("-c") + 1] = mutated
            # What a mutant leaves unused is no mistake.
            why = shell(shlex.join([*words, "-w"]), entry["directory"])
            if why:
                raise Bad("it does not compile: " + why)
            made.append((usual, "%s.%d.o" % (mutated, len(made))))
        if not made:
            raise Bad("%s is not built here" % source)
        return made

    def link(self, target, objects, out):
        """`target` with these objects in place of its own; whether it has
        any of them."""
        command = self.links[target]
        more = [own for usual, own in objects if not usual]
        found = False
        for usual, own in objects:
            folder, name = re.match(r"(.*)/CMakeFiles/(\w[\w-]*)\.dir/",
                                    usual).groups() if usual else (0, 0)
            if usual and " %s " % usual in command:
                command = command.replace(" %s " % usual, " %s " % own)
                found = True
            elif " %s/lib%s.a" % (folder, name) in command:
                more.append(own)  # what is defined is not looked for there
                found = True
        command, n = re.subn(r" -o \S+ ", lambda _: " -o %s %s " % (
            shlex.quote(out), shlex.join(more)), command, count=1)
        why = shell(command, self.path) if n == 1 else "no way to link it"
        if why:
            raise Bad("it does not link: " + why)
        return found


class Runner:
    """Runs cases, with a mutant or without."""

    def __init__(self, build, work):
        self.build = build
        self.work = work
        self.lock = threading.Lock()
        self.locks = {}
        self.usual = {}  # (program, function): what is wrong without a mutant
        self.whole = set()  # of these, what fails without the cases before it

    def prepare(self, mutants):
        self.build.make({m.program if m.kind == "unit" else p
                         for m in mutants for p in
                         ((0,) if m.kind == "unit" else PROGRAMS)})
        self.only = os.path.join(self.work, "only.o")
        why = shell(shlex.join(["cc", "-c", "-o", self.only,
                                os.path.join(HERE, "only.c")]), ROOT)
        if why:
            raise SystemExit(why)

    def run(self, argv, seconds, **env):
        """(status or None if it hung, output)"""
        tmp = tempfile.mkdtemp(prefix="cairn-m-")
        env = dict(os.environ, TMPDIR=tmp, **env)
        env.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        with open(os.path.join(tmp, ".out"), "w+b") as out:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out, cwd=tmp, env=env,
                                 start_new_session=True)
            try:
                status = p.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            try:
                os.killpg(p.pid, signal.SIGKILL)  # its children too
            except ProcessLookupError:
                pass
            p.wait()
            out.seek(0)
            text = out.read().decode("utf-8", "replace")
        shutil.rmtree(tmp, ignore_errors=True)
        return status, text

    def unit(self, m, objects, folder):
        program = os.path.join(folder, m.program)
        if not self.build.link(m.program, [*objects, ("", self.only)],
                               program) and objects:
            raise Bad("%s has nothing of what it breaks" % m.program)
        only = "*" if (m.program, m.function) in self.whole else m.case
        status, text = self.run([program], UNIT_SECONDS, CAIRN_ONLY=only)
        os.unlink(program)
        if "[ RUN      ] %s\n" % m.case not in text:
            raise Bad("%s is not run: %s" % (m.case, text[-2000:]))
        if "[       OK ] %s\n" % m.case in text and (only == "*" or not status):
            return None
        return self.hurt(status) or first_line(text, r"\.c:\d+: error: Fail",
                                               -1) or "it fails"

    def hurt(self, status):
        return "it hangs" if status is None else \
            "it is killed by signal %d" % -status if status < 0 else ""

    def flow(self, m, objects, folder):
        """The programs, where the usual ones are links to the build."""
        for name in os.listdir(self.build.path):
            os.symlink(os.path.join(self.build.path, name),
                       os.path.join(folder, name))
        found = not objects
        for name in PROGRAMS if objects else ():
            os.unlink(os.path.join(folder, name))
            found |= self.build.link(name, objects,
                                     os.path.join(folder, name))
        if not found:
            raise Bad("no program has anything of what it breaks")
        status, text = self.run(
            ["/usr/bin/python3", os.path.join(ROOT, m.program)],
            FLOW_SECONDS, CAIRN_ONLY=m.function, CAIRN_BUILD=folder,
            CAIRN_RELEASE=folder)
        failed = first_line(text, r"^not ok " + re.escape(m.case))
        if failed:
            return failed[len("not ok "):]
        if status is None:
            return "it hangs"
        if status == 0 and first_line(text, "^ok " + re.escape(m.case)):
            return None
        raise Bad("%r did not fail, this did: %s" % (
            m.case, first_line(text, "^not ok ") or text[-2000:]))

    def try_usual(self, m):
        folder = tempfile.mkdtemp(dir=self.work)
        try:
            return getattr(self, m.kind)(m, [], folder)
        except Bad as why:
            return why
        finally:
            shutil.rmtree(folder)

    def passes(self, m):
        """That the case passes without any mutant; tried once for each."""
        key = (m.program, m.function)
        with self.lock:
            lock = self.locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self.usual:
                self.usual[key] = self.try_usual(m)
                if self.usual[key] and m.kind == "unit":
                    self.whole.add(key)
                    self.usual[key] = self.try_usual(m)
            if self.usual[key]:
                raise Bad("its test fails without it: %s" % self.usual[key])

    def judge(self, m):
        """(whether it was killed, a sentence)"""
        began = time.monotonic()
        folder = tempfile.mkdtemp(dir=self.work)
        try:
            texts = m.texts()
            self.passes(m)
            objects = [pair for name, text in texts.items()
                       for pair in self.build.compile(
                           text, name, os.path.join(folder, ".src"))]
            why = getattr(self, m.kind)(m, objects, folder)
        except Bad as why:
            return False, str(why)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if why is None:
            return False, "it survives %s %s" % (m.program, m.case)
        return True, "%s %s: %s (%.0f s)" % (
            os.path.basename(m.program), m.case if m.kind == "unit" else "",
            why[:200], time.monotonic() - began)


def first_line(text, pattern, cut=None):
    for line in text.splitlines():
        if re.search(pattern, line):
            if cut is not None:
                line = re.sub(r"^.*/(?=tests/)", "", line)
            return line.strip()
    return ""


def some(mutants, n, first):
    """n that follow one another in a ring, other ones each day."""
    quick = [m for m in mutants if "/tests/unit/" in m.source()]
    n = min(n, len(quick))
    start = int(time.time() // 86400) * n % max(len(quick), 1)
    if first:
        start = [m.name for m in quick].index(first)
    chosen = (quick + quick)[start:start + n]
    if chosen:
        print("# %d of %d mutants, beginning with %s: again by --some %d "
              "--from %s, all by ./run mutants" % (
                  n, len(mutants), chosen[0].name, n, chosen[0].name))
    return chosen


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("names", nargs="*", metavar="NAME")
    ap.add_argument("--all", action="store_true")
    ap.add_argument("--some", type=int, metavar="N")
    ap.add_argument("--from", dest="first", metavar="NAME")
    ap.add_argument("--check", action="store_true")
    ap.add_argument("--build", default=os.path.join(ROOT, "build-asan"))
    ap.add_argument("--jobs", type=int, default=os.cpu_count())
    args = ap.parse_args()
    if not (args.names or args.all or args.some or args.check):
        ap.error("NAME..., --all, --some N or --check")
    mutants, bad = load(args.names)
    passed = failed = 0

    def tell(name, good, sentence):
        nonlocal passed, failed
        passed, failed = passed + bool(good), failed + (not good)
        print("%s %s: %s" % ("ok" if good else "not ok", name, sentence),
              flush=True)

    for name, why in bad:
        tell(name, False, why)
    if args.check:
        for m in mutants:
            try:
                m.check()
                tell(m.name, True, "%s %s" % (m.program, m.case))
            except Bad as why:
                tell(m.name, False, why)
    else:
        if args.some:
            mutants = some(mutants, args.some, args.first)
        with tempfile.TemporaryDirectory(prefix="cairn-mutants-") as work:
            runner = Runner(Build(os.path.abspath(args.build)), work)
            runner.prepare(mutants)
            with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
                for m, verdict in zip(mutants, pool.map(runner.judge,
                                                        mutants)):
                    tell(m.name, *verdict)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print("# %.0f s of CPU" % (used.ru_utime + used.ru_stime))
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
