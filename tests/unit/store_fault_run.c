/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fault_op.h"

#include <stdlib.h>

/* The slices as one piece of memory. */
static uint8_t *gather(struct fault_op *op, size_t *len)
{
    uint8_t *data, *p;

    *len = 0;
    for (size_t i = 0; i < op->slices; i++)
        *len += op->body[i].len;
    p = data = malloc(*len + 1);
    for (size_t i = 0; data && i < op->slices; i++) {
        if (op->body[i].len)
            memcpy(p, op->body[i].data, op->body[i].len);
        p += op->body[i].len;
    }
    op->base.store->sent_bytes += *len;
    return data;
}

static void set_info(struct fault_op *op, const struct object *o)
{
    op->info.bytes = o->len;
    op->info.modified_ms = o->modified_ms;
    op->info.retain_until_ms = o->retain_until_ms;
    op->info.date_ms = store_fault_now(store_fault_of(op));
    snprintf(op->info.etag, sizeof(op->info.etag), "\"%zu-%ju\"", o->len,
             (uintmax_t)o->modified_ms);
}

/* ---- what the operations do ---- */

static void do_put(struct fault_op *op)
{
    struct fault_store *fs = store_fault_of(op);
    struct object o = {.modified_ms = store_fault_now(fs)};
    const struct object *old = store_fault_find(fs->bucket, op->name);

    snprintf(o.name, sizeof(o.name), "%s", op->name);
    if (op->write.if_absent && fs->base.traits.if_absent && old) {
        store_fault_fail(op, ERR_CONFLICT, "exists");
        return;
    }
    if (old && old->retain_until_ms > store_fault_now(fs)) {
        store_fault_fail(op, ERR_DENIED,
                         "locked"); /* no versions are kept here */
        return;
    }
    if (op->write.lock != STORE_LOCK_NONE && fs->base.traits.lock_on_put)
        o.retain_until_ms = op->write.retain_until_ms;
    o.data = gather(op, &o.len);
    if (!o.data || !store_fault_insert(fs->bucket, &o)) {
        free(o.data);
        store_fault_fail(op, ERR_NOMEM, "put");
        return;
    }
    set_info(op, &o);
}

/* Bytes that a get will give, from the range and the rule. */
static bool begin_get(struct fault_op *op)
{
    const struct object *o =
        store_fault_find(store_fault_of(op)->bucket, op->name);
    uint64_t from = op->range.offset, n;

    if (!o) {
        store_fault_fail(op, ERR_NOT_FOUND, "no such object");
        return false;
    }
    if (op->range.from_end)
        from = op->range.from_end < o->len ? o->len - op->range.from_end : 0;
    if (from && from >= o->len) {
        store_fault_fail(op, ERR_PROTOCOL, "nothing at that offset");
        return false;
    }
    n = o->len - from;
    if (op->range.length && op->range.length < n)
        n = op->range.length;
    op->data = malloc(n + 1);
    if (!op->data) {
        store_fault_fail(op, ERR_NOMEM, "get");
        return false;
    }
    memcpy(op->data, o->data + from, n);
    op->len = n;
    if (store_fault_acts(op, FAULT_FLIP) && op->rule->offset < n)
        op->data[op->rule->offset] ^= 0x10;
    if (store_fault_acts(op, FAULT_CUT) && op->rule->offset < n)
        op->len = op->rule->offset;
    if (store_fault_acts(op, FAULT_BREAK))
        op->len = n / 2;
    set_info(op, o);
    return true;
}

static void do_get(struct fault_op *op)
{
    struct fault_store *fs = store_fault_of(op);

    while (op->at < op->len && !op->paused && !op->cancelled) {
        size_t n = op->len - op->at;

        if (n > fs->piece_bytes)
            n = fs->piece_bytes;
        op->in_callback = true;
        op->paused = !op->on_data(op->ctx, op->data + op->at, n);
        op->in_callback = false;
        if (op->paused)
            break;
        fs->base.received_bytes += n;
        op->at += n;
    }
    if (op->cancelled && op->at < op->len)
        store_fault_fail(op, ERR_CANCELLED, "cancelled");
    else if (op->paused)
        return;
    else if (store_fault_acts(op, FAULT_BREAK) ||
             store_fault_acts(op, FAULT_LOSE))
        store_fault_fail(op, store_fault_code(op), "injected: broke off");
    store_fault_finish(op);
}

void store_fault_get_turn(struct timer *t)
{
    do_get((struct fault_op *)((char *)t - offsetof(struct fault_op, timer)));
}

static void do_list(struct fault_op *op)
{
    struct fault_store *fs = store_fault_of(op);
    const struct store_fault_bucket *b = fs->bucket;
    uint64_t now = store_fault_now(fs);
    size_t shown = b->count;

    if (store_fault_acts(op, FAULT_BREAK)) {
        shown = b->count / 2;
        store_fault_fail(op, store_fault_code(op), "injected: broke off");
    }
    for (size_t i = 0; i < shown && !op->cancelled; i++) {
        const struct object *o = &b->objects[i];
        struct store_entry e = {
            .name = o->name, .bytes = o->len, .modified_ms = o->modified_ms};

        if (!store_fault_begins(o->name, op->name) ||
            strcmp(o->name, op->after) <= 0)
            continue;
        if (store_fault_acts(op, FAULT_HIDE) &&
            o->modified_ms + op->rule->ms > now)
            continue;
        if (!op->on_entry(op->ctx, &e))
            op->cancelled = true;
    }
    if (op->cancelled)
        store_fault_fail(op, ERR_CANCELLED, "cancelled");
}

static void do_list_uploads(struct fault_op *op)
{
    const struct store_fault_bucket *b = store_fault_of(op)->bucket;

    for (const struct fault_upload *up = b->uploads; up && !op->cancelled;
         up = up->next) {
        struct store_upload_entry e = {
            .name = up->object.name, .id = up->id, .begun_ms = up->begun_ms};

        if (store_fault_begins(up->object.name, op->name) &&
            !op->on_upload(op->ctx, &e))
            op->cancelled = true;
    }
    if (op->cancelled)
        store_fault_fail(op, ERR_CANCELLED, "cancelled");
}

static void do_create(struct fault_op *op)
{
    struct fault_store *fs = store_fault_of(op);
    struct fault_upload *up = calloc(1, sizeof(*up));

    if (!up) {
        store_fault_fail(op, ERR_NOMEM, "create");
        return;
    }
    up->base.store = &fs->base;
    snprintf(up->id, sizeof(up->id), "upload-%u", ++fs->bucket->next_id);
    snprintf(up->object.name, sizeof(up->object.name), "%s", op->name);
    up->begun_ms = store_fault_now(fs);
    if (op->write.lock != STORE_LOCK_NONE && fs->base.traits.lock_on_create)
        up->object.retain_until_ms = op->write.retain_until_ms;
    up->next = fs->bucket->uploads;
    fs->bucket->uploads = up;
    op->up = up;
}

static void do_part(struct fault_op *op)
{
    struct object *part = &op->up->parts[op->number - 1];
    size_t len;
    uint8_t *data = gather(op, &len);

    if (!data) {
        store_fault_fail(op, ERR_NOMEM, "part");
        return;
    }
    free(part->data);
    part->data = data;
    part->len = len;
    op->info.bytes = len;
}

static void remove_upload(struct fault_op *op, struct fault_upload *up)
{
    struct fault_upload **slot =
        store_fault_slot(store_fault_of(op)->bucket, up->id);

    *slot = up->next;
    store_fault_upload_free(up);
}

static void do_complete(struct fault_op *op)
{
    struct fault_store *fs = store_fault_of(op);
    struct fault_upload *up = op->up;
    struct object o = up->object;
    unsigned n = 0;

    while (n < PARTS_MAX && up->parts[n].data)
        o.len += up->parts[n++].len;
    for (unsigned i = 0; i + 1 < n; i++)
        if (up->parts[i].len != STORE_PART_BYTES)
            n = 0;
    for (unsigned i = n; i < PARTS_MAX; i++)
        if (!n || up->parts[i].data) {
            store_fault_fail(op, ERR_REMOTE, "a part is missing or short");
            return;
        }
    o.data = malloc(o.len + 1);
    o.modified_ms = store_fault_now(fs);
    o.len = 0;
    for (unsigned i = 0; o.data && i < n; i++) {
        memcpy(o.data + o.len, up->parts[i].data, up->parts[i].len);
        o.len += up->parts[i].len;
    }
    if (!o.data || !store_fault_insert(fs->bucket, &o)) {
        free(o.data);
        store_fault_fail(op, ERR_NOMEM, "complete");
        return;
    }
    set_info(op, &o);
}

static void do_remove(struct fault_op *op)
{
    struct store_fault_bucket *b = store_fault_of(op)->bucket;
    const struct object *o = store_fault_find(b, op->name);

    if (o && o->retain_until_ms > store_fault_now(store_fault_of(op)))
        store_fault_fail(op, ERR_DENIED, "locked");
    else
        store_fault_drop(b, op->name);
}

static void do_retain(struct fault_op *op)
{
    struct object *o = store_fault_find(store_fault_of(op)->bucket, op->name);

    if (!store_fault_of(op)->base.traits.lock_by_call)
        store_fault_fail(op, ERR_REMOTE, "this bucket has no lock");
    else if (!o)
        store_fault_fail(op, ERR_NOT_FOUND, "no such object");
    else if (op->write.retain_until_ms < o->retain_until_ms)
        store_fault_fail(op, ERR_DENIED, "locked for longer");
    else
        o->retain_until_ms = op->write.retain_until_ms;
}

static void do_head(struct fault_op *op)
{
    const struct object *o =
        store_fault_find(store_fault_of(op)->bucket, op->name);

    if (o)
        set_info(op, o);
    else
        store_fault_fail(op, ERR_NOT_FOUND, "no such object");
}

static void do_abort_by_id(struct fault_op *op)
{
    struct fault_upload **slot =
        store_fault_slot(store_fault_of(op)->bucket, op->after);

    if (*slot)
        remove_upload(op, *slot);
}

void store_fault_run(struct fault_op *op)
{
    static void (*const run[FAULT_KINDS])(struct fault_op * op) = {
        [FAULT_PUT] = do_put,
        [FAULT_HEAD] = do_head,
        [FAULT_REMOVE] = do_remove,
        [FAULT_LIST] = do_list,
        [FAULT_RETAIN] = do_retain,
        [FAULT_CREATE] = do_create,
        [FAULT_PART] = do_part,
        [FAULT_COMPLETE] = do_complete,
        [FAULT_LIST_UPLOADS] = do_list_uploads,
        [FAULT_ABORT_BY_ID] = do_abort_by_id,
    };
    struct fault_upload *gone = NULL;

    if (op->kind == FAULT_GET) {
        if (!begin_get(op)) {
            store_fault_finish(op);
            return;
        }
        op->in_callback = true;
        if (op->on_info)
            op->on_info(op->ctx, &op->info);
        op->in_callback = false;
        do_get(op);
        return;
    }
    if (run[op->kind])
        run[op->kind](op);
    if (store_fault_acts(op, FAULT_LOSE))
        store_fault_fail(op, store_fault_code(op),
                         "injected: the answer was lost");
    /* An upload is gone when its owner was told so. What was completed and the
     * answer lost stays known, so that the call may be repeated. */
    if (op->kind == FAULT_ABORT ||
        (op->kind == FAULT_COMPLETE && op->err.code == ERR_OK))
        gone = op->up;
    if (gone)
        remove_upload(op, gone);
    store_fault_finish(op);
}
