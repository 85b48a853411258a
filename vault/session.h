/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/session.h - one backup's writing to one vault (format.md 6), from the
 * first LIST to the point that was read back.
 *
 *   session_start --> ready() --> add_disk, write/zero/unchanged ... finish
 *                                                            --> done()
 *
 * A session lives on one data loop and is used from that loop's thread only.
 * Memory: the caller has SESSION_FLOOR_BYTES reserved in the budget before
 * session_start() and gives them back after done(); whatever goes beyond it the
 * session takes from the budget itself, up to the ceiling, and gives back. It
 * leaves room for the floor of one more session.
 * With the floor alone it works stop and wait.
 *
 * With a spill, and while the store answers nothing (store.h, down_since_ms),
 * parts of uploads that are sealed and whole wait in its file as soon as their
 * memory is wanted; when the store answers they are read back, checked against
 * their SHA-256, and sent. Without room in the file, or after a write to it has
 * failed, they stay in memory and pieces are refused, as without a spill.
 *
 * Back-pressure: session_write(), _zero() and _unchanged() take all they are
 * given or nothing. After one of them said false, drained() comes once when a
 * whole MiB can be taken, from the loop, never from inside a call; until then
 * they go on saying false. After a failure they say false for good, and done()
 * is what comes.
 *
 * Nothing is committed before done(ERR_OK). On failure or cancel no upload is
 * left open, as far as the store answers, and the first cause is reported.
 */
#ifndef CAIRN_VAULT_SESSION_H
#define CAIRN_VAULT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "loop/budget.h"
#include "loop/slab.h"
#include "loop/spill.h"
#include "store/store.h"
#include "vault/index.h"
#include "vault/point.h"
#include "vault/vault.h"

/* One part, stop and wait, two batches raw and one compressed, and room for
 * the caller's own transfer buffers (1 MiB). */
#define SESSION_FLOOR_BYTES (20 * MIB)
#define SESSION_CEILING_BYTES (64 * MIB)

/* Sizes of the slabs that a session takes. A part's has room for the end of
 * the slot that runs over it; pages that are not touched cost nothing. */
#define SESSION_CHUNK_SLAB ((size_t)1 << 20)
#define SESSION_PART_SLAB (((size_t)17 << 20) + 4096)

/* What one call may bring, at most. */
#define SESSION_WRITE_MAX ((size_t)256 << 10)

#define SESSION_RECOVERY_MAX 8u

/* Packs whose parts lie in a spill keep tables in memory, beside the budget:
 * who makes a spill sets so many bytes aside for each of its slots. That is
 * room for so many chunks; who has more of them spills less. */
#define SESSION_SPILL_TABLES ((uint64_t)128 << 10)
#define SESSION_SPILL_CHUNKS 1024u

struct session;

/*
 * Contexts of zstd and the crypto library for the worker threads of the whole
 * process; made once, shared by all sessions of all loops. workers: what
 * work_setup() said.
 */
struct session_tools;
struct session_tools *session_tools_new(const struct seal_suite *suite,
                                        unsigned workers); /* NULL: no memory */
void session_tools_free(struct session_tools *t);

/* Bytes are those of disks unless it says stored. */
struct session_figures {
    uint64_t read;         /* taken: data, zero and unchanged */
    uint64_t data;         /* ... of these, data that was looked at */
    uint64_t zero;         /* chunks all zero */
    uint64_t unchanged;    /* equal to the parent's or declared so */
    uint64_t known;        /* found in the index, or earlier in this session */
    uint64_t fresh;        /* put in packs of this session */
    uint64_t stored;       /* bytes of packs in the store: slots, tables, pad */
    uint64_t again;        /* stored once more because they were condemned */
    uint64_t packs, parts; /* complete packs; parts and single PUTs sent */
    uint64_t map_packs;
    uint64_t index_runs, points; /* objects put, unfinished points too */
    uint64_t meta_bytes;         /* of index runs and points put */
    uint64_t slab_peak;          /* bytes of slabs held at most */
    uint64_t spilled_now;        /* bytes of parts in the spill's file */
    uint64_t spilled;            /* ... that were written to it in all */
    uint64_t down_since_ms;      /* wall clock: the store answers nothing, and
                                    parts are spilled; 0: it answers */
};

struct session_result {
    struct point_ref point;  /* name and SHA-256: the next witness */
    struct point_ref parent; /* name "": there was none */
    uint64_t start_ms, end_ms;
    struct session_figures figures;
    uint64_t warnings; /* points of this VM that could not be read */
    /* Of a session that failed: the point that was sent, and of which the store
     * has not said that it is not there. "": none. */
    char unsure[NAME_POINT_BYTES + 1];
};

/* A row of the journal that is being written. */
struct session_note;

/* All optional; called on the loop, never from inside a call to us but for
 * those of the journal, which may be. They must not call back in, but
 * drained() and ready(), which may. */
struct session_events {
    /* Begun and read step 1: disks may be added now. */
    void (*ready)(void *ctx);
    void (*drained)(void *ctx);
    /*
     * The journal: something is about to be made in the store under this name.
     * Nothing of it is sent before the row stands, which session_noted() says.
     * kind: "upload" and "put" (objects; what is unfinished of them at a crash
     * is to be aborted), "point" (to be looked at by vault/confirm.h).
     */
    void (*opening)(void *ctx, const char *kind, const char *name,
                    struct session_note *note);
    /* The store's own name for that upload. */
    void (*upload_opened)(void *ctx, const char *name, const char *upload_id);
    /* It is complete, and nothing else of this name is left. Does not come for the point
     * that was committed, and where neither is sure. */
    void (*closed)(void *ctx, const char *kind, const char *name);
    /* Exactly once for a started session; it is gone when this returns.
     * result is filled in as far as it came, also on failure; point.name is
     * "" then. ERR_AGAIN: something was condemned meanwhile that cannot be
     * stored again. ERR_INTEGRITY: the witness, a list or the parent. */
    void (*done)(void *ctx, const struct err *err,
                 const struct session_result *result);
};

struct session_opts {
    struct loop *loop;
    struct vault *vault; /* a reference is taken; must hold current keys */
    struct store *store; /* outlives the session, as all of these */
    struct index *index;
    struct session_tools *tools;
    struct slab_room *chunk_room; /* of SESSION_CHUNK_SLAB, of this loop */
    struct slab_room *part_room;  /* of SESSION_PART_SLAB */
    struct budget *budget;
    uint64_t tenant; /* whose the floor is, and what is taken beyond it */
    uint64_t ceiling_bytes; /* SESSION_FLOOR_BYTES to SESSION_CEILING_BYTES */
    struct spill *spill;    /* outlives the session; NULL: none */
    uint64_t spill_after_ms; /* a store that answers nothing for so long is
                                down */
    uint64_t spill_until_ms; /* a store to which no part could be sent for so
                                long gets no more of them spilled, so that its
                                own retries come to their end */
    const struct clock *clock;
    struct session_events events; /* done must be set */
    void *ctx;

    /* Texts are copied; NULL: not in the point. */
    const char *series; /* 1 to 128 bytes */
    struct id16 vm;
    const char *name, *pool, *source_mode, *consistency, *gateway;
    const char *retention;    /* class, as text */
    uint64_t retain_until_ms; /* end of the point's retention; with a lock */
    struct point_ref witness; /* the VM's last point we know of; name "": none
                                 is known, and none is demanded */
    /* Tags of the configured recovery recipients, copied: packs of a key that
     * is not wrapped for all of them are not used again (format.md 3). Costs a
     * LIST. count 0: no pack is kept out. */
    const struct id16 *recovery;
    unsigned recovery_count; /* at most SESSION_RECOVERY_MAX */
    size_t page_above; /* a map of more bytes goes in pages; 0: MAP_FIELD_BYTES,
                          which is also the most */
};

/* ERR_ARGUMENT, ERR_NOMEM, ERR_KEY (the keyring seals nothing): done() will
 * not come. */
enum err_code session_start(const struct session_opts *opts,
                            struct session **out, struct err *err);

/* The answer to opening(): exactly once for each, also while the session is
 * failing, on its loop; from inside opening() or later. Not ERR_OK: the row
 * does not stand, and the session fails with that. */
void session_noted(struct session_note *note, const struct err *err);

/* From ready() on: the newest finished point of this VM, NULL: none. Borrowed
 * to done(). */
const struct point *session_parent(const struct session *s);

struct session_disk {
    uint32_t position; /* no other disk's; disks come in any order */
    struct id16 vdi;
    const char *name;    /* copied; NULL: none */
    uint64_t bytes;      /* virtual size */
    unsigned log2_chunk; /* 0: the parent's, else the vault's */
    bool incremental;    /* session_unchanged() will be used: the parent must
                            have this VDI with this chunk size */
};

/*
 * The next disk, from ready() on. The data of each comes in rising order,
 * without gaps, to its end; and one disk after the other, as they were added.
 * *number is for the calls below. ERR_ARGUMENT, ERR_NOT_FOUND (incremental
 * without such a parent), ERR_NOMEM: nothing changed.
 */
enum err_code session_add_disk(struct session *s, const struct session_disk *d,
                               unsigned *number, struct err *err);

/* At most SESSION_WRITE_MAX bytes; offset: where the last call ended. What
 * breaks these rules fails the session (ERR_ARGUMENT). */
bool session_write(struct session *s, unsigned disk, uint64_t offset,
                   const void *data, size_t len);
/* A range of zeros, of any length. */
bool session_zero(struct session *s, unsigned disk, uint64_t offset,
                  uint64_t len);
/* A range that is as in the parent; whole chunks, but at the disk's end. Of a
 * disk that was added as incremental. */
bool session_unchanged(struct session *s, unsigned disk, uint64_t offset,
                       uint64_t len);

/* All disks are complete. metadata (ova.xml) is copied; len 0: none. Commit;
 * done() tells. A disk that is not covered fails it (ERR_ARGUMENT). */
void session_finish(struct session *s, const void *metadata, size_t len);

/* done() gets ERR_CANCELLED, or the result when the point is committed. Once
 * the point is on its way it is too late: the store's answer decides. Safe at
 * any time between session_start() and done(). */
void session_cancel(struct session *s);

/* After session_cancel(): break off the clean-up as well, and the wait for an
 * answer about the point (ERR_AGAIN). What it has not closed is left; done()
 * comes soon. A point that may be committed stays, and is named as unsure. */
void session_abandon(struct session *s);

/* So far; for progress. */
const struct session_figures *session_figures(const struct session *s);

#endif
