#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cairn-restore on folder vaults: those of the vectors, with every change of
damage.json, and vaults made by the independent writer in tests/interop.

Programs are looked for in CAIRN_BUILD (build-asan), or where memory is
measured in CAIRN_RELEASE (build)."""
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
import cairn_write  # noqa: E402

VECTORS = os.path.join(HERE, "..", "data", "vectors")
BUILD = os.environ.get("CAIRN_BUILD", os.path.join(ROOT, "build-asan"))
RELEASE = os.environ.get("CAIRN_RELEASE", os.path.join(ROOT, "build"))
PROGRAM = os.path.join(BUILD, "cairn-restore")
MIB = 1 << 20
WORK = tempfile.mkdtemp(prefix="cairn-restore-test-")
failed = 0


def load(name):
    with open(os.path.join(VECTORS, name), encoding="utf-8") as f:
        return json.load(f)


def case(test):
    """Run one test function; its name says what it proves. Where CAIRN_ONLY
    names some, no other is run."""
    global failed
    name = test.__name__.replace("_", " ")
    if test.__name__ not in os.environ.get("CAIRN_ONLY",
                                           test.__name__).split():
        return
    try:
        why = test()
        if why:
            print("skip %s: %s" % (name, why), flush=True)
        else:
            print("ok", name, flush=True)
    except Exception as e:  # a failure of any kind is one
        failed += 1
        traceback.print_exc()
        print("not ok %s: %s" % (name, str(e).split("\n")[0]), flush=True)


def same(got, want, why=""):
    if got != want:
        raise AssertionError("%s: wanted %r, got %r" % (why, want, got))


def run(vault, key, *words, program=PROGRAM, **more):
    return subprocess.run(
        [program, "--vault", "file://" + vault, "--key-file", key, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        timeout=300, **more)


def fails(done, code, *says):
    text = done.stderr.decode()
    same(done.returncode, code, text)
    for word in says:
        if word not in text:
            raise AssertionError("%r is not in %r" % (word, text))
    if text.count("\n") != 1 or not text.startswith("cairn-restore: "):
        raise AssertionError("not one sentence: " + text)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def vectors(place):
    root = os.path.join(WORK, place)
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(os.path.join(VECTORS, "vault"), root)
    return root


def key_file(name, line, vault="a6cf46c72f1025063ca57acc80feee45"):
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="ascii") as f:
        f.write("cairn key 1\nvault %s\n%s\n" % (vault, line))
    return path


VAULT = load("vault.json")
RECOVERY = key_file("recovery", "passphrase " + VAULT["passphrase"])
PRIVATE = key_file("private", "private " + VAULT["recovery_private"])
GATEWAY = key_file("gateway", "private " + VAULT["gateway_private"])


def point_id(name):
    return name.rsplit("/", 1)[1]


# --- the vectors -------------------------------------------------------------

def every_disk_of_the_vectors_comes_back():
    root = vectors("v")
    for d in VAULT["disks"]:
        words = ("disk", point_id(d["point"]), str(d["position"]), "--output")
        done = run(root, RECOVERY, *words, "-")
        same(done.returncode, 0, done.stderr.decode())
        same((len(done.stdout), sha(done.stdout)), (d["size"], d["sha256"]))
        out = os.path.join(WORK, "disk.raw")
        same(run(root, PRIVATE, *words, out).returncode, 0)
        with open(out, "rb") as f:
            same(sha(f.read()), d["sha256"])
        os.unlink(out)


def the_list_shows_what_is_to_be_shown():
    root = vectors("v")
    shown = json.loads(run(root, RECOVERY, "list", "--json").stdout)
    same(shown["vault"], VAULT["vault_id"])
    same([p["name"] for p in shown["points"]],
         sorted({d["point"] for d in VAULT["disks"] if not d["removed"]}))
    every = json.loads(run(root, RECOVERY, "list", "--all",
                           "--json").stdout)["points"]
    same({p["name"]: p["state"] for p in every},
         {d["point"]: "removed" if d["removed"] else "shown"
          for d in VAULT["disks"]})
    text = run(root, RECOVERY, "list").stdout.decode()
    for p in shown["points"]:
        assert p["id"] in text and p["vm_name"] in text, text
    gateway = json.loads(run(root, GATEWAY, "list", "--json").stdout)
    same([p["has_keys"] for p in gateway["points"]], [False, False])


def a_point_is_named_by_id_name_uuid_or_day():
    root = vectors("v")
    a = next(d for d in VAULT["disks"] if d["position"] == 1)
    name = a["point"]
    for word in (name, name[len("points/"):], point_id(name), "vm one@latest",
                 "0f0e0d0c-0b0a-4908-8706-050403020100@latest",
                 "vm one@2025-06-16"):
        done = run(root, RECOVERY, "disk", word, "1", "-o", "-")
        same(done.returncode, 0, word + done.stderr.decode())
        same(sha(done.stdout), a["sha256"], word)
    for word in ("vm one@2025-06-17", "vm three@latest", "nothing",
                 "vm one@yesterday", "@latest", "x" * 600 + "@latest"):
        fails(run(root, RECOVERY, "disk", word, "1", "-o", "-"), 4)
    fails(run(root, RECOVERY, "disk", "vm one@latest", "5", "-o", "-"), 4,
          "disk 5")


def each_damage_ends_as_its_row_says():
    sums = {(d["point"], d["position"]): d["sha256"] for d in VAULT["disks"]}
    for c in load("damage.json")["cases"]:
        root = vectors("damaged")
        path = os.path.join(root, c["object"])
        if c["op"] == "create":
            with open(path, "xb") as f:
                f.write(bytes.fromhex(c["bytes"]))
        elif c["op"] == "delete":
            os.unlink(path)
        elif c["op"] == "swap":
            other = os.path.join(root, c["with"])
            os.rename(path, path + "x")
            os.rename(other, path)
            os.rename(path + "x", other)
        else:
            with open(path, "rb") as f:
                raw = bytearray(f.read())
            if c["op"] == "flip":
                raw[c["at"]] ^= c["mask"]
            elif c["op"] == "truncate":
                raw = raw[:-c["by"]]
            else:
                raw += bytes.fromhex(c["bytes"])
            os.chmod(path, 0o600)
            with open(path, "wb") as f:
                f.write(raw)
        why = "%s (%s)" % (c["why"], c["object"])
        for r in c["restores"]:
            done = run(root, RECOVERY, "disk", point_id(r["point"]),
                       str(r["position"]), "-o", "-")
            if r["restore"] == "good":
                same(done.returncode, 0, why + done.stderr.decode())
                same(sha(done.stdout), sums[r["point"], r["position"]], why)
            else:
                same(done.returncode, 8, why + done.stderr.decode())
        for key, mode, finds in ((GATEWAY, [], "structure_finds"),
                                 (RECOVERY, ["--structure"],
                                  "structure_finds"),
                                 (RECOVERY, [], "full_finds")):
            done = run(root, key, "verify", *mode)
            same(done.returncode, 8 if c[finds] else 0,
                 why + done.stdout.decode() + done.stderr.decode())
            if c[finds]:
                assert c["object"] in done.stdout.decode(), why
        found = json.loads(run(root, RECOVERY, "verify", "--json").stdout)
        same(found["hurts"] > 0,
             any(r["restore"] != "good" for r in c["restores"]), why)
        same(len(found["findings"]) > 0, c["full_finds"], why)


# --- refusals ----------------------------------------------------------------

def each_mistake_ends_in_one_sentence_and_its_code():
    root = vectors("v")
    here = ("disk", "vm one@latest", "1", "--output", "-")
    wrong = key_file("wrong", "passphrase badu cefi gohu jake lomi nupa risk")
    fails(run(root, wrong, *here), 11, "passphrase")
    fails(run(root, key_file("short", "private 00"), *here), 11, "line 3")
    fails(run(root, os.path.join(WORK, "nokey"), *here), 11, "nokey")
    other = key_file("other", "private " + VAULT["gateway_private"],
                     vault="00" * 16)
    fails(run(root, other, *here), 11, VAULT["vault_id"])
    fails(run(root, GATEWAY, *here), 11,
          "fbc1d3b5905204f0ec53caefadf5c632")
    fails(run(root, GATEWAY, "verify", "--full"), 11, "data key")
    fails(run(os.path.join(WORK, "nowhere"), RECOVERY, *here), 10)
    empty = os.path.join(WORK, "empty")
    os.makedirs(empty, exist_ok=True)
    fails(run(empty, RECOVERY, *here), 10, "no vault")
    with open(os.path.join(root, "format"), "w", encoding="ascii") as f:
        f.write('{"format":2,"vault":"%s","suite":1}' % VAULT["vault_id"])
    fails(run(root, RECOVERY, *here), 1, "format 2")
    root = vectors("v")
    fails(run(root, RECOVERY, "xva", "vm two@latest", "-o", "-"), 4,
          "no description")


def the_command_line_is_checked_before_anything_else():
    root = vectors("v")
    for words in ([], ["dance"], ["list", "x"], ["disk", "vm@latest"],
                  ["disk", "vm@latest", "0"], ["disk", "vm@latest", "-1", "-o",
                                               "-"],
                  ["disk", "vm@latest", "0", "1", "-o", "-"],
                  ["xva", "-o", "-"], ["list", "-o", "-"],
                  ["verify", "--structure", "--full"], ["xva", "p", "-o", "-",
                                                        "--json"],
                  ["list", "--nonsense"], ["disk", "p", "0", "-o"]):
        fails(run(root, RECOVERY, *words), 2)
    for words in (["--vault", "file://" + root, "list"],
                  ["--key-file", RECOVERY, "list"],
                  ["--vault", "ftp://x", "--key-file", RECOVERY, "list"],
                  ["--vault", "file://relative", "--key-file", RECOVERY,
                   "list"],
                  ["--vault", "s3://bucket/x", "--key-file", RECOVERY,
                   "list"]):
        fails(subprocess.run([PROGRAM] + words, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, check=False), 2)
    done = subprocess.run([PROGRAM, "--help"], stdout=subprocess.PIPE,
                          check=True)
    assert b"usage:" in done.stdout
    done = subprocess.run([PROGRAM, "--version"], stdout=subprocess.PIPE,
                          check=True)
    assert done.stdout.startswith(b"cairn-restore ")


def a_store_that_cannot_be_reached_is_exit_13():
    secret = os.path.join(WORK, "credentials")
    with open(secret, "w", encoding="ascii") as f:
        f.write("[default]\naws_access_key_id = a\n"
                "aws_secret_access_key = b\n")
    started = time.monotonic()
    done = subprocess.Popen(
        [PROGRAM, "--vault", "s3://bucket/x", "--endpoint",
         "http://127.0.0.1:9", "--credentials-file", secret, "--key-file",
         RECOVERY, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = done.communicate(timeout=200)
        same(done.returncode, 13, err.decode())
        assert time.monotonic() - started < 190
    finally:
        done.kill()
        done.wait()


# --- files -------------------------------------------------------------------

def nothing_that_exists_is_replaced_and_nothing_half_done_is_left():
    root = vectors("v")
    folder = tempfile.mkdtemp(dir=WORK)
    out = os.path.join(folder, "disk")
    words = ("disk", "vm one@latest", "0", "--output", out)
    with open(out, "w", encoding="ascii") as f:
        f.write("mine")
    fails(run(root, RECOVERY, *words), 7, "exists")
    with open(out, encoding="ascii") as f:
        same(f.read(), "mine")
    os.unlink(out)
    os.symlink("/nowhere/else", out)
    fails(run(root, RECOVERY, *words), 7, "exists")
    os.unlink(out)
    pack = next(os.path.join(d, f) for d, _, files in os.walk(
        os.path.join(root, "packs", "85")) for f in files)
    os.chmod(pack, 0o600)
    with open(pack, "r+b") as f:
        f.seek(200)
        f.write(b"\0\0\0\0")
    fails(run(root, RECOVERY, *words), 8)
    same(os.listdir(folder), [])
    fails(run(vectors("v"), RECOVERY, "disk", "vm one@latest", "0", "--output",
              os.path.join(folder, "none", "disk")), 1)


def zeros_are_holes():
    root = vectors("v")
    out = os.path.join(WORK, "holes")
    same(run(root, RECOVERY, "disk", "vm one@latest", "1", "-o",
             out).returncode, 0)
    st = os.stat(out)
    same((st.st_size, st.st_blocks, st.st_mode & 0o777),
         (3145728, 0, 0o600))


# --- vaults of the independent writer ----------------------------------------

def value(x):
    if isinstance(x, dict):
        return "<value><struct>%s</struct></value>" % "".join(
            "<member><name>%s</name>%s</member>" % (k, value(v))
            for k, v in x.items())
    if isinstance(x, list):
        return ("<value><array><data>%s</data></array></value>"
                % "".join(map(value, x)))
    return "<value>%s</value>" % x


def ova(sizes):
    """sizes: of disks at 0, 1, ..., which stand in the archive backwards."""
    objects = [("VM", "Ref:0", {"uuid": "u", "name_label": "web"}),
               ("SR", "Ref:1", {"uuid": "s", "content_type": "user"})]
    for i, size in enumerate(sizes):
        ref = "Ref:%d" % (90 - i)
        objects.append(("VBD", "Ref:v%d" % i,
                        {"VM": "Ref:0", "VDI": ref, "type": "Disk",
                         "userdevice": str(i)}))
        objects.append(("VDI", ref, {"uuid": ref, "SR": "Ref:1",
                                     "virtual_size": size}))
    return value({"version": {"xapi_major": 1, "xapi_minor": 20,
                              "export_vsn": 2},
                  "objects": [{"class": c, "id": i, "snapshot": r}
                              for c, i, r in objects]}).encode()


def contents(seed, size):
    """Data, holes, repetitions."""
    rng = random.Random(seed)
    out = bytearray(size)
    at = 0
    while at < size:
        n = min(rng.randrange(1, 40) * 16384, size - at)
        kind = rng.randrange(4)
        if kind == 0:
            out[at:at + n] = rng.randbytes(n)
        elif kind == 1:
            out[at:at + n] = (b"again and again " * (n // 16 + 1))[:n]
        at += n
    return bytes(out)


def make(place, sizes, paged, log2=17):
    root = os.path.join(WORK, place)
    vault = cairn_write.Vault(root)
    disks = [contents(n + 7, size) for n, size in enumerate(sizes)]
    vault.point("0f0e0d0c-0b0a-4908-8706-050403020100",
                "0f0e0d0c0b0a49088706050403020100", "web",
                [(i, "%032x" % (i + 1), "disk %d" % i, d, log2)
                 for i, d in enumerate(disks)],
                ova([len(d) for d in disks]), pool="paris", paged=paged,
                slots=60)
    return root, vault.key_file(os.path.join(WORK, place + ".key")), disks


def blocks_of(archive):
    """{Ref: {number: bytes}}; every checksum is looked at."""
    out, sums = {}, {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        names = tar.getnames()
        same(names[0], "ova.xml")
        for entry in tar:
            data = tar.extractfile(entry).read()
            if entry.name == "ova.xml":
                continue
            ref, number = entry.name.split("/")
            if "." in number:
                sums[ref, int(number.split(".")[0])] = (number, data)
            else:
                out.setdefault(ref, {})[int(number)] = data
    for ref, blocks in out.items():
        for n, data in blocks.items():
            name, digits = sums.pop((ref, n))
            if name.endswith(".checksum"):
                same(digits.decode(), hashlib.sha1(data).hexdigest())
            else:
                assert name.endswith(".xxhash") and len(digits) == 16
    same(sums, {})
    return out


def whole_vms_come_back_as_archives():
    for paged in (False, True):
        root, key, disks = make("xva%d" % paged, [37 * MIB + 512, 9 * MIB],
                                paged)
        for word in ("web@latest", "paris/web@latest"):
            for flag, form in (([], 0), (["--sha1"], 1)):
                done = run(root, key, "xva", word, "-o", "-", *flag)
                same(done.returncode, 0, done.stderr.decode())
        archive = blocks_of(done.stdout)
        same(sorted(archive), ["Ref:89", "Ref:90"])
        for i, disk in enumerate(disks):
            got = archive["Ref:%d" % (90 - i)]
            last = (len(disk) - 1) // MIB
            want = {n: disk[n * MIB:(n + 1) * MIB] for n in range(last + 1)
                    if n in (0, last)
                    or disk[n * MIB:(n + 1) * MIB].strip(b"\0")}
            same(sorted(got), sorted(want), "blocks")
            same(got == want, True, "bytes")
        out = os.path.join(WORK, "vm.xva")
        same(run(root, key, "xva", "web@latest", "-o", out,
                 "--sha1").returncode, 0)
        with open(out, "rb") as f:
            same(f.read() == done.stdout, True)
        os.unlink(out)


def our_own_reader_believes_the_archives():
    root, key, disks = make("own", [5 * MIB, 3 * MIB + 4096], True)
    out = os.path.join(WORK, "own.xva")
    same(run(root, key, "xva", "web@latest", "-o", out).returncode, 0)
    folder = tempfile.mkdtemp(dir=WORK)
    subprocess.run([os.path.join(BUILD, "tests", "xva_tool"), "read", out,
                    folder, "100000"], check=True, stdout=subprocess.DEVNULL)
    for i, disk in enumerate(disks):
        with open(os.path.join(folder, "Ref:%d" % (90 - i)), "rb") as f:
            same(f.read() == disk, True, "disk %d" % i)


def the_other_reader_finds_these_vaults_good():
    for paged in (False, True):
        root, key, _ = make("sister%d" % paged, [4 * MIB], paged)
        subprocess.run(
            [sys.executable, os.path.join(HERE, "..", "interop",
                                          "cairn_read.py"),
             "--vault", root, "--key-file", key, "verify"], check=True,
            stdout=subprocess.DEVNULL)


def disks_of_any_chunk_size_and_end_come_back():
    for log2, size in ((16, 3 * MIB + 512), (18, 5 * MIB), (20, 7 * MIB + 99),
                       (17, 131072), (17, 1)):
        size -= size % 512 if size > 512 else 0
        root, key, disks = make("d%d-%d" % (log2, size), [size],
                                log2 % 2 == 0, log2)
        done = run(root, key, "disk", "web@latest", "0", "-o", "-")
        same(done.returncode, 0, done.stderr.decode())
        same(done.stdout == disks[0], True, "%d, %d" % (log2, size))
        same(run(root, key, "verify").returncode, 0)


def a_damaged_disk_never_yields_a_whole_archive():
    root, key, disks = make("cut", [6 * MIB], False)
    hurt = max((os.path.join(d, f) for d, _, files in os.walk(
        os.path.join(root, "packs")) for f in files), key=os.path.getsize)
    with open(hurt, "r+b") as f:
        f.seek(os.path.getsize(hurt) // 2)
        f.write(b"\0\0\0\0")
    done = run(root, key, "xva", "web@latest", "-o", "-")
    same(done.returncode, 8, done.stderr.decode())
    assert not done.stdout.endswith(bytes(1024)), "it looks whole"


def an_interrupt_ends_it_at_once_and_leaves_nothing():
    root, key, _ = make("slow", [48 * MIB], False)
    p = subprocess.Popen(
        [PROGRAM, "--vault", "file://" + root, "--key-file", key, "disk",
         "web@latest", "0", "--output", "-"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    p.stdout.read(65536)  # and then no more: it waits for us
    time.sleep(0.5)
    p.send_signal(signal.SIGINT)
    # What is on its way to the pipe must be taken before it can end.
    out, err = p.communicate(timeout=60)
    same(p.returncode, 130, err.decode())
    assert len(out) < 40 * MIB
    folder = tempfile.mkdtemp(dir=WORK)
    p = subprocess.Popen(
        [PROGRAM, "--vault", "file://" + root, "--key-file", key, "xva",
         "web@latest", "--output", os.path.join(folder, "x")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not os.listdir(folder) and time.monotonic() < until:
        time.sleep(0.001)
    p.send_signal(signal.SIGTERM)
    _, err = p.communicate(timeout=60)
    if p.returncode != 0:  # it may have been through already
        same(p.returncode, 130, err.decode())
        same(os.listdir(folder), [])


def a_reader_that_goes_away_is_a_clear_failure():
    root, key, _ = make("pipe", [20 * MIB], False)
    p = subprocess.Popen(
        [PROGRAM, "--vault", "file://" + root, "--key-file", key, "disk",
         "web@latest", "0", "--output", "-"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    p.stdout.read(10)
    p.stdout.close()
    err = p.stderr.read().decode()
    p.stderr.close()
    same(p.wait(timeout=60), 1, err)
    assert "Broken pipe" in err, err


def peak_of(process):
    """The most memory a process had, in MiB: VmHWM, looked at until it ends.
    (What getrusage says of a child counts its parent's memory too.)"""
    peak = 0
    while process.poll() is None:
        try:
            with open("/proc/%d/status" % process.pid,
                      encoding="ascii") as f:
                for line in f:
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]))
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.005)
    return peak / 1024


def memory_does_not_grow_with_the_disk():
    program = os.path.join(RELEASE, "cairn-restore")
    if not os.path.exists(program):
        return "no release build"
    peaks = []
    for size in (64 * MIB, 320 * MIB):
        root = os.path.join(WORK, "big%d" % size)
        vault = cairn_write.Vault(root)
        disk = bytearray(random.Random(1).randbytes(MIB) * (size // MIB))
        for n in range(size // 131072):  # no chunk is like another
            disk[n * 131072:n * 131072 + 8] = n.to_bytes(8, "little")
        vault.point("big", "00" * 16, "big", [(0, "11" * 16, "d", bytes(disk),
                                              17)])
        key = vault.key_file(root + ".key")
        out = os.path.join(WORK, "big.out")
        with subprocess.Popen(
                [program, "--vault", "file://" + root, "--key-file", key,
                 "disk", "big@latest", "0", "-o", out],
                stderr=subprocess.PIPE) as p:
            peaks.append(peak_of(p))
            same(p.returncode, 0, p.stderr.read().decode())
        with open(out, "rb") as f:
            same(hashlib.sha256(f.read()).digest(),
                 hashlib.sha256(disk).digest())
        os.unlink(out)
        shutil.rmtree(root)
    print("# peak RSS: %s MiB" % [round(p) for p in peaks])
    # 48 MiB for the walk, 8 for tables, 9 for the output; scrypt at
    # log2 N = 15 took 32 before and gave them back.
    # How much of that a small disk touches depends on who is faster.
    assert max(peaks) < 48 + 40, "peak RSS %s MiB" % peaks
    return None


if __name__ == "__main__":
    try:
        for test in (
                every_disk_of_the_vectors_comes_back,
                the_list_shows_what_is_to_be_shown,
                a_point_is_named_by_id_name_uuid_or_day,
                each_damage_ends_as_its_row_says,
                each_mistake_ends_in_one_sentence_and_its_code,
                the_command_line_is_checked_before_anything_else,
                a_store_that_cannot_be_reached_is_exit_13,
                nothing_that_exists_is_replaced_and_nothing_half_done_is_left,
                zeros_are_holes,
                whole_vms_come_back_as_archives,
                our_own_reader_believes_the_archives,
                the_other_reader_finds_these_vaults_good,
                disks_of_any_chunk_size_and_end_come_back,
                a_damaged_disk_never_yields_a_whole_archive,
                an_interrupt_ends_it_at_once_and_leaves_nothing,
                a_reader_that_goes_away_is_a_clear_failure,
                memory_does_not_grow_with_the_disk):
            case(test)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    sys.exit(failed > 0)
