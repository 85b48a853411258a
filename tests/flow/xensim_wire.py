#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""xensim's answers, byte for byte: calls, events, tasks, limits, records."""
import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse
import xmlrpc.client

import simlib
import xvalib

POOLS = [{
    "name": "paris", "description": 'a <b> & "c"',
    "users": [{"name": "reader", "password": "pw", "role": "read-only"},
              {"name": "keeper", "password": "pw", "role": "vm-admin"}],
    "hosts": [{"name": "paris-1"}, {"name": "paris-2"}],
    "srs": [{"name": "thin", "size": "1 GiB", "shared": True},
            {"name": "thick", "type": "lvm", "size": "64 MiB"}],
    "vms": [{"name": "web", "disks": [{"size": "8 MiB", "fill": "marked"},
                                      {"size": 3000001, "fill": "random"}],
             "nics": [{}], "cds": 1, "tags": ["gold"], "vtpm": "state"},
            {"name": "fat", "power_state": "Halted",
             "disks": [{"size": "40 MiB", "sr": "thick"}]},
            {"name": "busy", "disks": [{"size": "4 MiB", "writer":
                                        {"rate": 0, "order": "linear"}}]}],
}, {"name": "lyon", "ca": True, "zstd": False, "redirect_port": False,
    "hosts": [{"name": "lyon-1"}, {"name": "lyon-2"}],
    "srs": [{"name": "far", "host": "lyon-2"}],
    "vms": [{"name": "cold", "power_state": "Suspended",
             "disks": [{"size": "1 MiB", "fill": "random"},
                       {"size": "1 MiB", "fill": "marked"}]}]}]

checks = simlib.Checks()
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def raw(sim, request, host=0, pool=None):
    """Bytes in, bytes out, until the server closes."""
    h = sim.pool(pool)["hosts"][host]
    with socket.create_connection((h["address"], h["http_port"]), 20) as s:
        s.sendall(request)
        out = b""
        try:
            while part := s.recv(65536):
                out += part
        except ConnectionResetError:
            pass
        return out


def post(body, path="/RPC2", version="1.1", extra=""):
    return ("POST %s HTTP/%s\r\nHost: x\r\nConnection: close\r\n"
            "Content-Length: %d\r\n%s\r\n%s" % (path, version, len(body),
                                                extra, body)).encode()


def call(method, *args):
    return xmlrpc.client.dumps(args, method)


def error(function, *args):
    try:
        return ["no error", function(*args)]
    except simlib.XapiError as e:
        return [e.code] + e.params


def xml_rpc(sim):
    login = ('<?xml version="1.0"?><methodCall><methodName>session.login_with'
             '_password</methodName><params>\n<param><value><string>root'
             '</string></value></param><param><value>secret</value></param>\n'
             '<param><value><string>2.0</string></value></param><param><value>'
             '<string>my-gateway/1.0</string></value></param>\n</params>'
             '</methodCall>')
    answer = raw(sim, post(login))
    head, _, body = answer.partition(b"\r\n\r\n")
    checks.check("success is one line without spaces", re.fullmatch(
        '<\\?xml version="1.0"\\?><methodResponse><params><param><value>'
        '<struct><member><name>Status</name><value>Success</value></member>'
        '<member><name>Value</name><value>OpaqueRef:%s</value></member>'
        '</struct></value></param></params></methodResponse>' % UUID,
        body.decode()), body)
    checks.same("the head is XAPI's", head.decode().split("\r\n"), [
        "HTTP/1.1 200 OK", "content-length: %d" % len(body),
        "connection: close", "cache-control: no-cache, no-store",
        "content-type: text/xml", "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Headers: X-Requested-With"])
    answer = raw(sim, post(login), host=1).partition(b"\r\n\r\n")[2]
    checks.same("a member sends one to the coordinator", answer.decode(),
                '<?xml version="1.0"?><methodResponse><params><param><value>'
                '<struct><member><name>Status</name><value>Failure</value>'
                '</member><member><name>ErrorDescription</name><value><array>'
                '<data><value>HOST_IS_SLAVE</value><value>%s</value></data>'
                '</array></value></member></struct></value></param></params>'
                '</methodResponse>' % sim.pool()["hosts"][0]["address"])
    xapi = sim.login()
    record = raw(sim, post(call("VM.get_record", xapi.session,
                                xapi.vm("web")))).decode()
    for name, text in (
            ("an int is digits", "<name>memory_static_max</name>"
             "<value>1073741824</value>"),
            ("a bool is one", "<name>is_a_template</name><value>"
             "<boolean>0</boolean></value>"),
            ("an integral float has no dot", "<name>HVM_shadow_multiplier"
             "</name><value><double>1</double></value>"),
            ("a date has no hyphens", "<name>snapshot_time</name><value>"
             "<dateTime.iso8601>19700101T00:00:00Z</dateTime.iso8601>"),
            ("an empty set", "<name>snapshots</name><value><array><data>"
             "</data></array></value>"),
            ("a set", "<name>tags</name><value><array><data><value>gold"
             "</value></data></array></value>"),
            ("an empty map", "<name>xenstore_data</name><value><struct>"
             "</struct></value>"),
            ("no reference", "<name>affinity</name><value>OpaqueRef:NULL"
             "</value>")):
        checks.check("XML-RPC: " + name, text in record)
    text = raw(sim, post(call("pool.get_all_records", xapi.session)))
    checks.check("text is escaped", b"a &lt;b&gt; &amp; &quot;c&quot;" in text)
    text = raw(sim, post(call("system.listMethods")), host=1)
    checks.check("system.listMethods is a bare array", b"<param><value><array>"
                 b"<data><value>system.listMethods</value>" in text)
    checks.same("version 1.0 is answered by 1.0",
                raw(sim, post(login, version="1.0"))[:15], b"HTTP/1.0 200 OK")
    checks.check("a path of no handler speaks XML-RPC", b"Success" in
                 raw(sim, post(login, path="/xmlrpc")))


def json_rpc(sim):
    xapi = sim.login()

    def ask(**call_):
        return json.loads(raw(sim, post(json.dumps(call_), "/jsonrpc"))
                          .partition(b"\r\n\r\n")[2])
    record = ask(jsonrpc="2.0", id=7, method="VM.get_record",
                 params=[xapi.session, xapi.vm("web")])
    checks.check("JSON-RPC 2.0 tells records with types",
                 record["id"] == 7 and record["jsonrpc"] == "2.0" and
                 record["result"]["memory_static_max"] == 1 << 30 and
                 record["result"]["snapshot_time"] == "19700101T00:00:00Z",
                 record)
    checks.same("a failure of 2.0", ask(
        jsonrpc="2.0", id="x", method="VM.get_record",
        params=[xapi.session, "OpaqueRef:1"]),
        {"jsonrpc": "2.0", "id": "x", "error": {
            "code": 1, "message": "HANDLE_INVALID",
            "data": ["VM", "OpaqueRef:1"]}})
    checks.same("a failure of 1.0", ask(id=0, method="VM.get_record", params=[
        xapi.session, "OpaqueRef:1"]), {
            "id": 0, "result": None,
            "error": ["HANDLE_INVALID", "VM", "OpaqueRef:1"]})
    checks.same("nothing is the empty text", ask(
        id=0, method="session.logout", params=[xapi.session]),
        {"id": 0, "result": "", "error": None})
    head = raw(sim, post("{}", "/jsonrpc"))
    checks.same("what is no call is 500", head[:26],
                b"HTTP/1.1 500 Internal Erro")
    head = raw(sim, post('{"id":1,"method":"system.listMethods"}', "/jsonrpc"))
    checks.check("the type is application/json and no more",
                 b"\r\ncontent-type: application/json\r\n" in head, head[:300])


def limits(sim):
    xapi = sim.login()
    big = post(call("system.listMethods"), extra="X: %s\r\n" % ("y" * 1000))
    checks.same("over 1024 bytes of headers is 431", raw(sim, big)[:12],
                b"HTTP/1.1 431")
    start = post("")
    pad = 1024 - len(start) - len("X: \r\n") - 1
    fits = post("", extra="X: %s\r\n" % ("y" * pad))
    checks.check("1023 bytes fit", len(fits) == 1023 and
                 not raw(sim, fits).startswith(b"HTTP/1.1 431"), len(fits))
    body = call("VM.get_record", xapi.session, "x" * 307200)
    checks.same("a body over 300 KiB is refused", raw(sim, post(body))[:12],
                b"HTTP/1.1 413")
    chunked = (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"0\r\n\r\n")
    checks.same("chunks are refused", raw(sim, chunked)[:12], b"HTTP/1.1 500")
    for path in ("/export_raw_vdi/", "/nothing"):
        checks.same("GET %s is 403" % path, raw(
            sim, ("GET %s HTTP/1.0\r\n\r\n" % path).encode())[:12],
            b"HTTP/1.1 403")
    checks.same("POST /export is 501", raw(sim, post("", "/export"))[:12],
                b"HTTP/1.1 501")
    c = xapi.connection()
    socks = []
    for _ in range(3):
        c.request("POST", "/", call("system.listMethods"))
        c.getresponse().read()
        socks.append(c.sock)
    checks.check("a connection serves many calls",
                 socks[0] and socks[0] is socks[1] is socks[2])


def calls(sim):
    xapi = sim.login()
    vm = xapi.vm("web")
    none = "OpaqueRef:none"
    for name, wanted, method, *args in (
            ("object", ["HANDLE_INVALID", "VM", none], "VM.get_uuid", none),
            ("method", ["MESSAGE_METHOD_UNKNOWN", "VM.x"], "VM.x"),
            ("task of a getter", ["MESSAGE_METHOD_UNKNOWN",
                                  "Async.VM.get_record"],
             "Async.VM.get_record", vm),
            ("uuid", ["UUID_INVALID", "VM", "u"], "VM.get_by_uuid", "u"),
            ("count", ["MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.get_uuid", "2",
                       "1"], "VM.get_uuid"),
            ("type", ["FIELD_TYPE_ERROR", "is_a_template"],
             "VM.set_is_a_template", vm, "maybe"),
            ("state", ["VM_BAD_POWER_STATE", vm, "halted", "running"],
             "VM.destroy", vm),
            ("attached disk", ["VDI_IN_USE", xapi("VBD.get_VDI", xapi(
                "VM.get_VBDs", vm)[0]), "destroy"], "VDI.destroy",
             xapi("VBD.get_VDI", xapi("VM.get_VBDs", vm)[0]))):
        checks.same("error: " + name, error(xapi, method, *args), wanted)
    xapi("VM.add_to_other_config", vm, "k", "v")
    checks.same("error: key is there", error(
        xapi, "VM.add_to_other_config", vm, "k", "w"),
        ["MAP_DUPLICATE_KEY", "VM", "other_config", vm, "k"])
    for _ in range(2):
        xapi("VM.remove_from_other_config", vm, "k")
    checks.check("a key is removed, there or not",
                 "k" not in xapi("VM.get_other_config", vm))
    xapi("VM.add_tags", vm, "new")
    xapi("VM.add_tags", vm, "new")
    checks.same("a tag is added once", xapi("VM.get_tags", vm),
                ["gold", "new"])
    xapi("VM.set_tags", vm, ["gold"])
    checks.same("get_by_name_label", xapi("VM.get_by_name_label", "web"), [vm])
    checks.same("get_all_records_where", list(xapi(
        "VM.get_all_records_where", 'field "name__label"="web"')), [vm])
    checks.same("get_all_records has all", set(xapi("VM.get_all_records")),
                set(xapi("VM.get_all")))
    checks.same("error: session", error(
        xapi.bare, "VM.get_all", "OpaqueRef:dead"),
        ["SESSION_INVALID", "OpaqueRef:dead"])
    xapi("VM.add_to_blocked_operations", vm, "hard_shutdown", "why")
    checks.same("a blocked operation", error(xapi, "VM.hard_shutdown", vm),
                ["OPERATION_BLOCKED", vm, "why"])
    xapi("VM.remove_from_blocked_operations", vm, "hard_shutdown")
    reader = sim.login(user="reader", password="pw")
    checks.same("a reader may not write", error(
        reader, "VM.set_name_label", vm, "x")[0], "RBAC_PERMISSION_DENIED")
    checks.same("a reader reads", reader("VM.get_name_label", vm), "web")
    checks.same("a wrong password", error(
        simlib.Xapi, xapi.url, "root", "wrong")[:2],
        ["SESSION_AUTHENTICATION_FAILED", "root"])


def events(sim):
    xapi = sim.login()
    vm = xapi.vm("web")
    start = xapi("event.from", ["*"], "", 5.1)
    checks.check("a token is two numbers of 20 digits", re.fullmatch(
        r"\d{20},\d{20}", start["token"]), start["token"])
    checks.check("all that lives comes as add", {e["operation"] for e in
                                                 start["events"]} == {"add"})
    first = next(e for e in start["events"] if e["ref"] == vm)
    checks.check("an event's form", first["class"] == "vm" and
                 first["timestamp"] == "0.0" and first["id"].isdigit() and
                 first["snapshot"] == xapi("VM.get_record", vm), first.keys())
    counts = start["valid_ref_counts"]
    checks.check("valid_ref_counts", counts["vm"] == len(xapi("VM.get_all"))
                 and counts["task"] == len(xapi("task.get_all")), counts)
    started = time.monotonic()
    idle = xapi("event.from", ["vm"], start["token"], 0.4)
    checks.check("without a change it waits, and says nothing",
                 idle["events"] == [] and
                 0.35 < time.monotonic() - started < 3)
    timer = threading.Timer(0.2, lambda: sim.do(
        "vm/set", vm="web", set={"name_description": "d1"}))
    timer.start()
    got = xapi("event.from", ["VM/" + vm], idle["token"], 10.1)
    checks.check("a change wakes it", [(e["operation"], e["ref"],
                                        e["snapshot"]["name_description"])
                                       for e in got["events"]] ==
                 [("mod", vm, "d1")], got["events"])
    task = xapi("task.create", "a", "b")
    gone = xapi("task.create", "c", "d")
    xapi("task.set_status", gone, "cancelled")
    xapi("task.destroy", gone)
    got = xapi("event.from", ["task"], got["token"], 5.1)
    checks.same("created and destroyed in between is nothing",
                [(e["operation"], e["ref"]) for e in got["events"]],
                [("add", task)])
    xapi("task.set_status", task, "success")
    xapi("task.destroy", task)
    got = xapi("event.from", ["task"], got["token"], 5.1)
    checks.check("destroyed is a del without a record",
                 [(e["operation"], e["ref"], "snapshot" in e)
                  for e in got["events"]] == [("del", task, False)], got)
    token = xapi("event.inject", "pool", sim.pool()["ref"])
    got = xapi("event.from", ["pool"], token, 5.1)
    checks.same("inject gives a token from before", [
        e["ref"] for e in got["events"]], [sim.pool()["ref"]])
    checks.same("a bad token", error(xapi, "event.from", ["*"], "x", 1.1),
                ["EVENT_FROM_TOKEN_PARSE_FAILURE", "x"])
    checks.same("event.next wants a registration",
                error(xapi, "event.next")[0], "SESSION_NOT_REGISTERED")
    xapi("event.register", ["vm"])
    sim.do("vm/set", vm="web", set={"name_description": "d2"})
    checks.same("event.next", [e["snapshot"]["name_description"]
                               for e in xapi("event.next")], ["d2"])
    other = sim.login()
    answer = []
    waiter = threading.Thread(target=lambda: answer.extend(error(
        other, "event.from", ["sr"], got["token"], 30.1)))
    waiter.start()
    time.sleep(0.2)
    xapi.bare("session.logout", other.session)
    waiter.join(10)
    checks.same("logout wakes who waits", answer,
                ["SESSION_INVALID", other.session])


def tasks(sim):
    xapi = sim.login()
    vm = xapi.vm("web")
    task = xapi("Async.VM.snapshot", vm, "s1", [])
    while xapi("task.get_status", task) == "pending":
        time.sleep(0.01)
    record = xapi("task.get_record", task)
    checks.check("a result is XML-RPC as text", re.fullmatch(
        "<value>OpaqueRef:%s</value>" % UUID, record["result"]) and
        record["progress"] == 1 and record["type"] == "<none/>", record)
    xapi("task.destroy", task)
    checks.same("a done task is destroyed", error(
        xapi, "task.get_status", task)[0], "HANDLE_INVALID")
    task = xapi("Async.VM.destroy", vm)
    while xapi("task.get_status", task) == "pending":
        time.sleep(0.01)
    record = xapi("task.get_record", task)
    checks.check("a failure is in error_info", record["status"] == "failure"
                 and record["error_info"][0] == "VM_BAD_POWER_STATE" and
                 record["result"] == "" and record["progress"] == 1, record)
    task = xapi("task.create", "mine", "")
    xapi("task.destroy", task)
    checks.same("a pending one is only marked", list(xapi(
        "task.get_current_operations", task).values()), ["destroy"])
    xapi("task.set_status", task, "cancelled")
    xapi("task.set_status", task, "success")
    checks.same("once not pending it stays", xapi("task.get_status", task),
                "cancelled")


def snapshots(sim):
    xapi = sim.login()
    vm = xapi.vm("web")
    before = {d["userdevice"]: sim.disk(vdi=d["vdi"])
              for d in sim.vm("web")["disks"]}
    first = xapi("VM.snapshot", vm, "first")
    sim.write(vm="web", first=100, blocks=400, generation=2)
    second = xapi("VM.snapshot", vm, "second")
    sim.write(vm="web", first=0, blocks=300, generation=3)
    record = xapi("VM.get_record", first)
    checks.check("a snapshot's shape", record["is_a_snapshot"] and
                 record["is_a_template"] and record["snapshot_of"] == vm and
                 record["power_state"] == "Halted" and
                 record["resident_on"] == "OpaqueRef:NULL" and
                 len(record["VBDs"]) == 3 and len(record["VIFs"]) == 1 and
                 len(record["VTPMs"]) == 1, record)
    checks.check("the VM knows it", first in xapi("VM.get_snapshots", vm))
    states = {}
    for snap in (first, second):
        for vbd in xapi("VM.get_VBDs", snap):
            r = xapi("VBD.get_record", vbd)
            if r["type"] == "Disk":
                states[snap, r["userdevice"]] = r["VDI"]
    vdi = xapi("VDI.get_record", states[first, "0"])
    live = sim.vm("web")["disks"][0]["vdi"]
    checks.check("its disks are snapshots", vdi["is_a_snapshot"] and
                 vdi["snapshot_of"] == live and vdi["VBDs"] and
                 states[first, "0"] in xapi("VDI.get_snapshots", live), vdi)
    checks.check("what was is kept", all(
        sim.disk(vdi=states[first, k]) == v for k, v in before.items()))
    uuid = sim.vm("web")["uuid"]
    wanted = bytearray(before["0"])
    for n in range(100, 500):
        wanted[n * 4096:(n + 1) * 4096] = simlib.marked(uuid, 0, n, 2)
    checks.check("also between two snapshots",
                 sim.disk(vdi=states[second, "0"]) == wanted)
    for n in range(300):
        wanted[n * 4096:(n + 1) * 4096] = simlib.marked(uuid, 0, n, 3)
    with open(sim.vm("web")["disks"][0]["file"], "rb") as f:
        checks.check("the live disk is a flat file", f.read() == wanted)
    xapi.done("VM.destroy", second)
    xapi.done("VDI.destroy", states[second, "0"])
    checks.check("removing the younger leaves the older as it was",
                 sim.disk(vdi=states[first, "0"]) == before["0"])
    sim.do("writer/start", vm="web", rate=0)
    busy = xapi("VM.snapshot", vm, "busy")
    frozen = next(r["VDI"] for r in map(
        lambda b: xapi("VBD.get_record", b), xapi("VM.get_VBDs", busy))
        if r["userdevice"] == "0")
    digests = {hashlib.sha1(sim.disk(vdi=frozen)).hexdigest()
               for _ in range(3)}
    stats = sim.do("writer/stop", vm="web")
    checks.check("a snapshot stands still while the guest writes",
                 len(digests) == 1 and stats["written"] > 10, stats)
    checks.check("and every block of it is a marked one", all(
        (simlib.read_mark(block) or [""])[0] == uuid for block in
        (lambda d: [d[i:i + 4096] for i in range(0, len(d), 4096)])(
            sim.disk(vdi=frozen))))


def storage(sim):
    xapi = sim.login()
    fat = xapi.vm("fat")
    checks.same("a thick SR needs the whole size again", error(
        xapi, "VM.snapshot", fat, "s"),
        ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""])
    checks.same("and nothing is left of the attempt", xapi(
        "VM.get_snapshots", fat), [])
    sr = xapi("SR.get_by_name_label", "thick")[0]
    checks.same("it charges virtual sizes", xapi(
        "SR.get_physical_utilisation", sr), str(40 << 20))
    thin = xapi("SR.get_by_name_label", "thin")[0]
    vdi = xapi("VDI.create", dict(
        SR=thin, virtual_size="3000000", type="user", sharable=False,
        read_only=False, other_config={"a": "b"}, name_label="n"))
    r = xapi("VDI.get_record", vdi)
    checks.check("a size is rounded up to 2 MiB", r["virtual_size"] ==
                 str(4 << 20) and r["other_config"] == {"a": "b"} and
                 r["location"] == r["uuid"], r)
    vm = xapi.vm("web")
    vbd = dict(VM=vm, VDI=vdi, userdevice="0", bootable=False, mode="RW",
               type="Disk", empty=False, other_config={},
               qos_algorithm_type="", qos_algorithm_params={})
    checks.same("a device is taken", error(xapi, "VBD.create", vbd),
                ["DEVICE_ALREADY_EXISTS", "0"])
    made = xapi("VBD.create", dict(vbd, userdevice="autodetect"))
    checks.check("autodetect finds one", xapi("VBD.get_userdevice", made) not
                 in ("0", "1", "3") and made in xapi("VDI.get_VBDs", vdi))
    xapi("VDI.resize", vdi, str(5 << 20))
    checks.same("a disk grows", xapi("VDI.get_virtual_size", vdi),
                str(6 << 20))
    xapi("VDI.destroy", vdi)
    checks.same("its VBD goes with it", error(
        xapi, "VBD.get_record", made)[0], "HANDLE_INVALID")
    vif = dict(device="5", network=xapi("network.get_all")[0], VM=vm,
               MAC="02:00:00:00:00:07", MTU="1400", other_config={},
               qos_algorithm_type="", qos_algorithm_params={})
    made = xapi("VIF.create", vif)
    checks.same("a VIF is made", [xapi("VIF.get_MAC", made), xapi(
        "VIF.get_MTU", made)], ["02:00:00:00:00:07", "1400"])
    xapi("VIF.destroy", made)
    checks.same("a MAC that is none", error(
        xapi, "VIF.create", dict(vif, MAC="xx"))[0], "MAC_INVALID")


def transfers(sim):
    xapi = sim.login("lyon", host=0)
    vm = xapi.vm("cold")
    uuid = xapi("VM.get_uuid", vm)
    one, two = (h["address"] for h in sim.pool("lyon")["hosts"])
    status, headers, _ = xapi.raw("GET", "/export?ref=%s&session_id=%s" % (
        vm, xapi.session))
    checks.check("a host that does not see the disks sends one on",
                 status == 302 and headers["Location"].startswith(
                     "https://%s/export?ref=" % two), headers)
    far = sim.pool("lyon")["hosts"][1]["http_url"]

    def get(path, headers=None):
        address = far.split("//")[1]
        c = http.client.HTTPConnection(address, timeout=60)
        try:
            c.request("GET", path, headers=headers or {})
            answer = c.getresponse()
            return answer, answer.read()
        finally:
            c.close()
    answer, body = get("/export/?use_compression=zstd", {
        "Cookie": "session_id=%s; uuid=%s" % (
            urllib.parse.quote(xapi.session), uuid)})
    checks.check("parameters may be cookies", answer.status == 200 and
                 answer.version == 10 and answer.getheader("Server") ==
                 "xapi/25.33" and answer.getheader("Content-Length") is None)
    xva = xvalib.Xva(body)
    checks.check("a host without zstd sends plain bytes",
                 body.startswith(b"ova.xml\0"))
    checks.same("a suspended VM is exported as halted", xva.objects("VM")[0][
        "snapshot"]["power_state"], "Halted")
    order = [o["class"] for o in xva.ova["objects"]]
    checks.same("objects come by class", order, sorted(order, key=[
        "host", "VM", "VM_metrics", "VM_guest_metrics", "VBD", "VIF",
        "network", "VDI", "SR", "VTPM"].index))
    basic = {"Authorization": "Basic " +
             base64.b64encode(b"root:secret").decode()}
    answer, body = get("/export?preserve_power_state=true&uuid=" + uuid, basic)
    checks.check("Basic authentication does", answer.status == 200 and
                 xvalib.Xva(body).objects("VM")[0]["snapshot"][
                     "power_state"] == "Suspended")
    checks.check("and leaves no session", not [
        x for x in sim.state("lyon")["sessions"] if x["originator"] == "http"])
    checks.same("an unknown uuid is 500", get(
        "/export?uuid=x&session_id=" + xapi.session)[1].split(b"</h1>")[-1],
        b"UUID_INVALID: [ VM; x ]</body></html>")
    checks.same("no credentials are 401", get("/export?uuid=" + uuid)[
        0].status, 401)
    paris = sim.login()
    status, _, body, task = paris.export(paris.vm("web"))
    checks.check("a running VM is 500", status == 500 and
                 b"VM_BAD_POWER_STATE" in body and
                 task["error_info"][0] == "VM_BAD_POWER_STATE", body)
    for user, wanted in (("reader", 403), ("keeper", 200)):
        some = sim.login(user=user, password="pw")
        status, _, _, task = some.export(paris.vm("fat"))
        checks.same("a %s gets %d" % (user, wanted), status, wanted)


def guests(sim):
    uuid = sim.vm("busy")["uuid"]
    stats = sim.do("writer/stop", vm="busy")
    marks = [simlib.read_mark(sim.disk(vm="busy", offset=i * 4096,
                                       length=4096)) for i in range(8)]
    checks.check("a guest writes from the start", stats["written"] > 8 and all(
        m and m[:3] == (uuid, 0, i) and 2 <= m[3] <= stats["generation"]
        for i, m in enumerate(marks)), marks)


def hosts(sim):
    one, two = sim.pool()["hosts"]
    ctx = ssl._create_unverified_context()

    def presented(h):
        with socket.create_connection((h["address"], h["https_port"])) as s:
            with ctx.wrap_socket(s) as t:
                return hashlib.sha256(t.getpeercert(True)).hexdigest(), \
                    t.version(), t.cipher()[0]
    checks.same("a host shows its own certificate", presented(one)[0],
                one["fingerprint"])
    checks.check("each has another", presented(two)[0] == two["fingerprint"]
                 != one["fingerprint"])
    checks.same("TLS as XAPI sets it", presented(one)[1:],
                ("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384"))
    made = sim.do("host/certificate", pool="paris", host="paris-2")
    checks.check("a certificate is changed", presented(two)[0] ==
                 made["fingerprint"] != two["fingerprint"])
    lyon = sim.pool("lyon")
    trust = ssl.create_default_context(cafile=lyon["ca"])
    h = lyon["hosts"][0]
    with socket.create_connection((h["address"], h["https_port"])) as s:
        with trust.wrap_socket(s, server_hostname=h["name"]) as t:
            checks.check("a pool's CA vouches for it", t.version())
    sim.do("host/down", pool="paris", host="paris-2", down=True)
    try:
        presented(two)
        checks.check("a host that is down refuses", False)
    except OSError:
        checks.check("a host that is down refuses", True)
    sim.do("host/down", pool="paris", host="paris-2", down=False)
    checks.same("and comes back", presented(two)[0], made["fingerprint"])
    xapi = sim.login("paris")
    sim.do("pool/coordinator", pool="paris", host="paris-2")
    checks.same("another coordinator: the old one sends one there", error(
        xapi, "VM.get_all"), ["HOST_IS_SLAVE", two["address"]])
    checks.same("who logs in there", sim.login("paris", host=1)(
        "pool.get_all_records").popitem()[1]["master"], two["ref"])
    sim.do("pool/coordinator", pool="paris", host="paris-1")
    xapi = sim.login("paris")
    task = xapi("task.create", "long", "")
    sim.do("tasks/expire", pool="paris")
    checks.same("a task of 24 hours is gone", error(
        xapi, "task.get_status", task), ["HANDLE_INVALID", "task", task])
    with socket.create_connection((one["address"], one["http_port"])) as s:
        s.settimeout(10)
        sim.do("pool/restart", pool="paris")
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        checks.check("a restart may leave connections alone", s.recv(99))
    with socket.create_connection((one["address"], one["http_port"])) as s:
        s.settimeout(10)
        s.sendall(b"POST / HTTP/1.1\r\n")
        time.sleep(0.2)  # until it is accepted
        sim.do("pool/restart", pool="paris", connections=True)
        checks.same("or end them", s.recv(99), b"")


def counters(sim):
    sim.do("reset")
    xapi = sim.login("paris")
    xapi("VM.get_all")
    pool = sim.get("counters")["pools"][0]
    checks.check("calls are counted", pool["rpc"] == {
        "session.login_with_password": 1, "VM.get_all": 1} and
        pool["requests"] == 2 and pool["bytes_in"] > 300 and
        pool["bytes_out"] > 600, pool)


def main():
    with simlib.Sim(POOLS) as sim:
        for test in (xml_rpc, json_rpc, limits, calls, events, tasks,
                     snapshots, storage, transfers, guests, hosts, counters):
            checks.run(test.__name__, test, sim)
        checks.same("it ends by SIGTERM with 0", sim.stop(), 0)
    checks.finish()


main()
