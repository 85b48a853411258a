#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml against the control API by itself, with a backend that
agrees to everything (tests/flow/api_server.c).

    test_openapi.py SERVER_PROGRAM OPENAPI_YAML
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import openapi_walk  # noqa: E402


class Server:
    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        self.world = json.loads(self.process.stdout.readline())
        self.socket = self.world["socket"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        openapi_walk.check("the server ends well",
                           self.process.wait(60) == 0)


sys.exit(1 if openapi_walk.walk(sys.argv[2], Server) else 0)
