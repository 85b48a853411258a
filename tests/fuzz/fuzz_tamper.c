/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects sealed under real keys, and then changed: what was changed does not
 * open, what was not does. The input's first byte says which object; then come
 * edits of seven bytes: what is done, where (u24), with what (u24).
 *
 * A pack may be changed in its padding alone, which its digest notices and no
 * reader looks at.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/seal_blob.h"
#include "crypto/seal_digest.h"
#include "crypto/seal_pieces.h"
#include "crypto/seal_wrap.h"
#include "vault/pack_opener.h"
#include "vault/pack_table.h"
#include "vault/sealed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACK "packs/00/00000000000000000000000000000000"
#define POINT \
    "points/00000000000000000000000000000000/20260101T000000Z-00000000"
#define SLOTS 3
#define RAW 1000

enum kind { KIND_PACK, KIND_STREAM, KIND_LONG, KIND_WRAP, KIND_BLOB, KINDS };

static struct seal_suite *suite;
static struct keyring *keys;
static struct pack_opener *opener;
static struct seal_pair pair;
static struct buf object[KINDS];
static uint64_t slots_end, toc_at;
static uint8_t plain[70000];

static void need(bool good)
{
    if (!good)
        abort();
}

/* --- the objects --------------------------------------------------------- */

static void seal(enum seal_stream_kind kind, const char *name, size_t len,
                 const uint8_t *text, struct buf *out)
{
    static const uint8_t salt[16] = {6};
    const struct keyring_key *mk = keyring_current(keys, SEAL_KEY_META);
    struct seal_stream_opts opts = {.suite = suite,
                                    .kind = kind,
                                    .vault_id = *keyring_vault_id(keys),
                                    .key_id = mk->id,
                                    .key = &mk->key,
                                    .name = name};
    struct seal_stream_writer *w = NULL;
    struct err err;

    need(seal_stream_writer_new(&opts, salt, &w, &err) == ERR_OK);
    need(seal_stream_writer_add(w, text, len, out, &err) == ERR_OK);
    need(seal_stream_writer_end(w, out, &err) == ERR_OK);
    seal_stream_writer_free(w);
}

static void add_slots(struct buf *out, const struct seal_key *k_pack,
                      uint8_t *entries)
{
    struct seal_slot_work *work = seal_slot_work_new(suite);

    need(work != NULL);
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct pack_slot slot = {.stored = RAW + SEAL_SLOT_TAG, .raw = RAW};
        struct seal_slot_place place = {.slot = i, .raw_len = RAW};
        uint8_t *at = buf_extend(out, slot.stored);

        need(at && seal_slot_chunk_id(work, keyring_k_id(keys), SEAL_SLOT_DATA,
                                      plain + i * RAW, RAW, &slot.id));
        place.chunk_id = slot.id;
        need(seal_slot_seal(work, k_pack, &place, plain + i * RAW, RAW, at));
        pack_layout_put_entry(entries + i * PACK_LAYOUT_ENTRY, &slot);
    }
    seal_slot_work_free(work);
}

static void make_pack(struct buf *out)
{
    const struct keyring_key *dk = keyring_current(keys, SEAL_KEY_DATA);
    struct seal_slot_header header = {
        .kind = SEAL_SLOT_DATA, .key_id = dk->id, .salt = {7}};
    struct seal_pieces *pieces = seal_pieces_new(suite);
    uint8_t entries[SLOTS * PACK_LAYOUT_ENTRY];
    uint8_t raw[SEAL_SLOT_HEADER], end[PACK_LAYOUT_TAIL];
    struct pack_tail tail = {.slots = SLOTS};
    uint64_t toc_bytes =
        seal_stream_bytes(PACK_LAYOUT_TOC_HEAD + sizeof(entries));
    struct seal_key k_pack;
    struct buf toc;
    struct err err;

    need(pieces &&
         seal_slot_header_write(suite, &dk->key, keyring_vault_id(keys),
                                &header, raw, &k_pack, &err) == ERR_OK);
    buf_add(out, raw, sizeof(raw));
    add_slots(out, &k_pack, entries);
    slots_end = out->len;
    buf_add_zeros(out, pack_layout_pad(out->len, toc_bytes));
    toc_at = out->len;
    seal_pieces_add(pieces, out->data, out->len);
    need(seal_pieces_end(pieces, tail.digest));
    buf_init(&toc, 10000);
    need(pack_layout_put_toc(&toc, tail.digest, entries, SLOTS));
    tail.toc_offset = out->len;
    seal(SEAL_STREAM_TOC, PACK, toc.len, toc.data, out);
    tail.toc_bytes = (uint32_t)(out->len - tail.toc_offset);
    pack_layout_put_tail(end, &tail);
    need(buf_add(out, end, sizeof(end)));
    buf_fini(&toc);
    seal_pieces_free(pieces);
}

static void make_wrap(struct buf *out)
{
    static const struct seal_key ephemeral = {{8}};
    static const uint8_t salt[16] = {9};
    const struct keyring_key *dk = keyring_current(keys, SEAL_KEY_DATA);
    struct seal_wrap_opts opts = {.suite = suite,
                                  .vault_id = *keyring_vault_id(keys),
                                  .what = SEAL_WRAP_DK,
                                  .key_id = dk->id,
                                  .secret = &dk->secret,
                                  .recipient = pair.public,
                                  .salt = salt,
                                  .ephemeral = &ephemeral};
    uint8_t wrap[SEAL_WRAP_BYTES];
    struct err err;

    need(seal_wrap_make(&opts, wrap, &err) == ERR_OK);
    need(buf_add(out, wrap, sizeof(wrap)));
}

static struct seal_blob_opts blob_opts(void)
{
    static const uint8_t salt[16] = {10};

    return (struct seal_blob_opts){suite, keyring_rs(keys), "here", salt};
}

static void set_up(void)
{
    static const struct seal_key rs = {{1}}, mk = {{2}}, dk = {{3}}, me = {{4}};
    struct seal_blob_opts blob;
    struct err err;

    need(seal_suite_new(&suite, &err) == ERR_OK &&
         keyring_new(suite, &rs, &keys, &err) == ERR_OK &&
         keyring_add(keys, SEAL_KEY_META, &mk, true, &err) == ERR_OK &&
         keyring_add(keys, SEAL_KEY_DATA, &dk, true, &err) == ERR_OK &&
         seal_pair_from(&me, &pair, &err) == ERR_OK);
    opener = pack_opener_new(suite);
    need(opener != NULL);
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * i >> 7);
    for (int i = 0; i < KINDS; i++)
        buf_init(&object[i], 1 << 20);
    make_pack(&object[KIND_PACK]);
    seal(SEAL_STREAM_POINT, POINT, 100, plain, &object[KIND_STREAM]);
    seal(SEAL_STREAM_POINT, POINT, sizeof(plain), plain, &object[KIND_LONG]);
    make_wrap(&object[KIND_WRAP]);
    blob = blob_opts();
    need(seal_blob_seal(&blob, plain, 100, &object[KIND_BLOB], &err) == ERR_OK);
}

/* --- opening: true when all of it came out, and what came out was right ----
 */

static bool open_pack(struct slice o)
{
    struct pack_table t = {0};
    static uint8_t out[PACK_LAYOUT_RAW_MAX];
    struct seal_key k_pack;
    unsigned good = 0;
    struct err err;

    if (pack_table_open(&t, keys, PACK, o, &err) == ERR_OK &&
        pack_table_key(&t, keys, &k_pack, &err) == ERR_OK)
        for (uint32_t i = 0; i < t.slots; i++) {
            struct pack_opener_slot s = {.k_pack = &k_pack,
                                         .kind = t.kind,
                                         .number = i,
                                         .slot = &t.slot[i],
                                         .sealed = o.data + t.offset[i],
                                         .out = out};

            if (pack_opener_open(opener, keys, &s, &err) != ERR_OK)
                continue;
            need(t.slot[i].raw == RAW &&
                 memcmp(out, plain + i * RAW, RAW) == 0);
            good++;
        }
    pack_table_fini(&t);
    return good == SLOTS;
}

static bool open_stream(struct slice o, size_t len)
{
    struct buf out;
    struct err err;
    bool good;

    buf_init(&out, 1 << 20);
    good = sealed_open(keys, SEAL_STREAM_POINT, POINT, o.data, o.len, &out,
                       &err) == ERR_OK;
    need(good ? out.len == len && memcmp(out.data, plain, len) == 0
              : out.len == 0);
    buf_fini(&out);
    return good;
}

static bool open_wrap(struct slice o)
{
    const struct keyring_key *dk = keyring_current(keys, SEAL_KEY_DATA);
    struct seal_wrap_open_opts opts = {.suite = suite,
                                       .vault_id = *keyring_vault_id(keys),
                                       .key_id = dk->id,
                                       .pair = &pair,
                                       .rs = keyring_rs(keys)};
    struct seal_key out;
    struct err err;

    if (seal_wrap_open(&opts, o.data, o.len, &out, NULL, &err) != ERR_OK)
        return false;
    need(memcmp(out.b, dk->secret.b, sizeof(out.b)) == 0);
    return true;
}

static bool open_blob(struct slice o)
{
    struct seal_blob_opts opts = blob_opts();
    struct buf out;
    struct err err;
    bool good;

    buf_init(&out, 1 << 20);
    good = seal_blob_open(&opts, o.data, o.len, &out, &err) == ERR_OK;
    need(good ? out.len == 100 && memcmp(out.data, plain, 100) == 0
              : out.len == 0);
    buf_fini(&out);
    return good;
}

/* --- changes ------------------------------------------------------------- */

/* The checksums that need no key, made right again by whoever changed it. */
static void put_right(uint8_t *at, size_t len)
{
    if (len < SEAL_SLOT_HEADER + PACK_LAYOUT_TAIL)
        return;
    bytes_put_u32(at + 92, seal_digest_crc32c(0, at, 92));
    at += len - PACK_LAYOUT_TAIL;
    bytes_put_u32(at + 56, seal_digest_crc32c(0, at, 56));
}

static size_t edit(uint8_t *at, size_t len, size_t room, const uint8_t *e)
{
    size_t where =
        len ? (e[1] | (size_t)e[2] << 8 | (size_t)e[3] << 16) % len : 0;
    size_t from =
        len ? (e[4] | (size_t)e[5] << 8 | (size_t)e[6] << 16) % len : 0;
    size_t n = where < from ? from - where : where - from;

    switch (e[0] % 6) {
    case 0:
        if (len)
            at[where] ^= e[4];
        return len;
    case 1:
        return where;
    case 2:
        if (len == room)
            return len;
        at[len] = e[4];
        return len + 1;
    case 3: /* a piece in another one's place */
        if (n > len - (where > from ? where : from))
            n = len - (where > from ? where : from);
        memmove(at + where, at + from, n);
        return len;
    case 4: /* from the end, where tocs and tails are */
        if (len)
            at[len - 1 - where % (len < 400 ? len : 400)] ^= e[4];
        return len;
    default:
        put_right(at, len);
        return len;
    }
}

/* Whether it says the same, for a reader. */
static bool is_same(enum kind kind, struct slice o)
{
    const struct buf *was = &object[kind];

    if (o.len != was->len)
        return false;
    if (kind != KIND_PACK)
        return memcmp(o.data, was->data, o.len) == 0;
    return memcmp(o.data, was->data, slots_end) == 0 &&
           memcmp(o.data + toc_at, was->data + toc_at, o.len - toc_at) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum kind kind;
    struct slice o;
    uint8_t *copy;
    size_t len, room;
    bool opens;

    if (!size)
        return 0;
    if (!suite)
        set_up();
    kind = data[0] % KINDS;
    len = object[kind].len;
    room = len + size;
    copy = malloc(room);
    need(copy != NULL);
    memcpy(copy, object[kind].data, len);
    for (size_t at = 1; at + 7 <= size; at += 7)
        len = edit(copy, len, room, data + at);
    /* In memory of its exact size, so that reading past the end is seen. */
    o.data = realloc(copy, len ? len : 1);
    o.len = len;
    need(o.data != NULL);
    if (kind == KIND_PACK)
        opens = open_pack(o);
    else if (kind == KIND_WRAP)
        opens = open_wrap(o);
    else if (kind == KIND_BLOB)
        opens = open_blob(o);
    else
        opens = open_stream(o, kind == KIND_LONG ? sizeof(plain) : 100);
    need(opens == is_same(kind, o));
    free((void *)o.data);
    return 0;
}
