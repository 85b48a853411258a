/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/session_commit.h - what the files of steps 4 to 7 share; for
 * session_commit.c, session_again.c, session_maps.c, session_point.c and
 * session_lock.c alone.
 */
#ifndef CAIRN_VAULT_SESSION_COMMIT_H
#define CAIRN_VAULT_SESSION_COMMIT_H

#include "vault/chunk_read.h"
#include "vault/session_inside.h"

#define SESSION_COMMIT_ROUNDS 20u /* then: try again */

enum session_commit_step {
    COMMIT_IDLE,
    COMMIT_CHECK, /* is anything condemned among our references? */
    COMMIT_AGAIN, /* it is stored again */
    COMMIT_PAGES, /* maps that are large go in pages */
    COMMIT_PACKS, /* all packs become complete */
    COMMIT_RUN,   /* PUT of the last index run */
    COMMIT_LIST,  /* LIST gc/ */
    COMMIT_LISTING,
    COMMIT_LOCK, /* retention of what is re-used */
    COMMIT_LOCKING,
    COMMIT_PUT,     /* the point */
    COMMIT_PUTTING, /* ... PUT, lock, read back */
    COMMIT_SEE,     /* LIST gc/, begun after the answer */
    COMMIT_SEEING,
    COMMIT_TIDY, /* former points are removed */
    COMMIT_TIDYING,
    COMMIT_DONE,
};

/* A condemned place, and where its chunk lies now. */
struct session_again {
    struct session_ref before;
    struct session_ref now; /* pack MAP_ZERO: not yet */
};

/* What has been written of a disk's map so far, then zeros to its end. */
struct session_maps_reader {
    struct map_reader map;
    uint64_t tail; /* zero chunks behind it */
};

struct session_lock; /* session_lock.c */

struct session_commit {
    enum session_commit_step step;
    bool unfinished;
    unsigned rounds;

    /* COMMIT_AGAIN */
    struct session_again *again; /* sorted */
    size_t again_count, again_room, again_next;
    struct chunk_read *reader;
    bool reading;
    struct session_batch *batch; /* being filled, or NULL */
    uint32_t batch_bytes;

    /* COMMIT_PAGES */
    unsigned page_disk;
    uint64_t page;
    bool page_begun; /* of that disk */
    struct session_maps_reader page_reader;
    struct map_run page_run; /* what is left of it */
    struct map_run page_runs[MAP_PAGE_CHUNKS];
    struct buf page_bytes;

    /* COMMIT_LOCK */
    struct session_lock *lock;

    /* the point */
    char name[NAME_TEXT];
    struct buf object;
    uint8_t sha256[32];
    struct session_note note;
    bool put;               /* it may lie in the store */
    struct buf replaces;    /* names of those put before */
    char anchor[NAME_TEXT]; /* the unfinished one that lies in the store */
    struct store_op *op;
    unsigned removing;
    struct removal *removals;
};

/* --- session_again.c ------------------------------------------------- */
/* Whether anything that the maps or pages refer to is condemned. */
bool session_again_is_needed(const struct session *s);
/* Gather what is condemned in the maps; false: nothing. */
bool session_again_gather(struct session *s);
/* Read and feed; true when all has its new place and the maps say so. */
bool session_again_go(struct session *s);
void session_again_cancel(struct session *s);

/* --- session_maps.c -------------------------------------------------- */
/* From the beginning. */
void session_maps_read(struct session_disk_state *d,
                       struct session_maps_reader *r);
bool session_maps_next(struct session_maps_reader *r, struct map_run *run);
/* Begin with the first disk; then true when all pages have their place. */
void session_maps_begin(struct session *s);
bool session_maps_go(struct session *s);

/* --- session_point.c ------------------------------------------------- */
/* Name, object and hash of the next point. */
enum err_code session_point_build(struct session *s, struct err *err);

/* --- session_lock.c -------------------------------------------------- */
/* Step 5; done() later. `gone` grows by packs that are not there any more. */
void session_lock_start(struct session *s, void (*done)(struct session *s));
void session_lock_cancel(struct session *s);
void session_lock_free(struct session *s);

#endif
