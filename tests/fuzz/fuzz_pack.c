/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tail and toc of a pack. The input is a toc's plaintext with 64 bytes of tail
 * behind it, whose checksum, lengths and magic are put right with every second
 * input, so that what lies behind them is reached.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/seal_digest.h"
#include "crypto/seal_stream.h"
#include "vault/pack_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
    if (!good)
        abort();
}

static void put_right(uint8_t *tail, const uint8_t *toc, size_t toc_len)
{
    uint32_t slots = toc_len >= 36 ? bytes_get_u32(toc + 32) : 0;

    bytes_put_u32(tail + 12, slots % 70000);
    bytes_put_u32(tail + 8, (uint32_t)seal_stream_bytes(
                                40 + (uint64_t)(slots % 70000) * 28));
    bytes_put_u64(tail, 3 * 65536 - 64 - bytes_get_u32(tail + 8));
    if (toc_len >= 32)
        memcpy(tail + 16, toc, 32);
    memcpy(tail + 48, "CAIRNPKE", 8);
    bytes_put_u32(tail + 56, seal_digest_crc32c(0, tail, 56));
    bytes_put_u32(tail + 60, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pack_slot *slots = NULL;
    struct pack_tail tail;
    struct err err = {0};
    uint8_t raw[PACK_LAYOUT_TAIL], again[PACK_LAYOUT_TAIL];
    uint64_t end = 96;
    size_t toc;

    if (size < sizeof(raw))
        return 0;
    toc = size - sizeof(raw);
    memcpy(raw, data + toc, sizeof(raw));
    if (data[size - 1] % 2 == 0)
        put_right(raw, data, toc);
    if (pack_layout_get_tail(raw, 3 * 65536, &tail, &err) != ERR_OK) {
        need(err.code == ERR_INTEGRITY);
        return 0;
    }
    pack_layout_put_tail(again, &tail);
    need(memcmp(raw, again, sizeof(raw)) == 0);
    if (pack_layout_get_toc((struct slice){data, toc}, &tail, &slots, &err) !=
        ERR_OK) {
        need(!slots && err.code == ERR_INTEGRITY);
        return 0;
    }
    for (uint32_t i = 0; i < tail.slots; i++) {
        uint8_t entry[PACK_LAYOUT_ENTRY];

        pack_layout_put_entry(entry, &slots[i]);
        need(memcmp(entry, data + 40 + 28 * (size_t)i, sizeof(entry)) == 0);
        end += slots[i].stored;
    }
    need(end <= tail.toc_offset);
    free(slots);
    return 0;
}
