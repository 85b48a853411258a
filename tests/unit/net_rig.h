/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/net_rig.h - a loop with a client on this thread, and calls whose
 * outcome is noted. Every outcome is checked for what must hold always: done()
 * once, not from inside, and no secret in its text.
 */
#ifndef CAIRN_TESTS_NET_RIG_H
#define CAIRN_TESTS_NET_RIG_H

#include "base/buf.h"
#include "loop/timer.h"
#include "net/http_client.h"
#include "net/http_server.h"

/* Stands in the query of every URL; must never be seen in an error. */
#define RIG_SECRET "session_id=OpaqueRef:0123-SECRET"

struct rig {
    struct loop *loop;
    struct http_client *client;
    unsigned pending;
    bool inside; /* a call into the client is being made */
    uint64_t turns;
    uv_prepare_t turn;
};

struct rig_call {
    struct rig *rig;
    struct http_transfer *transfer;
    unsigned done, heads;
    struct err err;
    int status;
    uint64_t received, sent, wire;
    int64_t length;
    char header[300]; /* of X-Test in the answer */
    struct buf body;
    /* Hooks of a test; each may be NULL. */
    bool (*on_piece)(struct rig_call *c, const uint8_t *data, size_t len);
    bool (*on_head)(struct rig_call *c, int status);
    void (*on_done)(struct rig_call *c);
    void *user;
};

void rig_open(struct rig *r, unsigned per_host);
/* Until all calls are done. */
void rig_run(struct rig *r);
/* Run till the timer fires or all calls are done. */
void rig_run_ms(struct rig *r, uint64_t ms);
void rig_close(struct rig *r);

struct http_transfer_opts rig_opts(struct rig_call *c, const char *method,
                                   const char *url);
/* Calls http_transfer_start() and counts; fails the test when it fails. */
void rig_start(struct rig *r, struct rig_call *c,
               const struct http_transfer_opts *opts);
void rig_cancel(struct rig_call *c);
void rig_resume(struct rig_call *c);
void rig_fini(struct rig_call *c);

/* "http://127.0.0.1:PORT/path?SECRET"; one of a few static buffers. */
const char *rig_url(const char *scheme, unsigned port, const char *path);

/* A copy of bytes, to be lent to a call; it is freed when it comes back. How
 * many are out. */
struct http_piece *rig_piece(const void *data, size_t len);
unsigned rig_pieces(void);

/* GET (or as said) and run to the end. */
void rig_get(struct rig *r, struct rig_call *c, const char *url);

#endif
