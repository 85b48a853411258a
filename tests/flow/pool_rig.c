/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WATCHDOG_MS 60000

void pool_rig_open(struct pool_rig *r, const char *pools)
{
    struct err err = {0};

    memset(r, 0, sizeof(*r));
    sim_start(&r->sim, pools);
    assert_int_equal(loop_new("test", NULL, &r->loop, &err), ERR_OK);
    assert_int_equal(http_client_new(r->loop, 32, &r->client, &err), ERR_OK);
}

void pool_rig_close(struct pool_rig *r)
{
    pool_rig_end_session(r);
    pool_rig_run_ms(r, 1); /* what was freed in this turn is closed */
    http_client_free(r->client);
    loop_free(r->loop);
    sim_stop(&r->sim);
}

void pool_rig_new_client(struct pool_rig *r)
{
    struct err err = {0};

    pool_rig_end_session(r);
    pool_rig_run_ms(r, 1);
    http_client_free(r->client);
    assert_int_equal(http_client_new(r->loop, 32, &r->client, &err), ERR_OK);
}

void pool_rig_opts(struct pool_rig *r, struct pool_rig_opts *o)
{
    const struct json *hosts = json_get(sim_pool(&r->sim, 0), "hosts");
    struct err err = {0};
    uint8_t sha256[32];

    memset(o, 0, sizeof(*o));
    snprintf(o->host, sizeof(o->host), "%s:%d",
             sim_host(&r->sim, 0, 0, "address"),
             (int)sim_host_port(&r->sim, 0, 0));
    for (size_t i = 0; i < json_count(hosts); i++) {
        o->peers[i].uuid = sim_host(&r->sim, 0, i, "uuid");
        o->peers[i].address = sim_host(&r->sim, 0, i, "address");
        assert_true(http_trust_parse_pin(sim_host(&r->sim, 0, i, "fingerprint"),
                                         sha256));
        assert_int_equal(http_trust_pin(sha256, &o->peers[i].trust, &err),
                         ERR_OK);
    }
    o->session = (struct xenapi_session_opts){
        .loop = r->loop,
        .client = r->client,
        .name = "paris",
        .originator = "cairn/test",
        .host = o->host,
        .user = "root",
        .password = "secret",
        .peers = o->peers,
        .peer_count = json_count(hosts),
        .timing =
            {
                .connect = 3000,
                .answer = 5000,
                .booting = 600,
                .retry = 30,
                .event = 1000,
                .poll = 10000,
                .verdict = 3000,
                .import_verdict = 10000,
                .first_byte = 2000,
                .stall = 1000,
            },
    };
}

void pool_rig_opts_fini(struct pool_rig_opts *o)
{
    for (size_t i = 0; i < sizeof(o->peers) / sizeof(o->peers[0]); i++)
        http_trust_drop(o->peers[i].trust);
}

void pool_rig_session(struct pool_rig *r, struct pool_rig_opts *o)
{
    struct pool_rig_opts usual;
    struct err err = {0};

    pool_rig_end_session(r);
    if (!o)
        pool_rig_opts(r, &usual);
    if (xenapi_session_new(o ? &o->session : &usual.session, &r->session,
                           &err) != ERR_OK)
        fail_msg("%s", err.text);
    r->closed = false;
    if (!o)
        pool_rig_opts_fini(&usual);
}

static void on_closed(void *ctx)
{
    struct pool_rig *r = ctx;

    r->closed = true;
    pool_rig_wake(r);
}

static void on_watchdog(struct timer *t)
{
    struct pool_rig *r =
        (struct pool_rig *)((char *)t - offsetof(struct pool_rig, watchdog));

    loop_stop(r->loop);
}

void pool_rig_end_session(struct pool_rig *r)
{
    if (!r->session)
        return;
    xenapi_session_close(r->session, on_closed, r);
    r->session = NULL;
    timer_start(r->loop, &r->watchdog, WATCHDOG_MS, on_watchdog);
    while (!r->closed && timer_is_armed(&r->watchdog))
        loop_run(r->loop);
    timer_stop(&r->watchdog);
    assert_true(r->closed);
}

int pool_rig_before(void **state)
{
    struct pool_rig *r = *state;

    sim_reset(&r->sim);
    pool_rig_session(r, NULL);
    return 0;
}

int pool_rig_after(void **state)
{
    pool_rig_end_session(*state);
    return 0;
}

void pool_rig_wake(struct pool_rig *r)
{
    loop_stop(r->loop);
}

void pool_rig_wait(struct pool_rig *r, const unsigned *count, unsigned n)
{
    timer_start(r->loop, &r->watchdog, WATCHDOG_MS, on_watchdog);
    while (*count < n && timer_is_armed(&r->watchdog))
        loop_run(r->loop);
    timer_stop(&r->watchdog);
    if (*count < n)
        fail_msg("waited in vain");
    assert_int_equal(*count, n);
}

void pool_rig_run_ms(struct pool_rig *r, uint64_t ms)
{
    timer_start(r->loop, &r->watchdog, ms, on_watchdog);
    while (timer_is_armed(&r->watchdog))
        loop_run(r->loop);
}

void pool_rig_end_init(struct pool_rig *r, struct pool_rig_end *e)
{
    memset(e, 0, sizeof(*e));
    e->rig = r;
}

void pool_rig_end_fini(struct pool_rig_end *e)
{
    xmlrpc_free(e->value);
    xenapi_inventory_drop(e->inventory);
    pool_rig_end_init(e->rig, e);
}

void pool_rig_on_done(void *ctx, const struct err *err)
{
    struct pool_rig_end *e = ctx;

    assert_int_equal(e->done, 0);
    /* no error text may carry the session */
    assert_null(strstr(err->text, "session_id"));
    e->err = *err;
    e->done++;
    pool_rig_wake(e->rig);
}

void pool_rig_on_call(void *ctx, const struct err *err,
                      const struct xenapi_rpc_failure *failure,
                      struct xmlrpc *value)
{
    struct pool_rig_end *e = ctx;

    if (failure)
        snprintf(e->code, sizeof(e->code), "%s", failure->code);
    e->value = value;
    snprintf(e->text, sizeof(e->text), "%s", xmlrpc_text(value, ""));
    pool_rig_on_done(ctx, err);
}

void pool_rig_on_inventory(void *ctx, const struct err *err,
                           struct xenapi_inventory *inventory)
{
    struct pool_rig_end *e = ctx;

    e->inventory = inventory;
    assert_true((inventory != NULL) == (err->code == ERR_OK));
    pool_rig_on_done(ctx, err);
}

void pool_rig_on_count(void *ctx, const struct err *err, size_t count)
{
    struct pool_rig_end *e = ctx;

    e->count = count;
    pool_rig_on_done(ctx, err);
}

void pool_rig_call(struct pool_rig *r, struct pool_rig_end *e,
                   const char *method, struct xmlrpc *params, bool async)
{
    const struct xenapi_call_opts o = {
        .method = method,
        .params = params,
        .async = async,
        .done = pool_rig_on_call,
        .ctx = e,
    };
    struct err err = {0};

    pool_rig_end_init(r, e);
    if (xenapi_call_start(r->session, &o, NULL, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(e->done, 0);
    pool_rig_wait(r, &e->done, 1);
}

void pool_rig_inventory(struct pool_rig *r, struct pool_rig_end *e,
                        const char *uuid)
{
    const struct xenapi_inventory_opts o = {
        .vm_uuid = uuid, .done = pool_rig_on_inventory, .ctx = e};
    struct err err = {0};

    pool_rig_end_init(r, e);
    if (xenapi_inventory_start(r->session, &o, NULL, &err) != ERR_OK)
        fail_msg("%s", err.text);
    pool_rig_wait(r, &e->done, 1);
}

const char *pool_rig_vm(const struct pool_rig *r, const char *name)
{
    return json_text(json_get(json_get(sim_pool(&r->sim, 0), "vms"), name), "");
}

char *pool_rig_ref(struct pool_rig *r, const char *name)
{
    struct json *j = sim_call(&r->sim, "/sim/records?class=VM", NULL);
    char *found = NULL;

    for (size_t i = 0; i < json_count(j) && !found; i++) {
        const struct json *record = NULL;
        const char *ref = json_key_at(j, i, &record);

        if (strcmp(json_text(json_get(record, "uuid"), ""),
                   pool_rig_vm(r, name)) == 0)
            found = strdup(ref);
    }
    json_free(j);
    assert_non_null(found);
    return found;
}

void pool_rig_ask(struct pool_rig *r, struct pool_rig_end *e)
{
    pool_rig_call(r, e, "VM.get_by_uuid",
                  xenapi_call_params("s", pool_rig_vm(r, "web")), false);
}

void pool_rig_expect(struct pool_rig *r)
{
    struct pool_rig_end e;

    pool_rig_ask(r, &e);
    if (e.err.code != ERR_OK)
        fail_msg("%s", e.err.text);
    assert_memory_equal(e.text, "OpaqueRef:", 10);
    pool_rig_end_fini(&e);
}
