/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_upload.h - multipart uploads: create -> parts (any order, several at
 * once) -> complete, or abort.
 *
 * On its client's loop. A failed complete may be repeated, or aborted; after a
 * successful one, and after an abort, the upload is gone when done() returns.
 * A key is written by nobody else while we do: uploads that a create has made
 * beside the one that we know, because an answer was lost, are looked for and
 * aborted before created() is called.
 */
#ifndef CAIRN_S3_S3_UPLOAD_H
#define CAIRN_S3_S3_UPLOAD_H

#include "s3/s3_object.h"

#define S3_UPLOAD_PARTS_MAX 10000

struct s3_upload;
struct s3_upload_op;

struct s3_upload_opts {
    const char *key;
    struct s3_object_write write; /* if_absent is not sent: nobody needs it */
    /* The upload is ready, or NULL and why. */
    void (*created)(void *ctx, const struct err *err, struct s3_upload *up);
    void *ctx;
};

enum err_code s3_upload_create(struct s3_client *c,
                               const struct s3_upload_opts *opts,
                               struct s3_upload_op **out, struct err *err);

/* The server's name for it. */
const char *s3_upload_id(const struct s3_upload *up);
struct s3_client *s3_upload_client(const struct s3_upload *up);
const char *s3_upload_key(const struct s3_upload *up);

struct s3_upload_part_opts {
    unsigned number;          /* 1 to 10,000 */
    const struct slice *body; /* the array is copied, bytes borrowed to done()*/
    size_t slices;
    const uint8_t *sha256; /* or NULL */
    s3_object_done_fn *done;
    void *ctx;
};

/* S3: 5 MiB to 5 GiB but for the last. A part sent again replaces the former.
 */
enum err_code s3_upload_part(struct s3_upload *up,
                             const struct s3_upload_part_opts *opts,
                             struct s3_upload_op **out, struct err *err);

/*
 * All parts from 1 on must be there and none under way (ERR_ARGUMENT). Where
 * the answer leaves a doubt - it was lost, the server no longer knows the
 * upload, a 200 without its document - the object is looked at: of the right
 * size, it is ours. info->bytes is the sum of the parts; info->etag stays
 * empty, since servers answer nonsense there.
 */
enum err_code s3_upload_complete(struct s3_upload *up, s3_object_done_fn *done,
                                 void *ctx, struct s3_upload_op **out,
                                 struct err *err);

/* How long an abort is tried: who gives up does not wait for a store that is
 * gone, and what stays open is looked after later. */
#define S3_UPLOAD_ABORT_MS 15000

/* Cancels parts under way, waits for them, aborts, and where a part's fate is
 * unknown makes sure that nothing stayed. */
enum err_code s3_upload_abort(struct s3_upload *up, s3_object_done_fn *done,
                              void *ctx, struct s3_upload_op **out,
                              struct err *err);

/* Abort by name; that there is no such upload is no error. The id "": all that
 * are open under this key. */
enum err_code s3_upload_abort_by_id(struct s3_client *c, const char *key,
                                    const char *id, s3_object_done_fn *done,
                                    void *ctx, struct s3_upload_op **out,
                                    struct err *err);

/* done() (or created()) gets ERR_CANCELLED later, or the result if that came
 * first. A create under way is waited for, so that what it makes can be
 * aborted, unless it is cancelled again. Of an abort that is cancelled nobody
 * knows what came: it is to be done again, by name. */
void s3_upload_cancel(struct s3_upload_op *op);

#endif
