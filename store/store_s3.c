/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_s3.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "s3/s3_get.h"
#include "s3/s3_list.h"
#include "s3/s3_object.h"
#include "s3/s3_upload.h"
#include "store/store_s3_inner.h"

#define KEY_MAX (STORE_S3_PREFIX_MAX + STORE_NAME_MAX)

struct s3_store_upload {
    struct store_upload base;
    struct s3_upload *upload;
};

/* Each kind of operation has its handle in s3/. */
struct s3_op {
    struct store_op base;
    struct s3_object_op *object;
    struct s3_get *get;
    struct s3_list *list;
    struct s3_upload_op *upload_op;
    struct s3_store_upload *upload; /* that the operation is about to end */
    bool is_abort;
    struct store_info info;
    void (*on_info)(void *ctx, const struct store_info *info);
    bool (*on_data)(void *ctx, const uint8_t *data, size_t len);
    bool (*on_entry)(void *ctx, const struct store_entry *entry);
    bool (*on_upload)(void *ctx, const struct store_upload_entry *entry);
    void (*created)(void *ctx, const struct err *err, struct store_upload *up);
    store_done_fn *done;
    void *ctx;
    char key[KEY_MAX];
};

static struct store_s3 *store_of(struct store *s)
{
    return (struct store_s3 *)s;
}

static enum err_code new_op(struct store *s, const char *name,
                            store_done_fn *done, void *ctx, struct s3_op **out,
                            struct err *err)
{
    struct s3_op *op;

    if (name && !store_name_ok(name))
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: \"%s\" cannot be an object's name", s->location,
                       name);
    op = calloc(1, sizeof(*op));
    if (!op)
        return err_set(err, ERR_NOMEM, 0, "%s", s->location);
    op->base.store = s;
    op->done = done;
    op->ctx = ctx;
    snprintf(op->key, sizeof(op->key), "%s%s", store_of(s)->prefix,
             name ? name : "");
    *out = op;
    return ERR_OK;
}

/* What the calls into s3/ returned decides whether the operation lives. */
static enum err_code started(struct s3_op *op, enum err_code rc,
                             struct store_op **out)
{
    if (rc == ERR_OK)
        *out = &op->base;
    else
        free(op);
    return rc;
}

static void read_info(const struct s3_object_info *from, struct store_info *to)
{
    memset(to, 0, sizeof(*to));
    to->bytes = from->bytes;
    to->modified_ms = from->modified_ms;
    to->date_ms = from->date_ms;
    to->retain_until_ms = from->retain_until_ms;
    memcpy(to->etag, from->etag, sizeof(to->etag));
    memcpy(to->version, from->version, sizeof(to->version));
}

static void on_done(void *ctx, const struct err *err,
                    const struct s3_object_info *info)
{
    struct s3_op *op = ctx;

    read_info(info, &op->info);
    op->done(op->ctx, err, &op->info);
    free(op);
}

static struct s3_object_write write_of(const struct store_write *w)
{
    return (struct s3_object_write){.if_absent = w->if_absent,
                                    .lock_mode = store_s3_lock_word(w->lock),
                                    .retain_until_ms = w->retain_until_ms,
                                    .storage_class = w->storage_class};
}

/* ---- objects ---- */

static enum err_code put(struct store *s, const struct store_put_opts *opts,
                         struct store_op **out, struct err *err)
{
    struct s3_object_put_opts o = {.body = opts->body,
                                   .slices = opts->slices,
                                   .sha256 = opts->sha256,
                                   .write = write_of(&opts->write),
                                   .done = on_done};
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(s, opts->name, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    o.key = op->key;
    o.ctx = op;
    return started(op, s3_object_put(store_of(s)->client, &o, &op->object, err),
                   out);
}

static void on_get_info(void *ctx, const struct s3_object_info *info)
{
    struct s3_op *op = ctx;

    read_info(info, &op->info);
    if (op->on_info)
        op->on_info(op->ctx, &op->info);
}

static bool on_get_data(void *ctx, const uint8_t *data, size_t len)
{
    struct s3_op *op = ctx;

    return op->on_data(op->ctx, data, len);
}

static enum err_code get(struct store *s, const struct store_get_opts *opts,
                         struct store_op **out, struct err *err)
{
    struct s3_get_opts o = {.offset = opts->range.offset,
                            .length = opts->range.length,
                            .from_end = opts->range.from_end,
                            .on_info = on_get_info,
                            .on_data = on_get_data,
                            .done = on_done};
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(s, opts->name, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->on_info = opts->on_info;
    op->on_data = opts->on_data;
    o.key = op->key;
    o.ctx = op;
    return started(op, s3_get_start(store_of(s)->client, &o, &op->get, err),
                   out);
}

/* One that takes a name and says how it went. */
static enum err_code by_name(
    struct store *s, const struct store_name_opts *opts,
    enum err_code (*begin)(struct s3_client *, const struct s3_object_name *,
                           s3_object_done_fn *, void *, struct s3_object_op **,
                           struct err *),
    struct store_op **out, struct err *err)
{
    struct s3_object_name name = {NULL, NULL};
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(s, opts->name, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    name.key = op->key;
    return started(
        op, begin(store_of(s)->client, &name, on_done, op, &op->object, err),
        out);
}

static enum err_code head(struct store *s, const struct store_name_opts *opts,
                          struct store_op **out, struct err *err)
{
    return by_name(s, opts, s3_object_head, out, err);
}

static enum err_code remove_object(struct store *s,
                                   const struct store_name_opts *opts,
                                   struct store_op **out, struct err *err)
{
    return by_name(s, opts, s3_object_remove, out, err);
}

static enum err_code retain(struct store *s,
                            const struct store_retain_opts *opts,
                            struct store_op **out, struct err *err)
{
    const char *mode = store_s3_lock_word(opts->lock);
    struct s3_op *op = NULL;
    enum err_code rc;

    if (!mode)
        return err_set(err, ERR_ARGUMENT, 0, "%s: %s: retention of no kind",
                       s->location, opts->name);
    rc = new_op(s, opts->name, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    return started(
        op,
        s3_object_retain(store_of(s)->client,
                         &(struct s3_object_name){op->key, opts->version}, mode,
                         opts->retain_until_ms, on_done, op, &op->object, err),
        out);
}

/* ---- listings ---- */

/* A key's name below the prefix; NULL: it is none of ours. */
static const char *name_of(const struct s3_op *op, const char *key)
{
    const struct store_s3 *ss = store_of(op->base.store);
    const char *name = key + strlen(ss->prefix); /* s3_list saw to that */

    return store_name_ok(name) ? name : NULL;
}

static bool on_object(void *ctx, const struct s3_xml_object *o)
{
    struct s3_op *op = ctx;
    struct store_entry e = {.name = name_of(op, o->key),
                            .bytes = o->bytes,
                            .modified_ms = o->modified_ms};

    return !e.name || op->on_entry(op->ctx, &e);
}

static bool on_upload(void *ctx, const struct s3_xml_upload *u)
{
    struct s3_op *op = ctx;
    struct store_upload_entry e = {
        .name = name_of(op, u->key), .id = u->id, .begun_ms = u->begun_ms};

    return !e.name || op->on_upload(op->ctx, &e);
}

static enum err_code begin_list(struct s3_op *op, const char *prefix,
                                const char *start_after, struct store_op **out,
                                struct err *err)
{
    struct store_s3 *ss = store_of(op->base.store);
    struct s3_list_opts o = {.prefix = op->key, .done = on_done, .ctx = op};
    char after[KEY_MAX];

    if (op->on_entry)
        o.on_object = on_object;
    else
        o.on_upload = on_upload;
    snprintf(op->key, sizeof(op->key), "%s%s", ss->prefix, prefix);
    if (start_after) {
        snprintf(after, sizeof(after), "%s%s", ss->prefix, start_after);
        o.start_after = after;
    }
    return started(op, s3_list_start(ss->client, &o, &op->list, err), out);
}

static enum err_code list(struct store *s, const struct store_list_opts *opts,
                          struct store_op **out, struct err *err)
{
    struct s3_op *op = NULL;
    enum err_code rc;

    if (strlen(opts->prefix) >= STORE_NAME_MAX ||
        (opts->start_after && strlen(opts->start_after) >= STORE_NAME_MAX))
        return err_set(err, ERR_ARGUMENT, 0, "%s: listing: too long",
                       s->location);
    rc = new_op(s, NULL, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->on_entry = opts->on_entry;
    return begin_list(op, opts->prefix, opts->start_after, out, err);
}

static enum err_code
list_uploads(struct store *s, const char *prefix,
             bool (*on_entry)(void *ctx, const struct store_upload_entry *),
             store_done_fn *done, void *ctx, struct store_op **out,
             struct err *err)
{
    struct s3_op *op = NULL;
    enum err_code rc;

    if (strlen(prefix) >= STORE_NAME_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "%s: listing: too long",
                       s->location);
    rc = new_op(s, NULL, done, ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->on_upload = on_entry;
    return begin_list(op, prefix, NULL, out, err);
}

/* ---- uploads ---- */

static void on_created(void *ctx, const struct err *err, struct s3_upload *up)
{
    struct s3_op *op = ctx;
    struct s3_store_upload *upload = op->upload;

    if (up) {
        upload->upload = up;
        op->created(op->ctx, err, &upload->base);
    } else {
        free(upload);
        op->created(op->ctx, err, NULL);
    }
    free(op);
}

static enum err_code create(struct store *s,
                            const struct store_upload_opts *opts,
                            struct store_op **out, struct err *err)
{
    struct s3_upload_opts o = {.write = write_of(&opts->write),
                               .created = on_created};
    struct s3_store_upload *upload;
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(s, opts->name, NULL, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->created = opts->created;
    op->upload = upload = calloc(1, sizeof(*upload));
    if (!upload) {
        free(op);
        return err_set(err, ERR_NOMEM, 0, "%s", s->location);
    }
    upload->base.store = s;
    o.key = op->key;
    o.ctx = op;
    rc = s3_upload_create(store_of(s)->client, &o, &op->upload_op, err);
    if (rc != ERR_OK)
        free(upload);
    return started(op, rc, out);
}

static enum err_code part(struct store_upload *base,
                          const struct store_part_opts *opts,
                          struct store_op **out, struct err *err)
{
    struct s3_store_upload *up = (struct s3_store_upload *)base;
    struct s3_upload_part_opts o = {.number = opts->number,
                                    .body = opts->body,
                                    .slices = opts->slices,
                                    .sha256 = opts->sha256,
                                    .done = on_done};
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(base->store, NULL, opts->done, opts->ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    o.ctx = op;
    return started(op, s3_upload_part(up->upload, &o, &op->upload_op, err),
                   out);
}

/* The upload is gone with an abort, and with the success of a complete. */
static void on_ended(void *ctx, const struct err *err,
                     const struct s3_object_info *info)
{
    struct s3_op *op = ctx;
    bool gone = op->is_abort || err->code == ERR_OK;
    struct s3_store_upload *up = gone ? op->upload : NULL;

    on_done(op, err, info);
    free(up);
}

static enum err_code complete(struct store_upload *base, store_done_fn *done,
                              void *ctx, struct store_op **out, struct err *err)
{
    struct s3_store_upload *up = (struct s3_store_upload *)base;
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(base->store, NULL, done, ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->upload = up;
    return started(
        op, s3_upload_complete(up->upload, on_ended, op, &op->upload_op, err),
        out);
}

static enum err_code abort_upload(struct store_upload *base,
                                  store_done_fn *done, void *ctx,
                                  struct store_op **out, struct err *err)
{
    struct s3_store_upload *up = (struct s3_store_upload *)base;
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(base->store, NULL, done, ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    op->upload = up;
    op->is_abort = true;
    return started(
        op, s3_upload_abort(up->upload, on_ended, op, &op->upload_op, err),
        out);
}

static enum err_code abort_by_id(struct store *s, const char *name,
                                 const char *upload_id, store_done_fn *done,
                                 void *ctx, struct store_op **out,
                                 struct err *err)
{
    struct s3_op *op = NULL;
    enum err_code rc;

    rc = new_op(s, name, done, ctx, &op, err);
    if (rc != ERR_OK)
        return rc;
    return started(op,
                   s3_upload_abort_by_id(store_of(s)->client, op->key,
                                         upload_id, on_done, op, &op->upload_op,
                                         err),
                   out);
}

static const char *upload_id(const struct store_upload *up)
{
    return s3_upload_id(((const struct s3_store_upload *)up)->upload);
}

/* ---- the store ---- */

static void resume(struct store_op *base)
{
    struct s3_op *op = (struct s3_op *)base;

    if (op->get)
        s3_get_resume(op->get);
}

static void cancel(struct store_op *base)
{
    struct s3_op *op = (struct s3_op *)base;

    if (op->get)
        s3_get_cancel(op->get);
    else if (op->list)
        s3_list_cancel(op->list);
    else if (op->upload_op)
        s3_upload_cancel(op->upload_op);
    else
        s3_object_cancel(op->object);
}

static void free_store(struct store *s)
{
    s3_client_free(store_of(s)->client);
    free(s);
}

static const struct store_ops store_s3_ops = {
    .put = put,
    .get = get,
    .head = head,
    .remove = remove_object,
    .list = list,
    .retain = retain,
    .upload = create,
    .part = part,
    .complete = complete,
    .abort = abort_upload,
    .list_uploads = list_uploads,
    .abort_by_id = abort_by_id,
    .resume = resume,
    .cancel = cancel,
    .upload_id = upload_id,
    .free = free_store,
};

/* UTF-8 is for people to choose; slashes around it or doubled are not. */
enum err_code store_s3_new(struct loop *loop, struct http_client *http,
                           const struct store_s3_opts *opts, struct store **out,
                           struct err *err)
{
    struct s3_client_opts client = opts->client;
    const char *prefix = opts->prefix ? opts->prefix : "";
    const char *at;
    struct store_s3 *ss;
    enum err_code rc;

    if (!store_s3_prefix_ok(prefix))
        return err_set(err, ERR_ARGUMENT, 0,
                       "\"%s\" cannot be a prefix in a bucket", prefix);
    ss = calloc(1, sizeof(*ss));
    if (!ss)
        return err_set(err, ERR_NOMEM, 0, "S3 store");
    ss->base.ops = &store_s3_ops;
    ss->base.loop = loop;
    if (opts->traits)
        ss->base.traits = *opts->traits;
    client.counters =
        (struct s3_counters){.requests = &ss->base.requests,
                             .lists = &ss->base.list_requests,
                             .strays = &ss->base.strays,
                             .down_since_ms = &ss->base.down_since_ms,
                             .sent = &ss->base.sent_bytes,
                             .received = &ss->base.received_bytes};
    rc = s3_client_new(loop, http, &client, &ss->client, err);
    if (rc != ERR_OK) {
        free(ss);
        return rc;
    }
    snprintf(ss->prefix, sizeof(ss->prefix), "%s%s", prefix,
             *prefix ? "/" : "");
    at = strstr(s3_client_name(ss->client), " at ");
    snprintf(ss->base.location, sizeof(ss->base.location), "s3://%s%s%.80s%s",
             client.bucket, *prefix ? "/" : "", prefix, at ? at : "");
    *out = &ss->base;
    return ERR_OK;
}

enum err_code store_s3_set_credentials(struct store *s,
                                       const struct s3_credentials *cred,
                                       struct err *err)
{
    return s3_client_set_credentials(store_of(s)->client, cred, err);
}

const char *store_s3_region(const struct store *s)
{
    return s3_client_region(((const struct store_s3 *)s)->client);
}

int64_t store_s3_skew_ms(const struct store *s)
{
    return s3_client_skew_ms(((const struct store_s3 *)s)->client);
}
