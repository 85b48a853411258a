/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each wrap goes its own way, a few at a time:
 *
 *   made --> PUT --> GET, compared byte for byte --> the next one
 */
#include "vault/vault_grant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "crypto/seal_wrap.h"
#include "vault/name.h"

#define WRAPS 4 /* under way at once */

/* One wrap on its way into the store. */
struct wrap {
    struct vault_grant *g; /* NULL: free */
    struct store_op *op;
    char name[NAME_TEXT];
    uint8_t bytes[SEAL_WRAP_BYTES];
    struct slice body;
};

struct vault_grant {
    struct vault_grant_opts opts;
    uint8_t (*recipients)[32];
    size_t next, count; /* of wraps to be made: keys by recipients */
    size_t keys;        /* of each recipient */
    struct wrap wrap[WRAPS];
    unsigned busy;
    bool ending;
    struct err err;
};

static void fill(struct vault_grant *g);

/* --- the end -------------------------------------------------------------- */

static void finish(struct vault_grant *g, const struct err *err)
{
    err_keep(&g->err, err);
    if (g->ending)
        return;
    g->ending = true;
    for (size_t i = 0; i < WRAPS; i++)
        if (g->wrap[i].g)
            store_op_cancel(g->wrap[i].op);
}

static void free_grant(struct vault_grant *g)
{
    free(g->recipients);
    free(g);
}

/* The last call of every callback; `g` may be gone after it. */
static void settle(struct vault_grant *g)
{
    if (g->busy)
        return;
    g->opts.done(g->opts.ctx, &g->err);
    free_grant(g);
}

/* --- which keys ----------------------------------------------------------- */

static size_t count_keys(const struct vault_grant_opts *o)
{
    size_t data;

    if (o->current_only)
        return (keyring_current(o->keys, SEAL_KEY_META) ? 1 : 0) +
               (!o->no_data && keyring_current(o->keys, SEAL_KEY_DATA) ? 1 : 0);
    data = o->no_data ? 0 : keyring_count(o->keys, SEAL_KEY_DATA);
    return 1 + keyring_count(o->keys, SEAL_KEY_META) + data;
}

/* The n-th key: RS, the MKs, the DKs. */
static void pick_key(const struct vault_grant_opts *o, size_t n,
                     struct seal_wrap_opts *out)
{
    const struct keyring_key *key;
    size_t metas = keyring_count(o->keys, SEAL_KEY_META);

    if (o->current_only) {
        key = keyring_current(o->keys, SEAL_KEY_META);
        out->what = SEAL_WRAP_MK;
        if (!key || n > 0) {
            key = keyring_current(o->keys, SEAL_KEY_DATA);
            out->what = SEAL_WRAP_DK;
        }
    } else if (n == 0) {
        out->what = SEAL_WRAP_RS;
        out->key_id = *keyring_vault_id(o->keys);
        out->secret = keyring_rs(o->keys);
        return;
    } else if (n <= metas) {
        key = keyring_at(o->keys, SEAL_KEY_META, n - 1);
        out->what = SEAL_WRAP_MK;
    } else {
        key = keyring_at(o->keys, SEAL_KEY_DATA, n - 1 - metas);
        out->what = SEAL_WRAP_DK;
    }
    out->key_id = key->id;
    out->secret = &key->secret;
}

/* --- one wrap ------------------------------------------------------------- */

static void wrap_done(struct wrap *w, const struct err *err)
{
    struct vault_grant *g = w->g;

    w->g = NULL;
    g->busy--;
    if (err->code != ERR_OK)
        finish(g, err);
    fill(g);
    settle(g);
}

static void on_read_back(void *ctx, const struct err *err, const uint8_t *data,
                         size_t len, const struct store_info *info)
{
    struct wrap *w = ctx;
    struct err why = *err;

    (void)info;
    if (why.code == ERR_OK && (len != sizeof(w->bytes) ||
                               memcmp(data, w->bytes, sizeof(w->bytes)) != 0))
        err_set(&why, ERR_INTEGRITY, 0,
                "%s: %s: what was read back is not what was written",
                w->g->opts.store->location, w->name);
    wrap_done(w, &why);
}

static void on_put(void *ctx, const struct err *err,
                   const struct store_info *info)
{
    struct wrap *w = ctx;
    struct err why = *err;

    (void)info;
    (void)FAILPOINT("vault_wrap_put");
    if (why.code == ERR_OK && w->g->ending)
        err_set(&why, ERR_CANCELLED, 0, "cancelled");
    if (why.code == ERR_OK &&
        store_fetch(w->g->opts.store, w->name, SEAL_WRAP_BYTES,
                    (struct store_range){0}, on_read_back, w, &w->op,
                    &why) == ERR_OK)
        return;
    wrap_done(w, &why);
}

/* Make the n-th wrap and send it. */
static enum err_code send_wrap(struct vault_grant *g, struct wrap *w, size_t n,
                               struct err *err)
{
    const struct keyring *keys = g->opts.keys;
    struct seal_wrap_opts opts = {
        .suite = keyring_suite(keys),
        .vault_id = *keyring_vault_id(keys),
        .recipient = g->recipients[n / g->keys],
    };
    struct store_put_opts put = {
        .name = w->name,
        .body = &w->body,
        .slices = 1,
        .write = g->opts.write,
        .done = on_put,
        .ctx = w,
    };
    struct name name = {.kind = NAME_KEY};
    enum err_code rc;

    pick_key(&g->opts, n % g->keys, &opts);
    name.id = opts.key_id;
    rc = seal_key_tag(opts.suite, &opts.vault_id, opts.recipient, &name.tag,
                      err);
    if (rc == ERR_OK)
        rc = name_random(&name.rand, err);
    if (rc == ERR_OK)
        rc = seal_wrap_make(&opts, w->bytes, err);
    if (rc != ERR_OK)
        return rc;
    name_text(&name, w->name);
    w->body = (struct slice){w->bytes, sizeof(w->bytes)};
    return store_put(g->opts.store, &put, &w->op, err);
}

static void fill(struct vault_grant *g)
{
    struct err err;

    for (size_t i = 0; i < WRAPS && g->next < g->count && !g->ending; i++) {
        if (g->wrap[i].g)
            continue;
        g->wrap[i].g = g;
        g->busy++;
        if (send_wrap(g, &g->wrap[i], g->next, &err) == ERR_OK) {
            g->next++;
            continue;
        }
        g->wrap[i].g = NULL;
        g->busy--;
        finish(g, &err);
    }
}

/* --- outside -------------------------------------------------------------- */

enum err_code vault_grant_start(const struct vault_grant_opts *opts,
                                struct vault_grant **out, struct err *err)
{
    struct vault_grant *g;

    if (!opts->count || !count_keys(opts))
        return err_set(err, ERR_ARGUMENT, 0, "no key or nobody to grant it to");
    g = calloc(1, sizeof(*g));
    if (g)
        g->recipients = malloc(opts->count * sizeof(*g->recipients));
    if (!g || !g->recipients) {
        free(g);
        return err_set(err, ERR_NOMEM, 0, "granting keys");
    }
    memcpy(g->recipients, opts->recipients,
           opts->count * sizeof(*g->recipients));
    g->opts = *opts;
    g->opts.recipients = NULL;
    g->keys = count_keys(opts);
    assert(g->keys > 0); /* counted above */
    g->count = g->keys * opts->count;
    fill(g);
    if (!g->busy) { /* the first could not even begin */
        *err = g->err;
        free_grant(g);
        return err->code;
    }
    if (out)
        *out = g;
    return ERR_OK; /* NOLINT(clang-analyzer-unix.Malloc): settle() frees it */
}

void vault_grant_cancel(struct vault_grant *g)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "granting keys was cancelled");
    finish(g, &err);
}

/* --- new keys ------------------------------------------------------------- */

struct rekey {
    struct writer *writer; /* the new one */
    void (*done)(void *ctx, const struct err *err, struct writer *take);
    void *ctx;
};

static void on_rekeyed(void *ctx, const struct err *err)
{
    struct rekey *r = ctx;

    if (err->code != ERR_OK) {
        writer_free(r->writer);
        r->writer = NULL;
    }
    r->done(r->ctx, err, r->writer);
    free(r);
}

/* The same writer with fresh keys to seal under. */
static enum err_code renew(const struct writer *from, struct writer **out,
                           struct err *err)
{
    struct keyring *keys = NULL;
    struct seal_key secret = {{0}};
    struct writer *w = NULL;
    enum err_code rc;

    rc = keyring_copy(from->keys, &keys, err);
    for (int role = 0; rc == ERR_OK && role < 2; role++) {
        rc = seal_key_new(&secret, err);
        if (rc == ERR_OK)
            rc =
                keyring_add(keys, (enum seal_key_role)role, &secret, true, err);
    }
    seal_key_fini(&secret);
    if (rc == ERR_OK)
        rc = writer_new(keys, &w, err);
    keyring_unref(keys);
    for (size_t i = 0; rc == ERR_OK && i < from->recipients; i++)
        rc = writer_add(w, from->recipient[i].public, from->recipient[i].kind,
                        err);
    if (rc != ERR_OK) {
        writer_free(w);
        return rc;
    }
    *out = w;
    return ERR_OK;
}

enum err_code vault_rekey_start(const struct vault_rekey_opts *opts,
                                struct err *err)
{
    uint8_t recipients[WRITER_RECIPIENTS_MAX][32];
    struct vault_grant_opts grant = {
        .store = opts->store,
        .current_only = true,
        .recipients = recipients,
        .write = opts->write,
        .done = on_rekeyed,
    };
    bool recovery = false;
    struct rekey *r;
    enum err_code rc;

    for (size_t i = 0; i < opts->writer->recipients; i++) {
        recovery |= opts->writer->recipient[i].kind == WRITER_RECOVERY;
        memcpy(recipients[grant.count++], opts->writer->recipient[i].public,
               32);
    }
    if (!recovery)
        return err_set(err, ERR_ARGUMENT, 0,
                       "new keys need a recovery recipient to be wrapped for");
    r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(err, ERR_NOMEM, 0, "new keys");
    r->done = opts->done;
    r->ctx = opts->ctx;
    grant.ctx = r;
    rc = renew(opts->writer, &r->writer, err);
    if (rc == ERR_OK) {
        grant.keys = r->writer->keys;
        rc = vault_grant_start(&grant, NULL, err);
    }
    if (rc != ERR_OK) {
        writer_free(r->writer);
        free(r);
    }
    return rc;
}
