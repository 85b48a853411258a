/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/field.h - the fields that index runs, points and collection lists are
 * made of (format.md 5): u16 type, u16 flags, u32 length, value.
 *
 * A table of rules says which types are known. Anything out of order, twice,
 * flagged otherwise, unknown and critical, or missing is refused; unknown
 * fields that are not critical are passed over. Pure; any thread.
 */
#ifndef CAIRN_VAULT_FIELD_H
#define CAIRN_VAULT_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct field_rule {
    uint16_t type;
    bool critical;
    bool must; /* always there */
    bool many; /* may come more than once */
};

struct field {
    uint16_t type;
    struct slice value; /* borrowed from what is read */
};

struct field_reader {
    const char *what; /* for messages: "point", "disk" */
    const struct field_rule *rules;
    size_t count; /* of rules, at most 64 */
    struct slice rest;
    uint64_t seen; /* private: bit i = rule i was met */
    int last;      /* private: type before, -1 at the start */
};

/* Everything is borrowed. */
void field_reader_init(struct field_reader *r, const char *what,
                       const struct field_rule *rules, size_t count,
                       struct slice from);

/*
 * The next known field: true. False at the end, where *err says whether all is
 * well: ERR_OK, or ERR_INTEGRITY with what is wrong.
 */
bool field_next(struct field_reader *r, struct field *out, struct err *err);

/* Append one field. False: out of room (see base/buf.h). */
bool field_add(struct buf *b, uint16_t type, bool critical, const void *value,
               size_t len);

/* Append a field whose value follows piece by piece: _begin returns where it
 * stands, _end fills in the length. */
size_t field_begin(struct buf *b, uint16_t type, bool critical);
void field_end(struct buf *b, size_t at);

#endif
