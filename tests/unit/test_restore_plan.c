/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/parse.h"
#include "base/xml.h"
#include "gateway/restore_plan.h"

#define ROOT_SR "66666666-0000-4000-8000-000000000001"
#define VM_UUID "11111111-0000-4000-8000-0000000000aa"

/* The pool that the tests restore to. */
static struct xenapi_sr srs[] = {
    {.ref = "OpaqueRef:1", .uuid = "aaaaaaaa-0000-4000-8000-000000000001",
     .name = "fast", .type = "ext", .content_type = "user", .attached = true,
     .size = 100 * GIB},
    {.ref = "OpaqueRef:2", .uuid = "aaaaaaaa-0000-4000-8000-000000000002",
     .name = "thick", .type = "lvm", .content_type = "user", .attached = true,
     .thick = true, .size = GIB},
    {.ref = "OpaqueRef:3", .uuid = "aaaaaaaa-0000-4000-8000-000000000003",
     .name = "twin", .type = "ext", .content_type = "user", .attached = true,
     .size = 100 * GIB},
    {.ref = "OpaqueRef:4", .uuid = "aaaaaaaa-0000-4000-8000-000000000004",
     .name = "twin", .type = "ext", .content_type = "user", .attached = true,
     .size = 100 * GIB},
};
static struct xenapi_network networks[] = {
    {.ref = "OpaqueRef:5", .uuid = "bbbbbbbb-0000-4000-8000-000000000001",
     .name = "eth0", .bridge = "xenbr0", .mtu = 1500},
};
static struct xenapi_nic taken = {.mac = "02:00:00:00:00:0A"};
static struct xenapi_vm vms[] = {
    {.ref = "OpaqueRef:6", .uuid = VM_UUID, .name = "squatter",
     .nics = &taken, .nic_count = 1},
};
static struct xenapi_host hosts[] = {
    {.coordinator = true, .xapi_major = 1, .xapi_minor = 20},
};

static struct xenapi_inventory target(void)
{
    const struct xenapi_inventory inv = {
        .pool_ref = "OpaqueRef:0", .pool_uuid = "", .pool_name = "rome",
        .default_sr = "OpaqueRef:NULL", .hosts = hosts, .host_count = 1,
        .srs = srs, .sr_count = 4, .networks = networks, .network_count = 1,
        .vms = vms, .vm_count = 1,
    };

    return inv;
}

static const char *long_name; /* for the network of NIC 2; NULL: its own */

static void lengthen(char *text, size_t size, size_t *len)
{
    static const char own[] = "Pool-wide network";
    char *at = memmem(text, *len, own, sizeof(own) - 1);
    size_t n = strlen(long_name), rest;

    assert_non_null(at);
    rest = *len - (size_t)(at - text) - (sizeof(own) - 1);
    assert_true(*len + n < size);
    memmove(at + n, at + sizeof(own) - 1, rest);
    memcpy(at, long_name, n);
    *len += n - (sizeof(own) - 1);
}

static struct ova *load_ova(void)
{
    FILE *f = fopen(CAIRN_TEST_DATA "/image/ova.xml", "rb");
    static char text[1 << 18];
    struct ova *ova = NULL;
    struct err err;
    size_t len;

    assert_non_null(f);
    len = fread(text, 1, sizeof(text), f);
    fclose(f);
    if (long_name)
        lengthen(text, sizeof(text), &len);
    assert_int_equal(ova_parse(text, len, &ova, &err), ERR_OK);
    return ova;
}

static enum err_code plan(const char *params, struct restore_plan *out,
                          struct err *err)
{
    const struct xenapi_inventory inv = target();
    struct ova *ova = load_ova();
    struct json *json = NULL;
    const struct restore_plan_opts o = {
        .ova = ova,
        .target = &inv,
        .vm_uuid = VM_UUID,
        .params = json,
        .data_bytes = GIB,
    };
    struct restore_plan_opts with = o;
    enum err_code rc;

    assert_int_equal(json_parse(params, strlen(params), &json, err), ERR_OK);
    with.params = json;
    rc = restore_plan_make(&with, out, err);
    json_free(json);
    if (rc == ERR_OK) {
        /* What the caller looks at is in tables of this file. */
        out->name = NULL;
        restore_plan_fini(out);
    }
    ova_free(ova);
    return rc;
}

/* Each row is one refusal, and what its sentence must say. */
static const struct {
    const char *params;
    enum err_code code;
    const char *says[3];
} refusals[] = {
    {"{}", ERR_QUOTA, {"disk ", "--sr", "'fast'"}},
    {"{}", ERR_QUOTA,
     {"SR 'fast' of disk 0,", "SR 'slow' of disk 1,",
      "map with --sr (choices"}},
    {"{}", ERR_QUOTA,
     {"network 'Pool-wide network' of NIC 2,",
      "network 'storage' of NIC 10:", "--network 2="}},
    {"{\"sr\":{\"*\":\"fast\"}}", ERR_QUOTA,
     {"NIC 2", "--network 2=", "'eth0'"}},
    {"{\"sr\":{\"*\":\"nowhere\"},\"network\":{\"*\":\"eth0\"}}",
     ERR_NOT_FOUND, {"no SR 'nowhere'", "'fast'", "rome"}},
    {"{\"sr\":{\"*\":\"twin\"},\"network\":{\"*\":\"eth0\"}}", ERR_CONFLICT,
     {"2 SRs named 'twin'", "uuid", "rome"}},
    {"{\"sr\":{\"*\":\"fast\"},\"network\":{\"*\":\"dmz\"}}", ERR_NOT_FOUND,
     {"no network 'dmz'", "'eth0'", "rome"}},
    {"{\"sr\":{\"*\":\"fast\",\"9\":\"fast\"},\"network\":{\"*\":\"eth0\"}}",
     ERR_NOT_FOUND, {"no disk 9", "", ""}},
    {"{\"sr\":{\"*\":\"fast\"},\"network\":{\"7\":\"eth0\"}}", ERR_NOT_FOUND,
     {"no NIC 7", "", ""}},
    {"{\"sr\":{\"1\":\"fast\",\"*\":\"aaaaaaaa-0000-4000-8000-000000000003\"},"
     "\"network\":{\"*\":\"eth0\"}}", ERR_QUOTA, {"two SRs", "fast", "twin"}},
    {"{\"sr\":{\"*\":\"thick\"},\"network\":{\"*\":\"eth0\"}}", ERR_QUOTA,
     {"'thick'", "free", "full size"}},
    {"{\"sr\":{\"*\":\"fast\"},\"network\":{\"*\":\"eth0\"},\"mac\":\"keep\"}",
     ERR_CONFLICT, {"02:00:00:00:00:0a", "squatter", "--mac new"}},
    {"{\"sr\":{\"*\":\"fast\"},\"network\":{\"*\":\"eth0\"},\"uuid\":\"keep\"}",
     ERR_CONFLICT, {VM_UUID, "squatter", "--uuid new"}},
};

static void what_is_not_mapped_is_refused_with_the_choices(void **state)
{
    struct restore_plan out;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (plan(refusals[i].params, &out, &err) != refusals[i].code)
            fail_msg("%s: %s", refusals[i].params, err.text);
        for (size_t k = 0; k < 3; k++)
            if (!strstr(err.text, refusals[i].says[k]))
                fail_msg("'%s' lacks '%s'", err.text, refusals[i].says[k]);
    }
}

static void a_long_name_leaves_room_for_the_rest(void **state)
{
    struct restore_plan out;
    char name[901] = "";
    struct err err;

    (void)state;
    for (size_t i = 0; i < 900; i += 3)
        memcpy(name + i, "\xe5\x82\x99", 4);
    long_name = name;
    assert_int_equal(plan("{}", &out, &err), ERR_QUOTA);
    long_name = NULL;
    assert_true(parse_utf8(err.text, strlen(err.text)));
    assert_non_null(strstr(err.text, "\x99' of NIC 2,"));
    assert_non_null(strstr(err.text, "network 'storage' of NIC 10:"));
    assert_non_null(strstr(err.text, "none (choices: 'eth0')"));
}

static void a_full_mapping_is_taken(void **state)
{
    struct restore_plan out;
    struct err err = {0};

    (void)state;
    if (plan("{\"sr\":{\"*\":\"fast\"},\"network\":{\"2\":\"eth0\","
             "\"10\":\"none\"},\"start\":true}", &out, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_ptr_equal(out.sr, &srs[0]);
    assert_true(out.start);
    assert_false(out.keep_mac || out.keep_uuid || out.dry_run);
}

/* The same uuid on the target needs no word of the user's. */
static void the_same_sr_and_network_map_themselves(void **state)
{
    struct restore_plan out;
    struct err err = {0};
    const char *sr = srs[0].uuid, *network = networks[0].uuid;

    (void)state;
    networks[0].uuid = "44444444-0000-4000-8000-000000000001";
    srs[0].uuid = ROOT_SR;
    assert_int_equal(plan("{\"sr\":{\"1\":\"" ROOT_SR "\"},"
                          "\"network\":{\"10\":\"none\"}}", &out, &err),
                     ERR_OK);
    assert_ptr_equal(out.sr, &srs[0]);
    srs[0].uuid = sr;
    networks[0].uuid = network;
}

static void an_older_pool_refuses_a_newer_export(void **state)
{
    struct restore_plan out;
    struct err err;

    (void)state;
    hosts[0].xapi_minor = 19;
    assert_int_equal(plan("{\"sr\":{\"*\":\"fast\"},"
                          "\"network\":{\"*\":\"eth0\"}}", &out, &err),
                     ERR_CONFLICT);
    hosts[0].xapi_minor = 20;
    assert_non_null(strstr(err.text, "1.20"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_mapped_is_refused_with_the_choices),
        cmocka_unit_test(a_long_name_leaves_room_for_the_rest),
        cmocka_unit_test(a_full_mapping_is_taken),
        cmocka_unit_test(the_same_sr_and_network_map_themselves),
        cmocka_unit_test(an_older_pool_refuses_a_newer_export),
    };

    xml_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
