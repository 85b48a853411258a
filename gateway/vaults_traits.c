/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an object store really does, for a vault that is there already: made by
 * another gateway, or opened before that was looked for.
 */
#include "base/log.h"
#include "gateway/vaults_task.h"
#include "store/store_s3.h"

static void go_on(struct vaults_task *t, const struct err *err)
{
    void (*found)(struct vaults_task *t) = t->found;

    t->traits_err = *err;
    if (err->code != ERR_OK)
        log_event(LOG_WARN, "store_traits_unknown",
                  log_text("tenant", t->row.tenant),
                  log_text("vault", t->row.name), log_err(err), LOG_END);
    found(t);
}

static void on_probed(void *ctx, const struct err *err,
                      const struct store_traits *traits)
{
    struct vaults_task *t = ctx;

    if (err->code == ERR_OK)
        place_traits_print(traits, t->new_traits);
    go_on(t, err);
}

void vaults_traits_find(struct vaults_task *t,
                        void (*found)(struct vaults_task *t))
{
    struct err err = {0};

    t->found = found;
    if (!place_is_s3(t->place) || *t->row.traits || *t->new_traits)
        go_on(t, &err);
    else if (store_s3_probe(t->store, STORE_LOCK_NONE, on_probed, t, &err) !=
             ERR_OK)
        go_on(t, &err);
}
