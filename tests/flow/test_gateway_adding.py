#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 while a vault is added, opened with --existing, or its keys are
granted. What was begun is either not there, or refused with what to do; no
backup goes into a vault whose recovery key nobody has proved; the same command
works when it is given again; and nothing is left under tmp/.

Some of the places where it is killed; CAIRN_KILLS=all: all of them."""
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwcase  # noqa: E402
import gwlib  # noqa: E402
import simlib  # noqa: E402
from gwcase import MIB  # noqa: E402

checks = simlib.Checks()
# (where it is killed, whether the place has got a name by then)
ADDING = [("store_dir_written", False), ("vault_recovery_put", True),
          ("vault_wrap_put", True), ("store_dir_written@7", True),
          ("vault_wraps_put", True), ("vault_format_put", True),
          ("vault_proved", True), ("vault_made", True), ("vault_kept", True)]
GRANTING = ["store_dir_written", "vault_wrap_put@2", "store_dir_written@3"]
EXISTING = ["store_dir_written@2", "vault_wrap_put"]
if os.environ.get("CAIRN_KILLS") != "all":
    ADDING = [a for a in ADDING if a[0] in ("store_dir_written",
                                            "vault_wrap_put", "vault_made",
                                            "vault_kept")]
    GRANTING, EXISTING = GRANTING[:2], EXISTING[:1]


def die(gw, failpoint, *args):
    """Run a command that the gateway dies of, and start it again."""
    name, _, nth = failpoint.partition("@")
    gw.stop()
    gw.start(env={"CAIRN_FAILPOINTS": "%s=kill@%s" % (name, nth or 1)})
    run = gw.start_run(*args)
    died = gw.wait_dead() == -9
    run.communicate()
    gw.start()
    return died and run.returncode != 0


def tmp(folder):
    path = os.path.join(folder, "tmp")
    return os.listdir(path) if os.path.isdir(path) else []


def adding(gw, failpoint, named):
    label = "vault add, kill -9 at %s" % failpoint
    folder = os.path.join(gw.dir, "place")
    key = os.path.join(gw.dir, "place.key")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    args = ["vault", "add", "new", "--tenant", "acme", "--url",
            "file://" + folder, "--recovery-out", key]
    checks.check("%s: it dies, and no recovery file is there" % label,
                 die(gw, failpoint, *args) and not os.path.exists(key),
                 os.path.exists(key))
    states = [v["state"] for v in gw.json("vault", "list")
              if v["name"] == "new"]
    kept = failpoint == "vault_kept"
    checks.same("%s: it is not there, or not in use" % label, states,
                ["unproved"] if kept else [])
    if kept:
        status, _, err = gw.run("backup", "web", "--vault", "new")
        checks.check("%s: nothing is backed up into it (7), and what to do "
                     "is said" % label, status == 7 and "key test" in err and
                     "remove" in err, "exit %d: %s" % (status, err))
        gw.ok("vault", "remove", "new")
    if named:
        status, _, err = gw.run(*args)
        checks.check("%s: the place is refused (7), and what to do is said" %
                     label, status == 7 and "empty the place" in err and
                     not os.path.exists(key), "exit %d: %s" % (status, err))
        return folder
    status, _, err = gw.run(*args)
    checks.check("%s: it works when it is tried again, and nothing is left" %
                 label, status == 0 and tmp(folder) == [] and
                 gw.json("vault", "show", "new")["state"] == "ready",
                 (status, err, tmp(folder)))
    gw.ok("backup", "web", "--vault", "new")
    gw.ok("vault", "remove", "new")
    os.unlink(key)
    return folder


def emptied(gw, folder):
    """What the message says to do works."""
    shutil.rmtree(folder)
    os.mkdir(folder)
    key = os.path.join(gw.dir, "place.key")
    gw.ok("vault", "add", "new", "--tenant", "acme", "--url",
          "file://" + folder, "--recovery-out", key)
    checks.same("a vault whose key file was read back is ready",
                gw.json("vault", "show", "new")["state"], "ready")
    gw.ok("backup", "web", "--vault", "new")
    checks.same("an emptied place is taken, and its key file opens it",
                gwcase.restore_tool(gw, key, "verify", folder=folder)[0], 0)
    gw.ok("vault", "remove", "new")


def granting(gw, failpoint):
    label = "key grant, kill -9 at %s" % failpoint
    folder = gwcase.folder_of(gw)
    public = "%064x" % 9
    checks.check("%s: it dies" % label, die(gw, failpoint, "key", "grant",
                                            "--vault", "main", public))
    gw.ok("key", "grant", "--vault", "main", public)
    checks.same("%s: it works when it is tried again, and nothing is left" %
                label, tmp(folder), [])
    gw.ok("backup", "web", "--vault", "main")


def existing(gw, other, key, failpoint):
    label = "--existing, kill -9 at %s" % failpoint
    folder = gwcase.folder_of(gw)
    args = ["vault", "add", "main", "--tenant", "acme", "--url",
            "file://" + folder, "--existing", "--key-file", key]
    checks.check("%s: it dies" % label, die(other, failpoint, *args))
    checks.same("%s: it is not there" % label, other.json("vault", "list"), [])
    other.ok(*args)
    checks.same("%s: it works when it is tried again, and nothing is left" %
                label, tmp(folder), [])
    other.ok("vault", "remove", "main")
    gw.ok("backup", "web", "--vault", "main")


def main():
    with simlib.Sim(gwcase.two_pools(gwcase.vm("web", {
            "size": 2 * MIB, "fill": "random"}))) as sim, \
            gwlib.Gateway() as gw, gwlib.Gateway("gw-2") as other:
        key = gwcase.set_up(gw, sim)
        other.ok("tenant", "add", "acme")
        folder = None
        for failpoint, named in ADDING:
            folder = adding(gw, failpoint, named)
        checks.run("emptied", emptied, gw, folder)
        for failpoint in GRANTING:
            granting(gw, failpoint)
        for failpoint in EXISTING:
            existing(gw, other, key, failpoint)
        checks.same("every point of the vault restores", gwcase.restore_tool(
            gw, key, "verify")[0], 0)
    print("# killed %d times" % (len(ADDING) + len(GRANTING) + len(EXISTING)))
    checks.finish()


main()
