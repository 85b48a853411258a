/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of a vault that another gateway has granted this one since it was
 * opened, and the points that they open.
 *
 *   refresh: keys/ -> what is new is kept, to read with -> all points
 */
#include <string.h>

#include "gateway/vaults_task.h"
#include "vault/vault_open.h"

enum err_code vaults_learn(struct vaults_task *t, const struct keyring *opened,
                           size_t *added, struct err *err)
{
    struct keyring *all = NULL;

    *added = 0;
    if (keyring_copy(t->writer->keys, &all, err) != ERR_OK ||
        keyring_join(all, opened, added, err) != ERR_OK || !*added) {
        keyring_unref(all);
        return err->code;
    }
    keyring_unref(t->writer->keys);
    t->writer->keys = all;
    vaults_task_as_it_is(t);
    return writer_print(t->writer, &t->new_writer, err);
}

static void on_points(void *ctx, const struct err *err, uint64_t count)
{
    struct vaults_task *t = ctx;

    t->answer = json_new_object();
    json_set_int(t->answer, "points", (int64_t)count);
    vaults_task_end(t, err);
}

static void on_kept(struct vaults_task *t, const struct err *err)
{
    if (err->code != ERR_OK)
        vaults_task_end(t, err);
    else
        vaults_read_points(t->engine->vaults, t->id, NULL, on_points, t);
}

static void on_opened(void *ctx, const struct err *err,
                      const struct vault_opened *opened)
{
    struct vaults_task *t = ctx;
    struct err why = *err;
    size_t added = 0;

    /* Nothing is wrapped for us yet: what we hold ourselves still reads. */
    if (why.code == ERR_KEY)
        err_clear(&why);
    else if (why.code == ERR_OK)
        vaults_learn(t, opened->keys, &added, &why);
    if (why.code == ERR_OK && added)
        vaults_task_keep(t, on_kept);
    else
        on_kept(t, &why);
}

static void step_refresh(struct vaults_task *t)
{
    struct vault_open_opts o = vaults_task_opening(t, on_opened);
    struct vault_open *open = NULL;
    struct err err = {0};

    o.vault_id = t->identity.vault_id;
    o.pair = &t->identity.pair;
    if (!t->has_identity || !t->writer)
        on_kept(t, &err); /* which says what it waits for */
    else if (vault_open_start(&o, &open, &err) != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_refresh(void *ctx, int64_t vault, api_json_done_fn *done,
                    void *done_ctx)
{
    vaults_task_start(ctx, vault, true, NULL, NULL, step_refresh, done,
                      done_ctx);
}
