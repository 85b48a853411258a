/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_fill.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"

#define PIECE (1u << 20)

void sim_fill_mark(uint8_t out[SIM_FILL_BLOCK], const struct id16 *vm,
                   uint32_t device, uint64_t block, uint64_t generation)
{
    memcpy(out, "CAIRNBLK", 8);
    memcpy(out + 8, vm->b, 16);
    bytes_put_u32(out + 24, device);
    bytes_put_u32(out + 28, 0);
    bytes_put_u64(out + 32, block);
    bytes_put_u64(out + 40, generation);
    memcpy(out + 48, "cairn test block", 16);
    for (size_t n = 64; n < SIM_FILL_BLOCK; n *= 2)
        memcpy(out + n, out, n);
}

void sim_fill_random(uint8_t *out, size_t len, uint64_t seed)
{
    uint64_t x = seed, z;

    for (size_t i = 0; i < len; i += 8) { /* splitmix64 */
        uint8_t word[8];

        z = (x += 0x9e3779b97f4a7c15u);
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        bytes_put_u64(word, z ^ z >> 31);
        memcpy(out + i, word, len - i < 8 ? len - i : 8);
    }
}

enum err_code sim_fill_blocks(struct sim_disk *d, const struct sim_fill *how,
                              uint64_t first, uint64_t count,
                              uint64_t generation, struct err *err)
{
    uint8_t *buf = sim_mem_new(PIECE);
    uint64_t size = sim_disk_size(d);
    enum err_code rc = ERR_OK;

    while (count > 0 && rc == ERR_OK) {
        uint64_t n =
            count < PIECE / SIM_FILL_BLOCK ? count : PIECE / SIM_FILL_BLOCK;
        uint64_t at = first * SIM_FILL_BLOCK, len = n * SIM_FILL_BLOCK;

        if (at >= size)
            break;
        for (uint64_t i = 0; i < n; i++)
            sim_fill_mark(buf + i * SIM_FILL_BLOCK, &how->vm, how->device,
                          first + i, generation);
        rc = sim_disk_write(d, buf, at, len < size - at ? len : size - at, err);
        first += n;
        count -= n;
    }
    free(buf);
    return rc;
}

enum err_code sim_fill_range(struct sim_disk *d, uint64_t offset, uint64_t len,
                             uint64_t seed, struct err *err)
{
    uint8_t *buf = sim_mem_new(PIECE);
    enum err_code rc = ERR_OK;

    while (len > 0 && rc == ERR_OK) {
        size_t n = len < PIECE ? (size_t)len : PIECE;

        sim_fill_random(buf, n, seed ^ offset * 0x2545f4914f6cdd1du);
        rc = sim_disk_write(d, buf, offset, n, err);
        offset += n;
        len -= n;
    }
    free(buf);
    return rc;
}

enum err_code sim_fill_disk(struct sim_disk *d, const struct sim_fill *how,
                            struct err *err)
{
    uint64_t size = sim_disk_size(d), pieces = (size + PIECE - 1) / PIECE;
    uint64_t want = (how->used + PIECE - 1) / PIECE, done = 0;
    uint64_t seed = bytes_get_u64(how->vm.b) ^ how->device;
    enum err_code rc = ERR_OK;

    for (uint64_t i = 0; i < pieces && rc == ERR_OK; i++) {
        uint64_t at = i * PIECE;

        /* as many pieces so far as an even spread asks for */
        if (done * pieces >= want * (i + 1))
            continue;
        done++;
        if (how->random)
            rc = sim_fill_range(d, at, size - at < PIECE ? size - at : PIECE,
                                seed, err);
        else
            rc = sim_fill_blocks(d, how, at / SIM_FILL_BLOCK,
                                 PIECE / SIM_FILL_BLOCK, 1, err);
    }
    return rc;
}
