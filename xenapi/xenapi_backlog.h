/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_backlog.h - disks of an SR that wait to be coalesced.
 *
 * Each removed snapshot leaves a hidden base copy behind, which the SR merges
 * with its only child when it comes to that; backups that outrun it make chains
 * longer until the SR refuses snapshots. What waits is a hidden disk whose only
 * child is hidden as well. A hidden disk below a live one alone is not counted:
 * some SRs never merge the last two.
 */
#ifndef CAIRN_XENAPI_XENAPI_BACKLOG_H
#define CAIRN_XENAPI_XENAPI_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/xmlrpc.h"
#include "xenapi/xenapi_call.h"
#include "xenapi/xenapi_session.h"

/* Call waits() for each such disk among these VDI records (by ref). False: no
 * memory, none was told. Any thread. */
bool xenapi_backlog_each(const struct xmlrpc *vdis,
                         void (*waits)(void *ctx, const struct xmlrpc *vdi),
                         void *ctx);

/* Once, later; disks: how many wait. Errors as of xenapi_call_done_fn. */
typedef void xenapi_backlog_done_fn(void *ctx, const struct err *err,
                                    size_t disks);

struct xenapi_backlog;

/* Ask the pool about one SR. The session's thread. ERR_ARGUMENT (the ref),
 * ERR_NOMEM, ERR_AGAIN: done() does not come. */
enum err_code xenapi_backlog_start(struct xenapi_session *s, const char *sr_ref,
                                   xenapi_backlog_done_fn *done, void *ctx,
                                   struct xenapi_backlog **out,
                                   struct err *err);
/* done() gets ERR_CANCELLED. */
void xenapi_backlog_cancel(struct xenapi_backlog *b);

#endif
