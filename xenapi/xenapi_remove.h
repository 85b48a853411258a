/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_remove.h - takes a VM away with its disks; see
 * xenapi/xenapi_vm.h, through which other rooms ask for it. The session's
 * thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_REMOVE_H
#define CAIRN_XENAPI_XENAPI_REMOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "xenapi/xenapi_session.h"

struct xenapi_remove;

struct xenapi_remove_opts {
    const char *ref;
    bool snapshot;
    const char *guard_key, *guard_value;
    uint64_t patience_ms; /* 0: that of the session for a host that boots */
    void (*done)(void *ctx, const struct err *err);
    void *ctx;
};

/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_remove_start(struct xenapi_session *s,
                                  const struct xenapi_remove_opts *opts,
                                  struct xenapi_remove **out, struct err *err);
void xenapi_remove_cancel(struct xenapi_remove *r);

#endif
