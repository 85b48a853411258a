#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""VMs leave a pool, rest in a folder, and come back: through cairnd and cairn,
judged by the simulator's raw files, the independent reader and cairn-restore."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()


def there_and_back():
    disks = [{"size": 64 * MIB, "fill": "marked"},
             {"size": 33 * MIB + 512, "fill": "random"},
             {"size": 512, "fill": "random"},
             {"size": 200 * MIB, "fill": "marked", "used": 5 * MIB,
              "device": "5"}]
    pools = gwcase.two_pools(gwcase.vm("web", *disks))
    with simlib.Sim(pools) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        first = gwcase.digests(sim, "paris", "web")
        gw.ok("backup", "paris/web")
        job = gwcase.last_job(gw)
        checks.check("a first backup succeeds", job["state"] == "succeeded",
                     job)
        gw.ok("backup", "web")
        result = gwcase.last_job(gw)["result"]
        checks.same("a second one of an unchanged VM stores no pack",
                    (result["new_bytes"], result["packs"]), (0, 0))
        checks.check("and needs at most 10 requests beside listings",
                     result["requests"] - result["listings"] <= 10, result)
        sim.write(pool="paris", vm="web", device="0", offset=20 * MIB,
                  hex=os.urandom(MIB).hex())
        second = gwcase.digests(sim, "paris", "web")
        gw.ok("backup", "web")
        result = gwcase.last_job(gw)["result"]
        checks.check("what changed is stored, and no more",
                     MIB <= result["new_bytes"] <= MIB + 128 * 1024, result)
        checks.same("nothing of ours is left in the pool or the vault",
                    gwcase.left_behind(gw, sim), [])
        points = gwcase.read_points(gw, key)
        checks.same("the independent reader restores all points bit for bit",
                    [points[n] for n in sorted(points)],
                    [first, first, second])
        restore(gw, sim, second)
        streams(gw, sim, second)
        without_gateway(gw, key, second)
        lost_index(gw, key, sim, second)
        lost_wrap(gw)


def restore(gw, sim, wanted):
    status, _, err = gw.run("pool", "add", "bad", "--host", "a b", "--user",
                            "u", "--password-file", gw.config,
                            "--fingerprint", "00" * 32)
    checks.check("what is no host is refused as a mistake of who typed it (2)",
                 status == 2 and "host 'a b'" in err, err)
    status, _, err = gw.run("restore", "web@latest", "--pool", "rome")
    checks.check("a restore without a place for its disks is refused (6)",
                 status == 6 and "--sr" in err and SR in err and
                 "of NIC 0" in err, err)
    status, _, err = gw.run("restore", "web@latest", "--pool", "rome", "--sr",
                            SR)
    checks.check("and one without a place for its NIC too", status == 6 and
                 "--network" in err and "lan" in err, err)
    args = ["restore", "web@latest", "--pool", "rome", "--sr", SR, "--network",
            "0=lan"]
    before = len(sim.state("rome")["vms"])
    out = gw.json(*args, "--dry-run")
    checks.check("--dry-run makes nothing", len(sim.state("rome")["vms"]) ==
                 before and out, out)
    _, said, err = gw.run(*args, "--dry-run")
    checks.check("and says so", "nothing was made" in err and
                 "-> a new uuid" in said, said + err)
    none = gw.json(*args[:-1], "0=none", "--dry-run")["result"]
    checks.same("a NIC that is left out is in no receipt", none["nics"], [])
    done = gw.json(*args, "--name", "copy", "--start")["result"]
    would = out["result"]
    for list_ in (would["disks"], would["nics"], done["disks"], done["nics"]):
        for d in list_:
            for member in ("new", "mac", "name", "size"):
                d.pop(member, None)
    checks.check("what --dry-run says and what the receipt says agree",
                 would["disks"] == done["disks"] and
                 would["nics"] == done["nics"] and
                 would["vm"]["old"] == done["vm"]["old"] and
                 done["disks"][0]["sr_uuid"] and
                 done["nics"][0]["network"] == "lan" and " lan" in said and
                 "would" in said, "%s\n%s\n%s" % (would, done, said))
    copy = sim.vm("copy", "rome")
    got = {d["userdevice"]: gwcase.digest(d["file"], s) for d in copy["disks"]
           for s in [gwcase.disk_files(sim, "paris", "web")
                     [d["userdevice"]][1]]}
    checks.same("a restore to another pool gives the disks back", got, wanted)
    checks.check("the restored VM runs, has its NIC, and may be started",
                 copy["power_state"] == "Running" and len(copy["nics"]) == 1
                 and not copy["blocked_operations"], copy)
    checks.check("no mark of the job is left on it",
                 "cairn:job" not in copy["other_config"] and
                 copy["other_config"].get("cairn:series") ==
                 sim.vm("web", "paris")["uuid"], copy["other_config"])
    status, _, err = gw.run(*args, "--uuid", "keep", "--pool", "rome")
    job = gwcase.last_job(gw)
    checks.check("--uuid keep where nobody has the UUID keeps it",
                 status == 0 and job["result"]["vm"]["new"] ==
                 job["result"]["vm"]["old"], err)
    status, _, err = gw.run(*args, "--uuid", "keep")
    checks.check("and is refused where somebody has (7)", status == 7, err)
    template = sim.login("paris")
    ref = template("VM.get_by_uuid", sim.vm("web", "paris")["uuid"])
    template("VM.set_is_a_template", ref, True)
    status, _, err = gw.run("restore", "web@latest", "--pool", "paris",
                            "--uuid", "keep")
    checks.check("also where it is a template, which stays (7)", status == 7 and
                 "in use by template 'web'" in err and
                 template("VM.get_is_a_template", ref), err)
    template("VM.set_is_a_template", ref, False)
    status, _, err = gw.run("restore", "web@latest", "--pool", "paris",
                            "--mac", "keep")
    checks.check("--mac keep is refused where the MAC is in use (7)",
                 status == 7 and "MAC" in err, err)


def streams(gw, sim, wanted):
    out = os.path.join(gw.dir, "web.xva")
    gw.ok("restore", "web@latest", "--output", out)
    tree = os.path.join(gw.dir, "x")
    os.makedirs(tree)
    done = subprocess.run(["tar", "-xf", out, "-C", tree], check=False,
                          stderr=subprocess.PIPE, text=True)
    names = os.listdir(tree)
    checks.check("GNU tar unpacks an XVA that was written",
                 done.returncode == 0 and "ova.xml" in names, done.stderr)
    raw = os.path.join(gw.dir, "disk1.raw")
    gw.ok("restore", "web@latest", "--disk", "1", "--output", raw)
    checks.same("a single disk comes as it is", gwcase.digest(raw),
                wanted["1"])
    with open(raw, "wb") as f:
        done = subprocess.run(gw.argv("restore", "web@latest", "--disk", "5",
                                      "--output", "-"), stdout=f, check=False,
                              stdin=subprocess.DEVNULL, env=gw.env)
    checks.same("also to standard output", (done.returncode,
                                            gwcase.digest(raw)),
                (0, wanted["5"]))
    shutil.rmtree(tree, ignore_errors=True)


def without_gateway(gw, key, wanted):
    status, out = gwcase.restore_tool(gw, key, "list")
    checks.check("cairn-restore lists", status == 0 and "web" in out, out)
    raw = os.path.join(gw.dir, "d0.raw")
    status, out = gwcase.restore_tool(gw, key, "disk", "web@latest", "0",
                                      "--output", raw)
    checks.check("cairn-restore gives a disk back", status == 0 and
                 gwcase.digest(raw) == wanted["0"], out)
    status, out = gwcase.restore_tool(gw, key, "verify")
    checks.check("cairn-restore verifies", status == 0, out)


def lost_index(gw, key, sim, wanted):
    gw.stop()
    shutil.rmtree(os.path.join(gw.state, "index"))
    gw.start()
    gw.ok("backup", "paris/web")
    points = gwcase.read_points(gw, key)
    checks.same("after the loss of the index a backup is right, and old "
                "points still are", [points[n] for n in sorted(points)][2:],
                [wanted, wanted])


def lost_wrap(gw):
    """What the recovery key could not open is not referred to again."""
    gw.ok("backup", "paris/web")
    result = gwcase.last_job(gw)["result"]
    checks.same("with all wraps in place an unchanged VM stores nothing",
                (result["new_bytes"], result["packs"]), (0, 0))
    keys = os.path.join(gwcase.folder_of(gw), "keys")
    tags = {n.split("-")[0] for n in os.listdir(os.path.join(keys, "recovery"))}
    gone = 0
    for folder in set(os.listdir(keys)) - {"recovery"}:
        for n in os.listdir(os.path.join(keys, folder)):
            if n.split("-")[0] in tags:
                os.unlink(os.path.join(keys, folder, n))
                gone += 1
    gw.ok("backup", "paris/web")
    again = gwcase.last_job(gw)["result"]
    checks.check("packs whose key is wrapped for no recovery key any more are "
                 "not used again", gone >= 3 and tags and again["new_bytes"] >=
                 64 * MIB and again["unchanged_bytes"] == 0,
                 "%d wraps: %s" % (gone, again))


def guest_goes_on_writing():
    """What is exported is the snapshot, whatever the guest does meanwhile."""
    with simlib.Sim(gwcase.two_pools(gwcase.vm(
            "busy", {"size": 96 * MIB, "fill": "marked"}))) as sim, \
            gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        before = gwcase.digests(sim, "paris", "busy")
        sim.fault("export_slow", pool="paris", rate=60 * MIB)
        # Held at its first byte, so that the snapshot exists for sure.
        sim.fault("export_first_byte", pool="paris", ms=1500)
        running = gw.start_run("backup", "busy")
        end = time.monotonic() + 60
        while not any(v["is_a_snapshot"] for v in sim.state("paris")["vms"]):
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        for i in range(20):
            sim.write(pool="paris", vm="busy", offset=i * 4 * MIB,
                      hex=os.urandom(65536).hex())
        running.communicate()
        points = gwcase.read_points(gw, key)
        checks.same("the point is the disk of the moment of the snapshot",
                    list(points.values()), [before])
        checks.check("while the live disk went on",
                     gwcase.digests(sim, "paris", "busy") != before)


def real_file_systems():
    """ext4, XFS and NTFS with 20,000 files each, and a large sparse disk."""
    work = tempfile.mkdtemp(prefix="cairn-fs-")
    try:
        disks = make_file_systems(work)
        with simlib.Sim(gwcase.two_pools(gwcase.vm("fs", *(
                {"file": f, "device": str(i)} for i, f in zip(
                    POSITIONS, disks.values()))))) as sim, \
                gwlib.Gateway() as gw:
            key = gwcase.set_up(gw, sim)
            gw.ok("backup", "fs")
            for position, (kind, source) in zip(POSITIONS, disks.items()):
                raw = os.path.join(work, "back.raw")
                status, out = gwcase.restore_tool(
                    gw, key, "disk", "fs@latest", position, "--output", raw)
                same = status == 0 and subprocess.run(
                    ["cmp", source, raw], check=False).returncode == 0
                checks.check("%s comes back bit for bit" % kind, same, out)
                if kind in CHECKERS:
                    done = subprocess.run(
                        [*CHECKERS[kind], raw], check=False,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        text=True)
                    checks.check("%s is found clean by its own checker" % kind,
                                 done.returncode == 0, done.stdout[-500:])
                os.unlink(raw)
    finally:
        shutil.rmtree(work, ignore_errors=True)


POSITIONS = (0, 1, 2, 4)  # 3 is for CDs
CHECKERS = {"ext4": ["e2fsck", "-fn"], "xfs": ["xfs_repair", "-n"],
            "ntfs": ["ntfsfix", "-n"]}


def make_file_systems(work):
    tree = os.path.join(work, "tree")
    proto = ["/", "0 0", "d--755 0 0"]
    for i in range(40):
        os.makedirs(os.path.join(tree, "d%02d" % i))
        proto.append("d%02d d--755 0 0" % i)
        for k in range(500):
            name = os.path.join(tree, "d%02d" % i, "f%03d" % k)
            with open(name, "wb") as f:
                f.write(os.urandom(k * 7 % 5000))
            proto.append("f%03d ---644 0 0 %s" % (k, name))
        proto.append("$")
    proto.append("$")
    disks = {k: os.path.join(work, k + ".raw") for k in (
        "ext4", "xfs", "ntfs", "a sparse disk of 64 GiB")}
    for kind, size in (("ext4", 200), ("xfs", 400), ("ntfs", 160)):
        with open(disks[kind], "wb") as f:
            f.truncate(size * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disks["ext4"]],
                   check=True)
    with open(os.path.join(work, "proto"), "w", encoding="ascii") as f:
        f.write("\n".join(proto) + "\n")
    subprocess.run(["mkfs.xfs", "-q", "-p", os.path.join(work, "proto"),
                    disks["xfs"]], check=True)
    subprocess.run(["mkntfs", "-q", "-F", "-Q", disks["ntfs"]], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([gwlib.program("tests/ntfs_fill"), disks["ntfs"], "40",
                    "500"], check=True)
    with open(disks["a sparse disk of 64 GiB"], "wb") as f:
        f.truncate(64 << 30)
        for i in range(64):
            f.seek(i * (1 << 30) + i * 4096)
            f.write(os.urandom(MIB))
    shutil.rmtree(tree)
    return disks


def two_at_once():
    """Two jobs on one vault, whose VMs share most of their contents."""
    disk = {"size": 80 * MIB, "fill": "random"}
    with simlib.Sim(gwcase.two_pools(
            gwcase.vm("a", disk), gwcase.vm("b", disk))) as sim, \
            gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        wanted = {v: gwcase.digests(sim, "paris", v) for v in "ab"}
        runs = [gw.start_run("backup", v) for v in "ab"]
        for r in runs:
            r.communicate()
        checks.same("two jobs on one vault at once both succeed",
                    [r.returncode for r in runs], [0, 0])
        points = gwcase.read_points(gw, key)
        checks.check("and both points are right", sorted(map(
            json.dumps, points.values())) == sorted(map(
                json.dumps, wanted.values())), points)
        gw.ok("backup", "a", "b")
        status = gw.json("status")
        checks.same("jobs that are done leave nothing and hold no memory",
                    (gwcase.left_behind(gw, sim), status["places_to_tidy"],
                     status["memory_used"]), ([], 0, 0))
        checks.check("one command backs up several VMs",
                     len(gwcase.read_points(gw, key)) == 4)


def second_region():
    with simlib.Sim(gwcase.two_pools(gwcase.vm(
            "web", {"size": 16 * MIB, "fill": "marked"}))) as sim, \
            gwlib.Gateway("north") as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        wanted = gwcase.digests(sim, "paris", "web")
        url = "file://" + gwcase.folder_of(gw)
        with gwlib.Gateway("south") as other:
            other.ok("tenant", "add", "acme")
            other.add_pool(sim, "rome")
            other.ok("vault", "add", "main", "--tenant", "acme", "--url", url,
                     "--existing", "--key-file", key)
            other.ok("restore", "web@latest", "--pool", "rome", "--sr", SR,
                     "--network", "0=lan", "--name", "south")
            checks.same("a second gateway restores by the recovery key",
                        gwcase.digests(sim, "rome", "south"), wanted)
        with gwlib.Gateway("east") as other:
            other.ok("tenant", "add", "acme")
            other.add_pool(sim, "rome")
            vault_id = gw.json("vault", "list")[0]["id"]
            out = other.json("vault", "add", "main", "--tenant", "acme",
                             "--url", url, "--existing", "--vault-id",
                             vault_id)
            public = out["vault"]["public_key"]
            status, _, err = other.run("restore", "web@latest", "--pool",
                                       "rome", "--sr", SR, "--network",
                                       "0=lan")
            checks.check("without a grant it opens nothing", status != 0, err)
            gw.ok("key", "grant", "--vault", "main", public)
            other.ok("vault", "test", "main")
            other.ok("restore", "web@latest", "--pool", "rome", "--sr", SR,
                     "--network", "0=lan", "--name", "east")
            checks.same("granted, it restores by its own identity",
                        gwcase.digests(sim, "rome", "east"), wanted)


def old_and_new_checksums():
    """Pools before 8.1 write .checksum; xva-img reads nothing else."""
    with simlib.Sim(gwcase.two_pools(gwcase.vm(
            "old", {"size": 5 * MIB + 4096, "fill": "marked"}),
            checksum="sha1")) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "old")
        points = gwcase.read_points(gw, key)
        checks.same("an export with SHA-1 checksums is verified and stored",
                    list(points.values()),
                    [gwcase.digests(sim, "paris", "old")])


for test in (there_and_back, guest_goes_on_writing, real_file_systems,
             two_at_once, second_region, old_and_new_checksums):
    checks.run(test.__name__, test)
checks.finish()
