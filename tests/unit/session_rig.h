/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/session_rig.h - backups as plain calls: a loop with a store in
 * memory, an index, a clock that stands, and a reader that takes a point apart
 * by the codecs alone.
 */
#ifndef CAIRN_TESTS_UNIT_SESSION_RIG_H
#define CAIRN_TESTS_UNIT_SESSION_RIG_H

#include "store_fault.h"
#include "vectors_keys.h"

#include "loop/work.h"
#include "vault/list.h"
#include "vault/pack_opener.h"
#include "vault/pack_table.h"
#include "vault/run.h"
#include "vault/session.h"

#define RIG_SERIES "0f0e0d0c-0b0a-4908-8706-050403020100"

struct rig {
    struct loop *loop;
    struct lane *lane;
    struct seal_suite *suite;
    struct keyring *keys;
    struct vault_settings settings;
    struct vault *vault;
    struct store_fault_bucket *bucket;
    struct store *store;
    struct index *index;
    struct session_tools *tools;
    struct slab_room *chunks, *parts;
    struct budget *budget;
    struct spill *spill; /* NULL: none; the caller's */
    uint64_t spill_until_ms;
    struct clock clock;
    uint64_t wall_ms, mono_ms;
    char folder[64], index_path[100];
    unsigned running; /* backups that have not ended */
};

struct rig_disk {
    struct session_disk opts;
    const uint8_t *data;
};

/* One backup. The first part is the caller's to set; zero is fine. */
struct rig_backup {
    struct rig_disk disk[4];
    unsigned disks;
    uint64_t ceiling; /* 0: the most */
    uint64_t tenant;
    size_t piece;     /* bytes of a write; 0: 64 KiB */
    bool tell_zeros;  /* whole MiBs of zeros by session_zero() */
    struct point_ref witness;
    const char *series; /* NULL: RIG_SERIES */
    uint64_t retain_until_ms;
    size_t page_above;
    uint64_t tick_ms;            /* the clock goes on by this at each write */
    uint64_t cancel_at;          /* bytes; 0: never */
    const struct id16 *recovery; /* tags */
    unsigned recovery_count;
    bool may_lack_memory; /* ERR_NOMEM is an outcome, not a failure */
    /* Before each write; false: not this time, it is asked again. */
    bool (*before)(struct rig_backup *b, unsigned disk, uint64_t offset);
    /* A point is about to be put. */
    void (*on_point)(struct rig_backup *b, const char *name);
    void *user;

    /* What came of it. */
    struct rig *rig;
    struct session *session;
    unsigned ready, drained, done;
    unsigned at_disk;
    uint64_t at, total;
    bool refused, finished;
    unsigned opening, closed; /* rows of the journal, of any kind */
    unsigned uploads_opened, uploads_closed, points_opened, points_closed;
    uint64_t note_ms;    /* 0: rows stand at once */
    struct err note_err; /* what is said of them */
    struct session_note *notes[16];
    unsigned note_count;
    struct timer note_timer;
    struct err err;
    struct session_result result;
};

void rig_init(struct rig *r);
void rig_fini(struct rig *r);
/* New settings for the next backups. */
void rig_settings(struct rig *r, struct vault_settings settings);
/* Forget the index file; with_close: a fresh one is opened. */
void rig_index_reset(struct rig *r);

/* Begin; fails the test when session_start() does. */
void rig_start(struct rig *r, struct rig_backup *b);
/* Until all backups are done; fails after a minute. */
void rig_run(struct rig *r);
/* Start, run, and fail the test unless it was committed. */
void rig_backup(struct rig *r, struct rig_backup *b);
/* Run the loop once or a few times. */
void rig_turn(struct rig *r);

/* Deterministic contents. */
void rig_fill_noise(uint8_t *data, size_t len, uint64_t seed);
void rig_fill_text(uint8_t *data, size_t len, uint64_t seed);

/* An object of the bucket, by name. */
struct slice rig_object(struct rig *r, const char *name);
/* Read a point. */
struct point *rig_point(struct rig *r, const char *name);
/* The disk of a point, byte for byte, its content sum and every pack's digest
 * checked; to free(). */
uint8_t *rig_read(struct rig *r, const char *point, size_t disk, size_t *len);
/* The point gives back what was fed. */
void rig_compare(struct rig *r, const struct rig_backup *b);
/* PUT a collection list that condemns slots of a pack (count 0: all). */
void rig_condemn(struct rig *r, const char *time, struct id16 pack,
                 uint32_t first, uint32_t count);
/* Objects whose names begin so. */
size_t rig_count(struct rig *r, const char *prefix);
/* The n-th of these. */
const char *rig_name(struct rig *r, const char *prefix, size_t n);

#endif
