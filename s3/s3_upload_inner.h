/* SPDX-License-Identifier: Apache-2.0 */
/* s3/s3_upload_inner.h - an upload as its two files see it. */
#ifndef CAIRN_S3_S3_UPLOAD_INNER_H
#define CAIRN_S3_S3_UPLOAD_INNER_H

#include "s3/s3_client_inner.h"
#include "s3/s3_upload.h"

enum upload_state { UPLOAD_OPEN, UPLOAD_COMPLETING, UPLOAD_ABORTING };

struct s3_upload {
    struct s3_client *client;
    enum upload_state state;
    struct s3_xml_part *parts; /* by number - 1; number 0: not there */
    size_t room;
    unsigned highest, present, busy;
    struct s3_upload_op *running; /* parts under way */
    struct s3_upload_op *abort;   /* waits for them */
    bool doubtful; /* a part may have arrived without our knowing */
    bool checksum;
    char id[S3_XML_ID_MAX];
    char key[S3_XML_KEY_MAX];
};

struct s3_upload_op {
    struct s3_client *client;
    struct s3_request *request;       /* NULL: none under way */
    struct s3_upload *up;             /* or NULL: by name only */
    struct s3_upload_op *next, *prev; /* of the parts under way */
    struct s3_object_info info;
    struct err err;
    struct buf document;
    struct slice body;
    unsigned number, tries;
    uint64_t bytes;
    bool is_abort, cancelled;
    void (*created)(void *ctx, const struct err *err, struct s3_upload *up);
    s3_object_done_fn *done;
    void *ctx;
    char *id, *key; /* of an operation by name */
};

/* NULL: ERR_NOMEM. */
struct s3_upload_op *s3_upload_op_new(struct s3_client *c, struct s3_upload *up,
                                      s3_object_done_fn *done, void *ctx,
                                      struct err *err);
void s3_upload_op_free(struct s3_upload_op *op);
void s3_upload_free(struct s3_upload *up);

#endif
