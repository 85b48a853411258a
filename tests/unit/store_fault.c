/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fault_op.h"

#include <assert.h>
#include <stdlib.h>

/* ---- an operation's life ---- */

enum err_code store_fault_code(const struct fault_op *op)
{
    return op->rule->code == ERR_OK ? ERR_UNREACHABLE : op->rule->code;
}

void store_fault_fail(struct fault_op *op, enum err_code code, const char *why)
{
    if (op->err.code == ERR_OK)
        err_set(&op->err, code, 0, "%s: %s: %s", op->base.store->location,
                op->name, why);
}

void store_fault_finish(struct fault_op *op)
{
    static const struct store_info nothing;
    struct fault_store *fs = store_fault_of(op);

    fs->live--;
    op->info.date_ms = store_fault_now(fs);
    if (op->created)
        op->created(op->ctx, &op->err,
                    op->err.code == ERR_OK ? &op->up->base : NULL);
    else
        op->done(op->ctx, &op->err,
                 op->err.code == ERR_OK ? &op->info : &nothing);
    free(op->data);
    free(op->body);
    free(op);
}

static struct fault_op *op_of_timer(struct timer *t)
{
    return (struct fault_op *)((char *)t - offsetof(struct fault_op, timer));
}

static void on_turn(struct timer *t)
{
    struct fault_op *op = op_of_timer(t);

    if (op->cancelled)
        store_fault_fail(op, ERR_CANCELLED, "cancelled");
    if (op->err.code != ERR_OK) {
        store_fault_finish(op);
        return;
    }
    if (store_fault_acts(op, FAULT_HOLD) && !op->held &&
        op->releases == store_fault_of(op)->releases) {
        op->held = true;
        op->next = store_fault_of(op)->held;
        store_fault_of(op)->held = op;
        return;
    }
    if (store_fault_acts(op, FAULT_FAIL)) {
        store_fault_fail(op, store_fault_code(op), "injected");
        store_fault_finish(op);
        return;
    }
    store_fault_run(op);
}

static void start(struct fault_op *op)
{
    struct fault_store *fs = store_fault_of(op);
    uint64_t delay = 0;

    op->releases = fs->releases;
    fs->counts[op->kind]++;
    fs->counts[FAULT_ANY]++;
    fs->base.requests++;
    if (op->kind == FAULT_LIST || op->kind == FAULT_LIST_UPLOADS)
        fs->base.list_requests++;
    for (size_t i = 0; i < fs->rule_count; i++) {
        struct rule *r = &fs->rules[i];

        if ((r->is.kind != FAULT_ANY && r->is.kind != op->kind) ||
            !store_fault_begins(op->name, r->is.prefix))
            continue;
        r->seen++;
        if (!op->rule && (!r->is.nth || r->is.nth == r->seen)) {
            op->rule_copy = r->is;
            op->rule = &op->rule_copy;
        }
    }
    if (store_fault_acts(op, FAULT_DELAY))
        delay = op->rule->ms;
    timer_start(fs->base.loop, &op->timer, delay, on_turn);
}

static enum err_code new_op(struct store *s, enum store_fault_kind kind,
                            const char *name, store_done_fn *done, void *ctx,
                            struct fault_op **op, struct err *err)
{
    bool listing = kind == FAULT_LIST || kind == FAULT_LIST_UPLOADS;

    if ((!listing && !store_name_ok(name)) || strlen(name) >= STORE_NAME_MAX)
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: \"%s\" cannot be an object's name", s->location,
                       name);
    *op = calloc(1, sizeof(**op));
    if (!*op)
        return err_set(err, ERR_NOMEM, 0, "%s: %s", s->location, name);
    (*op)->base.store = s;
    (*op)->kind = kind;
    (*op)->done = done;
    (*op)->ctx = ctx;
    snprintf((*op)->name, STORE_NAME_MAX, "%s", name);
    ((struct fault_store *)s)->live++;
    return ERR_OK;
}

/* The operation is gone when this fails. */
static enum err_code copy_body(struct fault_op *op, const struct slice *body,
                               size_t n, struct err *err)
{
    op->body = calloc(n + 1, sizeof(*body));
    op->slices = n;
    if (!op->body) {
        err_set(err, ERR_NOMEM, 0, "%s", op->name);
        store_fault_of(op)->live--;
        free(op);
        return ERR_NOMEM;
    }
    if (n)
        memcpy(op->body, body, n * sizeof(*body));
    return ERR_OK;
}

/* ---- the interface ---- */

static enum err_code put(struct store *s, const struct store_put_opts *o,
                         struct store_op **out, struct err *err)
{
    struct fault_op *op;
    enum err_code rc = new_op(s, FAULT_PUT, o->name, o->done, o->ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    if (copy_body(op, o->body, o->slices, err) != ERR_OK)
        return err->code;
    op->write = o->write;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code get(struct store *s, const struct store_get_opts *o,
                         struct store_op **out, struct err *err)
{
    struct fault_op *op;
    enum err_code rc = new_op(s, FAULT_GET, o->name, o->done, o->ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    op->range = o->range;
    op->on_info = o->on_info;
    op->on_data = o->on_data;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code head(struct store *s, const struct store_name_opts *o,
                          struct store_op **out, struct err *err)
{
    struct fault_op *op;
    enum err_code rc =
        new_op(s, FAULT_HEAD, o->name, o->done, o->ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code remove_object(struct store *s,
                                   const struct store_name_opts *o,
                                   struct store_op **out, struct err *err)
{
    struct fault_op *op;
    enum err_code rc =
        new_op(s, FAULT_REMOVE, o->name, o->done, o->ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code list(struct store *s, const struct store_list_opts *o,
                          struct store_op **out, struct err *err)
{
    struct fault_op *op;
    enum err_code rc =
        new_op(s, FAULT_LIST, o->prefix, o->done, o->ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    if (o->start_after)
        snprintf(op->after, sizeof(op->after), "%s", o->start_after);
    op->on_entry = o->on_entry;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code retain(struct store *s, const struct store_retain_opts *o,
                            struct store_op **out, struct err *err)
{
    struct fault_op *op;
    enum err_code rc =
        new_op(s, FAULT_RETAIN, o->name, o->done, o->ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    op->write.lock = o->lock;
    op->write.retain_until_ms = o->retain_until_ms;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code upload(struct store *s, const struct store_upload_opts *o,
                            struct store_op **out, struct err *err)
{
    struct fault_op *op;
    enum err_code rc = new_op(s, FAULT_CREATE, o->name, NULL, o->ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    op->write = o->write;
    op->created = o->created;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code part(struct store_upload *up,
                          const struct store_part_opts *o,
                          struct store_op **out, struct err *err)
{
    struct fault_upload *fu = (struct fault_upload *)up;
    struct fault_op *op;
    enum err_code rc;

    if (o->number < 1 || o->number > PARTS_MAX)
        return err_set(err, ERR_ARGUMENT, 0, "part %u", o->number);
    rc = new_op(up->store, FAULT_PART, fu->object.name, o->done, o->ctx, &op,
                err);
    if (rc != ERR_OK)
        return rc;
    if (copy_body(op, o->body, o->slices, err) != ERR_OK)
        return err->code;
    op->up = fu;
    op->number = o->number;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code of_upload(enum store_fault_kind kind,
                               struct store_upload *up, store_done_fn *done,
                               void *ctx, struct store_op **out,
                               struct err *err)
{
    struct fault_upload *fu = (struct fault_upload *)up;
    struct fault_op *op;
    enum err_code rc =
        new_op(up->store, kind, fu->object.name, done, ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    op->up = fu;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code complete(struct store_upload *up, store_done_fn *done,
                              void *ctx, struct store_op **out, struct err *err)
{
    return of_upload(FAULT_COMPLETE, up, done, ctx, out, err);
}

static enum err_code abort_upload(struct store_upload *up, store_done_fn *done,
                                  void *ctx, struct store_op **out,
                                  struct err *err)
{
    return of_upload(FAULT_ABORT, up, done, ctx, out, err);
}

static enum err_code
list_uploads(struct store *s, const char *prefix,
             bool (*on_upload)(void *ctx, const struct store_upload_entry *),
             store_done_fn *done, void *ctx, struct store_op **out,
             struct err *err)
{
    struct fault_op *op;
    enum err_code rc =
        new_op(s, FAULT_LIST_UPLOADS, prefix, done, ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    op->on_upload = on_upload;
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static enum err_code abort_by_id(struct store *s, const char *name,
                                 const char *upload_id, store_done_fn *done,
                                 void *ctx, struct store_op **out,
                                 struct err *err)
{
    struct fault_op *op;
    enum err_code rc = new_op(s, FAULT_ABORT_BY_ID, name, done, ctx, &op, err);

    if (rc != ERR_OK)
        return rc;
    snprintf(op->after, sizeof(op->after), "%s", upload_id);
    *out = &op->base;
    start(op);
    return ERR_OK;
}

static void resume(struct store_op *base)
{
    struct fault_op *op = (struct fault_op *)base;

    if (!op->paused)
        return;
    op->paused = false;
    timer_start(base->store->loop, &op->timer, 0, store_fault_get_turn);
}

static void cancel(struct store_op *base)
{
    struct fault_op *op = (struct fault_op *)base;
    struct fault_op **at = &store_fault_of(op)->held;

    op->cancelled = true;
    if (op->in_callback)
        return;
    while (*at && *at != op)
        at = &(*at)->next;
    if (*at)
        *at = op->next;
    /* a get that has begun goes on to its end in do_get() */
    timer_start(base->store->loop, &op->timer, 0,
                op->data ? store_fault_get_turn : on_turn);
}

static const char *upload_id(const struct store_upload *up)
{
    return ((const struct fault_upload *)up)->id;
}

static void free_store(struct store *s)
{
    assert(!((struct fault_store *)s)->live);
    free(s);
}

static const struct store_ops fault_ops = {
    .put = put,
    .get = get,
    .head = head,
    .remove = remove_object,
    .list = list,
    .retain = retain,
    .upload = upload,
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

struct store *store_fault_new(struct loop *loop, struct store_fault_bucket *b)
{
    struct fault_store *fs = calloc(1, sizeof(*fs));

    if (!fs)
        return NULL;
    fs->base.ops = &fault_ops;
    fs->base.loop = loop;
    fs->base.traits.if_absent = true;
    fs->base.traits.lists_at_once = true;
    snprintf(fs->base.location, sizeof(fs->base.location), "mem://bucket");
    fs->bucket = b;
    fs->piece_bytes = 256 * KIB;
    return &fs->base;
}

void store_fault_add(struct store *s, const struct store_fault_rule *rule)
{
    struct fault_store *fs = (struct fault_store *)s;

    assert(fs->rule_count < RULES_MAX);
    fs->rules[fs->rule_count++] = (struct rule){.is = *rule};
}

void store_fault_clear(struct store *s)
{
    ((struct fault_store *)s)->rule_count = 0;
}

size_t store_fault_held(const struct store *s)
{
    size_t n = 0;

    for (const struct fault_op *op = ((const struct fault_store *)s)->held; op;
         op = op->next)
        n++;
    return n;
}

size_t store_fault_release(struct store *s)
{
    struct fault_store *fs = (struct fault_store *)s;
    size_t n = 0;

    fs->releases++;
    while (fs->held) {
        struct fault_op *op = fs->held;

        fs->held = op->next;
        n++;
        timer_start(s->loop, &op->timer, 0, on_turn);
    }
    return n;
}

void store_fault_piece(struct store *s, size_t bytes)
{
    ((struct fault_store *)s)->piece_bytes = bytes;
}

void store_fault_clock(struct store *s, int64_t ms)
{
    ((struct fault_store *)s)->ahead_ms = ms;
}

uint64_t store_fault_count(const struct store *s, enum store_fault_kind kind)
{
    return ((const struct fault_store *)s)->counts[kind];
}
