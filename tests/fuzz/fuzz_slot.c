/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What whoever holds the keys may put into a slot: any body, declared to be any
 * codec and length. Only what is one zstd frame of exactly that length, with no
 * dictionary, or the chunk itself, opens; nothing is written beyond it.
 *
 * Three bytes of length, one of codec and flags, then the body.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "crypto/seal_slot.h"
#include "vault/pack_opener.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GUARD 64

static struct seal_suite *suite;
static struct keyring *keys;
static struct pack_opener *opener;
static struct seal_slot_work *work;
static const struct seal_key k_pack = {{5}};

static void need(bool good)
{
    if (!good)
        abort();
}

static void set_up(void)
{
    static const struct seal_key rs = {{1}};
    struct err err;

    need(seal_suite_new(&suite, &err) == ERR_OK &&
         keyring_new(suite, &rs, &keys, &err) == ERR_OK);
    opener = pack_opener_new(suite);
    work = seal_slot_work_new(suite);
    need(opener && work);
}

/* The chunk that the body stands for, decompressed in small steps by the
 * library's other interface; NULL: it stands for none of this length. */
static uint8_t *chunk_of(const uint8_t *body, size_t len, bool packed,
                         uint32_t raw)
{
    uint8_t *out = malloc(raw + 1);
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {body, len, 0};
    ZSTD_outBuffer to = {out, raw + 1, 0};
    size_t left = 1;

    need(out && z);
    if (!packed) {
        need(len == raw);
        memcpy(out, body, len);
        left = 0;
        to.pos = raw;
    }
    while (packed && left && !ZSTD_isError(left) && to.pos <= raw) {
        size_t before = in.pos + to.pos;

        left = ZSTD_decompressStream(z, &to, &in);
        if (in.pos + to.pos == before)
            break;
    }
    ZSTD_freeDStream(z);
    if (!left && to.pos == raw && (!packed || in.pos == len))
        return out;
    free(out);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t sealed[PACK_LAYOUT_RAW_MAX + 16];
    static uint8_t out[PACK_LAYOUT_RAW_MAX + GUARD];
    struct pack_slot slot = {0};
    struct seal_slot_place place = {.slot = 3};
    struct pack_opener_slot what = {.k_pack = &k_pack,
                                    .kind = SEAL_SLOT_DATA,
                                    .number = 3,
                                    .slot = &slot,
                                    .sealed = sealed,
                                    .out = out};
    uint8_t *chunk;
    struct err err = {0};
    enum err_code rc;
    size_t len;
    bool packed;

    if (!suite)
        set_up();
    if (size < 5)
        return 0;
    packed = data[3] % 2;
    len = size - 4;
    /* As pack_layout_get_toc() lets it through. */
    slot.raw =
        packed
            ? 1 + (data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16) %
                      PACK_LAYOUT_RAW_MAX
            : (uint32_t)len;
    if (len > PACK_LAYOUT_RAW_MAX || (packed && len >= slot.raw))
        return 0;
    slot.codec = packed ? PACK_LAYOUT_ZSTD : PACK_LAYOUT_RAW;
    slot.stored = (uint32_t)len + SEAL_SLOT_TAG;
    chunk = chunk_of(data + 4, len, packed, slot.raw);
    if (chunk)
        need(seal_slot_chunk_id(work, keyring_k_id(keys), SEAL_SLOT_DATA, chunk,
                                slot.raw, &slot.id));
    place.chunk_id = slot.id;
    place.codec = slot.codec;
    place.raw_len = slot.raw;
    need(seal_slot_seal(work, &k_pack, &place, data + 4, len, sealed));
    memset(out + slot.raw, 0xa5, GUARD);
    rc = pack_opener_open(opener, keys, &what, &err);
    for (size_t i = 0; i < GUARD; i++)
        need(out[slot.raw + i] == 0xa5);
    need(rc == ERR_OK || rc == ERR_INTEGRITY);
    if (rc == ERR_OK)
        need(chunk && memcmp(out, chunk, slot.raw) == 0);
    else if (!packed)
        abort(); /* the chunk itself always opens */
    free(chunk);
    return 0;
}
