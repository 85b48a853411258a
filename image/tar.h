/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image/tar.h - headers of tar archives, as far as XVAs have them: V7, ustar,
 * GNU and the size and path of pax. Pure; any thread.
 */
#ifndef CAIRN_IMAGE_TAR_H
#define CAIRN_IMAGE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TAR_BLOCK 512
#define TAR_NAME_MAX 257 /* 155 + '/' + 100, and a NUL */

struct tar_header {
    char name[TAR_NAME_MAX];
    uint64_t size;
    char type; /* '0' for the old NUL, too */
};

/* Bytes that follow `size` bytes of contents up to the next header. */
static inline size_t tar_padding(uint64_t size)
{
    return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

/* ERR_PROTOCOL: what is wrong with it, without a place. */
enum err_code tar_header_read(const uint8_t block[TAR_BLOCK],
                              struct tar_header *out, struct err *err);

/* Size (when *size_set) and path (when *name is not empty) of a pax header's
 * records; others are passed over. ERR_PROTOCOL. */
enum err_code tar_pax_read(const uint8_t *text, size_t len,
                           char name[TAR_NAME_MAX], uint64_t *size,
                           bool *size_set, struct err *err);

/* A regular file's header as XAPI writes it: V7, mode 0400. The name has at
 * most 100 bytes, the size under 8 GiB. */
void tar_header_make(const char *name, uint64_t size, uint64_t mtime,
                     uint8_t block[TAR_BLOCK]);

#endif
