/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/keyring.h - the secrets of one vault, and what follows from them.
 *
 * A keyring is filled by the thread that made it and is a read-only snapshot
 * from the moment it is shared: any number of threads may read one at the same
 * time, and each holder has a reference. New keys make a new keyring
 * (keyring_copy). The last reference wipes it.
 */
#ifndef CAIRN_VAULT_KEYRING_H
#define CAIRN_VAULT_KEYRING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/seal_key.h"

struct keyring;

/* An MK or DK: its id, and K_meta or K_data, which it is used as. */
struct keyring_key {
    struct id16 id;
    struct seal_key key;
    struct seal_key secret; /* MK or DK itself, to be wrapped for others */
};

/* A keyring that holds RS alone. `suite` must outlive it. ERR_NOMEM. */
enum err_code keyring_new(const struct seal_suite *suite,
                          const struct seal_key *rs, struct keyring **out,
                          struct err *err);

/* The same keys again, to add to. ERR_NOMEM. */
enum err_code keyring_copy(const struct keyring *from, struct keyring **out,
                           struct err *err);

/* Before sharing: add an MK or DK (nothing happens if it is there). `current`:
 * from now on it is what is sealed under. ERR_NOMEM, ERR_IO. */
enum err_code keyring_add(struct keyring *k, enum seal_key_role role,
                          const struct seal_key *secret, bool current,
                          struct err *err);

/* Before sharing: what `from` holds and `k` does not, to read with; what is
 * sealed under stays. *added: how many more. Of one vault. ERR_NOMEM, ERR_IO. */
enum err_code keyring_join(struct keyring *k, const struct keyring *from,
                           size_t *added, struct err *err);

/* Any thread. NULL stays NULL. */
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k);

/* --- reading: any thread, borrowed as long as the reference lasts -------- */

const struct seal_suite *keyring_suite(const struct keyring *k);
const struct id16 *keyring_vault_id(const struct keyring *k);
const struct seal_key *keyring_rs(const struct keyring *k);
/* K_id, for seal_slot_chunk_id(). */
const struct seal_key *keyring_k_id(const struct keyring *k);

/* The tag of a series in this vault. ERR_ARGUMENT beyond 128 bytes. */
enum err_code keyring_vm_tag(const struct keyring *k, const char *series,
                             struct id16 *out, struct err *err);

/* What is sealed under from now on; NULL: this keyring only reads. */
const struct keyring_key *keyring_current(const struct keyring *k,
                                          enum seal_key_role role);

/* A key by its id; NULL: not held. */
const struct keyring_key *keyring_find(const struct keyring *k,
                                       enum seal_key_role role,
                                       const struct id16 *id);

/* All keys of a role, in rising order of id (a point's key table names all
 * MKs). */
size_t keyring_count(const struct keyring *k, enum seal_key_role role);
const struct keyring_key *keyring_at(const struct keyring *k,
                                     enum seal_key_role role, size_t i);

#endif
