/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/vaults_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_MAX ((size_t)(4 * MIB))

#define TASK(call_)                                                            \
    ((struct vaults_task *)(void *)((char *)(call_)-offsetof(                  \
        struct vaults_task, call)))

void vaults_task_end(struct vaults_task *t, const struct err *err)
{
    struct vaults *vaults = t->engine->vaults;

    err_keep(&t->err, err);
    if (t->err.code != ERR_OK) {
        json_free(t->answer);
        t->answer = NULL;
        if (t->row.name)
            err_context(&t->err, "tenant %s, vault %s", t->row.tenant,
                        t->row.name);
    } else if (!t->answer) {
        err_set(&t->err, ERR_NOMEM, 0, "vault");
    }
    t->done(t->ctx, &t->err, t->answer);
    if (t->store)
        store_free(t->store);
    place_unref(t->place);
    writer_free(t->writer);
    identity_fini(&t->identity);
    buf_fini(&t->credentials);
    buf_fini(&t->new_identity);
    buf_fini(&t->new_writer);
    catalog_vault_fini(&t->row);
    if (t->text)
        bytes_wipe(t->text, strlen(t->text));
    free(t->text);
    free(t->more);
    free(t);
    vaults_idle(vaults);
}

static enum err_code get_secret(struct catalog *c, int64_t id,
                                enum catalog_vault_secret what,
                                struct buf *out, struct err *err)
{
    if (catalog_vault_secret_get(c, id, what, out, err) == ERR_NOT_FOUND)
        err_clear(err);
    return err->code;
}

static enum err_code run_row(struct catalog_call *call, struct catalog *c,
                             struct err *err)
{
    struct vaults_task *t = TASK(call);
    struct buf identity, writer;

    if (t->err.code != ERR_OK) {
        *err = t->err;
        return err->code;
    }
    if (catalog_vault_get_id(c, t->id, &t->row, err) != ERR_OK)
        return err->code;
    buf_init_secret(&identity, SECRET_MAX);
    buf_init_secret(&writer, SECRET_MAX);
    if (get_secret(c, t->id, CATALOG_VAULT_CREDENTIALS, &t->credentials,
                   err) == ERR_OK &&
        get_secret(c, t->id, CATALOG_VAULT_IDENTITY, &identity, err) ==
            ERR_OK &&
        get_secret(c, t->id, CATALOG_VAULT_WRITER_STATE, &writer, err) ==
            ERR_OK) {
        if (identity.len)
            t->has_identity = identity_parse(identity.data, identity.len,
                                             &t->identity, err) == ERR_OK;
        if (writer.len && err->code == ERR_OK)
            writer_parse(t->engine->suite, writer.data, writer.len, &t->writer,
                         err);
    }
    buf_fini(&identity);
    buf_fini(&writer);
    return err->code;
}

static void on_row(struct catalog_call *call, const struct err *err)
{
    struct vaults_task *t = TASK(call);
    struct engine *e = t->engine;
    const char *credentials = buf_text(&t->credentials);
    struct err why = *err;
    struct place_opts o = {
        .url = t->row.url,
        .endpoint = t->row.endpoint,
        .region = t->row.region,
        .ca_pem = t->row.ca_pem,
        .credentials = credentials ? credentials : "",
        .traits = t->row.traits,
        .request_ms = e->config->store_request_ms,
        .retry_ms = e->config->store_retry_ms,
        .known = t->known,
        .suite = e->suite,
    };

    t->err = (struct err){0};
    if (why.code == ERR_OK &&
        !place_allowed(e->config->allowed_locations, t->row.url,
                       t->row.endpoint))
        err_set(&why, ERR_DENIED, 0,
                "%s is not among the allowed_locations of this gateway",
                t->row.url);
    if (why.code != ERR_OK || place_new(&o, &t->place, &why) != ERR_OK ||
        place_store(t->place, e->control, e->client, &t->store, &why) !=
            ERR_OK)
        vaults_task_end(t, &why);
    else
        t->step(t);
}

void vaults_task_start(struct engine *e, int64_t vault, bool known,
                       const char *text, const char *more,
                       void (*step)(struct vaults_task *t),
                       api_json_done_fn *done, void *ctx)
{
    struct vaults_task *t = calloc(1, sizeof(*t));

    if (!t) {
        struct err err = {0};

        err_set(&err, ERR_NOMEM, 0, "vault");
        done(ctx, &err, NULL);
        return;
    }
    t->engine = e;
    t->id = vault;
    t->known = known;
    t->step = step;
    t->done = done;
    t->ctx = ctx;
    buf_init_secret(&t->credentials, SECRET_MAX);
    buf_init_secret(&t->new_identity, SECRET_MAX);
    buf_init_secret(&t->new_writer, SECRET_MAX);
    t->text = strdup(text ? text : "");
    t->more = strdup(more ? more : "");
    if (!t->text || !t->more)
        err_set(&t->err, ERR_NOMEM, 0, "vault");
    t->call.run = run_row;
    t->call.done = on_row;
    vaults_busy(e->vaults);
    catalog_call_start(e->catalog, &t->call);
}

struct vault_open_opts
vaults_task_opening(struct vaults_task *t,
                    void (*done)(void *ctx, const struct err *err,
                                 const struct vault_opened *opened))
{
    return (struct vault_open_opts){
        .store = t->store,
        .suite = t->engine->suite,
        .slow = t->engine->slow_lane,
        .budget = t->engine->budget,
        .tenant = (uint64_t)t->row.tenant_id,
        .done = done,
        .ctx = t,
    };
}

/* --- keeping ------------------------------------------------------------- */

void vaults_task_as_it_is(struct vaults_task *t)
{
    t->new_state = t->row.state;
    snprintf(t->new_id, sizeof(t->new_id), "%s", t->row.vault_id);
    snprintf(t->new_public, sizeof(t->new_public), "%s", t->row.public_key);
}

/* `kept`, the text of what is there, joined with the new one. */
static enum err_code join(struct vaults_task *t, const struct buf *kept,
                          struct buf *out, struct err *err)
{
    const struct seal_suite *suite = t->engine->suite;
    struct writer *all = NULL, *mine = NULL;

    if (writer_parse(suite, kept->data, kept->len, &all, err) == ERR_OK &&
        writer_parse(suite, t->new_writer.data, t->new_writer.len, &mine,
                     err) == ERR_OK &&
        writer_join(all, mine, err) == ERR_OK)
        writer_print(all, out, err);
    writer_free(all);
    writer_free(mine);
    return err->code;
}

/* In a transaction. */
static enum err_code keep_writer(struct vaults_task *t, struct catalog *c,
                                 struct err *err)
{
    struct buf kept, all;
    const struct buf *now = &t->new_writer;

    buf_init_secret(&kept, SECRET_MAX);
    buf_init_secret(&all, SECRET_MAX);
    if (get_secret(c, t->id, CATALOG_VAULT_WRITER_STATE, &kept, err) ==
            ERR_OK &&
        kept.len && join(t, &kept, &all, err) == ERR_OK)
        now = &all;
    if (err->code == ERR_OK)
        catalog_vault_secret_set(c, t->id, CATALOG_VAULT_WRITER_STATE,
                                 (struct slice){now->data, now->len}, err);
    buf_fini(&kept);
    buf_fini(&all);
    return err->code;
}

static bool state_changed(const struct vaults_task *t)
{
    return t->new_state != t->row.state ||
           strcmp(t->new_id, t->row.vault_id) != 0 ||
           strcmp(t->new_public, t->row.public_key) != 0;
}

static enum err_code run_keep(struct catalog_call *call, struct catalog *c,
                              struct err *err)
{
    struct vaults_task *t = TASK(call);
    const struct slice identity = {t->new_identity.data, t->new_identity.len};

    if (catalog_begin(c, err) != ERR_OK)
        return err->code;
    if (identity.len)
        catalog_vault_secret_set(c, t->id, CATALOG_VAULT_IDENTITY, identity,
                                 err);
    if (t->new_writer.len && err->code == ERR_OK)
        keep_writer(t, c, err);
    if (state_changed(t) && err->code == ERR_OK)
        catalog_vault_set_state(c, t->id, t->new_state, t->new_id,
                                t->new_public, err);
    if (*t->new_traits && err->code == ERR_OK)
        catalog_vault_set_traits(c, t->id, t->new_traits, err);
    if (t->proved && err->code == ERR_OK)
        catalog_vault_set_proved(c, t->id, err);
    if (err->code == ERR_OK)
        return catalog_commit(c, err);
    catalog_rollback(c);
    return err->code;
}

static void on_kept(struct catalog_call *call, const struct err *err)
{
    struct vaults_task *t = TASK(call);

    vaults_changed(t->engine->vaults, t->id);
    t->kept(t, err);
}

void vaults_task_keep(struct vaults_task *t,
                      void (*kept)(struct vaults_task *t,
                                   const struct err *err))
{
    t->kept = kept;
    t->call.run = run_keep;
    t->call.done = on_kept;
    catalog_call_start(t->engine->catalog, &t->call);
}
