/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/backup_pipe_inside.h - what backup_pipe.c (its life, the session, the
 * mail between the loops) and backup_feed.c (the stream) share and nobody else
 * sees.
 */
#ifndef CAIRN_GATEWAY_BACKUP_PIPE_INSIDE_H
#define CAIRN_GATEWAY_BACKUP_PIPE_INSIDE_H

#include <stdatomic.h>

#include "base/buf.h"
#include "gateway/backup_pipe.h"
#include "image/xva_read.h"
#include "loop/timer.h"

#define BACKUP_PIPE_PIECE_MAX                                                  \
    ((size_t)16 << 10) /* what the HTTP client hands over */

enum pipe_state {
    PIPE_STARTING,
    PIPE_READY,
    PIPE_STREAMING,
    PIPE_STREAMED,
    PIPE_COMMITTING,
    PIPE_ENDING,
};

struct backup_pipe {
    struct backup_pipe_opts opts; /* texts and disks are copies */
    char *texts[3];
    struct backup_pipe_disk *disks;
    struct xenapi_ticket *ticket;
    struct err why; /* of a cancel; control loop's until the mail is read */
    /* control loop: what was sent */
    bool exported, committed, cancelled, hurried, over;

    struct mail to_start, to_export, to_commit, to_cancel, to_hurry, to_bye;
    struct mail on_ready, on_streamed, on_progress, on_done, on_gone;
    atomic_bool progress_busy;
    struct backup_pipe_figures shown; /* in on_progress, then on_done */

    /* The data loop's from here on. */
    enum pipe_state state;
    struct store *store;
    struct session *session;
    struct xva_read *reader;
    struct xenapi_transfer *transfer;
    struct timer timer;
    struct buf ova;
    unsigned disk; /* the session's number of the disk that comes now */
    uint8_t rest[BACKUP_PIPE_PIECE_MAX];
    size_t rest_at, rest_len;
    bool held;         /* the session is full; rest waits */
    bool ended;        /* the transfer is over, well or not */
    uint64_t received;
    struct err stream; /* the first failure of transfer, reader or disks */
    struct err err;    /* of the pipe */
    struct session_result result;
};

#define BACKUP_PIPE_OWNER(mail, member)                                        \
    ((struct backup_pipe *)(void *)((char *)(mail)-offsetof(                   \
        struct backup_pipe, member)))

/* The only way out: when neither session nor transfer is left. */
void backup_pipe_end_if_idle(struct backup_pipe *p);
/* Something went wrong, or was cancelled: stop what runs. */
void backup_pipe_fail(struct backup_pipe *p, const struct err *why);

/* -> PIPE_STREAMING: begin the transfer. */
void backup_feed_start(struct backup_pipe *p);
/* PIPE_STREAMED, but nothing came: the transfer may begin anew. */
bool backup_feed_is_unheard(const struct backup_pipe *p);
/* The session takes pieces again. */
void backup_feed_drained(void *ctx);
/* on_streamed, on the control loop. */
void backup_feed_deliver_streamed(struct mail *mail);

#endif
