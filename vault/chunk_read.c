/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  IDLE -> OPENING (tables, unless they are at hand) -> FETCHING -> IDLE
 *  the slot is bad: OPENING the pack's next object
 */
#include "vault/chunk_read.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"
#include "vault/pack_opener.h"
#include "vault/pack_read.h"

enum state { IDLE, OPENING, FETCHING };

struct chunk_read {
    enum state state;
    struct store *store;
    const struct keyring *keys;
    struct pack_opener *opener;
    struct chunk_read_opts opts; /* of the one under way */
    struct pack_read *pack;      /* NULL: none is at hand */
    const struct pack_table *table;
    enum seal_slot_kind kind; /* of `pack` */
    struct id16 pack_id;
    struct seal_key key;
    struct store_op *op;
    struct timer later;
    bool cancelled;
    uint8_t *raw;
};

static void forget_pack(struct chunk_read *r)
{
    pack_read_free(r->pack);
    r->pack = NULL;
    r->table = NULL;
    seal_key_fini(&r->key);
}

struct chunk_read *chunk_read_new(struct store *store,
                                  const struct keyring *keys)
{
    struct chunk_read *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->store = store;
    r->keys = keys;
    r->opener = pack_opener_new(keyring_suite(keys));
    r->raw = malloc(PACK_LAYOUT_RAW_MAX);
    if (r->opener && r->raw)
        return r;
    chunk_read_free(r);
    return NULL;
}

void chunk_read_free(struct chunk_read *r)
{
    if (!r)
        return;
    timer_stop(&r->later);
    forget_pack(r);
    pack_opener_free(r->opener);
    if (r->raw)
        bytes_wipe(r->raw, PACK_LAYOUT_RAW_MAX);
    free(r->raw);
    free(r);
}

static void report(struct chunk_read *r, const struct err *err,
                   const uint8_t *raw, const struct pack_slot *slot)
{
    struct chunk_read_opts opts = r->opts;

    r->state = IDLE;
    r->op = NULL;
    if (err->code != ERR_OK)
        forget_pack(r);
    opts.done(opts.ctx, err, raw, slot);
}

/* --- the slot -------------------------------------------------------- */

static void bad_slot(struct chunk_read *r, const struct err *why)
{
    r->state = OPENING;
    r->table = NULL;
    seal_key_fini(&r->key);
    pack_read_again(r->pack, why);
}

static void on_fetched(void *ctx, const struct err *err, const uint8_t *data,
                       size_t len, const struct store_info *info)
{
    struct chunk_read *r = ctx;
    const struct pack_slot *slot = &r->table->slot[r->opts.slot];
    struct pack_opener_slot o = {
        .k_pack = &r->key,
        .kind = r->opts.kind,
        .number = r->opts.slot,
        .slot = slot,
        .sealed = data,
        .out = r->raw,
    };
    struct err e = *err;

    (void)info;
    r->op = NULL;
    if (r->cancelled)
        err_set(&e, ERR_CANCELLED, 0, "cancelled");
    if (e.code == ERR_OK && len != slot->stored)
        err_set(&e, ERR_INTEGRITY, 0, "slot %u: cut off", r->opts.slot);
    if (e.code == ERR_OK)
        pack_opener_open(r->opener, r->keys, &o, &e);
    if (e.code == ERR_OK) {
        report(r, &e, r->raw, slot);
    } else if (e.code == ERR_INTEGRITY || e.code == ERR_NOT_FOUND ||
               e.code == ERR_PROTOCOL) {
        err_context(&e, "%s", r->table->name);
        bad_slot(r, &e);
    } else {
        report(r, &e, NULL, NULL);
    }
}

static void fetch_slot(struct chunk_read *r)
{
    const struct pack_table *t = r->table;
    uint32_t slot = r->opts.slot;
    struct err err;

    if (slot >= t->slots || !t->slot[slot].stored) {
        err_set(&err, ERR_NOT_FOUND, 0, "%s: slot %u is not there", t->name,
                slot);
        bad_slot(r, &err);
        return;
    }
    r->state = FETCHING;
    if (store_fetch(r->store, t->name, t->slot[slot].stored,
                    (struct store_range){.offset = t->offset[slot],
                                         .length = t->slot[slot].stored},
                    on_fetched, r, &r->op, &err) != ERR_OK)
        report(r, &err, NULL, NULL);
}

/* --- the pack -------------------------------------------------------- */

static void on_opened(void *ctx, const struct err *err,
                      const struct pack_table *table)
{
    struct chunk_read *r = ctx;
    struct err e = *err;

    if (r->cancelled)
        err_set(&e, ERR_CANCELLED, 0, "cancelled");
    if (e.code != ERR_OK) {
        report(r, &e, NULL, NULL);
        return;
    }
    r->table = table;
    if (pack_table_key(table, r->keys, &r->key, &e) == ERR_OK)
        fetch_slot(r);
    else if (e.code == ERR_INTEGRITY)
        bad_slot(r, &e);
    else
        report(r, &e, NULL, NULL); /* ERR_KEY: other objects have the same */
}

/* From a later turn: done() never comes from inside _start. */
static void on_later(struct timer *t)
{
    struct chunk_read *r =
        (struct chunk_read *)((char *)t - offsetof(struct chunk_read, later));
    struct err err;

    if (!r->cancelled) {
        fetch_slot(r);
        return;
    }
    err_set(&err, ERR_CANCELLED, 0, "cancelled");
    report(r, &err, NULL, NULL);
}

enum err_code chunk_read_start(struct chunk_read *r,
                               const struct chunk_read_opts *opts,
                               struct err *err)
{
    struct pack_read_opts read = {
        .store = r->store,
        .keys = r->keys,
        .kind = opts->kind,
        .pack_id = opts->pack_id,
        .header = true,
        .done = on_opened,
        .ctx = r,
    };

    r->opts = *opts;
    r->cancelled = false;
    if (r->table && r->kind == opts->kind &&
        id16_equal(&r->pack_id, &opts->pack_id)) {
        timer_start(r->store->loop, &r->later, 0, on_later);
        r->state = FETCHING;
        return ERR_OK;
    }
    forget_pack(r);
    r->kind = opts->kind;
    r->pack_id = opts->pack_id;
    if (pack_read_start(&read, &r->pack, err) != ERR_OK)
        return err->code;
    r->state = OPENING;
    return ERR_OK;
}

void chunk_read_cancel(struct chunk_read *r)
{
    if (r->state == IDLE)
        return;
    r->cancelled = true;
    if (r->state == OPENING)
        pack_read_cancel(r->pack);
    else if (r->op)
        store_op_cancel(r->op);
}
