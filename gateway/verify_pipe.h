/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/verify_pipe.h - a verification of a vault, or of one point, on a data
 * loop.
 *
 * Called from the control loop, and its events come there. The caller has
 * VERIFY_PIPE_BYTES reserved and gives them back after done().
 */
#ifndef CAIRN_GATEWAY_VERIFY_PIPE_H
#define CAIRN_GATEWAY_VERIFY_PIPE_H

#include "gateway/engine.h"
#include "gateway/place.h"
#include "vault/vault.h"
#include "vault/verify.h"

#define VERIFY_PIPE_BYTES (32 * MIB)

struct verify_pipe;

struct verify_pipe_opts {
    struct engine *engine;
    struct data_loop *data;
    struct vault *vault; /* references are taken of vault and place */
    struct place *place;
    const char *point;   /* name; NULL: all. Copied */
    bool full;
    void (*finding)(void *ctx, bool hurts, const char *object,
                    const char *text);
    void (*progress)(void *ctx, const struct verify_figures *f);
    /* Once; the pipe is gone. */
    void (*done)(void *ctx, const struct err *err,
                 const struct verify_figures *f);
    void *ctx;
};

/* ERR_NOMEM: done() will not come. */
enum err_code verify_pipe_start(const struct verify_pipe_opts *opts,
                                struct verify_pipe **out, struct err *err);
void verify_pipe_cancel(struct verify_pipe *p);

#endif
