/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/store_try.h - store operations as plain calls, for tests: each
 * runs the store's loop until its operation is done.
 */
#ifndef CAIRN_TESTS_UNIT_STORE_TRY_H
#define CAIRN_TESTS_UNIT_STORE_TRY_H

#include "base/buf.h"
#include "loop/timer.h"
#include "store/store.h"

/* The outcome of one operation; `done` counts the calls of done(). */
struct store_try {
    struct store *store;
    struct err err;
    struct store_info info;
    unsigned done;
    struct buf bytes; /* of a get; names of a listing, a newline after each */
    unsigned pieces;  /* calls of on_data() that were taken */
    unsigned pause_every; /* refuse each n-th call of on_data(), once */
    unsigned cancel_at;   /* cancel inside the n-th on_data()/on_entry() */
    unsigned calls;
    bool refused;
    struct timer timer; /* resumes what was refused */
    struct store_op *op;
    struct store_upload *upload;
    char upload_id[512];
    char upload_name[STORE_NAME_MAX];
};

void store_try_init(struct store_try *t, struct store *s);
void store_try_fini(struct store_try *t);

/* Callbacks with a struct store_try as ctx. */
void store_try_on_done(void *ctx, const struct err *err,
                       const struct store_info *info);
void store_try_on_created(void *ctx, const struct err *err,
                          struct store_upload *up);
bool store_try_on_data(void *ctx, const uint8_t *data, size_t len);
bool store_try_on_entry(void *ctx, const struct store_entry *entry);
bool store_try_on_upload(void *ctx, const struct store_upload_entry *entry);

/* Run the loop until t->done is `count`. */
void store_try_wait(struct store_try *t, unsigned count);
/* A fresh try on the same store, and so on in one call. Return the code. */
enum err_code store_try_put(struct store_try *t, const char *name,
                            const void *data, size_t len);
enum err_code store_try_get(struct store_try *t, const char *name,
                            struct store_range range);
enum err_code store_try_head(struct store_try *t, const char *name);
enum err_code store_try_remove(struct store_try *t, const char *name);
enum err_code store_try_list(struct store_try *t, const char *prefix,
                             const char *start_after);
enum err_code store_try_list_uploads(struct store_try *t, const char *prefix);
enum err_code store_try_create(struct store_try *t, const char *name);
enum err_code store_try_part(struct store_try *t, struct store_upload *up,
                             unsigned number, const void *data, size_t len);
enum err_code store_try_complete(struct store_try *t, struct store_upload *up);
enum err_code store_try_abort(struct store_try *t, struct store_upload *up);

/* A turn of the loop in which nothing of ours happens. */
void store_try_turn(struct loop *loop, unsigned ms);

#endif
