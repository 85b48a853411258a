# SPDX-License-Identifier: Apache-2.0
"""What gateway flow tests share: a pool or two, a tenant, a vault, and what
must be true after a job, however it ended."""
import hashlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "interop"))
import cairn_read  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402

MIB = 1 << 20
SR = "Local storage"


def vm(name, *disks, **more):
    return dict({"name": name, "tags": ["acme"], "disks": list(disks),
                 "nics": [{"network": "eth0"}]}, **more)


def two_pools(*vms, **paris):
    """paris has the VMs, rome is where they are restored to."""
    return [dict({"name": "paris", "vms": list(vms)}, **paris),
            {"name": "rome", "networks": [{"name": "lan",
                                           "bridge": "xenbr7"}]}]


def set_up(gw, sim, tenant="acme", pools=("paris", "rome"), url=None,
           vault_args=()):
    """A tenant that owns what carries its tag, and a vault; the key file."""
    gw.ok("tenant", "add", tenant)
    for pool in pools:
        gw.add_pool(sim, pool)
    gw.ok("rule", "add", "--tenant", tenant, "--pool", pools[0], "--tag",
          tenant)
    return gw.add_vault(tenant, "main", url, *vault_args)


def folder_of(gw, tenant="acme", name="main"):
    return os.path.join(gw.dir, "vault-%s-%s" % (tenant, name))


def digest(path, length=None):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(MIB if length is None else min(MIB, length)):
            h.update(piece)
            if length is not None:
                length -= len(piece)
    return h.hexdigest()


def disk_files(sim, pool, name):
    """{userdevice: (file, virtual size)} of a VM's live disks."""
    return {d["userdevice"]: (d["file"], d["size"])
            for d in sim.vm(name, pool)["disks"]}


def digests(sim, pool, name):
    return {device: digest(file, size) for device, (file, size)
            in disk_files(sim, pool, name).items()}


def read_points(gw, key_file, folder=None, newest=None):
    """{point name: {position: digest}} as the independent reader sees it;
    newest: of that many points alone, the last ones."""
    with open(key_file, encoding="ascii") as f:
        vault = cairn_read.Vault(folder or folder_of(gw), f.read())
    found = {}
    points = sorted(vault.points(), key=lambda p: p.name)
    for point in points[-newest:] if newest else points:
        disks = found[point.name] = {}
        for disk in point.disks:
            h, at = hashlib.sha256(), [0]

            def put(offset, raw):
                while at[0] < offset:
                    n = min(MIB, offset - at[0])
                    h.update(bytes(n))
                    at[0] += n
                h.update(raw)
                at[0] += len(raw)
            vault.read_disk(point, disk, put)
            put(disk.size, b"")
            disks[str(disk.position)] = h.hexdigest()
    return found


def until(truth, seconds=90, pause=0.05):
    """Ask until the answer is true; the last answer."""
    end = time.monotonic() + seconds
    answer = truth()
    while not answer and time.monotonic() < end:
        time.sleep(pause)
        answer = truth()
    return answer


def last_job(gw):
    job = gw.json("job", "list")[0]
    return gw.json("job", "show", job["id"])


def one_sentence(err, *words):
    """Whether the last line says why a job failed, with all these words, and
    the lines before it tell no more than its stages ("web: transfer")."""
    lines = err.strip().splitlines()
    return bool(lines) and all(w in lines[-1] for w in words) and \
        not any("failed" in line or "tenant" in line for line in lines[:-1])


def left_behind(gw, sim, pools=("paris", "rome")):
    """What should not be there when no job runs; empty: all is well."""
    left = ["upload " + f for f in gwlib.unfinished(gw)]
    for pool in pools:
        state = sim.state(pool)
        left += ["snapshot %s in %s" % (v["name_label"], pool)
                 for v in state["vms"] if v["is_a_snapshot"]]
        left += ["disk %s in %s" % (d["name_label"], pool)
                 for d in state["vdis"] if d["is_a_snapshot"]]
        left += ["task %s in %s" % (t["name_label"], pool)
                 for t in state["tasks"] if t["status"] == "pending"]
    return left


def restore_tool(gw, key, *args, folder=None):
    """cairn-restore on a folder vault: (status, output)."""
    done = subprocess.run(
        [gwlib.program("cairn-restore"), "--vault",
         "file://" + (folder or folder_of(gw)), "--key-file", key,
         *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False)
    return done.returncode, done.stdout
