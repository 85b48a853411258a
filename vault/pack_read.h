/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_read.h - opens the tables of a pack that lies in a store.
 *
 * A reader opens `<pack id>`; when that, or a slot in it, is gone or fails it
 * lists the prefix and tries the greatest name, then the others (format.md 2).
 * A struct pack_read keeps its place in that search: pack_read_again() goes on
 * to the next object when a slot of the current one turned out bad. Lives on
 * the store's loop. Costs one GET where header and tables are wanted from a
 * pack of at most 64 KiB, else two; three when the toc is over 64 KiB.
 */
#ifndef CAIRN_VAULT_PACK_READ_H
#define CAIRN_VAULT_PACK_READ_H

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/name.h"
#include "vault/pack_layout.h"

struct pack_read;

/* One object of a pack, opened. Plain values but for the arrays. */
struct pack_table {
    char name[NAME_TEXT];  /* of the object that was opened */
    enum seal_slot_kind kind;
    struct id16 pack_id;
    uint64_t bytes;        /* of the object */
    struct pack_tail tail; /* digest, toc offset */
    uint32_t slots;
    struct pack_slot *slot; /* `slots` of them */
    uint64_t *offset;       /* slots + 1 of them: where each begins */
    bool has_header;        /* as below, when it was asked for */
    uint8_t header_raw[SEAL_SLOT_HEADER];
    struct seal_slot_header header; /* proved only with k_pack */
};

/* table is NULL on failure; else borrowed until pack_read_again() or
 * pack_read_free(). err: the first cause when every object failed;
 * ERR_NOT_FOUND when there is none; ERR_COLD, ERR_KEY (no MK for its toc). */
typedef void pack_read_done_fn(void *ctx, const struct err *err,
                               const struct pack_table *table);

struct pack_read_opts {
    struct store *store;
    const struct keyring *keys; /* must outlive it */
    enum seal_slot_kind kind;
    struct id16 pack_id;
    bool header; /* fetch and check the header too */
    pack_read_done_fn *done;
    void *ctx;
};

/* done() once, later. *out lives until pack_read_free(). */
enum err_code pack_read_start(const struct pack_read_opts *opts,
                              struct pack_read **out, struct err *err);

/* After done() gave a table that proved bad (`why`): try the next object.
 * done() is called again, later, once. */
enum err_code pack_read_again(struct pack_read *r, const struct err *why,
                              struct err *err);

/* Between done() and the next start; while it works: pack_read_cancel(). NULL
 * is fine. */
void pack_read_free(struct pack_read *r);

/* done() gets ERR_CANCELLED, or what came first. */
void pack_read_cancel(struct pack_read *r);

/* K_pack of a table with header: the commitment is compared. data key: by
 * header.key_id. ERR_KEY (not held), ERR_INTEGRITY. */
enum err_code pack_read_key(const struct pack_table *t,
                            const struct keyring *keys, struct seal_key *k_pack,
                            struct err *err);

/* The table of a whole object in memory, for small packs and tests. The
 * table's arrays are to be freed by pack_read_table_fini(). */
enum err_code pack_read_table(const struct keyring *keys, const char *name,
                              struct slice object, struct pack_table *out,
                              struct err *err);
void pack_read_table_fini(struct pack_table *t);

/*
 * A sealed slot -> its chunk: tag, length and, after decompression, the id are
 * checked. `sealed` has slot->stored bytes, out room for slot->raw. zstd's
 * context comes with the opener, one thread at a time.
 */
struct pack_opener;
struct pack_opener *pack_opener_new(const struct seal_suite *suite);
void pack_opener_free(struct pack_opener *o);
enum err_code pack_opener_open(struct pack_opener *o,
                               const struct keyring *keys,
                               const struct seal_key *k_pack,
                               enum seal_slot_kind kind, uint32_t number,
                               const struct pack_slot *slot,
                               const uint8_t *sealed, uint8_t *out,
                               struct err *err);

#endif
