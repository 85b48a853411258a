#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""That check_tree.py finds what it is there to find."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def check(what, files, spdx=True):
    """Run a check over a tree of these files; its exit status and output."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write((SPDX if spdx else "") + text)
        run = subprocess.run(
            [sys.executable, os.path.join(HERE, "check_tree.py"), "--root",
             root, what], text=True, stdout=subprocess.PIPE, check=False)
        return run.returncode, run.stdout


class Lengths(unittest.TestCase):
    @staticmethod
    def function(lines):
        return "int f(void)\n{\n" + "    ;\n" * lines + "}\n"

    def test_functions(self):
        for name, lines, found in [("vault/a.c", 60, 0), ("vault/a.c", 61, 1),
                                   ("tests/unit/a.c", 80, 0),
                                   ("tests/unit/a.c", 81, 1),
                                   ("tests/data/a.c", 500, 0)]:
            status, out = check("lengths", {name: self.function(lines)})
            self.assertEqual(status, found, (name, lines, out))
            self.assertEqual(f"{name}:3: a function of {lines} lines" in out,
                             bool(found), out)

    def test_files(self):
        # With the SPDX line that all have here.
        for name, lines, found in [("base/a.h", 599, 0), ("base/a.h", 600, 1),
                                   ("tests/unit/a.c", 2000, 0)]:
            status, out = check("lengths", {name: "\n" * lines})
            self.assertEqual(status, found, (name, lines, out))
            self.assertEqual("601 lines" in out, bool(found), out)

    def test_tables_are_no_functions(self):
        table = "int a[] = {\n" + "    1,\n" * 100 + "};\n"
        self.assertEqual(check("lengths", {"base/a.c": table})[0], 0)


class Includes(unittest.TestCase):
    # file, what it includes, a part of the finding ("" when all is well)
    ROWS = [
        ("loop/a.c", '"base/x.h"', ""),
        ("base/a.c", '"loop/x.h"', "base/ may not include loop/x.h"),
        ("tenants/a.c", '"loop/x.h"', "tenants/ may not include loop/x.h"),
        ("vault/a.c", '"s3/x.h"', "vault/ may not include s3/x.h"),
        ("gateway/a.c", '"vault/x.h"', ""),
        ("gateway/a.c", '"cli/x.h"', "gateway/ may not include cli/x.h"),
        ("cli/a.c", '"vault/x.h"', "cli/ may not include vault/x.h"),
        ("restore/a.c", '"xenapi/x.h"', "may not include xenapi/x.h"),
        ("tests/sim/a.c", '"image/x.h"', "may not include image/x.h"),
        ("tests/unit/a.c", '"image/x.h"', ""),
        ("loop/a.c", '"base/none.h"', '"base/none.h" does not exist'),
        ("loop/a.c", '"x.h"', "without its folder"),
        ("attic/a.c", '"base/x.h"', "attic/ is not a room"),
        ("base/a.c", "<jansson.h>", ""),
        ("net/a.c", "<jansson.h>", "base/*.c only"),
        ("base/a.h", "<libxml/parser.h>", "base/*.c only"),
        ("base/a.c", "<uv.h>", "<uv.h> may be included in"),
        ("net/a.c", "<curl/curl.h>", ""),
        ("s3/a.c", "<curl/curl.h>", "net/* only"),
        ("net/http_tls.c", "<openssl/ssl.h>", ""),
        ("net/http_client.c", "<openssl/ssl.h>", "net/http_tls* only"),
        ("tenants/catalog_x.c", "<sqlite3.h>", ""),
        ("tenants/rule.c", "<sqlite3.h>", "<sqlite3.h> may be included in"),
        ("vault/index_run.c", "<sqlite3.h>", ""),
        ("s3/a.c", "<zstd.h>", "image/*, vault/* only"),
        ("vault/a.c", "<xxhash.h>", "image/* only"),
        ("base/a.c", "<cmocka.h>", "tests/ only"),
        ("base/a.c", "<glib.h>", "no dependency of this project"),
        ("base/a.c", "<sys/stat.h>", ""),
        ("tests/unit/a.c", "<zstd.h>", ""),
    ]

    def test_arrows_and_homes(self):
        for name, header, part in self.ROWS:
            files = {name: f"#include {header}\n"}
            if header.endswith('/x.h"'):
                files[header.strip('"')] = ""
            status, output = check("includes", files)
            with self.subTest(name=name, header=header, output=output):
                self.assertEqual(status, 1 if part else 0)
                self.assertIn(part, output)
                if part:
                    self.assertIn(f"{name}:2: ", output)

    def test_circle(self):
        status, output = check("includes", {
            "base/a.h": '#include "base/b.h"\n',
            "base/b.h": '#include "base/c.h"\n',
            "base/c.h": '#include "base/a.h"\n'})
        self.assertEqual(status, 1)
        self.assertIn("base/a.h -> base/b.h -> base/c.h -> base/a.h", output)

    def test_same_name(self):
        status, output = check("includes", {"base/a.c": "", "loop/a.c": "",
                                            "cli/main.c": "",
                                            "restore/main.c": ""})
        self.assertEqual((status, output.count("has the name")), (1, 1))


class Headers(unittest.TestCase):
    def test_alone(self):
        banned = {"base/banned.h": "#include <stdio.h>\n"}
        good = {"base/a.h": "#include <stdint.h>\nuint8_t a_get(void);\n"}
        bad = {"base/b.h": "uint8_t b_get(void);\n"}
        self.assertEqual(check("headers", {**banned, **good})[0], 0)
        status, output = check("headers", {**banned, **good, **bad})
        self.assertEqual(status, 1)
        self.assertIn("base/b.h:1: does not compile alone", output)
        self.assertNotIn("base/a.h", output)


class Words(unittest.TestCase):
    ROWS = [
        ("base/a.c", "int a;\n", True, ""),
        ("base/a.c", "int a;\n", False, "no SPDX line"),
        ("tools/x.sh", "echo\n", False, "no SPDX line"),
        ("run", "#!/bin/bash\n", False, "no SPDX line"),
        ("README.md", "hello\n", False, ""),
        ("README.md", "<<<" "<<<< HEAD\n", False, "left over from a merge"),
        ("README.md", "see /wo" "rk/x\n", False, "somebody's machine"),
        ("base/a.c", "/* /fa" "rm/x */\n", True, "somebody's machine"),
        ("README.md", "src/wo" "rk/x and http://x/wo" "rk/y\n", False, ""),
        ("base/a.c", "/* TO" "DO: more */\n", True, "unfinished work"),
        ("base/a.c", "/* todo list */\n", True, ""),
        ("base/a.c", 'int a = FAILPOINT("one");\n', True, ""),
        ("base/a.c", 'int a = FAILPOINT("two");\n', True,
         "two is not in base/failpoint_list.h"),
    ]

    def test_rows(self):
        for name, text, spdx, part in self.ROWS:
            files = {name: text}
            if "FAILPOINT" in text:
                files["base/failpoint_list.h"] = 'FAILPOINT_NAME("one")\n'
            status, output = check("words", files, spdx)
            with self.subTest(name=name, text=text, output=output):
                self.assertEqual(status, 1 if part else 0)
                self.assertIn(part, output)

    def test_failpoint_list(self):
        status, output = check("words", {
            "base/failpoint_list.h": 'FAILPOINT_NAME("one")\n' * 2})
        self.assertEqual(status, 1)
        self.assertIn("lists one twice", output)
        self.assertIn("nothing hits one", output)


class Files(unittest.TestCase):
    DESIGN = "## Files\n### base/\n- `a` does it\n## More\n- `b` no\n"
    ROWS = [
        ({"base/a.c": "", "base/a.h": "", "tests/unit/b.c": ""}, ""),
        ({"base/a.c": "", "base/b.c": ""},
         'base/b.c:1: is not in DESIGN.md, "Files"'),
        ({"loop/a.c": "", "base/a.c": ""},
         'loop/a.c:1: is not in DESIGN.md, "Files"'),
        ({"base/c.c": ""}, "base/a is not there"),
        ({"base/a.c": "", "tests/unit/test_b.c": "",
          "tests/unit/b.cmake": "gw_test(test_b gw_b)\n"}, ""),
        ({"base/a.c": "", "tests/unit/test_b.c": "",
          "tests/unit/b.cmake": "gw_test(test_bc gw_b)\n"},
         "tests/unit/test_b.c:1: is built by no .cmake file"),
    ]

    def test_rows(self):
        for files, part in self.ROWS:
            status, output = check("files", {**files,
                                             "DESIGN.md": self.DESIGN})
            with self.subTest(files=files, output=output):
                self.assertEqual(status, 1 if part else 0)
                self.assertIn(part, output)

    def test_pages(self):
        for key, page, part in [
                ("a", "a", ""), ("b", "a", "b is not in docs/man"),
                ("a", "b", "b is not in packaging/cairnd.yaml")]:
            status, output = check("files", {
                "DESIGN.md": "## Files\n",
                "packaging/cairnd.yaml": f"#{key}: 1\n",
                "docs/man/cairnd.yaml.5": f".It Ic {page}\n"})
            with self.subTest(key=key, page=page, output=output):
                self.assertEqual(status, 1 if part else 0)
                self.assertIn(part, output)


if __name__ == "__main__":
    unittest.main()
