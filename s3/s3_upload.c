/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   OPEN --complete--> COMPLETING --200--> gone
 *    ^                  | in doubt --> HEAD: ours --> gone
 *    +----- failed -----+
 *   OPEN --abort--> ABORTING: parts end --> DELETE --> doubtful: list parts,
 *                                                      DELETE again --> gone
 */
#include "s3/s3_upload.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "s3/s3_stray.h"
#include "s3/s3_upload_inner.h"

#define ABORTS_MAX 3

const char *s3_upload_id(const struct s3_upload *up)
{
    return up->id;
}

struct s3_client *s3_upload_client(const struct s3_upload *up)
{
    return up->client;
}

const char *s3_upload_key(const struct s3_upload *up)
{
    return up->key;
}

struct s3_upload_op *s3_upload_op_new(struct s3_client *c, struct s3_upload *up,
                                      s3_object_done_fn *done, void *ctx,
                                      struct err *err)
{
    struct s3_upload_op *op = calloc(1, sizeof(*op));

    if (!op) {
        err_set(err, ERR_NOMEM, 0, "%s: upload", s3_client_name(c));
        return NULL;
    }
    op->client = c;
    op->up = up;
    op->done = done;
    op->ctx = ctx;
    buf_init(&op->document, S3_XML_PAGE_MAX);
    return op;
}

void s3_upload_op_free(struct s3_upload_op *op)
{
    buf_fini(&op->document);
    free(op->id);
    free(op->key);
    free(op);
}

void s3_upload_free(struct s3_upload *up)
{
    free(up->parts);
    free(up);
}

static void finish(struct s3_upload_op *op, const struct err *err)
{
    static const struct s3_object_info nothing;

    op->done(op->ctx, err, err->code == ERR_OK ? &op->info : &nothing);
    s3_upload_op_free(op);
}

void s3_upload_cancel(struct s3_upload_op *op)
{
    bool again = op->cancelled;

    op->cancelled = true;
    if (op->request && op->created && !again)
        s3_request_last_try(op->request);
    else if (op->request)
        s3_request_cancel(op->request);
}

/* ---- parts ---- */

static bool make_room(struct s3_upload *up, unsigned number)
{
    struct s3_xml_part *more;
    size_t room = up->room ? up->room : 16;

    while (room < number)
        room *= 2;
    if (room == up->room)
        return true;
    more = realloc(up->parts, room * sizeof(*more));
    if (!more)
        return false;
    memset(more + up->room, 0, (room - up->room) * sizeof(*more));
    up->parts = more;
    up->room = room;
    return true;
}

/* Complete will need it. */
static enum err_code check_part(void *ctx, const struct http_response *r,
                                const uint8_t *body, size_t len,
                                struct err *err)
{
    struct s3_upload_op *op = ctx;

    s3_object_read_info(r, &op->info);
    if (op->info.etag[0])
        return ERR_OK;
    return err_set(err, ERR_PROTOCOL, r->status, "no ETag in the answer");
}

static void note_part(struct s3_upload *up, const struct s3_upload_op *op,
                      const struct s3_answer *a)
{
    struct s3_xml_part *p = &up->parts[op->number - 1];
    const char *sum = http_response_header(a->head, "x-amz-checksum-sha256");

    if (!p->number)
        up->present++;
    p->number = op->number;
    p->bytes = op->bytes;
    memcpy(p->etag, op->info.etag, sizeof(p->etag));
    /* asked for at Complete by those who keep it, unknown to the others */
    snprintf(p->sha256, sizeof(p->sha256), "%s",
             sum && strlen(sum) < sizeof(p->sha256) ? sum : "");
    if (op->number > up->highest)
        up->highest = op->number;
}

static void unlink_part(struct s3_upload_op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        op->up->running = op->next;
    if (op->next)
        op->next->prev = op->prev;
}

static void begin_abort(struct s3_upload_op *op);

static void on_part(void *ctx, const struct err *err, const struct s3_answer *a)
{
    struct s3_upload_op *op = ctx, *abort_op = NULL;
    struct s3_upload *up = op->up;
    struct err e = *err;

    if (e.code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        op->info.bytes = op->bytes;
        note_part(up, op, a);
    } else {
        err_context(&e, "part %u", op->number);
        up->doubtful = up->doubtful || !a->status;
    }
    unlink_part(op);
    if (--up->busy == 0)
        abort_op = up->abort;
    finish(op, &e);
    if (abort_op)
        begin_abort(abort_op);
}

enum err_code s3_upload_part(struct s3_upload *up,
                             const struct s3_upload_part_opts *opts,
                             struct s3_upload_op **out, struct err *err)
{
    char number[12];
    struct s3_sign_param query[2] = {{"partNumber", number},
                                     {"uploadId", up->id}};
    struct s3_request_opts r = {.method = "PUT",
                                .what = "PUT part of",
                                .key = up->key,
                                .query = query,
                                .params = 2,
                                .body = opts->body,
                                .slices = opts->slices,
                                .sha256 = opts->sha256,
                                .checksum = up->checksum,
                                .verdict_in_body = true,
                                .check = check_part,
                                .done = on_part};
    struct s3_upload_op *op;
    enum err_code rc;

    if (up->state != UPLOAD_OPEN || opts->number < 1 ||
        opts->number > S3_UPLOAD_PARTS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%s: part %u of %s",
                       s3_client_name(up->client), opts->number, up->key);
    op = s3_upload_op_new(up->client, up, opts->done, opts->ctx, err);
    if (!op)
        return ERR_NOMEM;
    if (!make_room(up, opts->number)) {
        s3_upload_op_free(op);
        return err_set(err, ERR_NOMEM, 0, "%s: upload",
                       s3_client_name(up->client));
    }
    op->number = opts->number;
    for (size_t i = 0; i < opts->slices; i++)
        op->bytes += opts->body[i].len;
    snprintf(number, sizeof(number), "%u", opts->number);
    r.ctx = op;
    rc = s3_request_start(up->client, &r, &op->request, err);
    if (rc != ERR_OK) {
        s3_upload_op_free(op);
        return rc;
    }
    op->next = up->running;
    if (op->next)
        op->next->prev = op;
    up->running = op;
    up->busy++;
    *out = op;
    return ERR_OK;
}

/* ---- complete ---- */

static void finish_complete(struct s3_upload_op *op, const struct err *err)
{
    struct s3_upload *up = op->up;

    if (err->code != ERR_OK) {
        up->state = UPLOAD_OPEN;
        finish(op, err);
        return;
    }
    op->info.etag[0] = 0;
    op->info.bytes = op->bytes;
    finish(op, err);
    s3_upload_free(up);
}

static void on_looked(void *ctx, const struct err *err,
                      const struct s3_answer *a)
{
    struct s3_upload_op *op = ctx;
    struct err verdict = op->err;

    op->request = NULL;
    if (err->code == ERR_CANCELLED)
        verdict = *err;
    if (err->code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        if (op->info.bytes == op->bytes)
            err_clear(&verdict);
        else
            err_context(&verdict, "an object of %ju bytes, not %ju, is there",
                        (uintmax_t)op->info.bytes, (uintmax_t)op->bytes);
    }
    finish_complete(op, &verdict);
}

static enum err_code check_completed(void *ctx, const struct http_response *r,
                                     const uint8_t *body, size_t len,
                                     struct err *err)
{
    return s3_xml_completed(body, len, err);
}

static void on_complete(void *ctx, const struct err *err,
                        const struct s3_answer *a)
{
    struct s3_upload_op *op = ctx;
    struct s3_request_opts look = {.method = "HEAD",
                                   .what = "HEAD",
                                   .key = op->up->key,
                                   .done = on_looked,
                                   .ctx = op};
    struct err e = *err, ignored;

    op->request = NULL;
    if (e.code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        finish_complete(op, &e);
        return;
    }
    /* A refusal of the only try is just that, but for an upload that the
     * server does not know: an earlier process may have completed it. */
    if (e.code != ERR_CANCELLED && !op->cancelled &&
        (a->tries > 1 || !a->status || a->status == 200 ||
         e.code == ERR_NOT_FOUND)) {
        op->err = e;
        if (s3_request_start(op->client, &look, &op->request, &ignored) ==
            ERR_OK)
            return;
    }
    finish_complete(op, &e);
}

enum err_code s3_upload_complete(struct s3_upload *up, s3_object_done_fn *done,
                                 void *ctx, struct s3_upload_op **out,
                                 struct err *err)
{
    struct s3_sign_param query = {"uploadId", up->id};
    struct s3_request_opts r = {.method = "POST",
                                .what = "complete",
                                .key = up->key,
                                .query = &query,
                                .params = 1,
                                .keep_max = S3_XML_SMALL_MAX,
                                .verdict_in_body = true,
                                .check = check_completed,
                                .done = on_complete};
    struct s3_upload_op *op;
    enum err_code rc;

    if (up->state != UPLOAD_OPEN || up->busy || !up->present ||
        up->present != up->highest)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: cannot complete %s: %u of %u parts, %u under way",
                       s3_client_name(up->client), up->key, up->present,
                       up->highest, up->busy);
    op = s3_upload_op_new(up->client, up, done, ctx, err);
    if (!op)
        return ERR_NOMEM;
    s3_xml_write_complete(&op->document, up->parts, up->highest);
    for (unsigned i = 0; i < up->highest; i++)
        op->bytes += up->parts[i].bytes;
    op->body = (struct slice){op->document.data, op->document.len};
    r.body = &op->body;
    r.slices = 1;
    r.ctx = op;
    if (buf_failed(&op->document))
        rc = err_set(err, ERR_NOMEM, 0, "%s", s3_client_name(up->client));
    else
        rc = s3_request_start(up->client, &r, &op->request, err);
    if (rc != ERR_OK) {
        s3_upload_op_free(op);
        return rc;
    }
    up->state = UPLOAD_COMPLETING;
    *out = op;
    return ERR_OK;
}

/* ---- abort ---- */

static void finish_abort(struct s3_upload_op *op, const struct err *err)
{
    struct s3_upload *up = op->up;

    op->info.bytes = 0;
    finish(op, err);
    if (up)
        s3_upload_free(up);
}

static void on_aborted(void *ctx, const struct err *err,
                       const struct s3_answer *a);

static enum err_code send_abort(struct s3_upload_op *op, struct err *err)
{
    struct s3_sign_param query = {"uploadId", op->up ? op->up->id : op->id};
    struct s3_request_opts r = {.method = "DELETE",
                                .what = "abort upload of",
                                .key = op->up ? op->up->key : op->key,
                                .query = &query,
                                .params = 1,
                                .retry_ms = S3_UPLOAD_ABORT_MS,
                                .done = on_aborted,
                                .ctx = op};

    op->tries++;
    return s3_request_start(op->client, &r, &op->request, err);
}

static void on_abort_checked(void *ctx, const struct err *err,
                             const struct s3_answer *a)
{
    struct s3_upload_op *op = ctx;
    struct err ignored;

    op->request = NULL;
    /* 404 is what we want to hear; still there: once more */
    if (err->code == ERR_OK && op->tries < ABORTS_MAX &&
        send_abort(op, &ignored) == ERR_OK)
        return;
    if (err->code == ERR_OK)
        err_set(&op->err, ERR_REMOTE, a->status,
                "%s: upload of %s: parts stay after %u aborts",
                s3_client_name(op->client), op->up->key, op->tries);
    finish_abort(op, &op->err);
}

static void on_aborted(void *ctx, const struct err *err,
                       const struct s3_answer *a)
{
    struct s3_upload_op *op = ctx;
    struct err e = *err, ignored;
    struct s3_sign_param query[2] = {{"max-parts", "1"}, {"uploadId", NULL}};
    struct s3_request_opts r = {.method = "GET",
                                .what = "list parts of",
                                .query = query,
                                .params = 2,
                                .retry_ms = S3_UPLOAD_ABORT_MS,
                                .keep_max = S3_XML_SMALL_MAX,
                                .verdict_in_body = true,
                                .done = on_abort_checked,
                                .ctx = op};

    op->request = NULL;
    if (e.code == ERR_NOT_FOUND)
        err_clear(&e);
    if (e.code == ERR_OK)
        s3_object_read_info(a->head, &op->info);
    if (e.code == ERR_OK && op->up && op->up->doubtful) {
        query[1].value = op->up->id;
        r.key = op->up->key;
        if (s3_request_start(op->client, &r, &op->request, &ignored) == ERR_OK)
            return;
    }
    finish_abort(op, &e);
}

/* The parts have ended. */
static void begin_abort(struct s3_upload_op *op)
{
    if (op->cancelled)
        err_set(&op->err, ERR_CANCELLED, 0, "%s: upload of %s: cancelled",
                s3_client_name(op->client), op->up->key);
    if (op->cancelled || send_abort(op, &op->err) != ERR_OK)
        finish_abort(op, &op->err);
}

enum err_code s3_upload_abort(struct s3_upload *up, s3_object_done_fn *done,
                              void *ctx, struct s3_upload_op **out,
                              struct err *err)
{
    struct s3_upload_op *op;
    enum err_code rc;

    if (up->state != UPLOAD_OPEN)
        return err_set(err, ERR_ARGUMENT, 0, "%s: upload of %s is being %s",
                       s3_client_name(up->client), up->key,
                       up->state == UPLOAD_ABORTING ? "aborted" : "completed");
    op = s3_upload_op_new(up->client, up, done, ctx, err);
    if (!op)
        return ERR_NOMEM;
    op->is_abort = true;
    if (!up->busy) {
        rc = send_abort(op, err);
        if (rc != ERR_OK) {
            s3_upload_op_free(op);
            return rc;
        }
    } else {
        up->abort = op;
        for (struct s3_upload_op *p = up->running; p; p = p->next)
            s3_upload_cancel(p);
    }
    up->state = UPLOAD_ABORTING;
    *out = op;
    return ERR_OK;
}

/* ---- by name ---- */

static void on_all_aborted(void *ctx, const struct err *err,
                           const struct s3_object_info *info)
{
    finish(ctx, err);
}

enum err_code s3_upload_abort_by_id(struct s3_client *c, const char *key,
                                    const char *id, s3_object_done_fn *done,
                                    void *ctx, struct s3_upload_op **out,
                                    struct err *err)
{
    struct s3_upload_op *op = s3_upload_op_new(c, NULL, done, ctx, err);
    enum err_code rc;

    if (!op)
        return ERR_NOMEM;
    op->is_abort = true;
    if (!*id) {
        rc = s3_stray_start(c, key, NULL, on_all_aborted, op, err);
        if (rc == ERR_OK)
            *out = op;
        else
            s3_upload_op_free(op);
        return rc;
    }
    op->key = strdup(key);
    op->id = strdup(id);
    if (op->key && op->id)
        rc = send_abort(op, err);
    else
        rc = err_set(err, ERR_NOMEM, 0, "%s: upload", s3_client_name(c));
    if (rc == ERR_OK)
        *out = op;
    else
        s3_upload_op_free(op);
    return rc;
}
