/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/name.h - object names (format.md 1): taken apart, put together.
 *
 * A name is what follows the vault's location. What fits none of the forms is
 * not ours and is left alone. Pure; any thread.
 */
#ifndef CAIRN_VAULT_NAME_H
#define CAIRN_VAULT_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define NAME_TEXT 128       /* room for any name, with its NUL */
#define NAME_POINT_BYTES 65 /* "points/<tag>/<time>-<rand>", without a NUL */

enum name_kind {
    NAME_FORMAT,   /* format */
    NAME_KEY,      /* keys/<key id>/<tag>-<rand> */
    NAME_RECOVERY, /* keys/recovery/<tag>-<rand> */
    NAME_PACK,     /* packs/<hh>/<pack id>[.<gen>-<rand>] */
    NAME_MAP,      /* maps/<hh>/<pack id>[.<gen>-<rand>] */
    NAME_INDEX,    /* index/<time>-<rand> */
    NAME_POINT,    /* points/<vm tag>/<time>-<rand> */
    NAME_LIST,     /* gc/<time>-<rand> */
};

/* What a name says; what its kind does not say is zero. */
struct name {
    enum name_kind kind;
    struct id16 id;   /* key id, pack id or VM tag */
    struct id16 tag;  /* of the recipient: NAME_KEY, NAME_RECOVERY */
    uint64_t time_ms; /* whole seconds */
    uint32_t rand;
    uint16_t gen; /* of a pack; 0: as written, without a suffix */
};

/* False: not one of ours. */
bool name_parse(const char *text, struct name *out);

/* As name_parse(), over len bytes that need not end in a NUL. */
bool name_parse_n(const char *text, size_t len, struct name *out);

void name_text(const struct name *n, char out[NAME_TEXT]);

/* A pack as it is written (gen 0); kind NAME_PACK or NAME_MAP. It is also the
 * prefix that lists all generations of the pack. */
void name_pack(enum name_kind kind, const struct id16 *pack_id,
               char out[NAME_TEXT]);

/* "points/<tag>/" */
void name_points_of(const struct id16 *vm_tag, char out[NAME_TEXT]);

/* The time of a new point, list or run: now, in whole seconds, but later than
 * `latest_ms`, the greatest time found beside it. */
uint64_t name_time_after(uint64_t now_ms, uint64_t latest_ms);

/* A new name's random part. ERR_IO. */
enum err_code name_random(uint32_t *out, struct err *err);

#endif
