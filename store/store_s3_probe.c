/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "s3/s3_probe.h"
#include "store/store_s3_inner.h"

struct probe {
    struct store *store;
    struct s3_probe *probe;
    void (*done)(void *ctx, const struct err *err,
                 const struct store_traits *traits);
    void *ctx;
};

const char *store_s3_lock_word(enum store_lock lock)
{
    switch (lock) {
    case STORE_LOCK_GOVERNANCE:
        return "GOVERNANCE";
    case STORE_LOCK_COMPLIANCE:
        return "COMPLIANCE";
    default:
        return NULL;
    }
}

static void on_probed(void *ctx, const struct err *err,
                      const struct s3_probe_found *f)
{
    struct probe *p = ctx;

    if (err->code == ERR_OK)
        p->store->traits =
            (struct store_traits){.if_absent = f->if_absent,
                                  .lists_at_once = f->lists_at_once,
                                  .lock_on_put = f->lock_on_put,
                                  .lock_on_create = f->lock_on_create,
                                  .lock_by_call = f->lock_by_call,
                                  .versioned = f->versioned};
    p->done(p->ctx, err, &p->store->traits);
    free(p);
}

enum err_code store_s3_probe(struct store *s, enum store_lock lock,
                             void (*done)(void *ctx, const struct err *err,
                                          const struct store_traits *traits),
                             void *ctx, struct err *err)
{
    struct s3_probe_opts o = {.lock_mode = store_s3_lock_word(lock),
                              .done = on_probed};
    char prefix[STORE_S3_PREFIX_MAX + 8];
    struct store_s3 *ss = (struct store_s3 *)s;
    struct probe *p;
    enum err_code rc;

    p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ERR_NOMEM, 0, "%s: probe", s->location);
    p->store = s;
    p->done = done;
    p->ctx = ctx;
    snprintf(prefix, sizeof(prefix), "%sprobe/", ss->prefix);
    o.prefix = prefix;
    o.ctx = p;
    rc = s3_probe_start(ss->client, &o, &p->probe, err);
    if (rc != ERR_OK)
        free(p);
    return rc;
}
