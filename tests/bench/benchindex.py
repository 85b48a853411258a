# SPDX-License-Identifier: Apache-2.0
"""Filling the local index of a large vault anew, from index runs as its backups
would have left them. Standard library only."""
import os
import shutil

import benchlib

MIB = 1 << 20
BEYOND_IDLE = 64   # MiB
FILE_PER_TIB = 512  # MiB, at chunks of 128 KiB


def measure(report, folder, gib):
    vault = os.path.join(folder, "index-vault")
    path = os.path.join(folder, "index.db")
    os.makedirs(vault)
    try:
        benchlib.run_program("bench_index", "make", vault, gib)
        raw = benchlib.run_json("bench_index", "fill", vault, path)
        if raw["chunks"] != gib << 13 or raw["bad"]:
            raise benchlib.Unmeasured("the index is not whole: %s" % raw)
    except (benchlib.Unmeasured, OSError) as e:
        report.missing("index_fill", e)
        return
    finally:
        shutil.rmtree(vault, ignore_errors=True)
        for tail in ("", "-wal", "-shm"):
            if os.path.exists(path + tail):
                os.unlink(path + tail)
    raw["vault_gib"] = gib
    report.add("index_fill", raw["wall_s"] * 1024 / gib, "s per TiB", None, raw)
    report.add("index_fill_cpu", raw["cpu_s"] * 1024 / gib, "s per TiB", None,
               raw)
    report.add("index_fill_rss", (raw["peak_bytes"] - raw["idle_bytes"]) / MIB,
               "MiB", BEYOND_IDLE, raw)
    report.add("index_file", raw["file_bytes"] / MIB * 1024 / gib,
               "MiB per TiB", FILE_PER_TIB, raw)
