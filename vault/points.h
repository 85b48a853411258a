/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/points.h - which restore points a vault has, and one of them read.
 *
 * Lists points/ and gc/, reads every point, and applies what is known of
 * removing, restoring, replacing and unfinished points. Of each point a short
 * summary is kept, not its maps. Lives on the store's loop.
 */
#ifndef CAIRN_VAULT_POINTS_H
#define CAIRN_VAULT_POINTS_H

#include "store/store.h"
#include "vault/keyring.h"
#include "vault/name.h"
#include "vault/point.h"

enum points_state {
    POINTS_SHOWN,
    POINTS_REMOVED,    /* by a list; may be taken back for a while */
    POINTS_REPLACED,   /* named in field 14 of another */
    POINTS_UNFINISHED, /* an anchor of a session, no restore point */
    POINTS_BAD,        /* cannot be read: `err` says why */
};

struct points_disk {
    uint32_t position;
    struct id16 vdi;
    uint64_t bytes;
    unsigned log2_chunk;
    char name[128]; /* cut at a letter's end; "" */
};

struct points_entry {
    char name[NAME_POINT_BYTES + 1];
    struct id16 vm_tag;
    uint64_t time_ms;      /* of the name */
    uint64_t object_bytes;
    uint8_t sha256[32];    /* of the object */
    enum points_state state;
    struct err err;        /* POINTS_BAD */
    /* Empty when it could not be read: */
    char series[129];
    struct id16 vm;
    char vm_name[256]; /* texts are cut at a letter's end; "" when absent */
    char pool[256];
    char source_mode[16];
    char consistency[64];
    char gateway[64];
    char retention[64];
    uint64_t start_ms, end_ms;
    bool has_totals;
    struct point_totals totals;
    bool has_metadata;
    size_t disks;
    struct points_disk *disk;
    struct id16 *data_keys; /* DKs in its key table, that it needs */
    size_t data_key_count;
    bool has_keys; /* all of these are held: it can be restored */
};

/* All entries in rising order of name; newest of a VM last among its own. */
struct points_list {
    size_t count;
    struct points_entry *entry;
    unsigned bad_lists; /* collection lists that could not be read: what they
                           removed may be shown */
    struct err bad_list; /* of the first such list, naming it */
};

/* The caller's, from done() on. */
void points_list_free(struct points_list *list);

struct points;

struct points_opts {
    struct store *store;
    const struct keyring *keys; /* outlives it */
    const struct id16 *vm_tag;  /* of one VM alone; NULL: all. Copied */
    /* The list is yours; NULL on failure (the store's, ERR_NOMEM). Single
     * points that cannot be read are entries. */
    void (*done)(void *ctx, const struct err *err, struct points_list *take);
    void *ctx;
};

/* done() once, later; *out is gone when it returns. */
enum err_code points_start(const struct points_opts *opts, struct points **out,
                           struct err *err);
void points_cancel(struct points *p);

/* By its name; NULL: none. Looks at as many entries as the logarithm of count. */
const struct points_entry *points_find(const struct points_list *list,
                                       const char *name);

/* The newest shown one of a series; NULL: none. */
const struct points_entry *points_newest(const struct points_list *list,
                                         const char *series);

/*
 * Read one point. It is yours to point_free(); NULL on failure. sha256: of the
 * object. done() once, later.
 */
enum err_code points_fetch(struct store *store, const struct keyring *keys,
                           const char *name,
                           void (*done)(void *ctx, const struct err *err,
                                        struct point *take,
                                        const uint8_t sha256[32]),
                           void *ctx, struct store_op **out, struct err *err);

#endif
