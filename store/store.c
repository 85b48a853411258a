/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum err_code store_put(struct store *s, const struct store_put_opts *opts,
                        struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->put(s, opts, out ? out : &op, err);
}

enum err_code store_get(struct store *s, const struct store_get_opts *opts,
                        struct store_op **out, struct err *err)
{
    const struct store_range *r = &opts->range;
    struct store_op *op;

    if (r->from_end && (r->offset || r->length))
        return err_set(err, ERR_ARGUMENT, 0, "%s: %s: two ranges at once",
                       s->location, opts->name);
    return s->ops->get(s, opts, out ? out : &op, err);
}

enum err_code store_head(struct store *s, const struct store_name_opts *opts,
                         struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->head(s, opts, out ? out : &op, err);
}

enum err_code store_remove(struct store *s, const struct store_name_opts *opts,
                           struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->remove(s, opts, out ? out : &op, err);
}

enum err_code store_list(struct store *s, const struct store_list_opts *opts,
                         struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->list(s, opts, out ? out : &op, err);
}

enum err_code store_retain(struct store *s,
                           const struct store_retain_opts *opts,
                           struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->retain(s, opts, out ? out : &op, err);
}

enum err_code store_upload_create(struct store *s,
                                  const struct store_upload_opts *opts,
                                  struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->upload(s, opts, out ? out : &op, err);
}

enum err_code store_upload_part(struct store_upload *up,
                                const struct store_part_opts *opts,
                                struct store_op **out, struct err *err)
{
    struct store_op *op;

    return up->store->ops->part(up, opts, out ? out : &op, err);
}

enum err_code store_upload_complete(struct store_upload *up,
                                    store_done_fn *done, void *ctx,
                                    struct store_op **out, struct err *err)
{
    struct store_op *op;

    return up->store->ops->complete(up, done, ctx, out ? out : &op, err);
}

enum err_code store_upload_abort(struct store_upload *up, store_done_fn *done,
                                 void *ctx, struct store_op **out,
                                 struct err *err)
{
    struct store_op *op;

    return up->store->ops->abort(up, done, ctx, out ? out : &op, err);
}

enum err_code store_list_uploads(struct store *s,
                                 const struct store_list_uploads_opts *opts,
                                 struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->list_uploads(s, opts->prefix, opts->on_upload, opts->done,
                                opts->ctx, out ? out : &op, err);
}

enum err_code store_upload_abort_by_id(struct store *s, const char *name,
                                       const char *upload_id,
                                       store_done_fn *done, void *ctx,
                                       struct store_op **out, struct err *err)
{
    struct store_op *op;

    return s->ops->abort_by_id(s, name, upload_id, done, ctx, out ? out : &op,
                               err);
}

const char *store_upload_id(const struct store_upload *up)
{
    return up->store->ops->upload_id(up);
}

void store_op_resume(struct store_op *op)
{
    op->store->ops->resume(op);
}

void store_op_cancel(struct store_op *op)
{
    op->store->ops->cancel(op);
}

void store_free(struct store *s)
{
    if (s)
        s->ops->free(s);
}

/* Names that a folder, S3 and an error sentence all carry unharmed. */
bool store_name_ok(const char *name)
{
    size_t len = strlen(name);
    unsigned depth = 1;
    const char *part = name;

    if (!len || len >= STORE_NAME_MAX)
        return false;
    for (const char *p = name;; p++) {
        if (*p == '/' || !*p) {
            if (p == part || *part == '.')
                return false;
            if (!*p)
                break;
            if (++depth > STORE_NAME_DEPTH)
                return false;
            part = p + 1;
        } else if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' ||
                     *p == '.')) {
            return false;
        }
    }
    return strncmp(name, "tmp/", 4) != 0 && strcmp(name, "tmp") != 0;
}

/* One store_fetch(): a get whose pieces are gathered. */
struct fetch {
    struct store_op *op;
    struct buf bytes;
    struct store_info info;
    bool too_big;
    void (*done)(void *ctx, const struct err *err, const uint8_t *data,
                 size_t len, const struct store_info *info);
    void *ctx;
    char name[STORE_NAME_MAX];
};

static void on_fetch_info(void *ctx, const struct store_info *info)
{
    struct fetch *f = ctx;

    f->info = *info;
}

static bool on_fetch_data(void *ctx, const uint8_t *data, size_t len)
{
    struct fetch *f = ctx;

    if (f->too_big || buf_failed(&f->bytes))
        return true; /* cancelled already; let it run out */
    if (len > f->bytes.max - f->bytes.len) {
        f->too_big = true;
        store_op_cancel(f->op);
    } else if (!buf_add(&f->bytes, data, len)) {
        store_op_cancel(f->op);
    }
    return true;
}

static void on_fetch_done(void *ctx, const struct err *err,
                          const struct store_info *info)
{
    static const uint8_t nothing[1];
    struct fetch *f = ctx;
    struct err e = *err;

    if (f->too_big)
        err_set(&e, ERR_PROTOCOL, 0, "%s: %s: larger than %zu bytes",
                f->op->store->location, f->name, f->bytes.max);
    else if (buf_failed(&f->bytes))
        err_set(&e, ERR_NOMEM, 0, "%s: %s", f->op->store->location, f->name);
    if (e.code == ERR_OK)
        f->done(f->ctx, &e, f->bytes.len ? f->bytes.data : nothing,
                f->bytes.len, f->info.bytes ? &f->info : info);
    else
        f->done(f->ctx, &e, NULL, 0, info);
    buf_fini(&f->bytes);
    free(f);
}

enum err_code store_fetch(struct store *s, const char *name, uint64_t max,
                          struct store_range range,
                          void (*done)(void *ctx, const struct err *err,
                                       const uint8_t *data, size_t len,
                                       const struct store_info *info),
                          void *ctx, struct store_op **out, struct err *err)
{
    struct store_get_opts get = {
        .name = name,
        .range = range,
        .on_info = on_fetch_info,
        .on_data = on_fetch_data,
        .done = on_fetch_done,
    };
    struct fetch *f;
    enum err_code rc;

    f = calloc(1, sizeof(*f));
    if (!f)
        return err_set(err, ERR_NOMEM, 0, "%s: %s", s->location, name);
    buf_init(&f->bytes, max < SIZE_MAX - 1 ? (size_t)max : SIZE_MAX - 1);
    f->done = done;
    f->ctx = ctx;
    snprintf(f->name, sizeof(f->name), "%s", name);
    get.ctx = f;
    rc = store_get(s, &get, &f->op, err);
    if (rc != ERR_OK) {
        free(f);
        return rc;
    }
    if (out)
        *out = f->op;
    return ERR_OK;
}
