/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a vault: listed, tried, granted, exported.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/vaults_task.h"
#include "vault/name.h"
#include "vault/vault_grant.h"
#include "vault/vault_open.h"

/* --- list ---------------------------------------------------------------- */

/* The role of a key id, as far as this gateway holds it. */
static const char *what_of(const struct vaults_task *t,
                           const struct id16 *key_id)
{
    const struct keyring *k = t->writer ? t->writer->keys : NULL;

    if (k && id16_equal(keyring_vault_id(k), key_id))
        return "root";
    if (k && keyring_find(k, SEAL_KEY_META, key_id))
        return "metadata";
    if (k && keyring_find(k, SEAL_KEY_DATA, key_id))
        return "data";
    return "unknown";
}

static const char *whose(const struct vaults_task *t, const struct id16 *tag)
{
    struct id16 known;
    struct err err = {0};

    for (size_t i = 0; t->writer && i < t->writer->recipients; i++) {
        const struct writer_recipient *r = &t->writer->recipient[i];

        if (seal_key_tag(t->engine->suite, &t->identity.vault_id, r->public,
                         &known, &err) != ERR_OK ||
            !id16_equal(&known, tag))
            continue;
        if (memcmp(r->public, t->identity.pair.public, 32) == 0)
            return "gateway";
        if (r->kind == WRITER_RECOVERY)
            return "recovery";
    }
    return "other";
}

static bool on_key(void *ctx, const struct store_entry *entry)
{
    struct vaults_task *t = ctx;
    struct json *one;
    struct name name;
    char hex[33];

    if (!name_parse(entry->name, &name) ||
        (name.kind != NAME_KEY && name.kind != NAME_RECOVERY))
        return true;
    one = json_new_object();
    bytes_hex(name.tag.b, 16, hex);
    json_set_text(one, "tag", hex);
    if (name.kind == NAME_RECOVERY) {
        json_set_text(one, "recipient", "recovery");
        json_set_text(one, "what", "private"); /* under the passphrase */
        json_set_text(one, "key_id", NULL);
    } else {
        json_set_text(one, "recipient", whose(t, &name.tag));
        json_set_text(one, "what", what_of(t, &name.id));
        bytes_hex(name.id.b, 16, hex);
        json_set_text(one, "key_id", hex);
    }
    json_set_text(one, "object", entry->name);
    return json_append(t->answer, one);
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    vaults_task_end(ctx, err);
}

static void step_list(struct vaults_task *t)
{
    const struct store_list_opts o = {
        .prefix = "keys/",
        .on_entry = on_key,
        .done = on_listed,
        .ctx = t,
    };
    struct err err = {0};

    t->answer = json_new_array();
    if (store_list(t->store, &o, NULL, &err) != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_key_list(void *ctx, int64_t vault, api_json_done_fn *done,
                     void *done_ctx)
{
    vaults_task_start(ctx, vault, false, NULL, NULL, step_list, done,
                      done_ctx);
}

/* --- test ---------------------------------------------------------------- */

static void on_tested_kept(struct vaults_task *t, const struct err *err)
{
    vaults_task_end(t, err);
}

static void on_opened(void *ctx, const struct err *err,
                      const struct vault_opened *opened)
{
    struct vaults_task *t = ctx;

    if (err->code != ERR_OK) {
        vaults_task_end(t, err);
        return;
    }
    t->answer = json_new_object();
    json_set_bool(t->answer, "opens", true);
    json_set_int(t->answer, "keys",
                 (int64_t)(keyring_count(opened->keys, SEAL_KEY_META) +
                           keyring_count(opened->keys, SEAL_KEY_DATA)));
    t->proved = true;
    vaults_task_as_it_is(t);
    if (t->new_state == CATALOG_VAULT_UNPROVED)
        t->new_state = CATALOG_VAULT_READY;
    vaults_task_keep(t, on_tested_kept);
}

static void step_test(struct vaults_task *t)
{
    struct vault_open_opts o = vaults_task_opening(t, on_opened);
    struct vault_open *open = NULL;
    struct seal_keyfile file = {0};
    struct err err = {0};
    char hex[33];

    if (seal_keyfile_parse(t->text, strlen(t->text), &file, &err) == ERR_OK) {
        bytes_hex(file.vault_id.b, 16, hex);
        o.vault_id = file.vault_id;
        if (strcmp(hex, t->row.vault_id) != 0)
            err_set(&err, ERR_KEY, 0, "the key file is of vault %s, this one "
                    "is %s", hex, t->row.vault_id);
        else
            vault_open_keyfile(&o, &file, &open, &err);
    }
    seal_keyfile_fini(&file);
    if (err.code != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_key_test(void *ctx, int64_t vault, const char *key_file,
                     api_json_done_fn *done, void *done_ctx)
{
    vaults_task_start(ctx, vault, false, key_file, NULL, step_test, done,
                      done_ctx);
}

/* --- grant --------------------------------------------------------------- */

static void on_granted(void *ctx, const struct err *err)
{
    struct vaults_task *t = ctx;

    if (err->code != ERR_OK) {
        vaults_task_end(t, err);
        return;
    }
    vaults_task_as_it_is(t);
    vaults_task_keep(t, on_tested_kept);
}

/* Wrap all keys that are held for one more recipient, and remember it, so that
 * keys to come are wrapped for it too. */
static enum err_code grant(struct vaults_task *t, const uint8_t public_key[32],
                           enum writer_recipient_kind kind, struct err *err)
{
    uint8_t recipient[1][32];
    struct vault_grant_opts o = {
        .store = t->store,
        .recipients = (const uint8_t(*)[32])recipient,
        .count = 1,
        .write.if_absent = t->store->traits.if_absent,
        .done = on_granted,
        .ctx = t,
    };
    struct vault_grant *g = NULL;
    struct id16 tag;
    char hex[33];

    memcpy(recipient[0], public_key, 32);
    if (!t->writer)
        return err_set(err, ERR_KEY, 0, "this gateway does not hold its keys");
    o.keys = t->writer->keys;
    if (writer_add(t->writer, public_key, kind, err) != ERR_OK ||
        writer_print(t->writer, &t->new_writer, err) != ERR_OK ||
        seal_key_tag(t->engine->suite, &t->identity.vault_id, public_key, &tag,
                     err) != ERR_OK)
        return err->code;
    bytes_hex(tag.b, 16, hex);
    if (!t->answer)
        t->answer = json_new_object();
    json_set_text(t->answer, "tag", hex);
    json_set_int(t->answer, "wraps",
                 (int64_t)(1 + keyring_count(o.keys, SEAL_KEY_META) +
                           keyring_count(o.keys, SEAL_KEY_DATA)));
    return vault_grant_start(&o, &g, err);
}

static void step_grant(struct vaults_task *t)
{
    uint8_t public_key[32];
    struct err err = {0};

    if (identity_public_parse(t->more, public_key, &err) != ERR_OK ||
        grant(t, public_key, WRITER_GATEWAY, &err) != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_key_grant(void *ctx, int64_t vault, const char *public_key,
                      api_json_done_fn *done, void *done_ctx)
{
    vaults_task_start(ctx, vault, false, NULL, public_key, step_grant, done,
                      done_ctx);
}

/* --- export -------------------------------------------------------------- */

static void step_export(struct vaults_task *t)
{
    struct identity person = {.vault_id = t->identity.vault_id};
    struct seal_keyfile file = {.is_private = true};
    struct err err = {0};
    struct buf text;

    buf_init_secret(&text, 4096);
    if (identity_new(&t->identity.vault_id, &person, &err) == ERR_OK) {
        file.vault_id = t->identity.vault_id;
        file.private = person.pair.private;
        t->answer = json_new_object();
        if (seal_keyfile_print(&file, &text, &err) == ERR_OK &&
            !json_set_text(t->answer, "key_file", buf_text(&text)))
            err_set(&err, ERR_NOMEM, 0, "key");
        if (err.code == ERR_OK)
            grant(t, person.pair.public, WRITER_PERSON, &err);
    }
    seal_keyfile_fini(&file);
    identity_fini(&person);
    buf_fini(&text);
    if (err.code != ERR_OK)
        vaults_task_end(t, &err);
}

void vaults_key_export(void *ctx, int64_t vault, api_json_done_fn *done,
                       void *done_ctx)
{
    vaults_task_start(ctx, vault, false, NULL, NULL, step_export, done,
                      done_ctx);
}
