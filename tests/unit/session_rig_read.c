/* SPDX-License-Identifier: Apache-2.0 */
/* What a backup left in the bucket, taken apart by the codecs alone. */
#include "session_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/seal_pieces.h"
#include "vault/map.h"
#include "vault/name.h"

struct slice rig_object(struct rig *r, const char *name)
{
    struct slice s;

    s.data = store_fault_peek(r->bucket, name, &s.len);
    if (!s.data)
        fail_msg("%s is not there", name);
    return s;
}

struct point *rig_point(struct rig *r, const char *name)
{
    struct slice object = rig_object(r, name);
    struct point *p = NULL;
    struct err err = {0};

    if (point_open(r->keys, name, object.data, object.len, &p, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return p;
}

size_t rig_count(struct rig *r, const char *prefix)
{
    size_t n = 0;

    for (size_t i = 0; i < store_fault_objects(r->bucket); i++)
        n += strncmp(store_fault_name(r->bucket, i), prefix, strlen(prefix)) ==
             0;
    return n;
}

const char *rig_name(struct rig *r, const char *prefix, size_t n)
{
    for (size_t i = 0; i < store_fault_objects(r->bucket); i++)
        if (strncmp(store_fault_name(r->bucket, i), prefix, strlen(prefix)) ==
                0 &&
            n-- == 0)
            return store_fault_name(r->bucket, i);
    return NULL;
}

struct reader {
    struct rig *rig;
    struct pack_opener *opener;
    struct seal_digest *sha;
    struct map_sum sum;
    struct id16 pack_id; /* at hand */
    struct pack_table table;
    struct slice object;
    struct seal_key key;
};

static void check_digest(struct reader *rd)
{
    struct seal_pieces *p = seal_pieces_new(rd->rig->suite);
    uint8_t digest[32];

    seal_pieces_begin(p);
    seal_pieces_add(p, rd->object.data, rd->table.tail.toc_offset);
    assert_true(seal_pieces_end(p, digest));
    assert_memory_equal(digest, rd->table.tail.digest, 32);
    seal_pieces_free(p);
}

static void at_hand(struct reader *rd, const struct point_pack *pack,
                    const struct point *point)
{
    char name[NAME_TEXT];
    struct err err = {0};

    if (rd->table.slot && id16_equal(&rd->pack_id, &pack->id))
        return;
    pack_table_fini(&rd->table);
    name_pack(pack->kind ? NAME_MAP : NAME_PACK, &pack->id, name);
    rd->object = rig_object(rd->rig, name);
    assert_int_equal(rd->object.len % 65536, 0);
    assert_true(rd->object.len <= rd->rig->settings.pack_bytes ||
                rd->rig->settings.pack_bytes < 2 * MIB);
    if (pack_table_open(&rd->table, rd->rig->keys, name, rd->object, &err) !=
            ERR_OK ||
        pack_table_key(&rd->table, rd->rig->keys, &rd->key, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_true(id16_equal(&rd->table.header.key_id, &point->key[pack->key]));
    rd->pack_id = pack->id;
    check_digest(rd);
}

static void read_slot(struct reader *rd, uint32_t slot, uint8_t *out,
                      uint32_t raw)
{
    struct pack_opener_slot o = {
        .k_pack = &rd->key, .kind = rd->table.kind, .number = slot, .out = out};
    struct err err = {0};

    assert_true(slot < rd->table.slots);
    o.slot = &rd->table.slot[slot];
    o.sealed = rd->object.data + rd->table.offset[slot];
    if (raw)
        assert_int_equal(o.slot->raw, raw);
    if (pack_opener_open(rd->opener, rd->rig->keys, &o, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void read_runs(struct reader *rd, const struct point *p,
                      const struct point_disk *d, struct map_reader *r,
                      const struct map_page *page, uint64_t chunk,
                      uint8_t *disk)
{
    struct err err = {0};
    struct map_run run;

    while (map_next(r, &run, &err)) {
        for (uint32_t i = 0; i < run.count; i++, chunk++) {
            uint8_t *to = disk + (chunk << d->log2_chunk);
            uint32_t raw = point_chunk_bytes(d, chunk);
            size_t number = run.pack;

            if (run.pack == MAP_ZERO)
                continue;
            if (page) {
                struct id16 id = map_page_pack(page, run.pack);

                for (number = 0; number < p->packs; number++)
                    if (id16_equal(&p->pack[number].id, &id))
                        break;
                assert_true(number < p->packs);
            }
            at_hand(rd, &p->pack[number], p);
            read_slot(rd, run.first + i, to, raw);
            map_sum_add(&rd->sum, rd->sha, chunk,
                        &rd->table.slot[run.first + i].id);
        }
    }
    if (err.code != ERR_OK)
        fail_msg("%s", err.text);
}

static void read_pages(struct reader *rd, const struct point *p,
                       const struct point_disk *d, uint8_t *disk)
{
    uint64_t chunks = map_chunks(d->bytes, d->log2_chunk), page = 0;
    static uint8_t raw[MAP_PAGE_BYTES];
    struct map_reader r, inner;
    struct map_run run;
    struct err err = {0};

    map_reader_init(&r, d->map, map_pages(chunks), p->packs);
    while (map_next(&r, &run, &err)) {
        for (uint32_t i = 0; i < run.count; i++, page++) {
            uint64_t first = page * MAP_PAGE_CHUNKS, n = chunks - first;
            struct map_page opened;

            n = n < MAP_PAGE_CHUNKS ? n : MAP_PAGE_CHUNKS;
            if (run.pack == MAP_ZERO)
                continue;
            at_hand(rd, &p->pack[run.pack], p);
            read_slot(rd, run.first + i, raw, 0);
            if (map_page_open(
                    (struct slice){raw, rd->table.slot[run.first + i].raw},
                    (uint32_t)n, &opened, &err) != ERR_OK)
                fail_msg("%s", err.text);
            map_reader_init(&inner, opened.runs, n, opened.packs);
            read_runs(rd, p, d, &inner, &opened, first, disk);
        }
    }
    if (err.code != ERR_OK)
        fail_msg("%s", err.text);
}

uint8_t *rig_read(struct rig *r, const char *point, size_t disk, size_t *len)
{
    struct point *p = rig_point(r, point);
    const struct point_disk *d = &p->disk[disk];
    struct reader rd = {.rig = r};
    struct map_reader runs;
    uint8_t *out, sum[32];

    assert_true(disk < p->disks);
    rd.opener = pack_opener_new(r->suite);
    rd.sha = seal_digest_new(r->suite, SEAL_DIGEST_SHA256);
    out = calloc(1, d->bytes + 1); /* zeros are not written: disks are large */
    assert_non_null(out);
    *len = d->bytes;
    if (d->paged) {
        read_pages(&rd, p, d, out);
    } else {
        map_reader_init(&runs, d->map, map_chunks(d->bytes, d->log2_chunk),
                        p->packs);
        read_runs(&rd, p, d, &runs, NULL, 0, out);
    }
    map_sum_put(&rd.sum, sum);
    assert_memory_equal(sum, d->sum, 32);
    pack_table_fini(&rd.table);
    pack_opener_free(rd.opener);
    seal_digest_free(rd.sha);
    point_free(p);
    return out;
}

void rig_compare(struct rig *r, const struct rig_backup *b)
{
    for (unsigned i = 0; i < b->disks; i++) {
        size_t len;
        uint8_t *got = rig_read(r, b->result.point.name, i, &len);

        assert_int_equal(len, b->disk[i].opts.bytes);
        if (memcmp(got, b->disk[i].data, len) != 0) {
            size_t at = 0;

            while (got[at] == b->disk[i].data[at])
                at++;
            fail_msg("disk %u differs at %zu", i, at);
        }
        free(got);
    }
}

void rig_condemn(struct rig *r, const char *time, struct id16 pack,
                 uint32_t first, uint32_t count)
{
    struct list_range range = {first, count};
    struct list_pack p = {.id = pack, .range = &range, .ranges = count != 0};
    struct list l = {.pack = &p, .packs = 1};
    char name[NAME_TEXT];
    struct err err = {0};
    struct buf b;

    snprintf(name, sizeof(name), "gc/%s", time);
    buf_init(&b, 10000);
    if (list_seal(r->keys, name, &l, &b, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_true(store_fault_poke(r->bucket, name, b.data, b.len, r->wall_ms));
    buf_fini(&b);
}
