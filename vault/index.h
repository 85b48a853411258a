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
 * anew (index_is_fresh); an error in the middle of use (disk full, damage)
 * makes lookups find nothing and changes do nothing, which index_fault() tells:
 * a backup goes on without its index.
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

/* Where a chunk lies. Valid as long as the index is open: pack numbers are its
 * own. */
struct index_place {
    uint32_t pack; /* INDEX_NONE: not known */
    uint32_t slot;
};
#define INDEX_NONE UINT32_MAX

/* What is known of a pack. */
struct index_pack {
    struct id16 id;
    struct id16 key_id; /* all zero: not known */
    uint16_t kind;      /* enum seal_slot_kind */
    uint32_t slots;
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
    const uint8_t *entries; /* pack.slots of 28 bytes, borrowed to done() */
};

/* Condemned slots; count 0: the whole pack. */
struct index_condemned {
    struct id16 pack_id;
    uint32_t first, count;
};

struct index_figures {
    uint64_t packs, chunks;
    uint64_t file_bytes;
};

enum index_verb {
    INDEX_LOOKUP,  /* ids[count] -> places[count] */
    INDEX_PACKS,   /* places[count].pack -> packs[count] */
    INDEX_RANGES,  /* ranges[count] */
    INDEX_ADD,     /* entries[count]; a pack that is there stays; what is
                      condemned is left out. `note`: remembered with it */
    INDEX_CONDEMN, /* condemned[count]: forgotten, now and for later adding */
    INDEX_HAS,     /* pack ids[count] -> places[count], slot 0 */
    INDEX_NOTES,   /* ids of what was noted before, see index_noted() */
    INDEX_RETAINED,    /* names[count] -> until_ms[count], 0: not known */
    INDEX_SET_RETAINED,/* names[count], until_ms[count] */
    INDEX_KEEP_LIST,   /* names[0] and bytes: a collection list's object */
    INDEX_EACH_LIST,   /* on_list() for each kept, on the lane's thread */
    INDEX_FIGURES,
};

struct index_op {
    /* The asker fills in what the verb names. All borrowed to done(). */
    enum index_verb verb;
    struct loop *loop;
    void (*done)(struct index_op *op);
    size_t count;
    const struct id16 *ids;
    struct index_place *places;
    struct index_pack *packs;
    struct index_range *ranges;
    const struct index_entry *entries;
    const struct index_condemned *condemned;
    char (*names)[NAME_TEXT];
    uint64_t *until_ms;
    struct slice bytes;
    const char *note; /* INDEX_ADD: name of the run it came from, or NULL */
    bool (*on_name)(void *ctx, const char *name); /* INDEX_NOTES */
    bool (*on_list)(void *ctx, const char *name, struct slice sealed);
    void *ctx; /* of these two, which run on the lane's thread */
    struct index_figures figures;
    /* What became of it: ERR_OK, ERR_IO, ERR_NOMEM. Answers are "not known"
     * when it failed. */
    struct err err;
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
    /* index NULL: ERR_IO (folder not writable), ERR_NOMEM. */
    void (*done)(void *ctx, const struct err *err, struct index *index);
    void *ctx;
};

/* done() once, later, unless this fails (ERR_NOMEM). */
enum err_code index_open_start(const struct index_open_opts *opts,
                               struct err *err);

/* No operation may be under way. Closes on the lane; done() on `loop`. */
void index_close(struct index *index, struct loop *loop,
                 void (*done)(void *ctx), void *ctx);

/* The file was empty or had to be begun anew: it should be rebuilt. */
bool index_is_fresh(const struct index *index);

/* Begin. The op stays valid until its done(). */
void index_start(struct index *index, struct index_op *op);

#endif
