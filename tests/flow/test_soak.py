#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The short form of ./run soak: everything at once, faults, kills and the
checker, for CAIRN_SOAK seconds (default 60). CAIRN_SEED repeats what is
drawn."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
argv = [sys.executable, os.path.join(HERE, "..", "soak", "soak.py"), "--short",
        "--seconds", os.environ.get("CAIRN_SOAK", "60")]
if "CAIRN_SEED" in os.environ:
    argv += ["--seed", os.environ["CAIRN_SEED"]]
print("# the full run: ./run soak [--seconds N] [--long]", flush=True)
os.execv(argv[0], argv)
