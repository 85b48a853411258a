/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/session_inside.h - what the files of a session share; for session*.c
 * alone. Everything here belongs to the session's loop, but for what a struct
 * work was lent.
 *
 *   feed    pieces -> batches of 1 MiB              session_feed.c
 *   chunks  ids -> parent? known? -> compress        session_chunks.c,
 * _parent.c place   in order: slot, map, seal                session_place.c
 *   pack    parts, hashes, toc and tail              session_pack.c
 *   spill   parts wait in a file, store down         session_spill.c
 *   send    uploads, locks, index                    session_send.c
 *   commit  steps 4 to 7                             session_commit.c, ...
 *
 * Every callback ends in session_pump(), which lets each of these do what it
 * can now; none of them calls another.
 */
#ifndef CAIRN_VAULT_SESSION_INSIDE_H
#define CAIRN_VAULT_SESSION_INSIDE_H

#include "base/buf.h"
#include "crypto/seal_digest.h"
#include "crypto/seal_pieces.h"
#include "crypto/seal_slot.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "vault/condemned.h"
#include "vault/list_read.h"
#include "vault/list_set.h"
#include "vault/pack_layout.h"
#include "vault/run.h"
#include "vault/session.h"
#include "vault/session_lists.h"
#include "vault/session_table.h"
#include "vault/session_tools.h"

#define SESSION_OWNER(ptr, type, member) \
    ((type *)((char *)(ptr)-offsetof(type, member)))

#define SESSION_BATCHES 16u      /* in the ring */
#define SESSION_ENTRIES 32u      /* of a batch: data, and ranges between */
#define SESSION_DATA_ENTRIES 16u /* 1 MiB in chunks of 64 KiB */
#define SESSION_RAW_MAX 8u       /* batches raw at a time */
#define SESSION_PARTS_IN_FLIGHT 2u
#define SESSION_PIECE ((size_t)1 << 20) /* hashed by one worker item */
#define SESSION_SPILL_TURNS 4u /* parts of a usual pack */
#define SESSION_CLOCK_SLACK_MS ((uint64_t)5 * 60 * 1000)
#define SESSION_LOCK_EXTRA_MS ((uint64_t)30 * 24 * 3600 * 1000)

enum session_state {
    SESSION_STARTING,   /* step 1 */
    SESSION_RUNNING,    /* data comes */
    SESSION_ANCHORING,  /* ... and waits: an unfinished point is committed */
    SESSION_DRAINING,   /* all data came; batches are under way */
    SESSION_COMMITTING, /* steps 4 to 7 */
    SESSION_FAILING,    /* what is under way comes back */
    SESSION_CLEANING,   /* uploads are aborted, points removed */
    SESSION_ENDED,
};

/* A place that the map of a disk can refer to. */
struct session_ref {
    uint32_t pack; /* number in the session's table; MAP_ZERO: none */
    uint32_t slot;
};

/* A pack that something refers to, or that is being written. */
struct session_pack_ref {
    struct id16 id;
    struct id16 key_id;
    uint16_t kind;
    bool ours;     /* of this session */
    bool kept_out; /* its key lacks a wrap: as if it were condemned */
};

/* --- batches --------------------------------------------------------- */

enum session_what {
    SESSION_ZERO,      /* a range of zero chunks */
    SESSION_UNCHANGED, /* a range as in the parent, by declaration */
    SESSION_DATA,      /* a chunk of a disk */
    SESSION_AGAIN,     /* a condemned chunk, to be stored once more */
    SESSION_PAGE,      /* a page of a map */
};

enum session_fate {
    SESSION_UNDECIDED,
    SESSION_REFER, /* to `ref` */
    SESSION_EQUAL, /* to what an earlier entry is going to be */
    SESSION_STORE,
};

struct session_entry {
    enum session_what what;
    enum session_fate fate;
    uint64_t chunk; /* its number; of a page: the page's */
    uint32_t count; /* chunks; 1 but for ranges */
    uint32_t at;    /* of the chunk in the raw slab */
    uint32_t len;   /* its bytes */
    struct id16 id;
    struct session_ref ref;    /* SESSION_REFER; what became of it */
    struct session_ref before; /* SESSION_AGAIN: the condemned place */
    uint8_t codec;
    uint32_t body_len; /* raw or compressed */
    const uint8_t *body;
    uint8_t *dest;   /* in a part */
    uint64_t offset; /* ... and in the pack */
};

enum session_batch_state {
    BATCH_FREE,
    BATCH_FILLING,
    BATCH_HASHING,    /* ids, on a worker */
    BATCH_PARENT,     /* waits for the parent's ids */
    BATCH_LOOKING_UP, /* in the index */
    BATCH_LOOKED_UP,  /* waits for its turn */
    BATCH_DECIDED,    /* waits for a slab to compress into */
    BATCH_PACKING,    /* compressing, on a worker */
    BATCH_READY,      /* being placed, in order */
    BATCH_PLACED,     /* all of it; some may still be sealed */
};

struct session_batch {
    struct session *session;
    enum session_batch_state state;
    struct session_disk_state *disk; /* NULL: not a disk's */
    enum seal_slot_kind kind;
    unsigned count;
    struct session_entry entry[SESSION_ENTRIES];
    struct slab *raw, *packed;
    struct work work;      /* ids, compressing */
    bool failed;           /* in a worker */
    struct buf runs;       /* what its SESSION_UNCHANGED entries refer to */
    unsigned parent_entry; /* the parent's ids are known up to here */
    uint32_t parent_chunk; /* ... and to this chunk of that entry */
    struct map_sum sum;    /* of its data entries */
    unsigned pack_from, pack_to; /* entries that this work item compresses */
    /* looking up: entries [i] of ids are entry[which[i]] */
    struct index_op lookup;
    unsigned asked;
    uint8_t which[SESSION_DATA_ENTRIES];
    struct id16 ids[SESSION_DATA_ENTRIES];
    struct index_place places[SESSION_DATA_ENTRIES];
    /* Entries [0, placed) have their place; of these, [sealed, placed) are not
     * sealed yet and lie in one pack, and [sealed, sealing) are with a worker
     * (sealing 0: none). */
    unsigned placed, sealed, sealing;
    struct session_pack *pack;
    struct work seal;
    size_t runs_at; /* of `runs`, put into the map */
};

/* --- disks ----------------------------------------------------------- */

struct session_disk_state {
    struct session_disk opts;
    char *name;
    uint64_t chunks;
    uint64_t fed;                  /* bytes */
    const struct point_disk *from; /* the parent's; NULL: none */
    struct buf map;                /* by the session's pack numbers */
    struct map_writer writer;
    struct map_sum sum;        /* of what is written here, or changes */
    struct session_ref *pages; /* of the last commit, if in pages */
    uint64_t page_count;
};

/* --- the journal ----------------------------------------------------- */

enum session_note_state {
    NOTE_NONE,
    NOTE_ASKED,
    NOTE_STANDS,
    NOTE_REFUSED, /* the session fails */
};

struct session_note {
    enum session_note_state state;
    struct session *session;
    const char *kind, *name; /* the owner's */
    bool stays;              /* not to be closed: more may be left */
};

/* --- packs ----------------------------------------------------------- */

/* Where the bytes of a part are, as long as it is not sent:
 *
 *   MEMORY --> RECALLED --its PUT came back--> WRITING --> FILED <--> READING
 *     ^  \_______________ no PUT ______________^  |                      |
 *     +------------ the file did not take it -----+        CHECKING <----+
 *                                                   FILED <--+
 * FILED with a slab is in memory as well. */
enum session_part_place {
    PART_MEMORY,
    PART_RECALLED,
    PART_WRITING,
    PART_FILED,
    PART_READING,
    PART_CHECKING,
};

struct session_part {
    struct session_pack *pack;
    struct session_part *next; /* of the pack, in order */
    unsigned number;           /* from 1 */
    struct slab *slab;
    bool extra;     /* its memory was taken from the budget */
    uint64_t begin; /* in the pack */
    uint64_t len;   /* bytes given away, those that run over counted */
    bool carried;   /* what ran over the part before has been copied here */
    bool last;      /* of the pack, and nothing more will come */
    uint64_t hashed;
    struct work work; /* hashing */
    bool hashing;
    size_t hash_bytes;
    struct seal_digest *sha;
    bool complete; /* hashed to its end: sha256 holds */
    uint8_t sha256[32];
    bool sending, sent;
    struct store_op *op;
    enum session_part_place place;
    bool recalled; /* its PUT was cancelled for that */
    unsigned slot; /* of the spill; from PART_RECALLED on */
    struct spill_op spill;
};

enum session_pack_state {
    PACK_FILLING,
    PACK_CLOSING,    /* padding; sealing and hashing up to the toc */
    PACK_ENDING,     /* toc and tail are appended, parts go out */
    PACK_COMPLETING, /* Complete, or the one PUT, is under way */
    PACK_LOCKING,    /* retention by a call of its own, or a look at it */
    PACK_INDEXING,   /* stored; the index is being told */
    PACK_GONE,
};

struct session_pack {
    struct session *session;
    struct session_pack *next;
    enum session_pack_state state;
    uint32_t number; /* in the session's table */
    enum seal_slot_kind kind;
    char name[NAME_TEXT];
    struct seal_key key;
    struct id16 key_id;
    uint32_t slots, slots_room;
    uint8_t *entries;    /* 28 bytes each */
    uint64_t end;        /* of what was given away */
    uint64_t toc_offset; /* set in PACK_CLOSING */
    uint64_t zeros;      /* of the padding, still to be appended */
    struct buf tail;     /* toc and tail, sealed */
    size_t tail_at;      /* of it, appended */
    struct session_part *parts, *last_part;
    unsigned part_count, parts_sent;
    uint8_t hashes[SEAL_PIECES_MAX][32];
    unsigned pieces;
    struct session_note note;
    bool creating;
    struct store_upload *upload;
    char upload_id[1024]; /* opaque, and some servers' are long */
    uint64_t strays;      /* of the store, when its upload was asked for */
    struct store_op *op;
    struct index_op index;
    struct index_entry index_entry;
    uint64_t safe_seq; /* batches before it may have asked the index too early
                          to find this pack */
};

/* --- parts that wait in a file --------------------------------------- */

struct session_spill {
    struct spill_share share;
    bool wanted; /* data waits for a part's memory */
    bool down;   /* the store answers nothing */
    bool failed; /* the file took nothing: not again before the store answers */
    uint64_t vain_since_ms; /* monotonic: down, and no part was sent since */
    unsigned writing, reading;
    unsigned turns; /* parts to be read back before another pack begins */
    bool probing;
    struct store_op *probe;
    struct timer tick;
};

/* --- the parent's places and ids ------------------------------------- */

#define SESSION_WINDOW 1024u /* chunks */

struct session_window {
    enum { WINDOW_EMPTY, WINDOW_LOADING, WINDOW_READY } state;
    uint64_t first;
    uint32_t count;
    struct session_ref ref[SESSION_WINDOW];
    struct id16 id[SESSION_WINDOW]; /* all zero: not known */
    struct index_range range[SESSION_WINDOW];
    struct index_op op;
};

struct session_parent; /* session_parent.c */
struct session_commit; /* session_commit.c */
struct session_begin;  /* session_begin.c */

/* --- the session ----------------------------------------------------- */

struct session {
    enum session_state state;
    struct session_opts opts;
    struct session_events events;
    char *texts; /* what opts' texts point to */
    struct loop *loop;
    struct vault *vault;
    const struct keyring *keys;
    const struct seal_suite *suite;
    struct vault_settings settings;
    struct timer kick;
    bool pumping, pump_again;
    unsigned busy;  /* operations under way: works, store, index, lists */
    struct err err; /* the first failure */
    struct session_figures figures;
    struct session_result result;

    /* step 1 */
    struct session_begin *begin;
    struct id16 vm_tag;
    uint64_t start_ms, latest_ms; /* latest: of names found and put */
    struct point *parent;
    struct point_ref parent_ref;
    struct buf roster;
    struct list_set *lists;
    struct condemned *gone; /* packs that are not there any more */
    struct id16 recovery[SESSION_RECOVERY_MAX];
    uint64_t lists_read_ms; /* monotonic */

    /* packs that are referred to */
    struct session_pack_ref *refs;
    uint32_t ref_count, ref_room;
    struct session_table *numbers; /* pack id -> number */
    struct session_table *stored;  /* chunk id -> place, of what the index does
                                      not know yet */

    /* disks */
    struct session_disk_state **disks;
    unsigned disk_count;
    struct session_parent *reader;

    /* batches: [first, next) of the ring are in use */
    struct session_batch *batch;
    uint64_t first, next;             /* sequence numbers */
    uint64_t parental, decide, place; /* next to be compared with the parent,
                                         decided, placed */
    struct session_batch *filling;    /* NULL, the last one, or `parked` */
    struct session_batch parked;      /* ... during an unfinished point */
    struct slab *spare;               /* a raw slab in hand */
    struct {
        uint64_t chunk, count;
    } rest; /* of session_unchanged(), to come */
    unsigned raw_held, packed_held;
    unsigned parts_max, slabs_max;
    bool paused; /* a piece was refused: drained() is owed */

    /* packs under way */
    struct session_pack *packs; /* all that are not gone */
    struct session_pack *open;  /* PACK_FILLING, or NULL */
    struct slab *idle_part;     /* of the floor, free */
    bool floor_part_out;
    unsigned parts_held, parts_in_flight;
    struct session_spill spill;
    bool lock_seen;             /* the first pack's retention was looked at */
    struct seal_digest *digest; /* SHA-256, for use on the loop */

    /* index runs */
    struct buf run;
    unsigned run_packs;
    uint64_t run_begun_ms, anchored_ms; /* monotonic */
    bool run_busy;
    struct buf run_object;
    char run_name[NAME_TEXT];
    struct session_note run_note;
    struct store_op *run_op;
    struct list_read *list_op;
    void (*lists_done)(struct session *s, const struct store_info *info);

    /* commit */
    struct session_commit *commit;
    size_t page_limit; /* a map over this goes in pages */
    struct buf metadata;
    bool finishing; /* session_finish() was called */
    bool committed; /* nothing can fail it any more */
    bool late;      /* cancelled when the point was on its way */
    bool abandoned; /* nothing is taken away any more */
};

/* Let everything do what it can now. The session may be gone afterwards. */
void session_pump(struct session *s);
/* The same from a later turn, for use inside the caller's calls. */
void session_kick(struct session *s);
/* The first failure; what is under way is called back. */
void session_fail(struct session *s, const struct err *err);
void session_fail_at(struct session *s, enum err_code code, const char *what);
/* An operation ended. */
void session_release(struct session *s);
static inline bool session_alive(const struct session *s)
{
    return s->err.code == ERR_OK;
}

uint64_t session_mono(const struct session *s);
uint64_t session_wall(const struct session *s);
/* An object's time, later than all that were found or put. */
uint64_t session_stamp(struct session *s);

/* The number of a pack; UINT32_MAX: out of memory (the session fails). */
uint32_t session_number(struct session *s, const struct session_pack_ref *ref);
/* What is condemned, or gone, must not be referred to. */
bool session_condemned(const struct session *s, struct session_ref ref);
/* The first run of such slots among [first, first + count) of a pack. */
bool session_hits(const struct session *s, uint32_t pack, uint32_t first,
                  uint32_t count, uint32_t *hit_first, uint32_t *hit_count);

/* --- session_note.c: the journal ------------------------------------- */
/* Whether the row stands; else it is asked for, once, and the pump comes when
 * it does. kind and name live as long as the note. */
bool session_note_stands(struct session *s, struct session_note *note,
                         const char *kind, const char *name);
/* It is complete, or gone, or was never begun; harmless without a row. */
void session_note_close(struct session *s, struct session_note *note);

/* --- session_begin.c: step 1 ----------------------------------------- */
enum err_code session_begin_start(struct session *s, struct err *err);
void session_begin_cancel(struct session *s);
void session_begin_free(struct session *s);
/* Whether packs of a key may be used again. */
bool session_begin_trusts(const struct session *s, const struct id16 *key);

/* --- session_feed.c: batches and their memory ------------------------ */
/* The batch that is being filled goes off; nothing when there is none. */
void session_feed_flush(struct session *s);
/* A new batch at the end of the ring, BATCH_FILLING; NULL: not now. raw: with
 * a raw slab. None may be being filled. */
struct session_batch *session_feed_batch(struct session *s, bool raw);
/* A slab to compress into; NULL: not now. */
struct slab *session_feed_packed(struct session *s);
void session_feed_give_raw(struct session *s, struct slab **slab);
void session_feed_give_packed(struct session *s, struct slab **slab);
/* Nothing is on its way between the caller and its place in a pack. */
/* Bytes beyond the floor, from the budget; give them back there. */
bool session_feed_reserve(struct session *s, uint64_t bytes);
bool session_feed_idle(const struct session *s);
void session_feed_note_peak(struct session *s);
void session_feed_go(struct session *s); /* drained()? */
void session_feed_free(struct session *s);
static inline struct session_batch *session_batch_at(struct session *s,
                                                     uint64_t seq)
{
    return &s->batch[seq % SESSION_BATCHES];
}

/* --- session_parent.c: the parent's ids, read ahead ------------------ */
enum session_parent_answer {
    PARENT_WAIT,     /* being read */
    PARENT_NONE,     /* nothing there, or not known */
    PARENT_IS_ZERO,  /* the parent has a zero chunk there */
    PARENT_IS,       /* ref and id are filled in */
    PARENT_IS_PLACE, /* ref is; the id is not known */
};
enum err_code session_parent_new(struct session *s, struct err *err);
void session_parent_free(struct session *s);
/* The parent was found: number its packs. False: out of memory. */
bool session_parent_take(struct session *s);
enum session_parent_answer
session_parent_at(struct session *s, struct session_disk_state *d,
                  uint64_t chunk, struct session_ref *ref, struct id16 *id);
void session_parent_go(struct session *s);
void session_parent_cancel(struct session *s);

/* --- session_chunks.c ------------------------------------------------ */
void session_chunks_start(struct session_batch *b); /* from BATCH_FILLING */
void session_chunks_go(struct session *s);

/* --- session_place.c ------------------------------------------------- */
void session_place_go(struct session *s);
/* Bytes of the pack before this are sealed. */
uint64_t session_place_sealed(const struct session *s,
                              const struct session_pack *p);

/* --- session_pack.c -------------------------------------------------- */
/* The open pack of a kind, with room for a slot of so many stored bytes; NULL:
 * not now. */
struct session_pack *
session_pack_for(struct session *s, enum seal_slot_kind kind, uint32_t stored);
/* The place for an entry whose body is known, in the pack of _for(). */
void session_pack_place(struct session_pack *p, struct session_entry *e);
void session_pack_close(struct session *s); /* the open one, if any */
void session_pack_go(struct session *s);
/* A part was sent: its memory. */
void session_pack_part_sent(struct session_part *part);
/* Its bytes lie elsewhere: its memory, unless what runs over is still needed. */
void session_pack_part_away(struct session_part *part);
/* Memory for a part, the reserved one or a further one; NULL: not now. */
struct slab *session_pack_slab(struct session *s, bool *extra);
void session_pack_free(struct session_pack *p);
static inline bool session_part_full(const struct session_part *part)
{
    return part->len >= STORE_PART_BYTES;
}

/* --- session_spill.c ------------------------------------------------- */
void session_spill_begin(struct session *s);
void session_spill_end(struct session *s); /* all packs are freed */
void session_spill_go(struct session *s);
void session_spill_cancel(struct session *s);
/* Data waits for the memory of a part, or has got it. */
void session_spill_want(struct session *s, bool wanted);
/* Parts come back before a new pack begins. */
bool session_spill_first(struct session *s);
/* The PUT of a part ended. True: it was called back, and that was all. */
bool session_spill_came_back(struct session_part *part, const struct err *err);
/* The part is sent, or given up: its room in the file. */
void session_spill_drop(struct session_part *part);
/* Whether a part's bytes may be sent now. */
bool session_spill_may_send(const struct session_part *part);
/* Its slab may go, as far as the part itself is concerned. */
static inline bool session_part_is_away(const struct session_part *part)
{
    return (part->sent || part->place == PART_FILED) && !part->sending;
}

/* --- session_send.c -------------------------------------------------- */
void session_send_go(struct session *s);
void session_send_cancel(struct session *s);
/* Every pack is stored, and none is open. */
bool session_send_idle(const struct session *s);
/* PUT what the run has, in any case (true) or when it is time. */
void session_send_run(struct session *s, bool now);
/* Abort uploads that are open; counted as busy. */
void session_send_abort(struct session *s);
void session_send_write(const struct session *s, struct store_write *w,
                        bool upload);

/* --- session_commit.c ------------------------------------------------ */
enum err_code session_commit_new(struct session *s, struct err *err);
void session_commit_free(struct session *s);
/* Begin steps 4 to 7 for the point, or for an unfinished one. */
void session_commit_start(struct session *s, bool unfinished);
void session_commit_go(struct session *s);
void session_commit_cancel(struct session *s);
/* Whether the point is on its way, or there: to cancel is too late. */
bool session_commit_is_late(const struct session *s);
/* The name of a point that may be there though the session failed, or "". */
void session_commit_unsure(const struct session *s,
                           char out[NAME_POINT_BYTES + 1]);
/* Remove points that were put and are not committed; counted as busy. */
void session_commit_clean(struct session *s);
/* Break that off. */
void session_commit_abandon(struct session *s);
/* What became of a condemned chunk, of a page. */
void session_commit_again(struct session *s, struct session_ref before,
                          struct session_ref now);
void session_commit_page(struct session *s, uint64_t page,
                         struct session_ref ref);

#endif
