/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_exchange.h - what exports and imports have in common: a task
 * of ours, a ticket for the transfer, and the verdict of both. Used inside this
 * room; see xenapi/xenapi_export.h for the order of things. The session's
 * thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_EXCHANGE_H
#define CAIRN_XENAPI_XENAPI_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "xenapi/xenapi_session.h"
#include "xenapi/xenapi_ticket.h"

struct xenapi_exchange;

struct xenapi_exchange_opts {
    const char *label;
    const char *gateway, *job; /* for the task's mark; NULL: unmarked */
    const char *handler; /* "/export/"; a literal */
    const char *query;   /* "ref=...", encoded */
    bool upload;
    uint64_t verdict_ms; /* from the stream's end to the task's */
    void (*ready)(void *ctx, struct xenapi_ticket *ticket);
    void (*broken)(void *ctx, const struct err *err);
    void (*progress)(void *ctx, double fraction); /* NULL: unused */
    /* One of the two. vm_ref: what the task made; NULL on failure. */
    void (*exported)(void *ctx, const struct err *err);
    void (*imported)(void *ctx, const struct err *err, const char *vm_ref);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_exchange_start(struct xenapi_session *s,
                                    const struct xenapi_exchange_opts *opts,
                                    struct xenapi_exchange **out,
                                    struct err *err);
void xenapi_exchange_streamed(struct xenapi_exchange *x,
                              const struct err *stream);
void xenapi_exchange_cancel(struct xenapi_exchange *x);

/* Append text percent-encoded for a query. False: no room. */
bool xenapi_exchange_encode(char *out, size_t size, const char *text);

#endif
