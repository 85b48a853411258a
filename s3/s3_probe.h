/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_probe.h - what a server really does, found by trying it.
 *
 * It writes under a random name of its own, reads back, and removes what it
 * wrote - also after a failure, as far as the server lets it.
 */
#ifndef CAIRN_S3_S3_PROBE_H
#define CAIRN_S3_S3_PROBE_H

#include "s3/s3_object.h"

struct s3_probe_found {
    bool if_absent;      /* If-None-Match: * refuses and keeps the object */
    bool lists_at_once;  /* what was written stands in the next listing */
    bool lock_on_put;    /* retention sent with PUT is there afterwards */
    bool lock_on_create; /* ... with CreateMultipartUpload */
    bool lock_by_call;   /* ... by PutObjectRetention */
    bool versioned;
};

struct s3_probe_opts {
    const char *prefix;    /* copied; keys are <prefix><random>/... */
    const char *lock_mode; /* NULL: locks are not tried */
    /* ERR_OK: objects can be written, read, listed and removed, in one piece
     * and in parts. */
    void (*done)(void *ctx, const struct err *err,
                 const struct s3_probe_found *found);
    void *ctx;
};

struct s3_probe;

/* ERR_NOMEM, ERR_ARGUMENT: done() is never called. */
enum err_code s3_probe_start(struct s3_client *c,
                             const struct s3_probe_opts *opts,
                             struct s3_probe **out, struct err *err);

/* done() gets ERR_CANCELLED when what was written is removed. */
void s3_probe_cancel(struct s3_probe *p);

#endif
