/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_walk.h"

static struct point *fetched;

static void on_fetched(void *ctx, const struct err *err, struct point *take,
                       const uint8_t sha256[32])
{
    (void)sha256;
    fetched = take;
    vault_rig_done(ctx, err);
}

struct point *vault_walk_point(struct vault_rig *rig,
                               const struct keyring *keys, const char *name)
{
    unsigned before = rig->done;

    if (points_fetch(rig->store, keys, name, on_fetched, rig, NULL,
                     &rig->err) != ERR_OK)
        return NULL;
    vault_rig_wait(rig, before + 1);
    return fetched;
}

static void on_resume(struct timer *t)
{
    struct vault_walk *w =
        (struct vault_walk *)((char *)t - offsetof(struct vault_walk, resume));

    walk_resume(w->walk);
}

/* Whether this delivery is taken. */
static bool take(struct vault_walk *w, uint64_t offset)
{
    assert_int_equal(offset, w->at);
    if (w->refuse_each && !w->refused &&
        (w->deliveries + 1) % w->refuse_each == 0) {
        w->refused = true;
        if (!w->no_resume)
            timer_start(w->rig->loop, &w->resume, w->deliveries % 3, on_resume);
        return false;
    }
    w->refused = false;
    w->deliveries++;
    if (w->deliveries == w->cancel_at)
        walk_cancel(w->walk);
    return true;
}

static bool on_data(void *ctx, uint64_t offset, const uint8_t *data, size_t len)
{
    struct vault_walk *w = ctx;

    assert_false(bytes_all_zero(data, len));
    if (!take(w, offset))
        return false;
    seal_digest_add(w->digest, data, len);
    w->at += len;
    return true;
}

static bool on_zero(void *ctx, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[65536];
    struct vault_walk *w = ctx;

    assert_true(len > 0);
    if (!take(w, offset))
        return false;
    w->at += len;
    for (; len > sizeof(zeros); len -= sizeof(zeros))
        seal_digest_add(w->digest, zeros, sizeof(zeros));
    seal_digest_add(w->digest, zeros, (size_t)len);
    return true;
}

static void on_done(void *ctx, const struct err *err,
                    const struct walk_figures *figures)
{
    struct vault_walk *w = ctx;

    w->figures = *figures;
    w->err = *err;
    timer_stop(&w->resume);
    assert_true(seal_digest_end(w->digest, w->sha256));
    seal_digest_free(w->digest);
    w->digest = NULL;
    vault_rig_done(w->rig, err);
}

enum err_code vault_walk_begin(struct vault_walk *w, const struct keyring *keys,
                               const struct point *point, const char *name,
                               size_t disk)
{
    struct walk_opts opts = {
        .store = w->rig->store,
        .keys = keys,
        .point = point,
        .point_name = name,
        .disk = disk,
        .memory_bytes = w->memory ? w->memory : WALK_MEMORY_MIN,
        .on_data = on_data,
        .on_zero = on_zero,
        .done = on_done,
        .ctx = w,
    };

    w->at = 0;
    w->deliveries = 0;
    w->refused = false;
    w->digest = seal_digest_new(w->rig->suite, SEAL_DIGEST_SHA256);
    assert_non_null(w->digest);
    if (walk_start(&opts, &w->walk, &w->err) == ERR_OK)
        return ERR_OK;
    seal_digest_free(w->digest);
    w->digest = NULL;
    return w->err.code;
}

enum err_code vault_walk_all(struct vault_walk *w, const struct keyring *keys,
                             const struct point *point, const char *name,
                             size_t disk)
{
    unsigned before = w->rig->done;

    if (vault_walk_begin(w, keys, point, name, disk) == ERR_OK)
        vault_rig_wait(w->rig, before + 1);
    return w->err.code;
}
