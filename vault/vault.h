/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/vault.h - an opened vault: its id, its keys, how it is written to.
 *
 * A struct vault is a read-only snapshot, counted by references and shared by
 * threads; what does input and output takes a struct store of its own loop
 * beside it. Opening: vault/vault_open.h; making: vault/vault_create.h.
 */
#ifndef CAIRN_VAULT_VAULT_H
#define CAIRN_VAULT_VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"
#include "vault/keyring.h"

#define VAULT_FORMAT 1
#define VAULT_PACK_BYTES (64 * MIB)
#define VAULT_PACK_BYTES_ARCHIVE (256 * MIB)

/* Plain values; what stands in the catalog for each vault. Zeroed: defaults,
 * once vault_settings_default() has filled them in. */
struct vault_settings {
    unsigned log2_chunk; /* of new disks, 16 to 20; default 17 */
    int zstd_level;      /* default 1; 0: nothing is compressed */
    uint64_t pack_bytes; /* at most, all in; default VAULT_PACK_BYTES */
    enum store_lock lock;
    char storage_class[40]; /* of data packs; "": the bucket's own */
};

struct vault_settings vault_settings_default(void);

struct vault;

/* Takes a reference of its own on the keyring. ERR_NOMEM, ERR_ARGUMENT
 * (settings out of bounds). */
enum err_code vault_new(struct keyring *keys,
                        const struct vault_settings *settings,
                        struct vault **out, struct err *err);

/* Any thread. NULL stays NULL. */
struct vault *vault_ref(struct vault *v);
void vault_unref(struct vault *v);

/* Borrowed as long as the reference lasts. */
const struct id16 *vault_id(const struct vault *v);
const struct keyring *vault_keys(const struct vault *v);
const struct seal_suite *vault_suite(const struct vault *v);
const struct vault_settings *vault_settings(const struct vault *v);

#endif
