/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/vault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOG2_CHUNK 17 /* 128 KiB: format.md says why */
#define ZSTD_LEVEL 1
#define ZSTD_LEVEL_MAX 19
#define PACK_BYTES_MIN MIB

struct vault {
    atomic_uint references;
    struct keyring *keys;
    struct vault_settings settings;
};

struct vault_settings vault_settings_default(void)
{
    return (struct vault_settings){
        .log2_chunk = LOG2_CHUNK,
        .zstd_level = ZSTD_LEVEL,
        .pack_bytes = VAULT_PACK_BYTES,
    };
}

static const char *fault_of(const struct vault_settings *s)
{
    if (s->log2_chunk < 16 || s->log2_chunk > 20)
        return "chunks have 64 KiB to 1 MiB";
    if (s->zstd_level < 0 || s->zstd_level > ZSTD_LEVEL_MAX)
        return "zstd levels go from 0 to 19";
    if (s->pack_bytes < PACK_BYTES_MIN ||
        s->pack_bytes > VAULT_PACK_BYTES_ARCHIVE)
        return "packs have 1 MiB to 256 MiB";
    if (!memchr(s->storage_class, 0, sizeof(s->storage_class)))
        return "the storage class has no end";
    return NULL;
}

enum err_code vault_new(struct keyring *keys,
                        const struct vault_settings *settings,
                        struct vault **out, struct err *err)
{
    const char *fault = fault_of(settings);
    struct vault *v;

    if (fault)
        return err_set(err, ERR_ARGUMENT, 0, "vault settings: %s", fault);
    v = calloc(1, sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, 0, "vault");
    atomic_init(&v->references, 1);
    v->keys = keyring_ref(keys);
    v->settings = *settings;
    *out = v;
    return ERR_OK;
}

struct vault *vault_ref(struct vault *v)
{
    if (v)
        atomic_fetch_add(&v->references, 1);
    return v;
}

void vault_unref(struct vault *v)
{
    if (!v || atomic_fetch_sub(&v->references, 1) > 1)
        return;
    keyring_unref(v->keys);
    free(v);
}

const struct id16 *vault_id(const struct vault *v)
{
    return keyring_vault_id(v->keys);
}

const struct keyring *vault_keys(const struct vault *v)
{
    return v->keys;
}

const struct seal_suite *vault_suite(const struct vault *v)
{
    return keyring_suite(v->keys);
}

const struct vault_settings *vault_settings(const struct vault *v)
{
    return &v->settings;
}
