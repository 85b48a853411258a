/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/sealed.h"

static enum seal_key_role role_of(enum seal_stream_kind kind)
{
    return kind == SEAL_STREAM_METADATA ? SEAL_KEY_DATA : SEAL_KEY_META;
}

static struct seal_stream_opts options(const struct keyring *keys,
                                       enum seal_stream_kind kind,
                                       const char *name,
                                       const struct keyring_key *key)
{
    return (struct seal_stream_opts){
        .suite = keyring_suite(keys),
        .kind = kind,
        .vault_id = *keyring_vault_id(keys),
        .key_id = key->id,
        .key = &key->key,
        .name = name,
    };
}

enum err_code sealed_open(const struct keyring *keys,
                          enum seal_stream_kind kind, const char *name,
                          const void *sealed, size_t len, struct buf *out,
                          struct err *err)
{
    const struct keyring_key *key;
    struct seal_stream_opts opts;
    struct id16 id;
    char text[33];

    if (seal_stream_key_id(kind, sealed, len, &id, err) != ERR_OK)
        return err->code;
    key = keyring_find(keys, role_of(kind), &id);
    if (!key) {
        bytes_hex(id.b, 16, text);
        return err_set(err, ERR_KEY, 0,
                       "sealed under key %s, which is not "
                       "held",
                       text);
    }
    opts = options(keys, kind, name, key);
    return seal_stream_open(&opts, sealed, len, out, err);
}

enum err_code sealed_make(const struct keyring *keys,
                          enum seal_stream_kind kind, const char *name,
                          struct slice plain, struct buf *out, struct err *err)
{
    const struct keyring_key *key = keyring_current(keys, role_of(kind));
    struct seal_stream_opts opts;

    if (!key)
        return err_set(err, ERR_KEY, 0, "%s: no current key to seal under",
                       name);
    opts = options(keys, kind, name, key);
    return seal_stream_seal(&opts, plain.data, plain.len, out, err);
}
