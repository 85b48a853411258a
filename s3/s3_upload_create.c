/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload begins. A POST that is repeated makes one each time:
 *
 *   POST --answer--> created()
 *     | an answer was lost, or nobody wants it any more
 *     +--> list the uploads of this key, abort all but ours --> created()
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "s3/s3_stray.h"
#include "s3/s3_upload_inner.h"

static void finish_create(struct s3_upload_op *op)
{
    struct s3_upload *up = op->up;

    if (op->err.code != ERR_OK) {
        s3_upload_free(up);
        up = NULL;
    }
    op->created(op->ctx, &op->err, up);
    s3_upload_op_free(op);
}

/* Where that is not allowed, or the store is gone, they stay: no reason to
 * give the upload up that we have. */
static void on_strays_gone(void *ctx, const struct err *err,
                           const struct s3_object_info *info)
{
    struct s3_upload_op *op = ctx;

    if (err->code != ERR_OK && op->client->counters.strays)
        ++*op->client->counters.strays;
    if (err->code != ERR_OK)
        log_event(LOG_WARN, "s3_stray_upload_stays",
                  log_text("store", s3_client_name(op->client)),
                  log_text("key", op->up->key), log_err(err), LOG_END);
    finish_create(op);
}

static void find_strays(struct s3_upload_op *op)
{
    bool ours = op->err.code == ERR_OK;
    struct err err;

    if (s3_stray_start(op->client, op->up->key, ours ? op->up->id : NULL,
                       on_strays_gone, op, &err) != ERR_OK)
        on_strays_gone(op, &err, NULL);
}

static enum err_code check_created(void *ctx, const struct http_response *r,
                                   const uint8_t *body, size_t len,
                                   struct err *err)
{
    struct s3_upload_op *op = ctx;

    return s3_xml_created(body, len, op->up->id, err);
}

static void on_created(void *ctx, const struct err *err,
                       const struct s3_answer *a)
{
    struct s3_upload_op *op = ctx;

    op->request = NULL;
    op->err = *err;
    if (op->cancelled && err->code == ERR_OK)
        err_set(&op->err, ERR_CANCELLED, 0, "cancelled");
    /* More than we know of may have been made: by a try whose answer was lost,
     * and by the one that nobody wants any more. */
    if (a->tries > 1 || (a->tries && op->err.code != ERR_OK &&
                         (!a->status || a->status == 200)))
        find_strays(op);
    else
        finish_create(op);
}

enum err_code s3_upload_create(struct s3_client *c,
                               const struct s3_upload_opts *opts,
                               struct s3_upload_op **out, struct err *err)
{
    static const struct s3_sign_param query = {"uploads", NULL};
    struct http_header headers[S3_OBJECT_WRITE_HEADERS + 1];
    struct s3_object_write write = opts->write;
    struct s3_request_opts r = {.method = "POST",
                                .what = "create upload of",
                                .key = opts->key,
                                .query = &query,
                                .params = 1,
                                .headers = headers,
                                .keep_max = S3_XML_SMALL_MAX,
                                .verdict_in_body = true,
                                .check = check_created,
                                .done = on_created};
    struct s3_upload_op *op;
    struct s3_upload *up;
    char until[32];
    enum err_code rc;

    op = s3_upload_op_new(c, NULL, NULL, opts->ctx, err);
    if (!op)
        return ERR_NOMEM;
    op->created = opts->created;
    op->up = up = calloc(1, sizeof(*up));
    if (!up) {
        s3_upload_op_free(op);
        return err_set(err, ERR_NOMEM, 0, "%s: upload", s3_client_name(c));
    }
    up->client = c;
    snprintf(up->key, sizeof(up->key), "%s", opts->key);
    write.if_absent = false;
    r.header_count = s3_object_write_headers(&write, headers, until);
    up->checksum = c->checksums || write.lock_mode;
    if (up->checksum)
        headers[r.header_count++] =
            (struct http_header){"x-amz-checksum-algorithm", "SHA256"};
    r.ctx = op;
    rc = s3_request_start(c, &r, &op->request, err);
    if (rc == ERR_OK) {
        *out = op;
        return ERR_OK;
    }
    s3_upload_free(up);
    s3_upload_op_free(op);
    return rc;
}
