/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_xva.h - the bytes of an XVA: tar headers as XAPI writes them,
 * any tar headers as it reads them, checksums of blocks.
 */
#ifndef CAIRN_SIM_XVA_H
#define CAIRN_SIM_XVA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_XVA_BLOCK 512u
#define SIM_XVA_CHUNK (1u << 20)

/* An old header, V7: no magic. */
void sim_xva_header(uint8_t out[SIM_XVA_BLOCK], const char *name, uint64_t size,
                    uint64_t mtime);

struct sim_xva_entry {
    char name[260];
    uint64_t size;
    char type; /* '\0' or '0': a file */
};

/* V7, ustar and GNU headers. False: the checksum or a number is wrong. A block
 * of zeros gives an empty name. */
bool sim_xva_parse(const uint8_t block[SIM_XVA_BLOCK],
                   struct sim_xva_entry *out);

/* 16 big or 40 small hex digits, and a NUL. */
void sim_xva_xxhash(const void *data, size_t len, char out[17]);
void sim_xva_sha1(const void *data, size_t len, char out[41]);

static inline uint64_t sim_xva_padded(uint64_t size)
{
    return (size + SIM_XVA_BLOCK - 1) / SIM_XVA_BLOCK * SIM_XVA_BLOCK;
}

#endif
