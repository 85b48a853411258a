/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/verify_inside.h - what the files of vault/verify share.
 *
 *   verify.c        the phases; small objects
 *   verify_pack.c   what is known of the packs: slots, bad ones
 *   verify_scan.c   one pack object, read whole
 *   verify_point.c  one point against the packs
 *   verify_roster.c points that are missing
 */
#ifndef CAIRN_VAULT_VERIFY_INSIDE_H
#define CAIRN_VAULT_VERIFY_INSIDE_H

#include "base/buf.h"
#include "loop/slab.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "vault/list_set.h"
#include "vault/map.h"
#include "vault/name.h"
#include "vault/pack_read.h"
#include "vault/point.h"
#include "vault/verify.h"

#define VERIFY_SCANS 4u /* pack objects at once, at most */
#define VERIFY_SCAN_BYTES \
    (4 * MIB) /* each takes: two slabs, a slot, contexts */
#define VERIFY_SLAB ((size_t)1 << 20)
#define VERIFY_BUCKETS 4096u

/* A slot, as far as points are concerned. */
struct verify_slot {
    struct id16 id;
    uint32_t raw; /* 0: in no object of the pack */
};

/* A pack: all its objects together. */
struct verify_pack {
    struct verify_pack *bucket;
    struct id16 id, key_id;
    enum seal_slot_kind kind;
    bool has_key_id;
    bool wanted;       /* one point alone is verified, and names it */
    unsigned listed;   /* objects */
    unsigned opened;   /* whose header, tail and toc are good */
    unsigned doubtful; /* of these: the digest is wrong, the slots not tried */
    uint32_t slots;
    struct verify_slot *slot; /* NULL: not in memory */
    uint32_t *bad; /* slots that no object has whole; rising */
    size_t bads;
    bool bads_known; /* an object was there to tell */
    uint64_t used;
};

struct verify_object {
    struct name name;
    uint64_t bytes;
};

struct verify_scan;
struct verify_check;

enum verify_phase {
    VERIFY_LISTING,
    VERIFY_SMALL,  /* format, keys, lists, runs */
    VERIFY_CHOICE, /* one point alone: which packs it names */
    VERIFY_PACKS,
    VERIFY_POINTS,
    VERIFY_ENDING,
};

struct verify {
    enum verify_phase phase;
    struct verify_opts opts;
    char point[NAME_TEXT]; /* "": all */
    struct verify_figures figures;
    struct err err;
    struct timer turn;
    struct store_op *op; /* a LIST, or a GET of a small object */
    struct verify_object *object;
    size_t objects, room, next;
    size_t fetched;      /* the small object under way */
    struct id16 *key_id; /* of keys/, rising */
    size_t key_ids, key_room;
    bool hint_seen;
    struct list_set *lists;
    bool bad_lists; /* one could not be read */
    /* Names of points, 65 bytes each: rising; that later ones remember, of
     * which rosters_tidy bytes were sorted; replaced. */
    struct buf points, rosters, replaced;
    size_t rosters_tidy;
    struct verify_pack *packs[VERIFY_BUCKETS];
    uint64_t slot_bytes, slot_bytes_max, clock; /* of tables in memory */
    struct verify_scan *scan[VERIFY_SCANS];
    unsigned scans, scans_max;
    struct slab_room *slabs;
    struct verify_check *check; /* the point under way */
};

/* verify.c */
void verify_fail(struct verify *v, const struct err *err);
/* The last call of every callback: v may be gone after it. */
void verify_settle(struct verify *v);
void verify_find(struct verify *v, const char *object, bool hurts,
                 const struct err *err);
/* Go on: the next object of this phase, or the next phase. */
void verify_step(struct verify *v);
/* An object has been dealt with. */
void verify_count(struct verify *v, uint64_t bytes);
/* Whether an error speaks of the object, not of the way to it. */
bool verify_is_damage(enum err_code code);
/* Whether a wrap of a key lies in keys/. */
bool verify_has_wrap(const struct verify *v, const struct id16 *key_id);

/* verify_pack.c */
struct verify_pack *verify_pack_find(struct verify *v, const struct id16 *id,
                                     enum seal_slot_kind kind);
/* The same, made if need be. NULL: out of memory. */
struct verify_pack *verify_pack_get(struct verify *v, const struct id16 *id,
                                    enum seal_slot_kind kind);
void verify_pack_free_all(struct verify *v);
/* What an object of the pack holds. bad: rising slots that do not open.
 * doubtful: its digest is wrong and its slots were not tried, so it vouches for
 * none. False: out of memory. */
bool verify_pack_add(struct verify *v, struct verify_pack *p,
                     const struct pack_table *t, const uint32_t *bad,
                     size_t bads, bool doubtful);
/* A table that was read again. False: out of memory. */
bool verify_pack_load(struct verify *v, struct verify_pack *p,
                      const struct pack_table *t);
bool verify_pack_is_bad(const struct verify_pack *p, uint32_t slot);
/* What is wrong with a slot that a map names, which is to hold so many bytes
 * sealed under this key; NULL: nothing. p NULL: the pack was not found. */
const char *verify_pack_fault(const struct verify_pack *p,
                              const struct id16 *key, uint32_t slot,
                              uint64_t bytes);

/* verify_scan.c */
enum err_code verify_scan_start(struct verify *v,
                                const struct verify_object *object,
                                struct verify_scan **place, struct err *err);
void verify_scan_cancel(struct verify_scan *s);

/* verify_point.c */
/* choose: only mark the packs that it names as wanted. */
enum err_code verify_check_start(struct verify *v, const char *name,
                                 bool choose, struct err *err);
void verify_check_cancel(struct verify_check *c);

/* verify_roster.c */
/* What a point remembers; only what is not listed is kept. False: out of
 * memory. */
bool verify_roster_note(struct verify *v, struct slice names);
/* Points that others remember and that are nowhere. */
void verify_roster_check(struct verify *v);

#endif
