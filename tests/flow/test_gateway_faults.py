#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong ends in one sentence that names tenant, VM and cause, in the
right exit code, and leaves nothing behind: no snapshot, no upload, no point."""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR  # noqa: E402

checks = simlib.Checks()
DISK = {"size": 24 * MIB, "fill": "marked"}
FULL = ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]

# fault, its arguments, exit codes that are right, words of the sentence
EXPORT_FAULTS = [
    ("export_401", {}, {5, 75}, "401"),
    ("export_403", {}, {5}, "403"),
    ("export_close", {}, {1, 8, 75}, "export"),
    ("export_500", {"error": ["VDI_IO_ERROR", "Device I/O errors"]}, {1},
     "VDI_IO_ERROR"),
    ("export_500_body", {"error": ["VDI_IO_ERROR", "Device I/O errors"]}, {1},
     "VDI_IO_ERROR"),
    ("export_cut", {"after": 9 * MIB}, {1, 8}, ""),
    ("export_cut", {"after": 9 * MIB, "task": "success"}, {1, 8}, "cut"),
    ("export_cut", {"after": 9 * MIB, "reset": True}, {1, 8}, ""),
    ("export_append_500", {"after": 5 * MIB, "error": [
        "VDI_IO_ERROR", "Device I/O errors"]}, {1}, "VDI_IO_ERROR"),
    ("export_bad_checksum", {"block": 3}, {8}, "00000003"),
    ("export_bad_data", {"block": 3}, {8}, "00000003"),
    ("export_no_checksum", {"block": 3}, {1, 8}, "00000003"),
    ("export_drop_block", {"block": -1}, {1, 8}, ""),
    ("export_repeat_block", {"block": 3}, {1, 8}, "00000003"),
    ("export_no_end", {}, {1, 8}, ""),
    ("export_bad_header", {"block": 3}, {1, 8}, ""),
    ("export_ova", {"text": "<value>nothing</value>"}, {1, 8}, "ova.xml"),
    ("export_tail", {"bytes": 5000}, {1, 8}, "behind the end"),
    ("export_task_fail", {"error": ["VDI_IO_ERROR", "Device I/O errors"]},
     {1}, "VDI_IO_ERROR"),
    ("snapshot_error", {"error": FULL}, {6, 1}, "44"),
    ("sr_full", {}, {6, 1}, "44"),
    ("rpc_error", {"method": "VM.snapshot", "error": [
        "OPERATION_BLOCKED", "OpaqueRef:x", "no snapshots today"]}, {1, 6, 7},
     "OPERATION_BLOCKED"),
    ("task_gone", {"method": "VM.snapshot"}, {75, 0}, ""),
]

# After these a backup still succeeds.
HARMLESS = [
    ("export_redirect", {}),
    ("export_keepalive", {"every": 3}),
    ("export_first_small", {"bytes": 65536}),
    ("export_chunk", {"bytes": 262144}),
    ("export_sha1", {}),
    ("export_all_blocks", {}),
    ("session_invalid", {"skip": 3}),
    ("rpc_close", {"method": "VM.get_record"}),
    ("too_many_pending_tasks", {"method": "VM.snapshot"}),
    ("event_token", {}),
    ("event_error", {"error": ["EVENTS_LOST"]}),
    ("task_delay", {"ms": 1500}),
]


def world(*vms, **paris):
    return gwcase.two_pools(*(vms or (gwcase.vm("web", DISK),)), **paris)


def refused(name, gw, args, codes, words, **kw):
    """A command must fail so, in a sentence with these words."""
    status, out, err = gw.run(*args, **kw)
    good = status in codes and all(w in err for w in words)
    checks.check(name, good, "exit %d: %s" % (status, err or out))
    return err


def every_export_fault():
    hosts = [{"name": "paris-1"}, {"name": "paris-2"}]
    with simlib.Sim(world(hosts=hosts, srs=[
            {"name": SR, "shared": True}])) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        good = gwcase.read_points(gw, key)
        for name, arguments, codes, words in EXPORT_FAULTS:
            sim.fault(name, pool="paris", **arguments)
            status, _, err = gw.run("backup", "web")
            sim.clear()
            label = "%s %s" % (name, arguments.get("block", arguments.get(
                "task", "")))
            named = words in err and ("acme" in err and "web" in err
                                      if status else True)
            checks.check("fault %s: one sentence, the right code" % label,
                         status in codes and named,
                         "exit %d: %s" % (status, err.strip()[-400:]))
            if status:
                checks.check("fault %s: no point, nothing left" % label,
                             gwcase.read_points(gw, key) == good and
                             not gwcase.left_behind(gw, sim),
                             gwcase.left_behind(gw, sim))
            else:
                good = gwcase.read_points(gw, key)


def harmless_faults():
    hosts = [{"name": "paris-1"}, {"name": "paris-2"}]
    with simlib.Sim(world(hosts=hosts, srs=[
            {"name": SR, "shared": True}])) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        wanted = gwcase.digests(sim, "paris", "web")
        for name, arguments in HARMLESS:
            sim.fault(name, pool="paris", **arguments)
            status, _, err = gw.run("backup", "web")
            sim.clear()
            points = gwcase.read_points(gw, key)
            checks.check("a backup gets through %s" % name, status in (0, 3)
                         and points[max(points)] == wanted, err.strip()[-400:])


def wrong_names():
    with simlib.Sim(world(gwcase.vm("web", DISK), gwcase.vm("twin", DISK),
                          gwcase.vm("twin", DISK, uuid=
                                    "99999999-0000-4000-8000-000000000001"))
                    ) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        refused("an unknown VM is said to be unknown", gw,
                ["backup", "nobody"], {4}, ["nobody"])
        refused("an ambiguous VM is told with its candidates", gw,
                ["backup", "twin"], {7}, ["99999999-0000-4000-8000-0000000000"
                                          "01"])
        refused("an unknown point", gw, ["restore", "web@latest", "--pool",
                                         "rome"], {4}, ["web"])
        refused("an unknown pool", gw, ["pool", "show", "berlin"], {4},
                ["berlin"])
        refused("an unknown command", gw, ["vm", "fly"], {2}, ["usage"])
        refused("an unknown option", gw, ["vm", "list", "--fly"], {2}, [])


def wrong_password():
    with simlib.Sim(world()) as sim, gwlib.Gateway() as gw:
        pool = sim.pool("paris")
        secret = os.path.join(gw.dir, "wrong")
        with open(secret, "w", encoding="utf-8") as f:
            f.write("not the password\n")
        host = pool["hosts"][0]
        before = sim.get("counters")
        refused("a wrong password is refused (5)", gw, [
            "pool", "add", "paris", "--host", "%s:%d" % (
                host["address"], host["https_port"]), "--user", "root",
            "--password-file", secret, "--fingerprint", host["fingerprint"]],
            {5}, ["password", "root"])
        after = sim.get("counters")

        def logins(c):
            return sum(p["rpc"].get("session.login_with_password", 0)
                       for p in c["pools"] if p["name"] == "paris")
        checks.same("and was sent once", logins(after) - logins(before), 1)


def pool_trouble():
    with simlib.Sim(world()) as sim, gwlib.Gateway(pool_retry="3 s") as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        sim.do("host/certificate", pool="paris", host="paris-1")
        gw.stop()
        gw.start()
        err = refused("another certificate is not believed (12)", gw,
                      ["backup", "web"], {12}, [])
        checks.check("and the sentence says so", "certificate" in err.lower()
                     or "fingerprint" in err.lower() or "pin" in err.lower(),
                     err)
        vault = gwcase.folder_of(gw)
        sim.stop()
        err = refused("a pool that is gone is unreachable (12)", gw,
                      ["backup", "web"], {12, 4, 75}, [])
        checks.check("points are still there", len(gwcase.read_points(
            gw, key, vault)) == 1)


def thick_sr():
    thick = [{"name": SR, "type": "lvm", "size": 40 * MIB}]
    with simlib.Sim(world(srs=thick)) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        refused("a thick SR without room for a snapshot is said before (6)",
                gw, ["backup", "web"], {6}, ["acme", "web", SR])
        checks.same("and nothing was made", gwcase.left_behind(gw, sim), [])


def import_trouble():
    # More than sockets hold: what breaks off after 5 MiB breaks off in the
    # middle.
    disk = {"size": 48 * MIB, "fill": "random"}
    with simlib.Sim(world(gwcase.vm("web", disk))) as sim, \
            gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        args = ["restore", "web@latest", "--pool", "rome", "--sr", SR,
                "--network", "0=lan"]
        count = len(sim.state("rome")["vms"])
        vdis = len(sim.state("rome")["vdis"])
        rows = [("import_401", {}, {5, 75}), ("import_400", {}, {1}),
                ("import_cut", {"after": 5 * MIB}, {1, 8, 75}),
                ("import_fail", {"after": 5 * MIB, "error": FULL}, {1, 6}),
                ("sr_full", {}, {1, 6}),
                ("rpc_error", {"method": "VIF.create", "error": [
                    "NETWORK_ALREADY_CONNECTED", "x", "y"]}, {1, 7})]
        for name, arguments, codes in rows:
            sim.fault(name, pool="rome", **arguments)
            refused("restore: %s" % name, gw, args, codes, ["acme", "web"])
            sim.clear()
            state = sim.state("rome")
            checks.check("restore: %s: nothing half made is left" % name,
                         len(state["vms"]) == count and
                         len(state["vdis"]) == vdis,
                         [v["name_label"] for v in state["vms"]])
        gw.ok(*args)


def half_snapshot():
    """A snapshot is made, cannot be marked, and cannot be removed either."""
    broken = ["INTERNAL_ERROR", "x"]
    with simlib.Sim(world()) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        sim.fault("rpc_error", method="VM.set_is_a_template", error=broken)
        sim.fault("rpc_error", method="VM.destroy", error=broken, count=0)
        err = refused("a snapshot that cannot be removed: one sentence", gw,
                      ["backup", "web"], {1}, ["acme", "web"])
        checks.check("that says so", "could not be removed either" in err, err)
        checks.check("it is known to be there", gwcase.left_behind(gw, sim) and
                     gw.json("status")["places_to_tidy"],
                     gwcase.left_behind(gw, sim))
        sim.clear()
        # The last that a look asks for: what is left meanwhile, it misses.
        sim.fault("rpc_delay", method="VDI.get_all_records", ms=16000)
        end = time.monotonic() + 120
        while any("snapshot" in x for x in gwcase.left_behind(gw, sim)) and \
                time.monotonic() < end:
            time.sleep(0.2)
        sim.fault("rpc_error", method="VM.set_is_a_template", error=broken)
        sim.fault("rpc_error", method="VM.destroy", error=broken, count=0)
        gw.run("backup", "web")
        checks.check("another one is left while the pool is looked at",
                     gwcase.left_behind(gw, sim), gw.json("status"))
        sim.clear()
        while gw.json("status")["places_to_tidy"] and time.monotonic() < end:
            time.sleep(0.02)
        checks.same("a pool is clean when all are removed, not before",
                    gwcase.left_behind(gw, sim), [])


def dead_host():
    """A host dies in mid-import: its task stays, and nothing is cleaned up."""
    disk = {"size": 48 * MIB, "fill": "random"}
    with simlib.Sim(world(gwcase.vm("web", disk))) as sim, \
            gwlib.Gateway(pool_retry="10 s", pool_verdict="30 s") as gw:
        gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        state = sim.state("rome")
        before = [v["name_label"] for v in state["vms"] + state["vdis"]]
        sim.fault("import_vanish", pool="rome", after=5 * MIB)
        err = refused("a host that dies in mid-import: one sentence", gw, [
            "restore", "web@latest", "--pool", "rome", "--sr", SR,
            "--network", "0=lan"], {1, 75}, ["acme", "web"])
        checks.check("that tells what could not be removed",
                     "OTHER_OPERATION_IN_PROGRESS" in err, err)
        for vm in sim.state("rome")["vms"]:  # as a toolstack that starts anew
            sim.do("object/set", pool="rome", ref=vm["ref"],
                   **{"class": "VM", "set": {"current_operations": {}}})
        end = time.monotonic() + 120
        while gw.json("status")["places_to_tidy"] and time.monotonic() < end:
            time.sleep(0.2)
        state = sim.state("rome")
        checks.same("which is removed once the pool lets go of it",
                    [v["name_label"] for v in state["vms"] + state["vdis"]],
                    before)


def damage():
    with simlib.Sim(world()) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        folder = gwcase.folder_of(gw)
        packs = [os.path.join(d, f) for d, _, files in os.walk(
            os.path.join(folder, "packs")) for f in files]
        pack = packs[0]
        with open(pack, "rb") as f:
            good = f.read()
        os.chmod(pack, 0o600)
        out = os.path.join(gw.dir, "x.raw")
        for what, at in (("header", 20), ("a slot", 5000),
                         ("tail", len(good) - 30)):
            bad = bytearray(good)
            bad[at] ^= 1
            with open(pack, "wb") as f:
                f.write(bad)
            refused("a flipped bit in a pack's %s: verify (8)" % what, gw,
                    ["point", "verify", "web@latest"], {8},
                    [os.path.basename(pack)])
            status, _, err = gw.run("restore", "web@latest", "--disk", "0",
                                    "--output", out)
            checks.check("a flipped bit in a pack's %s: restore (8), and no "
                         "file" % what, status == 8 and
                         not os.path.exists(out), err)
        os.unlink(pack)
        refused("a missing pack: restore (8 or 4)", gw, [
            "restore", "web@latest", "--disk", "0", "--output", out], {8, 4},
            [])
        checks.check("a missing pack: no file", not os.path.exists(out))
        with open(pack, "wb") as f:
            f.write(good)
        status, text = gwcase.restore_tool(gw, key, "verify")
        checks.check("put back, all is well", status == 0, text)
        wrong = os.path.join(gw.dir, "wrong.key")
        with open(key, encoding="ascii") as f:
            lines = f.read().splitlines()
        words = lines[2].split()
        words[1], words[2] = words[2], words[1]
        with open(wrong, "w", encoding="ascii") as f:
            f.write("\n".join(lines[:2] + [" ".join(words)]) + "\n")
        refused("a wrong recovery passphrase (11)", gw, [
            "key", "test", "--vault", "main", "--key-file", wrong], {11}, [])
        status, text = gwcase.restore_tool(gw, wrong, "list")
        checks.check("cairn-restore with it (11)", status == 11, text)
        with open(os.path.join(folder, "format"), "r+", encoding="ascii") as f:
            text = f.read().replace('"format":1', '"format":2')
            f.seek(0)
            f.write(text)
        status, text = gwcase.restore_tool(gw, key, "list")
        checks.check("a vault of an unknown format version is refused by "
                     "number", status not in (0, 11) and "2" in text, text)


def two_tenants():
    other = gwcase.vm("db", DISK, tags=["bobco"])
    web = gwcase.vm("web", DISK, tags=["acme", "gold"])
    with simlib.Sim(world(web, other)) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        gw.ok("tenant", "add", "bobco")
        gw.ok("rule", "add", "--tenant", "bobco", "--pool", "paris", "--tag",
              "bobco")
        gw.add_vault("bobco", "theirs")
        gw.ok("backup", "web", "db")
        points = {p["tenant"]: p["id"]
                  for p in gw.json("point", "list")}
        checks.same("each VM's point lies in its owner's vault",
                    sorted(points), ["acme", "bobco"])
        refused("a rule that another tenant has is a conflict (7)", gw, [
            "rule", "add", "--tenant", "bobco", "--pool", "paris", "--tag",
            "acme"], {7}, ["acme"])
        gw.ok("rule", "add", "--tenant", "bobco", "--pool", "paris", "--tag",
              "gold")
        contested = gw.json("vm", "list", "--contested")
        checks.check("a VM claimed twice stays with its owner, and is told",
                     [v["name"] for v in contested] == ["web"] and
                     contested[0]["tenant"] == "acme", contested)


def killed():
    """kill -9 at moments all over a backup and a restore."""
    rng = random.Random(11)
    with simlib.Sim(world(gwcase.vm("web", {
            "size": 120 * MIB, "fill": "random"}))) as sim, \
            gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        rounds = int(os.environ.get("CAIRN_KILLS", "4"))
        for i in simlib.in_time(range(rounds)):
            sim.write(pool="paris", vm="web", offset=i % 15 * 8 * MIB,
                      hex=os.urandom(4 * MIB).hex())
            wanted = gwcase.digests(sim, "paris", "web")
            before = len(gw.json("job", "list"))
            run = gw.start_run("backup", "web")
            while len(gw.json("job", "list")) == before:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1.6))
            gw.kill()
            run.communicate()
            gw.start()
            end = time.monotonic() + 120
            while time.monotonic() < end:
                jobs = gw.json("job", "list")
                if all(j["final"] for j in jobs):
                    break
                time.sleep(0.1)
            points = gwcase.read_points(gw, key, newest=1)
            checks.check("kill -9, round %d: the newest point is the disk as "
                         "it is" % i, points[max(points)] == wanted,
                         [(j["state"], j["error"]) for j in jobs][:2])
            checks.same("kill -9, round %d: nothing is left" % i,
                        gwcase.left_behind(gw, sim), [])
        status, text = gwcase.restore_tool(gw, key, "verify")
        checks.check("the vault verifies after all that", status == 0, text)


def second_daemon():
    with gwlib.Gateway() as gw:
        done = subprocess.run(
            [gwlib.program("cairnd"), "--config", gw.config], timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        checks.check("a second cairnd on one state directory is refused (7)",
                     done.returncode == 7 and "another cairnd" in done.stdout,
                     done.stdout)
        checks.same("while the first goes on", gw.run("status")[0], 0)
        checks.same("SIGTERM ends cleanly", gw.stop(), 0)


def cancelled():
    with simlib.Sim(world(gwcase.vm("web", {
            "size": 200 * MIB, "fill": "random"}))) as sim, \
            gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        sim.fault("export_slow", pool="paris", rate=8 * MIB, count=0)
        run = gw.start_run("backup", "web")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            jobs = gw.json("job", "list")
            if jobs and jobs[0]["done_bytes"] > 20 * MIB:
                break
            time.sleep(0.1)
        began = time.monotonic()
        gw.ok("job", "cancel", jobs[0]["id"])
        run.communicate()
        job = gwcase.last_job(gw)
        checks.check("cairn job cancel ends a job within 30 s",
                     job["state"] == "cancelled" and
                     time.monotonic() - began < 30, job["state"])
        checks.check("and takes everything away", not gwcase.left_behind(
            gw, sim) and not gwcase.read_points(gw, key),
            gwcase.left_behind(gw, sim))


for test in (wrong_names, wrong_password, every_export_fault, harmless_faults,
             pool_trouble, thick_sr, import_trouble, half_snapshot, dead_host,
             damage, two_tenants, killed, cancelled, second_daemon):
    checks.run(test.__name__, test)
checks.finish()
