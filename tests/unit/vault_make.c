/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_make.h"

#include <zstd.h>

#include "crypto/seal_digest.h"
#include "crypto/seal_pieces.h"
#include "crypto/seal_slot.h"
#include "vault/pack_table.h"
#include "vault/sealed.h"

void vault_make_init(struct vault_make *m, struct vault_rig *rig,
                     const struct keyring *keys, uint32_t chunk_bytes)
{
    memset(m, 0, sizeof(*m));
    m->rig = rig;
    m->keys = keys;
    m->chunk_bytes = chunk_bytes;
    m->key[0] = keyring_current(keys, SEAL_KEY_META)->id;
    m->key[1] = keyring_current(keys, SEAL_KEY_DATA)->id;
    for (size_t i = 0; i < VAULT_MAKE_DISKS; i++)
        buf_init(&m->map[i], 64 * MIB);
}

void vault_make_fini(struct vault_make *m)
{
    for (size_t i = 0; i < m->packs; i++)
        free(m->pack[i].chunk);
    for (size_t i = 0; i < VAULT_MAKE_DISKS; i++)
        buf_fini(&m->map[i]);
}

void vault_make_chunk(uint32_t n, uint8_t *out, size_t len)
{
    uint64_t x = 0x9e3779b97f4a7c15u * (n + 1);
    uint8_t eight[8];

    for (size_t i = 0; i < len; i += sizeof(eight)) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        /* eight letters of sixteen, or eight random bytes */
        bytes_put_u64(
            eight, n % 3 ? x : (x & 0x0f0f0f0f0f0f0f0f) + 0x4141414141414141);
        memcpy(out + i, eight,
               len - i < sizeof(eight) ? len - i : sizeof(eight));
    }
}

/* --- packs ---------------------------------------------------------------- */

/* Everything behind the slots, and into the bucket with it. */
static void seal_pack(struct vault_make *m, const char *name,
                      struct buf *object, const struct pack_slot *slot,
                      uint32_t count)
{
    struct seal_pieces *pieces = seal_pieces_new(m->rig->suite);
    uint8_t *entries = malloc((size_t)count * PACK_LAYOUT_ENTRY + 1);
    uint8_t tail_raw[PACK_LAYOUT_TAIL];
    struct pack_tail tail = {.slots = count};
    struct buf toc;
    struct err err;

    assert_non_null(pieces);
    assert_non_null(entries);
    buf_init(&toc, 8 * MIB);
    for (uint32_t i = 0; i < count; i++)
        pack_layout_put_entry(entries + i * PACK_LAYOUT_ENTRY, &slot[i]);
    buf_add_zeros(object,
                  pack_layout_pad(
                      object->len,
                      seal_stream_bytes(PACK_LAYOUT_TOC_HEAD +
                                        (uint64_t)count * PACK_LAYOUT_ENTRY)));
    seal_pieces_add(pieces, object->data, object->len);
    assert_true(seal_pieces_end(pieces, tail.digest));
    assert_true(pack_layout_put_toc(&toc, tail.digest, entries, count));
    tail.toc_offset = object->len;
    if (sealed_make(m->keys, SEAL_STREAM_TOC, name,
                    (struct slice){toc.data, toc.len}, object, &err) != ERR_OK)
        fail_msg("%s", err.text);
    tail.toc_bytes = (uint32_t)(object->len - tail.toc_offset);
    pack_layout_put_tail(tail_raw, &tail);
    assert_true(buf_add(object, tail_raw, sizeof(tail_raw)));
    assert_int_equal(object->len % PACK_LAYOUT_BLOCK, 0);
    store_fault_drop(m->rig->bucket, name);
    assert_true(store_fault_poke(m->rig->bucket, name, object->data,
                                 object->len, 1000));
    buf_fini(&toc);
    free(entries);
    seal_pieces_free(pieces);
}

/* One slot: compressed where that wins. */
static void add_slot(struct vault_make *m, struct seal_slot_work *work,
                     const struct seal_key *k_pack, enum seal_slot_kind kind,
                     uint32_t number, struct slice chunk, struct buf *object,
                     struct pack_slot *slot)
{
    size_t bound = ZSTD_compressBound(chunk.len);
    uint8_t *packed = malloc(bound), *at;
    struct seal_slot_place place = {.slot = number,
                                    .raw_len = (uint32_t)chunk.len};
    size_t n = ZSTD_compress(packed, bound, chunk.data, chunk.len, 1);

    assert_true(seal_slot_chunk_id(work, keyring_k_id(m->keys), kind,
                                   chunk.data, chunk.len, &place.chunk_id));
    if (!ZSTD_isError(n) && n < chunk.len - chunk.len / 32) {
        place.codec = PACK_LAYOUT_ZSTD;
        chunk = (struct slice){packed, n};
    }
    at = buf_extend(object, chunk.len + SEAL_SLOT_TAG);
    assert_non_null(at);
    assert_true(
        seal_slot_seal(work, k_pack, &place, chunk.data, chunk.len, at));
    *slot = (struct pack_slot){
        .id = place.chunk_id,
        .stored = (uint32_t)chunk.len + SEAL_SLOT_TAG,
        .raw = place.raw_len,
        .codec = place.codec,
    };
    free(packed);
}

uint32_t vault_make_raw(struct vault_make *m, enum seal_slot_kind kind,
                        const struct slice *chunks, uint32_t count)
{
    struct vault_make_pack *p = &m->pack[m->packs];
    struct seal_slot_work *work = seal_slot_work_new(m->rig->suite);
    struct pack_slot *slot = calloc(count + 1, sizeof(*slot));
    const struct keyring_key *key = keyring_current(
        m->keys, kind == SEAL_SLOT_MAP ? SEAL_KEY_META : SEAL_KEY_DATA);
    struct seal_slot_header header;
    struct seal_key k_pack;
    struct buf object;
    struct err err;

    assert_true(m->packs < VAULT_MAKE_PACKS);
    buf_init(&object, PACK_LAYOUT_BYTES_MAX);
    assert_int_equal(seal_slot_header_new(kind, &key->id, &header, &err),
                     ERR_OK);
    assert_int_equal(seal_slot_header_write(
                         m->rig->suite, &key->key, keyring_vault_id(m->keys),
                         &header, buf_extend(&object, SEAL_SLOT_HEADER),
                         &k_pack, &err),
                     ERR_OK);
    p->id = header.pack_id;
    p->slots = count;
    p->chunk = calloc(count + 1, sizeof(*p->chunk));
    for (uint32_t i = 0; i < count; i++) {
        add_slot(m, work, &k_pack, kind, i, chunks[i], &object, &slot[i]);
        p->chunk[i] = slot[i].id;
    }
    name_pack(kind == SEAL_SLOT_MAP ? NAME_MAP : NAME_PACK, &p->id, p->name);
    seal_pack(m, p->name, &object, slot, count);
    m->table[m->packs] = (struct point_pack){
        .id = p->id, .key = kind == SEAL_SLOT_MAP ? 0 : 1, .kind = kind};
    buf_fini(&object);
    free(slot);
    seal_slot_work_free(work);
    return (uint32_t)m->packs++;
}

uint32_t vault_make_data(struct vault_make *m, uint32_t first, uint32_t count,
                         uint32_t last_bytes)
{
    struct slice *chunks = calloc(count, sizeof(*chunks));
    uint32_t number;

    assert_non_null(chunks);
    for (uint32_t i = 0; i < count; i++) {
        size_t len = i + 1 == count && last_bytes ? last_bytes : m->chunk_bytes;
        uint8_t *data = malloc(len);

        assert_non_null(data);
        vault_make_chunk(first + i, data, len);
        chunks[i] = (struct slice){data, len};
    }
    number = vault_make_raw(m, SEAL_SLOT_DATA, chunks, count);
    m->pack[number].first = first;
    for (uint32_t i = 0; i < count; i++)
        free((void *)(uintptr_t)chunks[i].data);
    free(chunks);
    return number;
}

static void open_table(const struct vault_make *m, const char *name,
                       struct slice *object, struct pack_table *t)
{
    struct err err;

    object->data = store_fault_peek(m->rig->bucket, name, &object->len);
    assert_non_null(object->data);
    if (pack_table_open(t, m->keys, name, *object, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

void vault_make_again(struct vault_make *m, uint32_t pack, uint16_t gen,
                      const uint32_t *drop, size_t drops, char name[NAME_TEXT])
{
    struct slice from;
    struct pack_table t;
    struct buf object;
    struct name n;

    open_table(m, m->pack[pack].name, &from, &t);
    assert_true(name_parse(m->pack[pack].name, &n));
    n.gen = gen;
    n.rand = 0xabcd0000u + gen;
    name_text(&n, name);
    buf_init(&object, PACK_LAYOUT_BYTES_MAX);
    buf_add(&object, from.data, SEAL_SLOT_HEADER);
    for (uint32_t i = 0; i < t.slots; i++) {
        bool gone = false;

        for (size_t d = 0; d < drops; d++)
            gone |= drop[d] == i;
        if (gone)
            t.slot[i].stored = 0;
        else
            buf_add(&object, from.data + t.offset[i], t.slot[i].stored);
    }
    seal_pack(m, name, &object, t.slot, t.slots);
    buf_fini(&object);
    pack_table_fini(&t);
}

uint64_t vault_make_offset(const struct vault_make *m, const char *name,
                           uint32_t slot)
{
    struct slice object;
    struct pack_table t;
    uint64_t offset;

    open_table(m, name, &object, &t);
    offset = t.offset[slot];
    pack_table_fini(&t);
    return offset;
}

/* --- disks ---------------------------------------------------------------- */

static void add_sum(struct vault_make *m, struct point_disk *d,
                    const struct map_run *runs, size_t count)
{
    struct seal_digest *digest =
        seal_digest_new(m->rig->suite, SEAL_DIGEST_SHA256);
    struct map_sum sum = {{0}};
    uint64_t chunk = 0;

    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < runs[i].count; j++, chunk++)
            if (runs[i].pack != MAP_ZERO)
                assert_true(map_sum_add(
                    &sum, digest, chunk,
                    &m->pack[runs[i].pack].chunk[runs[i].first + j]));
    map_sum_put(&sum, d->sum);
    seal_digest_free(digest);
}

static struct id16 pack_id(void *ctx, uint32_t pack)
{
    return ((struct vault_make *)ctx)->pack[pack].id;
}

/* The runs of one page, cut out of those of the disk. */
static size_t cut(const struct map_run *runs, size_t count, uint64_t from,
                  uint64_t to, struct map_run *out)
{
    uint64_t at = 0;
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t end = at + runs[i].count;
        uint64_t low = at > from ? at : from, high = end < to ? end : to;

        if (low < high) {
            out[n] = runs[i];
            out[n].count = (uint32_t)(high - low);
            if (out[n].pack != MAP_ZERO)
                out[n].first += (uint32_t)(low - at);
            n++;
        }
        at = end;
    }
    return n;
}

static bool all_zero(const struct map_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (runs[i].pack != MAP_ZERO)
            return false;
    return true;
}

/* All pages into one map pack, and the runs of pages that name them. */
static void make_pages(struct vault_make *m, struct buf *map, uint64_t chunks,
                       const struct map_run *runs, size_t count)
{
    uint64_t pages = map_pages(chunks);
    struct slice *page = calloc(pages + 1, sizeof(*page));
    struct map_run *part = calloc(count + 1, sizeof(*part));
    struct buf *bytes = calloc(pages + 1, sizeof(*bytes));
    uint32_t stored = 0, pack = (uint32_t)m->packs;
    struct map_writer w;
    struct err err;

    map_writer_init(&w, map);
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t to = (i + 1) * MAP_PAGE_CHUNKS;
        size_t n = cut(runs, count, i * MAP_PAGE_CHUNKS,
                       to < chunks ? to : chunks, part);

        if (all_zero(part, n)) {
            map_writer_add(&w, (struct map_run){1, MAP_ZERO, 0});
            continue;
        }
        buf_init(&bytes[stored], MAP_PAGE_BYTES);
        if (map_page_add(&bytes[stored], part, n, pack_id, m, &err) != ERR_OK)
            fail_msg("%s", err.text);
        page[stored] = (struct slice){bytes[stored].data, bytes[stored].len};
        map_writer_add(&w, (struct map_run){1, pack, stored++});
    }
    assert_true(map_writer_end(&w));
    if (stored)
        assert_int_equal(vault_make_raw(m, SEAL_SLOT_MAP, page, stored), pack);
    for (uint32_t i = 0; i < stored; i++)
        buf_fini(&bytes[i]);
    free(bytes);
    free(part);
    free(page);
}

size_t vault_make_disk(struct vault_make *m, uint64_t bytes,
                       const struct map_run *runs, size_t count, bool paged)
{
    size_t i = 0;
    struct point_disk *d;
    struct map_writer w;

    while (m->disk[i].log2_chunk)
        i++;
    assert_true(i < VAULT_MAKE_DISKS);
    d = &m->disk[i];
    d->position = (uint32_t)i;
    d->bytes = bytes;
    d->log2_chunk = (unsigned)__builtin_ctz(m->chunk_bytes);
    d->paged = paged;
    add_sum(m, d, runs, count);
    if (paged) {
        make_pages(m, &m->map[i], map_chunks(bytes, d->log2_chunk), runs,
                   count);
    } else {
        map_writer_init(&w, &m->map[i]);
        for (size_t r = 0; r < count; r++)
            map_writer_add(&w, runs[r]);
        assert_true(map_writer_end(&w));
    }
    d->map = (struct slice){m->map[i].data, m->map[i].len};
    return i;
}

struct point vault_make_point(struct vault_make *m)
{
    static const char series[] = "0f0e0d0c-0b0a-4908-8706-050403020100";
    struct point p = {
        .series = {(const uint8_t *)series, strlen(series)},
        .start_ms = 1767225600000,
        .end_ms = 1767225601000,
        .key = m->key,
        .keys = 2,
        .pack = m->table,
        .packs = m->packs,
        .disk = m->disk,
    };

    while (p.disks < VAULT_MAKE_DISKS && m->disk[p.disks].log2_chunk)
        p.disks++;
    return p;
}

void vault_make_put(struct vault_make *m)
{
    struct point p = vault_make_point(m);
    struct buf out;
    struct err err;

    buf_init(&out, 64 * MIB);
    if (point_seal(m->keys, VAULT_MAKE_NAME, &p, (struct slice){NULL, 0}, &out,
                   &err) != ERR_OK)
        fail_msg("%s", err.text);
    store_fault_drop(m->rig->bucket, VAULT_MAKE_NAME);
    assert_true(store_fault_poke(m->rig->bucket, VAULT_MAKE_NAME, out.data,
                                 out.len, 1000));
    buf_fini(&out);
}

void vault_make_sha256(struct vault_make *m, uint64_t bytes,
                       const struct map_run *runs, size_t count,
                       uint8_t out[32])
{
    struct seal_digest *digest =
        seal_digest_new(m->rig->suite, SEAL_DIGEST_SHA256);
    uint8_t *chunk = malloc(m->chunk_bytes);
    uint64_t at = 0;

    assert_non_null(chunk);
    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < runs[i].count; j++) {
            size_t len = bytes - at < m->chunk_bytes ? (size_t)(bytes - at)
                                                     : m->chunk_bytes;

            if (runs[i].pack == MAP_ZERO)
                memset(chunk, 0, len);
            else
                vault_make_chunk(m->pack[runs[i].pack].first + runs[i].first +
                                     j,
                                 chunk, len);
            seal_digest_add(digest, chunk, len);
            at += len;
        }
    assert_int_equal(at, bytes);
    assert_true(seal_digest_end(digest, out));
    seal_digest_free(digest);
    free(chunk);
}
