#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""count_junit.py FILE STATUS: "passed failed skipped" of what ctest wrote.

STATUS is ctest's own: when it ended badly though no test failed, or wrote
nothing, that counts as one failure. What failed is named on standard error.
"""
import sys
import xml.etree.ElementTree as tree


def counts(path):
    passed = failed = skipped = 0
    for case in tree.parse(path).getroot().iter("testcase"):
        status = case.get("status")
        if status == "run":
            passed += 1
        elif status == "disabled" or case.find("skipped") is not None:
            skipped += 1
        else:
            failed += 1
            print(f"not ok {case.get('name')}", file=sys.stderr)
    return passed, failed, skipped


def main():
    try:
        passed, failed, skipped = counts(sys.argv[1])
    except (OSError, tree.ParseError) as why:
        print(f"{sys.argv[1]}: {why}", file=sys.stderr)
        passed, failed, skipped = 0, 1, 0
    if sys.argv[2] != "0" and failed == 0:
        failed = 1
    print(passed, failed, skipped)


if __name__ == "__main__":
    main()
