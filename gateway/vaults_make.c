/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a vault, opening one that exists, testing one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/failpoint.h"
#include "base/parse.h"
#include "gateway/vaults_task.h"
#include "store/store_s3.h"
#include "vault/vault_create.h"
#include "vault/vault_grant.h"
#include "vault/vault_open.h"

/* --- making -------------------------------------------------------------- */

static enum err_code keep_writer(struct vaults_task *t,
                                 const struct identity *identity,
                                 const struct writer *writer, struct err *err)
{
    if (identity_print(identity, &t->new_identity, err) != ERR_OK)
        return err->code;
    if (writer && writer_print(writer, &t->new_writer, err) != ERR_OK)
        return err->code;
    bytes_hex(identity->vault_id.b, 16, t->new_id);
    identity_public_text(identity->pair.public, t->new_public);
    t->new_state = writer ? CATALOG_VAULT_READY : CATALOG_VAULT_WAITING;
    return ERR_OK;
}

static void on_kept(struct vaults_task *t, const struct err *err)
{
    (void)FAILPOINT("vault_kept");
    vaults_task_end(t, err);
}

static void on_created(void *ctx, const struct err *err,
                       const struct vault_created *created)
{
    struct vaults_task *t = ctx;
    struct err why = *err;
    struct buf file;

    if (why.code != ERR_OK) {
        vaults_task_end(t, &why);
        return;
    }
    buf_init_secret(&file, 4096);
    t->answer = json_new_object();
    if (keep_writer(t, &created->identity, created->writer, &why) == ERR_OK &&
        seal_keyfile_print(&created->recovery, &file, &why) == ERR_OK &&
        (!json_set_text(t->answer, "vault_id", t->new_id) ||
         !json_set_text(t->answer, "recovery_key_file", buf_text(&file))))
        err_set(&why, ERR_NOMEM, 0, "vault");
    buf_fini(&file);
    /* It was opened by its passphrase before it was given to us; but whether
     * the answer is kept by anybody, key test will tell. */
    t->new_state = CATALOG_VAULT_UNPROVED;
    (void)FAILPOINT("vault_made");
    if (why.code != ERR_OK)
        vaults_task_end(t, &why);
    else
        vaults_task_keep(t, on_kept);
}

static void create(struct vaults_task *t)
{
    const struct vault_create_opts o = {
        .store = t->store,
        .suite = t->engine->suite,
        .slow = t->engine->slow_lane,
        .budget = t->engine->budget,
        .tenant = (uint64_t)t->row.tenant_id,
        .clock = loop_clock(t->engine->control),
        .write.if_absent = t->store->traits.if_absent,
        .done = on_created,
        .ctx = t,
    };
    struct vault_create *c = NULL;
    struct err err = {0};

    if (vault_create_start(&o, &c, &err) != ERR_OK)
        vaults_task_end(t, &err);
}

static void on_probed(void *ctx, const struct err *err,
                      const struct store_traits *traits)
{
    struct vaults_task *t = ctx;

    if (err->code != ERR_OK) {
        vaults_task_end(t, err);
        return;
    }
    place_traits_print(traits, t->new_traits);
    create(t);
}

/* What the store cannot do is found out before anything is made in it. */
static void step_create(struct vaults_task *t)
{
    struct err err = {0};

    /* A lock needs dates, and dates come from retention, which no plan sets
     * yet: better none than a promise that nothing keeps. */
    if (strcmp(t->row.lock, "none") != 0)
        err_set(&err, ERR_ARGUMENT, 0, "--lock %s: a lock needs a date to "
                "end on, which comes from the retention of plans, and this "
                "release has no plans; add the vault without --lock",
                t->row.lock);
    else if (place_is_s3(t->place))
        store_s3_probe(t->store, STORE_LOCK_NONE, on_probed, t, &err);
    else
        create(t);
    if (err.code != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_create(void *ctx, int64_t vault, api_json_done_fn *done,
                   void *done_ctx)
{
    vaults_task_start(ctx, vault, false, NULL, NULL, step_create, done,
                      done_ctx);
}

/* --- opening one that exists --------------------------------------------- */

static void on_points(void *ctx, const struct err *err, uint64_t count)
{
    struct vaults_task *t = ctx;

    json_set_int(t->answer, "points", (int64_t)count);
    vaults_task_end(t, err);
}

static void on_ready(struct vaults_task *t, const struct err *err)
{
    t->answer = json_new_object();
    json_set_text(t->answer, "vault_id", t->new_id);
    json_set_text(t->answer, "public_key", t->new_public);
    json_set_text(t->answer, "state", catalog_vault_state_name(t->new_state));
    if (err->code != ERR_OK)
        vaults_task_end(t, err);
    else if (t->new_state == CATALOG_VAULT_READY)
        vaults_read_points(t->engine->vaults, t->id, NULL, on_points, t);
    else
        on_points(t, err, 0);
}

static void on_rekeyed(void *ctx, const struct err *err, struct writer *take)
{
    struct vaults_task *t = ctx;
    struct err why = *err;

    if (why.code == ERR_DENIED) {
        /* Credentials that only read: so do we. */
        log_event(LOG_WARN, "vault_is_read_only",
                  log_text("tenant", t->row.tenant),
                  log_text("vault", t->row.name), log_err(err), LOG_END);
        err_clear(&why);
    } else {
        writer_free(t->writer);
        t->writer = take;
    }
    if (why.code == ERR_OK &&
        keep_writer(t, &t->identity, t->writer, &why) == ERR_OK)
        vaults_task_keep(t, on_ready);
    else
        vaults_task_end(t, &why);
}

/* Read by a recovery key, we also write: under keys of our own, wrapped for
 * that recovery key and for us. Read by our own identity alone, we only read,
 * since nobody told us for whom to wrap. */
static void on_traits(struct vaults_task *t)
{
    const struct vault_rekey_opts rekey = {
        .store = t->store,
        .writer = t->writer,
        .write.if_absent = t->store->traits.if_absent,
        .done = on_rekeyed,
        .ctx = t,
    };
    struct err why = {0};

    if (t->proved)
        vault_rekey_start(&rekey, &why);
    else if (keep_writer(t, &t->identity, t->writer, &why) == ERR_OK)
        vaults_task_keep(t, on_ready);
    if (why.code != ERR_OK)
        vaults_task_end(t, &why);
}

static void on_opened(void *ctx, const struct err *err,
                      const struct vault_opened *opened)
{
    struct vaults_task *t = ctx;
    struct err why = *err;
    bool recovery = *t->text != 0;

    if (why.code == ERR_KEY && !recovery) {
        /* Nobody has granted us keys yet: wait. */
        err_clear(&why);
        if (keep_writer(t, &t->identity, NULL, &why) == ERR_OK)
            vaults_task_keep(t, on_ready);
        else
            vaults_task_end(t, &why);
        return;
    }
    if (why.code != ERR_OK ||
        writer_new(opened->keys, &t->writer, &why) != ERR_OK ||
        writer_add(t->writer, t->identity.pair.public, WRITER_GATEWAY,
                   &why) != ERR_OK ||
        (recovery && writer_add(t->writer, opened->pair.public,
                                WRITER_RECOVERY, &why) != ERR_OK)) {
        vaults_task_end(t, &why);
        return;
    }
    t->proved = recovery;
    vaults_traits_find(t, on_traits);
}

static enum err_code open_it(struct vaults_task *t, struct err *err)
{
    struct vault_open_opts o = vaults_task_opening(t, on_opened);
    struct vault_open *open = NULL;
    struct seal_keyfile file = {0};
    struct id16 id = {{0}};

    if (*t->text) {
        if (seal_keyfile_parse(t->text, strlen(t->text), &file, err) != ERR_OK)
            return err->code;
        id = file.vault_id;
    } else if (!parse_id16(t->more, &id)) {
        return err_set(err, ERR_ARGUMENT, 0, "'%s' is no vault id (32 hex "
                       "digits)", t->more);
    }
    if (!t->has_identity && identity_new(&id, &t->identity, err) != ERR_OK)
        goto out;
    t->has_identity = true;
    if (!id16_equal(&t->identity.vault_id, &id)) {
        err_set(err, ERR_KEY, 0, "the key is of another vault");
        goto out;
    }
    o.vault_id = id;
    o.pair = &t->identity.pair;
    if (*t->text)
        vault_open_keyfile(&o, &file, &open, err);
    else
        vault_open_start(&o, &open, err);
out:
    seal_keyfile_fini(&file);
    return err->code;
}

static void step_open_existing(struct vaults_task *t)
{
    struct err err = {0};

    if (open_it(t, &err) != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_open_existing(void *ctx, const struct api_vault_open *open,
                          api_json_done_fn *done, void *done_ctx)
{
    vaults_task_start(ctx, open->vault, false, open->key_file, open->vault_id,
                      step_open_existing, done, done_ctx);
}

/* --- the test ------------------------------------------------------------ */

static struct json *checks_of(struct vaults_task *t)
{
    if (!t->answer) {
        t->answer = json_new_object();
        json_set(t->answer, "checks", json_new_array());
        json_set_bool(t->answer, "ok", true);
    }
    return (struct json *)(uintptr_t)json_get(t->answer, "checks");
}

static void add_check(struct vaults_task *t, const char *name,
                      const struct err *err, const char *text)
{
    struct json *checks = checks_of(t);
    struct json *one = json_new_object();

    json_set_text(one, "name", name);
    json_set_bool(one, "ok", err->code == ERR_OK);
    json_set_text(one, "text", err->code == ERR_OK ? text : err->text);
    json_append(checks, one);
    if (err->code != ERR_OK)
        json_set_bool(t->answer, "ok", false);
}

static void test_end(struct vaults_task *t)
{
    const struct err none = {0};

    json_set_text(t->answer, "state",
                  catalog_vault_state_name(
                      t->new_id[0] ? t->new_state : t->row.state));
    vaults_task_end(t, &none);
}

static void on_test_points(void *ctx, const struct err *err, uint64_t count)
{
    struct vaults_task *t = ctx;
    char text[64];

    snprintf(text, sizeof(text), "%ju points", (uintmax_t)count);
    add_check(t, "list and read points", err, text);
    test_end(t);
}

static void on_learnt_kept(struct vaults_task *t, const struct err *err)
{
    if (t->learnt)
        add_check(t, "granted keys", err, "opened by this gateway's own key");
    if (err->code == ERR_OK)
        vaults_read_points(t->engine->vaults, t->id, NULL, on_test_points, t);
    else
        test_end(t);
}

static void on_test_traits(struct vaults_task *t)
{
    const struct err none = {0};
    char text[sizeof(t->traits_err.text) + 32];

    if (t->traits_err.code != ERR_OK) {
        snprintf(text, sizeof(text), "not tried, so not relied on: %s",
                 t->traits_err.text);
        add_check(t, "what the store can do", &none, text);
    } else if (*t->new_traits) {
        add_check(t, "what the store can do", &none, t->new_traits);
    }
    if (t->learnt || *t->new_traits)
        vaults_task_keep(t, on_learnt_kept);
    else
        vaults_read_points(t->engine->vaults, t->id, NULL, on_test_points, t);
}

static void on_test_opened(void *ctx, const struct err *err,
                           const struct vault_opened *opened)
{
    struct vaults_task *t = ctx;
    struct err why = *err;
    size_t added = 0;

    /* Who opened it by a recovery key and could not write has none there. */
    if (why.code == ERR_KEY && t->writer) {
        err_clear(&why);
        add_check(t, "open", &why, "by the keys that this gateway keeps: none "
                  "is wrapped for it in the vault");
        vaults_task_as_it_is(t);
        vaults_traits_find(t, on_test_traits);
        return;
    }
    add_check(t, "open", err, "keys unwrapped");
    if (why.code != ERR_OK) {
        test_end(t);
        return;
    }
    if (t->writer) {
        vaults_task_as_it_is(t);
        vaults_learn(t, opened->keys, &added, &why);
        t->learnt = added > 0;
    } else if (writer_new(opened->keys, &t->writer, &why) == ERR_OK &&
               writer_add(t->writer, t->identity.pair.public, WRITER_GATEWAY,
                          &why) == ERR_OK) {
        keep_writer(t, &t->identity, t->writer, &why);
        t->learnt = true;
    }
    if (why.code == ERR_OK)
        vaults_traits_find(t, on_test_traits);
    else
        vaults_task_end(t, &why);
}

static void step_test(struct vaults_task *t)
{
    struct vault_open_opts o = vaults_task_opening(t, on_test_opened);
    struct vault_open *open = NULL;
    struct err err = {0};

    if (!t->has_identity) {
        err_set(&err, ERR_NOT_FOUND, 0, "it was not finished: remove it and "
                "add it again");
        vaults_task_end(t, &err);
        return;
    }
    o.vault_id = t->identity.vault_id;
    o.pair = &t->identity.pair;
    if (vault_open_start(&o, &open, &err) != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_test(void *ctx, int64_t vault, api_json_done_fn *done,
                 void *done_ctx)
{
    vaults_task_start(ctx, vault, false, NULL, NULL, step_test, done,
                      done_ctx);
}
