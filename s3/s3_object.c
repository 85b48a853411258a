/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_object.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "crypto/seal_digest.h"
#include "s3/s3_client_inner.h"

struct s3_object_op {
    struct s3_client *client;
    struct s3_request *request;
    s3_object_done_fn *done;
    void *ctx;
    struct s3_object_info info;
    struct buf document; /* what is sent, where we write it */
    struct slice body;   /* of the document */
    /* of a put, for judging what a repeated one finds */
    const struct slice *put_body; /* copied array */
    size_t put_slices;
    uint64_t put_bytes;
    struct err conflict;
    void (*on_refused)(void *ctx, const char *key, const char *code,
                       const char *message);
    char key[S3_XML_KEY_MAX];
};

/* ---- headers ---- */

size_t s3_object_write_headers(const struct s3_object_write *w,
                               struct http_header *out, char until[32])
{
    size_t n = 0;

    if (w->if_absent)
        out[n++] = (struct http_header){"if-none-match", "*"};
    if (w->storage_class)
        out[n++] =
            (struct http_header){"x-amz-storage-class", w->storage_class};
    if (w->lock_mode) {
        clock_rfc3339(w->retain_until_ms, until);
        out[n++] = (struct http_header){"x-amz-object-lock-mode", w->lock_mode};
        out[n++] =
            (struct http_header){"x-amz-object-lock-retain-until-date", until};
    }
    return n;
}

static void copy_header(const struct http_response *r, const char *name,
                        char *out, size_t size)
{
    const char *text = http_response_header(r, name);

    snprintf(out, size, "%s", text && strlen(text) < size ? text : "");
}

void s3_object_read_info(const struct http_response *r,
                         struct s3_object_info *info)
{
    const char *date = http_response_header(r, "date");
    const char *until =
        http_response_header(r, "x-amz-object-lock-retain-until-date");

    memset(info, 0, sizeof(*info));
    if (r->length > 0)
        info->bytes = (uint64_t)r->length;
    info->modified_ms = s3_request_modified(r);
    if (!date || !clock_parse_http(date, &info->date_ms))
        info->date_ms = 0;
    if (!until || !s3_xml_time(until, &info->retain_until_ms))
        info->retain_until_ms = 0;
    copy_header(r, "x-amz-object-lock-mode", info->lock_mode,
                sizeof(info->lock_mode));
    copy_header(r, "etag", info->etag, sizeof(info->etag));
    copy_header(r, "x-amz-version-id", info->version, sizeof(info->version));
}

/* ---- an operation ---- */

static enum err_code new_op(struct s3_client *c, const char *key,
                            s3_object_done_fn *done, void *ctx,
                            struct s3_object_op **out, struct err *err)
{
    struct s3_object_op *op;

    if (key && strlen(key) >= S3_XML_KEY_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%s: a key is too long",
                       s3_client_name(c));
    op = calloc(1, sizeof(*op));
    if (!op)
        return err_set(err, ERR_NOMEM, 0, "%s", s3_client_name(c));
    op->client = c;
    op->done = done;
    op->ctx = ctx;
    buf_init(&op->document, S3_XML_PAGE_MAX);
    if (key)
        memcpy(op->key, key, strlen(key) + 1);
    *out = op;
    return ERR_OK;
}

static void free_op(struct s3_object_op *op)
{
    buf_fini(&op->document);
    free((void *)(uintptr_t)op->put_body);
    free(op);
}

static void finish(struct s3_object_op *op, const struct err *err)
{
    static const struct s3_object_info nothing;

    op->done(op->ctx, err, err->code == ERR_OK ? &op->info : &nothing);
    free_op(op);
}

/* Begin the request; the operation is gone when that fails. */
static enum err_code start(struct s3_object_op *op, struct s3_request_opts *r,
                           struct s3_object_op **out, struct err *err)
{
    enum err_code rc;

    r->ctx = op;
    if (op->document.len) {
        op->body = (struct slice){op->document.data, op->document.len};
        r->body = &op->body;
        r->slices = 1;
    }
    if (buf_failed(&op->document))
        rc = err_set(err, ERR_NOMEM, 0, "%s", s3_client_name(op->client));
    else
        rc = s3_request_start(op->client, r, &op->request, err);
    if (rc == ERR_OK)
        *out = op;
    else
        free_op(op);
    return rc;
}

void s3_object_cancel(struct s3_object_op *op)
{
    s3_request_cancel(op->request);
}

/* Success is a 2xx with nothing to be looked at but headers. */
static void on_plain(void *ctx, const struct err *err,
                     const struct s3_answer *a)
{
    struct s3_object_op *op = ctx;

    if (err->code == ERR_OK)
        s3_object_read_info(a->head, &op->info);
    finish(op, err);
}

/* ---- put ---- */

/* Is what lies there what we sent? The ETag of a plain object is its MD5
 * unless the server encrypts; then the size must do. */
static bool is_ours(const struct s3_object_op *op,
                    const struct s3_object_info *found)
{
    struct seal_digest *d;
    char hex[33], etag[36];
    uint8_t md5[16];
    bool ok;

    if (found->bytes != op->put_bytes)
        return false;
    if (strlen(found->etag) != 34 || found->etag[0] != '"')
        return true;
    d = seal_digest_new(op->client->suite, SEAL_DIGEST_MD5);
    if (!d)
        return false;
    seal_digest_begin(d);
    for (size_t i = 0; i < op->put_slices; i++)
        if (op->put_body[i].len)
            seal_digest_add(d, op->put_body[i].data, op->put_body[i].len);
    ok = seal_digest_end(d, md5);
    seal_digest_free(d);
    bytes_hex(md5, sizeof(md5), hex);
    snprintf(etag, sizeof(etag), "\"%s\"", hex);
    return ok && strcmp(etag, found->etag) == 0;
}

static void on_looked(void *ctx, const struct err *err,
                      const struct s3_answer *a)
{
    struct s3_object_op *op = ctx;
    struct err verdict = op->conflict;

    if (err->code == ERR_CANCELLED)
        verdict = *err;
    if (err->code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        if (is_ours(op, &op->info))
            err_clear(&verdict);
    }
    finish(op, &verdict);
}

static void on_put(void *ctx, const struct err *err, const struct s3_answer *a)
{
    struct s3_request_opts look = {
        .method = "HEAD", .what = "HEAD", .done = on_looked, .ctx = ctx};
    struct s3_object_op *op = ctx;
    struct err ignored;

    if (err->code == ERR_CONFLICT && a->tries > 1) {
        op->conflict = *err;
        look.key = op->key;
        if (s3_request_start(op->client, &look, &op->request, &ignored) ==
            ERR_OK)
            return;
    }
    if (err->code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        op->info.bytes = op->put_bytes;
    }
    finish(op, err);
}

enum err_code s3_object_put(struct s3_client *c,
                            const struct s3_object_put_opts *opts,
                            struct s3_object_op **out, struct err *err)
{
    struct http_header headers[S3_OBJECT_WRITE_HEADERS];
    struct s3_request_opts r = {.method = "PUT",
                                .what = "PUT",
                                .key = opts->key,
                                .headers = headers,
                                .body = opts->body,
                                .slices = opts->slices,
                                .sha256 = opts->sha256,
                                .checksum =
                                    c->checksums || opts->write.lock_mode,
                                .verdict_in_body = true,
                                .done = on_put};
    struct s3_object_op *op;
    struct slice *body;
    char until[32];
    enum err_code rc;

    rc = new_op(c, opts->key, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->put_body = body = calloc(opts->slices + 1, sizeof(*body));
    if (!body) {
        free_op(op);
        return err_set(err, ERR_NOMEM, 0, "%s", s3_client_name(c));
    }
    for (size_t i = 0; i < opts->slices; i++) {
        body[i] = opts->body[i];
        op->put_bytes += body[i].len;
    }
    op->put_slices = opts->slices;
    r.header_count = s3_object_write_headers(&opts->write, headers, until);
    return start(op, &r, out, err);
}

/* ---- head and remove ---- */

/* One that has a key, perhaps a version, and no body. */
static enum err_code by_name(struct s3_client *c, struct s3_request_opts *r,
                             const struct s3_object_name *name,
                             s3_object_done_fn *done, void *ctx,
                             struct s3_object_op **out, struct err *err)
{
    struct s3_sign_param version = {"versionId", name->version};
    struct s3_object_op *op = NULL;
    enum err_code rc;

    rc = new_op(c, name->key, done, ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    r->key = name->key;
    r->query = &version;
    r->params = name->version ? 1 : 0;
    rc = start(op, r, out, err);
    r->query = NULL; /* it was copied, and `version` ends here */
    return rc;
}

enum err_code s3_object_head(struct s3_client *c,
                             const struct s3_object_name *name,
                             s3_object_done_fn *done, void *ctx,
                             struct s3_object_op **out, struct err *err)
{
    struct s3_request_opts r = {
        .method = "HEAD", .what = "HEAD", .done = on_plain};

    return by_name(c, &r, name, done, ctx, out, err);
}

static void on_removed(void *ctx, const struct err *err,
                       const struct s3_answer *a)
{
    const struct err fine = {.code = ERR_OK};

    on_plain(ctx, err->code == ERR_NOT_FOUND ? &fine : err, a);
}

enum err_code s3_object_remove(struct s3_client *c,
                               const struct s3_object_name *name,
                               s3_object_done_fn *done, void *ctx,
                               struct s3_object_op **out, struct err *err)
{
    struct s3_request_opts r = {
        .method = "DELETE", .what = "DELETE", .done = on_removed};

    return by_name(c, &r, name, done, ctx, out, err);
}

static void on_one_refused(void *ctx, const char *key,
                           const struct s3_xml_error *e)
{
    struct s3_object_op *op = ctx;

    op->on_refused(op->ctx, key, e->code, e->message);
}

static void ignore_one(void *ctx, const char *key, const struct s3_xml_error *e)
{
}

static enum err_code check_removed(void *ctx, const struct http_response *r,
                                   const uint8_t *body, size_t len,
                                   struct err *err)
{
    return s3_xml_deleted(body, len, ignore_one, NULL, err);
}

static void on_removed_many(void *ctx, const struct err *err,
                            const struct s3_answer *a)
{
    struct s3_object_op *op = ctx;
    struct err e = *err;

    if (e.code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        if (s3_xml_deleted(a->body, a->len, on_one_refused, op, &e) != ERR_OK)
            err_context(&e, "%s: delete", s3_client_name(op->client));
    }
    finish(op, &e);
}

enum err_code
s3_object_remove_many(struct s3_client *c,
                      const struct s3_object_remove_many_opts *opts,
                      struct s3_object_op **out, struct err *err)
{
    static const struct s3_sign_param query = {"delete", NULL};
    struct s3_request_opts r = {.method = "POST",
                                .what = "delete",
                                .query = &query,
                                .params = 1,
                                .content_md5 = true, /* demanded */
                                .keep_max = S3_XML_PAGE_MAX,
                                .verdict_in_body = true,
                                .check = check_removed,
                                .done = on_removed_many};
    struct s3_object_op *op;
    enum err_code rc;

    if (opts->count < 1 || opts->count > 1000)
        return err_set(err, ERR_ARGUMENT, 0, "%s: %zu keys to delete",
                       s3_client_name(c), opts->count);
    rc = new_op(c, NULL, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->on_refused = opts->on_refused;
    s3_xml_write_delete(&op->document, opts->keys, opts->count);
    return start(op, &r, out, err);
}

/* ---- retention and versioning ---- */

enum err_code s3_object_retain(struct s3_client *c,
                               const struct s3_object_name *name,
                               const char *mode, uint64_t until_ms,
                               s3_object_done_fn *done, void *ctx,
                               struct s3_object_op **out, struct err *err)
{
    struct s3_sign_param query[2] = {{"retention", NULL},
                                     {"versionId", name->version}};
    struct s3_request_opts r = {.method = "PUT",
                                .what = "retention of",
                                .key = name->key,
                                .query = query,
                                .params = name->version ? 2 : 1,
                                .content_md5 = true, /* demanded */
                                .done = on_plain};
    struct s3_object_op *op = NULL;
    enum err_code rc;

    rc = new_op(c, name->key, done, ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    s3_xml_write_retention(&op->document, mode, until_ms);
    return start(op, &r, out, err);
}

/* AWS says NoSuchObjectLockConfiguration, Ceph ObjectLockConfigurationNotFound
 * or InvalidRequest where the bucket has no lock at all. */
static bool means_no_lock(const struct s3_answer *a)
{
    return strcmp(a->error->code, "NoSuchObjectLockConfiguration") == 0 ||
           strcmp(a->error->code, "ObjectLockConfigurationNotFoundError") ==
               0 ||
           strcmp(a->error->code, "InvalidRequest") == 0;
}

static void on_retention(void *ctx, const struct err *err,
                         const struct s3_answer *a)
{
    struct s3_object_op *op = ctx;
    struct err e = *err;

    if (e.code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        if (s3_xml_retention(a->body, a->len, op->info.lock_mode,
                             &op->info.retain_until_ms, &e) != ERR_OK)
            err_context(&e, "%s: retention of %s", s3_client_name(op->client),
                        op->key);
    } else if (a->status && means_no_lock(a)) {
        err_clear(&e);
    }
    finish(op, &e);
}

enum err_code s3_object_retention(struct s3_client *c,
                                  const struct s3_object_name *name,
                                  s3_object_done_fn *done, void *ctx,
                                  struct s3_object_op **out, struct err *err)
{
    struct s3_sign_param query[2] = {{"retention", NULL},
                                     {"versionId", name->version}};
    struct s3_request_opts r = {.method = "GET",
                                .what = "retention of",
                                .key = name->key,
                                .query = query,
                                .params = name->version ? 2 : 1,
                                .keep_max = S3_XML_SMALL_MAX,
                                .done = on_retention};
    struct s3_object_op *op = NULL;
    enum err_code rc;

    rc = new_op(c, name->key, done, ctx, &op, err);
    return rc == ERR_OK ? start(op, &r, out, err) : rc;
}

static void on_versioning(void *ctx, const struct err *err,
                          const struct s3_answer *a)
{
    struct s3_object_op *op = ctx;
    struct err e = *err;
    char status[16];

    if (e.code == ERR_OK) {
        s3_object_read_info(a->head, &op->info);
        if (s3_xml_versioning(a->body, a->len, status, &e) == ERR_OK)
            memcpy(op->info.version, status, sizeof(status));
        else
            err_context(&e, "%s: versioning", s3_client_name(op->client));
    }
    finish(op, &e);
}

enum err_code s3_object_versioning(struct s3_client *c, s3_object_done_fn *done,
                                   void *ctx, struct s3_object_op **out,
                                   struct err *err)
{
    static const struct s3_sign_param query = {"versioning", NULL};
    struct s3_request_opts r = {.method = "GET",
                                .what = "versioning",
                                .query = &query,
                                .params = 1,
                                .keep_max = S3_XML_SMALL_MAX,
                                .done = on_versioning};
    struct s3_object_op *op = NULL;
    enum err_code rc;

    rc = new_op(c, NULL, done, ctx, &op, err);
    return rc == ERR_OK ? start(op, &r, out, err) : rc;
}
