/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   LOOKING --nothing there--> WRAPPING (slow lane) --> RECOVERY (PUT, GET)
 *     --> GRANTING --> FORMAT (PUT) --> OPENING by the passphrase --> done
 *
 * A failure ends it where it is: one thing is under way at any time.
 */
#include "vault/vault_create.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "crypto/seal_wrap.h"
#include "vault/name.h"
#include "vault/vault.h"
#include "vault/vault_grant.h"
#include "vault/vault_open.h"

enum create_state {
    CREATE_LOOKING,
    CREATE_WRAPPING,
    CREATE_RECOVERY,
    CREATE_GRANTING,
    CREATE_FORMAT,
    CREATE_OPENING,
};

struct vault_create {
    enum create_state state;
    struct vault_create_opts opts;
    struct vault_created made;
    struct seal_pair recovery;
    bool cancelled;
    bool occupied; /* a vault's names are there */
    bool in_use;   /* and others than those it is made with */
    struct store_op *op; /* LOOKING, RECOVERY, FORMAT */
    struct vault_grant *grant;
    struct vault_open *open;
    struct heavy item;
    struct err wrap_err; /* the lane's answer */
    struct id16 recovery_tag;
    uint8_t wrap[SEAL_WRAP_BYTES];
    char name[NAME_TEXT];
    char format[256];
    struct slice body;
};

/* --- the end -------------------------------------------------------------- */

static void free_create(struct vault_create *c)
{
    writer_free(c->made.writer);
    bytes_wipe(c, sizeof(*c));
    free(c);
}

static void finish(struct vault_create *c, const struct err *err)
{
    c->opts.done(c->opts.ctx, err, err->code ? NULL : &c->made);
    free_create(c);
}

/* What a callback brought, or that it was cancelled. True: go on. */
static bool goes_on(struct vault_create *c, const struct err *err)
{
    struct err why = *err;

    c->op = NULL;
    if (why.code == ERR_OK && c->cancelled)
        err_set(&why, ERR_CANCELLED, 0, "making the vault was cancelled");
    if (why.code == ERR_OK)
        return true;
    finish(c, &why);
    return false;
}

/* --- the last step: the passphrase opens it ------------------------------- */

static void on_opened(void *ctx, const struct err *err,
                      const struct vault_opened *opened)
{
    struct vault_create *c = ctx;
    const struct keyring *keys = c->made.writer->keys;
    struct err why = *err;

    c->open = NULL;
    (void)FAILPOINT("vault_proved");
    if (why.code == ERR_OK &&
        (!keyring_find(opened->keys, SEAL_KEY_META,
                       &keyring_current(keys, SEAL_KEY_META)->id) ||
         !keyring_find(opened->keys, SEAL_KEY_DATA,
                       &keyring_current(keys, SEAL_KEY_DATA)->id)))
        err_set(&why, ERR_INTEGRITY, 0,
                "%s: the recovery key opens the vault, but not all its keys",
                c->opts.store->location);
    else if (why.code != ERR_OK)
        err_context(&why, "proving the recovery key");
    if (goes_on(c, &why))
        finish(c, &why);
}

static void on_format_put(void *ctx, const struct err *err,
                          const struct store_info *info)
{
    struct vault_create *c = ctx;
    struct vault_open_opts open = {
        .store = c->opts.store,
        .suite = c->opts.suite,
        .slow = c->opts.slow,
        .budget = c->opts.budget,
        .tenant = c->opts.tenant,
        .done = on_opened,
        .ctx = c,
    };
    struct err why;

    (void)info;
    (void)FAILPOINT("vault_format_put");
    if (!goes_on(c, err))
        return;
    c->state = CREATE_OPENING;
    if (vault_open_keyfile(&open, &c->made.recovery, &c->open, &why) != ERR_OK)
        finish(c, &why);
}

/* --- wraps and format ----------------------------------------------------- */

static enum err_code put(struct vault_create *c, const char *name,
                         const void *data, size_t len, store_done_fn *done,
                         struct err *err)
{
    struct store_put_opts opts = {
        .name = name,
        .body = &c->body,
        .slices = 1,
        .write = c->opts.write,
        .done = done,
        .ctx = c,
    };

    c->body = (struct slice){data, len};
    return store_put(c->opts.store, &opts, &c->op, err);
}

static void on_granted(void *ctx, const struct err *err)
{
    struct vault_create *c = ctx;
    char id[33], created[CLOCK_TEXT];
    struct err why;
    int len;

    c->grant = NULL;
    (void)FAILPOINT("vault_wraps_put");
    if (!goes_on(c, err))
        return;
    c->state = CREATE_FORMAT;
    bytes_hex(c->made.identity.vault_id.b, 16, id);
    clock_rfc3339(clock_wall_ms(c->opts.clock), created);
    len = snprintf(
        c->format, sizeof(c->format),
        "{\"format\":%d,\"vault\":\"%s\",\"suite\":1,\"created\":\"%s\"}\n",
        VAULT_FORMAT, id, created);
    if (put(c, "format", c->format, (size_t)len, on_format_put, &why) != ERR_OK)
        finish(c, &why);
}

static void on_recovery_read(void *ctx, const struct err *err,
                             const uint8_t *data, size_t len,
                             const struct store_info *info)
{
    struct vault_create *c = ctx;
    uint8_t recipients[2][32];
    struct vault_grant_opts grant = {
        .store = c->opts.store,
        .keys = c->made.writer->keys,
        .recipients = recipients,
        .count = 2,
        .write = c->opts.write,
        .done = on_granted,
        .ctx = c,
    };
    struct err why = *err;

    (void)info;
    if (why.code == ERR_OK &&
        (len != sizeof(c->wrap) || memcmp(data, c->wrap, sizeof(c->wrap)) != 0))
        err_set(&why, ERR_INTEGRITY, 0,
                "%s: %s: what was read back is not what was written",
                c->opts.store->location, c->name);
    if (!goes_on(c, &why))
        return;
    c->state = CREATE_GRANTING;
    memcpy(recipients[0], c->recovery.public, 32);
    memcpy(recipients[1], c->made.identity.pair.public, 32);
    if (vault_grant_start(&grant, &c->grant, &why) != ERR_OK)
        finish(c, &why);
}

static void on_recovery_put(void *ctx, const struct err *err,
                            const struct store_info *info)
{
    struct vault_create *c = ctx;
    struct err why;

    (void)info;
    (void)FAILPOINT("vault_recovery_put");
    if (!goes_on(c, err))
        return;
    if (store_fetch(c->opts.store, c->name, SEAL_WRAP_BYTES,
                    (struct store_range){0}, on_recovery_read, c, &c->op,
                    &why) != ERR_OK)
        finish(c, &why);
}

/* --- the recovery key ----------------------------------------------------- */

static unsigned log2_n(const struct vault_create *c)
{
    return c->opts.log2_n ? c->opts.log2_n : SEAL_WRAP_LOG2_N;
}

static void run_wrap(struct heavy *item)
{
    struct vault_create *c =
        (struct vault_create *)((char *)item -
                                offsetof(struct vault_create, item));
    struct seal_wrap_opts opts = {
        .suite = c->opts.suite,
        .vault_id = c->made.recovery.vault_id,
        .what = SEAL_WRAP_PRIVATE,
        .key_id = c->recovery_tag,
        .secret = &c->recovery.private,
        .passphrase = c->made.recovery.passphrase,
        .log2_n = log2_n(c),
    };

    err_clear(&c->wrap_err);
    seal_wrap_make_scrypt(&opts, c->wrap, &c->wrap_err);
}

static void on_wrapped(struct heavy *item, const struct err *err)
{
    struct vault_create *c =
        (struct vault_create *)((char *)item -
                                offsetof(struct vault_create, item));
    struct name name = {.kind = NAME_RECOVERY, .tag = c->recovery_tag};
    struct err why = err->code != ERR_OK ? *err : c->wrap_err;

    if (why.code == ERR_OK)
        name_random(&name.rand, &why);
    if (!goes_on(c, &why))
        return;
    name_text(&name, c->name);
    c->state = CREATE_RECOVERY;
    if (put(c, c->name, c->wrap, sizeof(c->wrap), on_recovery_put, &why) !=
        ERR_OK)
        finish(c, &why);
}

/* --- is there anything? --------------------------------------------------- */

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct vault_create *c = ctx;
    struct name name;

    if (!name_parse(entry->name, &name))
        return true; /* not ours: left alone */
    if (!c->occupied)
        memcpy(c->name, entry->name, strlen(entry->name) + 1);
    c->occupied = true;
    c->in_use = name.kind != NAME_FORMAT && name.kind != NAME_KEY &&
                name.kind != NAME_RECOVERY;
    return !c->in_use;
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct vault_create *c = ctx;
    const struct heavy_place place = {c->opts.slow, c->opts.budget,
                                      c->opts.tenant};
    struct err why = *err;

    (void)info;
    if (c->in_use)
        err_set(&why, ERR_CONFLICT, 0, "%s: a vault lies there already (%s)",
                c->opts.store->location, c->name);
    else if (c->occupied && why.code == ERR_OK)
        /* It may be another gateway's, that is just being made. */
        err_set(&why, ERR_CONFLICT, 0, "%s: a vault lies there already (%s), "
                "without a backup. With its recovery file --existing opens it; "
                "if it has none, because adding it was interrupted, empty the "
                "place and add it again", c->opts.store->location, c->name);
    if (!goes_on(c, &why))
        return;
    c->item = (struct heavy){
        .bytes = seal_wrap_scrypt_bytes(log2_n(c)), .run = run_wrap,
        .done = on_wrapped, .loop = c->opts.store->loop};
    c->state = CREATE_WRAPPING;
    heavy_start(&c->item, &place);
}

/* --- outside -------------------------------------------------------------- */

/* RS, MK, DK, both recipients and the passphrase. */
static enum err_code make_secrets(struct vault_create *c, struct err *err)
{
    struct keyring *keys = NULL;
    struct seal_key secret = {{0}};
    struct id16 vault_id;
    enum err_code rc;

    rc = seal_key_new(&secret, err);
    if (rc == ERR_OK)
        rc = keyring_new(c->opts.suite, &secret, &keys, err);
    for (int role = 0; rc == ERR_OK && role < 2; role++) {
        rc = seal_key_new(&secret, err);
        if (rc == ERR_OK)
            rc =
                keyring_add(keys, (enum seal_key_role)role, &secret, true, err);
    }
    seal_key_fini(&secret);
    if (rc != ERR_OK)
        goto out;
    vault_id = *keyring_vault_id(keys);
    c->made.recovery.vault_id = vault_id;
    rc = seal_keyfile_passphrase(c->made.recovery.passphrase, err);
    if (rc == ERR_OK)
        rc = seal_pair_new(&c->recovery, err);
    if (rc == ERR_OK)
        rc = seal_key_tag(c->opts.suite, &vault_id, c->recovery.public,
                          &c->recovery_tag, err);
    if (rc == ERR_OK)
        rc = identity_new(&vault_id, &c->made.identity, err);
    if (rc == ERR_OK)
        rc = writer_new(keys, &c->made.writer, err);
    if (rc == ERR_OK)
        rc = writer_add(c->made.writer, c->recovery.public, WRITER_RECOVERY,
                        err);
    if (rc == ERR_OK)
        rc = writer_add(c->made.writer, c->made.identity.pair.public,
                        WRITER_GATEWAY, err);
out:
    keyring_unref(keys);
    return rc;
}

enum err_code vault_create_start(const struct vault_create_opts *opts,
                                 struct vault_create **out, struct err *err)
{
    struct vault_create *c = calloc(1, sizeof(*c));
    struct store_list_opts list = {
        .prefix = "", .on_entry = on_entry, .done = on_listed, .ctx = c};
    enum err_code rc;

    if (!c)
        return err_set(err, ERR_NOMEM, 0, "making a vault");
    c->opts = *opts;
    rc = make_secrets(c, err);
    if (rc == ERR_OK)
        rc = store_list(opts->store, &list, &c->op, err);
    if (rc != ERR_OK) {
        free_create(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

void vault_create_cancel(struct vault_create *c)
{
    c->cancelled = true;
    if (c->op)
        store_op_cancel(c->op);
    if (c->grant)
        vault_grant_cancel(c->grant);
    if (c->open)
        vault_open_cancel(c->open);
    if (c->state == CREATE_WRAPPING)
        heavy_cancel(&c->item);
}
