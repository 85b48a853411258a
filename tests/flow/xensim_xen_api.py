#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The npm package xen-api, pinned in tests/interop, against xensim.

It is installed with `npm ci` under $CAIRN_BUILD/interop, once.
"""
import json
import os
import shutil
import subprocess
import sys

import simlib

INTEROP = os.path.join(simlib.ROOT, "tests", "interop")
PLACE = os.path.join(simlib.BUILD, "interop")
POOL = {
    "name": "paris",
    "hosts": [{"name": "paris-1"}, {"name": "paris-2"}],
    "networks": [{"name": "eth0"}],
    "srs": [{"name": "near", "shared": True},
            {"name": "far", "host": "paris-2"}],
    "vms": [
        {"name": "web", "disks": [{"size": "6 MiB", "fill": "marked"},
                                  {"size": "8 MiB", "fill": "random",
                                   "used": "3 MiB"}],
         "cds": 1, "nics": [{"network": "eth0"}], "tags": ["gold"]},
        {"name": "far", "power_state": "Halted",
         "disks": [{"size": "2 MiB", "fill": "random", "sr": "far"}]},
    ],
}


def install():
    """node_modules for the pinned package, made again when the pin moves."""
    lock = os.path.join(INTEROP, "package-lock.json")
    mark = os.path.join(PLACE, "installed.json")
    os.makedirs(PLACE, exist_ok=True)
    with open(lock, "rb") as f:
        wanted = f.read()
    for name in ("package.json", "package-lock.json", ".npmrc",
                 "xen_api.mjs"):
        shutil.copy(os.path.join(INTEROP, name), PLACE)
    if os.path.exists(mark):
        with open(mark, "rb") as f:
            if f.read() == wanted:
                return
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit",
                    "--no-fund"], cwd=PLACE, check=True,
                   stdout=subprocess.DEVNULL)
    with open(mark, "wb") as f:
        f.write(wanted)


def main():
    install()
    with simlib.Sim([POOL]) as sim:
        ready = os.path.join(sim.dir, "ready.json")
        with open(ready, "w", encoding="utf-8") as f:
            json.dump(sim.ready, f)
        status = subprocess.run(["node", "xen_api.mjs", ready], cwd=PLACE,
                                timeout=240).returncode
    sys.exit(status)


main()
