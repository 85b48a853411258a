/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/flow/pool_rig.h - a session with a simulated pool on this thread's
 * loop, and ways to wait for what comes later.
 */
#ifndef CAIRN_TESTS_POOL_RIG_H
#define CAIRN_TESTS_POOL_RIG_H

#include <stdbool.h>

#include "loop/loop.h"
#include "loop/timer.h"
#include "net/http_client.h"
#include "sim_rig.h"
#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_inventory.h"
#include "xenapi/xenapi_session.h"

struct pool_rig {
    struct sim sim;
    struct loop *loop;
    struct http_client *client;
    struct xenapi_session *session;
    struct timer watchdog;
    bool closed;
};

/* Starts xensim with these pools; opens no session. */
void pool_rig_open(struct pool_rig *r, const char *pools);
void pool_rig_close(struct pool_rig *r);
/* A client without any kept connection; ends the session. */
void pool_rig_new_client(struct pool_rig *r);

/* What a session with pool 0 is opened with: all hosts pinned, short waits. May
 * be changed before pool_rig_login(). The strings live in the rig. */
struct pool_rig_opts {
    struct xenapi_session_opts session;
    struct xenapi_peer peers[8];
    char host[64];
};
void pool_rig_opts(struct pool_rig *r, struct pool_rig_opts *o);
void pool_rig_opts_fini(struct pool_rig_opts *o);
/* Opens a session; nothing is sent yet. NULL: the usual options. */
void pool_rig_session(struct pool_rig *r, struct pool_rig_opts *o);
/* Closes it and waits. */
void pool_rig_end_session(struct pool_rig *r);

/* cmocka's fixtures of one test: a pool without faults and a session, the usual
 * one. The group's setup has set *state to the rig. */
int pool_rig_before(void **state);
int pool_rig_after(void **state);

/* Run the loop until *count reaches n; fails the test after a minute. */
void pool_rig_wait(struct pool_rig *r, const unsigned *count, unsigned n);
/* To be called when a count was raised. */
void pool_rig_wake(struct pool_rig *r);
/* Run the loop for so long. */
void pool_rig_run_ms(struct pool_rig *r, uint64_t ms);

/* An outcome that is waited for. */
struct pool_rig_end {
    struct pool_rig *rig;
    unsigned done;
    struct err err;
    char code[80];   /* of the pool's failure */
    char text[200];  /* of a scalar value */
    struct xmlrpc *value;
    struct xenapi_inventory *inventory;
    size_t count;
};
void pool_rig_end_init(struct pool_rig *r, struct pool_rig_end *e);
void pool_rig_end_fini(struct pool_rig_end *e);
/* For done of calls, of operations, of inventories. */
void pool_rig_on_call(void *ctx, const struct err *err,
                      const struct xenapi_rpc_failure *failure,
                      struct xmlrpc *value);
void pool_rig_on_done(void *ctx, const struct err *err);
void pool_rig_on_inventory(void *ctx, const struct err *err,
                           struct xenapi_inventory *inventory);
void pool_rig_on_count(void *ctx, const struct err *err, size_t count);

/* Make a call and wait. params as of xenapi_call_params(), taken. */
void pool_rig_call(struct pool_rig *r, struct pool_rig_end *e,
                   const char *method, struct xmlrpc *params, bool async);
/* One that reads, of VM "web"; the second fails the test if it fails. */
void pool_rig_ask(struct pool_rig *r, struct pool_rig_end *e);
void pool_rig_expect(struct pool_rig *r);
/* Everything, or one VM by its uuid. */
void pool_rig_inventory(struct pool_rig *r, struct pool_rig_end *e,
                        const char *uuid);
/* UUID of a VM of pool 0 by its name in the pool file. */
const char *pool_rig_vm(const struct pool_rig *r, const char *name);
/* Its ref, as the simulator tells; to free(). */
char *pool_rig_ref(struct pool_rig *r, const char *name);

#endif
