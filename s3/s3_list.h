/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_list.h - the objects of a bucket, and its unfinished uploads, page
 * after page to the last.
 *
 * A page that does not go on where the one before ended is asked for again, and
 * ERR_PROTOCOL in the end, so that a listing ends, and ends in order; so is,
 * at once, one that leads on through over 1,000 pages in a row without a new
 * key. Nothing of a page is given out before all of it was looked at.
 */
#ifndef CAIRN_S3_S3_LIST_H
#define CAIRN_S3_S3_LIST_H

#include "s3/s3_object.h"

struct s3_list;

struct s3_list_opts {
    const char *prefix;      /* copied; "" */
    const char *start_after; /* a key; copied; NULL */
    uint64_t retry_ms;       /* as in s3_request_opts */
    unsigned page;           /* keys per page; 0: 1,000, which is the most */
    /* In rising order of keys (bytes); one of the two is set. False ends the
     * listing with ERR_CANCELLED. */
    bool (*on_object)(void *ctx, const struct s3_xml_object *o);
    bool (*on_upload)(void *ctx, const struct s3_xml_upload *u);
    s3_object_done_fn *done; /* ERR_OK: followed to its last page */
    void *ctx;
};

/* ListObjectsV2 with on_object, ListMultipartUploads with on_upload. */
enum err_code s3_list_start(struct s3_client *c,
                            const struct s3_list_opts *opts,
                            struct s3_list **out, struct err *err);

/* Also from inside the callbacks. done() gets ERR_CANCELLED later. */
void s3_list_cancel(struct s3_list *l);

#endif
