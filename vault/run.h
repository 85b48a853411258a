/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/run.h - index runs (format.md 5, field 50): the tables of contents of
 * the packs of one session or checkpoint.
 *
 * Read pack by pack; the entries stay as they are. Pure; any thread.
 */
#ifndef CAIRN_VAULT_RUN_H
#define CAIRN_VAULT_RUN_H

#include "base/buf.h"
#include "base/err.h"
#include "vault/field.h"
#include "vault/keyring.h"
#include "vault/pack_layout.h"

#define RUN_SEALED_MAX ((uint64_t)256 << 20)

struct run_pack {
    struct id16 id;
    struct id16 key_id;
    enum seal_slot_kind kind;
    uint32_t slots;
    const uint8_t *entries; /* slots of 28 bytes; each is a good one */
};

struct run_reader {
    struct field_reader fields;
};

/* Plaintext is borrowed. */
void run_reader_init(struct run_reader *r, struct slice plain);
/* The next pack: true. False at the end: *err is ERR_OK or ERR_INTEGRITY. */
bool run_next(struct run_reader *r, struct run_pack *out, struct err *err);

/* Append one pack. False: out of room. */
bool run_add(struct buf *b, const struct run_pack *pack);

/* The object of a run <-> its plaintext, appended to out. ERR_INTEGRITY,
 * ERR_KEY, ERR_NOMEM. */
enum err_code run_open(const struct keyring *keys, const char *name,
                       const void *sealed, size_t len, struct buf *out,
                       struct err *err);
enum err_code run_seal(const struct keyring *keys, const char *name,
                       struct slice plain, struct buf *out, struct err *err);

#endif
