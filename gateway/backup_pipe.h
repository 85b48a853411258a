/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/backup_pipe.h - one backup's data on one data loop: export transfer
 * -> XVA reader -> session.
 *
 *   start --> ready() ; then --> backup_pipe_export(ticket) --> streamed()
 *                                 ^---- the host was not heard ----/
 *                            --> backup_pipe_commit() --> done()
 *
 * Called from the control loop, and its events come there; in between, all
 * happens on the data loop, by mail with copied values. The caller has
 * SESSION_FLOOR_BYTES reserved and gives them back after done().
 */
#ifndef CAIRN_GATEWAY_BACKUP_PIPE_H
#define CAIRN_GATEWAY_BACKUP_PIPE_H

#include "gateway/engine.h"
#include "gateway/place.h"
#include "vault/session.h"
#include "xenapi/xenapi_ticket.h"

struct backup_pipe;

/* A disk as the pool knows it: the exported one (a snapshot's) stands for the
 * live one. */
struct backup_pipe_disk {
    char exported_uuid[37];
    char live_uuid[37];
    uint32_t position; /* userdevice */
    char name[256];    /* cut, in front of a letter */
};

/* Comes with progress, streamed and done. Plain values. */
struct backup_pipe_figures {
    struct session_figures session;
    uint64_t received; /* bytes of the export as they came */
    uint64_t store_requests, store_lists, store_sent, store_received;
};

struct backup_pipe_opts {
    struct engine *engine;
    struct data_loop *data;
    struct vault *vault;   /* references are taken of vault and place */
    struct place *place;
    struct index *index;   /* stays open until done() */
    const struct id16 *recovery; /* as session_opts has it; stays to done() */
    unsigned recovery_count;
    uint64_t tenant;       /* whom the budget gave the floor */
    const char *series;    /* texts are copied */
    struct id16 vm;
    const char *name, *pool; /* what is longer than a point takes is cut */
    struct point_ref witness;
    const struct backup_pipe_disk *disks; /* copied */
    size_t disk_count;

    /* Disks may come. Step 1 of the session is done. */
    void (*ready)(void *ctx);
    /* The stream is over: ERR_OK means that it was whole. */
    void (*streamed)(void *ctx, const struct err *err);
    /* The journal, see struct session_events. opening() is answered by
     * backup_pipe_noted() with its ticket, before which done() does not come;
     * kind is a literal. */
    void (*opening)(void *ctx, const char *kind, const char *name,
                    void *ticket);
    void (*upload)(void *ctx, const char *name, const char *id);
    void (*closed)(void *ctx, const char *kind, const char *name);
    void (*progress)(void *ctx, const struct backup_pipe_figures *f);
    /* Once; the pipe is gone. */
    void (*done)(void *ctx, const struct err *err,
                 const struct session_result *result,
                 const struct backup_pipe_figures *f);
    void *ctx;
};

/* ERR_NOMEM: done() will not come. */
enum err_code backup_pipe_start(const struct backup_pipe_opts *opts,
                                struct backup_pipe **out, struct err *err);

void backup_pipe_noted(struct backup_pipe *p, void *ticket,
                       const struct err *err);

/* Begin the transfer; once, after ready(), and once more after each streamed()
 * of a host that was not heard (XENAPI_TRANSFER_UNHEARD). */
void backup_pipe_export(struct backup_pipe *p, struct xenapi_ticket *ticket);

/* The pool's task says success too: commit. Once, after streamed(ERR_OK). */
void backup_pipe_commit(struct backup_pipe *p);

/* End it; at any time before done(), which comes in any case. `why` (may be
 * NULL: ERR_CANCELLED) is what done() says unless something failed before. */
void backup_pipe_cancel(struct backup_pipe *p, const struct err *why);

/* After that: break off the clean-up in the vault, too. */
void backup_pipe_hurry(struct backup_pipe *p);

#endif
