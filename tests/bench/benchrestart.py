# SPDX-License-Identifier: Apache-2.0
"""A gateway that was killed with many jobs running comes back. Standard library
only."""
import http.client
import os
import re
import sqlite3
import time

import benchdata
import benchlib
import simlib

MIB = 1 << 20
JOBS = 1000
SECONDS = 600


class Killed:
    """A gateway that was killed, with one backup done, whose catalog says that
    JOBS more were running; each has left an unfinished upload."""

    def __init__(self, folder, stack):
        os.makedirs(folder)
        disk = os.path.join(folder, "disk.raw")
        benchdata.make_random(disk, 8 * MIB)
        self.sink = benchlib.Sink()
        stack.callback(self.sink.stop)
        self.sim = simlib.Sim([{"name": "p", "vms": [
            {"name": "vm", "power_state": "Halted", "tags": ["t"],
             "disks": [{"file": disk, "in_place": True}]}]}])
        stack.callback(self.sim.stop)
        self.gateway = benchlib.Gateway(os.path.join(folder, "gw"), "1 GiB")
        stack.callback(lambda: self.gateway.stop())
        self.gateway.add_pool(self.sim, "p")
        self.gateway.add_tenant("t", "p")
        self.gateway.add_vault("t", "s3://bench/vault", self.sink)
        self.job = self.gateway.backup("p/vm")[0]["id"]
        self.gateway.process.kill()
        self.gateway.process.wait()
        self.interrupt()

    def interrupt(self):
        sink = http.client.HTTPConnection(self.sink.url.split("//")[1])
        db = sqlite3.connect(os.path.join(self.gateway.folder, "state",
                                          "catalog.db"))
        row = db.execute("SELECT * FROM job WHERE id = ?", (self.job,))
        columns = [c[0] for c in row.description]
        job = dict(zip(columns, row.fetchone()), state=1, ended_ms=0,
                   result="", point="")
        for n in range(JOBS):
            name = "packs/%02x/%032x" % (n % 256, (n % 256) << 120 | n)
            sink.request("POST", "/bench/vault/%s?uploads" % name)
            upload = re.search(rb"<UploadId>(.+?)</UploadId>",
                               sink.getresponse().read())
            if not upload:
                raise benchlib.Unmeasured("s3sink begins no upload")
            job["id"] = self.job[:12] + "%04d" % n
            db.execute("INSERT INTO job (%s) VALUES (%s)" % (
                ",".join(columns), ",".join("?" * len(columns))),
                [job[c] for c in columns])
            db.execute(
                "INSERT INTO journal (job_id, vault_id, kind, ref, detail,"
                " created_ms) VALUES (?, ?, 'upload', ?, ?, ?)",
                (job["id"], job["vault_id"], name, upload.group(1).decode(),
                 job["created_ms"]))
        db.commit()
        db.close()
        sink.close()

    def restart(self):
        """How long until it answers, and until nothing is left behind."""
        before = self.sink.stats()["abort"]
        began = time.monotonic()
        self.gateway.start()
        raw = {"jobs": JOBS, "answers_s": time.monotonic() - began}
        while self.gateway.api("GET", "/status")["places_to_tidy"]:
            if time.monotonic() - began > SECONDS:
                raise benchlib.Unmeasured("it does not become clean")
            time.sleep(0.01)
        raw["clean_s"] = time.monotonic() - began
        raw["cpu_s"] = benchlib.cpu(self.gateway.pid)
        raw["aborted"] = self.sink.stats()["abort"] - before
        if raw["aborted"] < JOBS:
            raise benchlib.Unmeasured("uploads were left: %s" % raw)
        return raw


def measure(report, folder, stack):
    try:
        raw = Killed(os.path.join(folder, "restart"), stack).restart()
    except (benchlib.Unmeasured, simlib.XapiError, OSError,
            sqlite3.Error) as e:
        report.missing("restart", e)
        return
    report.add("restart_1000_jobs", raw["clean_s"], "s", None, raw)
