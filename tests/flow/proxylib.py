# SPDX-License-Identifier: Apache-2.0
"""Starts s3fault, the proxy that goes wrong when it is told to, before a
server, and tells it what to do. Standard library only.

    with proxylib.Proxy(18000) as proxy:
        proxy.fault("status", kind="put", code=503)
"""
import http.client
import json
import os
import subprocess
import sys
import urllib.parse

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))), "sim", "s3fault.py")


class Proxy:
    """A running s3fault. tls: (certificate, key)."""

    def __init__(self, port, tls=None, seed=None, secret=None, script=None,
                 verbose=False):
        argv = [sys.executable, PROGRAM, "--upstream", "127.0.0.1:%d" % port]
        if verbose:
            argv.append("--verbose")
        if tls:
            argv += ["--cert", tls[0], "--key", tls[1]]
        if seed is not None:
            argv += ["--seed", str(seed)]
        if secret:
            argv += ["--secret", secret]
        if script:
            argv += ["--script", script]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("s3fault did not start")
        ready = json.loads(line)
        self.url, self.seed = ready["url"], ready["seed"]
        self.port = urllib.parse.urlsplit(self.url).port
        self.control = urllib.parse.urlsplit(ready["control"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def ask(self, method, path, body=None):
        """A request of the control port."""
        c = http.client.HTTPConnection(self.control.hostname,
                                       self.control.port, timeout=60)
        try:
            c.request(method, path, json.dumps(body or {}))
            answer = c.getresponse()
            told = json.loads(answer.read())
        finally:
            c.close()
        if answer.status != 200:
            raise RuntimeError("s3fault: %s" % told["error"])
        return told

    def fault(self, name, **arguments):
        """One rule; its number."""
        return self.rules(dict(arguments, fault=name))[0]

    def rules(self, *rules):
        """Several at once; their numbers."""
        return self.ask("POST", "/fault", list(rules))["ids"]

    def clear(self):
        """No faults from now on; what there were, with how often each of them
        matched and fired."""
        return self.ask("POST", "/clear")["cleared"]

    def log(self, **having):
        """What went through since log_clear(), with these values."""
        return [r for r in self.ask("GET", "/log")
                if all(r[k] == v for k, v in having.items())]

    def log_clear(self):
        self.ask("POST", "/log/clear")

    def state(self):
        return self.ask("GET", "/state")

    def down(self, how="refuse"):
        self.ask("POST", "/down", {"how": how})

    def up(self):
        self.ask("POST", "/up")

    def certificate(self, cert, key):
        self.ask("POST", "/certificate", {"cert": cert, "key": key})

    def skew(self, seconds):
        self.ask("POST", "/skew", {"seconds": seconds})
