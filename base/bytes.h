/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/bytes.h - little-endian integers, hex, and memory that holds secrets.
 *
 * Any thread; nothing allocates.
 */
#ifndef CAIRN_BASE_BYTES_H
#define CAIRN_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

#define BYTES_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* 16 bytes that name something: a pack, a key, a VDI. A plain value. */
struct id16 {
    uint8_t b[16];
};

/* A borrowed run of bytes. */
struct slice {
    const uint8_t *data;
    size_t len;
};

static inline void bytes_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void bytes_put_u32(uint8_t *p, uint32_t v)
{
    bytes_put_u16(p, (uint16_t)v);
    bytes_put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void bytes_put_u64(uint8_t *p, uint64_t v)
{
    bytes_put_u32(p, (uint32_t)v);
    bytes_put_u32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t bytes_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t bytes_get_u32(const uint8_t *p)
{
    return bytes_get_u16(p) | (uint32_t)bytes_get_u16(p + 2) << 16;
}

static inline uint64_t bytes_get_u64(const uint8_t *p)
{
    return bytes_get_u32(p) | (uint64_t)bytes_get_u32(p + 4) << 32;
}

/* out gets 2 * len small hex digits and a NUL. */
void bytes_hex(const void *data, size_t len, char *out);

/*
 * Exactly len bytes from exactly 2 * len small hex digits and the end of the
 * text; false otherwise, and then *out is unspecified.
 */
bool bytes_unhex(const char *text, uint8_t *out, size_t len);

/* Whether two runs are equal, in time that depends on len alone. */
bool bytes_equal_ct(const void *a, const void *b, size_t len);

/* Whether all bytes are zero; fast on long runs, not constant in time. */
bool bytes_all_zero(const void *data, size_t len);

/* Overwrite a secret; the compiler may not leave it out. */
void bytes_wipe(void *data, size_t len);

static inline bool id16_equal(const struct id16 *a, const struct id16 *b)
{
    return __builtin_memcmp(a->b, b->b, 16) == 0;
}

#endif
