/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_transfer.h - the bytes of an export or import, on a data loop.
 *
 * A transfer uses a ticket and nothing of the session. It follows redirects to
 * known members of the pool, with their trust, and turns what can go wrong in
 * HTTP into sentences. It does not judge: whether an export is whole says its
 * format (image/xva_read.h) together with its task (xenapi/xenapi_export.h).
 * One thread: that of the client's loop.
 */
#ifndef CAIRN_XENAPI_XENAPI_TRANSFER_H
#define CAIRN_XENAPI_XENAPI_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/http_client.h"
#include "xenapi/xenapi_ticket.h"

struct xenapi_transfer;

/*
 * Once per started transfer, never from inside a call into this room. ERR_OK:
 * download: an answer 200 came and its body ended; upload: the host said 200
 * and took the whole body: what it made of it says the task. Else ERR_UNREACHABLE, ERR_TIMEOUT, ERR_IO, ERR_DENIED (401,
 * 403; detail is the status), ERR_REMOTE (the host's own words), ERR_PROTOCOL
 * (a redirect to a stranger), ERR_CANCELLED, ERR_NOMEM. detail
 * XENAPI_TRANSFER_UNHEARD: the host has said nothing, and was given nothing of
 * a body, so that all of it may be done again, with a new ticket; with
 * ERR_UNREACHABLE it was given nothing at all. bytes: of the body that came or
 * went.
 */
#define XENAPI_TRANSFER_UNHEARD 9999 /* neither an errno nor a status */

typedef void xenapi_transfer_done_fn(void *ctx, const struct err *err,
                                     uint64_t bytes);

struct xenapi_transfer_opts {
    struct loop *loop;           /* that of the client */
    struct http_client *client;  /* of a data loop */
    struct xenapi_ticket *ticket; /* held */
    /* Download: as http_transfer_opts.on_body. */
    bool (*on_body)(void *ctx, const uint8_t *data, size_t len);
    /* Upload: as http_transfer_opts.pull; exactly body_bytes are sent. */
    long (*pull)(void *ctx, uint8_t *into, size_t max);
    uint64_t body_bytes;
    xenapi_transfer_done_fn *done;
    void *ctx;
};

/* One of on_body and pull is set, as the ticket says. ERR_ARGUMENT,
 * ERR_NOMEM. */
enum err_code xenapi_transfer_start(const struct xenapi_transfer_opts *opts,
                                    struct xenapi_transfer **out,
                                    struct err *err);

/* After on_body() said false or pull() said HTTP_PULL_WAIT. Never from inside
 * a callback of the same transfer. */
void xenapi_transfer_resume(struct xenapi_transfer *t);

/* done() gets ERR_CANCELLED in a later turn; the connection is closed. */
void xenapi_transfer_cancel(struct xenapi_transfer *t);

#endif
