/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_key.h - secrets, and what follows from them (format.md 3).
 *
 * Every secret of 32 bytes is a struct seal_key: a plain value, so that it can
 * lie inside what owns it; whoever owns one wipes it with seal_key_fini().
 * Never print one. Functions here are pure and may be called on any thread.
 */
#ifndef CAIRN_CRYPTO_SEAL_KEY_H
#define CAIRN_CRYPTO_SEAL_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/seal_suite.h"

struct seal_key {
    uint8_t b[32];
};

/* An X25519 key pair. */
struct seal_pair {
    struct seal_key private;
    uint8_t public[32];
};

/* Wipe; a zeroed one is fine. */
void seal_key_fini(struct seal_key *key);
void seal_pair_fini(struct seal_pair *pair);

/* Bytes from the kernel's generator, secret or not. ERR_IO. */
enum err_code seal_key_random(void *out, size_t len, struct err *err);

/* A new secret; a new key pair; the pair of a given private key.
 * ERR_IO, ERR_NOMEM. */
enum err_code seal_key_new(struct seal_key *out, struct err *err);
enum err_code seal_pair_new(struct seal_pair *out, struct err *err);
enum err_code seal_pair_from(const struct seal_key *private_key,
                             struct seal_pair *out, struct err *err);

/* X25519(private, public); ERR_INTEGRITY when that is all zero. */
enum err_code seal_key_agree(const struct seal_key *private_key,
                             const uint8_t public_key[32], struct seal_key *out,
                             struct err *err);

/* HKDF-SHA256, extract and expand, at most 255 * 32 bytes. ERR_NOMEM. */
enum err_code seal_key_hkdf(const struct seal_suite *suite, struct slice ikm,
                            struct slice salt, struct slice info, void *out,
                            size_t out_len, struct err *err);

/* Derivations of format.md 3; each fails with ERR_NOMEM only. */
enum err_code seal_key_vault_id(const struct seal_suite *suite,
                                const struct seal_key *rs, struct id16 *out,
                                struct err *err);
/* K_id: what chunk ids are made with. */
enum err_code seal_key_for_ids(const struct seal_suite *suite,
                               const struct seal_key *rs, struct seal_key *k_id,
                               struct err *err);
/* K_name: what VM tags are made with. */
enum err_code seal_key_for_names(const struct seal_suite *suite,
                                 const struct seal_key *rs,
                                 struct seal_key *k_name, struct err *err);

enum seal_key_role { SEAL_KEY_META, SEAL_KEY_DATA }; /* MK, DK */

/* Key id and K_meta or K_data of an MK or DK; key NULL: the id alone. */
enum err_code
seal_key_derive(const struct seal_suite *suite, const struct seal_key *rs,
                enum seal_key_role role, const struct seal_key *secret,
                struct id16 *key_id, struct seal_key *key, struct err *err);

/* The tag of a recipient's public key in a vault. ERR_NOMEM. */
enum err_code seal_key_tag(const struct seal_suite *suite,
                           const struct id16 *vault_id,
                           const uint8_t public_key[32], struct id16 *out,
                           struct err *err);

/* The tag of a VM's series in a vault. ERR_ARGUMENT beyond 128 bytes. */
enum err_code seal_key_vm_tag(const struct seal_suite *suite,
                              const struct seal_key *k_name, const char *series,
                              struct id16 *out, struct err *err);

/*
 * The gateway's key file: "cairn gateway key 1" and "secret <64 hex digits>",
 * one line each. Saving makes a file that must not exist, mode 0600, synced.
 * Loading refuses a file that group or others may read (ERR_KEY).
 * ERR_IO, ERR_CONFLICT (exists), ERR_NOT_FOUND, ERR_KEY (not such a file).
 */
enum err_code seal_key_save(const char *path, const struct seal_key *key,
                            struct err *err);
enum err_code seal_key_load(const char *path, struct seal_key *out,
                            struct err *err);

#endif
