#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml against a real cairnd with real jobs, two tenants and three
pools of the simulator.

    test_openapi_gateway.py OPENAPI_YAML
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gwlib  # noqa: E402
import openapi_walk  # noqa: E402
import simlib  # noqa: E402

MIB = 1 << 20
PUBLIC_KEY = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"


def vm(name, tenant):
    return {"name": name, "tags": [tenant], "nics": [{"network": "eth0"}],
            "disks": [{"size": 3 * MIB, "fill": "random"}]}


class World:
    """Two tenants with a VM, a vault, a token, a point, a failed job and one
    that runs; a tenant, a pool and a vault to be removed."""

    def __enter__(self):
        self.sim = simlib.Sim([
            {"name": "east", "vms": [vm("acme-web", "acme"),
                                     vm("globex-db", "globex")]},
            {"name": "spare"}, {"name": "west"}])
        self.gw = gwlib.Gateway()
        self.socket = self.gw.socket
        self.keys = {}
        for name in ("acme", "globex", "leaver"):
            self.gw.ok("tenant", "add", name)
        self.gw.ok("tenant", "leave", "leaver")
        for name in ("east", "spare"):
            self.gw.add_pool(self.sim, name)
        for name in ("acme", "globex"):
            self.gw.ok("rule", "add", "--tenant", name, "--pool", "east",
                       "--tag", name)
            self.keys[name] = self.gw.add_vault(name, "main")
            self.gw.ok("token", "add", "--tenant", name, "--out",
                       self.file(name))
        self.gw.add_vault("acme", "spare")
        self.gw.ok("backup", "acme-web", "globex-db", "--vault", "main")
        self.world = {"acme": self.things("acme", "acme-web", 1),
                      "globex": self.things("globex", "globex-db", 2)}
        # Whatever is exported from here on is slow: jobs that run go on.
        self.sim.fault("export_slow", pool="east", rate=4096, count=0)
        for x, machine in (("acme", "acme-web"), ("globex", "globex-db")):
            self.world[x]["open_job"] = self.open_job(machine)
        return self

    def __exit__(self, *_):
        self.sim.clear()
        openapi_walk.check("cairnd ends well", self.gw.stop() == 0,
                           self.gw.logged()[-500:])
        self.gw.__exit__()
        self.sim.stop()

    def file(self, name):
        return os.path.join(self.gw.dir, "token-" + name)

    def failed_job(self, name):
        self.sim.fault("rpc_error", pool="east", method="VM.snapshot",
                       error=["INTERNAL_ERROR", "no"])
        self.gw.run("backup", name)
        self.sim.clear()
        return self.gw.json("job", "list")[0]["id"]

    def open_job(self, name):
        job = self.gw.ok("backup", name, "--no-wait").strip()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.gw.json("job", "show", job)["state"] == "running":
                break
            time.sleep(0.05)
        return job

    def things(self, name, machine, number):
        with open(self.file(name), encoding="ascii") as f:
            secret = f.read().strip()
        vault = self.gw.json("vault", "show", "main", "--tenant", name)
        point = self.gw.json("point", "show", machine + "@latest")
        return {"secret": secret, "tenant": name, "token": str(number),
                "rule": str(number), "pool": "east",
                "vm": self.gw.json("vm", "show", machine)["uuid"],
                "vault": vault["id"], "point": point["id"],
                "job": self.failed_job(machine),
                "bodies": self.bodies(name)}

    def bodies(self, name):
        west, east = self.sim.pool("west"), self.sim.pool("east")
        host = west["hosts"][0]
        address = "%s:%d" % (host["address"], host["https_port"])
        entry = "%s:%d" % (east["hosts"][0]["address"],
                           east["hosts"][0]["https_port"])
        folder = os.path.join(self.gw.dir, "deep-" + name)
        os.makedirs(folder)
        with open(self.keys[name], encoding="ascii") as f:
            key_file = f.read()
        return {
            "pool.look": {"hosts": [address]},
            "pool.add": {"name": "west", "hosts": [address],
                         "user": west["user"], "password": west["password"],
                         "fingerprints": [h["fingerprint"]
                                          for h in west["hosts"]]},
            "pool.set": {"paused": False, "password": east["password"]},
            "pool.accept": {"fingerprints": {
                entry: east["hosts"][0]["fingerprint"]}},
            "vault.add": {"name": "deep", "tenant": name,
                          "url": "file://" + folder},
            "key.test": {"key_file": key_file},
            "key.grant": {"public_key": PUBLIC_KEY},
        }


sys.exit(1 if openapi_walk.walk(sys.argv[1], World) else 0)
