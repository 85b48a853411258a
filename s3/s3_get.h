/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_get.h - reads an object or a range of it, in order, each byte once.
 *
 * When the connection breaks it goes on where it was, with If-Match on the
 * ETag of the first answer, so that two objects are never mixed.
 */
#ifndef CAIRN_S3_S3_GET_H
#define CAIRN_S3_S3_GET_H

#include "s3/s3_object.h"

struct s3_get;

struct s3_get_opts {
    const char *key;
    uint64_t offset;
    uint64_t length;   /* 0: to the end */
    uint64_t from_end; /* not 0: the last so many; offset and length are 0 */
    /* First; info->bytes is the whole object's size. May be NULL. */
    void (*on_info)(void *ctx, const struct s3_object_info *info);
    /* A piece of at most 16 KiB: taken whole (true), or not at all, and
     * s3_get_resume() later. */
    bool (*on_data)(void *ctx, const uint8_t *data, size_t len);
    /* ERR_OK: every byte asked for was taken. ERR_PROTOCOL: the object has
     * nothing at that offset, or the server's ranges are wrong. ERR_CONFLICT:
     * it was replaced in the middle. */
    s3_object_done_fn *done;
    void *ctx;
};

enum err_code s3_get_start(struct s3_client *c, const struct s3_get_opts *opts,
                           struct s3_get **out, struct err *err);

/* After on_data() said false; never from inside it. */
void s3_get_resume(struct s3_get *g);

/* done() gets ERR_CANCELLED in a later turn. */
void s3_get_cancel(struct s3_get *g);

#endif
