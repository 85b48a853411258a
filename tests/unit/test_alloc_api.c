/* SPDX-License-Identifier: Apache-2.0 */
/* The control API without memory: each of our allocations fails once, at the
 * client's side too; every call ends, nothing is left, and the next one with
 * enough memory is answered as ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "alloc_fail.h"
#include "tests/unit/api_rig.h"

/* One request; whether it was answered at all is not the question. */
static void ask_in_need(struct api_rig *r, const char *method,
                        const char *path, const char *body, unsigned n)
{
    const struct http_header headers[] = {{"Content-Type",
                                           "application/json"}};
    const struct slice piece = {(const uint8_t *)body,
                                body ? strlen(body) : 0};
    struct http_transfer_opts opts;
    char url[256];
    struct err err;

    snprintf(url, sizeof(url), "http://cairn/api/v1%s", path);
    r->call.rig = &r->net;
    r->call.done = 0;
    buf_clear(&r->call.body);
    opts = rig_opts(&r->call, method, url);
    opts.unix_path = r->socket;
    opts.headers = headers;
    opts.header_count = 1;
    opts.body = &piece;
    opts.body_slices = body ? 1 : 0;
    r->net.pending++;
    if (http_transfer_start(r->net.client, &opts, &r->call.transfer, &err) !=
        ERR_OK) {
        assert_int_equal(err.code, ERR_NOMEM);
        r->net.pending--;
        return;
    }
    rig_run(&r->net);
    if (!alloc_fail_happened() && r->call.err.code != ERR_OK)
        fail_msg("allocation %u: %s", n, r->call.err.text);
    if (r->call.err.code == ERR_OK && r->call.status >= 500 &&
        r->call.status != 503)
        fail_msg("%s %s, allocation %u: %d", method, path, n, r->call.status);
}

static void every_call_ends_without_memory(void **state)
{
    static const struct {
        const char *method, *path, *body;
    } rows[] = {
        {"GET", "/tenants", NULL},
        {"GET", "/vms?tenant=acme", NULL},
        {"GET", "/points?vm=acme-web", NULL},
        {"GET", "/nothing", NULL},
        {"POST", "/tenants", "{\"name\":1}"},
        {"POST", "/pools/east/test", NULL},
        {"POST", "/vaults/main/keys/test?tenant=acme",
         "{\"key_file\":\"k\"}"},
        {"POST", "/backups", "{\"vms\":[\"acme-web\"]}"},
        {"POST", "/restores",
         "{\"point\":\"" RIG_POINT "\",\"output\":\"xva\"}"},
    };
    struct api_rig_world *w = *state;
    struct api_rig *r = &w->rig;

    r->defaults = true;
    api_rig_point(r, w->acme_vault, RIG_POINT, RIG_VM_1, "acme-web", true);
    buf_init(&r->call.body, 1 << 20);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        for (unsigned n = 1; alloc_fail_round(n); n++) {
            ask_in_need(r, rows[i].method, rows[i].path, rows[i].body, n);
            alloc_fail_off();
            r->asked[0] = '\0';
            while (r->owed > 0 || catalog_call_pending(r->door) > 0)
                rig_run_ms(&r->net, 1);
            assert_true(n < 2000);
        }
        assert_int_equal(api_rig_ask(r, "GET", "/version", NULL, NULL), 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_ends_without_memory,
                                        api_rig_setup, api_rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
