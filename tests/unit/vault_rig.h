/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault_rig.h - a loop, a slow lane and a store in memory with the
 * small vault of the vectors in it, and vault operations as plain calls.
 */
#ifndef CAIRN_TESTS_UNIT_VAULT_RIG_H
#define CAIRN_TESTS_UNIT_VAULT_RIG_H

#include "store_fault.h"
#include "vectors.h"

#include "crypto/seal_keyfile.h"
#include "loop/lane.h"
#include "vault/vault_create.h"
#include "vault/vault_open.h"

struct vault_rig {
    struct loop *loop;
    struct lane *slow;
    struct seal_suite *suite;
    struct store_fault_bucket *bucket;
    struct store *store;
    struct id16 vault_id;         /* of the vectors */
    struct seal_keyfile recovery; /* its passphrase */
    struct seal_keyfile recovery_private;
    struct seal_keyfile gateway; /* its private key: no DK */
    uint64_t work_max; /* of vault_rig_open() */
    /* Of the last operation: */
    unsigned done;
    struct err err;
};

/* With the vault of the vectors in the bucket, or with nothing. */
void vault_rig_init(struct vault_rig *r, bool with_vault);
void vault_rig_fini(struct vault_rig *r);

/* The bucket as the folder of the vectors is. */
void vault_rig_load(struct vault_rig *r);

/* Run the loop until done is what it says; fails the test after 60 s. */
void vault_rig_wait(struct vault_rig *r, unsigned done);
/* For callbacks: note the outcome and end vault_rig_wait(). */
void vault_rig_done(struct vault_rig *r, const struct err *err);
/* A turn or more of the loop. */
void vault_rig_turn(struct vault_rig *r);

/* Open with a key file: the keys (a reference), or NULL and r->err. */
struct keyring *vault_rig_open(struct vault_rig *r,
                               const struct seal_keyfile *file);

#endif
