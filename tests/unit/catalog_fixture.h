/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/catalog_fixture.h - a catalog in memory (or at a path) with a
 * clock that stands still until it is moved. cmocka's headers come first.
 */
#ifndef CAIRN_TESTS_CATALOG_FIXTURE_H
#define CAIRN_TESTS_CATALOG_FIXTURE_H

#include <string.h>

#include "tenants/catalog.h"
#include "tenants/catalog_pool.h"
#include "tenants/catalog_tenant.h"
#include "tenants/catalog_vault.h"

struct fixture {
    struct catalog *c;
    struct seal_suite *suite;
    struct seal_key key;
    uint64_t now_ms;
    struct clock clock;
    struct err err;
};

static inline uint64_t fixture_now(void *ctx)
{
    return ((struct fixture *)ctx)->now_ms;
}

static inline void fixture_begin(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->now_ms = 1795162530000; /* 2026-11-20T08:15:30Z */
    f->clock.wall_ms = fixture_now;
    f->clock.mono_ms = fixture_now;
    f->clock.ctx = f;
    memset(f->key.b, 7, sizeof(f->key.b));
    assert_int_equal(seal_suite_new(&f->suite, &f->err), ERR_OK);
}

static inline enum err_code fixture_open(struct fixture *f, const char *path)
{
    struct catalog_opts opts = {.path = path,
                                .suite = f->suite,
                                .gateway_key = &f->key,
                                .clock = &f->clock};

    return catalog_open(&opts, &f->c, &f->err);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = test_malloc(sizeof(*f));

    fixture_begin(f);
    assert_int_equal(fixture_open(f, ":memory:"), ERR_OK);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    catalog_close(f->c);
    seal_suite_free(f->suite);
    test_free(f);
    return 0;
}

#define assert_ok(f, call)                                                     \
    do {                                                                       \
        if ((call) != ERR_OK)                                                  \
            fail_msg("%s: %s", err_name((f)->err.code), (f)->err.text);        \
    } while (0)

static inline int64_t fixture_tenant(struct fixture *f, const char *name)
{
    int64_t id = 0;

    assert_ok(f, catalog_tenant_add(f->c, name, "", &id, &f->err));
    return id;
}

static inline int64_t fixture_pool(struct fixture *f, const char *name)
{
    struct catalog_pool_host host = {
        .address = "10.0.0.1", .uuid = "", .name = "", .entry = true,
        .dial = ""};
    struct catalog_pool p = {.name = name, .user = "cairn", .ca_pem = "",
                             .pool_uuid = "", .hosts = &host,
                             .host_count = 1};
    int64_t id = 0;

    assert_ok(f, catalog_pool_add(f->c, &p, "s3cret", &id, &f->err));
    return id;
}

static inline int64_t fixture_vault(struct fixture *f, const char *tenant,
                                    const char *name)
{
    char url[128];
    struct catalog_vault v = {.tenant = tenant, .name = name, .url = url,
                              .endpoint = "", .region = "", .ca_pem = "",
                              .lock = "none"};
    int64_t id = 0;

    snprintf(url, sizeof(url), "file:///srv/%s/%s", tenant, name);
    assert_ok(f, catalog_vault_add(f->c, &v, "", &id, &f->err));
    return id;
}

#endif
