/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "xenapi/xenapi_backlog.h"

/* Each row is an SR; upper-case disks are hidden, "Ab" is disk A below b. A
 * hidden disk waits when its only child is hidden: what an SR's own coalescing
 * merges, and what Xen Orchestra calls an unhealthy chain. */
static const struct {
    const char *why;
    const char *disks[12]; /* name and parent, "-": none */
    const char *waiting;
} rows[] = {
    {"disks without snapshots", {"a-", "b-"}, ""},
    {"a snapshot and its live disk share a base", {"A-", "bA", "cA"}, ""},
    {"the last two may stay for ever", {"A-", "bA"}, ""},
    {"a chain of two hidden ones", {"A-", "BA", "cB"}, "A"},
    {"a new snapshot does not hinder older ones", {"A-", "BA", "cB", "dB"},
     "A"},
    {"each link of a long chain", {"A-", "BA", "CB", "DC", "eD"}, "ABC"},
    {"a person's snapshot keeps the base", {"A-", "sA", "BA", "cB"}, ""},
    {"a hidden sibling keeps it, too", {"A-", "BA", "CA", "dB", "eC"}, ""},
    {"a parent that is not told of", {"BZ", "cB"}, ""},
    {"a hidden disk that nobody needs is no chain", {"A-"}, ""},
    {"its own parent", {"AA"}, "A"},
};

static struct xmlrpc *vdi(const char *disk)
{
    struct xmlrpc *r = xmlrpc_new_struct(), *sm = xmlrpc_new_struct();
    char uuid[2] = {disk[0], 0}, parent[2] = {disk[1], 0};

    if (*parent != '-')
        assert_true(xmlrpc_set_text(sm, "vhd-parent", parent));
    assert_true(xmlrpc_set_text(r, "uuid", uuid));
    assert_true(xmlrpc_set(r, "managed",
                           xmlrpc_new_bool(*uuid >= 'a' && *uuid <= 'z')));
    assert_true(xmlrpc_set(r, "sm_config", sm));
    return r;
}

static void on_waiting(void *ctx, const struct xmlrpc *record)
{
    char *out = ctx;
    size_t n = strlen(out);

    out[n] = xmlrpc_get_text(record, "uuid")[0];
    out[n + 1] = 0;
}

static void a_hidden_disk_with_one_hidden_child_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct xmlrpc *all = xmlrpc_new_struct();
        char waiting[16] = "";

        for (size_t k = 0; k < 12 && rows[i].disks[k]; k++) {
            char ref[32];

            snprintf(ref, sizeof(ref), "OpaqueRef:%zu", 12 - k);
            assert_true(xmlrpc_set(all, ref, vdi(rows[i].disks[k])));
        }
        assert_true(xenapi_backlog_each(all, on_waiting, waiting));
        if (strcmp(waiting, rows[i].waiting) != 0)
            fail_msg("%s: wanted '%s', got '%s'", rows[i].why, rows[i].waiting,
                     waiting);
        xmlrpc_free(all);
    }
}

/* What is no map of records, and records without what is looked for. */
static void odd_records_count_nothing(void **state)
{
    struct xmlrpc *all = xmlrpc_new_struct();
    char waiting[16] = "";

    (void)state;
    assert_true(xenapi_backlog_each(NULL, on_waiting, waiting));
    assert_true(xmlrpc_set(all, "OpaqueRef:1", xmlrpc_new_text("x")));
    assert_true(xmlrpc_set(all, "OpaqueRef:2", xmlrpc_new_struct()));
    assert_true(xenapi_backlog_each(all, on_waiting, waiting));
    assert_string_equal(waiting, "");
    xmlrpc_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hidden_disk_with_one_hidden_child_waits),
        cmocka_unit_test(odd_records_count_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
