#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./run bench shall not break unseen: its shortest group ends with a figure, a
gateway that is clean soon after a kill. What the figures are is not for tests."""
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def main():
    run = subprocess.run(
        [sys.executable, os.path.join(ROOT, "tests", "bench", "bench.py"),
         "--only", "restart", "--rounds", "1", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)
    figures = [json.loads(line) for line in run.stdout.splitlines()]
    raw = figures[0].get("raw", {}) if figures else {}
    if run.returncode or len(figures) != 1 or raw.get("aborted") != 1000:
        print("not ok the bench takes a measure: exit %d: %s %s" % (
            run.returncode, run.stdout, run.stderr))
        return 1
    print("ok the bench takes a measure")
    return 0


sys.exit(main())
