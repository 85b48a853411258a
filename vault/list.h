/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/list.h - a collection list (format.md 7): what is condemned, which
 * points were removed or taken back.
 *
 * As with points: a decoded list owns its arrays and borrows or owns its
 * bytes; a writer fills one in for list_encode(). Pure; any thread.
 */
#ifndef CAIRN_VAULT_LIST_H
#define CAIRN_VAULT_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "vault/keyring.h"

#define LIST_SEALED_MAX ((uint64_t)256 << 20)

struct list_range {
    uint32_t first, count;
};

struct list_pack {
    struct id16 id;
    const struct list_range *range;
    size_t ranges; /* 0: the whole pack */
};

struct list {
    const struct list_pack *pack;
    size_t packs;
    struct slice removed; /* names of points, 65 bytes each */
    struct slice restored;
};

/* ERR_INTEGRITY, ERR_NOMEM. `plain` must outlive *out. */
enum err_code list_decode(struct slice plain, struct list **out,
                          struct err *err);
void list_free(struct list *l);
/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code list_encode(const struct list *l, struct buf *out,
                          struct err *err);

/* The object of a list. As point_open() and point_seal(). */
enum err_code list_open(const struct keyring *keys, const char *name,
                        const void *sealed, size_t len, struct list **out,
                        struct err *err);
enum err_code list_seal(const struct keyring *keys, const char *name,
                        const struct list *l, struct buf *out, struct err *err);

#endif
