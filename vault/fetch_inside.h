/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/fetch_inside.h - what the files of vault/fetch share.
 *
 *   fetch.c        the queue: what is wanted, admitted, delivered
 *   fetch_pack.c   a pack: its table, its key, the next object when one fails
 *   fetch_source.c a GET over slots of one pack, in rising order
 *   fetch_open.c   filled cells -> workers -> chunks
 *
 * Wants are numbered from 0 and stand in a ring: [head, admitted) have a cell
 * (or share one), [admitted, tail) are known but have none. Cells are admitted
 * in the order of the wants, so that the head always has one: nothing that
 * comes later can keep it waiting.
 */
#ifndef CAIRN_VAULT_FETCH_INSIDE_H
#define CAIRN_VAULT_FETCH_INSIDE_H

#include "loop/slab.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "vault/fetch.h"
#include "vault/pack_opener.h"
#include "vault/pack_read.h"

#define FETCH_RING 4096u      /* wants that are known ahead */
#define FETCH_SOURCES 6u      /* GETs at once */
#define FETCH_GAP (512 * KIB) /* that is read over rather than asked anew */
#define FETCH_AHEAD 128u      /* wants behind the admitted that get sources */
#define FETCH_TABLES_AHEAD 512u
#define FETCH_TABLES_AT_ONCE 4u
#define FETCH_ITEMS 4u      /* at workers */
#define FETCH_BATCH 8u      /* cells of one item */
#define FETCH_BUCKETS 1024u /* of packs by id */
#define FETCH_NOBODY UINT64_MAX
/* Objects of a pack in which a slot fails, with no chunk read between: each is
 * tried for one slot or another several times over before that. */
#define FETCH_BARREN_MAX 1024u
#define FETCH_PIECE (256 * KIB) /* of a store's on_data() */

enum fetch_cell_state {
    CELL_WAITING, /* for bytes */
    CELL_FILLED,  /* sealed bytes are whole */
    CELL_OPENING, /* at a worker */
    CELL_READY,
};

/* One chunk in memory. */
struct fetch_cell {
    enum fetch_cell_state state;
    unsigned refs; /* wants that wait for it */
    struct fetch_pack *pack;
    uint32_t slot;
    unsigned round;              /* of the pack, when its bytes came */
    struct fetch_source *source; /* that will fill it */
    struct pack_slot info;       /* from the table, once bytes come */
    uint32_t filled;
    struct slab *slab;       /* NULL until bytes come */
    struct fetch_cell *next; /* free or filled ones */
};

struct fetch_ref {
    struct fetch_want want;
    struct fetch_pack *pack;
    struct fetch_cell *cell;     /* NULL: not admitted */
    struct fetch_source *source; /* that has it in its plan */
    uint64_t next;               /* want for the same pack; FETCH_NOBODY */
};

struct fetch_pack {
    struct fetch *f;
    struct id16 id, key_id;
    enum seal_slot_kind kind;
    struct fetch_pack *bucket; /* the next of its bucket */
    uint64_t first, last;      /* wants in the ring; FETCH_NOBODY */
    unsigned cells, sources;   /* that refer to it */
    uint64_t used;             /* when it was last wanted: for forgetting */

    struct pack_read *reader;
    bool opening;                   /* reader is at work */
    bool failed;                    /* a slot did: another object is needed */
    const struct pack_table *table; /* NULL: none */
    uint64_t table_bytes;
    unsigned round;      /* counts tables */
    bool first_search;   /* no object was given up yet */
    uint32_t round_slot; /* for whose sake objects are given up */
    unsigned barren;     /* failures since a chunk came out */

    bool has_key;
    struct seal_key key;
    struct store_op *header_op; /* a GET of the header alone */
    unsigned header_round;
};

/* A GET over some slots of one pack. */
struct fetch_source {
    struct fetch *f;
    struct fetch_pack *pack; /* NULL: free */
    struct store_op *op;     /* NULL: it has ended */
    bool closing;            /* nobody wants it any more */
    bool in_callback;
    bool refused;   /* the store waits for store_op_resume() */
    uint64_t pos;   /* in the object: of the next byte to be looked at */
    uint64_t *plan; /* wants, by rising slot; owned */
    size_t planned, next;
    uint8_t head[SEAL_SLOT_HEADER];
    uint8_t *carry; /* FETCH_PIECE; what was taken and cannot be placed yet */
    size_t carry_at, carry_len;
};

/* Some cells at a worker. */
struct fetch_item {
    struct work work;
    struct fetch *f;
    bool busy;
    struct pack_opener *opener;
    size_t count;
    struct fetch_cell *cell[FETCH_BATCH];
    struct seal_key key[FETCH_BATCH];
    struct err err[FETCH_BATCH];
};

struct fetch {
    struct fetch_opts opts;
    struct fetch_figures figures;
    struct timer turn;
    bool running; /* inside fetch_run() */
    bool again;   /* something changed meanwhile */
    bool ended;   /* FETCH_END */
    bool refused; /* the head, until fetch_wake() */
    bool ending;  /* failed, cancelled or through */
    bool no_room; /* for another table, in this round of planning */
    struct err err;

    struct fetch_ref *ring;
    uint64_t head, admitted, tail, unplanned;
    uint64_t *same; /* (pack, slot) -> the want whose cell may be shared */

    struct slab_room *slabs;
    struct fetch_cell *cells, *free_cells;
    struct fetch_cell *filled, **filled_end;
    struct fetch_pack *packs[FETCH_BUCKETS];
    uint64_t table_bytes, clock;
    unsigned opening; /* pack_reads and header GETs at work */
    struct fetch_source source[FETCH_SOURCES];
    struct fetch_item item[FETCH_ITEMS];
    unsigned items_busy;
};

static inline struct fetch_ref *fetch_ref_at(const struct fetch *f,
                                             uint64_t seq)
{
    return &f->ring[seq % FETCH_RING];
}

/* fetch.c */
void fetch_run(struct fetch *f); /* go on with whatever can go on */
void fetch_fail(struct fetch *f, const struct err *err);
/* The last call of every callback: f may be gone after it. */
void fetch_settle(struct fetch *f);
/* Begin planning at the head again. */
void fetch_replan(struct fetch *f);

/* fetch_pack.c */
struct fetch_pack *fetch_pack_find(struct fetch *f,
                                   const struct fetch_want *want);
void fetch_pack_forget_all(struct fetch *f);
/* Nobody wants it any more: forget it, unless its table may be of use. */
void fetch_pack_idle(struct fetch_pack *p);
/* Stop what is under way, for good. */
void fetch_pack_cancel_all(struct fetch *f);
/* See to it that the table is there or on its way. True: it is there. */
bool fetch_pack_table(struct fetch_pack *p, bool is_head);
/* See to it that K_pack is there or on its way, without a source. */
enum err_code fetch_pack_fetch_key(struct fetch_pack *p, struct err *err);
/* The header was read by a source. ERR_INTEGRITY, ERR_KEY. */
enum err_code fetch_pack_take_header(struct fetch_pack *p,
                                     const uint8_t *header, struct err *err);
/* A slot of the current table is bad: look for it elsewhere. */
void fetch_pack_slot_failed(struct fetch_pack *p, uint32_t slot,
                            const struct err *why);
/* Whether the table has a slot as it is wanted. */
bool fetch_pack_check(const struct fetch_pack *p, const struct fetch_want *want,
                      struct err *why);

/* fetch_source.c */
/* A source for this want and what comes after it in its pack. False: there is
 * none free. */
bool fetch_source_open(struct fetch *f, uint64_t seq);
void fetch_source_close(struct fetch_source *s);
void fetch_source_close_pack(struct fetch_pack *p);
/* Place what is carried; ask for more. True: something was placed. */
bool fetch_source_drain(struct fetch_source *s);
/* Give up the source that is wanted last, if that is behind `seq`: a place
 * will be free, later. */
void fetch_source_evict(struct fetch *f, uint64_t seq);

/* fetch_open.c */
enum err_code fetch_open_init(struct fetch *f, struct err *err);
void fetch_open_fini(struct fetch *f);
/* A cell's sealed bytes are whole. */
void fetch_open_add(struct fetch *f, struct fetch_cell *c);
/* Send filled cells to workers. */
void fetch_open_dispatch(struct fetch *f);
/* Drop the sealed bytes of a pack's cells that no worker has. */
void fetch_open_drop(struct fetch_pack *p);

#endif
