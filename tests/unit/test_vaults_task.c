/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several ask of one vault at the same time, in a gateway that runs: its
 * engine whole, with a folder as the store.
 */
#include "vectors_keys.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/engine.h"
#include "gateway/vaults_task.h"
#include "tenants/catalog_tenant.h"

#define CALLS 5

static const struct seal_key granted = {{0x5a}}; /* by another gateway */

struct world {
    char folder[64];
    struct config *config;
    struct engine *engine;
    struct identity identity;
    struct catalog_call call;
    struct catalog_vault row;
    struct writer *writer; /* what the catalog keeps */
    int64_t vault;
    unsigned open;
    char exported[512];
};

static struct world world;

/* --- the catalog, in steps ------------------------------------------------ */

static enum err_code put_writer(struct catalog *c, struct keyring *keys,
                                struct err *err)
{
    struct writer *w = NULL;
    struct buf text;

    buf_init_secret(&text, WRITER_TEXT_MAX);
    if (writer_new(keys, &w, err) == ERR_OK &&
        writer_add(w, world.identity.pair.public, WRITER_GATEWAY, err) ==
            ERR_OK &&
        writer_print(w, &text, err) == ERR_OK)
        catalog_vault_secret_set(c, world.vault, CATALOG_VAULT_WRITER_STATE,
                                 (struct slice){text.data, text.len}, err);
    writer_free(w);
    buf_fini(&text);
    return err->code;
}

static enum err_code put_identity(struct catalog *c, struct err *err)
{
    char hex[33], public[IDENTITY_PUBLIC_TEXT];
    struct buf text;

    buf_init_secret(&text, 4096);
    bytes_hex(world.identity.vault_id.b, 16, hex);
    identity_public_text(world.identity.pair.public, public);
    if (identity_print(&world.identity, &text, err) == ERR_OK &&
        catalog_vault_secret_set(c, world.vault, CATALOG_VAULT_IDENTITY,
                                 (struct slice){text.data, text.len}, err) ==
            ERR_OK)
        catalog_vault_set_state(c, world.vault, CATALOG_VAULT_UNPROVED, hex,
                                public, err);
    buf_fini(&text);
    return err->code;
}

/* A vault whose gateway holds one data key more than it will hold later. */
static enum err_code run_begin(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    struct keyring *keys = vectors_keyring(world.engine->suite, true);
    struct catalog_vault v = {.tenant = "acme", .name = "main", .endpoint = "",
                              .region = "", .ca_pem = "", .lock = "none"};
    char url[96];
    int64_t tenant;

    snprintf(url, sizeof(url), "file://%s/vault", world.folder);
    v.url = url;
    if (catalog_tenant_add(c, "acme", "", &tenant, err) == ERR_OK &&
        catalog_vault_add(c, &v, "", &world.vault, err) == ERR_OK &&
        identity_new(keyring_vault_id(keys), &world.identity, err) == ERR_OK &&
        put_identity(c, err) == ERR_OK &&
        keyring_add(keys, SEAL_KEY_DATA, &granted, false, err) == ERR_OK)
        put_writer(c, keys, err);
    keyring_unref(keys);
    return err->code;
}

static enum err_code run_forget(struct catalog_call *call, struct catalog *c,
                                struct err *err)
{
    struct keyring *keys = vectors_keyring(world.engine->suite, true);

    put_writer(c, keys, err);
    keyring_unref(keys);
    return err->code;
}

/* As `cairn key test` does when it has opened the vault. */
static enum err_code run_prove(struct catalog_call *call, struct catalog *c,
                               struct err *err)
{
    char hex[33], public[IDENTITY_PUBLIC_TEXT];

    bytes_hex(world.identity.vault_id.b, 16, hex);
    identity_public_text(world.identity.pair.public, public);
    return catalog_vault_set_state(c, world.vault, CATALOG_VAULT_READY, hex,
                                   public, err);
}

static enum err_code run_end(struct catalog_call *call, struct catalog *c,
                             struct err *err)
{
    struct buf text;

    buf_init_secret(&text, WRITER_TEXT_MAX);
    if (catalog_vault_get_id(c, world.vault, &world.row, err) == ERR_OK &&
        catalog_vault_secret_get(c, world.vault, CATALOG_VAULT_WRITER_STATE,
                                 &text, err) == ERR_OK)
        writer_parse(world.engine->suite, text.data, text.len, &world.writer,
                     err);
    buf_fini(&text);
    return err->code;
}

static void ask(enum err_code (*run)(struct catalog_call *, struct catalog *,
                                     struct err *),
                void (*done)(struct catalog_call *, const struct err *))
{
    world.call.run = run;
    world.call.done = done;
    catalog_call_start(world.engine->catalog, &world.call);
}

/* --- what happens --------------------------------------------------------- */

static void must(const struct err *err)
{
    if (err->code != ERR_OK)
        fail_msg("%s", err->text);
}

static void on_end(struct catalog_call *call, const struct err *err)
{
    must(err);
    engine_stop(world.engine);
}

static void on_answer(void *ctx, const struct err *err, struct json *take)
{
    const char *file;

    must(err);
    file = json_text(json_get(take, "key_file"), NULL);
    if (file)
        snprintf(world.exported, sizeof(world.exported), "%s", file);
    json_free(take);
    if (--world.open == 0)
        ask(run_end, on_end);
}

static void on_proved(struct catalog_call *call, const struct err *err)
{
    must(err);
}

static void on_forgotten(struct catalog_call *call, const struct err *err)
{
    static const char *const others[2] = {
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    };
    struct engine *e = world.engine;

    must(err);
    /* All have read the row before the first of them writes it. */
    world.open = CALLS;
    vaults_refresh(e, world.vault, on_answer, NULL);
    vaults_key_grant(e, world.vault, others[0], on_answer, NULL);
    vaults_key_grant(e, world.vault, others[1], on_answer, NULL);
    vaults_key_export(e, world.vault, on_answer, NULL);
    vaults_test(e, world.vault, on_answer, NULL);
    ask(run_prove, on_proved);
}

static void on_wrapped(void *ctx, const struct err *err, struct json *take)
{
    must(err);
    json_free(take);
    ask(run_forget, on_forgotten);
}

/* The vault's wraps of all keys for this gateway. */
static void on_begun(struct catalog_call *call, const struct err *err)
{
    char public[IDENTITY_PUBLIC_TEXT];

    must(err);
    identity_public_text(world.identity.pair.public, public);
    vaults_key_grant(world.engine, world.vault, public, on_wrapped, NULL);
}

static unsigned recipients(enum writer_recipient_kind kind)
{
    unsigned n = 0;

    for (size_t i = 0; i < world.writer->recipients; i++)
        n += world.writer->recipient[i].kind == kind;
    return n;
}

static void keys_granted_learnt_and_exported_at_once_are_all_kept(void **state)
{
    const struct keyring *keys;
    struct keyring *first;

    (void)state;
    ask(run_begin, on_begun);
    engine_run(world.engine);
    keys = world.writer->keys;
    assert_int_equal(recipients(WRITER_GATEWAY), 3); /* us, and the two */
    assert_int_equal(recipients(WRITER_PERSON), 1);
    assert_int_equal(strncmp(world.exported, "cairn key 1\n", 12), 0);
    /* The refresh and the test learnt of a key, and no more is sealed under. */
    assert_int_equal(keyring_count(keys, SEAL_KEY_DATA), 2);
    assert_int_equal(keyring_count(keys, SEAL_KEY_META), 1);
    first = vectors_keyring(world.engine->suite, true);
    for (int role = 0; role < 2; role++)
        assert_memory_equal(
            keyring_current(keys, (enum seal_key_role)role)->secret.b,
            keyring_current(first, (enum seal_key_role)role)->secret.b, 32);
    keyring_unref(first);
    /* What a recovery key proved meanwhile stays proved. */
    assert_int_equal(world.row.state, CATALOG_VAULT_READY);
}

/* --- the gateway ---------------------------------------------------------- */

static char *path_of(const char *name)
{
    char path[sizeof(world.folder) + 32];

    snprintf(path, sizeof(path), "%s/%s", world.folder, name);
    return strdup(path);
}

static int setup(void **state)
{
    struct err err = {0};
    char *vault;

    (void)state;
    snprintf(world.folder, sizeof(world.folder), "/tmp/cairn-vaults.XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    vault = path_of("vault");
    assert_int_equal(mkdir(vault, 0700), 0);
    free(vault);
    if (http_client_setup(&err) != ERR_OK ||
        config_defaults(&world.config, &err) != ERR_OK)
        return -1;
    free(world.config->state);
    free(world.config->socket);
    free(world.config->gateway_key);
    world.config->state = path_of("state");
    world.config->socket = path_of("socket");
    world.config->gateway_key = path_of("key");
    if (engine_start(world.config, &world.engine, &err) == ERR_OK)
        return 0;
    print_error("%s\n", err.text);
    return -1;
}

static int on_file(const char *path, const struct stat *st, int kind,
                   struct FTW *at)
{
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    writer_free(world.writer);
    catalog_vault_fini(&world.row);
    identity_fini(&world.identity);
    engine_free(world.engine);
    config_free(world.config);
    return nftw(world.folder, on_file, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_granted_learnt_and_exported_at_once_are_all_kept),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
