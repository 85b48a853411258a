/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

void buf_init(struct buf *b, size_t max)
{
    memset(b, 0, sizeof(*b));
    b->max = max;
}

void buf_init_secret(struct buf *b, size_t max)
{
    buf_init(b, max);
    b->secret = true;
}

static void give_back(struct buf *b)
{
    if (b->secret && b->data)
        bytes_wipe(b->data, b->cap);
    free(b->data);
    b->data = NULL;
    b->cap = 0;
}

void buf_fini(struct buf *b)
{
    give_back(b);
    b->len = 0;
    b->failed = false;
}

void buf_clear(struct buf *b)
{
    if (b->secret && b->data)
        bytes_wipe(b->data, b->cap);
    b->len = 0;
    b->failed = false;
}

/* Room for `len` more bytes and a NUL, which buf_text() needs. */
static bool reserve(struct buf *b, size_t len)
{
    size_t need, cap;
    uint8_t *data;

    if (b->failed)
        return false;
    if (len > b->max || b->len > b->max - len) {
        b->failed = true;
        return false;
    }
    need = b->len + len + 1;
    if (need <= b->cap)
        return true;
    cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap += cap / 2 + 1;
    if (cap > b->max + 1)
        cap = b->max + 1;
    data = malloc(cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    if (b->len)
        memcpy(data, b->data, b->len);
    give_back(b); /* not realloc: it would leave a secret behind */
    b->data = data;
    b->cap = cap;
    return true;
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
    uint8_t *at;

    if (!reserve(b, len))
        return NULL;
    at = b->data + b->len;
    b->len += len;
    return at;
}

bool buf_add(struct buf *b, const void *data, size_t len)
{
    uint8_t *at = buf_extend(b, len);

    if (at && len)
        memcpy(at, data, len);
    return at != NULL;
}

bool buf_add_text(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

bool buf_add_zeros(struct buf *b, size_t len)
{
    uint8_t *at = buf_extend(b, len);

    if (at)
        memset(at, 0, len);
    return at != NULL;
}

bool buf_add_u8(struct buf *b, uint8_t v)
{
    return buf_add(b, &v, 1);
}

bool buf_add_u16(struct buf *b, uint16_t v)
{
    uint8_t raw[2];

    bytes_put_u16(raw, v);
    return buf_add(b, raw, sizeof(raw));
}

bool buf_add_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];

    bytes_put_u32(raw, v);
    return buf_add(b, raw, sizeof(raw));
}

bool buf_add_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];

    bytes_put_u64(raw, v);
    return buf_add(b, raw, sizeof(raw));
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    uint8_t *at;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    at = n < 0 ? NULL : buf_extend(b, (size_t)n);
    if (at)
        vsnprintf((char *)at, (size_t)n + 1, fmt, again);
    else
        b->failed = true;
    va_end(again);
    return at != NULL;
}

void buf_drop_front(struct buf *b, size_t len)
{
    if (!len)
        return;
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
}

const char *buf_text(struct buf *b)
{
    if (!reserve(b, 0))
        return NULL;
    b->data[b->len] = 0;
    return (const char *)b->data;
}

uint8_t *buf_detach(struct buf *b, size_t *len)
{
    uint8_t *data = b->data;

    if (len)
        *len = b->len;
    if (data)
        data[b->len] = 0;
    b->data = NULL;
    b->len = b->cap = 0;
    b->failed = false;
    return data;
}
