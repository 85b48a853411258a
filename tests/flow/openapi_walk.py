# SPDX-License-Identifier: Apache-2.0
"""Walks every operation of docs/openapi.yaml against a running server: as the
provider, as a tenant with its own ids, as a tenant with another's, with a wrong
token, with unknown parameters and members - and compares the server's own list
of routes with the document, both ways.

A server has .world - {"acme": {...}, "globex": {...}}, each with a tenant's
"secret" and the ids of its things, and "bodies", {operation: body} in place of
those below - and .socket. Standard library and python3-yaml.
"""
import http.client
import json
import re
import socket
import urllib.parse

import yaml

PIN = "00" * 31 + "aa"
results = []


def check(what, ok, detail=""):
    results.append((what, bool(ok), detail))


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("cairn", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def ask(server, method, path, token=None, body=None, query=None):
    """(status, content type, document or bytes)"""
    c = Connection(server.socket)
    headers = {}
    if token is not None:
        headers["Authorization"] = "Bearer " + token
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    if query:
        path += "?" + urllib.parse.urlencode(query)
    c.request(method.upper(), path, body, headers)
    answer = c.getresponse()
    raw = answer.read()
    kind = answer.getheader("Content-Type")
    c.close()
    return answer.status, kind, (
        json.loads(raw) if kind and "json" in kind else raw)


class Document:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.doc = yaml.safe_load(f)
        self.operations = {}
        for path, methods in self.doc["paths"].items():
            for method, op in methods.items():
                op["path"], op["method"] = path, method
                self.operations[op["operationId"]] = op

    def resolve(self, node):
        while "$ref" in node:
            at = self.doc
            for part in node["$ref"][2:].split("/"):
                at = at[part]
            node = at
        return node

    def parameters(self, op, where):
        found = [self.resolve(p) for p in op.get("parameters", [])]
        return [p for p in found if p["in"] == where]

    def body(self, op):
        if "requestBody" not in op:
            return None
        return self.resolve(
            op["requestBody"]["content"]["application/json"]["schema"])

    def wrong(self, value, schema, at="answer"):
        """Why a value does not fit a schema; None: it does."""
        schema = self.resolve(schema)
        kinds = schema.get("type", [])
        kinds = kinds if isinstance(kinds, list) else [kinds]
        is_kind = {"string": lambda v: isinstance(v, str),
                   "integer": lambda v: isinstance(v, int) and
                   not isinstance(v, bool),
                   "boolean": lambda v: isinstance(v, bool),
                   "null": lambda v: v is None,
                   "array": lambda v: isinstance(v, list),
                   "object": lambda v: isinstance(v, dict)}
        if kinds and not any(is_kind[k](value) for k in kinds):
            return "%s is %r, not %s" % (at, value, kinds)
        if value is None:
            return None
        if "enum" in schema and value not in schema["enum"]:
            return "%s is %r" % (at, value)
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return "%s is %r" % (at, value)
        if schema.get("format") == "date-time" and not re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
            return "%s is %r, no time" % (at, value)
        if isinstance(value, list) and "items" in schema:
            for i, v in enumerate(value):
                why = self.wrong(v, schema["items"], "%s[%d]" % (at, i))
                if why:
                    return why
        if isinstance(value, dict):
            return self.wrong_object(value, schema, at)
        return None

    def wrong_object(self, value, schema, at):
        known = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                return "%s lacks %s" % (at, name)
        for name, v in value.items():
            if name in known:
                why = self.wrong(v, known[name], at + "." + name)
            elif schema.get("additionalProperties", True) is False:
                why = "%s has %s" % (at, name)
            else:
                why = None
            if why:
                return why
        return None


# Bodies that are right, with the ids of `x`.
BODIES = {
    "tenant.add": lambda x: {"name": "initech", "title": "I"},
    "tenant.set": lambda x: {"title": "A"},
    "tenant.erase": lambda x: {"confirm": x["tenant"]},
    "token.add": lambda x: {"tenant": x["tenant"], "label": "l",
                            "expires": "2100-01-01T00:00:00Z"},
    "rule.add": lambda x: {"tenant": x["tenant"], "pool": "east",
                           "kind": "other_config", "key": "k", "value": "v"},
    "pool.look": lambda x: {"hosts": ["h1"]},
    "pool.add": lambda x: {"name": "west", "hosts": ["h1"], "user": "u",
                           "password": "p", "fingerprints": [PIN],
                           "host_addresses": {"u2": "10.0.0.2"}},
    "pool.set": lambda x: {"paused": False, "password": "q"},
    "pool.accept": lambda x: {"fingerprints": {"10.0.0.1": PIN}},
    "vm.move": lambda x: {"tenant": x["tenant"]},
    "vault.add": lambda x: {"name": "deep", "tenant": x["tenant"],
                            "url": "s3://b/p", "endpoint": "https://e",
                            "region": "r", "credentials": "c",
                            "lock": "governance"},
    "key.test": lambda x: {"key_file": "cairn key 1\n"},
    "key.grant": lambda x: {"public_key": PIN},
    "backup.start": lambda x: {"vms": [x["vm"]]},
    "restore.start": lambda x: {"point": x["point"], "output": "xva"},
}

# Parameters that are right; what is not named gets a sample of its type.
QUERY = {"tenant": lambda x: x["tenant"], "vault": lambda x: x["vault"],
         "pool": lambda x: "east", "vm": lambda x: x["vm"],
         "since": lambda x: "2020-01-01", "from": lambda x: "2020-01-01",
         "before": lambda x: "2100-01-01T00:00:00Z",
         "kind": lambda x: "backup", "state": lambda x: "failed",
         "seen": lambda x: "0", "after": lambda x: "0",
         "wait_ms": lambda x: "1", "limit": lambda x: "10",
         "uncovered": lambda x: "false", "contested": lambda x: "false",
         "unfinished": lambda x: "false", "failed": lambda x: "true"}

# Things made for the purpose: they go away in the walk.
VICTIMS = {"tenant.erase": {"tenant": "leaver"},
           "vault.remove": {"vault": "spare"}, "pool.remove": {"pool": "spare"}}
# In this order at the end.
LAST = ["tenant.suspend", "tenant.resume", "rule.remove", "vault.remove",
        "pool.remove", "token.revoke", "tenant.erase", "tenant.leave"]


def body_for(name, x):
    if name in x.get("bodies", {}):
        return x["bodies"][name]
    return BODIES[name](x) if name in BODIES else None


def fill(path, x):
    return re.sub(r"\{(\w+)\}",
                  lambda m: urllib.parse.quote(x[m.group(1)], safe=""), path)


def ids_for(name, x):
    x = dict(x, **VICTIMS.get(name, {}))
    if name == "job.cancel":
        x["job"] = x["open_job"]
    return x


def ref_of(name, x):
    return {"vm.resolve": {"ref": x["vm"]},
            "point.resolve": {"ref": x["point"]}}.get(name, {})


def walk_listing(server, doc):
    status, _, answer = ask(server, "GET", "/api/v1")
    check("the index answers", status == 200, status)
    theirs = {(r["method"], r["path"], r["operation"])
              for r in answer["routes"]}
    ours = {(o["method"].upper(), o["path"], n)
            for n, o in doc.operations.items()}
    check("every route stands in the document", not theirs - ours,
          theirs - ours)
    check("every operation is served", not ours - theirs, ours - theirs)


def walk_refusals(server, doc, x):
    """Nothing here changes anything."""
    for name, op in doc.operations.items():
        method, ids = op["method"], ids_for(name, x)
        path, body = fill(op["path"], ids), body_for(name, ids)
        status, kind, answer = ask(server, method, path, token="cairn-" +
                                          "0" * 64, body=body)
        check("%s with a wrong token is 401" % name, status == 401 and
              kind == "application/problem+json", (status, kind))
        query = dict(ref_of(name, ids), colour="red")
        status, _, answer = ask(server, method, path, body=body, query=query)
        check("%s refuses an unknown parameter by name" % name,
              status == 400 and "colour" in answer["detail"],
              (status, answer))
        if method in ("post", "patch"):
            status, _, answer = ask(server, method, path, body=dict(
                body or {}, colour="red"), query=ref_of(name, ids))
            check("%s refuses an unknown member" % name, status == 400,
                  (status, answer))
        problem = doc.resolve({"$ref": "#/components/schemas/Problem"})
        check("%s: the problem is one" % name,
              doc.wrong(answer, problem) is None, doc.wrong(answer, problem))
        walk_missing(server, doc, name, op, path, ids, body)


def walk_missing(server, doc, name, op, path, ids, body):
    schema = doc.body(op) or {}
    for member in schema.get("required", []):
        less = {k: v for k, v in body.items() if k != member}
        status, _, answer = ask(server, op["method"], path, body=less,
                                       query=ref_of(name, ids))
        check("%s without %s is refused by name" % (name, member),
              status == 400 and member in answer["detail"], (status, answer))
    for member, kind in schema.get("properties", {}).items():
        wrong = dict(body, **{member: 7 if doc.resolve(kind).get("type") !=
                              "integer" else "x"})
        status, _, answer = ask(server, op["method"], path, body=wrong,
                                       query=ref_of(name, ids))
        check("%s with a %s of another type is refused" % (name, member),
              status == 400 and member in answer["detail"], (status, answer))


def walk_foreign(server, doc, mine, other):
    """A tenant with the other's ids: 403 where it may not at all, else 404;
    lists show nothing of the other."""
    secrets = [other[k] for k in ("vm", "point", "job", "vault")] + ["globex"]
    for name, op in doc.operations.items():
        path = fill(op["path"], other)
        query = ref_of(name, other)
        named = "{" in op["path"] or query or name in (
            "backup.start", "restore.start")
        status, _, answer = ask(server, 
            op["method"], path, token=mine["secret"], query=query,
            body=body_for(name, other))
        if not op["x-cairn-tenant"]:
            check("%s is not for tenants" % name, status == 403,
                  (status, answer))
        elif named:
            check("%s: another tenant's is not there" % name, status == 404,
                  (status, answer))
        else:
            text = json.dumps(answer)
            check("%s shows nothing of another tenant" % name,
                  status == 200 and not [s for s in secrets if s in text],
                  (status, text))
        for p in doc.parameters(op, "query"):
            if p["name"] in ("tenant", "vault") and op["x-cairn-tenant"]:
                query = dict(ref_of(name, mine), **{p["name"]: other[
                    p["name"]]})
                status, _, answer = ask(server, 
                    op["method"], fill(op["path"], mine),
                    token=mine["secret"], query=query,
                    body=body_for(name, mine))
                hidden = status == 404 or (
                    # A filter of the tenant's own jobs by a name.
                    name == "job.list" and answer.get("items") == [])
                check("%s?%s= of another tenant finds nothing" %
                      (name, p["name"]), hidden, (status, answer))


def walk_own(server, doc, x, token, who):
    """What the document promises is what comes."""
    order = [n for n in doc.operations if n not in LAST] + [
        n for n in LAST if n in doc.operations]
    for name in order:
        op = doc.operations[name]
        if token and (not op["x-cairn-tenant"] or name == "token.revoke"):
            continue
        ids = ids_for(name, x)
        query = ref_of(name, ids)
        if "{vault}" in op["path"] or name == "point.list":
            query["tenant"] = ids["tenant"]
        answer = ask(server, op["method"], fill(op["path"], ids), token=token,
                            body=body_for(name, ids), query=query)
        check_answer(doc, "%s as %s" % (name, who), op, answer)
        for p in doc.parameters(op, "query"):
            if op["method"] != "get" or p["name"] not in QUERY:
                continue
            if token and p["name"] == "pool":
                continue
            answer = ask(server, 
                "get", fill(op["path"], ids), token=token,
                query=dict(query, **{p["name"]: QUERY[p["name"]](ids)}))
            check_answer(doc, "%s?%s as %s" % (name, p["name"], who), op,
                         answer)


def check_answer(doc, what, op, answer):
    status, kind, value = answer
    promised = op["responses"].get(str(status))
    if promised is None:
        check("%s answers as promised" % what, False, (status, value))
        return
    promised = doc.resolve(promised)
    if "content" not in promised:
        check("%s has no body" % what, not value, value)
        return
    check("%s has the promised type" % what, kind in promised["content"],
          kind)
    schema = promised["content"].get(kind, {}).get("schema", {})
    if kind == "application/json":
        why = doc.wrong(value, schema)
        check("%s has the promised form" % what, why is None, why)


def walk(document, start):
    """All of it; `start` makes a server with a fresh world. The number of
    checks that failed, which are printed."""
    doc = Document(document)
    with start() as server:
        acme, globex = server.world["acme"], server.world["globex"]
        walk_listing(server, doc)
        walk_refusals(server, doc, acme)
        walk_foreign(server, doc, acme, globex)
        walk_own(server, doc, acme, acme["secret"], "tenant")
    with start() as server:
        walk_own(server, doc, server.world["acme"], None, "provider")
    failed = [r for r in results if not r[1]]
    for what, _, detail in failed:
        print("FAILED %s: %s" % (what, detail))
    print("%d checks, %d failed" % (len(results), len(failed)))
    return len(failed)
