/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/varint.h"

bool varint_add(struct buf *b, uint64_t v)
{
    uint8_t raw[VARINT_MAX];
    size_t len = 0;

    while (v >= 0x80) {
        raw[len++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    raw[len++] = (uint8_t)v;
    return buf_add(b, raw, len);
}

bool varint_take(struct slice *from, uint64_t *v)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < VARINT_MAX && i < from->len; i++) {
        uint8_t byte = from->data[i];

        if (i == VARINT_MAX - 1 && byte > 1)
            return false; /* over 64 bits */
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if (byte == 0 && i > 0)
            return false; /* not the shortest form */
        from->data += i + 1;
        from->len -= i + 1;
        *v = value;
        return true;
    }
    return false;
}
