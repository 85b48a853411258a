/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_parts.h - the parts that a server holds of an unfinished upload.
 */
#ifndef CAIRN_S3_S3_PARTS_H
#define CAIRN_S3_S3_PARTS_H

#include "s3/s3_object.h"

struct s3_parts;

struct s3_parts_opts {
    const char *key; /* copied */
    const char *id;  /* copied; of the upload */
    /* By number, page after page; false ends with ERR_CANCELLED. */
    bool (*on_part)(void *ctx, const struct s3_xml_part *p);
    s3_object_done_fn *done; /* ERR_NOT_FOUND: no such upload */
    void *ctx;
};

/* On the client's loop; done() once, later. ERR_ARGUMENT, ERR_NOMEM,
 * ERR_AGAIN. */
enum err_code s3_parts_start(struct s3_client *c,
                             const struct s3_parts_opts *opts,
                             struct s3_parts **out, struct err *err);

/* Not from inside on_part(). done() gets ERR_CANCELLED in a later turn. */
void s3_parts_cancel(struct s3_parts *l);

#endif
