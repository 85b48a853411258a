/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_post.h - one XML-RPC request to one host, and its answer. Used
 * inside this room. One loop's thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_POST_H
#define CAIRN_XENAPI_XENAPI_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/xmlrpc.h"
#include "loop/lane.h"
#include "net/http_client.h"
#include "xenapi/xenapi_route.h"
#include "xenapi/xenapi_rpc.h"

/* A pool of a thousand VMs answers VM.get_all_records with about 10 MB. */
#define XENAPI_POST_ANSWER_MAX ((size_t)64 << 20)

struct xenapi_post;

struct xenapi_post_opts {
    struct loop *loop;
    struct http_client *client;
    struct lane *lane;                /* NULL: parse on the loop */
    const struct xenapi_place *place; /* copied */
    struct buf *request;    /* taken (and wiped): the buffer is empty then */
    bool once;              /* must not be done twice: not on a connection that
                               was idle for 2 s */
    uint64_t connect_ms, answer_ms;
    /*
     * Once, later. ERR_OK: `value`, or `failure` when the pool said no. unsent:
     * the request certainly did not reach the pool. value and failure->list
     * are the callee's to free.
     */
    void (*done)(void *ctx, const struct err *err, bool unsent,
                 struct xenapi_rpc_failure *failure, struct xmlrpc *value);
    void *ctx;
};

/* On failure the request is left alone. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_post_start(const struct xenapi_post_opts *opts,
                                struct xenapi_post **out, struct err *err);
/* done() gets ERR_CANCELLED. */
void xenapi_post_cancel(struct xenapi_post *p);

#endif
