/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/index.h - the local index of a vault: chunk id -> (pack, slot) and
 * back. A cache: stale, partial or lost it costs duplicates, never data.
 *
 * One SQLite file per vault, used on the index lane only (one thread for all
 * vaults). A struct index may be shared by any number of loops; what is asked
 * of it is a struct index_op, embedded in the asker's struct, whose done() is
 * called on the asker's loop exactly once, later. Operations of one loop run in
 * the order of starting, unless the lane's queue is full.
 *
 * A file that is damaged, or of another vault or version, is deleted and begun
 * anew, also in the middle of use; index_is_fresh() tells. An operation that
 * fails (disk full) says so in op->err and answers "not known": a backup goes
 * on without its index.
 *
 * It also keeps, for its vault, the objects of collection lists (sealed, so
 * that they prove themselves when they are read again) and until when objects
 * are known to be locked.
 */
#ifndef CAIRN_VAULT_INDEX_H
#define CAIRN_VAULT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "vault/name.h"

struct index;

/* What is known of a pack. */
struct index_pack {
    struct id16 id;
    struct id16 key_id; /* that it is sealed under */
    uint16_t kind;      /* enum seal_slot_kind */
    uint32_t slots;     /* INDEX_UNKNOWN: no such pack is known */
};
#define INDEX_UNKNOWN UINT32_MAX

/* Where a chunk lies. */
struct index_place {
    struct index_pack pack;
    uint32_t slot; /* INDEX_UNKNOWN: the chunk is not known */
};

/* A run of slots of one pack, and where their ids go. */
struct index_range {
    struct id16 pack_id;
    uint32_t first, count;
    struct id16 *ids; /* count of them; all zero where not known */
};

/* A pack to be added: what an index run says of it. */
struct index_entry {
    struct index_pack pack;
    const uint8_t *entries; /* pack.slots of 28 bytes */
};

/* Condemned slots; count 0: the whole pack. */
struct index_condemned {
    struct id16 pack_id;
    uint32_t first, count;
};

/* Until when an object is known to be locked. */
struct index_lock {
    char name[NAME_TEXT];
    uint64_t until_ms; /* 0: not known */
};

struct index_figures {
    uint64_t packs, chunks, file_bytes;
};

/* What is asked, and which fields of an op it uses. Arrays have `count`
 * members; all memory is borrowed to done(). */
enum index_verb {
    INDEX_LOOKUP,    /* ids: of chunks -> places */
    INDEX_PACKS,     /* ids: of packs -> packs */
    INDEX_RANGES,    /* ranges */
    INDEX_ADD,       /* entries, name: of the run they came from, or NULL.
                        A pack that is there stays as it is; what is condemned
                        is left out */
    INDEX_CONDEMN,   /* condemned: forgotten, and not added later */
    INDEX_RUNS,      /* on_item(): names of runs added before */
    INDEX_LOCKS,     /* locks[].name -> .until_ms */
    INDEX_SET_LOCKS, /* locks */
    INDEX_KEEP_LIST, /* name, bytes: a collection list's object */
    INDEX_LISTS,     /* on_item(): each list kept, with its object */
    INDEX_FIGURES,   /* figures */
};

struct index_op {
    enum index_verb verb;
    struct loop *loop;
    void (*done)(struct index_op *op); /* on `loop` */
    size_t count;
    const struct id16 *ids;
    struct index_place *places;
    struct index_pack *packs;
    struct index_range *ranges;
    const struct index_entry *entries;
    const struct index_condemned *condemned;
    struct index_lock *locks;
    const char *name;
    struct slice bytes;
    /* On the lane's thread, before done(); touches only what `ctx` lends it.
     * False: enough. */
    bool (*on_item)(void *ctx, const char *name, struct slice bytes);
    void *ctx;
    struct index_figures figures;
    struct err err; /* what became of it: ERR_OK, ERR_IO, ERR_NOMEM */
    /* private: */
    struct index *index;
    struct lane_item item;
    struct timer retry;
};

struct index_open_opts {
    const char *path; /* of the file; its folder exists */
    struct id16 vault_id;
    struct lane *lane; /* one thread; outlives the index */
    struct loop *loop; /* where done() is wanted */
    /* index NULL: ERR_IO (folder not writable, disk full), ERR_NOMEM. */
    void (*done)(void *ctx, const struct err *err, struct index *index);
    void *ctx;
};

/* done() once, later, unless this fails (ERR_NOMEM, ERR_AGAIN: the lane's
 * queue is full). */
enum err_code index_open_start(const struct index_open_opts *opts,
                               struct err *err);

/* No operation may be under way. Closes on the lane; done() on `loop`, may be
 * NULL. NULL index: done() is called at once. */
void index_close(struct index *index, struct loop *loop,
                 void (*done)(void *ctx), void *ctx);

/* The file was empty or had to be begun anew: it should be filled
 * (vault/index_fill.h). Any thread. */
bool index_is_fresh(const struct index *index);

/* Begin. The op stays valid until its done(). index NULL: nothing is known and
 * nothing is kept (ERR_IO), so that a backup goes on without. */
void index_start(struct index *index, struct index_op *op);

#endif
