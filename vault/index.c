/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/index.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vault/index_db.h"

#define RETRY_MS 5 /* while the lane's queue is full */

struct index {
    struct lane *lane;
    struct id16 vault_id;
    char *path;
    atomic_bool fresh;
    struct index_db *db; /* the lane's; NULL: the file could not be reopened */
};

#define OWNER(ptr, type, member) \
    ((type *)((char *)(ptr)-offsetof(type, member)))

/* --- one operation --------------------------------------------------- */

static void reopen(struct index *index)
{
    struct err err;
    bool fresh = false;

    index_db_close(index->db);
    index->db = NULL;
    if (index_db_open(index->path, &index->vault_id, &index->db, &fresh,
                      &err) == ERR_OK &&
        fresh)
        atomic_store(&index->fresh, true);
}

/* Damage that opening does not see would come again and again. */
static void begin_anew(struct index *index)
{
    index_db_close(index->db);
    index->db = NULL;
    index_db_delete(index->path);
    reopen(index);
}

/* Without a file nothing is known. */
static void answer_nothing(struct index_op *op)
{
    for (size_t i = 0; i < op->count; i++) {
        if (op->verb == INDEX_LOOKUP)
            op->places[i].slot = INDEX_UNKNOWN;
        else if (op->verb == INDEX_PACKS)
            op->packs[i].slots = INDEX_UNKNOWN;
        else if (op->verb == INDEX_LOCKS)
            op->locks[i].until_ms = 0;
        else if (op->verb == INDEX_RANGES)
            memset(op->ranges[i].ids, 0,
                   op->ranges[i].count * sizeof(*op->ranges[i].ids));
    }
    err_set(&op->err, ERR_IO, 0, "index %s: cannot be opened",
            op->index ? op->index->path : "(none)");
}

static void on_lane(struct lane_item *item)
{
    struct index_op *op = OWNER(item, struct index_op, item);
    bool damaged = false;

    err_clear(&op->err);
    if (!op->index->db)
        reopen(op->index);
    if (!op->index->db) {
        answer_nothing(op);
        return;
    }
    index_db_run(op->index->db, op, &damaged);
    if (damaged)
        begin_anew(op->index);
}

static void on_done(struct lane_item *item)
{
    struct index_op *op = OWNER(item, struct index_op, item);

    op->done(op);
}

static void on_retry(struct timer *t)
{
    struct index_op *op = OWNER(t, struct index_op, retry);

    if (!lane_start(op->index->lane, &op->item))
        timer_start(op->loop, &op->retry, RETRY_MS, on_retry);
}

static void on_absent(struct timer *t)
{
    struct index_op *op = OWNER(t, struct index_op, retry);

    answer_nothing(op);
    op->done(op);
}

void index_start(struct index *index, struct index_op *op)
{
    op->index = index;
    if (!index) {
        memset(&op->retry, 0, sizeof(op->retry));
        timer_start(op->loop, &op->retry, 0, on_absent);
        return;
    }
    op->item.run = on_lane;
    op->item.done = on_done;
    op->item.loop = op->loop;
    memset(&op->retry, 0, sizeof(op->retry));
    on_retry(&op->retry);
}

/* --- open ------------------------------------------------------------ */

struct opening {
    struct lane_item item;
    struct index_open_opts opts;
    struct index *index;
    struct err err;
};

static void index_delete(struct index *index)
{
    if (!index)
        return;
    index_db_close(index->db);
    free(index->path);
    free(index);
}

static void open_on_lane(struct lane_item *item)
{
    struct opening *o = OWNER(item, struct opening, item);
    bool fresh = false;

    if (index_db_open(o->index->path, &o->index->vault_id, &o->index->db,
                      &fresh, &o->err) == ERR_OK)
        atomic_store(&o->index->fresh, fresh);
}

static void on_opened(struct lane_item *item)
{
    struct opening *o = OWNER(item, struct opening, item);

    if (o->err.code != ERR_OK) {
        index_delete(o->index);
        o->index = NULL;
    }
    o->opts.done(o->opts.ctx, &o->err, o->index);
    free(o);
}

enum err_code index_open_start(const struct index_open_opts *opts,
                               struct err *err)
{
    struct opening *o = calloc(1, sizeof(*o));
    struct index *index = calloc(1, sizeof(*index));

    if (o && index)
        index->path = strdup(opts->path);
    if (!o || !index || !index->path) {
        free(o);
        index_delete(index);
        return err_set(err, ERR_NOMEM, 0, "index %s", opts->path);
    }
    index->lane = opts->lane;
    index->vault_id = opts->vault_id;
    o->opts = *opts;
    o->opts.path = NULL; /* borrowed for this call only */
    o->index = index;
    o->item = (struct lane_item){
        .run = open_on_lane, .done = on_opened, .loop = opts->loop};
    if (lane_start(opts->lane, &o->item))
        return ERR_OK;
    index_delete(index);
    free(o);
    return err_set(err, ERR_AGAIN, 0, "index %s: the queue is full",
                   opts->path);
}

/* --- close ----------------------------------------------------------- */

struct closing {
    struct lane_item item;
    struct index *index;
    struct timer retry;
    void (*done)(void *ctx);
    void *ctx;
};

static void close_on_lane(struct lane_item *item)
{
    struct closing *c = OWNER(item, struct closing, item);

    index_delete(c->index);
}

static void on_closed(struct lane_item *item)
{
    struct closing *c = OWNER(item, struct closing, item);

    if (c->done)
        c->done(c->ctx);
    free(c);
}

static void try_close(struct timer *t)
{
    struct closing *c = OWNER(t, struct closing, retry);

    if (!lane_start(c->index->lane, &c->item))
        timer_start(c->item.loop, &c->retry, RETRY_MS, try_close);
}

void index_close(struct index *index, struct loop *loop,
                 void (*done)(void *ctx), void *ctx)
{
    struct closing *c = index ? calloc(1, sizeof(*c)) : NULL;

    if (!c) {
        /* No memory to close it: the file is left to the end of the process,
         * as a kill would leave it. */
        if (done)
            done(ctx);
        return;
    }
    c->index = index;
    c->done = done;
    c->ctx = ctx;
    c->item = (struct lane_item){
        .run = close_on_lane, .done = on_closed, .loop = loop};
    try_close(&c->retry);
}

bool index_is_fresh(const struct index *index)
{
    return atomic_load(&index->fresh);
}
