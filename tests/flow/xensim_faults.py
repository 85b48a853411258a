#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each fault switch of xensim does what tests/sim/README.md says of it."""
import http.client
import os
import re
import socket
import ssl
import threading
import time
import urllib.parse
import xmlrpc.client

import simlib
import xvalib

MIB = 1 << 20
POOL = {
    "name": "paris",
    "hosts": [{"name": "paris-1"}, {"name": "paris-2"}],
    "srs": [{"name": "sr", "shared": True}],
    "vms": [
        {"name": "web", "power_state": "Halted", "nics": [{}], "disks": [
            {"size": "3 MiB", "fill": "random"},
            {"size": "8 MiB", "fill": "random", "used": "3 MiB"}]},
        {"name": "big", "power_state": "Halted",
         "disks": [{"size": "24 MiB", "fill": "random"}]},
        {"name": "other", "power_state": "Halted",
         "disks": [{"size": "1 MiB"}]},
        {"name": "scratch", "power_state": "Halted",
         "disks": [{"size": "1 MiB"}, {"size": "1 MiB"}]}],
}

checks = simlib.Checks()
tried = set()


class Stage:
    """One pool, a session, a good archive of "web"."""

    def __init__(self, sim):
        self.sim = sim
        self.xapi = sim.login()
        self.vm = self.xapi.vm("web")
        self.good = self.xapi.export(self.vm)[2]
        self.disks = {d["userdevice"]: sim.disk(vdi=d["vdi"])
                      for d in sim.vm("web")["disks"]}

    def set(self, name, **arguments):
        tried.add(name)
        self.sim.fault(name, **arguments)

    def export(self, fault, **arguments):
        """(status, body, task) of an export that a fault strikes."""
        self.set(fault, vm="web", **arguments)
        status, _, body, task = self.xapi.export(self.vm)
        return status, body, task

    def put(self, fault, **arguments):
        self.set(fault, **arguments)
        return self.xapi.put_import(self.good)

    def counts(self):
        state = self.sim.state()
        return len(state["vms"]), len(state["vdis"])


def error(function, *args):
    try:
        return ["no error", function(*args)]
    except simlib.XapiError as e:
        return [e.code] + e.params
    except (http.client.HTTPException, OSError) as e:
        return [type(e).__name__]


def outcome(task):
    return [task["status"]] + task["error_info"]


def broken(body):
    """Why an archive is refused, None: it is fine."""
    try:
        xvalib.Xva(body)
        return None
    except (xvalib.Broken, ValueError) as e:
        return str(e)


def equal(stage, body):
    xva = xvalib.Xva(body)
    return all(xva.disk_of(k) == v for k, v in stage.disks.items())


def good_export(stage):
    xva = xvalib.Xva(stage.good)
    checks.check("without a fault the archive is right",
                 equal(stage, stage.good) and xva.kinds == {"xxhash"} and
                 len(xva.names) == 1 + 2 * (3 + 4), xva.names)


def rpc(stage):
    xapi, sim = stage.xapi, stage.sim
    wanted = ["SR_BACKEND_FAILURE_46", "", "text", ""]
    stage.set("rpc_error", method="VM.get_record", error=wanted)
    checks.same("rpc_error", error(xapi, "VM.get_record", stage.vm), wanted)
    checks.same("rpc_error once", error(xapi, "VM.get_uuid", stage.vm)[0],
                "no error")
    stage.set("rpc_error", method="VM.get_record", vm="web", skip=1, count=2,
              error=["X"])
    checks.same("skip, count and filter", [error(
        xapi, "VM.get_record", xapi.vm(n))[0] for n in
        ("other", "web", "web", "other", "web", "web")],
        ["no error", "no error", "X", "no error", "X", "no error"])
    stage.set("rpc_error", method="Async.VM.snapshot", error=["TASK_ERROR"])
    checks.same("rpc_error in a task", error(xapi.done, "VM.snapshot",
                                             stage.vm, "x"), ["TASK_ERROR"])
    stage.set("rpc_error", method="VM.snapshot", at_once=True, error=["NOW"])
    checks.same("rpc_error at once", error(
        xapi, "Async.VM.snapshot", stage.vm, "x"), ["NOW"])
    stage.set("rpc_delay", method="VM.get_uuid", ms=300)
    start = time.monotonic()
    xapi("VM.get_uuid", stage.vm)
    checks.check("rpc_delay", 0.3 <= time.monotonic() - start < 5)
    for executed in (False, True):
        stage.set("rpc_close", method="VM.set_name_description",
                  executed=executed)
        xapi("VM.get_uuid", stage.vm)
        gone = error(xapi, "VM.set_name_description", stage.vm,
                     "set %s" % executed)
        checks.check("rpc_close, executed %s" % executed,
                     gone == ["RemoteDisconnected"] and
                     (sim.vm("web") and xapi("VM.get_name_description",
                                             stage.vm) ==
                      ("set True" if executed else "")), gone)
    xapi("VM.set_name_description", stage.vm, "")
    stage.set("rpc_500")
    checks.same("rpc_500", error(xapi, "VM.get_all")[0], "HTTP_500")
    stage.set("rpc_garbage")
    try:
        xapi("VM.get_all")
        checks.check("rpc_garbage", False)
    except Exception as e:
        checks.check("rpc_garbage", "ExpatError" in type(e).__name__, repr(e))
    one, two = (h["address"] for h in sim.pool()["hosts"])
    stage.set("host_is_slave")
    checks.same("host_is_slave", error(xapi, "VM.get_all"),
                ["HOST_IS_SLAVE", one])
    stage.set("host_is_slave", address=two)
    checks.same("host_is_slave elsewhere", error(xapi, "VM.get_all"),
                ["HOST_IS_SLAVE", two])
    stage.set("host_still_booting")
    checks.same("host_still_booting", error(xapi, "VM.get_all"),
                ["HOST_STILL_BOOTING"])
    mine = sim.login()
    stage.set("session_invalid", skip=2)
    checks.same("session_invalid after two calls", [error(
        mine, "VM.get_all")[0] for _ in range(3)],
        ["no error", "no error", "SESSION_INVALID"])
    checks.same("the session is gone", error(mine, "VM.get_all"),
                ["SESSION_INVALID", mine.session])


def operations(stage):
    xapi = stage.xapi
    stage.set("too_many_pending_tasks")
    checks.same("too_many_pending_tasks", error(
        xapi, "Async.VM.snapshot", stage.vm, "x"), ["TOO_MANY_PENDING_TASKS"])
    stage.set("other_operation_in_progress")
    checks.same("other_operation_in_progress", [
        error(xapi, "VM.get_uuid", stage.vm)[0],
        error(xapi, "VM.snapshot", stage.vm, "x")[:4]],
        ["no error", ["OTHER_OPERATION_IN_PROGRESS", "VM", stage.vm,
                      "export"]])
    before = stage.counts()
    stage.set("snapshot_error", disk=1, error=["SR_BACKEND_FAILURE_109", "",
                                               "chain too long", ""])
    checks.same("snapshot_error at the second disk", error(
        xapi, "VM.snapshot", stage.vm, "x"),
        ["SR_BACKEND_FAILURE_109", "", "chain too long", ""])
    checks.same("and nothing is left", stage.counts(), before)
    stage.set("sr_full", sr="sr")
    checks.same("sr_full", error(xapi, "VM.snapshot", stage.vm, "x")[0],
                "SR_BACKEND_FAILURE_44")
    checks.same("and nothing is left of it", stage.counts(), before)
    snap = xapi("VM.snapshot", stage.vm, "s")
    vdis = [xapi("VBD.get_VDI", v) for v in xapi("VM.get_VBDs", snap)]
    stage.set("dom0_vbd", vm="web")
    xapi.export(snap)
    xapi("VM.destroy", snap)
    found = [error(xapi, "VDI.destroy", v)[0] for v in vdis]
    checks.same("dom0_vbd keeps one disk in use", sorted(found),
                ["VDI_IN_USE", "no error"])
    stuck = vdis[found.index("VDI_IN_USE")]
    vbd, = xapi("VDI.get_VBDs", stuck)
    checks.check("by dom0", xapi("VM.get_is_control_domain",
                                 xapi("VBD.get_VM", vbd)))
    checks.same("which can be taken away", [
        error(xapi, "VBD.destroy", vbd)[0],
        error(xapi, "VBD.unplug_force", vbd)[0],
        error(xapi, "VBD.destroy", vbd)[0],
        error(xapi, "VDI.destroy", stuck)[0]],
        ["OPERATION_NOT_ALLOWED"] + 3 * ["no error"])
    snap = xapi("VM.snapshot", xapi.vm("other"), "s")
    vdi = xapi("VBD.get_VDI", xapi("VM.get_VBDs", snap)[0])
    xapi("VM.destroy", snap)
    stage.set("vdi_in_use", count=2)
    checks.same("vdi_in_use twice", [error(xapi, "VDI.destroy", vdi)[0]
                                     for _ in range(3)],
                ["VDI_IN_USE", "VDI_IN_USE", "no error"])


def connections(stage):
    h = stage.sim.pool()["hosts"][0]
    ctx = ssl._create_unverified_context()
    stage.set("connection_refuse", host="paris-1")
    checks.check("connection_refuse", error(stage.xapi, "VM.get_all")[0] in
                 ("RemoteDisconnected", "ConnectionResetError"))
    stage.set("connection_reset", after=100)
    got = b""
    with socket.create_connection((h["address"], h["http_port"])) as s:
        body = xmlrpc.client.dumps((), "system.listMethods").encode()
        s.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" %
                  (len(body), body))
        try:
            while part := s.recv(4096):
                got += part
            checks.check("connection_reset", False, "closed")
        except ConnectionResetError:
            checks.check("connection_reset", len(got) <= 100, len(got))
    stage.set("tls_stall")
    with socket.create_connection((h["address"], h["https_port"])) as s:
        s.settimeout(0.5)
        try:
            ctx.wrap_socket(s)
            checks.check("tls_stall", False)
        except TimeoutError:
            checks.check("tls_stall", True)
    stage.set("http_431")
    checks.same("http_431", error(stage.xapi, "VM.get_all")[0], "HTTP_431")


def events_and_tasks(stage):
    xapi = stage.xapi
    token = xapi("event.from", ["vm"], "", 1.1)["token"]
    stage.set("event_error", error=["EVENTS_LOST"])
    checks.same("event_error", error(xapi, "event.from", ["vm"], token, 1.1),
                ["EVENTS_LOST"])
    stage.set("event_token")
    checks.same("event_token", error(xapi, "event.from", ["vm"], token, 1.1),
                ["EVENT_FROM_TOKEN_PARSE_FAILURE", token])
    xapi("VM.set_name_description", stage.vm, "new")
    stage.set("event_silent", ms=400)
    start = time.monotonic()
    got = xapi("event.from", ["vm"], token, 0.1)
    checks.check("event_silent", time.monotonic() - start >= 0.4 and
                 [e["ref"] for e in got["events"]] == [stage.vm])
    vm = xapi.vm("other")

    def start_one():
        return xapi("Async.VM.set_bios_strings", vm, {})

    def state(task):
        return error(xapi, "task.get_status", task)[:2]
    stage.set("task_stuck")
    task = start_one()
    time.sleep(0.3)
    checks.same("task_stuck", state(task), ["no error", "pending"])
    stage.set("task_delay", ms=500)
    task = start_one()
    time.sleep(0.15)
    early = state(task)
    checks.check("task_delay", early == ["no error", "pending"] and
                 xapi.wait(task)["status"] == "success", early)
    stage.set("task_gone")
    task = start_one()
    time.sleep(0.3)
    checks.same("task_gone", state(task)[0], "HANDLE_INVALID")
    stage.set("task_fail", method="VM.snapshot", error=["LATE"])
    before = stage.counts()
    checks.same("task_fail", error(xapi.done, "VM.snapshot", vm, "x"),
                ["LATE"])
    checks.check("the work is done all the same",
                 stage.counts()[0] == before[0] + 1)


def export_refused(stage):
    xapi = stage.xapi
    query = "/export?" + urllib.parse.urlencode(
        {"session_id": xapi.session, "ref": stage.vm})
    stage.set("export_401")
    status, headers, body = xapi.raw("GET", query)
    checks.check("export_401", status == 401 and headers.get(
        "WWW-Authenticate") == 'Basic realm="VM.export"' and
        b"<h1>HTTP 401 unauthorised</h1>" in body, headers)
    status, _, task = stage.export("export_403")
    checks.same("export_403", [status] + outcome(task)[:2],
                [403, "failure", "RBAC_PERMISSION_DENIED"])
    two = stage.sim.pool()["hosts"][1]
    stage.set("export_redirect")
    status, headers, body = xapi.raw("GET", query)
    checks.check("export_redirect", status == 302 and body == b"" and
                 headers["Location"].startswith(two["url"] + "/export?") and
                 stage.vm in urllib.parse.unquote(headers["Location"]),
                 headers)
    stage.set("export_redirect", url="https://10.0.0.1/export?x=1")
    checks.same("export_redirect elsewhere", xapi.raw("GET", query)[1].get(
        "Location"), "https://10.0.0.1/export?x=1")
    status, body, task = stage.export("export_close")
    checks.check("export_close", status == 0 and
                 b"RemoteDisconnected" in body and
                 task["status"] == "failure", body)
    status, body, task = stage.export("export_500", error=["X", "a", "b"])
    checks.check("export_500", status == 500 and body.endswith(
        b"<h1> Additional information </h1>X: [ a; b ]</body></html>") and
        outcome(task) == ["failure", "X", "a", "b"], body)
    status, body, task = stage.export("export_500_body")
    checks.check("export_500_body", status == 200 and
                 body.startswith(b"HTTP/1.1 500 Internal Error\r\n") and
                 outcome(task)[:2] == ["failure", "VDI_IO_ERROR"], body[:99])


def export_broken_off(stage):
    xapi = stage.xapi
    status, body, task = stage.export("export_cut", after=1000000)
    checks.check("export_cut", len(body) == 1000000 and
                 body.startswith(b"ova.xml\0") and
                 task["status"] == "failure", len(body))
    status, body, task = stage.export("export_cut", after=1000000,
                                      task="success", ms=200)
    checks.check("export_cut with a task that succeeds",
                 len(body) == 1000000 and outcome(task) == ["success"], task)
    stage.set("export_cut", after=1, task="pending")
    task = xapi("task.create", "t", "")
    xapi.raw("GET", "/export?session_id=%s&ref=%s&task_id=%s" % (
        xapi.session, stage.vm, task))
    time.sleep(0.2)
    checks.same("export_cut with a task that stays",
                xapi("task.get_status", task), "pending")
    status, body, task = stage.export("export_cut", after=1000000, reset=True)
    checks.check("export_cut by a reset", b"ConnectionReset" in body, body)
    secure = stage.sim.login(scheme="https")
    stage.set("export_cut", after=1000000, vm="web")
    status, _, body, task = secure.export(stage.vm)
    checks.check("export_cut under TLS", len(body) == 1000000 or
                 b"EOF" in body or b"SSL" in body, body[:99])
    status, body, task = stage.export("export_append_500", after=700000,
                                      error=["VDI_IO_ERROR", "x"])
    checks.check("export_append_500", body.startswith(b"ova.xml\0") and
                 body[700000:].startswith(b"HTTP/1.1 500 Internal Error\r\n")
                 and outcome(task) == ["failure", "VDI_IO_ERROR", "x"])
    start = time.monotonic()
    status, body, task = stage.export("export_stall", after=500000, ms=400)
    checks.check("export_stall", time.monotonic() - start >= 0.4 and
                 equal(stage, body))
    stage.set("export_stall", after=500000, vm="web")
    task = xapi("task.create", "t", "")
    h = xapi.connection()
    h.request("GET", "/export?session_id=%s&ref=%s&task_id=%s" % (
        xapi.session, stage.vm, task))
    answer = h.getresponse()
    got = answer.read(500000)
    pending = xapi("task.get_status", task)
    answer.close()
    h.close()
    record = xapi.wait(task)
    checks.check("export_stall for ever, until the client goes",
                 len(got) == 500000 and pending == "pending" and
                 record["status"] == "failure", record)
    start = time.monotonic()
    status, body, task = stage.export("export_slow", rate=len(stage.good))
    checks.check("export_slow", 0.9 < time.monotonic() - start < 10 and
                 equal(stage, body))
    stage.set("export_impatient", ms=300, vm="big")
    task = xapi("task.create", "t", "")
    with socket.create_connection((xapi.parts.hostname,
                                   xapi.parts.port)) as s:
        s.sendall(("GET /export?session_id=%s&ref=%s&task_id=%s HTTP/1.0"
                   "\r\n\r\n" % (xapi.session, xapi.vm("big"),
                                 task)).encode())
        record = xapi.wait(task)  # nothing is read
    checks.same("export_impatient", outcome(record)[:2],
                ["failure", "VDI_IO_ERROR"])
    start = time.monotonic()
    status, body, task = stage.export("export_first_byte", ms=300)
    checks.check("export_first_byte", time.monotonic() - start >= 0.3 and
                 equal(stage, body))


def export_shapes(stage):
    """Unusual, but right: a reader must take them."""
    body = stage.export("export_keepalive", every=1)[1]
    empty = [e for e in xvalib.entries(body) if not e.data]
    checks.check("export_keepalive", len(empty) >= 3 and equal(stage, body) and
                 len(body) == len(stage.good) + 1536 * len(empty), len(empty))
    body = stage.export("export_first_small", bytes=262144)[1]
    sizes = [len(e.data) for e in xvalib.entries(body)[1::2]]
    checks.check("export_first_small", sizes[0] == 262144 and
                 max(sizes) == MIB and equal(stage, body), sizes)
    body = stage.export("export_chunk", bytes=65536)[1]
    sizes = {len(e.data) for e in xvalib.entries(body)[1::2]}
    checks.check("export_chunk", sizes == {65536} and equal(stage, body),
                 sizes)
    body = stage.export("export_sha1")[1]
    checks.check("export_sha1", xvalib.Xva(body).kinds == {"checksum"} and
                 equal(stage, body))
    body = stage.export("export_all_blocks")[1]
    checks.check("export_all_blocks", len(xvalib.Xva(body).names) ==
                 1 + 2 * (3 + 8) and equal(stage, body))


def export_wrong(stage):
    """A reader must refuse them."""
    for fault, arguments, why in (
            ("export_bad_checksum", {"block": 2}, "checksum is wrong"),
            ("export_bad_data", {"block": 4}, "checksum is wrong"),
            ("export_no_checksum", {"block": 1}, "no checksum"),
            ("export_drop_block", {"block": -1}, "bytes of"),
            ("export_repeat_block", {"block": 1}, "out of order"),
            ("export_swap_disks", {}, "out of order"),
            ("export_no_end", {}, "ends in the middle"),
            ("export_tail", {"bytes": 700}, "two blocks of zeros"),
            ("export_bad_header", {"block": 3}, "header is wrong"),
            ("export_ova", {"text": "<value>x"}, "mismatched tag")):
        status, body, task = stage.export(fault, **arguments)
        try:
            found = broken(body) or "fine"
        except Exception as e:  # expat's
            found = str(e)
        checks.check(fault, why in found and status == 200 and
                     task["status"] == "success", "%s %s" % (found, task))
    status, body, task = stage.export("export_task_fail", error=["Y"])
    checks.check("export_task_fail", equal(stage, body) and
                 outcome(task) == ["failure", "Y"], task)
    body = stage.export("export_drop_block", block=1)[1]
    checks.check("a block that is dropped in the middle leaves zeros",
                 broken(body) is None and not equal(stage, body))


def imports(stage):
    xapi = stage.xapi
    before = stage.counts()
    query = "/import?session_id=" + xapi.session
    stage.set("import_401")
    status, headers, _ = xapi.raw("PUT", query, stage.good)
    checks.same("import_401", [status, headers.get("WWW-Authenticate")],
                [401, 'Basic realm="VM.import"'])
    status, task = stage.put("import_403")
    checks.same("import_403", [status] + outcome(task)[:2],
                [403, "failure", "RBAC_PERMISSION_DENIED"])
    stage.set("import_redirect", to="paris-2")
    status, headers, _ = xapi.raw("PUT", query, stage.good)
    checks.check("import_redirect", status == 302 and headers["Location"] ==
                 stage.sim.pool()["hosts"][1]["url"] + query, headers)
    status, task = stage.put("import_400")
    checks.same("import_400", [status, task["status"]], [400, "failure"])
    status, task = stage.put("import_cut", after=2000000)
    checks.check("import_cut", outcome(task) ==
                 ["failure", "IMPORT_ERROR_PREMATURE_EOF"], task)
    status, task = stage.put("import_cut", after=2000000, reset=True)
    checks.check("import_cut by a reset", task["status"] == "failure", task)
    wanted = ["SR_BACKEND_FAILURE_46", "a", "b", "c"]
    status, task = stage.put("import_fail", after=2000000, error=wanted)
    checks.same("import_fail", outcome(task), ["failure"] + wanted)
    status, task = stage.put("sr_full")
    checks.same("sr_full at an import", outcome(task)[:2],
                ["failure", "SR_BACKEND_FAILURE_44"])
    checks.same("nothing is left of all this", stage.counts(), before)
    start = time.monotonic()
    status, task = stage.put("import_stall", after=100000, ms=300)
    checks.check("import_stall", time.monotonic() - start >= 0.3 and
                 task["status"] == "success", task)
    start = time.monotonic()
    status, task = stage.put("import_slow", rate=len(stage.good) * 2)
    checks.check("import_slow", 0.4 < time.monotonic() - start < 10 and
                 task["status"] == "success", task)
    status, task = stage.put("import_bad_data")
    ref = re.search("OpaqueRef:[0-9a-f-]+", task["result"]).group()
    made = next(v for v in stage.sim.state()["vms"] if v["ref"] == ref)
    differ = 0
    for d in made["disks"]:
        got = stage.sim.disk(vdi=d["vdi"])
        was = stage.disks[d["userdevice"]]
        differ += sum(bin(a ^ b).count("1") for a, b in zip(got, was)
                      if a != b)
    checks.same("import_bad_data", [task["status"], differ], ["success", 1])
    before = stage.counts()
    stage.set("import_vanish", after=2000000)
    task = xapi("task.create", "t", "")
    try:
        xapi.raw("PUT", query + "&task_id=" + task, stage.good)
    except (http.client.HTTPException, OSError):
        pass
    time.sleep(0.2)
    checks.check("import_vanish", xapi("task.get_status", task) == "pending"
                 and stage.counts() == (before[0] + 1, before[1] + 2))


def switches(stage):
    """The switches themselves."""
    for body in ({"name": "no_such"}, {"name": "rpc_500", "after": 1}):
        checks.same("refused: %s" % body,
                    stage.sim.request("POST", "fault", body)[0], 400)
    ident = stage.sim.fault("rpc_500", count=0, host="paris-2")
    checks.same("it lists them", [(f["id"], f["hits"]) for f in
                                  stage.sim.get("faults")
                                  if f["name"] == "rpc_500" and
                                  f["id"] == ident], [(ident, 0)])
    checks.check("another host is not struck", error(
        stage.xapi, "VM.get_all")[0] == "no error")
    checks.same("it clears one", stage.sim.do("fault/clear", id=ident),
                {"cleared": 1})
    stage.sim.clear()
    checks.same("and all", stage.sim.get("faults"), [])
    stage.sim.fault("rpc_500", probability=0.5, count=0, method="VM.get_all")
    codes = [error(stage.xapi, "VM.get_all")[0] for _ in range(60)]
    checks.check("by chance", 10 < codes.count("HTTP_500") < 50,
                 codes.count("HTTP_500"))
    stage.sim.clear()


def cancel(stage):
    """task.cancel and two at once, which no switch is needed for."""
    xapi = stage.xapi
    stage.sim.fault("export_slow", rate=2 * MIB, vm="web")
    task = xapi("task.create", "t", "")
    bodies = []
    reader = threading.Thread(target=lambda: bodies.append(xapi.raw(
        "GET", "/export?session_id=%s&ref=%s&task_id=%s" % (
            xapi.session, stage.vm, task))[2]))
    reader.start()
    time.sleep(0.3)
    busy = error(xapi, "VM.destroy", stage.vm)
    checks.same("who is being exported is not destroyed",
                busy[:2] + busy[3:4],
                ["OTHER_OPERATION_IN_PROGRESS", "VM", "export"])
    xapi("task.cancel", task)
    record = xapi.wait(task)
    reader.join(20)
    checks.check("a cancelled export says so behind what it sent",
                 outcome(record) == ["cancelled", "TASK_CANCELLED", task] and
                 b"HTTP/1.1 500 Internal Error" in bodies[0], record)


def documented(path):
    """The switches of the README's table."""
    with open(path, encoding="utf-8") as f:
        text = f.read().split("## Faults")[1].split("\n## ")[0]
    return {name for line in text.splitlines() if line.startswith("| `")
            for name in re.findall("`([a-z0-9_]+)`", line.split("|")[1])}


def main():
    with simlib.Sim([POOL]) as sim:
        stage = Stage(sim)
        for test in (good_export, rpc, operations, connections,
                     events_and_tasks, export_refused, export_broken_off,
                     export_shapes, export_wrong, imports, switches, cancel):
            checks.run(test.__name__, test, stage)
            sim.clear()
    names = documented(os.path.join(simlib.ROOT, "tests", "sim", "README.md"))
    checks.same("every documented switch was tried", tried ^ names, set())
    checks.finish()


main()
