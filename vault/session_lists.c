/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/session_lists.h"

#include <stdlib.h>
#include <string.h>

#include "vault/session_inside.h"

/* --- from the index -------------------------------------------------- */

struct loading {
    struct session *session;
    struct index_op op;
    struct list_set *set; /* lent to the lane */
    void (*done)(struct session *s);
};

/* On the lane. A list that was spoilt on our disk is read from the store. */
static bool on_kept(void *ctx, const char *name, struct slice sealed)
{
    struct loading *l = ctx;
    struct err ignored;

    list_set_add(l->set, l->session->keys, name, sealed.data, sealed.len,
                 &ignored);
    return true;
}

static void on_loaded(struct index_op *op)
{
    struct loading *l = SESSION_OWNER(op, struct loading, op);
    struct session *s = l->session;

    if (session_alive(s))
        l->done(s);
    free(l);
    session_release(s);
}

void session_lists_load(struct session *s, void (*done)(struct session *s))
{
    struct loading *l = calloc(1, sizeof(*l));

    if (!l) {
        session_fail_at(s, ERR_NOMEM, "collection lists");
        return;
    }
    l->session = s;
    l->set = s->lists;
    l->done = done;
    l->op = (struct index_op){.verb = INDEX_LISTS,
                              .loop = s->loop,
                              .done = on_loaded,
                              .on_item = on_kept,
                              .ctx = l};
    s->busy++;
    index_start(s->opts.index, &l->op);
}

/* --- into the index -------------------------------------------------- */

struct keeping {
    struct session *session;
    struct index_op condemn, keep; /* in this order */
    char name[NAME_TEXT];
    uint8_t *bytes;
    struct index_condemned *condemned;
};

static void on_kept_list(struct index_op *op)
{
    struct keeping *k = SESSION_OWNER(op, struct keeping, keep);
    struct session *s = k->session;

    /* That the index could not be told costs work, no more. */
    free(k->condemned);
    free(k->bytes);
    free(k);
    session_release(s);
}

/* A list that is kept must have been applied before. */
static void on_condemned(struct index_op *op)
{
    struct keeping *k = SESSION_OWNER(op, struct keeping, condemn);

    if (op->err.code == ERR_OK)
        index_start(k->session->opts.index, &k->keep);
    else
        on_kept_list(&k->keep);
}

static bool copy_condemned(struct keeping *k, const struct list *l)
{
    struct index_condemned *c;
    size_t count = 0;

    for (size_t i = 0; i < l->packs; i++)
        count += l->pack[i].ranges ? l->pack[i].ranges : 1;
    c = k->condemned = calloc(count + 1, sizeof(*c));
    if (!c)
        return false;
    for (size_t i = 0; i < l->packs; i++) {
        if (!l->pack[i].ranges)
            (c++)->pack_id = l->pack[i].id;
        for (size_t r = 0; r < l->pack[i].ranges; r++)
            *c++ = (struct index_condemned){l->pack[i].id,
                                            l->pack[i].range[r].first,
                                            l->pack[i].range[r].count};
    }
    k->condemn.condemned = k->condemned;
    k->condemn.count = count;
    return true;
}

static void on_list(void *ctx, const char *name, struct slice sealed)
{
    struct session *s = ctx;
    struct keeping *k = calloc(1, sizeof(*k));
    struct list *l = NULL;
    struct err err;

    if (k)
        k->bytes = malloc(sealed.len + 1);
    if (!k || !k->bytes ||
        list_open(s->keys, name, sealed.data, sealed.len, &l, &err) != ERR_OK ||
        !copy_condemned(k, l)) {
        list_free(l);
        if (k)
            free(k->bytes);
        free(k);
        return; /* it is in the set, which is what counts */
    }
    list_free(l);
    memcpy(k->bytes, sealed.data, sealed.len);
    memcpy(k->name, name, strlen(name) + 1);
    k->session = s;
    k->condemn.verb = INDEX_CONDEMN;
    k->condemn.loop = s->loop;
    k->condemn.done = on_condemned;
    k->keep.verb = INDEX_KEEP_LIST;
    k->keep.loop = s->loop;
    k->keep.done = on_kept_list;
    k->keep.name = k->name;
    k->keep.bytes = (struct slice){k->bytes, sealed.len};
    s->busy++;
    index_start(s->opts.index, &k->condemn);
}

/* --- from the store -------------------------------------------------- */

static void on_read(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct session *s = ctx;
    void (*done)(struct session *, const struct store_info *) = s->lists_done;

    s->list_op = NULL;
    s->lists_done = NULL;
    s->lists_read_ms = session_mono(s);
    if (err->code != ERR_OK)
        session_fail(s, err);
    if (session_alive(s))
        done(s, info);
    session_release(s);
}

void session_lists_read(struct session *s,
                        void (*done)(struct session *s,
                                     const struct store_info *info))
{
    struct list_read_opts opts = {
        .store = s->opts.store,
        .keys = s->keys,
        .set = s->lists,
        .on_list = on_list,
        .done = on_read,
        .ctx = s,
    };
    struct err err;

    s->lists_done = done;
    if (list_read_start(&opts, &s->list_op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

void session_lists_cancel(struct session *s)
{
    if (s->list_op)
        list_read_cancel(s->list_op);
}
