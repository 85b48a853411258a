/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/fetch.h - chunks by (pack, slot), in the order in which they are asked
 * for, with few requests and bounded memory.
 *
 * What is wanted is pulled a few thousand slots ahead; of each pack the slots
 * that lie near one another come with one GET, several packs at a time. Slots
 * are opened on workers. A chunk wanted several times in a row is fetched once.
 * A pack that is gone, or in which a slot is, is looked for among its other
 * generations, slot by slot; after 1,024 failures without a chunk read between
 * it is ERR_INTEGRITY, whatever else they promise. Lives on the store's loop.
 */
#ifndef CAIRN_VAULT_FETCH_H
#define CAIRN_VAULT_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/seal_slot.h"
#include "store/store.h"
#include "vault/keyring.h"

/* What is not for chunks: buffers of GETs and contexts of workers. */
#define FETCH_OVERHEAD ((uint64_t)3 << 20)
/* Chunks that must fit at once, at the least. */
#define FETCH_CHUNKS_MIN 4

struct fetch;

struct fetch_want {
    struct id16 pack_id;
    enum seal_slot_kind kind;
    struct id16 key_id; /* that the pack must be sealed under */
    uint32_t slot;
    uint32_t raw_bytes; /* that the chunk must have; 0: raw_max at most */
    uint64_t number;    /* the asker's own */
};

enum fetch_more {
    FETCH_WANT,  /* *out is filled in */
    FETCH_LATER, /* nothing now; fetch_wake() follows */
    FETCH_END,   /* nothing more, ever */
};

struct fetch_figures {
    uint64_t chunks;       /* opened */
    uint64_t stored_bytes; /* of these in their packs */
    uint64_t tables;       /* of packs, opened */
    uint64_t body_gets;
    uint64_t retries; /* slots looked for in another object */
};

struct fetch_opts {
    struct store *store; /* outlives it, as keys */
    const struct keyring *keys;
    uint64_t memory_bytes; /* FETCH_OVERHEAD and FETCH_CHUNKS_MIN chunks up */
    uint64_t table_bytes;  /* of tables kept at once; one always fits */
    uint32_t raw_max;      /* no chunk is larger */
    /* The next one, in order. Never from inside fetch_wake(). */
    enum fetch_more (*next)(void *ctx, struct fetch_want *out);
    /* The next one is there: take it (true), or refuse and fetch_wake() later.
     * id: of the chunk, checked. */
    bool (*on_chunk)(void *ctx, const struct fetch_want *want,
                     const struct id16 *id, struct slice chunk);
    /* ERR_OK: FETCH_END was reached and all was taken. ERR_INTEGRITY,
     * ERR_NOT_FOUND, ERR_KEY, ERR_COLD, the store's. Gone when it returns. */
    void (*done)(void *ctx, const struct err *err,
                 const struct fetch_figures *figures);
    void *ctx;
};

/* Everything else happens in later turns. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code fetch_start(const struct fetch_opts *opts, struct fetch **out,
                          struct err *err);

/* In the turn of fetch_start() only: as if it had never been. NULL is fine. */
void fetch_abandon(struct fetch *f);

/* There is something to want, or something refused would be taken. From
 * anywhere; nothing happens before the next turn. */
void fetch_wake(struct fetch *f);

/* done() gets `why`, later, if nothing failed before. */
void fetch_cancel(struct fetch *f, const struct err *why);

const struct fetch_figures *fetch_figures(const struct fetch *f);

#endif
