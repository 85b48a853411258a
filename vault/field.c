/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/field.h"

#include <string.h>

#define HEAD 8
#define FLAG_CRITICAL 1

void field_reader_init(struct field_reader *r, const char *what,
                       const struct field_rule *rules, size_t count,
                       struct slice from)
{
    memset(r, 0, sizeof(*r));
    r->what = what;
    r->rules = rules;
    r->count = count;
    r->rest = from;
    r->last = -1;
}

static bool refuse(const struct field_reader *r, struct err *err, int type,
                   const char *why)
{
    err_set(err, ERR_INTEGRITY, 0, "%s: field %d: %s", r->what, type, why);
    return false;
}

static bool at_end(const struct field_reader *r, struct err *err)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->rules[i].must && !(r->seen & (uint64_t)1 << i))
            return refuse(r, err, r->rules[i].type, "is missing");
    err_clear(err);
    return false;
}

/* One field of any type off the front. */
static bool take(struct field_reader *r, struct field *out, uint16_t *flags,
                 struct err *err)
{
    uint32_t len;

    if (r->rest.len < HEAD)
        return refuse(r, err, r->last, "what follows is cut off");
    out->type = bytes_get_u16(r->rest.data);
    *flags = bytes_get_u16(r->rest.data + 2);
    len = bytes_get_u32(r->rest.data + 4);
    if (len > r->rest.len - HEAD)
        return refuse(r, err, out->type, "is cut off");
    out->value.data = r->rest.data + HEAD;
    out->value.len = len;
    r->rest.data += HEAD + (size_t)len;
    r->rest.len -= HEAD + (size_t)len;
    return true;
}

static size_t rule_of(const struct field_reader *r, uint16_t type)
{
    size_t i = 0;

    while (i < r->count && r->rules[i].type != type)
        i++;
    return i;
}

bool field_next(struct field_reader *r, struct field *out, struct err *err)
{
    uint16_t flags = 0;
    size_t i;

    while (r->rest.len) {
        if (!take(r, out, &flags, err))
            return false;
        i = rule_of(r, out->type);
        if (flags > FLAG_CRITICAL)
            return refuse(r, err, out->type, "unknown flags");
        if (out->type < r->last)
            return refuse(r, err, out->type, "out of order");
        if (out->type == r->last && i < r->count && !r->rules[i].many)
            return refuse(r, err, out->type, "comes twice");
        r->last = out->type;
        if (i == r->count) {
            if (flags)
                return refuse(r, err, out->type, "critical and not known");
            continue;
        }
        if ((flags == FLAG_CRITICAL) != r->rules[i].critical)
            return refuse(r, err, out->type, "flagged wrongly");
        r->seen |= (uint64_t)1 << i;
        return true;
    }
    return at_end(r, err);
}

bool field_add(struct buf *b, uint16_t type, bool critical, const void *value,
               size_t len)
{
    uint8_t *at;

    if (len > UINT32_MAX - HEAD) {
        b->failed = true;
        return false;
    }
    at = buf_extend(b, HEAD + len);
    if (!at)
        return false;
    bytes_put_u16(at, type);
    bytes_put_u16(at + 2, critical ? FLAG_CRITICAL : 0);
    bytes_put_u32(at + 4, (uint32_t)len);
    if (len)
        memcpy(at + HEAD, value, len);
    return true;
}

size_t field_begin(struct buf *b, uint16_t type, bool critical)
{
    size_t at = b->len;

    field_add(b, type, critical, NULL, 0);
    return at;
}

void field_end(struct buf *b, size_t at)
{
    if (buf_failed(b))
        return;
    if (b->len - at - HEAD > UINT32_MAX)
        b->failed = true;
    else
        bytes_put_u32(b->data + at + 4, (uint32_t)(b->len - at - HEAD));
}
