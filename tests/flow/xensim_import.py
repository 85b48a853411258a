#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""xensim's importer takes what XAPI takes, and refuses what XAPI refuses."""
import gzip
import random
import re
import subprocess
import tarfile

import simlib
import xvalib

MIB = 1 << 20
POOLS = [
    {"name": "new", "hosts": [{"name": "new-1"}, {"name": "new-2"}],
     "networks": [{"name": "eth0", "bridge": "xenbr0"},
                  {"name": "lan", "bridge": "xenbr7"}],
     "srs": [{"name": "file", "type": "file", "shared": True},
             {"name": "vhd", "type": "ext", "shared": True},
             {"name": "small", "type": "file", "size": "3 MiB"},
             {"name": "thick", "type": "lvm", "size": "6 MiB"},
             {"name": "iso", "type": "iso", "content_type": "iso"},
             {"name": "far", "host": "new-2", "type": "file"}],
     "vms": [{"name": "web", "nics": [{"network": "lan"}], "cds": 1,
              "power_state": "Halted", "vtpm": "secret state",
              "disks": [{"size": "3 MiB", "fill": "random"},
                        {"size": "40 MiB", "fill": "marked",
                         "used": "3 MiB"}],
              "other_config": {"k": "v"}, "tags": ["t"]}]},
    {"name": "old", "checksum": "sha1", "xapi_version": "1.14",
     "srs": [{"name": "file", "type": "file"}]},
    {"name": "bare", "default_sr": None},
]

checks = simlib.Checks()
rng = random.Random(3)
DATA = {"Ref:2": rng.randbytes(3 * MIB - 700),
        "Ref:30": rng.randbytes(MIB) + bytes(2 * MIB) + rng.randbytes(MIB)}
SIZES = {k: len(v) for k, v in DATA.items()}


def archive(order=sorted(DATA), kind="xxhash", ova=None,
            form=tarfile.USTAR_FORMAT):
    b = xvalib.Builder(form).entry("ova.xml", ova or xvalib.minimal_ova(SIZES))
    for ref in order:
        b.disk(ref, DATA[ref], kind)
    return b


def counts(sim, pool="new"):
    state = sim.state(pool)
    return len(state["vms"]), len(state["vdis"]), len(state["networks"])


def made_of(sim, task, pool="new"):
    ref = re.search("OpaqueRef:[0-9a-f-]+", task["result"]).group()
    return next(v for v in sim.state(pool)["vms"] if v["ref"] == ref)


def disks_of(sim, vm, pool="new"):
    return [sim.disk(pool=pool, vdi=d["vdi"]) for d in
            sorted(vm["disks"], key=lambda d: d["userdevice"])]


def takes(sim, name, body, pool="new", wanted=None, **params):
    xapi = sim.login(pool)
    _, task = xapi.put_import(body, **params)
    if not checks.check("takes " + name, task["status"] == "success",
                        task["error_info"]):
        return None
    vm = made_of(sim, task, pool)
    got = disks_of(sim, vm, pool)
    wanted = [DATA[r] for r in DATA] if wanted is None else wanted
    checks.check("%s: the disks are right" % name, all(
        g[:len(w)] == w and not g[len(w):].strip(b"\0")
        for g, w in zip(got, wanted)) and len(got) == len(wanted))
    return vm


def refuses(sim, name, body, error, pool="new", **params):
    before = counts(sim, pool)
    _, task = sim.login(pool).put_import(body, **params)
    checks.check("refuses " + name, task["status"] == "failure" and
                 task["error_info"][:len(error)] == error,
                 "%s %s" % (task["status"], task["error_info"]))
    checks.same("%s: nothing is left" % name, counts(sim, pool), before)


def forms(sim):
    for name, form in (("ustar", tarfile.USTAR_FORMAT),
                       ("GNU", tarfile.GNU_FORMAT),
                       ("pax", tarfile.PAX_FORMAT)):
        takes(sim, name, archive(form=form).bytes())
    takes(sim, "SHA-1", archive(kind="checksum").bytes())
    takes(sim, "SHA-1 on an old host", archive(
        kind="checksum", ova=xvalib.minimal_ova(SIZES, (1, 14))).bytes(),
        "old")
    plain = archive().bytes()
    takes(sim, "gzip", gzip.compress(plain, 1))
    takes(sim, "zstd", subprocess.run(["zstd", "-c"], input=plain, check=True,
                                      stdout=subprocess.PIPE).stdout)
    takes(sim, "no terminator", archive().bytes(end=False))
    takes(sim, "anything behind the last disk",
          archive().entry("Ref:4/00000000", b"x").bytes() + b"rubbish")
    # 300 KiB first: gaps would count in that, so there are none
    sizes = {"Ref:1": 300 * 1024, "Ref:2": 2 * MIB}
    data = {k: rng.randbytes(v) for k, v in sizes.items()}
    b = xvalib.Builder().entry("ova.xml", xvalib.minimal_ova(sizes))
    for ref, content in data.items():
        b.disk(ref, content)
    takes(sim, "a small first disk", b.bytes(), wanted=list(data.values()))
    b = xvalib.Builder().entry("ova.xml", xvalib.minimal_ova(
        {"Ref:1": 6 * MIB}))
    parts = [rng.randbytes(MIB) for _ in range(3)]
    for number, content in ((0, parts[0]), (2, b""), (4, parts[1]),
                            (6, parts[2])):
        b.block("Ref:1", number, content)
    takes(sim, "entries that only keep alive", b.bytes(), wanted=[
        parts[0] + bytes(2 * MIB) + parts[1] + bytes(MIB) + parts[2]])
    xapi = sim.login("new")
    c = xapi.connection()
    task = xapi("task.create", "t", "")
    c.putrequest("PUT", "/import?session_id=%s&task_id=%s" % (xapi.session,
                                                              task))
    c.endheaders()
    c.send(plain)
    checks.same("takes a body without a length",
                xapi.wait(task)["status"], "success")


def damage(sim):
    def one(size, ref="Ref:2"):
        return xvalib.Builder().entry("ova.xml", xvalib.minimal_ova(
            {ref: size}))
    block = rng.randbytes(MIB)
    full = archive().bytes()
    early = ["IMPORT_ERROR_PREMATURE_EOF"]
    refuses(sim, "an empty body", b"", early)
    refuses(sim, "half of ova.xml", full[:700], early)
    refuses(sim, "a cut in a block", full[:-3 * MIB], early)
    refuses(sim, "a cut before the last checksum",
            archive().bytes(end=False)[:-1024], early)
    refuses(sim, "an end before the last block",
            one(2 * MIB).block("Ref:2", 0, block).bytes(), early)
    refuses(sim, "another first file", xvalib.Builder().entry(
        "ovf.xml", b"x").bytes(),
        ["IMPORT_ERROR_UNEXPECTED_FILE", "ova.xml", "ovf.xml"])
    refuses(sim, "ova.xml that is none", xvalib.Builder().entry(
        "ova.xml", b"<value>").bytes(), ["INTERNAL_ERROR"])
    refuses(sim, "disks out of order", archive(order=["Ref:30", "Ref:2"])
            .bytes(), ["IMPORT_ERROR_UNEXPECTED_FILE", "Ref:2/",
                       "Ref:30/00000000"])
    refuses(sim, "blocks out of order", one(3 * MIB)
            .block("Ref:2", 1, block).block("Ref:2", 0, block)
            .block("Ref:2", 2, block).bytes(), ["IMPORT_ERROR"])
    refuses(sim, "a block twice", one(2 * MIB).block("Ref:2", 0, block)
            .block("Ref:2", 0, block).bytes(), ["IMPORT_ERROR"])
    refuses(sim, "numbers of another width", one(2 * MIB)
            .block("Ref:2", 0, block).entry("Ref:2/1x", block).bytes(),
            ["IMPORT_ERROR"])
    wrong = one(MIB).block("Ref:2", 0, block, sums="0" * 16).bytes()
    refuses(sim, "a wrong checksum", wrong,
            ["IMPORT_ERROR_SOME_CHECKSUMS_FAILED"])
    takes(sim, "a wrong checksum by force", wrong, wanted=[block],
          force="true")
    refuses(sim, "small digits in an xxhash", one(MIB).block(
        "Ref:2", 0, block, sums="%016x" % xvalib.xxh64(block)).bytes(),
        ["IMPORT_ERROR_SOME_CHECKSUMS_FAILED"])
    refuses(sim, "no checksum", one(2 * MIB).block("Ref:2", 0, block, None)
            .block("Ref:2", 1, block, None).bytes(), ["IMPORT_ERROR"])
    refuses(sim, "an xxhash on an old host", archive(ova=xvalib.minimal_ova(
        SIZES, (1, 14))).bytes(), ["IMPORT_ERROR"], pool="old")
    refuses(sim, "more than the disk holds", one(MIB + 512)
            .block("Ref:2", 0, block).block("Ref:2", 1, block).bytes(),
            ["VDI_IO_ERROR"])
    refuses(sim, "a later version", archive(ova=xvalib.minimal_ova(
        SIZES, (26, 0))).bytes(), ["IMPORT_INCOMPATIBLE_VERSION"])
    text = xvalib.minimal_ova(SIZES).decode()
    refuses(sim, "a disk without its SR", archive(ova=text.replace(
        "<value>Ref:001</value></member><member><name>virtual_size",
        "<value>Ref:777</value></member><member><name>virtual_size")
        .encode()).bytes(), ["IMPORT_ERROR_FAILED_TO_FIND_OBJECT", "Ref:777"])
    refuses(sim, "a missing field", archive(ova=text.replace(
        "VCPUs_max", "VCPUs_min").encode()).bytes(), ["INTERNAL_ERROR"])
    refuses(sim, "a field of the wrong type", archive(ova=text.replace(
        "<name>VCPUs_max</name><value>1", "<name>VCPUs_max</name><value>one")
        .encode()).bytes(), ["INTERNAL_ERROR"])


def places(sim):
    srs = sim.pool("new")["srs"]
    body = archive().bytes()
    refuses(sim, "a thin SR that is too small", body,
            ["SR_BACKEND_FAILURE_44"], sr_uuid=srs["small"])
    refuses(sim, "a thick SR that is too small", body,
            ["SR_BACKEND_FAILURE_44"], sr_uuid=srs["thick"])
    refuses(sim, "an ISO SR", body, ["SR_OPERATION_NOT_SUPPORTED"],
            sr_uuid=srs["iso"])
    refuses(sim, "an SR that is none", body, ["UUID_INVALID", "SR", "x"],
            sr_uuid="x")
    refuses(sim, "no default SR", body, ["DEFAULT_SR_NOT_FOUND"], pool="bare")
    vm = takes(sim, "an SR that rounds sizes", body, sr_uuid=srs["vhd"])
    checks.same("up to 2 MiB", [d["size"] for d in vm["disks"]],
                [4 * MIB, 4 * MIB])
    xapi = sim.login("new")
    status, headers, _ = xapi.raw(
        "PUT", "/import?session_id=%s&sr_uuid=%s" % (xapi.session,
                                                     srs["far"]), b"")
    checks.check("an SR of another host is a redirect", status == 302 and
                 headers["Location"].startswith(
                     sim.pool("new")["hosts"][1]["url"]), headers)
    status, task = sim.login("new", host=0).put_import(body, {
        "Transfer-Encoding": "identity"})
    checks.same("any Transfer-Encoding is refused",
                [status] + task["error_info"],
                [403, "IMPORT_ERROR_CANNOT_HANDLE_CHUNKED"])


def networks(sim):
    def vif(network):
        body = archive(ova=xvalib.minimal_ova(SIZES, network=network)).bytes()
        _, task = sim.login("new").put_import(body)
        return made_of(sim, task)["nics"][0]
    before = counts(sim)[2]
    nic = vif({"name_label": "lan", "bridge": "xenbr0"})
    checks.same("a network by its name", nic["network"], "lan")
    checks.check("a MAC is new", nic["MAC"] != "02:11:22:33:44:55")
    checks.same("else by its bridge", vif(
        {"name_label": "x", "bridge": "xenbr0"})["network"], "eth0")
    checks.same("no network was made", counts(sim)[2], before)
    checks.same("else it is made", vif(
        {"name_label": "x", "bridge": "br9"})["network"], "x")
    checks.same("which is one more", counts(sim)[2], before + 1)


def identity(sim):
    xapi = sim.login("new")
    web = xapi.vm("web")
    body = xapi.export(web)[2]
    was = xapi("VM.get_record", web)
    disks = disks_of(sim, sim.vm("web", "new"))
    vm = takes(sim, "what was exported", body, wanted=disks)
    new = xapi("VM.get_record", vm["ref"])
    checks.check("it is another VM", new["uuid"] != was["uuid"] and
                 new["other_config"]["mac_seed"] !=
                 was["other_config"]["mac_seed"] and
                 new["generation_id"] != was["generation_id"])
    same = ("name_label", "tags", "platform", "memory_static_max",
            "HVM_boot_params", "VCPUs_max")
    checks.check("with the same settings", all(new[k] == was[k] for k in same)
                 and new["other_config"]["k"] == "v")
    checks.check("and the task is named", "import_task" in
                 new["other_config"] and new["current_operations"] == {})
    checks.same("its vTPM came along", xapi(
        "VTPM.get_contents", new["VTPMs"][0]), "secret state")
    cds = [xapi("VBD.get_record", v) for v in new["VBDs"]]
    checks.same("an empty drive, too", [(r["userdevice"], r["empty"]) for r in
                                        cds if r["type"] == "CD"],
                [("3", True)])
    checks.same("a VIF lies on the same network",
                vm["nics"][0]["network"], "lan")
    refuses(sim, "restore over a VM that is as new", body,
            ["VM_TO_IMPORT_IS_NOT_NEWER_VERSION", web], restore="true")
    mac = sim.vm("web", "new")["nics"][0]["MAC"]
    sim.do("vm/remove", pool="new", vm=was["uuid"])
    sim.do("vm/remove", pool="new", vm=vm["uuid"])
    back = takes(sim, "restore of a VM that is gone", body, wanted=disks,
                 restore="true")
    checks.check("it is itself again", back["uuid"] == was["uuid"] and
                 back["nics"][0]["MAC"] == mac and
                 back["other_config"]["mac_seed"] ==
                 was["other_config"]["mac_seed"], back)
    sim.do("vm/remove", pool="new", vm=was["uuid"])
    xva = xvalib.Xva(body)
    twin = xvalib.Builder().entry("ova.xml", xva.xml.replace(
        was["uuid"].encode(), b"11111111-2222-4333-8444-555555555555"))
    takes(sim, "it once more", body, wanted=disks, restore="true")
    refuses(sim, "a second VM of its MAC seed", twin.bytes(),
            ["DUPLICATE_MAC_SEED"], restore="true")


def early_sight(sim):
    """While it runs, the VM is there and says so."""
    xapi = sim.login("new")
    sim.fault("import_stall", after=2 * MIB, pool="new")
    task = xapi("task.create", "t", "")
    c = xapi.connection()
    body = archive().bytes()
    c.putrequest("PUT", "/import?session_id=%s&task_id=%s" % (xapi.session,
                                                              task))
    c.putheader("Content-Length", str(len(body)))
    c.endheaders()
    c.send(body[:2 * MIB])
    answer = c.getresponse()
    checks.check("200 comes before the body is read", answer.status == 200 and
                 answer.getheader("task-id") == task)
    seen = [v for v in sim.state("new")["vms"]
            if v["current_operations"].get(task) == "import"]
    while not seen and xapi("task.get_status", task) == "pending":
        seen = [v for v in sim.state("new")["vms"]
                if v["current_operations"].get(task) == "import"]
    checks.check("the VM is there", len(seen) == 1 and
                 seen[0]["other_config"]["import_task"] == task, seen)
    checks.same("the task says so", xapi(
        "task.get_other_config", task).get("object_creation"), "complete")
    answer.close()
    c.close()
    record = xapi.wait(task)
    checks.check("a client that goes away is a failure", record["error_info"]
                 == ["IMPORT_ERROR_PREMATURE_EOF"] and not [
                     v for v in sim.state("new")["vms"]
                     if v["ref"] == seen[0]["ref"]], record)


def main():
    with simlib.Sim(POOLS) as sim:
        for test in (forms, damage, places, networks, identity, early_sight):
            checks.run(test.__name__, test, sim)
    checks.finish()


main()
