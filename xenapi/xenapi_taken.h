/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_taken.h - whether anything in a pool has one of these uuids:
 * also what an inventory leaves out, such as templates and vTPMs. The session's
 * thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_TAKEN_H
#define CAIRN_XENAPI_XENAPI_TAKEN_H

#include <stddef.h>

#include "base/err.h"
#include "xenapi/xenapi_session.h"

#define XENAPI_TAKEN_MAX 16

struct xenapi_taken_uuid {
    const char *class; /* "VM", "VTPM"; static */
    const char *uuid;  /* copied */
};

struct xenapi_taken;

/* Once, later. ERR_OK: none is in use (or the pool does not know the class);
 * ERR_CONFLICT: which one is; else how asking went wrong. */
typedef void xenapi_taken_done_fn(void *ctx, const struct err *err);

/* ERR_ARGUMENT (more than XENAPI_TAKEN_MAX, or no uuid), ERR_NOMEM, ERR_AGAIN:
 * done() does not come. */
enum err_code xenapi_taken_start(struct xenapi_session *s,
                                 const struct xenapi_taken_uuid *uuids,
                                 size_t count, xenapi_taken_done_fn *done,
                                 void *ctx, struct xenapi_taken **out,
                                 struct err *err);
/* done() gets ERR_CANCELLED. */
void xenapi_taken_cancel(struct xenapi_taken *t);

#endif
