#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a gateway keeps may be lost, damaged, or not be writable, and places may
be out of reach when it starts: it says so in one sentence, or builds anew what
it needs; and a job that is cancelled ends soon, whatever it waits for."""
import glob
import os
import socket
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB, SR, until  # noqa: E402

INSIDE = "CAIRN_IN_NAMESPACE"
checks = simlib.Checks()
DISK = {"size": 40 * MIB, "fill": "random"}


def world(**paris):
    return gwcase.two_pools(gwcase.vm("web", DISK), **paris)


def start_job(gw, args, more_than):
    """A job in the background that has read more than so many bytes; the
    process and the job's id."""
    before = {j["id"] for j in gw.json("job", "list")}
    run = gw.start_run(*args)
    new = []

    def is_so_far():
        new[:] = [j for j in gw.json("job", "list") if j["id"] not in before]
        return new and new[0]["done_bytes"] > more_than
    if not until(is_so_far):
        raise TimeoutError("the job does not come so far: %s" % new)
    return run, new[0]["id"]


def open_rows(gw):
    db = sqlite3.connect("file:%s/catalog.db?mode=ro" % gw.state, uri=True)
    try:
        return db.execute("SELECT count(*) FROM journal WHERE closed_ms = 0"
                          ).fetchone()[0]
    finally:
        db.close()


def clean(gw):
    return gw.json("status")["places_to_tidy"] == 0 and open_rows(gw) == 0


def refuses_to_start(gw, *more):
    """Exit status and output of a cairnd that ends at once."""
    try:
        done = subprocess.run(
            [gwlib.program("cairnd"), "--config", gw.config, *more],
            timeout=30,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, env=gw.env)
    except subprocess.TimeoutExpired as e:
        return None, "it started: %s" % e.stdout
    return done.returncode, done.stdout


def named_files():
    """--check and the start say the same of the files a configuration names."""
    with gwlib.Gateway(start=False, listen="127.0.0.1:0",
                       listen_cert="/nowhere/api.pem",
                       listen_key="/nowhere/api.key") as gw:
        status, said = refuses_to_start(gw)
        checks.check("a certificate that is not there is a wrong configuration",
                     status == 2 and "%s:5: listen_cert: /nowhere/api.pem: No "
                     "such file or directory" % gw.config in said, said)
        checks.same("--check says the same", refuses_to_start(gw, "--check"),
                    (status, said))
        with open(gw.config, encoding="utf-8") as f:
            text = f.read()
        with open(gw.config, "w", encoding="utf-8") as f:
            f.write(text.replace("/nowhere", gw.dir))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1",
             "-out", gw.dir + "/api.pem", "-keyout", gw.dir + "/api.key"],
            stderr=subprocess.DEVNULL, check=True)
        checks.same("with both files all is well",
                    refuses_to_start(gw, "--check"),
                    (0, "%s: ok\n" % gw.config))
        gw.start()
        checks.same("and it starts", gw.run("status")[0], 0)


# --- what is kept ------------------------------------------------------------


def index():
    with simlib.Sim(world()) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        for what in ("deleted", "garbage", "cut"):
            gw.stop()
            files = glob.glob(gw.state + "/index/*.db")
            checks.same("there is one index", len(files), 1)
            for name in glob.glob(gw.state + "/index/*"):
                if what == "deleted" or not name.endswith(".db"):
                    os.unlink(name)
            if what == "garbage":
                with open(files[0], "r+b") as f:
                    f.write(os.urandom(8192))
            elif what == "cut":
                os.truncate(files[0], 5000)
            gw.start()
            # The same disk under a new name: no parent, all from the index.
            sim.do("vm/add", pool="paris", vm=gwcase.vm(
                "twin-" + what, {"size": 40 * MIB,
                                 "file": gwcase.disk_files(
                                     sim, "paris", "web")["0"][0]}))
            gw.ok("backup", "web")
            until(lambda: "index_filled" in gw.logged(), 20)
            gw.ok("backup", "twin-" + what)
            result = gwcase.last_job(gw)["result"]
            checks.check("index %s: it is built anew, nothing is stored twice"
                         % what, result["new_bytes"] == 0 and
                         result["known_bytes"] >= 39 * MIB, result)
        points = gwcase.read_points(gw, key)
        checks.check("and all points restore", len(points) == 7 and
                     set(d["0"] for d in points.values()) ==
                     {gwcase.digests(sim, "paris", "web")["0"]}, len(points))


def catalog():
    with simlib.Sim(world()) as sim, gwlib.Gateway() as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        wanted = gwcase.read_points(gw, key)
        # Killed with a snapshot and a task in the pool.
        sim.fault("export_slow", pool="paris", rate=MIB, count=0)
        run, _ = start_job(gw, ["backup", "web"], MIB)
        gw.kill()
        run.communicate()
        sim.clear()
        path = gw.state + "/catalog.db"
        db = sqlite3.connect(path)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        db.close()
        with open(path, "r+b") as f:
            f.seek(4096)
            f.write(os.urandom(3 * 4096))
        for name in glob.glob(path + "-*"):
            os.unlink(name)
        status, out = refuses_to_start(gw)
        checks.check("a damaged catalog is refused (8) in one sentence",
                     status == 8 and "catalog.db is damaged" in out and
                     len(out.strip().splitlines()) == 1, (status, out))
        with open(path, "wb") as f:
            f.write(b"this is no database, but text, and long enough\n" * 100)
        status, out = refuses_to_start(gw)
        checks.check("and so is a file that is none", status == 8 and
                     "catalog.db is damaged" in out, (status, out))
        for name in glob.glob(gw.state + "/catalog.db*"):
            os.unlink(name)
        gw.start()
        gw.ok("tenant", "add", "acme")
        for pool in ("paris", "rome"):
            gw.add_pool(sim, pool)
        checks.check("without its catalog a gateway still takes away what is "
                     "marked as its own", until(
                         lambda: not gwcase.left_behind(gw, sim) and
                         clean(gw), 30), gwcase.left_behind(gw, sim))
        gw.ok("rule", "add", "--tenant", "acme", "--pool", "paris", "--tag",
              "acme")
        gw.ok("vault", "add", "main", "--tenant", "acme", "--url",
              "file://" + gwcase.folder_of(gw), "--existing", "--key-file",
              key)
        checks.same("its points are listed again from the vault",
                    [p["id"] for p in gw.json("point", "list")],
                    [name.rsplit("/", 1)[1] for name in wanted])
        out = os.path.join(gw.dir, "web.raw")
        gw.ok("restore", "web@latest", "--disk", "0", "--output", out)
        checks.same("and restore", gwcase.digest(out),
                    list(wanted.values())[0]["0"])
        gw.ok("backup", "web")
        checks.same("and the next backup goes on from them",
                    gwcase.last_job(gw)["result"]["new_bytes"], 0)


def remount(folder, how):
    subprocess.run(["mount", "-o", "remount," + how, folder], check=True)


def state_on_small_disk():
    """Needs a mount namespace."""
    with simlib.Sim(world()) as sim, gwlib.Gateway(start=False) as gw:
        os.makedirs(gw.state)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700",
                        "none", gw.state], check=True)
        try:
            gw.start()
            key = gwcase.set_up(gw, sim)
            gw.ok("backup", "web")
            wanted = gwcase.read_points(gw, key)
            full_state(gw, sim, key, wanted)
            gw.stop()
            remount(gw.state, "ro")
            status, out = refuses_to_start(gw)
            checks.check("a state directory that cannot be written: one "
                         "sentence (1)", status == 1 and
                         "Read-only" in out and gw.state in out and
                         len(out.strip().splitlines()) == 1, (status, out))
            remount(gw.state, "rw")
            gw.start()
            gw.ok("backup", "web")
        finally:
            gw.stop()
            subprocess.run(["umount", gw.state], check=True)


def full_state(gw, sim, key, wanted):
    filler = os.path.join(gw.state, "filler")
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:
        os.close(fd)
    sim.write(pool="paris", vm="web", offset=0, length=2 * MIB, random=5)
    status, out, err = gw.run("backup", "web", timeout=120)
    checks.check("a state directory that is full: the backup fails in one "
                 "sentence", status not in (0, 3) and "full" in err and
                 len(err.strip().splitlines()) < 8, (status, out, err))
    checks.same("nothing was made", (gwcase.read_points(gw, key),
                                     gwcase.left_behind(gw, sim)),
                (wanted, []))
    os.unlink(filler)
    gw.ok("backup", "web")
    checks.check("with room the next one succeeds", gwcase.digests(
        sim, "paris", "web") in gwcase.read_points(gw, key).values())
    gw.stop()
    gw.start()
    checks.check("and after a restart nothing is open", until(
        lambda: clean(gw) and all(j["final"] for j in gw.json("job", "list")),
        60), [j for j in gw.json("job", "list") if not j["final"]])


# --- places ------------------------------------------------------------------


def out_of_reach():
    """A pool and a vault are gone when the gateway starts."""
    with simlib.Sim(world()) as sim, gwlib.Gateway(
            pool_retry="2 s", store_retry="2 s") as gw:
        key = gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        sim.fault("export_slow", pool="paris", rate=8 * MIB, count=0)
        sim.write(pool="paris", vm="web", offset=0, length=20 * MIB, random=1)
        run, job = start_job(gw, ["backup", "web"], 24 * MIB)
        gw.kill()
        run.communicate()
        sim.clear()
        sim.do("host/down", pool="paris", host="paris-1", down=True)
        gw.start()
        began = time.monotonic()
        gw.ok("restore", "web@latest", "--pool", "rome", "--sr", SR,
              "--network", "0=lan", "--name", "copy")
        checks.check("what is out of reach holds up nobody else",
                     time.monotonic() - began < 40,
                     time.monotonic() - began)
        checks.check("jobs of the pool that is gone fail by themselves (12)",
                     until(lambda: gw.json("job", "show", job)["exit"] == 12,
                           60), gw.json("job", "show", job))
        checks.check("and what they left is not forgotten",
                     gw.json("status")["places_to_tidy"] >= 1 and
                     [v for v in sim.state("paris")["vms"]
                      if v["is_a_snapshot"]], gw.json("status"))
        tries = gw.logged().count("not_tidied")
        time.sleep(3)
        checks.check("nor is the pool asked all the time",
                     1 <= tries and gw.logged().count("not_tidied") - tries
                     <= 1, tries)
        sim.do("host/down", pool="paris", host="paris-1", down=False)
        checks.check("when it is back, all is taken away", until(
            lambda: clean(gw) and not gwcase.left_behind(gw, sim), 90),
            (gw.json("status"), gwcase.left_behind(gw, sim)))
        gw.ok("job", "retry", job)
        checks.check("and a retry of the failed job succeeds",
                     gwcase.digests(sim, "paris", "web") in
                     gwcase.read_points(gw, key).values() and
                     gwcase.last_job(gw)["retry_of"] == job,
                     gwcase.last_job(gw))


def history():
    """Jobs and audit lines of long ago are forgotten, and what jobs made is
    not."""
    with simlib.Sim(world()) as sim, \
            gwlib.Gateway(job_history="2 s", audit_history="2 s") as gw:
        gwcase.set_up(gw, sim)
        gw.ok("backup", "web")
        made = gw.json("point", "list")
        gw.stop()
        time.sleep(2.5)
        gw.start()
        checks.check("a job is forgotten when it ended job_history ago",
                     until(lambda: not gw.json("job", "list")),
                     gw.json("job", "list"))
        checks.same("its point is not", gw.json("point", "list"), made)
        checks.check("an audit line is forgotten that is audit_history old",
                     until(lambda: not gw.json("audit")), gw.json("audit"))
        checks.same("and it goes on from there", gw.run("backup", "web")[0], 0)


def strangers():
    """What others have in a pool is theirs, however it looks."""
    with simlib.Sim(world()) as sim, gwlib.Gateway() as gw:
        gwcase.set_up(gw, sim)
        gw.stop()
        pool = sim.login("paris")
        vm = pool.vm("web")
        other = pool.done("VM.snapshot", vm, "cairn/gw-2/01m840x web")
        users = pool.done("VM.snapshot", vm, "before the upgrade")
        pool("VM.add_to_other_config", users, "cairn:gateway", "gw-1")
        ours = pool.done("VM.snapshot", vm, "cairn/gw-1/01m840x web")
        theirs = pool("task.create", "export", "cairn/gw-2/01m840x")
        mine = pool("task.create", "export", "cairn/gw-1/01m840x")
        gw.start()
        until(lambda: clean(gw), 30)
        left = {r for r in pool("VM.get_all")
                if pool("VM.get_is_a_snapshot", r)}
        tasks = set(pool("task.get_all"))
        checks.same("snapshots of others and of users stay, ours goes",
                    left, {other, users})
        checks.check("and so it is with tasks", theirs in tasks and
                     mine not in tasks and ours not in left,
                     tasks)


# --- cancelling --------------------------------------------------------------


def cancel_when(label, gw, sim, args, ready, codes=("cancelled",)):
    """Start, wait for it to be so far, cancel, look at the time it takes."""
    before = len(gw.json("job", "list"))
    run = gw.start_run(*args)
    until(lambda: len(gw.json("job", "list")) > before)
    job = gw.json("job", "list")[0]["id"]
    if not checks.check("%s: the job comes so far" % label, until(
            lambda: ready(gw.json("job", "show", job)), 60),
            gw.json("job", "show", job)):
        print(gw.json("job", "log", job))
    began = time.monotonic()
    gw.run("job", "cancel", job)
    ended = until(lambda: gw.json("job", "show", job)["final"], 60)
    took = time.monotonic() - began
    state = gw.json("job", "show", job)
    run.communicate()
    checks.check("%s: it ends within 30 s" % label, ended and took < 30 and
                 state["state"] in codes, (took, state["state"],
                                           state["error"]))
    sim.clear()
    checks.check("%s: nothing is left" % label, until(
        lambda: clean(gw) and not gwcase.left_behind(gw, sim), 60),
        (gwcase.left_behind(gw, sim), gw.json("status")))


def cancelled():
    with simlib.Sim(world()) as sim, gwlib.Gateway(
            jobs_at_once="1", store_retry="5 min") as gw:
        gwcase.set_up(gw, sim)
        backup = ["backup", "web"]

        def at(stage):
            return lambda j: j["stage"] == stage
        sim.fault("rpc_delay", pool="paris", method="VM.get_by_uuid",
                  ms=20000)
        cancel_when("preparing", gw, sim, backup, at("prepare"))
        sim.fault("rpc_delay", pool="paris", method="VM.snapshot", ms=3000)
        cancel_when("while the pool makes the snapshot", gw, sim, backup,
                    at("snapshot"))
        sim.fault("rpc_delay", pool="paris", method="VM.snapshot", ms=32000)
        cancel_when("while the pool is long in making it", gw, sim, backup,
                    at("snapshot"))
        sim.fault("export_stall", pool="paris", after=20 * MIB, ms=0)
        cancel_when("in mid-export", gw, sim, backup,
                    lambda j: j["done_bytes"] > 17 * MIB)
        sim.fault("export_stall", pool="paris", after=20 * MIB, ms=0)
        sim.fault("vdi_in_use", pool="paris", count=0)
        cancel_when("when its snapshot cannot be removed", gw, sim, backup,
                    lambda j: j["done_bytes"] > 17 * MIB)
        gw.ok("backup", "web")
        points = len(gw.json("point", "list"))
        sim.fault("vdi_in_use", pool="paris", count=0)
        cancel_when("behind the commit", gw, sim, backup,
                    at("remove snapshot"), ("warned",))
        checks.same("behind the commit: the point stays",
                    len(gw.json("point", "list")), points + 1)
        client_gone(gw)
        restore = ["restore", "web@latest", "--pool", "rome", "--sr", SR,
                   "--network", "0=lan", "--name", "copy"]
        sim.fault("rpc_delay", pool="rome", method="VIF.create", ms=20000)
        cancel_when("a restore that has its VM", gw, sim, restore,
                    at("network interfaces"))
        checks.same("and there is no VM", [v for v in sim.state("rome")["vms"]
                                           if v["name_label"] == "copy"], [])
        waiting_one(gw, sim, backup)
        checks.check("and nothing is open after all that", until(
            lambda: clean(gw) and not gwcase.left_behind(gw, sim), 60),
            gwcase.left_behind(gw, sim))


def client_gone(gw):
    """A stream ends with its client, and its job says so."""
    body = b'{"point": "web@latest", "output": "raw", "disk": 0}'
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(gw.socket)
        client.sendall(b"POST /api/v1/restores HTTP/1.1\r\nHost: cairn\r\n"
                       b"Content-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n" % len(body) + body)
        client.recv(1000)
    until(lambda: gw.json("job", "list")[0]["final"], 30)
    job = gw.json("job", "list")[0]
    checks.check("a client that goes away is the cause that its job names",
                 job["state"] == "cancelled" and
                 job["error"].endswith(": the client went away"), job)


def waiting_one(gw, sim, backup):
    sim.fault("export_stall", pool="paris", after=20 * MIB, ms=0)
    run, first = start_job(gw, backup, 17 * MIB)
    second = gw.start_run(*backup)
    until(lambda: gw.json("job", "list")[0]["id"] != first)
    queued = gw.json("job", "list")[0]["id"]
    gw.ok("job", "cancel", queued)
    checks.check("one that waits for its turn ends at once", until(
        lambda: gw.json("job", "show", queued)["state"] == "cancelled", 5))
    checks.same("and the other goes on",
                gw.json("job", "show", first)["state"], "running")
    gw.ok("job", "cancel", first)
    until(lambda: gw.json("job", "show", first)["final"], 30)
    for process in (run, second):
        process.communicate()
    sim.clear()


def main():
    tests = [named_files, index, catalog, out_of_reach, history, strangers,
             cancelled]
    if INSIDE in os.environ:
        tests = [state_on_small_disk]
    for test in tests:
        checks.run(test.__name__, test)
    if INSIDE in os.environ:
        checks.finish()
    for how in (["unshare", "-m"], ["unshare", "-Urm"]):
        if subprocess.run([*how, "mount", "-t", "tmpfs", "none", "/mnt"],
                          stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            done = subprocess.run([*how, sys.executable, __file__],
                                  env=dict(os.environ, **{INSIDE: "1"}),
                                  check=False)
            checks.check("on a disk of its own", done.returncode == 0,
                         done.returncode)
            break
    else:
        print("skip a full disk: nothing may be mounted here")
    checks.finish()


main()
