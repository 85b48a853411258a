/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/restore_source.h - the bytes of a restore, to be pulled: disks of a
 * point walked one after the other, framed as an XVA or raw.
 *
 * Lives on one data loop. Bytes wait in blocks that the caller lends; when these
 * are full the walk pauses. They leave by copy, or a block at a time as it is.
 */
#ifndef CAIRN_GATEWAY_RESTORE_SOURCE_H
#define CAIRN_GATEWAY_RESTORE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/restore_pipe.h"
#include "image/xva_write.h"
#include "loop/timer.h"

#define RESTORE_SOURCE_BLOCK ((size_t)256 << 10)
#define RESTORE_SOURCE_BLOCKS 12u
#define RESTORE_SOURCE_WALK (16 * MIB)

struct restore_source;

struct restore_block {
    uint8_t *data; /* RESTORE_SOURCE_BLOCK of them */
    size_t begin, end; /* what is in use */
    struct restore_block *next;
};

struct restore_source_opts {
    const struct restore_pipe_opts *pipe; /* all borrowed for its life */
    struct store *store;
    bool whole_blocks; /* they are taken, not pulled */
    /* The length is known, and bytes will come; once, later, unless it failed
     * before: then ready() and restore_source_over(). */
    void (*opened)(void *ctx);
    /* Bytes can be pulled, or a block taken, after there were none; or it
     * failed. Later. */
    void (*ready)(void *ctx);
    void *ctx;
};

/* ERR_NOMEM, ERR_ARGUMENT. Begins to read maps, then to walk, once
 * RESTORE_SOURCE_BLOCKS were given. */
enum err_code restore_source_new(const struct restore_source_opts *opts,
                                 struct restore_source **out, struct err *err);

/* Bytes in all; from opened() on. */
uint64_t restore_source_total(const struct restore_source *s);

/* At most max bytes; 0: none now (ready() will come), or the end, or failed:
 * then restore_source_over(). */
size_t restore_source_pull(struct restore_source *s, uint8_t *into, size_t max);

/* An empty block, new or taken before; to be filled again. */
void restore_source_give(struct restore_source *s, struct restore_block *block);
/* The next block: a full one, or the last. NULL as 0 above. It is the caller's
 * to read, till it is given again; also when the source is gone. */
struct restore_block *restore_source_take(struct restore_source *s);

/* No byte will come any more. *err: ERR_OK when all were right. */
bool restore_source_over(const struct restore_source *s, struct err *err);

/* So far. */
struct walk_figures restore_source_figures(const struct restore_source *s);

/* Stop; stopped() later, when the walk is gone; then restore_source_free(). */
void restore_source_stop(struct restore_source *s, void (*stopped)(void *ctx));
void restore_source_free(struct restore_source *s);

#endif
