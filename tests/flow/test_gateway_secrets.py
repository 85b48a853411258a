#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Secrets stay where docs/security.md says: none in a log, an answer, an
argument list, an environment, an error, a file of the state directory in
clear; none in memory after its use; no core files."""
import binascii
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
PASSWORD = "Zq7wVuP93kLm-pool"
STORE_SECRET = "Kd82+hsLpw03Xc/store"
PIECE = 64 * MIB


def text_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def in_memory(pid, needles):
    """Which of them the writable memory of a process holds."""
    found = set()
    with open("/proc/%d/maps" % pid, encoding="ascii") as f:
        maps = f.readlines()
    with open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if not m:
                continue
            begin, end = (int(x, 16) for x in m.groups())
            if end - begin > 1 << 31:
                continue  # AddressSanitizer's own
            for at in range(begin, end, PIECE):
                try:
                    memory.seek(at)
                    data = memory.read(min(PIECE, end - at))
                except OSError:
                    break
                found |= {k for k, n in needles.items() if n in data}
    return sorted(found)


def in_files(folder, needles):
    found = set()
    for at, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(at, name), "rb") as f:
                data = f.read()
            found |= {"%s in %s" % (k, name) for k, n in needles.items()
                      if n in data}
    return sorted(found)


def core_limit(pid):
    with open("/proc/%d/limits" % pid, encoding="ascii") as f:
        return [line.split()[4:6] for line in f
                if line.startswith("Max core file size")][0]


class Listening(gwlib.Gateway):
    """Keeps all that its commands printed."""
    said = ""

    def run(self, *args, **kw):
        status, out, err = gwlib.Gateway.run(self, *args, **kw)
        self.said += out + err
        return status, out, err


def provoke(gw, sim, key):
    """Commands and jobs that use every secret, well and badly."""
    token = os.path.join(gw.dir, "token")
    exported = os.path.join(gw.dir, "exported")
    store = os.path.join(gw.dir, "store")
    with open(store, "w", encoding="ascii") as f:
        f.write("[default]\naws_access_key_id = AKIDEXAMPLE\n"
                "aws_secret_access_key = %s\n" % STORE_SECRET)
    gw.ok("token", "add", "--tenant", "acme", "--out", token)
    gw.ok("key", "export", "--vault", "main", "--tenant", "acme", "--out",
          exported)
    for file in (key, exported):
        gw.ok("key", "test", "--vault", "main", "--tenant", "acme",
              "--key-file", file)
    gw.ok("backup", "web")
    for fault, more in (("session_invalid", {"skip": 3}),
                        ("export_401", {}), ("export_500", {"error": [
                            "VDI_IO_ERROR", "Device I/O errors"]}),
                        ("export_cut", {"after": 2 * MIB})):
        sim.fault(fault, pool="paris", **more)
        gw.run("backup", "web")
        sim.clear()
    gw.run("vault", "add", "away", "--tenant", "acme", "--url", "s3://b/p",
           "--endpoint", "http://127.0.0.1:9", "--credentials-file", store,
           "--recovery-out", os.path.join(gw.dir, "away"))
    wrong = os.path.join(gw.dir, "wrong")
    with open(wrong, "w", encoding="ascii") as f:
        f.write(text_of(key).replace("passphrase ", "passphrase x"))
    gw.run("key", "test", "--vault", "main", "--tenant", "acme",
           "--key-file", wrong)
    for job in gw.json("job", "list"):
        gw.json("job", "show", job["id"])
        gw.ok("job", "log", job["id"])
    gw.json("pool", "show", "paris")
    gw.json("vault", "show", "main", "--tenant", "acme")
    gw.json("key", "list", "--vault", "main", "--tenant", "acme")
    gw.json("token", "list")
    gw.json("audit")
    return {"token": text_of(token).strip(),
            "passphrase": text_of(key).split("passphrase ")[1].strip(),
            "exported key":
                text_of(exported).split("private ")[1].strip()}


def secrets_stay():
    disk = {"size": 4 * MIB, "fill": "marked"}
    with simlib.Sim(gwcase.two_pools(gwcase.vm("web", disk),
                                     password=PASSWORD)) as sim, \
            Listening(log_level="debug") as gw:
        key = gwcase.set_up(gw, sim)
        short = provoke(gw, sim, key)
        root = gwcase.cairn_read.Vault(gwcase.folder_of(gw),
                                       text_of(key)).keys.rs
        used = {k: v.encode() for k, v in short.items()}
        used["raw exported key"] = binascii.unhexlify(short["exported key"])
        kept = {"pool password": PASSWORD.encode(),
                "store secret": STORE_SECRET.encode(), "root secret": root}
        everything = dict(used, **kept)
        words = {k: n for k, n in everything.items() if n.isascii()}

        said = (gw.said + gw.logged()).encode()
        checks.same("no secret is in a log, an answer or an error",
                    [k for k, n in words.items() if n in said], [])
        refs = set(re.findall(rb"session_id=\S+", said))
        checks.same("nor the name of a login to a pool", refs, set())
        for what in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (gw.pid, what), "rb") as f:
                data = f.read()
            checks.same("none is in the daemon's " + what,
                        [k for k, n in words.items() if n in data], [])
        checks.same("none lies in the state directory as it is",
                    in_files(gw.state, everything), [])
        checks.same("what was used once is gone from memory",
                    in_memory(gw.pid, used), [])
        checks.same("cairnd leaves no core file", core_limit(gw.pid),
                    ["0", "0"])


def no_core_files():
    """The other two hold keys and passwords while they run, too."""
    disk = {"size": 24 * MIB, "fill": "random"}
    with simlib.Sim(gwcase.two_pools(gwcase.vm("web", disk))) as sim, \
            gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        sim.fault("export_slow", pool="paris", rate=8 * MIB, count=1)
        run = gw.start_run("backup", "web")
        run.stderr.readline()  # it has begun
        checks.same("cairn leaves no core file", core_limit(run.pid),
                    ["0", "0"])
        sim.clear()
        run.communicate()
        checks.same("the backup went well", run.returncode, 0)
        point = gw.json("point", "list")[0]["id"]
        with subprocess.Popen(
                [gwlib.program("cairn-restore"), "--vault",
                 "file://" + gwcase.folder_of(gw), "--key-file", key, "disk",
                 point, "0", "--output", "-"], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tool:
            first = tool.stdout.read(1)
            checks.same("cairn-restore leaves no core file",
                        (len(first), core_limit(tool.pid)), (1, ["0", "0"]))
            tool.communicate()


for test in (secrets_stay, no_core_files):
    checks.run(test.__name__, test)
checks.finish()
