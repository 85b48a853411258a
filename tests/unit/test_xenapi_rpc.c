/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "base/bytes.h"
#include "base/xml.h"
#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_records.h"
#include "xenapi/xenapi_route.h"
#include "xenapi/xenapi_rpc.h"

#define LIMIT ((size_t)1 << 20)

/* Recorded, of XAPI: one line on the wire. */
static const char success[] =
    "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct>"
    "<member><name>Status</name><value>Success</value></member><member><name>"
    "Value</name><value>OpaqueRef:7c0f0a6e-3f0e-4b55-9a5e-8a5f9f3f8c11</value>"
    "</member></struct></value></param></params></methodResponse>";
static const char slave[] =
    "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct>"
    "<member><name>Status</name><value>Failure</value></member><member><name>"
    "ErrorDescription</name><value><array><data><value>HOST_IS_SLAVE</value>"
    "<value>10.0.0.11</value></data></array></value></member></struct></value>"
    "</param></params></methodResponse>";

static enum err_code answer(const char *text, struct xmlrpc **value,
                            struct xenapi_rpc_failure *f, struct err *err)
{
    *value = NULL;
    memset(f, 0, sizeof(*f));
    err_clear(err);
    return xenapi_rpc_answer(text, strlen(text), LIMIT, value, f, err);
}

static void answers_of_xapi_are_read(void **state)
{
    struct xenapi_rpc_failure f;
    struct xmlrpc *v;
    struct err err;

    (void)state;
    assert_int_equal(answer(success, &v, &f, &err), ERR_OK);
    assert_string_equal(xmlrpc_text(v, ""),
                        "OpaqueRef:7c0f0a6e-3f0e-4b55-9a5e-8a5f9f3f8c11");
    assert_null(f.list);
    xmlrpc_free(v);
    assert_int_equal(answer(slave, &v, &f, &err), ERR_OK);
    assert_null(v);
    assert_true(xenapi_rpc_is(&f, "HOST_IS_SLAVE"));
    assert_string_equal(xenapi_rpc_param(&f, 0), "10.0.0.11");
    assert_string_equal(xenapi_rpc_param(&f, 1), "");
    assert_int_equal(xenapi_rpc_err(&f, &err), ERR_AGAIN);
    assert_string_equal(err.text, "HOST_IS_SLAVE: 10.0.0.11");
    xenapi_rpc_failure_fini(&f);
}

#define RESPONSE(value)                                           \
    "<methodResponse><params><param>" value "</param></params></" \
    "methodResponse>"

static void what_is_no_answer_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "<html><body>hello</body></html>",
        "<methodResponse></methodResponse>",
        RESPONSE("<value><struct></struct></value>"),
        RESPONSE("<value><struct><member><name>Status</name><value>Success"
                 "</value></member></struct></value>"),
        RESPONSE("<value><struct><member><name>Status</name><value>Failure"
                 "</value></member></struct></value>"),
        RESPONSE("<value><struct><member><name>Status</name><value>Failure"
                 "</value></member><member><name>ErrorDescription</name><value>"
                 "<array><data></data></array></value></member></struct>"
                 "</value>"),
    };
    struct xenapi_rpc_failure f;
    struct xmlrpc *v;
    struct err err;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        if (answer(rows[i], &v, &f, &err) != ERR_PROTOCOL)
            fail_msg("%s: %s", rows[i], err.text);
        assert_null(v);
        assert_null(f.list);
    }
    assert_int_equal(
        answer("<methodResponse><fault><value><struct><member><name>"
               "faultString</name><value>no such thing</value></member>"
               "</struct></value></fault></methodResponse>",
               &v, &f, &err),
        ERR_REMOTE);
    assert_string_equal(err.text, "fault: no such thing");
}

static void a_request_is_spelt_as_xapi_reads_it(void **state)
{
    struct xmlrpc *params =
        xenapi_call_params("sibdma", "a<b", (int64_t)5000000000, true, 30.1);
    struct buf out;

    (void)state;
    buf_init(&out, LIMIT);
    assert_true(xenapi_rpc_request("VM.x", "OpaqueRef:s", params, &out));
    assert_string_equal(
        buf_text(&out),
        "<?xml version=\"1.0\"?><methodCall><methodName>VM.x</methodName>"
        "<params><param><value>OpaqueRef:s</value></param>"
        "<param><value>a&lt;b</value></param>"
        "<param><value>5000000000</value></param>"
        "<param><value><boolean>1</boolean></value></param>"
        "<param><value><double>30.1</double></value></param>"
        "<param><value><struct></struct></value></param>"
        "<param><value><array><data></data></array></value></param>"
        "</params></methodCall>");
    buf_fini(&out);
    xmlrpc_free(params);
}

static void failures_are_sorted_by_what_to_do(void **state)
{
    static const struct {
        const char *code;
        enum err_code is;
    } rows[] = {
        {"SESSION_AUTHENTICATION_FAILED", ERR_DENIED},
        {"RBAC_PERMISSION_DENIED", ERR_DENIED},
        {"HANDLE_INVALID", ERR_NOT_FOUND},
        {"SR_BACKEND_FAILURE_44", ERR_QUOTA},
        {"SR_BACKEND_FAILURE_46", ERR_REMOTE},
        {"SR_FULL", ERR_QUOTA},
        {"OTHER_OPERATION_IN_PROGRESS", ERR_AGAIN},
        {"NOT_SUPPORTED_DURING_UPGRADE", ERR_AGAIN},
        {"DUPLICATE_MAC_SEED", ERR_CONFLICT},
        {"TASK_CANCELLED", ERR_CANCELLED},
        {"WHATEVER_COMES_NEXT", ERR_REMOTE},
    };
    struct xenapi_rpc_failure f = {0};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct xmlrpc *list = xenapi_call_params("ss", rows[i].code, "why");

        assert_int_equal(xenapi_rpc_failure_from(list, &f, &err), ERR_OK);
        assert_int_equal(xenapi_rpc_code(&f), rows[i].is);
        xmlrpc_free(list);
        xenapi_rpc_failure_fini(&f);
    }
}

static void a_session_is_named_in_no_error(void **state)
{
    struct xmlrpc *list =
        xenapi_call_params("ss", "SESSION_INVALID", "OpaqueRef:secret");
    struct xenapi_rpc_failure f = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(xenapi_rpc_failure_from(list, &f, &err), ERR_OK);
    xenapi_rpc_err(&f, &err);
    assert_string_equal(err.text, "SESSION_INVALID");
    xmlrpc_free(list);
    xenapi_rpc_failure_fini(&f);
}

/* ---- Hosts ---- */

static void hosts_are_split(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } rows[] = {
        {"10.0.0.1", "10.0.0.1", 0},
        {"10.0.0.1:8443", "10.0.0.1", 8443},
        {"pool.example.org:443", "pool.example.org", 443},
        {"[::1]:80", "::1", 80},
        {"[fe80::1%eth0]", "fe80::1%eth0", 0},
        {"2001:db8::7", "2001:db8::7", 0},
    };
    static const char *const bad[] = {
        "",          ":443",   "host:",  "host:0", "host:65536",
        "host:x",    "[::1",   "[::1]x", "a b",    "user@host",
        "host/path", "host?x", "host#x", "h\nost", "https://host",
    };
    char host[XENAPI_ROUTE_HOST];
    unsigned port = 7;

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        assert_true(xenapi_route_split(rows[i].text, host, &port));
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        if (xenapi_route_split(bad[i], host, &port))
            fail_msg("taken for a host: \"%s\"", bad[i]);
}

static void a_member_is_reached_as_its_uuid_says(void **state)
{
    uint8_t one[32] = {1}, two[32] = {2};
    struct http_trust *first = NULL, *second = NULL;
    struct xenapi_peer peers[] = {
        {.uuid = "AAAA-1", .connect = "192.0.2.1:8443"},
        {.address = "10.0.0.2"},
    };
    const struct xenapi_session_opts opts = {
        .name = "p", .host = "[2001:db8::1]", .peers = peers, .peer_count = 2};
    const struct xenapi_member members[] = {{"aaaa-1", "10.0.0.1"},
                                            {"bbbb-2", "10.0.0.2"},
                                            {"cccc-3", "10.0.0.3"},
                                            {"dddd-4", "not a host"}};
    struct xenapi_route *r = NULL, *learned;
    struct xenapi_place place;
    struct err err = {0};

    (void)state;
    assert_int_equal(http_trust_pin(one, &first, &err), ERR_OK);
    assert_int_equal(http_trust_pin(two, &second, &err), ERR_OK);
    peers[0].trust = first;
    peers[1].trust = second;
    assert_int_equal(xenapi_route_new(&opts, &r, &err), ERR_OK);
    http_trust_drop(first);
    http_trust_drop(second);
    learned = xenapi_route_learn(r, members, 4);
    xenapi_route_drop(r);
    assert_int_equal(xenapi_route_place(learned, "10.0.0.1", 0, &place, &err),
                     ERR_OK);
    assert_string_equal(place.origin, "https://10.0.0.1:443");
    assert_string_equal(place.connect_to, "192.0.2.1:8443");
    assert_ptr_equal(place.trust, first);
    assert_int_equal(xenapi_route_place(learned, "10.0.0.2", 81, &place, &err),
                     ERR_OK);
    assert_string_equal(place.origin, "https://10.0.0.2:81");
    assert_null(place.connect_to);
    assert_ptr_equal(place.trust, second);
    assert_true(xenapi_route_knows(learned, "10.0.0.3"));
    assert_false(xenapi_route_knows(learned, "10.0.0.4"));
    assert_false(xenapi_route_knows(learned, "not a host"));
    assert_int_equal(xenapi_route_place(learned, "10.0.0.3", 0, &place, &err),
                     ERR_UNREACHABLE);
    assert_string_equal(xenapi_route_candidate(learned, 0), "2001:db8::1");
    assert_string_equal(xenapi_route_candidate(learned, 3), "10.0.0.3");
    assert_null(xenapi_route_candidate(learned, 4));
    xenapi_route_drop(learned);
}

/* ---- Records of odd pools ---- */

static struct xmlrpc *parse(const char *text)
{
    struct xmlrpc *v = NULL;
    struct err err = {0};

    if (xmlrpc_parse(text, strlen(text), LIMIT, &v, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return v;
}

#define M(name, value) "<member><name>" name "</name>" value "</member>"
#define T(text) "<value>" text "</value>"
#define S(members) "<value><struct>" members "</struct></value>"
#define R(ref, fields)                                   \
    "<member><name>" ref "</name><value><struct>" fields \
    "</struct></value></member>"
#define MAP(key, text)                                        \
    "<value><struct><member><name>" key "</name><value>" text \
    "</value></member></struct></value>"
#define YES "<value><boolean>1</boolean></value>"
#define A(items) "<value><array><data>" items "</data></array></value>"

static const char *const odd[XENAPI_CLASSES] = {
    [XENAPI_POOL] = S(R("OpaqueRef:p", M("uuid", T("pu")))),
    [XENAPI_HOST] = S(R("OpaqueRef:h", "")),
    /* more PBDs than the SR says it has, one of an SR that is gone */
    [XENAPI_SR] = S(R("OpaqueRef:s", M("PBDs", A(T("OpaqueRef:1")))
                                         M("physical_size", T("-1")))),
    [XENAPI_PBD] = S(
        R("OpaqueRef:1", M("SR", T("OpaqueRef:s")) M("currently_attached", YES)
                             M("host", T("OpaqueRef:h")))
            R("OpaqueRef:2",
              M("SR", T("OpaqueRef:s")) M("currently_attached", YES)
                  M("host", T("OpaqueRef:x")))
                R("OpaqueRef:3",
                  M("SR", T("OpaqueRef:gone")) M("currently_attached", YES))),
    [XENAPI_NETWORK] = S(""),
    /* refs to nothing, a map that is text, a set that is a map */
    [XENAPI_VM] =
        S(R("OpaqueRef:v",
            M("VBDs", A(T("OpaqueRef:b") T("") T("OpaqueRef:c")))
                M("VIFs", A(T("OpaqueRef:i"))) M("tags", MAP("a", "b"))
                    M("other_config", T("x")) M("power_state", T("Dancing")))),
    [XENAPI_VBD] = S(R("OpaqueRef:b", M("VDI", T("OpaqueRef:d")))
                         R("OpaqueRef:c", M("VDI", T("Ref:12")))),
    [XENAPI_VDI] =
        S(R("OpaqueRef:d", M("snapshot_of", T("")) M("SR", T("OpaqueRef:s"))
                               M("virtual_size", T("lots")))),
    [XENAPI_VIF] = S(R("OpaqueRef:i", M("network", T("OpaqueRef:n")))),
};

static void records_that_make_no_sense_do_no_harm(void **state)
{
    struct xmlrpc *maps[XENAPI_CLASSES];
    struct xenapi_inventory *inv = NULL;
    struct err err = {0};
    unsigned n;

    (void)state;
    for (int c = 0; c < XENAPI_CLASSES; c++)
        maps[c] = parse(odd[c]);
    for (n = 1; alloc_fail_round(n); n++) {
        enum err_code rc = xenapi_records_build(maps, false, &inv, &err);

        assert_int_equal(rc, alloc_fail_happened() ? ERR_NOMEM : ERR_OK);
        alloc_fail_off();
        if (rc != ERR_OK)
            continue;
        assert_int_equal(inv->sr_count, 1);
        assert_int_equal(inv->srs[0].host_count, 1);
        assert_int_equal(inv->srs[0].size, 0);
        assert_int_equal(inv->vm_count, 1);
        assert_int_equal(inv->vms[0].disk_count, 1);
        assert_string_equal(inv->vms[0].disks[0].snapshot_of, XENAPI_NULL);
        assert_ptr_equal(inv->vms[0].disks[0].sr, &inv->srs[0]);
        assert_int_equal(inv->vms[0].nic_count, 1);
        assert_null(inv->vms[0].nics[0].network);
        assert_int_equal(inv->vms[0].tag_count, 1);
        assert_int_equal(inv->vms[0].other_config_count, 0);
        xenapi_inventory_drop(xenapi_inventory_hold(inv));
        xenapi_inventory_drop(inv);
    }
    assert_true(n > 10);
    for (int c = 0; c < XENAPI_CLASSES; c++) {
        struct xmlrpc *right = maps[c];

        maps[c] = parse(c == XENAPI_POOL ? S("") : A(""));
        assert_int_equal(xenapi_records_build(maps, false, &inv, &err),
                         ERR_PROTOCOL);
        xmlrpc_free(maps[c]);
        maps[c] = right;
    }
    for (int c = 0; c < XENAPI_CLASSES; c++)
        xmlrpc_free(maps[c]);
}

static void refs_that_point_nowhere_are_known(void **state)
{
    (void)state;
    assert_true(xenapi_call_is_null("OpaqueRef:NULL"));
    assert_true(xenapi_call_is_null(""));
    assert_true(xenapi_call_is_null("Ref:12"));
    assert_true(xenapi_call_is_null(NULL));
    assert_false(xenapi_call_is_null("OpaqueRef:7c0f0a6e"));
}

static void answers_or_no_memory(void **state)
{
    struct xenapi_rpc_failure f;
    struct xmlrpc *v;
    struct err err;

    (void)state;
    for (unsigned n = 1; alloc_fail_round(n); n++) {
        enum err_code rc = answer(n & 1 ? slave : success, &v, &f, &err);

        if (rc != ERR_OK)
            assert_int_equal(rc, ERR_NOMEM);
        else
            assert_true((v != NULL) != (f.list != NULL));
        alloc_fail_off();
        xmlrpc_free(v);
        xenapi_rpc_failure_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_xapi_are_read),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(a_request_is_spelt_as_xapi_reads_it),
        cmocka_unit_test(failures_are_sorted_by_what_to_do),
        cmocka_unit_test(a_session_is_named_in_no_error),
        cmocka_unit_test(hosts_are_split),
        cmocka_unit_test(a_member_is_reached_as_its_uuid_says),
        cmocka_unit_test(records_that_make_no_sense_do_no_harm),
        cmocka_unit_test(refs_that_point_nowhere_are_known),
        cmocka_unit_test(answers_or_no_memory),
    };

    xml_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
