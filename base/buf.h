/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/buf.h - a growing run of bytes with an upper bound.
 *
 * Appending never leaves half of a piece behind: it is taken whole, or the
 * buffer is marked failed and every later append is refused too. So a caller
 * appends a whole document and asks buf_failed() once, at the end. Any thread,
 * one at a time.
 */
#ifndef CAIRN_BASE_BUF_H
#define CAIRN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data; /* owned; NULL while empty */
    size_t len;    /* bytes in use */
    size_t cap;    /* bytes allocated */
    size_t max;    /* len never exceeds this */
    bool failed;   /* out of memory, or max would have been exceeded */
    bool secret;   /* memory is wiped before it is given back */
};

/* An empty buffer of at most max bytes. A zeroed struct holds nothing ever. */
void buf_init(struct buf *b, size_t max);

/* As buf_init(), and wiped whenever memory is given back. */
void buf_init_secret(struct buf *b, size_t max);

/* Give the memory back; the buffer is empty and can be used again. */
void buf_fini(struct buf *b);

/* Forget the contents and the failure, keep the memory. */
void buf_clear(struct buf *b);

/* Append. False: refused, and so will be whatever follows. */
bool buf_add(struct buf *b, const void *data, size_t len);
bool buf_add_text(struct buf *b, const char *text);
bool buf_add_zeros(struct buf *b, size_t len);
bool buf_add_u8(struct buf *b, uint8_t v);
bool buf_add_u16(struct buf *b, uint16_t v); /* little-endian, as all here */
bool buf_add_u32(struct buf *b, uint32_t v);
bool buf_add_u64(struct buf *b, uint64_t v);
bool buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for len bytes at the end, to be filled in by the caller; NULL: refused.
 * They count as appended at once. Valid until the next append. */
uint8_t *buf_extend(struct buf *b, size_t len);

/* Drop the first len bytes (len <= b->len). */
void buf_drop_front(struct buf *b, size_t len);

static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

/* The contents as text, valid until the next change; NULL if failed. The NUL
 * is not counted in len. */
const char *buf_text(struct buf *b);

/* The memory becomes the caller's, to free(); the buffer is empty. NULL when
 * nothing was appended. With a NUL after the last byte. */
uint8_t *buf_detach(struct buf *b, size_t *len);

#endif
