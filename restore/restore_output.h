/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore/restore_output.h - what is restored, on its way to a file or to
 * standard output.
 *
 * Bytes are put in order and written by a lane. A file is made beside its name
 * and gets it when all is right; it must not exist, and nothing is ever
 * replaced. In a file zeros are holes. Lives on the loop.
 */
#ifndef CAIRN_RESTORE_RESTORE_OUTPUT_H
#define CAIRN_RESTORE_RESTORE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/lane.h"
#include "loop/loop.h"

struct restore_output;

struct restore_output_opts {
    struct loop *loop;
    struct lane *lane; /* of one thread */
    const char *path;  /* "-": standard output */
    /* There is room again after something was refused; later. */
    void (*drained)(void *ctx);
    /* Writing failed; once, later. What is put from now on is dropped. */
    void (*failed)(void *ctx, const struct err *err);
    void *ctx;
};

/* ERR_CONFLICT (the file exists), ERR_IO, ERR_NOMEM. */
enum err_code restore_output_new(const struct restore_output_opts *opts,
                                 struct restore_output **out, struct err *err);

/* Bytes that would be taken now. At the least 1 MiB when nothing waits. */
size_t restore_output_room(const struct restore_output *o);

/* Take all (len at most the room), or nothing: false, drained() follows. */
bool restore_output_put(struct restore_output *o, const void *data, size_t len);
bool restore_output_zero(struct restore_output *o, uint64_t len);
/* As if something had been refused: for want of more room than one piece. */
void restore_output_want(struct restore_output *o);

/* Write what is left, then keep the file or (keep false) do away with it.
 * done() later, once; it is gone then. */
void restore_output_end(struct restore_output *o, bool keep,
                        void (*done)(void *ctx, const struct err *err));

#endif
